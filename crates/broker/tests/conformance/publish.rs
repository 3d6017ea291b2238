//! PUBLISH: flags, topic, and who gets it (section 3.3).

use declic_mqtt::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{
    Delivery, Packet, PacketKind, Properties, Property, Publish, SubscriptionId,
};

use crate::case::{both, join, packet, string, v3_1_1, v5, varint};
use crate::client::{ack, id, subscription, topic};

/// v3.1.1 [MQTT-3.3.1-2], [MQTT-3.3.1-3], [MQTT-4.3.1-1];
/// v5 [MQTT-3.3.1-2], [MQTT-3.3.1-3], [MQTT-4.3.1-1]
#[test]
fn the_dup_flag_is_not_passed_on() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.subscribe(&name, ExactlyOnce);
        let mut publisher = case.client("p");
        for (number, qos) in [(1, AtLeastOnce), (2, ExactlyOnce)] {
            publisher.send(Packet::Publish(Publish {
                dup: true,
                delivery: Delivery::new(qos, id(number)),
                ..Publish::new(topic(&name), b"x")
            }));
            if qos == ExactlyOnce {
                publisher.take(PacketKind::PubRec);
                publisher.release(number);
            }
            let message = client.message();
            assert_eq!((message.qos(), message.publish().dup), (qos, false));
        }
        let mut at_most_once = case.client("c0");
        at_most_once.subscribe(&name, AtMostOnce);
        publisher.send(Packet::Publish(Publish {
            dup: true,
            delivery: Delivery::AtLeastOnce(id(3)),
            ..Publish::new(topic(&name), b"x")
        }));
        let message = at_most_once.message();
        assert_eq!((message.qos(), message.publish().dup), (AtMostOnce, false));
    });
}

/// v3.1.1 [MQTT-3.3.1-2]; v5 [MQTT-3.3.1-2]
#[test]
fn a_publish_of_qos_0_with_the_dup_flag_closes_the_connection() {
    both(|case| {
        let body = join(&[&string(case.topic("t")), case.no_properties(), b"x"]);
        let mut client = case.client("c");
        client.send_bytes(&packet(0x38, &body));
        client.closed_with(ReasonCode::MalformedPacket);
    });
}

/// v3.1.1 [MQTT-3.3.1-4]; v5 [MQTT-3.3.1-4]
#[test]
fn a_publish_of_qos_3_closes_the_connection() {
    both(|case| {
        let name = string(case.topic("t"));
        let body = join(&[&name, &[0, 1], case.no_properties(), b"x"]);
        let mut client = case.client("c");
        client.send_bytes(&packet(0x36, &body));
        client.closed_with(ReasonCode::MalformedPacket);
    });
}

/// v3.1.1 [MQTT-3.3.2-1], [MQTT-4.7.3-1]; v5 [MQTT-3.3.2-1], [MQTT-4.7.3-1]
#[test]
fn a_publish_without_a_topic_closes_the_connection() {
    both(|case| {
        let empty = join(&[&string(""), case.no_properties(), b"x"]);
        let cut = [0, 9, b'a'].to_vec();
        for (body, reason) in [
            (empty, ReasonCode::ProtocolError),
            (cut, ReasonCode::MalformedPacket),
        ] {
            let mut client = case.client("c");
            client.send_bytes(&packet(0x30, &body));
            client.closed_with(reason);
        }
    });
}

/// v3.1.1 [MQTT-3.3.2-2], [MQTT-4.7.1-1]; v5 [MQTT-3.3.2-2], [MQTT-4.7.0-1]
#[test]
fn a_wildcard_in_a_topic_name_closes_the_connection() {
    both(|case| {
        for name in ["#", "+", "a/#", "a/+/b", "a+", "a#b"] {
            let name = string(case.topic(name));
            let body = join(&[&name, case.no_properties(), b"x"]);
            let mut client = case.client("c");
            client.send_bytes(&packet(0x30, &body));
            client.closed_with(ReasonCode::TopicNameInvalid);
        }
    });
}

/// v3.1.1 [MQTT-3.3.2-3]; v5 [MQTT-3.3.2-3]
#[test]
fn a_subscriber_is_told_the_topic_that_was_published_to() {
    both(|case| {
        let mut client = case.client("c");
        client.subscribe(&case.topic("+/x/#"), AtMostOnce);
        let mut publisher = case.client("p");
        for name in ["a/x", "b/x/y", "//x", "/x", "é/x/€"] {
            publisher.publish(&case.topic(name), name, AtMostOnce);
        }
        let received = client.settle();
        let topics: Vec<_> = received.iter().map(|one| one.topic.clone()).collect();
        let wanted = ["a/x", "b/x/y", "/x", "é/x/€"].map(|name| case.topic(name));
        assert_eq!(topics, wanted);
    });
}

/// v3.1.1 [MQTT-3.3.4-1], [MQTT-4.3.2-2], [MQTT-4.3.3-2];
/// v5 [MQTT-3.3.4-1], [MQTT-4.3.2-4], [MQTT-4.3.3-8], [MQTT-4.3.3-11]
#[test]
fn each_qos_has_its_answer() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        let publish = |delivery| {
            Packet::Publish(Publish {
                delivery,
                ..Publish::new(topic(&name), b"x")
            })
        };
        client.send(publish(Delivery::AtMostOnce));
        client.send(Packet::PingReq);
        let next = client.next().expect("a packet");
        assert_eq!(next.kind(), PacketKind::PingResp);
        client.send(publish(Delivery::AtLeastOnce(id(7))));
        let next = client.next().expect("a packet");
        assert_eq!(next.kind(), PacketKind::PubAck);
        assert_eq!(next.ack().packet_id, id(7));
        client.send(publish(Delivery::ExactlyOnce(id(7))));
        let next = client.next().expect("a packet");
        assert_eq!(next.kind(), PacketKind::PubRec);
        assert_eq!(next.ack().packet_id, id(7));
        client.send(Packet::PubRel(ack(7)));
        let next = client.next().expect("a packet");
        assert_eq!(next.kind(), PacketKind::PubComp);
        assert_eq!(next.ack(), ack(7));
    });
}

/// v3.1.1 [MQTT-3.3.5-2]
#[test]
fn a_publish_that_is_not_authorized_is_acknowledged_all_the_same() {
    v3_1_1(|case| {
        let mut watcher = case.client("w");
        let name = format!("$SYS/{}", case.topic("t"));
        watcher.subscribe(&name, AtLeastOnce);
        let mut client = case.client("c");
        client.publish(&name, "1", AtLeastOnce);
        client.publish(&name, "2", ExactlyOnce);
        assert!(watcher.settle().is_empty());
    });
}

/// v3.1.1 [MQTT-3.3.5-1]; v5 [MQTT-3.3.4-2]
#[test]
fn overlapping_subscriptions_bring_a_message_with_the_highest_of_their_qos() {
    both(|case| {
        let name = case.topic("a/b");
        let mut client = case.client("c");
        client.subscribe(&case.topic("a/+"), AtMostOnce);
        client.subscribe(&case.topic("a/#"), ExactlyOnce);
        client.subscribe(&name, AtLeastOnce);
        case.client("p").publish(&name, "x", ExactlyOnce);
        let received = client.settle();
        let highest = received.iter().map(|one| one.qos()).max();
        assert_eq!(highest, Some(ExactlyOnce));
    });
}

fn subscription_id(id: u32) -> [Property<'static>; 1] {
    [Property::SubscriptionIdentifier(
        SubscriptionId::new(id).expect("a valid identifier"),
    )]
}

/// v5 [MQTT-3.3.4-3], [MQTT-3.3.4-4], [MQTT-3.3.4-5]
#[test]
fn the_identifiers_of_all_matching_subscriptions_come_with_a_message() {
    v5(|case| {
        let name = case.topic("a/b");
        let mut client = case.client("c");
        let of_both = [("a/+", Some(1)), ("a/#", Some(268_435_455)), ("#", None)];
        for (filter, id) in of_both {
            let properties = id.map(subscription_id);
            client.subscribe_with(
                subscription(&case.topic(filter), AtLeastOnce),
                properties.as_ref().map_or(&[], |one| one),
            );
        }
        let other = subscription(&case.topic("x"), AtLeastOnce)
            .filter
            .as_str()
            .to_owned();
        client.subscribe_with(subscription(&other, AtLeastOnce), &subscription_id(3));
        case.client("p").publish(&name, "x", AtLeastOnce);
        let received = client.settle();
        let mut ids: Vec<_> = received
            .iter()
            .flat_map(|one| one.publish().properties.subscription_identifiers())
            .map(|id| id.get())
            .collect();
        ids.sort();
        assert_eq!(ids, [1, 268_435_455]);
        // Either in one copy, or each in its own.
        assert!(received.len() == 1 || received.len() == 3);
    });
}

/// v5 [MQTT-3.3.4-3]
#[test]
fn a_retained_message_comes_with_the_identifier_of_its_subscription() {
    v5(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.retain(&name, "kept", AtLeastOnce);
        for number in [9, 10] {
            client.subscribe_with(subscription(&name, AtMostOnce), &subscription_id(number));
            let received = client.message();
            let ids: Vec<_> = received
                .publish()
                .properties
                .subscription_identifiers()
                .map(|id| id.get())
                .collect();
            assert_eq!(ids, [number]);
        }
        client.retain(&name, "", AtLeastOnce);
    });
}

/// v5 [MQTT-3.3.4-6], [MQTT-4.13.1-1]
#[test]
fn a_client_that_sends_a_subscription_identifier_is_closed() {
    v5(|case| {
        let properties = subscription_id(1);
        let name = case.topic("t");
        let mut client = case.client("c");
        client.send(Packet::Publish(Publish {
            properties: Properties::new(&properties),
            ..Publish::new(topic(&name), b"x")
        }));
        client.closed_with(ReasonCode::ProtocolError);
    });
}

/// v5 [MQTT-3.2.2-15], [MQTT-4.13.1-1]
#[test]
fn a_packet_that_is_larger_than_the_broker_accepts_closes_the_connection() {
    v5(|case| {
        let name = case.id("c");
        let mut client = case.open();
        let connack = client.try_connect(&declic_mqtt::packet::Connect::new(case.version, &name));
        let maximum = connack.connack().properties.maximum_packet_size();
        let maximum = maximum.expect("a maximum packet size").get() as usize;
        client.send_bytes(&join(&[&[0x30], &varint(maximum)]));
        client.closed_with(ReasonCode::PacketTooLarge);
    });
}

/// v3.1.1 [MQTT-4.8.0-1]; v5 [MQTT-4.13.1-1]
#[test]
fn packets_that_only_a_server_sends_close_the_connection() {
    both(|case| {
        for bytes in [
            packet(0x20, &join(&[&[0, 0], case.no_properties()])),
            packet(0x90, &join(&[&[0, 1], case.no_properties(), &[0]])),
            packet(0xb0, &join(&[&[0, 1], case.no_properties()])),
            packet(0xd0, &[]),
        ] {
            let mut client = case.client("c");
            client.send_bytes(&bytes);
            client.closed();
        }
    });
}
