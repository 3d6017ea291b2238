//! Which packet identifiers are in use, and what each is waiting for.

use crate::packet::{PacketId, ReasonCode};

/// One place for a packet identifier in use. The owner gives the client as many as messages of
/// QoS 1 and 2, SUBSCRIBEs and UNSUBSCRIBEs may wait at a time; each takes 4 bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct InFlight(Option<Use>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Use {
    id: PacketId,
    stage: Stage,
}

/// What the exchange with a packet identifier is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// PUBACK for a message of QoS 1.
    PubAck,
    /// PUBREC for a message of QoS 2.
    PubRec,
    /// A PUBREL is to be sent.
    Release,
    /// PUBCOMP: the PUBREL is sent.
    PubComp,
    /// SUBACK.
    SubAck,
    /// UNSUBACK.
    UnsubAck,
    /// The owner is to be told that the message arrived.
    Acknowledged,
    /// The owner is to be told that the message was dropped, and why.
    Dropped(ReasonCode),
}

/// The identifiers in use, oldest first, in the owner's memory.
pub(super) struct InFlightTable<'b> {
    slots: &'b mut [InFlight],
    len: usize,
    next: PacketId,
}

impl<'b> InFlightTable<'b> {
    /// One fewer than there are identifiers, so that a free one is always found.
    const MAX: usize = u16::MAX as usize - 1;

    pub(super) const fn new(slots: &'b mut [InFlight]) -> Self {
        Self {
            slots,
            len: 0,
            next: PacketId::FIRST,
        }
    }

    pub(super) const fn into_slots(self) -> &'b mut [InFlight] {
        self.slots
    }

    pub(super) const fn is_full(&self) -> bool {
        self.len == self.slots.len() || self.len == Self::MAX
    }

    /// The identifier that [`Self::insert`] uses next.
    pub(super) fn next_id(&self) -> PacketId {
        let mut id = self.next;
        // Ends: fewer are in use than there are.
        while self.stage(id).is_some() {
            id = id.next();
        }
        id
    }

    /// Takes [`Self::next_id`] into use. Not to be called when the table is full.
    pub(super) fn insert(&mut self, stage: Stage) -> PacketId {
        let id = self.next_id();
        self.push(Use { id, stage });
        self.next = id.next();
        id
    }

    pub(super) fn stage(&self, id: PacketId) -> Option<Stage> {
        self.iter()
            .find(|used| used.id == id)
            .map(|used| used.stage)
    }

    pub(super) fn remove(&mut self, id: PacketId) {
        self.retain(|used, _| used != id);
    }

    /// Sets the stage and moves the identifier behind all others, so that PUBRELs go in the order
    /// of the PUBRECs (`[MQTT-4.6.0-4]`).
    pub(super) fn advance(&mut self, id: PacketId, stage: Stage) {
        self.remove(id);
        self.push(Use { id, stage });
    }

    /// Sets the stage of every identifier that has `from`.
    pub(super) fn replace_all(&mut self, from: Stage, to: Stage) {
        self.update(|_, stage| if stage == from { to } else { stage });
    }

    /// Sets the stage of `id` where it stands.
    pub(super) fn set(&mut self, id: PacketId, stage: Stage) {
        self.update(|used, old| if used == id { stage } else { old });
    }

    /// Sets the stage of every identifier to what `new` makes of it.
    pub(super) fn update(&mut self, mut new: impl FnMut(PacketId, Stage) -> Stage) {
        for used in self.slots.iter_mut().filter_map(|slot| slot.0.as_mut()) {
            used.stage = new(used.id, used.stage);
        }
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(PacketId, Stage) -> bool) {
        let mut kept = 0;
        for index in 0..self.len {
            let slot = self.slots[index];
            if slot.0.is_some_and(|used| keep(used.id, used.stage)) {
                self.slots[kept] = slot;
                kept += 1;
            }
        }
        self.slots[kept..self.len].fill(InFlight(None));
        self.len = kept;
    }

    /// The oldest identifier whose stage fits.
    pub(super) fn find(&self, mut fits: impl FnMut(Stage) -> bool) -> Option<(PacketId, Stage)> {
        self.iter()
            .find(|used| fits(used.stage))
            .map(|used| (used.id, used.stage))
    }

    pub(super) fn count(&self, fits: impl Fn(Stage) -> bool) -> usize {
        self.iter().filter(|used| fits(used.stage)).count()
    }

    fn push(&mut self, used: Use) {
        if let Some(slot) = self.slots.get_mut(self.len) {
            *slot = InFlight(Some(used));
            self.len += 1;
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Use> {
        self.slots[..self.len]
            .iter()
            .filter_map(|slot| slot.0.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_free_identifier_is_found_and_more_places_do_no_harm() {
        let mut slots = std::vec![InFlight::default(); 70_000];
        let mut table = InFlightTable::new(&mut slots);
        for id in (1..=u16::MAX).filter_map(PacketId::new) {
            // Two are free.
            if !matches!(id.get(), 65_510 | 65_520) {
                table.push(Use {
                    id,
                    stage: Stage::PubAck,
                });
            }
        }
        table.next = PacketId::new(65_500).unwrap_or(PacketId::FIRST);
        assert!(!table.is_full());
        assert_eq!(table.insert(Stage::PubAck).get(), 65_510);
        assert!(table.is_full());
        assert_eq!(table.next_id().get(), 65_520);
    }
}
