//! The board's own messages on the link topic that are on the way.

use core::time::Duration;

use declic_mqtt::{Instant, PacketId};

/// Keeps a board from being confused by its own echo, and by others that press at the same time.
///
/// A board that sends on the link topic also follows it. What arrives there while its own message
/// is on the way may be older than it: an echo of the press before, or the press of another board
/// that the broker took first. So it is not followed, only remembered. When the last own message
/// has arrived (QoS 1 and 2: it was acknowledged), [`Self::poll_missed`] says what was heard last
/// in between. If that is not the board's own state, nobody but the broker knows which of the two
/// came last, and the board asks for the retained state again.
///
/// With QoS 0 there is no acknowledgement: where the own echo comes back (3.1.1 has no No Local),
/// the message counts as on the way for [`ECHO_TIME`].
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnMessages {
    ids: [Option<PacketId>; PLACES],
    echo_until: Option<Instant>,
    heard: Option<bool>,
}

impl OwnMessages {
    /// Whether another message with acknowledgement can be watched.
    pub(crate) fn has_place(&self) -> bool {
        self.ids.contains(&None)
    }

    /// How many messages with acknowledgement are on the way.
    pub(crate) fn count(&self) -> usize {
        self.ids.iter().flatten().count()
    }

    /// A message was given to the client. `echo` says whether it comes back.
    pub(crate) fn sent(&mut self, id: Option<PacketId>, echo: bool, now: Instant) {
        match (id, self.ids.iter_mut().find(|place| place.is_none())) {
            (Some(_), Some(place)) => *place = id,
            (None, _) if echo => self.echo_until = Some(now + ECHO_TIME),
            _ => {}
        }
    }

    /// The message `id` has arrived or will never; returns whether it is one of these.
    pub(crate) fn finished(&mut self, id: PacketId) -> bool {
        let place = self.ids.iter_mut().find(|place| **place == Some(id));
        place.is_some_and(|place| place.take().is_some())
    }

    /// Nothing is on the way any more.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A message came on the link topic; returns whether to follow it.
    pub(crate) fn hear(&mut self, on: bool, now: Instant) -> bool {
        let follow = !self.is_on_the_way(now);
        self.heard = (!follow).then_some(on);
        follow
    }

    /// What was heard last and not followed, once nothing is on the way.
    pub(crate) fn poll_missed(&mut self, now: Instant) -> Option<bool> {
        if self.is_on_the_way(now) {
            return None;
        }
        self.heard.take()
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.echo_until = self.echo_until.filter(|until| now < *until);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.echo_until
    }

    fn is_on_the_way(&self, now: Instant) -> bool {
        self.ids.iter().any(Option::is_some) || self.echo_until.is_some_and(|until| now < until)
    }
}

/// How many own messages with acknowledgement may be on the way at a time. More presses wait, and
/// then only the newest state is sent.
const PLACES: usize = 8;

/// How long an own message of QoS 0 may take to come back.
const ECHO_TIME: Duration = Duration::from_secs(1);
