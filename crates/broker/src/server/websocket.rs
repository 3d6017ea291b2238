//! WebSocket (RFC 6455): frames of any size go through without being held,
//! since MQTT has packets of its own and pays no attention to where a frame ends
//! (`[MQTT-6.0.0-2]`).

use sha1::{Digest as _, Sha1};

/// Takes the frames of the other side apart: those that a client sends by default.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// They are a server's, and the answers a client's.
    is_client: bool,
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

/// The other side broke the rules; the code that it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Violation(pub(crate) u16);

impl Decoder {
    /// Takes the frames that a server sends apart.
    pub(crate) fn of_server() -> Self {
        Self {
            is_client: true,
            ..Self::default()
        }
    }

    /// Takes `bytes` apart: moves the payload of data frames to their beginning, and returns how
    /// much it is. Frames that answer the other side's own are put behind `answers`.
    ///
    /// # Errors
    /// What the other side must not send. What came before it is lost; the connection has to end.
    pub(crate) fn decode(
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

    /// The other side has said that it closes; nothing more is read.
    pub(crate) const fn is_closed(&self) -> bool {
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
        // Nothing was agreed on that would use the reserved bits; a client masks, a server doesn't.
        let is_masked = second & MASKED != 0;
        if first & RESERVED != 0 || is_masked == self.is_client {
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
        let mask = match rest[extended..] {
            [a, b, c, d] => [a, b, c, d],
            // Changes nothing.
            _ if self.is_client => [0; 4],
            _ => return Ok(()),
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
        self.mask = mask;
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
                self.answer(PONG, payload, answers);
            }
            Some(CLOSE) => {
                if payload.len() == 1 {
                    return Err(PROTOCOL_ERROR);
                }
                self.is_closed = true;
                // The same code goes back.
                self.answer(CLOSE, &payload[..payload.len().min(2)], answers);
            }
            _ => {}
        }
        Ok(())
    }

    fn answer(&self, opcode: u8, payload: &[u8], answers: &mut Vec<u8>) {
        let [first, length] = [FINAL | opcode, payload.len() as u8];
        if self.is_client {
            // Its own words go back to the server: no mask has to hide them.
            answers.extend_from_slice(&[first, length | MASKED, 0, 0, 0, 0]);
        } else {
            answers.extend_from_slice(&[first, length]);
        }
        answers.extend_from_slice(payload);
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

/// Puts a frame of a client with `payload` behind `bytes`.
pub(crate) fn append_masked(payload: &[u8], mask: [u8; 4], bytes: &mut Vec<u8>) {
    let (mut header, length) = header(BINARY, payload.len());
    header[1] |= MASKED;
    bytes.extend_from_slice(&header[..length]);
    bytes.extend_from_slice(&mask);
    let masked = payload.iter().zip(mask.iter().cycle());
    bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
}

/// A frame that says that a client closes.
pub(crate) const CLOSE_OF_CLIENT: [u8; 8] = [FINAL | CLOSE, MASKED | 2, 0, 0, 0, 0, 3, 0xe8];

/// A frame that says that the server closes, and why.
pub(super) fn close_frame(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [FINAL | CLOSE, 2, high, low]
}

/// What the server answers to the client's key.
pub(crate) fn accept_key(key: &str) -> String {
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

    #[test]
    fn a_client_takes_a_servers_frames_and_answers_with_masked_ones() {
        let bytes = [
            &[0x02, 2][..],
            b"ab",
            &[0x89, 3],
            b"you",
            &[0x80, 1],
            b"c",
            &[0x88, 2, 0x03, 0xe8],
        ]
        .concat();
        for step in [1, 3, 100] {
            let mut decoder = Decoder::of_server();
            let (mut payload, mut answers) = (Vec::new(), Vec::new());
            for part in bytes.chunks(step) {
                let mut part = part.to_vec();
                let count = decoder.decode(&mut part, &mut answers).expect("valid");
                payload.extend_from_slice(&part[..count]);
            }
            assert_eq!(payload, b"abc");
            assert!(decoder.is_closed());
            let (_, back, is_closed) = {
                let expected = b"\x8a\x83\0\0\0\0you\x88\x82\0\0\0\0\x03\xe8";
                assert_eq!(answers, expected);
                decode(&answers, 1).expect("what a client may send")
            };
            assert!(is_closed && back.ends_with(b"\x03\xe8"));
        }
        let mut masked = frame(0x82, b"x");
        let refused = Decoder::of_server().decode(&mut masked, &mut Vec::new());
        assert_eq!(refused, Err(PROTOCOL_ERROR));
        let mut sent = Vec::new();
        append_masked(&[7; 300], [1, 2, 3, 4], &mut sent);
        sent.extend(CLOSE_OF_CLIENT);
        let (payload, answers, is_closed) = decode(&sent, 7).expect("valid");
        assert!(payload == [7; 300] && is_closed);
        assert_eq!(answers, close_frame(NORMAL));
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
