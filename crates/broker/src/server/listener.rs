//! Listening sockets.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use declic_mqtt::Instant;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::SockRef;
use tracing::warn;

use crate::store::StoreError;

#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    pub(super) address: SocketAddr,
    /// Its connections send small packets at once, without having been told.
    pub(super) hands_down_nodelay: bool,
    ready: bool,
    /// When to try again after the system had no more descriptors.
    retry_at: Option<Instant>,
}

impl Listener {
    pub(super) fn bind(
        address: SocketAddr,
        token: Token,
        registry: &Registry,
    ) -> Result<Self, BindError> {
        let error = |source| BindError {
            address: Some(address),
            store: None,
            source,
        };
        let mut socket = TcpListener::bind(address).map_err(error)?;
        registry
            .register(&mut socket, token, Interest::READABLE)
            .map_err(error)?;
        // Small packets must not wait for others. On Linux, connections take this over from their
        // listener, which saves a system call for each.
        let hands_down_nodelay =
            cfg!(target_os = "linux") && SockRef::from(&socket).set_tcp_nodelay(true).is_ok();
        Ok(Self {
            address: socket.local_addr().map_err(error)?,
            socket,
            hands_down_nodelay,
            ready: false,
            retry_at: None,
        })
    }

    /// Somebody wants to connect.
    pub(super) const fn wake(&mut self) {
        self.ready = true;
    }

    pub(super) const fn is_ready(&self) -> bool {
        self.ready && self.retry_at.is_none()
    }

    pub(super) const fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// The next connection, if there is one now.
    pub(super) fn accept(&mut self, now: Instant) -> Option<(TcpStream, SocketAddr)> {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
        }
        while self.is_ready() {
            match self.socket.accept() {
                Ok(accepted) => return Some(accepted),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => self.ready = false,
                    // That one gave up while it waited.
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    _ => {
                        // Too many open files, most likely. Those who wait are not lost.
                        warn!(address = %self.address, %error, "no connections are taken for now");
                        self.retry_at = Some(now + RETRY_TIME);
                    }
                },
            }
        }
        None
    }
}

/// The broker can't listen.
#[derive(Debug)]
pub struct BindError {
    address: Option<SocketAddr>,
    store: Option<Box<StoreError>>,
    source: io::Error,
}

impl BindError {
    pub(super) const fn system(source: io::Error) -> Self {
        Self {
            address: None,
            store: None,
            source,
        }
    }

    pub(super) fn store(error: StoreError) -> Self {
        let text = error.to_string();
        Self {
            address: None,
            source: match &error {
                StoreError::Io { source, .. } => io::Error::new(source.kind(), text),
                _ => io::Error::other(text),
            },
            store: Some(Box::new(error)),
        }
    }

    /// What is wrong with the store, if that is the cause.
    pub fn store_error(&self) -> Option<&StoreError> {
        self.store.as_deref()
    }

    /// The address that could not be listened on; `None` when something else failed.
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The kind of the cause, such as [`ErrorKind::AddrInUse`].
    pub fn kind(&self) -> ErrorKind {
        self.source.kind()
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = &self.store {
            return write!(f, "can't open the store: {error}");
        }
        match (self.address, self.kind()) {
            (Some(address), ErrorKind::AddrInUse) => write!(f, "{address} is in use"),
            (Some(address), ErrorKind::PermissionDenied) => {
                write!(f, "no permission to listen on {address}")
            }
            (Some(address), ErrorKind::AddrNotAvailable) => {
                write!(f, "{address} is no address of this machine")
            }
            (Some(address), _) => write!(f, "can't listen on {address}: {}", self.source),
            (None, _) => write!(f, "can't watch sockets: {}", self.source),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

const RETRY_TIME: Duration = Duration::from_millis(100);
