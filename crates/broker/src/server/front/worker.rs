//! One thread of the front: an event loop around its connections.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use declic_mqtt::Instant;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use tracing::{debug, error, warn};

use super::connection::{Connection, Ended, Phase};
use super::{Shared, Speech};
use crate::server::listener::Listener;
use crate::server::peer::Peer;
use crate::server::socket::ask_after;

pub(super) struct Worker {
    poll: Poll,
    shared: Arc<Shared>,
    listeners: Vec<(Listener, Speech)>,
    connections: Slab<Connection>,
    /// Connections that may go on without waiting for the system.
    ready: VecDeque<usize>,
    /// Connections that have to be through with what comes before MQTT, and until when.
    starting: VecDeque<(Instant, Id)>,
    /// Connections that have to end, and until when.
    ending: VecDeque<(Instant, Id)>,
    /// What makes one connection in a place another than the next one there.
    generation: u64,
    started: std::time::Instant,
    stop_at: Option<Instant>,
    buffer: Box<[u8]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Id {
    index: usize,
    generation: u64,
}

impl Worker {
    pub(super) fn new(
        poll: Poll,
        listeners: Vec<(TcpListener, Speech)>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let listeners = (0..)
            .zip(listeners)
            .map(|(number, (socket, speech))| {
                let token = Token(FIRST_LISTENER.0 - number);
                Ok((Listener::new(socket, token, poll.registry())?, speech))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self {
            poll,
            shared,
            listeners,
            connections: Slab::new(),
            ready: VecDeque::new(),
            starting: VecDeque::new(),
            ending: VecDeque::new(),
            generation: 0,
            started: std::time::Instant::now(),
            stop_at: None,
            buffer: vec![0; BUFFER_SIZE].into_boxed_slice(),
        })
    }

    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    error!(%error, "TLS and WebSocket are not served any more");
                    return;
                }
                Ok(()) => {}
            }
            let now = self.now();
            for event in &events {
                self.note(event);
            }
            if self.stop_at.is_none() && self.shared.stop.load(Ordering::Acquire) {
                self.begin_stop(now);
            }
            self.accept(now);
            for _ in 0..self.ready.len() {
                if let Some(index) = self.ready.pop_front() {
                    self.drive(index, now);
                }
            }
            self.end_late(now);
            if let Some(stop_at) = self.stop_at
                && (now >= stop_at || self.connections.is_empty())
            {
                return;
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.started.elapsed()
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() || self.listeners.iter().any(|(one, _)| one.is_ready()) {
            return Some(Duration::ZERO);
        }
        let now = self.now();
        [
            self.starting.front().map(|(until, _)| *until),
            self.ending.front().map(|(until, _)| *until),
            self.listeners
                .iter()
                .filter_map(|(one, _)| one.retry_at())
                .min(),
            self.stop_at,
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|at| at.since(now) + Duration::from_millis(1))
    }

    fn note(&mut self, event: &mio::event::Event) {
        let token = event.token();
        if token == WAKER {
            return;
        }
        if token.0 > FIRST_LISTENER.0 - self.listeners.len() {
            self.listeners[FIRST_LISTENER.0 - token.0].0.wake();
            return;
        }
        let (index, is_pair) = (token.0 / 2, token.0 % 2 == 1);
        if let Some(connection) = self.connections.get_mut(index) {
            connection.note(event, is_pair);
            if !std::mem::replace(&mut connection.is_listed, true) {
                self.ready.push_back(index);
            }
        }
    }

    fn begin_stop(&mut self, now: Instant) {
        self.listeners.clear();
        self.stop_at = Some(now + STOP_TIME);
        let unfinished: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.phase() == Phase::Starting)
            .map(|(index, _)| index)
            .collect();
        for index in unfinished {
            self.remove(index);
        }
    }

    fn accept(&mut self, now: Instant) {
        for at in 0..self.listeners.len() {
            for _ in 0..ACCEPT_BUDGET {
                let (listener, speech) = &mut self.listeners[at];
                let speech = *speech;
                let Some((mut stream, Peer::Tcp(peer))) = listener.accept(now) else {
                    break;
                };
                if !self.shared.admission.enter(peer.ip()) {
                    debug!(%peer, "refused: too many connections");
                    continue;
                }
                let _ = stream.set_nodelay(true);
                let _ = ask_after(&stream, self.shared.tcp_keep_alive);
                let entry = self.connections.vacant_entry();
                let index = entry.key();
                let interest = Interest::READABLE | Interest::WRITABLE;
                let token = Token(index * 2);
                let registered = self.poll.registry().register(&mut stream, token, interest);
                self.generation += 1;
                let made =
                    registered.and_then(|()| Connection::new(stream, peer, speech, &self.shared));
                match made {
                    Ok(mut connection) => {
                        connection.generation = self.generation;
                        entry.insert(connection);
                        let id = Id {
                            index,
                            generation: self.generation,
                        };
                        let until = now + self.shared.connect_timeout;
                        self.starting.push_back((until, id));
                    }
                    Err(error) => {
                        warn!(%peer, %error, "refused: it can't be served");
                        self.shared.admission.leave(peer.ip());
                    }
                }
            }
        }
    }

    fn drive(&mut self, index: usize, now: Instant) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        connection.is_listed = false;
        let was = connection.phase();
        let pair_token = Token(index * 2 + 1);
        let driven = connection.drive(
            &mut self.buffer,
            &self.shared,
            self.poll.registry(),
            pair_token,
        );
        let more = match driven {
            Ok(more) => more,
            Err(Ended(reason)) => {
                debug!(peer = %connection.peer(), %reason, "connection closed");
                return self.remove(index);
            }
        };
        if more {
            connection.is_listed = true;
            self.ready.push_back(index);
        }
        let id = Id {
            index,
            generation: connection.generation,
        };
        if connection.phase() == Phase::Ending && was != Phase::Ending {
            self.ending.push_back((now + END_TIME, id));
        }
        self.tidy();
    }

    /// Drops connections whose time is over.
    fn end_late(&mut self, now: Instant) {
        while let Some(&(until, id)) = self.starting.front()
            && until <= now
        {
            self.starting.pop_front();
            if let Some(connection) = self.connection(id)
                && connection.phase() == Phase::Starting
            {
                debug!(peer = %connection.peer(), "connection closed: no MQTT in time");
                self.remove(id.index);
            }
        }
        while let Some(&(until, id)) = self.ending.front()
            && until <= now
        {
            self.ending.pop_front();
            if self.connection(id).is_some() {
                self.remove(id.index);
            }
        }
    }

    fn connection(&self, id: Id) -> Option<&Connection> {
        self.connections
            .get(id.index)
            .filter(|connection| connection.generation == id.generation)
    }

    fn remove(&mut self, index: usize) {
        if let Some(connection) = self.connections.try_remove(index) {
            self.shared.admission.leave(connection.peer().ip());
        }
    }

    /// The places of a flood that is over are given back.
    fn tidy(&mut self) {
        if self.starting.len() > 2 * self.connections.len() + KEPT {
            let connections = &self.connections;
            self.starting.retain(|(_, id)| {
                connections.get(id.index).is_some_and(|connection| {
                    connection.generation == id.generation && connection.phase() == Phase::Starting
                })
            });
            self.starting.shrink_to_fit();
        }
    }
}

pub(super) const WAKER: Token = Token(usize::MAX);
/// Listeners count down from here, connections up from 0: two for each.
const FIRST_LISTENER: Token = Token(usize::MAX - 1);
const EVENTS: usize = 1_024;
/// Of the one buffer that all connections of a thread share.
const BUFFER_SIZE: usize = 64 * 1_024;
/// New connections per listener and turn.
const ACCEPT_BUDGET: usize = 16;
/// How long a connection that ends may take to send its last bytes and to be closed by its peer.
const END_TIME: Duration = Duration::from_secs(2);
/// How long connections may take to end when the broker stops.
const STOP_TIME: Duration = Duration::from_millis(500);
const KEPT: usize = 64;
