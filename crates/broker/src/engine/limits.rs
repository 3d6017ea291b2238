//! What the engine allows, each with a default that suits a home and a small office.

use std::time::Duration;

use super::SlowConsumer;

/// Bounds on everything that clients can make grow. What is refused or dropped because of one is
/// counted in [`Stats`](super::Stats).
///
/// ```
/// use declic_broker::Limits;
///
/// let limits = Limits { packet_size: 64 * 1024, ..Limits::default() };
/// # let _ = limits;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time; more are closed at once.
    pub connections: usize,
    /// Connections at the same time from one address; more are closed at once. The addresses of
    /// one IPv6 network (the first 64 bits) count as one. The server counts them, the engine knows
    /// no addresses.
    pub connections_per_address: usize,
    /// Time that a connection has for its CONNECT.
    pub connect_timeout: Duration,
    /// Largest CONNECT in bytes: the most that is buffered for a stranger.
    pub connect_packet_size: usize,
    /// Largest packet in bytes that a client may send; 5.0 clients are told.
    pub packet_size: usize,
    /// Bytes of unfinished packets and of topics that have an alias, of all connections together.
    pub connection_bytes: usize,
    /// Bytes of answers that wait for one connection, above which nothing more is read from it.
    pub answer_bytes: usize,
    /// Publishes of QoS 1 and 2 that a client may have unfinished (receive maximum).
    pub inbound_in_flight: u16,
    /// Publishes of QoS 1 and 2 sent to a client before it has acknowledged the first.
    pub outbound_in_flight: u16,
    /// Messages that wait for one client.
    pub queued_messages: usize,
    /// Bytes of the messages that wait for one client.
    pub queued_bytes: usize,
    /// Messages that wait for all clients together or are on their way, each counted for each
    /// client.
    pub queued_in_all: usize,
    /// What happens when a client's queue is full.
    pub slow_consumer: SlowConsumer,
    /// Publishes that a client may send in a second, over longer times; 0 for no limit. In a moment
    /// it may send as many. One that sends more is read from less often; nothing is dropped.
    pub messages_per_second: u32,
    /// The same for the bytes of all its packets.
    pub bytes_per_second: usize,
    /// Memory in bytes of all messages that are held: waiting, in flight and retained. From three
    /// quarters of it on, those are slowed down who publish for clients that have fallen behind;
    /// from seven eighths on, such clients lose messages as if their own queues were full.
    pub message_bytes: usize,
    /// Retained messages of clients; the broker's own, in `$SYS`, are not counted.
    pub retained_messages: usize,
    /// Bytes of all retained messages.
    pub retained_bytes: usize,
    /// Sessions, of connected clients and kept ones together.
    pub sessions: usize,
    /// Bytes of the client identifiers and topic filters of all sessions.
    pub session_bytes: usize,
    /// Longest time that a session is kept without a connection; `None` for what the client asks.
    pub session_expiry: Option<Duration>,
    /// Subscriptions of one session.
    pub subscriptions: usize,
    /// Levels of a topic name or filter.
    pub topic_levels: usize,
    /// Topic aliases that a 5.0 client may use on a connection; 0 for none.
    pub topic_aliases: u16,
    /// Topic aliases in what is sent to a 5.0 client that accepts as many; 0 for none.
    pub outbound_topic_aliases: u16,
    /// Longest keep-alive in seconds; a 5.0 client that asks for more, or for none, is given it.
    /// `None` leaves the choice to the client.
    pub keep_alive: Option<u16>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 100_000,
            connections_per_address: 50_000,
            connect_timeout: Duration::from_secs(10),
            connect_packet_size: 128 * KIB,
            packet_size: 16 * MIB,
            connection_bytes: 256 * MIB,
            answer_bytes: 16 * KIB,
            inbound_in_flight: 1_024,
            outbound_in_flight: 1_024,
            queued_messages: 100_000,
            queued_bytes: 32 * MIB,
            queued_in_all: 10_000_000,
            slow_consumer: SlowConsumer::DropNewest,
            messages_per_second: 0,
            bytes_per_second: 0,
            message_bytes: 512 * MIB,
            retained_messages: 1_000_000,
            retained_bytes: 256 * MIB,
            sessions: 200_000,
            session_bytes: 512 * MIB,
            session_expiry: None,
            subscriptions: 10_000,
            topic_levels: 200,
            topic_aliases: 32,
            outbound_topic_aliases: 32,
            keep_alive: None,
        }
    }
}

const KIB: usize = 1_024;
const MIB: usize = 1_024 * KIB;
