//! The list of input that killed others: each ends the connection it came on, and nothing else.

use declic_mqtt::packet::{ConnAck, Connect, Disconnect, Packet, Properties};
use declic_mqtt::{ProtocolVersion, ReasonCode};

use super::harness::*;
use crate::engine::{CloseReason, Limits};

/// Sends bytes on an accepted connection, which must end; others go on.
#[track_caller]
fn ends_the_connection(version: ProtocolVersion, bytes: &[u8], reason: ReasonCode) {
    for size in [bytes.len(), 1] {
        let mut world = World::new();
        let bystander = world.client(version, "bystander");
        let conn = world.client(version, "bad");
        for part in bytes.chunks(size.max(1)) {
            world.send_bytes(conn, part);
        }
        assert!(world.closed(conn).is_some(), "{bytes:x?} as {version}");
        match version {
            V3_1_1 => world.expect_nothing(conn),
            V5 => world.expect(conn, &[Packet::Disconnect(Disconnect::new(reason))]),
        }
        world.send(bystander, &[Packet::PingReq]);
        world.expect(bystander, &[Packet::PingResp]);
        let stats = world.engine.stats();
        assert_eq!(
            (stats.connections, stats.sessions, stats.protocol_errors),
            (1, 1, 1)
        );
    }
}

const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;

/// Bad input 1. v5 [MQTT-1.5.5-1], [MQTT-3.2.2-15], [MQTT-4.13.1-1]; v3.1.1 [MQTT-4.8.0-1]
#[test]
fn a_remaining_length_that_is_too_long_or_too_large() {
    for version in BOTH {
        ends_the_connection(version, b"\x30\xff\xff\xff\xff\x01", MALFORMED);
        ends_the_connection(version, b"\x30\x80\x80\x80\x80\x80", MALFORMED);
        ends_the_connection(version, b"\x30\xff\xff\xff\x7f", ReasonCode::PacketTooLarge);
    }
}

/// Bad input 2. v3.1.1 [MQTT-4.8.0-1]; v5 [MQTT-4.13.1-1]
#[test]
fn a_length_inside_the_packet_that_overruns_it() {
    for version in BOTH {
        ends_the_connection(version, b"\x30\x03\0\x02t", MALFORMED);
        ends_the_connection(version, b"\x32\x04\0\x01t\0", MALFORMED);
        ends_the_connection(version, b"\x82\x05\0\x01\0\xfft", MALFORMED);
        ends_the_connection(version, b"\x30\x00", MALFORMED);
    }
    ends_the_connection(V5, b"\x30\x05\0\x01t\x05x", MALFORMED);
    ends_the_connection(V5, b"\x30\x07\0\x01t\x03\x03\0\x09", MALFORMED);
}

/// Bad input 3: a huge first packet. It is refused when its header has come, with nothing kept.
#[test]
fn a_huge_first_packet_is_refused_before_it_comes() {
    let mut world = World::new();
    let conn = world.open(V5);
    world.send_bytes(conn, b"\x10\xff\xff\xff\x7f\0\x04MQTT\x05");
    assert!(matches!(
        world.closed(conn),
        Some(CloseReason::Malformed(_))
    ));
    world.expect_nothing(conn);
    // The limit is that of a stranger, not that of a client.
    let conn = world.open(V5);
    world.send_bytes(conn, b"\x10\x81\x80\x08");
    assert!(matches!(
        world.closed(conn),
        Some(CloseReason::Malformed(_))
    ));
}

/// Bad input 3: any other packet. v3.1.1 [MQTT-3.1.0-1]; v5 [MQTT-3.1.0-1]
#[test]
fn anything_but_a_connect_before_the_connect() {
    for version in BOTH {
        for packet in [
            message("t", "x", AtMostOnce, 1),
            Packet::PingReq,
            puback(1),
            Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION)),
            suback(1, &[ReasonCode::Success]),
        ] {
            let mut world = World::new();
            let conn = world.open(version);
            world.send(conn, &[packet]);
            assert_eq!(world.closed(conn), Some(CloseReason::Unexpected));
            world.expect_nothing(conn);
        }
        let mut world = World::new();
        let conn = world.open(version);
        world.send_bytes(conn, b"GET / HTTP/1.1\r\n\r\n");
        assert!(world.closed(conn).is_some());
    }
}

/// Bad input 3: silence, and a CONNECT that drips. v3.1.1 and v5, section 3.1.4.
#[test]
fn without_a_connect_in_time_the_connection_ends() {
    let mut world = World::new();
    let (silent, slow) = (world.open(V5), world.open(V5));
    for byte in &encode(V5, &[Packet::Connect(Connect::new(V5, "a"))])[..9] {
        world.send_bytes(slow, &[*byte]);
        world.advance(seconds(1));
    }
    assert_eq!(world.closed(silent), None);
    world.advance(seconds(2));
    assert_eq!(world.closed(silent), Some(CloseReason::ConnectTimeout));
    assert_eq!(world.closed(slow), Some(CloseReason::ConnectTimeout));
    world.expect_nothing(silent);
}

/// Bad input 3: thousands of half-open sockets.
#[test]
fn half_open_connections_cost_little_and_go() {
    let mut world = World::new();
    for _ in 0..5_000 {
        let conn = world.engine.handle_open(world.now).expect("room");
        world.engine.handle_bytes(conn, b"\x10", world.now);
    }
    assert_eq!(world.engine.stats().connections, 5_000);
    let client = world.client(V5, "a");
    let later = world.now + seconds(11);
    world.engine.handle_timeout(later);
    let mut closed = Vec::new();
    while let Some(effect) = world.engine.poll_effect() {
        if let crate::engine::Effect::Close { conn, .. } = effect {
            closed.push(conn);
        }
    }
    closed
        .iter()
        .for_each(|conn| world.engine.handle_closed(*conn, later));
    assert_eq!(world.engine.stats().connections, 1);
    assert_eq!(world.closed(client), None);
}

/// Bad input 4. v3.1.1 [MQTT-3.1.0-2]; v5 [MQTT-3.1.0-2]
#[test]
fn packets_that_only_a_server_sends_and_a_second_connect() {
    for version in BOTH {
        let connack = ConnAck {
            session_present: false,
            reason: ReasonCode::Success,
            properties: Properties::EMPTY,
        };
        for packet in [
            Packet::ConnAck(connack),
            suback(1, &[ReasonCode::Success]),
            Packet::PingResp,
            Packet::Connect(Connect::new(version, "bad")),
        ] {
            let bytes = encode(version, &[packet]);
            ends_the_connection(version, &bytes, ReasonCode::ProtocolError);
        }
    }
    // v3.1.1 has no AUTH; in 5.0 none was agreed on. v5 [MQTT-4.12.0-7]
    ends_the_connection(V3_1_1, b"\xf0\x00", MALFORMED);
}

/// Bad input 5. v3.1.1 [MQTT-3.3.2-2], [MQTT-4.7.1-1], [MQTT-4.7.3-1], [MQTT-4.7.3-2],
/// [MQTT-1.5.3-1], [MQTT-1.5.3-2]; v5 [MQTT-3.3.2-2], [MQTT-4.7.0-1], [MQTT-4.7.3-1],
/// [MQTT-4.7.3-2], [MQTT-1.5.4-1], [MQTT-1.5.4-2]
#[test]
fn wrong_topics() {
    let publish = |version, topic: &[u8]| {
        let mut bytes = vec![0x30, 0, 0, topic.len() as u8];
        bytes.extend(topic);
        if version == V5 {
            bytes.push(0);
        }
        bytes[1] = bytes.len() as u8 - 2;
        bytes
    };
    for version in BOTH {
        for wildcard in ["#", "a/+", "a#"] {
            let bytes = publish(version, wildcard.as_bytes());
            ends_the_connection(version, &bytes, ReasonCode::TopicNameInvalid);
        }
        for text in [&b"a\0"[..], b"\xed\xa0\x80", b"\xff", b"\xc0\x80"] {
            ends_the_connection(version, &publish(version, text), MALFORMED);
        }
    }
    ends_the_connection(V3_1_1, &publish(V3_1_1, b""), MALFORMED);
    ends_the_connection(V5, &publish(V5, b""), ReasonCode::ProtocolError);
}

/// Bad input 5: the password is binary.
#[test]
fn a_password_may_be_any_bytes() {
    for version in BOTH {
        let mut world = World::new();
        world.connect(&Connect {
            user_name: Some("u"),
            password: Some(b"\0\xff\xed\xa0\x80"),
            ..Connect::new(version, "a")
        });
    }
}

/// v3.1.1 [MQTT-2.2.2-2], [MQTT-3.6.1-1], [MQTT-3.8.1-1], [MQTT-3.10.1-1], [MQTT-3.14.1-1],
/// [MQTT-3.3.1-2], [MQTT-3.3.1-4], [MQTT-2.3.1-1]; v5 [MQTT-2.1.3-1], [MQTT-3.6.1-1],
/// [MQTT-3.8.1-1], [MQTT-3.10.1-1], [MQTT-3.14.1-1], [MQTT-3.15.1-1], [MQTT-3.3.1-2],
/// [MQTT-3.3.1-4], [MQTT-2.2.1-3]
#[test]
fn wrong_flags_and_identifiers() {
    for version in BOTH {
        for bytes in [
            &b"\x60\x02\0\x01"[..],
            b"\x80\x06\0\x01\0\x01t\0",
            b"\xa0\x05\0\x01\0\x01t",
            b"\xe1\x00",
            b"\xc1\x00",
            b"\x00\x00",
            b"\x36\x05\0\x01t\0\x01",
        ] {
            ends_the_connection(version, bytes, MALFORMED);
        }
    }
}

/// v3.1.1 [MQTT-3.8.3-3], [MQTT-3.10.3-2]; v5 [MQTT-3.8.3-2], [MQTT-3.10.3-2], [MQTT-3.8.3-5]
#[test]
fn subscriptions_to_nothing_and_with_reserved_bits() {
    ends_the_connection(V3_1_1, b"\x82\x02\0\x01", MALFORMED);
    ends_the_connection(V3_1_1, b"\xa2\x02\0\x01", MALFORMED);
    ends_the_connection(V3_1_1, b"\x82\x06\0\x01\0\x01t\x03", MALFORMED);
    ends_the_connection(V3_1_1, b"\x82\x06\0\x01\0\x01t\x04", MALFORMED);
    ends_the_connection(V5, b"\x82\x03\0\x01\0", ReasonCode::ProtocolError);
    ends_the_connection(V5, b"\xa2\x03\0\x01\0", ReasonCode::ProtocolError);
    ends_the_connection(V5, b"\x82\x07\0\x01\0\0\x01t\x40", MALFORMED);
}

/// v3.1.1 [MQTT-3.1.4-1], [MQTT-3.1.2-1], [MQTT-3.1.2-3], [MQTT-3.1.2-13] to [MQTT-3.1.2-15],
/// [MQTT-3.1.2-22]; v5 [MQTT-3.1.4-1], [MQTT-3.1.2-1], [MQTT-3.1.2-3], [MQTT-3.1.2-11] to
/// [MQTT-3.1.2-13], [MQTT-3.1.2-17]
#[test]
fn a_malformed_connect_is_answered_only_in_5_0() {
    for (bytes, expected) in [
        // The reserved flag.
        (&b"\x10\x0e\0\x04MQTT\x04\x03\0\0\0\x02me"[..], &b""[..]),
        (
            b"\x10\x0f\0\x04MQTT\x05\x03\0\0\0\0\x02me",
            b"\x20\x03\0\x81\0",
        ),
        // A will of QoS 3.
        (b"\x10\x0e\0\x04MQTT\x04\x1e\0\0\0\x02me", b""),
        // The QoS and the retain flag of a will that is not there.
        (b"\x10\x0e\0\x04MQTT\x04\x0a\0\0\0\x02me", b""),
        (b"\x10\x0e\0\x04MQTT\x04\x22\0\0\0\x02me", b""),
        (
            b"\x10\x0f\0\x04MQTT\x05\x22\0\0\0\0\x02me",
            b"\x20\x03\0\x81\0",
        ),
        // A password without a user, which 5.0 allows; and a user name that is missing.
        (b"\x10\x11\0\x04MQTT\x04\x42\0\0\0\x02me\0\x01x", b""),
        (
            b"\x10\x0f\0\x04MQTT\x05\x82\0\0\0\0\x02me",
            b"\x20\x03\0\x81\0",
        ),
        // Another protocol.
        (b"\x10\x0e\0\x04MQTX\x04\x02\0\0\0\x02me", b""),
        // An identifier that overruns the packet.
        (b"\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x03me", b""),
    ] {
        let mut world = World::new();
        let conn = world.open(V3_1_1);
        world.send_bytes(conn, bytes);
        assert!(world.closed(conn).is_some());
        assert_eq!(world.received(conn), expected);
    }
}

/// Unfinished packets of all connections together are bounded.
#[test]
fn many_unfinished_packets_are_bounded() {
    let limits = Limits {
        connection_bytes: 10_000,
        ..Limits::default()
    };
    let mut world = World::with_limits(limits);
    let conns: Vec<_> = (0..20)
        .map(|number| world.client(V5, &number.to_string()))
        .collect();
    let mut part = b"\x30\xe8\x07\0\x01t\0".to_vec();
    part.resize(900, b'x');
    for conn in &conns {
        world.send_bytes(*conn, &part);
    }
    let closed = conns
        .iter()
        .filter(|conn| world.closed(**conn).is_some())
        .count();
    assert_eq!(closed, 9);
    // The others can finish.
    let subscriber = world.client(V5, "s");
    world.subscribe(subscriber, "t", AtMostOnce);
    world.send_bytes(conns[0], &[b'y'; 103]);
    assert_eq!(world.messages(subscriber).len(), 1);
}
