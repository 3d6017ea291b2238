//! The broker's core: a state machine without sockets, clock, threads or random source.
//!
//! See [`Engine`].

mod admin;
mod aliases;
mod batch;
mod batches;
mod connect;
mod connection;
mod delivery;
mod explain;
mod frame;
mod hash;
mod journal;
mod limits;
mod lists;
mod messages;
mod overflow;
mod publish;
mod rate;
mod receive;
mod records;
mod restore;
mod retained;
mod rights;
mod routes;
mod session;
mod shared;
mod stats;
mod subscribe;
#[cfg(test)]
mod tests;
mod timers;
mod tree;
mod wills;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use declic_mqtt::packet::{DecodeError, Disconnect, Packet};
use declic_mqtt::{Instant, ProtocolVersion, ReasonCode};
use hashbrown::HashTable;
use slab::Slab;

pub use admin::{Cleared, ClientInfo, ClientPage, RetainedInfo, RetainedPage};
pub use batch::{Batch, Change, InvalidBatch};
pub use connect::{Authenticate, Identity, Ticket};
pub use connection::ConnId;
pub use limits::Limits;
use overflow::Shares;
pub use overflow::SlowConsumer;
#[cfg(feature = "store")]
pub(crate) use records::{VERSION as RECORDS_VERSION, upgraded as upgraded_record};
pub use restore::{InvalidRecord, Restore};
pub use rights::{InvalidRights, Rights};
pub use stats::Stats;

use connection::{Connections, State, pause};
use hash::HashKey;
use journal::Journal;
use lists::Lists;
use messages::Messages;
use rate::Rate;
use retained::Retained;
use routes::Routes;
use session::Session;
use timers::{Timer, Timers};
use tree::Tree;

/// An MQTT broker as a state machine.
///
/// **Feed all input that is ready, then drain the effects until `None`, then move bytes.**
///
/// Its methods are of four kinds:
///
/// - *getters*: [`Self::stats`], [`Self::limits`];
/// - *`handle_*`*, something happened outside: [`Self::handle_open`], [`Self::handle_bytes`],
///   [`Self::handle_closed`], [`Self::handle_authenticated`], [`Self::handle_timeout`];
/// - *verbs*, something the owner wants: [`Self::shutdown`], [`Self::set_rights`];
/// - *`poll_*`* and [`Self::fill`], what the owner has to do: first [`Self::poll_effect`] until
///   `None`, then for each connection of [`Self::poll_ready`] write what [`Self::fill`] gives, and
///   come back at [`Self::poll_timeout`] at the latest. With a store ([`Self::with_store`],
///   [`Self::restore`]), [`Self::poll_batch`] comes last; [`Self::handle_stored`] answers it.
///
/// Time only ever comes in as a parameter and must not go backwards. The same inputs with the
/// same seed give the same outputs.
///
/// ```
/// use declic_broker::{Effect, Engine, Limits};
/// use declic_mqtt::Instant;
///
/// let mut engine = Engine::new(Limits::default(), 7);
/// let now = Instant::ZERO;
/// // A transport was opened, and bytes came: a CONNECT of 3.1.1.
/// let conn = engine.handle_open(now).expect("not too many connections");
/// engine.handle_bytes(conn, b"\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x02me", now);
/// // Then the effects,
/// while let Some(effect) = engine.poll_effect() {
///     assert!(matches!(effect, Effect::Connected { .. }));
/// }
/// // then the bytes: a CONNACK.
/// let mut buffer = [0; 1024];
/// let ready = engine.poll_ready().expect("something to write");
/// let length = engine.fill(ready, &mut buffer, now);
/// assert_eq!(buffer[..length], [0x20, 2, 0, 0]);
/// ```
#[derive(Debug)]
pub struct Engine {
    limits: Limits,
    hash: HashKey,
    /// Whether the owner is asked who may connect.
    authenticate: bool,
    /// Below it are the topics for answers that clients are told; empty for none.
    response_prefix: Box<str>,
    stopping: bool,
    conns: Connections,
    sessions: Slab<Session>,
    /// Sessions by client identifier.
    clients: HashTable<u32>,
    messages: Messages,
    lists: Lists,
    tree: Tree,
    routes: Routes,
    retained: Retained,
    timers: Timers,
    effects: VecDeque<Effect>,
    ready: VecDeque<u32>,
    /// Publishers that are slowed down.
    pressed: Vec<ConnId>,
    /// Subscribers whose retained messages have no room, because others hold too much.
    starved: Vec<ConnId>,
    /// Clients to be disconnected because their queues ran over.
    overrun: Vec<ConnId>,
    /// What may be held for one client now.
    shares: Shares,
    /// The message that is delivered goes to a client for which too much is held.
    is_pressing: bool,
    /// Bytes of unfinished packets and of topics that have an alias.
    connection_bytes: usize,
    /// Bytes of client identifiers.
    client_id_bytes: usize,
    /// Messages in all queues.
    queued: usize,
    /// Messages on their way to all clients.
    in_flight: usize,
    /// Client identifiers that were made up.
    assigned: u64,
    /// What is to be stored; `None` without a store.
    journal: Option<Box<Journal>>,
    /// Who may publish and read what; `None` when everyone may do everything.
    rights: Option<Arc<Rights>>,
    stats: Stats,
}

/// What the owner has to do, or may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// Write what [`Engine::fill`] still gives, as far as the transport takes it at once, close
    /// the transport and call [`Engine::handle_closed`].
    Close {
        /// The connection.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
    /// Read nothing more from the connection. What was read already may still be fed.
    PauseRead(ConnId),
    /// Read from the connection again.
    ResumeRead(ConnId),
    /// Check who wants to connect, and answer with [`Engine::handle_authenticated`].
    Authenticate(Box<Authenticate>),
    /// A client was accepted.
    Connected {
        /// Its connection.
        conn: ConnId,
        /// Its identifier.
        client_id: Box<str>,
        /// The version it speaks.
        version: ProtocolVersion,
        /// Whether it goes on with an earlier session.
        session_present: bool,
    },
    /// A client was refused since its identifier is that of another user's session. It is closed
    /// as all that are refused.
    IdentifierRefused {
        /// Its connection.
        conn: ConnId,
        /// The identifier.
        client_id: Box<str>,
        /// Whose the session is.
        owner: Identity,
    },
    /// A client that was accepted is gone.
    Disconnected {
        /// Its identifier.
        client_id: Box<str>,
        /// Why.
        reason: CloseReason,
    },
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client said goodbye.
    Disconnected(ReasonCode),
    /// The transport was closed without a goodbye.
    Lost,
    /// The client was refused with a CONNACK.
    Refused(ReasonCode),
    /// The client sent bytes that are not MQTT.
    Malformed(DecodeError),
    /// The client sent something that the protocol, or a limit, doesn't allow.
    Protocol(ReasonCode),
    /// A packet came that can't come there.
    Unexpected,
    /// There was no CONNECT in time.
    ConnectTimeout,
    /// The client was silent for one and a half times its keep-alive.
    KeepAliveTimeout,
    /// Another connection uses the same client identifier now.
    TakenOver,
    /// The client's queue ran over; see [`SlowConsumer::Disconnect`].
    SlowConsumer,
    /// The broker stops.
    ShuttingDown,
    /// Whoever runs the broker wants the client gone.
    Administrative(ReasonCode),
    /// What the client was to be promised could not be stored.
    StoreFailed,
}

impl CloseReason {
    /// Whether the client asked for the end, and wants no will published.
    const fn is_orderly(self) -> bool {
        matches!(self, Self::Disconnected(ReasonCode::NORMAL_DISCONNECTION))
    }

    /// What a client of 5.0 is told; `None` where it is told nothing.
    const fn reason_code(self) -> Option<ReasonCode> {
        match self {
            Self::Disconnected(_) | Self::Lost | Self::Refused(_) | Self::ConnectTimeout => None,
            Self::Malformed(error) => Some(error.reason_code()),
            Self::Protocol(reason) | Self::Administrative(reason) => Some(reason),
            Self::Unexpected => Some(ReasonCode::ProtocolError),
            Self::KeepAliveTimeout => Some(ReasonCode::KeepAliveTimeout),
            Self::TakenOver => Some(ReasonCode::SessionTakenOver),
            Self::SlowConsumer => Some(ReasonCode::QuotaExceeded),
            Self::ShuttingDown => Some(ReasonCode::ServerShuttingDown),
            Self::StoreFailed => Some(ReasonCode::QuotaExceeded),
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected(ReasonCode::Success) => f.write_str("disconnected by the client"),
            Self::Disconnected(reason) => write!(f, "disconnected by the client: {reason}"),
            Self::Lost => f.write_str("connection lost"),
            Self::Refused(reason) => write!(f, "refused: {reason}"),
            Self::Malformed(error) => write!(f, "malformed packet: {error}"),
            Self::Protocol(reason) => reason.fmt(f),
            Self::Unexpected => f.write_str("a packet that is not expected there"),
            Self::ConnectTimeout => f.write_str("no CONNECT in time"),
            Self::KeepAliveTimeout => f.write_str("silent for too long"),
            Self::TakenOver => f.write_str("another connection uses the same client id"),
            Self::SlowConsumer => f.write_str("more messages than it reads"),
            Self::ShuttingDown => f.write_str("the broker stops"),
            Self::StoreFailed => f.write_str("its messages could not be stored"),
            Self::Administrative(reason) => write!(f, "disconnected on request: {reason}"),
        }
    }
}

impl Engine {
    /// A broker that accepts every client. `seed` keys its hash tables and the client identifiers
    /// that it makes up: a random one outside of tests.
    pub fn new(limits: Limits, seed: u64) -> Self {
        let hash = HashKey::new(seed);
        Self {
            limits,
            hash,
            authenticate: false,
            response_prefix: Box::default(),
            stopping: false,
            conns: Connections::default(),
            sessions: Slab::new(),
            clients: HashTable::new(),
            messages: Messages::default(),
            lists: Lists::default(),
            tree: Tree::new(hash),
            routes: Routes::new(hash),
            retained: Retained::default(),
            timers: Timers::new(),
            effects: VecDeque::new(),
            ready: VecDeque::new(),
            pressed: Vec::new(),
            starved: Vec::new(),
            overrun: Vec::new(),
            shares: Shares::NONE,
            is_pressing: false,
            connection_bytes: 0,
            client_id_bytes: 0,
            queued: 0,
            in_flight: 0,
            assigned: 0,
            journal: None,
            rights: None,
            stats: Stats::default(),
        }
    }

    /// The same, but a client of 5.0 that asks for response information is told the topic `prefix`,
    /// a slash and its client identifier: below it nobody else expects answers.
    #[must_use]
    pub fn with_response_information(mut self, prefix: &str) -> Self {
        self.response_prefix = prefix.into();
        self
    }

    /// The same, but the owner is asked with [`Effect::Authenticate`] who may connect.
    #[must_use]
    pub fn with_authentication(mut self) -> Self {
        self.authenticate = true;
        self
    }

    /// A transport was opened. `None` when there are too many: close it.
    pub fn handle_open(&mut self, now: Instant) -> Option<ConnId> {
        if self.stopping || self.conns.len() >= self.limits.connections {
            self.stats.refused_connections += 1;
            return None;
        }
        self.stats.opened += 1;
        let conn = self.conns.open(now);
        let deadline = now + self.limits.connect_timeout;
        let timer = self.timers.set(deadline, Timer::Connection(conn.slot()));
        self.conns[conn.slot()].timer = Some(timer);
        self.conns[conn.slot()].rate = Rate::new(&self.limits, now);
        Some(conn)
    }

    /// The transport is closed, whoever closed it. The connection exists no more.
    pub fn handle_closed(&mut self, conn: ConnId, now: Instant) {
        let Some(slot) = self.conns.slot(conn) else {
            return;
        };
        if let Some(session) = self.leave(slot) {
            self.detach_session(session, CloseReason::Lost, now);
            self.end_overrun(now);
        }
        if let Some(large) = self.conns[slot].large.take() {
            self.messages.release(large.message);
        }
        if let Some(journal) = &mut self.journal {
            journal.forget(slot);
        }
        self.conns.free(slot);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Connection(slot) => self.connection_timeout(slot, now),
                Timer::Session(session) => self.session_timeout(session, now),
                Timer::Retained(message) => self.retained_timeout(message),
                Timer::Pressure => self.relieve(),
                Timer::Rate(slot) => self.rate_timeout(slot, now),
                Timer::Store => self.store_timeout(),
            }
        }
        self.end_overrun(now);
    }

    /// Ends all connections; 5.0 clients are told that the broker stops. No new ones are taken.
    pub fn shutdown(&mut self, now: Instant) {
        self.stopping = true;
        let slots: Vec<_> = self.conns.iter().collect();
        for slot in slots {
            self.close(slot, CloseReason::ShuttingDown, now);
        }
    }

    /// What the owner has to do next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The next connection with something to write. It is not returned again until [`Self::fill`]
    /// has given all that there was.
    pub fn poll_ready(&mut self) -> Option<ConnId> {
        while let Some(slot) = self.ready.pop_front() {
            if self.conns[slot].announced {
                return Some(self.conns.id(slot));
            }
        }
        None
    }

    /// Connections that [`Self::poll_ready`] will return, roughly.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Counters, and how much there is.
    pub fn stats(&self) -> Stats {
        Stats {
            connections: self.conns.len(),
            sessions: self.sessions.len(),
            subscriptions: self.tree.len(),
            retained: self.retained.len(),
            messages: self.messages.len(),
            message_bytes: self.messages.bytes(),
            store_failing: self.is_store_failing(),
            // Those that are no publishes are counted one by one.
            packets_sent: self.stats.packets_sent + self.stats.sent,
            ..self.stats
        }
    }

    /// The limits it was made with.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Ends a connection; its client is told why where the version allows.
    fn close(&mut self, slot: u32, reason: CloseReason, now: Instant) {
        let conn = &self.conns[slot];
        if matches!(conn.state, State::Free | State::Closing) {
            return;
        }
        self.stats.count_closed(reason);
        // `[MQTT-3.14.0-1]` of 5.0: not before a CONNACK.
        if conn.state == State::Connected
            && conn.version == ProtocolVersion::V5
            && let Some(code) = reason.reason_code()
            && !self.is_silent(slot)
        {
            let why = reason.explanation();
            let disconnect = Packet::Disconnect(Disconnect::new(code));
            self.answer_explained(slot, why.as_deref(), disconnect);
        }
        let conn = self.conns.id(slot);
        self.effects.push_back(Effect::Close { conn, reason });
        if let Some(session) = self.leave(slot) {
            self.detach_session(session, reason, now);
        }
        self.conns[slot].state = State::Closing;
    }

    /// Takes a connection's timer, tail, aliases and session away.
    fn leave(&mut self, slot: u32) -> Option<u32> {
        self.take_tail(slot);
        let conn = &mut self.conns[slot];
        if let Some(timer) = conn.timer.take() {
            self.timers.cancel(timer);
        }
        if let Some(timer) = conn.rate.take().and_then(|rate| rate.timer) {
            self.timers.cancel(timer);
        }
        if let Some(aliases) = conn.aliases.take() {
            self.connection_bytes -= aliases.bytes();
        }
        if let Some(aliases) = conn.sent_aliases.take() {
            self.connection_bytes -= aliases.bytes();
        }
        conn.session.take()
    }

    fn connection_timeout(&mut self, slot: u32, now: Instant) {
        let conn = &mut self.conns[slot];
        conn.timer = None;
        let reason = match conn.state {
            State::Free | State::Closing => return,
            State::Opened => CloseReason::ConnectTimeout,
            State::Authenticating => {
                // It is the owner who takes long; it answers in any case.
                let deadline = now + self.limits.connect_timeout;
                conn.timer = Some(self.timers.set(deadline, Timer::Connection(slot)));
                return;
            }
            State::Connected => CloseReason::KeepAliveTimeout,
        };
        if conn.state == State::Connected {
            if conn.paused != 0 {
                // Who is not read from can't be heard.
                conn.last_received = now;
            }
            let Some(deadline) = conn.keep_alive_deadline() else {
                return;
            };
            if deadline > now {
                conn.timer = Some(self.timers.set(deadline, Timer::Connection(slot)));
                if let Some(session) = conn.session {
                    self.sessions[session as usize].shrink();
                }
                return;
            }
        }
        self.close(slot, reason, now);
    }

    /// Queues a packet that is no publish.
    fn answer(&mut self, slot: u32, packet: &Packet<'_>) {
        if self.is_silent(slot) {
            return self.answer_when_stored(slot, packet);
        }
        let conn = &mut self.conns[slot];
        let Ok(length) = packet.encoded_len(conn.version) else {
            debug_assert!(false, "{packet:?} can't be encoded");
            return;
        };
        // `[MQTT-3.1.2-24]` of 5.0. Only a list of very many reasons could be too large.
        if length <= conn.packet_size as usize {
            let at = conn.answers.len();
            conn.answers.resize(at + length, 0);
            let written = packet.encode(conn.version, &mut conn.answers[at..]);
            debug_assert_eq!(written, Ok(length));
        }
        self.answered(slot);
    }

    /// Queues an encoded packet that is no publish.
    fn answer_bytes(&mut self, slot: u32, bytes: &[u8]) {
        if self.is_silent(slot) {
            return self.answer_bytes_when_stored(slot, bytes);
        }
        self.conns[slot].answers.extend_from_slice(bytes);
        self.answered(slot);
    }

    fn answered(&mut self, slot: u32) {
        self.stats.packets_sent += 1;
        if self.conns[slot].answers.len() > self.limits.answer_bytes {
            self.pause(slot, pause::ANSWERS);
        }
        self.announce(slot);
    }

    /// Has [`Self::poll_ready`] return the connection.
    fn announce(&mut self, slot: u32) {
        let conn = &mut self.conns[slot];
        if !conn.announced {
            conn.announced = true;
            self.ready.push_back(slot);
        }
    }

    fn pause(&mut self, slot: u32, why: u8) {
        let conn = &mut self.conns[slot];
        if conn.paused == 0 {
            self.stats.pauses += 1;
            self.effects
                .push_back(Effect::PauseRead(self.conns.id(slot)));
        }
        self.conns[slot].paused |= why;
    }

    fn resume(&mut self, slot: u32, why: u8) {
        let conn = &mut self.conns[slot];
        let was = conn.paused;
        conn.paused &= !why;
        if was != 0 && conn.paused == 0 {
            self.effects
                .push_back(Effect::ResumeRead(self.conns.id(slot)));
        }
    }
}
