//! A broker that is killed (SIGKILL) again and again under load, and keeps every promise that it
//! gave: each acknowledged message arrives, those of QoS 2 once, retained ones are the newest, and
//! no session is forgotten.
//!
//! `DECLIC_KILLS` says how often (20 by default), `DECLIC_DURABILITY` in which mode:
//!
//! ```sh
//! DECLIC_KILLS=3000 cargo test -p declic --release --test killed
//! ```
#![cfg(unix)]

mod broker;
mod link;
mod publisher;
mod reader;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use declic_mqtt::ProtocolVersion::{V3_1_1, V5};

use broker::Broker;
use publisher::Publisher;
use reader::Reader;

#[test]
fn a_broker_that_is_killed_again_and_again_keeps_every_promise() {
    let kills = setting("DECLIC_KILLS").and_then(|text| text.parse().ok());
    let kills: u32 = kills.unwrap_or(20);
    let modes = match setting("DECLIC_DURABILITY") {
        Some(mode) => vec![mode],
        None => vec!["always".to_owned(), "never".to_owned()],
    };
    for mode in &modes {
        run(mode, kills / modes.len() as u32);
    }
}

fn run(mode: &str, kills: u32) {
    let directory = tempfile(mode);
    let publishers = [V3_1_1, V5, V5].into_iter().enumerate();
    let mut publishers: Vec<_> = publishers
        .map(|(number, version)| Publisher::new(number, version))
        .collect();
    // One that is there all the time, one that comes and goes.
    let mut readers = [Reader::new("present", V5), Reader::new("seldom", V3_1_1)];
    let broker = Broker::start(&directory, mode);
    for reader in &mut readers {
        reader.subscribe(&broker);
    }
    broker.kill();
    let mut chance = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..kills {
        let broker = Broker::start(&directory, mode);
        check_retained(&broker, &publishers);
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        let lifetime = Duration::from_millis(5 + chance % 120);
        let is_there = [true, round % 8 > 4];
        thread::scope(|scope| {
            for publisher in &mut publishers {
                scope.spawn(|| publisher.publish(&broker, MESSAGES));
            }
            for (reader, is_there) in readers.iter_mut().zip(is_there) {
                if is_there {
                    scope.spawn(|| reader.read(&broker, || false));
                }
            }
            // Not waiting for anything: at any moment is the point.
            thread::sleep(lifetime);
            broker.kill();
        });
    }
    // Whatever is not acknowledged yet is sent again, and all of it arrives.
    let broker = Broker::start(&directory, mode);
    check_retained(&broker, &publishers);
    let unfinished = AtomicUsize::new(publishers.len());
    let published = publishers.iter().map(Publisher::last).sum::<u64>();
    thread::scope(|scope| {
        for publisher in &mut publishers {
            scope.spawn(|| {
                let _finished = Finished(&unfinished);
                publisher.finish(&broker);
            });
        }
        for reader in &mut readers {
            scope.spawn(|| reader.read(&broker, || unfinished.load(Ordering::SeqCst) == 0));
        }
    });
    broker.kill();
    for publisher in &publishers {
        for reader in &readers {
            publisher.check(reader);
        }
    }
    println!("{mode}: {kills} kills, {published} messages, none lost");
    std::fs::remove_dir_all(&directory).expect("the directory can be removed");
}

/// The retained messages are those acknowledged last, or newer ones.
fn check_retained(broker: &Broker, publishers: &[Publisher]) {
    let mut reader = Reader::clean("retained", V5);
    let expected = publishers.iter().flat_map(Publisher::retained_topics);
    let retained = reader.retained(broker, expected);
    for publisher in publishers {
        publisher.check_retained(&retained);
    }
}

/// Counts down when a publisher has finished, or failed.
struct Finished<'a>(&'a AtomicUsize);

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Messages of a publisher between two kills.
const MESSAGES: u64 = 200;

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn tempfile(mode: &str) -> std::path::PathBuf {
    let name = format!("declic-killed-{mode}-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    let _ = std::fs::remove_dir_all(&directory);
    directory
}
