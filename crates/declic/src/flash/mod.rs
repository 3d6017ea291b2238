//! What it takes to bring the firmware and its settings onto a board.

pub mod ask;
pub mod catalog;
pub mod choices;
pub mod file;
pub mod find;
pub mod image;
mod progress;
pub mod write;
