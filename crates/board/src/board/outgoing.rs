//! What the board tells the broker.

use core::fmt::{self, Write};

use declic_mqtt::client::{Message, RequestError, State};
use declic_mqtt::packet::{self, Properties};
use declic_mqtt::{PacketId, ProtocolVersion, QoS, ReasonCode};
use heapless::String;

use super::discovery::is_announced;
use super::sleeping::RETAINED_TIME;
use super::{Board, Filters, OFFLINE, ONLINE, Subscription};
use crate::discovery::{Escaped, HomeAssistantTopic};
use crate::id::Leaf;
use crate::settings::Topics;
use crate::{Notice, PressKind};

/// Whether the client took a message; if not, the board tries again later.
enum Sent {
    Taken(Option<PacketId>),
    /// It can never be sent; said with a notice.
    GivenUp,
    Later,
}

impl Board<'_> {
    /// Gives the client all that is unsent and that it takes now: the link's state first.
    pub(super) fn send(&mut self) {
        if self.client.state() != State::Connected || !self.is_connected() {
            return;
        }
        self.send_link();
        self.settle();
        if self.unsent.status {
            self.unsent.status = !self.publish_own(Leaf::Status, ONLINE, QoS::AtMostOnce, true);
        }
        self.subscribe();
        if self.unsent.led {
            let payload: &[u8] = if self.light() { b"ON" } else { b"OFF" };
            self.unsent.led = !self.publish_own(Leaf::Led, payload, QoS::AtMostOnce, true);
        }
        if self.unsent.info {
            let info = self.info();
            self.unsent.info =
                !self.publish_own(Leaf::Info, info.as_bytes(), QoS::AtMostOnce, true);
        }
        while let Some(later) = self.unsent.events.checked_sub(1) {
            let mut event = String::<72>::new();
            let count = self.count.wrapping_sub(later);
            let kind = PressKind::from_bits(self.unsent.kinds >> (2 * later)).as_str();
            let boot = self.boot;
            let _ = write!(
                event.as_mut_view(),
                r#"{{"event_type":"{kind}","count":{count},"boot":{boot}}}"#
            );
            // An event is never retained: it would be a press for everyone who comes later.
            if !self.publish_own(Leaf::Button, event.as_bytes(), self.settings.qos(), false) {
                break;
            }
            self.unsent.events = later;
        }
        self.send_discovery();
    }

    /// Says again how the board is doing, when it is time for it.
    pub(super) fn handle_info_timeout(&mut self) {
        if self.is_connected() && self.info_at.is_some_and(|at| at <= self.now) {
            self.info_at = self.settings.info_interval().map(|time| self.now + time);
            self.unsent.info = self.settings.topics() == Topics::All;
        }
    }

    /// Says `offline`, as the will would if the connection were lost.
    pub(super) fn send_offline(&mut self) {
        if self.settings.topics() != Topics::None {
            self.publish_own(Leaf::Status, OFFLINE, QoS::AtMostOnce, true);
        }
    }

    fn send_link(&mut self) {
        let (true, Some(on)) = (self.unsent.link && self.own.has_place(), self.state) else {
            return;
        };
        let message = Message {
            topic: self.link_topic.name(),
            payload: self.settings.payload(on).as_bytes(),
            qos: self.settings.qos().min(self.server.qos),
            retain: self.settings.retain() && self.server.retain,
            properties: Properties::EMPTY,
        };
        let result = self.client.publish(&message);
        match self.sent(result, false) {
            Sent::Later => {}
            Sent::GivenUp => self.unsent.link = false,
            Sent::Taken(id) => {
                self.unsent.link = false;
                self.forgotten_at = None;
                let echo = self.link.version() == ProtocolVersion::V3_1_1;
                self.own.sent(id, echo, self.now);
            }
        }
    }

    /// Waits for the link's state from a broker that may have lost it, if this board could tell it.
    pub(super) fn expect_memory(&mut self) {
        let can_tell = self.role().publishes()
            && self.settings.retain()
            && self.server.retain
            && self.state.is_some()
            && self.own.count() == 0;
        let is_suspect = !self.server.has_session && !self.unsent.link;
        self.forgotten_at = (is_suspect && can_tell).then(|| self.now + RETAINED_TIME);
    }

    /// The broker has told no state in time: it is told what this board knows.
    pub(super) fn handle_forgotten_timeout(&mut self) {
        let is_over = self.forgotten_at.take_if(|at| *at <= self.now).is_some();
        self.unsent.link |= is_over && self.is_connected();
    }

    /// Once nothing of its own is on the way, a board that heard another state meanwhile finds out
    /// which one is the last; see [`OwnMessages`](crate::own::OwnMessages).
    fn settle(&mut self) {
        if self.unsent.link {
            return;
        }
        let Some(missed) = self.own.poll_missed(self.now) else {
            return;
        };
        if self.state == Some(missed) || self.subscription != Subscription::Accepted {
            return;
        }
        if self.settings.retain() && self.server.retain {
            self.subscription = Subscription::Wanted(Filters::Link);
        } else if self.link.version() == ProtocolVersion::V3_1_1 {
            // Without a retained state the order of the messages decides, and with 3.1.1 the own
            // one is among those that arrive: if it is the last one, it comes after this one.
            self.follow(missed);
        }
    }

    fn subscribe(&mut self) {
        let Subscription::Wanted(filters) = self.subscription else {
            return;
        };
        let led_set = self.id.topic(Leaf::LedSet);
        let link = packet::Subscription {
            no_local: true,
            ..packet::Subscription::new(self.link_topic.filter(), self.settings.qos())
        };
        let led_set = packet::Subscription::new(led_set.filter(), QoS::AtLeastOnce);
        // Neither is worth anything later.
        let restart = self.id.topic(Leaf::Restart);
        let restart = packet::Subscription::new(restart.filter(), QoS::AtMostOnce);
        let started = HomeAssistantTopic::status(self.settings.home_assistant_prefix());
        let started = packet::Subscription::new(started.filter(), QoS::AtMostOnce);
        let list = [link, led_set, restart, started];
        let len = match filters {
            Filters::All if is_announced(&self.settings) => 4,
            Filters::All if self.settings.topics() == Topics::All => 2,
            Filters::All | Filters::Link => 1,
        };
        match self.client.subscribe(&list[..len], Properties::EMPTY) {
            Ok(id) => self.subscription = Subscription::Asked(id, filters),
            Err(RequestError::Full | RequestError::NotConnected) => {}
            Err(_) => {
                self.subscription = Subscription::Refused;
                self.notice(Notice::SubscribeRefused(ReasonCode::PacketTooLarge));
            }
        }
    }

    /// Publishes on one of the board's own topics. Returns false when it has to be done later.
    fn publish_own(&mut self, leaf: Leaf, payload: &[u8], qos: QoS, retain: bool) -> bool {
        let topic = self.id.topic(leaf);
        let message = Message {
            topic: topic.name(),
            payload,
            qos: qos.min(self.server.qos),
            retain: retain && self.server.retain,
            properties: Properties::EMPTY,
        };
        let result = self.client.publish(&message);
        !matches!(self.sent(result, leaf == Leaf::Button), Sent::Later)
    }

    fn sent(&mut self, result: Result<Option<PacketId>, RequestError>, is_event: bool) -> Sent {
        let reason = match result {
            Ok(id) => return Sent::Taken(id),
            Err(RequestError::Full | RequestError::NotConnected) => return Sent::Later,
            Err(RequestError::NotSupported(reason)) => reason,
            Err(RequestError::TooLarge { .. }) => ReasonCode::PacketTooLarge,
            Err(_) => ReasonCode::ImplementationSpecificError,
        };
        self.refused(reason, is_event);
        Sent::GivenUp
    }

    /// The payload of `declic/<id>/info`: what is not known is left out.
    fn info(&self) -> String<INFO_LEN> {
        let mut info = String::new();
        // The capacity holds the longest values.
        let _ = self.write_info(&mut info.as_mut_view());
        info
    }

    fn write_info(&self, out: &mut dyn Write) -> fmt::Result {
        write!(
            out,
            concat!(
                r#"{{"role":"{}","version":"{}","mqtt":"{}","uptime":{},"reconnects":{},"#,
                r#""presses":{},"dropped":{},"offline":{}"#
            ),
            self.role(),
            env!("CARGO_PKG_VERSION"),
            self.link.version(),
            self.uptime(),
            self.reconnects(),
            self.count,
            self.dropped_events,
            self.offline(),
        )?;
        if self.sleeps_after().is_some() {
            write!(out, r#","awake_ms":{}"#, self.awake_ms())?;
        }
        if let Some(address) = self.measured.address {
            write!(out, r#","address":"{address}""#)?;
        }
        if let Some(rssi) = self.measured.rssi {
            write!(out, r#","rssi":{rssi}"#)?;
        }
        if let Some(free) = self.measured.free_memory {
            write!(out, r#","free_memory":{free}"#)?;
        }
        if let Some(start) = self.start {
            write!(out, r#","chip":""#)?;
            write!(Escaped::new(out, 24), "{}", start.chip)?;
            if let Some(boots) = start.boots {
                write!(out, r#"","boots":{boots},"restart":""#)?;
            } else {
                out.write_str(r#"","restart":""#)?;
            }
            write!(Escaped::new(out, 112), "{}", start.reason)?;
            out.write_char('"')?;
        }
        out.write_char('}')
    }
}

const INFO_LEN: usize = 544;
