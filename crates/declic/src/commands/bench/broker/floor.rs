//! The physical floor: a relay that makes the reads and writes of a broker, and looks at nothing.
//!
//! CONNECT and SUBSCRIBE are answered, and the first PUBLISH of a connection tells its topic and
//! how long its packets are. From then on bytes are copied: what comes from a publisher goes to
//! all subscribers of its topic in one write each; what comes from a subscriber, to the publisher.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::Ipv4Addr;

use declic_mqtt::packet::{FixedHeader, PacketKind};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::commands::bench::failed;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;

/// Run the relay that the brokers are compared with
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prints its address, and relays until the process is killed.
pub fn run(_: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let cannot = |error: io::Error| failed("the relay can't run", error);
    let mut relay = Relay::listen().map_err(cannot)?;
    let address = relay.listener.local_addr().map_err(cannot)?;
    printer.line(format_args!("listening on {address}"))?;
    relay.run().map_err(cannot)?;
    Ok(ExitCode::Success)
}

struct Relay {
    poll: Poll,
    listener: TcpListener,
    lines: Vec<Option<Line>>,
    free: Vec<usize>,
    groups: HashMap<Vec<u8>, usize>,
    /// By group: its publishers and its subscribers.
    members: Vec<(Vec<usize>, Vec<usize>)>,
    /// Those with something to be written in this turn.
    dirty: Vec<usize>,
}

struct Line {
    stream: TcpStream,
    role: Role,
    /// The beginning of a packet.
    tail: Vec<u8>,
    out: Vec<u8>,
    written: usize,
}

#[derive(Clone, Copy)]
enum Role {
    Greeted,
    Publisher { group: usize, packet_len: usize },
    Subscriber { group: usize },
}

impl Relay {
    fn listen() -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            lines: Vec::new(),
            free: Vec::new(),
            groups: HashMap::new(),
            members: Vec::new(),
            dirty: Vec::new(),
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        let mut buffer = vec![0; 256 * 1_024];
        loop {
            self.poll.poll(&mut events, None)?;
            for event in &events {
                if event.token() == LISTENER {
                    self.accept()?;
                    continue;
                }
                let index = event.token().0;
                if event.is_writable() && self.lines[index].as_ref().is_some_and(Line::is_waiting) {
                    self.dirty.push(index);
                }
                if event.is_readable() {
                    self.read(index, &mut buffer)?;
                }
            }
            for index in std::mem::take(&mut self.dirty) {
                if let Some(line) = &mut self.lines[index]
                    && line.flush().is_err()
                {
                    self.lines[index] = None;
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let (mut stream, _) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or_else(|| {
                self.lines.push(None);
                self.lines.len() - 1
            });
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut stream, Token(index), interest)?;
            self.lines[index] = Some(Line {
                stream,
                role: Role::Greeted,
                tail: Vec::new(),
                out: Vec::new(),
                written: 0,
            });
        }
    }

    fn read(&mut self, index: usize, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            let Some(line) = &mut self.lines[index] else {
                return Ok(());
            };
            let kept = line.tail.len();
            buffer[..kept].copy_from_slice(&line.tail);
            line.tail.clear();
            let count = match line.stream.read(&mut buffer[kept..]) {
                Ok(0) => return self.close(index),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    line.tail.extend_from_slice(&buffer[..kept]);
                    return Ok(());
                }
                Err(_) => return self.close(index),
            };
            let bytes = &buffer[..kept + count];
            let done = self.take(index, bytes);
            match (done, &mut self.lines[index]) {
                (Some(done), Some(line)) => line.tail.extend_from_slice(&bytes[done..]),
                _ => return self.close(index),
            }
            if kept + count < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Deals with bytes of a connection; returns how many, `None` when it is to be closed.
    fn take(&mut self, index: usize, bytes: &[u8]) -> Option<usize> {
        let mut done = 0;
        loop {
            match self.lines[index].as_ref()?.role {
                Role::Greeted => {
                    let Ok(Some(header)) = FixedHeader::decode(&bytes[done..]) else {
                        return Some(done);
                    };
                    let packet = bytes[done..].get(..header.packet_len());
                    let Some(packet) = packet else {
                        return Some(done);
                    };
                    if self.greet(index, header, packet)? {
                        done += header.packet_len();
                    }
                }
                Role::Publisher { group, packet_len } => {
                    let whole = (bytes.len() - done) / packet_len * packet_len;
                    self.copy(&bytes[done..done + whole], group, true);
                    return Some(done + whole);
                }
                Role::Subscriber { group } => {
                    self.copy(&bytes[done..], group, false);
                    return Some(bytes.len());
                }
            }
        }
    }

    /// Deals with one of the first packets. Returns whether it is used up.
    fn greet(&mut self, index: usize, header: FixedHeader, packet: &[u8]) -> Option<bool> {
        let body = &packet[header.len()..];
        match header.kind() {
            PacketKind::Connect => self.answer(index, &[0x20, 2, 0, 0]),
            PacketKind::Subscribe => {
                let group = self.group(text(body.get(2..)?)?);
                self.lines[index].as_mut()?.role = Role::Subscriber { group };
                self.members[group].1.push(index);
                self.answer(index, &[0x90, 3, body[0], body[1], *body.last()?]);
            }
            PacketKind::Publish => {
                let group = self.group(text(body)?);
                self.lines[index].as_mut()?.role = Role::Publisher {
                    group,
                    packet_len: match header.flags() {
                        // What comes behind one of QoS 2 has another length, but it alone goes
                        // to its subscriber.
                        0 => packet.len(),
                        _ => 1,
                    },
                };
                self.members[group].0.push(index);
                return Some(false);
            }
            _ => return None,
        }
        Some(true)
    }

    fn group(&mut self, topic: &[u8]) -> usize {
        if let Some(&group) = self.groups.get(topic) {
            return group;
        }
        self.members.push(Default::default());
        self.groups.insert(topic.to_vec(), self.members.len() - 1);
        self.members.len() - 1
    }

    fn answer(&mut self, index: usize, bytes: &[u8]) {
        if let Some(line) = &mut self.lines[index] {
            line.out.extend_from_slice(bytes);
            self.dirty.push(index);
        }
    }

    fn copy(&mut self, bytes: &[u8], group: usize, to_subscribers: bool) {
        let (publishers, subscribers) = &self.members[group];
        let targets = if to_subscribers {
            subscribers
        } else {
            publishers
        };
        for &target in targets {
            if let Some(line) = &mut self.lines[target] {
                if line.out.is_empty() && !bytes.is_empty() {
                    self.dirty.push(target);
                }
                line.out.extend_from_slice(bytes);
            }
        }
    }

    fn close(&mut self, index: usize) -> io::Result<()> {
        if let Some(mut line) = self.lines[index].take() {
            for (publishers, subscribers) in &mut self.members {
                publishers.retain(|one| *one != index);
                subscribers.retain(|one| *one != index);
            }
            self.free.push(index);
            self.poll.registry().deregister(&mut line.stream)?;
        }
        Ok(())
    }
}

impl Line {
    fn is_waiting(&self) -> bool {
        !self.out.is_empty()
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }
}

/// A text with its length in front.
fn text(bytes: &[u8]) -> Option<&[u8]> {
    let len = usize::from(u16::from_be_bytes(*bytes.first_chunk()?));
    bytes.get(2..2 + len)
}

const LISTENER: Token = Token(usize::MAX);
