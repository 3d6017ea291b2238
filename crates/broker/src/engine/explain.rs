//! Reasons in words, for whoever reads the log of a client: where the code alone does not say it.

use std::borrow::Cow;

use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Ack, ConnAck, Disconnect, Packet, Properties, Property, SubAck};

use super::{CloseReason, Engine};

impl Engine {
    /// Queues a packet that is no publish and tells of a failure, with the reason in words where
    /// the client wants it, and has room for it.
    pub(super) fn answer_explained(&mut self, slot: u32, why: Option<&str>, packet: Packet<'_>) {
        let property = why.map(Property::ReasonString);
        let explained = with_properties(packet, Properties::new(property.as_slice()));
        let answer = match self.may_explain(slot, &explained) {
            true => &explained,
            false => &packet,
        };
        match packet {
            // Refusals and the end promise nothing.
            Packet::ConnAck(_) | Packet::Disconnect(_) => self.answer(slot, answer),
            _ => self.answer_when_stored(slot, answer),
        }
    }

    /// v5 [MQTT-3.1.2-29], [MQTT-3.2.2-19], [MQTT-3.4.2-2], [MQTT-3.9.2-1], [MQTT-3.14.2-3]
    fn may_explain(&self, slot: u32, packet: &Packet<'_>) -> bool {
        let conn = &self.conns[slot];
        let length = packet.encoded_len(conn.version);
        conn.wants_reasons && length.is_ok_and(|length| length <= conn.packet_size as usize)
    }
}

/// The same packet with these properties, if it is one that tells of a failure.
fn with_properties<'a>(packet: Packet<'a>, properties: Properties<'a>) -> Packet<'a> {
    let ack = |ack| Ack { properties, ..ack };
    match packet {
        Packet::ConnAck(one) => Packet::ConnAck(ConnAck { properties, ..one }),
        Packet::PubAck(one) => Packet::PubAck(ack(one)),
        Packet::PubRec(one) => Packet::PubRec(ack(one)),
        Packet::SubAck(one) => Packet::SubAck(SubAck { properties, ..one }),
        Packet::Disconnect(one) => Packet::Disconnect(Disconnect { properties, ..one }),
        other => other,
    }
}

impl CloseReason {
    /// What a DISCONNECT says besides the code.
    pub(super) fn explanation(self) -> Option<Cow<'static, str>> {
        match self {
            Self::Malformed(error) => Some(error.to_string().into()),
            Self::Unexpected | Self::SlowConsumer | Self::StoreFailed => {
                Some(self.to_string().into())
            }
            Self::Protocol(ReasonCode::QuotaExceeded) => {
                Some("too many bytes of unfinished packets and topic aliases".into())
            }
            _ => None,
        }
    }
}

/// Why a publish was refused.
pub(super) const fn publish(reason: ReasonCode) -> Option<&'static str> {
    match reason {
        ReasonCode::NotAuthorized => Some("no right to publish to this topic"),
        ReasonCode::TopicNameInvalid => Some("the topic has too many levels"),
        ReasonCode::QuotaExceeded => Some("no room for this message at the broker"),
        _ => None,
    }
}

/// Why some subscriptions were refused.
pub(super) fn subscriptions(reasons: &[ReasonCode]) -> Option<&'static str> {
    [
        (
            ReasonCode::NotAuthorized,
            "no right to read anything that a filter matches",
        ),
        (
            ReasonCode::TopicFilterInvalid,
            "a filter has too many levels",
        ),
        (
            ReasonCode::QuotaExceeded,
            "no room for more subscriptions at the broker",
        ),
    ]
    .into_iter()
    .find(|(reason, _)| reasons.contains(reason))
    .map(|(_, why)| why)
}
