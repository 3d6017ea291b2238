//! What whoever runs the broker asks of it: who is there, what is retained, and to end either.
//!
//! Answers come in pages, so that no question stops the others for long or takes much memory.

use declic_mqtt::{Instant, ProtocolVersion, QoS, ReasonCode, TopicFilter};

use super::connect::Identity;
use super::connection::{ConnId, State};
use super::publish::Outgoing;
use super::retained::Next;
use super::{CloseReason, Engine};

/// A session, with its client if that is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientInfo {
    /// The client identifier.
    pub client_id: Box<str>,
    /// Whose the session is; `None` for one that was stored by a version that did not store it,
    /// until its client is back.
    pub owner: Option<Identity>,
    /// The client's connection; `None` while it is away.
    pub connection: Option<ConnId>,
    /// The version it speaks, while it is connected.
    pub version: Option<ProtocolVersion>,
    /// When it was accepted, while it is connected.
    pub connected_at: Option<Instant>,
    /// Its keep-alive in seconds; 0 for none, also while it is away.
    pub keep_alive: u16,
    /// Its subscriptions.
    pub subscriptions: usize,
    /// Messages that wait for it.
    pub queued: usize,
    /// Bytes of the messages that wait for it.
    pub queued_bytes: usize,
    /// Messages that were sent to it and are not acknowledged.
    pub in_flight: usize,
    /// Seconds that the session is kept without a connection; `u32::MAX` for ever.
    pub session_expiry: u32,
}

/// Some of the sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPage {
    /// The sessions, in no particular order.
    pub clients: Vec<ClientInfo>,
    /// Where the next page begins; `None` after the last one. Sessions that begin while pages are
    /// asked for may be missing.
    pub next: Option<usize>,
}

/// A retained message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetainedInfo {
    /// Its topic.
    pub topic: Box<str>,
    /// The QoS with which it was published.
    pub qos: QoS,
    /// Its payload.
    pub payload: Box<[u8]>,
}

/// Some of the retained messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetainedPage {
    /// The messages, in the order of topics; perhaps none although there are more.
    pub messages: Vec<RetainedInfo>,
    /// The topic after which the next page begins; `None` after the last one.
    pub after: Option<Box<str>>,
}

/// How far the clearing of retained messages came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleared {
    /// Messages that are not retained any more.
    pub count: usize,
    /// The topic after which to go on; `None` when all is done.
    pub after: Option<Box<str>>,
}

impl Engine {
    /// Up to `limit` sessions from `start` on, which is 0 for the first page.
    pub fn clients(&self, start: usize, limit: usize) -> ClientPage {
        let mut clients = Vec::new();
        let end = self.sessions.capacity();
        let mut at = start;
        while at < end && clients.len() < limit && at - start < SESSIONS_LOOKED_AT {
            if let Some(session) = self.sessions.get(at) {
                let conn = session.conn.map(|slot| &self.conns[slot]);
                clients.push(ClientInfo {
                    client_id: session.client_id.clone(),
                    owner: session.identity.clone(),
                    connection: session.conn.map(|slot| self.conns.id(slot)),
                    version: conn.map(|conn| conn.version),
                    connected_at: conn.map(|conn| conn.connected_at),
                    keep_alive: conn.map_or(0, |conn| conn.keep_alive),
                    subscriptions: session.subscriptions.len(),
                    queued: session.queue.len(),
                    queued_bytes: session.queued_bytes,
                    in_flight: session.in_flight.len(),
                    session_expiry: session.expiry,
                });
            }
            at += 1;
        }
        ClientPage {
            clients,
            next: (at < end).then_some(at),
        }
    }

    /// The keep-alive in seconds that holds for an accepted client; 0 for none.
    pub fn keep_alive(&self, conn: ConnId) -> Option<u16> {
        let conn = &self.conns[self.conns.slot(conn)?];
        (conn.state == State::Connected).then_some(conn.keep_alive)
    }

    /// Ends the connection of a client; one of 5.0 is told `reason`, 0x98 (administrative action)
    /// as a rule. Its will is published. With `forget` its session ends too, also when it is away.
    /// Returns whether there was anything to end.
    pub fn disconnect(
        &mut self,
        client_id: &str,
        reason: ReasonCode,
        forget: bool,
        now: Instant,
    ) -> bool {
        let Some(session) = self.find_session(client_id) else {
            return false;
        };
        let connected = self.sessions[session as usize].conn;
        if let Some(slot) = connected {
            self.close(slot, CloseReason::Administrative(reason), now);
        }
        // It may have ended with its connection.
        if forget && let Some(session) = self.find_session(client_id) {
            self.end_session(session, now);
            return true;
        }
        connected.is_some()
    }

    /// Up to `limit` retained messages that `filter` matches, behind the topic `after`. Payloads
    /// are cut to `payload_limit` bytes.
    pub fn retained(
        &self,
        filter: TopicFilter<'_>,
        after: Option<&str>,
        limit: usize,
        payload_limit: usize,
    ) -> RetainedPage {
        let mut messages = Vec::new();
        let after = self.each_retained(filter, after, limit, |topic, qos, payload| {
            messages.push(RetainedInfo {
                topic: topic.into(),
                qos,
                payload: payload[..payload.len().min(payload_limit)].into(),
            });
        });
        RetainedPage { messages, after }
    }

    /// Forgets up to `limit` retained messages that `filter` matches, behind the topic `after`.
    pub fn clear_retained(
        &mut self,
        filter: TopicFilter<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Cleared {
        let mut topics: Vec<Box<str>> = Vec::new();
        let after = self.each_retained(filter, after, limit, |topic, _, _| {
            topics.push(topic.into());
        });
        for topic in &topics {
            let message = self.messages.insert(topic, [], b"", None);
            self.retain(&message, QoS::AtMostOnce);
            self.messages.release(message);
        }
        Cleared {
            count: topics.len(),
            after,
        }
    }

    /// Publishes a message of the broker itself, QoS 0 and retained; its topic begins with `$SYS/`.
    pub fn publish_system(&mut self, topic: &str, payload: &[u8]) {
        debug_assert!(topic.starts_with("$SYS/"), "{topic}");
        let message = self.messages.insert(topic, [], payload, None);
        self.publish_message(
            message,
            Outgoing {
                qos: QoS::AtMostOnce,
                retain: true,
                from: None,
            },
        );
    }

    /// Returns the topic after which to go on; `None` at the end.
    fn each_retained(
        &self,
        filter: TopicFilter<'_>,
        after: Option<&str>,
        limit: usize,
        mut each: impl FnMut(&str, QoS, &[u8]),
    ) -> Option<Box<str>> {
        let mut budget = RETAINED_LOOKED_AT;
        let mut after: Option<Box<str>> = after.map(Into::into);
        let mut count = 0;
        loop {
            let until = self.retained.newest();
            match self
                .retained
                .next(filter, after.as_deref(), until, &mut budget)
            {
                Next::End => return None,
                Next::Later(topic) => return topic.map(Into::into).or(after),
                Next::Found(..) if count == limit => return after,
                Next::Found(topic, kept) => {
                    after = Some(topic.into());
                    count += 1;
                    each(topic, kept.qos, self.messages.get(&kept.message).payload());
                }
            }
        }
    }
}

/// Places of sessions looked at for one page.
const SESSIONS_LOOKED_AT: usize = 16_384;
/// Retained messages looked at for one page.
const RETAINED_LOOKED_AT: usize = 16_384;
