//! Rights: who may publish and read what, from the first packet to the last queued message.

use std::sync::Arc;

use declic_mqtt::packet::{Connect, Packet, Properties, Property, Subscription, Will};
use declic_mqtt::{ProtocolVersion, ReasonCode};

use super::harness::*;
use crate::engine::{CloseReason, ConnId, Effect, Engine, Identity, Limits, Rights};

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
fn a_session_is_for_no_other_user_with_its_client_id_connected_or_away() {
    for version in BOTH {
        let mut world = world("pattern readwrite all\n");
        let connect = lasting(version, "board");
        let eve = Identity::User("eve".into());
        let others = [eve, Identity::User("".into()), Identity::Anonymous];
        let ann = enter(&mut world, &connect, "ann");
        world.subscribe(ann, "all", AtLeastOnce);
        for (number, who) in others.iter().enumerate() {
            refused(&mut world, &connect, who);
            refused(&mut world, &Connect::new(version, "board"), who);
            assert_eq!(world.closed(ann), None, "{who:?} disconnects nobody");
            assert_eq!(
                world.engine.stats().refused_identifiers,
                2 * number as u64 + 2
            );
        }
        world.lose(ann);
        let writer = client(&mut world, V5, "w");
        world.send(writer, &[message("all", "for ann", AtLeastOnce, 1)]);
        for who in &others {
            refused(&mut world, &connect, who);
        }
        let (ann, connack) = try_enter(&mut world, &connect, Identity::User("ann".into()));
        let expected = message("all", "for ann", AtLeastOnce, 1);
        assert!(connack.ends_with(&encode(version, &[expected])));
        assert_eq!(world.closed(ann), None);
        // Whoever runs the broker can make room for another user.
        assert!(world.engine.disconnect(
            "board",
            ReasonCode::AdministrativeAction,
            true,
            world.now
        ));
        world.step();
        enter(&mut world, &connect, "eve");
    }
}

/// A client is refused because of its identifier, and the owner is told.
fn refused(world: &mut World, connect: &Connect<'_>, who: &Identity) {
    let conn = world.open(connect.version);
    world.send(conn, &[Packet::Connect(*connect)]);
    let Some(Effect::Authenticate(asked)) = world.effects.pop() else {
        panic!("nobody was asked");
    };
    let answer = Ok(who.clone());
    world
        .engine
        .handle_authenticated(asked.ticket, answer, world.now);
    world.step();
    let connack = world.received(conn);
    world.connack(connect.version, &connack, |connack| {
        let reason = ReasonCode::ClientIdentifierNotValid;
        assert_eq!((connack.reason, connack.session_present), (reason, false));
    });
    let told = world.effects.pop();
    let owner = Identity::User("ann".into());
    let client_id = connect.client_id.into();
    assert_eq!(
        told,
        Some(Effect::IdentifierRefused {
            conn,
            client_id,
            owner
        })
    );
}

#[test]
fn a_user_takes_the_client_id_of_nobody_in_particular_but_not_what_was_prepared_there() {
    let mut world = world("pattern readwrite #\ntopic readwrite #\n");
    let connect = lasting(V5, "board");
    let (nobody, _) = try_enter(&mut world, &connect, Identity::Anonymous);
    world.subscribe(nobody, "flood", AtLeastOnce);
    let (_, connack) = try_enter(&mut world, &connect, Identity::User("ann".into()));
    world.connack(V5, &connack, |connack| {
        assert_eq!(connack.reason, ReasonCode::Success);
        assert!(!connack.session_present);
    });
    assert_eq!(world.closed(nobody), Some(CloseReason::TakenOver));
    assert_eq!(world.engine.stats().subscriptions, 0);
}

#[test]
fn nobody_takes_the_session_of_a_part_of_the_owner_and_it_takes_any() {
    let mut world = world("pattern readwrite #\n");
    let connect = lasting(V5, "declic-cloud");
    let (ann, _) = try_enter(&mut world, &connect, Identity::User("ann".into()));
    let (bridge, _) = try_enter(&mut world, &connect, Identity::Trusted);
    assert_eq!(world.closed(ann), Some(CloseReason::TakenOver));
    world.subscribe(bridge, "#", AtLeastOnce);
    for who in [Identity::User("ann".into()), Identity::Anonymous] {
        let (_, connack) = try_enter(&mut world, &connect, who);
        world.connack(V5, &connack, |connack| {
            assert_eq!(connack.reason, ReasonCode::ClientIdentifierNotValid);
        });
    }
    assert_eq!(world.closed(bridge), None);
}

/// The broker was killed, and another one with these rights goes on with what is stored.
fn restart(world: &World, rights: &str) -> World {
    let mut engine = Engine::new(Limits::default(), 7)
        .with_authentication()
        .with_store();
    let rights = Rights::parse(rights).expect("valid rights");
    engine.set_rights(Some(Arc::new(rights)));
    let mut restore = engine.restore(world.now);
    for (key, value) in &world.disk.records {
        restore.record(key, value).expect("a valid record");
    }
    restore.finish();
    let mut other = World::with_engine(engine);
    other.now = world.now;
    other.disk.records = world.disk.records.clone();
    other.step();
    other
}

fn stored_world(rights: &str) -> World {
    let engine = Engine::new(Limits::default(), 7)
        .with_authentication()
        .with_store();
    let mut world = World::with_engine(engine);
    set(&mut world, rights);
    world
}

#[test]
fn after_a_restart_a_session_is_still_its_users_and_their_rights_count() {
    let before = "user w\ntopic write #\nuser ann\ntopic read #\nuser eve\ntopic read #\n";
    let after = "user w\ntopic write #\nuser ann\ntopic read b\nuser eve\ntopic read #\n";
    for version in BOTH {
        let connect = lasting(version, "board");
        let mut world = stored_world(before);
        let ann = enter(&mut world, &connect, "ann");
        world.subscribe(ann, "#", AtLeastOnce);
        world.lose(ann);
        let writer = client(&mut world, V5, "w");
        for (number, name) in [(1, "a"), (2, "b")] {
            world.send(writer, &[message(name, "waits", AtLeastOnce, number)]);
        }
        let mut world = restart(&world, after);
        let eve = Identity::User("eve".into());
        refused(&mut world, &connect, &eve);
        // What comes while the user is away, too.
        let writer = client(&mut world, V5, "w");
        for (number, name) in [(1, "a"), (2, "b")] {
            world.send(writer, &[message(name, "new", AtLeastOnce, number)]);
        }
        let mut world = restart(&world, after);
        refused(&mut world, &connect, &eve);
        let (_, received) = try_enter(&mut world, &connect, Identity::User("ann".into()));
        let received = decode(version, &received);
        let [
            Packet::ConnAck(connack),
            Packet::Publish(first),
            Packet::Publish(second),
        ] = received[..]
        else {
            panic!("{received:?}");
        };
        assert!(connack.session_present || version == V3_1_1);
        assert_eq!(
            [first.payload, second.payload],
            [&b"waits"[..], &b"new"[..]]
        );
        assert_eq!([first.topic, second.topic], [Some(topic("b")); 2]);
    }
}

#[test]
fn after_a_restart_a_will_is_published_only_if_its_user_still_may() {
    let delay = [
        Property::WillDelayInterval(30),
        Property::SessionExpiryInterval(60),
    ];
    let will = |name, payload, properties| Will {
        topic: topic(name),
        payload,
        qos: AtMostOnce,
        retain: true,
        properties,
    };
    let rights = |may: &str| {
        format!("user r\ntopic read #\nuser w\ntopic write {may}\nuser t\ntopic write x\n")
    };
    let mut world = stored_world(&rights("will/#"));
    enter(
        &mut world,
        &Connect {
            will: Some(will("will/now", b"now", Properties::EMPTY)),
            ..Connect::new(V3_1_1, "clean")
        },
        "w",
    );
    enter(
        &mut world,
        &Connect {
            will: Some(will("will/later", b"later", Properties::new(&delay[..1]))),
            properties: Properties::new(&delay[1..]),
            ..Connect::new(V5, "lasting")
        },
        "w",
    );
    // Nothing was revoked, all of it, and that of the delayed one.
    for (may, expected) in [
        ("will/#", &["will/now now", "will/later later"][..]),
        ("other", &[]),
        ("will/now", &["will/now now"]),
    ] {
        let mut world = restart(&world, &rights(may));
        let reader = client(&mut world, V5, "r");
        world.subscribe(reader, "will/#", AtMostOnce);
        world.advance(seconds(31));
        assert_eq!(world.messages(reader), expected, "{may}");
        let refused = 2 - expected.len() as u64;
        assert_eq!(world.engine.stats().refused_publishes, refused, "{may}");
    }
    // Revoked after the restart, before it is due.
    let mut world = restart(&world, &rights("will/#"));
    set(&mut world, &rights("will/now"));
    world.advance(seconds(31));
    assert_eq!(world.engine.stats().refused_publishes, 1);
    assert_eq!(world.engine.stats().retained, 1);
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

#[test]
fn a_password_is_in_no_debug_output() {
    let mut world = world("topic read a\n");
    let conn = world.open(V5);
    let connect = Connect {
        user_name: Some("ann"),
        password: Some(b"\x11\x22\x33\x44"),
        ..Connect::new(V5, "c")
    };
    world.send(conn, &[Packet::Connect(connect)]);
    let text = format!("{:?}", world.effects);
    assert!(text.contains("ann") && !text.contains("17, 34"), "{text}");
}
