//! Listening sockets.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use declic_mqtt::Instant;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::SockRef;
use tracing::{info, warn};

use super::peer::Peer;
#[cfg(unix)]
use super::unix::UnixSocket;
use crate::sources::SourceError;
use crate::store::StoreError;

#[derive(Debug)]
pub(super) struct Listener {
    socket: Socket,
    /// Its connections send small packets at once, without having been told.
    pub(super) hands_down_nodelay: bool,
    ready: bool,
    /// When to try again after the system had no more descriptors.
    retry_at: Option<Instant>,
    /// When the system first and last had none.
    outage: Option<(Instant, Instant)>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixSocket),
}

impl Listener {
    /// Returns the listener and the address that the system chose.
    pub(super) fn bind(
        address: SocketAddr,
        token: Token,
        registry: &Registry,
    ) -> Result<(Self, SocketAddr), BindError> {
        let error = |source| BindError::address_taken(address, source);
        let socket = TcpListener::bind(address).map_err(error)?;
        let local = socket.local_addr().map_err(error)?;
        let listener = Self::new(socket, token, registry).map_err(error)?;
        Ok((listener, local))
    }

    pub(super) fn new(
        mut socket: TcpListener,
        token: Token,
        registry: &Registry,
    ) -> io::Result<Self> {
        registry.register(&mut socket, token, Interest::READABLE)?;
        // Everybody comes at once after a restart. Who finds the queue full tries again after a
        // second, then after three. It is made longer here, since mio gives it a fixed length.
        SockRef::from(&socket).listen(BACKLOG)?;
        // Small packets must not wait for others. On Linux, connections take this over from their
        // listener, which saves a system call for each.
        let hands_down_nodelay =
            cfg!(target_os = "linux") && SockRef::from(&socket).set_tcp_nodelay(true).is_ok();
        Ok(Self {
            hands_down_nodelay,
            ..Self::of(Socket::Tcp(socket))
        })
    }

    /// Listens on a Unix socket.
    #[cfg(unix)]
    pub(super) fn bind_unix(
        path: PathBuf,
        token: Token,
        registry: &Registry,
    ) -> Result<Self, BindError> {
        match UnixSocket::bind(&path, token, registry) {
            Ok(socket) => Ok(Self::of(Socket::Unix(socket))),
            Err(source) => Err(BindError(Kind::Path { path, source })),
        }
    }

    fn of(socket: Socket) -> Self {
        Self {
            socket,
            // Only TCP delays.
            hands_down_nodelay: true,
            ready: false,
            retry_at: None,
            outage: None,
        }
    }

    /// A socket that listens already. Returns its address too.
    pub(super) fn take(
        socket: std::net::TcpListener,
        token: Token,
        registry: &Registry,
    ) -> io::Result<(Self, SocketAddr)> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let listener = Self::new(TcpListener::from_std(socket), token, registry)?;
        Ok((listener, address))
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
    pub(super) fn accept(&mut self, now: Instant) -> Option<(TcpStream, Peer)> {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
        }
        while self.is_ready() {
            let accepted = match &self.socket {
                Socket::Tcp(socket) => socket.accept().map(|(one, peer)| (one, Peer::Tcp(peer))),
                #[cfg(unix)]
                Socket::Unix(socket) => socket.accept().map(|one| (one, Peer::unix())),
            };
            match accepted {
                Ok(accepted) => {
                    self.works(now);
                    return Some(accepted);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => {
                        self.works(now);
                        self.ready = false;
                    }
                    // That one gave up while it waited.
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    _ => {
                        // Too many open files, most likely. Those who wait are not lost.
                        let (_, last) = self.outage.get_or_insert_with(|| {
                            let listener = &self.socket;
                            warn!(%listener, %error, "no connections are taken for now");
                            (now, now)
                        });
                        *last = now;
                        self.retry_at = Some(now + RETRY_TIME);
                    }
                },
            }
        }
        None
    }

    /// The system has descriptors now. Only when that stays so it is told, since under a flood it
    /// has one and none in turn.
    fn works(&mut self, now: Instant) {
        if let Some((first, last)) = self.outage
            && now.since(last) >= CALM
        {
            self.outage = None;
            let seconds = last.since(first).as_secs_f64();
            info!(listener = %self.socket, seconds, "connections are taken again");
        }
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(socket) => match socket.local_addr() {
                Ok(address) => address.fmt(f),
                Err(_) => f.write_str("TCP"),
            },
            #[cfg(unix)]
            Self::Unix(socket) => socket.path().display().fmt(f),
        }
    }
}

/// The broker can't listen, or can't use a file that its configuration names.
#[derive(Debug)]
pub struct BindError(Kind);

#[derive(Debug)]
enum Kind {
    System(io::Error),
    Address {
        address: SocketAddr,
        source: io::Error,
    },
    Path {
        path: PathBuf,
        source: io::Error,
    },
    Source(SourceError),
    Store(Box<StoreError>),
    Missing(&'static str),
}

impl BindError {
    pub(super) const fn system(source: io::Error) -> Self {
        Self(Kind::System(source))
    }

    pub(super) const fn address_taken(address: SocketAddr, source: io::Error) -> Self {
        Self(Kind::Address { address, source })
    }

    /// The configuration asks for something that is not there.
    pub(super) const fn missing(what: &'static str) -> Self {
        Self(Kind::Missing(what))
    }

    pub(super) fn store(error: StoreError) -> Self {
        Self(Kind::Store(Box::new(error)))
    }

    /// What is wrong with the store, if that is the cause.
    pub fn store_error(&self) -> Option<&StoreError> {
        match &self.0 {
            Kind::Store(error) => Some(error),
            _ => None,
        }
    }

    /// The address that could not be listened on; `None` when something else failed.
    pub const fn address(&self) -> Option<SocketAddr> {
        match self.0 {
            Kind::Address { address, .. } => Some(address),
            _ => None,
        }
    }

    /// The file that can't be used: certificates, users or rights.
    pub const fn file(&self) -> Option<&SourceError> {
        match &self.0 {
            Kind::Source(error) => Some(error),
            _ => None,
        }
    }

    /// The kind of the cause, such as [`ErrorKind::AddrInUse`].
    pub fn kind(&self) -> ErrorKind {
        match &self.0 {
            Kind::System(source) | Kind::Address { source, .. } | Kind::Path { source, .. } => {
                source.kind()
            }
            Kind::Source(_) => ErrorKind::InvalidData,
            Kind::Store(error) => match &**error {
                StoreError::Io { source, .. } => source.kind(),
                _ => ErrorKind::Other,
            },
            Kind::Missing(_) => ErrorKind::InvalidInput,
        }
    }
}

impl From<SourceError> for BindError {
    fn from(error: SourceError) -> Self {
        Self(Kind::Source(error))
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0, self.kind()) {
            (Kind::Address { address, .. }, ErrorKind::AddrInUse) => {
                write!(f, "{address} is in use")
            }
            (Kind::Address { address, .. }, ErrorKind::PermissionDenied) => {
                write!(f, "no permission to listen on {address}")
            }
            (Kind::Address { address, .. }, ErrorKind::AddrNotAvailable) => {
                write!(f, "{address} is no address of this machine")
            }
            (Kind::Address { address, source }, _) => {
                write!(f, "can't listen on {address}: {source}")
            }
            (Kind::Path { path, .. }, ErrorKind::AddrInUse) => {
                write!(f, "{} is in use", path.display())
            }
            (Kind::Path { path, source }, _) => {
                write!(f, "can't listen on {}: {source}", path.display())
            }
            (Kind::System(source), _) => write!(f, "can't watch sockets: {source}"),
            (Kind::Source(error), _) => error.fmt(f),
            (Kind::Store(error), _) => write!(f, "can't open the store: {error}"),
            (Kind::Missing(what), _) => f.write_str(what),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Kind::System(source) | Kind::Address { source, .. } | Kind::Path { source, .. } => {
                Some(source)
            }
            Kind::Source(error) => Some(error),
            Kind::Store(error) => Some(&**error),
            Kind::Missing(_) => None,
        }
    }
}

const RETRY_TIME: Duration = Duration::from_millis(100);
/// How long the system must have had descriptors for an outage to be over.
const CALM: Duration = Duration::from_secs(1);
/// Connections that wait to be taken, where the system allows as many.
const BACKLOG: i32 = 4_096;
