//! The subcommands, one file each.

mod bench;
mod board;
mod boards;
mod broker;
mod completions;
mod config;
mod flash;
mod man;
mod monitor;
mod publish;
mod sim;
mod subscribe;
mod up;

use clap::Subcommand;

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;

#[derive(Debug, Subcommand)]
pub enum Command {
    Up(Box<up::Args>),
    Board(Box<board::Args>),
    Boards(boards::Args),
    Flash(Box<flash::Args>),
    Monitor(monitor::Args),
    Config(config::Args),
    Broker(Box<broker::Args>),
    Pub(Box<publish::Args>),
    Sub(Box<subscribe::Args>),
    Bench(bench::Args),
    Sim(sim::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Runs `command`; `declic up` where there is none.
pub fn run(command: Option<Command>, printer: &Printer) -> Result<ExitCode, Error> {
    match command {
        None => up::run(&up::Args::default(), printer),
        Some(command) => match command {
            Command::Up(args) => up::run(&args, printer),
            Command::Bench(args) => bench::run(&args, printer),
            Command::Sim(args) => sim::run(&args, printer),
            Command::Board(args) => board::run(&args, printer),
            Command::Boards(args) => boards::run(&args, printer),
            Command::Flash(args) => flash::run(&args, printer),
            Command::Monitor(args) => monitor::run(&args, printer),
            Command::Config(args) => config::run(&args, printer),
            Command::Broker(args) => broker::run(&args, printer),
            Command::Pub(args) => publish::run(&args, printer),
            Command::Sub(args) => subscribe::run(&args, printer),
            Command::Completions(args) => completions::run(&args, printer),
            Command::Man(args) => man::run(&args, printer),
        },
    }
}
