//! What hostile clients do, each kind in a thread until it is stopped.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use declic_mqtt::QoS;
use declic_mqtt::packet::{Delivery, Packet, Publish};
use declic_mqtt::{PacketId, TopicName};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::process::setpriority_process;
use rustix::thread::gettid;

use super::super::broker::load::{
    Line, READ_BUFFER, Template, connect_packet, dial, encode, next_source, subscribe_packet,
};

/// A kind of hostile clients, and how many.
#[derive(Debug)]
pub struct Attack {
    pub address: SocketAddr,
    pub count: usize,
    /// All of them are there.
    pub is_ready: AtomicBool,
    pub stop: AtomicBool,
    /// Connections that the broker ended, or did not take.
    pub ended: AtomicUsize,
    /// Bytes that a flood has sent, those of its CONNECTs where it is one of connections.
    pub sent: AtomicUsize,
}

impl Attack {
    pub const fn new(address: SocketAddr, count: usize) -> Self {
        Self {
            address,
            count,
            is_ready: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            ended: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
        }
    }

    /// Connections on which nothing is said.
    pub fn half_open(&self) -> io::Result<()> {
        self.yield_to_others();
        let mut streams = Vec::new();
        while streams.len() < self.count && !self.is_stopped() {
            streams.push(dial(self.address, next_source())?);
        }
        self.be_ready();
        while !self.is_stopped() {
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Half of them have begun a long CONNECT, the others a long PUBLISH, and each sends one byte
    /// more now and then.
    pub fn drip(&self) -> io::Result<()> {
        self.yield_to_others();
        let payload = vec![b'.'; LONG_PUBLISH];
        let topic = TopicName::new("hostile/drip").map_err(io::Error::other)?;
        let publish = encode(&Packet::Publish(Publish::new(topic, &payload)))?;
        let publish = &publish[..publish.len() / 2];
        let connect = connect_packet(&"x".repeat(LONG_CONNECT), true)?;
        let connect = &connect[..connect.len() / 2];
        let mut lines: Vec<Option<Line>> = Vec::new();
        lines.resize_with(self.count, || None);
        let mut due = Instant::now();
        while !self.is_stopped() {
            let is_due = Instant::now() >= due;
            for (number, line) in lines.iter_mut().enumerate() {
                let dripping = match line {
                    Some(line) => {
                        if is_due && line.is_sent() {
                            line.out.push(b'.');
                        }
                        line.flush()
                    }
                    None => {
                        let mut new = Line::new(dial(self.address, next_source())?)?;
                        if number % 2 == 0 {
                            new.out.extend_from_slice(connect);
                        } else {
                            new.out
                                .extend(connect_packet(&format!("drip{number}"), true)?);
                            new.out.extend_from_slice(publish);
                        }
                        line.insert(new).flush()
                    }
                };
                if dripping.is_err() {
                    *line = None;
                    self.ended.fetch_add(1, Ordering::Relaxed);
                }
            }
            if is_due {
                due = Instant::now() + DRIP;
            }
            if lines.iter().flatten().all(Line::is_sent) {
                self.be_ready();
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Subscribers that don't read, each of a topic of its own, and publishers who see to it that
    /// there would be much to read.
    pub fn deaf(&self, qos: QoS) -> io::Result<()> {
        self.yield_to_others();
        let mut deaf = Vec::new();
        for number in 0..self.count {
            let stream = dial(self.address, next_source())?;
            // The broker shall hold it, not the system.
            set_socket_recv_buffer_size(&stream, SMALL_BUFFER)?;
            let mut line = Line::new(stream)?;
            line.out
                .extend(connect_packet(&format!("deaf{number}"), true)?);
            line.out
                .extend(subscribe_packet(&[&format!("hostile/{number}")], qos)?);
            line.flush()?;
            deaf.push(line);
        }
        let mut templates = (0..self.count)
            .map(|number| Template::new(&format!("hostile/{number}"), qos, LARGE_PAYLOAD, 0))
            .collect::<io::Result<Vec<_>>>()?;
        self.be_ready();
        let mut number = 0;
        self.flood("loud", PUBLISHERS, |_, out| {
            for _ in 0..CHUNK / LARGE_PAYLOAD {
                let at = number as usize % templates.len().max(1);
                if let Some(template) = templates.get_mut(at) {
                    template.write(number, out);
                }
                number += 1;
            }
            Ok(())
        })
    }

    /// Publishes of QoS 0 that nobody wants.
    pub fn publishes(&self) -> io::Result<()> {
        self.yield_to_others();
        let payload = [b'.'; SMALL_PAYLOAD];
        let topic = TopicName::new("hostile/flood").map_err(io::Error::other)?;
        let publish = encode(&Packet::Publish(Publish {
            delivery: Delivery::new(QoS::AtMostOnce, PacketId::FIRST),
            ..Publish::new(topic, &payload)
        }))?;
        let chunk = publish.repeat(CHUNK / publish.len());
        self.flood("flood", self.count, |_, out| {
            out.extend_from_slice(&chunk);
            Ok(())
        })
    }

    pub fn pings(&self) -> io::Result<()> {
        self.yield_to_others();
        let chunk = [0xc0, 0].repeat(CHUNK / 2);
        self.flood("ping", self.count, |_, out| {
            out.extend_from_slice(&chunk);
            Ok(())
        })
    }

    /// Always other filters.
    pub fn subscribes(&self) -> io::Result<()> {
        self.yield_to_others();
        let mut number = 0;
        self.flood("greedy", self.count, |client, out| {
            for _ in 0..CHUNK / 64 {
                number += 1;
                let filter = format!("hostile/{client}/{number}/+/#");
                out.extend(subscribe_packet(&[&filter], QoS::AtLeastOnce)?);
            }
            Ok(())
        })
    }

    /// Clients that connect and are gone at once, without a word or an answer.
    pub fn connects(&self) -> io::Result<()> {
        self.yield_to_others();
        let mut streams = VecDeque::new();
        let mut number = 0;
        self.be_ready();
        while !self.is_stopped() {
            number += 1;
            // Whoever is woken must not wait for the end of a slice of time.
            std::thread::yield_now();
            let Ok(mut stream) = dial(self.address, next_source()) else {
                self.ended.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let connect = connect_packet(&format!("brief{number}"), true)?;
            stream.write_all(&connect)?;
            self.sent.fetch_add(connect.len(), Ordering::Relaxed);
            streams.push_back(stream);
            if streams.len() > self.count {
                streams.pop_front();
            }
        }
        Ok(())
    }

    /// Clients that send what `fill` gives as fast as it is taken, and read the answers.
    fn flood(
        &self,
        name: &str,
        count: usize,
        mut fill: impl FnMut(usize, &mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut lines: Vec<Option<Line>> = Vec::new();
        lines.resize_with(count, || None);
        let mut buffer = vec![0; READ_BUFFER];
        while !self.is_stopped() {
            let mut progress = false;
            for (number, line) in lines.iter_mut().enumerate() {
                // Whoever is woken must not wait for the end of a slice of time.
                std::thread::yield_now();
                let sending = match line {
                    Some(line) => line.flush().and_then(|()| {
                        if line.is_sent() {
                            progress = true;
                            fill(number, &mut line.out)?;
                            self.sent.fetch_add(line.out.len(), Ordering::Relaxed);
                        }
                        line.read(&mut buffer, |_, _, _| Ok(()))
                    }),
                    None => {
                        let mut new = Line::new(dial(self.address, next_source())?)?;
                        new.out
                            .extend(connect_packet(&format!("{name}{number}"), true)?);
                        line.insert(new).flush()
                    }
                };
                if sending.is_err() {
                    *line = None;
                    self.ended.fetch_add(1, Ordering::Relaxed);
                }
            }
            self.be_ready();
            if !progress {
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    fn be_ready(&self) {
        self.is_ready.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whoever measures is on the same core, and goes first.
    fn yield_to_others(&self) {
        // Where it is not allowed, the figures scatter more; that is all.
        let _ = setpriority_process(Some(gettid()), LOWEST);
    }
}

const LOWEST: i32 = 19;
const PAUSE: Duration = Duration::from_millis(1);
/// Between two bytes of a client that drips.
const DRIP: Duration = Duration::from_millis(100);
/// Bytes, of which half come at once.
const LONG_CONNECT: usize = 65_000;
const LONG_PUBLISH: usize = 2 * 1_024 * 1_024;
const LARGE_PAYLOAD: usize = 4 * 1_024;
const SMALL_PAYLOAD: usize = 64;
const SMALL_BUFFER: usize = 4 * 1_024;
/// Bytes that a flooding client has ready.
const CHUNK: usize = 64 * 1_024;
/// Those who publish for subscribers that don't read.
const PUBLISHERS: usize = 4;
