//! `declic sim replay`: one home again, with its timeline.

use declic_sim::scenario::Scenario;

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;

/// Run one home of `explore` again, and show what happened
///
/// Prints the boards and the steps, then a line for everything that happened with its time in
/// seconds, then what is wrong. Ends with 1 if a rule is broken.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which home
    seed: u64,

    /// Only these of its steps, by their numbers
    #[arg(long, value_name = "N", value_delimiter = ',')]
    steps: Option<Vec<usize>>,
}

pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let mut scenario = Scenario::generate(args.seed);
    if let Some(steps) = &args.steps {
        scenario = scenario.with_steps(steps);
    }
    printer.line(&scenario)?;
    let run = scenario.run(true);
    printer.text(run.timeline.as_bytes())?;
    match run.failure {
        None => {
            printer.line("\nno rule is broken")?;
            Ok(ExitCode::Success)
        }
        Some(failure) => {
            printer.line(format_args!("\nfails {failure}"))?;
            Ok(ExitCode::Failure)
        }
    }
}
