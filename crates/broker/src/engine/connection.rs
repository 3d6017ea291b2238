//! Connections: what is known of a transport before, during and after its CONNECT.

use std::num::NonZeroU16;

use declic_mqtt::{Instant, ProtocolVersion};

use super::aliases::{Naming, SentAliases};
use super::hash::HashKey;
use super::messages::{Message, MessageRef};
use super::rate::Rate;
use super::timers::TimerId;

/// A connection of the engine. The number of a closed connection is used again, with another
/// generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    index: u32,
    generation: u32,
}

impl ConnId {
    /// A small number that no other open connection has: good as an index.
    pub const fn index(self) -> usize {
        self.index as usize
    }

    pub(super) const fn slot(self) -> u32 {
        self.index
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The slot waits for a connection.
    Free,
    /// No CONNECT yet.
    Opened,
    /// CONNECT came; the owner checks who it is.
    Authenticating,
    Connected,
    /// Nothing is read any more; what is in `answers` may still be written.
    Closing,
}

#[derive(Debug)]
pub(super) struct Connection {
    generation: u32,
    pub(super) state: State,
    pub(super) version: ProtocolVersion,
    /// It may be told reasons in words (5.0).
    pub(super) wants_reasons: bool,
    /// Announced as ready, and not yet filled to the end.
    pub(super) announced: bool,
    /// Waits for room for retained messages.
    pub(super) starved: bool,
    /// Reasons for which reading is paused.
    pub(super) paused: u8,
    /// Seconds; 0 for none.
    pub(super) keep_alive: u16,
    /// Receive maximum of the client, no higher than our limit.
    pub(super) window: u16,
    /// Maximum packet size of the client.
    pub(super) packet_size: u32,
    pub(super) session: Option<u32>,
    pub(super) timer: Option<TimerId>,
    /// The route of the last publish, often that of the next.
    pub(super) route: u32,
    /// Answers written so far.
    pub(super) answered: u32,
    pub(super) last_received: Instant,
    pub(super) connected_at: Instant,
    /// The beginning of a packet whose end has not come.
    pub(super) tail: Vec<u8>,
    /// Encoded packets that are no publishes.
    pub(super) answers: Vec<u8>,
    /// A publish that is larger than what it is written into.
    pub(super) large: Option<Box<LargePublish>>,
    pub(super) aliases: Option<Box<Aliases>>,
    /// `None` where the client accepts none.
    pub(super) sent_aliases: Option<Box<SentAliases>>,
    /// `None` where any rate is allowed.
    pub(super) rate: Option<Box<Rate>>,
}

impl Connection {
    const fn new() -> Self {
        Self {
            generation: 0,
            state: State::Free,
            version: ProtocolVersion::V3_1_1,
            wants_reasons: false,
            announced: false,
            starved: false,
            paused: 0,
            keep_alive: 0,
            window: 0,
            packet_size: u32::MAX,
            session: None,
            timer: None,
            route: 0,
            answered: 0,
            last_received: Instant::ZERO,
            connected_at: Instant::ZERO,
            tail: Vec::new(),
            answers: Vec::new(),
            large: None,
            aliases: None,
            sent_aliases: None,
            rate: None,
        }
    }

    /// When the client has been silent for too long.
    pub(super) fn keep_alive_deadline(&self) -> Option<Instant> {
        // One and a half times the keep-alive: `[MQTT-3.1.2-24]`, in 5.0 `[MQTT-3.1.2-22]`.
        let limit = std::time::Duration::from_millis(u64::from(self.keep_alive) * 1_500);
        (self.keep_alive > 0).then(|| self.last_received + limit)
    }

    /// How the topic of a message with `ids` subscription identifiers is written. A new alias may
    /// take `room` bytes.
    pub(super) fn naming(
        &mut self,
        hash: HashKey,
        message: &Message,
        ids: usize,
        room: usize,
    ) -> Naming {
        let Some(aliases) = &mut self.sent_aliases else {
            return Naming::Name;
        };
        let topic = message.topic_bytes();
        let naming = aliases.naming(topic, hash.bytes(topic));
        // No message may be too large only because of an alias.
        let largest = message.bytes().len() + LARGEST_OVERHEAD + 5 * ids;
        if matches!(naming, Naming::New(_))
            && (topic.len() > room || largest > self.packet_size as usize)
        {
            return Naming::Name;
        }
        naming
    }

    /// The client has been sent a new alias. Returns the bytes of the topic that had it before.
    pub(super) fn told(&mut self, hash: HashKey, topic: &[u8]) -> usize {
        match &mut self.sent_aliases {
            Some(aliases) => aliases.told(topic, hash.bytes(topic)),
            None => 0,
        }
    }
}

/// A publish that is written in parts.
#[derive(Debug)]
pub(super) struct LargePublish {
    pub(super) head: Vec<u8>,
    pub(super) message: MessageRef,
    /// Bytes of head, properties and payload that were written.
    pub(super) written: usize,
}

/// Topics that a client gave numbers to, each by its alias less one.
#[derive(Debug, Default)]
pub(super) struct Aliases(Vec<Option<Box<str>>>);

impl Aliases {
    pub(super) fn set(&mut self, alias: NonZeroU16, topic: &str) {
        let index = usize::from(alias.get()) - 1;
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        if self.0[index].as_deref() != Some(topic) {
            self.0[index] = Some(topic.into());
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.iter().flatten().map(|topic| topic.len()).sum()
    }

    pub(super) fn get(&self, alias: NonZeroU16) -> Option<&str> {
        self.0.get(usize::from(alias.get()) - 1)?.as_deref()
    }
}

/// All connections by slot.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Vec<Connection>,
    free: Vec<u32>,
}

impl Connections {
    pub(super) fn open(&mut self, now: Instant) -> ConnId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Connection::new());
            self.slots.len() as u32 - 1
        });
        let generation = self.slots[index as usize].generation;
        self.slots[index as usize] = Connection {
            generation,
            state: State::Opened,
            last_received: now,
            ..Connection::new()
        };
        ConnId { index, generation }
    }

    /// Frees a slot; whatever it held has been taken out.
    pub(super) fn free(&mut self, slot: u32) {
        let generation = self.slots[slot as usize].generation.wrapping_add(1);
        self.slots[slot as usize] = Connection {
            generation,
            ..Connection::new()
        };
        self.free.push(slot);
    }

    /// The slot of an open connection; `None` for one that is gone.
    pub(super) fn slot(&self, conn: ConnId) -> Option<u32> {
        self.slots
            .get(conn.index())
            .filter(|slot| slot.generation == conn.generation && slot.state != State::Free)
            .map(|_| conn.index)
    }

    pub(super) fn id(&self, slot: u32) -> ConnId {
        ConnId {
            index: slot,
            generation: self.slots[slot as usize].generation,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// All slots in use.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let used = |(_, conn): &(usize, &Connection)| conn.state != State::Free;
        self.slots
            .iter()
            .enumerate()
            .filter(used)
            .map(|(slot, _)| slot as u32)
    }
}

impl std::ops::Index<u32> for Connections {
    type Output = Connection;

    fn index(&self, slot: u32) -> &Connection {
        &self.slots[slot as usize]
    }
}

impl std::ops::IndexMut<u32> for Connections {
    fn index_mut(&mut self, slot: u32) -> &mut Connection {
        &mut self.slots[slot as usize]
    }
}

/// Bytes of a publish besides topic, payload, properties that are passed on, and subscription
/// identifiers: header, lengths, packet identifier, lifetime and alias.
const LARGEST_OVERHEAD: usize = 5 + 2 + 4 + 5 + 3;

/// Reasons for pausing to read, as bits.
pub(super) mod pause {
    /// The owner checks who the client is.
    pub(in super::super) const AUTHENTICATION: u8 = 1;
    /// The client does not read its answers.
    pub(in super::super) const ANSWERS: u8 = 2;
    /// Too much is held for all clients together.
    pub(in super::super) const PRESSURE: u8 = 4;
    /// The client sends faster than it may.
    pub(in super::super) const RATE: u8 = 16;
    /// The store has to catch up.
    pub(in super::super) const STORE: u8 = 8;
}
