//! Keep-alive and deadlines (section 3.1.2.10).

use core::time::Duration;

use super::{Client, CloseReason, Phase};
use crate::Instant;

pub(super) struct Timers {
    /// Zero: no keep-alive.
    pub(super) keep_alive: Duration,
    pub(super) last_sent: Instant,
    pub(super) last_received: Instant,
    /// Of the CONNACK, or of the last bytes of a connection that ends.
    pub(super) deadline: Instant,
    pub(super) ping: Ping,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ping {
    No,
    /// A PINGREQ is to be sent.
    Due,
    /// It is sent, and its answer awaited.
    Sent,
}

impl Timers {
    pub(super) const fn new() -> Self {
        Self {
            keep_alive: Duration::ZERO,
            last_sent: Instant::ZERO,
            last_received: Instant::ZERO,
            deadline: Instant::ZERO,
            ping: Ping::No,
        }
    }

    /// When a PINGREQ is due: a keep-alive after the last byte in either direction, so that a dead
    /// connection is noticed even while messages go out.
    fn next_ping(&self) -> Option<Instant> {
        let last = self.last_sent.min(self.last_received);
        (self.keep_alive > Duration::ZERO).then(|| last + self.keep_alive)
    }
}

impl Client<'_> {
    /// When to call [`Self::handle_timeout`] at the latest; `None` while nothing is waited for.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Idle | Phase::Closed(_) => None,
            Phase::Connected if self.timers.ping == Ping::No => self.timers.next_ping(),
            _ => Some(self.timers.deadline),
        }
    }

    /// Time has passed: sends a PINGREQ, or gives up, when it is time for it.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|timeout| now < timeout) {
            return;
        }
        match self.phase {
            Phase::SendingConnect | Phase::AwaitingConnAck => {
                self.phase = Phase::Closed(CloseReason::ConnectTimeout);
            }
            Phase::Connected if self.timers.ping == Ping::No => {
                self.timers.ping = Ping::Due;
                self.timers.deadline = now + self.config.ping_timeout;
            }
            Phase::Connected => self.phase = Phase::Closed(CloseReason::PingTimeout),
            Phase::Finishing => self.phase = Phase::Closed(CloseReason::Requested),
            Phase::Failing(reason) => self.phase = Phase::Closed(reason),
            Phase::Idle | Phase::Closed(_) => {}
        }
    }
}
