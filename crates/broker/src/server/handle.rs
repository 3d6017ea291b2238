//! What stops a running broker and asks it, from other threads.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender, sync_channel};

use mio::Waker;

use crate::Stats;

/// A hold on a [`Broker`](super::Broker) that runs in another thread.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: Sender<Command>,
    waker: Arc<Waker>,
}

#[derive(Debug)]
pub(super) enum Command {
    Shutdown,
    Stats(SyncSender<Stats>),
}

impl Handle {
    pub(super) const fn new(commands: Sender<Command>, waker: Arc<Waker>) -> Self {
        Self { commands, waker }
    }

    /// Stops the broker in good order: it takes no more connections, tells its clients where the
    /// protocol allows, and [`Broker::run`](super::Broker::run) returns within half a second.
    pub fn shutdown(&self) {
        // A broker that is gone needs no stopping.
        let _ = self.send(Command::Shutdown);
    }

    /// What the broker has counted.
    ///
    /// # Errors
    /// The broker does not run any more.
    pub fn stats(&self) -> Result<Stats, Stopped> {
        let (sender, receiver) = sync_channel(1);
        self.send(Command::Stats(sender))?;
        receiver.recv().map_err(|_| Stopped)
    }

    fn send(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).map_err(|_| Stopped)?;
        self.waker.wake().map_err(|_| Stopped)
    }
}

/// The broker does not run any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the broker does not run any more")
    }
}

impl std::error::Error for Stopped {}
