//! What stops a running broker and asks it, from other threads.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Sender, sync_channel};

use declic_mqtt::Instant;
use mio::Waker;

use super::Broker;
use super::reload::Sources;
use crate::Stats;

/// A hold on a [`Broker`](super::Broker) that runs in another thread.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: Sender<Command>,
    waker: Arc<Waker>,
    sources: Arc<Sources>,
}

pub(super) enum Command {
    Shutdown,
    /// Something to be done by the thread that runs the broker.
    Run(Work),
}

type Work = Box<dyn FnOnce(&mut Broker, Instant) + Send>;

impl Handle {
    pub(super) const fn new(
        commands: Sender<Command>,
        waker: Arc<Waker>,
        sources: Arc<Sources>,
    ) -> Self {
        Self {
            commands,
            waker,
            sources,
        }
    }

    pub(super) fn sources(&self) -> &Sources {
        &self.sources
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
        self.ask(|broker, _| broker.stats())
    }

    /// Has the thread that runs the broker do `work`, and waits for what it returns.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Broker, Instant) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (sender, receiver) = sync_channel(1);
        self.send(Command::Run(Box::new(move |broker, now| {
            // Nobody waits any more, perhaps.
            let _ = sender.send(work(broker, now));
        })))?;
        receiver.recv().map_err(|_| Stopped)
    }

    /// Tells the broker how the check of a password went.
    #[cfg(feature = "hashes")]
    pub(super) fn verified(
        &self,
        digest: [u8; 32],
        epoch: u64,
        is_right: bool,
    ) -> Result<(), Stopped> {
        self.send(Command::Run(Box::new(move |broker, now| {
            broker.verified(digest, epoch, is_right, now);
        })))
    }

    /// Has the broker serve a connection that is plain MQTT from here on.
    #[cfg(any(feature = "tls", feature = "http"))]
    pub(super) fn adopt(
        &self,
        stream: mio::net::TcpStream,
        peer: super::peer::Peer,
    ) -> Result<(), Stopped> {
        self.send(Command::Run(Box::new(move |broker, now| {
            broker.adopt(stream, peer, now);
        })))
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
