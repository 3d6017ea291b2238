//! The glue between a [`Client`](declic_mqtt::client::Client) and the world: a socket, a clock,
//! signals, and what else may wake a command up.

mod dial;
mod session;
mod transport;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{self, Duration};

use declic_mqtt::Instant;
use mio::{Events, Poll, Token, Waker};

pub use session::{Application, Flow, Session};

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::signals;

/// Waits for all that a client command waits for. One per process.
pub struct Net {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    stop: Arc<AtomicBool>,
    start: time::Instant,
    /// The one connection, and what is known of it.
    connection: Option<Token>,
    last_token: Token,
    readable: bool,
    writable: bool,
    /// Nobody reads standard output any more.
    is_stdout_closed: bool,
}

impl Net {
    /// # Errors
    /// The system has no file descriptors left, or refuses to tell of signals.
    pub fn new() -> Result<Self, Error> {
        let failed = |error: io::Error| {
            Error::new(ExitCode::Failure, "can't wait for the network").because(error)
        };
        let poll = Poll::new().map_err(failed)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(failed)?);
        let stop = Arc::new(AtomicBool::new(false));
        signals::on_stop({
            let (stop, waker) = (Arc::clone(&stop), Arc::clone(&waker));
            move || {
                stop.store(true, Ordering::Release);
                // Where this fails, the next timeout finds the flag.
                let _ = waker.wake();
            }
        })?;
        Ok(Self {
            poll,
            events: Events::with_capacity(16),
            waker,
            stop,
            start: time::Instant::now(),
            connection: None,
            last_token: STDOUT,
            readable: false,
            writable: false,
            is_stdout_closed: false,
        })
    }

    /// Wakes [`Self::wait`] up from another thread.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Now, on the clock that began with this value.
    pub fn now(&self) -> Instant {
        let micros = self.start.elapsed().as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// A moment of the system's clock, on this one.
    fn at(&self, system: time::Instant) -> Instant {
        Instant::ZERO + system.saturating_duration_since(self.start)
    }

    /// Whether the process was asked to end.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Notices from now on when nobody reads standard output any more, also while nothing is
    /// printed.
    #[cfg(unix)]
    pub fn watch_stdout(&self) {
        use std::io::IsTerminal as _;
        use std::os::fd::AsRawFd as _;

        let stdout = io::stdout();
        if !stdout.is_terminal() {
            let fd = stdout.as_raw_fd();
            // Errors are reported whatever is asked for. A file can't be watched, nor needs it.
            let _ = self.poll.registry().register(
                &mut mio::unix::SourceFd(&fd),
                STDOUT,
                mio::Interest::READABLE,
            );
        }
    }

    /// Only Unix tells.
    #[cfg(not(unix))]
    pub fn watch_stdout(&self) {}

    /// Waits until something happens, or until `deadline`.
    ///
    /// # Errors
    /// Nobody reads standard output any more, or the system fails.
    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), Error> {
        let timeout = deadline.map(|deadline| deadline.since(self.now()));
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(
                    Error::new(ExitCode::Failure, "can't wait for the network").because(error)
                );
            }
            _ => {}
        }
        for event in &self.events {
            match event.token() {
                STDOUT => self.is_stdout_closed |= event.is_error() || event.is_write_closed(),
                token if Some(token) == self.connection => {
                    self.readable |= event.is_readable() || event.is_read_closed();
                    self.writable |= event.is_writable() || event.is_write_closed();
                    if event.is_error() {
                        self.readable = true;
                        self.writable = true;
                    }
                }
                _ => {}
            }
        }
        if self.is_stdout_closed {
            return Err(Error::stdout(&io::ErrorKind::BrokenPipe.into()));
        }
        Ok(())
    }

    /// Waits for `duration`; less when the process is asked to end.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub fn pause(&mut self, duration: Duration) -> Result<(), Error> {
        let until = self.now() + duration;
        while !self.is_stopping() && self.now() < until {
            self.wait(Some(until))?;
        }
        Ok(())
    }
}

const WAKER: Token = Token(0);
/// Connections have larger ones.
const STDOUT: Token = Token(1);
