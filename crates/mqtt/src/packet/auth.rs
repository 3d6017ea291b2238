//! AUTH (section 3.15 of 5.0).

use super::wire::Reader;
use super::{DecodeError, EncodeError, PacketKind, Properties, PropertyPlace, ReasonCode, encode};

/// A step of an enhanced authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, continue or re-authenticate.
    pub reason: ReasonCode,
    /// Properties: the method, which only a plain [`ReasonCode::Success`] may leave out, and its
    /// data.
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
        self.check().map_err(|_| EncodeError::Property)?;
        encode(PacketKind::Auth, 0, buffer, |writer| {
            if !self.is_plain() {
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
        let packet = Self {
            reason: ReasonCode::decode(PacketKind::Auth, reader.u8()?)?,
            properties: Properties::read(reader, PLACE)?,
        };
        packet.check()?;
        Ok(packet)
    }

    /// Section 3.15.2.2.2: it is a protocol error to omit the method. But section 3.15.2.1 allows
    /// to leave out all properties with a success.
    fn check(&self) -> Result<(), DecodeError> {
        if self.is_plain() {
            return Ok(());
        }
        self.properties.require_authentication_method()
    }

    fn is_plain(&self) -> bool {
        self.reason == ReasonCode::Success && self.properties.is_empty()
    }
}

const PLACE: PropertyPlace = PropertyPlace::Packet(PacketKind::Auth);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Property, wire::Reader};

    fn read(body: &[u8]) -> Result<Auth<'_>, DecodeError> {
        Auth::read(&mut Reader::new(body))
    }

    #[test]
    fn an_authentication_method_is_there_unless_the_packet_is_a_plain_success() {
        let plain = read(&[]).expect("a plain success");
        assert_eq!(read(&[0x00, 0]), Ok(plain));
        assert_eq!(plain.encode(&mut [0; 8]), Ok(2));

        assert_eq!(read(&[0x18, 0]), Err(DecodeError::MissingProperty(0x15)));
        let only_data = [0x18, 4, 0x16, 0, 1, 7];
        assert_eq!(read(&only_data), Err(DecodeError::MissingProperty(0x15)));
        let properties = [Property::AuthenticationData(&[7])];
        let without_method = Auth {
            reason: ReasonCode::ContinueAuthentication,
            properties: Properties::new(&properties),
        };
        assert_eq!(
            without_method.encode(&mut [0; 8]),
            Err(EncodeError::Property)
        );

        let with_method = read(&[0x18, 4, 0x15, 0, 1, b'm']).expect("a method");
        assert_eq!(with_method.encode(&mut [0; 8]), Ok(8));
    }
}
