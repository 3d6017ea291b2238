//! A broker's engine with scripted clients and a clock of its own.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use declic_mqtt::packet::{
    Ack, ConnAck, Connect, Delivery, Disconnect, FixedHeader, Items, Packet, Properties, Property,
    Publish, SubAck, Subscribe, Subscription, UnsubAck, Unsubscribe,
};
use declic_mqtt::{Instant, PacketId, ProtocolVersion, QoS, ReasonCode, TopicFilter, TopicName};

use crate::engine::{CloseReason, ConnId, Effect, Engine, Limits};

pub(super) use super::disk::Disk;
pub(super) use declic_mqtt::ProtocolVersion::{V3_1_1, V5};
pub(super) use declic_mqtt::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

pub(super) const BOTH: [ProtocolVersion; 2] = [V3_1_1, V5];

/// The engine, the owner around it and the transports.
pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) now: Instant,
    transports: BTreeMap<ConnId, Transport>,
    /// Connects and disconnects, with the authentications asked for.
    pub(super) effects: Vec<Effect>,
    /// What `fill` may write at once.
    pub(super) write_size: usize,
    /// What keeps the durable state, for an engine with a store.
    pub(super) disk: Disk,
    steps: u32,
}

struct Transport {
    version: ProtocolVersion,
    received: Vec<u8>,
    closed: Option<CloseReason>,
    /// The client doesn't read.
    blocked: bool,
    paused: bool,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(super) fn with_limits(limits: Limits) -> Self {
        Self::with_engine(Engine::new(limits, 7))
    }

    pub(super) fn with_engine(engine: Engine) -> Self {
        Self {
            engine,
            now: Instant::ZERO,
            transports: BTreeMap::new(),
            effects: Vec::new(),
            write_size: 4_096,
            disk: Disk::default(),
            steps: 0,
        }
    }

    pub(super) fn open(&mut self, version: ProtocolVersion) -> ConnId {
        let conn = self
            .engine
            .handle_open(self.now)
            .expect("room for a connection");
        let transport = Transport {
            version,
            received: Vec::new(),
            closed: None,
            blocked: false,
            paused: false,
        };
        self.transports.insert(conn, transport);
        conn
    }

    /// A client with a clean start that is accepted.
    pub(super) fn client(&mut self, version: ProtocolVersion, client_id: &str) -> ConnId {
        self.connect(&Connect::new(version, client_id)).0
    }

    /// A client that is accepted, and whether its session was present.
    pub(super) fn connect(&mut self, connect: &Connect<'_>) -> (ConnId, bool) {
        let conn = self.open(connect.version);
        let connack = self.try_connect(conn, connect);
        let present = self.connack(connect.version, &connack, |connack| {
            assert_eq!(connack.reason, ReasonCode::Success);
            connack.session_present
        });
        (conn, present)
    }

    /// Sends a CONNECT and returns the CONNACK's bytes; what comes behind it stays.
    pub(super) fn try_connect(&mut self, conn: ConnId, connect: &Connect<'_>) -> Vec<u8> {
        self.send(conn, &[Packet::Connect(*connect)]);
        let received = &mut self.transport(conn).received;
        let header = FixedHeader::decode(received)
            .expect("a packet")
            .expect("a CONNACK");
        received.drain(..header.packet_len()).collect()
    }

    pub(super) fn connack<T>(
        &self,
        version: ProtocolVersion,
        bytes: &[u8],
        look: impl FnOnce(&ConnAck<'_>) -> T,
    ) -> T {
        match decode(version, bytes)[..] {
            [Packet::ConnAck(connack)] => look(&connack),
            ref other => panic!("expected a CONNACK, received {other:?}"),
        }
    }

    pub(super) fn send(&mut self, conn: ConnId, packets: &[Packet<'_>]) {
        let version = self.transport(conn).version;
        let bytes = encode(version, packets);
        self.send_bytes(conn, &bytes);
    }

    pub(super) fn send_bytes(&mut self, conn: ConnId, bytes: &[u8]) {
        self.engine.handle_bytes(conn, bytes, self.now);
        self.step();
    }

    /// Subscribes and takes the SUBACK.
    pub(super) fn subscribe(&mut self, conn: ConnId, filter: &str, qos: QoS) {
        self.subscribe_with(conn, subscription(filter, qos), &[]);
    }

    pub(super) fn subscribe_with(
        &mut self,
        conn: ConnId,
        subscription: Subscription<'_>,
        properties: &[Property<'_>],
    ) {
        let subscriptions = [subscription];
        let subscribe = Subscribe {
            packet_id: id(99),
            properties: Properties::new(properties),
            subscriptions: Items::new(&subscriptions),
        };
        self.send(conn, &[Packet::Subscribe(subscribe)]);
        let version = self.transport(conn).version;
        let received = &mut self.transport(conn).received;
        let header = FixedHeader::decode(received)
            .expect("a packet")
            .expect("a SUBACK");
        let suback: Vec<_> = received.drain(..header.packet_len()).collect();
        match decode(version, &suback)[..] {
            [Packet::SubAck(suback)] => assert!(suback.reasons.iter().all(|one| !one.is_error())),
            ref other => panic!("expected a SUBACK, received {other:?}"),
        }
    }

    pub(super) fn unsubscribe(&mut self, conn: ConnId, filter: &str) {
        let filters = [TopicFilter::new(filter).expect("a valid filter")];
        let unsubscribe = Unsubscribe {
            packet_id: id(98),
            properties: Properties::EMPTY,
            filters: Items::new(&filters),
        };
        self.send(conn, &[Packet::Unsubscribe(unsubscribe)]);
        let reasons = Items::new(&[ReasonCode::Success]);
        self.expect(
            conn,
            &[Packet::UnsubAck(UnsubAck {
                packet_id: id(98),
                properties: Properties::EMPTY,
                reasons,
            })],
        );
    }

    /// Exactly these packets came since the last look.
    #[track_caller]
    pub(super) fn expect(&mut self, conn: ConnId, expected: &[Packet<'_>]) {
        let version = self.transport(conn).version;
        let received = without_words(version, &self.received(conn));
        if received != encode(version, expected) {
            let mut text = String::new();
            for packet in expected {
                let _ = writeln!(text, "expected {packet:?}");
            }
            for packet in decode(version, &received) {
                let _ = writeln!(text, "received {packet:?}");
            }
            panic!("\n{text}");
        }
    }

    #[track_caller]
    pub(super) fn expect_nothing(&mut self, conn: ConnId) {
        self.expect(conn, &[]);
    }

    /// All bytes since the last look.
    pub(super) fn received(&mut self, conn: ConnId) -> Vec<u8> {
        std::mem::take(&mut self.transport(conn).received)
    }

    /// Topics and payloads of the publishes that came since the last look.
    pub(super) fn messages(&mut self, conn: ConnId) -> Vec<String> {
        let version = self.transport(conn).version;
        let received = self.received(conn);
        let text = |packet: Packet<'_>| match packet {
            Packet::Publish(publish) => {
                let topic = publish.topic.map_or("", TopicName::as_str);
                Some(format!(
                    "{topic} {}",
                    String::from_utf8_lossy(publish.payload)
                ))
            }
            _ => None,
        };
        decode(version, &received)
            .into_iter()
            .filter_map(text)
            .collect()
    }

    /// Why the engine closed the connection; `None` while it is open.
    pub(super) fn closed(&self, conn: ConnId) -> Option<CloseReason> {
        self.transports
            .get(&conn)
            .and_then(|transport| transport.closed)
    }

    pub(super) fn is_paused(&self, conn: ConnId) -> bool {
        self.transports[&conn].paused
    }

    /// The transport breaks.
    pub(super) fn lose(&mut self, conn: ConnId) {
        self.engine.handle_closed(conn, self.now);
        self.step();
    }

    /// The client stops to read, or starts again.
    pub(super) fn block(&mut self, conn: ConnId, blocked: bool) {
        self.transport(conn).blocked = blocked;
        if !blocked {
            self.drain(conn);
            self.step();
        }
    }

    pub(super) fn advance(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.engine.poll_timeout().filter(|next| *next <= until) {
            self.now = next.max(self.now);
            self.engine.handle_timeout(self.now);
            self.step();
        }
        self.now = until;
    }

    /// The owner's part: effects, then bytes.
    pub(super) fn step(&mut self) {
        loop {
            while let Some(effect) = self.engine.poll_effect() {
                match effect {
                    Effect::Close { conn, reason } => {
                        self.drain(conn);
                        self.transport(conn).closed = Some(reason);
                        self.engine.handle_closed(conn, self.now);
                    }
                    Effect::PauseRead(conn) => self.transport(conn).paused = true,
                    Effect::ResumeRead(conn) => self.transport(conn).paused = false,
                    effect => self.effects.push(effect),
                }
            }
            let Some(conn) = self.engine.poll_ready() else {
                if self.disk.turn(&mut self.engine, self.now) || self.engine.ready() > 0 {
                    continue;
                }
                break;
            };
            if !self.transport(conn).blocked {
                self.drain(conn);
            }
        }
        // Looking at everything takes time where there is much.
        self.steps += 1;
        if self.engine.stats().messages < 100 || self.steps.is_multiple_of(256) {
            self.engine.check();
        }
    }

    fn drain(&mut self, conn: ConnId) {
        let mut buffer = vec![0; self.write_size];
        loop {
            let filled = self.engine.fill(conn, &mut buffer, self.now);
            self.transport(conn)
                .received
                .extend_from_slice(&buffer[..filled]);
            if filled < buffer.len() {
                return;
            }
        }
    }

    fn transport(&mut self, conn: ConnId) -> &mut Transport {
        self.transports.get_mut(&conn).expect("a transport")
    }
}

impl Engine {
    /// Every message is held exactly as often as it is referred to, and all counts are right.
    pub(super) fn check(&self) {
        let mut references = BTreeMap::<u32, u32>::new();
        let mut count = |message: &crate::engine::messages::MessageRef| {
            *references.entry(message.slot()).or_default() += 1;
        };
        let (mut lists, mut subscriptions) = (0, 0);
        let (mut queued, mut in_flight) = (0, 0);
        let (mut client_id_bytes, mut clients) = (0, 0);
        for (_, session) in &self.sessions {
            let mut queued_bytes = 0;
            queued += session.queue.len();
            in_flight += session.in_flight.len();
            client_id_bytes += session.client_id.len();
            for entry in &session.queue {
                count(&entry.message);
                queued_bytes += self.messages.get(&entry.message).bytes().len();
                lists += usize::from(entry.ids.as_list().is_some());
            }
            assert_eq!(session.queued_bytes, queued_bytes);
            for sent in &session.in_flight {
                sent.message.iter().for_each(&mut count);
                lists += usize::from(sent.ids.as_list().is_some());
            }
            assert!(session.resend <= session.in_flight.len());
            session.will.iter().for_each(|will| count(&will.message));
            subscriptions += session.subscriptions.len();
            clients += usize::from(session.conn.is_some());
        }
        assert_eq!(self.stats.clients, clients);
        let mut connection_bytes = 0;
        for slot in self.conns.iter() {
            let conn = &self.conns[slot];
            conn.large.iter().for_each(|large| count(&large.message));
            connection_bytes += conn.tail.len();
            connection_bytes += conn.aliases.as_ref().map_or(0, |aliases| aliases.bytes());
            let sent = conn.sent_aliases.as_ref();
            connection_bytes += sent.map_or(0, |aliases| aliases.bytes());
            if let Some(session) = conn.session {
                assert_eq!(self.sessions[session as usize].conn, Some(slot));
            }
        }
        if let Some(journal) = &self.journal {
            journal.kept_messages().for_each(&mut count);
        }
        let mut retained_bytes = 0;
        for kept in self.retained.iter() {
            count(&kept.message);
            retained_bytes += self.messages.get(&kept.message).bytes().len();
        }
        assert_eq!(self.retained.bytes, retained_bytes);
        self.messages.check(&references);
        assert_eq!(self.lists.len(), lists);
        assert_eq!(self.tree.len(), subscriptions);
        assert_eq!(self.connection_bytes, connection_bytes);
        assert_eq!(
            (self.queued, self.in_flight, self.client_id_bytes),
            (queued, in_flight, client_id_bytes)
        );
        assert_eq!(self.clients.len(), self.sessions.len());
    }
}

pub(super) fn encode(version: ProtocolVersion, packets: &[Packet<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in packets {
        let length = packet
            .encoded_len(version)
            .expect("a packet that can be encoded");
        let at = bytes.len();
        bytes.resize(at + length, 0);
        packet
            .encode(version, &mut bytes[at..])
            .expect("room for the packet");
    }
    bytes
}

/// The packets without their reasons in words.
fn without_words(version: ProtocolVersion, bytes: &[u8]) -> Vec<u8> {
    let is_plain = |properties: Properties<'_>| properties.reason_string().is_none();
    let plain = |packet| match packet {
        Packet::PubAck(ack) if !is_plain(ack.properties) => Packet::PubAck(Ack {
            properties: Properties::EMPTY,
            ..ack
        }),
        Packet::PubRec(ack) if !is_plain(ack.properties) => Packet::PubRec(Ack {
            properties: Properties::EMPTY,
            ..ack
        }),
        Packet::SubAck(suback) if !is_plain(suback.properties) => Packet::SubAck(SubAck {
            properties: Properties::EMPTY,
            ..suback
        }),
        Packet::Disconnect(one) if !is_plain(one.properties) => Packet::Disconnect(Disconnect {
            properties: Properties::EMPTY,
            ..one
        }),
        Packet::ConnAck(one) if !is_plain(one.properties) => Packet::ConnAck(ConnAck {
            properties: Properties::EMPTY,
            ..one
        }),
        other => other,
    };
    let packets: Vec<_> = decode(version, bytes).into_iter().map(plain).collect();
    encode(version, &packets)
}

pub(super) fn decode(version: ProtocolVersion, mut bytes: &[u8]) -> Vec<Packet<'_>> {
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        let header = FixedHeader::decode(bytes)
            .expect("a packet")
            .expect("a whole header");
        let (packet, rest) = bytes.split_at(header.packet_len());
        let body = &packet[header.len()..];
        packets.push(Packet::decode(version, header, body).expect("a valid packet"));
        bytes = rest;
    }
    packets
}

pub(super) fn id(id: u16) -> PacketId {
    PacketId::new(id).expect("not 0")
}

pub(super) fn topic(name: &str) -> TopicName<'_> {
    TopicName::new(name).expect("a valid topic")
}

pub(super) fn subscription(filter: &str, qos: QoS) -> Subscription<'_> {
    Subscription::new(TopicFilter::new(filter).expect("a valid filter"), qos)
}

/// A publish with the identifier `packet_id`, which QoS 0 leaves out.
pub(super) fn publish<'a>(
    name: &'a str,
    payload: &'a str,
    qos: QoS,
    packet_id: u16,
) -> Publish<'a> {
    Publish {
        delivery: Delivery::new(qos, id(packet_id)),
        ..Publish::new(topic(name), payload.as_bytes())
    }
}

pub(super) fn message<'a>(name: &'a str, payload: &'a str, qos: QoS, packet_id: u16) -> Packet<'a> {
    Packet::Publish(publish(name, payload, qos, packet_id))
}

pub(super) fn retained<'a>(
    name: &'a str,
    payload: &'a str,
    qos: QoS,
    packet_id: u16,
) -> Packet<'a> {
    Packet::Publish(Publish {
        retain: true,
        ..publish(name, payload, qos, packet_id)
    })
}

pub(super) fn again<'a>(name: &'a str, payload: &'a str, qos: QoS, packet_id: u16) -> Packet<'a> {
    Packet::Publish(Publish {
        dup: true,
        ..publish(name, payload, qos, packet_id)
    })
}

pub(super) fn puback(packet_id: u16) -> Packet<'static> {
    Packet::PubAck(Ack::new(id(packet_id)))
}

pub(super) fn pubrec(packet_id: u16) -> Packet<'static> {
    Packet::PubRec(Ack::new(id(packet_id)))
}

pub(super) fn pubrel(packet_id: u16) -> Packet<'static> {
    Packet::PubRel(Ack::new(id(packet_id)))
}

pub(super) fn pubcomp(packet_id: u16) -> Packet<'static> {
    Packet::PubComp(Ack::new(id(packet_id)))
}

pub(super) fn ack(packet_id: u16, reason: ReasonCode) -> Ack<'static> {
    Ack {
        reason,
        ..Ack::new(id(packet_id))
    }
}

pub(super) fn suback(packet_id: u16, reasons: &[ReasonCode]) -> Packet<'_> {
    Packet::SubAck(SubAck {
        packet_id: id(packet_id),
        properties: Properties::EMPTY,
        reasons: Items::new(reasons),
    })
}

/// A CONNECT that asks for a session that lasts.
pub(super) fn lasting(version: ProtocolVersion, client_id: &str) -> Connect<'_> {
    Connect {
        clean_start: false,
        properties: Properties::new(FOR_EVER),
        ..Connect::new(version, client_id)
    }
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const FOR_EVER: &[Property<'_>] = &[Property::SessionExpiryInterval(u32::MAX)];
