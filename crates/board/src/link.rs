//! Staying connected: when to open the transport, how long each step may take, how long to wait
//! after a failure, and which version to speak.

use core::time::Duration;

use declic_mqtt::client::CloseReason;
use declic_mqtt::{Instant, ProtocolVersion, ReasonCode};

use crate::settings::VersionChoice;
use crate::{Backoff, Cause, Settings};

/// Where the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Connection {
    /// The network link is down, or no broker is set.
    Down,
    /// Waiting for the next attempt.
    Waiting {
        /// When it is made.
        until: Instant,
    },
    /// The owner opens the transport.
    Opening {
        /// When the board gives it up.
        deadline: Instant,
    },
    /// The transport is open, the broker has not answered yet. The client watches over the time.
    Handshake,
    /// The broker accepted the board.
    Connected {
        /// Since when.
        since: Instant,
    },
    /// The owner stopped the board.
    Stopped,
}

/// Supervises the connection; owns no byte of it.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    connection: Connection,
    /// What the owner knows of the transport: whether one is open or being opened.
    transport: bool,
    /// What the owner is to be asked for and does not know yet.
    close_request: bool,
    open_request: bool,
    /// Of the transport and of MQTT: each has its own failures.
    transport_backoff: Backoff,
    mqtt_backoff: Backoff,
    /// The network was lost in an attempt, or too soon after it: when the next one is due.
    not_before: Option<Instant>,
    open_timeout: Duration,
    stable_uptime: Duration,
    /// The uptime was stable: nothing to watch over until the next connection.
    stable: bool,
    version: Versions,
}

/// What the owner must do with the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Open,
    Close,
}

/// How soon the next attempt follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As the cause says.
    ByCause,
    /// Whatever the cause: another broker is tried.
    Usual,
    /// The broker named the next one.
    AtOnce,
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retry {
    pub(crate) wait: Duration,
    /// The version that is tried from now on, where that is another one.
    pub(crate) version: Option<ProtocolVersion>,
}

impl Link {
    pub(crate) fn new(settings: &Settings, seed: u64) -> Self {
        Self {
            connection: Connection::Down,
            transport: false,
            close_request: false,
            open_request: false,
            transport_backoff: Backoff::new(settings.backoff_base(), settings.backoff_cap(), seed),
            mqtt_backoff: Backoff::new(
                settings.backoff_base(),
                settings.backoff_cap(),
                seed.rotate_left(32),
            ),
            not_before: None,
            open_timeout: settings.connect_timeout(),
            stable_uptime: settings.stable_uptime(),
            stable: false,
            version: Versions::new(settings.mqtt()),
        }
    }

    /// The network is there: an attempt is made at once, unless one is under way or failed because
    /// the network went: a network that comes and goes makes no more attempts than a broker that
    /// does.
    pub(crate) fn up(&mut self, now: Instant) {
        if self.connection != Connection::Down {
            return;
        }
        match self.not_before.take().filter(|at| *at > now) {
            Some(until) => self.connection = Connection::Waiting { until },
            None => self.open(now),
        }
    }

    /// The network is gone.
    pub(crate) fn down(&mut self, now: Instant) {
        let stable = self.is_stable(now);
        self.not_before = match self.connection {
            Connection::Stopped => return,
            Connection::Down => self.not_before,
            Connection::Waiting { until } => Some(until),
            Connection::Connected { .. } if stable => None,
            _ => Some(now + self.transport_backoff.next_wait()),
        };
        self.close();
        self.connection = Connection::Down;
    }

    /// The owner wants a connection again.
    pub(crate) fn resume(&mut self, now: Instant) {
        if self.connection == Connection::Stopped {
            self.open(now);
        }
    }

    /// Whether there is a connection that has lasted long enough.
    pub(crate) fn is_stable(&mut self, now: Instant) -> bool {
        self.check_uptime(now);
        self.stable && matches!(self.connection, Connection::Connected { .. })
    }

    /// The transport is open. Returns whether that was asked for.
    pub(crate) fn opened(&mut self) -> bool {
        let expected = matches!(self.connection, Connection::Opening { .. });
        if expected {
            self.connection = Connection::Handshake;
        }
        expected
    }

    /// The owner says that the transport is gone, or that it could not be opened.
    pub(crate) const fn transport_gone(&mut self) {
        // With an opening that the owner has not heard of, this is about an older transport.
        if !self.open_request {
            self.transport = false;
            self.close_request = false;
        }
    }

    /// The broker accepted the board.
    pub(crate) const fn accepted(&mut self, now: Instant) {
        self.connection = Connection::Connected { since: now };
        self.stable = false;
        self.version.accepted();
    }

    /// There is no connection, or no more, because of `cause`.
    pub(crate) fn failed(&mut self, cause: Cause, pace: Pace, now: Instant) -> Retry {
        let was_connected = matches!(self.connection, Connection::Connected { .. });
        self.check_uptime(now);
        let version = self.version.failed(cause, was_connected);
        let backoff = match cause {
            Cause::Unreachable | Cause::OpenTimeout | Cause::NotFound => {
                &mut self.transport_backoff
            }
            _ => &mut self.mqtt_backoff,
        };
        let wait = match version {
            _ if pace == Pace::AtOnce => Duration::ZERO,
            // Nobody is at fault; but two refusals in a row would be a loop without a pause.
            Some(ProtocolVersion::V3_1_1) if is_version_refusal(cause) => Duration::ZERO,
            _ if pace == Pace::ByCause && is_lasting(cause) => backoff.long_wait(),
            _ => backoff.next_wait(),
        };
        self.close();
        self.connection = Connection::Waiting { until: now + wait };
        Retry { wait, version }
    }

    /// The owner wants no connection any more.
    pub(crate) fn stop(&mut self) {
        self.close();
        self.connection = Connection::Stopped;
    }

    /// Time has passed. Returns true when the transport was not opened in time: a failure.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> bool {
        self.check_uptime(now);
        match self.connection {
            Connection::Waiting { until } if until <= now => {
                self.open(now);
                false
            }
            Connection::Opening { deadline } => deadline <= now,
            _ => false,
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.connection {
            Connection::Waiting { until } => Some(until),
            Connection::Opening { deadline } => Some(deadline),
            Connection::Connected { since } if !self.stable => Some(since + self.stable_uptime),
            _ => None,
        }
    }

    pub(crate) fn poll_request(&mut self) -> Option<Request> {
        if core::mem::take(&mut self.close_request) {
            return Some(Request::Close);
        }
        core::mem::take(&mut self.open_request).then_some(Request::Open)
    }

    pub(crate) const fn connection(&self) -> Connection {
        self.connection
    }

    /// The version that the next CONNECT speaks.
    pub(crate) const fn version(&self) -> ProtocolVersion {
        self.version.current
    }

    /// Failures since the last stable connection.
    pub(crate) const fn failures(&self) -> u32 {
        let (transport, mqtt) = (&self.transport_backoff, &self.mqtt_backoff);
        transport.failures().saturating_add(mqtt.failures())
    }

    /// Opens the transport, with the whole time that this may take; also after a search for the
    /// broker, which was part of opening it.
    pub(crate) fn open(&mut self, now: Instant) {
        self.connection = Connection::Opening {
            deadline: now + self.open_timeout,
        };
        self.transport = true;
        self.open_request = true;
    }

    fn close(&mut self) {
        // An opening that the owner has not heard of needs no closing.
        let heard_of = !core::mem::take(&mut self.open_request);
        if core::mem::take(&mut self.transport) && heard_of {
            self.close_request = true;
        }
    }

    fn check_uptime(&mut self, now: Instant) {
        if let Connection::Connected { since } = self.connection
            && !self.stable
            && since + self.stable_uptime <= now
        {
            self.stable = true;
            self.transport_backoff.reset();
            self.mqtt_backoff.reset();
        }
    }
}

/// Which version to speak: 5.0 first, 3.1.1 where the broker can't.
#[derive(Debug, Clone)]
struct Versions {
    current: ProtocolVersion,
    fixed: bool,
    /// The version with which a broker accepted the board last.
    worked: Option<ProtocolVersion>,
    /// Connections in a row that ended before CONNACK.
    closes: u32,
}

impl Versions {
    const fn new(choice: VersionChoice) -> Self {
        Self {
            current: match choice {
                VersionChoice::V3_1_1 => ProtocolVersion::V3_1_1,
                VersionChoice::Auto | VersionChoice::V5 => ProtocolVersion::V5,
            },
            fixed: !matches!(choice, VersionChoice::Auto),
            worked: None,
            closes: 0,
        }
    }

    const fn accepted(&mut self) {
        self.worked = Some(self.current);
        self.closes = 0;
    }

    /// Returns the version to try now where it is another one than before.
    ///
    /// A refusal that names the version counts at once. A broker that just closes, or answers
    /// what is no CONNACK, may have other reasons (it is restarting, say): that counts from the
    /// second time on, and a version that has worked before is doubted later.
    fn failed(&mut self, cause: Cause, was_connected: bool) -> Option<ProtocolVersion> {
        let in_handshake = !was_connected
            && matches!(
                cause,
                Cause::Closed(CloseReason::Lost | CloseReason::Protocol(_))
            );
        let patience = if self.worked == Some(self.current) {
            CLOSES_AFTER_SUCCESS
        } else {
            CLOSES
        };
        if in_handshake {
            self.closes += 1;
        }
        let doubted = is_version_refusal(cause) || (in_handshake && self.closes >= patience);
        if self.fixed || !doubted {
            return None;
        }
        self.closes = 0;
        self.current = match self.current {
            ProtocolVersion::V5 => ProtocolVersion::V3_1_1,
            ProtocolVersion::V3_1_1 => ProtocolVersion::V5,
        };
        Some(self.current)
    }
}

/// Whether the broker can't speak the version.
pub(crate) fn is_version_refusal(cause: Cause) -> bool {
    cause == Cause::Closed(CloseReason::Refused(ReasonCode::UnsupportedProtocolVersion))
}

/// Whether the broker wants the board to use another one: for good (true), or this time (false).
pub(crate) fn redirection(cause: Cause) -> Option<bool> {
    match cause {
        Cause::Closed(CloseReason::Refused(reason) | CloseReason::Server(reason)) => match reason {
            ReasonCode::UseAnotherServer => Some(false),
            ReasonCode::ServerMoved => Some(true),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a quick retry is of no use: somebody has to change a setting first. Another board with
/// the same client identifier belongs here too, or the two would throw each other out for ever.
fn is_lasting(cause: Cause) -> bool {
    let Cause::Closed(CloseReason::Refused(reason) | CloseReason::Server(reason)) = cause else {
        return cause == Cause::Settings;
    };
    matches!(
        reason,
        ReasonCode::BadUserNameOrPassword
            | ReasonCode::NotAuthorized
            | ReasonCode::Banned
            | ReasonCode::BadAuthenticationMethod
            | ReasonCode::ClientIdentifierNotValid
            | ReasonCode::UnsupportedProtocolVersion
            | ReasonCode::SessionTakenOver
            | ReasonCode::UseAnotherServer
            | ReasonCode::ServerMoved
    )
}

const CLOSES: u32 = 2;
const CLOSES_AFTER_SUCCESS: u32 = 6;
