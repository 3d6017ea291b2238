//! What the engine counts.

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
    /// Clients that were accepted.
    pub accepted: u64,
    /// Clients that were refused with a CONNACK.
    pub refused: u64,
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
    /// Publishes refused: to `$SYS`, or to a topic with too many levels.
    pub refused_publishes: u64,
    /// Subscriptions refused because of a limit.
    pub refused_subscriptions: u64,
    /// Connections that were closed because the peer broke the protocol.
    pub protocol_errors: u64,
    /// Times that reading from a client was paused.
    pub pauses: u64,
}
