//! What every board with `embassy-net` has in common, whatever chip it is: the task that owns the
//! [`Board`](declic_board::Board), its socket, its settings in flash. What is particular about a
//! machine is its [`Machine`].
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod clock;
pub mod net;
pub mod wake;

mod note;
mod owner;

pub use note::Note;
pub use owner::{Buffers, Ending, Machine, Owner, Wishes};
