//! The board against a scripted broker, in virtual time.

mod anything;
mod bench;
mod brokers;
mod connecting;
mod console;
mod discovery;
mod events;
mod improv;
mod light;
mod pressing;
mod sleeping;
mod upkeep;
