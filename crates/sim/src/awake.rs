//! How long a board that sleeps between presses is awake for one.

use std::time::Duration;

use declic_board::{Settings, Storage};

use crate::{Network, World};

/// What one press costs a board that sleeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awake {
    /// The network.
    pub name: &'static str,
    /// From the edge of the contact until the board sleeps again, for each press, in order.
    pub times: Vec<Duration>,
    /// From the edge of the contact until the light has changed, in order.
    pub lights: Vec<Duration>,
}

impl Awake {
    /// A button's board with `sleep` on 1 s and a light's board; 100 presses, ten minutes apart, in
    /// each of a few networks. The board's machine needs 0.3 s to start, and `joining` to join its
    /// network.
    pub fn measure(joining: Duration) -> Vec<Self> {
        let far = Duration::from_millis(150);
        let networks = [
            ("at home", Network::default()),
            (
                "broker far away: 150 ms each way",
                Network {
                    latency: far,
                    ..Network::default()
                },
            ),
            (
                "10 % of all segments lost",
                Network {
                    loss: 100,
                    ..Network::default()
                },
            ),
        ];
        let measure = |(name, network)| Self::in_network(name, network, joining);
        networks.into_iter().map(measure).collect()
    }

    /// In the middle, and the longest.
    pub fn median_and_worst(times: &[Duration]) -> Option<(Duration, Duration)> {
        Some((*times.get(times.len().checked_sub(1)? / 2)?, *times.last()?))
    }

    fn in_network(name: &'static str, network: Network, joining: Duration) -> Self {
        let mut memory = [(); 2].map(|()| Storage::new());
        let mut world = World::new(1, network, &mut memory).without_timeline();
        world.set_joining(joining);
        let board = |role, sleep| {
            let mut settings = Settings::default();
            for (key, value) in [("role", role), ("sleep", sleep)] {
                settings.set(key, value).expect("a valid setting");
            }
            settings
        };
        let button = world.add_board_with_flash("button", board("publisher", "1"));
        let light = world.add_board_with_flash("light", board("subscriber", "0"));
        let mut measured = Self {
            name,
            times: Vec::new(),
            lights: Vec::new(),
        };
        world.run_for(PAUSE);
        for press in 0..PRESSES {
            let (pressed, awake) = (world.now(), world.awake(button));
            world.click(button, Duration::from_millis(120));
            let is_on = press % 2 == 0;
            if world.run_until(PAUSE, |world| world.led(light) == is_on) {
                measured.lights.push(world.now().since(pressed));
            }
            world.run_for(PAUSE);
            measured.times.push(world.awake(button) - awake);
        }
        measured.times.sort_unstable();
        measured.lights.sort_unstable();
        measured
    }
}

const PRESSES: usize = 100;
const PAUSE: Duration = Duration::from_secs(600);
