//! Towards the broker: which one, the CONNECT, and what follows a failure.

use declic_mqtt::packet::{Connect, Properties, Property, Will};
use declic_mqtt::{Instant, ProtocolVersion, QoS};

use super::{Board, OFFLINE, micros};
use crate::id::Leaf;
use crate::link::{self, Pace};
use crate::settings::Topics;
use crate::{Cause, Connection, Destination, Notice};

impl Board<'_> {
    /// The broker that the board is connected to, or tries next; `None` while none is set.
    pub fn destination(&self) -> Option<Destination<'_>> {
        self.route.destination(&self.settings)
    }

    /// The search that [`Effect::FindBroker`](crate::Effect::FindBroker) asked for has found the
    /// broker at `host`, which may be an address or a name.
    pub fn handle_broker_found(&mut self, host: &str, port: u16, now: Instant) {
        self.at(now);
        if !matches!(self.connection(), Connection::Opening { .. }) || !self.must_search() {
            return;
        }
        if self.route.found(host, port) {
            self.link.open(self.now);
        } else {
            self.handle_connect_failed(now);
        }
    }

    /// Whether the broker is to be searched for before a connection can be opened.
    pub(super) fn must_search(&self) -> bool {
        self.destination().is_some_and(|to| to.is_search())
    }

    /// Begins the MQTT connection on the open transport.
    pub(super) fn connect(&mut self) -> bool {
        let version = self.link.version();
        let own_id = self.id.client_id();
        let status = self.id.topic(Leaf::Status);
        let properties = [Property::SessionExpiryInterval(
            self.settings.session_expiry(),
        )];
        let password = self.settings.password().map(str::as_bytes);
        let has_session = self.route.has_session(&self.settings);
        let connect = Connect {
            clean_start: version == ProtocolVersion::V3_1_1 || !has_session,
            keep_alive: self.settings.keep_alive(),
            will: (self.settings.topics() != Topics::None).then(|| Will {
                topic: status.name(),
                payload: OFFLINE,
                qos: QoS::AtLeastOnce,
                retain: true,
                properties: Properties::EMPTY,
            }),
            user_name: self.settings.user(),
            // 3.1.1 has no password without a user name.
            password: password.filter(|_| self.settings.user().is_some()),
            properties: match version {
                ProtocolVersion::V3_1_1 => Properties::EMPTY,
                ProtocolVersion::V5 => Properties::new(&properties),
            },
            ..Connect::new(version, self.settings.client_id().unwrap_or(&own_id))
        };
        self.client.connect(&connect, self.now).is_ok()
    }

    /// There is no connection because of `cause`: arranges the next attempt.
    pub(super) fn failed(&mut self, cause: Cause) {
        // In this order: the notice names the broker that is left.
        self.notice(if self.is_connected() {
            Notice::Disconnected(cause)
        } else {
            Notice::ConnectFailed(cause)
        });
        self.count_online();
        let was_stable = self.link.is_stable(self.now);
        let reference = self.client.server_reference().unwrap_or_default();
        let redirection = link::redirection(cause);
        let pace = match redirection {
            Some(for_good) if self.route.follow(reference, for_good, was_stable) => Pace::AtOnce,
            // The other version is tried with the same broker.
            _ if link::is_version_refusal(cause) => Pace::ByCause,
            _ if self.route.failed(&self.settings, was_stable) => Pace::Usual,
            _ => Pace::ByCause,
        };
        let retry = self.link.failed(cause, pace, self.now);
        self.client.handle_closed(self.now);
        if pace == Pace::AtOnce {
            self.notice(Notice::Redirected);
        }
        if let Some(version) = retry.version {
            self.notice(Notice::TryingVersion(version));
        }
        self.notice(Notice::RetryIn(retry.wait));
    }

    /// Adds up how long there was a connection, when it ends.
    pub(super) fn count_online(&mut self) {
        self.online = self.online_micros();
    }

    /// Microseconds with a connection, since the start.
    pub(super) fn online_micros(&self) -> u64 {
        let current = match self.connection() {
            Connection::Connected { since } => micros(since, self.now),
            _ => 0,
        };
        self.online + current
    }
}
