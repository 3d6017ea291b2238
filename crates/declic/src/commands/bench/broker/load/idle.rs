//! Connections that do nothing: what memory each takes.

use std::io;
use std::thread;
use std::time::Duration;

use super::super::peer::Peer;
use super::Line;

/// Bytes of the broker's memory for each of `count` connections.
pub fn measure(peer: &Peer, count: usize) -> io::Result<f64> {
    // What is only made for the first is no part of the price.
    drop(Line::connect(peer.address, &["first".to_owned()])?);
    let before = settled(peer)?;
    let lines = beside(peer, count)?;
    let after = settled(peer)?;
    drop(lines);
    Ok(after.saturating_sub(before) as f64 / count as f64)
}

/// `count` clients that do nothing.
pub fn beside(peer: &Peer, count: usize) -> io::Result<Vec<Line>> {
    let names: Vec<_> = (0..count).map(|number| format!("idle{number}")).collect();
    Line::connect(peer.address, &names)
}

/// The broker's memory, once it does not change any more.
pub fn settled(peer: &Peer) -> io::Result<u64> {
    let mut memory = peer.memory()?;
    for _ in 0..50 {
        thread::sleep(Duration::from_millis(20));
        let now = peer.memory()?;
        if now == memory {
            break;
        }
        memory = now;
    }
    Ok(memory)
}
