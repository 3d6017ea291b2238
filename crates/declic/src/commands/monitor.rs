//! `declic monitor`: a board's console.

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;
use crate::serial::ports;
use crate::serial::watch::{Look, Until, watch};

/// Show what a board writes on its console, and send it what is typed
///
/// Lines that are typed are commands for the board: `help` lists them. A board that is unplugged
/// is waited for, also at another port. Ctrl-C leaves. Without a terminal, lines of standard input
/// are sent and the board's lines are printed as they are; the end of the input ends nothing.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The board's serial port; not needed where there is only one board
    #[arg(short, long, value_name = "PORT")]
    port: Option<String>,

    /// Print the time (UTC) in front of each line; it is left out where no terminal is
    #[arg(long, overrides_with = "no_timestamps")]
    timestamps: bool,

    /// Print no time in front of lines
    #[arg(long)]
    no_timestamps: bool,
}

/// Shows the console until it is stopped.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let port = ports::choose(args.port.as_deref())?;
    let look = Look {
        timestamps: args.timestamps || (!args.no_timestamps && Look::automatic().timestamps),
    };
    printer.note(format_args!("{} ({})", port.name, port.description()));
    watch(port, None, look, Until::Stopped, printer)
}
