//! The board against a scripted broker, in virtual time.

mod anything;
mod bench;
mod connecting;
mod console;
mod improv;
mod pressing;
mod upkeep;
