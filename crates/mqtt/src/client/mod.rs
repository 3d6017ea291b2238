//! The client's side of MQTT 3.1.1 and 5.0 as a state machine without I/O.

mod acks;
mod closing;
mod connect;
mod event;
mod in_flight;
mod inbound;
mod outbox;
mod receive;
mod request;
#[cfg(test)]
mod tests;
mod timers;
mod transmit;

use core::time::Duration;

pub use event::{CloseReason, ConnectError, Event, ProtocolError, RequestError};
pub use in_flight::InFlight;
pub use request::Message;

use acks::AckQueue;
use closing::Goodbye;
use in_flight::{InFlightTable, Stage};
use inbound::Inbound;
use outbox::Outbox;
use receive::Receiver;
use timers::{Ping, Timers};
use transmit::Scratch;

use crate::packet::{PacketId, ProtocolVersion, QoS, ReasonCode};

/// An MQTT client that does no I/O, reads no clock and allocates nothing.
///
/// **Feed all input that is ready, then drain the events until `None`, then move bytes.** That is
/// the whole contract; nothing happens between calls.
///
/// Its methods are of four kinds:
///
/// - *input*: [`rx_space`](Self::rx_space) and [`received`](Self::received) for bytes,
///   [`handle_closed`](Self::handle_closed), [`handle_timeout`](Self::handle_timeout);
/// - *verbs*: [`connect`](Self::connect), [`publish`](Self::publish),
///   [`publish_streamed`](Self::publish_streamed), [`subscribe`](Self::subscribe),
///   [`unsubscribe`](Self::unsubscribe), [`disconnect`](Self::disconnect);
/// - *output*: [`poll_event`](Self::poll_event), [`poll_timeout`](Self::poll_timeout),
///   [`transmit`](Self::transmit) and [`transmitted`](Self::transmitted) for bytes;
/// - *getters*.
///
/// All memory is the owner's, see [`Memory`]; nothing the server does makes the client need more.
///
/// # Messages that are sent
/// QoS 1 and 2 messages stay in the outbox until they are acknowledged, also across connections:
/// they are sent again with DUP when the server still has the session, and as new messages when it
/// has not (so a QoS 2 message may then arrive twice: no client can know). They may be published
/// while there is no connection. The outbox is never written to flash: after a restart of the
/// program, connect with a clean start, so that no identifier is used for two messages.
///
/// # Messages that are received
/// They are acknowledged with the bytes that [`transmit`](Self::transmit) returns next after the
/// event with their last byte. A QoS 2 message is given out once, however often the server sends it. As many
/// may be unfinished as [`Memory::inbound`] has places, which the client announces as receive
/// maximum in 5.0; a server of 3.1.1 that sends more is disconnected.
///
/// # Example
/// ```
/// use declic_mqtt::client::{Client, Config, Event, InFlight, Memory, Message};
/// use declic_mqtt::packet::{Connect, ProtocolVersion};
/// use declic_mqtt::{Instant, TopicName};
///
/// let (mut receive, mut outbox) = ([0; 256], [0; 256]);
/// let (mut in_flight, mut inbound) = ([InFlight::default(); 4], [None; 4]);
/// let mut client = Client::new(Config::default(), Memory {
///     receive: &mut receive,
///     outbox: &mut outbox,
///     in_flight: &mut in_flight,
///     inbound: &mut inbound,
/// });
///
/// // The owner opened a transport.
/// let now = Instant::from_millis(10);
/// client.connect(&Connect::new(ProtocolVersion::V3_1_1, "lamp"), now)?;
/// // Move bytes out (here: to nowhere) and in.
/// let len = client.transmit().len();
/// client.transmitted(len, now);
/// let connack = [0x20, 2, 0, 0];
/// client.rx_space()[..4].copy_from_slice(&connack);
/// client.received(4, now);
/// // Drain the events.
/// while let Some(event) = client.poll_event() {
///     assert!(matches!(event, Event::Connected { session_present: false, .. }));
/// }
/// let topic = TopicName::new("esp32/data")?;
/// client.publish(&Message::new(topic, b"ON"))?;
/// assert_eq!(client.transmit(), b"\x30\x0e\x00\x0aesp32/dataON");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Client<'b> {
    config: Config,
    phase: Phase,
    version: ProtocolVersion,
    receiver: Receiver<'b>,
    outbox: Outbox<'b>,
    in_flight: InFlightTable<'b>,
    inbound: Inbound<'b>,
    acks: AckQueue,
    scratch: Scratch,
    goodbye: Goodbye,
    timers: Timers,
    limits: Limits,
    /// Messages of QoS 1 and 2 sent on this connection and not acknowledged.
    unacknowledged: usize,
    /// Highest topic alias that the server may use.
    topic_alias_maximum: u16,
    /// Largest packet that the server may send.
    accepted_size: usize,
    /// A clean start was asked for, and not confirmed by a CONNACK.
    wants_clean_start: bool,
    /// What was received waits for room for its acknowledgement.
    is_held_up: bool,
    /// Messages of QoS 0 dropped without the owner being told yet.
    dropped_qos0: Option<(u16, ReasonCode)>,
}

/// The memory that a client works in; see each field for what its size means.
#[derive(Debug)]
pub struct Memory<'b> {
    /// Holds what was received until it is worked off; also the CONNECT until it is sent. A
    /// PUBLISH larger than this comes in chunks, if its topic and properties fit; 128 bytes is
    /// a sensible minimum.
    pub receive: &'b mut [u8],
    /// Holds packets until they are sent, and messages of QoS 1 and 2 until they are acknowledged;
    /// 2 bytes per packet go to bookkeeping.
    pub outbox: &'b mut [u8],
    /// How many messages of QoS 1 and 2, SUBSCRIBEs and UNSUBSCRIBEs may be unfinished at a time;
    /// at least 1, at most 65,534.
    pub in_flight: &'b mut [InFlight],
    /// How many received messages of QoS 2 may be unfinished at a time; at least 1.
    pub inbound: &'b mut [Option<PacketId>],
}

/// How long the client waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// From [`Client::connect`] to the CONNACK.
    pub connect_timeout: Duration,
    /// From a PINGREQ to anything received; half of the keep-alive where that is shorter.
    pub ping_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(10),
        }
    }
}

/// Where the client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No connection; [`Client::connect`] may be called.
    Idle,
    /// CONNECT is on its way, or CONNACK is awaited.
    Connecting,
    /// The server accepted the connection.
    Connected,
    /// The last bytes go out; [`Event::Closed`] follows.
    Closing,
}

/// What the client is doing; [`State`] with what only it needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// The CONNECT lies in the receive buffer.
    SendingConnect,
    AwaitingConnAck,
    Connected,
    /// The owner disconnects: what is waiting goes out first.
    Finishing,
    /// The client ends it: only what can't be left half-sent goes out. Input is not looked at.
    Failing(CloseReason),
    /// The owner must be told.
    Closed(CloseReason),
}

/// What the server said about itself in its CONNACK.
#[derive(Debug, Clone, Copy)]
struct Limits {
    receive_maximum: u16,
    maximum_packet_size: usize,
    maximum_qos: QoS,
    retain_available: bool,
}

impl Limits {
    /// What holds when the server says nothing.
    const NONE: Self = Self {
        receive_maximum: u16::MAX,
        maximum_packet_size: usize::MAX,
        maximum_qos: QoS::ExactlyOnce,
        retain_available: true,
    };
}

impl<'b> Client<'b> {
    /// A client without a connection, working in `memory`.
    pub const fn new(config: Config, memory: Memory<'b>) -> Self {
        Self {
            config,
            phase: Phase::Idle,
            version: ProtocolVersion::V5,
            receiver: Receiver::new(memory.receive),
            outbox: Outbox::new(memory.outbox),
            in_flight: InFlightTable::new(memory.in_flight),
            inbound: Inbound::new(memory.inbound),
            acks: AckQueue::new(),
            scratch: Scratch::new(),
            goodbye: Goodbye::NONE,
            timers: Timers::new(),
            limits: Limits::NONE,
            unacknowledged: 0,
            topic_alias_maximum: 0,
            accepted_size: usize::MAX,
            wants_clean_start: false,
            is_held_up: false,
            dropped_qos0: None,
        }
    }

    /// Ends the client without a word, and gives its memory back for another one.
    pub fn into_memory(self) -> Memory<'b> {
        Memory {
            receive: self.receiver.into_buffer(),
            outbox: self.outbox.into_buffer(),
            in_flight: self.in_flight.into_slots(),
            inbound: self.inbound.into_places(),
        }
    }

    /// Where the client stands.
    pub const fn state(&self) -> State {
        match self.phase {
            Phase::Idle => State::Idle,
            Phase::SendingConnect | Phase::AwaitingConnAck => State::Connecting,
            Phase::Connected => State::Connected,
            Phase::Finishing | Phase::Failing(_) | Phase::Closed(_) => State::Closing,
        }
    }

    /// The version of the last connection that was begun.
    pub const fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Published messages of QoS 1 and 2 that are not acknowledged, those not yet sent included.
    pub fn in_flight(&self) -> usize {
        self.in_flight.count(|stage| {
            matches!(
                stage,
                Stage::PubAck | Stage::PubRec | Stage::Release | Stage::PubComp
            )
        })
    }

    /// Whether something waits to be sent, be it for a connection or for the server's quota.
    pub fn has_unsent(&self) -> bool {
        matches!(
            self.phase,
            Phase::SendingConnect | Phase::Finishing | Phase::Failing(_)
        ) || self.outbox.has_unsent()
            || self.scratch.has_unsent()
            || !self.acks.is_empty()
            || self.has_unsent_pubrel()
            || self.timers.ping != Ping::No
    }
}
