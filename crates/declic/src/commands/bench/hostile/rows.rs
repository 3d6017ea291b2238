//! The kinds of hostile clients, and how much memory a broker of ours may take for them.

use std::io;

use declic_broker::Limits;
use declic_mqtt::QoS;

use super::attack::Attack;

/// What hostile clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Row {
    /// 10,000 connections on which nothing is said
    HalfOpen,
    /// 1,000 clients that have begun a long packet, and send one byte more now and then
    Drip,
    /// 100 subscribers that don't read, and publishers of much, QoS 0
    Deaf,
    /// The same with QoS 1
    DeafQos1,
    /// 20 clients that publish as fast as they can, QoS 0
    Publishes,
    /// 20 clients that ping as fast as they can
    Pings,
    /// 20 clients that subscribe to always other filters, as fast as they can
    Subscribes,
    /// Clients that connect and are gone, as fast as they can, 50 at a time
    Connects,
}

impl Row {
    pub const ALL: [Self; 8] = [
        Self::HalfOpen,
        Self::Drip,
        Self::Deaf,
        Self::DeafQos1,
        Self::Publishes,
        Self::Pings,
        Self::Subscribes,
        Self::Connects,
    ];

    /// As in a table.
    pub const fn title(self) -> &'static str {
        match self {
            Self::HalfOpen => "half-open connections",
            Self::Drip => "slow drip",
            Self::Deaf => "never reading, QoS 0",
            Self::DeafQos1 => "never reading, QoS 1",
            Self::Publishes => "flood of publishes",
            Self::Pings => "flood of pings",
            Self::Subscribes => "flood of subscriptions",
            Self::Connects => "flood of connections",
        }
    }

    /// As on the command line and in JSON.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::HalfOpen => "half-open",
            Self::Drip => "drip",
            Self::Deaf => "deaf",
            Self::DeafQos1 => "deaf-qos1",
            Self::Publishes => "publishes",
            Self::Pings => "pings",
            Self::Subscribes => "subscribes",
            Self::Connects => "connects",
        }
    }

    /// How many clients there are if nobody says otherwise.
    pub const fn count(self) -> usize {
        match self {
            Self::HalfOpen => 10_000,
            Self::Drip => 1_000,
            Self::Deaf | Self::DeafQos1 => 100,
            Self::Publishes | Self::Pings | Self::Subscribes => 20,
            Self::Connects => 50,
        }
    }

    /// Attacks until it is stopped.
    pub fn attack(self, attack: &Attack) -> io::Result<()> {
        match self {
            Self::HalfOpen => attack.half_open(),
            Self::Drip => attack.drip(),
            Self::Deaf => attack.deaf(QoS::AtMostOnce),
            Self::DeafQos1 => attack.deaf(QoS::AtLeastOnce),
            Self::Publishes => attack.publishes(),
            Self::Pings => attack.pings(),
            Self::Subscribes => attack.subscribes(),
            Self::Connects => attack.connects(),
        }
    }

    /// Bytes that our broker may take for `count` of them on top of what it had: what its limits
    /// let them have.
    pub fn bound(self, limits: &Limits, count: usize) -> u64 {
        let messages = limits.message_bytes
            + limits.queued_in_all.min(count * limits.queued_messages) * QUEUED;
        let own = match self {
            Self::HalfOpen | Self::Connects | Self::Publishes => 0,
            // What has come of a packet may take twice its room, since buffers double.
            Self::Drip => 2 * limits.connection_bytes,
            Self::Deaf | Self::DeafQos1 => messages,
            Self::Pings => count * 2 * limits.answer_bytes,
            Self::Subscribes => {
                3 * limits
                    .session_bytes
                    .min(count * limits.subscriptions * FILTER)
            }
        };
        (own + count * CONNECTION + BUFFERS) as u64
    }
}

/// Bytes of a connection's own structures, with those of a session.
const CONNECTION: usize = 2 * 1_024;
/// Bytes of a message's place in a queue.
const QUEUED: usize = 32;
/// Bytes of a filter with its place in a session and in the tree.
const FILTER: usize = 512;
/// What is there once, whoever comes.
const BUFFERS: usize = 16 * 1_024 * 1_024;
