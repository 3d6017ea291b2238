//! Bytes from the server: packets are taken from the receive buffer one by one.

use core::num::NonZeroU16;
use core::ops::Range;

use super::acks::Owed;
use super::connect::Accepted;
use super::{Client, CloseReason, Event, Phase, ProtocolError, Stage};
use crate::Instant;
use crate::packet::{
    DecodeError, Delivery, FixedHeader, Packet, PacketId, PacketKind, ProtocolVersion, Publish,
    QoS, ReasonCode,
};

/// The receive buffer and what is known about its content.
pub(super) struct Receiver<'b> {
    buffer: &'b mut [u8],
    start: usize,
    end: usize,
    /// Bytes from `start` on that the last event borrowed.
    lent: usize,
    /// A PUBLISH that does not fit is being given out in chunks.
    chunks: Option<Chunks>,
    /// Where the server that ended the connection named another one.
    reference: Range<usize>,
    /// The transport is gone: nothing follows.
    pub(super) is_ended: bool,
}

#[derive(Clone, Copy)]
struct Chunks {
    remaining: usize,
    delivery: Delivery,
    /// A message of QoS 2 that was given out before.
    is_known: bool,
}

impl<'b> Receiver<'b> {
    pub(super) const fn new(buffer: &'b mut [u8]) -> Self {
        Self {
            buffer,
            start: 0,
            end: 0,
            lent: 0,
            chunks: None,
            reference: 0..0,
            is_ended: false,
        }
    }

    pub(super) fn reset(&mut self) {
        self.start = 0;
        self.end = 0;
        self.lent = 0;
        self.chunks = None;
        self.is_ended = false;
    }

    pub(super) const fn into_buffer(self) -> &'b mut [u8] {
        self.buffer
    }

    /// The whole buffer, for the CONNECT.
    pub(super) fn buffer(&mut self) -> &mut [u8] {
        self.buffer
    }

    pub(super) fn hold_connect(&mut self, len: usize) {
        self.reset();
        self.reference = 0..0;
        self.end = len;
    }

    pub(super) fn connect_to_send(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether all of the CONNECT is sent now.
    pub(super) fn connect_sent(&mut self, len: usize) -> bool {
        self.start = self.start.saturating_add(len).min(self.end);
        let done = self.start == self.end;
        if done {
            self.start = 0;
            self.end = 0;
        }
        done
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Takes back what the last event borrowed.
    fn take_back(&mut self) {
        self.start += core::mem::take(&mut self.lent);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Keeps where in the packet that ends the connection another server is named. Nothing is
    /// received after it, so the bytes stay until the next connection.
    fn note_reference(&mut self, body: Range<usize>, reference: Option<Range<usize>>) {
        let within = reference.unwrap_or(0..0);
        self.reference = body.start + within.start..body.start + within.end;
    }

    fn reference(&self) -> Option<&str> {
        let bytes = self.buffer.get(self.reference.clone())?;
        core::str::from_utf8(bytes)
            .ok()
            .filter(|text| !text.is_empty())
    }

    /// Space behind what was received.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.take_back();
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.buffer[self.end..]
    }
}

/// What the next event is about; ranges lie in the receive buffer.
enum Step {
    /// CONNACK, SUBACK or UNSUBACK.
    Packet(FixedHeader, Range<usize>),
    Message(FixedHeader, Range<usize>),
    Chunk(Range<usize>, usize),
    Acknowledged(PacketId, ReasonCode),
    Dropped(Option<PacketId>, ReasonCode),
    Closed(CloseReason),
}

impl Client<'_> {
    /// Where received bytes are to be put; empty while none can be taken. Report them with
    /// [`Self::received`].
    pub fn rx_space(&mut self) -> &mut [u8] {
        match self.phase {
            Phase::AwaitingConnAck | Phase::Connected | Phase::Finishing
                if !self.receiver.is_ended =>
            {
                self.receiver.space()
            }
            _ => &mut [],
        }
    }

    /// `len` bytes were put at the front of [`Self::rx_space`].
    pub fn received(&mut self, len: usize, now: Instant) {
        let len = len.min(self.rx_space().len());
        if len == 0 {
            return;
        }
        self.receiver.end += len;
        self.note_received(now);
    }

    /// The other server that the server named when it refused or ended the last connection: the
    /// Server Reference of 5.0 (section 4.11), as it came. It is there until the next
    /// [`Self::connect`].
    pub fn server_reference(&self) -> Option<&str> {
        matches!(self.phase, Phase::Idle | Phase::Closed(_))
            .then(|| self.receiver.reference())
            .flatten()
    }

    /// The next thing that happened; `None` when there is nothing more to tell for now.
    ///
    /// Unlike the other engines' effects, an event may borrow from the receive buffer, so that no
    /// payload is copied.
    pub fn poll_event(&mut self) -> Option<Event<'_>> {
        self.receiver.take_back();
        self.is_held_up = false;
        let step = self.step()?;
        Some(match step {
            Step::Packet(header, body) => {
                // Decoded once already: the second time can't fail.
                let body = &self.receiver.buffer[body];
                match Packet::decode_from_server(self.version, header, body).ok()?? {
                    Packet::SubAck(suback) => Event::Subscribed {
                        id: suback.packet_id,
                        reasons: suback.reasons,
                    },
                    Packet::UnsubAck(unsuback) => Event::Unsubscribed {
                        id: unsuback.packet_id,
                        reasons: unsuback.reasons,
                    },
                    Packet::ConnAck(connack) => Event::Connected {
                        session_present: connack.session_present,
                        properties: connack.properties,
                    },
                    _ => return None,
                }
            }
            Step::Message(header, body) => {
                let body = &self.receiver.buffer[body];
                let (publish, at) = Publish::decode_header(self.version, header, body)
                    .ok()
                    .flatten()?;
                Event::Message {
                    publish: Publish {
                        payload: &body[at..],
                        ..publish
                    },
                    remaining: header.remaining_len() - body.len(),
                }
            }
            Step::Chunk(range, remaining) => Event::MessageChunk {
                payload: &self.receiver.buffer[range],
                remaining,
            },
            Step::Acknowledged(id, reason) => Event::Acknowledged { id, reason },
            Step::Dropped(id, reason) => Event::Dropped { id, reason },
            Step::Closed(reason) => self.finish_closing(reason),
        })
    }

    fn step(&mut self) -> Option<Step> {
        loop {
            if let Some(step) = self.due_notice() {
                return Some(step);
            }
            match self.phase {
                Phase::AwaitingConnAck | Phase::Connected | Phase::Finishing => {}
                Phase::Closed(reason) => return Some(Step::Closed(reason)),
                Phase::SendingConnect if self.receiver.is_ended => {
                    return Some(Step::Closed(CloseReason::Lost));
                }
                _ => return None,
            }
            if self.acks.is_full() {
                if !self.receiver.is_ended {
                    self.is_held_up = true;
                    return None;
                }
                // They can't be sent any more.
                self.acks.clear();
            }
            let step = if self.receiver.chunks.is_some() {
                self.chunk()
            } else {
                self.packet()
            };
            match step {
                Ok(Progress::Step(step)) => return Some(step),
                Ok(Progress::Quiet) => {}
                Ok(Progress::Incomplete) if self.receiver.is_ended => {
                    self.phase = Phase::Closed(match self.phase {
                        Phase::Finishing => CloseReason::Requested,
                        _ => CloseReason::Lost,
                    });
                }
                Ok(Progress::Incomplete) => return None,
                Err(error) => self.fail(error),
            }
        }
    }

    /// What the owner must be told that no received packet says.
    fn due_notice(&mut self) -> Option<Step> {
        if let Some((count, reason)) = self.dropped_qos0.take() {
            self.dropped_qos0 = count.checked_sub(1).filter(|n| *n > 0).map(|n| (n, reason));
            return Some(Step::Dropped(None, reason));
        }
        let is_due = |stage| matches!(stage, Stage::Dropped(_) | Stage::Acknowledged);
        let (id, stage) = self.in_flight.find(is_due)?;
        self.in_flight.remove(id);
        Some(match stage {
            Stage::Dropped(reason) => Step::Dropped(Some(id), reason),
            _ => Step::Acknowledged(id, ReasonCode::Success),
        })
    }

    /// The next part of a PUBLISH that does not fit in the buffer.
    fn chunk(&mut self) -> Result<Progress, ProtocolError> {
        let Some(chunks) = &mut self.receiver.chunks else {
            return Ok(Progress::Quiet);
        };
        let chunk = *chunks;
        let start = self.receiver.start;
        let len = chunk.remaining.min(self.receiver.end - start);
        if len == 0 {
            return Ok(Progress::Incomplete);
        }
        chunks.remaining -= len;
        let remaining = chunks.remaining;
        self.receiver.lent = len;
        if remaining == 0 {
            self.receiver.chunks = None;
            self.finish_message(chunk.delivery)?;
        }
        if chunk.is_known {
            self.receiver.take_back();
            return Ok(Progress::Quiet);
        }
        Ok(Progress::Step(Step::Chunk(start..start + len, remaining)))
    }

    /// The next packet, or the beginning of one that does not fit in the buffer.
    fn packet(&mut self) -> Result<Progress, ProtocolError> {
        let start = self.receiver.start;
        let unread = self.receiver.unread();
        let Some(header) = FixedHeader::decode(unread)? else {
            return Ok(Progress::Incomplete);
        };
        let capacity = self.receiver.buffer.len();
        let len = header.packet_len();
        if self.phase == Phase::AwaitingConnAck && header.kind() != PacketKind::ConnAck {
            return Err(ProtocolError::Unexpected(header.kind()));
        }
        // v5 `[MQTT-3.1.2-24]`.
        if len > self.accepted_size {
            return Err(too_large(len, self.accepted_size));
        }
        if unread.len() >= len {
            let body = start + header.len()..start + len;
            let bytes = &self.receiver.buffer[body.clone()];
            let packet = Packet::decode_from_server(self.version, header, bytes)?;
            let input = packet.as_ref().map_or(Input::Unexpected, Input::from);
            let reference = packet
                .as_ref()
                .and_then(|packet| reference_in(packet, bytes));
            self.receiver.lent = len;
            self.receiver.note_reference(body.clone(), reference);
            let step = self.handle_input(input, header, body)?;
            if let Some(step) = step {
                return Ok(Progress::Step(step));
            }
            self.receiver.take_back();
            return Ok(Progress::Quiet);
        }
        if len <= capacity {
            return Ok(Progress::Incomplete);
        }
        if header.kind() != PacketKind::Publish {
            return Err(too_large(len, capacity));
        }
        let body = &unread[header.len()..];
        let Some((publish, _)) = Publish::decode_header(self.version, header, body)? else {
            // The topic and the properties alone don't fit.
            return if unread.len() == capacity {
                Err(too_large(len, capacity))
            } else {
                Ok(Progress::Incomplete)
            };
        };
        let (delivery, remaining) = (publish.delivery, header.remaining_len() - body.len());
        self.check_alias(alias_of(&publish))?;
        let body = start + header.len()..self.receiver.end;
        let is_known = self.is_known(delivery);
        // Now, not behind its last byte: what is given out must be acknowledged in the end.
        if delivery.qos() == QoS::ExactlyOnce && !is_known && !self.inbound.has_place() {
            return Err(ProtocolError::ReceiveMaximumExceeded);
        }
        self.receiver.chunks = Some(Chunks {
            remaining,
            delivery,
            is_known,
        });
        self.receiver.lent = self.receiver.end - start;
        if is_known {
            self.receiver.take_back();
            return Ok(Progress::Quiet);
        }
        Ok(Progress::Step(Step::Message(header, body)))
    }

    fn handle_input(
        &mut self,
        input: Input,
        header: FixedHeader,
        body: Range<usize>,
    ) -> Result<Option<Step>, ProtocolError> {
        let awaits_connack = self.phase == Phase::AwaitingConnAck;
        match input {
            Input::ConnAck(Ok(accepted)) if awaits_connack => {
                self.accept(accepted)?;
                return Ok(Some(Step::Packet(header, body)));
            }
            Input::ConnAck(Err(reason)) if awaits_connack => {
                self.phase = Phase::Closed(CloseReason::Refused(reason));
            }
            Input::Publish { delivery, alias } => {
                self.check_alias(alias)?;
                let is_known = self.is_known(delivery);
                self.finish_message(delivery)?;
                return Ok((!is_known).then_some(Step::Message(header, body)));
            }
            Input::PubAck(id, reason) => {
                if self.in_flight.stage(id) == Some(Stage::PubAck) && !self.outbox.is_unsent(id) {
                    return Ok(Some(self.acknowledge(id, reason)));
                }
            }
            Input::PubRec(id, reason) => return Ok(self.handle_pubrec(id, reason)),
            Input::PubRel(id) => {
                let reason = if self.inbound.remove(id) {
                    ReasonCode::Success
                } else {
                    ReasonCode::PacketIdentifierNotFound
                };
                self.owe(PacketKind::PubComp, id, reason);
            }
            // An error here says that the server finished it earlier (table 2-6 of 5.0: "not an
            // error during recovery"): the message arrived.
            Input::PubComp(id) => {
                if self.in_flight.stage(id) == Some(Stage::PubComp) {
                    return Ok(Some(self.acknowledge(id, ReasonCode::Success)));
                }
            }
            Input::SubAck(id) => {
                if self.in_flight.stage(id) == Some(Stage::SubAck) && !self.outbox.is_unsent(id) {
                    self.in_flight.remove(id);
                    return Ok(Some(Step::Packet(header, body)));
                }
            }
            Input::UnsubAck(id) => {
                if self.in_flight.stage(id) == Some(Stage::UnsubAck) && !self.outbox.is_unsent(id) {
                    self.in_flight.remove(id);
                    return Ok(Some(Step::Packet(header, body)));
                }
            }
            Input::PingResp => self.timers.awaits_pingresp = false,
            Input::Disconnect(reason) if self.version == ProtocolVersion::V5 => {
                self.phase = Phase::Closed(CloseReason::Server(reason));
            }
            _ => return Err(ProtocolError::Unexpected(header.kind())),
        }
        Ok(None)
    }

    /// PUBREC: the message itself is no longer needed, its identifier is (section 4.3.3).
    fn handle_pubrec(&mut self, id: PacketId, reason: ReasonCode) -> Option<Step> {
        match self.in_flight.stage(id) {
            Some(Stage::PubRec) if self.outbox.is_unsent(id) => None,
            Some(Stage::PubRec) if reason.is_error() => Some(self.acknowledge(id, reason)),
            Some(Stage::PubRec | Stage::PubComp | Stage::Release) => {
                self.outbox.remove_sent(id);
                self.in_flight.advance(id, Stage::Release);
                None
            }
            _ => {
                // The server finishes an exchange of which nothing is known here.
                self.owe(PacketKind::PubRel, id, ReasonCode::PacketIdentifierNotFound);
                None
            }
        }
    }

    fn acknowledge(&mut self, id: PacketId, reason: ReasonCode) -> Step {
        self.outbox.remove_sent(id);
        self.in_flight.remove(id);
        self.unacknowledged = self.unacknowledged.saturating_sub(1);
        Step::Acknowledged(id, reason)
    }

    /// Whether a message of QoS 2 with the identifier was given out already.
    fn is_known(&self, delivery: Delivery) -> bool {
        match delivery {
            Delivery::ExactlyOnce(id) => self.inbound.contains(id),
            _ => false,
        }
    }

    /// The message's last byte is given out: it is acknowledged.
    fn finish_message(&mut self, delivery: Delivery) -> Result<(), ProtocolError> {
        match delivery {
            Delivery::AtMostOnce => {}
            Delivery::AtLeastOnce(id) => self.owe(PacketKind::PubAck, id, ReasonCode::Success),
            Delivery::ExactlyOnce(id) => {
                if !self.inbound.insert(id) {
                    return Err(ProtocolError::ReceiveMaximumExceeded);
                }
                self.owe(PacketKind::PubRec, id, ReasonCode::Success);
            }
        }
        Ok(())
    }

    fn check_alias(&self, alias: Option<NonZeroU16>) -> Result<(), ProtocolError> {
        match alias {
            Some(alias) if alias.get() > self.topic_alias_maximum => Err(ProtocolError::TopicAlias),
            _ => Ok(()),
        }
    }

    /// Only after `acks` was seen not to be full: one packet owes one acknowledgement at most.
    fn owe(&mut self, kind: PacketKind, packet_id: PacketId, reason: ReasonCode) {
        self.acks.push(Owed {
            kind,
            packet_id,
            reason,
        });
    }
}

/// How far a look into the receive buffer came.
enum Progress {
    Step(Step),
    /// Something was worked off that the owner need not know.
    Quiet,
    /// More bytes are needed.
    Incomplete,
}

/// What a packet says to the client, without what only the owner needs.
enum Input {
    ConnAck(Result<Accepted, ReasonCode>),
    Publish {
        delivery: Delivery,
        alias: Option<NonZeroU16>,
    },
    PubAck(PacketId, ReasonCode),
    PubRec(PacketId, ReasonCode),
    PubRel(PacketId),
    PubComp(PacketId),
    SubAck(PacketId),
    UnsubAck(PacketId),
    PingResp,
    Disconnect(ReasonCode),
    /// A packet that a client has no use for.
    Unexpected,
}

impl From<&Packet<'_>> for Input {
    fn from(packet: &Packet<'_>) -> Self {
        match packet {
            Packet::ConnAck(connack) if connack.reason.is_error() => {
                Self::ConnAck(Err(connack.reason))
            }
            Packet::ConnAck(connack) => Self::ConnAck(Ok(Accepted::new(connack))),
            Packet::Publish(publish) => Self::Publish {
                delivery: publish.delivery,
                alias: alias_of(publish),
            },
            Packet::PubAck(ack) => Self::PubAck(ack.packet_id, ack.reason),
            Packet::PubRec(ack) => Self::PubRec(ack.packet_id, ack.reason),
            Packet::PubRel(ack) => Self::PubRel(ack.packet_id),
            Packet::PubComp(ack) => Self::PubComp(ack.packet_id),
            Packet::SubAck(suback) => Self::SubAck(suback.packet_id),
            Packet::UnsubAck(unsuback) => Self::UnsubAck(unsuback.packet_id),
            Packet::PingResp => Self::PingResp,
            Packet::Disconnect(disconnect) => Self::Disconnect(disconnect.reason),
            Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Auth(_) => Self::Unexpected,
        }
    }
}

/// Where in `bytes` a packet that ends the connection names another server.
fn reference_in(packet: &Packet<'_>, bytes: &[u8]) -> Option<Range<usize>> {
    let properties = match packet {
        Packet::ConnAck(connack) if connack.reason.is_error() => connack.properties,
        Packet::Disconnect(disconnect) => disconnect.properties,
        _ => return None,
    };
    let reference = properties.server_reference()?;
    let start = reference
        .as_ptr()
        .addr()
        .checked_sub(bytes.as_ptr().addr())?;
    Some(start..start + reference.len())
}

fn too_large(size: usize, limit: usize) -> ProtocolError {
    DecodeError::PacketTooLarge { size, limit }.into()
}

fn alias_of(publish: &Publish<'_>) -> Option<NonZeroU16> {
    publish.properties.topic_alias()
}

impl From<DecodeError> for ProtocolError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}
