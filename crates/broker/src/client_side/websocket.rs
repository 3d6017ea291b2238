//! WebSocket to a broker.

use std::fmt;

use base64ct::{Base64, Encoding as _};
use httparse::{EMPTY_HEADER, Response, Status};

use crate::server::websocket::{CLOSE_OF_CLIENT, Decoder, accept_key, append_masked};

/// The client's side of MQTT over WebSocket (section 6 of 5.0), as a state machine without input
/// and output.
///
/// Bytes to send are behind [`Self::transmit`]; received ones go through [`Self::receive`].
#[derive(Debug)]
pub struct WebSocket {
    state: State,
    outgoing: Vec<u8>,
    /// How much of it is sent.
    sent: usize,
}

#[derive(Debug)]
enum State {
    /// The request is out: what has come of the answer, the key that has to be accepted, and a frame
    /// that waits for that.
    Asking {
        answer: Vec<u8>,
        key: String,
        held: Vec<u8>,
    },
    Open(Decoder),
}

/// The broker does not speak MQTT over WebSocket here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebSocketError {
    /// What it says is not HTTP.
    NoHttp,
    /// It answers with another status, given with its words.
    Status(u16, String),
    /// It agrees, but not to what was asked for.
    Answer,
    /// A frame breaks the rules.
    Frame,
}

impl WebSocket {
    /// Asks for `path` at `host`, which has the port behind it where it is not the usual one.
    /// `key` is random.
    pub fn new(host: &str, path: &str, key: [u8; 16]) -> Self {
        let key = Base64::encode_string(&key);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
             Sec-WebSocket-Protocol: mqtt\r\n\r\n"
        );
        Self {
            state: State::Asking {
                answer: Vec::new(),
                key: accept_key(&key),
                held: Vec::new(),
            },
            outgoing: request.into_bytes(),
            sent: 0,
        }
    }

    /// Bytes to be sent; more may come once these are [`Self::transmitted`].
    pub fn transmit(&self) -> &[u8] {
        &self.outgoing[self.sent..]
    }

    /// The first `len` bytes of [`Self::transmit`] are sent.
    pub fn transmitted(&mut self, len: usize) {
        self.sent = (self.sent + len).min(self.outgoing.len());
        if self.sent == self.outgoing.len() {
            self.outgoing.clear();
            self.sent = 0;
        }
    }

    /// Puts MQTT into a frame. Returns how many bytes of it: none as long as earlier ones are not
    /// sent. One frame is taken before the broker has agreed, and held back until it has. `mask` is
    /// random.
    pub fn send(&mut self, bytes: &[u8], mask: [u8; 4]) -> usize {
        let frame = match &mut self.state {
            State::Asking { held, .. } => held,
            State::Open(_) => &mut self.outgoing,
        };
        if !frame.is_empty() {
            return 0;
        }
        let count = bytes.len().min(MOST_IN_FRAME);
        if count > 0 {
            append_masked(&bytes[..count], mask, frame);
        }
        count
    }

    /// Takes received `bytes`; MQTT in them is moved to their beginning. Returns how much it is.
    ///
    /// # Errors
    /// The broker says what it must not; the connection has to end.
    pub fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, WebSocketError> {
        let State::Asking { answer, key, held } = &mut self.state else {
            return self.decode(bytes);
        };
        answer.extend_from_slice(bytes);
        let mut headers = [EMPTY_HEADER; MOST_HEADERS];
        let mut response = Response::new(&mut headers);
        let head_len = match response.parse(answer) {
            Ok(Status::Complete(head_len)) => head_len,
            Ok(Status::Partial) if answer.len() < MOST_OF_HEAD => return Ok(0),
            _ => return Err(WebSocketError::NoHttp),
        };
        let header = |name: &str| {
            let found = response.headers.iter();
            let mut found = found.filter(|header| header.name.eq_ignore_ascii_case(name));
            found.next().map(|header| header.value)
        };
        if response.code != Some(101) {
            let words = response.reason.unwrap_or_default().to_owned();
            return Err(WebSocketError::Status(response.code.unwrap_or(0), words));
        }
        let is_agreed = header("Sec-WebSocket-Accept") == Some(key.as_bytes())
            // v5 [MQTT-6.0.0-4]
            && header("Sec-WebSocket-Protocol") == Some(b"mqtt");
        if !is_agreed {
            return Err(WebSocketError::Answer);
        }
        // What is behind the head came with these bytes, not with earlier ones.
        let behind = answer.len() - head_len;
        let at = bytes.len() - behind;
        bytes.copy_within(at.., 0);
        self.outgoing.append(held);
        self.state = State::Open(Decoder::of_server());
        self.decode(&mut bytes[..behind])
    }

    /// Says that this side closes.
    pub fn close(&mut self) {
        if let State::Open(_) = self.state {
            self.outgoing.extend_from_slice(&CLOSE_OF_CLIENT);
        }
    }

    /// The broker has not agreed yet.
    pub const fn is_handshaking(&self) -> bool {
        matches!(self.state, State::Asking { .. })
    }

    /// The broker has said that it closes; nothing more comes.
    pub const fn is_closed(&self) -> bool {
        matches!(&self.state, State::Open(decoder) if decoder.is_closed())
    }

    fn decode(&mut self, bytes: &mut [u8]) -> Result<usize, WebSocketError> {
        let State::Open(decoder) = &mut self.state else {
            return Ok(0);
        };
        // Answers that wait are few: the decoder stops to answer pings before they are many.
        let decoded = decoder.decode(bytes, &mut self.outgoing);
        decoded.map_err(|_| WebSocketError::Frame)
    }
}

impl fmt::Display for WebSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHttp => f.write_str("what it says is not HTTP"),
            Self::Status(code, words) => write!(f, "it answers with {code} {words}"),
            Self::Answer => f.write_str("it does not agree to speak MQTT"),
            Self::Frame => f.write_str("it breaks the rules of WebSocket"),
        }
    }
}

impl std::error::Error for WebSocketError {}

/// Most bytes of MQTT in one frame.
const MOST_IN_FRAME: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
const MOST_OF_HEAD: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the example in RFC 6455, section 1.3.
    const KEY: [u8; 16] = *b"the sample nonce";

    fn asking() -> WebSocket {
        WebSocket::new("host:80", "/mqtt", KEY)
    }

    const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-protocol: mqtt\r\n\r\n";

    #[test]
    fn it_asks_for_mqtt_and_what_is_sent_waits_for_the_answer() {
        let mut socket = asking();
        let request = String::from_utf8(socket.transmit().to_vec()).expect("text");
        assert!(request.starts_with("GET /mqtt HTTP/1.1\r\nHost: host:80\r\n"));
        assert!(request.contains("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
        assert!(request.contains("Sec-WebSocket-Protocol: mqtt\r\n"));
        socket.transmitted(request.len());
        assert_eq!(socket.send(b"x", [0; 4]), 1);
        assert_eq!(socket.send(b"y", [0; 4]), 0);
        assert!(socket.transmit().is_empty() && socket.is_handshaking());
        assert_eq!(socket.receive(&mut AGREED.as_bytes().to_vec()), Ok(0));
        assert_eq!(socket.transmit(), [0x82, 0x81, 0, 0, 0, 0, b'x']);
    }

    #[test]
    fn the_answer_and_frames_behind_it_may_come_in_any_pieces() {
        let bytes = [AGREED.as_bytes(), b"\x82\x03abc\x82\x02de"].concat();
        for step in 1..=bytes.len() {
            let mut socket = asking();
            let mut payload = Vec::new();
            for part in bytes.chunks(step) {
                let mut part = part.to_vec();
                let count = socket.receive(&mut part).expect("valid");
                payload.extend_from_slice(&part[..count]);
            }
            assert_eq!(payload, b"abcde", "{step}");
            socket.transmitted(usize::MAX);
            assert_eq!(socket.send(b"xy", [1, 2, 3, 4]), 2);
            assert_eq!(
                socket.transmit(),
                [0x82, 0x82, 1, 2, 3, 4, b'x' ^ 1, b'y' ^ 2]
            );
            // One at a time.
            assert_eq!(socket.send(b"z", [0; 4]), 0);
            socket.transmitted(8);
            assert_eq!(socket.send(b"z", [0; 4]), 1);
        }
    }

    #[test]
    fn what_is_no_agreement_is_an_error() {
        let told = |answer: &str| asking().receive(&mut answer.as_bytes().to_vec());
        let status = WebSocketError::Status(404, "Not Found".to_owned());
        assert_eq!(told("HTTP/1.1 404 Not Found\r\n\r\n"), Err(status));
        assert_eq!(told("\x20\x02\0\0"), Err(WebSocketError::NoHttp));
        let endless = format!("HTTP/1.1 101 x\r\na: {}", "x".repeat(MOST_OF_HEAD));
        assert_eq!(told(&endless), Err(WebSocketError::NoHttp));
        for (good, bad) in [
            ("s3pP", "s3pp"),
            ("protocol: mqtt", "protocol: chat"),
            ("protocol", "x"),
        ] {
            assert_eq!(
                told(&AGREED.replace(good, bad)),
                Err(WebSocketError::Answer)
            );
        }
        let masked = [AGREED.as_bytes(), &[0x82, 0x81, 0, 0, 0, 0, 1]].concat();
        assert_eq!(
            asking().receive(&mut masked.clone()),
            Err(WebSocketError::Frame)
        );
    }
}
