//! Clients inside the process, such as bridges: they connect without the network, and need no
//! password.

use std::io;

use declic_mqtt::Instant;
use mio::net::TcpStream;
use mio::{Interest, Token};
use tracing::warn;

use super::socket::Socket;
use super::{Broker, Handle};

impl Handle {
    /// Connects to the broker from inside the process. `None` when it stops.
    pub(crate) fn join(&self) -> io::Result<Option<TcpStream>> {
        let (ours, theirs) = pair()?;
        let joined = self.ask(move |broker, now| broker.adopt_joined(theirs, now));
        match joined {
            Ok(true) => Ok(Some(ours)),
            Ok(false) => Err(io::Error::other("the broker has too many connections")),
            Err(_) => Ok(None),
        }
    }

    /// Publishes a message below `$SYS/`, retained.
    pub(crate) fn publish_system(
        &self,
        topic: String,
        payload: &'static str,
    ) -> Result<(), super::Stopped> {
        self.ask(move |broker, _| {
            broker.engine.publish_system(&topic, payload.as_bytes());
        })
    }
}

impl Broker {
    fn adopt_joined(&mut self, mut stream: TcpStream, now: Instant) -> bool {
        let Ok(peer) = stream.peer_addr() else {
            return false;
        };
        let Some(conn) = self.engine.handle_open(now) else {
            return false;
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(conn.index());
        if let Err(error) = self.poll.registry().register(&mut stream, token, interest) {
            warn!(%peer, %error, "refused: the system watches no more sockets");
            self.engine.handle_closed(conn, now);
            return false;
        }
        if self.sockets.len() <= conn.index() {
            self.sockets.resize_with(conn.index() + 1, || None);
        }
        let mut socket = Socket::new(stream, conn, peer);
        socket.readable = false;
        socket.trusted = true;
        self.sockets[conn.index()] = Some(socket);
        true
    }
}

/// Two ends joined to each other, over loopback.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
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
