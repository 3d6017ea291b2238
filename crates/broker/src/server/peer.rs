//! Who is at the other end of a connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The other end, with how it came here. No larger than the address of a plain connection, which
/// most are.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    Tcp(SocketAddr),
    Other(Box<Origin>),
}

/// A connection that is more, or less, than plain TCP.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) transport: Transport,
    /// `None` for a Unix socket.
    pub(super) address: Option<SocketAddr>,
    /// The user whom the client's certificate names.
    pub(super) user: Option<Box<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "each has its feature")]
pub(super) enum Transport {
    Tcp,
    /// From inside the process.
    Inside,
    Unix,
    Tls,
    WebSocket,
    SecureWebSocket,
}

impl Peer {
    #[cfg(unix)]
    pub(super) fn unix() -> Self {
        Self::without_address(Transport::Unix)
    }

    /// A client inside the process.
    #[cfg(feature = "bridge")]
    pub(super) fn inside() -> Self {
        Self::without_address(Transport::Inside)
    }

    /// Whether it is a client inside the process, which may do everything.
    pub(super) fn is_inside(&self) -> bool {
        matches!(self, Self::Other(origin) if origin.transport == Transport::Inside)
    }

    /// The address it comes from, with the port.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Other(origin) => origin.address,
        }
    }

    /// The address it comes from.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.address().map(|address| address.ip())
    }

    /// How it is connected.
    pub(super) fn transport(&self) -> Transport {
        match self {
            Self::Tcp(_) => Transport::Tcp,
            Self::Other(origin) => origin.transport,
        }
    }

    /// The user whom the client's certificate names.
    pub(super) fn user(&self) -> Option<&str> {
        match self {
            Self::Tcp(_) => None,
            Self::Other(origin) => origin.user.as_deref(),
        }
    }

    /// The address, where it is the engine's loop that counts the connections from it.
    pub(super) fn counted(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Other(_) => None,
        }
    }

    fn without_address(transport: Transport) -> Self {
        Self::Other(Box::new(Origin {
            transport,
            address: None,
            user: None,
        }))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Other(origin) => match origin.address {
                Some(address) => write!(f, "{address} ({})", origin.transport),
                None => origin.transport.fmt(f),
            },
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Inside => "inside",
            Self::Unix => "Unix socket",
            Self::Tls => "TLS",
            Self::WebSocket => "WebSocket",
            Self::SecureWebSocket => "secure WebSocket",
        })
    }
}
