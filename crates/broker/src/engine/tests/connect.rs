//! Who is accepted, how, and for how long.

use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Connect, Disconnect, Packet, Properties, Property};

use super::harness::*;
use crate::engine::{CloseReason, Effect, Engine, Identity, Limits};

/// v3.1.1 [MQTT-3.1.4-4], [MQTT-3.2.0-1], [MQTT-3.2.2-1]; v5 [MQTT-3.1.4-5], [MQTT-3.2.0-1],
/// [MQTT-3.2.0-2], [MQTT-3.2.2-1], [MQTT-3.2.2-2]
#[test]
fn a_connect_is_answered_with_a_connack() {
    let mut world = World::new();
    let conn = world.open(V3_1_1);
    let connack = world.try_connect(conn, &Connect::new(V3_1_1, "a"));
    assert_eq!(connack, [0x20, 2, 0, 0]);
    let conn = world.open(V5);
    let connack = world.try_connect(conn, &Connect::new(V5, "b"));
    world.connack(V5, &connack, |connack| {
        let properties = connack.properties;
        assert_eq!(connack.reason, ReasonCode::Success);
        assert!(!connack.session_present);
        assert_eq!(
            properties.receive_maximum().map(|one| one.get()),
            Some(1_024)
        );
        assert_eq!(properties.topic_alias_maximum(), Some(32));
        assert_eq!(
            properties.maximum_packet_size().map(|one| one.get()),
            Some(16 << 20)
        );
        assert_eq!(properties.assigned_client_identifier(), None);
        assert_eq!(properties.server_keep_alive(), None);
        assert_eq!(properties.response_information(), None);
        assert_eq!(properties.iter().count(), 3);
    });
}

/// v3.1.1 [MQTT-3.1.2-2]; v5 [MQTT-3.1.2-2]
#[test]
fn a_wrong_version_is_refused_in_a_form_that_the_client_understands() {
    for (level, expected) in [
        (3, &[0x20, 2, 0, 1][..]),
        (0x84, &[0x20, 2, 0, 1]),
        (6, &[0x20, 3, 0, 0x84, 0]),
    ] {
        let mut world = World::new();
        let conn = world.open(V3_1_1);
        let mut connect = b"\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x02me".to_vec();
        connect[8] = level;
        world.send_bytes(conn, &connect);
        assert_eq!(world.received(conn), expected);
        let reason = CloseReason::Refused(ReasonCode::UnsupportedProtocolVersion);
        assert_eq!(world.closed(conn), Some(reason));
    }
    let mut world = World::new();
    let conn = world.open(V3_1_1);
    world.send_bytes(conn, b"\x10\x10\0\x06MQIsdp\x03\x02\0\0\0\x02me");
    assert_eq!(world.received(conn), [0x20, 2, 0, 1]);
}

/// Mistake of other brokers: client ids with `+ $ # /` refused.
/// v3.1.1 [MQTT-3.1.3-2] to [MQTT-3.1.3-5]; v5 [MQTT-3.1.3-2] to [MQTT-3.1.3-5]
#[test]
fn any_client_id_is_accepted() {
    let long = "x".repeat(65_535);
    for version in BOTH {
        let mut world = World::new();
        for client_id in ["+", "#", "$SYS", "a/b", "ü", " ", "{}", &long] {
            world.client(version, client_id);
        }
        assert_eq!(world.engine.stats().sessions, 8);
    }
}

/// v3.1.1 [MQTT-3.1.3-6] to [MQTT-3.1.3-9]; v5 [MQTT-3.1.3-6], [MQTT-3.1.3-7], [MQTT-3.2.2-16]
#[test]
fn an_empty_client_id_gets_one_of_its_own() {
    let mut world = World::new();
    let conn = world.open(V5);
    let connack = world.try_connect(conn, &Connect::new(V5, ""));
    let assigned = world.connack(V5, &connack, |connack| {
        connack
            .properties
            .assigned_client_identifier()
            .map(str::to_owned)
    });
    assert!(assigned.is_some_and(|id| id.starts_with("auto-")));
    world.client(V5, "");
    world.client(V3_1_1, "");
    assert_eq!(world.engine.stats().sessions, 3);

    let conn = world.open(V3_1_1);
    let connack = world.try_connect(conn, &lasting(V3_1_1, ""));
    assert_eq!(connack, [0x20, 2, 0, 2]);
    assert!(world.closed(conn).is_some());
}

/// v3.1.1 [MQTT-3.1.0-2]; v5 [MQTT-3.1.0-2]
#[test]
fn a_second_connect_ends_the_connection() {
    for version in BOTH {
        let mut world = World::new();
        let conn = world.client(version, "a");
        world.send(conn, &[Packet::Connect(Connect::new(version, "a"))]);
        assert_eq!(world.closed(conn), Some(CloseReason::Unexpected));
        // Found by fuzzing: what is wrong with it is no reason for a DISCONNECT.
        let conn = world.client(version, "b");
        world.send_bytes(conn, b"\x10\x10\0\x04MQTT\x09\x02\0\0\0\0\x03one");
        assert_eq!(world.closed(conn), Some(CloseReason::Unexpected));
    }
}

/// v3.1.1 [MQTT-3.1.4-5]; v5 [MQTT-3.1.4-6]
#[test]
fn packets_right_behind_the_connect_are_served() {
    for version in BOTH {
        let mut world = World::new();
        let subscriber = world.client(version, "s");
        world.subscribe(subscriber, "t", AtMostOnce);
        let conn = world.open(version);
        let connect = Packet::Connect(Connect::new(version, "p"));
        world.send(conn, &[connect, message("t", "x", AtMostOnce, 1)]);
        assert_eq!(world.messages(subscriber), ["t x"]);
    }
}

/// Mistake of other brokers: keep-alive 0 refused. v3.1.1 and v5, section 3.1.2.10.
#[test]
fn a_client_with_keep_alive_0_may_be_silent_for_ever() {
    for version in BOTH {
        let mut world = World::new();
        let conn = Connect {
            keep_alive: 0,
            ..Connect::new(version, "a")
        };
        let (conn, _) = world.connect(&conn);
        world.advance(seconds(10 * 365 * 86_400));
        assert_eq!(world.closed(conn), None);
    }
}

/// v3.1.1 [MQTT-3.1.2-24], [MQTT-3.12.4-1]; v5 [MQTT-3.1.2-22], [MQTT-3.12.4-1]
#[test]
fn a_client_silent_for_one_and_a_half_keep_alives_is_closed() {
    for version in BOTH {
        let mut world = World::new();
        let conn = Connect {
            keep_alive: 10,
            ..Connect::new(version, "a")
        };
        let (conn, _) = world.connect(&conn);
        world.advance(seconds(14));
        world.send(conn, &[Packet::PingReq]);
        world.expect(conn, &[Packet::PingResp]);
        world.advance(seconds(14));
        assert_eq!(world.closed(conn), None);
        world.advance(seconds(2));
        assert_eq!(world.closed(conn), Some(CloseReason::KeepAliveTimeout));
        if version == V5 {
            world.expect(
                conn,
                &[Packet::Disconnect(Disconnect::new(
                    ReasonCode::KeepAliveTimeout,
                ))],
            );
        }
    }
}

/// Mistake of other brokers: server keep-alive ignored. v5 [MQTT-3.2.2-21], [MQTT-3.2.2-22]
#[test]
fn a_servers_keep_alive_is_announced_and_enforced() {
    let mut world = World::with_limits(Limits {
        keep_alive: Some(10),
        ..Limits::default()
    });
    let conn = world.open(V5);
    let connack = world.try_connect(
        conn,
        &Connect {
            keep_alive: 0,
            ..Connect::new(V5, "a")
        },
    );
    world.connack(V5, &connack, |connack| {
        assert_eq!(connack.properties.server_keep_alive(), Some(10));
    });
    world.advance(seconds(16));
    assert_eq!(world.closed(conn), Some(CloseReason::KeepAliveTimeout));
}

/// Bad input 9. v3.1.1 [MQTT-3.1.4-2]; v5 [MQTT-3.1.4-3]
#[test]
fn a_session_is_taken_over_by_a_new_connection() {
    for version in BOTH {
        let mut world = World::new();
        let old = world.client(version, "a");
        let new = world.client(version, "a");
        assert_eq!(world.closed(old), Some(CloseReason::TakenOver));
        assert_eq!(world.closed(new), None);
        if version == V5 {
            world.expect(
                old,
                &[Packet::Disconnect(Disconnect::new(
                    ReasonCode::SessionTakenOver,
                ))],
            );
        } else {
            world.expect_nothing(old);
        }
        assert_eq!(world.engine.stats().sessions, 1);
        assert_eq!(world.engine.stats().connections, 1);
    }
}

/// v5 [MQTT-4.12.0-1]
#[test]
fn enhanced_authentication_is_refused() {
    let mut world = World::new();
    let conn = world.open(V5);
    let properties = [Property::AuthenticationMethod("SCRAM-SHA-1")];
    let connack = world.try_connect(
        conn,
        &Connect {
            properties: Properties::new(&properties),
            ..Connect::new(V5, "a")
        },
    );
    world.connack(V5, &connack, |connack| {
        assert_eq!(connack.reason, ReasonCode::BadAuthenticationMethod);
    });
    assert!(world.closed(conn).is_some());
}

/// v3.1.1 [MQTT-3.2.2-4], [MQTT-3.1.4-5]; v5 [MQTT-3.2.2-6], [MQTT-3.1.4-2], [MQTT-3.1.4-6],
/// [MQTT-3.14.0-1]
#[test]
fn who_is_refused_gets_a_connack_and_nothing_else_is_done() {
    for version in BOTH {
        let engine = Engine::new(Limits::default(), 7).with_authentication();
        let mut world = World::with_engine(engine);
        let conn = world.open(version);
        let connect = Connect {
            user_name: Some("u"),
            password: Some(b"\0\xff"),
            ..Connect::new(version, "a")
        };
        let publish = Packet::Publish(declic_mqtt::packet::Publish {
            retain: true,
            ..publish("t", "x", AtMostOnce, 1)
        });
        world.send(conn, &[Packet::Connect(connect), publish]);
        world.expect_nothing(conn);
        assert!(world.is_paused(conn));
        let Some(Effect::Authenticate(asked)) = world.effects.pop() else {
            panic!("nobody was asked");
        };
        assert_eq!(asked.user_name.as_deref(), Some("u"));
        assert_eq!(asked.password.as_deref(), Some(&b"\0\xff"[..]));
        let answer = Err(ReasonCode::BadUserNameOrPassword);
        world
            .engine
            .handle_authenticated(asked.ticket, answer, world.now);
        world.step();
        let expected: &[u8] = match version {
            V3_1_1 => &[0x20, 2, 0, 4],
            V5 => &[0x20, 3, 0, 0x86, 0],
        };
        assert_eq!(world.received(conn), expected);
        assert!(world.closed(conn).is_some());
        assert_eq!(world.engine.stats().retained, 0);
    }
}

#[test]
fn who_is_accepted_goes_on_with_what_was_sent_meanwhile() {
    for version in BOTH {
        let engine = Engine::new(Limits::default(), 7).with_authentication();
        let mut world = World::with_engine(engine);
        let conn = world.open(version);
        let bytes = encode(
            version,
            &[
                Packet::Connect(Connect::new(version, "a")),
                retained("t", "x", AtLeastOnce, 1),
                retained("u", "x", AtLeastOnce, 2),
            ],
        );
        // Also what comes in several pieces, with a packet cut in two at the end.
        let (first, rest) = bytes.split_at(bytes.len() - 20);
        let (second, third) = rest.split_at(12);
        world.send_bytes(conn, first);
        world.send_bytes(conn, second);
        let Some(Effect::Authenticate(asked)) = world.effects.pop() else {
            panic!("nobody was asked");
        };
        world
            .engine
            .handle_authenticated(asked.ticket, Ok(Identity::Anonymous), world.now);
        world.step();
        assert!(!world.is_paused(conn));
        world.send_bytes(conn, third);
        assert_eq!(world.engine.stats().retained, 2);
        // An answer too many changes nothing.
        world
            .engine
            .handle_authenticated(asked.ticket, Err(ReasonCode::Banned), world.now);
        world.step();
        assert_eq!(world.closed(conn), None);
    }
}

/// v5 [MQTT-3.14.4-3] and section 4.13: an orderly shutdown, which other brokers don't have.
#[test]
fn a_shutdown_tells_the_clients_that_can_be_told() {
    let mut world = World::new();
    let (old, new) = (world.client(V3_1_1, "a"), world.client(V5, "b"));
    let opened = world.open(V5);
    world.engine.shutdown(world.now);
    world.step();
    world.expect_nothing(old);
    world.expect_nothing(opened);
    world.expect(
        new,
        &[Packet::Disconnect(Disconnect::new(
            ReasonCode::ServerShuttingDown,
        ))],
    );
    for conn in [old, new, opened] {
        assert_eq!(world.closed(conn), Some(CloseReason::ShuttingDown));
    }
    assert_eq!(world.engine.handle_open(world.now), None);
    assert_eq!(world.engine.stats().connections, 0);
}

#[test]
fn more_connections_than_allowed_are_closed_at_once() {
    let mut world = World::with_limits(Limits {
        connections: 2,
        ..Limits::default()
    });
    let first = world.client(V5, "a");
    world.client(V5, "b");
    assert_eq!(world.engine.handle_open(world.now), None);
    assert_eq!(world.engine.stats().refused_connections, 1);
    world.lose(first);
    world.client(V5, "c");
}

#[test]
fn more_sessions_than_allowed_are_refused() {
    let mut world = World::with_limits(Limits {
        sessions: 1,
        ..Limits::default()
    });
    let (first, _) = world.connect(&lasting(V5, "a"));
    world.lose(first);
    let conn = world.open(V5);
    let connack = world.try_connect(conn, &Connect::new(V5, "b"));
    world.connack(V5, &connack, |connack| {
        assert_eq!(connack.reason, ReasonCode::QuotaExceeded);
    });
    let (_, present) = world.connect(&lasting(V5, "a"));
    assert!(present);
}

/// v3.1.1 [MQTT-3.14.4-1], [MQTT-3.14.4-2]; v5 [MQTT-3.14.4-1], [MQTT-3.14.4-2]
#[test]
fn nothing_behind_a_goodbye_is_looked_at() {
    for version in BOTH {
        let mut world = World::new();
        let watcher = world.client(version, "watcher");
        world.subscribe(watcher, "t", AtMostOnce);
        let conn = world.client(version, "a");
        let goodbye = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        world.send(
            conn,
            &[
                Packet::Disconnect(goodbye),
                message("t", "x", AtLeastOnce, 1),
                Packet::PingReq,
            ],
        );
        world.expect_nothing(conn);
        world.expect_nothing(watcher);
        assert_eq!(
            world.closed(conn),
            Some(CloseReason::Disconnected(goodbye.reason))
        );
    }
}

/// v3.1.1 [MQTT-3.1.3-1], [MQTT-3.1.3-10], [MQTT-3.1.3-11]; v5 [MQTT-3.1.3-1], [MQTT-3.1.3-11],
/// [MQTT-3.1.3-12]
#[test]
fn a_connect_with_everything_is_understood_in_any_pieces() {
    for version in BOTH {
        for piece in [1, 2, 3, 1_000] {
            let mut world = World::new();
            let watcher = world.client(version, "watcher");
            world.subscribe(watcher, "will/\u{e4}", AtMostOnce);
            let conn = world.open(version);
            let connect = Connect {
                user_name: Some("\u{fc}ser"),
                password: Some(b"secret"),
                will: Some(declic_mqtt::packet::Will {
                    topic: topic("will/\u{e4}"),
                    payload: b"gone",
                    qos: ExactlyOnce,
                    retain: false,
                    properties: Properties::EMPTY,
                }),
                ..Connect::new(version, "me")
            };
            for part in encode(version, &[Packet::Connect(connect)]).chunks(piece) {
                world.send_bytes(conn, part);
            }
            assert_eq!(world.engine.stats().accepted, 2);
            world.lose(conn);
            assert_eq!(world.messages(watcher), ["will/\u{e4} gone"]);
        }
    }
}
