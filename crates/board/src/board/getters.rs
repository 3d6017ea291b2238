//! What a display or a console wants to know.

use declic_mqtt::{Instant, ProtocolVersion};

use super::{Board, Subscription, micros};
use crate::{BoardId, Connection, Role, Settings};

impl Board<'_> {
    /// Who the board is.
    pub const fn id(&self) -> BoardId {
        self.id
    }

    /// The settings it was made with.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Which parts it plays.
    pub const fn role(&self) -> Role {
        self.settings.role()
    }

    /// Where its connection stands.
    pub const fn connection(&self) -> Connection {
        self.link.connection()
    }

    /// Whether the broker has accepted it.
    pub const fn is_connected(&self) -> bool {
        matches!(self.link.connection(), Connection::Connected { .. })
    }

    /// Whether the broker has accepted its subscription to the link on this connection.
    pub const fn is_subscribed(&self) -> bool {
        self.is_connected() && matches!(self.subscription, Subscription::Accepted)
    }

    /// The version of the connection, or the one that is tried next.
    pub const fn version(&self) -> ProtocolVersion {
        self.link.version()
    }

    /// Whether its light is on.
    pub const fn light(&self) -> bool {
        self.led.is_on()
    }

    /// The link's state as the board knows it; `None` before the first message and press.
    pub const fn link_state(&self) -> Option<bool> {
        self.state
    }

    /// Presses since the start, double presses and holds included; on boards that sleep, since they
    /// were last without power.
    pub const fn presses(&self) -> u32 {
        self.count
    }

    /// The number that names this start in the button's events; see
    /// [`Board`](Self#what-a-press-does).
    pub const fn boot(&self) -> u32 {
        self.boot
    }

    /// Whether a press has not reached the broker yet.
    pub fn has_unsent(&self) -> bool {
        let unsent = &self.unsent;
        unsent.link || unsent.events > 0 || self.sleep.undecided || self.client.in_flight() > 0
    }

    /// Button events that were given up: because more than 32 waited for a connection, or because
    /// the broker refused them.
    pub const fn dropped_events(&self) -> u32 {
        self.dropped_events
    }

    /// Connections after the first one.
    pub const fn reconnects(&self) -> u32 {
        self.connections.saturating_sub(1)
    }

    /// Seconds without a connection since the start.
    pub fn offline(&self) -> u64 {
        let all = self.started.map_or(0, |start| micros(start, self.now));
        all.saturating_sub(self.online_micros()) / 1_000_000
    }

    /// Seconds since the start.
    pub fn uptime(&self) -> u64 {
        self.started
            .map_or(0, |start| micros(start, self.now) / 1_000_000)
    }

    /// Failures since the last stable connection.
    pub const fn failures(&self) -> u32 {
        self.link.failures()
    }

    /// When the next attempt is made, while one is waited for.
    pub const fn next_attempt(&self) -> Option<Instant> {
        match self.link.connection() {
            Connection::Waiting { until } => Some(until),
            _ => None,
        }
    }
}
