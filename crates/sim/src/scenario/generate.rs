//! Scenarios by chance.

use std::time::Duration;

use super::step::{Deed, Step};
use super::{BoardPlan, Scenario};
use crate::Network;
use crate::random::Random;

impl Scenario {
    /// The scenario of `seed`: two to five boards, 10 to 60 steps, and from a second to days.
    pub fn generate(seed: u64) -> Self {
        // Another stream than that of the world.
        let mut random = Random::new(seed ^ 0x5ce2_a510).split();
        let boards: Vec<_> = (0..2 + random.below(4))
            .map(|place| BoardPlan {
                role: match place {
                    0 => "publisher",
                    1 => "subscriber",
                    _ => pick(&mut random, &["both", "both", "publisher", "subscriber"]),
                },
                mqtt: pick(&mut random, &["auto", "5", "3.1.1"]),
                qos: pick(&mut random, &["1", "1", "1", "2"]),
            })
            .collect();
        let steps = (0..10 + random.below(51))
            .map(|_| Step {
                deed: deed(&mut random, boards.len()),
                wait: wait(&mut random),
            })
            .collect();
        Self {
            seed,
            network: network(&mut random),
            boards,
            steps,
        }
    }
}

fn deed(random: &mut Random, boards: usize) -> Deed {
    let board = random.below(boards as u64) as usize;
    let keeps_memory = random.below(3) > 0;
    match random.below(40) {
        0..=9 => {
            let times = pick(random, &[1, 1, 1, 2, 5, 20, 60]);
            let pause = up_to(random, 1_000_000);
            Deed::Press(board, times, pause)
        }
        10 | 11 => Deed::Click(board, up_to(random, 2_000_000)),
        12 | 13 => Deed::Cut(board),
        14 => Deed::Freeze(board),
        15 => Deed::FreezeUplink(board),
        16 => Deed::FreezeDownlink(board),
        17 => Deed::Thaw(board),
        18 | 19 => Deed::Link(board, false),
        20 | 21 => Deed::Link(board, true),
        22 => Deed::Network(network(random)),
        23 => Deed::BoardNetwork(board, network(random)),
        24 => Deed::RebootRouter(up_to(random, 90_000_000)),
        25 => Deed::PowerOff(board),
        26 | 27 => Deed::PowerOn(board),
        28 => Deed::SaveAndCutPower(board, random.below(300) as usize),
        29 => Deed::CutListener,
        30 => Deed::Kick(board),
        31 => Deed::BrokerKicks(random.below(3) == 0),
        32 => Deed::StopBroker,
        33 => Deed::KillBroker { keeps_memory },
        34 => Deed::CrashBroker { keeps_memory },
        35 | 36 => Deed::StartBroker,
        37 => Deed::PauseBroker,
        38 => Deed::ResumeBroker,
        _ => Deed::BrokerPace(match random.below(3) {
            0 => up_to(random, 200_000),
            _ => Duration::ZERO,
        }),
    }
}

/// Mostly a moment, sometimes minutes, seldom hours.
fn wait(random: &mut Random) -> Duration {
    let most = match random.below(20) {
        0..=4 => 10_000,
        5..=9 => 300_000,
        10..=14 => 10_000_000,
        15..=17 => 120_000_000,
        18 => 1_800_000_000,
        _ => 36_000_000_000,
    };
    up_to(random, most)
}

/// A network whose bytes need at least 100 µs: a witness has to be the first at a new broker.
fn network(random: &mut Random) -> Network {
    let mut network = Network {
        latency: Duration::from_micros(100) + up_to(random, 20_000),
        jitter: up_to(random, 10_000),
        ..Network::PERFECT
    };
    for _ in 0..random.below(3) {
        match random.below(6) {
            0 => network.loss = random.below(300) as u16,
            1 => {
                network.reorder = random.below(300) as u16;
                network.detour = up_to(random, 2_000_000);
            }
            2 => network.bytes_per_second = 200 + random.below(5_000) as u32,
            3 => network.latency += up_to(random, 2_000_000),
            _ => network.segment = 1 + random.below(40) as usize,
        }
    }
    network
}

fn up_to(random: &mut Random, micros: u64) -> Duration {
    random.up_to(Duration::from_micros(micros))
}

fn pick<T: Copy>(random: &mut Random, all: &[T]) -> T {
    all[random.below(all.len() as u64) as usize]
}
