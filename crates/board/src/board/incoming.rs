//! What the client tells the board.

use declic_mqtt::client::{CloseReason, Event};
use declic_mqtt::packet::{Properties, Publish};
use declic_mqtt::{PacketId, ProtocolVersion, QoS, ReasonCode, TopicName};

use super::discovery::is_announced;
use super::{Board, Filters, Server, Subscription};
use crate::discovery::HomeAssistantTopic;
use crate::id::Leaf;
use crate::led::{Command, is_word};
use crate::settings::Topics;
use crate::{BoardId, Cause, Connection, Notice, Settings};

/// An event without its borrow of the receive buffer.
enum Heard {
    Connected(Server),
    /// What it says, and whether it was retained.
    Link(bool, bool),
    Led(Command, bool),
    Restart,
    /// Home Assistant has started.
    Started,
    NotUnderstood,
    Acknowledged(PacketId, ReasonCode),
    Dropped(PacketId, ReasonCode),
    Subscribed(PacketId, ReasonCode),
    Closed(CloseReason),
    Nothing,
}

impl Board<'_> {
    /// Handles the client's next event and sends what has become possible. Returns false when
    /// there was no event.
    pub(super) fn handle_event(&mut self) -> bool {
        let Some(event) = self.client.poll_event() else {
            self.send();
            return false;
        };
        let heard = match event {
            Event::Connected {
                session_present,
                properties,
            } => Heard::Connected(Server::new(session_present, properties)),
            Event::Message { publish, remaining } => {
                let link_topic = self.link_topic.name();
                Heard::from_message(&publish, remaining, &self.settings, link_topic, self.id)
            }
            Event::Acknowledged { id, reason } => Heard::Acknowledged(id, reason),
            Event::Dropped {
                id: Some(id),
                reason,
            } => Heard::Dropped(id, reason),
            Event::Subscribed { id, reasons } => {
                // The link is the first filter that was asked for.
                let link = reasons
                    .iter()
                    .next()
                    .unwrap_or(ReasonCode::UnspecifiedError);
                Heard::Subscribed(id, link)
            }
            Event::Closed(reason) => Heard::Closed(reason),
            _ => Heard::Nothing,
        };
        self.handle_heard(heard);
        self.send();
        true
    }

    fn handle_heard(&mut self, heard: Heard) {
        match heard {
            Heard::Connected(server) if self.link.connection() == Connection::Handshake => {
                self.server = server;
                self.handle_accepted();
            }
            Heard::Link(on, retained) => {
                self.forgotten_at = None;
                self.light.is_restoring &= retained;
                if self.own.hear(on, self.now) {
                    self.follow(on);
                }
                self.decide();
            }
            Heard::Led(_, true) if self.light.is_restoring => {}
            Heard::Led(command, _) => {
                self.light.is_restoring = false;
                self.set_light(match command {
                    Command::On => true,
                    Command::Off => false,
                    Command::Toggle => !self.light(),
                });
            }
            Heard::Restart => self.begin_restart(),
            Heard::Started => self.discovery_again(),
            Heard::NotUnderstood => self.notice(Notice::NotUnderstood),
            Heard::Acknowledged(id, reason) | Heard::Dropped(id, reason)
                if self.discovery_acknowledged(id, reason) => {}
            Heard::Acknowledged(id, reason) => {
                self.sleep.progressed(self.now);
                let is_link = self.own.finished(id);
                if reason.is_error() {
                    self.refused(reason, !is_link);
                }
            }
            Heard::Dropped(id, reason) => {
                // This broker can't take it as the one before could: say it as it can.
                let is_link = self.own.finished(id);
                self.unsent.link |= is_link;
                self.refused(reason, !is_link);
            }
            Heard::Subscribed(id, reason) => self.handle_subscribed(id, reason),
            Heard::Closed(reason) => match self.link.connection() {
                Connection::Handshake | Connection::Connected { .. }
                    if reason == CloseReason::Requested =>
                {
                    self.count_online();
                    self.link.stop();
                    if self.is_leaving() {
                        self.said_goodbye();
                    } else {
                        self.notice(Notice::Stopped);
                    }
                }
                Connection::Handshake | Connection::Connected { .. } => {
                    self.failed(Cause::Closed(reason));
                }
                // The board ended it itself and has said so.
                _ => {}
            },
            Heard::Connected(_) | Heard::Nothing => {}
        }
    }

    /// The broker did not take a message; an event is counted as given up.
    pub(super) fn refused(&mut self, reason: ReasonCode, is_event: bool) {
        if is_event {
            self.dropped_events = self.dropped_events.saturating_add(1);
        }
        self.notice(Notice::PublishRefused(reason));
    }

    fn handle_accepted(&mut self) {
        let version = self.link.version();
        self.link.accepted(self.now);
        let keeps_session = version == ProtocolVersion::V5;
        self.route.accepted(&self.settings, keeps_session);
        self.sleep.progressed(self.now);
        self.info_at = self.settings.info_interval().map(|time| self.now + time);
        // What was retained has come on an earlier connection.
        self.light.is_restoring &= self.subscription != Subscription::Accepted;
        self.connections = self.connections.saturating_add(1);
        self.discovery_connected();
        self.notice(Notice::Connected {
            version,
            session_present: self.server.has_session,
        });
        // Also where a session is present: it may be one without subscriptions, made for a CONNECT
        // of which the answer was lost. What is retained comes once more with that.
        self.subscription = Subscription::Wanted(Filters::All);
        self.forgotten_at = None;
        if self.client.in_flight() == 0 {
            self.own.clear();
        }
        let topics = self.settings.topics();
        self.unsent.status = topics != Topics::None;
        self.unsent.led = topics == Topics::All;
        self.unsent.info = topics == Topics::All;
    }

    fn handle_subscribed(&mut self, id: PacketId, reason: ReasonCode) {
        let Subscription::Asked(asked, filters) = self.subscription else {
            return;
        };
        if asked != id {
            return;
        }
        self.subscription = if reason.is_error() {
            self.notice(Notice::SubscribeRefused(reason));
            self.decide();
            Subscription::Refused
        } else {
            self.expect_link_state();
            if filters == Filters::All {
                self.notice(Notice::Subscribed);
                self.expect_memory();
            }
            Subscription::Accepted
        };
    }

    /// Takes the link's state from elsewhere.
    pub(super) fn follow(&mut self, on: bool) {
        self.state = Some(on);
        if self.settings.role().subscribes() && !self.light.is_restoring {
            self.set_light(on);
        }
    }
}

impl Server {
    fn new(has_session: bool, properties: Properties<'_>) -> Self {
        Self {
            has_session,
            qos: properties.maximum_qos().unwrap_or(QoS::ExactlyOnce),
            retain: properties.retain_available().unwrap_or(true),
        }
    }
}

impl Heard {
    fn from_message(
        publish: &Publish<'_>,
        remaining: usize,
        settings: &Settings,
        link_topic: TopicName<'_>,
        id: BoardId,
    ) -> Self {
        let Some(topic) = publish.topic else {
            return Self::Nothing;
        };
        // Nothing that is understood is so long that it would come in parts.
        let payload = if remaining == 0 {
            publish.payload
        } else {
            TOO_LONG
        };
        let understood = if topic == link_topic {
            let state = settings.read_payload(payload);
            state.map(|on| Self::Link(on, publish.retain))
        } else if topic == id.topic(Leaf::LedSet).name() {
            match Command::parse(payload) {
                // Not meant for now, or perhaps for the second time.
                Some(Command::Toggle) if publish.retain || publish.dup => Some(Self::Nothing),
                command => command.map(|command| Self::Led(command, publish.retain)),
            }
        } else if topic == id.topic(Leaf::Restart).name() {
            // One that is retained would restart the board again and again.
            let is_new = !publish.retain && !publish.dup;
            is_word(payload, "restart").then_some(if is_new {
                Self::Restart
            } else {
                Self::Nothing
            })
        } else if is_word(payload, "online") && !publish.retain && is_announced(settings) {
            let started = HomeAssistantTopic::status(settings.home_assistant_prefix());
            Some(if topic == started.name() {
                Self::Started
            } else {
                Self::Nothing
            })
        } else {
            Some(Self::Nothing)
        };
        match understood {
            Some(heard) => heard,
            // An empty payload takes a retained message away.
            None if payload.is_empty() => Self::Nothing,
            None => Self::NotUnderstood,
        }
    }
}

const TOO_LONG: &[u8] = b"...";
