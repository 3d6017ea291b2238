//! MQTT 3.1.1 and 5.0 without I/O, without allocation, without a clock.
//!
//! Start with [`client::Client`], the client's side as a state machine that its owner feeds with
//! bytes and time. Below it lie [`packet`], every control packet of both versions, decoded from
//! borrowed bytes and encoded into a given buffer, and [`TopicName`] and [`TopicFilter`].
//!
//! Nothing here opens a socket or reads the time: bytes and [`Instant`]s come in as parameters,
//! so the same code runs on a microcontroller, on a server and in a simulator.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(test)]
extern crate std;

pub mod client;
#[cfg(feature = "embedded-io-async")]
pub mod io;
pub mod packet;
mod time;
mod topic;

pub use packet::{PacketId, ProtocolVersion, QoS, ReasonCode};
pub use time::Instant;
pub use topic::{InvalidTopic, MAX_TOPIC_LEN, TopicFilter, TopicName};
