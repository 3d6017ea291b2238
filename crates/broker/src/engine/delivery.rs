//! What goes to a client: which packet is next, and its bytes.

use std::collections::VecDeque;

use declic_mqtt::packet::{Ack, PacketKind};
use declic_mqtt::{Instant, QoS, ReasonCode, TopicFilter};

use super::connection::{ConnId, LargePublish, State, pause};
use super::frame::{Frame, Written};
use super::journal::Turn;
use super::publish::PRESSURE_PAUSE;
use super::retained::Next;
use super::session::{Entry, InFlight, SubscriptionIds};
use super::timers::Timer;
use super::{CloseReason, Engine};

impl Engine {
    /// Writes as much as fits of what waits for a connection into `buffer`, and returns how much
    /// it is.
    ///
    /// Call it when the transport can take bytes, after [`Self::poll_ready`] returned the
    /// connection, until it returns less than the buffer's length. A packet may begin in one call
    /// and end in another. All that was written counts as sent.
    pub fn fill(&mut self, conn: ConnId, buffer: &mut [u8], now: Instant) -> usize {
        let Some(slot) = self.conns.slot(conn) else {
            return 0;
        };
        let filled = self.fill_slot(slot, buffer, now);
        self.stats.bytes_sent += filled as u64;
        filled
    }

    fn fill_slot(&mut self, slot: u32, buffer: &mut [u8], now: Instant) -> usize {
        let mut filled = 0;
        if self.conns[slot].large.is_some() {
            filled = self.fill_large(slot, buffer);
            if self.conns[slot].large.is_some() {
                return filled;
            }
        }
        filled += self.fill_answers(slot, &mut buffer[filled..]);
        if !self.conns[slot].answers.is_empty() {
            return filled;
        }
        if let (State::Connected, Some(session)) =
            (self.conns[slot].state, self.conns[slot].session)
            && !self.is_silent(slot)
        {
            self.replay_retained(session, now);
            while filled < buffer.len()
                && let Some(more) = self.fill_publish(slot, session, &mut buffer[filled..], now)
            {
                filled += more;
            }
        }
        if filled < buffer.len() {
            self.conns[slot].announced = false;
            self.replay_later(slot, now);
        }
        if !self.pressed.is_empty() && self.held_memory() < self.limits.message_bytes / 2 {
            self.relieve();
        }
        filled
    }

    /// PUBACK: the client has the message of QoS 1.
    pub(super) fn handle_puback(&mut self, slot: u32, ack: &Ack<'_>, now: Instant) {
        self.finish_in_flight(slot, ack, QoS::AtLeastOnce, now);
    }

    /// PUBREC: the client has the message of QoS 2.
    pub(super) fn handle_pubrec(&mut self, slot: u32, ack: &Ack<'_>, now: Instant) {
        if ack.reason.is_error() {
            // `[MQTT-4.4.0-2]` of 5.0
            return self.finish_in_flight(slot, ack, QoS::ExactlyOnce, now);
        }
        let Some(session) = self.conns[slot].session else {
            return;
        };
        let state = &mut self.sessions[session as usize];
        let at = state.position_in_flight(ack.packet_id);
        let reason = match at.and_then(|at| state.in_flight.get_mut(at)) {
            Some(sent) if sent.qos == QoS::AtLeastOnce => {
                return self.close(slot, CloseReason::Protocol(ReasonCode::ProtocolError), now);
            }
            Some(sent) => {
                if let Some(message) = sent.message.take() {
                    self.messages.release(message);
                    if let Some(journal) = &mut self.journal {
                        journal.in_flight_changed(session, ack.packet_id);
                    }
                }
                ReasonCode::Success
            }
            None => ReasonCode::PacketIdentifierNotFound,
        };
        self.acknowledge(slot, PacketKind::PubRel, ack.packet_id, reason);
    }

    /// PUBCOMP: the delivery of the message of QoS 2 is complete.
    pub(super) fn handle_pubcomp(&mut self, slot: u32, ack: &Ack<'_>, now: Instant) {
        self.finish_in_flight(slot, ack, QoS::ExactlyOnce, now);
    }

    /// A session's connection is there again: what was not acknowledged is sent again.
    pub(super) fn redeliver(&mut self, slot: u32, session: u32) {
        let state = &mut self.sessions[session as usize];
        state.resend = 0;
        let released = |sent: &InFlight| sent.message.is_none().then_some(sent.packet_id);
        let released: Vec<_> = state.in_flight.iter().filter_map(released).collect();
        for id in released {
            self.acknowledge(slot, PacketKind::PubRel, id, ReasonCode::Success);
        }
        self.announce(slot);
    }

    fn finish_in_flight(&mut self, slot: u32, ack: &Ack<'_>, qos: QoS, now: Instant) {
        let Some(session) = self.conns[slot].session else {
            return;
        };
        let state = &self.sessions[session as usize];
        let Some(at) = state.position_in_flight(ack.packet_id) else {
            // For nothing that we know of: an acknowledgement too many does no harm.
            return;
        };
        if state.in_flight[at].qos != qos {
            return self.close(slot, CloseReason::Protocol(ReasonCode::ProtocolError), now);
        }
        self.remove_in_flight(session, at);
        self.announce(slot);
    }

    fn remove_in_flight(&mut self, session: u32, at: usize) {
        let state = &mut self.sessions[session as usize];
        if at < state.resend {
            state.resend -= 1;
        }
        if let Some(sent) = state.in_flight.remove(at) {
            if let Some(journal) = &mut self.journal {
                journal.in_flight_ended(session, sent.packet_id);
            }
            self.in_flight -= 1;
            if let Some(message) = sent.message {
                self.messages.release(message);
            }
            self.lists.release(sent.ids);
        }
    }

    fn fill_answers(&mut self, slot: u32, buffer: &mut [u8]) -> usize {
        let conn = &mut self.conns[slot];
        let answers = &conn.answers[conn.answered as usize..];
        let count = answers.len().min(buffer.len());
        buffer[..count].copy_from_slice(&answers[..count]);
        conn.answered += count as u32;
        if conn.answered as usize == conn.answers.len() {
            conn.answers = Vec::new();
            conn.answered = 0;
            self.resume(slot, pause::ANSWERS);
        }
        count
    }

    /// Goes on with a publish that is written in parts.
    fn fill_large(&mut self, slot: u32, buffer: &mut [u8]) -> usize {
        let Some(mut large) = self.conns[slot].large.take() else {
            return 0;
        };
        let message = self.messages.get(&large.message);
        let mut filled = 0;
        let mut skip = large.written;
        for part in [&large.head, message.properties(), message.payload()] {
            let rest = part.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(part.len());
            let count = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&rest[..count]);
            filled += count;
        }
        large.written += filled;
        let total = large.head.len() + message.properties().len() + message.payload().len();
        if large.written == total {
            self.messages.release(large.message);
        } else {
            self.conns[slot].large = Some(large);
        }
        filled
    }

    /// Writes the next publish, or its beginning. `None` when there is none that may be sent.
    fn fill_publish(
        &mut self,
        slot: u32,
        session: u32,
        buffer: &mut [u8],
        now: Instant,
    ) -> Option<usize> {
        loop {
            let state = &mut self.sessions[session as usize];
            let window = usize::from(self.conns[slot].window);
            if state.resend < state.in_flight.len() {
                if state.resend >= window {
                    return None;
                }
                let at = state.resend;
                let sent = &state.in_flight[at];
                let Some(message) = &sent.message else {
                    state.resend += 1;
                    continue;
                };
                let id = sent.packet_id;
                let turn = match &self.journal {
                    Some(journal) => journal.turn(session, id),
                    None => Turn::Again,
                };
                if turn == Turn::Wait {
                    if self.prepare(slot, session, now) {
                        continue;
                    }
                    return None;
                }
                if let Some(rights) = &self.rights
                    && state.is_withheld(rights, self.messages.get(message).topic())
                {
                    self.stats.withheld += 1;
                    self.remove_in_flight(session, at);
                    continue;
                }
                // `[MQTT-3.3.1-1]`
                let dup = turn == Turn::Again;
                let conn = &mut self.conns[slot];
                let mut frame = Frame::new(&conn.version, sent.qos, sent.retain, dup, Some(id));
                let content = self.messages.get(message);
                let ids = (sent.ids, self.lists.get(sent.ids));
                if conn.sent_aliases.is_some() {
                    let room = (self.limits.connection_bytes).saturating_sub(self.connection_bytes);
                    frame.naming = conn.naming(self.hash, content, ids.1.len() + 1, room);
                }
                let written = frame.write(content, ids, conn.packet_size, buffer, now);
                if frame.is_new_alias(&written) {
                    self.connection_bytes -= conn.told(self.hash, content.topic_bytes());
                    self.connection_bytes += content.topic_bytes().len();
                }
                let size = content.payload().len();
                match written {
                    Written::TooLarge => {
                        self.stats.dropped_too_large += 1;
                        self.remove_in_flight(session, at);
                        continue;
                    }
                    Written::Whole(count) => {
                        if let Some(journal) = &mut self.journal {
                            journal.written(session, id);
                        }
                        state.resend += 1;
                        self.stats.sent += 1;
                        self.stats.payload_bytes_sent += size as u64;
                        return Some(count);
                    }
                    Written::Head(head) => {
                        let message = self.messages.share(message);
                        if let Some(journal) = &mut self.journal {
                            journal.written(session, id);
                        }
                        state.resend += 1;
                        self.stats.sent += 1;
                        self.stats.payload_bytes_sent += size as u64;
                        return Some(self.begin_large(slot, head, message, buffer));
                    }
                }
            }
            let acknowledged = state.queue.front()?.qos != QoS::AtMostOnce;
            if acknowledged && state.in_flight.len() >= window {
                return None;
            }
            if self.journal.is_some() && self.prepare(slot, session, now) {
                continue;
            }
            let state = &mut self.sessions[session as usize];
            let id = acknowledged.then(|| state.take_packet_id());
            let entry = state.queue.front()?;
            let message = self.messages.get(&entry.message);
            if message.is_expired(now) {
                self.stats.dropped_expired += 1;
                self.drop_front(session);
                continue;
            }
            if let Some(rights) = &self.rights
                && state.is_withheld(rights, message.topic())
            {
                self.stats.withheld += 1;
                self.drop_front(session);
                continue;
            }
            let conn = &mut self.conns[slot];
            let mut frame = Frame::new(&conn.version, entry.qos, entry.retain, false, id);
            let ids = (entry.ids, self.lists.get(entry.ids));
            if conn.sent_aliases.is_some() {
                let room = (self.limits.connection_bytes).saturating_sub(self.connection_bytes);
                frame.naming = conn.naming(self.hash, message, ids.1.len() + 1, room);
            }
            let written = frame.write(message, ids, conn.packet_size, buffer, now);
            if frame.is_new_alias(&written) {
                self.connection_bytes -= conn.told(self.hash, message.topic_bytes());
                self.connection_bytes += message.topic_bytes().len();
            }
            let (size, payload) = (message.bytes().len(), message.payload().len());
            let (count, head) = match written {
                Written::TooLarge => {
                    // `[MQTT-3.1.2-25]` of 5.0: as if it had been sent.
                    self.stats.dropped_too_large += 1;
                    self.drop_front(session);
                    continue;
                }
                Written::Whole(count) => (count, None),
                Written::Head(head) => (0, Some(head)),
            };
            self.stats.sent += 1;
            self.stats.payload_bytes_sent += payload as u64;
            state.queued_bytes -= size;
            self.queued -= 1;
            if let (Some(journal), Some(id)) = (&mut self.journal, id) {
                journal.dequeued(session);
                journal.sent(session, id, true);
            }
            let entry = state.queue.pop_front()?;
            if state.queue.is_empty() && state.queue.capacity() > KEPT_QUEUE {
                state.queue = VecDeque::new();
            }
            let large = head.map(|head| (head, self.messages.share(&entry.message)));
            match id {
                Some(packet_id) => {
                    self.in_flight += 1;
                    state.in_flight.push_back(InFlight {
                        message: Some(entry.message),
                        ids: entry.ids,
                        packet_id,
                        qos: entry.qos,
                        retain: entry.retain,
                    });
                    state.resend = state.in_flight.len();
                }
                None => {
                    self.messages.release(entry.message);
                    self.lists.release(entry.ids);
                }
            }
            return Some(match large {
                None => count,
                Some((head, message)) => self.begin_large(slot, head, message, buffer),
            });
        }
    }

    /// Gives a message of QoS 2 of a session that is stored its packet identifier: it is sent when
    /// that is stored, since sending it again with another one after a crash would be sending it
    /// twice. Returns whether there was such a message in front of the queue, and room for it.
    fn prepare(&mut self, slot: u32, session: u32, now: Instant) -> bool {
        let state = &mut self.sessions[session as usize];
        let Some(journal) = self.journal.as_mut().filter(|one| one.lasts(session)) else {
            return false;
        };
        let Some(front) = state.queue.front() else {
            return false;
        };
        if front.qos != QoS::ExactlyOnce
            || state.in_flight.len() >= usize::from(self.conns[slot].window)
        {
            return false;
        }
        let message = self.messages.get(&front.message);
        if message.is_expired(now) {
            self.stats.dropped_expired += 1;
            self.drop_front(session);
            return true;
        }
        state.queued_bytes -= message.bytes().len();
        self.queued -= 1;
        let packet_id = state.take_packet_id();
        if let Some(entry) = state.queue.pop_front() {
            journal.dequeued(session);
            journal.sent(session, packet_id, false);
            self.in_flight += 1;
            state.in_flight.push_back(InFlight {
                message: Some(entry.message),
                ids: entry.ids,
                packet_id,
                qos: entry.qos,
                retain: entry.retain,
            });
        }
        true
    }

    fn begin_large(
        &mut self,
        slot: u32,
        head: Vec<u8>,
        message: super::messages::MessageRef,
        buffer: &mut [u8],
    ) -> usize {
        self.conns[slot].large = Some(Box::new(LargePublish {
            head,
            message,
            written: 0,
        }));
        self.fill_large(slot, buffer)
    }

    pub(super) fn drop_front(&mut self, session: u32) {
        let state = &mut self.sessions[session as usize];
        if let Some(entry) = state.queue.pop_front() {
            if let Some(journal) = &mut self.journal
                && entry.qos != QoS::AtMostOnce
            {
                journal.dequeued(session);
            }
            self.queued -= 1;
            state.queued_bytes -= self.messages.get(&entry.message).bytes().len();
            self.messages.release(entry.message);
            self.lists.release(entry.ids);
        }
    }

    /// Looks for retained messages of new subscriptions, and queues as many as there is room for.
    fn replay_retained(&mut self, session: u32, now: Instant) {
        let mut budget = REPLAY_BUDGET;
        let (mut place, mut text) = (None, String::new());
        loop {
            let state = &mut self.sessions[session as usize];
            let Some(replays) = &mut state.replays else {
                return;
            };
            let Some(replay) = replays.0.front_mut() else {
                state.replays = None;
                return;
            };
            let full = state.queue.len() >= self.limits.queued_messages.min(REPLAY_BUDGET)
                || self.queued + self.in_flight >= self.limits.queued_in_all
                || state.queued_bytes > self.limits.queued_bytes / 2;
            if full || budget == 0 {
                return;
            }
            if place != Some(replay.place) {
                place = Some(replay.place);
                text = self.tree.filter(replay.place);
                // How far it came is stored together with what is queued for it.
                if let Some(journal) = &mut self.journal {
                    journal.filter_changed(session, &text);
                }
            }
            let Ok(filter) = TopicFilter::new(&text) else {
                replays.0.pop_front();
                continue;
            };
            match self
                .retained
                .next(filter, replay.after.as_deref(), replay.until, &mut budget)
            {
                Next::End => {
                    replays.0.pop_front();
                }
                Next::Later(topic) => {
                    if let Some(topic) = topic {
                        replay.after = Some(topic.into());
                    }
                    return;
                }
                Next::Found(topic, kept) => {
                    let size = self.messages.get(&kept.message).bytes().len();
                    let waiting = state.queued_bytes;
                    if waiting > 0 && waiting + size > self.limits.queued_bytes {
                        return;
                    }
                    replay.after = Some(topic.into());
                    let (granted, id) = (replay.qos, replay.id);
                    if self.messages.get(&kept.message).is_expired(now) {
                        continue;
                    }
                    if let Some(rights) = &self.rights
                        && state.is_withheld(rights, topic)
                    {
                        self.stats.withheld += 1;
                        continue;
                    }
                    let entry = Entry {
                        message: self.messages.share(&kept.message),
                        ids: SubscriptionIds::one(id),
                        qos: kept.qos.min(granted),
                        retain: true,
                    };
                    self.enqueue(session, entry);
                }
            }
        }
    }

    /// Where the search for retained messages was interrupted, it goes on in the next turn.
    fn replay_later(&mut self, slot: u32, now: Instant) {
        let session = self.conns[slot]
            .session
            .map(|session| &self.sessions[session as usize]);
        if !session.is_some_and(|state| state.replays.is_some() && state.queue.is_empty())
            || self.is_silent(slot)
        {
            return;
        }
        if self.queued + self.in_flight < self.limits.queued_in_all {
            return self.announce(slot);
        }
        // Others hold all that may be held; asking again at once would be asking for ever.
        if !self.conns[slot].starved {
            self.conns[slot].starved = true;
            self.starved.push(self.conns.id(slot));
            if self.starved.len() == 1 {
                self.timers.set(now + PRESSURE_PAUSE, Timer::Pressure);
            }
        }
    }
}

/// Messages for which an empty queue keeps its room.
const KEPT_QUEUE: usize = 4_096;
/// Retained messages that are queued, and topics that are looked at, in one turn.
const REPLAY_BUDGET: usize = 1_000;
