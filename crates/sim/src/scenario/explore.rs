//! Many scenarios.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::{Failure, Outcome, Run, Scenario};

/// What came of many scenarios.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explored {
    /// Scenarios that were run.
    pub runs: u64,
    /// What they did, together.
    pub outcome: Outcome,
    /// The lowest seed whose scenario failed, and why; higher ones may not have been run then.
    pub failure: Option<(u64, Failure)>,
}

/// Runs the scenarios of all `seeds`, in so many threads; after a failure only those below it.
pub fn explore(seeds: Range<u64>, threads: usize) -> Explored {
    let next = AtomicU64::new(seeds.start);
    let end = AtomicU64::new(seeds.end);
    let explored = Mutex::new(Explored {
        runs: 0,
        outcome: Outcome::default(),
        failure: None,
    });
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                return;
            }
            let run = Scenario::generate(seed).try_run();
            let mut explored = explored.lock().expect("no thread panics while it holds it");
            explored.runs += 1;
            explored.outcome = explored.outcome.and(run.outcome);
            if let Some(failure) = run.failure {
                let lowest = explored.failure.as_ref().map(|(seed, _)| *seed);
                if lowest.is_none_or(|lowest| seed < lowest) {
                    explored.failure = Some((seed, failure));
                    end.fetch_min(seed, Ordering::Relaxed);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
    });
    explored.into_inner().expect("no thread panicked")
}

impl Scenario {
    /// Runs it without a timeline; a panic of an engine is a failure like any other.
    pub fn try_run(&self) -> Run {
        let run = catch_unwind(AssertUnwindSafe(|| self.run(false)));
        run.unwrap_or_else(|panic| Run {
            failure: Some(Failure {
                step: None,
                at: Duration::ZERO,
                what: format!("panic: {}", message(panic.as_ref())),
            }),
            outcome: Outcome::default(),
            timeline: String::new(),
        })
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
