//! Keep-alive and deadlines (section 3.1.2.10).

use core::time::Duration;

use super::{Client, CloseReason, Phase};
use crate::Instant;

pub(super) struct Timers {
    /// Zero: no keep-alive.
    pub(super) keep_alive: Duration,
    pub(super) last_sent: Instant,
    pub(super) last_received: Instant,
    /// Of the CONNACK, of something received while a PINGREQ is under way, or of the last bytes of
    /// a connection that ends.
    pub(super) deadline: Instant,
    pub(super) ping: Ping,
    /// A PINGREQ was sent, and not answered.
    pub(super) awaits_pingresp: bool,
}

/// The way of a PINGREQ to the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ping {
    No,
    /// One is to be sent.
    Due,
    /// Its bytes are being sent.
    Sending,
}

impl Timers {
    pub(super) const fn new() -> Self {
        Self {
            keep_alive: Duration::ZERO,
            last_sent: Instant::ZERO,
            last_received: Instant::ZERO,
            deadline: Instant::ZERO,
            ping: Ping::No,
            awaits_pingresp: false,
        }
    }

    /// Begins a connection, or its end: no PINGREQ is under way.
    pub(super) fn start(&mut self, deadline: Instant) {
        self.deadline = deadline;
        self.ping = Ping::No;
        self.awaits_pingresp = false;
    }

    /// When a PINGREQ is due: a keep-alive after the last byte in either direction, so that a dead
    /// connection is noticed even while messages go out; with one unanswered, a keep-alive after
    /// the last byte sent, for the answer may wait behind a long message.
    fn next_ping(&self) -> Option<Instant> {
        if self.keep_alive.is_zero() || self.ping != Ping::No {
            return None;
        }
        let last = if self.awaits_pingresp {
            self.last_sent
        } else {
            self.last_sent.min(self.last_received)
        };
        Some(last + self.keep_alive)
    }

    /// How long to wait for something while a PINGREQ is under way: half a keep-alive at most, so
    /// that the client notices a dead connection when the server does, after one and a half.
    fn patience(&self, ping_timeout: Duration) -> Duration {
        ping_timeout.min(self.keep_alive / 2)
    }

    /// Until when something must be received, if a PINGREQ is under way.
    fn answer_deadline(&self) -> Option<Instant> {
        (self.ping != Ping::No || self.awaits_pingresp).then_some(self.deadline)
    }
}

impl Client<'_> {
    /// When to call [`Self::handle_timeout`] at the latest; `None` while nothing is waited for.
    ///
    /// A moment in the past says that moving bytes made an event possible:
    /// [`Self::poll_event`] has it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.has_event_since_transmitted() {
            return Some(self.timers.last_sent);
        }
        match self.phase {
            Phase::Idle | Phase::Closed(_) => None,
            Phase::Connected => {
                let timers = &self.timers;
                match (timers.next_ping(), timers.answer_deadline()) {
                    (Some(ping), Some(answer)) => Some(ping.min(answer)),
                    (ping, answer) => ping.or(answer),
                }
            }
            _ => Some(self.timers.deadline),
        }
    }

    /// Time has passed: sends a PINGREQ, or gives up, when it is time for it.
    pub fn handle_timeout(&mut self, now: Instant) {
        let is_due = |timeout: Option<Instant>| timeout.is_some_and(|timeout| timeout <= now);
        let timers = &mut self.timers;
        match self.phase {
            Phase::Idle | Phase::Closed(_) => {}
            Phase::Connected => {
                if is_due(timers.answer_deadline()) {
                    self.phase = Phase::Closed(CloseReason::PingTimeout);
                } else if is_due(timers.next_ping()) {
                    timers.ping = Ping::Due;
                    if !timers.awaits_pingresp {
                        timers.deadline = now + timers.patience(self.config.ping_timeout);
                    }
                }
            }
            _ if now < timers.deadline => {}
            Phase::SendingConnect | Phase::AwaitingConnAck => {
                self.phase = Phase::Closed(CloseReason::ConnectTimeout);
            }
            Phase::Finishing => self.phase = Phase::Closed(CloseReason::Requested),
            Phase::Failing(reason) => self.phase = Phase::Closed(reason),
        }
    }

    /// Bytes were sent.
    pub(super) fn note_sent(&mut self, now: Instant) {
        let timers = &mut self.timers;
        timers.last_sent = now;
        if timers.ping != Ping::No && !timers.awaits_pingresp {
            // The PINGREQ is not out yet, but what is before it moves.
            timers.deadline = now + timers.patience(self.config.ping_timeout);
        }
    }

    /// Bytes were received.
    pub(super) fn note_received(&mut self, now: Instant) {
        let timers = &mut self.timers;
        timers.last_received = now;
        if timers.answer_deadline().is_some() {
            timers.deadline = now + timers.patience(self.config.ping_timeout);
        }
    }

    /// Whether there is an event that was not there when [`Self::poll_event`] returned `None`: the
    /// last byte is sent, or there is room for acknowledgements again.
    fn has_event_since_transmitted(&self) -> bool {
        matches!(self.phase, Phase::Closed(_)) || (self.is_held_up && !self.acks.is_full())
    }
}
