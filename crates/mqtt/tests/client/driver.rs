//! A client driven by bytes: what its owner does, and what a server sends.

use std::time::Duration;

use declic_mqtt::client::{Client, CloseReason, Config, Event, InFlight, Memory, Message, State};
use declic_mqtt::packet::{
    Connect, Disconnect, FixedHeader, Packet, PacketKind, Properties, Subscription,
};
use declic_mqtt::{Instant, ProtocolVersion, QoS, ReasonCode, TopicFilter, TopicName};

/// Interprets `input` and panics where the client breaks a promise: two bytes for the sizes of its
/// memory, then one byte for each thing that happens, with its arguments behind it.
pub fn check_client_input(input: &[u8]) {
    let mut input = input.iter().copied();
    let (Some(receive), Some(others)) = (input.next(), input.next()) else {
        return;
    };
    let mut receive = vec![0; usize::from(receive)];
    let mut outbox = vec![0; usize::from(others >> 4) * 16];
    let mut in_flight = vec![InFlight::default(); usize::from(others >> 2 & 3)];
    let mut inbound = vec![None; usize::from(others & 3)];
    let mut driver = Driver {
        client: Client::new(
            Config::default(),
            Memory {
                receive: &mut receive,
                outbox: &mut outbox,
                in_flight: &mut in_flight,
                inbound: &mut inbound,
            },
        ),
        now: Instant::ZERO,
        sent: Vec::new(),
        first: true,
        missing: 0,
    };
    while let Some(step) = input.next() {
        driver.step(step, &mut input);
        driver.drain();
    }
    driver.client.handle_closed(driver.now);
    driver.drain();
    assert_eq!(driver.client.state(), State::Idle);
    // As good as new, where a CONNECT fits.
    driver.sent.clear();
    driver.connect(ProtocolVersion::V5, true);
    if driver.client.state() == State::Connecting {
        driver.write(usize::MAX);
        driver.feed(&mut [0x20, 3, 0, 0, 0].into_iter(), 5);
        driver.drain();
        assert_eq!(driver.client.state(), State::Connected);
    }
}

struct Driver<'b> {
    client: Client<'b>,
    now: Instant,
    /// What was sent on this connection and is not looked at.
    sent: Vec<u8>,
    /// Nothing on this connection was looked at.
    first: bool,
    /// Bytes of a message in parts that are still to come.
    missing: usize,
}

impl Driver<'_> {
    fn step(&mut self, step: u8, input: &mut impl Iterator<Item = u8>) {
        let mut argument = || usize::from(input.next().unwrap_or_default());
        let topic = TopicName::new("t").expect("a topic name");
        let qos = QoS::from_u8(step & 3).unwrap_or_default();
        let message = |payload| Message {
            qos,
            retain: step & 4 != 0,
            ..Message::new(topic, payload)
        };
        match step >> 4 {
            0 | 1 => {
                let payload = [b'x'; 256];
                let _ = self.client.publish(&message(&payload[..argument()]));
            }
            2 => {
                let _ = self.client.publish_streamed(&message(&[]), argument());
            }
            3 => {
                let missing = self.client.awaited_payload();
                if self.client.transmit().is_empty() {
                    let len = missing.min(argument());
                    self.client.streamed(len, self.now);
                    self.sent.resize(self.sent.len() + len, b's');
                    self.look();
                }
            }
            4 => {
                let filter = TopicFilter::new("t/+").expect("a topic filter");
                let subscription = [Subscription::new(filter, qos)];
                let _ = if step & 4 == 0 {
                    self.client.subscribe(&subscription, Properties::EMPTY)
                } else {
                    self.client.unsubscribe(&[filter], Properties::EMPTY)
                };
            }
            5 => {
                let version = if step & 1 == 0 {
                    ProtocolVersion::V3_1_1
                } else {
                    ProtocolVersion::V5
                };
                self.connect(version, step & 2 != 0);
            }
            6 => {
                let packet = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
                let result = self.client.disconnect(&packet, self.now);
                assert_eq!(result, Ok(()));
            }
            7 => {
                self.client.handle_closed(self.now);
                self.drain();
                assert_eq!(self.client.state(), State::Idle);
            }
            8 => {
                self.now = self.now + Duration::from_secs(argument() as u64);
                self.client.handle_timeout(self.now);
            }
            // An acknowledgement of something that may well exist.
            9 => {
                let first = [0x40, 0x50, 0x62, 0x70][usize::from(step & 3)];
                let id = argument() as u8 & 15;
                self.feed(&mut [first, 2, 0, id].into_iter(), 4);
            }
            // A CONNACK.
            10 => {
                let bytes = [0x20, 3, step & 1, 0, 0];
                let is_3_1_1 = self.client.version() == ProtocolVersion::V3_1_1;
                if is_3_1_1 {
                    self.feed(&mut [0x20, 2, step & 1, 0].into_iter(), 4);
                } else {
                    self.feed(&mut bytes.into_iter(), 5);
                }
            }
            11..13 => {
                let limit = argument();
                self.write(if step & 1 == 0 { limit } else { usize::MAX });
            }
            _ => {
                let len = argument();
                self.feed(input, len);
            }
        }
    }

    fn connect(&mut self, version: ProtocolVersion, clean_start: bool) {
        let mut connect = Connect::new(version, "fuzz");
        connect.clean_start = clean_start;
        if self.client.connect(&connect, self.now).is_ok() {
            self.sent.clear();
            self.first = true;
        }
    }

    /// The server sends the next `len` bytes of `bytes`.
    fn feed(&mut self, bytes: &mut dyn Iterator<Item = u8>, len: usize) {
        let bytes: Vec<u8> = bytes.take(len).collect();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let space = self.client.rx_space();
            let len = space.len().min(rest.len());
            if len == 0 {
                return;
            }
            space[..len].copy_from_slice(&rest[..len]);
            self.client.received(len, self.now);
            rest = &rest[len..];
            self.drain();
        }
    }

    fn write(&mut self, limit: usize) {
        let mut writes = 0;
        loop {
            let bytes = self.client.transmit();
            let len = bytes.len().min(limit);
            if len == 0 {
                break;
            }
            self.sent.extend_from_slice(&bytes[..len]);
            self.client.transmitted(len, self.now);
            writes += 1;
            assert!(writes < 1_000, "the bytes never end");
            if limit != usize::MAX {
                break;
            }
        }
        self.look();
    }

    /// What is sent is whole packets that a client may send, CONNECT first and once.
    fn look(&mut self) {
        let version = self.client.version();
        while let Some(header) = FixedHeader::decode(&self.sent).expect("a valid fixed header") {
            if self.sent.len() < header.packet_len() {
                return;
            }
            let body = &self.sent[header.len()..header.packet_len()];
            let packet = Packet::decode(version, header, body).expect("a valid packet");
            assert_eq!(packet.kind() == PacketKind::Connect, self.first);
            assert!(!matches!(
                packet,
                Packet::ConnAck(_)
                    | Packet::SubAck(_)
                    | Packet::UnsubAck(_)
                    | Packet::PingResp
                    | Packet::Auth(_)
            ));
            self.first = false;
            self.sent.drain(..header.packet_len());
        }
    }

    fn drain(&mut self) {
        let mut events = 0;
        while let Some(event) = self.client.poll_event() {
            events += 1;
            assert!(events < 1_000, "the events never end");
            match event {
                Event::Message { remaining, .. } => {
                    assert_eq!(self.missing, 0);
                    self.missing = remaining;
                }
                Event::MessageChunk { payload, remaining } => {
                    assert_eq!(self.missing, payload.len() + remaining);
                    self.missing = remaining;
                }
                Event::Closed(reason) => {
                    self.missing = 0;
                    assert!(!matches!(reason, CloseReason::Server(_)) || !self.first);
                    assert_eq!(self.client.state(), State::Idle);
                    assert!(self.client.transmit().is_empty());
                }
                _ => {}
            }
        }
        // An owner that sleeps until then misses nothing.
        assert!(
            self.client.state() != State::Idle || self.client.poll_timeout().is_none(),
            "a client without a connection waits for nothing"
        );
    }
}
