//! A start with many retained messages on the disk.

use std::io;
use std::time::{Duration, Instant};

use declic_mqtt::packet::{Delivery, Packet, PacketKind, Publish};
use declic_mqtt::{PacketId, QoS, TopicName};

use super::super::peer::{Folder, Peer, Storing};
use super::{IDS, Line, PATIENCE, READ_BUFFER, encode};

/// Has a broker keep `count` retained messages, ends it, and starts it again: how long it takes
/// until a client is accepted.
pub fn measure(
    count: usize,
    payload: usize,
    start: &dyn Fn(Storing<'_>) -> io::Result<Peer>,
) -> io::Result<Duration> {
    let folder = Folder::new()?;
    let peer = start(Storing::NowAndThen(folder.path()))?;
    publish(&peer, count, payload)?;
    peer.end()?;
    let began = Instant::now();
    let peer = start(Storing::NowAndThen(folder.path()))?;
    let mut lines = Line::connect(peer.address, &["first".to_owned()])?;
    let took = began.elapsed();
    // It has them all the same: the last one is there.
    let last = topic(count.saturating_sub(1));
    let mut buffer = vec![0; READ_BUFFER];
    let mut found = false;
    let until = Instant::now() + PATIENCE;
    for line in &mut lines {
        line.out
            .extend(super::subscribe_packet(&[&last], QoS::AtMostOnce)?);
        while !found {
            line.flush()?;
            line.read(&mut buffer, |first, _, _| {
                found |= first >> 4 == PacketKind::Publish as u8;
                Ok(())
            })?;
            if Instant::now() > until {
                return Err(io::Error::other("a retained message is lost"));
            }
        }
    }
    Ok(took)
}

fn publish(peer: &Peer, count: usize, payload: usize) -> io::Result<()> {
    let mut lines = Line::connect(peer.address, &["publisher".to_owned()])?;
    let mut buffer = vec![0; READ_BUFFER];
    let payload = vec![b'.'; payload];
    let (mut sent, mut acknowledged) = (0, 0);
    let mut latest = (0, Instant::now());
    for line in &mut lines {
        while acknowledged < count {
            while sent < count && sent - acknowledged < WINDOW {
                let topic = topic(sent);
                let id = PacketId::new((sent as u64 % IDS) as u16 + 1).unwrap_or(PacketId::FIRST);
                let topic = TopicName::new(&topic).map_err(io::Error::other)?;
                line.out.extend(encode(&Packet::Publish(Publish {
                    delivery: Delivery::new(QoS::AtLeastOnce, id),
                    retain: true,
                    ..Publish::new(topic, &payload)
                }))?);
                sent += 1;
            }
            line.flush()?;
            line.read(&mut buffer, |first, _, _| {
                acknowledged += usize::from(first >> 4 == PacketKind::PubAck as u8);
                Ok(())
            })?;
            if acknowledged > latest.0 {
                latest = (acknowledged, Instant::now());
            } else if latest.1.elapsed() > PATIENCE {
                return Err(io::Error::other("no acknowledgement for 10 s"));
            }
        }
    }
    Ok(())
}

fn topic(number: usize) -> String {
    format!("site{}/device{}/state", number / 1_000, number % 1_000)
}

/// Messages under way.
const WINDOW: usize = 200;
