//! The board's one TCP connection: closed, being opened, or open.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::thread;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Registry, Token};

use super::{Inbox, Order};
use crate::dial::{Dial, Outcome};

/// The transport, and what was learned about it since it was last looked at.
pub(super) struct Transport {
    state: State,
    /// Tells this opening from earlier ones.
    attempt: u64,
    last_token: usize,
}

enum State {
    Closed,
    Resolving,
    Opening(Dial),
    Open(Open),
}

struct Open {
    token: Token,
    stream: TcpStream,
    /// Not known to be empty, and not known to be full: the events are edges.
    readable: bool,
    writable: bool,
}

/// The addresses of a name, from a thread of its own.
pub(super) struct Resolution {
    attempt: u64,
    addresses: io::Result<Vec<SocketAddr>>,
}

/// What happened while opening.
pub(super) enum Opened {
    Pending,
    Yes,
    No(io::Error),
}

/// What a read or a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    Bytes(usize),
    /// Nothing can be moved now.
    Nothing,
    /// The connection is gone, and so is the transport.
    Closed,
}

impl Transport {
    pub(super) const fn new(first_token: Token) -> Self {
        Self {
            state: State::Closed,
            attempt: 0,
            last_token: first_token.0,
        }
    }

    /// Begins to open a connection to `host`; what was open before is closed.
    pub(super) fn open(&mut self, host: &str, port: u16, inbox: &Inbox) {
        self.attempt += 1;
        if let Ok(address) = host.parse::<IpAddr>() {
            self.state = State::Opening(Dial::new(vec![SocketAddr::new(address, port)]));
            return;
        }
        self.state = State::Resolving;
        let (attempt, host, answer) = (self.attempt, host.to_owned(), inbox.clone());
        let resolve = move || {
            let addresses = (host.as_str(), port)
                .to_socket_addrs()
                .map(Iterator::collect);
            answer.send(Order::Resolved(Resolution { attempt, addresses }));
        };
        let spawned = thread::Builder::new()
            .name("resolver".into())
            .spawn(resolve);
        if let Err(error) = spawned {
            let addresses = Err(error);
            inbox.send(Order::Resolved(Resolution { attempt, addresses }));
        }
    }

    /// The name's addresses are known.
    pub(super) fn handle_resolved(&mut self, resolution: Resolution) -> Opened {
        if resolution.attempt != self.attempt || !matches!(self.state, State::Resolving) {
            return Opened::Pending;
        }
        match resolution.addresses {
            Ok(addresses) => {
                self.state = State::Opening(Dial::new(addresses));
                Opened::Pending
            }
            Err(error) => {
                self.state = State::Closed;
                Opened::No(unresolved(&error))
            }
        }
    }

    /// Closes it, or stops opening it.
    pub(super) fn close(&mut self) {
        self.state = State::Closed;
    }

    /// The poll has news.
    pub(super) fn handle_event(
        &mut self,
        event: &mio::event::Event,
        registry: &Registry,
    ) -> Opened {
        if let State::Open(open) = &mut self.state
            && open.token == event.token()
        {
            open.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            open.writable |= event.is_writable() || event.is_write_closed();
        }
        self.turn(Some(event.token()), registry)
    }

    /// Goes on with opening.
    pub(super) fn turn(&mut self, ready: Option<Token>, registry: &Registry) -> Opened {
        let State::Opening(dial) = &mut self.state else {
            return Opened::Pending;
        };
        let last_token = &mut self.last_token;
        let mut tokens = || {
            *last_token += 1;
            Token(*last_token)
        };
        match dial.turn(ready, registry, &mut tokens) {
            Outcome::Pending => Opened::Pending,
            Outcome::Open(token, stream) => {
                self.state = State::Open(Open {
                    token,
                    stream,
                    readable: true,
                    writable: true,
                });
                Opened::Yes
            }
            Outcome::Failed(error) => {
                self.state = State::Closed;
                Opened::No(error)
            }
        }
    }

    /// When to call [`Self::turn`] without news.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Opening(dial) => dial.poll_timeout(),
            _ => None,
        }
    }

    /// Reads into `space`, which may be empty.
    pub(super) fn read(&mut self, space: &mut [u8]) -> Moved {
        let State::Open(open) = &mut self.state else {
            return Moved::Nothing;
        };
        if space.is_empty() || !open.readable {
            return Moved::Nothing;
        }
        let result = open.stream.read(space);
        self.moved(result, |open| &mut open.readable)
    }

    /// Writes from `bytes`, which may be empty.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Moved {
        let State::Open(open) = &mut self.state else {
            return Moved::Nothing;
        };
        if bytes.is_empty() || !open.writable {
            return Moved::Nothing;
        }
        let result = open.stream.write(bytes);
        self.moved(result, |open| &mut open.writable)
    }

    fn moved(&mut self, result: io::Result<usize>, ready: fn(&mut Open) -> &mut bool) -> Moved {
        match result {
            Ok(len) if len > 0 => return Moved::Bytes(len),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Moved::Bytes(0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if let State::Open(open) = &mut self.state {
                    *ready(open) = false;
                }
                return Moved::Nothing;
            }
            Ok(_) | Err(_) => {}
        }
        self.close();
        Moved::Closed
    }
}

/// Says that it was the name.
fn unresolved(error: &io::Error) -> io::Error {
    let text = error.to_string();
    // The resolver's own words stand behind the standard library's.
    let cause = text.rsplit(": ").next().unwrap_or(&text);
    io::Error::new(error.kind(), format!("the name is not known ({cause})"))
}
