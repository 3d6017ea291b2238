//! Boards on serial ports: which ports there are, the line to a board, and its console.

pub mod console;
pub mod improv;
pub mod line;
pub mod ports;
pub mod watch;

pub use ports::FoundPort;
