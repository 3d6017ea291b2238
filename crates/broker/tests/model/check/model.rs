//! What MQTT asks of a server, as a program that is small, slow and obviously right: all is looked
//! through, nothing is indexed, and nothing is known of sockets, windows or packet identifiers.

use std::collections::BTreeMap;
use std::time::Duration;

use declic_mqtt::Instant;

pub const CLIENTS: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: &'static str,
    pub payload: String,
    pub qos: u8,
    pub retain: bool,
    pub expires: Option<Instant>,
    pub publisher: usize,
}

impl Message {
    fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

#[derive(Debug, Clone)]
pub struct Subscription {
    pub filter: &'static str,
    pub qos: u8,
    pub no_local: bool,
    pub retain_as_published: bool,
    /// 0: retained messages are sent, 1: if the subscription is new, 2: they are not.
    pub retain_handling: u8,
    pub id: Option<u32>,
}

impl Subscription {
    fn shared(&self) -> Option<&'static str> {
        let (_, filter) = self.filter.strip_prefix("$share/")?.split_once('/')?;
        Some(filter)
    }
}

#[derive(Debug, Clone)]
pub struct Will {
    pub message: Message,
    pub delay: Duration,
}

/// What a client received.
#[derive(Debug)]
pub struct Delivered {
    pub topic: String,
    pub payload: String,
    pub qos: u8,
    pub dup: bool,
    pub retain: bool,
    /// Subscription identifiers; `None` where the version has none.
    pub ids: Option<Vec<u32>>,
    pub expiry: Option<u32>,
}

/// A message that a client has still to receive, or to acknowledge.
#[derive(Debug)]
struct Owed {
    message: Message,
    qos: u8,
    ids: Vec<u32>,
    /// `None` where the subscriptions that match want it differently.
    retain: Option<bool>,
    /// It was on the wire, on this connection or an earlier one.
    sent: bool,
    /// It was on the wire of this connection.
    sent_here: bool,
    /// The server may leave it out.
    may_vanish: bool,
}

/// A message for one of the members of a shared subscription.
#[derive(Debug)]
struct Shared {
    filter: &'static str,
    message: Message,
    /// Who has it and did not acknowledge it.
    holder: Option<usize>,
    /// It can't wait for anybody.
    at_once: bool,
    /// It may have been for a member that is gone: its QoS and its flag may be those that the
    /// member had asked for.
    handed_on: bool,
}

impl Shared {
    fn has_qos(&self, member: &Subscription, qos: u8) -> bool {
        let own = member.qos.min(self.message.qos);
        own == qos || self.handed_on && qos < own
    }

    fn has_retain(&self, member: &Subscription, retain: bool) -> bool {
        let own = member.retain_as_published && self.message.retain;
        own == retain || self.handed_on && (self.message.retain || !retain)
    }
}

#[derive(Debug, Default)]
struct Session {
    /// `None` for ever.
    expiry: Option<Duration>,
    /// When it ends, while nobody is connected.
    ends: Option<Instant>,
    subscriptions: Vec<Subscription>,
    owed: Vec<Owed>,
}

#[derive(Debug, Default)]
struct Client {
    connected: bool,
    /// It acknowledges nothing.
    holding: bool,
    session: Option<Session>,
    will: Option<Will>,
    /// When the will is published, after the connection was lost.
    will_due: Option<Instant>,
}

impl Client {
    fn due(&self) -> Option<Instant> {
        let ends = self.session.as_ref().and_then(|session| session.ends);
        [self.will_due, ends].into_iter().flatten().min()
    }
}

#[derive(Debug, Default)]
pub struct Model {
    clients: [Client; CLIENTS],
    retained: BTreeMap<&'static str, Message>,
    shared: Vec<Shared>,
}

impl Model {
    /// Returns whether a session is present. `expiry` of `None` is for ever.
    pub fn connect(
        &mut self,
        client: usize,
        clean: bool,
        expiry: Option<Duration>,
        will: Option<Will>,
        now: Instant,
    ) -> bool {
        if self.clients[client].connected {
            self.lose(client, now);
        }
        if clean {
            self.end_session(client, now);
        }
        let entry = &mut self.clients[client];
        let present = entry.session.is_some();
        // `v5 [MQTT-3.1.3-9]`: a will that was still delayed is not sent.
        entry.will_due = None;
        entry.will = will;
        entry.connected = true;
        entry.holding = false;
        let session = entry.session.get_or_insert_default();
        session.expiry = expiry;
        session.ends = None;
        present
    }

    /// The connection is closed without a DISCONNECT, or with one that wants the will.
    pub fn lose(&mut self, client: usize, now: Instant) {
        let delay = self.clients[client].will.as_ref().map(|will| will.delay);
        self.clients[client].will_due = delay.map(|delay| now + delay);
        self.leave(client, now);
        self.advance(now);
    }

    /// The client said goodbye.
    pub fn disconnect(&mut self, client: usize, now: Instant) {
        self.clients[client].will = None;
        self.leave(client, now);
        self.advance(now);
    }

    fn leave(&mut self, client: usize, now: Instant) {
        let entry = &mut self.clients[client];
        entry.connected = false;
        entry.holding = false;
        let Some(session) = &mut entry.session else {
            return;
        };
        session.ends = session.expiry.map(|expiry| now + expiry);
        session.owed.retain(|owed| owed.qos > 0);
        for owed in &mut session.owed {
            owed.sent_here = false;
        }
        for shared in &mut self.shared {
            shared.at_once = false;
            if shared.holder == Some(client) {
                shared.holder = None;
            }
        }
    }

    /// Whether a delayed will, or the end of a session, is due in that time.
    pub fn is_due_between(&self, from: Instant, to: Instant) -> bool {
        let mut due = self.clients.iter().filter_map(Client::due);
        due.any(|at| (from..=to).contains(&at))
    }

    /// What becomes due until then: delayed wills, and sessions that end.
    pub fn advance(&mut self, to: Instant) {
        while let Some((at, client)) = (0..CLIENTS)
            .filter_map(|client| Some((self.clients[client].due()?, client)))
            .filter(|(at, _)| *at <= to)
            .min()
        {
            let session = self.clients[client].session.as_ref();
            if session.is_some_and(|session| session.ends == Some(at)) {
                self.end_session(client, at);
            } else {
                self.publish_will(client, at);
            }
        }
    }

    fn end_session(&mut self, client: usize, now: Instant) {
        if let Some(session) = self.clients[client].session.take() {
            for shared in &mut self.shared {
                let mut own = session.subscriptions.iter();
                shared.handed_on |= own.any(|one| one.filter == shared.filter);
            }
        }
        self.publish_will(client, now);
        let clients = &self.clients;
        self.shared
            .retain(|shared| members(clients, shared.filter).next().is_some());
    }

    fn publish_will(&mut self, client: usize, now: Instant) {
        if self.clients[client].will_due.take().is_some()
            && let Some(will) = self.clients[client].will.take()
        {
            self.publish(&will.message, now);
        }
    }

    /// Whether the client is in another group than that of `filter`.
    pub fn shares_another(&self, client: usize, filter: &str) -> bool {
        let session = self.clients[client].session.as_ref();
        let mut own = session
            .into_iter()
            .flat_map(|session| &session.subscriptions);
        own.any(|one| one.shared().is_some() && one.filter != filter)
    }

    pub fn subscribe(&mut self, client: usize, subscription: Subscription, now: Instant) {
        let retained: Vec<_> = self.retained.values().cloned().collect();
        let Some(session) = &mut self.clients[client].session else {
            return;
        };
        let before = session.subscriptions.len();
        session
            .subscriptions
            .retain(|one| one.filter != subscription.filter);
        let is_new = session.subscriptions.len() == before;
        let wanted = match subscription.retain_handling {
            0 => true,
            1 => is_new,
            _ => false,
        };
        if wanted && subscription.shared().is_none() {
            for message in retained {
                if matches(subscription.filter, message.topic) && !message.is_expired(now) {
                    session.owed.push(Owed {
                        qos: message.qos.min(subscription.qos),
                        ids: subscription.id.into_iter().collect(),
                        retain: Some(true),
                        sent: false,
                        sent_here: false,
                        // Whether No Local counts here, the specification does not say.
                        may_vanish: subscription.no_local && message.publisher == client,
                        message,
                    });
                }
            }
        }
        session.subscriptions.push(subscription);
    }

    pub fn unsubscribe(&mut self, client: usize, filter: &str) {
        if let Some(session) = &mut self.clients[client].session {
            session.subscriptions.retain(|one| one.filter != filter);
        }
        let clients = &self.clients;
        self.shared
            .retain(|shared| members(clients, shared.filter).next().is_some());
    }

    pub fn publish(&mut self, message: &Message, now: Instant) {
        if message.retain {
            if message.payload.is_empty() {
                self.retained.remove(message.topic);
            } else {
                self.retained.insert(message.topic, message.clone());
            }
        }
        for (index, client) in self.clients.iter_mut().enumerate() {
            let Some(session) = &mut client.session else {
                continue;
            };
            let matching: Vec<_> = (session.subscriptions.iter())
                .filter(|one| one.shared().is_none() && matches(one.filter, message.topic))
                .filter(|one| !(one.no_local && message.publisher == index))
                .collect();
            // `[MQTT-3.3.5-1]`: the highest of the subscriptions that match.
            let Some(granted) = matching.iter().map(|one| one.qos).max() else {
                continue;
            };
            let qos = granted.min(message.qos);
            if qos == 0 && !client.connected {
                continue;
            }
            let as_published = matching
                .iter()
                .filter(|one| one.retain_as_published)
                .count();
            session.owed.push(Owed {
                message: message.clone(),
                qos,
                ids: matching.iter().filter_map(|one| one.id).collect(),
                retain: match as_published {
                    0 => Some(false),
                    count if count == matching.len() => Some(message.retain),
                    _ if message.retain => None,
                    _ => Some(false),
                },
                sent: false,
                sent_here: false,
                may_vanish: message.is_expired(now),
            });
        }
        let mut filters: Vec<_> = (self.clients.iter())
            .filter_map(|client| client.session.as_ref())
            .flat_map(|session| &session.subscriptions)
            .filter(|one| one.shared().is_some_and(|own| matches(own, message.topic)))
            .map(|one| one.filter)
            .collect();
        filters.sort_unstable();
        filters.dedup();
        for filter in filters {
            let mut connected = members(&self.clients, filter)
                .map(|(index, _)| &self.clients[index])
                .filter(|client| client.connected)
                .peekable();
            let at_once = connected.peek().is_some() && connected.all(|client| !client.holding);
            self.shared.push(Shared {
                filter,
                message: message.clone(),
                holder: None,
                at_once,
                // A will at a session's end may pass through that session.
                handed_on: message.topic == "will",
            });
        }
    }

    /// A client received something: was that owed?
    pub fn deliver(&mut self, client: usize, got: &Delivered, now: Instant) {
        let holding = self.clients[client].holding;
        let is = |message: &Message| message.topic == got.topic && message.payload == got.payload;
        let Some(session) = &mut self.clients[client].session else {
            panic!("client {client} has no session and received {got:?}");
        };
        let found = session.owed.iter().position(|owed| {
            !owed.sent_here
                && is(&owed.message)
                && owed.qos == got.qos
                && got.ids.as_ref().is_none_or(|ids| same(&owed.ids, ids))
                && owed.retain.is_none_or(|retain| retain == got.retain)
                && (owed.qos == 0 || owed.sent == got.dup)
        });
        let message = if let Some(at) = found {
            // `[MQTT-4.6.0-6]`: in the order in which they were published. Wills have none: they
            // fall due in the same tick.
            if got.topic != "will"
                && let Some(earlier) = session.owed[..at].iter().find(|owed| {
                    !owed.sent_here
                        && !owed.may_vanish
                        && owed.retain != Some(true)
                        && !owed.message.is_expired(now)
                        && owed.message.topic == got.topic
                        && owed.qos == got.qos
                })
            {
                panic!("client {client} received {got:?} before {earlier:?}");
            }
            let owed = &mut session.owed[at];
            (owed.sent, owed.sent_here) = (true, true);
            let (message, was_sent) = (owed.message.clone(), got.dup);
            if got.qos == 0 || !holding {
                session.owed.remove(at);
            }
            assert!(was_sent || !message.is_expired(now), "{got:?} was expired");
            message
        } else {
            let may_be = |shared: &Shared| {
                is(&shared.message)
                    && shared.holder.is_none()
                    && session.subscriptions.iter().any(|one| {
                        one.filter == shared.filter
                            && shared.has_qos(one, got.qos)
                            && got.ids.as_ref().is_none_or(|ids| one.id.as_slice() == ids)
                            && shared.has_retain(one, got.retain)
                    })
            };
            // Empty messages are all alike: the one that can't wait is meant.
            let mut all = self.shared.iter();
            let at = all
                .position(|shared| shared.at_once && may_be(shared))
                .or_else(|| self.shared.iter().position(may_be));
            let at = at.unwrap_or_else(|| {
                panic!(
                    "client {client} received {got:?}, which is not owed: {:?}, shared {:?}",
                    session.owed, self.shared
                )
            });
            let message = self.shared[at].message.clone();
            if got.qos == 0 || !holding {
                self.shared.remove(at);
            } else {
                self.shared[at].holder = Some(client);
                self.shared[at].at_once = false;
            }
            message
        };
        if got.ids.is_some() {
            assert_eq!(got.expiry.is_some(), message.expires.is_some(), "{got:?}");
        }
        if let (Some(expiry), Some(expires)) = (got.expiry, message.expires) {
            let left = expires.since(now).as_secs_f64();
            assert!(
                (left - 1.0..=left + 1.0).contains(&f64::from(expiry)),
                "{got:?} has {left} s left"
            );
        }
    }

    pub fn hold(&mut self, client: usize) {
        self.clients[client].holding = self.clients[client].connected;
    }

    /// The client acknowledges all that it has.
    pub fn release(&mut self, client: usize) {
        self.clients[client].holding = false;
        if let Some(session) = &mut self.clients[client].session {
            session.owed.retain(|owed| !owed.sent_here);
        }
        self.shared.retain(|shared| shared.holder != Some(client));
    }

    /// Everything has come to rest: nobody who takes messages has to wait for one.
    pub fn settled(&mut self, now: Instant) {
        for (index, client) in self.clients.iter_mut().enumerate() {
            let Some(session) = &mut client.session else {
                continue;
            };
            if client.connected && !client.holding {
                let missing = (session.owed.iter())
                    .find(|owed| !owed.may_vanish && !owed.message.is_expired(now));
                assert!(missing.is_none(), "client {index} misses {missing:?}");
                session.owed.clear();
            }
        }
        for shared in &mut self.shared {
            assert!(
                !shared.at_once || shared.message.is_expired(now),
                "no member received {shared:?}"
            );
            shared.at_once = false;
        }
    }

    pub fn is_connected(&self, client: usize) -> bool {
        self.clients[client].connected
    }

    pub fn sessions(&self) -> usize {
        let sessions = self
            .clients
            .iter()
            .filter(|client| client.session.is_some());
        sessions.count()
    }

    pub fn subscriptions(&self) -> usize {
        let sessions = self
            .clients
            .iter()
            .filter_map(|client| client.session.as_ref());
        sessions.map(|session| session.subscriptions.len()).sum()
    }

    pub fn retained(&self, now: Instant) -> usize {
        let kept = self
            .retained
            .values()
            .filter(|message| !message.is_expired(now));
        kept.count()
    }
}

/// Who shares that subscription.
fn members<'a>(
    clients: &'a [Client],
    filter: &'a str,
) -> impl Iterator<Item = (usize, &'a Subscription)> {
    clients
        .iter()
        .enumerate()
        .filter_map(move |(index, client)| {
            let session = client.session.as_ref()?;
            let own = session
                .subscriptions
                .iter()
                .find(|one| one.filter == filter)?;
            Some((index, own))
        })
}

fn same(left: &[u32], right: &[u32]) -> bool {
    let sorted = |ids: &[u32]| {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids
    };
    sorted(left) == sorted(right)
}

/// Section 4.7, level by level.
fn matches(filter: &str, topic: &str) -> bool {
    // `[MQTT-4.7.2-1]`.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        match (level, topic.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}
