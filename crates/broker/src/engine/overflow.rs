//! What happens to messages for a client that reads more slowly than they come.

use declic_mqtt::{Instant, QoS};

use super::connection::State;
use super::{CloseReason, Engine};

/// What happens when the queue of a client is full and one more message comes for it. Messages of
/// QoS 0 always go before those of QoS 1 and 2: a waiting one is dropped for a new message of QoS
/// 1 or 2, and a new one is never put in the place of those.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SlowConsumer {
    /// The new message is dropped.
    #[default]
    DropNewest,
    /// The messages that have waited longest are dropped.
    DropOldest,
    /// The new message is dropped and the client disconnected; one of 5.0 is told 0x97 (quota
    /// exceeded). Its session stays as long as it was asked for.
    Disconnect,
}

impl SlowConsumer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DropNewest, Self::DropOldest, Self::Disconnect];

    /// Its name, as in a configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DropNewest => "drop-newest",
            Self::DropOldest => "drop-oldest",
            Self::Disconnect => "disconnect",
        }
    }
}

/// Bytes that may be held for one client when all messages together come near their limit. Who
/// holds more loses some then, and those who read theirs do not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    /// Above it, those are slowed down who publish for the client.
    pressing: usize,
    /// Above it, the queue counts as full.
    dropping: usize,
}

impl Shares {
    /// There is room for everybody.
    pub(super) const NONE: Self = Self {
        pressing: usize::MAX,
        dropping: usize::MAX,
    };
}

impl Engine {
    /// Whether a session's queue, or all of them together, have no room for a message of `size`
    /// bytes. One message always has room in an empty queue.
    pub(super) fn is_queue_full(&self, session: u32, size: usize) -> bool {
        let state = &self.sessions[session as usize];
        state.queue.len() >= self.limits.queued_messages
            || self.queued + self.in_flight >= self.limits.queued_in_all
            || (state.queued_bytes > 0 && state.queued_bytes + size > self.limits.queued_bytes)
            || (self.shares.dropping < usize::MAX && self.is_over(session, size))
    }

    /// How much may be held for one client, as much as is held now.
    pub(super) fn measure_shares(&mut self) {
        let (held, limit) = (self.held_memory(), self.limits.message_bytes);
        self.shares = Shares::NONE;
        if held > limit / 4 * 3 {
            let share = limit / 2 / self.sessions.len().max(1);
            self.shares.pressing = share / 2;
            if held > limit / 8 * 7 {
                self.shares.dropping = share;
            }
        }
    }

    /// Whether so much is held for a client that whoever publishes for it should be slowed down.
    pub(super) fn is_behind(&self, session: u32) -> bool {
        self.shares.pressing < usize::MAX && self.held_for(session) > self.shares.pressing
    }

    /// Whether a client has its share, without one more message of `size` bytes. As for a queue,
    /// one message always has room.
    #[cold]
    fn is_over(&self, session: u32, size: usize) -> bool {
        let held = self.held_for(session);
        held > 0 && held + size > self.shares.dropping
    }

    /// Bytes of messages that wait for a client or that it has not acknowledged.
    fn held_for(&self, session: u32) -> usize {
        let state = &self.sessions[session as usize];
        let in_flight = state.in_flight.iter();
        let messages = in_flight.filter_map(|sent| sent.message.as_ref());
        let bytes = messages.map(|message| self.messages.get(message).bytes().len());
        state.queued_bytes + bytes.sum::<usize>()
    }

    /// Makes room in a full queue, if the policy has it so. Returns whether there is room now.
    #[cold]
    pub(super) fn make_room(&mut self, session: u32, qos: QoS, size: usize) -> bool {
        let policy = self.limits.slow_consumer;
        if qos != QoS::AtMostOnce || policy == SlowConsumer::DropOldest {
            while self.is_queue_full(session, size) && self.drop_one_of_qos_0(session) {}
        }
        match policy {
            SlowConsumer::DropNewest => {}
            SlowConsumer::DropOldest if qos == QoS::AtMostOnce => {}
            SlowConsumer::DropOldest => {
                while self.is_queue_full(session, size)
                    && let Some(oldest) = self.sessions[session as usize].queue.front()
                {
                    self.count_dropped(oldest.qos);
                    self.drop_front(session);
                }
            }
            SlowConsumer::Disconnect => {
                // Not here: who delivers is in the middle of its list of sessions.
                if let Some(slot) = self.sessions[session as usize].conn
                    && self.is_queue_full(session, size)
                    && self.overrun.last() != Some(&self.conns.id(slot))
                {
                    self.overrun.push(self.conns.id(slot));
                }
            }
        }
        !self.is_queue_full(session, size)
    }

    /// Disconnects clients whose queues ran over.
    pub(super) fn end_overrun(&mut self, now: Instant) {
        // A will may make another queue run over.
        while let Some(conn) = self.overrun.pop() {
            if let Some(slot) = self.conns.slot(conn)
                && self.conns[slot].state == State::Connected
            {
                self.close(slot, CloseReason::SlowConsumer, now);
            }
        }
    }

    /// Drops a message of QoS 0 from the older part of a queue. Returns whether there was one.
    fn drop_one_of_qos_0(&mut self, session: u32) -> bool {
        let state = &mut self.sessions[session as usize];
        let oldest = state.queue.iter().take(LOOKED_AT);
        let Some(at) = oldest.map(|entry| entry.qos).position(is_qos_0) else {
            return false;
        };
        let Some(entry) = state.queue.remove(at) else {
            return false;
        };
        state.queued_bytes -= self.messages.get(&entry.message).bytes().len();
        self.queued -= 1;
        self.stats.dropped_qos_0 += 1;
        self.messages.release(entry.message);
        self.lists.release(entry.ids);
        true
    }
}

fn is_qos_0(qos: QoS) -> bool {
    qos == QoS::AtMostOnce
}

/// Messages of a full queue among which one of QoS 0 is looked for: all of them would take too long
/// for each message that comes.
const LOOKED_AT: usize = 256;
