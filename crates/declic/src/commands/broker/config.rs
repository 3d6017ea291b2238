//! `declic broker config`: write the default configuration, check one.

use std::path::PathBuf;

use crate::broker_config::Settings;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;

/// Write the default configuration of the broker, or check a file
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    what: What,
}

#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Print a complete configuration: every key with its default and what it means
    #[arg(long)]
    default: bool,

    /// Say what is wrong in a file, with line and column
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

/// Prints, or checks.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    match &args.what.check {
        Some(path) => {
            Settings::load(path, printer)?;
            printer.line(format_args!("{} is in order", path.display()))?;
        }
        None => printer.text(Settings::default().document().as_bytes())?,
    }
    Ok(ExitCode::Success)
}
