//! An MQTT 3.1.1 and 5.0 broker to embed.
//!
//! [`Broker`] is a server to start in any program or test:
//!
//! ```
//! use declic_broker::{Broker, Config};
//!
//! let broker = Broker::bind(Config::listening_on("127.0.0.1:0".parse()?))?;
//! let address = broker.local_addrs()[0];
//! let handle = broker.handle();
//! let thread = std::thread::spawn(move || broker.run());
//! println!("listening on mqtt://{address}");
//! handle.shutdown();
//! thread.join().expect("the broker doesn't panic")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Engine`] is its core: sessions, subscriptions, routing, retained messages and wills as a
//! state machine without sockets, clock, threads or random source. Whoever brings those, a server,
//! a simulator or a test, keeps one contract:
//!
//! **Feed all input that is ready, then drain the effects until `None`, then move bytes.**
//!
//! ```no_run
//! # use declic_broker::{ConnId, Effect, Engine, Limits};
//! # use declic_mqtt::Instant;
//! # fn wait_until(_: Option<Instant>) -> (Instant, Vec<(ConnId, Vec<u8>)>) { unimplemented!() }
//! # fn act(_: Effect, _: &mut Engine) {}
//! # fn send(_: ConnId, _: &[u8]) {}
//! # let mut engine = Engine::new(Limits::default(), 0);
//! # let mut buffer = vec![0; 65_536];
//! loop {
//!     // Feed: bytes of each readable transport, transports that opened or closed, and time.
//!     let (now, input) = wait_until(engine.poll_timeout());
//!     for (conn, bytes) in input {
//!         engine.handle_bytes(conn, &bytes, now);
//!     }
//!     engine.handle_timeout(now);
//!     // Drain: close and pause transports, check passwords.
//!     while let Some(effect) = engine.poll_effect() {
//!         act(effect, &mut engine);
//!     }
//!     // Move bytes: many packets in one write. A transport that takes no more is filled again
//!     // when it is writable.
//!     while let Some(conn) = engine.poll_ready() {
//!         let filled = engine.fill(conn, &mut buffer, now);
//!         send(conn, &buffer[..filled]);
//!     }
//! }
//! ```
//!
//! # What it does when there is too much
//!
//! Everything that a client can make grow has a bound in [`Limits`], and what was dropped is
//! counted in [`Stats`].
//!
//! - A client that reads slowly has a queue of its own; nobody else waits. When the queue is full,
//!   messages of QoS 0 in it make room for others; where that is not enough, new messages are
//!   dropped (as Mosquitto does), or the oldest, or the client is disconnected:
//!   [`Limits::slow_consumer`]. Retained messages for a new subscription are never dropped: they
//!   are looked for as the queue empties.
//! - The queues of all clients together have a bound too; it acts in the same way.
//! - A client that is not connected gets no messages of QoS 0; those of QoS 1 and 2 wait for it.
//! - When all messages together take three quarters of [`Limits::message_bytes`], those who publish
//!   for clients that have fallen behind are read from less often; from seven eighths on, clients
//!   for which more is held than their share of half of it count as having full queues. Who reads
//!   what it gets loses nothing. When messages take all of it, such as large retained ones, they are
//!   refused where the protocol allows to say so (5.0, QoS 1 and 2) and dropped where not.
//! - A client that doesn't read its acknowledgements is not read from until it does, and one that
//!   sends faster than it may ([`Limits::messages_per_second`], [`Limits::bytes_per_second`]) is
//!   read from less often. Nothing of it is dropped.
//!
//! # What outlives it
//!
//! Everything is in memory, unless there is a store: a directory with the feature `store`
//! (`Config::store`), or one of your own ([`Store`], [`Broker::bind_with_store`]). Then retained
//! messages and lasting sessions are there again after a crash, and an acknowledgement waits until
//! what it promises is stored. An owner of an [`Engine`] of its own calls [`Engine::poll_batch`]
//! after the effects, and [`Engine::handle_stored`].
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "bridge")]
pub mod bridge;
#[cfg(any(feature = "tls", feature = "http"))]
pub mod client_side;
mod config;
mod engine;
#[cfg(feature = "hashes")]
mod hashes;
pub mod metrics;
mod server;
mod sources;
mod store;

pub use config::{Access, Config, InvalidUsers, Tls, Users};
pub use engine::{
    Authenticate, Batch, Change, Cleared, ClientInfo, ClientPage, CloseReason, ConnId, Effect,
    Engine, Identity, InvalidBatch, InvalidRecord, InvalidRights, Limits, Restore, RetainedInfo,
    RetainedPage, Rights, SlowConsumer, Stats, Ticket,
};
#[cfg(feature = "hashes")]
pub use hashes::{HashError, generate_password, hash_generated_password, hash_password};
pub use server::{
    BackupError, BindError, Broker, Client, Clients, Handle, ReloadError, RunError, Stopped,
};
pub use sources::SourceError;
#[cfg(feature = "store")]
pub use store::DirectoryStore;
pub use store::{Copying, Durability, Each, Store, StoreConfig, StoreError};
