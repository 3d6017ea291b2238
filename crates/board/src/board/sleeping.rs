//! Sleeping between presses.

use core::time::Duration;

use declic_mqtt::packet::Disconnect;
use declic_mqtt::{Instant, ReasonCode};

use super::{Board, Subscription, micros};
use crate::{Connection, Effect, Kept, Notice, Role};

/// Whether the board is about to sleep, and what it has left open until it is connected.
#[derive(Debug, Default)]
pub(super) struct Sleep {
    stage: Stage,
    /// When the button was pressed last, or the board started.
    pressed_at: Instant,
    /// When something happened last that it had waited for.
    progress_at: Instant,
    /// How long it was awake before this start, in milliseconds.
    awake_before: u32,
    /// Whether the broker's state of the link is known, or there is none.
    link_known: bool,
    /// When the broker would have told it.
    known_at: Option<Instant>,
    /// A press is still to be made of that state.
    pub(super) undecided: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Awake,
    /// It says goodbye.
    Leaving,
    /// The owner is to let it sleep.
    Tired,
    /// The owner was told.
    Asleep,
}

impl Sleep {
    /// The button was pressed, something was typed, or the board started.
    pub(super) fn pressed(&mut self, now: Instant) {
        self.pressed_at = now;
        self.progressed(now);
    }

    /// The broker has answered, or the button was released.
    pub(super) fn progressed(&mut self, now: Instant) {
        self.progress_at = now;
    }
}

impl Board<'_> {
    /// What has to be kept while the machine sleeps, when [`Effect::Sleep`] asks for that.
    pub fn kept(&self) -> Kept {
        // What was sent and not acknowledged is sent again: of events, these are the last ones
        // before those that were not sent.
        let unacknowledged = self.client.in_flight().saturating_sub(self.own.count());
        let unacknowledged = u32::try_from(unacknowledged).unwrap_or(0);
        Kept {
            boot: self.boot,
            presses: self.count,
            events: (self.unsent.events + unacknowledged).min(super::EVENTS),
            kinds: self.unsent.kinds,
            dropped_events: self.dropped_events,
            awake_ms: self.awake_ms(),
            state: self.state,
            unsent: self.unsent.link || self.own.count() > 0,
            undecided: self.sleep.undecided,
        }
    }

    /// How long the board has been awake, all times since it was last without power: the figure
    /// that a battery's life depends on.
    pub fn awake(&self) -> Duration {
        Duration::from_millis(self.awake_ms().into())
    }

    pub(super) fn awake_ms(&self) -> u32 {
        let millis = self
            .started
            .map_or(0, |start| micros(start, self.now) / 1_000);
        let millis = u32::try_from(millis).unwrap_or(u32::MAX);
        self.sleep.awake_before.saturating_add(millis)
    }

    /// Goes on where the board was when it fell asleep.
    pub(super) fn wake(&mut self, kept: Kept) {
        self.boot = kept.boot;
        self.count = kept.presses;
        self.unsent.events = kept.events;
        self.unsent.kinds = kept.kinds;
        self.unsent.link = kept.unsent;
        self.dropped_events = kept.dropped_events;
        self.state = kept.state;
        self.sleep.awake_before = kept.awake_ms;
        self.sleep.undecided = kept.undecided;
    }

    /// How long it stays awake, if it sleeps at all. A board whose light follows can't: it would
    /// follow nothing.
    pub(super) fn sleeps_after(&self) -> Option<Duration> {
        let can_sleep = self.start.is_some_and(|start| start.can_sleep);
        let sleep = self.settings.sleep();
        sleep.filter(|_| can_sleep && self.role() == Role::Publisher)
    }

    /// Whether a press has to wait for the state that the broker has: other boards may have changed
    /// it while this one slept.
    pub(super) fn is_undecided(&self) -> bool {
        !self.sleep.link_known && self.sleeps_after().is_some()
    }

    /// The broker has answered the subscription to the link: its retained state comes soon.
    pub(super) fn expect_link_state(&mut self) {
        if self.is_undecided() {
            self.sleep.known_at = Some(self.now + RETAINED_TIME);
        }
    }

    /// The broker has told the link's state, or has none.
    pub(super) fn decide(&mut self) {
        self.sleep.link_known = true;
        self.sleep.known_at = None;
        if core::mem::take(&mut self.sleep.undecided) {
            self.change_link(!self.state.unwrap_or(false));
        }
    }

    pub(super) fn handle_sleep_timeout(&mut self) {
        if self.sleep.known_at.is_some_and(|at| at <= self.now) {
            self.decide();
        }
        if self.sleep_at().is_some_and(|at| at <= self.now) {
            self.sleep.stage = Stage::Leaving;
            let goodbye = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
            // Four bytes: they always fit. Without a connection it does nothing.
            let _ = self.client.disconnect(&goodbye, self.now);
            if !self.is_connected() {
                self.link.stop();
                self.client.handle_closed(self.now);
            }
        }
    }

    pub(super) fn poll_sleep_timeout(&self) -> Option<Instant> {
        let times = [self.sleep.known_at, self.sleep_at()];
        times.into_iter().flatten().min()
    }

    pub(super) fn poll_sleep(&mut self) -> Option<Effect> {
        if self.sleep.stage == Stage::Tired {
            self.sleep.stage = Stage::Asleep;
            return Some(Effect::Sleep);
        }
        if !self.is_leaving() || self.connection() != Connection::Stopped {
            return None;
        }
        self.sleep.stage = Stage::Tired;
        self.notice(Notice::Sleeping(self.awake()));
        self.notices.pop_front().map(Effect::Notice)
    }

    /// The connection ended as the board wanted, and it would sleep now.
    pub(super) fn said_goodbye(&mut self) {
        if self.unsent.events > 0 && self.sleep.pressed_at + AWAKE_LIMIT > self.now {
            // Pressed meanwhile.
            self.sleep.stage = Stage::Awake;
            self.link.resume(self.now);
        }
    }

    /// Whether the board says goodbye because it wants to sleep.
    pub(super) fn is_leaving(&self) -> bool {
        self.sleep.stage == Stage::Leaving
    }

    /// When it falls asleep if nothing happens.
    fn sleep_at(&self) -> Option<Instant> {
        let after = self.sleeps_after()?;
        // A contact that is closed would wake the machine at once, for a press that is none.
        let is_held = self.button.is_pressed()
            || self.button.poll_timeout().is_some()
            || self.presses.poll_timeout().is_some()
            || self.factory_reset.poll_timeout(self.now).is_some();
        if self.sleep.stage != Stage::Awake || is_held {
            return None;
        }
        let is_done = self.is_connected()
            && !self.has_unsent()
            && !self.client.has_unsent()
            && matches!(
                self.subscription,
                Subscription::Accepted | Subscription::Refused
            );
        Some(if is_done {
            self.sleep.progress_at + after
        } else {
            self.sleep.pressed_at + AWAKE_LIMIT
        })
    }
}

/// How long the retained state may take behind the answer to the subscription.
pub(super) const RETAINED_TIME: Duration = Duration::from_secs(1);

/// How long a board tries to send before it sleeps all the same.
const AWAKE_LIMIT: Duration = Duration::from_secs(60);
