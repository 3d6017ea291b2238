//! The command line: what is common to all subcommands.

use clap::Parser;

use crate::commands::Command;
use crate::printer::Color;

/// Press a button on one board, and a light turns on at another.
///
/// Without a subcommand, `declic up` runs: a broker, a board with a button and a board with a
/// light, all in this process.
#[derive(Debug, Parser)]
#[command(
    name = "declic",
    version,
    propagate_version = true,
    disable_help_subcommand = false,
    after_long_help = EXIT_CODES,
)]
pub struct Cli {
    /// When to use colour
    #[arg(long, value_enum, global = true, value_name = "WHEN", default_value_t, help_heading = OUTPUT)]
    pub color: Color,

    /// Say nothing but what was asked for: no notes on standard error, not even errors
    #[arg(long, global = true, help_heading = OUTPUT)]
    pub quiet: bool,

    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Heading of the flags that change what is printed.
pub const OUTPUT: &str = "Output";

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed while running: the connection was lost, a message was refused
  2   wrong use: an unknown flag, a topic that can't be published to
  3   no connection: no broker there, or its name is not known
  4   the broker refused the connection: wrong password, wrong version
  5   the address to listen on is in use or can't be used
  6   the store of the broker can't be used
  27  nothing came in the time given (`sub -W`)";
