//! Wills: what is published for a client that was lost.

use std::time::Duration;

use declic_mqtt::packet::{self, Properties};
use declic_mqtt::{Instant, QoS};

use super::Engine;
use super::messages::MessageRef;
use super::publish::{Outgoing, forwarded};

#[derive(Debug)]
pub(super) struct Will {
    pub(super) message: MessageRef,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Seconds from the connection's end to the publication.
    pub(super) delay: u32,
    /// Lifetime of the message in seconds, from the publication on.
    pub(super) expiry: Option<u32>,
}

impl Engine {
    pub(super) fn store_will(&mut self, session: u32, will: &packet::Will<'_>) {
        let properties: Properties<'_> = will.properties;
        let message = self.messages.insert(
            will.topic.as_str(),
            forwarded(properties),
            will.payload,
            None,
        );
        self.sessions[session as usize].will = Some(Box::new(Will {
            message,
            qos: will.qos,
            retain: will.retain,
            delay: properties.will_delay_interval().unwrap_or(0),
            expiry: properties.message_expiry_interval(),
        }));
    }

    /// Publishes the session's will, if it has one.
    pub(super) fn publish_will(&mut self, session: u32, now: Instant) {
        let Some(will) = self.sessions[session as usize].will.take() else {
            return;
        };
        if let Some(journal) = &mut self.journal {
            journal.record_changed(session);
        }
        let topic = self.messages.get(&will.message).topic();
        let may_write = self.rights.is_none() || self.may_write(session, topic);
        // A store may have one from a time when it was taken.
        if !may_write || self.refusal(topic).is_some() {
            self.stats.refused_publishes += 1;
            return self.messages.release(will.message);
        }
        let expires = will
            .expiry
            .map(|expiry| now + Duration::from_secs(u64::from(expiry)));
        self.messages.set_expires(&will.message, expires);
        let outgoing = Outgoing {
            qos: will.qos,
            retain: will.retain,
            from: Some(session),
        };
        self.publish_message(will.message, outgoing);
    }
}
