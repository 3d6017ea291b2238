//! Input that killed other brokers, over TCP, TLS, WebSocket and secure WebSocket.

mod habits;
#[path = "../harness/mod.rs"]
mod harness;
mod table;
mod transport;
#[path = "../harness/transports.rs"]
mod transports;

use std::io::ErrorKind;

use declic_broker::Config;
use declic_mqtt::packet::{Connect, FixedHeader, Packet};
use declic_mqtt::{ProtocolVersion, QoS};
use harness::{Client, Stream};
use table::{Entry, Outcome, packet, string};
use transports::{Everywhere, Transport};

#[test]
fn the_list_over_tcp() {
    whole_list(Transport::Tcp);
}

#[test]
fn the_list_over_tls() {
    whole_list(Transport::Tls);
}

#[test]
fn the_list_over_websocket() {
    whole_list(Transport::WebSocket);
}

#[test]
fn the_list_over_secure_websocket() {
    whole_list(Transport::SecureWebSocket);
}

fn whole_list(transport: Transport) {
    let broker = Everywhere::start(Config::default());
    let mut witness = Witness::new(&broker, transport);
    let mut wrong = Vec::new();
    for entry in table::entries() {
        for is_in_pieces in [false, true] {
            let mut peer = Peer::new(broker.open(transport).stream);
            if let Err(what) = check(&mut peer, &entry, is_in_pieces) {
                let way = if is_in_pieces { "in pieces" } else { "at once" };
                let begin = &entry.bytes[..entry.bytes.len().min(20)];
                let (name, version) = (entry.name, entry.version);
                wrong.push(format!("{name} ({begin:x?}), {version:?}, {way}: {what}"));
            }
            drop(peer);
            witness.is_served();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Nobody who was refused is still there.
    broker.server.wait_for(|stats| stats.connections == 1);
}

/// A client that is connected all the time.
pub struct Witness(Client);

impl Witness {
    pub fn new(broker: &Everywhere, transport: Transport) -> Self {
        let mut client = broker.open(transport);
        client.greet(&Connect::new(ProtocolVersion::V5, "witness"));
        client.subscribe("witness", QoS::AtMostOnce);
        Self(client)
    }

    /// A message goes through the broker and comes back.
    pub fn is_served(&mut self) {
        self.0.publish("witness", b"served", QoS::AtMostOnce);
        self.0.expect(|packet| match packet {
            Packet::Publish(publish) => {
                assert_eq!(publish.payload, b"served");
                true
            }
            _ => false,
        });
    }
}

/// Sends it. The error says what came of it instead of what was expected.
fn check(peer: &mut Peer, entry: &Entry, is_in_pieces: bool) -> Result<(), String> {
    if entry.is_connected {
        peer.connect(entry.version)?;
    }
    peer.send(&entry.bytes, is_in_pieces);
    let (expected, packets) = match &entry.outcome {
        Outcome::Served => return peer.is_served(),
        Outcome::Waits(rest) => {
            peer.send(rest, is_in_pieces);
            return peer.is_served();
        }
        Outcome::Disconnect(reason) if entry.version == ProtocolVersion::V5 => {
            (Some((0xe0, *reason as u8)), peer.rest()?)
        }
        Outcome::ConnAck(code) => (Some((0x20, *code)), peer.rest()?),
        Outcome::Closed | Outcome::Disconnect(_) => (None, peer.rest()?),
    };
    // What was in order before is acknowledged.
    let is_answer = |packet: &Vec<u8>| !(0x40..0x80).contains(&packet[0]);
    let packets: Vec<_> = packets.into_iter().filter(is_answer).collect();
    let told = match packets.as_slice() {
        [] => None,
        [one] if one[0] == 0x20 => Some((one[0], one[3])),
        [one] => Some((one[0], one[2])),
        more => return Err(format!("too much was said: {more:x?}")),
    };
    if told == expected {
        return Ok(());
    }
    Err(format!("{told:x?} was said, not {expected:x?}"))
}

/// A client that says what it likes.
pub struct Peer {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
}

impl Peer {
    pub fn new(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            received: Vec::new(),
        }
    }

    pub fn connect(&mut self, version: ProtocolVersion) -> Result<(), String> {
        let head = [version as u8, 2, 0, 60];
        let properties: &[u8] = match version {
            ProtocolVersion::V5 => &[0],
            ProtocolVersion::V3_1_1 => &[],
        };
        self.send(
            &packet(0x10, &[&string("MQTT"), &head, properties, &string("")]),
            false,
        );
        match self.receive()?.as_deref() {
            Some([0x20, _, 0, 0, ..]) => Ok(()),
            other => Err(format!("CONNECT is answered with {other:x?}")),
        }
    }

    /// Writes all of it, or less where the broker closes before.
    pub fn send(&mut self, bytes: &[u8], is_in_pieces: bool) {
        let (begin, end) = bytes.split_at(bytes.len().min(PIECES));
        let size = if is_in_pieces { 1 } else { PIECES };
        for piece in begin.chunks(size).chain(end.chunks(1 << 20)) {
            let done = self
                .stream
                .write_all(piece)
                .and_then(|()| self.stream.flush());
            if done.is_err() {
                return;
            }
        }
    }

    /// The next packet; `None` at the end. There may be neither.
    pub fn receive(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut buffer = [0; 4_096];
        loop {
            if let Some(header) = FixedHeader::decode(&self.received).expect("a packet")
                && header.packet_len() <= self.received.len()
            {
                return Ok(Some(self.received.drain(..header.packet_len()).collect()));
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err("neither an answer nor the end".to_owned());
                }
                Err(_) => return Ok(None),
            }
        }
    }

    /// All packets until the end.
    pub fn rest(&mut self) -> Result<Vec<Vec<u8>>, String> {
        let mut packets = Vec::new();
        while let Some(packet) = self.receive()? {
            packets.push(packet);
        }
        Ok(packets)
    }

    /// A ping is answered, behind all that was to be answered before.
    pub fn is_served(&mut self) -> Result<(), String> {
        self.send(&packet(0xc0, &[]), false);
        while let Some(packet) = self.receive()? {
            match packet[0] {
                0xd0 => return Ok(()),
                0xe0 => return Err(format!("DISCONNECT: {packet:x?}")),
                _ => {}
            }
        }
        Err("the connection was closed".to_owned())
    }
}

/// How many bytes are sent one by one.
const PIECES: usize = 2_000;
/// The transports that the list is about.
pub const FOUR: [Transport; 4] = [
    Transport::Tcp,
    Transport::Tls,
    Transport::WebSocket,
    Transport::SecureWebSocket,
];
