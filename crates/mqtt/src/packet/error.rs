//! What a peer can do wrong, and what our caller can.

use core::fmt;

use super::{PacketKind, ReasonCode};
use crate::InvalidTopic;

/// The peer sent bytes that are no MQTT, or that MQTT doesn't allow there.
///
/// The connection can't go on after that; [`Self::reason_code`] is what 5.0 tells the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// A variable byte integer of more than four bytes, or longer than needed in 5.0
    /// (`[MQTT-1.5.5-1]`).
    VariableByteInteger,
    /// The packet is larger than the receiver accepts.
    PacketTooLarge {
        /// Bytes of the whole packet.
        size: usize,
        /// Bytes accepted.
        limit: usize,
    },
    /// A packet kind that doesn't exist in the version, by its number (0, or 15 in 3.1.1).
    UnknownKind(u8),
    /// The fixed header has other flags than the kind asks for (`[MQTT-2.2.2-2]`).
    HeaderFlags {
        /// The packet's kind.
        kind: PacketKind,
        /// The flags that came.
        flags: u8,
    },
    /// A length inside the packet goes beyond its end.
    Truncated,
    /// Bytes are left behind the packet's last field.
    TrailingBytes(PacketKind),
    /// A string is not well-formed UTF-8 (`[MQTT-1.5.3-1]`, in 5.0 `[MQTT-1.5.4-1]`).
    Utf8,
    /// A string contains U+0000 (`[MQTT-1.5.3-2]`, in 5.0 `[MQTT-1.5.4-2]`).
    NulInString,
    /// A packet identifier is 0 (`[MQTT-2.3.1-1]`, in 5.0 `[MQTT-2.2.1-3]`).
    ZeroPacketId,
    /// CONNECT names another protocol than `MQTT` (`[MQTT-3.1.2-1]`).
    ProtocolName,
    /// CONNECT asks for a version that is not spoken here (`[MQTT-3.1.2-2]`).
    UnsupportedVersion(u8),
    /// CONNECT's flags contradict each other or use a reserved bit (`[MQTT-3.1.2-3]` and others).
    ConnectFlags(u8),
    /// CONNACK's flags use a reserved bit, or a refusal says that a session is present
    /// (`[MQTT-3.2.2-4]`; in 5.0 `[MQTT-3.2.2-6]`).
    ConnAckFlags(u8),
    /// QoS 3 (`[MQTT-3.3.1-4]`), in a PUBLISH or a will.
    QoS,
    /// DUP is set on a message of QoS 0 (`[MQTT-3.3.1-2]`).
    DupWithoutId,
    /// A topic name is not valid.
    TopicName(InvalidTopic),
    /// A topic filter is not valid.
    TopicFilter(InvalidTopic),
    /// A PUBLISH has neither a topic nor an alias.
    NoTopic,
    /// A SUBSCRIBE, UNSUBSCRIBE or its answer lists nothing (`[MQTT-3.8.3-3]`,
    /// `[MQTT-3.10.3-2]`).
    EmptyList(PacketKind),
    /// A subscription's options use a reserved bit or value (`[MQTT-3.8.3-5]`, in 3.1.1
    /// `[MQTT-3-8.3-4]`), or No Local on a shared subscription (`[MQTT-3.8.3-4]`).
    SubscriptionOptions(u8),
    /// A reason code or return code that the packet can't carry.
    ReasonCode {
        /// The packet's kind.
        kind: PacketKind,
        /// The code that came.
        value: u8,
    },
    /// A property identifier that doesn't exist.
    UnknownProperty(u8),
    /// A property that the packet can't have.
    MisplacedProperty(u8),
    /// A property twice that may be there once.
    RepeatedProperty(u8),
    /// A property's value is outside its range.
    PropertyValue(u8),
    /// A property is absent that the packet's content asks for.
    MissingProperty(u8),
}

impl DecodeError {
    /// The reason code with which 5.0 answers the error (section 4.13).
    pub const fn reason_code(self) -> ReasonCode {
        match self {
            Self::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::UnsupportedVersion(_) | Self::ProtocolName => {
                ReasonCode::UnsupportedProtocolVersion
            }
            Self::TopicName(_) => ReasonCode::TopicNameInvalid,
            Self::TopicFilter(_) => ReasonCode::TopicFilterInvalid,
            // Section 3.3.4.
            Self::PropertyValue(TOPIC_ALIAS) => ReasonCode::TopicAliasInvalid,
            // Section 3.8.3.1: malformed are the reserved bits alone.
            Self::SubscriptionOptions(options) if options & 0b1100_0000 == 0 => {
                ReasonCode::ProtocolError
            }
            Self::NoTopic
            | Self::EmptyList(_)
            | Self::RepeatedProperty(_)
            | Self::PropertyValue(_)
            | Self::MissingProperty(_)
            | Self::ReasonCode { .. } => ReasonCode::ProtocolError,
            _ => ReasonCode::MalformedPacket,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::VariableByteInteger => f.write_str("a variable byte integer is too long"),
            Self::PacketTooLarge { size, limit } => {
                write!(f, "a packet has {size} bytes, {limit} are accepted")
            }
            Self::UnknownKind(kind) => write!(f, "packet kind {kind} does not exist"),
            Self::HeaderFlags { kind, flags } => write!(f, "{kind} with header flags {flags:#06b}"),
            Self::Truncated => f.write_str("a length goes beyond the packet's end"),
            Self::TrailingBytes(kind) => write!(f, "bytes are left behind the end of a {kind}"),
            Self::Utf8 => f.write_str("a string is not UTF-8"),
            Self::NulInString => f.write_str("a string contains U+0000"),
            Self::ZeroPacketId => f.write_str("a packet identifier is 0"),
            Self::ProtocolName => f.write_str("the protocol's name is not `MQTT`"),
            Self::UnsupportedVersion(level) => {
                write!(f, "protocol version {level} is not supported, 4 and 5 are")
            }
            Self::ConnectFlags(flags) => write!(f, "CONNECT with flags {flags:#010b}"),
            Self::ConnAckFlags(flags) => write!(f, "CONNACK with flags {flags:#010b}"),
            Self::QoS => f.write_str("QoS 3 does not exist"),
            Self::DupWithoutId => f.write_str("DUP on a message of QoS 0"),
            Self::TopicName(error) | Self::TopicFilter(error) => error.fmt(f),
            Self::NoTopic => f.write_str("a PUBLISH without topic and topic alias"),
            Self::EmptyList(kind) => write!(f, "a {kind} lists nothing"),
            Self::SubscriptionOptions(options) => {
                write!(f, "subscription options {options:#010b} do not exist")
            }
            Self::ReasonCode { kind, value } => write!(f, "{kind} with reason code {value:#04x}"),
            Self::UnknownProperty(id) => write!(f, "property {id:#04x} does not exist"),
            Self::MisplacedProperty(id) => write!(f, "property {id:#04x} is not allowed there"),
            Self::RepeatedProperty(id) => write!(f, "property {id:#04x} is there twice"),
            Self::PropertyValue(id) => write!(f, "property {id:#04x} has a value out of range"),
            Self::MissingProperty(id) => write!(f, "property {id:#04x} is missing"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// The caller asked for a packet that can't be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is too small for the packet.
    BufferTooSmall {
        /// Bytes of the whole packet.
        needed: usize,
        /// Bytes of the buffer.
        available: usize,
    },
    /// A string, binary data or the whole packet is too long.
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// Bytes that the protocol allows.
        limit: usize,
    },
    /// A string contains U+0000.
    NulInString,
    /// A property that the packet can't have, has twice, or whose value is out of range; or one
    /// is absent that the packet must have.
    Property,
    /// A reason code that the packet can't carry.
    ReasonCode(ReasonCode),
    /// A SUBSCRIBE, UNSUBSCRIBE or its answer with an empty list.
    EmptyList,
    /// 3.1.1 knows no password without a user name (`[MQTT-3.1.2-22]`).
    PasswordWithoutUserName,
    /// No Local on a shared subscription (`[MQTT-3.8.3-4]`).
    NoLocalOnShared,
    /// A PUBLISH without topic needs a topic alias and 5.0.
    NoTopic,
    /// 3.1.1 knows no AUTH.
    NoAuth,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BufferTooSmall { needed, available } => {
                write!(f, "the packet has {needed} bytes, the buffer {available}")
            }
            Self::TooLong { length, limit } => {
                write!(f, "{length} bytes are too long, {limit} are allowed")
            }
            Self::NulInString => f.write_str("a string contains U+0000"),
            Self::Property => f.write_str("a property is not allowed there, or is missing"),
            Self::ReasonCode(code) => write!(f, "the packet can't carry the reason code `{code}`"),
            Self::EmptyList => f.write_str("the packet lists nothing"),
            Self::PasswordWithoutUserName => {
                f.write_str("MQTT 3.1.1 has no password without a user name")
            }
            Self::NoLocalOnShared => f.write_str("a shared subscription can't have No Local"),
            Self::NoTopic => f.write_str("a PUBLISH needs a topic, or in 5.0 a topic alias"),
            Self::NoAuth => f.write_str("MQTT 3.1.1 has no AUTH"),
        }
    }
}

impl core::error::Error for EncodeError {}

const TOPIC_ALIAS: u8 = 0x23;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{FixedHeader, Packet, ProtocolVersion};

    fn answer(packet: &[u8]) -> ReasonCode {
        let header = FixedHeader::decode(packet)
            .expect("a valid fixed header")
            .expect("a whole fixed header");
        Packet::decode(ProtocolVersion::V5, header, &packet[header.len()..])
            .expect_err("a wrong packet")
            .reason_code()
    }

    #[test]
    fn a_topic_alias_of_zero_is_answered_with_its_own_reason_code() {
        let publish = [0x30, 7, 0, 1, b'a', 3, 0x23, 0, 0];
        assert_eq!(answer(&publish), ReasonCode::TopicAliasInvalid);
    }

    #[test]
    fn reserved_subscription_options_are_malformed_and_reserved_values_a_protocol_error() {
        for (options, reason) in [
            (0b0000_0011, ReasonCode::ProtocolError),
            (0b0011_0000, ReasonCode::ProtocolError),
            (0b0100_0000, ReasonCode::MalformedPacket),
            (0b1000_0011, ReasonCode::MalformedPacket),
        ] {
            let subscribe = [0x82, 7, 0, 1, 0, 0, 1, b'a', options];
            assert_eq!(answer(&subscribe), reason, "{options:#010b}");
        }
        let no_local_on_shared = b"\x82\x10\x00\x01\x00\x00\x0a$share/g/a\x04";
        assert_eq!(answer(no_local_on_shared), ReasonCode::ProtocolError);
    }
}
