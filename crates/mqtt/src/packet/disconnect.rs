//! DISCONNECT (section 3.14).

use super::wire::Reader;
use super::{
    DecodeError, EncodeError, PacketKind, Properties, PropertyPlace, ProtocolVersion, ReasonCode,
    encode,
};

/// The connection ends in good order: from a client, and in 5.0 from a server too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why; always [`ReasonCode::NORMAL_DISCONNECTION`] in 3.1.1.
    pub reason: ReasonCode,
    /// Properties (5.0).
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    /// A DISCONNECT with `reason` and no properties.
    pub const fn new(reason: ReasonCode) -> Self {
        Self {
            reason,
            properties: Properties::EMPTY,
        }
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
        if !self.reason.is_allowed_in(PacketKind::Disconnect) {
            return Err(EncodeError::ReasonCode(self.reason));
        }
        encode(PacketKind::Disconnect, 0, buffer, |writer| {
            let plain = self.reason == ReasonCode::Success && self.properties.is_empty();
            if version == ProtocolVersion::V3_1_1 || plain {
                return;
            }
            writer.u8(self.reason.as_u8());
            if !self.properties.is_empty() {
                self.properties.write_section(writer, PLACE);
            }
        })
    }

    pub(super) fn read(
        reader: &mut Reader<'a>,
        version: ProtocolVersion,
    ) -> Result<Self, DecodeError> {
        let mut packet = Self::new(ReasonCode::NORMAL_DISCONNECTION);
        if version == ProtocolVersion::V5 && !reader.is_empty() {
            packet.reason = ReasonCode::decode(PacketKind::Disconnect, reader.u8()?)?;
            if !reader.is_empty() {
                packet.properties = Properties::read(reader, PLACE)?;
            }
        }
        Ok(packet)
    }
}

const PLACE: PropertyPlace = PropertyPlace::Packet(PacketKind::Disconnect);
