//! Boards and broker together, in virtual time.

mod faults;
mod found;
mod in_step;
mod outages;
mod press;
mod replay;
mod scenarios;
mod sleep;

use std::time::Duration;

use declic_sim::{BoardIndex, Network, Settings, Storage, World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn settings(all: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::default();
    for (key, value) in all {
        settings.set(key, value).expect("a valid setting");
    }
    settings
}

/// A publisher and a subscriber, each with the given version of MQTT; connected.
fn pair<'m>(
    seed: u64,
    network: Network,
    memory: &'m mut [Storage],
    versions: [&str; 2],
) -> (World<'m>, BoardIndex, BoardIndex) {
    let mut world = World::new(seed, network, memory);
    let publisher = settings(&[("role", "publisher"), ("mqtt", versions[0])]);
    let publisher = world.add_board("publisher", publisher);
    let subscriber = settings(&[("role", "subscriber"), ("mqtt", versions[1])]);
    let subscriber = world.add_board("subscriber", subscriber);
    connect_all(&mut world, &[publisher, subscriber]);
    (world, publisher, subscriber)
}

fn connect_all(world: &mut World<'_>, boards: &[BoardIndex]) {
    let all = |world: &World<'_>| {
        boards
            .iter()
            .all(|board| world.board(*board).is_subscribed())
    };
    assert!(world.run_until(5 * MINUTE, all), "{}", world.timeline());
}

const MIXES: [[&str; 2]; 4] = [
    ["5", "5"],
    ["5", "3.1.1"],
    ["3.1.1", "5"],
    ["3.1.1", "3.1.1"],
];

/// Chance for what a test does; the world has its own.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
