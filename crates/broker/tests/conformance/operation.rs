//! Matching subscriptions and order (sections 4.5 and 4.6).

use declic_mqtt::QoS::{self, AtLeastOnce, AtMostOnce, ExactlyOnce};
use declic_mqtt::packet::{Delivery, Packet, PacketKind, Publish};

use crate::case::{both, v5};
use crate::client::{ack, id, topic};

/// v3.1.1 [MQTT-4.5.0-1]; v5 [MQTT-4.5.0-1]
#[test]
fn a_message_is_for_every_client_with_a_matching_subscription() {
    both(|case| {
        let name = case.topic("a/b");
        let mut there = case.client("there");
        let mut offline = case.lasting("offline");
        let mut other = case.client("other");
        there.subscribe(&case.topic("a/+"), AtLeastOnce);
        offline.subscribe(&name, AtLeastOnce);
        other.subscribe(&case.topic("b/a"), AtLeastOnce);
        offline.disconnect();
        case.client("p").publish(&name, "x", AtLeastOnce);
        assert_eq!(there.message().payload(), "x");
        assert_eq!(case.lasting("offline").message().payload(), "x");
        assert!(other.settle().is_empty());
    });
}

/// v3.1.1 [MQTT-4.6.0-5], [MQTT-4.6.0-6]; v5 [MQTT-4.6.0-5], [MQTT-4.6.0-6]
#[test]
fn messages_of_one_client_to_one_topic_come_in_the_order_of_publishing() {
    both(|case| {
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            let name = case.topic(&(qos as u8).to_string());
            let mut client = case.client("c");
            client.subscribe(&name, qos);
            let mut publisher = case.client("p");
            for number in 0..60 {
                publisher.publish(&name, &number.to_string(), qos);
            }
            for number in 0..60 {
                let message = client.message();
                assert_eq!(message.payload(), number.to_string());
                client.acknowledge(&message);
            }
        }
    });
}

/// v3.1.1 [MQTT-4.6.0-6]; v5 [MQTT-4.6.0-5]
#[test]
fn messages_that_waited_come_in_the_order_of_publishing() {
    both(|case| {
        let name = case.topic("t");
        case.lasting("c").subscribe(&name, AtLeastOnce);
        let mut publisher = case.client("p");
        for number in 0..60 {
            publisher.publish(&name, &number.to_string(), AtLeastOnce);
        }
        let mut client = case.lasting("c");
        for number in 0..60 {
            let message = client.message();
            assert_eq!(message.payload(), number.to_string());
            client.acknowledge(&message);
        }
    });
}

/// v3.1.1 [MQTT-4.6.0-1], [MQTT-4.6.0-6]; v5 [MQTT-4.6.0-1]
#[test]
fn messages_are_sent_again_in_the_order_of_the_first_time() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.lasting("c");
        client.subscribe(&name, ExactlyOnce);
        let mut publisher = case.client("p");
        for number in 0..8 {
            let qos: QoS = if number % 3 == 0 {
                ExactlyOnce
            } else {
                AtLeastOnce
            };
            publisher.publish(&name, &number.to_string(), qos);
        }
        let sent: Vec<_> = (0..8).map(|_| client.message()).collect();
        // Two in the middle are acknowledged.
        client.acknowledge(&sent[2]);
        client.acknowledge(&sent[4]);
        client.ping();
        client.lose();
        let mut client = case.lasting("c");
        for (number, sent) in sent.iter().enumerate() {
            if ![2, 4].contains(&number) {
                let again = client.message();
                assert_eq!(again.packet_id(), sent.packet_id());
                assert_eq!(again.payload(), number.to_string());
            }
        }
    });
}

/// v3.1.1 [MQTT-4.6.0-2], [MQTT-4.6.0-3], [MQTT-4.6.0-4], [MQTT-4.6.0-6];
/// v5 [MQTT-4.6.0-2], [MQTT-4.6.0-3], [MQTT-4.6.0-4]
#[test]
fn acknowledgements_come_in_the_order_of_what_they_acknowledge() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        let numbers = [9, 2, 300, 1, 65_535, 5];
        for number in numbers {
            client.send(Packet::Publish(Publish {
                delivery: Delivery::AtLeastOnce(id(number)),
                ..Publish::new(topic(&name), b"x")
            }));
        }
        for number in numbers {
            assert_eq!(client.take(PacketKind::PubAck).ack().packet_id, id(number));
        }
        for number in numbers {
            client.send(Packet::Publish(Publish {
                delivery: Delivery::ExactlyOnce(id(number)),
                ..Publish::new(topic(&name), b"x")
            }));
        }
        for number in numbers {
            assert_eq!(client.take(PacketKind::PubRec).ack().packet_id, id(number));
        }
        for number in numbers {
            client.send(Packet::PubRel(ack(number)));
        }
        for number in numbers {
            assert_eq!(client.take(PacketKind::PubComp).ack().packet_id, id(number));
        }
        // The other way: PUBREL in the order of PUBREC.
        client.subscribe(&name, ExactlyOnce);
        let mut publisher = case.client("p");
        let sent: Vec<_> = (0..4)
            .map(|_| {
                publisher.publish(&name, "x", ExactlyOnce);
                client.message().packet_id()
            })
            .collect();
        for number in sent.iter().rev() {
            client.send(Packet::PubRec(ack(*number)));
        }
        for number in sent.iter().rev() {
            assert_eq!(client.take(PacketKind::PubRel).ack().packet_id, id(*number));
        }
    });
}

/// v5 [MQTT-4.5.0-1]
#[test]
fn a_message_for_nobody_is_said_to_be_for_nobody_or_accepted() {
    v5(|case| {
        let name = case.topic("nobody");
        let mut client = case.client("c");
        client.publish(&name, "x", AtLeastOnce);
        client.publish(&name, "x", ExactlyOnce);
        client.subscribe(&name, AtLeastOnce);
        assert!(client.settle().is_empty());
    });
}
