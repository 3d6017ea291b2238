//! Clients inside the process, such as bridges: they connect without the network, and need no
//! password.

use std::io;

use mio::net::TcpStream;

use super::Handle;
use super::pair::pair;
use super::peer::Peer;

impl Handle {
    /// Connects to the broker from inside the process. `None` when it stops.
    pub(crate) fn join(&self) -> io::Result<Option<TcpStream>> {
        let (ours, theirs) = pair()?;
        let joined = self.ask(move |broker, now| broker.adopt(theirs, Peer::inside(), now));
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
