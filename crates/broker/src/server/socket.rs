//! One TCP connection: what the kernel did not take yet, and whether there may be more to read.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use mio::net::TcpStream;
use socket2::{SockRef, TcpKeepalive};
use tracing::warn;

use super::peer::Peer;
use crate::ConnId;

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    pub(super) conn: ConnId,
    pub(super) peer: Peer,
    /// Bytes that the engine counts as sent, and the kernel did not take.
    unsent: Vec<u8>,
    sent: usize,
    /// Stands in the list of sockets to read from.
    pub(super) listed: bool,
    /// There may be something to read.
    pub(super) readable: bool,
    /// The kernel takes no more for now.
    pub(super) blocked: bool,
    /// The engine wants nothing read.
    pub(super) paused: bool,
    /// The peer has closed its side.
    pub(super) read_closed: bool,
    /// Nothing can be sent any more, so what is read last can't do harm.
    pub(super) hung_up: bool,
    /// All is sent that will be; only the peer's end is waited for.
    pub(super) lingering: bool,
    /// It had more to be read than one read took, or that was much work: it comes behind those of
    /// which neither is so.
    pub(super) heavy: bool,
    /// Halvings of the buffer that is read into, so that one read does not take long.
    shift: u8,
}

/// How reading went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// That many bytes, and there may be more.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The connection is over.
    End,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, conn: ConnId, peer: Peer) -> Self {
        Self {
            stream,
            conn,
            peer,
            unsent: Vec::new(),
            sent: 0,
            listed: false,
            readable: true,
            blocked: false,
            paused: false,
            read_closed: false,
            hung_up: false,
            lingering: false,
            heavy: false,
            shift: MOST_HALVINGS,
        }
    }

    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        let length = buffer.len() >> self.shift;
        let buffer = &mut buffer[..length];
        loop {
            return match self.stream.read(buffer) {
                Ok(0) => Received::End,
                Ok(count) => {
                    // A short read emptied the socket: the next bytes are told again. The end of
                    // the stream is not, if it was told already.
                    self.readable = count == buffer.len() || self.read_closed;
                    Received::Bytes(count)
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    Received::Nothing
                }
                Err(_) => Received::End,
            };
        }
    }

    /// `count` bytes that were received last have been dealt with in `took`. Bytes say little about
    /// the work behind them: a ping has two, and a subscription is searched for in all that is
    /// retained.
    pub(super) fn weigh(&mut self, count: usize, buffer_len: usize, took: Duration) {
        let is_much = took > HEAVY;
        self.heavy = is_much || self.readable;
        if took > 4 * HEAVY {
            self.shift = (self.shift + 1).min(MOST_HALVINGS);
        } else if !is_much && count == buffer_len >> self.shift {
            self.shift = self.shift.saturating_sub(1);
        }
    }

    /// Sends what an earlier call left. Returns whether all of it is sent.
    pub(super) fn send_rest(&mut self) -> io::Result<bool> {
        while self.sent < self.unsent.len() {
            match self.stream.write(&self.unsent[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        self.unsent = Vec::new();
        self.sent = 0;
        self.blocked = false;
        Ok(true)
    }

    /// Sends `bytes`, behind which nothing is left, and keeps what the kernel doesn't take.
    /// Returns whether it took all.
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> io::Result<bool> {
        debug_assert!(self.unsent.is_empty());
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.blocked = true;
                    self.unsent = bytes.to_vec();
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Has TCP ask whether the peer is still there when it was silent for `time`; not for zero.
    pub(super) fn ask_after(&self, time: Duration) {
        // Behind a pair, it is the front that holds the connection.
        if self.peer.counted().is_some()
            && let Err(error) = ask_after(&self.stream, time)
        {
            warn!(peer = %self.peer, %error, "the connection is without TCP keep-alive");
        }
    }

    /// Closes our side. Closing the rest at once would make the kernel throw away what it has not
    /// sent, if there is something that we have not read.
    pub(super) fn linger(&mut self) -> io::Result<()> {
        self.lingering = true;
        self.stream.shutdown(Shutdown::Write)
    }
}

/// Has TCP ask whether the peer is still there when it was silent for `time`; not for zero.
pub(super) fn ask_after(stream: &TcpStream, time: Duration) -> io::Result<()> {
    if time.is_zero() {
        return Ok(());
    }
    let settings = TcpKeepalive::new().with_time(time);
    #[cfg(not(target_os = "openbsd"))]
    let settings = settings.with_interval(time.min(KEEP_ALIVE_INTERVAL));
    SockRef::from(stream).set_tcp_keepalive(&settings)
}

/// What takes longer than this is put behind what does not.
const HEAVY: Duration = Duration::from_micros(100);
/// Of a buffer of 64 KiB, at first and at least 4 KiB are used: smaller pieces would cost a write
/// to each of a thousand subscribers more often.
const MOST_HALVINGS: u8 = 4;
/// Between two questions that were not answered.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
