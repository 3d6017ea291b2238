//! Any bytes on several connections, in pieces, with little room for anything.

use std::collections::BTreeMap;
use std::time::Duration;

use declic_broker::{ConnId, Effect, Engine, Limits};
use declic_mqtt::Instant;
use declic_mqtt::packet::FixedHeader;

/// Feeds the engine with `input` and panics where a limit does not hold, or where what goes out is
/// no row of packets.
pub fn check_bytes_input(mut input: &[u8]) {
    let limits = Limits {
        connections: CONNECTIONS,
        sessions: 5,
        packet_size: 700,
        connect_packet_size: 200,
        connection_bytes: 1_000,
        answer_bytes: 100,
        inbound_in_flight: 3,
        outbound_in_flight: 3,
        queued_messages: 10,
        queued_bytes: 2_000,
        message_bytes: 8_000,
        retained_messages: 3,
        retained_bytes: 1_500,
        subscriptions: 6,
        topic_aliases: 2,
        ..Limits::default()
    };
    let mut engine = Engine::new(limits.clone(), 7);
    let mut now = Instant::ZERO;
    let mut sent = BTreeMap::<ConnId, Vec<u8>>::new();
    while let Some((&[kind, len], rest)) = input.split_at_checked(2).and_then(as_pair) {
        input = rest;
        let which = usize::from(kind >> 3) % sent.len().max(1);
        let conn = sent.keys().nth(which).copied();
        match (kind % 8, conn) {
            (0, _) => {
                if let Some(conn) = engine.handle_open(now) {
                    sent.insert(conn, Vec::new());
                    // Half of them say the right thing at first, so that more can be tried.
                    let hello: &[u8] = match len % 4 {
                        0 => b"\x10\x10\0\x04MQTT\x05\x02\0\0\0\0\x03one",
                        1 => b"\x10\x0f\0\x04MQTT\x04\0\0\0\0\x03two",
                        _ => b"",
                    };
                    engine.handle_bytes(conn, hello, now);
                } else {
                    assert_eq!(engine.stats().connections, CONNECTIONS);
                }
            }
            (1, Some(conn)) => {
                sent.remove(&conn);
                engine.handle_closed(conn, now);
            }
            (2, _) => {
                now = now + Duration::from_secs(u64::from(len));
                engine.handle_timeout(now);
            }
            (_, Some(conn)) => {
                let (bytes, rest) = input.split_at(usize::from(len).min(input.len()));
                input = rest;
                engine.handle_bytes(conn, bytes, now);
            }
            (_, None) => {}
        }
        settle(&mut engine, &mut sent, now);
        let stats = engine.stats();
        assert_eq!(stats.connections, sent.len());
        assert!(stats.sessions <= limits.sessions, "{stats:?}");
        assert!(stats.retained <= limits.retained_messages, "{stats:?}");
        assert!(
            stats.subscriptions <= limits.sessions * limits.subscriptions,
            "{stats:?}"
        );
        // The last message may reach over the limit by itself, and wills are not asked.
        let most = limits.message_bytes + (1 + limits.sessions) * limits.packet_size;
        assert!(stats.message_bytes <= most, "{stats:?}");
    }
    engine.shutdown(now);
    settle(&mut engine, &mut sent, now);
    for (conn, _) in std::mem::take(&mut sent) {
        engine.handle_closed(conn, now);
    }
    // As long as a session may last.
    engine.handle_timeout(now + Duration::from_secs(1 << 33));
    let stats = engine.stats();
    assert_eq!(stats.connections, 0);
}

fn as_pair<'a>((pair, rest): (&'a [u8], &'a [u8])) -> Option<(&'a [u8; 2], &'a [u8])> {
    Some((pair.try_into().ok()?, rest))
}

/// Moves bytes until the engine has nothing more to say.
fn settle(engine: &mut Engine, sent: &mut BTreeMap<ConnId, Vec<u8>>, now: Instant) {
    loop {
        let mut idle = true;
        while let Some(effect) = engine.poll_effect() {
            if let Effect::Close { conn, .. } = effect {
                idle = false;
                fill(engine, sent, conn, now);
                sent.remove(&conn);
                engine.handle_closed(conn, now);
            }
        }
        if let Some(conn) = engine.poll_ready() {
            idle = false;
            fill(engine, sent, conn, now);
        }
        if idle {
            return;
        }
    }
}

fn fill(engine: &mut Engine, sent: &mut BTreeMap<ConnId, Vec<u8>>, conn: ConnId, now: Instant) {
    let mut buffer = [0; 64];
    loop {
        let filled = engine.fill(conn, &mut buffer, now);
        let Some(bytes) = sent.get_mut(&conn) else {
            panic!("bytes for a connection that is closed");
        };
        bytes.extend_from_slice(&buffer[..filled]);
        if filled < buffer.len() {
            break;
        }
    }
    // All that goes out is whole packets, once the engine has no more.
    let mut rest = sent.get(&conn).map_or(&[][..], Vec::as_slice);
    while let Some(header) = FixedHeader::decode(rest).expect("a packet goes out") {
        rest = rest.get(header.packet_len()..).expect("the whole packet");
    }
    assert!(rest.is_empty(), "half a packet goes out: {rest:x?}");
    sent.insert(conn, Vec::new());
}

const CONNECTIONS: usize = 8;
