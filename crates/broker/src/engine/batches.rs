//! The durable state on its way to the store: what has changed becomes a batch, and what waited
//! for a batch goes on.

use std::time::Duration;

use declic_mqtt::packet::{Packet, SubscriptionId};
use declic_mqtt::{Instant, PacketId, QoS, TopicFilter};

use super::batch::Batch;
use super::connection::{State, pause};
use super::journal::{Durable, Held, Journal, Out};
use super::lists::Lists;
use super::publish::Outgoing;
use super::records::{
    EntryRecord, Key, Owner, SessionRecord, WillRecord, encode_message, encode_retained,
    encode_subscription,
};
use super::session::SubscriptionIds;
use super::timers::Timer;
use super::{CloseReason, Engine};

impl Engine {
    /// The same, but retained messages and the sessions that outlive their connection are kept by
    /// a store: what it has is given with [`Self::restore`], what changes comes out of
    /// [`Self::poll_batch`].
    #[must_use]
    pub fn with_store(mut self) -> Self {
        self.journal = Some(Box::default());
        self
    }

    /// Changes that have to be stored. One batch is out at a time: there is no next one before
    /// [`Self::handle_stored`].
    ///
    /// Ask for it when all input that is ready was fed. The more was fed before, the more answers
    /// one write to the store lets go.
    pub fn poll_batch(&mut self) -> Option<Batch> {
        let journal = self.journal.as_deref_mut()?;
        if journal.out.is_some() {
            return None;
        }
        if journal.failing {
            if !journal.retry {
                return None;
            }
            journal.retry = false;
            journal.out = journal.failed_out.take();
            return journal.failed.take();
        }
        if journal.is_clean() && journal.held.answers.is_empty() {
            return None;
        }
        let mut journal = self.journal.take()?;
        let (batch, mut out) = self.cut(&mut journal);
        out.held = std::mem::take(&mut journal.held);
        self.journal = Some(journal);
        if batch.is_empty() {
            // What was promised came and went already.
            self.stored(out);
            return None;
        }
        self.stats.batches += 1;
        if let Some(journal) = &mut self.journal {
            journal.out = Some(out);
        }
        Some(batch)
    }

    /// The batch is stored as safely as it was asked for, or it is not: then the same batch comes
    /// again after a second, and until it is stored nothing is promised that would need the store.
    pub fn handle_stored(&mut self, batch: Batch, is_stored: bool, now: Instant) {
        let Some(journal) = self.journal.as_deref_mut() else {
            return;
        };
        let Some(mut out) = journal.out.take() else {
            return;
        };
        if is_stored {
            journal.failing = false;
            return self.stored(out);
        }
        journal.failing = true;
        journal.failed = Some(batch);
        self.timers.set(now + RETRY_TIME, Timer::Store);
        self.stats.store_failures += 1;
        // Who waits is not kept waiting for as long as a disk may stay full.
        let mut waiting = std::mem::take(&mut out.held.answers);
        waiting.append(&mut journal.held.answers);
        journal.held = Held::default();
        // What may be sent once it is stored may be sent when the same batch is stored later.
        journal.failed_out = Some(out);
        for (conn, _) in waiting {
            if let Some(slot) = self.conns.slot(conn) {
                if let Some(journal) = &mut self.journal {
                    journal.forget(slot);
                }
                self.close(slot, CloseReason::StoreFailed, now);
            }
        }
    }

    /// Whether a batch is out, or could not be stored.
    pub fn is_storing(&self) -> bool {
        let journal = self.journal.as_ref();
        journal.is_some_and(|journal| journal.out.is_some() || journal.failing)
    }

    /// Whether the store could not write the last batch.
    pub(super) fn is_store_failing(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.failing)
    }

    /// Whether nothing may be sent, since the CONNACK waits for the store.
    pub(super) fn is_silent(&self, slot: u32) -> bool {
        self.journal
            .as_ref()
            .is_some_and(|journal| journal.is_silent(slot))
    }

    /// Nothing may be sent before the CONNACK, which waits for the store.
    pub(super) fn silence(&mut self, slot: u32) {
        if let Some(journal) = &mut self.journal {
            journal.silence(slot);
        }
    }

    /// It is time to try again what could not be stored.
    pub(super) fn store_timeout(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.retry = true;
        }
    }

    /// Queues an answer that promises something: it waits until that is stored.
    pub(super) fn answer_when_stored(&mut self, slot: u32, packet: &Packet<'_>) {
        if !self.must_hold(slot) {
            return self.answer(slot, packet);
        }
        let conn = &self.conns[slot];
        let Ok(length) = packet.encoded_len(conn.version) else {
            debug_assert!(false, "{packet:?} can't be encoded");
            return;
        };
        if length > conn.packet_size as usize {
            return;
        }
        if let Some(journal) = &mut self.journal {
            let buffer = journal.buffer();
            let at = buffer.len();
            buffer.resize(at + length, 0);
            let written = packet.encode(conn.version, &mut buffer[at..]);
            debug_assert_eq!(written, Ok(length));
            self.hold(slot, length);
        }
    }

    /// The same with an encoded packet.
    pub(super) fn answer_bytes_when_stored(&mut self, slot: u32, bytes: &[u8]) {
        if !self.must_hold(slot) {
            return self.answer_bytes(slot, bytes);
        }
        if let Some(journal) = &mut self.journal {
            journal.buffer().extend_from_slice(bytes);
            self.hold(slot, bytes.len());
        }
    }

    fn must_hold(&self, slot: u32) -> bool {
        let session = self.conns[slot].session;
        self.journal
            .as_ref()
            .is_some_and(|journal| journal.must_hold(slot, session))
    }

    fn hold(&mut self, slot: u32, length: usize) {
        let conn = self.conns.id(slot);
        if let Some(journal) = &mut self.journal
            && journal.hold(conn, length) > self.limits.answer_bytes
        {
            self.pause(slot, pause::STORE);
        }
    }

    /// What waited for a batch goes on.
    fn stored(&mut self, out: Out) {
        let mut rest = &out.held.bytes[..];
        for (conn, length) in out.held.answers {
            let (answer, behind) = rest.split_at(length as usize);
            rest = behind;
            let Some(slot) = self.conns.slot(conn) else {
                continue;
            };
            let Some(journal) = &mut self.journal else {
                return;
            };
            let left = journal.let_go(slot, length);
            if self.conns[slot].state != State::Connected {
                continue;
            }
            if left <= self.limits.answer_bytes {
                self.resume(slot, pause::STORE);
            }
            self.answer_bytes(slot, answer);
        }
        let Some(journal) = &mut self.journal else {
            return;
        };
        for (session, number) in out.sessions {
            if let Some(durable) = journal.any(session).filter(|one| one.number == number) {
                durable.is_out = false;
            }
        }
        for (session, id, order) in out.sent {
            let Some(durable) = journal.any(session) else {
                continue;
            };
            let sent = durable.in_flight.get_mut(&id);
            if let Some(sent) = sent.filter(|sent| sent.order == order) {
                sent.is_ready = true;
                if let Some(slot) = self.sessions.get(session as usize).and_then(|one| one.conn) {
                    let conn = &mut self.conns[slot];
                    if !conn.announced {
                        conn.announced = true;
                        self.ready.push_back(slot);
                    }
                }
            }
        }
    }

    /// Makes a batch of all that has changed.
    fn cut(&mut self, journal: &mut Journal) -> (Batch, Out) {
        let (mut batch, mut out) = (Batch::default(), Out::default());
        for number in std::mem::take(&mut journal.ended) {
            batch.push(super::batch::Change::DeletePrefix {
                prefix: &Key::Session(number).encode(),
            });
        }
        for topic in std::mem::take(&mut journal.retained) {
            let key = Key::Retained(&topic).encode();
            match self.retained.numbered(&topic) {
                None => batch.delete(&key),
                Some((number, kept)) => {
                    let message = self.messages.get(&kept.message);
                    batch.put(&key, &encode_retained(message, kept.qos, number));
                }
            }
        }
        for session in std::mem::take(&mut journal.changed) {
            let Some(mut durable) = journal.take(session) else {
                continue;
            };
            // Another session may have come into its place, and be listed behind it.
            if std::mem::take(&mut durable.listed) {
                let before = batch.as_bytes().len();
                self.cut_session(session, &mut durable, journal, &mut batch, &mut out);
                if batch.as_bytes().len() > before {
                    durable.is_stored = true;
                    durable.is_out = true;
                    out.sessions.push((session, durable.number));
                }
            }
            journal.put_back(session, durable);
        }
        // Last, so that what is referred to again keeps its record.
        for slot in std::mem::take(&mut journal.released) {
            if let Some((number, message)) = journal.unrefer(slot) {
                batch.delete(&Key::Message(number).encode());
                self.messages.release(message);
            }
        }
        (batch, out)
    }

    fn cut_session(
        &mut self,
        session: u32,
        durable: &mut Durable,
        journal: &mut Journal,
        batch: &mut Batch,
        out: &mut Out,
    ) {
        let state = &self.sessions[session as usize];
        let number = durable.number;
        if std::mem::take(&mut durable.record) {
            let will = state.will.as_deref();
            let record = SessionRecord {
                client_id: &state.client_id,
                owner: state.identity.as_ref().map(Owner::of),
                expiry: state.expiry,
                lost_at: state.conn.is_none().then_some(state.lost_at),
                will: will.map(|will| WillRecord::new(will, self.messages.get(&will.message))),
            };
            batch.put(&Key::Session(number).encode(), &record.encode());
        }
        for text in std::mem::take(&mut durable.filters) {
            let key = Key::Subscription(number, &text).encode();
            let place = TopicFilter::new(&text)
                .ok()
                .and_then(|filter| self.tree.find(filter));
            let found =
                place.and_then(|place| Some((place, self.tree.subscriber(place, session)?)));
            match found {
                None => batch.delete(&key),
                Some((place, subscriber)) => {
                    let mut replays = state.replays.iter().flat_map(|replays| &replays.0);
                    let replay = replays.find(|replay| replay.place == place);
                    batch.put(&key, &encode_subscription(subscriber, replay));
                }
            }
        }
        self.cut_queue(session, durable, journal, batch);
        self.cut_in_flight(session, durable, journal, batch, out);
        let state = &self.sessions[session as usize];
        let changed = std::mem::take(&mut durable.received_changed);
        for id in changed {
            let key = Key::Received(number, id).encode();
            let is_there = PacketId::new(id).is_some_and(|id| state.received.contains(id));
            if is_there && durable.received_stored.insert(id) {
                batch.put(&key, &[]);
            } else if !is_there && durable.received_stored.remove(&id) {
                batch.delete(&key);
            }
        }
    }

    /// Records of messages that left the queue go, those of new ones come.
    fn cut_queue(
        &mut self,
        session: u32,
        durable: &mut Durable,
        journal: &mut Journal,
        batch: &mut Batch,
    ) {
        while durable.stored_first < durable.first
            && let Some(slot) = durable.stored.pop_front()
        {
            batch.delete(&Key::Queued(durable.number, durable.stored_first).encode());
            journal.released.push(slot);
            durable.stored_first += 1;
        }
        if durable.stored.is_empty() {
            durable.stored_first = durable.first;
        }
        let next = durable.stored_first + durable.stored.len() as u64;
        let missing = (durable.next - next) as usize;
        let queue = &self.sessions[session as usize].queue;
        let lasting = queue.iter().filter(|entry| entry.qos != QoS::AtMostOnce);
        // All that are missing stand at the end.
        let mut entries: Vec<_> = lasting.rev().take(missing).collect();
        entries.reverse();
        debug_assert_eq!(entries.len(), missing);
        for (number, entry) in (next..).zip(entries) {
            let slot = entry.message.slot();
            let (message, is_new) = journal.refer(slot, || self.messages.share(&entry.message));
            if is_new {
                let message_key = Key::Message(message).encode();
                batch.put(
                    &message_key,
                    &encode_message(self.messages.get(&entry.message)),
                );
            }
            let record = EntryRecord {
                message,
                order: 0,
                qos: entry.qos,
                retain: entry.retain,
                is_shared: entry.ids.is_shared(),
                ids: identifiers(&self.lists, entry.ids),
            };
            batch.put(
                &Key::Queued(durable.number, number).encode(),
                &record.encode(),
            );
            durable.stored.push_back(slot);
        }
    }

    fn cut_in_flight(
        &mut self,
        session: u32,
        durable: &mut Durable,
        journal: &mut Journal,
        batch: &mut Batch,
        out: &mut Out,
    ) {
        let mut changed = std::mem::take(&mut durable.in_flight_changed);
        if changed.is_empty() {
            return;
        }
        changed.sort_unstable();
        changed.dedup();
        for &id in &changed {
            if let Some(sent) = durable.in_flight.get(&id)
                && sent.is_gone
            {
                batch.delete(&Key::InFlight(durable.number, id).encode());
                let slot = sent.stored.filter(|slot| *slot != 0);
                journal.released.extend(slot);
                durable.in_flight.remove(&id);
            }
        }
        for entry in &self.sessions[session as usize].in_flight {
            let id = entry.packet_id.get();
            if changed.binary_search(&id).is_err() {
                continue;
            }
            let Some(sent) = durable.in_flight.get_mut(&id) else {
                continue;
            };
            let (mut message, mut slot) = (0, 0);
            if let Some(reference) = &entry.message {
                slot = reference.slot();
                let (number, is_new) = journal.refer(slot, || self.messages.share(reference));
                message = number;
                if is_new {
                    let content = encode_message(self.messages.get(reference));
                    batch.put(&Key::Message(number).encode(), &content);
                }
            }
            let record = EntryRecord {
                message,
                order: sent.order,
                qos: entry.qos,
                retain: entry.retain,
                is_shared: entry.ids.is_shared(),
                ids: identifiers(&self.lists, entry.ids),
            };
            batch.put(
                &Key::InFlight(durable.number, id).encode(),
                &record.encode(),
            );
            let old = sent.stored.replace(slot).filter(|slot| *slot != 0);
            journal.released.extend(old);
            if !sent.is_ready {
                out.sent.push((session, id, sent.order));
            }
        }
    }

    /// Whether the store is asked for too much now: it could not write, and the answer to this
    /// publish would promise that it did.
    pub(super) fn needs_failing_store(&mut self, route: u32, outgoing: Outgoing) -> bool {
        let Some(journal) = self.journal.as_ref().filter(|journal| journal.failing) else {
            return false;
        };
        if outgoing.qos == QoS::AtMostOnce {
            return false;
        }
        let matches = self.routes.take(route);
        let lasts = matches
            .subscribers
            .iter()
            .any(|one| journal.lasts(one.session));
        let needs = outgoing.retain || lasts || !matches.groups.is_empty();
        self.routes.put_back(route, matches);
        needs
    }
}

fn identifiers(lists: &Lists, ids: SubscriptionIds) -> Vec<SubscriptionId> {
    match ids.single() {
        Some(id) => vec![id],
        None => lists.get(ids).to_vec(),
    }
}

/// After which a batch that could not be stored is tried again.
const RETRY_TIME: Duration = Duration::from_secs(1);
