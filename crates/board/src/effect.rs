//! What a board asks of its owner, and what it tells.

use core::fmt;
use core::time::Duration;

use declic_mqtt::client::CloseReason;
use declic_mqtt::{ProtocolVersion, ReasonCode};

use crate::{Key, LogLevel, PressKind};

/// What the owner must do next, from [`Board::poll_effect`](crate::Board::poll_effect).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// Set the LED's pin: true for light.
    SetLed(bool),
    /// Open a TCP connection to [`Board::destination`](crate::Board::destination), then call
    /// `handle_connected` or `handle_connect_failed`. Never wait for it: the board gives up by
    /// itself with [`Effect::CloseTransport`].
    OpenTransport,
    /// Search the local network for a broker: the service `_mqtt._tcp` of mDNS (RFC 6763). Then
    /// call [`Board::handle_broker_found`](crate::Board::handle_broker_found) with the first one
    /// found, or `handle_connect_failed` where there can be none. Never wait for it: the board
    /// gives up by itself with [`Effect::CloseTransport`].
    FindBroker,
    /// Close the connection, stop opening it or searching for a broker, and report nothing more
    /// about it.
    CloseTransport,
    /// Store the value of `key` in [`Board::edited`](crate::Board::edited), as
    /// [`SettingsStore::store`](crate::flash::SettingsStore::store) does, and call
    /// [`Board::handle_stored`](crate::Board::handle_stored). One at a time is asked for.
    Store {
        /// To be handed back.
        ticket: Ticket,
        /// Which setting.
        key: Key,
    },
    /// Forget all stored settings, as
    /// [`SettingsStore::forget`](crate::flash::SettingsStore::forget) does, and call
    /// [`Board::handle_stored`](crate::Board::handle_stored).
    EraseSettings {
        /// To be handed back.
        ticket: Ticket,
    },
    /// Store the light's state, as
    /// [`SettingsStore::store_light`](crate::flash::SettingsStore::store_light) does, and call
    /// [`Board::handle_stored`](crate::Board::handle_stored). At the next start, hand it over in
    /// [`Start::light`](crate::Start::light).
    StoreLight {
        /// To be handed back.
        ticket: Ticket,
        /// Whether the light is on.
        on: bool,
    },
    /// Sleep until the button's contact closes: keep
    /// [`Board::kept`](crate::Board::kept) in memory that lasts, switch off what can be, and after
    /// waking make a new board and hand that over in [`Start::kept`](crate::Start::kept). Asked
    /// for only where [`Start::can_sleep`](crate::Start::can_sleep) says that this works.
    Sleep,
    /// Print what [`Board::console_output`](crate::Board::console_output) still has, and restart
    /// the machine: the board begins anew, with the settings that are stored.
    Restart,
    /// Search for Wi-Fi networks, call
    /// [`Board::handle_network`](crate::Board::handle_network) with each, and
    /// [`Board::handle_scanned`](crate::Board::handle_scanned) at the end. Where there is no
    /// Wi-Fi, that at once.
    Scan,
    /// Leave the Wi-Fi network, and join the one whose name and password stand in
    /// [`Board::edited`](crate::Board::edited). Call
    /// [`Board::handle_link`](crate::Board::handle_link) with false at once, and with true when the
    /// board is in that network and has an address there, not before.
    ///
    /// Asked for only where [`Start::has_wifi`](crate::Start::has_wifi).
    JoinWifi,
    /// Nothing to do: something for the display or the log.
    Notice(Notice),
}

/// Says which of the board's wishes was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(pub(crate) u32);

/// Something worth showing or logging. Its `Display` is a line for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The broker accepted the board.
    Connected {
        /// The version that is spoken.
        version: ProtocolVersion,
        /// Whether the broker goes on with the session from before.
        session_present: bool,
    },
    /// The broker accepted the subscription to the link.
    Subscribed,
    /// The broker refused the subscription to the link: the light can't follow.
    SubscribeRefused(ReasonCode),
    /// The broker refused or could not take a message of the board.
    PublishRefused(ReasonCode),
    /// The button was pressed.
    Pressed {
        /// Its number: presses since the start, double presses and holds included.
        count: u32,
        /// What kind of press it was.
        kind: PressKind,
        /// What goes over the link; `None` where the role sends nothing, for double presses and
        /// holds, and where it is not known yet (see [`Board`](crate::Board#sleeping)).
        sends: Option<bool>,
    },
    /// The light changed.
    Light(bool),
    /// A message on the link topic says neither ON nor OFF, or one on `led/set` no command.
    NotUnderstood,
    /// The connection, which had been accepted, is over.
    Disconnected(Cause),
    /// An attempt to connect failed.
    ConnectFailed(Cause),
    /// The next attempt is made after that time.
    RetryIn(Duration),
    /// The broker names another one, which is tried now.
    Redirected,
    /// The board sleeps now, after so much time awake.
    Sleeping(Duration),
    /// From now on this version is tried.
    TryingVersion(ProtocolVersion),
    /// So many notices were lost because the owner did not poll.
    Missed(u32),
    /// [`Board::shut_down`](crate::Board::shut_down) is done.
    Stopped,
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The network link is down.
    LinkDown,
    /// The transport could not be opened; the owner knows more.
    Unreachable,
    /// The transport was not open in time.
    OpenTimeout,
    /// The search for a broker has found none in time.
    NotFound,
    /// The settings make no valid CONNECT.
    Settings,
    /// What the client says.
    Closed(CloseReason),
}

impl Notice {
    /// How much it matters.
    pub const fn level(&self) -> LogLevel {
        match self {
            Self::SubscribeRefused(_) | Self::PublishRefused(_) => LogLevel::Error,
            Self::Disconnected(_)
            | Self::ConnectFailed(_)
            | Self::NotUnderstood
            | Self::Missed(_) => LogLevel::Warn,
            _ => LogLevel::Info,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |on| if on { "ON" } else { "OFF" };
        match self {
            Self::Connected { version, .. } => write!(f, "connected (MQTT {version})"),
            Self::Subscribed => f.write_str("subscribed"),
            Self::SubscribeRefused(reason) => {
                write!(f, "the broker refused the subscription: {reason}")
            }
            Self::PublishRefused(reason) => write!(f, "the broker refused a message: {reason}"),
            Self::Pressed {
                sends: Some(on), ..
            } => write!(f, "pressed {}", word(*on)),
            Self::Pressed { count, kind, .. } => {
                write!(f, "{} (number {count})", kind.past())
            }
            Self::Light(on) => write!(f, "light {}", word(*on)),
            Self::NotUnderstood => f.write_str("a message was not understood"),
            Self::Disconnected(cause) => write!(f, "disconnected: {cause}"),
            Self::ConnectFailed(cause) => write!(f, "could not connect: {cause}"),
            Self::RetryIn(wait) => write!(f, "next attempt in {}", Tenths(*wait)),
            Self::Redirected => f.write_str("the broker names another one"),
            Self::Sleeping(awake) => write!(f, "sleeping, after {} awake", Tenths(*awake)),
            Self::TryingVersion(version) => write!(f, "trying MQTT {version}"),
            Self::Missed(count) => write!(f, "{count} events were not shown"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// Seconds with one digit behind the point.
struct Tenths(Duration);

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(time) = self;
        write!(f, "{}.{} s", time.as_secs(), time.subsec_millis() / 100)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LinkDown => f.write_str("the network is down"),
            Self::Unreachable => f.write_str("the broker can't be reached"),
            Self::OpenTimeout => f.write_str("the broker's machine did not answer in time"),
            Self::NotFound => f.write_str("no broker was found in the network"),
            Self::Settings => f.write_str("the settings make no valid MQTT connection"),
            Self::Closed(reason) => reason.fmt(f),
        }
    }
}
