//! Messages as fast as they go, in a closed loop: a publisher waits while it has as many messages
//! under way as it may. Each message carries its number, so that none is lost or comes twice.

use std::io;
use std::time::{Duration, Instant};

use declic_mqtt::QoS;
use declic_mqtt::packet::PacketKind;
use mio::{Events, Poll};

use super::super::peer::Peer;
use super::{IDS, Line, PATIENCE, READ_BUFFER, Template, stamp};

/// Who publishes to whom.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    pub publishers: usize,
    pub subscribers: usize,
    /// All on one topic; otherwise each publisher and subscriber on a topic of their own.
    pub one_topic: bool,
    pub qos: QoS,
    pub payload: usize,
    /// Messages that a publisher may have undelivered.
    pub window: usize,
    /// Messages that a publisher may have unacknowledged.
    pub unacknowledged: usize,
    /// Whether the subscribers' sessions last.
    pub lasting: bool,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Deliveries in a second.
    pub rate: f64,
    /// Microseconds of the broker's CPU for a delivery.
    pub cpu: f64,
    /// How much of the time the broker was running, 0 to 1.
    pub busy: f64,
}

impl Flow {
    /// Runs for `time`, after a fifth of it to warm up.
    pub fn measure(&self, peer: &Peer, time: Duration) -> io::Result<Measured> {
        let mut run = Run::new(*self, peer)?;
        run.until(Instant::now() + time / 5)?;
        let (began, cpu, before) = (Instant::now(), peer.cpu_time()?, run.deliveries);
        run.until(began + time)?;
        let (took, cpu) = (began.elapsed(), peer.cpu_time()? - cpu);
        let deliveries = (run.deliveries - before) as f64;
        run.finish()?;
        if deliveries == 0.0 {
            return Err(io::Error::other("nothing was delivered"));
        }
        Ok(Measured {
            rate: deliveries / took.as_secs_f64(),
            cpu: cpu.as_secs_f64() * 1e6 / deliveries,
            busy: cpu.as_secs_f64() / took.as_secs_f64(),
        })
    }
}

struct Run {
    flow: Flow,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
    deliveries: u64,
}

struct Publisher {
    line: Line,
    template: Template,
    sent: u64,
    acknowledged: u64,
    progress: Progress,
}

struct Subscriber {
    line: Line,
    /// By publisher, the number of the next message.
    next: Vec<u64>,
}

/// How many messages of a publisher have reached all.
struct Progress {
    delivered: u64,
    /// Deliveries of the messages behind, where there are several subscribers.
    ring: Vec<u32>,
    subscribers: u32,
}

impl Run {
    fn new(flow: Flow, peer: &Peer) -> io::Result<Self> {
        let topic = |number: usize| match flow.one_topic {
            true => "bench/all".to_owned(),
            false => format!("bench/{number}"),
        };
        let names = |kind: char, count: usize| -> Vec<_> {
            (0..count).map(|number| format!("{kind}{number}")).collect()
        };
        let poll = Poll::new()?;
        let mut subscribers = Vec::new();
        let lines = Line::connect_with(peer.address, &names('s', flow.subscribers), !flow.lasting)?;
        for (number, mut line) in lines.into_iter().enumerate() {
            line.subscribe(&[&topic(number)], flow.qos)?;
            line.register(poll.registry(), flow.publishers + number)?;
            let next = if flow.one_topic { flow.publishers } else { 1 };
            subscribers.push(Subscriber {
                line,
                next: vec![0; next],
            });
        }
        let mut publishers = Vec::new();
        let lines = Line::connect(peer.address, &names('p', flow.publishers))?;
        for (number, mut line) in lines.into_iter().enumerate() {
            line.register(poll.registry(), number)?;
            let each = if flow.one_topic { flow.subscribers } else { 1 };
            publishers.push(Publisher {
                line,
                template: Template::new(&topic(number), flow.qos, flow.payload, number as u32)?,
                sent: 0,
                acknowledged: 0,
                progress: Progress::new(each, flow.window),
            });
        }
        Ok(Self {
            flow,
            poll,
            events: Events::with_capacity(1_024),
            buffer: vec![0; READ_BUFFER],
            publishers,
            subscribers,
            deliveries: 0,
        })
    }

    /// Publishes until then.
    fn until(&mut self, end: Instant) -> io::Result<()> {
        let mut patience = Patience::new();
        loop {
            for publisher in &mut self.publishers {
                publisher.publish(&self.flow)?;
            }
            self.turn(Duration::from_millis(100))?;
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            if patience.is_over(self.deliveries, now) {
                return Err(self.lost());
            }
        }
    }

    /// Waits for all that is under way.
    fn finish(&mut self) -> io::Result<()> {
        let mut patience = Patience::new();
        while self.under_way() > 0 {
            self.turn(Duration::from_millis(100))?;
            if patience.is_over(self.deliveries, Instant::now()) {
                return Err(self.lost());
            }
        }
        Ok(())
    }

    fn lost(&self) -> io::Error {
        io::Error::other(format!("{} messages are lost", self.under_way()))
    }

    fn under_way(&self) -> u64 {
        let publishers = self.publishers.iter();
        publishers
            .map(|one| one.sent - one.progress.delivered)
            .sum()
    }

    /// Waits for the broker once, and takes what came.
    fn turn(&mut self, wait: Duration) -> io::Result<()> {
        self.poll.poll(&mut self.events, Some(wait))?;
        for event in &self.events {
            let index = event.token().0;
            if let Some(publisher) = self.publishers.get_mut(index) {
                publisher.acknowledge(&mut self.buffer)?;
                publisher.line.flush()?;
                continue;
            }
            let number = index - self.publishers.len();
            let (flow, publishers) = (&self.flow, &mut self.publishers);
            let Subscriber { line, next } = &mut self.subscribers[number];
            let deliveries = &mut self.deliveries;
            line.read(&mut self.buffer, |first, body, out| {
                if first >> 4 == PacketKind::PubRel as u8 {
                    out.extend_from_slice(&[0x70, 2, body[0], body[1]]);
                    return Ok(());
                }
                let (publisher, count, id) = (first >> 4 == PacketKind::Publish as u8)
                    .then(|| stamp(first, body))
                    .flatten()
                    .ok_or_else(|| io::Error::other("a packet that nobody sent"))?;
                let next = &mut next[if flow.one_topic { publisher } else { 0 }];
                if count != *next {
                    return Err(io::Error::other(format!(
                        "message {count} came where {next} was expected"
                    )));
                }
                *next += 1;
                *deliveries += 1;
                publishers[publisher].progress.count(count);
                match flow.qos {
                    QoS::AtMostOnce => {}
                    QoS::AtLeastOnce => out.extend_from_slice(&[0x40, 2, id[0], id[1]]),
                    QoS::ExactlyOnce => out.extend_from_slice(&[0x50, 2, id[0], id[1]]),
                }
                Ok(())
            })?;
            line.flush()?;
        }
        Ok(())
    }
}

impl Publisher {
    /// Publishes as much as it may, once that is worth a write.
    fn publish(&mut self, flow: &Flow) -> io::Result<()> {
        let undelivered = (self.sent - self.progress.delivered) as usize;
        let mut room = flow.window - undelivered;
        let mut limit = flow.window;
        if flow.qos != QoS::AtMostOnce {
            let unacknowledged = (self.sent - self.acknowledged) as usize;
            room = room.min(flow.unacknowledged - unacknowledged);
            limit = limit.min(flow.unacknowledged);
        }
        if room >= limit.div_ceil(WORTH) {
            for number in self.sent..self.sent + room as u64 {
                self.template.write(number, &mut self.line.out);
            }
            self.sent += room as u64;
        }
        self.line.flush()
    }

    fn acknowledge(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let acknowledged = &mut self.acknowledged;
        self.line.read(buffer, |first, body, out| {
            match first >> 4 {
                kind if kind == PacketKind::PubRec as u8 => {
                    out.extend_from_slice(&[0x62, 2, body[0], body[1]]);
                }
                kind if kind == PacketKind::PubAck as u8 || kind == PacketKind::PubComp as u8 => {
                    let expected = (*acknowledged % IDS) as u16 + 1;
                    if body.first_chunk() != Some(&expected.to_be_bytes()) {
                        return Err(io::Error::other("an acknowledgement out of order"));
                    }
                    *acknowledged += 1;
                }
                _ => return Err(io::Error::other("a packet that nobody sent")),
            }
            Ok(())
        })
    }
}

/// Waits as long as something goes on.
struct Patience {
    deliveries: u64,
    since: Instant,
}

impl Patience {
    fn new() -> Self {
        Self {
            deliveries: 0,
            since: Instant::now(),
        }
    }

    fn is_over(&mut self, deliveries: u64, now: Instant) -> bool {
        if deliveries > self.deliveries {
            (self.deliveries, self.since) = (deliveries, now);
        }
        now > self.since + PATIENCE
    }
}

impl Progress {
    fn new(subscribers: usize, window: usize) -> Self {
        Self {
            delivered: 0,
            ring: vec![0; if subscribers > 1 { window } else { 0 }],
            subscribers: subscribers as u32,
        }
    }

    fn count(&mut self, number: u64) {
        if self.ring.is_empty() {
            self.delivered += 1;
            return;
        }
        let index = (number % self.ring.len() as u64) as usize;
        self.ring[index] += 1;
        // In order at each subscriber, and so complete in order.
        if self.ring[index] == self.subscribers {
            self.ring[index] = 0;
            self.delivered += 1;
        }
    }
}

/// A publisher writes when it may send one part in this many of its window, or more.
const WORTH: usize = 2;
