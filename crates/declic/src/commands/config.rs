//! `declic config`: a board's settings, over its console.

mod wifi;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use declic_board::Key;

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::flash::ask::{Ask as _, Terminal};
use crate::flash::choices::{check, in_order};
use crate::flash::file;
use crate::host::reason;
use crate::printer::Printer;
use crate::serial::console::{Console, set_command};
use crate::serial::ports;

/// Read and change the settings of a board that is plugged in
///
/// The board's firmware answers over its serial port. What is changed is stored, and the board
/// starts again with it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The board's serial port; not needed where there is only one board
    #[arg(short, long, value_name = "PORT", global = true)]
    port: Option<String>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a setting's value, or all settings as lines `key=value`; passwords are not shown
    Get {
        /// The setting
        key: Option<String>,
    },
    /// Change a setting
    Set {
        /// The setting
        key: String,
        /// Its value; a password may be left out, and is asked for
        #[arg(allow_hyphen_values = true)]
        value: Option<String>,
    },
    /// Bring the board into a Wi-Fi network
    ///
    /// The board tries the network first and keeps it once it is in it; if not, it goes back to the
    /// one that it had.
    Wifi(wifi::Args),
    /// Write all settings but passwords into a file
    Export {
        /// The file; standard output without one
        file: Option<PathBuf>,
    },
    /// Change settings to those in a file: all of them, or none
    Import {
        /// The file, as `export` writes it; - is standard input
        file: PathBuf,
    },
}

/// Carries out the command.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    match &args.command {
        Command::Get { key } => get(&mut args.console()?, key.as_deref(), printer),
        Command::Set { key, value } => {
            let value = match value {
                Some(value) => value.clone(),
                None => asked(key)?,
            };
            if let Some(key) = Key::from_name(key) {
                check(&[(key, value.clone())])?;
            }
            // A setting that is not known here may be one that the board knows.
            store(&mut args.console()?, &[(key.clone(), value)], printer)
        }
        Command::Wifi(wifi) => wifi::run(wifi, ports::choose(args.port.as_deref())?, printer),
        Command::Export { file } => {
            let text = exported(&mut args.console()?)?;
            match file {
                None => printer.text(text.as_bytes())?,
                Some(path) => fs::write(path, text).map_err(|error| {
                    let what = format!("can't write {}", path.display());
                    Error::new(ExitCode::Failure, what).because(reason(&error))
                })?,
            }
            Ok(ExitCode::Success)
        }
        Command::Import { file } => {
            let settings = read(file)?;
            check(&settings)?;
            let settings: Vec<_> = in_order(&settings)
                .into_iter()
                .map(|(key, value)| (key.name().to_owned(), value))
                .collect();
            store(&mut args.console()?, &settings, printer)
        }
    }
}

impl Args {
    fn console(&self) -> Result<Console, Error> {
        Console::open(ports::choose(self.port.as_deref())?)
    }
}

fn get(console: &mut Console, key: Option<&str>, printer: &Printer) -> Result<ExitCode, Error> {
    let command = key.map_or("get".to_owned(), |key| format!("get {key}"));
    let lines = done(console, &command)?;
    for line in lines {
        match (key, line.split_once('=')) {
            (Some(_), Some((_, value))) => printer.line(value)?,
            _ => printer.line(line)?,
        }
    }
    Ok(ExitCode::Success)
}

/// Changes settings, stores them, and lets the board start with them.
fn store(
    console: &mut Console,
    settings: &[(String, String)],
    printer: &Printer,
) -> Result<ExitCode, Error> {
    if let Err(error) = change(console, settings) {
        // Nothing is stored yet: so the board forgets what was changed. It may be the one that
        // does not answer.
        let _ = console.command("restart now");
        return Err(error);
    }
    done(console, "save")?;
    printer.line("saved")?;
    done(console, "restart")?;
    printer.line("restarted")?;
    Ok(ExitCode::Success)
}

fn change(console: &mut Console, settings: &[(String, String)]) -> Result<(), Error> {
    for (key, value) in settings {
        done(console, &set_command(key, value))?;
    }
    Ok(())
}

/// Carries out a command that the board must not refuse.
fn done(console: &mut Console, command: &str) -> Result<Vec<String>, Error> {
    console.command(command)?.map_err(|error| refused(&error))
}

fn refused(error: &str) -> Error {
    Error::new(ExitCode::Failure, "the board refused it").because(error)
}

fn exported(console: &mut Console) -> Result<String, Error> {
    let lines = done(console, "get")?;
    let mut text = String::new();
    for (name, value) in lines.iter().filter_map(|line| line.split_once('=')) {
        let is_secret = Key::from_name(name).is_some_and(Key::is_secret);
        match (is_secret, value) {
            (true, "(set)") => text += &format!("# {name} is set, and never read out\n"),
            (true, _) => {}
            (false, value) => text += &file::render([(name, value)]),
        }
    }
    Ok(text)
}

fn read(path: &Path) -> Result<Vec<(Key, String)>, Error> {
    let failed = || {
        let what = format!("can't use the settings in {}", path.display());
        Error::new(ExitCode::Usage, what)
    };
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    let text = text.map_err(|error| failed().because(reason(&error)))?;
    file::parse(&text).map_err(|error| failed().because(error))
}

/// The value of `key` from the person at the terminal.
fn asked(key: &str) -> Result<String, Error> {
    let is_secret = Key::from_name(key).is_some_and(Key::is_secret);
    let Some(mut terminal) = Terminal::new() else {
        return Err(Error::new(
            ExitCode::Usage,
            format!("the value of {key} is missing"),
        ));
    };
    if is_secret {
        terminal.hidden(&format!("{key}: "))
    } else {
        terminal.line(&format!("{key}: "))
    }
}
