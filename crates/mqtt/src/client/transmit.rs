//! Bytes to the server: what goes next, and when.

use super::timers::Ping;
use super::{Client, CloseReason, Phase, Stage};
use crate::Instant;
use crate::packet::{Ack, Packet, PacketKind, QoS};

/// Small packets made just before they are sent: acknowledgements, PINGREQ, DISCONNECT.
pub(super) struct Scratch {
    bytes: [u8; Self::SIZE],
    sent: usize,
    len: usize,
    /// The last packet in it is the DISCONNECT.
    ends_connection: bool,
}

impl Scratch {
    const SIZE: usize = 64;
    /// Most bytes of an acknowledgement without properties.
    const ACK_LEN: usize = 5;

    pub(super) const fn new() -> Self {
        Self {
            bytes: [0; Self::SIZE],
            sent: 0,
            len: 0,
            ends_connection: false,
        }
    }

    pub(super) const fn has_unsent(&self) -> bool {
        self.sent < self.len
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..self.len]
    }

    fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.len..]
    }
}

impl Client<'_> {
    /// Bytes to be sent now, from one packet or several; empty when there are none. Call
    /// [`Self::transmitted`] with how many of them the transport took, then this again.
    pub fn transmit(&mut self) -> &[u8] {
        self.buffers().1
    }

    /// [`Self::rx_space`] and [`Self::transmit`] at a time, for an owner that waits until it can
    /// read or write.
    pub fn buffers(&mut self) -> (&mut [u8], &[u8]) {
        if self.receiver.is_ended {
            return (&mut [], &[]);
        }
        if self.phase == Phase::SendingConnect {
            return (&mut [], self.receiver.connect_to_send());
        }
        if !self.scratch.has_unsent() && self.outbox.is_between_packets() {
            self.fill_scratch();
        }
        let may_send = matches!(self.phase, Phase::Connected | Phase::Finishing);
        if may_send && !self.scratch.has_unsent() && self.outbox.sendable().is_empty() {
            self.release();
        }
        let unsent = if self.scratch.has_unsent() {
            self.scratch.unsent()
        } else if may_send {
            self.outbox.sendable()
        } else if matches!(self.phase, Phase::Failing(_)) {
            self.outbox.rest_of_packet()
        } else {
            &[]
        };
        let space = if may_send || self.phase == Phase::AwaitingConnAck {
            self.receiver.space()
        } else {
            &mut []
        };
        (space, unsent)
    }

    /// The transport took `len` of the bytes that [`Self::transmit`] returned.
    pub fn transmitted(&mut self, len: usize, now: Instant) {
        if len == 0 {
            return;
        }
        self.note_sent(now);
        if self.phase == Phase::SendingConnect {
            if self.receiver.connect_sent(len) {
                self.phase = Phase::AwaitingConnAck;
            }
            return;
        }
        if !self.scratch.has_unsent() {
            self.outbox.sent(len);
            return;
        }
        self.scratch.sent = self.scratch.sent.saturating_add(len).min(self.scratch.len);
        if self.scratch.has_unsent() {
            return;
        }
        if self.scratch.ends_connection {
            let reason = match self.phase {
                Phase::Failing(reason) => reason,
                _ => CloseReason::Requested,
            };
            self.phase = Phase::Closed(reason);
        }
        self.scratch.clear();
        if self.timers.ping == Ping::Sending {
            self.timers.ping = Ping::No;
            self.timers.awaits_pingresp = true;
        }
    }

    /// Payload bytes of a streamed message that the owner now sends on the transport itself,
    /// behind all that [`Self::transmit`] returned; it reports them with [`Self::streamed`].
    /// Nothing else can be sent until all of them are; 0 when none are awaited.
    pub fn awaited_payload(&self) -> usize {
        match self.phase {
            Phase::Connected | Phase::Finishing if !self.receiver.is_ended => {
                self.outbox.missing_payload()
            }
            _ => 0,
        }
    }

    /// The owner sent `len` bytes of the payload that [`Self::awaited_payload`] asks for.
    pub fn streamed(&mut self, len: usize, now: Instant) {
        if len == 0 {
            return;
        }
        self.note_sent(now);
        self.outbox.streamed(len);
    }

    /// Encodes the small packets that are due; between packets only.
    fn fill_scratch(&mut self) {
        self.scratch.clear();
        match self.phase {
            Phase::Connected | Phase::Finishing => {}
            Phase::Failing(_) => return self.fill_goodbye(),
            _ => return,
        }
        let goodbye = match self.phase {
            Phase::Finishing => self.goodbye.bytes().len(),
            _ => 0,
        };
        while self.scratch.space().len() >= 2 * Scratch::ACK_LEN + goodbye {
            if let Some(owed) = self.acks.pop() {
                self.fill_ack(owed.kind, &owed.packet());
            } else if let Some((id, _)) = self.in_flight.find(|stage| stage == Stage::Release) {
                self.in_flight.set(id, Stage::PubComp);
                self.fill_ack(PacketKind::PubRel, &Ack::new(id));
            } else {
                break;
            }
        }
        if self.timers.ping == Ping::Due {
            self.timers.ping = Ping::Sending;
            if let Ok(len) = Packet::PingReq.encode(self.version, self.scratch.space()) {
                self.scratch.len += len;
            }
        }
        if self.phase == Phase::Finishing && self.acks.is_empty() && !self.has_unsent_pubrel() {
            self.release();
            if self.outbox.sendable().is_empty() && !self.outbox.is_streaming() {
                self.fill_goodbye();
            }
        }
    }

    fn fill_ack(&mut self, kind: PacketKind, ack: &Ack<'_>) {
        let version = self.version;
        if let Ok(len) = ack.encode(version, kind, self.scratch.space()) {
            self.scratch.len += len;
        }
    }

    fn fill_goodbye(&mut self) {
        let goodbye = self.goodbye;
        let bytes = goodbye.bytes();
        if let Some(space) = self.scratch.space().get_mut(..bytes.len()) {
            space.copy_from_slice(bytes);
            self.scratch.len += bytes.len();
        }
        self.scratch.ends_connection = true;
    }

    pub(super) fn has_unsent_pubrel(&self) -> bool {
        self.in_flight.count(|stage| stage == Stage::Release) > 0
    }

    /// Lets packets go that the server's receive maximum allows (v5 `[MQTT-3.3.4-7]`).
    fn release(&mut self) {
        let allowed = usize::from(self.limits.receive_maximum);
        let unacknowledged = &mut self.unacknowledged;
        self.outbox.release(|entry| {
            if entry.qos == QoS::AtMostOnce {
                return true;
            }
            let may_send = *unacknowledged < allowed;
            *unacknowledged += usize::from(may_send);
            may_send
        });
    }
}
