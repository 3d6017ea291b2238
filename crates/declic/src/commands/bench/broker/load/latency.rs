//! One message of QoS 1 at a time, at a steady rate: how long each takes.

use std::io;
use std::time::{Duration, Instant};

use declic_mqtt::QoS;
use declic_mqtt::packet::PacketKind;
use mio::{Events, Poll};

use super::super::peer::Peer;
use super::{Line, READ_BUFFER, Template, stamp};

/// Publishes `per_second` messages for `time`; returns how long each was under way.
pub fn measure(
    peer: &Peer,
    per_second: u32,
    payload: usize,
    time: Duration,
) -> io::Result<Vec<Duration>> {
    let qos = QoS::AtLeastOnce;
    let mut poll = Poll::new()?;
    let mut lines = Line::connect(peer.address, &["s".to_owned(), "p".to_owned()])?.into_iter();
    let (Some(mut subscriber), Some(mut publisher)) = (lines.next(), lines.next()) else {
        return Err(io::ErrorKind::NotConnected.into());
    };
    subscriber.subscribe(&["bench/latency"], qos)?;
    subscriber.register(poll.registry(), 0)?;
    publisher.register(poll.registry(), 1)?;
    let mut template = Template::new("bench/latency", qos, payload, 0)?;
    let mut events = Events::with_capacity(8);
    let mut buffer = vec![0; READ_BUFFER];
    let pause = Duration::from_secs(1) / per_second.max(1);
    let count = (time.as_secs_f64() * f64::from(per_second)) as u64 + WARM_UP;
    let mut sent: Vec<Instant> = Vec::new();
    let mut took = Vec::new();
    let mut next = Instant::now();
    while (took.len() as u64) < count {
        let now = Instant::now();
        if now >= next && (sent.len() as u64) < count {
            template.write(sent.len() as u64, &mut publisher.out);
            sent.push(Instant::now());
            publisher.flush()?;
            next += pause;
        }
        if now > next + super::PATIENCE {
            return Err(io::Error::other("a message is lost"));
        }
        // Never waiting: who is woken late would measure that.
        poll.poll(&mut events, Some(Duration::ZERO))?;
        for event in &events {
            if event.token().0 == 1 {
                publisher.read(&mut buffer, |_, _, _| Ok(()))?;
                continue;
            }
            let arrived = Instant::now();
            subscriber.read(&mut buffer, |first, body, out| {
                if first >> 4 != PacketKind::Publish as u8 {
                    return Ok(());
                }
                let (_, number, id) = stamp(first, body)
                    .filter(|(_, number, _)| *number == took.len() as u64)
                    .ok_or_else(|| io::Error::other("a message is lost"))?;
                took.push(arrived.duration_since(sent[number as usize]));
                out.extend_from_slice(&[0x40, 2, id[0], id[1]]);
                Ok(())
            })?;
            subscriber.flush()?;
        }
    }
    took.drain(..WARM_UP as usize);
    Ok(took)
}

/// Messages that are not counted.
const WARM_UP: u64 = 50;
