//! Reading and writing of the data types of section 1.5 (2.2.3 for the remaining length).

use super::{DecodeError, EncodeError};

/// Largest value of a variable byte integer (`[MQTT-1.5.5-1]`): 268,435,455.
pub const MAX_VARINT: u32 = 0x0fff_ffff;

/// Takes values off the front of a borrowed slice. Never panics, whatever the bytes.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn varint(&mut self) -> Result<u32, DecodeError> {
        match read_varint(self.0)? {
            None => Err(DecodeError::Truncated),
            Some((value, len)) if len != varint_len(value) => Err(DecodeError::VariableByteInteger),
            Some((value, len)) => {
                self.take(len)?;
                Ok(value)
            }
        }
    }

    pub(crate) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    pub(crate) fn string(&mut self) -> Result<&'a str, DecodeError> {
        let text = core::str::from_utf8(self.binary()?).map_err(|_| DecodeError::Utf8)?;
        if text.as_bytes().contains(&0) {
            return Err(DecodeError::NulInString);
        }
        Ok(text)
    }

    /// A length as a variable byte integer and a reader over that many bytes.
    pub(crate) fn section(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.varint()?;
        self.take(len as usize)
    }
}

/// Reads a variable byte integer: value and encoded length, `None` where more bytes are needed.
/// Accepts longer forms than needed, which only 5.0 forbids (`[MQTT-1.5.5-1]`).
///
/// # Errors
/// More than four bytes.
#[inline]
pub(crate) fn read_varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, DecodeError> {
    let mut value = 0;
    for index in 0..4 {
        let Some(&byte) = bytes.get(index) else {
            return Ok(None);
        };
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    Err(DecodeError::VariableByteInteger)
}

/// Bytes that [`read_varint`] takes for `value`.
pub(crate) const fn varint_len(value: u32) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

/// Puts values into a given buffer; past its end it only counts, so one piece of code both
/// measures and writes. The first mistake of the caller is kept and returned by [`Self::finish`].
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    len: usize,
    error: Option<EncodeError>,
}

impl<'b> Writer<'b> {
    pub(crate) fn new(buffer: &'b mut [u8]) -> Self {
        Self {
            buffer,
            len: 0,
            error: None,
        }
    }

    /// A writer that only counts.
    pub(crate) fn counting() -> Writer<'static> {
        Writer::new(&mut [])
    }

    /// Bytes written so far, or that would have been.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes written, if all of them fitted and the caller made no mistake.
    pub(crate) fn finish(self) -> Result<usize, EncodeError> {
        match self.error {
            Some(error) => Err(error),
            None if self.len > self.buffer.len() => Err(EncodeError::BufferTooSmall {
                needed: self.len,
                available: self.buffer.len(),
            }),
            None => Ok(self.len),
        }
    }

    pub(crate) fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }

    pub(crate) const fn error(&self) -> Option<EncodeError> {
        self.error
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if let Some(space) = self.buffer.get_mut(self.len..end) {
            space.copy_from_slice(bytes);
        }
        self.len = end;
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn varint(&mut self, mut value: u32) {
        if value > MAX_VARINT {
            self.fail(EncodeError::TooLong {
                length: value as usize,
                limit: MAX_VARINT as usize,
            });
        }
        loop {
            let byte = (value & 0x7f) as u8;
            value >>= 7;
            if value == 0 {
                return self.u8(byte);
            }
            self.u8(byte | 0x80);
        }
    }

    pub(crate) fn binary(&mut self, bytes: &[u8]) {
        match u16::try_from(bytes.len()) {
            Ok(len) => {
                self.u16(len);
                self.bytes(bytes);
            }
            Err(_) => self.fail(EncodeError::TooLong {
                length: bytes.len(),
                limit: usize::from(u16::MAX),
            }),
        }
    }

    pub(crate) fn string(&mut self, text: &str) {
        if text.as_bytes().contains(&0) {
            self.fail(EncodeError::NulInString);
        }
        self.binary(text.as_bytes());
    }
}
