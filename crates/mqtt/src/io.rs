//! A [`Client`] on a transport of `embedded-io-async` (cargo feature of that name).
//!
//! The client stays an engine without I/O; [`Link`] only carries its bytes. It needs no executor
//! of its own and no task: its one future, [`Link::step`], may be dropped at any time, so an owner
//! can wait for it and for a button at once.
//!
//! ```
//! use declic_mqtt::Instant;
//! use declic_mqtt::client::{Client, Event, State};
//! use declic_mqtt::io::Link;
//! use embedded_io_async::{Read, Write};
//!
//! /// Until the connection that [`Client::connect`] began is over.
//! async fn run<R: Read, W: Write>(
//!     client: &mut Client<'_>,
//!     link: &mut Link<R, W>,
//!     now: impl Fn() -> Instant,
//!     sleep_until: impl AsyncFn(Option<Instant>),
//! ) {
//!     loop {
//!         while let Some(event) = client.poll_event() {
//!             if let Event::Closed(_) = event {
//!                 return;
//!             }
//!         }
//!         let timer = sleep_until(client.poll_timeout());
//!         if let Err(cause) = link.step(client, timer, &now).await {
//!             // Event::Closed follows.
//!         }
//!     }
//! }
//! ```

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use embedded_io_async::{Error, ErrorKind, Read, Write};

use crate::Instant;
use crate::client::Client;

#[cfg(test)]
mod tests;

/// The two halves of a transport.
///
/// Their `read`, `write` and `flush` must be free of effects when their futures are dropped before
/// they are ready, as those of TCP sockets are (`embassy-net` among them).
#[derive(Debug)]
pub struct Link<R, W> {
    reader: R,
    writer: W,
    /// Something was written since the last flush.
    is_unflushed: bool,
}

impl<R: Read, W: Write> Link<R, W> {
    /// A transport that was just opened.
    pub const fn new(reader: R, writer: W) -> Self {
        Self {
            reader,
            writer,
            is_unflushed: false,
        }
    }

    /// Waits until bytes were read, bytes were written, or `timer` is over, whichever comes first,
    /// and tells the client. Then its events are to be drained, and this called again.
    ///
    /// `timer` is to be over at [`Client::poll_timeout`], and never where that is `None`.
    ///
    /// # Errors
    /// The transport failed, or was closed by the peer ([`ErrorKind::ConnectionReset`]); the
    /// client was told, and [`Event::Closed`](crate::client::Event::Closed) is among its events.
    pub async fn step(
        &mut self,
        client: &mut Client<'_>,
        timer: impl Future<Output = ()>,
        now: impl Fn() -> Instant,
    ) -> Result<(), ErrorKind> {
        let ready = self.wait(client, timer).await;
        let now = now();
        if let Some(Ok(len)) = ready.written {
            client.transmitted(len, now);
        }
        if let Some(Ok(len)) = ready.read {
            client.received(len, now);
        }
        client.handle_timeout(now);
        let failure = match (ready.read, ready.written, ready.flushed) {
            (Some(Ok(0)), ..) => ErrorKind::ConnectionReset,
            (_, Some(Ok(0)), _) => ErrorKind::WriteZero,
            (Some(Err(error)), ..) | (_, Some(Err(error)), _) | (.., Some(Err(error))) => error,
            _ => return Ok(()),
        };
        client.handle_closed(now);
        Err(failure)
    }

    /// Sends a part of the payload that [`Client::awaited_payload`] asks for; returns how many
    /// bytes of `chunk` were taken.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub async fn stream(
        &mut self,
        client: &mut Client<'_>,
        chunk: &[u8],
        now: impl Fn() -> Instant,
    ) -> Result<usize, ErrorKind> {
        let len = chunk.len().min(client.awaited_payload());
        if len == 0 {
            return Ok(0);
        }
        let result = self.writer.write(&chunk[..len]).await;
        let failure = match result {
            Ok(0) => ErrorKind::WriteZero,
            Ok(len) => {
                self.is_unflushed = true;
                client.streamed(len, now());
                return Ok(len);
            }
            Err(error) => error.kind(),
        };
        client.handle_closed(now());
        Err(failure)
    }

    /// The two halves.
    pub fn into_parts(self) -> (R, W) {
        (self.reader, self.writer)
    }

    async fn wait(&mut self, client: &mut Client<'_>, timer: impl Future<Output = ()>) -> Ready {
        let (space, unsent) = client.buffers();
        let (reads, writes) = (!space.is_empty(), !unsent.is_empty());
        let flushes = self.is_unflushed && !writes;
        let mut timer = pin!(timer);
        let mut read = pin!(self.reader.read(space));
        let writer = &mut self.writer;
        let mut output = pin!(async move {
            if writes {
                Output::Written(writer.write(unsent).await.map_err(|error| error.kind()))
            } else {
                Output::Flushed(writer.flush().await.map_err(|error| error.kind()))
            }
        });
        let ready = poll_fn(|context| {
            // All that is ready is taken: a future that was ready has had its effect.
            let mut ready = Ready::default();
            if reads && let Poll::Ready(result) = read.as_mut().poll(context) {
                ready.read = Some(result.map_err(|error| error.kind()));
            }
            if (writes || flushes)
                && let Poll::Ready(result) = output.as_mut().poll(context)
            {
                match result {
                    Output::Written(result) => ready.written = Some(result),
                    Output::Flushed(result) => ready.flushed = Some(result),
                }
            }
            let is_over = timer.as_mut().poll(context).is_ready();
            if is_over || ready.is_any() {
                Poll::Ready(ready)
            } else {
                Poll::Pending
            }
        })
        .await;
        if ready.written.is_some() {
            self.is_unflushed = true;
        }
        if ready.flushed.is_some() {
            self.is_unflushed = false;
        }
        ready
    }
}

enum Output {
    Written(Result<usize, ErrorKind>),
    Flushed(Result<(), ErrorKind>),
}

/// What a wait ended with; nothing where the timer was over.
#[derive(Default)]
struct Ready {
    read: Option<Result<usize, ErrorKind>>,
    written: Option<Result<usize, ErrorKind>>,
    flushed: Option<Result<(), ErrorKind>>,
}

impl Ready {
    const fn is_any(&self) -> bool {
        self.read.is_some() || self.written.is_some() || self.flushed.is_some()
    }
}
