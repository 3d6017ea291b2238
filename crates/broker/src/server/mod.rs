//! The server: sockets and a clock around an [`Engine`], all in one thread.

mod admin;
mod admission;
mod bind;
mod durable;
#[cfg(any(feature = "tls", feature = "http"))]
mod front;
mod handle;
#[cfg(feature = "hashes")]
mod hashing;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "bridge")]
mod join;
mod listener;
mod memory;
#[cfg(any(unix, feature = "tls", feature = "http", feature = "bridge"))]
mod pair;
mod passwords;
mod peer;
mod readable;
mod reload;
mod socket;
mod sys_topics;
#[cfg(unix)]
mod unix;
#[cfg(feature = "http")]
pub(crate) mod websocket;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use declic_mqtt::Instant;
#[cfg(feature = "hashes")]
use declic_mqtt::ReasonCode;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use tracing::{debug, info, warn};

pub use admin::{Client, Clients};
pub use durable::BackupError;
pub use handle::{Handle, Stopped};
pub use listener::BindError;
pub use reload::ReloadError;

use crate::store::worker::Worker;
use crate::{Authenticate, CloseReason, ConnId, Effect, Engine, Identity, Stats, Users};
use admission::Admission;
use bind::Addresses;
#[cfg(any(feature = "tls", feature = "http"))]
use front::Front;
use handle::Command;
use listener::Listener;
use passwords::Passwords;
use peer::Peer;
use readable::Readable;
use socket::{Received, Socket};
use sys_topics::SysTopics;

/// An MQTT broker that listens.
///
/// ```
/// use declic_broker::{Broker, Config};
///
/// let broker = Broker::bind(Config::listening_on("127.0.0.1:0".parse()?))?;
/// println!("listening on mqtt://{}", broker.local_addrs()[0]);
/// let handle = broker.handle();
/// let thread = std::thread::spawn(move || broker.run());
/// // ... clients come and go ...
/// handle.shutdown();
/// thread.join().expect("the broker doesn't panic")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Broker {
    poll: Poll,
    listeners: Vec<Listener>,
    addresses: Addresses,
    admission: Arc<Admission>,
    #[cfg(any(feature = "tls", feature = "http"))]
    front: Option<Front>,
    passwords: Passwords,
    #[cfg(feature = "hashes")]
    threads: usize,
    engine: Engine,
    /// By [`ConnId::index`].
    sockets: Vec<Option<Socket>>,
    /// Sockets to read from.
    readable: Readable,
    /// Sockets to write to.
    writable: VecDeque<ConnId>,
    /// Sockets whose peers have to close their side, and until when.
    lingering: VecDeque<(Instant, ConnId)>,
    commands: Receiver<Command>,
    handle: Handle,
    events: Option<SyncSender<Effect>>,
    sys_topics: Option<SysTopics>,
    tcp_keep_alive: Duration,
    /// Keeps what outlives the broker.
    store: Option<Worker>,
    /// The engine's clock when the broker started.
    origin: Instant,
    started: std::time::Instant,
    /// When to stop at the latest.
    stop_at: Option<Instant>,
}

/// The event loop failed.
#[derive(Debug)]
pub struct RunError(io::Error);

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "waiting for sockets failed: {}", self.0)
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl Broker {
    /// What stops the broker and asks it, from any thread.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Tells who connects and disconnects. Up to `capacity` events wait to be taken; more are
    /// lost.
    pub fn events(&mut self, capacity: usize) -> Receiver<Effect> {
        let (sender, receiver) = sync_channel(capacity);
        self.events = Some(sender);
        receiver
    }

    /// Serves clients until [`Handle::shutdown`].
    ///
    /// # Errors
    /// The system's event queue failed.
    pub fn run(mut self) -> Result<(), RunError> {
        let mut events = Events::with_capacity(EVENTS);
        let mut buffer = vec![0; BUFFER_SIZE];
        #[cfg(feature = "hashes")]
        self.passwords
            .start(self.threads, &self.handle)
            .map_err(RunError)?;
        #[cfg(any(feature = "tls", feature = "http"))]
        if let Some(front) = &mut self.front {
            front.start().map_err(RunError)?;
        }
        loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result.map_err(RunError)?,
            }
            let now = self.now();
            for event in &events {
                self.note(event);
            }
            self.obey(now);
            self.take_stored(now);
            self.engine.handle_timeout(now);
            if let Some(topics) = &mut self.sys_topics {
                topics.publish(&mut self.engine, now);
            }
            self.accept(now);
            self.read(&mut buffer, now);
            self.react(&mut buffer, now);
            self.write(&mut buffer, now);
            self.react(&mut buffer, now);
            self.store_changes(now);
            self.end_lingering(now);
            if let Some(stop_at) = self.stop_at
                && (now >= stop_at || self.sockets.iter().all(Option::is_none))
            {
                self.close_store();
                return Ok(());
            }
        }
    }

    fn now(&self) -> Instant {
        self.origin + self.started.elapsed()
    }

    fn timeout(&self) -> Option<Duration> {
        let waiting = !self.readable.is_empty()
            || !self.writable.is_empty()
            || self.engine.ready() > 0
            || self.listeners.iter().any(Listener::is_ready);
        if waiting {
            return Some(Duration::ZERO);
        }
        let now = self.now();
        [
            self.engine.poll_timeout(),
            self.lingering.front().map(|(until, _)| *until),
            self.listeners.iter().filter_map(Listener::retry_at).min(),
            self.stop_at,
            self.sys_topics.as_ref().map(SysTopics::due),
        ]
        .into_iter()
        .flatten()
        .min()
        // Rounded up: the system counts milliseconds, and waking too early is waking twice.
        .map(|at| at.since(now) + Duration::from_millis(1))
    }

    /// Remembers what the system told.
    fn note(&mut self, event: &mio::event::Event) {
        let token = event.token();
        if token == WAKER {
            return;
        }
        if token.0 > FIRST_LISTENER.0 - self.listeners.len() {
            self.listeners[FIRST_LISTENER.0 - token.0].wake();
            return;
        }
        let Some(socket) = self.sockets.get_mut(token.0).and_then(Option::as_mut) else {
            return;
        };
        if event.is_read_closed() || event.is_error() {
            socket.read_closed = true;
        }
        if event.is_error() || (event.is_read_closed() && event.is_write_closed()) {
            socket.hung_up = true;
        }
        if event.is_readable() || socket.read_closed {
            socket.readable = true;
            self.readable.list(socket);
        }
        if event.is_writable() && socket.blocked {
            self.writable.push_back(socket.conn);
        }
    }

    fn obey(&mut self, now: Instant) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Shutdown if self.stop_at.is_none() => {
                    info!("shutting down");
                    self.listeners.clear();
                    #[cfg(any(feature = "tls", feature = "http"))]
                    if let Some(front) = &mut self.front {
                        front.stop();
                    }
                    self.engine.shutdown(now);
                    self.stop_at = Some(now + SHUTDOWN_TIME);
                }
                Command::Shutdown => {}
                Command::Run(work) => work(self, now),
            }
        }
    }

    fn accept(&mut self, now: Instant) {
        for at in 0..self.listeners.len() {
            for _ in 0..ACCEPT_BUDGET {
                let listener = &mut self.listeners[at];
                let Some((stream, peer)) = listener.accept(now) else {
                    break;
                };
                if !listener.hands_down_nodelay {
                    let _ = stream.set_nodelay(true);
                }
                if let Some(address) = peer.counted()
                    && !self.admission.enter(address)
                {
                    debug!(%peer, "refused: too many connections");
                    continue;
                }
                self.adopt(stream, peer, now);
            }
        }
    }

    /// Serves a connection from now on. Returns whether it could be.
    fn adopt(&mut self, mut stream: TcpStream, peer: Peer, now: Instant) -> bool {
        let refused = |peer: &Peer| {
            if let Some(address) = peer.counted() {
                self.admission.leave(address);
            }
            false
        };
        let Some(conn) = self.engine.handle_open(now) else {
            debug!(%peer, "refused: too many connections");
            return refused(&peer);
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(conn.index());
        if let Err(error) = self.poll.registry().register(&mut stream, token, interest) {
            warn!(%peer, %error, "refused: the system watches no more sockets");
            self.engine.handle_closed(conn, now);
            return refused(&peer);
        }
        if self.sockets.len() <= conn.index() {
            self.sockets.resize_with(conn.index() + 1, || None);
        }
        // What is there to read is told after the registration.
        let mut socket = Socket::new(stream, conn, peer);
        socket.readable = false;
        self.sockets[conn.index()] = Some(socket);
        true
    }

    /// What the engine has counted, and what never got there.
    fn stats(&self) -> Stats {
        let engine = self.engine.stats();
        Stats {
            refused_connections: engine.refused_connections + self.admission.refused(),
            refused_connections_per_address: self.admission.refused_per_address(),
            resident_bytes: memory::resident_bytes(),
            ..engine
        }
    }

    /// Reads once from sockets that have something, in turn, and feeds it. What can be written is
    /// written before more is read, so that messages don't pile up here; and who came meanwhile is
    /// not kept waiting for long.
    fn read(&mut self, buffer: &mut [u8], now: Instant) {
        let mut budget = READ_BUDGET;
        for is_heavy in [false, true] {
            let began = std::time::Instant::now();
            let mut before = began;
            for _ in 0..self.readable.of(is_heavy).len() {
                if budget == 0 || before - began > READ_TIME {
                    break;
                }
                let Some(conn) = self.readable.of(is_heavy).pop_front() else {
                    break;
                };
                let Some(socket) = socket(&mut self.sockets, conn) else {
                    continue;
                };
                socket.listed = false;
                if socket.paused && !socket.lingering && !socket.hung_up {
                    continue;
                }
                match socket.receive(buffer) {
                    Received::Bytes(count) => {
                        budget = budget.saturating_sub(count);
                        if !socket.lingering {
                            self.engine.handle_bytes(conn, &buffer[..count], now);
                        }
                        let after = std::time::Instant::now();
                        socket.weigh(count, buffer.len(), after - before);
                        before = after;
                        if socket.readable {
                            self.readable.list(socket);
                        }
                    }
                    Received::Nothing => {}
                    Received::End => self.close(conn, now),
                }
            }
            // However much the light ones send, the heavy ones get their turn too.
            budget = budget.max(BUFFER_SIZE);
        }
    }

    /// Does what the engine asks for.
    fn react(&mut self, buffer: &mut [u8], now: Instant) {
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Close { conn, reason } => self.finish(conn, reason, buffer, now),
                Effect::PauseRead(conn) => {
                    if let Some(socket) = socket(&mut self.sockets, conn) {
                        socket.paused = true;
                    }
                }
                Effect::ResumeRead(conn) => {
                    if let Some(socket) = socket(&mut self.sockets, conn) {
                        socket.paused = false;
                        if socket.readable {
                            self.readable.list(socket);
                        }
                    }
                }
                Effect::Authenticate(asked) => {
                    if let Some(answer) = self.identify(&asked) {
                        self.engine.handle_authenticated(asked.ticket, answer, now);
                    }
                }
                Effect::Connected { .. }
                | Effect::IdentifierRefused { .. }
                | Effect::Disconnected { .. } => self.tell(effect),
            }
        }
    }

    /// Who somebody is; `None` when it takes longer to find out.
    fn identify(&mut self, asked: &Authenticate) -> Option<passwords::Answer> {
        let peer = socket(&mut self.sockets, asked.conn).map(|one| &one.peer);
        if peer.is_some_and(Peer::is_inside) {
            return Some(Ok(Identity::Trusted));
        }
        if let Some(user) = peer.and_then(Peer::user) {
            // Vouched for by a certificate.
            return Some(Ok(Identity::User(user.into())));
        }
        let address = peer.and_then(Peer::ip);
        self.passwords.check(asked, address)
    }

    /// A password was checked.
    #[cfg(feature = "hashes")]
    fn verified(&mut self, digest: [u8; 32], epoch: u64, is_right: bool, now: Instant) {
        if let Some((answer, tickets)) = self.passwords.verified(digest, epoch, is_right) {
            for ticket in tickets {
                self.engine
                    .handle_authenticated(ticket, answer.clone(), now);
            }
        }
    }

    /// Others may connect from now on. Those who are connected stay.
    #[cfg_attr(not(feature = "hashes"), expect(unused_variables))]
    fn set_users(&mut self, users: Users, now: Instant) {
        #[cfg(feature = "hashes")]
        for ticket in self.passwords.forget() {
            let busy = Err(ReasonCode::ServerBusy);
            self.engine.handle_authenticated(ticket, busy, now);
        }
        self.passwords.set_users(users);
    }

    /// Writes to every connection that has something to be written and can take it.
    fn write(&mut self, buffer: &mut [u8], now: Instant) {
        for _ in 0..self.writable.len() {
            if let Some(conn) = self.writable.pop_front() {
                self.flush(conn, buffer, now);
            }
        }
        for _ in 0..self.engine.ready() {
            let Some(conn) = self.engine.poll_ready() else {
                break;
            };
            self.flush(conn, buffer, now);
        }
    }

    fn flush(&mut self, conn: ConnId, buffer: &mut [u8], now: Instant) {
        let Some(socket) = socket(&mut self.sockets, conn) else {
            return;
        };
        if socket.lingering {
            return;
        }
        match flush(socket, &mut self.engine, buffer, now) {
            Ok(Flushed::All | Flushed::Blocked) => {}
            Ok(Flushed::More) => self.writable.push_back(conn),
            Err(_) => self.close(conn, now),
        }
    }

    /// Writes the last bytes and closes our side.
    fn finish(&mut self, conn: ConnId, reason: CloseReason, buffer: &mut [u8], now: Instant) {
        let Some(socket) = socket(&mut self.sockets, conn) else {
            self.engine.handle_closed(conn, now);
            return;
        };
        let peer = &socket.peer;
        match reason {
            CloseReason::Refused(reason) => info!(%peer, %reason, "client refused"),
            reason => debug!(%peer, %reason, "connection closed"),
        }
        let flushed = flush(socket, &mut self.engine, buffer, now);
        // Who said goodbye sends nothing more (section 3.14.4), so nothing unread can make the
        // kernel throw away what it has not sent.
        let said_goodbye = matches!(reason, CloseReason::Disconnected(_));
        if said_goodbye || !matches!(flushed, Ok(Flushed::All)) || socket.linger().is_err() {
            return self.close(conn, now);
        }
        // Its end may have been told already.
        socket.readable = true;
        self.readable.list(socket);
        self.lingering.push_back((now + LINGER_TIME, conn));
    }

    fn end_lingering(&mut self, now: Instant) {
        while let Some(&(until, conn)) = self.lingering.front()
            && until <= now
        {
            self.lingering.pop_front();
            self.close(conn, now);
        }
    }

    /// Closes a socket for good.
    fn close(&mut self, conn: ConnId, now: Instant) {
        if let Some(slot) = self.sockets.get_mut(conn.index())
            && slot.as_ref().is_some_and(|socket| socket.conn == conn)
            && let Some(socket) = slot.take()
        {
            // Closing the socket also ends the system's watching it.
            if let Some(address) = socket.peer.counted() {
                self.admission.leave(address);
            }
            self.engine.handle_closed(conn, now);
            #[cfg(feature = "hashes")]
            self.passwords.left(conn);
        }
    }

    fn tell(&mut self, effect: Effect) {
        match &effect {
            Effect::Connected {
                conn,
                client_id,
                version,
                session_present,
            } => {
                let socket = socket(&mut self.sockets, *conn);
                if let Some(socket) = &socket
                    && self.engine.keep_alive(*conn) == Some(0)
                {
                    socket.ask_after(self.tcp_keep_alive);
                }
                let peer = socket.map(|socket| &socket.peer);
                let peer = peer.map(tracing::field::display);
                info!(%client_id, peer, %version, session_present, "client connected");
            }
            Effect::IdentifierRefused {
                conn,
                client_id,
                owner,
            } => {
                let peer = socket(&mut self.sockets, *conn).map(|socket| &socket.peer);
                let peer = peer.map(tracing::field::display);
                warn!(%client_id, peer, %owner, "another user's session has this client id");
            }
            Effect::Disconnected { client_id, reason } => {
                info!(%client_id, %reason, "client disconnected");
            }
            _ => {}
        }
        if let Some(events) = &self.events
            && let Err(TrySendError::Disconnected(_)) = events.try_send(effect)
        {
            self.events = None;
        }
    }
}

/// How far writing came.
enum Flushed {
    All,
    /// The kernel takes no more; it will tell.
    Blocked,
    /// The budget is used up.
    More,
}

fn flush(
    socket: &mut Socket,
    engine: &mut Engine,
    buffer: &mut [u8],
    now: Instant,
) -> io::Result<Flushed> {
    if !socket.send_rest()? {
        return Ok(Flushed::Blocked);
    }
    for _ in 0..WRITE_BUDGET {
        let filled = engine.fill(socket.conn, buffer, now);
        if !socket.send(&buffer[..filled])? {
            return Ok(Flushed::Blocked);
        }
        if filled < buffer.len() {
            return Ok(Flushed::All);
        }
    }
    Ok(Flushed::More)
}

fn socket(sockets: &mut [Option<Socket>], conn: ConnId) -> Option<&mut Socket> {
    let socket = sockets.get_mut(conn.index())?.as_mut()?;
    (socket.conn == conn).then_some(socket)
}

const WAKER: Token = Token(usize::MAX);
/// Listeners count down from here, connections up from 0.
const FIRST_LISTENER: Token = Token(usize::MAX - 1);
const EVENTS: usize = 1_024;
/// Of the one buffer for reading and writing.
const BUFFER_SIZE: usize = 64 * 1_024;
/// Bytes read per turn; one buffer may go beyond it.
const READ_BUDGET: usize = 512 * 1_024;
/// The time that reading takes per turn, for light and for heavy sockets each; one read may go
/// beyond it.
const READ_TIME: Duration = Duration::from_micros(250);
/// New connections per listener and turn.
const ACCEPT_BUDGET: usize = 64;
/// Full buffers written to a connection per turn.
const WRITE_BUDGET: usize = 4;
/// How long a peer may take to close its side after we closed ours.
const LINGER_TIME: Duration = Duration::from_secs(1);
/// How long connections may take to end when the broker stops.
const SHUTDOWN_TIME: Duration = Duration::from_millis(500);
