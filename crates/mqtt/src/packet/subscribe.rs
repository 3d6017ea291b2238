//! SUBSCRIBE (section 3.8).

use super::items::private::Wire;
use super::wire::{Reader, Writer};
use super::{
    DecodeError, EncodeError, Item, Items, PacketId, PacketKind, Properties, PropertyPlace,
    ProtocolVersion, QoS, encode,
};
use crate::TopicFilter;

/// A client asks for the messages of one or more filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// What the SUBACK will name.
    pub packet_id: PacketId,
    /// Properties (5.0).
    pub properties: Properties<'a>,
    /// The subscriptions, at least one.
    pub subscriptions: Items<'a, Subscription<'a>>,
}

impl<'a> Subscribe<'a> {
    /// Encodes the packet into the front of `buffer` and returns its length in bytes.
    ///
    /// # Errors
    /// [`EncodeError`] names the limit that the packet or the buffer breaks.
    pub fn encode(
        &self,
        version: ProtocolVersion,
        buffer: &mut [u8],
    ) -> Result<usize, EncodeError> {
        if self.subscriptions.is_empty() {
            return Err(EncodeError::EmptyList);
        }
        if self
            .subscriptions
            .iter()
            .any(|item| item.no_local && item.is_shared())
        {
            return Err(EncodeError::NoLocalOnShared);
        }
        encode(PacketKind::Subscribe, 0, buffer, |writer| {
            self.packet_id.write(writer);
            match version {
                ProtocolVersion::V3_1_1 => {
                    for item in self.subscriptions {
                        Subscription::new(item.filter, item.qos).write(writer);
                    }
                }
                ProtocolVersion::V5 => {
                    self.properties.write_section(writer, PLACE);
                    self.subscriptions.write(writer);
                }
            }
        })
    }

    pub(super) fn read(
        reader: &mut Reader<'a>,
        version: ProtocolVersion,
    ) -> Result<Self, DecodeError> {
        let packet_id = PacketId::read(reader)?;
        let properties = Properties::read_in(version, reader, PLACE)?;
        let subscriptions = Items::decode(reader.rest(), |item: Subscription<'_>| match version {
            // 3.1.1 has a QoS and six reserved bits (`[MQTT-3-8.3-4]`).
            ProtocolVersion::V3_1_1 if item.options() > QoS::ExactlyOnce as u8 => {
                Err(DecodeError::SubscriptionOptions(item.options()))
            }
            ProtocolVersion::V5 if item.no_local && item.is_shared() => {
                Err(DecodeError::SubscriptionOptions(item.options()))
            }
            _ => Ok(()),
        })?;
        if subscriptions.is_empty() {
            return Err(DecodeError::EmptyList(PacketKind::Subscribe));
        }
        Ok(Self {
            packet_id,
            properties,
            subscriptions,
        })
    }
}

/// One filter of a SUBSCRIBE with its options (section 3.8.3.1 of 5.0; 3.1.1 only has the QoS).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// Which messages.
    pub filter: TopicFilter<'a>,
    /// The highest QoS with which the server sends them.
    pub qos: QoS,
    /// Leave out what this client published itself.
    pub no_local: bool,
    /// Pass the retain flag on as it was published.
    pub retain_as_published: bool,
    /// What happens to the retained messages when the subscription is made.
    pub retain_handling: RetainHandling,
}

/// When retained messages are sent to a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum RetainHandling {
    /// At every SUBSCRIBE.
    #[default]
    OnSubscribe = 0,
    /// When the subscription did not exist yet.
    OnNewSubscription = 1,
    /// Never.
    Never = 2,
}

impl<'a> Subscription<'a> {
    /// A subscription with all other options as 3.1.1 has them.
    pub const fn new(filter: TopicFilter<'a>, qos: QoS) -> Self {
        Self {
            filter,
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::OnSubscribe,
        }
    }

    fn options(&self) -> u8 {
        self.qos as u8
            | u8::from(self.no_local) << 2
            | u8::from(self.retain_as_published) << 3
            | (self.retain_handling as u8) << 4
    }

    fn is_shared(&self) -> bool {
        self.filter.share_name().is_some()
    }
}

impl<'a> Item<'a> for Subscription<'a> {}

impl<'a> Wire<'a> for Subscription<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let filter = TopicFilter::read(reader)?;
        let options = reader.u8()?;
        let wrong = DecodeError::SubscriptionOptions(options);
        let retain_handling = match options >> 4 {
            0 => RetainHandling::OnSubscribe,
            1 => RetainHandling::OnNewSubscription,
            2 => RetainHandling::Never,
            _ => return Err(wrong),
        };
        let qos = QoS::from_u8(options & 0b11).ok_or(wrong)?;
        Ok(Self {
            filter,
            qos,
            no_local: options & 0b0100 != 0,
            retain_as_published: options & 0b1000 != 0,
            retain_handling,
        })
    }

    fn write(&self, writer: &mut Writer<'_>) {
        self.filter.write(writer);
        writer.u8(self.options());
    }
}

const PLACE: PropertyPlace = PropertyPlace::Packet(PacketKind::Subscribe);
