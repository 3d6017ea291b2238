//! MQTT over WebSocket (chapter 6).

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::case::{Case, both, join, packet, string};

const BINARY: u8 = 0x82;
const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const FINAL: u8 = 0x80;

/// A WebSocket that was asked for with these subprotocols, and the head of the answer. `None` where
/// the broker has none.
fn open(case: &Case, protocols: &str) -> Option<(TcpStream, String)> {
    let mut stream = TcpStream::connect(case.subject.websocket?).expect("the broker listens");
    let limit = Some(case.subject.limit);
    stream.set_read_timeout(limit).expect("a timeout");
    let request = format!(
        "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocols}\r\n"
    );
    stream.write_all(request.as_bytes()).expect("a request");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1..) => head.push(byte[0]),
            Ok(0) => break,
            Err(error) => panic!("{error}; before: {:?}", String::from_utf8_lossy(&head)),
        }
    }
    Some((stream, String::from_utf8(head).expect("text")))
}

fn open_mqtt(case: &Case) -> Option<TcpStream> {
    let (stream, head) = open(case, "Sec-WebSocket-Protocol: mqtt\r\n")?;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    Some(stream)
}

/// A frame as a client sends it: masked.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x33, 0x44];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(one, key)| one ^ key),
    );
    bytes
}

/// First byte and payload of the next frame; `None` at the end.
fn receive(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    match stream.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return None,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
        Err(error) => panic!("{error}"),
    }
    let length = match head[1] {
        126 => {
            let mut length = [0; 2];
            stream.read_exact(&mut length).expect("a length");
            usize::from(u16::from_be_bytes(length))
        }
        length => usize::from(length),
    };
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).expect("a payload");
    Some((head[0], payload))
}

/// All bytes of MQTT up to so many, which must come in binary frames.
fn receive_mqtt(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let (first, payload) = receive(stream).expect("a frame");
        assert_eq!(first, BINARY, "a binary frame");
        bytes.extend(payload);
    }
    bytes
}

/// v3.1.1 [MQTT-6.0.0-4]; v5 [MQTT-6.0.0-4]
#[test]
fn the_subprotocol_that_is_chosen_is_mqtt() {
    both(|case| {
        let protocols = "Sec-WebSocket-Protocol: other, mqtt\r\n";
        let Some((_, head)) = open(case, protocols) else {
            return;
        };
        let chosen = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("Sec-WebSocket-Protocol")
                .then(|| value.trim())
        });
        assert_eq!(chosen, Some("mqtt"), "{head}");
    });
}

/// v3.1.1 [MQTT-6.0.0-3]; v5 [MQTT-6.0.0-3]
#[test]
fn without_the_subprotocol_mqtt_there_is_no_connection() {
    both(|case| {
        for protocols in ["", "Sec-WebSocket-Protocol: chat\r\n"] {
            if let Some((_, head)) = open(case, protocols) {
                assert!(!head.starts_with("HTTP/1.1 101"), "{head}");
            }
        }
    });
}

/// v3.1.1 [MQTT-6.0.0-1]; v5 [MQTT-6.0.0-1]
#[test]
fn mqtt_comes_in_binary_frames_and_a_text_frame_closes_the_connection() {
    both(|case| {
        let Some(mut stream) = open_mqtt(case) else {
            return;
        };
        let connect = case.connect_bytes(0x02, &case.id("c"), &[]);
        stream.write_all(&frame(BINARY, &connect)).expect("a frame");
        let connack = receive_mqtt(&mut stream, 4);
        assert_eq!((connack[0], connack[3]), (0x20, 0));
        let ping = packet(0xc0, &[]);
        // A ping of WebSocket's own may stand between.
        stream.write_all(&frame(PING, b"?")).expect("a frame");
        stream.write_all(&frame(BINARY, &ping)).expect("a frame");
        let mut pong = false;
        loop {
            let (first, payload) = receive(&mut stream).expect("a frame");
            if first == BINARY {
                assert_eq!(payload, [0xd0, 0]);
                break;
            }
            pong = true;
        }
        assert!(pong);
        stream.write_all(&frame(TEXT, &ping)).expect("a frame");
        while let Some((first, payload)) = receive(&mut stream) {
            assert!(first != BINARY || payload[0] == 0xe0, "{payload:?}");
        }
    });
}

/// v3.1.1 [MQTT-6.0.0-2]; v5 [MQTT-6.0.0-2]
#[test]
fn packets_and_frames_need_not_begin_and_end_together() {
    both(|case| {
        let Some(mut stream) = open_mqtt(case) else {
            return;
        };
        let name = case.topic("t");
        let mut bytes = case.connect_bytes(0x02, &case.id("c"), &[]);
        let subscribe = join(&[&[0, 1], case.no_properties(), &string(&name), &[0]]);
        bytes.extend(packet(0x82, &subscribe));
        let payload = vec![b'x'; 300];
        let publish = join(&[&string(&name), case.no_properties(), &payload]);
        bytes.extend(packet(0x30, &publish));
        // In frames of seven bytes, then one frame in fragments, then many packets in one.
        let (parts, rest) = bytes.split_at(bytes.len() / 2);
        for part in parts.chunks(7) {
            stream.write_all(&frame(BINARY, part)).expect("a frame");
        }
        let (begin, end) = rest.split_at(rest.len() / 2);
        stream
            .write_all(&frame(BINARY & !FINAL, begin))
            .expect("a frame");
        stream.write_all(&frame(FINAL, end)).expect("a frame");
        let pings = packet(0xc0, &[]).repeat(3);
        stream.write_all(&frame(BINARY, &pings)).expect("a frame");
        // The answers may come before the message, or after it.
        let message = packet(0x30, &publish);
        let mut received = Vec::new();
        let times = |received: &[u8], part: &[u8]| {
            let found = received.windows(part.len()).filter(|one| *one == part);
            found.count()
        };
        while times(&received, &message) < 1 || times(&received, &[0xd0, 0]) < 3 {
            received.extend(receive_mqtt(&mut stream, 1));
        }
    });
}
