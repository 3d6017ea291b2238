//! The fixed header (section 2.2 of 3.1.1, 2.1 of 5.0).

use super::wire::{MAX_VARINT, Writer, read_varint, varint_len};
use super::{DecodeError, EncodeError, PacketKind, ProtocolVersion};

/// A packet's first two to five bytes: kind, flags, and how many bytes follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedHeader {
    kind: PacketKind,
    flags: u8,
    len: u8,
    remaining_len: u32,
}

impl FixedHeader {
    /// Most bytes that a fixed header has.
    pub const MAX_LEN: usize = 5;

    /// Reads a fixed header from the front of `bytes`; `None` where more bytes are needed.
    ///
    /// # Errors
    /// The kind doesn't exist, its flags are wrong, or the remaining length has more than four
    /// bytes. Errors are found as early as the bytes allow.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, DecodeError> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let (kind, flags) = (first >> 4, first & 0x0f);
        let kind = PacketKind::from_u8(kind).ok_or(DecodeError::UnknownKind(kind))?;
        if kind
            .reserved_flags()
            .is_some_and(|reserved| reserved != flags)
        {
            return Err(DecodeError::HeaderFlags { kind, flags });
        }
        Ok(read_varint(rest)?.map(|(remaining_len, len)| Self {
            kind,
            flags,
            len: len as u8 + 1,
            remaining_len,
        }))
    }

    /// The packet's kind.
    pub const fn kind(self) -> PacketKind {
        self.kind
    }

    /// The low four bits of the first byte; they say something in a PUBLISH only.
    pub const fn flags(self) -> u8 {
        self.flags
    }

    /// Bytes of the fixed header itself, 2 to 5.
    #[expect(clippy::len_without_is_empty, reason = "a fixed header is never empty")]
    pub const fn len(self) -> usize {
        self.len as usize
    }

    /// Bytes that follow the fixed header.
    pub const fn remaining_len(self) -> usize {
        self.remaining_len as usize
    }

    /// Bytes of the whole packet.
    pub const fn packet_len(self) -> usize {
        self.len() + self.remaining_len()
    }

    /// Whether a connection of `version` may carry the header: 3.1.1 has no AUTH, and 5.0 wants
    /// the remaining length in as few bytes as possible.
    #[inline]
    pub(super) fn check_version(self, version: ProtocolVersion) -> Result<(), DecodeError> {
        match version {
            ProtocolVersion::V3_1_1 if self.kind == PacketKind::Auth => {
                Err(DecodeError::UnknownKind(self.kind as u8))
            }
            ProtocolVersion::V5 if self.len() != 1 + varint_len(self.remaining_len) => {
                Err(DecodeError::VariableByteInteger)
            }
            _ => Ok(()),
        }
    }
}

/// Encodes a packet whose bytes after the fixed header are written by `body`.
pub(super) fn encode(
    kind: PacketKind,
    flags: u8,
    buffer: &mut [u8],
    body: impl Fn(&mut Writer<'_>),
) -> Result<usize, EncodeError> {
    let flags = kind.reserved_flags().unwrap_or(flags);
    encode_with_payload(kind, flags, 0, buffer, body)
}

/// Encodes the front of a packet, behind which `payload_len` bytes will follow.
pub(super) fn encode_with_payload(
    kind: PacketKind,
    flags: u8,
    payload_len: usize,
    buffer: &mut [u8],
    body: impl Fn(&mut Writer<'_>),
) -> Result<usize, EncodeError> {
    let mut counter = Writer::counting();
    body(&mut counter);
    if let Some(error) = counter.error() {
        return Err(error);
    }
    let length = counter.len().saturating_add(payload_len);
    let remaining_len = u32::try_from(length)
        .ok()
        .filter(|len| *len <= MAX_VARINT)
        .ok_or(EncodeError::TooLong {
            length,
            limit: MAX_VARINT as usize,
        })?;
    let mut writer = Writer::new(buffer);
    writer.u8((kind as u8) << 4 | flags);
    writer.varint(remaining_len);
    body(&mut writer);
    writer.finish()
}
