//! What a client speaks below MQTT: TLS (feature `tls`) and WebSocket (feature `http`).
//!
//! Bridges connect with it, and so may any program that brings a connection and an MQTT client.
//! [`Tls`] is made once for a broker; [`Tls::begin`] gives a [`TlsSession`] for each connection,
//! which reads from and writes to a stream that never blocks. [`WebSocket`] does no input and
//! output at all.

#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "http")]
mod websocket;

#[cfg(feature = "tls")]
pub use tls::{Identity, Tls, TlsFailure, TlsSession, Trust};
#[cfg(feature = "tls")]
pub(crate) use tls::{read_all, unreadable};
#[cfg(feature = "http")]
pub use websocket::{WebSocket, WebSocketError};
