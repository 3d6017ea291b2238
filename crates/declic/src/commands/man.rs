//! `declic man`: manual pages.

use std::fs;
use std::path::PathBuf;

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;

/// Write the manual pages into a directory
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The directory; it is made where it does not exist
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Writes the pages, one for the command and one for each subcommand.
pub fn run(args: &Args, _printer: &Printer) -> Result<ExitCode, Error> {
    fs::create_dir_all(&args.directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &args.directory))
        .map_err(|error| {
            let place = args.directory.display();
            Error::new(
                ExitCode::Failure,
                format!("can't write the manual pages to {place}"),
            )
            .because(error)
            .remedy("Choose a directory that you may write to.")
        })?;
    Ok(ExitCode::Success)
}

const EXAMPLES: &str = "\
Example:
  declic man ~/.local/share/man/man1 && man declic";
