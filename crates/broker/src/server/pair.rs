//! Two ends of a connection inside this process: what joins the engine's loop to the threads that
//! deal with TLS and WebSocket. Backpressure, half-closing and the end of a connection work as
//! they do on the network, so the engine's loop has nothing new to know.

#[cfg(any(feature = "tls", feature = "http", feature = "bridge"))]
use std::io;

use mio::net::TcpStream;

/// Two ends joined to each other.
#[cfg(all(unix, any(feature = "tls", feature = "http", feature = "bridge")))]
pub(super) fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let (one, other) = mio::net::UnixStream::pair()?;
    Ok((from_unix(one), from_unix(other)))
}

/// A connected Unix socket as the stream type of the engine's loop. Reading, writing and closing
/// are the same system calls; what only TCP has, such as an address, fails.
#[cfg(unix)]
pub(super) fn from_unix(stream: mio::net::UnixStream) -> TcpStream {
    TcpStream::from(std::os::fd::OwnedFd::from(stream))
}

/// Two ends joined to each other, over loopback.
#[cfg(all(not(unix), any(feature = "tls", feature = "http", feature = "bridge")))]
pub(super) fn pair() -> io::Result<(TcpStream, TcpStream)> {
    use std::net::{Ipv4Addr, TcpListener, TcpStream as Stream};

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let one = Stream::connect(listener.local_addr()?)?;
    loop {
        let (other, peer) = listener.accept()?;
        // Another program may have been faster.
        if peer == one.local_addr()? {
            for end in [&one, &other] {
                end.set_nonblocking(true)?;
                end.set_nodelay(true)?;
            }
            return Ok((TcpStream::from_std(one), TcpStream::from_std(other)));
        }
    }
}
