//! The socket through which `declic broker ctl` asks a running broker: what is said on it, and
//! where it is.
//!
//! One request on a line, then answers on lines of their own, the last of which is
//! [`Answer::End`]; all of them objects of JSON.

#[cfg(unix)]
mod server;

use std::path::PathBuf;

use declic_mqtt::ReasonCode;
use serde::{Deserialize, Serialize};

#[cfg(unix)]
pub use server::{Control, Served};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The sessions.
    Clients,
    /// End a client's connection.
    Disconnect {
        client_id: String,
        /// What a client of 5.0 is told.
        reason: u8,
        /// End its session too.
        forget: bool,
    },
    /// The retained messages that `filter` matches.
    Retained { filter: String },
    /// Forget the retained messages that `filter` matches.
    Clear { filter: String },
    /// All that is counted.
    Stats,
    /// The same, as text for Prometheus.
    Metrics,
    /// Read the configuration again.
    Reload,
    /// Copy what is stored to a new directory.
    Backup { path: String },
    /// The bridges to other brokers.
    Bridges,
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    Client(ClientLine),
    Retained(RetainedLine),
    Bridge(BridgeLine),
    Count {
        name: String,
        value: u64,
    },
    /// A whole text.
    Text {
        text: String,
    },
    /// The last line.
    End {
        /// `None` when all is done, else why not.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// How many things were listed or ended.
        count: u64,
    },
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientLine {
    pub client_id: String,
    /// Whose the session is; `None` for a client without a user name, and for the broker itself.
    pub user: Option<String>,
    pub connected: bool,
    /// How it is connected, such as `TLS`.
    pub transport: Option<String>,
    /// Where it is connected from.
    pub address: Option<String>,
    /// `3.1.1` or `5.0`.
    pub version: Option<String>,
    /// Seconds since 1970.
    pub connected_since: Option<u64>,
    /// Seconds; 0 for none.
    pub keep_alive: u16,
    pub subscriptions: usize,
    pub queued: usize,
    pub queued_bytes: usize,
    pub in_flight: usize,
    /// Seconds that the session is kept without a connection; `None` for ever.
    pub session_expiry: Option<u32>,
}

/// A retained message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetainedLine {
    pub topic: String,
    pub qos: u8,
    /// The payload, or its beginning; what is no UTF-8 is replaced.
    pub payload: String,
    /// Whether more of the payload follows.
    pub cut: bool,
}

/// A bridge, and what it has done since its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeLine {
    pub name: String,
    pub connected: bool,
    pub sent: u64,
    pub received: u64,
    pub dropped: u64,
    pub looped: u64,
    pub connects: u64,
}

/// Where the socket is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nowhere.
    None,
    /// Where it is looked for if nothing is said.
    Usual(PathBuf),
    Chosen(PathBuf),
}

impl Place {
    /// The place that a setting names: `auto`, `none` or a path.
    pub fn of(setting: &str) -> Self {
        match setting {
            "none" => Self::None,
            "auto" => usual_path().map_or(Self::None, Self::Usual),
            path => Self::Chosen(path.into()),
        }
    }
}

/// `broker.sock` in the service's runtime directory if systemd names one, else in `declic` in the
/// user's, else in the state directory.
pub fn usual_path() -> Option<PathBuf> {
    let named = |variable| std::env::var_os(variable).filter(|value| !value.is_empty());
    // Of several directories, systemd gives the first first.
    if let Some(directories) = named("RUNTIME_DIRECTORY")
        && let Some(first) = std::env::split_paths(&directories).next()
    {
        return Some(first.join(SOCKET));
    }
    if let Some(directory) = named("XDG_RUNTIME_DIR") {
        return Some(PathBuf::from(directory).join("declic").join(SOCKET));
    }
    let directory = crate::state::directory().ok()?;
    Some(directory.join(SOCKET))
}

/// What a client of 5.0 may be told when it is disconnected.
pub const REASONS: [ReasonCode; 8] = [
    ReasonCode::AdministrativeAction,
    ReasonCode::UnspecifiedError,
    ReasonCode::NotAuthorized,
    ReasonCode::ServerBusy,
    ReasonCode::MessageRateTooHigh,
    ReasonCode::QuotaExceeded,
    ReasonCode::UseAnotherServer,
    ReasonCode::ServerMoved,
];

const SOCKET: &str = "broker.sock";

/// The longest request.
#[cfg(unix)]
const REQUEST_SIZE: u64 = 256 * 1_024;
/// Of a retained message's payload that is shown.
#[cfg(unix)]
const PAYLOAD_SHOWN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_on_the_socket_is_an_interface() {
        let json = |value: &Request| serde_json::to_string(value).expect("JSON");
        assert_eq!(json(&Request::Clients), r#"{"request":"clients"}"#);
        let disconnect = Request::Disconnect {
            client_id: "a".to_owned(),
            reason: 0x98,
            forget: false,
        };
        let text = r#"{"request":"disconnect","client_id":"a","reason":152,"forget":false}"#;
        assert_eq!(json(&disconnect), text);
        let end = Answer::End {
            error: None,
            count: 2,
        };
        let text = serde_json::to_string(&end).expect("JSON");
        assert_eq!(text, r#"{"answer":"end","count":2}"#);
        assert_eq!(
            serde_json::from_str::<Answer>(&text).expect("an answer"),
            end
        );
        assert!(serde_json::from_str::<Request>(r#"{"request":"format_disk"}"#).is_err());
    }

    #[test]
    fn a_setting_names_the_place() {
        assert_eq!(Place::of("none"), Place::None);
        assert_eq!(Place::of("/run/x"), Place::Chosen("/run/x".into()));
        assert!(matches!(Place::of("auto"), Place::Usual(_) | Place::None));
    }
}
