//! The subcommands, one file each.

// up: `mod up;`
// board: `mod board;`

use clap::Subcommand;

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;

#[derive(Debug, Subcommand)]
pub enum Command {
    // up: `Up(up::Args),`
    // board: `Board(board::Args),`
}

/// Runs `command`; `declic up` where there is none.
pub fn run(command: Option<Command>, _printer: &Printer) -> Result<ExitCode, Error> {
    match command {
        // up: `None => up::run(&up::Args::default(), printer),`
        None => Ok(ExitCode::Success),
        Some(command) => match command {
            // up: `Command::Up(args) => up::run(&args, printer),`
            // board: `Command::Board(args) => board::run(&args, printer),`
        },
    }
}
