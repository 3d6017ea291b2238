//! `declic sim explore`: many homes in which everything goes wrong.

use std::num::NonZeroU64;
use std::time::Duration;

use declic_sim::scenario::{Explored, Scenario, explore};

use super::replay_command;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;

/// Run many homes in which everything goes wrong, and judge them
///
/// Each seed makes two to five boards and up to 60 steps: presses, cut and silent connections, bad
/// networks, restarts of router, broker and boards, loss of power while flash is written. Afterwards
/// everything is repaired. No event may be lost or doubled, no light wrong, no queue and no number
/// of attempts too large. A home that fails is made as small as possible, and shown with the command
/// that replays it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many seeds
    #[arg(long, value_name = "N", default_value = "1000")]
    seeds: NonZeroU64,

    /// The first of them
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    from: u64,

    /// How many run at the same time; as many as there are processors without it
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.unwrap_or(processors);
    let end = args.from.saturating_add(args.seeds.get());
    let explored = explore(args.from..end, threads);
    summarize(&explored, printer)?;
    let Some((seed, failure)) = &explored.failure else {
        return Ok(ExitCode::Success);
    };
    printer.line(format_args!("\nseed {seed} fails {failure}"))?;
    let scenario = Scenario::generate(*seed);
    let steps = scenario.shrink(|smaller| smaller.try_run().failure.is_some());
    let smaller = scenario.with_steps(&steps);
    printer.line(format_args!("\nthese steps are enough:\n{smaller}"))?;
    let command = replay_command(*seed, &steps);
    Err(Error::new(ExitCode::Failure, "a rule is broken").remedy(format!("See it with: {command}")))
}

fn summarize(explored: &Explored, printer: &Printer) -> Result<(), Error> {
    let outcome = &explored.outcome;
    printer.line(format_args!(
        "{} homes, {:.1} days, {} happenings",
        explored.runs,
        days(outcome.time),
        outcome.handled
    ))?;
    printer.line(format_args!(
        "{} connections, {} losses of power, at most {} attempts of a board within a minute",
        outcome.connections, outcome.power_cuts, outcome.most_attempts_in_a_minute
    ))?;
    printer.line(format_args!(
        "{} presses: {} events arrived, {} of them once more, {} given up by full queues, \
         {} lost with a board's power",
        outcome.presses,
        outcome.accepted,
        outcome.duplicates,
        outcome.dropped,
        outcome.lost_with_power
    ))?;
    printer.line(format_args!(
        "{} events forgotten by brokers that lost their memory; all well at most {:.1} s after \
         everything was repaired",
        outcome.lost_with_broker,
        outcome.recovery.as_secs_f64()
    ))
}

fn days(time: Duration) -> f64 {
    time.as_secs_f64() / 86_400.0
}
