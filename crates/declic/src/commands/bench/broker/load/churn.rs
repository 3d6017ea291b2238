//! Clients that connect, are accepted, and leave, by as few system calls as a client can make.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::net::{SendFlags, send};

use super::super::peer::Peer;
use super::flow::Measured;
use super::{CONNACK, DISCONNECT, PATIENCE, connect_packet, dial, next_source};

/// Keeps `at_once` clients on their way for `time`.
pub fn measure(peer: &Peer, at_once: usize, time: Duration) -> io::Result<Measured> {
    let mut churn = Churn {
        clients: VecDeque::new(),
        at_once,
        opened: 0,
        done: 0,
    };
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
    /// In the order in which they came.
    clients: VecDeque<TcpStream>,
    at_once: usize,
    opened: u64,
    done: u64,
}

impl Churn {
    fn until(&mut self, peer: &Peer, end: Instant) -> io::Result<()> {
        while Instant::now() < end {
            while self.clients.len() < self.at_once {
                self.opened += 1;
                let stream = dial(peer.address, next_source())?;
                stream.set_read_timeout(Some(PATIENCE))?;
                let connect = connect_packet(&format!("c{}", self.opened), true)?;
                send(&stream, &connect, SendFlags::empty())?;
                self.clients.push_back(stream);
            }
            // The broker has had the time of all the others to answer the first.
            for mut stream in self.clients.drain(..self.at_once.div_ceil(2)) {
                let mut connack = [0; 4];
                stream.read_exact(&mut connack)?;
                if connack != CONNACK {
                    return Err(io::Error::other("a client was refused"));
                }
                // Together with the end of the connection, in one segment.
                send(&stream, &DISCONNECT, SendFlags::MORE)?;
                self.done += 1;
            }
        }
        Ok(())
    }
}
