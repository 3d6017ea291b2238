//! The board and Home Assistant: announced when it connects and when Home Assistant starts, and
//! taken back when that is no longer wanted.

use core::time::Duration;

use declic_mqtt::client::{Message, RequestError};
use declic_mqtt::packet::Properties;
use declic_mqtt::{Instant, PacketId, QoS, ReasonCode};

use super::Board;
use crate::backoff::Random;
use crate::discovery::{Announcement, Chunk, HomeAssistantTopic};
use crate::settings::{HomeAssistant, Topics};
use crate::{BoardId, Key, Settings, Start};

/// Where the announcement stands.
#[derive(Debug)]
pub(super) struct Discovery {
    /// It is to be sent, or taken back.
    wanted: bool,
    /// Home Assistant has started: when it is sent again.
    again_at: Option<Instant>,
    /// It is taken back for good.
    forget: bool,
    /// The states follow it.
    with_states: bool,
    chunk: Chunk,
    /// The message that takes it back.
    removal: Option<PacketId>,
    random: Random,
}

impl Discovery {
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            wanted: false,
            again_at: None,
            forget: false,
            with_states: false,
            chunk: Chunk::new(),
            removal: None,
            // Not what the waits between connections are drawn from.
            random: Random::new(!seed),
        }
    }

    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.again_at
    }
}

/// Whether a board with these settings is one of Home Assistant's. It needs all of its topics.
pub(super) fn is_announced(settings: &Settings) -> bool {
    settings.home_assistant() == HomeAssistant::On && settings.topics() == Topics::All
}

impl Board<'_> {
    /// The broker has accepted the board.
    pub(super) fn discovery_connected(&mut self) {
        // One that woke up has said it before it slept.
        let woke = self.start.is_some_and(|start| start.kept.is_some());
        let said = woke && self.connections == 1;
        // What takes it back and did not arrive, the client sends again.
        self.discovery.wanted = self.settings.home_assistant() != HomeAssistant::Off
            && !said
            && self.discovery.removal.is_none();
        self.discovery.again_at = None;
        self.discovery.with_states = false;
    }

    /// Home Assistant has started. All boards hear that at once, so each waits a while.
    pub(super) fn discovery_again(&mut self) {
        let wait = AGAIN_TIME + self.discovery.random.up_to(AGAIN_SPREAD);
        self.discovery.again_at = Some(self.now + wait);
    }

    pub(super) fn handle_discovery_timeout(&mut self) {
        let is_connected = self.is_connected();
        let discovery = &mut self.discovery;
        if discovery.again_at.take_if(|at| *at <= self.now).is_some() && is_connected {
            discovery.wanted = true;
            discovery.with_states = true;
        }
    }

    /// Begins the announcement, or takes it back, when nothing else is to be sent.
    pub(super) fn send_discovery(&mut self) {
        if !self.discovery.wanted {
            return;
        }
        let announces = is_announced(&self.settings) && !self.discovery.forget;
        let topic = HomeAssistantTopic::config(self.settings.home_assistant_prefix(), self.id);
        let len = announcement(self.id, &self.settings, self.start.as_ref()).len();
        let qos = if announces {
            // Each connection begins with it anyway.
            QoS::AtMostOnce
        } else {
            QoS::AtLeastOnce.min(self.server.qos)
        };
        let message = Message {
            topic: topic.name(),
            payload: &[],
            qos,
            retain: self.server.retain,
            properties: Properties::EMPTY,
        };
        let result = if announces {
            self.client.publish_streamed(&message, len)
        } else {
            self.client.publish(&message)
        };
        match result {
            Err(RequestError::Full | RequestError::NotConnected) => return,
            Err(RequestError::NotSupported(reason)) => self.refused(reason, false),
            Err(_) => self.refused(ReasonCode::PacketTooLarge, false),
            Ok(_) if announces => self.discovery.chunk = Chunk::new(),
            Ok(Some(id)) => self.discovery.removal = Some(id),
            Ok(None) => self.discovery_removed(),
        }
        self.discovery.wanted = false;
    }

    /// What of a streamed announcement goes out next; empty when none does.
    pub(super) fn discovery_bytes(&mut self) -> &[u8] {
        let missing = self.client.awaited_payload();
        let announcement = announcement(self.id, &self.settings, self.start.as_ref());
        let chunk = &mut self.discovery.chunk;
        chunk.next(&announcement, missing);
        chunk.bytes()
    }

    /// So many of them went out.
    pub(super) fn discovery_sent(&mut self, len: usize) {
        let len = self.discovery.chunk.sent(len);
        self.client.streamed(len, self.now);
        if self.client.awaited_payload() > 0 {
            return;
        }
        if core::mem::take(&mut self.discovery.with_states) {
            self.unsent.status = true;
            self.unsent.led = true;
            self.unsent.info = true;
        }
        // What came up meanwhile had to wait.
        self.send();
    }

    /// Returns whether the message with that identifier was one of these.
    pub(super) fn discovery_acknowledged(&mut self, id: PacketId, reason: ReasonCode) -> bool {
        let removal = &mut self.discovery.removal;
        if removal.take_if(|removal| *removal == id).is_none() {
            return false;
        }
        if reason.is_error() {
            self.refused(reason, false);
        } else {
            self.discovery_removed();
        }
        true
    }

    /// All settings are forgotten, and so the board is none of Home Assistant's any more.
    pub(super) fn forget_discovery(&mut self) {
        self.discovery.forget = true;
        self.discovery.wanted = self.settings.home_assistant() != HomeAssistant::Off;
    }

    /// The announcement is taken back: nothing of it need be remembered.
    fn discovery_removed(&mut self) {
        if self.settings.home_assistant() == HomeAssistant::Leaving {
            for settings in [&mut self.settings, &mut self.upkeep.edited] {
                settings.reset(Key::HomeAssistant);
            }
            self.upkeep.to_store.insert(Key::HomeAssistant);
        }
    }
}

fn announcement<'a>(
    id: BoardId,
    settings: &'a Settings,
    start: Option<&Start>,
) -> Announcement<'a> {
    Announcement {
        id,
        name: settings.name(),
        chip: start.map_or("", |start| start.chip),
        has_wifi: start.is_some_and(|start| start.has_wifi),
        double: !settings.double_press().is_zero(),
        hold: !settings.hold_press().is_zero(),
    }
}

/// How long Home Assistant needs at least before it listens.
const AGAIN_TIME: Duration = Duration::from_secs(1);
/// How much longer a board may wait, so that not all speak at once.
const AGAIN_SPREAD: Duration = Duration::from_secs(9);
