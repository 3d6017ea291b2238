//! `declic sim storm`: many boards come back at once.

use std::time::Duration;

use declic_sim::Storm;

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;

/// Restart the broker of many boards, and show when they come back
///
/// Prints a histogram: for each second after the broker is back, how many boards it accepted.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many boards
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=60_000))]
    boards: u32,

    /// How long the broker is away, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(..=86_400))]
    outage: u64,

    /// The source of all chance
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
}

pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let outage = Duration::from_secs(args.outage);
    let storm = Storm::run(args.seed, args.boards as usize, outage);
    printer.text(storm.to_string().as_bytes())?;
    Ok(ExitCode::Success)
}
