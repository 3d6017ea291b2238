//! UNSUBACK (section 3.11).

use super::wire::Reader;
use super::{
    DecodeError, EncodeError, Items, PacketId, PacketKind, Properties, PropertyPlace,
    ProtocolVersion, ReasonCode, encode,
};

/// The server's answer to an UNSUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// The UNSUBSCRIBE's packet identifier.
    pub packet_id: PacketId,
    /// Properties (5.0).
    pub properties: Properties<'a>,
    /// One code for each filter, in order; none in 3.1.1.
    pub reasons: Items<'a, ReasonCode>,
}

impl<'a> UnsubAck<'a> {
    /// Encodes the packet into the front of `buffer` and returns its length in bytes.
    ///
    /// # Errors
    /// [`EncodeError`] names the limit that the packet or the buffer breaks.
    pub fn encode(
        &self,
        version: ProtocolVersion,
        buffer: &mut [u8],
    ) -> Result<usize, EncodeError> {
        if version == ProtocolVersion::V5 {
            if self.reasons.is_empty() {
                return Err(EncodeError::EmptyList);
            }
            let wrong = |reason: &ReasonCode| !reason.is_allowed_in(PacketKind::UnsubAck);
            if let Some(reason) = self.reasons.iter().find(wrong) {
                return Err(EncodeError::ReasonCode(reason));
            }
        }
        encode(PacketKind::UnsubAck, 0, buffer, |writer| {
            self.packet_id.write(writer);
            if version == ProtocolVersion::V5 {
                self.properties.write_section(writer, PLACE);
                self.reasons.write(writer);
            }
        })
    }

    pub(super) fn read(
        reader: &mut Reader<'a>,
        version: ProtocolVersion,
    ) -> Result<Self, DecodeError> {
        let packet_id = PacketId::read(reader)?;
        if version == ProtocolVersion::V3_1_1 {
            return Ok(Self {
                packet_id,
                properties: Properties::EMPTY,
                reasons: Items::EMPTY,
            });
        }
        let properties = Properties::read(reader, PLACE)?;
        let reasons = ReasonCode::decode_list(reader.rest(), |value| {
            ReasonCode::decode(PacketKind::UnsubAck, value)
        })?;
        if reasons.is_empty() {
            return Err(DecodeError::EmptyList(PacketKind::UnsubAck));
        }
        Ok(Self {
            packet_id,
            properties,
            reasons,
        })
    }
}

const PLACE: PropertyPlace = PropertyPlace::Packet(PacketKind::UnsubAck);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_code_that_does_not_exist_is_reported_for_the_right_packet() {
        for value in [0x7f, 0x02] {
            let body = [0, 1, 0, value];
            assert_eq!(
                UnsubAck::read(&mut Reader::new(&body), ProtocolVersion::V5),
                Err(DecodeError::ReasonCode {
                    kind: PacketKind::UnsubAck,
                    value
                })
            );
        }
    }
}
