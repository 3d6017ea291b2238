//! What is bad on the transport itself: what is no TLS, no HTTP, no WebSocket, or belongs to
//! another port.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use declic_broker::{Config, Limits, Tls};
use declic_mqtt::ProtocolVersion;
use declic_mqtt::packet::Connect;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, date_time_ymd};
use rustls::{ClientConnection, StreamOwned};

use crate::harness::{Stream, dial};
use crate::table::{packet, string};
use crate::transports::{Everywhere, Files, Transport};
use crate::{FOUR, Witness};

/// A connection to the HTTP port, encrypted or not.
fn http(broker: &Everywhere, transport: Transport) -> Box<dyn Stream> {
    match transport {
        Transport::WebSocket => Box::new(dial(broker.server.http_addresses[0])),
        _ => {
            let stream = dial(broker.server.https_addresses[0]);
            Box::new(broker.files.encrypt(stream, None))
        }
    }
}

/// Writes all of it in pieces, or less where the broker closes before; then reads to the end.
fn exchange(stream: &mut dyn Stream, bytes: &[u8], piece: usize) -> Vec<u8> {
    for piece in bytes.chunks(piece) {
        if stream
            .write_all(piece)
            .and_then(|()| stream.flush())
            .is_err()
        {
            break;
        }
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return answer,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("neither an answer nor the end: {answer:x?}")
            }
            Err(_) => return answer,
        }
    }
}

#[test]
fn what_belongs_to_another_port_is_closed_and_disturbs_nobody() {
    let broker = Everywhere::start(Config::default());
    let server = &broker.server;
    let mqtt = connect();
    let mut hello = Vec::new();
    client_hello(&broker.files, &mut hello);
    let request = b"GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    let garbage = vec![0xff; 70_000];
    for transport in FOUR {
        let mut witness = Witness::new(&broker, transport);
        let (address, wrong) = match transport {
            Transport::Tcp => (server.addresses[0], [&hello, &request, &garbage]),
            Transport::WebSocket => (server.http_addresses[0], [&hello, &mqtt, &garbage]),
            Transport::Tls => (server.tls_addresses[0], [&mqtt, &request, &garbage]),
            _ => (server.https_addresses[0], [&mqtt, &request, &garbage]),
        };
        for bytes in wrong {
            for piece in [1, usize::MAX] {
                let bytes = &bytes[..bytes.len().min(piece.saturating_mul(2_000))];
                let answer = exchange(&mut dial(address), bytes, piece);
                let is_said =
                    answer.starts_with(b"HTTP/1.1 400 ") || answer.starts_with(&[0x15, 3]);
                assert!(answer.is_empty() || is_said, "{transport:?}: {answer:x?}");
                witness.is_served();
            }
        }
    }
    server.wait_for(|stats| stats.connections == 0);
}

#[test]
fn requests_that_are_none_or_too_long_are_answered_with_what_is_wrong() {
    let broker = Everywhere::start(Config::default());
    let line = |text: &str| format!("{text} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes();
    let headers = |name: &str, count| {
        let headers = format!("{name}: x\r\n").repeat(count);
        format!("GET /mqtt HTTP/1.1\r\n{headers}\r\n").into_bytes()
    };
    for (request, status) in [
        (b"\0\0\0\0\r\n\r\n".to_vec(), "400"),
        (b"GET\r\n\r\n".to_vec(), "400"),
        (b"GET / HTTP/9.9\r\n\r\n".to_vec(), "400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n".to_vec(), "400"),
        (b"GET / HTTP/1.1\r\na\0b: c\r\n\r\n".to_vec(), "400"),
        (line("GET /../../etc/passwd"), "404"),
        (line("BREW /mqtt"), "405"),
        (line(&format!("GET /{}", "x".repeat(100_000))), "431"),
        (headers("a", 500), "431"),
        (headers(&"a".repeat(100_000), 1), "431"),
        (upgrade(""), "400"),
        (upgrade("Sec-WebSocket-Protocol: chat\r\n"), "400"),
        (upgrade("Sec-WebSocket-Protocol: mqttt, xmqtt\r\n"), "400"),
    ] {
        for transport in [Transport::WebSocket, Transport::SecureWebSocket] {
            let mut witness = Witness::new(&broker, transport);
            for piece in [1, usize::MAX] {
                if piece == 1 && request.len() > 10_000 {
                    continue;
                }
                let answer = exchange(&mut *http(&broker, transport), &request, piece);
                let answer = String::from_utf8_lossy(&answer);
                let begin = String::from_utf8_lossy(&request[..request.len().min(60)]);
                let expected = format!("HTTP/1.1 {status} ");
                assert!(answer.starts_with(&expected), "{begin}: {answer}");
                witness.is_served();
            }
        }
    }
}

#[test]
fn frames_that_break_the_rules_are_answered_with_their_code_and_disturb_nobody() {
    let broker = Everywhere::start(Config::default());
    let long = |first: u8, second: u8, length: &[u8]| {
        [&[first, second | MASKED], length, &[0; 4]].concat()
    };
    let cases = [
        ("no mask", vec![BINARY, 1, b'x'], 1002),
        ("text", frame(TEXT, b"text"), 1003),
        ("an empty text", frame(TEXT, b""), 1003),
        ("a reserved bit", frame(BINARY | 0x40, b"x"), 1002),
        ("a reserved opcode", frame(0x83, b"x"), 1002),
        ("a reserved opcode of control", frame(0x8b, b"x"), 1002),
        ("the end of nothing", frame(FINAL, b"x"), 1002),
        (
            "a message in a message",
            [frame(BINARY & !FINAL, b""), frame(BINARY, b"")].concat(),
            1002,
        ),
        ("a ping in parts", frame(PING & !FINAL, b"x"), 1002),
        ("a ping that is too long", frame(PING, &[0; 126]), 1002),
        ("a close of one byte", frame(CLOSE, b"x"), 1002),
        (
            "a length in more bytes than need be",
            long(BINARY, 126, &[0, 125]),
            1002,
        ),
        (
            "a length that has a sign",
            long(BINARY, 127, &[0x80, 0, 0, 0, 0, 1, 0, 0]),
            1002,
        ),
        ("a close", frame(CLOSE, &1000_u16.to_be_bytes()), 1000),
    ];
    for transport in [Transport::WebSocket, Transport::SecureWebSocket] {
        let mut witness = Witness::new(&broker, transport);
        for (name, bytes, code) in &cases {
            for is_connected in [false, true] {
                for piece in [1, usize::MAX] {
                    let mut stream = open(&broker, transport);
                    if is_connected {
                        stream
                            .write_all(&frame(BINARY, &connect()))
                            .expect("a reader");
                        read_exactly(&mut *stream, &CONNACK_FRAME);
                    }
                    let answer = exchange(&mut *stream, bytes, piece);
                    let [high, low] = u16::to_be_bytes(*code);
                    let close = [CLOSE, 2, high, low];
                    assert!(
                        answer.ends_with(&close),
                        "{name} over {transport:?}: {answer:x?}"
                    );
                    witness.is_served();
                }
            }
        }
    }
    broker.server.wait_for(|stats| stats.connections == 0);
}

#[test]
fn frames_that_are_unusual_and_right_are_served() {
    let broker = Everywhere::start(Config::default());
    let bytes = [connect(), packet(0xc0, &[])].concat();
    let answers = [&CONNACK_FRAME[..], &[BINARY, 2, 0xd0, 0]].concat();
    let each_its_own: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| frame(BINARY, &[*byte]))
        .collect();
    let (begin, end) = bytes.split_at(5);
    let in_parts = [
        frame(BINARY & !FINAL, begin),
        frame(0x8a, b"a pong that nobody asked for"),
        frame(0, b""),
        frame(FINAL, end),
    ]
    .concat();
    // A frame that promises more than a packet may have: only what is in it counts.
    let mut endless = [&[BINARY, 127 | MASKED, 0, 0, 1, 0, 0, 0, 0, 0][..], &[0; 4]].concat();
    endless.extend(&bytes);
    for transport in [Transport::WebSocket, Transport::SecureWebSocket] {
        for sent in [&each_its_own, &in_parts, &endless] {
            let mut stream = open(&broker, transport);
            stream.write_all(sent).expect("a reader");
            read_packets(&mut *stream, &answers);
        }
    }
}

#[test]
fn a_handshake_that_stops_anywhere_is_closed_in_time() {
    let broker = Everywhere::start(Config {
        limits: Limits {
            connect_timeout: Duration::from_millis(300),
            ..Limits::default()
        },
        ..Config::default()
    });
    let mut hello = Vec::new();
    client_hello(&broker.files, &mut hello);
    let mut stopped = Vec::new();
    for address in [
        broker.server.tls_addresses[0],
        broker.server.https_addresses[0],
    ] {
        for length in [0, 1, 5, 6, hello.len() / 2, hello.len() - 1] {
            let mut stream = dial(address);
            stream.write_all(&hello[..length]).expect("a reader");
            stopped.push(stream);
        }
        // The broker's part comes, and nothing is said to it.
        let mut stream = dial(address);
        stream.write_all(&hello).expect("a reader");
        assert!(stream.read(&mut [0]).expect("a ServerHello") > 0);
        stopped.push(stream);
    }
    for stream in &mut stopped {
        exchange(stream, b"", 1);
    }
    let mut stream = broker
        .files
        .encrypt(dial(broker.server.tls_addresses[0]), None);
    let mut peer = connect();
    peer.extend(packet(0xc0, &[]));
    stream.write_all(&peer).expect("a reader");
    assert!(stream.read(&mut [0]).expect("an answer") > 0);
}

#[test]
fn garbage_behind_a_handshake_ends_one_connection_only() {
    let broker = Everywhere::start(Config::default());
    let mut witness = Witness::new(&broker, Transport::Tls);
    for garbage in [
        &b"no record of TLS"[..],
        // Application data that nobody encrypted.
        b"\x17\x03\x03\0\x05hello",
        // More than a record may have.
        b"\x17\x03\x03\xff\xff",
        // An alert, and a ChangeCipherSpec, out of the blue.
        b"\x15\x03\x03\0\x02\x02\x28",
        b"\x14\x03\x03\0\x01\x09",
    ] {
        let stream = dial(broker.server.tls_addresses[0]);
        let mut stream = broker.files.encrypt(stream, None);
        stream.write_all(&connect()).expect("a reader");
        assert!(stream.read(&mut [0]).expect("an answer") > 0);
        exchange(&mut stream.sock, garbage, usize::MAX);
        witness.is_served();
    }
    broker.server.wait_for(|stats| stats.connections == 1);
}

#[test]
fn a_client_certificate_that_is_no_good_opens_nothing() {
    let files = Files::new();
    files.make("good", "lamp");
    let change = |name: &str, change: fn(&mut CertificateParams)| {
        files.make_with(name, "lamp", change);
    };
    change("expired", |params| {
        params.not_after = date_time_ymd(2001, 1, 1)
    });
    change("early", |params| {
        params.not_before = date_time_ymd(3000, 1, 1)
    });
    change("server-only", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let stranger = Files::new();
    stranger.make("stranger", "lamp");
    for name in ["stranger.pem", "stranger.key"] {
        let text = std::fs::read_to_string(stranger.path(name)).expect("a file");
        files.write(name, &text);
    }
    let tls = Tls {
        client_ca: Some(files.path("ca.pem")),
        require_client_certificate: true,
        ..files.settings()
    };
    let broker = Everywhere::start_with(Config::default(), files, tls);
    let server = &broker.server;
    for address in [server.tls_addresses[0], server.https_addresses[0]] {
        for name in [
            None,
            Some("expired"),
            Some("early"),
            Some("server-only"),
            Some("stranger"),
        ] {
            let mut stream = broker.files.encrypt(dial(address), name);
            // In TLS 1.3 the client learns it when it reads.
            let error = stream
                .write_all(&connect())
                .and_then(|()| stream.read(&mut [0]));
            let error = error.expect_err("refused").to_string();
            assert!(error.contains("received fatal alert"), "{name:?}: {error}");
        }
    }
    let mut client = broker.open_as(Transport::Tls, Some("good"));
    client.greet(&Connect::new(ProtocolVersion::V5, "lamp"));
    let mut client = broker.open_as(Transport::SecureWebSocket, Some("good"));
    client.greet(&Connect::new(ProtocolVersion::V5, "lamp"));
}

/// What a client says first.
fn client_hello(files: &Files, hello: &mut Vec<u8>) {
    let mut stream: StreamOwned<ClientConnection, TcpStream>;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    stream = files.encrypt(dial(listener.local_addr().expect("an address")), None);
    stream.conn.write_tls(hello).expect("a ClientHello");
}

/// A CONNECT of 3.1.1.
fn connect() -> Vec<u8> {
    packet(0x10, &[&string("MQTT"), &[4, 2, 0, 60], &string("")])
}

fn upgrade(protocol: &str) -> Vec<u8> {
    format!(
        "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}\r\n"
    )
    .into_bytes()
}

/// A WebSocket on which frames can be written.
fn open(broker: &Everywhere, transport: Transport) -> Box<dyn Stream> {
    let mut stream = http(broker, transport);
    let request = upgrade("Sec-WebSocket-Protocol: mqtt\r\n");
    stream.write_all(&request).expect("a reader");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).expect("an answer"), 1);
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    stream
}

fn read_exactly(stream: &mut dyn Stream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).expect("an answer");
    assert_eq!(bytes, expected);
}

/// The same packets come, in one frame or in several.
fn read_packets(stream: &mut dyn Stream, expected: &[u8]) {
    let wanted = payload(expected);
    let mut bytes = Vec::new();
    while payload(&bytes) != wanted {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).expect("an answer"), 1);
        bytes.push(byte[0]);
        assert!(bytes.len() < 100, "{bytes:x?}");
    }
}

/// What is in whole, short frames of a server.
fn payload(mut bytes: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    while let [_, length, rest @ ..] = bytes
        && let Some((content, rest)) = rest.split_at_checked(usize::from(*length))
    {
        payload.extend_from_slice(content);
        bytes = rest;
    }
    payload
}

/// A frame as a client sends it, with at most 65,535 bytes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match u16::try_from(payload.len()).expect("a short payload") {
        length @ 0..=125 => bytes.push(length as u8 | MASKED),
        length => {
            bytes.push(126 | MASKED);
            bytes.extend(length.to_be_bytes());
        }
    }
    let mask = [0x12, 0x34, 0x56, 0x78];
    bytes.extend(mask);
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

const FINAL: u8 = 0x80;
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const MASKED: u8 = 0x80;
/// A CONNACK of 3.1.1 that accepts.
const CONNACK_FRAME: [u8; 6] = [BINARY, 4, 0x20, 2, 0, 0];
