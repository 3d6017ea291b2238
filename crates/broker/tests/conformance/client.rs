//! A client that does one thing after the other and hides nothing.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use declic_mqtt::packet::{
    Ack, ConnAck, Connect, Delivery, Disconnect, FixedHeader, Items, Packet, PacketKind,
    Properties, Property, Publish, Subscribe, Subscription, Unsubscribe,
};
use declic_mqtt::{PacketId, ProtocolVersion, QoS, ReasonCode, TopicFilter, TopicName};

use crate::broker::Subject;

pub struct Client {
    stream: TcpStream,
    subject: &'static Subject,
    version: ProtocolVersion,
    bytes: Vec<u8>,
    /// Packets that came and were not asked for yet, in order.
    pending: VecDeque<Received>,
    aliases: BTreeMap<u16, String>,
    next_id: PacketId,
    marker: Option<String>,
    markers: u32,
    ended: bool,
}

/// A packet that came.
#[derive(Clone)]
pub struct Received {
    version: ProtocolVersion,
    pub bytes: Vec<u8>,
    /// Of a PUBLISH, with its alias resolved.
    pub topic: String,
}

impl Received {
    pub fn packet(&self) -> Packet<'_> {
        let header = FixedHeader::decode(&self.bytes)
            .expect("a packet")
            .expect("a whole header");
        Packet::decode(self.version, header, &self.bytes[header.len()..]).expect("a valid packet")
    }

    pub fn kind(&self) -> PacketKind {
        self.packet().kind()
    }

    #[track_caller]
    pub fn publish(&self) -> Publish<'_> {
        match self.packet() {
            Packet::Publish(publish) => publish,
            other => panic!("expected a PUBLISH, received {other:?}"),
        }
    }

    pub fn payload(&self) -> &str {
        std::str::from_utf8(self.publish().payload).expect("text")
    }

    pub fn qos(&self) -> QoS {
        self.publish().delivery.qos()
    }

    pub fn packet_id(&self) -> u16 {
        let id = self.publish().delivery.packet_id();
        id.map_or(0, PacketId::get)
    }

    #[track_caller]
    pub fn ack(&self) -> Ack<'_> {
        match self.packet() {
            Packet::PubAck(ack)
            | Packet::PubRec(ack)
            | Packet::PubRel(ack)
            | Packet::PubComp(ack) => ack,
            other => panic!("expected an acknowledgement, received {other:?}"),
        }
    }

    #[track_caller]
    pub fn connack(&self) -> ConnAck<'_> {
        match self.packet() {
            Packet::ConnAck(connack) => connack,
            other => panic!("expected a CONNACK, received {other:?}"),
        }
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.packet().fmt(f)
    }
}

impl Client {
    pub fn open(subject: &'static Subject, version: ProtocolVersion) -> Self {
        let stream = TcpStream::connect(subject.address).expect("the broker listens");
        let limit = Some(subject.limit);
        stream.set_read_timeout(limit).expect("a timeout");
        stream.set_write_timeout(limit).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self {
            stream,
            subject,
            version,
            bytes: Vec::new(),
            pending: VecDeque::new(),
            aliases: BTreeMap::new(),
            next_id: PacketId::FIRST,
            marker: None,
            markers: 0,
            ended: false,
        }
    }

    /// Sends a CONNECT and takes the CONNACK, which must be a success. Returns whether there was
    /// a session.
    #[track_caller]
    pub fn connect(&mut self, connect: &Connect<'_>) -> bool {
        let received = self.try_connect(connect);
        let connack = received.connack();
        assert_eq!(connack.reason, ReasonCode::Success);
        connack.session_present
    }

    /// Sends a CONNECT and takes the CONNACK.
    #[track_caller]
    pub fn try_connect(&mut self, connect: &Connect<'_>) -> Received {
        self.send(Packet::Connect(*connect));
        self.take(PacketKind::ConnAck)
    }

    #[track_caller]
    pub fn send(&mut self, packet: Packet<'_>) {
        let mut bytes = vec![0; packet.encoded_len(self.version).expect("encodable")];
        packet.encode(self.version, &mut bytes).expect("room");
        self.send_bytes(&bytes);
    }

    /// Sends bytes; a connection that is closed already is no error.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.write_all(bytes) {
            let closed = [
                ErrorKind::ConnectionReset,
                ErrorKind::BrokenPipe,
                ErrorKind::ConnectionAborted,
            ];
            assert!(closed.contains(&error.kind()), "{error}");
        }
    }

    /// The next packet; `None` at the end of the connection.
    #[track_caller]
    pub fn next(&mut self) -> Option<Received> {
        match self.pending.pop_front() {
            Some(received) => Some(received),
            None => self.read(),
        }
    }

    /// The next packet of this kind; others stay.
    #[track_caller]
    pub fn take(&mut self, kind: PacketKind) -> Received {
        let wanted = |one: &Received| one.kind() == kind;
        if let Some(at) = self.pending.iter().position(wanted) {
            return self.pending.remove(at).expect("it is there");
        }
        loop {
            match self.read() {
                Some(received) if wanted(&received) => return received,
                Some(received) => self.pending.push_back(received),
                None => panic!("closed instead of a {kind}; before: {:?}", self.pending),
            }
        }
    }

    /// The next PUBLISH.
    #[track_caller]
    pub fn message(&mut self) -> Received {
        self.take(PacketKind::Publish)
    }

    /// Whatever has come, and comes up to the end of the connection, which must be soon.
    #[track_caller]
    pub fn closed(mut self) -> Vec<Received> {
        let mut all = Vec::new();
        while let Some(received) = self.next() {
            all.push(received);
        }
        all
    }

    /// What comes up to the next packet of this kind, or to the end of the connection.
    #[track_caller]
    pub fn answered_or_closed(mut self, kind: PacketKind) -> Vec<Received> {
        let mut all = Vec::new();
        while let Some(received) = self.next() {
            let last = received.kind() == kind;
            all.push(received);
            if last {
                break;
            }
        }
        all
    }

    /// The broker closes the connection. Before, it may tell a 5.0 client why; our own has to, and
    /// with this reason.
    #[track_caller]
    pub fn closed_with(self, reason: ReasonCode) {
        let (version, ours) = (self.version, self.subject.ours);
        let all = self.closed();
        let disconnects: Vec<_> = all
            .iter()
            .map(Received::packet)
            .filter_map(|packet| match packet {
                Packet::Disconnect(disconnect) => Some(disconnect),
                _ => None,
            })
            .collect();
        if version == ProtocolVersion::V3_1_1 {
            assert_eq!(disconnects, [], "3.1.1 says nothing");
        } else if ours {
            let reasons: Vec<_> = disconnects.iter().map(|one| one.reason).collect();
            assert_eq!(reasons, [reason]);
        } else {
            assert!(disconnects.iter().all(|one| one.reason.is_error()));
        }
    }

    /// The broker closes the connection for an error in the first packet: nothing comes but,
    /// perhaps, a CONNACK of 5.0 that says so.
    #[track_caller]
    pub fn refused(self) {
        let version = self.version;
        for received in self.closed() {
            assert_eq!(version, ProtocolVersion::V5, "{received:?}");
            assert!(received.connack().reason.is_error(), "{received:?}");
        }
    }

    /// Nothing comes for a while.
    #[track_caller]
    pub fn silent_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Some(rest) = until.checked_duration_since(Instant::now())
            && !rest.is_zero()
        {
            self.stream.set_read_timeout(Some(rest)).expect("a timeout");
            let mut buffer = [0; 256];
            match self.stream.read(&mut buffer) {
                Ok(0) => panic!("closed"),
                Ok(count) => panic!("received {:x?}", &buffer[..count]),
                Err(error) => assert!(is_timeout(&error), "{error}"),
            }
        }
        let limit = Some(self.subject.limit);
        self.stream.set_read_timeout(limit).expect("a timeout");
    }

    /// The messages that were on their way, when all of them have come.
    #[track_caller]
    pub fn settle(&mut self) -> Vec<Received> {
        static CLIENTS: AtomicU32 = AtomicU32::new(0);
        if self.marker.is_none() {
            let number = CLIENTS.fetch_add(1, Ordering::Relaxed);
            let marker = format!("marker-{}-{number}", std::process::id());
            self.subscribe(&marker, QoS::AtMostOnce);
            self.marker = Some(marker);
        }
        let marker = self.marker.clone().expect("it was set");
        // Twice: what a subscription brings may be looked for after the first came.
        for _ in 0..2 {
            self.markers += 1;
            let payload = self.markers.to_string();
            self.send(Packet::Publish(Publish::new(
                topic(&marker),
                payload.as_bytes(),
            )));
            let is_marker = |one: &Received| one.topic == marker && one.payload() == payload;
            while !self.pending.iter().any(is_marker) {
                let received = self.read().expect("closed instead of a message");
                self.pending.push_back(received);
            }
            self.pending.retain(|one| !is_marker(one));
        }
        let (messages, others) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|one| one.kind() == PacketKind::Publish);
        self.pending = others;
        Vec::from_iter(messages)
    }

    /// Payloads of the messages that were on their way.
    #[track_caller]
    pub fn payloads(&mut self) -> Vec<String> {
        let text = |one: Received| one.payload().to_owned();
        self.settle().into_iter().map(text).collect()
    }

    /// A PINGREQ and its answer: the broker has dealt with all that was sent before.
    #[track_caller]
    pub fn ping(&mut self) {
        self.send(Packet::PingReq);
        self.take(PacketKind::PingResp);
    }

    /// Subscribes; the SUBACK grants just that.
    #[track_caller]
    pub fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.subscribe_with(subscription(filter, qos), &[]);
    }

    #[track_caller]
    pub fn subscribe_with(&mut self, subscription: Subscription<'_>, properties: &[Property<'_>]) {
        let granted = self.try_subscribe(&[subscription], properties);
        assert_eq!(granted, [granted_code(subscription.qos)]);
    }

    /// Subscribes and returns the codes of the SUBACK.
    #[track_caller]
    pub fn try_subscribe(
        &mut self,
        subscriptions: &[Subscription<'_>],
        properties: &[Property<'_>],
    ) -> Vec<ReasonCode> {
        let packet_id = self.packet_id();
        self.send(Packet::Subscribe(Subscribe {
            packet_id,
            properties: Properties::new(properties),
            subscriptions: Items::new(subscriptions),
        }));
        let received = self.take(PacketKind::SubAck);
        match received.packet() {
            Packet::SubAck(suback) => {
                assert_eq!(suback.packet_id, packet_id);
                suback.reasons.iter().collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Ends subscriptions and returns the codes of the UNSUBACK; none in 3.1.1.
    #[track_caller]
    pub fn unsubscribe(&mut self, filters: &[&str]) -> Vec<ReasonCode> {
        let packet_id = self.packet_id();
        let filters: Vec<_> = filters.iter().map(|one| filter(one)).collect();
        self.send(Packet::Unsubscribe(Unsubscribe {
            packet_id,
            properties: Properties::EMPTY,
            filters: Items::new(&filters),
        }));
        let received = self.take(PacketKind::UnsubAck);
        match received.packet() {
            Packet::UnsubAck(unsuback) => {
                assert_eq!(unsuback.packet_id, packet_id);
                unsuback.reasons.iter().collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Publishes to the end of the handshake.
    #[track_caller]
    pub fn publish(&mut self, name: &str, payload: &str, qos: QoS) {
        self.publish_with(Publish::new(topic(name), payload.as_bytes()), qos);
    }

    /// Publishes a retained message to the end of the handshake.
    #[track_caller]
    pub fn retain(&mut self, name: &str, payload: &str, qos: QoS) {
        let publish = Publish {
            retain: true,
            ..Publish::new(topic(name), payload.as_bytes())
        };
        self.publish_with(publish, qos);
    }

    /// Publishes with a new packet identifier to the end of the handshake. With QoS 0, until the
    /// broker has dealt with it.
    #[track_caller]
    pub fn publish_with(&mut self, publish: Publish<'_>, qos: QoS) {
        let id = self.packet_id();
        self.send(Packet::Publish(Publish {
            delivery: Delivery::new(qos, id),
            ..publish
        }));
        match qos {
            QoS::AtMostOnce => self.ping(),
            QoS::AtLeastOnce => {
                let received = self.take(PacketKind::PubAck);
                let ack = received.ack();
                assert_eq!(ack.packet_id, id);
                assert!(!ack.reason.is_error(), "{ack:?}");
            }
            QoS::ExactlyOnce => {
                let received = self.take(PacketKind::PubRec);
                let ack = received.ack();
                assert_eq!(ack.packet_id, id);
                assert!(!ack.reason.is_error(), "{ack:?}");
                self.release(id.get());
            }
        }
    }

    /// PUBREL, and its PUBCOMP.
    #[track_caller]
    pub fn release(&mut self, id: u16) {
        self.send(Packet::PubRel(ack(id)));
        assert_eq!(self.take(PacketKind::PubComp).ack(), ack(id));
    }

    /// Acknowledges a message to the end of the handshake.
    #[track_caller]
    pub fn acknowledge(&mut self, message: &Received) {
        let id = message.packet_id();
        match message.qos() {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.send(Packet::PubAck(ack(id))),
            QoS::ExactlyOnce => {
                self.send(Packet::PubRec(ack(id)));
                assert_eq!(self.take(PacketKind::PubRel).ack(), ack(id));
                self.send(Packet::PubComp(ack(id)));
            }
        }
    }

    /// DISCONNECT, and the broker closes.
    #[track_caller]
    pub fn disconnect(mut self) {
        let normal = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        self.send(Packet::Disconnect(normal));
        self.closed();
    }

    /// The network fails: the connection is closed without a goodbye.
    pub fn lose(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// A packet identifier that this client has not used.
    pub fn packet_id(&mut self) -> PacketId {
        let id = self.next_id;
        self.next_id = id.next();
        id
    }

    /// The next packet from the socket; `None` at its end.
    #[track_caller]
    fn read(&mut self) -> Option<Received> {
        loop {
            if let Some(header) = FixedHeader::decode(&self.bytes).expect("a packet")
                && header.packet_len() <= self.bytes.len()
            {
                let bytes: Vec<_> = self.bytes.drain(..header.packet_len()).collect();
                return Some(self.received(bytes));
            }
            if self.ended {
                assert_eq!(self.bytes, [], "a part of a packet at the end");
                return None;
            }
            let mut buffer = [0; 16 * 1_024];
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.ended = true,
                Err(error) if is_timeout(&error) => {
                    panic!("nothing came in time; before: {:?}", self.pending)
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[track_caller]
    fn received(&mut self, bytes: Vec<u8>) -> Received {
        let mut received = Received {
            version: self.version,
            bytes,
            topic: String::new(),
        };
        if let Packet::Publish(publish) = received.packet() {
            let alias = publish.properties.topic_alias();
            let topic = match (publish.topic, alias) {
                (Some(topic), alias) => {
                    let topic = topic.as_str().to_owned();
                    if let Some(alias) = alias {
                        self.aliases.insert(alias.get(), topic.clone());
                    }
                    topic
                }
                (None, Some(alias)) => self.aliases[&alias.get()].clone(),
                (None, None) => panic!("neither topic nor alias: {publish:?}"),
            };
            received.topic = topic;
        }
        received
    }
}

pub fn topic(name: &str) -> TopicName<'_> {
    TopicName::new(name).expect("a valid topic")
}

pub fn filter(text: &str) -> TopicFilter<'_> {
    TopicFilter::new(text).expect("a valid filter")
}

pub fn subscription(text: &str, qos: QoS) -> Subscription<'_> {
    Subscription::new(filter(text), qos)
}

pub fn id(id: u16) -> PacketId {
    PacketId::new(id).expect("not 0")
}

pub fn ack(packet_id: u16) -> Ack<'static> {
    Ack::new(id(packet_id))
}

pub fn granted_code(qos: QoS) -> ReasonCode {
    match qos {
        QoS::AtMostOnce => ReasonCode::GRANTED_QOS_0,
        QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
        QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
