//! Opens a TCP connection to one of several addresses without blocking.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use std::vec;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// Attempts to connect, begun one after the other; the first that succeeds wins.
///
/// The next address is tried when one fails, and after [`STAGGER`] at the latest, so that an
/// address that swallows everything (an IPv6 route that leads nowhere, say) costs little.
/// RFC 8305 calls that Happy Eyeballs.
pub struct Dial {
    addresses: vec::IntoIter<SocketAddr>,
    opening: Vec<(Token, TcpStream)>,
    next_at: Instant,
    last_error: io::Error,
}

impl Dial {
    pub fn new(addresses: Vec<SocketAddr>) -> Self {
        Self {
            addresses: addresses.into_iter(),
            opening: Vec::new(),
            next_at: Instant::now(),
            last_error: io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
        }
    }

    /// Looks at what became of the attempts, and begins the next where one is due. `ready` says
    /// which socket has news.
    pub fn turn(
        &mut self,
        ready: Option<Token>,
        registry: &Registry,
        tokens: &mut impl FnMut() -> Token,
    ) -> Outcome {
        if let Some(at) = self
            .opening
            .iter()
            .position(|(token, _)| Some(*token) == ready)
        {
            match is_open(&self.opening[at].1) {
                Ok(false) => {}
                Ok(true) => {
                    let (token, stream) = self.opening.swap_remove(at);
                    return Outcome::Open(token, stream);
                }
                Err(error) => {
                    self.last_error = error;
                    self.opening.swap_remove(at);
                    self.next_at = Instant::now();
                }
            }
        }
        while self.next_at <= Instant::now() {
            let Some(address) = self.addresses.next() else {
                break;
            };
            match begin(address, registry, tokens()) {
                Ok(attempt) => {
                    self.opening.push(attempt);
                    self.next_at = Instant::now() + STAGGER;
                }
                Err(error) => self.last_error = error,
            }
        }
        if self.opening.is_empty() && self.addresses.len() == 0 {
            let error = io::Error::other("connection failed");
            return Outcome::Failed(std::mem::replace(&mut self.last_error, error));
        }
        Outcome::Pending
    }

    /// When to call [`Self::turn`] without news.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.addresses.len() > 0).then_some(self.next_at)
    }
}

/// How far a [`Dial`] is.
pub enum Outcome {
    Pending,
    Open(Token, TcpStream),
    Failed(io::Error),
}

fn begin(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<(Token, TcpStream)> {
    let mut stream = TcpStream::connect(address)?;
    registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
    Ok((token, stream))
}

/// Whether the connection is there; events may come before it is.
fn is_open(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => stream.set_nodelay(true).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        // macOS says this of a connection that is being opened, as Mio's documentation tells.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(false),
        Err(error) => Err(error),
    }
}

const STAGGER: Duration = Duration::from_millis(250);
