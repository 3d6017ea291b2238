//! `declic bench`: measurements, each beside a peer measured in the same run.

#[cfg(target_os = "linux")]
mod broker;
#[cfg(target_os = "linux")]
mod hostile;
mod press;
mod relay;
mod route;
mod start;

use std::io::{IsTerminal as _, Write as _};

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;

/// Measure this machine: what a press takes, what a start takes, what the broker can do
///
/// Times differ from machine to machine and from minute to minute. What counts is the ratio to the
/// peer beside it, which is measured in turn with ours in the same run.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Press(press::Args),
    Start(start::Args),
    #[cfg(target_os = "linux")]
    Broker(broker::Args),
    #[cfg(target_os = "linux")]
    Hostile(hostile::Args),
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Floor(broker::floor::Args),
}

/// Measures and prints a table.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    match &args.what {
        What::Press(args) => press::run(args, printer),
        What::Start(args) => start::run(args, printer),
        #[cfg(target_os = "linux")]
        What::Broker(args) => broker::run(args, printer),
        #[cfg(target_os = "linux")]
        What::Hostile(args) => hostile::run(args, printer),
        #[cfg(target_os = "linux")]
        What::Floor(args) => broker::floor::run(args, printer),
    }
}

/// The value below which `percent` of `sorted` lie; the smallest one for 0.
fn percentile<T: Copy + Default>(sorted: &[T], percent: usize) -> T {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or_default()
}

/// Shows how far a measurement is, where somebody is watching; nothing clears the line.
fn progress(text: std::fmt::Arguments<'_>) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // Clear the line, then write. Who can't see it misses nothing.
        let _ = write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush());
    }
}

fn failed(what: &str, error: impl std::fmt::Display) -> Error {
    Error::new(ExitCode::Failure, format!("{what}: {error}"))
}
