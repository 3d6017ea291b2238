//! The store on a disk that forgets and fails, and its files.

mod disk;
mod files;
mod format;
mod power;
