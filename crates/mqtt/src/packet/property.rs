//! Properties of 5.0 (section 2.2.2).

use core::num::{NonZeroU16, NonZeroU32};

use super::items::{Item, Items, private::Wire};
use super::wire::{Reader, Writer};
use super::{DecodeError, EncodeError, PacketKind, ProtocolVersion, QoS};
use crate::TopicName;

/// The properties of a packet or of a will; always empty in 3.1.1.
pub type Properties<'a> = Items<'a, Property<'a>>;

/// Where properties stand: in a packet, or in a CONNECT's will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropertyPlace {
    /// The packet's own properties.
    Packet(PacketKind),
    /// The will's properties inside a CONNECT (section 3.1.3.2).
    Will,
}

macro_rules! properties {
    ($($(#[$doc:meta])* $id:literal $name:ident($type:ty) $getter:ident
        = $read:ident, $write:ident, [$($kind:ident)*] $(will $will:literal)?;)*) => {
        /// One property. Values that the specification forbids can't be made.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Property<'a> {
            $($(#[$doc])* $name($type),)*
        }

        impl<'a> Property<'a> {
            /// The property's identifier (table 2-4).
            pub const fn id(&self) -> u8 {
                match self {
                    $(Self::$name(_) => $id,)*
                }
            }

            /// Places that may have the property: a bit for each packet, bit 0 for the will.
            const fn places(&self) -> u16 {
                match self {
                    $(Self::$name(_) => 0 $(| 1 << PacketKind::$kind as u16)* $(| $will)?,)*
                }
            }
        }

        impl<'a> Wire<'a> for Property<'a> {
            fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
                // The identifier is a variable byte integer, but all that exist have one byte.
                Ok(match reader.u8()? {
                    $($id => Self::$name(value::$read(reader, $id)?),)*
                    id => return Err(DecodeError::UnknownProperty(id)),
                })
            }

            fn write(&self, writer: &mut Writer<'_>) {
                writer.u8(self.id());
                match *self {
                    $(Self::$name(value) => value::$write(writer, value),)*
                }
            }
        }

        impl<'a> Properties<'a> {
            $($(#[$doc])*
            ///
            /// The first one, where there are several; `None` where the property is absent.
            #[inline]
            pub fn $getter(self) -> Option<$type> {
                match self.first($id)? {
                    Property::$name(value) => Some(value),
                    _ => None,
                }
            })*
        }
    };
}

properties! {
    /// Whether the payload is UTF-8 text.
    0x01 PayloadFormatIndicator(bool) payload_format_indicator = bool, put_bool, [Publish] will 1;
    /// Lifetime of the message in seconds.
    0x02 MessageExpiryInterval(u32) message_expiry_interval = u32, put_u32, [Publish] will 1;
    /// What the payload is, a MIME type for example.
    0x03 ContentType(&'a str) content_type = string, put_string, [Publish] will 1;
    /// Where an answer is expected.
    0x08 ResponseTopic(TopicName<'a>) response_topic = topic, put_topic, [Publish] will 1;
    /// What ties an answer to its request.
    0x09 CorrelationData(&'a [u8]) correlation_data = binary, put_binary, [Publish] will 1;
    /// The number the subscriber gave to the subscription, 1 to 268,435,455.
    0x0b SubscriptionIdentifier(SubscriptionId) subscription_identifier
        = subscription_id, put_subscription_id, [Publish Subscribe];
    /// Seconds that the session lasts after the connection; `u32::MAX` for ever.
    0x11 SessionExpiryInterval(u32) session_expiry_interval
        = u32, put_u32, [Connect ConnAck Disconnect];
    /// The client identifier that the server chose.
    0x12 AssignedClientIdentifier(&'a str) assigned_client_identifier
        = string, put_string, [ConnAck];
    /// The keep-alive in seconds that the server wants instead of the client's.
    0x13 ServerKeepAlive(u16) server_keep_alive = u16, put_u16, [ConnAck];
    /// Name of the method of an enhanced authentication.
    0x15 AuthenticationMethod(&'a str) authentication_method
        = string, put_string, [Connect ConnAck Auth];
    /// Data of an enhanced authentication.
    0x16 AuthenticationData(&'a [u8]) authentication_data
        = binary, put_binary, [Connect ConnAck Auth];
    /// Whether the server may send reason strings and user properties with failures.
    0x17 RequestProblemInformation(bool) request_problem_information = bool, put_bool, [Connect];
    /// Seconds from the connection's end to the will's publication.
    0x18 WillDelayInterval(u32) will_delay_interval = u32, put_u32, [] will 1;
    /// Whether the client asks for response information.
    0x19 RequestResponseInformation(bool) request_response_information = bool, put_bool, [Connect];
    /// What response topics may be made from.
    0x1a ResponseInformation(&'a str) response_information = string, put_string, [ConnAck];
    /// Another server to use.
    0x1c ServerReference(&'a str) server_reference = string, put_string, [ConnAck Disconnect];
    /// The reason in words, for people.
    0x1f ReasonString(&'a str) reason_string = string, put_string,
        [ConnAck PubAck PubRec PubRel PubComp SubAck UnsubAck Disconnect Auth];
    /// How many publishes of QoS 1 and 2 the sender takes without having acknowledged them.
    0x21 ReceiveMaximum(NonZeroU16) receive_maximum = nonzero_u16, put_nonzero_u16,
        [Connect ConnAck];
    /// Highest topic alias that the sender accepts; 0 for none.
    0x22 TopicAliasMaximum(u16) topic_alias_maximum = u16, put_u16, [Connect ConnAck];
    /// The number that stands for the topic.
    0x23 TopicAlias(NonZeroU16) topic_alias = nonzero_u16, put_nonzero_u16, [Publish];
    /// Highest QoS that the server supports: 0 or 1.
    0x24 MaximumQoS(QoS) maximum_qos = maximum_qos, put_qos, [ConnAck];
    /// Whether the server keeps retained messages.
    0x25 RetainAvailable(bool) retain_available = bool, put_bool, [ConnAck];
    /// A name and a value that mean something to the application.
    0x26 UserProperty((&'a str, &'a str)) user_property = string_pair, put_string_pair,
        [Connect ConnAck Publish PubAck PubRec PubRel PubComp Subscribe SubAck Unsubscribe
         UnsubAck Disconnect Auth] will 1;
    /// Largest packet in bytes that the sender accepts.
    0x27 MaximumPacketSize(NonZeroU32) maximum_packet_size = nonzero_u32, put_nonzero_u32,
        [Connect ConnAck];
    /// Whether the server supports wildcards in subscriptions.
    0x28 WildcardSubscriptionAvailable(bool) wildcard_subscription_available
        = bool, put_bool, [ConnAck];
    /// Whether the server supports subscription identifiers.
    0x29 SubscriptionIdentifierAvailable(bool) subscription_identifier_available
        = bool, put_bool, [ConnAck];
    /// Whether the server supports shared subscriptions.
    0x2a SharedSubscriptionAvailable(bool) shared_subscription_available
        = bool, put_bool, [ConnAck];
}

impl Property<'_> {
    /// Whether the property may stand in `place` (table 2-4).
    pub const fn is_allowed_in(&self, place: PropertyPlace) -> bool {
        let bit = match place {
            PropertyPlace::Packet(kind) => 1 << kind as u16,
            PropertyPlace::Will => 1,
        };
        self.places() & bit != 0
    }

    /// Whether `place` may hold the property more than once.
    const fn may_repeat(&self, place: PropertyPlace) -> bool {
        match self {
            Self::UserProperty(_) => true,
            Self::SubscriptionIdentifier(_) => {
                matches!(place, PropertyPlace::Packet(PacketKind::Publish))
            }
            _ => false,
        }
    }
}

impl<'a> Item<'a> for Property<'a> {}

impl<'a> Properties<'a> {
    /// The first property with that identifier.
    fn first(self, id: u8) -> Option<Property<'a>> {
        self.iter().find(|property| property.id() == id)
    }

    /// All user properties in order.
    pub fn user_properties(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.iter().filter_map(|property| match property {
            Property::UserProperty(pair) => Some(pair),
            _ => None,
        })
    }

    /// All subscription identifiers of a PUBLISH in order.
    pub fn subscription_identifiers(self) -> impl Iterator<Item = SubscriptionId> {
        self.iter().filter_map(|property| match property {
            Property::SubscriptionIdentifier(id) => Some(id),
            _ => None,
        })
    }

    /// Checks that authentication data come with the method that says what they are.
    pub(super) fn check_authentication(self) -> Result<(), DecodeError> {
        if self.authentication_data().is_some() {
            self.require_authentication_method()
        } else {
            Ok(())
        }
    }

    /// Checks that there is an authentication method.
    pub(super) fn require_authentication_method(self) -> Result<(), DecodeError> {
        match self.authentication_method() {
            Some(_) => Ok(()),
            None => Err(DecodeError::MissingProperty(AUTHENTICATION_METHOD)),
        }
    }

    /// Reads the properties that a packet of `version` has; 3.1.1 has none.
    pub(super) fn read_in(
        version: ProtocolVersion,
        reader: &mut Reader<'a>,
        place: PropertyPlace,
    ) -> Result<Self, DecodeError> {
        match version {
            ProtocolVersion::V3_1_1 => Ok(Self::EMPTY),
            ProtocolVersion::V5 => Self::read(reader, place),
        }
    }

    /// Reads a property length and that many bytes of properties.
    pub(super) fn read(reader: &mut Reader<'a>, place: PropertyPlace) -> Result<Self, DecodeError> {
        let bytes = reader.section()?;
        if bytes.is_empty() {
            return Ok(Self::EMPTY);
        }
        let mut seen = Seen::default();
        Self::decode(bytes, |property| seen.check(&property, place))
    }

    /// Writes a property length and the properties.
    pub(super) fn write_section(self, writer: &mut Writer<'_>, place: PropertyPlace) {
        self.write_section_with(Self::EMPTY, writer, place);
    }

    /// Writes a property length, the properties of `added`, and the properties.
    pub(super) fn write_section_with(
        self,
        added: Properties<'_>,
        writer: &mut Writer<'_>,
        place: PropertyPlace,
    ) {
        // Received properties are checked too: they may come from another place, as a will's do
        // when it is published.
        let mut seen = Seen::default();
        let mut all = added.iter().chain(self.iter());
        if all.any(|property| seen.check(&property, place).is_err()) {
            writer.fail(EncodeError::Property);
        }
        let len = added.encoded_len() + self.encoded_len();
        writer.varint(u32::try_from(len).unwrap_or(u32::MAX));
        added.write(writer);
        self.write(writer);
    }
}

/// A subscription identifier, 1 to 268,435,455 (section 3.8.2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(NonZeroU32);

impl SubscriptionId {
    /// `id` as a subscription identifier; `None` when it is 0 or above 268,435,455.
    pub const fn new(id: u32) -> Option<Self> {
        match NonZeroU32::new(id) {
            Some(id) if id.get() <= super::wire::MAX_VARINT => Some(Self(id)),
            _ => None,
        }
    }

    /// The identifier as a number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// Which identifiers a section has had so far.
#[derive(Default)]
struct Seen(u64);

impl Seen {
    fn check(&mut self, property: &Property<'_>, place: PropertyPlace) -> Result<(), DecodeError> {
        let id = property.id();
        if !property.is_allowed_in(place) {
            return Err(DecodeError::MisplacedProperty(id));
        }
        let bit = 1 << id;
        if self.0 & bit != 0 && !property.may_repeat(place) {
            return Err(DecodeError::RepeatedProperty(id));
        }
        self.0 |= bit;
        Ok(())
    }
}

/// How each type of value is read and written.
mod value {
    use super::{
        DecodeError, NonZeroU16, NonZeroU32, QoS, Reader, SubscriptionId, TopicName, Writer,
    };

    type Read<T> = Result<T, DecodeError>;

    pub(super) fn bool(reader: &mut Reader<'_>, id: u8) -> Read<bool> {
        match reader.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::PropertyValue(id)),
        }
    }

    pub(super) fn u16(reader: &mut Reader<'_>, _: u8) -> Read<u16> {
        reader.u16()
    }

    pub(super) fn u32(reader: &mut Reader<'_>, _: u8) -> Read<u32> {
        reader.u32()
    }

    pub(super) fn nonzero_u16(reader: &mut Reader<'_>, id: u8) -> Read<NonZeroU16> {
        NonZeroU16::new(reader.u16()?).ok_or(DecodeError::PropertyValue(id))
    }

    pub(super) fn nonzero_u32(reader: &mut Reader<'_>, id: u8) -> Read<NonZeroU32> {
        NonZeroU32::new(reader.u32()?).ok_or(DecodeError::PropertyValue(id))
    }

    pub(super) fn subscription_id(reader: &mut Reader<'_>, id: u8) -> Read<SubscriptionId> {
        SubscriptionId::new(reader.varint()?).ok_or(DecodeError::PropertyValue(id))
    }

    pub(super) fn maximum_qos(reader: &mut Reader<'_>, id: u8) -> Read<QoS> {
        match reader.u8()? {
            0 => Ok(QoS::AtMostOnce),
            1 => Ok(QoS::AtLeastOnce),
            _ => Err(DecodeError::PropertyValue(id)),
        }
    }

    pub(super) fn string<'a>(reader: &mut Reader<'a>, _: u8) -> Read<&'a str> {
        reader.string()
    }

    pub(super) fn string_pair<'a>(reader: &mut Reader<'a>, _: u8) -> Read<(&'a str, &'a str)> {
        Ok((reader.string()?, reader.string()?))
    }

    pub(super) fn topic<'a>(reader: &mut Reader<'a>, _: u8) -> Read<TopicName<'a>> {
        TopicName::new(reader.string()?).map_err(DecodeError::TopicName)
    }

    pub(super) fn binary<'a>(reader: &mut Reader<'a>, _: u8) -> Read<&'a [u8]> {
        reader.binary()
    }

    pub(super) fn put_bool(writer: &mut Writer<'_>, value: bool) {
        writer.u8(u8::from(value));
    }

    pub(super) fn put_u16(writer: &mut Writer<'_>, value: u16) {
        writer.u16(value);
    }

    pub(super) fn put_u32(writer: &mut Writer<'_>, value: u32) {
        writer.u32(value);
    }

    pub(super) fn put_nonzero_u16(writer: &mut Writer<'_>, value: NonZeroU16) {
        writer.u16(value.get());
    }

    pub(super) fn put_nonzero_u32(writer: &mut Writer<'_>, value: NonZeroU32) {
        writer.u32(value.get());
    }

    pub(super) fn put_subscription_id(writer: &mut Writer<'_>, value: SubscriptionId) {
        writer.varint(value.get());
    }

    pub(super) fn put_qos(writer: &mut Writer<'_>, value: QoS) {
        // Saying that QoS 2 is supported means leaving the property out.
        if value == QoS::ExactlyOnce {
            writer.fail(super::EncodeError::Property);
        }
        writer.u8(value as u8);
    }

    pub(super) fn put_string(writer: &mut Writer<'_>, value: &str) {
        writer.string(value);
    }

    pub(super) fn put_string_pair(writer: &mut Writer<'_>, (name, value): (&str, &str)) {
        writer.string(name);
        writer.string(value);
    }

    pub(super) fn put_topic(writer: &mut Writer<'_>, value: TopicName<'_>) {
        writer.string(value.as_str());
    }

    pub(super) fn put_binary(writer: &mut Writer<'_>, value: &[u8]) {
        writer.binary(value);
    }
}

const AUTHENTICATION_METHOD: u8 = 0x15;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{FixedHeader, Packet, ProtocolVersion, Publish};

    #[test]
    fn received_properties_are_not_sent_where_they_may_not_stand() {
        // A will with a delay of 1 s, topic `a` and no payload.
        let connect = b"\x10\x18\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x00\x05\x18\x00\x00\x00\x01\x00\x01a\x00\x00";
        let header = FixedHeader::decode(connect)
            .expect("a valid fixed header")
            .expect("a whole fixed header");
        let Ok(Packet::Connect(connect)) =
            Packet::decode(ProtocolVersion::V5, header, &connect[header.len()..])
        else {
            panic!("a valid CONNECT");
        };
        let will = connect.will.expect("a will");
        assert_eq!(will.properties.will_delay_interval(), Some(1));

        let mut publish = Publish::new(will.topic, will.payload);
        publish.properties = will.properties;
        assert_eq!(
            publish.encode(ProtocolVersion::V5, &mut [0; 32]),
            Err(EncodeError::Property)
        );
    }
}
