//! CONNACK (section 3.2).

use super::wire::Reader;
use super::{
    DecodeError, EncodeError, PacketKind, Properties, PropertyPlace, ProtocolVersion, ReasonCode,
    encode,
};

/// The server's answer to a CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// Whether the server goes on with an earlier session; never with a refusal.
    pub session_present: bool,
    /// [`ReasonCode::Success`], or why the client is refused. The return codes of 3.1.1 are given
    /// by the reason codes that mean the same.
    pub reason: ReasonCode,
    /// Properties (5.0).
    pub properties: Properties<'a>,
}

impl<'a> ConnAck<'a> {
    /// Encodes the packet into the front of `buffer` and returns its length in bytes.
    ///
    /// # Errors
    /// [`EncodeError`] names the limit that the packet or the buffer breaks.
    pub fn encode(
        &self,
        version: ProtocolVersion,
        buffer: &mut [u8],
    ) -> Result<usize, EncodeError> {
        if !self.reason.is_allowed_in(PacketKind::ConnAck) {
            return Err(EncodeError::ReasonCode(self.reason));
        }
        let present = self.session_present && self.reason == ReasonCode::Success;
        encode(PacketKind::ConnAck, 0, buffer, |writer| {
            writer.u8(u8::from(present));
            match version {
                ProtocolVersion::V3_1_1 => writer.u8(self.reason.connect_return_code()),
                ProtocolVersion::V5 => {
                    writer.u8(self.reason.as_u8());
                    self.properties.write_section(writer, PLACE);
                }
            }
        })
    }

    pub(super) fn read(
        reader: &mut Reader<'a>,
        version: ProtocolVersion,
    ) -> Result<Self, DecodeError> {
        let flags = reader.u8()?;
        let code = reader.u8()?;
        let (reason, properties) = match version {
            // A server that only knows 5.0 refuses a client of 3.1.1 in its own format.
            ProtocolVersion::V3_1_1 if code == ReasonCode::UnsupportedProtocolVersion.as_u8() => {
                Properties::read(reader, PLACE)?;
                (ReasonCode::UnsupportedProtocolVersion, Properties::EMPTY)
            }
            ProtocolVersion::V3_1_1 => (
                ReasonCode::from_connect_return_code(code)?,
                Properties::EMPTY,
            ),
            // A server that only knows 3.1.1 refuses a client of 5.0 in its own format.
            ProtocolVersion::V5 if reader.is_empty() && code == 1 => {
                (ReasonCode::UnsupportedProtocolVersion, Properties::EMPTY)
            }
            ProtocolVersion::V5 => (
                ReasonCode::decode(PacketKind::ConnAck, code)?,
                Properties::read(reader, PLACE)?,
            ),
        };
        if flags > 1 || (flags == 1 && reason != ReasonCode::Success) {
            return Err(DecodeError::ConnAckFlags(flags));
        }
        Ok(Self {
            session_present: flags == 1,
            reason,
            properties,
        })
    }
}

const PLACE: PropertyPlace = PropertyPlace::Packet(PacketKind::ConnAck);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{FixedHeader, Packet};

    #[test]
    fn a_server_that_lacks_the_version_refuses_in_the_format_of_its_own() {
        for (client, answer) in [
            (ProtocolVersion::V5, &[0x20, 2, 0, 1][..]),
            (ProtocolVersion::V3_1_1, &[0x20, 3, 0, 0x84, 0]),
            (
                ProtocolVersion::V3_1_1,
                &[0x20, 7, 0, 0x84, 4, 0x1f, 0, 1, b'5'],
            ),
        ] {
            let header = FixedHeader::decode(answer)
                .expect("a valid fixed header")
                .expect("a whole fixed header");
            assert_eq!(
                Packet::decode(client, header, &answer[header.len()..]),
                Ok(Packet::ConnAck(ConnAck {
                    session_present: false,
                    reason: ReasonCode::UnsupportedProtocolVersion,
                    properties: Properties::EMPTY,
                }))
            );
        }
    }
}
