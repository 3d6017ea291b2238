//! Properties of a PUBLISH that are passed on (section 3.3.2.3).

use std::time::Duration;

use declic_mqtt::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Packet, Properties, Property, Publish};

use crate::case::{Case, join, packet, string, v5};
use crate::client::topic;

/// v5 [MQTT-3.3.2-4], [MQTT-3.3.2-15], [MQTT-3.3.2-16], [MQTT-3.3.2-17], [MQTT-3.3.2-18],
/// [MQTT-3.3.2-20]
#[test]
fn properties_are_passed_on_as_they_came_and_none_is_added() {
    v5(|case| {
        let name = case.topic("t");
        let answer = case.topic("answer");
        let sets: [&[Property<'_>]; 4] = [
            &[],
            &[Property::PayloadFormatIndicator(true)],
            &[
                Property::UserProperty(("z", "1")),
                Property::UserProperty(("a", "")),
                Property::UserProperty(("z", "1")),
                Property::UserProperty(("", "ü")),
            ],
            &[
                Property::PayloadFormatIndicator(false),
                Property::ContentType("application/json; ü"),
                Property::ResponseTopic(topic(&answer)),
                Property::CorrelationData(&[0, 255, 7, 0]),
                Property::UserProperty(("b", "2")),
                Property::UserProperty(("a", "1")),
            ],
        ];
        let mut clients = [case.client("c"), case.client("d")];
        for client in &mut clients {
            client.subscribe(&name, AtLeastOnce);
        }
        let mut publisher = case.client("p");
        for set in sets {
            let publish = Publish {
                properties: Properties::new(set),
                ..Publish::new(topic(&name), b"x")
            };
            publisher.publish_with(publish, AtLeastOnce);
            for client in &mut clients {
                let message = client.message();
                let received: Vec<_> = message.publish().properties.iter().collect();
                // Their order only matters among user properties.
                let user = |all: &[Property<'_>]| {
                    let is_user = |one: &&Property<'_>| matches!(one, Property::UserProperty(_));
                    format!("{:?}", all.iter().filter(is_user).collect::<Vec<_>>())
                };
                assert_eq!(user(&received), user(set));
                assert_eq!(received.len(), set.len(), "{received:?}");
                assert!(set.iter().all(|one| received.contains(one)), "{received:?}");
                client.acknowledge(&message);
            }
        }
    });
}

/// v5 [MQTT-3.3.2-4], [MQTT-3.3.2-15], [MQTT-3.3.2-16], [MQTT-3.3.2-17], [MQTT-3.3.2-20]
#[test]
fn properties_are_passed_on_with_retained_and_with_waiting_messages() {
    v5(|case| {
        let name = case.topic("t");
        let properties = [
            Property::ContentType("text"),
            Property::CorrelationData(b"17"),
            Property::UserProperty(("a", "1")),
        ];
        case.lasting("c").subscribe(&name, AtLeastOnce);
        let mut publisher = case.client("p");
        let publish = Publish {
            retain: true,
            properties: Properties::new(&properties),
            ..Publish::new(topic(&name), b"x")
        };
        publisher.publish_with(publish, AtLeastOnce);
        let mut late = case.client("late");
        late.subscribe(&name, AtMostOnce);
        for message in [case.lasting("c").message(), late.message()] {
            let received = message.publish().properties;
            assert_eq!(received.iter().count(), 3);
            assert!(
                properties
                    .iter()
                    .all(|one| received.iter().any(|got| got == *one))
            );
        }
        publisher.retain(&name, "", AtLeastOnce);
    });
}

fn with_expiry(case: &Case, name: &str, seconds: u32) {
    let properties = [Property::MessageExpiryInterval(seconds)];
    let publish = Publish {
        properties: Properties::new(&properties),
        ..Publish::new(topic(name), b"for a while")
    };
    case.client("p").publish_with(publish, AtLeastOnce);
}

/// v5 [MQTT-3.3.2-5], [MQTT-3.3.2-6]
#[test]
fn the_lifetime_of_a_message_is_counted_down_while_it_waits() {
    v5(|case| {
        let (short, long) = (case.topic("short"), case.topic("long"));
        let mut client = case.lasting("c");
        client.subscribe(&short, AtLeastOnce);
        client.subscribe(&long, AtLeastOnce);
        client.disconnect();
        with_expiry(case, &short, 1);
        with_expiry(case, &long, 100);
        case.client("idle").silent_for(Duration::from_millis(2_100));
        let mut client = case.lasting("c");
        let message = client.message();
        assert_eq!(message.topic, long, "the other is gone");
        let left = message.publish().properties.message_expiry_interval();
        assert!((90..=98).contains(&left.expect("a lifetime")), "{left:?}");
        client.acknowledge(&message);
        assert!(client.settle().is_empty());
    });
}

/// v5 [MQTT-3.3.2-6]
#[test]
fn a_message_that_did_not_wait_has_its_whole_lifetime() {
    v5(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.subscribe(&name, AtLeastOnce);
        with_expiry(case, &name, 1_000);
        let left = client
            .message()
            .publish()
            .properties
            .message_expiry_interval();
        assert!(
            (990..=1_000).contains(&left.expect("a lifetime")),
            "{left:?}"
        );
    });
}

/// v5 [MQTT-3.3.2-14], [MQTT-3.3.2-13], [MQTT-3.3.2-19]
#[test]
fn response_topic_and_content_type_have_to_be_valid() {
    v5(|case| {
        for (property, text) in [
            (0x08, &b"a/+"[..]),
            (0x08, b"#"),
            (0x08, b"a\xff"),
            (0x03, b"a\xff"),
            (0x03, b"\xed\xa0\x80"),
        ] {
            let property = join(&[&[property], &string(text)]);
            let name = string(case.topic("t"));
            let body = join(&[&name, &[property.len() as u8], &property, b"x"]);
            let mut client = case.client("c");
            client.send_bytes(&packet(0x30, &body));
            client.closed();
        }
    });
}

/// v5 [MQTT-4.3.3-7], [MQTT-4.3.3-13]
#[test]
fn a_lifetime_that_ends_on_the_way_changes_nothing() {
    v5(|case| {
        let name = case.topic("t");
        let mut client = case.lasting("c");
        client.subscribe(&name, ExactlyOnce);
        let properties = [Property::MessageExpiryInterval(1)];
        let mut publisher = case.client("p");
        let publish = Publish {
            delivery: declic_mqtt::packet::Delivery::ExactlyOnce(crate::client::id(40)),
            properties: Properties::new(&properties),
            ..Publish::new(topic(&name), b"x")
        };
        publisher.send(Packet::Publish(publish));
        publisher.take(declic_mqtt::packet::PacketKind::PubRec);
        let sent = client.message();
        client.lose();
        case.client("idle").silent_for(Duration::from_millis(1_300));
        // To the publisher.
        publisher.release(40);
        // To the subscriber.
        let mut client = case.lasting("c");
        let again = client.message();
        assert_eq!(again.packet_id(), sent.packet_id());
        client.acknowledge(&again);
    });
}

/// v5 [MQTT-4.13.1-1]
#[test]
fn a_property_that_may_not_stand_in_a_publish_closes_the_connection() {
    v5(|case| {
        let wrong: [&[u8]; 4] = [
            &[0x11, 0, 0, 0, 1],
            &[0x01, 2],
            &[0x02, 0, 0, 0, 1, 0x02, 0, 0, 0, 1],
            &[0x7e],
        ];
        for property in wrong {
            let name = string(case.topic("t"));
            let body = join(&[&name, &[property.len() as u8], property, b"x"]);
            let mut client = case.client("c");
            client.send_bytes(&packet(0x30, &body));
            let all = client.closed();
            let told = all.last().map(|one| one.packet());
            let told = told.map(|packet| match packet {
                Packet::Disconnect(disconnect) => disconnect.reason,
                other => panic!("{other:?}"),
            });
            let known = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError];
            assert!(told.is_none_or(|reason| known.contains(&reason)));
        }
    });
}
