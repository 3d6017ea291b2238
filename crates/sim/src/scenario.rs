//! A home in which things go wrong, as data: made from a seed, run, judged, and made smaller when
//! it fails.

mod explore;
mod generate;
mod judge;
mod run;
mod shrink;
mod step;

use std::fmt;
use std::time::Duration;

use crate::Network;

pub use explore::{Explored, explore};
pub(crate) use judge::number;
pub use judge::{ATTEMPTS_IN_A_MINUTE, RECOVERY};
pub use run::{Outcome, Run};
pub use step::{Deed, Step};

/// Boards of a home, and what happens to them in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// The source of all chance in the world that it runs in.
    pub seed: u64,
    /// The boards.
    pub boards: Vec<BoardPlan>,
    /// The network at the beginning.
    pub network: Network,
    /// What happens; none of them needs another one, so that any may be left out.
    pub steps: Vec<Step>,
}

/// A board of a [`Scenario`], as its settings say. Its steps name it by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoardPlan {
    /// `role`.
    pub role: &'static str,
    /// `mqtt`.
    pub mqtt: &'static str,
    /// `qos`.
    pub qos: &'static str,
}

/// A rule of [`Scenario::run`] that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Behind which step, by its place; `None` for the quiet time at the end.
    pub step: Option<usize>,
    /// How long the world had existed.
    pub at: Duration,
    /// What is wrong.
    pub what: String,
}

impl Scenario {
    /// The same with only those steps, by their places.
    #[must_use]
    pub fn with_steps(&self, places: &[usize]) -> Self {
        let steps = places.iter().filter_map(|place| self.steps.get(*place));
        Self {
            steps: steps.cloned().collect(),
            ..self.clone()
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {} boards", self.seed, self.boards.len())?;
        for (place, plan) in self.boards.iter().enumerate() {
            let BoardPlan { role, mqtt, qos } = plan;
            writeln!(f, "  board {place}: {role}, MQTT {mqtt}, QoS {qos}")?;
        }
        writeln!(f, "  network: {}", step::Shown(self.network))?;
        for (place, step) in self.steps.iter().enumerate() {
            writeln!(f, "  step {place}: {step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.as_secs_f64();
        match self.step {
            Some(step) => write!(f, "after step {step}, at {at:.6} s: {}", self.what),
            None => write!(f, "at the end, at {at:.6} s: {}", self.what),
        }
    }
}
