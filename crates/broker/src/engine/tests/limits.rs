//! Limits on single clients: how fast they may send, and what becomes of those who read slowly.

use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Disconnect, Packet};

use super::harness::*;
use crate::engine::{CloseReason, ConnId, Limits, SlowConsumer};

/// A client that does not read, with room for four messages in its queue, and a publisher.
fn slow(policy: SlowConsumer) -> (World, ConnId, ConnId) {
    let mut world = World::with_limits(Limits {
        queued_messages: 4,
        slow_consumer: policy,
        ..Limits::default()
    });
    let (conn, _) = world.connect(&lasting(V5, "slow"));
    world.subscribe(conn, "t", ExactlyOnce);
    let publisher = world.client(V5, "p");
    world.block(conn, true);
    (world, conn, publisher)
}

fn publish_all(world: &mut World, publisher: ConnId, messages: &[(&str, declic_mqtt::QoS)]) {
    for (number, (payload, qos)) in (1..).zip(messages) {
        world.send(publisher, &[message("t", payload, *qos, number)]);
    }
}

const MIXED: [(&str, declic_mqtt::QoS); 6] = [
    ("1 of QoS 0", AtMostOnce),
    ("2 of QoS 1", AtLeastOnce),
    ("3 of QoS 0", AtMostOnce),
    ("4 of QoS 1", AtLeastOnce),
    ("5 of QoS 1", AtLeastOnce),
    ("6 of QoS 0", AtMostOnce),
];

#[test]
fn messages_of_qos_0_make_room_for_others() {
    let (mut world, conn, publisher) = slow(SlowConsumer::DropNewest);
    publish_all(&mut world, publisher, &MIXED);
    world.block(conn, false);
    let left = [
        "t 2 of QoS 1",
        "t 3 of QoS 0",
        "t 4 of QoS 1",
        "t 5 of QoS 1",
    ];
    assert_eq!(world.messages(conn), left);
    let stats = world.engine.stats();
    assert_eq!((stats.dropped_qos_0, stats.dropped_qos_1_2), (2, 0));
}

#[test]
fn the_newest_message_is_dropped_where_that_is_the_policy() {
    let (mut world, conn, publisher) = slow(SlowConsumer::DropNewest);
    let all = ["1", "2", "3", "4", "5", "6"].map(|payload| (payload, AtLeastOnce));
    publish_all(&mut world, publisher, &all);
    world.block(conn, false);
    assert_eq!(world.messages(conn), ["t 1", "t 2", "t 3", "t 4"]);
    assert_eq!(world.engine.stats().dropped_qos_1_2, 2);
}

#[test]
fn the_oldest_message_is_dropped_where_that_is_the_policy() {
    let (mut world, conn, publisher) = slow(SlowConsumer::DropOldest);
    let all = ["1", "2", "3", "4", "5", "6"].map(|payload| (payload, AtLeastOnce));
    publish_all(&mut world, publisher, &all);
    // One of QoS 0 never takes the place of one that has to arrive.
    publish_all(&mut world, publisher, &[("7", AtMostOnce)]);
    world.block(conn, false);
    assert_eq!(world.messages(conn), ["t 3", "t 4", "t 5", "t 6"]);
    let stats = world.engine.stats();
    assert_eq!((stats.dropped_qos_0, stats.dropped_qos_1_2), (1, 2));
}

#[test]
fn of_messages_of_qos_0_the_newest_are_kept_where_the_oldest_are_dropped() {
    let (mut world, conn, publisher) = slow(SlowConsumer::DropOldest);
    let all = ["1", "2", "3", "4", "5", "6"].map(|payload| (payload, AtMostOnce));
    publish_all(&mut world, publisher, &all);
    world.block(conn, false);
    assert_eq!(world.messages(conn), ["t 3", "t 4", "t 5", "t 6"]);
}

#[test]
fn a_slow_client_is_disconnected_where_that_is_the_policy() {
    let (mut world, conn, publisher) = slow(SlowConsumer::Disconnect);
    let mut other = world.client(V5, "other");
    world.subscribe(other, "t", AtLeastOnce);
    let all = ["1", "2", "3", "4", "5", "6"].map(|payload| (payload, AtLeastOnce));
    publish_all(&mut world, publisher, &all);
    assert_eq!(world.closed(conn), Some(CloseReason::SlowConsumer));
    let quota = Disconnect::new(ReasonCode::QuotaExceeded);
    world.expect(conn, &[Packet::Disconnect(quota)]);
    assert_eq!(world.engine.stats().slow_consumers, 1);
    // Nobody else is concerned, and the session goes on.
    assert_eq!(world.messages(other).len(), 6);
    (other, _) = world.connect(&lasting(V5, "slow"));
    let waited = ["t 1", "t 2", "t 3", "t 4"];
    assert_eq!(world.messages(other), waited);
    assert!(world.engine.stats().dropped_qos_1_2 >= 1);
}

#[test]
fn a_client_that_is_away_is_not_disconnected_but_loses_the_newest() {
    let (mut world, conn, publisher) = slow(SlowConsumer::Disconnect);
    world.lose(conn);
    let all = ["1", "2", "3", "4", "5"].map(|payload| (payload, AtLeastOnce));
    publish_all(&mut world, publisher, &all);
    let (conn, _) = world.connect(&lasting(V5, "slow"));
    assert_eq!(world.messages(conn), ["t 1", "t 2", "t 3", "t 4"]);
    assert_eq!(world.engine.stats().slow_consumers, 0);
}

#[test]
fn a_client_that_is_disconnected_for_a_will_it_had_no_room_for_ends_in_good_order() {
    let (mut world, conn, publisher) = slow(SlowConsumer::Disconnect);
    let all = ["1", "2", "3", "4"].map(|payload| (payload, AtLeastOnce));
    publish_all(&mut world, publisher, &all);
    let (dying, _) = world.connect(&declic_mqtt::packet::Connect {
        will: Some(declic_mqtt::packet::Will {
            topic: topic("t"),
            payload: b"will",
            qos: AtLeastOnce,
            retain: false,
            properties: declic_mqtt::packet::Properties::EMPTY,
        }),
        ..declic_mqtt::packet::Connect::new(V5, "dying")
    });
    world.lose(dying);
    assert_eq!(world.closed(conn), Some(CloseReason::SlowConsumer));
}

#[test]
fn a_client_that_sends_too_many_messages_is_read_from_less_often() {
    let mut world = World::with_limits(Limits {
        messages_per_second: 10,
        ..Limits::default()
    });
    let watcher = world.client(V5, "w");
    world.subscribe(watcher, "t", AtMostOnce);
    let conn = world.client(V5, "c");
    let other = world.client(V5, "o");
    let all: Vec<_> = (0..30).map(|_| message("t", "x", AtMostOnce, 1)).collect();
    // A second's worth goes at once; what was read is taken, and nothing is dropped.
    world.send(conn, &all[..10]);
    assert!(!world.is_paused(conn));
    world.send(conn, &all);
    assert!(world.is_paused(conn));
    assert!(!world.is_paused(other));
    assert_eq!(world.messages(watcher).len(), 40);
    assert_eq!(world.engine.stats().rate_pauses, 1);
    world.advance(seconds(2));
    assert!(world.is_paused(conn), "30 too many take three seconds");
    world.advance(seconds(2));
    assert!(!world.is_paused(conn));
    // Over a longer time the rate holds exactly.
    let begin = world.now;
    let mut sent = 0;
    while world.now.since(begin) < seconds(100) {
        if !world.is_paused(conn) {
            world.send(conn, &all[..7]);
            sent += 7;
        }
        world.advance(seconds(1) / 20);
    }
    assert!((990..=1_020).contains(&sent), "{sent}");
    // It may leave while it is paused.
    world.send(conn, &all);
    assert!(world.is_paused(conn));
    world.lose(conn);
    world.advance(seconds(10));
}

#[test]
fn a_client_that_sends_too_many_bytes_is_read_from_less_often() {
    let mut world = World::with_limits(Limits {
        bytes_per_second: 1_000,
        ..Limits::default()
    });
    let conn = world.client(V3_1_1, "c");
    let payload = "x".repeat(400);
    let begin = world.now;
    let mut sent = 0;
    while world.now.since(begin) < seconds(100) {
        if !world.is_paused(conn) {
            world.send(conn, &[message("t", &payload, AtMostOnce, 1)]);
            sent += 405;
        }
        world.advance(seconds(1) / 20);
    }
    assert!((99_000..=102_000).contains(&sent), "{sent}");
}

#[test]
fn a_client_that_is_paused_is_not_taken_for_silent() {
    let mut world = World::with_limits(Limits {
        messages_per_second: 1,
        ..Limits::default()
    });
    let (conn, _) = world.connect(&declic_mqtt::packet::Connect {
        keep_alive: 5,
        ..declic_mqtt::packet::Connect::new(V5, "c")
    });
    let all: Vec<_> = (0..31).map(|_| message("t", "x", AtMostOnce, 1)).collect();
    world.send(conn, &all);
    world.advance(seconds(29));
    assert!(world.is_paused(conn));
    assert_eq!(world.closed(conn), None);
    world.advance(seconds(20));
    assert_eq!(world.closed(conn), Some(CloseReason::KeepAliveTimeout));
}

#[test]
fn each_limit_on_a_connection_has_its_counter() {
    let mut world = World::with_limits(Limits {
        packet_size: 1_000,
        inbound_in_flight: 2,
        ..Limits::default()
    });
    world.open(V5);
    world.advance(seconds(11));
    let (silent, _) = world.connect(&declic_mqtt::packet::Connect {
        keep_alive: 1,
        ..declic_mqtt::packet::Connect::new(V5, "silent")
    });
    world.advance(seconds(2));
    assert_eq!(world.closed(silent), Some(CloseReason::KeepAliveTimeout));
    let large = world.client(V5, "large");
    world.send_bytes(large, &[0x30, 0xff, 0x7f]);
    let busy = world.client(V5, "busy");
    for number in 1..=3 {
        world.send(busy, &[message("t", "x", ExactlyOnce, number)]);
    }
    let stats = world.engine.stats();
    assert_eq!(
        [
            stats.connect_timeouts,
            stats.keep_alive_timeouts,
            stats.oversized_packets,
            stats.receive_maximum_exceeded,
        ],
        [1; 4]
    );
}
