//! Every statement of MQTT 3.1.1 and 5.0 that binds a server, asked of a broker over TCP.
//!
//! A test names the statements that it holds in its documentation: `v3.1.1 [MQTT-3.1.0-1]`,
//! `v5 [MQTT-3.1.0-1], [MQTT-3.1.0-2]`. `statements.tsv` lists all statements, and why some have no
//! test; `cargo xtask docs` makes `docs/conformance.md` of both, and fails when a statement that
//! binds a server has neither.
//!
//! `cargo test` asks our own broker, in this process. Another one is asked with
//!
//! ```sh
//! DECLIC_CONFORMANCE_BROKER=127.0.0.1:1884 cargo test -p declic-broker --test conformance
//! ```
//!
//! where `DECLIC_CONFORMANCE_WEBSOCKET` may have its address for WebSocket (with `--features http`),
//! and `DECLIC_CONFORMANCE_PEER=mosquitto-2.0.11` says whose list of known failures, in
//! `peers/`, must come out exactly. The other broker has to be configured as `peers/` shows.
//! A SHOULD is asked of our own broker only.

mod acknowledgements;
mod aliases;
mod auth;
mod bad_input;
mod broker;
mod case;
mod client;
mod connack;
mod connect;
mod data;
mod disconnect;
mod flow;
mod mistakes;
mod operation;
mod packets;
mod publish;
mod publish_properties;
mod qos;
mod retained;
mod sessions;
mod shared;
mod subscribe;
mod takeover;
mod topics;
mod unsubscribe;
#[cfg(feature = "http")]
mod websocket;
mod wills;
