//! The end of a connection: asked for, forced by an error, or suffered.

use super::{Client, CloseReason, Event, Limits, Phase, ProtocolError, Stage};
use crate::Instant;
use crate::packet::{Disconnect, EncodeError, PacketKind, ProtocolVersion, QoS, ReasonCode};

/// The DISCONNECT that ends the connection, encoded.
#[derive(Clone, Copy)]
pub(super) struct Goodbye {
    bytes: [u8; Self::MAX_LEN],
    len: usize,
}

impl Goodbye {
    pub(super) const NONE: Self = Self {
        bytes: [0; Self::MAX_LEN],
        len: 0,
    };

    const MAX_LEN: usize = 32;

    pub(super) fn new(
        packet: &Disconnect<'_>,
        version: ProtocolVersion,
    ) -> Result<Self, EncodeError> {
        let mut goodbye = Self::NONE;
        goodbye.len = packet.encode(version, &mut goodbye.bytes)?;
        Ok(goodbye)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Client<'_> {
    /// Ends the connection in good order: sends what is waiting and may be sent, then `packet`;
    /// [`Event::Closed`] with [`CloseReason::Requested`] follows, after the ping timeout at the
    /// latest. Without a connection it does nothing.
    ///
    /// # Errors
    /// `packet` can't be encoded in 32 bytes, or its properties make it larger than the server
    /// accepts; the connection goes on. Neither can happen without properties.
    pub fn disconnect(&mut self, packet: &Disconnect<'_>, now: Instant) -> Result<(), EncodeError> {
        match self.phase {
            Phase::SendingConnect | Phase::AwaitingConnAck => {
                self.phase = Phase::Closed(CloseReason::Requested);
            }
            Phase::Connected => {
                let goodbye = Goodbye::new(packet, self.version)?;
                // v5 `[MQTT-3.14.2-3]`
                let (length, limit) = (goodbye.len, self.limits.maximum_packet_size);
                if length > limit && !packet.properties.is_empty() {
                    return Err(EncodeError::TooLong { length, limit });
                }
                self.goodbye = goodbye;
                self.timers.start(now + self.config.ping_timeout);
                self.phase = Phase::Finishing;
            }
            Phase::Idle | Phase::Finishing | Phase::Failing(_) | Phase::Closed(_) => {}
        }
        Ok(())
    }

    /// The transport is gone: closed by the peer, failed, or closed by the owner. Whole packets
    /// that were received before still come as events.
    pub fn handle_closed(&mut self, _now: Instant) {
        match self.phase {
            Phase::Idle | Phase::Closed(_) => {}
            Phase::Failing(reason) => self.phase = Phase::Closed(reason),
            _ => self.receiver.is_ended = true,
        }
    }

    /// The server broke the protocol: tells it so in 5.0, and closes.
    pub(super) fn fail(&mut self, error: ProtocolError) {
        let reason = CloseReason::Protocol(error);
        let is_in_stream = self.outbox.is_streaming() && !self.outbox.is_between_packets();
        if self.version == ProtocolVersion::V3_1_1
            || self.phase == Phase::AwaitingConnAck
            || self.receiver.is_ended
            || is_in_stream
        {
            self.phase = Phase::Closed(reason);
            return;
        }
        let code = error.reason_code();
        let code = if code.is_allowed_in(PacketKind::Disconnect) {
            code
        } else {
            ReasonCode::ProtocolError
        };
        // Four bytes: they fit.
        self.goodbye = Goodbye::new(&Disconnect::new(code), self.version).unwrap_or(Goodbye::NONE);
        let deadline = self.timers.last_received + self.config.ping_timeout;
        self.timers.start(deadline);
        self.phase = Phase::Failing(reason);
    }

    /// Makes the client idle and tells the owner, once what it must know before is told.
    pub(super) fn finish_closing(&mut self, reason: CloseReason) -> Event<'static> {
        self.phase = Phase::Idle;
        self.receiver.reset();
        self.scratch.clear();
        self.acks.clear();
        self.goodbye = Goodbye::NONE;
        self.limits = Limits::NONE;
        if self.outbox.rewind() == Some(QoS::AtMostOnce) {
            self.dropped_qos0 = Some((1, ReasonCode::UnspecifiedError));
        }
        self.in_flight
            .retain(|_, stage| !matches!(stage, Stage::SubAck | Stage::UnsubAck));
        self.in_flight.replace_all(Stage::PubComp, Stage::Release);
        // Of a streamed message nothing was kept that could be sent again.
        let outbox = &self.outbox;
        self.in_flight.update(|id, stage| match stage {
            Stage::PubAck | Stage::PubRec if !outbox.contains(id) => {
                Stage::Dropped(ReasonCode::UnspecifiedError)
            }
            stage => stage,
        });
        Event::Closed(reason)
    }
}
