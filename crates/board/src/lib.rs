//! What a Déclic board does, without I/O: button, light, settings, staying connected.
//!
//! Press the button on one board, the light turns on at another. This crate is the whole of such a
//! board except its pins and its network: the same code runs on an ESP32, in a terminal, and in a
//! simulator in which a year takes a second.
//!
//! Start with [`Board`]: its documentation has the one contract and the one loop. It is made of
//! parts that stand for themselves:
//!
//! | part | what it knows |
//! |---|---|
//! | [`Button`] | from a bouncing contact to one press |
//! | [`Presses`] | from presses to double presses and holds |
//! | [`Settings`] and [`Key`] | everything that can be set, with the tutorial's defaults |
//! | [`flash`] | how settings are stored: the format, and a store that a loss of power can't harm |
//! | [`console`] | what can be typed, and what is answered |
//! | [`improv`] | Improv Wi-Fi: how a browser or a program brings a board into its network |
//! | [`FactoryReset`] | the gesture that forgets all settings |
//! | [`BoardId`] | who the board is, and the topics and the client identifier that follow from it |
//! | [`Backoff`] | how long to wait before the next attempt |
//! | [`ClockExtender`] | from a chip's 32-bit counter to an [`Instant`](declic_mqtt::Instant) |
//!
//! # Topics
//! `<id>` stands for the [`BoardId`], 12 hex digits.
//!
//! | topic | who | retained | payload |
//! |---|---|---|---|
//! | `esp32/data`, or `esp32/data/<pair>` | publishers send, subscribers follow | yes (setting) | `ON` / `OFF` (settings) |
//! | `declic/<id>/status` | every board, also as its will | yes | `online` / `offline` |
//! | `declic/<id>/button` | every board | never | `{"event_type":"press","count":17,"boot":3}`; also `double` and `hold` |
//! | `declic/<id>/led` | every board | yes | `ON` / `OFF` |
//! | `declic/<id>/led/set` | every board listens | by the sender | `ON` / `OFF` / `TOGGLE`, in any case, or JSON: `{"state":"ON"}` |
//! | `declic/<id>/restart` | boards of Home Assistant listen | never | `restart` |
//! | `declic/<id>/info` | every board, when it connects and every 300 s (setting) | yes | JSON: `role`, `version`, `mqtt`, `uptime`, `reconnects`, `presses`, `dropped`, `offline`; where known also `address`, `rssi`, `free_memory`, `chip`, `boots`, `restart`; of boards that sleep `awake_ms` |
//!
//! In `info`, `uptime` and `offline` are seconds since the start, in all and without a connection;
//! `dropped` counts button events that were given up (see [`Board`]).
//!
//! The setting `topics` switches those under `declic/<id>` off: `status` leaves the first of them.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(test)]
extern crate std;

mod backoff;
mod board;
mod button;
mod clock;
pub mod console;
mod discovery;
mod effect;
mod factory_reset;
mod id;
pub mod improv;
mod led;
mod link;
mod machine;
pub mod mdns;
mod own;
mod presses;
mod route;
mod settings;

pub use backoff::Backoff;
pub use board::{Board, Storage};
pub use button::{Button, Change};
pub use clock::ClockExtender;
pub use effect::{Cause, Effect, Notice, Ticket};
pub use factory_reset::{CONFIRM_TIME, FactoryReset, Gesture, HOLD_TIME};
pub use id::{BoardId, InvalidBoardId};
pub use led::{Command, Led};
pub use link::Connection;
pub use machine::{FoundNetwork, Kept, Measured, RestartReason, ScanError, Start};
pub use presses::{PressKind, Presses};
pub use settings::flash;
pub use settings::flash::{SettingsStore, StoreError};
pub use settings::{
    Accepts, Destination, HomeAssistant, Key, KeySet, LONGEST_VALUE, LedKind, LedRestore,
    LinkTopic, LogLevel, Role, SettingError, Settings, Shown, Topics, VersionChoice,
};
