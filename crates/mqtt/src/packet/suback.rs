//! SUBACK (section 3.9).

use super::items::private::Wire;
use super::wire::{Reader, Writer};
use super::{
    DecodeError, EncodeError, Item, Items, PacketId, PacketKind, Properties, PropertyPlace,
    ProtocolVersion, ReasonCode, encode,
};

/// The server's answer to a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// The SUBSCRIBE's packet identifier.
    pub packet_id: PacketId,
    /// Properties (5.0).
    pub properties: Properties<'a>,
    /// One code for each subscription, in order (`[MQTT-3.9.3-1]`): the QoS granted, or a failure,
    /// which in 3.1.1 is always [`ReasonCode::UnspecifiedError`].
    pub reasons: Items<'a, ReasonCode>,
}

impl<'a> SubAck<'a> {
    /// Encodes the packet into the front of `buffer` and returns its length in bytes.
    ///
    /// # Errors
    /// [`EncodeError`] names the limit that the packet or the buffer breaks.
    pub fn encode(
        &self,
        version: ProtocolVersion,
        buffer: &mut [u8],
    ) -> Result<usize, EncodeError> {
        if self.reasons.is_empty() {
            return Err(EncodeError::EmptyList);
        }
        if let Some(reason) = self
            .reasons
            .iter()
            .find(|reason| !reason.is_allowed_in(PacketKind::SubAck))
        {
            return Err(EncodeError::ReasonCode(reason));
        }
        encode(PacketKind::SubAck, 0, buffer, |writer| {
            self.packet_id.write(writer);
            match version {
                ProtocolVersion::V3_1_1 => self.reasons.iter().for_each(|reason| {
                    writer.u8(if reason.is_error() {
                        0x80
                    } else {
                        reason.as_u8()
                    });
                }),
                ProtocolVersion::V5 => {
                    self.properties.write_section(writer, PLACE);
                    self.reasons.write(writer);
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
        let reasons = ReasonCode::decode_list(reader.rest(), |value| {
            ReasonCode::decode_suback(version, value)
        })?;
        if reasons.is_empty() {
            return Err(DecodeError::EmptyList(PacketKind::SubAck));
        }
        Ok(Self {
            packet_id,
            properties,
            reasons,
        })
    }
}

impl ReasonCode {
    /// Checks each byte of `bytes` with `decode`, which knows the packet.
    pub(super) fn decode_list(
        bytes: &[u8],
        decode: impl Fn(u8) -> Result<Self, DecodeError>,
    ) -> Result<Items<'_, Self>, DecodeError> {
        for &value in bytes {
            decode(value)?;
        }
        Items::decode(bytes, |_| Ok(()))
    }
}

impl<'a> Item<'a> for ReasonCode {}

impl<'a> Wire<'a> for ReasonCode {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let value = reader.u8()?;
        ReasonCode::from_u8(value).ok_or(DecodeError::ReasonCode {
            kind: PacketKind::SubAck,
            value,
        })
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.u8(self.as_u8());
    }
}

const PLACE: PropertyPlace = PropertyPlace::Packet(PacketKind::SubAck);
