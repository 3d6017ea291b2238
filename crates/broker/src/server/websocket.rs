//! WebSocket (RFC 6455) from the server's side: frames of any size go through without being held,
//! since MQTT has packets of its own and pays no attention to where a frame ends
//! (`[MQTT-6.0.0-2]`).

use sha1::{Digest as _, Sha1};

/// Takes the frames that a client sends apart.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The beginning of a header whose end is missing.
    header: Short<MAX_HEADER>,
    /// Payload of the current frame that has not come.
    missing: u64,
    mask: [u8; 4],
    /// Whether the current frame's payload is that of a control frame, and of which.
    control: Option<u8>,
    /// What came of it.
    payload: Short<MAX_CONTROL>,
    /// A message was begun, and its last frame has not come.
    is_fragmented: bool,
    is_closed: bool,
}

/// The client broke the rules; the code that it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Violation(pub(super) u16);

impl Decoder {
    /// Takes `bytes` apart: moves the payload of data frames to their beginning, and returns how
    /// much it is. Frames that answer the client's own are put behind `answers`.
    ///
    /// # Errors
    /// What a client must not send. What came before it is lost; the connection has to end.
    pub(super) fn decode(
        &mut self,
        bytes: &mut [u8],
        answers: &mut Vec<u8>,
    ) -> Result<usize, Violation> {
        let (mut at, mut kept) = (0, 0);
        while at < bytes.len() && !self.is_closed {
            if self.missing == 0 {
                self.header.push(bytes[at]);
                at += 1;
                self.begin_frame(answers)?;
                continue;
            }
            let there = bytes.len() - at;
            let count = usize::try_from(self.missing).map_or(there, |missing| missing.min(there));
            match self.control {
                None => {
                    bytes.copy_within(at..at + count, kept);
                    self.unmask(&mut bytes[kept..kept + count]);
                    kept += count;
                }
                Some(_) => {
                    self.unmask(&mut bytes[at..at + count]);
                    for byte in &bytes[at..at + count] {
                        self.payload.push(*byte);
                    }
                }
            }
            at += count;
            self.missing -= count as u64;
            if self.missing == 0 {
                self.end_frame(answers)?;
            }
        }
        Ok(kept)
    }

    /// The client has said that it closes; nothing more is read.
    pub(super) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Understands the header, when it is whole.
    fn begin_frame(&mut self, answers: &mut Vec<u8>) -> Result<(), Violation> {
        let header = self.header.bytes();
        let &[first, second, ref rest @ ..] = header else {
            return Ok(());
        };
        let is_final = first & FINAL != 0;
        let opcode = first & OPCODE;
        // Nothing was agreed on that would use the reserved bits; a client masks.
        if first & RESERVED != 0 || second & MASKED == 0 {
            return Err(PROTOCOL_ERROR);
        }
        let length = match (second & LENGTH, rest) {
            (126, [a, b, ..]) => u64::from(u16::from_be_bytes([*a, *b])),
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])
            }
            (126 | 127, _) => return Ok(()),
            (length, _) => u64::from(length),
        };
        let extended = match second & LENGTH {
            126 if length > 125 => 2,
            127 if length > 0xffff && length >> 63 == 0 => 8,
            // Longer than need be, or than may be.
            126 | 127 => return Err(PROTOCOL_ERROR),
            _ => 0,
        };
        let Some(&[a, b, c, d]) = rest.get(extended..extended + 4) else {
            return Ok(());
        };
        match opcode {
            CONTINUATION if !self.is_fragmented => return Err(PROTOCOL_ERROR),
            CONTINUATION => self.is_fragmented = !is_final,
            BINARY if self.is_fragmented => return Err(PROTOCOL_ERROR),
            BINARY => self.is_fragmented = !is_final,
            // `[MQTT-6.0.0-1]`
            TEXT => return Err(UNSUPPORTED_DATA),
            CLOSE | PING | PONG if is_final && length <= MAX_CONTROL as u64 => {}
            _ => return Err(PROTOCOL_ERROR),
        }
        self.control = (opcode >= CLOSE).then_some(opcode);
        self.mask = [a, b, c, d];
        self.missing = length;
        self.header = Short::default();
        if length == 0 {
            self.end_frame(answers)?;
        }
        Ok(())
    }

    fn end_frame(&mut self, answers: &mut Vec<u8>) -> Result<(), Violation> {
        let payload = std::mem::take(&mut self.payload);
        let payload = payload.bytes();
        match self.control.take() {
            // A client that pings and never reads gets no more than it has room for.
            Some(PING) if answers.len() < MAX_ANSWERS => {
                answers.extend_from_slice(&header(PONG, payload.len()).0[..2]);
                answers.extend_from_slice(payload);
            }
            Some(CLOSE) => {
                if payload.len() == 1 {
                    return Err(PROTOCOL_ERROR);
                }
                self.is_closed = true;
                // The same code goes back.
                answers.extend_from_slice(&header(CLOSE, payload.len().min(2)).0[..2]);
                answers.extend_from_slice(&payload[..payload.len().min(2)]);
            }
            _ => {}
        }
        Ok(())
    }

    fn unmask(&mut self, bytes: &mut [u8]) {
        let mut chunks = bytes.chunks_exact_mut(8);
        let [a, b, c, d] = self.mask;
        let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        for chunk in &mut chunks {
            if let Some(eight) = chunk.first_chunk_mut::<8>() {
                *eight = (u64::from_ne_bytes(*eight) ^ wide).to_ne_bytes();
            }
        }
        let rest = chunks.into_remainder();
        for (byte, mask) in rest.iter_mut().zip(self.mask.iter().cycle()) {
            *byte ^= mask;
        }
        // The next byte goes on where this one ended.
        self.mask.rotate_left(rest.len() % 4);
    }
}

/// The header of a frame with `length` bytes that a server sends, and how long it is.
pub(super) fn binary_header(length: usize) -> ([u8; MAX_SENT_HEADER], usize) {
    header(BINARY, length)
}

/// A frame that says that the server closes, and why.
pub(super) fn close_frame(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [FINAL | CLOSE, 2, high, low]
}

/// What the server answers to the client's key.
pub(super) fn accept_key(key: &str) -> String {
    use base64ct::{Base64, Encoding as _};

    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    Base64::encode_string(&hash.finalize())
}

fn header(opcode: u8, length: usize) -> ([u8; MAX_SENT_HEADER], usize) {
    let mut header = [0; MAX_SENT_HEADER];
    header[0] = FINAL | opcode;
    let used = match length {
        0..=125 => {
            header[1] = length as u8;
            2
        }
        126..=0xffff => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            4
        }
        _ => {
            header[1] = 127;
            header[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    };
    (header, used)
}

/// A few bytes.
#[derive(Debug, Clone)]
struct Short<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

impl<const N: usize> Short<N> {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(usize::from(self.length)) {
            *place = byte;
            self.length += 1;
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl<const N: usize> Default for Short<N> {
    fn default() -> Self {
        Self {
            bytes: [0; N],
            length: 0,
        }
    }
}

/// Everything went well.
pub(super) const NORMAL: u16 = 1000;
/// The longest header that a server sends.
pub(super) const MAX_SENT_HEADER: usize = 10;
const PROTOCOL_ERROR: Violation = Violation(1002);
const UNSUPPORTED_DATA: Violation = Violation(1003);
const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// A client's header: two bytes, eight of length, four of mask.
const MAX_HEADER: usize = 14;
const MAX_CONTROL: usize = 125;
/// Answers that may wait for a client that does not read.
const MAX_ANSWERS: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a client sends it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let (mut header, length) = header(0, payload.len());
        header[0] = first;
        header[1] |= MASKED;
        let mask = [0x12, 0x34, 0x56, 0x78];
        let masked = payload.iter().zip(mask.iter().cycle());
        [
            &header[..length],
            &mask,
            &masked.map(|(byte, mask)| byte ^ mask).collect::<Vec<_>>(),
        ]
        .concat()
    }

    /// What comes out when `bytes` come in parts of `step`.
    fn decode(bytes: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>, bool), Violation> {
        let (mut decoder, mut payload, mut answers) = (Decoder::default(), Vec::new(), Vec::new());
        for part in bytes.chunks(step) {
            let mut part = part.to_vec();
            let count = decoder.decode(&mut part, &mut answers)?;
            payload.extend_from_slice(&part[..count]);
        }
        Ok((payload, answers, decoder.is_closed()))
    }

    /// `[MQTT-6.0.0-2]`
    #[test]
    fn frames_of_any_size_may_come_in_parts_of_any_size() {
        let mut sent = Vec::new();
        let mut bytes = Vec::new();
        for length in [0, 1, 7, 8, 9, 125, 126, 127, 300, 65_535, 65_536, 70_001] {
            let payload: Vec<u8> = (0..length).map(|number| (number % 251) as u8).collect();
            bytes.extend(frame(0x82, &payload));
            sent.extend(payload);
        }
        for step in [1, 2, 3, 5, 13, 4_096, 1 << 20] {
            let (payload, answers, is_closed) = decode(&bytes, step).expect("valid");
            assert!(payload == sent, "{step}");
            assert!(answers.is_empty() && !is_closed);
        }
    }

    #[test]
    fn a_ping_may_stand_between_the_frames_of_a_message_and_is_answered() {
        let bytes = [
            frame(0x02, b"ab"),
            frame(0x89, b"are you there"),
            frame(0x00, b"cd"),
            frame(0x8a, b"a pong that nobody asked for"),
            frame(0x80, b"ef"),
        ]
        .concat();
        for step in 1..bytes.len() {
            let (payload, answers, _) = decode(&bytes, step).expect("valid");
            assert_eq!(payload, b"abcdef");
            assert_eq!(answers, b"\x8a\x0dare you there");
        }
    }

    #[test]
    fn a_close_is_answered_with_its_code_and_nothing_behind_it_is_read() {
        let bytes = [
            frame(0x82, b"ab"),
            frame(0x88, b"\x03\xe8bye"),
            frame(0x82, b"cd"),
        ]
        .concat();
        for step in [1, 100] {
            let decoded = decode(&bytes, step).expect("valid");
            assert_eq!(
                decoded,
                (b"ab".to_vec(), b"\x88\x02\x03\xe8".to_vec(), true)
            );
        }
        let (_, answers, _) = decode(&frame(0x88, b""), 100).expect("valid");
        assert_eq!(answers, b"\x88\0");
    }

    #[test]
    fn what_a_client_must_not_send_ends_the_connection_with_the_right_code() {
        let unmasked = [0x82, 1, b'x'].to_vec();
        let long =
            |first, second, length: &[u8]| [&[first, second | MASKED], length, &[0; 4]].concat();
        for (bytes, code) in [
            (unmasked, 1002),
            // `[MQTT-6.0.0-1]`
            (frame(0x81, b"text"), 1003),
            (frame(0xc2, b"a reserved bit"), 1002),
            (frame(0x83, b"a reserved opcode"), 1002),
            (frame(0x8b, b"a reserved opcode"), 1002),
            (frame(0x80, b"a continuation of nothing"), 1002),
            ([frame(0x02, b"a"), frame(0x82, b"b")].concat(), 1002),
            (frame(0x09, b"a ping in parts"), 1002),
            (frame(0x89, &[0; 126]), 1002),
            (frame(0x88, b"x"), 1002),
            (long(0x82, 126, &[0, 125]), 1002),
            (long(0x82, 127, &[0, 0, 0, 0, 0, 0, 0xff, 0xff]), 1002),
            (long(0x82, 127, &[0x80, 0, 0, 0, 0, 1, 0, 0]), 1002),
        ] {
            for step in [1, 1_000] {
                assert_eq!(decode(&bytes, step), Err(Violation(code)), "{bytes:?}");
            }
        }
    }

    #[test]
    fn whoever_pings_without_reading_gets_no_more_than_there_is_room_for() {
        let mut decoder = Decoder::default();
        let mut answers = Vec::new();
        for _ in 0..10_000 {
            let mut ping = frame(0x89, &[7; 125]);
            assert_eq!(decoder.decode(&mut ping, &mut answers), Ok(0));
        }
        assert!(answers.len() <= MAX_ANSWERS + 127);
    }

    /// The example of RFC 6455, section 1.3.
    #[test]
    fn the_key_is_accepted_as_the_rfc_says() {
        assert_eq!(
            accept_key("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }
}
