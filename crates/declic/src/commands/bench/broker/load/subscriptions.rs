//! Many subscriptions with mixed wildcards: what each takes, and what a message to a topic that
//! was never seen costs among them.

use std::io;
use std::time::{Duration, Instant};

use declic_mqtt::QoS;
use declic_mqtt::packet::{Delivery, Packet, PacketKind, Publish};
use declic_mqtt::{PacketId, TopicName};

use super::super::peer::Peer;
use super::idle::settled;
use super::{IDS, Line, READ_BUFFER, encode};

/// What was measured with that many subscriptions.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Bytes of the broker's memory for a subscription.
    pub memory: f64,
    /// Microseconds of the broker's CPU for a message to a new topic that one of them matches.
    pub cpu: f64,
}

/// Makes `count` subscriptions, then publishes `messages` of QoS 1, each to a topic of its own.
pub fn measure(peer: &Peer, count: usize, messages: usize) -> io::Result<Measured> {
    let mut lines = connect(peer, count)?;
    let before = settled(peer)?;
    subscribe(&mut lines, count)?;
    let memory = settled(peer)?.saturating_sub(before) as f64 / count as f64;
    let mut publisher = Line::connect(peer.address, &["p".to_owned()])?
        .pop()
        .ok_or(io::ErrorKind::NotConnected)?;
    publish(&mut publisher, &mut lines, count, 0..messages / 10)?;
    let cpu = peer.cpu_time()?;
    publish(&mut publisher, &mut lines, count, messages / 10..messages)?;
    let cpu = peer.cpu_time()? - cpu;
    Ok(Measured {
        memory,
        cpu: cpu.as_secs_f64() * 1e6 / (messages - messages / 10) as f64,
    })
}

/// As many clients as it takes for `count` subscriptions.
fn connect(peer: &Peer, count: usize) -> io::Result<Vec<Line>> {
    let clients = count.div_ceil(PER_CLIENT).max(1);
    let names: Vec<_> = (0..clients).map(|number| format!("many{number}")).collect();
    Line::connect(peer.address, &names)
}

fn subscribe(lines: &mut [Line], count: usize) -> io::Result<()> {
    for number in (0..count).step_by(PER_PACKET) {
        let filters: Vec<_> = (number..count.min(number + PER_PACKET))
            .map(filter)
            .collect();
        let filters: Vec<_> = filters.iter().map(String::as_str).collect();
        lines[number / PER_CLIENT].subscribe(&filters, QoS::AtMostOnce)?;
    }
    Ok(())
}

/// Clients with `count` subscriptions that no other measurement touches.
pub fn beside(peer: &Peer, count: usize) -> io::Result<Vec<Line>> {
    let mut lines = connect(peer, count)?;
    subscribe(&mut lines, count)?;
    Ok(lines)
}

/// Publishes those messages in rounds of [`WINDOW`], and counts what comes.
fn publish(
    publisher: &mut Line,
    lines: &mut [Line],
    count: usize,
    messages: std::ops::Range<usize>,
) -> io::Result<()> {
    let mut buffer = vec![0; READ_BUFFER];
    for begin in messages.clone().step_by(WINDOW) {
        let round = begin..messages.end.min(begin + WINDOW);
        let (mut acknowledged, mut delivered) = (0, 0);
        let mut concerned = Vec::new();
        for message in round.clone() {
            // A step that has no common divisor with the count, so that all have their turn.
            let number = message * 7_919 % count;
            concerned.push(number / PER_CLIENT);
            let topic = topic(number, message);
            let id = PacketId::new((message as u64 % IDS) as u16 + 1).unwrap_or(PacketId::FIRST);
            publisher.out.extend(encode(&Packet::Publish(Publish {
                delivery: Delivery::new(QoS::AtLeastOnce, id),
                ..Publish::new(TopicName::new(&topic).map_err(io::Error::other)?, b"state")
            }))?);
        }
        concerned.sort_unstable();
        concerned.dedup();
        let until = Instant::now() + super::PATIENCE;
        while acknowledged < round.len() || delivered < round.len() {
            publisher.flush()?;
            publisher.read(&mut buffer, |first, _, _| {
                acknowledged += usize::from(first >> 4 == PacketKind::PubAck as u8);
                Ok(())
            })?;
            for &index in &concerned {
                lines[index].read(&mut buffer, |first, _, _| {
                    delivered += usize::from(first >> 4 == PacketKind::Publish as u8);
                    Ok(())
                })?;
            }
            if Instant::now() > until {
                let lost = round.len() - delivered.min(round.len());
                return Err(io::Error::other(format!("{lost} messages are lost")));
            }
            std::thread::sleep(Duration::from_micros(50));
        }
        if delivered > round.len() {
            return Err(io::Error::other("a message came twice"));
        }
    }
    Ok(())
}

/// Filters of a thousand sites with a thousand devices each: three in five have
/// a wildcard.
fn filter(number: usize) -> String {
    let (site, device) = (number / 1_000, number % 1_000);
    match number % 5 {
        0 => format!("site{site}/device{device}/temperature"),
        1 => format!("site{site}/+/device{device}/state"),
        2 => format!("site{site}/device{device}/#"),
        3 => format!("+/site{site}/device{device}/#"),
        _ => format!("site{site}/device{device}/humidity"),
    }
}

/// A topic that only filter `number` matches; another one for each message where there is a
/// wildcard.
fn topic(number: usize, message: usize) -> String {
    let (site, device) = (number / 1_000, number % 1_000);
    match number % 5 {
        0 => format!("site{site}/device{device}/temperature"),
        1 => format!("site{site}/room{message}/device{device}/state"),
        2 => format!("site{site}/device{device}/room{message}/state"),
        3 => format!("region{message}/site{site}/device{device}/alarm"),
        _ => format!("site{site}/device{device}/humidity"),
    }
}

/// Subscriptions of one client.
const PER_CLIENT: usize = 10_000;
/// Subscriptions in one packet.
const PER_PACKET: usize = 100;
/// Messages under way.
const WINDOW: usize = 200;
