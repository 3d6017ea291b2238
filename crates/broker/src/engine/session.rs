//! Sessions: what outlives a connection, from its beginning to its end.

use std::collections::VecDeque;
use std::time::Duration;

use declic_mqtt::packet::SubscriptionId;
use declic_mqtt::{Instant, PacketId, QoS};

use super::connect::Identity;
use super::messages::MessageRef;
use super::timers::{Timer, TimerId};
use super::tree::Place;
use super::wills::Will;
use super::{CloseReason, Effect, Engine};

#[derive(Debug)]
pub(super) struct Session {
    pub(super) client_id: Box<str>,
    pub(super) conn: Option<u32>,
    /// In order.
    pub(super) subscriptions: Vec<Place>,
    /// Messages that were not sent yet.
    pub(super) queue: VecDeque<Entry>,
    pub(super) queued_bytes: usize,
    /// Messages of QoS 1 and 2 that were sent, in the order of sending.
    pub(super) in_flight: VecDeque<InFlight>,
    /// The first of `in_flight` that this connection has not been sent.
    pub(super) resend: usize,
    next_id: PacketId,
    /// That many identifiers from `next_id` on are not in flight.
    free_ids: u16,
    /// Identifiers of messages of QoS 2 that came, and were not released.
    pub(super) received: Received,
    pub(super) will: Option<Box<Will>>,
    /// Seconds that the session is kept without a connection; `u32::MAX` for ever.
    pub(super) expiry: u32,
    pub(super) lost_at: Instant,
    timer: Option<TimerId>,
    /// Retained messages that are still to be looked for.
    pub(super) replays: Option<Box<Replays>>,
    /// Whose it is; `None` for one from a store that did not say so, until its client is back.
    pub(super) identity: Option<Identity>,
    /// Not all that may come to it may be read; each message is looked at.
    pub(super) is_checked: bool,
}

/// A message that waits for a client.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) message: MessageRef,
    pub(super) ids: SubscriptionIds,
    pub(super) qos: QoS,
    pub(super) retain: bool,
}

/// A message on its way to a client.
#[derive(Debug)]
pub(super) struct InFlight {
    /// `None` once the client has it, with QoS 2, and only the release is missing.
    pub(super) message: Option<MessageRef>,
    pub(super) ids: SubscriptionIds,
    pub(super) packet_id: PacketId,
    pub(super) qos: QoS,
    pub(super) retain: bool,
}

/// Packet identifiers in ascending order.
#[derive(Debug, Default)]
pub(super) struct Received(Vec<PacketId>);

impl Received {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn contains(&self, id: PacketId) -> bool {
        self.place(id).is_ok()
    }

    /// Adds `id`, if it is not there yet.
    pub(super) fn insert(&mut self, id: PacketId) {
        if let Err(at) = self.place(id) {
            self.0.insert(at, id);
        }
    }

    /// Takes `id` out. Returns whether it was there.
    pub(super) fn remove(&mut self, id: PacketId) -> bool {
        let Ok(at) = self.place(id) else {
            return false;
        };
        self.0.remove(at);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        true
    }

    /// Where `id` is, or would be: mostly first when it is released, and last when it comes.
    fn place(&self, id: PacketId) -> Result<usize, usize> {
        match (self.0.first(), self.0.last()) {
            (Some(first), _) if *first == id => Ok(0),
            (_, Some(last)) if *last < id => Err(self.0.len()),
            _ => self.0.binary_search(&id),
        }
    }
}

/// The subscription identifiers of a message: none, one, or the number of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SubscriptionIds(u32);

impl SubscriptionIds {
    pub(super) const NONE: Self = Self(0);
    const LIST: u32 = 1 << 31;
    const SHARED: u32 = 1 << 30;

    pub(super) fn one(id: Option<SubscriptionId>) -> Self {
        Self(id.map_or(0, SubscriptionId::get))
    }

    pub(super) const fn list(number: usize) -> Self {
        Self(number as u32 | Self::LIST)
    }

    /// The same, of a message that comes from a shared subscription.
    pub(super) const fn shared(self) -> Self {
        Self(self.0 | Self::SHARED)
    }

    pub(super) const fn is_shared(self) -> bool {
        self.0 & Self::SHARED != 0
    }

    pub(super) fn single(self) -> Option<SubscriptionId> {
        SubscriptionId::new(self.0 & !Self::SHARED)
    }

    pub(super) fn as_list(self) -> Option<usize> {
        let number = self.0 & !(Self::LIST | Self::SHARED);
        (self.0 & Self::LIST != 0).then_some(number as usize)
    }
}

/// A subscription whose retained messages are sent, as far as there is room for them.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) place: Place,
    /// The last topic that was dealt with.
    pub(super) after: Option<Box<str>>,
    /// The number of the newest retained message when the subscription was made.
    pub(super) until: u64,
    pub(super) qos: QoS,
    pub(super) id: Option<SubscriptionId>,
}

/// Boxed, since few sessions have any and all sessions have room for it.
#[derive(Debug, Default)]
pub(super) struct Replays(pub(super) VecDeque<Replay>);

impl Session {
    pub(super) fn new(client_id: &str) -> Self {
        Self {
            client_id: client_id.into(),
            conn: None,
            subscriptions: Vec::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            in_flight: VecDeque::new(),
            resend: 0,
            next_id: PacketId::FIRST,
            free_ids: 0,
            received: Received::default(),
            will: None,
            expiry: 0,
            lost_at: Instant::ZERO,
            timer: None,
            replays: None,
            identity: None,
            is_checked: false,
        }
    }

    /// A packet identifier that is not in flight. There is one: fewer than all are in flight.
    pub(super) fn take_packet_id(&mut self) -> PacketId {
        while self.free_ids == 0 {
            let next = self.next_id.get();
            let distance = |sent: &InFlight| sent.packet_id.get().wrapping_sub(next);
            match self.in_flight.iter().map(distance).min() {
                Some(0) => self.next_id = self.next_id.next(),
                // Not counting past the wrap at 65,535.
                limit => self.free_ids = limit.unwrap_or(u16::MAX).min(u16::MAX - next + 1).max(1),
            }
        }
        let id = self.next_id;
        self.next_id = id.next();
        self.free_ids -= 1;
        id
    }

    /// Where in `in_flight` the message with that identifier is.
    pub(super) fn position_in_flight(&self, id: PacketId) -> Option<usize> {
        // Identifiers are given in order, so it is as far behind the first as its identifier,
        // unless one in between has ended already.
        let first = self.in_flight.front()?.packet_id;
        // 1 comes after 65,535.
        let wrapped = u16::from(id < first);
        let distance = usize::from(id.get().wrapping_sub(first.get()) - wrapped);
        let is_it = |sent: &InFlight| sent.packet_id == id;
        if self.in_flight.get(distance).is_some_and(is_it) {
            return Some(distance);
        }
        self.in_flight.iter().position(is_it)
    }

    /// Gives back room that is not used.
    pub(super) fn shrink(&mut self) {
        self.queue.shrink_to_fit();
        self.in_flight.shrink_to_fit();
        self.received.0.shrink_to_fit();
    }

    pub(super) fn subscribed(&mut self, place: Place) {
        if let Err(at) = self.subscriptions.binary_search(&place) {
            if self.subscriptions.capacity() == 0 {
                self.subscriptions.reserve_exact(1);
            }
            self.subscriptions.insert(at, place);
        }
    }

    /// Whether there was such a subscription.
    pub(super) fn unsubscribed(&mut self, place: Place) -> bool {
        match self.subscriptions.binary_search(&place) {
            Ok(at) => {
                self.subscriptions.remove(at);
                true
            }
            Err(_) => false,
        }
    }

    /// When the session ends, or its will is published, whichever is first.
    fn next_deadline(&self) -> Option<Instant> {
        [self.end(), self.will_due()].into_iter().flatten().min()
    }

    fn end(&self) -> Option<Instant> {
        (self.expiry != u32::MAX)
            .then(|| self.lost_at + Duration::from_secs(u64::from(self.expiry)))
    }

    fn will_due(&self) -> Option<Instant> {
        let delay = self.will.as_ref()?.delay;
        Some(self.lost_at + Duration::from_secs(u64::from(delay)))
    }
}

impl Engine {
    /// The session of a client identifier.
    pub(super) fn find_session(&self, client_id: &str) -> Option<u32> {
        self.clients
            .find(self.hash.bytes(client_id.as_bytes()), |&session| {
                *self.sessions[session as usize].client_id == *client_id
            })
            .copied()
    }

    /// Bytes of client identifiers and topic filters.
    pub(super) fn session_bytes(&self) -> usize {
        self.client_id_bytes + self.tree.bytes()
    }

    pub(super) fn new_session(&mut self, client_id: &str) -> u32 {
        let session = self.sessions.insert(Session::new(client_id)) as u32;
        self.client_id_bytes += client_id.len();
        let (sessions, hash) = (&self.sessions, self.hash);
        self.clients
            .insert_unique(hash.bytes(client_id.as_bytes()), session, |&session| {
                hash.bytes(sessions[session as usize].client_id.as_bytes())
            });
        session
    }

    /// A connected client goes on with a session that was kept.
    pub(super) fn resume_session(&mut self, session: u32) {
        let state = &mut self.sessions[session as usize];
        if let Some(timer) = state.timer.take() {
            self.timers.cancel(timer);
        }
        state.resend = 0;
        // `[MQTT-3.1.3-9]` of 5.0: a new connection in time, and there is no will to send.
        if let Some(will) = state.will.take() {
            self.messages.release(will.message);
        }
    }

    /// The session's connection is over.
    pub(super) fn detach_session(&mut self, session: u32, reason: CloseReason, now: Instant) {
        let state = &mut self.sessions[session as usize];
        state.conn = None;
        state.lost_at = now;
        if let Some(journal) = &mut self.journal {
            journal.record_changed(session);
        }
        self.stats.clients -= 1;
        let client_id = state.client_id.clone();
        self.effects
            .push_back(Effect::Disconnected { client_id, reason });
        if reason.is_orderly() {
            // `[MQTT-3.14.4-3]`
            if let Some(will) = state.will.take() {
                self.messages.release(will.message);
            }
        }
        let state = &self.sessions[session as usize];
        let ends = state.expiry == 0;
        if state
            .will
            .as_ref()
            .is_some_and(|will| ends || will.delay == 0)
        {
            self.publish_will(session, now);
        }
        if ends {
            self.end_session(session, now);
            return;
        }
        self.drop_queued_qos_0(session);
        self.set_session_timer(session);
    }

    /// Ends a session and forgets all of it. A will that was delayed is published.
    pub(super) fn end_session(&mut self, session: u32, now: Instant) {
        self.publish_will(session, now);
        if let Some(journal) = &mut self.journal {
            journal.session_ended(session);
        }
        let state = &mut self.sessions[session as usize];
        if let Some(timer) = state.timer.take() {
            self.timers.cancel(timer);
        }
        let orphans = self.take_orphans(session);
        let state = &mut self.sessions[session as usize];
        let subscriptions = std::mem::take(&mut state.subscriptions);
        for place in &subscriptions {
            self.tree.unsubscribe(*place, session);
        }
        if !subscriptions.is_empty() {
            self.routes.outdate_all();
        }
        let hash = self
            .hash
            .bytes(self.sessions[session as usize].client_id.as_bytes());
        if let Ok(entry) = self.clients.find_entry(hash, |&one| one == session) {
            entry.remove();
        }
        let state = self.sessions.remove(session as usize);
        self.queued -= state.queue.len();
        self.in_flight -= state.in_flight.len();
        self.client_id_bytes -= state.client_id.len();
        for entry in state.queue {
            self.messages.release(entry.message);
            self.lists.release(entry.ids);
        }
        for sent in state.in_flight {
            if let Some(message) = sent.message {
                self.messages.release(message);
            }
            self.lists.release(sent.ids);
        }
        self.redistribute(orphans);
    }

    pub(super) fn session_timeout(&mut self, session: u32, now: Instant) {
        let state = &mut self.sessions[session as usize];
        state.timer = None;
        let over = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if over(state.end()) {
            self.stats.expired_sessions += 1;
            self.end_session(session, now);
            return;
        }
        if over(state.will_due()) {
            self.publish_will(session, now);
        }
        self.set_session_timer(session);
    }

    pub(super) fn set_session_timer(&mut self, session: u32) {
        let state = &mut self.sessions[session as usize];
        if let Some(deadline) = state.next_deadline() {
            state.timer = Some(self.timers.set(deadline, Timer::Session(session)));
        }
    }

    /// Messages of QoS 0 are for those who are there.
    fn drop_queued_qos_0(&mut self, session: u32) {
        let state = &mut self.sessions[session as usize];
        let (messages, lists) = (&mut self.messages, &mut self.lists);
        let mut kept = VecDeque::new();
        for entry in state.queue.drain(..) {
            if entry.qos == QoS::AtMostOnce {
                self.queued -= 1;
                state.queued_bytes -= messages.get(&entry.message).bytes().len();
                messages.release(entry.message);
                lists.release(entry.ids);
            } else {
                kept.push_back(entry);
            }
        }
        state.queue = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(packet_id: u16) -> InFlight {
        InFlight {
            message: None,
            ids: SubscriptionIds::NONE,
            packet_id: PacketId::new(packet_id).expect("not 0"),
            qos: QoS::AtLeastOnce,
            retain: false,
        }
    }

    #[test]
    fn a_message_in_flight_is_found_whatever_has_ended_before() {
        let mut session = Session::new("c");
        session.in_flight = [65_530, 65_532, 65_535, 1, 3, 2]
            .into_iter()
            .map(sent)
            .collect();
        for (at, sent) in session.in_flight.iter().enumerate() {
            assert_eq!(session.position_in_flight(sent.packet_id), Some(at));
        }
        assert_eq!(session.position_in_flight(sent(65_531).packet_id), None);
        session.in_flight.clear();
        assert_eq!(session.position_in_flight(PacketId::FIRST), None);
    }

    #[test]
    fn received_identifiers_are_a_set_in_order() {
        let mut received = Received::default();
        let id = |id| sent(id).packet_id;
        for one in [65_535, 7, 1, 7, 9] {
            received.insert(id(one));
        }
        assert_eq!(received.0, [1, 7, 9, 65_535].map(id));
        assert!(received.contains(id(7)) && !received.contains(id(8)));
        assert!(received.remove(id(7)) && !received.remove(id(7)));
        assert!(
            [1, 9, 65_535]
                .into_iter()
                .all(|one| received.remove(id(one)))
        );
        assert_eq!((received.len(), received.0.capacity()), (0, 0));
    }

    /// v5 [MQTT-2.2.1-4], [MQTT-4.3.2-1], [MQTT-4.3.3-1]
    #[test]
    fn identifiers_wrap_and_never_collide_with_those_in_flight() {
        let mut session = Session::new("c");
        let stuck = [1, 2, 500, 40_000, 65_534, 65_535];
        session.in_flight = stuck.into_iter().map(sent).collect();
        for _ in 0..200_000 {
            let id = session.take_packet_id();
            assert!(!stuck.contains(&id.get()), "{id:?} is in flight");
        }
        session.in_flight.clear();
        let mut ids: Vec<_> = (0..65_535).map(|_| session.take_packet_id()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 65_535);
    }
}
