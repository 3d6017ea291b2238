//! PUBLISH (section 3.3), whole or as a header and chunks of payload.

use super::header::encode_with_payload;
use super::wire::{Reader, Writer, read_varint};
use super::{
    DecodeError, EncodeError, PacketId, PacketKind, Properties, PropertyPlace, ProtocolVersion, QoS,
};
use crate::TopicName;

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Whether it may have been sent before; meaningless with QoS 0.
    pub dup: bool,
    /// QoS and, from 1 on, the packet identifier.
    pub delivery: Delivery,
    /// From a client: keep it for later subscribers. From a server: it was kept.
    pub retain: bool,
    /// Where it goes; `None` where only the topic alias says it (5.0).
    pub topic: Option<TopicName<'a>>,
    /// Properties (5.0).
    pub properties: Properties<'a>,
    /// What it says: any bytes.
    pub payload: &'a [u8],
}

/// QoS and packet identifier of a PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// QoS 0, which has no identifier.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce(PacketId),
    /// QoS 2.
    ExactlyOnce(PacketId),
}

impl Delivery {
    /// `qos` with `id`; QoS 0 leaves `id` out.
    pub const fn new(qos: QoS, id: PacketId) -> Self {
        match qos {
            QoS::AtMostOnce => Self::AtMostOnce,
            QoS::AtLeastOnce => Self::AtLeastOnce(id),
            QoS::ExactlyOnce => Self::ExactlyOnce(id),
        }
    }

    /// The QoS alone.
    pub const fn qos(self) -> QoS {
        match self {
            Self::AtMostOnce => QoS::AtMostOnce,
            Self::AtLeastOnce(_) => QoS::AtLeastOnce,
            Self::ExactlyOnce(_) => QoS::ExactlyOnce,
        }
    }

    /// The packet identifier, from QoS 1 on.
    pub const fn packet_id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce(id) | Self::ExactlyOnce(id) => Some(id),
        }
    }
}

impl<'a> Publish<'a> {
    /// A message of QoS 0, not retained, without properties.
    pub const fn new(topic: TopicName<'a>, payload: &'a [u8]) -> Self {
        Self {
            dup: false,
            delivery: Delivery::AtMostOnce,
            retain: false,
            topic: Some(topic),
            properties: Properties::EMPTY,
            payload,
        }
    }

    /// Decodes a PUBLISH from its fixed header and all the `header.remaining_len()` bytes behind:
    /// what [`Packet::decode`](super::Packet::decode) does where the kind is known.
    ///
    /// # Errors
    /// [`DecodeError`] names what the peer did wrong.
    #[inline]
    pub fn decode(
        version: ProtocolVersion,
        header: super::FixedHeader,
        body: &'a [u8],
    ) -> Result<Self, DecodeError> {
        header.check_version(version)?;
        // The payload is all that is left.
        Self::read(&mut Reader::new(body), version, header.flags())
    }

    /// Decodes what comes before the payload from the front of `bytes`, which begin behind the
    /// fixed header. Returns the message without payload, and where in `bytes` the payload begins;
    /// `None` where more bytes are needed.
    ///
    /// # Errors
    /// [`DecodeError`] names what the peer did wrong.
    pub fn decode_header(
        version: ProtocolVersion,
        header: super::FixedHeader,
        bytes: &'a [u8],
    ) -> Result<Option<(Self, usize)>, DecodeError> {
        header.check_version(version)?;
        let qos = check_flags(header.flags())?;
        let available = bytes.get(..header.remaining_len()).unwrap_or(bytes);
        let missing = |len: usize| {
            // Beyond the whole packet, or all of it is here: no further byte will mend that.
            if len > header.remaining_len() || available.len() == header.remaining_len() {
                Err(DecodeError::Truncated)
            } else {
                Ok(None)
            }
        };
        let Some(topic_len) = available.first_chunk::<2>() else {
            return missing(2);
        };
        let id_len = if qos == QoS::AtMostOnce { 0 } else { 2 };
        let mut len = 2 + usize::from(u16::from_be_bytes(*topic_len)) + id_len;
        if version == ProtocolVersion::V5 {
            let Some((properties, varint)) =
                available.get(len..).map(read_varint).transpose()?.flatten()
            else {
                return missing(len + 1);
            };
            len += varint + properties as usize;
        }
        let Some(variable_header) = available.get(..len) else {
            return missing(len);
        };
        let mut reader = Reader::new(variable_header);
        Self::read(&mut reader, version, header.flags()).map(|publish| Some((publish, len)))
    }

    /// Encodes the packet into the front of `buffer` and returns its length in bytes.
    ///
    /// # Errors
    /// [`EncodeError`] names the limit that the packet or the buffer breaks.
    pub fn encode(
        &self,
        version: ProtocolVersion,
        buffer: &mut [u8],
    ) -> Result<usize, EncodeError> {
        self.check(version)?;
        encode_with_payload(PacketKind::Publish, self.flags(), 0, buffer, |writer| {
            self.write_variable_header(writer, version);
            writer.bytes(self.payload);
        })
    }

    /// Encodes all that comes before a payload of `payload_len` bytes, which the caller sends
    /// itself, into the front of `buffer`; returns its length. `self.payload` is not looked at.
    ///
    /// # Errors
    /// [`EncodeError`] names the limit that the packet or the buffer breaks.
    pub fn encode_header(
        &self,
        version: ProtocolVersion,
        payload_len: usize,
        buffer: &mut [u8],
    ) -> Result<usize, EncodeError> {
        self.check(version)?;
        encode_with_payload(
            PacketKind::Publish,
            self.flags(),
            payload_len,
            buffer,
            |writer| {
                self.write_variable_header(writer, version);
            },
        )
    }

    pub(super) fn read(
        reader: &mut Reader<'a>,
        version: ProtocolVersion,
        flags: u8,
    ) -> Result<Self, DecodeError> {
        let qos = check_flags(flags)?;
        let topic = core::str::from_utf8(reader.binary()?).map_err(|_| DecodeError::Utf8)?;
        let topic = match TopicName::new(topic) {
            Ok(topic) => Some(topic),
            Err(_) if topic.is_empty() && version == ProtocolVersion::V5 => None,
            // As in every other text: `[MQTT-1.5.4-2]`, in 3.1.1 `[MQTT-1.5.3-2]`.
            Err(_) if topic.contains('\0') => return Err(DecodeError::NulInString),
            Err(error) => return Err(DecodeError::TopicName(error)),
        };
        let delivery = match qos {
            QoS::AtMostOnce => Delivery::AtMostOnce,
            qos => Delivery::new(qos, PacketId::read(reader)?),
        };
        let properties = Properties::read_in(version, reader, PLACE)?;
        if topic.is_none() && properties.topic_alias().is_none() {
            return Err(DecodeError::NoTopic);
        }
        let retain = flags & RETAIN != 0;
        Ok(Self {
            dup: flags & DUP != 0,
            delivery,
            retain,
            topic,
            properties,
            payload: reader.rest(),
        })
    }

    fn check(&self, version: ProtocolVersion) -> Result<(), EncodeError> {
        let alias = version == ProtocolVersion::V5 && self.properties.topic_alias().is_some();
        if self.topic.is_none() && !alias {
            Err(EncodeError::NoTopic)
        } else {
            Ok(())
        }
    }

    fn write_variable_header(&self, writer: &mut Writer<'_>, version: ProtocolVersion) {
        writer.binary(self.topic.map_or(&[], |topic| topic.as_str().as_bytes()));
        if let Some(id) = self.delivery.packet_id() {
            id.write(writer);
        }
        if version == ProtocolVersion::V5 {
            self.properties.write_section(writer, PLACE);
        }
    }

    fn flags(&self) -> u8 {
        let qos = self.delivery.qos();
        let dup = if self.dup && qos != QoS::AtMostOnce {
            DUP
        } else {
            0
        };
        dup | (qos as u8) << 1 | u8::from(self.retain)
    }
}

/// The QoS in a PUBLISH's flags.
fn check_flags(flags: u8) -> Result<QoS, DecodeError> {
    let qos = QoS::from_u8((flags & QOS) >> 1).ok_or(DecodeError::QoS)?;
    if flags & DUP != 0 && qos == QoS::AtMostOnce {
        return Err(DecodeError::DupWithoutId);
    }
    Ok(qos)
}

/// Flags of a PUBLISH's first byte.
pub(crate) const DUP: u8 = 0b1000;
const QOS: u8 = 0b0110;
const RETAIN: u8 = 0b0001;
const PLACE: PropertyPlace = PropertyPlace::Packet(PacketKind::Publish);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::FixedHeader;

    fn decode_header(packet: &[u8]) -> Result<Option<(Publish<'_>, usize)>, DecodeError> {
        let header = FixedHeader::decode(packet)
            .expect("a valid fixed header")
            .expect("a whole fixed header");
        Publish::decode_header(ProtocolVersion::V5, header, &packet[header.len()..])
    }

    #[test]
    fn a_property_length_cut_by_the_packets_end_is_not_waited_for() {
        // The property length asks for another byte, but the packet ends with it. What follows
        // belongs to the next packet.
        for packet in [
            &[0x30, 4, 0, 1, b'a', 0x80][..],
            &[0x30, 4, 0, 1, b'a', 0x80, 0xc0, 0],
        ] {
            assert_eq!(decode_header(packet), Err(DecodeError::Truncated));
        }
        assert_eq!(decode_header(&[0x30, 5, 0, 1, b'a', 0x80]), Ok(None));
    }

    #[test]
    fn wrong_flags_are_found_before_the_variable_header_is_there() {
        assert_eq!(decode_header(&[0x36, 100]), Err(DecodeError::QoS));
        assert_eq!(decode_header(&[0x38, 100]), Err(DecodeError::DupWithoutId));
    }
}
