//! A client that listens, as a program on a computer does.

use std::collections::VecDeque;
use std::time::Duration;

use declic_mqtt::client::{Client, Config, Event};
use declic_mqtt::packet::{Connect, Properties, Property, Subscription};
use declic_mqtt::{Instant, ProtocolVersion, QoS, TopicFilter};

use super::node::{Action, Node, Program};
use super::{BoardIndex, World};
use crate::network::Network;

/// A client of MQTT 5 that subscribes with QoS 1, and keeps its session.
pub(super) struct Listener<'m> {
    pub(super) client: Client<'m>,
    client_id: String,
    filters: Vec<String>,
    keep_alive: u16,
    actions: VecDeque<Action>,
    up: bool,
    /// Whether a transport was asked for and not closed.
    transport: bool,
    /// Whether the broker may have a session.
    session: bool,
    retry_at: Option<Instant>,
    /// Time between two attempts.
    retry: Duration,
}

impl World<'_> {
    /// Adds a client that listens to `filters` over the same network as the boards, with a
    /// session that the broker keeps for a week. What it hears is in the records.
    ///
    /// # Panics
    /// When the memory given to [`Self::new`] is used up, or a filter is none.
    pub fn add_listener(&mut self, name: &str, filters: &[&str]) -> BoardIndex {
        self.add_client(name, filters, self.network, (30, RETRY))
    }

    /// Adds a client that listens to `filters` and sits in the broker's machine: it hears every
    /// message in the moment in which the broker accepts it, and is there again before anybody
    /// else when the broker starts. What it hears is in the records.
    ///
    /// # Panics
    /// As [`Self::add_listener`].
    pub fn add_witness(&mut self, name: &str, filters: &[&str]) -> BoardIndex {
        let witness = self.add_client(name, filters, Network::PERFECT, (0, Duration::MAX));
        self.broker.witness = Some(witness.0);
        witness
    }

    /// A listener's client identifier; empty for anything else.
    pub fn client_id(&self, listener: BoardIndex) -> &str {
        match self.nodes[listener.0].program() {
            Program::Listener(listener) => &listener.client_id,
            _ => "",
        }
    }

    fn add_client(
        &mut self,
        name: &str,
        filters: &[&str],
        network: Network,
        (keep_alive, retry): (u16, Duration),
    ) -> BoardIndex {
        let index = self.nodes.len();
        let listener = Listener {
            client: Client::new(Config::default(), self.storage().memory()),
            client_id: format!("listener{index}"),
            filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
            keep_alive,
            actions: VecDeque::new(),
            up: false,
            transport: false,
            session: false,
            retry_at: None,
            retry,
        };
        let program = Program::Listener(Box::new(listener));
        self.nodes.push(Node::new(name, program, network));
        let now = self.now;
        self.nodes[index].program_mut().handle_link(true, now);
        self.settle_node(index);
        BoardIndex(index)
    }
}

impl Listener<'_> {
    pub(super) fn handle_link(&mut self, up: bool, now: Instant) {
        self.up = up;
        if up {
            self.open(now);
        } else {
            self.client.handle_closed(now);
            self.close();
        }
    }

    /// Attempts now, whatever it was waiting for.
    pub(super) fn open(&mut self, now: Instant) {
        if self.up && !self.transport {
            self.transport = true;
            self.actions.push_back(Action::Open);
            self.retry_at = Some(now + PATIENCE);
        }
    }

    pub(super) fn handle_connected(&mut self, now: Instant) {
        self.retry_at = None;
        let properties = [Property::SessionExpiryInterval(WEEK)];
        let connect = Connect {
            clean_start: !self.session,
            keep_alive: self.keep_alive,
            properties: Properties::new(&properties),
            ..Connect::new(ProtocolVersion::V5, &self.client_id)
        };
        let begun = self.client.connect(&connect, now);
        debug_assert!(begun.is_ok(), "{begun:?}");
    }

    pub(super) fn handle_connect_failed(&mut self, now: Instant) {
        self.transport = false;
        self.retry_at = Some(now + self.retry);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.client.handle_timeout(now);
        if self.retry_at.take_if(|at| *at <= now).is_some() {
            self.close();
            self.open(now);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let times = [self.client.poll_timeout(), self.retry_at];
        times.into_iter().flatten().min()
    }

    pub(super) fn poll_action(&mut self, now: Instant) -> Option<Action> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Some(action);
            }
            match self.client.poll_event()? {
                Event::Connected { .. } => {
                    self.session = true;
                    self.actions.push_back(Action::Note("connected"));
                    // Also where a session is present: it may be one that was made for a CONNECT
                    // whose answer was lost.
                    self.subscribe();
                }
                Event::Message {
                    publish,
                    remaining: 0,
                } => {
                    if let Some(topic) = publish.topic {
                        return Some(Action::Heard {
                            topic: topic.as_str().into(),
                            payload: publish.payload.into(),
                            retain: publish.retain,
                        });
                    }
                }
                Event::Subscribed { .. } => return Some(Action::Subscribed),
                Event::Closed(_) => {
                    self.close();
                    self.retry_at = Some(now + self.retry);
                }
                _ => {}
            }
        }
    }

    fn subscribe(&mut self) {
        let subscriptions: Vec<_> = self
            .filters
            .iter()
            .map(|filter| Subscription {
                // So that a message that was published to be retained can be told.
                retain_as_published: true,
                ..Subscription::new(
                    TopicFilter::new(filter).expect("a valid filter"),
                    QoS::AtLeastOnce,
                )
            })
            .collect();
        let asked = self.client.subscribe(&subscriptions, Properties::EMPTY);
        debug_assert!(asked.is_ok(), "{asked:?}");
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.transport) {
            self.actions.push_back(Action::Close);
        }
    }
}

const WEEK: u32 = 7 * 86_400;
const RETRY: Duration = Duration::from_secs(1);
/// How long opening a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);
