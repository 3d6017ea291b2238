//! Publishes from clients: taken, acknowledged, retained, and given to whom they are for.

use std::cmp::{max, min};
use std::num::NonZeroU16;
use std::time::Duration;

use declic_mqtt::packet::{
    Ack, Delivery, Packet, PacketKind, Properties, Property, Publish, SubscriptionId,
};
use declic_mqtt::{Instant, PacketId, ProtocolVersion, QoS, ReasonCode};

use super::connection::pause;
use super::messages::{MESSAGE_OVERHEAD, MessageRef};
use super::retained::{self, Kept};
use super::session::{Entry, SubscriptionIds};
use super::timers::Timer;
use super::tree::Subscriber;
use super::{CloseReason, Engine, explain};

/// How a message is published.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing {
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// The publisher's session.
    pub(super) from: Option<u32>,
}

impl Engine {
    pub(super) fn handle_publish(&mut self, slot: u32, publish: &Publish<'_>, now: Instant) {
        self.stats.received += 1;
        self.stats.payload_bytes_received += publish.payload.len() as u64;
        if let Some(rate) = &mut self.conns[slot].rate {
            rate.spend_message(now);
        }
        let Some(session) = self.conns[slot].session else {
            return;
        };
        if let Delivery::ExactlyOnce(id) = publish.delivery {
            let received = &self.sessions[session as usize].received;
            if received.contains(id) {
                // `[MQTT-4.3.3-10]`: it came already.
                return self.acknowledge(slot, PacketKind::PubRec, id, ReasonCode::Success);
            }
            if received.len() >= usize::from(self.limits.inbound_in_flight) {
                let reason = CloseReason::Protocol(ReasonCode::ReceiveMaximumExceeded);
                return self.close(slot, reason, now);
            }
        }
        if publish.properties.subscription_identifier().is_some() {
            // `[MQTT-3.3.4-6]` of 5.0: only the server says for which subscription it is.
            return self.close(slot, CloseReason::Protocol(ReasonCode::ProtocolError), now);
        }
        let alias = publish.properties.topic_alias();
        if alias.is_some_and(|alias| alias.get() > self.limits.topic_aliases) {
            return self.close(
                slot,
                CloseReason::Protocol(ReasonCode::TopicAliasInvalid),
                now,
            );
        }
        let reason = match (publish.topic, alias) {
            (Some(topic), alias) => {
                if let Some(alias) = alias
                    && !self.set_alias(slot, alias, topic.as_str())
                {
                    let reason = CloseReason::Protocol(ReasonCode::QuotaExceeded);
                    return self.close(slot, reason, now);
                }
                self.publish(slot, topic.as_str(), publish, now)
            }
            (None, alias) => {
                let Some(aliases) = self.conns[slot].aliases.take() else {
                    return self.close(slot, CloseReason::Protocol(ReasonCode::ProtocolError), now);
                };
                let topic = alias.and_then(|alias| aliases.get(alias));
                let reason = topic.map(|topic| self.publish(slot, topic, publish, now));
                self.conns[slot].aliases = Some(aliases);
                let Some(reason) = reason else {
                    return self.close(slot, CloseReason::Protocol(ReasonCode::ProtocolError), now);
                };
                reason
            }
        };
        if reason == ReasonCode::TopicNameInvalid
            && (publish.delivery == Delivery::AtMostOnce
                || self.conns[slot].version == ProtocolVersion::V3_1_1)
        {
            // There is no acknowledgement to say so.
            return self.close(slot, CloseReason::Protocol(reason), now);
        }
        if reason == ReasonCode::QuotaExceeded
            && self.conns[slot].version == ProtocolVersion::V3_1_1
            && publish.delivery != Delivery::AtMostOnce
            && self.is_store_failing()
        {
            // `[MQTT-3.3.5-2]` of 3.1.1: a positive acknowledgement, or none and the end.
            return self.close(slot, CloseReason::StoreFailed, now);
        }
        match publish.delivery {
            Delivery::AtMostOnce => {}
            Delivery::AtLeastOnce(id) => self.acknowledge(slot, PacketKind::PubAck, id, reason),
            Delivery::ExactlyOnce(id) => {
                // 3.1.1 can't be refused: it will release the message.
                if !reason.is_error() || self.conns[slot].version == ProtocolVersion::V3_1_1 {
                    self.sessions[session as usize].received.insert(id);
                    if let Some(journal) = &mut self.journal {
                        journal.received_changed(session, id);
                    }
                }
                self.acknowledge(slot, PacketKind::PubRec, id, reason);
            }
        }
    }

    /// Remembers what an alias stands for. Returns whether there was room for it.
    fn set_alias(&mut self, slot: u32, alias: NonZeroU16, topic: &str) -> bool {
        let aliases = self.conns[slot].aliases.get_or_insert_default();
        let before = aliases.get(alias).map_or(0, str::len);
        let bytes = self.connection_bytes - before + topic.len();
        let fits = bytes <= self.limits.connection_bytes;
        if fits {
            aliases.set(alias, topic);
            self.connection_bytes = bytes;
        }
        fits
    }

    /// PUBREL: the client will not send the message again.
    pub(super) fn handle_release(&mut self, slot: u32, id: PacketId) {
        let Some(session) = self.conns[slot].session else {
            return;
        };
        let reason = if self.sessions[session as usize].received.remove(id) {
            if let Some(journal) = &mut self.journal {
                journal.received_changed(session, id);
            }
            ReasonCode::Success
        } else {
            ReasonCode::PacketIdentifierNotFound
        };
        self.acknowledge(slot, PacketKind::PubComp, id, reason);
    }

    /// Publishes a message that is held already, and gives its reference back.
    pub(super) fn publish_message(&mut self, message: MessageRef, outgoing: Outgoing) {
        let topic = self.messages.get(&message).topic();
        let route = self.routes.find(topic, 0, &mut self.tree);
        if outgoing.retain {
            self.retain(&message, outgoing.qos);
        }
        self.deliver(route, &message, outgoing);
        self.messages.release(message);
    }

    /// Sends a step of an acknowledgement.
    pub(super) fn acknowledge(
        &mut self,
        slot: u32,
        kind: PacketKind,
        id: PacketId,
        reason: ReasonCode,
    ) {
        let ack = Ack {
            reason,
            ..Ack::new(id)
        };
        let conn = &self.conns[slot];
        if reason == ReasonCode::Success || conn.version == ProtocolVersion::V3_1_1 {
            let [high, low] = id.get().to_be_bytes();
            let flags = if kind == PacketKind::PubRel {
                0b0010
            } else {
                0
            };
            let packet = [(kind as u8) << 4 | flags, 2, high, low];
            return self.answer_bytes_when_stored(slot, &packet);
        }
        let packet = match kind {
            PacketKind::PubAck => Packet::PubAck(ack),
            PacketKind::PubRec => Packet::PubRec(ack),
            PacketKind::PubRel => Packet::PubRel(ack),
            _ => Packet::PubComp(ack),
        };
        self.answer_explained(slot, explain::publish(reason), packet);
    }

    /// Why nobody but the broker itself publishes to `topic`; `None` where clients may.
    pub(super) fn refusal(&self, topic: &str) -> Option<ReasonCode> {
        // Levels are only counted where there could be too many.
        if topic.len() >= self.limits.topic_levels
            && topic.bytes().filter(|byte| *byte == b'/').count() >= self.limits.topic_levels
        {
            return Some(ReasonCode::TopicNameInvalid);
        }
        let is_own =
            topic.starts_with("$SYS") && matches!(topic.as_bytes().get(4), None | Some(b'/'));
        is_own.then_some(ReasonCode::NotAuthorized)
    }

    /// Puts a client's message into the queues of all whom it is for.
    fn publish(
        &mut self,
        slot: u32,
        topic: &str,
        publish: &Publish<'_>,
        now: Instant,
    ) -> ReasonCode {
        if let Some(reason) = self.refusal(topic) {
            self.stats.refused_publishes += 1;
            return reason;
        }
        let session = self.conns[slot].session;
        if self.rights.is_some() && !session.is_some_and(|session| self.may_write(session, topic)) {
            self.stats.refused_publishes += 1;
            return ReasonCode::NotAuthorized;
        }
        let outgoing = Outgoing {
            qos: publish.delivery.qos(),
            retain: publish.retain,
            from: session,
        };
        let route = self
            .routes
            .find(topic, self.conns[slot].route, &mut self.tree);
        self.conns[slot].route = route;
        if !publish.retain && self.routes.is_empty(route) {
            return ReasonCode::NoMatchingSubscribers;
        }
        if self.journal.is_some() && self.needs_failing_store(route, outgoing) {
            self.stats.refused_unstored += 1;
            return ReasonCode::QuotaExceeded;
        }
        let size = topic.len() + publish.payload.len();
        // An empty message takes no room, and may make some.
        let size = size + MESSAGE_OVERHEAD;
        let is_full = self.held_memory().saturating_add(size) > self.limits.message_bytes;
        if is_full && !publish.payload.is_empty() {
            self.count_dropped(outgoing.qos);
            return ReasonCode::QuotaExceeded;
        }
        let properties = publish.properties;
        let message = if properties.is_empty() {
            self.messages.insert(topic, [], publish.payload, None)
        } else {
            let expires = properties
                .message_expiry_interval()
                .map(|seconds| now + Duration::from_secs(u64::from(seconds)));
            self.messages
                .insert(topic, forwarded(properties), publish.payload, expires)
        };
        if publish.retain && !self.retain(&message, outgoing.qos) {
            let refusable =
                self.conns[slot].version == ProtocolVersion::V5 && outgoing.qos != QoS::AtMostOnce;
            if refusable {
                self.messages.release(message);
                return ReasonCode::QuotaExceeded;
            }
        }
        self.is_pressing = false;
        let matched = self.deliver(route, &message, outgoing);
        self.messages.release(message);
        if self.is_pressing || self.held_memory() > self.limits.message_bytes / 16 * 15 {
            self.press(slot, now);
        }
        if matched {
            ReasonCode::Success
        } else {
            ReasonCode::NoMatchingSubscribers
        }
    }

    /// Keeps the message for later subscribers, or forgets the one that was kept. Returns whether
    /// there was room for it.
    pub(super) fn retain(&mut self, message: &MessageRef, qos: QoS) -> bool {
        let content = self.messages.get(message);
        let (topic, size) = (content.topic(), content.bytes().len());
        let old = self.retained.get(topic);
        let old_size = old.map(|old| self.messages.get(&old.message).bytes().len());
        let other_bytes = self.retained.bytes - old_size.unwrap_or(0);
        // `[MQTT-3.3.1-10]`, in 5.0 `[MQTT-3.3.1-6]`
        let forget = content.payload().is_empty();
        if !forget
            && !retained::is_own(topic)
            && (self.retained.of_clients() - usize::from(old_size.is_some())
                >= self.limits.retained_messages
                || other_bytes + size > self.limits.retained_bytes)
        {
            self.stats.dropped_retained += 1;
            return false;
        }
        let replaced = self.retained.remove(topic);
        self.retained.bytes = other_bytes;
        if !forget {
            let timer = content
                .expires()
                .map(|at| self.timers.set(at, Timer::Retained(message.slot())));
            let kept = Kept {
                message: self.messages.share(message),
                qos,
                timer,
            };
            self.retained.bytes += size;
            self.retained
                .insert(self.messages.get(message).topic(), kept);
        }
        if let Some(journal) = &mut self.journal
            && (!forget || replaced.is_some())
        {
            journal.retained_changed(self.messages.get(message).topic());
        }
        if let Some(old) = replaced {
            if let Some(timer) = old.timer {
                self.timers.cancel(timer);
            }
            self.messages.release(old.message);
        }
        true
    }

    /// The lifetime of the retained message in a slot is over.
    pub(super) fn retained_timeout(&mut self, message: u32) {
        let Some(topic) = self
            .messages
            .in_slot(message)
            .map(|message| message.topic())
        else {
            return;
        };
        let current = self
            .retained
            .get(topic)
            .is_some_and(|kept| kept.message.slot() == message);
        if current && let Some(kept) = self.retained.remove(topic) {
            self.retained.bytes -= self.messages.get(&kept.message).bytes().len();
            if let Some(journal) = &mut self.journal {
                journal.retained_changed(self.messages.get(&kept.message).topic());
            }
            self.messages.release(kept.message);
            self.stats.dropped_expired += 1;
        }
    }

    /// Gives a message to all whom it is for. Returns whether there was anybody.
    fn deliver(&mut self, route: u32, message: &MessageRef, outgoing: Outgoing) -> bool {
        self.measure_shares();
        let matches = self.routes.take(route);
        let mut matched = false;
        let mut rest = &matches.subscribers[..];
        while let [first, ..] = rest {
            let count = rest
                .iter()
                .take_while(|one| one.session == first.session)
                .count();
            let (run, behind) = rest.split_at(count);
            matched |= self.deliver_to(run, message, outgoing, false);
            rest = behind;
        }
        for &group in &matches.groups {
            matched |= self.deliver_to_group(group, message, outgoing);
        }
        self.routes.put_back(route, matches);
        matched
    }

    /// Gives a message once to a session with one or more subscriptions to it.
    pub(super) fn deliver_to(
        &mut self,
        run: &[Subscriber],
        message: &MessageRef,
        outgoing: Outgoing,
        shared: bool,
    ) -> bool {
        let session = run[0].session;
        if self.rights.is_some() && self.is_withheld(session, message) {
            self.stats.withheld += 1;
            return false;
        }
        let own = outgoing.from == Some(session);
        let mut wanted = run.iter().filter(|one| !(own && one.no_local()));
        let Some(first) = wanted.next() else {
            return false;
        };
        let (mut granted, mut retain) = (first.qos(), first.retain_as_published());
        let mut ids = SubscriptionIds::one(first.id);
        if run.len() > 1 {
            // `[MQTT-3.3.5-1]`, in 5.0 `[MQTT-3.3.4-2]`: the highest of their QoS.
            let mut all: Vec<SubscriptionId> = first.id.into_iter().collect();
            for one in wanted {
                granted = max(granted, one.qos());
                retain |= one.retain_as_published();
                all.extend(one.id);
            }
            if self.lists.memory() > self.limits.message_bytes / 2 {
                // Thousands of overlapping subscriptions: their identifiers take more than the
                // messages do.
                self.count_dropped(min(outgoing.qos, granted));
                return true;
            }
            ids = self.lists.add(all);
        }
        let entry = Entry {
            message: self.messages.share(message),
            ids: if shared { ids.shared() } else { ids },
            qos: min(outgoing.qos, granted),
            retain: outgoing.retain && retain,
        };
        self.enqueue(session, entry);
        true
    }

    /// Puts a message into a session's queue, or drops it: a client that is not there gets no QoS
    /// 0, and where the queue is full it is as [`Limits::slow_consumer`](super::Limits) says.
    pub(super) fn enqueue(&mut self, session: u32, entry: Entry) {
        let size = self.messages.get(&entry.message).bytes().len();
        self.is_pressing |= self.is_behind(session);
        let absent = entry.qos == QoS::AtMostOnce && self.sessions[session as usize].conn.is_none();
        if absent
            || (self.is_queue_full(session, size) && !self.make_room(session, entry.qos, size))
        {
            if !absent {
                self.count_dropped(entry.qos);
            }
            self.messages.release(entry.message);
            self.lists.release(entry.ids);
            return;
        }
        let state = &mut self.sessions[session as usize];
        if let Some(journal) = &mut self.journal
            && entry.qos != QoS::AtMostOnce
        {
            journal.queued(session);
        }
        state.queued_bytes += size;
        state.queue.push_back(entry);
        self.queued += 1;
        if let Some(slot) = state.conn {
            self.announce(slot);
        }
    }

    pub(super) fn count_dropped(&mut self, qos: QoS) {
        match qos {
            QoS::AtMostOnce => self.stats.dropped_qos_0 += 1,
            _ => self.stats.dropped_qos_1_2 += 1,
        }
    }

    /// Memory of all messages and of their lists of subscription identifiers, roughly.
    pub(super) fn held_memory(&self) -> usize {
        self.messages.memory() + self.lists.memory()
    }

    /// Slows a publisher down, because too much is held for all clients together, and more than its
    /// share for one of those that he publishes for.
    fn press(&mut self, slot: u32, now: Instant) {
        if self.conns[slot].paused & pause::PRESSURE == 0 {
            self.pause(slot, pause::PRESSURE);
            self.pressed.push(self.conns.id(slot));
            // Not for ever: what is held may be for clients that are not there.
            if self.pressed.len() == 1 {
                self.timers.set(now + PRESSURE_PAUSE, Timer::Pressure);
            }
        }
    }

    /// Publishers that were slowed down may go on, and retained messages are looked for again.
    pub(super) fn relieve(&mut self) {
        for conn in std::mem::take(&mut self.starved) {
            if let Some(slot) = self.conns.slot(conn) {
                self.conns[slot].starved = false;
                self.announce(slot);
            }
        }
        for conn in std::mem::take(&mut self.pressed) {
            if let Some(slot) = self.conns.slot(conn) {
                self.resume(slot, pause::PRESSURE);
            }
        }
    }
}

/// The encoded properties of a received publish or will that are passed on as they are.
pub(super) fn forwarded(properties: Properties<'_>) -> impl Iterator<Item = &[u8]> {
    let mut items = properties.iter();
    std::iter::from_fn(move || {
        let before = items.as_encoded()?;
        let property = items.next()?;
        let after = items.as_encoded()?;
        let own = matches!(
            property,
            Property::TopicAlias(_)
                | Property::MessageExpiryInterval(_)
                | Property::WillDelayInterval(_)
        );
        Some(if own {
            &[][..]
        } else {
            &before[..before.len() - after.len()]
        })
    })
}

pub(super) const PRESSURE_PAUSE: Duration = Duration::from_secs(1);
