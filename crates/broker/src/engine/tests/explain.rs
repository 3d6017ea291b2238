//! Reasons in words.

use std::num::NonZeroU32;

use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Connect, Packet, Properties, Property, Subscribe, Will};

use super::harness::*;
use crate::engine::{ConnId, Limits};

const PLAIN: [Property<'_>; 1] = [Property::RequestProblemInformation(false)];

fn world() -> World {
    World::with_limits(Limits {
        topic_levels: 3,
        subscriptions: 1,
        ..Limits::default()
    })
}

/// The code and the words of the only packet that came since the last look.
#[track_caller]
fn told(world: &mut World, conn: ConnId) -> (ReasonCode, Option<String>) {
    let received = world.received(conn);
    let (reason, properties) = match decode(V5, &received)[..] {
        [Packet::ConnAck(one)] => (one.reason, one.properties),
        [Packet::PubAck(ack) | Packet::PubRec(ack)] => (ack.reason, ack.properties),
        [Packet::SubAck(one)] => (one.reasons.iter().next().expect("one"), one.properties),
        [Packet::Disconnect(one)] => (one.reason, one.properties),
        ref other => panic!("one answer: {other:?}"),
    };
    (reason, properties.reason_string().map(str::to_owned))
}

fn subscribe(world: &mut World, conn: ConnId, filter: &str) {
    let wanted = [subscription(filter, AtMostOnce)];
    let subscribe = Subscribe {
        packet_id: id(1),
        properties: Properties::EMPTY,
        subscriptions: declic_mqtt::packet::Items::new(&wanted),
    };
    world.send(conn, &[Packet::Subscribe(subscribe)]);
}

/// Every refusal that has words, as one client after the other provokes it.
fn refusals(properties: &[Property<'_>]) -> Vec<(ReasonCode, Option<String>)> {
    let mut world = world();
    let mut all = Vec::new();
    let connect = |client_id| Connect {
        properties: Properties::new(properties),
        ..Connect::new(V5, client_id)
    };
    let conn = world.open(V5);
    let will = Will {
        topic: topic("$SYS/x"),
        payload: b"",
        qos: AtMostOnce,
        retain: false,
        properties: Properties::EMPTY,
    };
    world.send(
        conn,
        &[Packet::Connect(Connect {
            will: Some(will),
            ..connect("will")
        })],
    );
    all.push(told(&mut world, conn));
    let (conn, _) = world.connect(&connect("c"));
    for packet in [
        message("$SYS/x", "", AtLeastOnce, 1),
        message("$SYS/x", "", ExactlyOnce, 2),
        message("a/b/c/d", "", AtLeastOnce, 3),
    ] {
        world.send(conn, &[packet]);
        all.push(told(&mut world, conn));
    }
    subscribe(&mut world, conn, "a/b/c/d");
    all.push(told(&mut world, conn));
    world.subscribe(conn, "one", AtMostOnce);
    subscribe(&mut world, conn, "two");
    all.push(told(&mut world, conn));
    world.send_bytes(conn, b"\xf0\x00");
    all.push(told(&mut world, conn));
    let (conn, _) = world.connect(&connect("c"));
    world.send_bytes(conn, b"\x30\x00");
    all.push(told(&mut world, conn));
    all
}

/// v5 [MQTT-3.1.2-29]
#[test]
fn a_refusal_says_in_words_what_the_code_does_not_unless_that_is_not_wanted() {
    let explained = refusals(&[]);
    let words = |(_, words): &(_, Option<String>)| words.clone().expect("words");
    let words: Vec<_> = explained.iter().map(words).collect();
    assert_eq!(words[0], "the will can't be published to its topic");
    assert_eq!(words[1], "no right to publish to this topic");
    assert_eq!(words[2], words[1]);
    assert_eq!(words[3], "the topic has too many levels");
    assert_eq!(words[4], "a filter has too many levels");
    assert_eq!(words[5], "no room for more subscriptions at the broker");
    assert_eq!(words[6], "a packet that is not expected there");
    assert_eq!(words[7], "a length goes beyond the packet's end");
    let plain = refusals(&PLAIN);
    let codes = |all: &[(ReasonCode, _)]| all.iter().map(|(code, _)| *code).collect::<Vec<_>>();
    assert_eq!(codes(&plain), codes(&explained));
    assert!(plain.iter().all(|(_, words)| words.is_none()));
}

/// v5 [MQTT-3.2.2-19], [MQTT-3.4.2-2], [MQTT-3.5.2-2], [MQTT-3.9.2-1], [MQTT-3.14.2-3]
#[test]
fn words_are_left_out_where_they_would_make_the_packet_too_large() {
    // Room for a CONNACK with all that it announces.
    let size = [Property::MaximumPacketSize(
        NonZeroU32::new(30).expect("not 0"),
    )];
    let short = refusals(&size);
    let codes: Vec<_> = short.iter().map(|(code, _)| *code).collect();
    let expected: Vec<_> = refusals(&[]).iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, expected);
    assert!(short.iter().all(|(_, words)| words.is_none()), "{short:?}");
}

#[test]
fn success_and_3_1_1_have_no_words() {
    let mut world = world();
    let conn = world.client(V5, "c");
    world.send(conn, &[message("t", "", AtLeastOnce, 1)]);
    let none = (ReasonCode::NoMatchingSubscribers, None);
    assert_eq!(told(&mut world, conn), none);
    let conn = world.client(V3_1_1, "old");
    world.send(conn, &[message("$SYS/x", "", AtLeastOnce, 1)]);
    assert_eq!(world.received(conn), encode(V3_1_1, &[puback(1)]));
}
