//! The store on a disk that forgets and fails, and its files.

mod disk;
mod power;
