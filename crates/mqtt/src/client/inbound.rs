//! Identifiers of received messages of QoS 2 that the server has not released (section 4.3.3).

use crate::packet::PacketId;

/// The identifiers, in the owner's memory.
///
/// After a reconnection the server sends again what is unfinished (`[MQTT-4.4.0-1]`), which
/// confirms its identifier. One that it does not name again may be of a session that it lost
/// while the CONNACK that said so was lost too. Such a place is used again when no other is free,
/// or it would be lost for ever.
pub(super) struct Inbound<'b> {
    /// Those in front are not confirmed on this connection.
    places: &'b mut [Option<PacketId>],
    unconfirmed: usize,
}

impl<'b> Inbound<'b> {
    pub(super) const fn new(places: &'b mut [Option<PacketId>]) -> Self {
        Self {
            unconfirmed: places.len(),
            places,
        }
    }

    /// The places, all of them free.
    pub(super) fn into_places(mut self) -> &'b mut [Option<PacketId>] {
        self.clear();
        self.places
    }

    /// How many places there are, the free ones included.
    pub(super) const fn places(&self) -> usize {
        self.places.len()
    }

    /// A connection begins.
    pub(super) const fn start(&mut self) {
        self.unconfirmed = self.places.len();
    }

    /// Forgets all identifiers.
    pub(super) fn clear(&mut self) {
        self.places.fill(None);
    }

    pub(super) fn contains(&self, id: PacketId) -> bool {
        self.places.contains(&Some(id))
    }

    pub(super) fn has_place(&self) -> bool {
        self.unconfirmed > 0 || self.places.contains(&None)
    }

    /// Keeps `id`, or confirms it; `false` where there is no place.
    pub(super) fn insert(&mut self, id: PacketId) -> bool {
        let at = self.position(Some(id)).or_else(|| self.position(None));
        let Some(at) = at.or_else(|| self.unconfirmed.checked_sub(1)) else {
            return false;
        };
        self.places[at] = Some(id);
        if at < self.unconfirmed {
            self.unconfirmed -= 1;
            self.places.swap(at, self.unconfirmed);
        }
        true
    }

    /// Forgets `id`; whether it was here.
    pub(super) fn remove(&mut self, id: PacketId) -> bool {
        let place = self.position(Some(id));
        if let Some(at) = place {
            self.places[at] = None;
        }
        place.is_some()
    }

    fn position(&self, content: Option<PacketId>) -> Option<usize> {
        self.places.iter().position(|place| *place == content)
    }
}
