//! `declic sim`: boards, network and broker on a virtual clock.

mod explore;
mod replay;
mod report;
mod speed;
mod storm;

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;

/// Simulate boards, network and broker on a virtual clock
///
/// The boards and the broker are the real ones; time, network, flash and power are not. Everything
/// follows from a seed: the same seed gives the same run, to the microsecond.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Explore(explore::Args),
    Replay(replay::Args),
    Storm(storm::Args),
    Speed(speed::Args),
    Report(report::Args),
}

/// Runs the simulation that was asked for.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    match &args.what {
        What::Explore(args) => explore::run(args, printer),
        What::Replay(args) => replay::run(args, printer),
        What::Storm(args) => storm::run(args, printer),
        What::Speed(args) => speed::run(args, printer),
        What::Report(args) => report::run(args, printer),
    }
}

/// The command that replays steps of a scenario.
fn replay_command(seed: u64, steps: &[usize]) -> String {
    let steps: Vec<_> = steps.iter().map(usize::to_string).collect();
    match steps.is_empty() {
        true => format!("declic sim replay {seed}"),
        false => format!("declic sim replay {seed} --steps {}", steps.join(",")),
    }
}
