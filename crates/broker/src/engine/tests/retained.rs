//! Retained messages.

use std::time::Duration;

use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{
    Items, Packet, Properties, Property, Publish, RetainHandling, Subscribe, Subscription,
    SubscriptionId,
};

use super::harness::*;
use crate::engine::Limits;

/// v3.1.1 [MQTT-3.3.1-5] to [MQTT-3.3.1-9]; v5 [MQTT-3.3.1-5], [MQTT-3.3.1-9], [MQTT-3.3.1-12]
#[test]
fn the_last_retained_message_greets_new_subscribers_with_the_retain_flag() {
    for version in BOTH {
        let mut world = World::new();
        let established = world.client(version, "e");
        world.subscribe(established, "t", ExactlyOnce);
        let conn = world.client(version, "p");
        world.send(conn, &[retained("t", "old", AtLeastOnce, 1)]);
        world.send(conn, &[retained("t", "new", ExactlyOnce, 2)]);
        world.expect(
            established,
            &[
                message("t", "old", AtLeastOnce, 1),
                message("t", "new", ExactlyOnce, 2),
            ],
        );
        let subscriber = world.client(version, "s");
        world.subscribe(subscriber, "t", AtLeastOnce);
        world.expect(subscriber, &[retained("t", "new", AtLeastOnce, 1)]);
        assert_eq!(world.engine.stats().retained, 1);
    }
}

/// It came as it was published; it must not come as retained too.
#[test]
fn a_message_retained_after_the_subscription_arrives_once() {
    for version in BOTH {
        let mut world = World::new();
        let subscriber = world.client(version, "s");
        let publisher = world.client(version, "p");
        world.send(publisher, &[retained("t/old", "1", AtMostOnce, 1)]);
        // Nothing goes out between the SUBSCRIBE and the messages behind it.
        world.block(subscriber, true);
        let subscriptions = [subscription("t/#", AtMostOnce)];
        let subscribe = Subscribe {
            packet_id: id(7),
            properties: Properties::EMPTY,
            subscriptions: Items::new(&subscriptions),
        };
        world.send(subscriber, &[Packet::Subscribe(subscribe)]);
        world.send(publisher, &[retained("t/new", "2", AtMostOnce, 1)]);
        world.send(publisher, &[retained("t/old", "3", AtMostOnce, 1)]);
        world.block(subscriber, false);
        world.step();
        assert_eq!(world.messages(subscriber), ["t/new 2", "t/old 3"]);
    }
}

/// Mistake of other brokers: a non-retained empty publish erases the retained message.
/// v3.1.1 [MQTT-3.3.1-10] to [MQTT-3.3.1-12]; v5 [MQTT-3.3.1-6] to [MQTT-3.3.1-8]
#[test]
fn only_a_retained_empty_message_erases_the_retained_one() {
    for version in BOTH {
        let mut world = World::new();
        let established = world.client(version, "e");
        world.subscribe(established, "t", AtMostOnce);
        let conn = world.client(version, "p");
        world.send(
            conn,
            &[
                retained("t", "kept", AtMostOnce, 1),
                message("t", "", AtMostOnce, 1),
                message("t", "not kept", AtMostOnce, 1),
            ],
        );
        let subscriber = world.client(version, "s");
        world.subscribe(subscriber, "t", AtMostOnce);
        world.expect(subscriber, &[retained("t", "kept", AtMostOnce, 1)]);
        world.received(established);
        world.send(conn, &[retained("t", "", AtMostOnce, 1)]);
        world.expect(established, &[message("t", "", AtMostOnce, 1)]);
        assert_eq!(world.engine.stats().retained, 0);
        let late = world.client(version, "l");
        world.subscribe(late, "t", AtMostOnce);
        world.expect_nothing(late);
    }
}

/// v5 [MQTT-3.3.1-9] to [MQTT-3.3.1-11]
#[test]
fn retain_handling_says_when_retained_messages_are_sent() {
    for (handling, first, second) in [
        (RetainHandling::OnSubscribe, 1, 1),
        (RetainHandling::OnNewSubscription, 1, 0),
        (RetainHandling::Never, 0, 0),
    ] {
        let mut world = World::new();
        let conn = world.client(V5, "s");
        world.send(conn, &[retained("t", "x", AtMostOnce, 1)]);
        let wanted = Subscription {
            retain_handling: handling,
            ..subscription("t", AtMostOnce)
        };
        world.subscribe_with(conn, wanted, &[]);
        assert_eq!(world.messages(conn).len(), first, "{handling:?}");
        world.subscribe_with(conn, wanted, &[]);
        assert_eq!(world.messages(conn).len(), second, "{handling:?}");
    }
}

/// v5 [MQTT-3.3.1-12], [MQTT-3.3.1-13]
#[test]
fn retain_as_published_keeps_the_flag() {
    let mut world = World::new();
    let conn = world.client(V5, "s");
    let wanted = Subscription {
        retain_as_published: true,
        ..subscription("t", AtMostOnce)
    };
    world.subscribe_with(conn, wanted, &[]);
    world.send(
        conn,
        &[
            retained("t", "x", AtMostOnce, 1),
            message("t", "y", AtMostOnce, 1),
        ],
    );
    world.expect(
        conn,
        &[
            retained("t", "x", AtMostOnce, 1),
            message("t", "y", AtMostOnce, 1),
        ],
    );
}

/// Mistake of other brokers: more retained messages than the receive window, and the rest never
/// arrives.
#[test]
fn all_retained_messages_arrive_however_many_there_are() {
    for version in BOTH {
        let limits = Limits {
            outbound_in_flight: 10,
            queued_messages: 20,
            ..Limits::default()
        };
        let mut world = World::with_limits(limits);
        let conn = world.client(version, "p");
        for number in 0..3_000 {
            let name = format!("t/{number:04}");
            world.send(conn, &[retained(&name, "x", AtLeastOnce, 1)]);
        }
        let subscriber = world.client(version, "s");
        world.subscribe(subscriber, "t/+", AtLeastOnce);
        let mut arrived = Vec::new();
        loop {
            let bytes = world.received(subscriber);
            if bytes.is_empty() {
                break;
            }
            let mut acks = Vec::new();
            for packet in decode(version, &bytes) {
                let Packet::Publish(publish) = packet else {
                    panic!("{packet:?}")
                };
                assert!(publish.retain && acks.len() < 10);
                arrived.push(publish.topic.expect("a topic").as_str().to_owned());
                acks.push(puback(publish.delivery.packet_id().expect("QoS 1").get()));
            }
            world.send(subscriber, &acks);
        }
        let expected: Vec<_> = (0..3_000).map(|number| format!("t/{number:04}")).collect();
        assert_eq!(arrived, expected);
        // And without acknowledgements.
        world.subscribe(subscriber, "+/#", AtMostOnce);
        assert_eq!(world.messages(subscriber).len(), 3_000);
    }
}

#[test]
fn a_search_among_many_retained_messages_goes_on_in_the_next_turn() {
    let mut world = World::new();
    let conn = world.client(V3_1_1, "p");
    for number in 0..5_000 {
        world.send(
            conn,
            &[retained(&format!("t/{number:04}/x"), "x", AtMostOnce, 1)],
        );
    }
    world.send(conn, &[retained("t/4999/y", "y", AtMostOnce, 1)]);
    world.subscribe(conn, "t/+/y", AtMostOnce);
    assert_eq!(world.messages(conn), ["t/4999/y y"]);
    world.subscribe(conn, "t/+/z", AtMostOnce);
    world.unsubscribe(conn, "t/+/z");
    world.expect_nothing(conn);
}

#[test]
fn retained_messages_still_to_come_survive_a_reconnect() {
    let mut world = World::new();
    let (conn, _) = world.connect(&lasting(V5, "s"));
    for number in 0..2_000 {
        world.send(
            conn,
            &[retained(&format!("t/{number:04}"), "x", AtLeastOnce, 1)],
        );
    }
    world.received(conn);
    world.subscribe(conn, "t/#", AtLeastOnce);
    let first = world.messages(conn);
    assert!(first.len() < 2_000);
    world.lose(conn);
    let (conn, present) = world.connect(&lasting(V5, "s"));
    assert!(present);
    let mut arrived = Vec::new();
    loop {
        let bytes = world.received(conn);
        if bytes.is_empty() {
            break;
        }
        let mut acks = Vec::new();
        for packet in decode(V5, &bytes) {
            let Packet::Publish(publish) = packet else {
                panic!("{packet:?}")
            };
            arrived.push(publish.topic.expect("a topic").as_str().to_owned());
            acks.push(puback(publish.delivery.packet_id().expect("QoS 1").get()));
        }
        world.send(conn, &acks);
    }
    assert_eq!(arrived.len(), 2_000);
}

/// v5 [MQTT-3.3.2-5], [MQTT-3.3.2-6]
#[test]
fn a_retained_message_expires() {
    let mut world = World::new();
    let conn = world.client(V5, "p");
    let properties = [Property::MessageExpiryInterval(30)];
    let expiring = Packet::Publish(Publish {
        retain: true,
        properties: Properties::new(&properties),
        ..publish("t", "x", AtMostOnce, 1)
    });
    world.send(conn, &[expiring]);
    world.advance(seconds(10) + Duration::from_millis(1));
    let (subscriber, _) = world.connect(&declic_mqtt::packet::Connect {
        keep_alive: 0,
        ..declic_mqtt::packet::Connect::new(V5, "s")
    });
    let subscription_id = [Property::SubscriptionIdentifier(
        SubscriptionId::new(7).expect("valid"),
    )];
    world.subscribe_with(subscriber, subscription("t", AtMostOnce), &subscription_id);
    let left = [Property::MessageExpiryInterval(20), subscription_id[0]];
    world.expect(
        subscriber,
        &[Packet::Publish(Publish {
            retain: true,
            properties: Properties::new(&left),
            ..publish("t", "x", AtMostOnce, 1)
        })],
    );
    world.advance(seconds(21));
    assert_eq!(world.engine.stats().retained, 0);
    assert_eq!(world.engine.stats().messages, 0);
    world.subscribe(subscriber, "t", AtMostOnce);
    world.expect_nothing(subscriber);
}

#[test]
fn retained_messages_are_limited_in_number_and_bytes() {
    for limits in [
        Limits {
            retained_messages: 2,
            ..Limits::default()
        },
        Limits {
            retained_bytes: 2 * 7,
            ..Limits::default()
        },
    ] {
        let mut world = World::with_limits(limits);
        let conn = world.client(V5, "p");
        world.subscribe(conn, "c", AtMostOnce);
        world.send(
            conn,
            &[
                retained("a", "xxxx", AtMostOnce, 1),
                retained("b", "xxxx", AtMostOnce, 1),
                retained("c", "told", AtLeastOnce, 1),
                retained("c", "not told", AtMostOnce, 1),
                retained("b", "yyyy", AtMostOnce, 1),
            ],
        );
        world.expect(
            conn,
            &[
                Packet::PubAck(ack(1, ReasonCode::QuotaExceeded)),
                message("c", "not told", AtMostOnce, 1),
            ],
        );
        assert_eq!(world.engine.stats().retained, 2);
        assert_eq!(world.engine.stats().dropped_retained, 2);
    }
}

#[test]
fn the_brokers_own_topics_take_no_room_from_clients() {
    let mut world = World::with_limits(Limits {
        retained_messages: 2,
        ..Limits::default()
    });
    let conn = world.client(V5, "p");
    for uptime in ["1", "2"] {
        world
            .engine
            .publish_system("$SYS/broker/uptime", uptime.as_bytes());
        world.engine.publish_system("$SYS/broker/version", b"x");
    }
    world.send(
        conn,
        &[
            retained("a", "x", AtLeastOnce, 1),
            retained("b", "x", AtLeastOnce, 2),
            retained("c", "x", AtLeastOnce, 3),
            retained("b", "", AtLeastOnce, 4),
            retained("c", "x", AtLeastOnce, 5),
        ],
    );
    let reasons = [
        ReasonCode::NoMatchingSubscribers,
        ReasonCode::NoMatchingSubscribers,
        ReasonCode::QuotaExceeded,
        ReasonCode::NoMatchingSubscribers,
        ReasonCode::NoMatchingSubscribers,
    ];
    let acks = (1..)
        .zip(reasons)
        .map(|(id, reason)| Packet::PubAck(ack(id, reason)));
    world.expect(conn, &acks.collect::<Vec<_>>());
    // They go on to be told when there is no room for clients' messages.
    world.engine.publish_system("$SYS/broker/uptime", b"3");
    world.subscribe(conn, "$SYS/broker/uptime", AtMostOnce);
    assert_eq!(world.messages(conn), ["$SYS/broker/uptime 3"]);
}

#[test]
fn a_retained_message_that_finds_no_room_leaves_the_old_one() {
    let limits = Limits {
        retained_bytes: 10,
        ..Limits::default()
    };
    let mut world = World::with_limits(limits);
    let conn = world.client(V5, "p");
    world.send(
        conn,
        &[
            retained("t", "old", AtMostOnce, 1),
            retained("t", "much too long", AtLeastOnce, 1),
        ],
    );
    world.expect(conn, &[Packet::PubAck(ack(1, ReasonCode::QuotaExceeded))]);
    world.subscribe(conn, "t", AtMostOnce);
    assert_eq!(world.messages(conn), ["t old"]);
}

/// Found by the test of memory: the engine asked for ever to be filled.
#[test]
fn retained_messages_that_have_no_room_are_looked_for_again_later() {
    let mut world = World::with_limits(Limits {
        queued_in_all: 2,
        ..Limits::default()
    });
    let publisher = world.client(V5, "p");
    world.send(publisher, &[retained("t", "kept", AtLeastOnce, 1)]);
    world.received(publisher);
    // Two messages that are not acknowledged are all that there may be.
    let hoards = world.client(V5, "hoards");
    world.subscribe(hoards, "x", AtLeastOnce);
    for number in 2..=3 {
        world.send(publisher, &[message("x", "", AtLeastOnce, number)]);
    }
    let late = world.client(V5, "late");
    world.subscribe(late, "t", AtMostOnce);
    world.expect_nothing(late);
    world.advance(seconds(10));
    world.expect_nothing(late);
    world.send(hoards, &[puback(1)]);
    world.advance(seconds(2));
    assert_eq!(world.messages(late), ["t kept"]);
}
