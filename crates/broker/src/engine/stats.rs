//! What the engine counts.

use declic_mqtt::ReasonCode;
use declic_mqtt::packet::DecodeError;

use super::CloseReason;

/// Counters since the start, and how much there is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that are open.
    pub connections: usize,
    /// Clients that are connected: connections whose CONNECT was accepted.
    pub clients: usize,
    /// Sessions, of connected clients and kept ones together.
    pub sessions: usize,
    /// Subscriptions of all sessions.
    pub subscriptions: usize,
    /// Retained messages.
    pub retained: usize,
    /// Messages that are held: waiting, in flight and retained, each counted once.
    pub messages: usize,
    /// Their bytes.
    pub message_bytes: usize,
    /// Connections that were opened.
    pub opened: u64,
    /// Connections closed at once because of [`Limits::connections`](super::Limits::connections).
    pub refused_connections: u64,
    /// Connections closed at once because of
    /// [`Limits::connections_per_address`](super::Limits::connections_per_address).
    pub refused_connections_per_address: u64,
    /// Clients that were accepted.
    pub accepted: u64,
    /// Clients that were refused with a CONNACK.
    pub refused: u64,
    /// Those of them whose client identifier is that of another user's session.
    pub refused_identifiers: u64,
    /// Sessions that ended because their time without a connection was over.
    pub expired_sessions: u64,
    /// Packets received, of any kind.
    pub packets_received: u64,
    /// Packets sent, of any kind.
    pub packets_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Publishes received.
    pub received: u64,
    /// Publishes sent.
    pub sent: u64,
    /// Bytes of the payloads of publishes received.
    pub payload_bytes_received: u64,
    /// Bytes of the payloads of publishes sent.
    pub payload_bytes_sent: u64,
    /// Publishes of QoS 0 that were dropped because a client's queue or the store was full.
    pub dropped_qos_0: u64,
    /// Publishes of QoS 1 and 2 that were dropped because a client's queue or the store was full.
    pub dropped_qos_1_2: u64,
    /// Publishes dropped because their lifetime was over.
    pub dropped_expired: u64,
    /// Publishes dropped because they are larger than the client accepts.
    pub dropped_too_large: u64,
    /// Messages that were not retained because of a limit.
    pub dropped_retained: u64,
    /// Publishes and wills refused: to `$SYS`, to a topic with too many levels, or without the
    /// right.
    pub refused_publishes: u64,
    /// Publishes not sent because the client may not read their topic.
    pub withheld: u64,
    /// Subscriptions refused because of a limit, or because nothing of it may be read.
    pub refused_subscriptions: u64,
    /// Connections that were closed because the peer broke the protocol.
    pub protocol_errors: u64,
    /// Times that reading from a client was paused.
    pub pauses: u64,
    /// Those of them because the client sent faster than it may.
    pub rate_pauses: u64,
    /// Connections without a CONNECT in time.
    pub connect_timeouts: u64,
    /// Connections closed because the client was silent for too long.
    pub keep_alive_timeouts: u64,
    /// Connections closed because of a packet that is larger than
    /// [`Limits::packet_size`](super::Limits::packet_size) or, for the first, than
    /// [`Limits::connect_packet_size`](super::Limits::connect_packet_size).
    pub oversized_packets: u64,
    /// Connections closed because of more unfinished publishes than
    /// [`Limits::inbound_in_flight`](super::Limits::inbound_in_flight).
    pub receive_maximum_exceeded: u64,
    /// Connections closed because of
    /// [`Limits::connection_bytes`](super::Limits::connection_bytes).
    pub connection_bytes_exceeded: u64,
    /// Clients disconnected because their queues ran over; see
    /// [`Limits::slow_consumer`](super::Limits::slow_consumer).
    pub slow_consumers: u64,
    /// Batches of changes that were given to the store.
    pub batches: u64,
    /// Times that the store could not write.
    pub store_failures: u64,
    /// Publishes, subscriptions and sessions refused because the store could not write.
    pub refused_unstored: u64,
    /// Whether the store could not write the last batch.
    pub store_failing: bool,
    /// Bytes of memory that the whole process has in use, from Linux's `/proc`; `None` from the
    /// engine, and on other systems.
    pub resident_bytes: Option<u64>,
}

impl Stats {
    /// A connection was closed, not by its peer.
    pub(super) fn count_closed(&mut self, reason: CloseReason) {
        if matches!(
            reason,
            CloseReason::Malformed(_) | CloseReason::Protocol(_) | CloseReason::Unexpected
        ) {
            self.protocol_errors += 1;
        }
        match reason {
            CloseReason::ConnectTimeout => self.connect_timeouts += 1,
            CloseReason::KeepAliveTimeout => self.keep_alive_timeouts += 1,
            CloseReason::Malformed(DecodeError::PacketTooLarge { .. }) => {
                self.oversized_packets += 1;
            }
            CloseReason::Protocol(ReasonCode::ReceiveMaximumExceeded) => {
                self.receive_maximum_exceeded += 1;
            }
            CloseReason::Protocol(ReasonCode::QuotaExceeded) => {
                self.connection_bytes_exceeded += 1;
            }
            CloseReason::SlowConsumer => self.slow_consumers += 1,
            _ => {}
        }
    }
}
