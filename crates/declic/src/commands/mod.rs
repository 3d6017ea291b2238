//! The subcommands, one file each.

// up: `mod up;`
mod board;

use clap::Subcommand;

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;

#[derive(Debug, Subcommand)]
pub enum Command {
    // up: `Up(up::Args),`
    Board(board::Args),
}

/// Runs `command`; `declic up` where there is none.
pub fn run(command: Option<Command>, printer: &Printer) -> Result<ExitCode, Error> {
    match command {
        // up: `None => up::run(&up::Args::default(), printer),`
        None => Ok(ExitCode::Success),
        Some(command) => match command {
            // up: `Command::Up(args) => up::run(&args, printer),`
            Command::Board(args) => board::run(&args, printer),
        },
    }
}
