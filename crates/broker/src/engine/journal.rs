//! What has changed since the store was written last, and who waits for it.
//!
//! The journal keeps no log. It notes *that* something changed; what it is now is looked at when a
//! batch is made. Whatever came and went in between, a message that was delivered while the last
//! batch was written for example, is never written at all.
//!
//! One batch is out at a time. Answers that say "it is safe with me" are held until the batch that
//! makes it true is stored.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use declic_mqtt::PacketId;

use super::batch::Batch;
use super::connection::ConnId;
use super::messages::MessageRef;
use super::retained::is_own;

#[derive(Debug, Default)]
pub(super) struct Journal {
    /// By the session's index; `None` for one that ends with its connection.
    sessions: Vec<Option<Box<Durable>>>,
    /// Sessions with changes.
    pub(super) changed: Vec<u32>,
    /// Numbers of sessions whose records go.
    pub(super) ended: Vec<u64>,
    /// Topics whose retained message changed.
    pub(super) retained: BTreeSet<Box<str>>,
    /// What is stored of a message, by its slot.
    messages: Vec<Stored>,
    /// Messages that are stored.
    kept: usize,
    /// References that records which go had to messages.
    pub(super) released: Vec<u32>,
    pub(super) last_session: u64,
    pub(super) last_message: u64,
    pub(super) last_order: u64,
    /// Whether the packet that is dealt with changed something that outlives the broker.
    pub(super) touched: bool,
    /// By the connection's slot.
    waiting: Vec<Waiting>,
    /// Answers for the next batch.
    pub(super) held: Held,
    /// Answers, and sessions, of the batch that is out.
    pub(super) out: Option<Out>,
    /// The store could not write.
    pub(super) failing: bool,
    /// What could not be written, until it is tried again.
    pub(super) failed: Option<Batch>,
    /// What waits for it.
    pub(super) failed_out: Option<Out>,
    /// It is time to try again.
    pub(super) retry: bool,
}

/// A session that is stored.
#[derive(Debug, Default)]
pub(super) struct Durable {
    pub(super) number: u64,
    /// It ends with its connection; only its will is stored.
    pub(super) will_only: bool,
    /// It stands in the list of changed sessions.
    pub(super) listed: bool,
    /// The batch that is out has something of it.
    pub(super) is_out: bool,
    /// There are records of it.
    pub(super) is_stored: bool,
    /// Its own record changed.
    pub(super) record: bool,
    /// Changed subscriptions.
    pub(super) filters: BTreeSet<Box<str>>,
    /// Messages of QoS 1 and 2 in the queue have the numbers from `first` on, before `next`.
    pub(super) first: u64,
    pub(super) next: u64,
    /// The messages of the queue's records, the first of which has the number `stored_first`.
    pub(super) stored: VecDeque<u32>,
    pub(super) stored_first: u64,
    pub(super) in_flight: BTreeMap<u16, Sent>,
    /// Changed ones, some more than once.
    pub(super) in_flight_changed: Vec<u16>,
    pub(super) received_changed: BTreeSet<u16>,
    pub(super) received_stored: BTreeSet<u16>,
}

/// What is stored of a message that is on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) order: u64,
    /// The message of its record, 0 for a record without one; `None` when there is no record.
    pub(super) stored: Option<u32>,
    /// It was never written to a connection.
    fresh: bool,
    /// It may be written to a connection.
    pub(super) is_ready: bool,
    /// It is on its way no more; only the record is still there.
    pub(super) is_gone: bool,
}

/// What is stored of a message.
#[derive(Debug, Default)]
struct Stored {
    number: u64,
    /// Records that refer to it.
    references: u32,
    /// Keeps the slot from being used again.
    message: Option<MessageRef>,
}

/// Answers that wait for the store.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Connections with the length of each answer.
    pub(super) answers: Vec<(ConnId, u32)>,
    pub(super) bytes: Vec<u8>,
}

/// What waits for the batch that is out.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) held: Held,
    pub(super) sessions: Vec<(u32, u64)>,
    /// Sessions with messages that may be sent once they are stored: session, packet identifier,
    /// order.
    pub(super) sent: Vec<(u32, u16, u64)>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Waiting {
    bytes: u32,
    /// Its CONNACK is held.
    silent: bool,
}

/// Whether a message that is in flight may be written to the connection now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// For the first time.
    First,
    /// Once more.
    Again,
    /// Not before it is stored.
    Wait,
}

impl Journal {
    /// The session's client is connected: it `lasts`, or ends with the connection.
    pub(super) fn connected(&mut self, session: u32, lasts: bool, has_will: bool) {
        let will_only = !lasts;
        let other = self
            .any(session)
            .is_some_and(|one| one.will_only != will_only);
        if other {
            self.session_ended(session);
        }
        if lasts || has_will {
            self.begin(session, will_only);
            self.record_changed(session);
        }
    }

    /// A session is stored from now on, if it is not yet.
    pub(super) fn begin(&mut self, session: u32, will_only: bool) -> &mut Durable {
        let index = session as usize;
        if self.sessions.len() <= index {
            self.sessions.resize_with(index + 1, || None);
        }
        let last = &mut self.last_session;
        self.sessions[index].get_or_insert_with(|| {
            *last += 1;
            Box::new(Durable {
                number: *last,
                will_only,
                ..Durable::default()
            })
        })
    }

    pub(super) fn session_ended(&mut self, session: u32) {
        let Some(durable) = self.take(session) else {
            return;
        };
        if !durable.is_stored {
            return;
        }
        self.touched |= !durable.will_only;
        self.ended.push(durable.number);
        let in_flight = durable.in_flight.values().filter_map(|sent| sent.stored);
        let released = durable.stored.into_iter().chain(in_flight);
        self.released.extend(released.filter(|slot| *slot != 0));
    }

    /// The session's own record has to be written anew.
    pub(super) fn record_changed(&mut self, session: u32) {
        let Some(durable) = self.any(session) else {
            return;
        };
        durable.record = true;
        let lasts = !durable.will_only;
        self.touched |= lasts;
        self.list(session);
    }

    pub(super) fn filter_changed(&mut self, session: u32, filter: &str) {
        if let Some(durable) = self.lasting(session) {
            durable.filters.insert(filter.into());
            self.touch(session);
        }
    }

    /// A message of QoS 1 or 2 was put at the end of the session's queue.
    pub(super) fn queued(&mut self, session: u32) {
        if let Some(durable) = self.lasting(session) {
            durable.next += 1;
            self.touch(session);
        }
    }

    /// A message of QoS 1 or 2 was taken from the front of the session's queue.
    pub(super) fn dequeued(&mut self, session: u32) {
        if let Some(durable) = self.lasting(session) {
            durable.first += 1;
            self.touch(session);
        }
    }

    /// A message is in flight. `is_ready` says that it is sent at once, before it is stored.
    pub(super) fn sent(&mut self, session: u32, id: PacketId, is_ready: bool) {
        let order = self.last_order + 1;
        let Some(durable) = self.lasting(session) else {
            return;
        };
        let sent = durable.in_flight.entry(id.get()).or_insert(Sent::NONE);
        *sent = Sent {
            order,
            fresh: !is_ready,
            is_ready,
            is_gone: false,
            ..*sent
        };
        durable.in_flight_changed.push(id.get());
        self.last_order = order;
        self.touch(session);
    }

    /// A message in flight has come one step further.
    pub(super) fn in_flight_changed(&mut self, session: u32, id: PacketId) {
        if let Some(durable) = self.lasting(session) {
            durable.in_flight_changed.push(id.get());
            self.touch(session);
        }
    }

    /// A message is in flight no more.
    pub(super) fn in_flight_ended(&mut self, session: u32, id: PacketId) {
        let Some(durable) = self.lasting(session) else {
            return;
        };
        if let Some(sent) = durable.in_flight.get_mut(&id.get()) {
            if sent.stored.is_none() {
                durable.in_flight.remove(&id.get());
            } else {
                sent.is_gone = true;
                durable.in_flight_changed.push(id.get());
            }
            self.touch(session);
        }
    }

    /// The client's message of QoS 2 came, or was released.
    pub(super) fn received_changed(&mut self, session: u32, id: PacketId) {
        if let Some(durable) = self.lasting(session) {
            durable.received_changed.insert(id.get());
            self.touch(session);
        }
    }

    pub(super) fn retained_changed(&mut self, topic: &str) {
        // The broker's own are made anew.
        if is_own(topic) {
            return;
        }
        self.touched = true;
        if !self.retained.contains(topic) {
            self.retained.insert(topic.into());
        }
    }

    /// Whether the session outlives its connection.
    pub(super) fn lasts(&self, session: u32) -> bool {
        self.durable(session).is_some_and(|one| !one.will_only)
    }

    /// Whether the session has changes that are not stored.
    pub(super) fn is_pending(&self, session: u32) -> bool {
        self.durable(session)
            .is_some_and(|one| !one.will_only && (one.listed || one.is_out))
    }

    /// Whether a message that is in flight may be written to the connection.
    pub(super) fn turn(&self, session: u32, id: PacketId) -> Turn {
        let sent = self
            .durable(session)
            .and_then(|one| one.in_flight.get(&id.get()));
        match sent {
            Some(sent) if !sent.is_ready => Turn::Wait,
            Some(sent) if sent.fresh => Turn::First,
            _ => Turn::Again,
        }
    }

    /// A message that is in flight was written to the connection.
    pub(super) fn written(&mut self, session: u32, id: PacketId) {
        if let Some(durable) = self.lasting(session)
            && let Some(sent) = durable.in_flight.get_mut(&id.get())
        {
            sent.fresh = false;
        }
    }

    /// Whether there is anything to store.
    pub(super) fn is_clean(&self) -> bool {
        self.changed.is_empty()
            && self.ended.is_empty()
            && self.retained.is_empty()
            && self.released.is_empty()
    }

    pub(super) fn durable(&self, session: u32) -> Option<&Durable> {
        self.sessions.get(session as usize)?.as_deref()
    }

    /// A session that is stored, for whatever.
    pub(super) fn any(&mut self, session: u32) -> Option<&mut Durable> {
        self.sessions.get_mut(session as usize)?.as_deref_mut()
    }

    fn lasting(&mut self, session: u32) -> Option<&mut Durable> {
        self.any(session).filter(|one| !one.will_only)
    }

    /// Takes a session out for a moment, or for ever.
    pub(super) fn take(&mut self, session: u32) -> Option<Box<Durable>> {
        self.sessions.get_mut(session as usize)?.take()
    }

    pub(super) fn put_back(&mut self, session: u32, durable: Box<Durable>) {
        self.sessions[session as usize] = Some(durable);
    }

    fn touch(&mut self, session: u32) {
        self.touched = true;
        self.list(session);
    }

    fn list(&mut self, session: u32) {
        if let Some(durable) = self.any(session)
            && !durable.listed
        {
            durable.listed = true;
            self.changed.push(session);
        }
    }
}

/// Messages with records.
impl Journal {
    /// One more record refers to the message in `slot`. Returns its number, and whether it has to
    /// be stored itself; then `share` is called for a reference that keeps it.
    pub(super) fn refer(&mut self, slot: u32, share: impl FnOnce() -> MessageRef) -> (u64, bool) {
        let index = slot as usize;
        if self.messages.len() <= index {
            self.messages.resize_with(index + 1, Stored::default);
        }
        let stored = &mut self.messages[index];
        stored.references += 1;
        let is_new = stored.message.is_none();
        if is_new {
            self.last_message += 1;
            stored.number = self.last_message;
            stored.message = Some(share());
            self.kept += 1;
        }
        (stored.number, is_new)
    }

    /// A message that is stored already was loaded.
    pub(super) fn restored(&mut self, number: u64, message: MessageRef) {
        let index = message.slot() as usize;
        if self.messages.len() <= index {
            self.messages.resize_with(index + 1, Stored::default);
        }
        self.last_message = self.last_message.max(number);
        self.kept += 1;
        self.messages[index] = Stored {
            number,
            references: 0,
            message: Some(message),
        };
    }

    /// Whether a record refers to the message in `slot`.
    pub(super) fn is_kept(&self, slot: u32) -> bool {
        self.messages
            .get(slot as usize)
            .is_some_and(|one| one.references > 0)
    }

    /// One record less refers to the message. When it was the last, returns the message's number
    /// and the reference that kept it.
    pub(super) fn unrefer(&mut self, slot: u32) -> Option<(u64, MessageRef)> {
        let stored = self.messages.get_mut(slot as usize)?;
        stored.references = stored.references.saturating_sub(1);
        if stored.references > 0 {
            return None;
        }
        let message = stored.message.take()?;
        let number = stored.number;
        self.kept -= 1;
        if self.kept == 0 && self.messages.len() > KEPT_SLOTS {
            // A flood is over.
            self.messages = Vec::new();
        }
        Some((number, message))
    }

    #[cfg(test)]
    pub(super) fn kept_messages(&self) -> impl Iterator<Item = &MessageRef> {
        self.messages.iter().filter_map(|one| one.message.as_ref())
    }
}

/// Answers that wait.
impl Journal {
    /// Whether an answer that promises something has to wait.
    pub(super) fn must_hold(&self, slot: u32, session: Option<u32>) -> bool {
        self.touched
            || self.waiting(slot).bytes > 0
            || session.is_some_and(|session| self.is_pending(session))
    }

    /// Whether nothing may be sent, since the CONNACK is held.
    pub(super) fn is_silent(&self, slot: u32) -> bool {
        self.waiting(slot).silent
    }

    /// Nothing more is sent until the answer that is held next is let go.
    pub(super) fn silence(&mut self, slot: u32) {
        let waiting = self.waiting_mut(slot);
        waiting.silent = waiting.bytes > 0;
    }

    /// Where to put an answer, before [`Self::hold`].
    pub(super) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.held.bytes
    }

    /// Holds the last `length` bytes of the buffer. Returns the bytes that the connection waits
    /// for.
    pub(super) fn hold(&mut self, conn: ConnId, length: usize) -> usize {
        self.held.answers.push((conn, length as u32));
        let waiting = self.waiting_mut(conn.slot());
        waiting.bytes += length as u32;
        waiting.bytes as usize
    }

    /// An answer is held no more. Returns the bytes that the connection still waits for.
    pub(super) fn let_go(&mut self, slot: u32, length: u32) -> usize {
        let waiting = self.waiting_mut(slot);
        waiting.bytes = waiting.bytes.saturating_sub(length);
        waiting.silent = false;
        waiting.bytes as usize
    }

    /// The connection is closed: nothing that is held is for it any more.
    pub(super) fn forget(&mut self, slot: u32) {
        if let Some(waiting) = self.waiting.get_mut(slot as usize) {
            *waiting = Waiting::default();
        }
    }

    fn waiting(&self, slot: u32) -> Waiting {
        self.waiting.get(slot as usize).copied().unwrap_or_default()
    }

    fn waiting_mut(&mut self, slot: u32) -> &mut Waiting {
        let index = slot as usize;
        if self.waiting.len() <= index {
            self.waiting.resize(index + 1, Waiting::default());
        }
        &mut self.waiting[index]
    }
}

impl Sent {
    const NONE: Self = Self {
        order: 0,
        stored: None,
        fresh: false,
        is_ready: true,
        is_gone: false,
    };

    /// One that was loaded.
    pub(super) const fn restored(order: u64, message: u32) -> Self {
        Self {
            order,
            stored: Some(message),
            ..Self::NONE
        }
    }
}

/// Slots for which there is room although no message is stored.
const KEPT_SLOTS: usize = 4_096;
