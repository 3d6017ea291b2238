//! The subcommands, one file each.

mod board;
mod up;

use clap::Subcommand;

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;

#[derive(Debug, Subcommand)]
pub enum Command {
    Up(Box<up::Args>),
    Board(board::Args),
}

/// Runs `command`; `declic up` where there is none.
pub fn run(command: Option<Command>, printer: &Printer) -> Result<ExitCode, Error> {
    match command {
        None => up::run(&up::Args::default(), printer),
        Some(command) => match command {
            Command::Up(args) => up::run(&args, printer),
            Command::Board(args) => board::run(&args, printer),
        },
    }
}
