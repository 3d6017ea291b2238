//! CONNECT (section 3.1).

use core::fmt;

use super::wire::{Reader, Writer};
use super::{
    DecodeError, EncodeError, FixedHeader, PacketKind, Properties, PropertyPlace, ProtocolVersion,
    QoS, encode,
};
use crate::TopicName;

/// A client asks for a session. Its `Debug` leaves out the password and, since
/// they may hold authentication data, the properties.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version that the connection will speak.
    pub version: ProtocolVersion,
    /// Whether to start without an earlier session's state (Clean Session in 3.1.1).
    pub clean_start: bool,
    /// Longest time in seconds between two packets from the client; 0 for no limit.
    pub keep_alive: u16,
    /// Who the client is; empty lets the server choose.
    pub client_id: &'a str,
    /// What the server publishes when the connection is lost.
    pub will: Option<Will<'a>>,
    /// The user's name.
    pub user_name: Option<&'a str>,
    /// The password: any bytes. In 3.1.1 only together with a user name.
    pub password: Option<&'a [u8]>,
    /// Properties (5.0).
    pub properties: Properties<'a>,
}

impl<'a> Connect<'a> {
    /// A CONNECT with a clean start, 60 s of keep-alive, and nothing else.
    pub const fn new(version: ProtocolVersion, client_id: &'a str) -> Self {
        Self {
            version,
            clean_start: true,
            keep_alive: 60,
            client_id,
            will: None,
            user_name: None,
            password: None,
            properties: Properties::EMPTY,
        }
    }

    /// Encodes the packet into the front of `buffer` and returns its length in bytes.
    ///
    /// # Errors
    /// [`EncodeError`] names the limit that the packet or the buffer breaks.
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        self.encode_with(Properties::EMPTY, buffer)
    }

    /// As [`Self::encode`], with the properties of `added` before those of the packet.
    pub(crate) fn encode_with(
        &self,
        added: Properties<'_>,
        buffer: &mut [u8],
    ) -> Result<usize, EncodeError> {
        if self.version == ProtocolVersion::V3_1_1
            && self.password.is_some()
            && self.user_name.is_none()
        {
            return Err(EncodeError::PasswordWithoutUserName);
        }
        if self.version == ProtocolVersion::V5 {
            self.properties
                .check_authentication()
                .map_err(|_| EncodeError::Property)?;
        }
        encode(PacketKind::Connect, 0, buffer, |writer| {
            self.write(added, writer)
        })
    }

    pub(super) fn read(reader: &mut Reader<'a>, header: FixedHeader) -> Result<Self, DecodeError> {
        let name = reader.binary()?;
        if !matches!(name, b"MQTT" | b"MQIsdp") {
            return Err(DecodeError::ProtocolName);
        }
        let version = match (name, reader.u8()?) {
            (b"MQTT", 4) => ProtocolVersion::V3_1_1,
            (b"MQTT", 5) => ProtocolVersion::V5,
            (_, level) => return Err(DecodeError::UnsupportedVersion(level)),
        };
        header.check_version(version)?;
        let flags = reader.u8()?;
        let has = |flag: u8| flags & flag != 0;
        let will_qos = QoS::from_u8((flags >> WILL_QOS_SHIFT) & 0b11).ok_or(DecodeError::QoS)?;
        let will_is_set_without_will =
            !has(WILL) && (has(WILL_RETAIN) || will_qos != QoS::AtMostOnce);
        let password_without_user =
            version == ProtocolVersion::V3_1_1 && has(PASSWORD) && !has(USER_NAME);
        if has(RESERVED) || will_is_set_without_will || password_without_user {
            return Err(DecodeError::ConnectFlags(flags));
        }
        let keep_alive = reader.u16()?;
        let place = PropertyPlace::Packet(PacketKind::Connect);
        let properties = Properties::read_in(version, reader, place)?;
        properties.check_authentication()?;
        let client_id = reader.string()?;
        let will = if has(WILL) {
            let properties = Properties::read_in(version, reader, PropertyPlace::Will)?;
            Some(Will {
                topic: TopicName::new(reader.string()?).map_err(DecodeError::TopicName)?,
                payload: reader.binary()?,
                qos: will_qos,
                retain: has(WILL_RETAIN),
                properties,
            })
        } else {
            None
        };
        Ok(Self {
            version,
            clean_start: has(CLEAN_START),
            keep_alive,
            client_id,
            will,
            user_name: if has(USER_NAME) {
                Some(reader.string()?)
            } else {
                None
            },
            password: if has(PASSWORD) {
                Some(reader.binary()?)
            } else {
                None
            },
            properties,
        })
    }

    fn write(&self, added: Properties<'_>, writer: &mut Writer<'_>) {
        writer.binary(b"MQTT");
        writer.u8(self.version as u8);
        writer.u8(self.flags());
        writer.u16(self.keep_alive);
        if self.version == ProtocolVersion::V5 {
            let place = PropertyPlace::Packet(PacketKind::Connect);
            self.properties.write_section_with(added, writer, place);
        }
        writer.string(self.client_id);
        if let Some(will) = &self.will {
            if self.version == ProtocolVersion::V5 {
                will.properties.write_section(writer, PropertyPlace::Will);
            }
            writer.string(will.topic.as_str());
            writer.binary(will.payload);
        }
        if let Some(user_name) = self.user_name {
            writer.string(user_name);
        }
        if let Some(password) = self.password {
            writer.binary(password);
        }
    }

    fn flags(&self) -> u8 {
        let will = self.will.map_or(0, |will| {
            let retain = if will.retain { WILL_RETAIN } else { 0 };
            WILL | retain | (will.qos as u8) << WILL_QOS_SHIFT
        });
        let clean_start = if self.clean_start { CLEAN_START } else { 0 };
        let user_name = if self.user_name.is_some() {
            USER_NAME
        } else {
            0
        };
        let password = if self.password.is_some() { PASSWORD } else { 0 };
        clean_start | will | user_name | password
    }
}

impl fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("client_id", &self.client_id)
            .field("will", &self.will)
            .field("user_name", &self.user_name)
            .finish_non_exhaustive()
    }
}

/// The message that the server publishes for a client that was lost (section 3.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where it is published.
    pub topic: TopicName<'a>,
    /// What it says, at most 65,535 bytes.
    pub payload: &'a [u8],
    /// With which QoS.
    pub qos: QoS,
    /// Whether the server retains it.
    pub retain: bool,
    /// Its properties (5.0).
    pub properties: Properties<'a>,
}

const RESERVED: u8 = 0x01;
const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS_SHIFT: u8 = 3;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;
    use crate::packet::{Packet, Property};

    #[test]
    fn a_password_is_never_printed() {
        let mut connect = Connect::new(ProtocolVersion::V5, "lamp");
        connect.password = Some(b"secret");
        let secret = [
            Property::AuthenticationMethod("m"),
            Property::AuthenticationData(b"secret"),
        ];
        connect.properties = Properties::new(&secret);
        let shown = format!("{connect:?}");
        assert!(shown.contains("lamp"));
        let as_bytes = format!("{:?}", b"secret");
        assert!(!shown.contains("secret") && !shown.contains(&as_bytes));
    }

    #[test]
    fn authentication_data_need_an_authentication_method() {
        let packet = b"\x10\x11\x00\x04MQTT\x05\x02\x00\x00\x04\x16\x00\x01d\x00\x00";
        let header = FixedHeader::decode(packet)
            .expect("a valid fixed header")
            .expect("a whole fixed header");
        assert_eq!(
            Packet::decode(ProtocolVersion::V5, header, &packet[header.len()..]),
            Err(DecodeError::MissingProperty(0x15))
        );

        let properties = [
            Property::AuthenticationData(b"d"),
            Property::AuthenticationMethod("m"),
        ];
        let mut connect = Connect::new(ProtocolVersion::V5, "");
        connect.properties = Properties::new(&properties[..1]);
        assert_eq!(connect.encode(&mut [0; 64]), Err(EncodeError::Property));
        connect.properties = Properties::new(&properties);
        assert!(connect.encode(&mut [0; 64]).is_ok());
    }
}
