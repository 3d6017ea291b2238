//! What the client tells its owner.

use core::fmt;

use crate::packet::{
    DecodeError, EncodeError, Items, PacketId, PacketKind, Properties, Publish, ReasonCode,
};

/// Something that happened, from [`Client::poll_event`](super::Client::poll_event).
///
/// What is borrowed lies in the receive buffer and is gone with the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The server accepted the connection.
    Connected {
        /// Whether the server goes on with the earlier session; if not, subscribe again.
        session_present: bool,
        /// The CONNACK's properties (5.0).
        properties: Properties<'a>,
    },
    /// A message, or its beginning.
    ///
    /// A packet that fits in the receive buffer comes whole, `remaining` being 0. Of a larger one,
    /// [`Event::MessageChunk`]s follow. It is acknowledged once its last byte was given out; if
    /// [`Event::Closed`] comes before, it was cut, and a server that keeps the session sends it
    /// again from its beginning (QoS 1 and 2).
    Message {
        /// The message; its `payload` is the first part.
        publish: Publish<'a>,
        /// Bytes of payload that follow.
        remaining: usize,
    },
    /// The next part of the payload of the message before.
    MessageChunk {
        /// The part.
        payload: &'a [u8],
        /// Bytes of payload that follow; 0 with the last part.
        remaining: usize,
    },
    /// The server took the message `id` (PUBACK for QoS 1, PUBCOMP for QoS 2), or refused it
    /// (PUBACK or PUBREC with `reason.is_error()`). Either way it is finished.
    Acknowledged {
        /// What [`Client::publish`](super::Client::publish) returned.
        id: PacketId,
        /// What the server said.
        reason: ReasonCode,
    },
    /// The server answered a SUBSCRIBE.
    Subscribed {
        /// What [`Client::subscribe`](super::Client::subscribe) returned.
        id: PacketId,
        /// An answer for each subscription, in order.
        reasons: Items<'a, ReasonCode>,
    },
    /// The server answered an UNSUBSCRIBE.
    Unsubscribed {
        /// What [`Client::unsubscribe`](super::Client::unsubscribe) returned.
        id: PacketId,
        /// An answer for each filter, in order; none in 3.1.1.
        reasons: Items<'a, ReasonCode>,
    },
    /// A message will not be sent: this server can't take it, or its stream was cut.
    Dropped {
        /// Its identifier; `None` for a message of QoS 0.
        id: Option<PacketId>,
        /// [`ReasonCode::PacketTooLarge`], [`ReasonCode::QoSNotSupported`],
        /// [`ReasonCode::RetainNotSupported`], or [`ReasonCode::UnspecifiedError`] for a stream
        /// that the connection's end cut.
        reason: ReasonCode,
    },
    /// The connection is over: close the transport. The client is idle.
    Closed(CloseReason),
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The transport was lost: [`Client::handle_closed`](super::Client::handle_closed).
    Lost,
    /// The owner asked for it: [`Client::disconnect`](super::Client::disconnect).
    Requested,
    /// CONNACK: the server refused the client.
    Refused(ReasonCode),
    /// DISCONNECT from the server (5.0).
    Server(ReasonCode),
    /// No CONNACK in time.
    ConnectTimeout,
    /// No answer to a PINGREQ in time.
    PingTimeout,
    /// The server broke the protocol.
    Protocol(ProtocolError),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str("the connection was lost"),
            Self::Requested => f.write_str("disconnected"),
            Self::Refused(reason) => write!(f, "the broker refused the connection: {reason}"),
            Self::Server(reason) => write!(f, "the broker ended the connection: {reason}"),
            Self::ConnectTimeout => f.write_str("the broker did not answer the connection in time"),
            Self::PingTimeout => f.write_str("the broker did not answer in time"),
            Self::Protocol(error) => write!(f, "the broker broke the protocol: {error}"),
        }
    }
}

/// How the server broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A packet could not be decoded.
    Decode(DecodeError),
    /// A packet that the server may not send, or not now.
    Unexpected(PacketKind),
    /// More messages of QoS 2 are unfinished than the client has places for.
    ReceiveMaximumExceeded,
    /// A topic alias above the maximum that the client announced.
    TopicAlias,
    /// The server goes on with a session although a clean start was asked for
    /// (v5 `[MQTT-3.2.2-2]`).
    SessionPresent,
}

impl ProtocolError {
    /// The reason code with which 5.0 answers the error.
    pub const fn reason_code(self) -> ReasonCode {
        match self {
            Self::Decode(error) => error.reason_code(),
            Self::Unexpected(_) | Self::SessionPresent => ReasonCode::ProtocolError,
            Self::ReceiveMaximumExceeded => ReasonCode::ReceiveMaximumExceeded,
            Self::TopicAlias => ReasonCode::TopicAliasInvalid,
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => error.fmt(f),
            Self::Unexpected(kind) => write!(f, "{kind} was not expected"),
            Self::ReceiveMaximumExceeded => f.write_str("too many unfinished messages of QoS 2"),
            Self::TopicAlias => f.write_str("a topic alias above the maximum"),
            Self::SessionPresent => f.write_str("a session is present after a clean start"),
        }
    }
}

/// Why a connection could not be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// There is a connection already.
    NotIdle,
    /// The CONNECT can't be written, or not into the receive buffer, which it uses until it is
    /// sent.
    Encode(EncodeError),
    /// The properties announce a larger receive maximum than there are places for.
    ReceiveMaximum {
        /// What they announce.
        asked: u16,
        /// The places in [`Memory::inbound`](super::Memory::inbound).
        places: u16,
    },
    /// 3.1.1 keeps no session for a client without an identifier (`[MQTT-3.1.3-7]`).
    NoClientId,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotIdle => f.write_str("there is a connection already"),
            Self::Encode(error) => error.fmt(f),
            Self::ReceiveMaximum { asked, places } => {
                write!(f, "a receive maximum of {asked} with places for {places}")
            }
            Self::NoClientId => {
                f.write_str("MQTT 3.1.1 keeps no session without a client identifier")
            }
        }
    }
}

impl core::error::Error for ConnectError {}

/// Why a packet was not taken. Nothing of it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// No connection: SUBSCRIBE, UNSUBSCRIBE and streamed messages need one.
    NotConnected,
    /// The outbox or the places for identifiers are full, or a stream is unfinished: later.
    Full,
    /// The packet is larger than the whole outbox, or than the server accepts.
    TooLarge {
        /// Its bytes.
        size: usize,
        /// Bytes accepted.
        limit: usize,
    },
    /// The server can't take it: QoS or retained messages are not supported.
    NotSupported(ReasonCode),
    /// The packet can't be written.
    Encode(EncodeError),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected => f.write_str("not connected"),
            Self::Full => f.write_str("too much is waiting to be sent or acknowledged"),
            Self::TooLarge { size, limit } => {
                write!(f, "the packet has {size} bytes, {limit} are possible")
            }
            Self::NotSupported(reason) => write!(f, "the broker can't take it: {reason}"),
            Self::Encode(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RequestError {}

impl From<EncodeError> for RequestError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}
