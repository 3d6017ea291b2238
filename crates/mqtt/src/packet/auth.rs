//! AUTH (section 3.15 of 5.0).

use super::wire::Reader;
use super::{DecodeError, EncodeError, PacketKind, Properties, PropertyPlace, ReasonCode, encode};

/// A step of an enhanced authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, continue or re-authenticate.
    pub reason: ReasonCode,
    /// Properties: the method and its data.
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    /// Encodes the packet into the front of `buffer` and returns its length in bytes.
    ///
    /// # Errors
    /// [`EncodeError`] names the limit that the packet or the buffer breaks.
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        if !self.reason.is_allowed_in(PacketKind::Auth) {
            return Err(EncodeError::ReasonCode(self.reason));
        }
        encode(PacketKind::Auth, 0, buffer, |writer| {
            if self.reason != ReasonCode::Success || !self.properties.is_empty() {
                writer.u8(self.reason.as_u8());
                self.properties.write_section(writer, PLACE);
            }
        })
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        if reader.is_empty() {
            return Ok(Self {
                reason: ReasonCode::Success,
                properties: Properties::EMPTY,
            });
        }
        Ok(Self {
            reason: ReasonCode::decode(PacketKind::Auth, reader.u8()?)?,
            properties: Properties::read(reader, PLACE)?,
        })
    }
}

const PLACE: PropertyPlace = PropertyPlace::Packet(PacketKind::Auth);
