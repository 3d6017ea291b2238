//! Clients that behave well: a publisher with its subscriber, and others that come and go.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use declic_mqtt::QoS;
use declic_mqtt::packet::PacketKind;
use mio::{Events, Poll};

use super::super::broker::load::{
    CONNACK, Line, READ_BUFFER, Template, connect_packet, dial, next_source, stamp,
};

/// A publisher at a modest rate, QoS 1, and its subscriber. Both are there before the hostile
/// clients come.
pub struct Service {
    poll: Poll,
    publisher: Line,
    subscriber: Line,
    template: Template,
    sent: Vec<Instant>,
    /// How long each was under way.
    took: Vec<Duration>,
    buffer: Vec<u8>,
}

impl Service {
    pub fn start(address: SocketAddr) -> io::Result<Self> {
        let names = ["subscriber".to_owned(), "publisher".to_owned()];
        let mut lines = Line::connect(address, &names)?.into_iter();
        let (Some(mut subscriber), Some(mut publisher)) = (lines.next(), lines.next()) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let poll = Poll::new()?;
        subscriber.subscribe(&[TOPIC], QoS::AtLeastOnce)?;
        subscriber.register(poll.registry(), SUBSCRIBER)?;
        publisher.register(poll.registry(), PUBLISHER)?;
        Ok(Self {
            poll,
            publisher,
            subscriber,
            template: Template::new(TOPIC, QoS::AtLeastOnce, PAYLOAD, 0)?,
            sent: Vec::new(),
            took: Vec::new(),
            buffer: vec![0; READ_BUFFER],
        })
    }

    /// Publishes until `is_over`. Returns how long each message of that time was under way that has
    /// arrived since, and how many have not, though they were waited for.
    pub fn serve(
        &mut self,
        mut is_over: impl FnMut() -> io::Result<bool>,
    ) -> io::Result<(Vec<Duration>, usize)> {
        let first = self.took.len();
        let mut next = Instant::now();
        while !is_over()? {
            if Instant::now() >= next {
                self.template
                    .write(self.sent.len() as u64, &mut self.publisher.out);
                self.sent.push(Instant::now());
                self.publisher.flush()?;
                next = (next + PAUSE).max(Instant::now());
            }
            self.turn(next.saturating_duration_since(Instant::now()))?;
        }
        let until = Instant::now() + PATIENCE;
        while self.took.len() < self.sent.len() && Instant::now() < until {
            self.turn(PAUSE)?;
        }
        let lost = self.sent.len() - self.took.len();
        Ok((self.took[first..].to_vec(), lost))
    }

    /// Takes what comes within `time`.
    fn turn(&mut self, time: Duration) -> io::Result<()> {
        let mut events = Events::with_capacity(8);
        self.poll.poll(&mut events, Some(time))?;
        let arrived = Instant::now();
        for event in &events {
            if event.token().0 == PUBLISHER {
                self.publisher.flush()?;
                self.publisher.read(&mut self.buffer, |_, _, _| Ok(()))?;
                continue;
            }
            let (sent, took) = (&self.sent, &mut self.took);
            self.subscriber.read(&mut self.buffer, |first, body, out| {
                if first >> 4 != PacketKind::Publish as u8 {
                    return Ok(());
                }
                let (_, number, id) = stamp(first, body)
                    .filter(|(_, number, _)| *number == took.len() as u64)
                    .ok_or_else(|| io::Error::other("a message of the others is lost"))?;
                took.push(arrived.duration_since(sent[number as usize]));
                out.extend_from_slice(&[0x40, 2, id[0], id[1]]);
                Ok(())
            })?;
            self.subscriber.flush()?;
        }
        Ok(())
    }
}

/// Clients that come one after the other until `stop`: how long each took until its CONNACK, and
/// how many got none in time.
pub fn newcomers(address: SocketAddr, stop: &AtomicBool) -> (Vec<Duration>, usize) {
    let (mut took, mut refused) = (Vec::new(), 0);
    for number in 0.. {
        let began = Instant::now();
        match greet(address, number) {
            Ok(()) => took.push(began.elapsed()),
            Err(_) => refused += 1,
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    (took, refused)
}

fn greet(address: SocketAddr, number: usize) -> io::Result<()> {
    let mut stream = dial(address, next_source())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&connect_packet(&format!("newcomer{number}"), true)?)?;
    let mut connack = [0; 4];
    stream.read_exact(&mut connack)?;
    match connack {
        CONNACK => Ok(()),
        _ => Err(io::ErrorKind::ConnectionRefused.into()),
    }
}

const TOPIC: &str = "house/lamp";
const SUBSCRIBER: usize = 0;
const PUBLISHER: usize = 1;
const PAYLOAD: usize = 64;
/// Between two messages, and between two newcomers: 200 a second.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a message, or an answer to CONNECT, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
