//! What whoever runs the broker asks of it through its [`Handle`]: who is there, what is
//! retained, and to end either.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use declic_mqtt::{ReasonCode, TopicFilter};

use super::peer::Peer;
use super::{Broker, Handle, Stopped};
use crate::{Cleared, ClientInfo, RetainedPage};

/// A session, and where its client is connected from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// What the engine knows of it.
    pub info: ClientInfo,
    /// How it is connected, while it is: `TCP`, `TLS`, `WebSocket`, `secure WebSocket`,
    /// `Unix socket`, or `inside` for a part of the broker itself.
    pub transport: Option<String>,
    /// Where it is connected from, while it is; `None` where there is no address.
    pub address: Option<SocketAddr>,
    /// When its connection was accepted, by the system's clock.
    pub connected_since: Option<SystemTime>,
}

/// Some of the sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clients {
    /// The sessions, in no particular order.
    pub clients: Vec<Client>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<usize>,
}

impl Handle {
    /// Up to `limit` sessions, of connected clients and kept ones, from `start` on; `start` is 0
    /// for the first page.
    ///
    /// # Errors
    /// The broker does not run any more.
    pub fn clients(&self, start: usize, limit: usize) -> Result<Clients, Stopped> {
        self.ask(move |broker, now| {
            let page = broker.engine.clients(start, limit.min(PAGE));
            let time = SystemTime::now();
            let clients = page.clients.into_iter().map(|info| {
                let peer = info.connection.and_then(|conn| broker.peer(conn));
                Client {
                    transport: peer.map(|peer| peer.transport().to_string()),
                    address: peer.and_then(Peer::address),
                    connected_since: info.connected_at.map(|at| time - now.since(at)),
                    info,
                }
            });
            Clients {
                clients: clients.collect(),
                next: page.next,
            }
        })
    }

    /// Ends the connection of a client, and with `forget` its session too. A client of 5.0 is told
    /// `reason`. Returns whether there was anything to end.
    ///
    /// # Errors
    /// The broker does not run any more.
    pub fn disconnect(
        &self,
        client_id: &str,
        reason: ReasonCode,
        forget: bool,
    ) -> Result<bool, Stopped> {
        let client_id = client_id.to_owned();
        self.ask(move |broker, now| broker.engine.disconnect(&client_id, reason, forget, now))
    }

    /// Up to `limit` retained messages that `filter` matches, behind the topic `after`. Payloads
    /// are cut to `payload_limit` bytes.
    ///
    /// # Errors
    /// The broker does not run any more.
    pub fn retained(
        &self,
        filter: TopicFilter<'_>,
        after: Option<&str>,
        limit: usize,
        payload_limit: usize,
    ) -> Result<RetainedPage, Stopped> {
        let (filter, after) = (filter.as_str().to_owned(), after.map(str::to_owned));
        let limit = limit.min(PAGE);
        self.ask(move |broker, _| {
            TopicFilter::new(&filter).map_or(EMPTY_PAGE, |filter| {
                let after = after.as_deref();
                broker.engine.retained(filter, after, limit, payload_limit)
            })
        })
    }

    /// Forgets all retained messages that `filter` matches, and returns how many there were. The
    /// broker serves its clients meanwhile. `#` leaves out topics that begin with `$`, as always.
    ///
    /// # Errors
    /// The broker does not run any more.
    pub fn clear_retained(&self, filter: TopicFilter<'_>) -> Result<usize, Stopped> {
        let (mut count, mut after) = (0, None::<Box<str>>);
        loop {
            let filter = filter.as_str().to_owned();
            let cleared = self.ask(move |broker, _| {
                TopicFilter::new(&filter).map_or(NOTHING_CLEARED, |filter| {
                    broker.engine.clear_retained(filter, after.as_deref(), PAGE)
                })
            })?;
            count += cleared.count;
            match cleared.after {
                None => return Ok(count),
                next => after = next,
            }
        }
    }

    /// How long the broker has been running.
    ///
    /// # Errors
    /// The broker does not run any more.
    pub fn uptime(&self) -> Result<Duration, Stopped> {
        self.ask(|broker, _| broker.started.elapsed())
    }
}

impl Broker {
    fn peer(&mut self, conn: crate::ConnId) -> Option<&Peer> {
        super::socket(&mut self.sockets, conn).map(|socket| &socket.peer)
    }
}

// For a filter that is none; it was one before it was sent to the other thread.
const EMPTY_PAGE: RetainedPage = RetainedPage {
    messages: Vec::new(),
    after: None,
};
const NOTHING_CLEARED: Cleared = Cleared {
    count: 0,
    after: None,
};
/// The most that one answer has.
const PAGE: usize = 1_024;
