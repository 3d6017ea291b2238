//! What happened, for a judge.

use std::collections::VecDeque;

use declic_mqtt::Instant;

use crate::BoardIndex;

/// Something that a judge of a run has to know, from
/// [`World::poll_record`](crate::World::poll_record).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When it happened.
    pub at: Instant,
    /// What happened.
    pub what: Fact,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// A board took a press.
    Pressed {
        /// Which one.
        board: BoardIndex,
        /// Its presses since its start.
        count: u32,
        /// The state that it sends; `None` where its role sends none.
        sends: Option<bool>,
    },
    /// A listener received a message.
    Heard {
        /// Which one.
        listener: BoardIndex,
        /// Where.
        topic: Box<str>,
        /// What.
        payload: Box<[u8]>,
        /// Whether it was, or is to be, retained.
        retain: bool,
    },
    /// The broker told a listener that it is subscribed.
    Subscribed {
        /// Which one.
        listener: BoardIndex,
    },
    /// The broker accepted a client.
    Accepted {
        /// Its client identifier.
        client_id: Box<str>,
        /// Whether that client already had a connection that counted.
        twice: bool,
        /// Whether the broker went on with a session.
        session_present: bool,
    },
    /// A board lost its power, or was restarted.
    PowerLost {
        /// Which one.
        board: BoardIndex,
    },
    /// A board started.
    Started {
        /// Which one.
        board: BoardIndex,
        /// The count of its starts, as its flash says.
        boots: Option<u32>,
    },
    /// The broker lost what it knew.
    Forgot,
}

/// Records that nobody has looked at.
#[derive(Debug, Default)]
pub(crate) struct Records(Option<VecDeque<Record>>);

impl Records {
    pub(crate) fn switch_on(&mut self) {
        self.0.get_or_insert_default();
    }

    pub(crate) fn push(&mut self, at: Instant, what: impl FnOnce() -> Fact) {
        if let Some(records) = &mut self.0 {
            let what = what();
            records.push_back(Record { at, what });
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Record> {
        self.0.as_mut()?.pop_front()
    }
}
