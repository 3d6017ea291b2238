//! Flow control (sections 3.3.4 and 4.9).

use declic_mqtt::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{
    Ack, Connect, Delivery, Packet, PacketKind, Properties, Property, Publish,
};

use crate::case::{Case, v5};
use crate::client::{Client, ack, id, subscription, topic};

/// A client with a window of two messages, and a publisher of six to it.
fn with_window(case: &Case) -> (Client, Client, String) {
    let (name, id) = (case.topic("t"), case.id("c"));
    let properties = [
        Property::ReceiveMaximum(2.try_into().expect("not 0")),
        Property::SessionExpiryInterval(300),
    ];
    let mut client = case.connect(&Connect {
        clean_start: false,
        properties: Properties::new(&properties),
        ..Connect::new(case.version, &id)
    });
    client.subscribe(&name, ExactlyOnce);
    let mut publisher = case.client("p");
    for number in 1..=6 {
        let qos = if number % 2 == 0 {
            ExactlyOnce
        } else {
            AtLeastOnce
        };
        publisher.publish(&name, &number.to_string(), qos);
    }
    (client, publisher, name)
}

/// Two PINGREQs: whatever could be sent has been.
fn none_more(client: &mut Client) {
    for _ in 0..2 {
        client.send(Packet::PingReq);
        let next = client.next().expect("a packet");
        assert_eq!(next.kind(), PacketKind::PingResp);
    }
}

/// v5 [MQTT-3.3.4-9], [MQTT-4.9.0-1], [MQTT-4.9.0-2]
#[test]
fn no_more_messages_are_on_their_way_than_the_client_accepts() {
    v5(|case| {
        let (mut client, _publisher, _) = with_window(case);
        let mut window = vec![client.message(), client.message()];
        none_more(&mut client);
        for next in 3..=6 {
            let first = window.remove(0);
            client.acknowledge(&first);
            let message = client.message();
            assert_eq!(message.payload(), next.to_string());
            window.push(message);
            none_more(&mut client);
        }
    });
}

/// v5 [MQTT-3.3.4-9], [MQTT-4.9.0-2]
#[test]
fn a_pubrec_alone_makes_no_room_unless_it_is_a_refusal() {
    v5(|case| {
        let (mut client, _publisher, _) = with_window(case);
        let (first, second) = (client.message(), client.message());
        client.send(Packet::PubRec(ack(second.packet_id())));
        client.take(PacketKind::PubRel);
        none_more(&mut client);
        client.send(Packet::PubComp(ack(second.packet_id())));
        assert_eq!(client.message().payload(), "3");
        client.send(Packet::PubAck(ack(first.packet_id())));
        let fourth = client.message();
        assert_eq!((fourth.payload(), fourth.qos()), ("4", ExactlyOnce));
        none_more(&mut client);
        client.send(Packet::PubRec(Ack {
            reason: ReasonCode::UnspecifiedError,
            ..ack(fourth.packet_id())
        }));
        assert_eq!(client.message().payload(), "5");
    });
}

/// v5 [MQTT-3.3.4-10], [MQTT-4.9.0-3]
#[test]
fn with_the_window_full_all_other_packets_are_served() {
    v5(|case| {
        let (mut client, mut publisher, name) = with_window(case);
        let (_first, second) = (client.message(), client.message());
        client.ping();
        let other = case.topic("other");
        client.subscribe_with(subscription(&other, AtMostOnce), &[]);
        client.unsubscribe(&[&other]);
        client.publish(&other, "1", AtLeastOnce);
        client.publish(&other, "2", ExactlyOnce);
        client.send(Packet::PubRec(ack(second.packet_id())));
        assert_eq!(
            client.take(PacketKind::PubRel).ack().packet_id,
            id(second.packet_id())
        );
        publisher.publish(&name, "7", AtLeastOnce);
        none_more(&mut client);
    });
}

/// v5 [MQTT-3.3.4-9], [MQTT-4.9.0-1]
#[test]
fn the_window_belongs_to_the_connection() {
    v5(|case| {
        let (mut client, _publisher, _) = with_window(case);
        client.message();
        client.message();
        client.lose();
        // Two are sent again; with a window of three there is room for one more.
        let id = case.id("c");
        let properties = [
            Property::ReceiveMaximum(3.try_into().expect("not 0")),
            Property::SessionExpiryInterval(300),
        ];
        let mut client = case.connect(&Connect {
            clean_start: false,
            properties: Properties::new(&properties),
            ..Connect::new(case.version, &id)
        });
        let received: Vec<_> = (0..3)
            .map(|_| client.message())
            .map(|one| (one.payload().to_owned(), one.publish().dup))
            .collect();
        let expected = [("1", true), ("2", true), ("3", false)];
        assert_eq!(received, expected.map(|(text, dup)| (text.to_owned(), dup)));
        none_more(&mut client);
        // With a window of one, the second waits for the first.
        client.lose();
        let properties = [
            Property::ReceiveMaximum(1.try_into().expect("not 0")),
            Property::SessionExpiryInterval(300),
        ];
        let mut client = case.connect(&Connect {
            clean_start: false,
            properties: Properties::new(&properties),
            ..Connect::new(case.version, &id)
        });
        for number in 1..=6 {
            let message = client.message();
            assert_eq!(message.payload(), number.to_string());
            none_more(&mut client);
            client.acknowledge(&message);
        }
    });
}

/// v5 [MQTT-3.3.4-7], [MQTT-4.13.1-1]
#[test]
fn a_client_that_sends_more_than_the_brokers_receive_maximum_is_closed() {
    v5(|case| {
        let (name, client_id) = (case.topic("t"), case.id("c"));
        let mut client = case.open();
        let connack = client.try_connect(&Connect::new(case.version, &client_id));
        let maximum = connack.connack().properties.receive_maximum();
        let maximum = maximum.expect("a receive maximum").get();
        let send = |client: &mut Client, number| {
            client.send(Packet::Publish(Publish {
                delivery: Delivery::ExactlyOnce(id(number)),
                ..Publish::new(topic(&name), b"x")
            }));
        };
        for number in 1..=maximum {
            send(&mut client, number);
            client.take(PacketKind::PubRec);
        }
        // Room again, and it may go on.
        client.release(1);
        send(&mut client, 1);
        client.take(PacketKind::PubRec);
        send(&mut client, maximum + 1);
        client.closed_with(ReasonCode::ReceiveMaximumExceeded);
    });
}

/// v5 [MQTT-3.3.4-9], [MQTT-4.6.0-5]
#[test]
fn under_load_nothing_is_lost_doubled_or_out_of_order() {
    v5(|case| {
        let name = case.topic("t");
        let mut client = case.with_receive_maximum("c", 7);
        client.subscribe(&name, ExactlyOnce);
        let mut publisher = case.client("p");
        let (mut expected, mut waiting) = (0, Vec::new());
        for round in 0..20 {
            for number in 0..30 {
                let qos = [AtLeastOnce, ExactlyOnce][number % 2];
                publisher.publish(&name, &(round * 30 + number).to_string(), qos);
            }
            for _ in 0..30 {
                let message = client.message();
                assert_eq!(message.payload(), expected.to_string());
                expected += 1;
                waiting.push(message);
                assert!(waiting.len() <= 7);
                if waiting.len() == 7 {
                    for message in waiting.drain(..) {
                        client.acknowledge(&message);
                    }
                }
            }
        }
        assert!(client.settle().is_empty());
    });
}
