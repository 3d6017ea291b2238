//! Control packets of MQTT 3.1.1 and 5.0, side by side.
//!
//! Decoding borrows from the received bytes, encoding writes into a given buffer; nothing is
//! allocated and nothing panics, whatever the bytes.
//!
//! ```
//! use declic_mqtt::packet::{FixedHeader, Packet, ProtocolVersion};
//!
//! let received = [0x90, 3, 0, 1, 0];
//! let header = FixedHeader::decode(&received)?.expect("a whole fixed header");
//! let body = &received[header.len()..header.packet_len()];
//! let packet = Packet::decode(ProtocolVersion::V3_1_1, header, body)?;
//! assert!(matches!(packet, Packet::SubAck(_)));
//!
//! let mut buffer = [0; 16];
//! let len = packet.encode(ProtocolVersion::V3_1_1, &mut buffer)?;
//! assert_eq!(buffer[..len], received);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod error;
mod header;
mod items;
mod property;
mod publish;
mod reason;
mod suback;
mod subscribe;
mod unsuback;
mod unsubscribe;
mod wire;

use core::fmt;
use core::num::NonZeroU16;

pub use ack::Ack;
pub use auth::Auth;
pub use connack::ConnAck;
pub use connect::{Connect, Will};
pub use disconnect::Disconnect;
pub use error::{DecodeError, EncodeError};
pub use header::FixedHeader;
pub use items::{Item, Items, Iter};
pub use property::{Properties, Property, PropertyPlace, SubscriptionId};
pub use publish::{Delivery, Publish};
pub use reason::ReasonCode;
pub use suback::SubAck;
pub use subscribe::{RetainHandling, Subscribe, Subscription};
pub use unsuback::UnsubAck;
pub use unsubscribe::Unsubscribe;
pub use wire::MAX_VARINT;

pub(crate) use publish::DUP as PUBLISH_DUP;
pub(crate) use wire::{read_varint, varint_len};

use header::encode;
use wire::{Reader, Writer};

/// The versions of the protocol that are spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ProtocolVersion {
    /// MQTT 3.1.1, protocol level 4.
    V3_1_1 = 4,
    /// MQTT 5.0, protocol version 5.
    V5 = 5,
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V3_1_1 => "3.1.1",
            Self::V5 => "5.0",
        })
    }
}

/// How surely a message is delivered (section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum QoS {
    /// QoS 0: sent once, never acknowledged.
    #[default]
    AtMostOnce = 0,
    /// QoS 1: sent until it is acknowledged.
    AtLeastOnce = 1,
    /// QoS 2: sent until it is acknowledged, and never taken twice.
    ExactlyOnce = 2,
}

impl QoS {
    /// The QoS with the number `value`; `None` above 2.
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// A packet identifier, 1 to 65,535 (section 2.3.1 of 3.1.1, 2.2.1 of 5.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The identifier 1.
    pub const FIRST: Self = Self(NonZeroU16::MIN);

    /// `id` as a packet identifier; `None` for 0.
    pub const fn new(id: u16) -> Option<Self> {
        match NonZeroU16::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The identifier as a number.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// The identifier after this one; 1 comes after 65,535.
    #[must_use]
    pub const fn next(self) -> Self {
        match self.0.checked_add(1) {
            Some(id) => Self(id),
            None => Self::FIRST,
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::new(reader.u16()?).ok_or(DecodeError::ZeroPacketId)
    }

    fn write(self, writer: &mut Writer<'_>) {
        writer.u16(self.get());
    }
}

/// The kinds of control packet with their numbers (table 2-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketKind {
    /// CONNECT
    Connect = 1,
    /// CONNACK
    ConnAck = 2,
    /// PUBLISH
    Publish = 3,
    /// PUBACK
    PubAck = 4,
    /// PUBREC
    PubRec = 5,
    /// PUBREL
    PubRel = 6,
    /// PUBCOMP
    PubComp = 7,
    /// SUBSCRIBE
    Subscribe = 8,
    /// SUBACK
    SubAck = 9,
    /// UNSUBSCRIBE
    Unsubscribe = 10,
    /// UNSUBACK
    UnsubAck = 11,
    /// PINGREQ
    PingReq = 12,
    /// PINGRESP
    PingResp = 13,
    /// DISCONNECT
    Disconnect = 14,
    /// AUTH (5.0 only)
    Auth = 15,
}

impl PacketKind {
    const ALL: [Self; 15] = [
        Self::Connect,
        Self::ConnAck,
        Self::Publish,
        Self::PubAck,
        Self::PubRec,
        Self::PubRel,
        Self::PubComp,
        Self::Subscribe,
        Self::SubAck,
        Self::Unsubscribe,
        Self::UnsubAck,
        Self::PingReq,
        Self::PingResp,
        Self::Disconnect,
        Self::Auth,
    ];

    /// The kind with the number `value`, 1 to 15.
    #[inline]
    pub fn from_u8(value: u8) -> Option<Self> {
        Self::ALL.get(usize::from(value).checked_sub(1)?).copied()
    }

    /// The kind's name in the specification.
    pub const fn as_str(self) -> &'static str {
        const NAMES: [&str; 15] = [
            "CONNECT",
            "CONNACK",
            "PUBLISH",
            "PUBACK",
            "PUBREC",
            "PUBREL",
            "PUBCOMP",
            "SUBSCRIBE",
            "SUBACK",
            "UNSUBSCRIBE",
            "UNSUBACK",
            "PINGREQ",
            "PINGRESP",
            "DISCONNECT",
            "AUTH",
        ];
        NAMES[self as usize - 1]
    }

    /// The flags that the fixed header of this kind must have; `None` for PUBLISH, whose flags
    /// say something (`[MQTT-2.2.2-1]`; in 5.0 `[MQTT-2.1.3-1]`).
    const fn reserved_flags(self) -> Option<u8> {
        match self {
            Self::Publish => None,
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => Some(0b0010),
            _ => Some(0),
        }
    }
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A control packet, borrowing from the bytes it was decoded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// CONNECT: a client asks for a session.
    Connect(Connect<'a>),
    /// CONNACK: the server's answer.
    ConnAck(ConnAck<'a>),
    /// PUBLISH: a message.
    Publish(Publish<'a>),
    /// PUBACK: a message of QoS 1 was taken.
    PubAck(Ack<'a>),
    /// PUBREC: a message of QoS 2 was received.
    PubRec(Ack<'a>),
    /// PUBREL: it may be let go.
    PubRel(Ack<'a>),
    /// PUBCOMP: it was let go.
    PubComp(Ack<'a>),
    /// SUBSCRIBE: a client asks for messages.
    Subscribe(Subscribe<'a>),
    /// SUBACK: the server's answer.
    SubAck(SubAck<'a>),
    /// UNSUBSCRIBE: a client wants no more of them.
    Unsubscribe(Unsubscribe<'a>),
    /// UNSUBACK: the server's answer.
    UnsubAck(UnsubAck<'a>),
    /// PINGREQ: is anybody there?
    PingReq,
    /// PINGRESP: yes.
    PingResp,
    /// DISCONNECT: the connection ends in good order.
    Disconnect(Disconnect<'a>),
    /// AUTH: a step of an enhanced authentication (5.0 only).
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Decodes a packet from its fixed header and all the `header.remaining_len()` bytes behind.
    ///
    /// `version` is what the connection's CONNECT asked for; a CONNECT names its own.
    ///
    /// # Errors
    /// [`DecodeError`] names what the peer did wrong.
    pub fn decode(
        version: ProtocolVersion,
        header: FixedHeader,
        body: &'a [u8],
    ) -> Result<Self, DecodeError> {
        if let Some(packet) = Self::decode_from_server(version, header, body)? {
            return Ok(packet);
        }
        let mut reader = Reader::new(body);
        let packet = match header.kind() {
            PacketKind::Connect => Self::Connect(Connect::read(&mut reader, header)?),
            PacketKind::Subscribe => Self::Subscribe(Subscribe::read(&mut reader, version)?),
            PacketKind::Unsubscribe => Self::Unsubscribe(Unsubscribe::read(&mut reader, version)?),
            PacketKind::Auth => Self::Auth(Auth::read(&mut reader)?),
            _ => Self::PingReq,
        };
        packet.if_all_was_read(reader)
    }

    /// As [`Self::decode`], but `None` for a packet that a client has no use for: one that only
    /// clients send, or AUTH. So a client does not carry the code for them.
    pub(crate) fn decode_from_server(
        version: ProtocolVersion,
        header: FixedHeader,
        body: &'a [u8],
    ) -> Result<Option<Self>, DecodeError> {
        debug_assert_eq!(body.len(), header.remaining_len());
        let kind = header.kind();
        if kind == PacketKind::Connect {
            // It names its own version.
            return Ok(None);
        }
        header.check_version(version)?;
        let mut reader = Reader::new(body);
        let packet = match kind {
            PacketKind::ConnAck => Self::ConnAck(ConnAck::read(&mut reader, version)?),
            PacketKind::Publish => {
                Self::Publish(Publish::read(&mut reader, version, header.flags())?)
            }
            PacketKind::PubAck => Self::PubAck(Ack::read(&mut reader, version, kind)?),
            PacketKind::PubRec => Self::PubRec(Ack::read(&mut reader, version, kind)?),
            PacketKind::PubRel => Self::PubRel(Ack::read(&mut reader, version, kind)?),
            PacketKind::PubComp => Self::PubComp(Ack::read(&mut reader, version, kind)?),
            PacketKind::SubAck => Self::SubAck(SubAck::read(&mut reader, version)?),
            PacketKind::UnsubAck => Self::UnsubAck(UnsubAck::read(&mut reader, version)?),
            PacketKind::Disconnect => Self::Disconnect(Disconnect::read(&mut reader, version)?),
            PacketKind::PingResp => Self::PingResp,
            _ => return Ok(None),
        };
        packet.if_all_was_read(reader).map(Some)
    }

    fn if_all_was_read(self, reader: Reader<'_>) -> Result<Self, DecodeError> {
        if reader.is_empty() {
            Ok(self)
        } else {
            Err(DecodeError::TrailingBytes(self.kind()))
        }
    }

    /// Encodes the packet into the front of `buffer` and returns its length in bytes.
    ///
    /// What `version` doesn't have (properties and reasons in 3.1.1) is left out; a CONNECT is
    /// encoded in its own version.
    ///
    /// A decoded packet is encoded in its canonical, shortest form, and always can be. That
    /// decodes to an equal packet; it differs from the bytes received only where the
    /// specification leaves a choice (what an acknowledgement, DISCONNECT or AUTH may leave out;
    /// the bytes of the remaining length in 3.1.1), and in a CONNACK in the other version's format.
    ///
    /// # Errors
    /// [`EncodeError`] names the limit that the packet or the buffer breaks; the buffer's content
    /// is then of no use.
    pub fn encode(
        &self,
        version: ProtocolVersion,
        buffer: &mut [u8],
    ) -> Result<usize, EncodeError> {
        match self {
            Self::Connect(packet) => packet.encode(buffer),
            Self::ConnAck(packet) => packet.encode(version, buffer),
            Self::Publish(packet) => packet.encode(version, buffer),
            Self::PubAck(ack) => ack.encode(version, PacketKind::PubAck, buffer),
            Self::PubRec(ack) => ack.encode(version, PacketKind::PubRec, buffer),
            Self::PubRel(ack) => ack.encode(version, PacketKind::PubRel, buffer),
            Self::PubComp(ack) => ack.encode(version, PacketKind::PubComp, buffer),
            Self::Subscribe(packet) => packet.encode(version, buffer),
            Self::SubAck(packet) => packet.encode(version, buffer),
            Self::Unsubscribe(packet) => packet.encode(version, buffer),
            Self::UnsubAck(packet) => packet.encode(version, buffer),
            Self::PingReq => encode(PacketKind::PingReq, 0, buffer, |_| {}),
            Self::PingResp => encode(PacketKind::PingResp, 0, buffer, |_| {}),
            Self::Disconnect(packet) => packet.encode(version, buffer),
            Self::Auth(_) if version == ProtocolVersion::V3_1_1 => Err(EncodeError::NoAuth),
            Self::Auth(packet) => packet.encode(buffer),
        }
    }

    /// Bytes that [`Self::encode`] needs.
    ///
    /// # Errors
    /// The packet can't be encoded in any buffer.
    pub fn encoded_len(&self, version: ProtocolVersion) -> Result<usize, EncodeError> {
        match self.encode(version, &mut []) {
            Err(EncodeError::BufferTooSmall { needed, .. }) => Ok(needed),
            result => result,
        }
    }

    /// The packet's kind.
    pub const fn kind(&self) -> PacketKind {
        match self {
            Self::Connect(_) => PacketKind::Connect,
            Self::ConnAck(_) => PacketKind::ConnAck,
            Self::Publish(_) => PacketKind::Publish,
            Self::PubAck(_) => PacketKind::PubAck,
            Self::PubRec(_) => PacketKind::PubRec,
            Self::PubRel(_) => PacketKind::PubRel,
            Self::PubComp(_) => PacketKind::PubComp,
            Self::Subscribe(_) => PacketKind::Subscribe,
            Self::SubAck(_) => PacketKind::SubAck,
            Self::Unsubscribe(_) => PacketKind::Unsubscribe,
            Self::UnsubAck(_) => PacketKind::UnsubAck,
            Self::PingReq => PacketKind::PingReq,
            Self::PingResp => PacketKind::PingResp,
            Self::Disconnect(_) => PacketKind::Disconnect,
            Self::Auth(_) => PacketKind::Auth,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_is_not_encoded_for_3_1_1() {
        let auth = Packet::Auth(Auth {
            reason: ReasonCode::Success,
            properties: Properties::EMPTY,
        });
        let mut buffer = [0; 2];
        assert_eq!(
            auth.encode(ProtocolVersion::V3_1_1, &mut buffer),
            Err(EncodeError::NoAuth)
        );
        assert_eq!(auth.encode(ProtocolVersion::V5, &mut buffer), Ok(2));
    }
}
