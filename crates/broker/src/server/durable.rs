//! The store between the engine and its thread.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, SystemTime};

use declic_mqtt::Instant;
use mio::Waker;
use tracing::{error, info};

use super::{BindError, Broker, Handle, Stopped};
use crate::Engine;
use crate::store::worker::Worker;
use crate::store::{Store, StoreError};

impl Handle {
    /// Copies what is stored to the new directory `path`, while the broker runs. A broker can be
    /// started with it as with the store itself. Waits until the copy is complete.
    ///
    /// # Errors
    /// [`BackupError`] says what is in the way.
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<(), BackupError> {
        let (sender, receiver) = sync_channel(1);
        let path = path.as_ref().to_owned();
        let has_store = self.ask(move |broker, _| {
            if let Some(worker) = &broker.store {
                worker.backup(path, sender);
            }
            broker.store.is_some()
        })?;
        if !has_store {
            return Err(BackupError::NoStore);
        }
        receiver.recv().map_err(|_| Stopped)??;
        Ok(())
    }
}

/// Why there is no backup.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupError {
    /// The broker does not run any more.
    Stopped(Stopped),
    /// The broker keeps everything in memory only.
    NoStore,
    /// Reading the store or writing the copy failed.
    Store(StoreError),
}

impl std::fmt::Display for BackupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stopped(error) => error.fmt(f),
            Self::NoStore => f.write_str("the broker has no store"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BackupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Stopped(error) => Some(error),
            Self::NoStore => None,
            Self::Store(error) => Some(error),
        }
    }
}

impl From<Stopped> for BackupError {
    fn from(error: Stopped) -> Self {
        Self::Stopped(error)
    }
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Takes in what is stored. Returns the moment at which the clock starts: what lasts until a
/// certain moment is stored with that moment, so with a store the clock counts from 1970 and never
/// starts before the last moment that the store knows.
pub(super) fn load(store: &mut dyn Store, engine: &mut Engine) -> Result<Instant, BindError> {
    let wall = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let started = std::time::Instant::now();
    let origin = (Instant::ZERO + wall).max(store.last_time().unwrap_or(Instant::ZERO));
    let mut restore = engine.restore(origin);
    store
        .load(&mut |key, value| restore.record(key, value))
        .map_err(BindError::store)?;
    restore.finish();
    let stats = engine.stats();
    info!(
        retained = stats.retained,
        sessions = stats.sessions,
        messages = stats.messages,
        milliseconds = started.elapsed().as_millis() as u64,
        "the store was loaded"
    );
    Ok(origin)
}

pub(super) fn start(store: Box<dyn Store>, waker: Arc<Waker>) -> Result<Worker, BindError> {
    Worker::start(store, waker).map_err(BindError::system)
}

impl Broker {
    /// What was stored since the last turn.
    pub(super) fn take_stored(&mut self, now: Instant) {
        if let Some(worker) = &self.store {
            while let Some((batch, is_stored)) = worker.stored() {
                self.engine.handle_stored(batch, is_stored, now);
            }
        }
    }

    /// What has changed in this turn goes to the store.
    pub(super) fn store_changes(&mut self, now: Instant) {
        if let Some(worker) = &self.store
            && let Some(batch) = self.engine.poll_batch()
        {
            worker.write(batch, now);
        }
    }

    /// Stores what is left, and closes the store.
    pub(super) fn close_store(&mut self) {
        let Some(worker) = self.store.take() else {
            return;
        };
        let now = self.now();
        // One batch may be out, and one may have come together meanwhile.
        loop {
            if let Some(batch) = self.engine.poll_batch() {
                worker.write(batch, now);
            } else if !self.engine.is_storing() {
                break;
            }
            match worker.wait(CLOSE_TIME) {
                Some((batch, true)) => self.engine.handle_stored(batch, true, now),
                _ => {
                    error!("the last changes could not be stored");
                    break;
                }
            }
        }
        worker.close();
    }
}

/// How long the last batch may take.
const CLOSE_TIME: Duration = Duration::from_secs(30);
