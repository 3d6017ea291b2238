//! The state as it was stored, taken in at the start.

use std::collections::BTreeMap;
use std::fmt;

use declic_mqtt::{Instant, PacketId, TopicFilter};

use super::Engine;
use super::journal::{Durable, Journal, Sent};
use super::messages::MessageRef;
use super::records::{
    EntryRecord, Key, Owner, SessionRecord, decode_message, decode_retained, decode_subscription,
};
use super::retained::Kept;
use super::session::{Entry, InFlight, Replay};
use super::timers::Timer;
use super::wills::Will;

/// Takes in what a store has: [`Self::record`] for each record in the order of the keys, then
/// [`Self::finish`].
#[derive(Debug)]
pub struct Restore<'a> {
    pub(super) engine: &'a mut Engine,
    now: Instant,
    messages: BTreeMap<u64, MessageRef>,
    /// The session whose records come.
    session: Option<Restored>,
    /// Sessions that had a connection when the broker ended.
    pub(super) connected: Vec<u32>,
}

#[derive(Debug)]
struct Restored {
    session: u32,
    durable: Box<Durable>,
    in_flight: Vec<(u64, InFlight)>,
}

/// A record that can't be read. The store was damaged, or written by something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidRecord {
    key: Box<[u8]>,
}

impl fmt::Display for InvalidRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the record {} can't be read", self.key.escape_ascii())
    }
}

impl std::error::Error for InvalidRecord {}

impl Engine {
    /// Begins to take in what a store has, before the first connection is opened. `now` must not
    /// be earlier than any moment before: what lasts until a certain moment is stored with that
    /// moment.
    ///
    /// Connections that there were when the broker ended count as lost `now`.
    pub fn restore(&mut self, now: Instant) -> Restore<'_> {
        self.journal.get_or_insert_default();
        Restore {
            engine: self,
            now,
            messages: BTreeMap::new(),
            session: None,
            connected: Vec::new(),
        }
    }
}

impl Restore<'_> {
    /// Takes in one record.
    ///
    /// # Errors
    /// [`InvalidRecord`] names a record that can't be read, or that doesn't fit to those before.
    pub fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), InvalidRecord> {
        let decoded = Key::decode(key);
        decoded
            .and_then(|decoded| self.take(decoded, value))
            .ok_or_else(|| InvalidRecord { key: key.into() })
    }

    /// All records were taken in. Wills of clients that were connected are published, unless they
    /// are delayed.
    pub fn finish(mut self) {
        self.end_session();
        let (engine, now) = (self.engine, self.now);
        let Some(journal) = &mut engine.journal else {
            return;
        };
        for message in self.messages.into_values() {
            // Nothing refers to it, if there is such a message.
            if !journal.is_kept(message.slot()) {
                journal.released.push(message.slot());
            }
            engine.messages.release(message);
        }
        if engine.rights.is_some() {
            engine.set_rights(engine.rights.clone());
        }
        let sessions: Vec<_> = engine
            .sessions
            .iter()
            .map(|(index, _)| index as u32)
            .collect();
        for &session in &self.connected {
            let state = &engine.sessions[session as usize];
            let ends = state.expiry == 0;
            let will = state.will.as_ref();
            if will.is_some_and(|will| ends || will.delay == 0) {
                engine.publish_will(session, now);
            }
            if ends {
                engine.end_session(session, now);
            } else if let Some(journal) = &mut engine.journal {
                journal.record_changed(session);
            }
        }
        for session in sessions {
            if engine.sessions.contains(session as usize) {
                engine.set_session_timer(session);
            }
        }
    }

    fn take(&mut self, key: Key<'_>, value: &[u8]) -> Option<()> {
        match key {
            Key::Message(number) => {
                let (expires, content) = decode_message(value)?;
                let message = self.engine.messages.insert(
                    content.topic,
                    [content.properties],
                    content.payload,
                    expires,
                );
                let kept = self.engine.messages.share(&message);
                journal(self.engine)?.restored(number, kept);
                self.messages.insert(number, message);
            }
            Key::Retained(topic) => {
                let record = decode_retained(topic, value)?;
                let (content, expires) = (record.content, record.expires);
                let engine = &mut *self.engine;
                let properties = [content.properties];
                let message =
                    engine
                        .messages
                        .insert(content.topic, properties, content.payload, expires);
                engine.retained.bytes += engine.messages.get(&message).bytes().len();
                let timer =
                    expires.map(|at| engine.timers.set(at, Timer::Retained(message.slot())));
                let kept = Kept {
                    message,
                    qos: record.qos,
                    timer,
                };
                engine.retained.restore(topic, record.number, kept);
            }
            Key::Session(number) => self.begin_session(number, value)?,
            Key::Subscription(number, filter) => {
                let session = self.session(number)?.session;
                let record = decode_subscription(session, value)?;
                let subscriber = record.subscriber;
                let filter = TopicFilter::new(filter).ok()?;
                let engine = &mut *self.engine;
                let (place, _) = engine.tree.subscribe(filter, subscriber);
                engine.routes.outdate(filter);
                let state = &mut engine.sessions[session as usize];
                state.subscribed(place);
                if let Some((until, after)) = record.replay {
                    engine.retained.seen(until);
                    let replays = state.replays.get_or_insert_default();
                    replays.0.push_back(Replay {
                        place,
                        after: (!after.is_empty()).then(|| after.into()),
                        until,
                        qos: subscriber.qos(),
                        id: subscriber.id,
                    });
                }
            }
            Key::Queued(number, position) => {
                let mut record = EntryRecord::decode(value)?;
                let message = self.refer(record.message)?;
                let restored = self.session(number)?;
                let durable = &mut restored.durable;
                if durable.stored.is_empty() {
                    (durable.first, durable.next, durable.stored_first) =
                        (position, position, position);
                }
                if position != durable.next {
                    self.engine.messages.release(message);
                    return None;
                }
                durable.next += 1;
                durable.stored.push_back(message.slot());
                let session = restored.session as usize;
                let engine = &mut *self.engine;
                let state = &mut engine.sessions[session];
                state.queued_bytes += engine.messages.get(&message).bytes().len();
                state.queue.push_back(Entry {
                    message,
                    ids: record.ids(&mut engine.lists),
                    qos: record.qos,
                    retain: record.retain,
                });
                engine.queued += 1;
            }
            Key::InFlight(number, id) => {
                let mut record = EntryRecord::decode(value)?;
                let packet_id = PacketId::new(id)?;
                self.session(number)?;
                let message = match record.message {
                    0 => None,
                    message => Some(self.refer(message)?),
                };
                let slot = message.as_ref().map_or(0, MessageRef::slot);
                let engine = &mut *self.engine;
                let last_order = &mut journal(engine)?.last_order;
                *last_order = record.order.max(*last_order);
                let in_flight = InFlight {
                    message,
                    ids: record.ids(&mut engine.lists),
                    packet_id,
                    qos: record.qos,
                    retain: record.retain,
                };
                let restored = self.session(number)?;
                restored.in_flight.push((record.order, in_flight));
                let sent = Sent::restored(record.order, slot);
                restored.durable.in_flight.insert(id, sent);
            }
            Key::Received(number, id) => {
                let packet_id = PacketId::new(id)?;
                let restored = self.session(number)?;
                restored.durable.received_stored.insert(id);
                let session = restored.session as usize;
                self.engine.sessions[session].received.insert(packet_id);
            }
        }
        Some(())
    }

    fn begin_session(&mut self, number: u64, value: &[u8]) -> Option<()> {
        self.end_session();
        let record = SessionRecord::decode(value)?;
        let engine = &mut *self.engine;
        if engine.find_session(record.client_id).is_some() {
            return None;
        }
        let session = engine.new_session(record.client_id);
        let will = record.will.map(|will| {
            let content = will.content;
            let properties = [content.properties];
            let message = engine
                .messages
                .insert(content.topic, properties, content.payload, None);
            Box::new(Will {
                message,
                qos: will.qos,
                retain: will.retain,
                delay: will.delay,
                expiry: will.expiry,
            })
        });
        let state = &mut engine.sessions[session as usize];
        state.expiry = record.expiry;
        state.identity = record.owner.map(Owner::identity);
        state.will = will;
        state.lost_at = record.lost_at.unwrap_or(self.now);
        if record.lost_at.is_none() {
            self.connected.push(session);
        }
        let journal = journal(engine)?;
        journal.begin(session, record.expiry == 0);
        journal.last_session = journal.last_session.max(number);
        let mut durable = journal.take(session)?;
        durable.number = number;
        durable.is_stored = true;
        self.session = Some(Restored {
            session,
            durable,
            in_flight: Vec::new(),
        });
        Some(())
    }

    pub(super) fn end_session(&mut self) {
        let Some(mut restored) = self.session.take() else {
            return;
        };
        restored.in_flight.sort_by_key(|(order, _)| *order);
        let state = &mut self.engine.sessions[restored.session as usize];
        let in_flight = restored.in_flight.into_iter().map(|(_, sent)| sent);
        state.in_flight = in_flight.collect();
        self.engine.in_flight += state.in_flight.len();
        if let Some(journal) = &mut self.engine.journal {
            journal.put_back(restored.session, restored.durable);
        }
    }

    /// The session with a number, if its records come now.
    fn session(&mut self, number: u64) -> Option<&mut Restored> {
        let restored = self.session.as_mut();
        restored.filter(|one| one.durable.number == number)
    }

    /// One more record refers to a message.
    fn refer(&mut self, number: u64) -> Option<MessageRef> {
        let message = self.messages.get(&number)?;
        let messages = &mut self.engine.messages;
        let journal = self.engine.journal.as_mut()?;
        journal.refer(message.slot(), || messages.share(message));
        Some(messages.share(message))
    }
}

fn journal(engine: &mut Engine) -> Option<&mut Journal> {
    engine.journal.as_deref_mut()
}
