//! The bridge as a client of its own broker: an ordinary session, over a connection inside the
//! process, so that queues and limits apply to it as to any other.
//!
//! Packets are dealt with one by one here, and not by a [`Client`](declic_mqtt::client::Client),
//! since a message is acknowledged only after the other broker has acknowledged it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::num::{NonZeroU16, NonZeroU32};

use declic_mqtt::packet::{
    Ack, Connect, Delivery, FixedHeader, Items, Packet, PacketKind, Properties, Property, Publish,
    RetainHandling, Subscribe, Subscription,
};
use declic_mqtt::{PacketId, ProtocolVersion, QoS, TopicFilter};
use mio::net::TcpStream;
use tracing::warn;

/// What is known of the local session, over all its connections.
pub(super) struct Local {
    client_id: String,
    stream: Option<TcpStream>,
    received: Vec<u8>,
    unsent: Vec<u8>,
    /// The session goes on with what an earlier process did, so what that one had published with
    /// QoS 2 has to be released before identifiers are used again.
    is_first: bool,
    /// Messages that were published here, by identifier.
    published: BTreeMap<u16, Published>,
    /// Messages that were received and not acknowledged yet, by identifier.
    taken: BTreeSet<u16>,
    is_accepted: bool,
}

/// A message that the local broker has not taken for good.
struct Published {
    packet: Vec<u8>,
    /// It has a message of QoS 2, and only the release is missing.
    is_released: bool,
}

/// What the local broker sent that the bridge has to deal with.
pub(super) enum FromLocal {
    /// CONNACK: whether the session goes on.
    Accepted { session_present: bool },
    /// A PUBLISH, whole.
    Message(Vec<u8>),
}

impl Local {
    pub(super) fn new(client_id: String) -> Self {
        Self {
            client_id,
            stream: None,
            received: Vec::new(),
            unsent: Vec::new(),
            is_first: true,
            published: BTreeMap::new(),
            taken: BTreeSet::new(),
            is_accepted: false,
        }
    }

    /// Begins a connection.
    pub(super) fn connect(&mut self, stream: TcpStream, packet_size: u32) {
        self.received.clear();
        self.unsent.clear();
        self.stream = Some(stream);
        self.is_accepted = false;
        let properties = [
            Property::ReceiveMaximum(NonZeroU16::new(WINDOW).unwrap_or(NonZeroU16::MIN)),
            Property::MaximumPacketSize(NonZeroU32::new(packet_size).unwrap_or(NonZeroU32::MAX)),
            Property::SessionExpiryInterval(u32::MAX),
        ];
        let client_id = self.client_id.clone();
        let connect = Connect {
            clean_start: false,
            keep_alive: 0,
            properties: Properties::new(&properties),
            ..Connect::new(ProtocolVersion::V5, &client_id)
        };
        self.send(&Packet::Connect(connect));
    }

    /// The connection is over.
    pub(super) fn closed(&mut self) -> Option<TcpStream> {
        self.is_accepted = false;
        self.stream.take()
    }

    /// Whether there is no connection.
    pub(super) const fn is_away(&self) -> bool {
        self.stream.is_none()
    }

    pub(super) const fn is_accepted(&self) -> bool {
        self.is_accepted
    }

    /// Whether another message can be published now.
    pub(super) fn has_room(&self) -> bool {
        self.is_accepted && self.published.len() < usize::from(WINDOW) && self.unsent.len() < UNSENT
    }

    /// Messages that the local broker has not taken over yet.
    pub(super) fn unconfirmed(&self) -> usize {
        let waits = |one: &&Published| !one.is_released;
        self.published.values().filter(waits).count()
    }

    /// Whether nothing waits for an acknowledgement, or to be sent.
    pub(super) fn is_settled(&self) -> bool {
        self.published.is_empty() && self.unsent.is_empty()
    }

    /// Publishes a message; `publish.delivery` gets an identifier of its own.
    pub(super) fn publish(&mut self, publish: &Publish<'_>, qos: QoS) {
        let free = (1..=WINDOW).find(|id| !self.published.contains_key(id));
        let Some(id) = free.and_then(PacketId::new) else {
            debug_assert!(false, "has_room was asked");
            return;
        };
        let publish = Publish {
            dup: false,
            delivery: Delivery::new(qos, id),
            ..*publish
        };
        let packet = encode(&Packet::Publish(publish));
        self.unsent.extend_from_slice(&packet);
        if qos > QoS::AtMostOnce {
            let is_released = false;
            self.published.insert(
                id.get(),
                Published {
                    packet,
                    is_released,
                },
            );
        }
    }

    /// The other broker has the message: it is acknowledged here.
    pub(super) fn acknowledge(&mut self, id: PacketId, qos: QoS) {
        if !self.taken.contains(&id.get()) {
            // The session it belonged to is gone.
            return;
        }
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => {
                self.taken.remove(&id.get());
                self.send(&Packet::PubAck(Ack::new(id)));
            }
            // Its identifier is free again with PUBREL.
            QoS::ExactlyOnce => self.send(&Packet::PubRec(Ack::new(id))),
        }
    }

    /// Subscribes to what goes out.
    pub(super) fn subscribe<'a>(&mut self, filters: impl Iterator<Item = (TopicFilter<'a>, QoS)>) {
        let subscriptions: Vec<_> = filters
            .map(|(filter, qos)| Subscription {
                // What came over the bridge does not go back.
                no_local: true,
                retain_as_published: true,
                retain_handling: RetainHandling::OnNewSubscription,
                ..Subscription::new(filter, qos)
            })
            .collect();
        if !subscriptions.is_empty() {
            self.send(&Packet::Subscribe(Subscribe {
                packet_id: PacketId::FIRST,
                properties: Properties::EMPTY,
                subscriptions: Items::new(&subscriptions),
            }));
        }
    }

    /// Reads until there is nothing more, or `limit` bytes wait to be dealt with. Returns whether
    /// there may be more.
    pub(super) fn read(&mut self, buffer: &mut [u8], limit: usize) -> io::Result<bool> {
        let Some(stream) = &mut self.stream else {
            return Ok(false);
        };
        while self.received.len() < limit {
            match stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Writes what it can.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let mut sent = 0;
        let result = loop {
            if sent == self.unsent.len() {
                break Ok(());
            }
            match stream.write(&self.unsent[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.unsent.drain(..sent);
        result
    }

    /// What the bridge has to deal with next, out of what was read.
    ///
    /// # Errors
    /// The broker ended the connection, or it is not ours that answers.
    pub(super) fn next(&mut self) -> Result<Option<FromLocal>, String> {
        loop {
            let header = FixedHeader::decode(&self.received).map_err(|error| error.to_string())?;
            let Some(header) = header.filter(|one| one.packet_len() <= self.received.len()) else {
                return Ok(None);
            };
            let packet: Vec<u8> = self.received.drain(..header.packet_len()).collect();
            if header.kind() == PacketKind::Publish {
                if let Some(message) = self.take(packet)? {
                    return Ok(Some(message));
                }
                continue;
            }
            let decoded = Packet::decode(ProtocolVersion::V5, header, &packet[header.len()..]);
            match decoded.map_err(|error| error.to_string())? {
                Packet::ConnAck(connack) => {
                    if connack.reason.is_error() {
                        return Err(connack.reason.to_string());
                    }
                    self.accepted(connack.session_present);
                    let session_present = connack.session_present;
                    return Ok(Some(FromLocal::Accepted { session_present }));
                }
                Packet::PubAck(ack) => self.confirmed(&ack, true),
                Packet::PubRec(ack) => {
                    let refused = ack.reason.is_error();
                    self.confirmed(&ack, refused);
                    if !refused {
                        self.send(&Packet::PubRel(Ack::new(ack.packet_id)));
                    }
                }
                Packet::PubComp(ack) => {
                    // Others are about what an earlier process had published.
                    let id = ack.packet_id.get();
                    if self.published.get(&id).is_some_and(|one| one.is_released) {
                        self.published.remove(&id);
                    }
                }
                Packet::PubRel(ack) => {
                    self.taken.remove(&ack.packet_id.get());
                    self.send(&Packet::PubComp(Ack::new(ack.packet_id)));
                }
                Packet::SubAck(suback) => {
                    for reason in suback.reasons.iter().filter(|reason| reason.is_error()) {
                        warn!(client_id = %self.client_id, %reason, "the bridge can't subscribe here");
                    }
                }
                Packet::Disconnect(disconnect) => return Err(disconnect.reason.to_string()),
                other => return Err(format!("unexpected: {other:?}")),
            }
        }
    }

    fn accepted(&mut self, session_present: bool) {
        self.is_accepted = true;
        if !session_present {
            self.taken.clear();
        }
        if std::mem::take(&mut self.is_first) && session_present {
            for id in (1..=WINDOW).filter_map(PacketId::new) {
                self.send(&Packet::PubRel(Ack::new(id)));
            }
        }
        for (id, one) in &self.published {
            if one.is_released {
                let release = PacketId::new(*id).map(Ack::new).map(Packet::PubRel);
                self.unsent
                    .extend(release.as_ref().map(encode).unwrap_or_default());
            } else {
                // `[MQTT-3.3.1-1]`; a broker that has lost the session knows no duplicates.
                let start = self.unsent.len();
                self.unsent.extend_from_slice(&one.packet);
                if session_present {
                    self.unsent[start] |= DUP;
                }
            }
        }
    }

    fn confirmed(&mut self, ack: &Ack<'_>, finished: bool) {
        let id = ack.packet_id.get();
        if ack.reason.is_error() {
            warn!(client_id = %self.client_id, reason = %ack.reason, "a message from the other broker is lost");
        }
        if finished {
            self.published.remove(&id);
        } else if let Some(one) = self.published.get_mut(&id) {
            one.is_released = true;
            one.packet = Vec::new();
        }
    }

    /// A message came; `None` for one that is being dealt with already.
    fn take(&mut self, packet: Vec<u8>) -> Result<Option<FromLocal>, String> {
        let id = publish_in(&packet)
            .ok_or("malformed PUBLISH")?
            .delivery
            .packet_id();
        let is_new = id.is_none_or(|id| self.taken.insert(id.get()));
        Ok(is_new.then_some(FromLocal::Message(packet)))
    }

    fn send(&mut self, packet: &Packet<'_>) {
        self.unsent.extend(encode(packet));
    }
}

/// The PUBLISH in a whole packet of 5.0.
pub(super) fn publish_in(packet: &[u8]) -> Option<Publish<'_>> {
    let header = FixedHeader::decode(packet).ok()??;
    match Packet::decode(ProtocolVersion::V5, header, &packet[header.len()..]).ok()? {
        Packet::Publish(publish) => Some(publish),
        _ => None,
    }
}

fn encode(packet: &Packet<'_>) -> Vec<u8> {
    let length = packet.encoded_len(ProtocolVersion::V5);
    let mut bytes = vec![0; length.unwrap_or(0)];
    let written = packet.encode(ProtocolVersion::V5, &mut bytes);
    debug_assert_eq!(written, length, "{packet:?}");
    bytes
}

/// Messages of QoS 1 and 2 that may be unfinished, each way.
pub(super) const WINDOW: u16 = 128;
/// Bytes that wait to be sent, above which nothing more is published.
const UNSENT: usize = 1 << 20;
const DUP: u8 = 0b1000;
