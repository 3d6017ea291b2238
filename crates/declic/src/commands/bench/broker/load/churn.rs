//! Clients that connect, are accepted, and leave.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::super::peer::Peer;
use super::flow::Measured;
use super::{CONNACK, DISCONNECT, connect_packet, dial, source_address};

/// Keeps `at_once` clients on their way for `time`.
pub fn measure(peer: &Peer, at_once: usize, time: Duration) -> io::Result<Measured> {
    let mut churn = Churn {
        poll: Poll::new()?,
        slots: (0..at_once).map(|_| None).collect(),
        opened: 0,
        done: 0,
    };
    for slot in 0..at_once {
        churn.open(peer, slot)?;
    }
    churn.until(peer, Instant::now() + time / 5)?;
    let (began, cpu, before) = (Instant::now(), peer.cpu_time()?, churn.done);
    churn.until(peer, began + time)?;
    let (took, cpu) = (began.elapsed(), peer.cpu_time()? - cpu);
    let done = (churn.done - before) as f64;
    if done == 0.0 {
        return Err(io::Error::other("nobody was accepted"));
    }
    Ok(Measured {
        rate: done / took.as_secs_f64(),
        cpu: cpu.as_secs_f64() * 1e6 / done,
        busy: cpu.as_secs_f64() / took.as_secs_f64(),
    })
}

struct Churn {
    poll: Poll,
    slots: Vec<Option<TcpStream>>,
    opened: usize,
    done: u64,
}

impl Churn {
    fn open(&mut self, peer: &Peer, slot: usize) -> io::Result<()> {
        let mut stream = dial(peer.address, source_address(self.opened % ADDRESSES))?;
        self.opened += 1;
        stream.write_all(&connect_packet(&format!("c{}", self.opened))?)?;
        let token = Token(slot);
        let fd = stream.as_raw_fd();
        let registry = self.poll.registry();
        registry.register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        self.slots[slot] = Some(stream);
        Ok(())
    }

    fn until(&mut self, peer: &Peer, end: Instant) -> io::Result<()> {
        let mut events = Events::with_capacity(self.slots.len());
        while Instant::now() < end {
            self.poll.poll(&mut events, Some(super::PATIENCE))?;
            if events.is_empty() {
                return Err(io::Error::other("nobody is accepted any more"));
            }
            for event in &events {
                let slot = event.token().0;
                // Closed with this value, and so no more waited for.
                let Some(mut stream) = self.slots[slot].take() else {
                    continue;
                };
                let mut connack = [0; 4];
                stream.read_exact(&mut connack)?;
                if connack != CONNACK {
                    return Err(io::Error::other("a client was refused"));
                }
                stream.write_all(&DISCONNECT)?;
                drop(stream);
                self.done += 1;
                self.open(peer, slot)?;
            }
        }
        Ok(())
    }
}

/// Source addresses that are used in turn: ports rest for a minute after a connection.
const ADDRESSES: usize = 200;
