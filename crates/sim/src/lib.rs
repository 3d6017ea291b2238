//! Boards, network and broker on a virtual clock.
//!
//! Everything in Déclic that decides something is an engine without I/O, clock or randomness of
//! its own. This crate is a world for these engines: it moves bytes between real [`Board`]s and the
//! real broker [`Engine`] over virtual connections, and lets virtual time jump from one happening
//! to the next. A day takes a fraction of a second, and the same seed gives the same run, to the
//! microsecond, so that any failure can be looked at again.
//!
//! Start with [`World`]:
//!
//! ```
//! use std::time::Duration;
//!
//! use declic_sim::{Network, Settings, Storage, World};
//!
//! let mut memory = [Storage::new(), Storage::new()];
//! let latency = Duration::from_millis(2);
//! let network = Network { latency, jitter: Duration::ZERO, ..Network::default() };
//! let mut world = World::new(42, network, &mut memory);
//!
//! let mut settings = Settings::default();
//! settings.set("role", "publisher")?;
//! let publisher = world.add_board("publisher", settings.clone());
//! settings.set("role", "subscriber")?;
//! let subscriber = world.add_board("subscriber", settings);
//! let second = Duration::from_secs(1);
//! assert!(world.run_until(second, |world| world.board(subscriber).is_subscribed()));
//! assert!(world.run_until(second, |world| world.board(publisher).is_subscribed()));
//!
//! let pressed = world.now();
//! world.press(publisher);
//! assert!(world.run_until(second, |world| world.led(subscriber)));
//! // To the broker, and from there to the light.
//! assert_eq!(world.now().since(pressed), 2 * latency);
//! # Ok::<(), declic_board::SettingError>(())
//! ```
//!
//! What can go wrong: [`World::kill_broker`] and [`World::start_broker`] (its memory is gone),
//! [`World::stop_broker`] in good order, [`World::cut`] for a connection that breaks,
//! [`World::freeze`] for one that goes silent without a word, [`World::set_link`] for a board whose
//! network is away, and [`World::click`] for a button whose contact bounces. [`World::timeline`]
//! tells what happened.
//!
//! [`Board`]: declic_board::Board
//! [`Engine`]: declic_broker::Engine
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod network;
mod queue;
mod random;
mod timeline;
mod world;

pub use declic_board::{Settings, Storage};
pub use network::Network;
pub use timeline::Timeline;
pub use world::{BoardIndex, Counters, World};
