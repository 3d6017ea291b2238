//! Flow control: windows, queues, slow readers, and too much of everything.

use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Connect, Disconnect, Packet, Properties, Property};

use super::harness::*;
use crate::engine::{CloseReason, Limits};

/// Mistake of other brokers: receive maximum ignored. v5 [MQTT-3.3.4-9], [MQTT-3.3.4-10],
/// [MQTT-4.9.0-1] to [MQTT-4.9.0-3]
#[test]
fn a_client_has_no_more_in_flight_than_its_receive_maximum() {
    let mut world = World::new();
    let properties = [Property::ReceiveMaximum(2.try_into().expect("not 0"))];
    let (conn, _) = world.connect(&Connect {
        properties: Properties::new(&properties),
        ..Connect::new(V5, "s")
    });
    world.subscribe(conn, "t", ExactlyOnce);
    let publisher = world.client(V5, "p");
    for number in 1..=5 {
        let qos = if number == 2 {
            ExactlyOnce
        } else {
            AtLeastOnce
        };
        world.send(publisher, &[message("t", &number.to_string(), qos, number)]);
    }
    assert_eq!(world.messages(conn), ["t 1", "t 2"]);
    // Other packets go on.
    world.send(conn, &[Packet::PingReq, pubrec(2)]);
    world.expect(conn, &[Packet::PingResp, pubrel(2)]);
    world.send(conn, &[puback(1)]);
    assert_eq!(world.messages(conn), ["t 3"]);
    world.send(conn, &[pubcomp(2), puback(3)]);
    assert_eq!(world.messages(conn), ["t 4", "t 5"]);
}

/// The same when messages are sent again.
#[test]
fn a_resumed_session_respects_the_new_receive_maximum() {
    let mut world = World::new();
    let (conn, _) = world.connect(&lasting(V5, "s"));
    world.subscribe(conn, "t", AtLeastOnce);
    let publisher = world.client(V5, "p");
    for number in 1..=5 {
        world.send(
            publisher,
            &[message("t", &number.to_string(), AtLeastOnce, number)],
        );
    }
    assert_eq!(world.messages(conn).len(), 5);
    world.lose(conn);
    let properties = [Property::ReceiveMaximum(2.try_into().expect("not 0"))];
    let (conn, _) = world.connect(&Connect {
        clean_start: false,
        properties: Properties::new(&properties),
        ..Connect::new(V5, "s")
    });
    world.expect(
        conn,
        &[
            again("t", "1", AtLeastOnce, 1),
            again("t", "2", AtLeastOnce, 2),
        ],
    );
    world.send(conn, &[puback(2), puback(1)]);
    world.expect(
        conn,
        &[
            again("t", "3", AtLeastOnce, 3),
            again("t", "4", AtLeastOnce, 4),
        ],
    );
    world.send(conn, &[puback(3)]);
    world.expect(conn, &[again("t", "5", AtLeastOnce, 5)]);
}

/// v5 [MQTT-3.3.4-7], [MQTT-3.3.4-8]; bad input 6: identifiers leaking.
#[test]
fn a_publisher_with_more_unreleased_messages_than_announced_is_closed() {
    for version in BOTH {
        let limits = Limits {
            inbound_in_flight: 3,
            ..Limits::default()
        };
        let mut world = World::with_limits(limits);
        let conn = world.client(version, "p");
        for number in 1..=3 {
            world.send(conn, &[message("t", "x", ExactlyOnce, number)]);
        }
        world.received(conn);
        world.send(conn, &[message("t", "again", ExactlyOnce, 3)]);
        assert_eq!(world.closed(conn), None);
        world.received(conn);
        world.send(conn, &[message("t", "x", ExactlyOnce, 4)]);
        let reason = ReasonCode::ReceiveMaximumExceeded;
        assert_eq!(world.closed(conn), Some(CloseReason::Protocol(reason)));
        if version == V5 {
            world.expect(conn, &[Packet::Disconnect(Disconnect::new(reason))]);
        }
    }
}

/// Bad input 7: a subscriber that never reads, and a publisher that never stops.
#[test]
fn a_reader_that_never_reads_stops_nobody_and_loses_only_its_own_messages() {
    for version in BOTH {
        let limits = Limits {
            queued_messages: 100,
            ..Limits::default()
        };
        let mut world = World::with_limits(limits);
        let (slow, fast) = (world.client(version, "slow"), world.client(version, "fast"));
        world.subscribe(slow, "t", AtLeastOnce);
        world.subscribe(fast, "t", AtMostOnce);
        world.block(slow, true);
        let conn = world.client(version, "p");
        for number in 0..1_000 {
            let qos = if number % 2 == 0 {
                AtMostOnce
            } else {
                AtLeastOnce
            };
            world.send(conn, &[message("t", &number.to_string(), qos, 1)]);
        }
        assert_eq!(world.messages(fast).len(), 1_000);
        let stats = world.engine.stats();
        assert_eq!((stats.dropped_qos_0, stats.dropped_qos_1_2), (500, 400));
        assert_eq!(stats.messages, 100);
        assert!(!world.is_paused(conn));
        world.block(slow, false);
        // Those of QoS 0 made room for the others.
        let first: Vec<_> = (0..100)
            .map(|number| format!("t {}", 2 * number + 1))
            .collect();
        assert_eq!(world.messages(slow), first);
    }
}

#[test]
fn a_queue_is_limited_in_bytes_too_but_takes_one_message_of_any_size() {
    let limits = Limits {
        queued_bytes: 1_000,
        ..Limits::default()
    };
    let mut world = World::with_limits(limits);
    let slow = world.client(V5, "slow");
    world.subscribe(slow, "t", AtMostOnce);
    world.block(slow, true);
    let conn = world.client(V5, "p");
    let (large, small) = ("x".repeat(2_000), "y".repeat(400));
    world.send(
        conn,
        &[
            message("t", &large, AtMostOnce, 1),
            message("t", &small, AtMostOnce, 1),
        ],
    );
    world.block(slow, false);
    assert_eq!(world.messages(slow), [format!("t {large}")]);
    world.block(slow, true);
    for _ in 0..3 {
        world.send(conn, &[message("t", &small, AtMostOnce, 1)]);
    }
    world.block(slow, false);
    assert_eq!(world.messages(slow).len(), 2);
}

/// Bad input 7: an outbox that never drains.
#[test]
fn who_does_not_read_its_answers_is_not_read_from() {
    for version in BOTH {
        let mut world = World::new();
        let conn = world.client(version, "a");
        world.block(conn, true);
        let pings = [0xc0, 0].repeat(1_000);
        let mut rounds = 0;
        while !world.is_paused(conn) {
            world.send_bytes(conn, &pings);
            rounds += 1;
            assert!(rounds < 100);
        }
        world.block(conn, false);
        assert!(!world.is_paused(conn));
        assert_eq!(world.received(conn).len(), rounds * pings.len());
    }
}

#[test]
fn publishers_are_slowed_down_when_too_much_is_held_and_refused_when_all_is_full() {
    let limits = Limits {
        message_bytes: 10_000,
        ..Limits::default()
    };
    let mut world = World::with_limits(limits);
    let slow = world.client(V5, "slow");
    world.subscribe(slow, "t", AtMostOnce);
    world.block(slow, true);
    let conn = world.client(V5, "p");
    let payload = "x".repeat(990);
    let mut sent = 0;
    while !world.is_paused(conn) {
        world.send(conn, &[message("t", &payload, AtMostOnce, 1)]);
        sent += 1;
    }
    assert_eq!(sent, 8);
    // Not for ever.
    world.advance(seconds(2));
    assert!(!world.is_paused(conn));
    for _ in 0..5 {
        world.send(conn, &[message("t", &payload, AtMostOnce, 1)]);
    }
    // The queue counts as full long before its own limit.
    assert_eq!(world.engine.stats().dropped_qos_0, 5);
    for name in ["r/1", "r/2", "r/3"] {
        world.send(conn, &[retained(name, &payload, AtMostOnce, 1)]);
    }
    assert!(world.engine.stats().message_bytes <= 10_000);
    world.send(conn, &[retained("r/4", &payload, AtLeastOnce, 1)]);
    world.expect(conn, &[Packet::PubAck(ack(1, ReasonCode::QuotaExceeded))]);
    // When there is room again, at once.
    assert!(world.is_paused(conn));
    world.block(slow, false);
    assert!(!world.is_paused(conn));
    world.send(conn, &[message("t", &payload, AtLeastOnce, 1)]);
    world.expect(conn, &[puback(1)]);
}

#[test]
fn who_reads_what_it_gets_loses_nothing_when_others_hold_too_much() {
    let mut world = World::with_limits(Limits {
        message_bytes: 20_000,
        ..Limits::default()
    });
    let [deaf, mute, loud, reader, writer] =
        ["deaf", "mute", "loud", "reader", "writer"].map(|client_id| {
            let connect = Connect {
                keep_alive: 0,
                ..Connect::new(V5, client_id)
            };
            world.connect(&connect).0
        });
    // One does not read, the other does not acknowledge.
    world.subscribe(deaf, "t", AtMostOnce);
    world.block(deaf, true);
    world.subscribe(mute, "t", AtLeastOnce);
    world.subscribe(reader, "u", AtMostOnce);
    let payload = "x".repeat(990);
    let mut pauses = 0;
    for number in 0..200 {
        world.send(loud, &[message("t", &payload, AtLeastOnce, 1)]);
        world.received(loud);
        world.received(mute);
        world.send(writer, &[message("u", "y", AtLeastOnce, 1)]);
        world.expect(writer, &[puback(1)]);
        assert!(!world.is_paused(writer), "{number}");
        assert_eq!(world.messages(reader), ["u y"], "{number}");
        if world.is_paused(loud) {
            pauses += 1;
            world.advance(seconds(1));
        }
    }
    assert!(pauses > 150, "{pauses}");
    let stats = world.engine.stats();
    assert!(stats.message_bytes <= 20_000 && stats.dropped_qos_1_2 > 0);
}

#[test]
fn who_is_not_read_from_does_not_time_out() {
    let engine = crate::engine::Engine::new(
        Limits {
            message_bytes: 1_000,
            ..Limits::default()
        },
        7,
    );
    let mut world = World::with_engine(engine);
    let slow = Connect {
        keep_alive: 0,
        ..lasting(V5, "slow")
    };
    let (slow, _) = world.connect(&slow);
    world.subscribe(slow, "t", AtLeastOnce);
    world.block(slow, true);
    let (conn, _) = world.connect(&Connect {
        keep_alive: 1,
        ..Connect::new(V5, "p")
    });
    world.send(conn, &[message("t", &"x".repeat(900), AtLeastOnce, 1)]);
    assert!(world.is_paused(conn));
    // Paused again and again, since nothing gets better.
    for _ in 0..10 {
        world.advance(seconds(1));
        world.send(conn, &[message("t", "y", AtMostOnce, 1)]);
    }
    assert_eq!(world.closed(conn), None);
}

#[test]
fn queues_are_limited_in_all_and_retained_messages_wait_for_room() {
    let limits = Limits {
        queued_in_all: 10,
        ..Limits::default()
    };
    let mut world = World::with_limits(limits);
    let slow = ["1", "2", "3"].map(|name| {
        let conn = world.client(V5, name);
        world.subscribe(conn, "t", AtMostOnce);
        world.block(conn, true);
        conn
    });
    let conn = world.client(V5, "p");
    for _ in 0..5 {
        world.send(conn, &[message("t", "x", AtMostOnce, 1)]);
    }
    assert_eq!(world.engine.stats().dropped_qos_0, 5);
    slow.iter().for_each(|conn| world.block(*conn, false));
    for number in 0..50 {
        world.send(
            conn,
            &[retained(&format!("r/{number}"), "x", AtMostOnce, 1)],
        );
    }
    world.subscribe(conn, "r/#", AtMostOnce);
    assert_eq!(world.messages(conn).len(), 50);
}

#[test]
fn identifiers_filters_aliases_and_wills_are_limited_in_bytes() {
    let long = "x".repeat(60_000);
    let limits = Limits {
        session_bytes: 100_000,
        ..Limits::default()
    };
    let mut world = World::with_limits(limits);
    let conn = world.client(V5, "s");
    world.subscribe(conn, &long, AtMostOnce);
    let subscriptions = [subscription(&long[1..], AtMostOnce)];
    world.send(
        conn,
        &[Packet::Subscribe(declic_mqtt::packet::Subscribe {
            packet_id: id(1),
            properties: Properties::EMPTY,
            subscriptions: declic_mqtt::packet::Items::new(&subscriptions),
        })],
    );
    world.expect(conn, &[suback(1, &[ReasonCode::QuotaExceeded])]);
    let other = world.open(V5);
    let connack = world.try_connect(other, &Connect::new(V5, &long));
    world.connack(V5, &connack, |one| {
        assert_eq!(one.reason, ReasonCode::QuotaExceeded)
    });

    let limits = Limits {
        connection_bytes: 100_000,
        ..Limits::default()
    };
    let mut world = World::with_limits(limits);
    let conn = world.client(V5, "p");
    for (alias, closes) in [(1, false), (1, false), (2, true)] {
        let alias = [Property::TopicAlias(alias.try_into().expect("not 0"))];
        world.send(
            conn,
            &[Packet::Publish(declic_mqtt::packet::Publish {
                properties: Properties::new(&alias),
                ..publish(&long, "x", AtMostOnce, 1)
            })],
        );
        assert_eq!(world.closed(conn).is_some(), closes);
    }

    let limits = Limits {
        message_bytes: 50_000,
        ..Limits::default()
    };
    let mut world = World::with_limits(limits);
    let conn = world.open(V5);
    let connack = world.try_connect(
        conn,
        &Connect {
            will: Some(declic_mqtt::packet::Will {
                topic: topic("t"),
                payload: long.as_bytes(),
                qos: AtMostOnce,
                retain: false,
                properties: Properties::EMPTY,
            }),
            ..Connect::new(V5, "w")
        },
    );
    world.connack(V5, &connack, |one| {
        assert_eq!(one.reason, ReasonCode::QuotaExceeded)
    });
    assert_eq!(world.engine.stats().sessions, 0);
}
