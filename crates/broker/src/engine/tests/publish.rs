//! Who gets a message, and how often.

use declic_mqtt::packet::{Packet, Publish};
use declic_mqtt::{ReasonCode, TopicName};

use super::harness::*;
use crate::engine::{CloseReason, Limits};

/// Mistake of other brokers: QoS 0 delivered at the subscriber's QoS.
/// v3.1.1 [MQTT-3.8.4-5], [MQTT-4.3.1-1]; v5 [MQTT-3.8.4-8], [MQTT-4.3.1-1]
#[test]
fn a_message_is_delivered_with_the_lower_qos_of_publish_and_subscription() {
    for version in BOTH {
        for published in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            for granted in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
                let mut world = World::new();
                let subscriber = world.client(version, "s");
                world.subscribe(subscriber, "t", granted);
                let conn = world.client(version, "p");
                world.send(conn, &[message("t", "x", published, 5)]);
                world.expect(subscriber, &[message("t", "x", published.min(granted), 1)]);
            }
        }
    }
}

/// v3.1.1 [MQTT-3.3.5-1]; v5 [MQTT-3.3.4-2]
#[test]
fn overlapping_subscriptions_bring_a_message_once_with_the_highest_qos() {
    for version in BOTH {
        let mut world = World::new();
        let subscriber = world.client(version, "s");
        world.subscribe(subscriber, "a/#", AtMostOnce);
        world.subscribe(subscriber, "a/+", ExactlyOnce);
        world.subscribe(subscriber, "a/b", AtLeastOnce);
        let conn = world.client(version, "p");
        world.send(conn, &[message("a/b", "x", ExactlyOnce, 5)]);
        world.expect(subscriber, &[message("a/b", "x", ExactlyOnce, 1)]);
    }
}

/// v3.1.1 [MQTT-4.7.2-1]; v5 [MQTT-4.7.2-1]
#[test]
fn wildcards_at_the_start_do_not_match_dollar_topics() {
    for version in BOTH {
        let mut world = World::new();
        let subscriber = world.client(version, "s");
        world.subscribe(subscriber, "#", AtMostOnce);
        world.subscribe(subscriber, "+/x", AtMostOnce);
        let own = world.client(version, "o");
        world.subscribe(own, "$own/#", AtMostOnce);
        let conn = world.client(version, "p");
        world.send(conn, &[message("$own/x", "x", AtMostOnce, 1)]);
        world.expect_nothing(subscriber);
        assert_eq!(world.messages(own), ["$own/x x"]);
    }
}

/// v3.1.1 [MQTT-3.3.5-2], [MQTT-4.7.2-1]; v5 [MQTT-4.7.2-1]
#[test]
fn clients_can_not_publish_into_sys() {
    for version in BOTH {
        let mut world = World::new();
        let subscriber = world.client(version, "s");
        world.subscribe(subscriber, "$SYS/#", AtMostOnce);
        let conn = world.client(version, "p");
        world.send(
            conn,
            &[
                retained("$SYS/broker/version", "x", AtMostOnce, 1),
                message("$SYS", "x", AtLeastOnce, 2),
            ],
        );
        world.expect(
            conn,
            &[match version {
                V3_1_1 => puback(2),
                V5 => Packet::PubAck(ack(2, ReasonCode::NotAuthorized)),
            }],
        );
        world.expect_nothing(subscriber);
        assert_eq!(world.engine.stats().retained, 0);
        world.subscribe(subscriber, "$SYSTEM", AtMostOnce);
        world.send(conn, &[message("$SYSTEM", "x", AtMostOnce, 1)]);
        assert_eq!(world.messages(subscriber), ["$SYSTEM x"]);
    }
}

/// v3.1.1 [MQTT-4.6.0-5], [MQTT-4.6.0-6], [MQTT-3.3.2-3]; v5 [MQTT-4.6.0-5], [MQTT-4.6.0-6],
/// [MQTT-3.3.2-3]
#[test]
fn messages_arrive_in_the_order_they_were_published() {
    for version in BOTH {
        let mut world = World::new();
        let subscriber = world.client(version, "s");
        world.subscribe(subscriber, "t/#", ExactlyOnce);
        let conn = world.client(version, "p");
        let mut expected = Vec::new();
        for number in 1..=500_u16 {
            let qos = [AtMostOnce, AtLeastOnce, ExactlyOnce][usize::from(number) % 3];
            let payload = number.to_string();
            world.send(conn, &[message("t/x", &payload, qos, number)]);
            expected.push(format!("t/x {number}"));
        }
        assert_eq!(world.messages(subscriber), expected);
    }
}

/// Nothing that nobody asked for is added.
#[test]
fn a_publish_of_5_0_gets_no_property_that_the_publisher_did_not_give() {
    let mut world = World::new();
    let subscriber = world.client(V5, "s");
    world.subscribe(subscriber, "t", AtLeastOnce);
    let conn = world.client(V3_1_1, "p");
    world.send(conn, &[message("t", "x", AtLeastOnce, 1)]);
    assert_eq!(world.received(subscriber), b"\x32\x07\0\x01t\0\x01\0x");
}

/// v3.1.1 [MQTT-4.7.3-4], [MQTT-1.5.3-1]; v5 [MQTT-4.7.3-4], [MQTT-1.5.4-3]
#[test]
fn topics_are_not_normalised() {
    let names = [
        "a",
        "A",
        "a/",
        "/a",
        "//",
        " ",
        "\u{feff}a",
        "e\u{301}",
        "\u{e9}",
    ];
    for version in BOTH {
        let mut world = World::new();
        let subscribers: Vec<_> = names
            .iter()
            .map(|name| {
                let conn = world.client(version, name);
                world.subscribe(conn, name, AtMostOnce);
                conn
            })
            .collect();
        let conn = world.client(version, "p");
        for name in names {
            world.send(conn, &[message(name, "x", AtMostOnce, 1)]);
        }
        for (name, conn) in names.iter().zip(subscribers) {
            assert_eq!(world.messages(conn), [format!("{name} x")]);
        }
    }
}

/// Bad input 5: a topic of 65,000 slashes.
#[test]
fn a_topic_with_too_many_levels_is_refused() {
    let name = "/".repeat(65_000);
    let publish = |qos| {
        let topic = TopicName::new(&name).expect("a valid name");
        Packet::Publish(Publish {
            topic: Some(topic),
            ..publish("t", "x", qos, 1)
        })
    };
    let mut world = World::new();
    let everything = world.client(V5, "s");
    world.subscribe(everything, "#", AtMostOnce);
    let conn = world.client(V5, "p");
    world.send(conn, &[publish(AtLeastOnce)]);
    world.expect(
        conn,
        &[Packet::PubAck(ack(1, ReasonCode::TopicNameInvalid))],
    );
    let refused = Some(CloseReason::Protocol(ReasonCode::TopicNameInvalid));
    world.send(conn, &[publish(AtMostOnce)]);
    assert_eq!(world.closed(conn), refused);
    let conn = world.client(V3_1_1, "o");
    world.send(conn, &[publish(ExactlyOnce)]);
    assert_eq!(world.closed(conn), refused);
    world.expect_nothing(everything);

    let mut world = World::with_limits(Limits {
        topic_levels: 3,
        ..Limits::default()
    });
    let conn = world.client(V5, "p");
    world.subscribe(conn, "a/b/#", AtMostOnce);
    world.send(conn, &[message("a/b/c", "x", AtMostOnce, 1)]);
    assert_eq!(world.messages(conn), ["a/b/c x"]);
    world.send(conn, &[message("a/b/c/d", "x", AtMostOnce, 1)]);
    assert_eq!(world.closed(conn), refused);
}

/// A message larger than what is written at once is written in parts, nothing in between.
#[test]
fn a_large_message_arrives_whole_whatever_the_size_of_a_write() {
    let payload = "0123456789".repeat(1_000);
    for version in BOTH {
        for write_size in [1, 2, 7, 100, 9_999, 10_007, 10_008, 20_000] {
            let mut world = World::new();
            world.write_size = write_size;
            let subscriber = world.client(version, "s");
            world.subscribe(subscriber, "t", ExactlyOnce);
            let conn = world.client(version, "p");
            world.block(subscriber, true);
            world.send(
                conn,
                &[
                    message("t", &payload, AtMostOnce, 1),
                    message("t", &payload, ExactlyOnce, 1),
                    message("t", "end", AtMostOnce, 1),
                ],
            );
            world.send(subscriber, &[Packet::PingReq]);
            world.block(subscriber, false);
            world.expect(
                subscriber,
                &[
                    Packet::PingResp,
                    message("t", &payload, AtMostOnce, 1),
                    message("t", &payload, ExactlyOnce, 1),
                    message("t", "end", AtMostOnce, 1),
                ],
            );
        }
    }
}
