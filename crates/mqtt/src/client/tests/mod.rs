//! The client against a server that follows a script, on virtual time.
//!
//! Both ends speak through the packet API. A comment line names the normative statement that a
//! test holds, with its version.

mod bad_input;
mod connect;
mod disconnect;
mod keep_alive;
mod limits;
mod model;
mod outbox;
mod publish;
mod queue;
mod receive;
mod replay;
mod splits;
mod stream;
mod transmit;
mod version;

use core::num::NonZeroU16;
use core::time::Duration;
use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use proptest::test_runner::Config as ProptestConfig;

use super::*;
use crate::packet::{
    Ack, ConnAck, Connect, Delivery, FixedHeader, Item, Items, Packet, Properties, Property,
    Publish, SubAck, Subscription, UnsubAck,
};
use crate::{Instant, TopicFilter, TopicName};

const BOTH: [ProtocolVersion; 2] = [ProtocolVersion::V3_1_1, ProtocolVersion::V5];
const V3: ProtocolVersion = ProtocolVersion::V3_1_1;
const V5: ProtocolVersion = ProtocolVersion::V5;

/// How much memory a client gets.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    receive: usize,
    outbox: usize,
    in_flight: usize,
    inbound: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            receive: 128,
            outbox: 256,
            in_flight: 8,
            inbound: 4,
        }
    }
}

/// A client, its clock, and the server's end of its transport.
struct Bench {
    client: Client<'static>,
    now: Instant,
    version: ProtocolVersion,
    /// What the client sent and the server has not looked at.
    outgoing: Vec<u8>,
}

impl Bench {
    /// A client that was never connected.
    fn new(version: ProtocolVersion) -> Self {
        Self::with(version, Sizes::default())
    }

    fn with(version: ProtocolVersion, sizes: Sizes) -> Self {
        let memory = Memory {
            receive: vec![0; sizes.receive].leak(),
            outbox: vec![0; sizes.outbox].leak(),
            in_flight: vec![InFlight::default(); sizes.in_flight].leak(),
            inbound: vec![None; sizes.inbound].leak(),
        };
        Self {
            client: Client::new(Config::default(), memory),
            now: Instant::from_millis(1_000),
            version,
            outgoing: Vec::new(),
        }
    }

    /// A client whose connection was just accepted, without an earlier session.
    fn online(version: ProtocolVersion) -> Self {
        Self::online_with(version, Sizes::default(), &[])
    }

    fn online_with(
        version: ProtocolVersion,
        sizes: Sizes,
        properties: &[Property<'static>],
    ) -> Self {
        let mut bench = Self::with(version, sizes);
        bench.begin(false);
        let events = bench.accept(false, properties);
        assert!(matches!(events[..], [Event::Connected { .. }]));
        bench
    }

    /// Connects up to the CONNECT, which the server takes.
    #[track_caller]
    fn begin(&mut self, clean_start: bool) {
        let mut connect = Connect::new(self.version, "bench");
        connect.clean_start = clean_start;
        self.client.connect(&connect, self.now).expect("idle");
        let sent = self.sent();
        assert!(matches!(sent[..], [Packet::Connect(_)]), "{sent:?}");
    }

    /// The server accepts the connection.
    #[track_caller]
    fn accept(
        &mut self,
        session_present: bool,
        properties: &[Property<'static>],
    ) -> Vec<Event<'static>> {
        self.say(Packet::ConnAck(ConnAck {
            session_present,
            reason: ReasonCode::Success,
            properties: Properties::new(properties),
        }))
    }

    /// The connection is lost and another made.
    #[track_caller]
    fn reconnect(&mut self, session_present: bool) {
        self.lose();
        self.begin(false);
        let events = self.accept(session_present, &[]);
        assert!(
            matches!(events[..], [Event::Connected { .. }]),
            "{events:?}"
        );
    }

    /// The transport is lost, and nothing comes of it but that.
    #[track_caller]
    fn lose(&mut self) {
        self.client.handle_closed(self.now);
        assert_eq!(self.events(), [Event::Closed(CloseReason::Lost)]);
        self.outgoing.clear();
    }

    fn events(&mut self) -> Vec<Event<'static>> {
        let mut events = Vec::new();
        while let Some(event) = self.client.poll_event() {
            events.push(kept(event));
            assert!(events.len() < 10_000, "the events never end");
        }
        events
    }

    /// The server sends `packet`; what comes of it.
    #[track_caller]
    fn say(&mut self, packet: Packet<'_>) -> Vec<Event<'static>> {
        self.say_bytes(&encoded(self.version, packet))
    }

    #[track_caller]
    fn say_bytes(&mut self, bytes: &[u8]) -> Vec<Event<'static>> {
        assert_eq!(self.feed(bytes), bytes.len(), "bytes that found space");
        self.events()
    }

    /// Puts as many of `bytes` as find space into the receive buffer; how many did.
    fn feed(&mut self, bytes: &[u8]) -> usize {
        let space = self.client.rx_space();
        let len = space.len().min(bytes.len());
        space[..len].copy_from_slice(&bytes[..len]);
        self.client.received(len, self.now);
        len
    }

    /// The transport takes at most `limit` bytes in one write.
    fn write(&mut self, limit: usize) -> usize {
        let bytes = self.client.transmit();
        let len = bytes.len().min(limit);
        self.outgoing.extend_from_slice(&bytes[..len]);
        self.client.transmitted(len, self.now);
        len
    }

    /// All packets that the client sends now, and that the server has not looked at.
    #[track_caller]
    fn sent(&mut self) -> Vec<Packet<'static>> {
        let mut writes = 0;
        while self.write(usize::MAX) > 0 {
            writes += 1;
            assert!(writes < 10_000, "the bytes never end");
        }
        let packets = self.seen();
        assert_eq!(self.outgoing, [], "half a packet");
        packets
    }

    /// The whole packets among the bytes that the transport took.
    #[track_caller]
    fn seen(&mut self) -> Vec<Packet<'static>> {
        let mut packets = Vec::new();
        while let Some(packet) = split_packet(self.version, &mut self.outgoing) {
            packets.push(packet);
        }
        packets
    }

    /// `millis` pass, and the client is told at every moment it asked for.
    fn wait(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(at) = self.client.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.client.handle_timeout(self.now);
            if self.client.poll_timeout() == Some(at) {
                break;
            }
        }
        self.now = end;
        self.client.handle_timeout(end);
    }

    #[track_caller]
    fn publish(&mut self, qos: QoS, payload: &str) -> Option<PacketId> {
        self.client.publish(&message(qos, payload)).expect("space")
    }
}

/// The first packet of `bytes`, which it is taken from; `None` while it is not whole.
#[track_caller]
fn split_packet(version: ProtocolVersion, bytes: &mut Vec<u8>) -> Option<Packet<'static>> {
    let header = FixedHeader::decode(bytes).expect("a valid fixed header")?;
    if bytes.len() < header.packet_len() {
        return None;
    }
    let packet: Vec<u8> = bytes.drain(..header.packet_len()).collect();
    let body = &packet.leak()[header.len()..];
    Some(Packet::decode(version, header, body).expect("a valid packet"))
}

fn encoded(version: ProtocolVersion, packet: Packet<'_>) -> Vec<u8> {
    let mut bytes = vec![0; packet.encoded_len(version).expect("a valid packet")];
    packet.encode(version, &mut bytes).expect("its length");
    bytes
}

/// A copy of `event` that borrows nothing from the client.
fn kept(event: Event<'_>) -> Event<'static> {
    match event {
        Event::Connected {
            session_present,
            properties,
        } => Event::Connected {
            session_present,
            properties: kept_items(properties),
        },
        Event::Message { publish, remaining } => Event::Message {
            publish: Publish {
                dup: publish.dup,
                delivery: publish.delivery,
                retain: publish.retain,
                topic: publish.topic.map(|topic| {
                    let topic: Box<str> = topic.as_str().into();
                    TopicName::new(Box::leak(topic)).expect("a topic name")
                }),
                properties: kept_items(publish.properties),
                payload: publish.payload.to_vec().leak(),
            },
            remaining,
        },
        Event::MessageChunk { payload, remaining } => Event::MessageChunk {
            payload: payload.to_vec().leak(),
            remaining,
        },
        Event::Acknowledged { id, reason } => Event::Acknowledged { id, reason },
        Event::Subscribed { id, reasons } => Event::Subscribed {
            id,
            reasons: kept_items(reasons),
        },
        Event::Unsubscribed { id, reasons } => Event::Unsubscribed {
            id,
            reasons: kept_items(reasons),
        },
        Event::Dropped { id, reason } => Event::Dropped { id, reason },
        Event::Closed(reason) => Event::Closed(reason),
    }
}

fn kept_items<'a, T: Item<'a>, U: Item<'static>>(items: Items<'a, T>) -> Items<'static, U> {
    let bytes = items.as_encoded().expect("received").to_vec().leak();
    Items::decode(bytes, |_| Ok(())).expect("decoded before")
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).expect("an identifier")
}

fn topic() -> TopicName<'static> {
    TopicName::new("t").expect("a topic name")
}

fn filter() -> TopicFilter<'static> {
    TopicFilter::new("t/#").expect("a topic filter")
}

fn message(qos: QoS, payload: &str) -> Message<'_> {
    Message {
        qos,
        ..Message::new(topic(), payload.as_bytes())
    }
}

/// A PUBLISH in either direction; `id` 0 with QoS 0.
fn publish(qos: QoS, packet_id: u16, payload: &str) -> Packet<'_> {
    let packet_id = PacketId::new(packet_id).unwrap_or(PacketId::FIRST);
    Packet::Publish(Publish {
        delivery: Delivery::new(qos, packet_id),
        ..Publish::new(topic(), payload.as_bytes())
    })
}

/// The same, sent again.
fn again(qos: QoS, packet_id: u16, payload: &str) -> Packet<'_> {
    match publish(qos, packet_id, payload) {
        Packet::Publish(publish) => Packet::Publish(Publish {
            dup: true,
            ..publish
        }),
        packet => packet,
    }
}

/// The event of a message that came whole.
fn received(packet: Packet<'_>) -> Event<'_> {
    match packet {
        Packet::Publish(publish) => Event::Message {
            publish,
            remaining: 0,
        },
        packet => panic!("{packet:?} is no message"),
    }
}

fn puback(packet_id: u16) -> Packet<'static> {
    Packet::PubAck(Ack::new(id(packet_id)))
}

fn pubrec(packet_id: u16) -> Packet<'static> {
    Packet::PubRec(Ack::new(id(packet_id)))
}

fn pubrel(packet_id: u16) -> Packet<'static> {
    Packet::PubRel(Ack::new(id(packet_id)))
}

fn pubcomp(packet_id: u16) -> Packet<'static> {
    Packet::PubComp(Ack::new(id(packet_id)))
}

fn with_reason(packet: Packet<'static>, reason: ReasonCode) -> Packet<'static> {
    match packet {
        Packet::PubAck(ack) => Packet::PubAck(Ack { reason, ..ack }),
        Packet::PubRec(ack) => Packet::PubRec(Ack { reason, ..ack }),
        Packet::PubRel(ack) => Packet::PubRel(Ack { reason, ..ack }),
        Packet::PubComp(ack) => Packet::PubComp(Ack { reason, ..ack }),
        packet => packet,
    }
}

fn acknowledged(packet_id: u16) -> Event<'static> {
    Event::Acknowledged {
        id: id(packet_id),
        reason: ReasonCode::Success,
    }
}

fn refused(packet_id: u16, reason: ReasonCode) -> Event<'static> {
    Event::Acknowledged {
        id: id(packet_id),
        reason,
    }
}

fn suback(packet_id: u16) -> Packet<'static> {
    Packet::SubAck(SubAck {
        packet_id: id(packet_id),
        properties: Properties::EMPTY,
        reasons: Items::new(&[ReasonCode::GrantedQoS1]),
    })
}

fn unsuback(packet_id: u16) -> Packet<'static> {
    Packet::UnsubAck(UnsubAck {
        packet_id: id(packet_id),
        properties: Properties::EMPTY,
        reasons: Items::new(&[ReasonCode::Success]),
    })
}

fn goodbye(reason: ReasonCode) -> Packet<'static> {
    Packet::Disconnect(Disconnect::new(reason))
}

use crate::packet::Disconnect;
