//! Bytes from clients: cut into packets, each given to who deals with it.

use declic_mqtt::packet::{Ack, DecodeError, FixedHeader, Packet, PacketKind, Publish};
use declic_mqtt::{Instant, ReasonCode};

use super::connection::{ConnId, State};
use super::{CloseReason, Engine};

impl Engine {
    /// Bytes came. All of them are taken; the beginning of a packet whose end is missing is kept,
    /// within the limits.
    pub fn handle_bytes(&mut self, conn: ConnId, mut bytes: &[u8], now: Instant) {
        let Some(slot) = self.conns.slot(conn) else {
            return;
        };
        self.conns[slot].last_received = now;
        self.stats.bytes_received += bytes.len() as u64;
        if let Some(rate) = &mut self.conns[slot].rate {
            rate.spend_bytes(bytes.len(), now);
        }
        if self.conns[slot].tail.is_empty() || !self.finish_tail(slot, &mut bytes, now) {
            self.handle_packets(slot, bytes, now);
        }
        if self.conns[slot].rate.is_some() {
            self.slow_down(slot, now);
        }
        if !self.overrun.is_empty() {
            self.end_overrun(now);
        }
    }

    /// Deals with all whole packets, and keeps the rest.
    pub(super) fn handle_packets(&mut self, slot: u32, mut bytes: &[u8], now: Instant) {
        while !bytes.is_empty() {
            match self.conns[slot].state {
                State::Opened | State::Connected => {}
                State::Authenticating => break,
                State::Free | State::Closing => return,
            }
            let header = match self.header(slot, bytes) {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(error) => return self.malformed(slot, error, now),
            };
            let Some((packet, rest)) = bytes.split_at_checked(header.packet_len()) else {
                break;
            };
            bytes = rest;
            self.handle_packet(slot, header, &packet[header.len()..], now);
        }
        if !bytes.is_empty() {
            self.keep_tail(slot, bytes.to_vec(), now);
        }
    }

    /// Completes the packet that was begun. Returns whether it used up all bytes.
    fn finish_tail(&mut self, slot: u32, bytes: &mut &[u8], now: Instant) -> bool {
        let mut tail = self.take_tail(slot);
        if self.conns[slot].state == State::Authenticating {
            tail.extend_from_slice(bytes);
            self.keep_tail(slot, tail, now);
            return true;
        }
        loop {
            let header = match self.header(slot, &tail) {
                Ok(header) => header,
                Err(error) => {
                    self.malformed(slot, error, now);
                    return true;
                }
            };
            let wanted = header.map_or(tail.len() + 1, FixedHeader::packet_len);
            let missing = wanted.saturating_sub(tail.len());
            if let (0, Some(header)) = (missing, header) {
                self.handle_packet(slot, header, &tail[header.len()..wanted], now);
                if tail.len() > wanted {
                    // Only after an authentication, when more than one packet was kept.
                    tail.drain(..wanted);
                    tail.extend_from_slice(bytes);
                    self.handle_packets(slot, &tail, now);
                    return true;
                }
                return false;
            }
            let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
            *bytes = rest;
            // Room for what came, or twice what is there; never at once for all that was promised.
            tail.reserve_exact(taken.len().max(missing.min(tail.len())));
            tail.extend_from_slice(taken);
            if taken.len() < missing {
                self.keep_tail(slot, tail, now);
                return true;
            }
        }
    }

    /// The header of the next packet, if it has come and is allowed there.
    fn header(&self, slot: u32, bytes: &[u8]) -> Result<Option<FixedHeader>, DecodeError> {
        let Some(header) = FixedHeader::decode(bytes)? else {
            return Ok(None);
        };
        let limit = match self.conns[slot].state {
            State::Opened => self.limits.connect_packet_size.min(self.limits.packet_size),
            _ => self.limits.packet_size,
        };
        let size = header.packet_len();
        if size > limit {
            // `[MQTT-3.2.2-15]` of 5.0
            return Err(DecodeError::PacketTooLarge { size, limit });
        }
        Ok(Some(header))
    }

    fn handle_packet(&mut self, slot: u32, header: FixedHeader, body: &[u8], now: Instant) {
        if let Some(journal) = &mut self.journal {
            journal.touched = false;
        }
        self.stats.packets_received += 1;
        if self.conns[slot].state == State::Opened {
            // `[MQTT-3.1.0-1]`
            return match header.kind() {
                PacketKind::Connect => self.handle_connect(slot, header, body, now),
                _ => self.close(slot, CloseReason::Unexpected, now),
            };
        }
        // The packets of which there are many are taken without the detour over all kinds.
        let version = self.conns[slot].version;
        let ack = || Ack::decode(version, header, body);
        let done = match header.kind() {
            PacketKind::Publish => Publish::decode(version, header, body)
                .map(|publish| self.handle_publish(slot, &publish, now)),
            PacketKind::PubAck => ack().map(|ack| self.handle_puback(slot, &ack, now)),
            PacketKind::PubRec => ack().map(|ack| self.handle_pubrec(slot, &ack, now)),
            PacketKind::PubRel => ack().map(|ack| self.handle_release(slot, ack.packet_id)),
            PacketKind::PubComp => ack().map(|ack| self.handle_pubcomp(slot, &ack, now)),
            // `[MQTT-3.1.0-2]`, whatever is in it: what a CONNACK would say of that, no DISCONNECT can.
            PacketKind::Connect => return self.close(slot, CloseReason::Unexpected, now),
            _ => Packet::decode(version, header, body)
                .map(|packet| self.handle_other(slot, &packet, now)),
        };
        if let Err(error) = done {
            self.malformed(slot, error, now);
        }
    }

    /// A packet that has to do with no message.
    fn handle_other(&mut self, slot: u32, packet: &Packet<'_>, now: Instant) {
        match packet {
            Packet::Subscribe(subscribe) => self.handle_subscribe(slot, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.handle_unsubscribe(slot, unsubscribe),
            // `[MQTT-3.12.4-1]`
            Packet::PingReq => self.answer_bytes(slot, &[(PacketKind::PingResp as u8) << 4, 0]),
            Packet::Disconnect(disconnect) => self.handle_disconnect(slot, disconnect, now),
            // Enhanced authentication was never agreed on; the others only a server sends, and
            // `[MQTT-3.1.0-2]`: there is one CONNECT.
            _ => self.close(slot, CloseReason::Unexpected, now),
        }
    }

    pub(super) fn malformed(&mut self, slot: u32, error: DecodeError, now: Instant) {
        self.close(slot, CloseReason::Malformed(error), now);
    }

    /// Keeps bytes that can't be dealt with yet, behind those that are kept already.
    pub(super) fn keep_tail(&mut self, slot: u32, tail: Vec<u8>, now: Instant) {
        if self.connection_bytes + tail.len() > self.limits.connection_bytes {
            let reason = CloseReason::Protocol(ReasonCode::QuotaExceeded);
            return self.close(slot, reason, now);
        }
        self.connection_bytes += tail.len();
        let kept = &mut self.conns[slot].tail;
        if kept.is_empty() {
            *kept = tail;
        } else {
            kept.extend_from_slice(&tail);
        }
    }

    pub(super) fn take_tail(&mut self, slot: u32) -> Vec<u8> {
        let tail = std::mem::take(&mut self.conns[slot].tail);
        self.connection_bytes -= tail.len();
        tail
    }
}
