//! The engine's rules, with a room for each concern.

mod acknowledge;
mod admin;
mod aliases;
mod bad_input;
mod connect;
mod disk;
mod durable;
mod explain;
mod flow;
mod harness;
mod limits;
mod properties;
mod publish;
mod random;
mod retained;
mod rights;
mod sessions;
mod shared;
mod subscribe;
mod wills;
