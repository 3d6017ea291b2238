//! What the client tells the board.

use declic_mqtt::client::{CloseReason, Event};
use declic_mqtt::packet::{Properties, Publish};
use declic_mqtt::{PacketId, ProtocolVersion, QoS, ReasonCode, TopicName};

use super::{Board, Filters, Server, Subscription};
use crate::id::Leaf;
use crate::led::Command;
use crate::settings::Topics;
use crate::{BoardId, Cause, Connection, Notice, Settings};

/// An event without its borrow of the receive buffer.
enum Heard {
    Connected {
        session_present: bool,
        server: Server,
    },
    Link(bool),
    Led(Command),
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
            } => Heard::Connected {
                session_present,
                server: Server::from_properties(properties),
            },
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
            Heard::Connected {
                session_present,
                server,
            } if self.link.connection() == Connection::Handshake => {
                self.server = server;
                self.handle_accepted(session_present);
            }
            Heard::Link(on) => {
                if self.own.hear(on, self.now) {
                    self.follow(on);
                }
            }
            Heard::Led(Command::On) => self.set_light(true),
            Heard::Led(Command::Off) => self.set_light(false),
            Heard::Led(Command::Toggle) => self.set_light(!self.light()),
            Heard::NotUnderstood => self.notice(Notice::NotUnderstood),
            Heard::Acknowledged(id, reason) => {
                self.own.finished(id);
                if reason.is_error() {
                    self.notice(Notice::PublishRefused(reason));
                }
            }
            Heard::Dropped(id, reason) => {
                self.notice(Notice::PublishRefused(reason));
                // This broker can't take it as the one before could: say it as it can.
                self.unsent.link |= self.own.finished(id);
            }
            Heard::Subscribed(id, reason) => self.handle_subscribed(id, reason),
            Heard::Closed(reason) => match self.link.connection() {
                Connection::Handshake | Connection::Connected { .. }
                    if reason == CloseReason::Requested =>
                {
                    self.link.stop();
                    self.notice(Notice::Stopped);
                }
                Connection::Handshake | Connection::Connected { .. } => {
                    self.failed(Cause::Closed(reason));
                }
                // The board ended it itself and has said so.
                _ => {}
            },
            Heard::Connected { .. } | Heard::Nothing => {}
        }
    }

    fn handle_accepted(&mut self, session_present: bool) {
        let version = self.link.version();
        self.link.accepted(self.now);
        self.connections = self.connections.saturating_add(1);
        self.notice(Notice::Connected {
            version,
            session_present,
        });
        // A refusal may have been withdrawn, so only an accepted subscription is relied on.
        if session_present && self.subscription == Subscription::Accepted {
            self.notice(Notice::Subscribed);
        } else {
            self.subscription = Subscription::Wanted(Filters::All);
        }
        self.session = version == ProtocolVersion::V5;
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
            Subscription::Refused
        } else {
            if filters == Filters::All {
                self.notice(Notice::Subscribed);
            }
            Subscription::Accepted
        };
    }

    /// Takes the link's state from elsewhere.
    pub(super) fn follow(&mut self, on: bool) {
        self.state = Some(on);
        if self.settings.role().subscribes() {
            self.set_light(on);
        }
    }
}

impl Server {
    fn from_properties(properties: Properties<'_>) -> Self {
        Self {
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
            settings.read_payload(payload).map(Self::Link)
        } else if topic == id.topic(Leaf::LedSet).name() {
            match Command::parse(payload) {
                // Not meant for now, or perhaps for the second time.
                Some(Command::Toggle) if publish.retain || publish.dup => Some(Self::Nothing),
                command => command.map(Self::Led),
            }
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
