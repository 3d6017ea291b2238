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
//! What can go wrong:
//!
//! | where | what |
//! |---|---|
//! | network | [`Network`]: latency, jitter, loss, detours and little bandwidth, as TCP shows them; changed while it runs with [`World::set_network`] |
//! | connection | [`World::cut`] breaks it, [`World::freeze`] makes it silent without a word, [`World::freeze_uplink`] and [`World::freeze_downlink`] one way of it; [`World::thaw`] has it talk again |
//! | Wi-Fi | [`World::set_link`] for one board, [`World::reboot_router`] for all, with other addresses afterwards |
//! | broker | [`World::stop_broker`] in good order, [`World::kill_broker`] at once, [`World::crash_broker`] with its whole machine, the latter two also with the memory kept; [`World::pause_broker`], [`World::set_broker_pace`] for a slow one; [`World::kick`] and [`World::set_broker_kicks`] |
//! | board | [`World::power_off`] at any time, [`World::cut_power_after`] at any byte that is written to flash; [`World::click`] for a contact that bounces |
//!
//! [`World::timeline`] tells what happened to people, [`World::poll_record`] to a judge. Besides
//! boards there are listeners ([`World::add_listener`], [`World::add_witness`]), and the tutorial's
//! own programs to compare with ([`World::add_tutorial`]).
//!
//! [`scenario`] makes whole homes by chance in which all of that goes wrong, and judges them by
//! rules; [`Storm`] has thousands of boards come back at once.
//!
//! [`Board`]: declic_board::Board
//! [`Engine`]: declic_broker::Engine
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod awake;
pub mod compare;
mod flash;
mod network;
mod queue;
mod random;
mod record;
pub mod scenario;
mod storm;
mod timeline;
mod world;

pub use awake::Awake;
pub use declic_board::{Settings, Storage};
pub use network::{FIRST_RETRANSMISSION, GIVE_UP, Network, RETRANSMISSION};
pub use record::{Fact, Record};
pub use storm::Storm;
pub use timeline::Timeline;
pub use world::{BoardIndex, Counters, Part, World};
