//! Rights: who may publish and read what, from the first packet to the last queued message.

use std::sync::Arc;

use declic_mqtt::packet::{Connect, Packet, Properties, Subscription, Will};
use declic_mqtt::{ProtocolVersion, ReasonCode};

use super::harness::*;
use crate::engine::{ConnId, Effect, Engine, Identity, Limits, Rights};

fn world(rights: &str) -> World {
    let mut world = World::with_engine(Engine::new(Limits::default(), 7).with_authentication());
    set(&mut world, rights);
    world
}

fn set(world: &mut World, rights: &str) {
    let rights = Rights::parse(rights).expect("valid rights");
    world.engine.set_rights(Some(Arc::new(rights)));
    world.step();
}

/// The CONNACK's reason for somebody who is a user.
fn try_enter(world: &mut World, connect: &Connect<'_>, who: Identity) -> (ConnId, Vec<u8>) {
    let conn = world.open(connect.version);
    world.send(conn, &[Packet::Connect(*connect)]);
    let Some(Effect::Authenticate(asked)) = world.effects.pop() else {
        panic!("nobody was asked");
    };
    world
        .engine
        .handle_authenticated(asked.ticket, Ok(who), world.now);
    world.step();
    world.effects.clear();
    (conn, world.received(conn))
}

fn enter(world: &mut World, connect: &Connect<'_>, user: &str) -> ConnId {
    let (conn, connack) = try_enter(world, connect, Identity::User(user.into()));
    world.connack(connect.version, &connack, |connack| {
        assert_eq!(connack.reason, ReasonCode::Success);
    });
    conn
}

fn client(world: &mut World, version: ProtocolVersion, user: &str) -> ConnId {
    enter(world, &Connect::new(version, user), user)
}

#[test]
fn what_may_not_be_written_is_not_published_and_the_client_is_told_where_it_can_be() {
    for version in BOTH {
        let mut world = world("user w\ntopic write ok/#\nuser r\ntopic read #\n");
        let reader = client(&mut world, V5, "r");
        world.subscribe(reader, "#", ExactlyOnce);
        let writer = client(&mut world, version, "w");
        let forbidden = [
            message("no", "0", AtMostOnce, 9),
            retained("no", "1", AtLeastOnce, 1),
            message("no", "2", ExactlyOnce, 2),
        ];
        world.send(writer, &forbidden);
        let told = match version {
            V5 => [
                Packet::PubAck(ack(1, ReasonCode::NotAuthorized)),
                Packet::PubRec(ack(2, ReasonCode::NotAuthorized)),
            ],
            // 3.1.1 has no word for it: v3.1.1 [MQTT-3.3.5-2].
            V3_1_1 => [puback(1), pubrec(2)],
        };
        world.expect(writer, &told);
        assert_eq!(world.engine.stats().refused_publishes, 3);
        assert_eq!(world.engine.stats().retained, 0);
        world.send(writer, &[message("ok/1", "x", AtMostOnce, 9)]);
        assert_eq!(world.messages(reader).len(), 1);
    }
}

#[test]
fn a_filter_of_which_nothing_may_be_read_is_refused() {
    let mut world = world("user r\ntopic read a/#\ntopic write b\n");
    let reader = client(&mut world, V5, "r");
    let subscriptions = ["a/x", "b", "+/x", "#", "$share/g/b", "$share/g/a"]
        .map(|filter| subscription(filter, AtMostOnce));
    let subscribe = declic_mqtt::packet::Subscribe {
        packet_id: id(1),
        properties: Properties::EMPTY,
        subscriptions: declic_mqtt::packet::Items::new(&subscriptions),
    };
    world.send(reader, &[Packet::Subscribe(subscribe)]);
    let (granted, refused) = (ReasonCode::GRANTED_QOS_0, ReasonCode::NotAuthorized);
    let expected = [granted, refused, granted, granted, refused, granted];
    world.expect(reader, &[suback(1, &expected)]);
    assert_eq!(world.engine.stats().refused_subscriptions, 2);
}

#[test]
fn a_wide_filter_brings_only_what_may_be_read_retained_messages_included() {
    let mut world =
        world("user w\ntopic readwrite #\nuser r\ntopic read a/#\ntopic deny a/secret\n");
    let writer = client(&mut world, V5, "w");
    for name in ["a/1", "a/secret", "b"] {
        world.send(writer, &[retained(name, "kept", AtMostOnce, 9)]);
    }
    let reader = client(&mut world, V5, "r");
    world.subscribe(reader, "#", AtLeastOnce);
    assert_eq!(world.messages(reader).len(), 1);
    for name in ["a/1", "a/secret", "b"] {
        world.send(writer, &[message(name, "new", AtMostOnce, 9)]);
    }
    assert_eq!(world.messages(reader).len(), 1);
    assert_eq!(world.engine.stats().withheld, 4);
}

#[test]
fn after_rights_were_revoked_nothing_more_is_sent_not_even_what_waits() {
    let before = "user w\ntopic write #\nuser r\ntopic read #\n";
    let after = "user w\ntopic write #\nuser r\ntopic read b\n";
    for version in BOTH {
        let mut world = world(before);
        let writer = client(&mut world, V5, "w");
        // One that is away, and has something unacknowledged and something that waits.
        let connect = lasting(version, "r");
        let reader = enter(&mut world, &connect, "r");
        world.subscribe(reader, "#", AtLeastOnce);
        world.send(writer, &[message("a", "in flight", AtMostOnce, 9)]);
        world.send(writer, &[message("a", "unacknowledged", AtLeastOnce, 1)]);
        let _ = world.received(writer);
        assert_eq!(world.messages(reader).len(), 2);
        world.lose(reader);
        world.send(writer, &[message("a", "waits", AtLeastOnce, 2)]);
        world.send(writer, &[message("b", "waits", AtLeastOnce, 3)]);
        // And one that does not read.
        let blocked = enter(&mut world, &Connect::new(version, "blocked"), "r");
        world.subscribe(blocked, "a", AtMostOnce);
        world.block(blocked, true);
        world.send(writer, &[message("a", "waits", AtMostOnce, 9)]);
        set(&mut world, after);
        world.block(blocked, false);
        assert_eq!(world.messages(blocked).len(), 0);
        assert_eq!(world.closed(blocked), None);
        let who = Identity::User("r".into());
        let (reader, received) = try_enter(&mut world, &connect, who);
        let received = decode(version, &received);
        let [Packet::ConnAck(_), Packet::Publish(publish)] = received[..] else {
            panic!("{received:?}");
        };
        assert_eq!(publish.topic, Some(topic("b")));
        world.send(writer, &[message("a", "new", AtMostOnce, 9)]);
        assert_eq!(world.messages(reader).len(), 0);
        assert_eq!(world.engine.stats().withheld, 5);
        // And given back.
        set(&mut world, before);
        world.send(writer, &[message("a", "new", AtMostOnce, 9)]);
        assert_eq!(world.messages(reader).len(), 1);
    }
}

#[test]
fn a_will_needs_the_right_when_it_is_made_and_when_it_is_published() {
    let before = "user r\ntopic read #\nuser w\ntopic write will\n";
    let after = "user r\ntopic read #\nuser w\ntopic write other\n";
    let with_will = |version, name| Connect {
        will: Some(Will {
            topic: topic(name),
            payload: b"gone",
            qos: AtMostOnce,
            retain: true,
            properties: Properties::EMPTY,
        }),
        ..Connect::new(version, "w")
    };
    for version in BOTH {
        let mut world = world(before);
        let reader = client(&mut world, V5, "r");
        world.subscribe(reader, "#", AtMostOnce);
        let who = Identity::User("w".into());
        let (conn, connack) = try_enter(&mut world, &with_will(version, "other"), who);
        world.connack(version, &connack, |connack| {
            assert_eq!(connack.reason, ReasonCode::NotAuthorized);
        });
        assert!(world.closed(conn).is_some());
        let conn = enter(&mut world, &with_will(version, "will"), "w");
        world.lose(conn);
        assert_eq!(world.messages(reader).len(), 1);
        let conn = enter(&mut world, &with_will(version, "will"), "w");
        set(&mut world, after);
        world.lose(conn);
        assert_eq!(world.messages(reader).len(), 0);
    }
}

#[test]
fn what_waits_for_one_user_is_not_given_to_another_with_the_same_client_id() {
    let mut world = world("pattern readwrite own/%u/#\npattern readwrite all\n");
    let ann = lasting(V5, "shared id");
    let conn = enter(&mut world, &ann, "ann");
    world.subscribe(conn, "all", AtLeastOnce);
    world.lose(conn);
    let writer = client(&mut world, V5, "w");
    world.send(writer, &[message("all", "for ann", AtLeastOnce, 1)]);
    let (eve, connack) = try_enter(&mut world, &ann, Identity::User("eve".into()));
    world.connack(V5, &connack, |connack| assert!(!connack.session_present));
    world.expect_nothing(eve);
    world.send(writer, &[message("all", "new", AtLeastOnce, 2)]);
    world.expect_nothing(eve);
}

#[test]
fn a_shared_subscription_passes_over_members_who_may_not_read() {
    let mut world =
        world("user w\ntopic write #\nuser a\ntopic read t/1\nuser b\ntopic read t/#\n");
    let (a, b) = (client(&mut world, V5, "a"), client(&mut world, V5, "b"));
    for conn in [a, b] {
        let wide = Subscription::new(
            declic_mqtt::TopicFilter::new("$share/g/t/#").expect("a filter"),
            AtMostOnce,
        );
        world.subscribe_with(conn, wide, &[]);
    }
    let writer = client(&mut world, V5, "w");
    for _ in 0..4 {
        world.send(writer, &[message("t/2", "x", AtMostOnce, 9)]);
    }
    assert_eq!(world.messages(a).len(), 0);
    assert_eq!(world.messages(b).len(), 4);
}

#[test]
fn names_with_wildcards_open_nothing() {
    let mut world = world("pattern readwrite home/%c/#\npattern readwrite user/%u/#\n");
    let owner = client(&mut world, V5, "owner");
    for bad in ["+", "#", "owner/x", "a/#", "$SYS"] {
        let attacker = client(&mut world, V5, bad);
        for filter in ["home/+/#", "home/owner/#", "user/+/#", "#"] {
            let subscriptions = [subscription(filter, AtMostOnce)];
            let subscribe = declic_mqtt::packet::Subscribe {
                packet_id: id(1),
                properties: Properties::EMPTY,
                subscriptions: declic_mqtt::packet::Items::new(&subscriptions),
            };
            world.send(attacker, &[Packet::Subscribe(subscribe)]);
            world.expect(attacker, &[suback(1, &[ReasonCode::NotAuthorized])]);
        }
        world.send(owner, &[message("home/owner/x", "private", AtMostOnce, 9)]);
        world.expect_nothing(attacker);
    }
}

#[test]
fn a_part_of_the_owner_may_do_everything() {
    let mut world = world("topic read nothing\n");
    let connect = Connect::new(V5, "bridge");
    let (conn, _) = try_enter(&mut world, &connect, Identity::Trusted);
    world.subscribe(conn, "#", AtMostOnce);
    world.send(conn, &[message("t", "x", AtMostOnce, 9)]);
    assert_eq!(world.messages(conn).len(), 1);
}
