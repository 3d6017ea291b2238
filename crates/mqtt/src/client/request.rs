//! What the owner wants sent: PUBLISH, SUBSCRIBE, UNSUBSCRIBE.

use super::{Client, Phase, RequestError, Stage};
use crate::TopicName;
use crate::packet::{
    Delivery, EncodeError, Items, PacketId, Properties, Property, Publish, QoS, Subscribe,
    Subscription, Unsubscribe,
};
use crate::topic::TopicFilter;

/// A message to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Where to.
    pub topic: TopicName<'a>,
    /// What it says: any bytes.
    pub payload: &'a [u8],
    /// How surely it is delivered.
    pub qos: QoS,
    /// Whether the server keeps it for later subscribers.
    pub retain: bool,
    /// Properties; left out on a connection of 3.1.1. No topic alias, which would not outlive the
    /// connection, and no subscription identifier, which only a server sends.
    pub properties: Properties<'a>,
}

impl<'a> Message<'a> {
    /// A message of QoS 0, not retained, without properties.
    pub const fn new(topic: TopicName<'a>, payload: &'a [u8]) -> Self {
        Self {
            topic,
            payload,
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Properties::EMPTY,
        }
    }

    const fn publish(&self, id: PacketId) -> Publish<'a> {
        Publish {
            dup: false,
            delivery: Delivery::new(self.qos, id),
            retain: self.retain,
            topic: Some(self.topic),
            properties: self.properties,
            payload: self.payload,
        }
    }
}

impl Client<'_> {
    /// Publishes `message` and returns its packet identifier, which [`Event::Acknowledged`] or
    /// [`Event::Dropped`] will name; `None` for QoS 0. Without a connection it waits for the next
    /// one.
    ///
    /// # Errors
    /// [`RequestError::Full`] while too much waits; the others say what is wrong with the message.
    ///
    /// [`Event::Acknowledged`]: super::Event::Acknowledged
    /// [`Event::Dropped`]: super::Event::Dropped
    pub fn publish(&mut self, message: &Message<'_>) -> Result<Option<PacketId>, RequestError> {
        let publish = self.prepare(message)?;
        let version = self.outbox.version();
        let len = length(publish.encode(version, &mut []))?;
        self.check_size(len, len, message)?;
        let space = self.outbox.append(len).ok_or(RequestError::Full)?;
        publish.encode(version, space)?;
        Ok(self.track(message.qos))
    }

    /// Begins a message whose payload of `payload_len` bytes the owner sends on the transport
    /// itself, when [`Self::awaited_payload`] says so. `message.payload` is not looked at.
    ///
    /// Nothing of it is kept: if the connection ends before it is acknowledged,
    /// [`Event::Dropped`](super::Event::Dropped) names it. Until its payload is sent, no other
    /// message can be published.
    ///
    /// # Errors
    /// As [`Self::publish`], and [`RequestError::NotConnected`] without a connection.
    pub fn publish_streamed(
        &mut self,
        message: &Message<'_>,
        payload_len: usize,
    ) -> Result<Option<PacketId>, RequestError> {
        if self.phase != Phase::Connected {
            return Err(RequestError::NotConnected);
        }
        let publish = self.prepare(message)?;
        let version = self.outbox.version();
        let len = length(publish.encode_header(version, payload_len, &mut []))?;
        self.check_size(len, len.saturating_add(payload_len), message)?;
        let space = self
            .outbox
            .append_stream(len, payload_len)
            .ok_or(RequestError::Full)?;
        publish.encode_header(version, payload_len, space)?;
        Ok(self.track(message.qos))
    }

    /// Asks for the messages of `subscriptions`; returns the identifier that
    /// [`Event::Subscribed`](super::Event::Subscribed) will name. Options that 3.1.1 doesn't have
    /// are left out there.
    ///
    /// # Errors
    /// [`RequestError::NotConnected`] without a connection; [`RequestError::Full`] while too much
    /// waits; the others say what is wrong with the request.
    pub fn subscribe(
        &mut self,
        subscriptions: &[Subscription<'_>],
        properties: Properties<'_>,
    ) -> Result<PacketId, RequestError> {
        let packet = Subscribe {
            packet_id: self.in_flight.next_id(),
            properties,
            subscriptions: Items::new(subscriptions),
        };
        let version = self.version;
        self.request(Stage::SubAck, |buffer| packet.encode(version, buffer))
    }

    /// Asks for no more messages of `filters`; returns the identifier that
    /// [`Event::Unsubscribed`](super::Event::Unsubscribed) will name.
    ///
    /// # Errors
    /// As [`Self::subscribe`].
    pub fn unsubscribe(
        &mut self,
        filters: &[TopicFilter<'_>],
        properties: Properties<'_>,
    ) -> Result<PacketId, RequestError> {
        let packet = Unsubscribe {
            packet_id: self.in_flight.next_id(),
            properties,
            filters: Items::new(filters),
        };
        let version = self.version;
        self.request(Stage::UnsubAck, |buffer| packet.encode(version, buffer))
    }

    fn request(
        &mut self,
        stage: Stage,
        encode: impl Fn(&mut [u8]) -> Result<usize, EncodeError>,
    ) -> Result<PacketId, RequestError> {
        if self.phase != Phase::Connected {
            return Err(RequestError::NotConnected);
        }
        if self.in_flight.is_full() {
            return Err(RequestError::Full);
        }
        let len = length(encode(&mut []))?;
        self.check_limit(
            len,
            self.outbox.capacity().min(self.limits.maximum_packet_size),
        )?;
        let space = self.outbox.append(len).ok_or(RequestError::Full)?;
        encode(space)?;
        Ok(self.in_flight.insert(stage))
    }

    fn prepare<'a>(&self, message: &Message<'a>) -> Result<Publish<'a>, RequestError> {
        if message.qos > QoS::AtMostOnce && self.in_flight.is_full() {
            return Err(RequestError::Full);
        }
        // v5 `[MQTT-3.3.2-9]`, `[MQTT-3.3.4-6]`.
        let is_wrong = |property| {
            matches!(
                property,
                Property::TopicAlias(_) | Property::SubscriptionIdentifier(_)
            )
        };
        if message.properties.iter().any(is_wrong) {
            return Err(EncodeError::Property.into());
        }
        Ok(message.publish(self.in_flight.next_id()))
    }

    /// Whether a PUBLISH fits: `len` bytes of it in the outbox, `packet_len` at the server.
    fn check_size(
        &self,
        len: usize,
        packet_len: usize,
        message: &Message<'_>,
    ) -> Result<(), RequestError> {
        self.check_limit(len, self.outbox.capacity())?;
        self.check_limit(packet_len, self.limits.maximum_packet_size)?;
        self.limits
            .check(packet_len, message.qos, message.retain)
            .map_err(RequestError::NotSupported)
    }

    fn check_limit(&self, size: usize, limit: usize) -> Result<(), RequestError> {
        if size > limit {
            Err(RequestError::TooLarge { size, limit })
        } else {
            Ok(())
        }
    }

    fn track(&mut self, qos: QoS) -> Option<PacketId> {
        match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(self.in_flight.insert(Stage::PubAck)),
            QoS::ExactlyOnce => Some(self.in_flight.insert(Stage::PubRec)),
        }
    }
}

/// The length that an attempt to encode into no space reports.
fn length(result: Result<usize, EncodeError>) -> Result<usize, EncodeError> {
    match result {
        Err(EncodeError::BufferTooSmall { needed, .. }) => Ok(needed),
        result => result,
    }
}
