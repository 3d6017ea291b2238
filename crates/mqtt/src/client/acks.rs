//! Acknowledgements owed to the server: a few bytes each, in places of their own.

use crate::packet::{Ack, PacketId, PacketKind, Properties, ReasonCode};

/// Acknowledgements in the order in which they are owed. While there is no place left, nothing
/// more is taken from the receive buffer, and so TCP slows the server down.
pub(super) struct AckQueue {
    owed: [Option<Owed>; Self::PLACES],
    first: usize,
    len: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Owed {
    pub(super) kind: PacketKind,
    pub(super) packet_id: PacketId,
    pub(super) reason: ReasonCode,
}

impl Owed {
    pub(super) const fn packet(&self) -> Ack<'static> {
        Ack {
            packet_id: self.packet_id,
            reason: self.reason,
            properties: Properties::EMPTY,
        }
    }
}

impl AckQueue {
    const PLACES: usize = 8;

    pub(super) const fn new() -> Self {
        Self {
            owed: [None; Self::PLACES],
            first: 0,
            len: 0,
        }
    }

    pub(super) const fn is_full(&self) -> bool {
        self.len == Self::PLACES
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Not to be called when the queue is full.
    pub(super) fn push(&mut self, owed: Owed) {
        debug_assert!(!self.is_full());
        self.owed[(self.first + self.len) % Self::PLACES] = Some(owed);
        self.len += 1;
    }

    pub(super) fn pop(&mut self) -> Option<Owed> {
        let owed = self.owed[self.first].take()?;
        self.first = (self.first + 1) % Self::PLACES;
        self.len -= 1;
        Some(owed)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }
}
