//! `declic`: a button on one board, a light on another, and all that lies between.

mod access;
mod announce;
mod broker_config;
mod cli;
mod client_args;
mod client_memory;
mod commands;
mod connect_options;
mod control;
mod dial;
mod error;
mod exit_code;
mod flash;
mod host;
mod json;
mod log;
mod message_format;
mod net;
#[cfg(target_os = "linux")]
mod open_files;
mod printer;
mod property_args;
mod serial;
mod signals;
mod state;
mod stdin;
#[cfg(unix)]
mod systemd;
#[cfg(test)]
mod testing;
mod timestamp;
mod tls_args;
mod url;

use clap::Parser as _;

use cli::Cli;
use printer::Printer;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    let printer = Printer::new(cli.color, cli.quiet);
    let code = match commands::run(cli.command, &printer) {
        Ok(code) => code,
        Err(error) => {
            printer.error(&error);
            error.exit_code()
        }
    };
    code.into()
}
