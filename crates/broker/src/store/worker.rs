//! The thread that calls the store.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use declic_mqtt::Instant;
use mio::Waker;
use tracing::{error, info, warn};

use super::{Store, StoreError};
use crate::engine::Batch;

/// A store with its thread.
#[derive(Debug)]
pub(crate) struct Worker {
    requests: Sender<Request>,
    stored: Receiver<(Batch, bool)>,
    thread: JoinHandle<()>,
}

enum Request {
    Write(Batch, Instant),
    Backup(PathBuf, SyncSender<Result<(), StoreError>>),
}

impl Worker {
    /// Starts the thread. `waker` is woken when a batch was stored, or could not be.
    pub(crate) fn start(store: Box<dyn Store>, waker: Arc<Waker>) -> io::Result<Self> {
        let (requests, received) = channel();
        let (sender, stored) = channel();
        let thread = thread::Builder::new()
            .name("declic-store".to_owned())
            .spawn(move || serve(store, &received, &sender, &waker))?;
        Ok(Self {
            requests,
            stored,
            thread,
        })
    }

    pub(crate) fn write(&self, batch: Batch, now: Instant) {
        // A thread that is gone has said so.
        let _ = self.requests.send(Request::Write(batch, now));
    }

    /// The answer to a batch, if there is one: whether it is stored.
    pub(crate) fn stored(&self) -> Option<(Batch, bool)> {
        self.stored.try_recv().ok()
    }

    /// The same, but waits for it. `None` when none will come.
    pub(crate) fn wait(&self, limit: Duration) -> Option<(Batch, bool)> {
        self.stored.recv_timeout(limit).ok()
    }

    /// Copies what is stored to the new directory `path` and answers when it is done.
    pub(crate) fn backup(&self, path: PathBuf, answer: SyncSender<Result<(), StoreError>>) {
        let _ = self.requests.send(Request::Backup(path, answer));
    }

    /// Closes the store in good order.
    pub(crate) fn close(self) {
        drop(self.requests);
        let _ = self.thread.join();
    }
}

fn serve(
    mut store: Box<dyn Store>,
    requests: &Receiver<Request>,
    stored: &Sender<(Batch, bool)>,
    waker: &Waker,
) {
    let mut was_stored = true;
    let mut due = None;
    loop {
        let request = match due {
            None => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(time) => requests.recv_timeout(time),
        };
        match request {
            Ok(Request::Write(batch, now)) => {
                let result = store.write(&batch, now);
                match &result {
                    Err(error) if was_stored => error!(%error, "the store can't be written to"),
                    Ok(()) if !was_stored => info!("the store can be written to again"),
                    _ => {}
                }
                was_stored = result.is_ok();
                let _ = stored.send((batch, was_stored));
                let _ = waker.wake();
            }
            Ok(Request::Backup(path, answer)) => match store.backup(&path) {
                Ok(copying) => {
                    // It may take a while, and whoever waits for a batch doesn't wait for it.
                    thread::spawn(move || answer.send(copying()));
                }
                Err(error) => {
                    let _ = answer.send(Err(error));
                }
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        due = match store.tend() {
            Ok(due) => due,
            Err(error) => {
                warn!(%error, "what was stored is not safe from a loss of power yet");
                Some(RETRY_TIME)
            }
        };
    }
    if let Err(error) = store.close() {
        warn!(%error, "the store was not closed in good order");
    }
}

const RETRY_TIME: Duration = Duration::from_secs(1);
