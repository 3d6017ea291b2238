//! What a session keeps from one connection to the next.

use declic_mqtt::packet::{Connect, Disconnect, Packet, Properties, Property};
use declic_mqtt::{ProtocolVersion, ReasonCode};

use super::harness::*;
use crate::engine::{CloseReason, Limits};

fn goodbye() -> Packet<'static> {
    Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION))
}

/// v3.1.1 [MQTT-3.1.2-4], [MQTT-3.1.2-5], [MQTT-3.2.2-2], [MQTT-3.2.2-3], [MQTT-4.5.0-1];
/// v5 [MQTT-3.1.2-5], [MQTT-3.1.2-6], [MQTT-3.1.2-23], [MQTT-3.2.2-3], [MQTT-4.5.0-1],
/// [MQTT-4.1.0-1]
#[test]
fn a_lasting_session_keeps_subscriptions_and_queues_messages() {
    for version in BOTH {
        let mut world = World::new();
        let (conn, present) = world.connect(&lasting(version, "s"));
        assert!(!present);
        world.subscribe(conn, "t", ExactlyOnce);
        world.send(conn, &[goodbye()]);
        let publisher = world.client(version, "p");
        world.send(
            publisher,
            &[
                message("t", "0", AtMostOnce, 1),
                message("t", "1", AtLeastOnce, 1),
                message("t", "2", ExactlyOnce, 2),
            ],
        );
        let (conn, present) = world.connect(&lasting(version, "s"));
        assert!(present);
        world.expect(
            conn,
            &[
                message("t", "1", AtLeastOnce, 1),
                message("t", "2", ExactlyOnce, 2),
            ],
        );
    }
}

/// v3.1.1 [MQTT-3.1.2-6], [MQTT-3.1.4-3], [MQTT-3.2.2-1]; v5 [MQTT-3.1.2-4], [MQTT-3.1.4-4]
#[test]
fn a_clean_start_forgets_the_session() {
    for version in BOTH {
        let mut world = World::new();
        let (conn, _) = world.connect(&lasting(version, "s"));
        world.subscribe(conn, "t", AtLeastOnce);
        world.lose(conn);
        let publisher = world.client(version, "p");
        world.send(publisher, &[message("t", "1", AtLeastOnce, 1)]);
        let (conn, present) = world.connect(&Connect::new(version, "s"));
        assert!(!present);
        world.send(publisher, &[message("t", "2", AtLeastOnce, 2)]);
        world.expect_nothing(conn);
        // And it doesn't last itself.
        world.lose(conn);
        assert_eq!(world.engine.stats().sessions, 1);
        let (_, present) = world.connect(&lasting(version, "s"));
        assert!(!present);
    }
}

/// v3.1.1 [MQTT-4.4.0-1], [MQTT-3.3.1-1], [MQTT-4.6.0-1]; v5 [MQTT-4.4.0-1], [MQTT-3.3.1-1],
/// [MQTT-4.6.0-1], [MQTT-4.3.3-6]
#[test]
fn what_was_not_acknowledged_is_sent_again_in_order_with_dup() {
    for version in BOTH {
        let mut world = World::new();
        let (conn, _) = world.connect(&lasting(version, "s"));
        world.subscribe(conn, "t", ExactlyOnce);
        let publisher = world.client(version, "p");
        world.send(
            publisher,
            &[
                message("t", "a", AtLeastOnce, 1),
                message("t", "b", ExactlyOnce, 2),
                message("t", "c", ExactlyOnce, 3),
                message("t", "d", AtLeastOnce, 4),
                message("t", "e", AtLeastOnce, 5),
            ],
        );
        world.received(conn);
        world.send(conn, &[pubrec(2), puback(4)]);
        world.expect(conn, &[pubrel(2)]);
        world.lose(conn);
        world.send(publisher, &[message("t", "f", AtLeastOnce, 6)]);
        let (conn, present) = world.connect(&lasting(version, "s"));
        assert!(present);
        world.expect(
            conn,
            &[
                pubrel(2),
                again("t", "a", AtLeastOnce, 1),
                again("t", "c", ExactlyOnce, 3),
                again("t", "e", AtLeastOnce, 5),
                message("t", "f", AtLeastOnce, 6),
            ],
        );
        world.send(
            conn,
            &[pubcomp(2), puback(1), pubrec(3), puback(5), puback(6)],
        );
        world.expect(conn, &[pubrel(3)]);
        world.send(conn, &[pubcomp(3)]);
        assert_eq!(world.engine.stats().messages, 0);
    }
}

/// v3.1.1 [MQTT-4.3.3-2]; v5 [MQTT-4.3.3-10], [MQTT-4.3.3-12]
#[test]
fn a_message_of_qos_2_sent_again_after_a_reconnect_is_delivered_once() {
    for version in BOTH {
        let mut world = World::new();
        let subscriber = world.client(version, "s");
        world.subscribe(subscriber, "t", AtMostOnce);
        let (conn, _) = world.connect(&lasting(version, "p"));
        world.send(conn, &[message("t", "x", ExactlyOnce, 7)]);
        world.lose(conn);
        let (conn, _) = world.connect(&lasting(version, "p"));
        world.send(conn, &[again("t", "x", ExactlyOnce, 7)]);
        world.expect(conn, &[pubrec(7)]);
        world.send(conn, &[pubrel(7)]);
        world.expect(conn, &[pubcomp(7)]);
        assert_eq!(world.messages(subscriber), ["t x"]);
        // Released: the identifier stands for another message now.
        world.send(conn, &[message("t", "y", ExactlyOnce, 7)]);
        assert_eq!(world.messages(subscriber), ["t y"]);
    }
}

/// Mistake of other brokers: session expiry ignored. v5 [MQTT-3.1.2-23], [MQTT-4.1.0-2]
#[test]
fn a_session_ends_when_its_expiry_is_over() {
    let mut world = World::new();
    let properties = [Property::SessionExpiryInterval(60)];
    let connect = Connect {
        clean_start: false,
        properties: Properties::new(&properties),
        ..Connect::new(V5, "s")
    };
    let (conn, _) = world.connect(&connect);
    world.subscribe(conn, "t", AtLeastOnce);
    world.lose(conn);
    world.advance(seconds(59));
    let (conn, present) = world.connect(&connect);
    assert!(present);
    // Connected, it lasts.
    let publisher = world.client(V5, "p");
    for _ in 0..10 {
        world.advance(seconds(50));
        world.send(conn, &[Packet::PingReq]);
        world.send(publisher, &[Packet::PingReq]);
    }
    world.lose(conn);
    world.send(publisher, &[message("t", "x", AtLeastOnce, 1)]);
    world.advance(seconds(61));
    assert_eq!(world.engine.stats().messages, 0);
    assert_eq!(world.engine.stats().subscriptions, 0);
    let (_, present) = world.connect(&connect);
    assert!(!present);
}

/// v5, section 3.14.2.2.2
#[test]
fn a_disconnect_may_change_how_long_the_session_lasts() {
    let disconnect = |expiry| {
        let properties = [Property::SessionExpiryInterval(expiry)];
        encode(
            V5,
            &[Packet::Disconnect(Disconnect {
                properties: Properties::new(&properties),
                ..Disconnect::new(ReasonCode::NORMAL_DISCONNECTION)
            })],
        )
    };
    let mut world = World::new();
    let (conn, _) = world.connect(&lasting(V5, "s"));
    world.send_bytes(conn, &disconnect(0));
    assert_eq!(world.engine.stats().sessions, 0);
    // One that was not to last can't begin to.
    let conn = world.client(V5, "s");
    world.send_bytes(conn, &disconnect(10));
    assert_eq!(world.closed(conn), Some(CloseReason::Unexpected));
    world.expect(
        conn,
        &[Packet::Disconnect(Disconnect::new(
            ReasonCode::ProtocolError,
        ))],
    );
    assert_eq!(world.engine.stats().sessions, 0);
}

#[test]
fn the_longest_expiry_is_limited_and_said() {
    let limits = Limits {
        session_expiry: Some(seconds(30)),
        ..Limits::default()
    };
    let mut world = World::with_limits(limits);
    let conn = world.open(V5);
    let connack = world.try_connect(conn, &lasting(V5, "s"));
    world.connack(V5, &connack, |connack| {
        assert_eq!(connack.properties.session_expiry_interval(), Some(30));
    });
    let (other, _) = world.connect(&lasting(V3_1_1, "t"));
    world.lose(conn);
    world.lose(other);
    world.advance(seconds(31));
    assert_eq!(world.engine.stats().sessions, 0);
}

/// Bad input 6 and 9: nothing leaks, however often clients come and go.
#[test]
fn coming_and_going_leaves_nothing_behind() {
    for version in BOTH {
        let mut world = World::new();
        for round in 0..100 {
            let (conn, _) = world.connect(&lasting(version, "s"));
            world.received(conn);
            world.subscribe(conn, &format!("t/{round}"), ExactlyOnce);
            let publisher = world.client(version, "p");
            world.send(
                publisher,
                &[message(&format!("t/{round}"), "x", ExactlyOnce, 1)],
            );
            world.lose(publisher);
            if round % 3 == 0 {
                world.lose(conn);
            }
        }
        world.client(version, "s");
        let stats = world.engine.stats();
        assert_eq!(
            (stats.connections, stats.sessions, stats.messages),
            (1, 1, 0)
        );
        assert_eq!((stats.subscriptions, stats.message_bytes), (0, 0));
    }
}

#[test]
fn a_session_resumed_by_the_other_version_goes_on() {
    let resume = |first: ProtocolVersion, second: ProtocolVersion| {
        let mut world = World::new();
        let (conn, _) = world.connect(&lasting(first, "s"));
        world.subscribe(conn, "t", AtLeastOnce);
        world.lose(conn);
        let publisher = world.client(first, "p");
        world.send(publisher, &[message("t", "x", AtLeastOnce, 1)]);
        let (conn, present) = world.connect(&lasting(second, "s"));
        assert!(present);
        world.expect(conn, &[message("t", "x", AtLeastOnce, 1)]);
    };
    resume(V3_1_1, V5);
    resume(V5, V3_1_1);
}
