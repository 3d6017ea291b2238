//! Topic aliases towards clients.

use declic_mqtt::packet::{Connect, Packet, Properties, Property, Publish};

use super::harness::*;
use crate::engine::{ConnId, Limits};

fn accepting(world: &mut World, aliases: u16, packet_size: u32) -> ConnId {
    let properties = [
        Property::TopicAliasMaximum(aliases),
        Property::MaximumPacketSize(packet_size.try_into().expect("not 0")),
        Property::SessionExpiryInterval(100),
    ];
    let connect = Connect {
        clean_start: false,
        properties: Properties::new(&properties),
        ..Connect::new(V5, "s")
    };
    world.connect(&connect).0
}

fn alias(number: u16) -> [Property<'static>; 1] {
    [Property::TopicAlias(number.try_into().expect("not 0"))]
}

/// Mistake of other brokers: the client's topic alias maximum is ignored. v5 [MQTT-3.1.2-26],
/// [MQTT-3.1.2-27], [MQTT-3.3.2-7], [MQTT-3.3.2-11]
#[test]
fn a_topic_is_sent_once_and_then_by_its_alias() {
    let mut world = World::new();
    let conn = accepting(&mut world, 1, 1_000);
    world.subscribe(conn, "room/light", AtLeastOnce);
    let publisher = world.client(V5, "p");
    let properties = alias(1);
    let named = Publish {
        properties: Properties::new(&properties),
        ..publish("room/light", "x", AtLeastOnce, 1)
    };
    let short = |number| Publish {
        topic: None,
        ..Publish {
            properties: Properties::new(&properties),
            ..publish("unused", "x", AtLeastOnce, number)
        }
    };
    for expected in [named, short(2), short(3)] {
        world.send(publisher, &[message("room/light", "x", AtLeastOnce, 1)]);
        world.expect(conn, &[Packet::Publish(expected)]);
    }
    // Another connection knows nothing of it; what is sent again teaches it anew.
    world.lose(conn);
    let conn = accepting(&mut world, 1, 1_000);
    let resent = |publish| {
        Packet::Publish(Publish {
            dup: true,
            ..publish
        })
    };
    world.expect(conn, &[resent(named), resent(short(2)), resent(short(3))]);
    world.lose(conn);
    let conn = accepting(&mut world, 0, 1_000);
    let plain = [1, 2, 3].map(|number| again("room/light", "x", AtLeastOnce, number));
    world.expect(conn, &plain);
}

#[test]
fn no_message_is_too_large_only_because_of_an_alias() {
    let mut world = World::new();
    let conn = accepting(&mut world, 5, 60);
    world.subscribe(conn, "topic/name", AtMostOnce);
    let publisher = world.client(V5, "p");
    let largest = "x".repeat(60 - 2 - 12 - 1);
    for length in (0..=largest.len()).rev() {
        world.send(
            publisher,
            &[message("topic/name", &largest[length..], AtMostOnce, 1)],
        );
        world.send(
            publisher,
            &[message("topic/name", &largest[..length], AtMostOnce, 1)],
        );
    }
    let received = decode(V5, &world.received(conn)).len();
    assert_eq!(received, 2 * (largest.len() + 1));
    assert_eq!(world.engine.stats().dropped_too_large, 0);
}

#[test]
fn aliases_take_no_more_memory_than_connections_may() {
    let mut world = World::with_limits(Limits {
        connection_bytes: 100,
        ..Limits::default()
    });
    let conn = accepting(&mut world, 32, 1_000);
    world.subscribe(conn, "#", AtMostOnce);
    let publisher = world.client(V5, "p");
    for _ in 0..3 {
        for number in 0..100 {
            let name = format!("topic/number/{number}");
            world.send(publisher, &[message(&name, "x", AtMostOnce, 1)]);
        }
    }
    // The harness compares the bytes with those that there are.
    assert!(world.engine.connection_bytes > 50);
    assert!(world.engine.connection_bytes <= 100);
    world.lose(conn);
    assert_eq!(world.engine.connection_bytes, 0);
}

#[test]
fn a_message_that_is_written_in_parts_has_its_alias_too() {
    let mut world = World::new();
    world.write_size = 8;
    let conn = accepting(&mut world, 3, 100_000);
    world.subscribe(conn, "room/light", AtMostOnce);
    let publisher = world.client(V5, "p");
    let payload = "x".repeat(300);
    let mut lengths = Vec::new();
    for _ in 0..3 {
        world.send(publisher, &[message("room/light", &payload, AtMostOnce, 1)]);
        lengths.push(world.received(conn).len());
    }
    assert_eq!(lengths, [319, 309, 309]);
}
