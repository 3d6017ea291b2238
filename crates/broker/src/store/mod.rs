//! What keeps the durable state: retained messages, and the sessions that outlive a connection.
//!
//! A [`Store`] is a map from keys to values that changes by whole [`Batch`]es. The broker calls it
//! from a thread of its own; the engine never does. With the feature `store` there is one that keeps
//! a directory: [`DirectoryStore`].

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use declic_mqtt::Instant;

use crate::engine::{Batch, InvalidRecord};

#[cfg(feature = "store")]
mod database;
#[cfg(feature = "store")]
mod directory;
#[cfg(feature = "store")]
mod log;
#[cfg(all(test, feature = "store"))]
mod tests;
pub(crate) mod worker;

#[cfg(feature = "store")]
pub use directory::DirectoryStore;

/// Keeps records: keys with values, both bytes. `crates/broker` has one that keeps them on disk.
pub trait Store: Send {
    /// Gives all records to `each`, in the order of their keys.
    ///
    /// # Errors
    /// They can't be read, or one of them can't be understood.
    fn load(&mut self, each: &mut Each<'_>) -> Result<(), StoreError>;

    /// The latest moment that was given with a batch; `None` for a store without any. The clock of
    /// a broker that goes on with the store must not be behind it.
    fn last_time(&self) -> Option<Instant>;

    /// Makes all changes of a batch, or none. When it returns, they are as safe as was asked for.
    ///
    /// # Errors
    /// Nothing was changed. The same batch will be given again.
    fn write(&mut self, batch: &Batch, now: Instant) -> Result<(), StoreError>;

    /// Does what can be done while nothing is to be written. Returns after which time it wants to
    /// be called again; `None` when there is nothing to do before the next batch.
    ///
    /// # Errors
    /// What was written may be less safe than was asked for. It will be tried again.
    fn tend(&mut self) -> Result<Option<Duration>, StoreError>;

    /// Begins a copy of what is stored now to the new directory `path`: from it a broker can go
    /// on. What is returned does the copying; it may run in any thread, while more is stored.
    ///
    /// # Errors
    /// It can't begin.
    fn backup(&mut self, path: &Path) -> Result<Copying, StoreError>;

    /// Ends in good order. Nothing is called after it.
    ///
    /// # Errors
    /// What was written is there, but opening it again may take longer.
    fn close(&mut self) -> Result<(), StoreError>;
}

/// Takes one record.
pub type Each<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), InvalidRecord> + 'a;

/// The rest of a backup.
pub type Copying = Box<dyn FnOnce() -> Result<(), StoreError> + Send>;

/// When what was stored is safe from a loss of power. A broker that is killed loses nothing in
/// any of the modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Before it is acknowledged.
    Always,
    /// At the latest after this time. A loss of power may take what was acknowledged in it.
    Interval(Duration),
    /// When the system gets round to it. A loss of power may take what was acknowledged lately.
    Never,
}

impl Durability {
    /// The interval that is used when none is given.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_millis(100);
}

/// Where the durable state is kept, and how safely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The directory; it is made if it is not there.
    pub directory: PathBuf,
    /// When what was stored is safe from a loss of power.
    pub durability: Durability,
}

/// Why the store can't be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The system refused.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process uses it.
    InUse(PathBuf),
    /// The file was not written by this program.
    Foreign(PathBuf),
    /// The file was written by a newer version of this program.
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        version: u16,
        /// The newest version that is understood.
        known: u16,
    },
    /// The file is damaged.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl StoreError {
    /// Whether there is no room for what was to be written.
    pub fn is_full(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, Self::Io { source, .. } if full.contains(&source.kind()))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::InUse(path) => write!(f, "{} is used by another process", path.display()),
            Self::Foreign(path) => {
                write!(f, "{} was not written by this program", path.display())
            }
            Self::Newer {
                path,
                version,
                known,
            } => write!(
                f,
                "{} has format {version}, written by a newer version of this program; this one \
                 knows up to {known}",
                path.display()
            ),
            Self::Damaged { path, problem } => {
                write!(f, "{} is damaged: {problem}", path.display())
            }
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
