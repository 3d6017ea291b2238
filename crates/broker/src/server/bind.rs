//! Opening: listeners, and all that is read before the first client comes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;

use declic_mqtt::Instant;
use mio::{Poll, Token, Waker};

use super::admission::Admission;
#[cfg(any(feature = "tls", feature = "http"))]
use super::front::{Front, Shared, Speech};
use super::handle::Handle;
#[cfg(feature = "hashes")]
use super::hashing;
use super::listener::{BindError, Listener};
use super::passwords::Passwords;
use super::readable::Readable;
use super::reload::Sources;
use super::sys_topics::SysTopics;
use super::{Broker, FIRST_LISTENER, WAKER, durable};
use crate::store::Store;
use crate::{Access, Config, Engine};

/// Where a broker listens, each in the order of the configuration.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    pub(super) tcp: Vec<SocketAddr>,
    pub(super) tls: Vec<SocketAddr>,
    pub(super) http: Vec<SocketAddr>,
    pub(super) https: Vec<SocketAddr>,
}

impl Broker {
    /// Opens all listeners. From then on clients can connect; they are served by [`Self::run`].
    ///
    /// # Errors
    /// [`BindError`] names the address and the cause, or what is wrong with the store.
    pub fn bind(config: Config) -> Result<Self, BindError> {
        #[cfg(feature = "store")]
        if let Some(settings) = &config.store {
            let store = crate::DirectoryStore::open(settings).map_err(BindError::store)?;
            return Self::bind_with(config, Some(Box::new(store)));
        }
        Self::bind_with(config, None)
    }

    /// The same with a store of one's own.
    ///
    /// # Errors
    /// [`BindError`] names the address and the cause, or what is wrong with the store.
    pub fn bind_with_store(config: Config, store: Box<dyn Store>) -> Result<Self, BindError> {
        Self::bind_with(config, Some(store))
    }

    fn bind_with(config: Config, mut store: Option<Box<dyn Store>>) -> Result<Self, BindError> {
        let mut engine = Engine::new(config.limits.clone(), config.hash_seed)
            .with_response_information(&config.response_prefix);
        let sources = Sources::load(&config)?;
        let rights = sources.rights()?;
        let wants_names = rights.is_some()
            || !matches!(config.access, Access::Anonymous)
            || config
                .tls
                .as_ref()
                .is_some_and(|tls| tls.client_ca.is_some());
        if wants_names {
            engine = engine.with_authentication();
        }
        engine.set_rights(rights);
        #[cfg(feature = "hashes")]
        let (threads, hashing) = (
            config.hashing_workers(),
            hashing::Hashing::new().map_err(BindError::system)?,
        );
        let (users, anonymous) = match &config.access {
            Access::Anonymous => (None, true),
            Access::Passwords(users) => (Some(users.clone()), false),
            Access::File { anonymous, .. } => (sources.users()?, *anonymous),
        };
        let passwords = Passwords::new(
            users,
            anonymous,
            #[cfg(feature = "hashes")]
            hashing,
        );
        let mut origin = Instant::ZERO;
        if let Some(store) = &mut store {
            engine = engine.with_store();
            origin = durable::load(&mut **store, &mut engine)?;
        }
        let poll = Poll::new().map_err(BindError::system)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(BindError::system)?;
        let waker = Arc::new(waker);
        let mut listeners = Vec::new();
        let mut addresses = Addresses::default();
        for address in &config.listeners {
            let token = Token(FIRST_LISTENER.0 - listeners.len());
            let (listener, local) = Listener::bind(*address, token, poll.registry())?;
            listeners.push(listener);
            addresses.tcp.push(local);
        }
        if let Some(what) = what_is_not_built_in(&config) {
            return Err(BindError::missing(what));
        }
        #[cfg(unix)]
        for path in &config.unix {
            let token = Token(FIRST_LISTENER.0 - listeners.len());
            listeners.push(Listener::bind_unix(path.clone(), token, poll.registry())?);
        }
        let (sender, commands) = channel();
        let handle = Handle::new(sender, Arc::clone(&waker), Arc::new(sources));
        let admission = Arc::new(Admission::new(&config.limits));
        #[cfg(any(feature = "tls", feature = "http"))]
        let front = bind_front(&config, &handle, &admission, &mut addresses)?;
        let store = store.map(|store| durable::start(store, waker));
        Ok(Self {
            poll,
            addresses,
            listeners,
            engine,
            admission,
            #[cfg(any(feature = "tls", feature = "http"))]
            front,
            passwords,
            #[cfg(feature = "hashes")]
            threads,
            sockets: Vec::new(),
            readable: Readable::default(),
            writable: VecDeque::new(),
            lingering: VecDeque::new(),
            commands,
            handle,
            events: None,
            sys_topics: SysTopics::new(config.sys_interval, origin),
            tcp_keep_alive: config.tcp_keep_alive,
            store: store.transpose()?,
            origin,
            started: std::time::Instant::now(),
            stop_at: None,
        })
    }

    /// Listens on one more socket for plain TCP: one that whoever started the process has opened,
    /// such as systemd.
    ///
    /// # Errors
    /// The socket can't be watched.
    pub fn listen_on(&mut self, socket: std::net::TcpListener) -> Result<(), BindError> {
        let token = Token(FIRST_LISTENER.0 - self.listeners.len());
        let (listener, address) =
            Listener::take(socket, token, self.poll.registry()).map_err(BindError::system)?;
        self.addresses.tcp.push(address);
        self.listeners.push(listener);
        Ok(())
    }

    /// Where it listens, in the order of [`Config::listeners`], with the ports that the system
    /// chose.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses.tcp
    }

    /// The same for [`Config::tls_listeners`].
    pub fn tls_addrs(&self) -> &[SocketAddr] {
        &self.addresses.tls
    }

    /// The same for [`Config::http_listeners`].
    pub fn http_addrs(&self) -> &[SocketAddr] {
        &self.addresses.http
    }

    /// The same for [`Config::https_listeners`].
    pub fn https_addrs(&self) -> &[SocketAddr] {
        &self.addresses.https
    }
}

/// What the configuration asks for and this build does not have.
fn what_is_not_built_in(config: &Config) -> Option<&'static str> {
    let has = |listeners: &[SocketAddr]| !listeners.is_empty();
    let wants_tls = has(&config.tls_listeners) || has(&config.https_listeners);
    let wants_http = has(&config.http_listeners) || has(&config.https_listeners);
    if !cfg!(unix) && !config.unix.is_empty() {
        return Some("there are no Unix sockets on this system");
    }
    if !cfg!(feature = "tls") && wants_tls {
        return Some("TLS is not built in (feature `tls` of declic-broker)");
    }
    if !cfg!(feature = "http") && wants_http {
        return Some("HTTP is not built in (feature `http` of declic-broker)");
    }
    None
}

/// Opens the listeners of the front, if there are any.
#[cfg(any(feature = "tls", feature = "http"))]
fn bind_front(
    config: &Config,
    handle: &Handle,
    admission: &Arc<Admission>,
    addresses: &mut Addresses,
) -> Result<Option<Front>, BindError> {
    let speech = |is_secure, is_http| Speech { is_secure, is_http };
    let wanted = [
        (
            &config.tls_listeners,
            speech(true, false),
            &mut addresses.tls,
        ),
        (
            &config.http_listeners,
            speech(false, true),
            &mut addresses.http,
        ),
        (
            &config.https_listeners,
            speech(true, true),
            &mut addresses.https,
        ),
    ];
    if wanted.iter().all(|(listeners, ..)| listeners.is_empty()) {
        return Ok(None);
    }
    let shared = Shared {
        broker: handle.clone(),
        admission: Arc::clone(admission),
        connect_timeout: config.limits.connect_timeout,
        tcp_keep_alive: config.tcp_keep_alive,
        #[cfg(feature = "tls")]
        tls: handle
            .sources()
            .tls
            .as_ref()
            .map(|(_, tls)| Arc::clone(tls)),
        #[cfg(feature = "http")]
        public_pages: config.public_pages,
        #[cfg(feature = "http")]
        origins: config.web_origins.clone(),
        stop: std::sync::atomic::AtomicBool::new(false),
    };
    let mut front = Front::new(shared, config.workers());
    for (listeners, speech, found) in wanted {
        if speech.is_secure && !listeners.is_empty() && config.tls.is_none() {
            return Err(BindError::missing(
                "a listener with TLS needs a certificate and its key",
            ));
        }
        for address in listeners {
            found.push(front.bind(*address, speech)?);
        }
    }
    Ok(Some(front))
}
