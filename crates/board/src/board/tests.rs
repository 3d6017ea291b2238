//! The board against a scripted broker, in virtual time.

mod bench;
mod connecting;
mod pressing;
