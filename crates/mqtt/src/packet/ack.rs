//! PUBACK, PUBREC, PUBREL and PUBCOMP, which have one format (sections 3.4 to 3.7).

use super::wire::Reader;
use super::{
    DecodeError, EncodeError, FixedHeader, PacketId, PacketKind, Properties, PropertyPlace,
    ProtocolVersion, ReasonCode, encode,
};

/// A step in the delivery of a message of QoS 1 or 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The message's packet identifier.
    pub packet_id: PacketId,
    /// How it went; always [`ReasonCode::Success`] in 3.1.1.
    pub reason: ReasonCode,
    /// Properties (5.0).
    pub properties: Properties<'a>,
}

impl<'a> Ack<'a> {
    /// A successful step for the message `packet_id`.
    pub const fn new(packet_id: PacketId) -> Self {
        Self {
            packet_id,
            reason: ReasonCode::Success,
            properties: Properties::EMPTY,
        }
    }

    /// Encodes the packet as one of `kind` (PUBACK, PUBREC, PUBREL or PUBCOMP) into the front of
    /// `buffer` and returns its length in bytes.
    ///
    /// # Errors
    /// [`EncodeError`] names the limit that the packet or the buffer breaks.
    pub fn encode(
        &self,
        version: ProtocolVersion,
        kind: PacketKind,
        buffer: &mut [u8],
    ) -> Result<usize, EncodeError> {
        if !self.reason.is_allowed_in(kind) {
            return Err(EncodeError::ReasonCode(self.reason));
        }
        encode(kind, 0, buffer, |writer| {
            self.packet_id.write(writer);
            let plain = self.reason == ReasonCode::Success && self.properties.is_empty();
            if version == ProtocolVersion::V3_1_1 || plain {
                return;
            }
            writer.u8(self.reason.as_u8());
            if !self.properties.is_empty() {
                self.properties
                    .write_section(writer, PropertyPlace::Packet(kind));
            }
        })
    }

    /// Decodes a PUBACK, PUBREC, PUBREL or PUBCOMP from its fixed header and all the
    /// `header.remaining_len()` bytes behind: what [`Packet::decode`](super::Packet::decode) does
    /// where the kind is known.
    ///
    /// # Errors
    /// [`DecodeError`] names what the peer did wrong.
    #[inline]
    pub fn decode(
        version: ProtocolVersion,
        header: FixedHeader,
        body: &'a [u8],
    ) -> Result<Self, DecodeError> {
        header.check_version(version)?;
        let mut reader = Reader::new(body);
        let ack = Self::read(&mut reader, version, header.kind())?;
        if reader.is_empty() {
            Ok(ack)
        } else {
            Err(DecodeError::TrailingBytes(header.kind()))
        }
    }

    #[inline]
    pub(super) fn read(
        reader: &mut Reader<'a>,
        version: ProtocolVersion,
        kind: PacketKind,
    ) -> Result<Self, DecodeError> {
        let mut ack = Self::new(PacketId::read(reader)?);
        if version == ProtocolVersion::V5 && !reader.is_empty() {
            ack.reason = ReasonCode::decode(kind, reader.u8()?)?;
            if !reader.is_empty() {
                ack.properties = Properties::read(reader, PropertyPlace::Packet(kind))?;
            }
        }
        Ok(ack)
    }
}
