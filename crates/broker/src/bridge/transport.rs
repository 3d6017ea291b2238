//! The connection to the other broker.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs as _};

use mio::event::Source;
use mio::net::TcpStream;

#[cfg(feature = "tls")]
use crate::client_side::{Tls, TlsFailure, TlsSession};

/// A connection that is being made, or is there.
#[derive(Debug)]
pub(super) struct Transport {
    stream: TcpStream,
    #[cfg(feature = "tls")]
    tls: Option<TlsSession>,
}

impl Transport {
    /// Begins to connect to `address`.
    pub(super) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        Ok(Self {
            stream,
            #[cfg(feature = "tls")]
            tls: None,
        })
    }

    /// Encrypts all that is sent from now on.
    #[cfg(feature = "tls")]
    pub(super) fn encrypt(&mut self, tls: &Tls) -> io::Result<()> {
        self.tls = Some(tls.begin()?);
        Ok(())
    }

    /// Writes what was sent and is not on its way yet.
    ///
    /// # Errors
    /// The connection is over.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            tls.flush(&mut self.stream)?;
        }
        Ok(())
    }

    /// Whether the connection is there; called when the socket is said to be writable.
    pub(super) fn is_open(&self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                let _ = self.stream.set_nodelay(true);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn source(&mut self) -> &mut impl Source {
        &mut self.stream
    }

    /// Reads once; `None` for nothing now.
    ///
    /// # Errors
    /// The connection is over.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            let received = tls.receive(&mut self.stream, buffer);
            return received.map_err(|error| match TlsFailure::of(&error) {
                Some(failure) => io::Error::other(failure),
                None => error,
            });
        }
        loop {
            return match self.stream.read(buffer) {
                Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => Ok(Some(count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error),
            };
        }
    }

    /// Writes once; `None` for nothing now.
    ///
    /// # Errors
    /// The connection is over.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return tls.send(&mut self.stream, bytes);
        }
        loop {
            return match self.stream.write(bytes) {
                Ok(count) => Ok(Some(count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error),
            };
        }
    }
}

/// The addresses of a host, looked up anew, since they may change.
pub(super) fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
    if addresses.is_empty() {
        return Err(io::Error::new(
            ErrorKind::NotFound,
            "the name has no address",
        ));
    }
    Ok(addresses)
}
