//! `declic completions`: completions for a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;

/// Print the completions for a shell
///
/// Where they belong depends on the shell; the examples are for one user.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the completions.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "declic", &mut script);
    printer.text(&script)?;
    Ok(ExitCode::Success)
}

const EXAMPLES: &str = "\
Examples:
  declic completions bash > ~/.local/share/bash-completion/completions/declic
  declic completions zsh > ~/.zfunc/_declic
  declic completions fish > ~/.config/fish/completions/declic.fish";
