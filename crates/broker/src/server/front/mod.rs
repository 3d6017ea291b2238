//! Connections that need work before MQTT can be read from them: TLS, HTTP, WebSocket. Threads of
//! their own do that work. What they have made plain goes through a [pair](super::pair) to the
//! engine's loop, which serves it like any other connection.

mod connection;
#[cfg(feature = "tls")]
pub(super) mod tls;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Poll, Waker};

use super::admission::Admission;
use super::handle::Handle;
use super::listener::BindError;
use worker::Worker;

/// What a listener of the front speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Speech {
    pub(super) is_secure: bool,
    pub(super) is_http: bool,
}

/// What all threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) broker: Handle,
    pub(super) admission: Arc<Admission>,
    /// Time for everything before MQTT: the handshake of TLS and the request of HTTP.
    pub(super) connect_timeout: Duration,
    /// Silence after which TCP asks whether the peer is still there; zero for never.
    pub(super) tcp_keep_alive: Duration,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Arc<tls::Tls>>,
    #[cfg(feature = "http")]
    pub(super) public_pages: bool,
    #[cfg(feature = "http")]
    pub(super) origins: Vec<String>,
    pub(super) stop: AtomicBool,
}

/// The listeners, and the threads that serve them.
#[derive(Debug)]
pub(super) struct Front {
    shared: Arc<Shared>,
    listeners: Vec<(TcpListener, Speech)>,
    workers: usize,
    running: Vec<(Waker, JoinHandle<()>)>,
}

impl Front {
    pub(super) fn new(shared: Shared, workers: usize) -> Self {
        Self {
            shared: Arc::new(shared),
            listeners: Vec::new(),
            workers: workers.max(1),
            running: Vec::new(),
        }
    }

    /// Listens on an address. Returns it with the port that the system chose.
    pub(super) fn bind(
        &mut self,
        address: SocketAddr,
        speech: Speech,
    ) -> Result<SocketAddr, BindError> {
        let error = |source| BindError::address_taken(address, source);
        let listener = TcpListener::bind(address).map_err(error)?;
        let local = listener.local_addr().map_err(error)?;
        self.listeners.push((listener, speech));
        Ok(local)
    }

    /// Serves from now on.
    pub(super) fn start(&mut self) -> io::Result<()> {
        for number in 0..self.workers {
            let poll = Poll::new()?;
            let waker = Waker::new(poll.registry(), worker::WAKER)?;
            let listeners = self
                .listeners
                .iter()
                .map(|(listener, speech)| Ok((share(listener)?, *speech)))
                .collect::<io::Result<_>>()?;
            let worker = Worker::new(poll, listeners, Arc::clone(&self.shared))?;
            let thread = std::thread::Builder::new()
                .name(format!("front-{number}"))
                .spawn(move || worker.run())?;
            self.running.push((waker, thread));
        }
        self.listeners.clear();
        Ok(())
    }

    /// Takes no more connections; those that are there end when the engine ends them.
    pub(super) fn stop(&mut self) {
        self.listeners.clear();
        self.shared.stop.store(true, Ordering::Release);
        for (waker, _) in &self.running {
            let _ = waker.wake();
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop();
        for (_, thread) in self.running.drain(..) {
            // It has told why it ended.
            let _ = thread.join();
        }
    }
}

/// The same listener once more, for another thread.
#[cfg(unix)]
fn share(listener: &TcpListener) -> io::Result<TcpListener> {
    use std::os::fd::AsFd as _;

    Ok(listener.as_fd().try_clone_to_owned()?.into())
}

/// The same listener once more, for another thread.
#[cfg(windows)]
fn share(listener: &TcpListener) -> io::Result<TcpListener> {
    use std::os::windows::io::AsSocket as _;

    Ok(listener.as_socket().try_clone_to_owned()?.into())
}
