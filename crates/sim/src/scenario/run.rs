//! Running a scenario.

use std::time::Duration;

use declic_board::{Settings, Storage};
use declic_mqtt::Instant;

use super::judge::{Judge, QUIET};
use super::{BoardPlan, Failure, Scenario};
use crate::{BoardIndex, Network, World};

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The first rule that was broken.
    pub failure: Option<Failure>,
    /// What was counted.
    pub outcome: Outcome,
    /// What happened; empty where it was not asked for.
    pub timeline: String,
}

/// What a run, or many of them, did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// How long the worlds existed.
    pub time: Duration,
    /// Happenings in them.
    pub handled: u64,
    /// Presses that boards took.
    pub presses: u64,
    /// Events of presses that the broker accepted, each counted once.
    pub accepted: u64,
    /// Events that the broker accepted once more.
    pub duplicates: u64,
    /// Events that a board gave up because its queue was full, and counted.
    pub dropped: u64,
    /// Events that were still in a board when it lost its power.
    pub lost_with_power: u64,
    /// Events that the broker had accepted, and forgot before the listener had them.
    pub lost_with_broker: u64,
    /// Connections that the broker accepted.
    pub connections: u64,
    /// Times that a board lost its power.
    pub power_cuts: u64,
    /// The most attempts to connect that one board made within a minute.
    pub most_attempts_in_a_minute: usize,
    /// The longest time that it took until all was well after everything was repaired.
    pub recovery: Duration,
}

impl Scenario {
    /// Runs it: all steps, then everything is repaired, and after a time in which it must have
    /// recovered come [`Failure`]s for all that is not well. What must hold at any time is looked
    /// at after every step.
    ///
    /// The rules are:
    /// - A board's event arrives at the broker at least once, whatever happens, except those of a
    ///   full queue, which the board counts, and those that it had when it lost its power. Its first
    ///   arrival is in order, and what arrives was pressed.
    /// - As long as the broker keeps its memory, every event that it accepted arrives at a listener
    ///   with a session. With the duplicates removed by the counters, each arrives once.
    /// - No event is retained.
    /// - When all is quiet, every light and every publisher has the last state that the broker
    ///   accepted, all boards are connected, nothing waits anywhere, and there are no connections,
    ///   sessions or messages but those that belong there.
    /// - A client has one connection at most.
    /// - A board asks for a transport [`ATTEMPTS_IN_A_MINUTE`](super::ATTEMPTS_IN_A_MINUTE) times at
    ///   most within a minute.
    pub fn run(&self, timeline: bool) -> Run {
        let mut memory: Vec<_> = (0..self.boards.len() + 2).map(|_| Storage::new()).collect();
        let mut world = World::new(self.seed, self.network, &mut memory).with_records();
        if !timeline {
            world = world.without_timeline();
        }
        let witness = world.add_witness("witness", FILTERS);
        let listener = world.add_listener("listener", FILTERS);
        let add = |(place, plan): (usize, &BoardPlan)| {
            world.add_board_with_flash(&format!("board {place}"), plan.settings())
        };
        let boards: Vec<_> = self.boards.iter().enumerate().map(add).collect();
        // The witness is there before anything can happen to the broker.
        world.run_for(Duration::ZERO);
        let mut judge = Judge::new(witness, listener, &boards);
        let failure = self.run_in(&mut world, &mut judge, &boards, listener);
        let mut outcome = judge.outcome();
        outcome.time = world.now().since(Instant::ZERO);
        outcome.handled = world.handled();
        for board in &boards {
            let counters = world.counters(*board);
            outcome.connections += counters.connections;
            let most = &mut outcome.most_attempts_in_a_minute;
            *most = counters.most_attempts_in_a_minute.max(*most);
        }
        Run {
            failure,
            outcome,
            timeline: world.timeline().to_string(),
        }
    }

    fn run_in(
        &self,
        world: &mut World<'_>,
        judge: &mut Judge,
        boards: &[BoardIndex],
        listener: BoardIndex,
    ) -> Option<Failure> {
        let failure = |world: &World<'_>, step, what| Failure {
            step,
            at: world.now().since(Instant::ZERO),
            what,
        };
        for (place, step) in self.steps.iter().enumerate() {
            world.note(format!("-- step {place}: {}", step.deed));
            step.deed.apply(world, boards, listener);
            world.run_for(step.wait);
            if let Err(what) = judge.look(world) {
                return Some(failure(world, Some(place), what));
            }
        }
        world.note("-- everything is repaired");
        repair(world, boards);
        if let Err(what) = judge.wait_for_quiet(world) {
            return Some(failure(world, None, what));
        }
        world.run_for(QUIET);
        let judged = judge
            .look(world)
            .and_then(|()| judge.look_when_quiet(world));
        judged.err().map(|what| failure(world, None, what))
    }
}

impl Outcome {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            time: self.time + other.time,
            handled: self.handled + other.handled,
            presses: self.presses + other.presses,
            accepted: self.accepted + other.accepted,
            duplicates: self.duplicates + other.duplicates,
            dropped: self.dropped + other.dropped,
            lost_with_power: self.lost_with_power + other.lost_with_power,
            lost_with_broker: self.lost_with_broker + other.lost_with_broker,
            connections: self.connections + other.connections,
            power_cuts: self.power_cuts + other.power_cuts,
            most_attempts_in_a_minute: self
                .most_attempts_in_a_minute
                .max(other.most_attempts_in_a_minute),
            recovery: self.recovery.max(other.recovery),
        }
    }
}

impl BoardPlan {
    fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        for (key, value) in [("role", self.role), ("mqtt", self.mqtt), ("qos", self.qos)] {
            settings.set(key, value).expect("a plan has valid settings");
        }
        settings
    }
}

/// Everything is as it should be from now on.
fn repair(world: &mut World<'_>, boards: &[BoardIndex]) {
    world.set_network(Network::default());
    world.set_broker_kicks(false);
    world.set_broker_pace(Duration::ZERO);
    world.resume_broker();
    world.start_broker();
    for board in boards {
        // The first time may be the one in which the power fails again.
        world.power_on(*board);
        world.power_on(*board);
        world.set_link(*board, true);
    }
}

const FILTERS: &[&str] = &["declic/+/button", "esp32/data"];
