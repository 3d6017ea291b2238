//! Virtual TCP connections.

use std::collections::VecDeque;
use std::time::Duration;

use declic_broker::ConnId;
use declic_mqtt::Instant;

use crate::random::Random;

/// How the network between boards and broker behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Time that bytes need for one way.
    pub latency: Duration,
    /// Up to so much is added by chance. Bytes of one connection never overtake each other.
    pub jitter: Duration,
    /// Bytes travel in pieces of at most so many, cut at random places; 0 for never.
    pub segment: usize,
}

impl Default for Network {
    /// A good home network: 3 ms and up to 2 ms more, in one piece.
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(3),
            jitter: Duration::from_millis(2),
            segment: 0,
        }
    }
}

/// Names a [`Wire`]; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WireId(pub(crate) u64);

/// The end of a connection at which something arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Board,
    Broker,
}

/// One connection, from the board's first knock until both ends have closed it.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Index of the board.
    pub(crate) board: usize,
    /// The broker's side, once it was accepted.
    pub(crate) conn: Option<ConnId>,
    /// Nothing arrives any more, and nobody is told.
    pub(crate) frozen: bool,
    /// Arrived at the board, which had no room for it.
    pub(crate) unread: VecDeque<u8>,
    /// Nothing comes behind [`Self::unread`].
    pub(crate) ended: bool,
    /// Arrived at the broker while it did not read; `None` while it reads.
    pub(crate) paused: Option<Vec<u8>>,
    last_arrival: [Instant; 2],
}

impl Wire {
    pub(crate) const fn new(board: usize) -> Self {
        Self {
            board,
            conn: None,
            frozen: false,
            unread: VecDeque::new(),
            ended: false,
            paused: None,
            last_arrival: [Instant::ZERO; 2],
        }
    }

    /// When what is sent `now` arrives at `end`.
    pub(crate) fn arrival(
        &mut self,
        end: End,
        now: Instant,
        network: Network,
        random: &mut Random,
    ) -> Instant {
        let last = &mut self.last_arrival[end as usize];
        *last = (now + network.latency + random.up_to(network.jitter)).max(*last);
        *last
    }
}

/// Cuts `bytes` as `network` says.
pub(crate) fn segments(mut bytes: &[u8], network: Network, random: &mut Random) -> Vec<Vec<u8>> {
    let mut segments = Vec::new();
    while !bytes.is_empty() {
        let len = match network.segment {
            0 => bytes.len(),
            most => (1 + random.below(most as u64) as usize).min(bytes.len()),
        };
        let (segment, rest) = bytes.split_at(len);
        segments.push(segment.to_vec());
        bytes = rest;
    }
    segments
}
