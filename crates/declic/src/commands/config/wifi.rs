//! `declic config wifi`: a board into a Wi-Fi network, by Improv Wi-Fi.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use declic_board::Key;

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::flash::ask::{Ask, Terminal};
use crate::flash::choices::check;
use crate::host::reason;
use crate::printer::Printer;
use crate::serial::FoundPort;
use crate::serial::improv::{Improv, Network};

/// Which network, and how to get its password.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The network's name; without it, the board lists those that it hears
    #[arg(long, value_name = "NAME")]
    ssid: Option<String>,

    /// File whose first line is the network's password; - is standard input
    ///
    /// Without it, DECLIC_WIFI_PASSWORD in the environment is used, or the password is asked for.
    #[arg(long, value_name = "FILE", conflicts_with = "open")]
    password_file: Option<PathBuf>,

    /// The network has no password
    #[arg(long)]
    open: bool,

    /// Only list the networks that the board hears
    #[arg(long, conflicts_with_all = ["ssid", "password_file", "open"])]
    list: bool,
}

/// Carries it out.
pub fn run(args: &Args, port: FoundPort, printer: &Printer) -> Result<ExitCode, Error> {
    // What is given is checked, and read, before the board is asked for anything.
    if let Some(ssid) = &args.ssid {
        check(&[(Key::WifiSsid, ssid.clone())])?;
        if ssid.is_empty() {
            return Err(Error::new(ExitCode::Usage, "the network's name is empty"));
        }
    }
    let given = args.given_password()?;
    let mut terminal = Terminal::new();
    if args.ssid.is_none() && !args.list && terminal.is_none() {
        return Err(Error::new(ExitCode::Usage, "the network's name is missing")
            .remedy("Add --ssid NAME; --list shows the networks."));
    }
    if args.ssid.is_some() && given.is_none() && terminal.is_none() {
        return Err(password_missing());
    }
    let mut board = Improv::open(port)?;
    let about = board.information()?;
    printer.note(format_args!(
        "{} {} on {}: {}",
        about.firmware, about.version, about.chip, about.name
    ));
    if args.list {
        for network in board.networks()? {
            printer.line(Shown(&network))?;
        }
        return Ok(ExitCode::Success);
    }
    let (ssid, needs_password) = match (&args.ssid, &mut terminal) {
        (Some(ssid), _) => (ssid.clone(), true),
        (None, Some(terminal)) => {
            printer.note("the board looks for networks");
            let network = choose(&board.networks()?, terminal, printer)?;
            (network.ssid, network.needs_password)
        }
        (None, None) => unreachable!("checked before"),
    };
    let password = match (given, &mut terminal) {
        (Some(password), _) => password,
        (None, _) if !needs_password => String::new(),
        (None, Some(terminal)) => asked(&ssid, terminal)?,
        (None, None) => return Err(password_missing()),
    };
    printer.note(format_args!("the board tries {ssid}"));
    board.provision(&ssid, &password)?;
    printer.line(format_args!("the board is in {ssid}, and keeps it"))?;
    Ok(ExitCode::Success)
}

impl Args {
    /// The password, where nobody has to be asked for it.
    fn given_password(&self) -> Result<Option<String>, Error> {
        let password = if self.open {
            Some(String::new())
        } else if let Some(path) = &self.password_file {
            Some(first_line(path)?)
        } else {
            std::env::var("DECLIC_WIFI_PASSWORD").ok()
        };
        if let Some(password) = &password {
            check(&[(Key::WifiPassword, password.clone())])?;
        }
        Ok(password)
    }
}

/// Lets the person choose one of `networks`, or name another.
fn choose(
    networks: &[Network],
    terminal: &mut Terminal,
    printer: &Printer,
) -> Result<Network, Error> {
    for (index, network) in networks.iter().enumerate() {
        printer.line(format_args!("{:>3}  {}", index + 1, Shown(network)))?;
    }
    loop {
        let answer = terminal.line("Wi-Fi network (number or name): ")?;
        let answer = answer.trim();
        let named = networks.iter().find(|network| network.ssid == answer);
        let numbered = answer.parse::<usize>().ok();
        let numbered = numbered.and_then(|number| networks.get(number.checked_sub(1)?));
        if let Some(network) = named.or(numbered) {
            return Ok(network.clone());
        }
        match check(&[(Key::WifiSsid, answer.to_owned())]) {
            Ok(()) if answer.is_empty() => terminal.refuse("it is needed"),
            Ok(()) => {
                // One that hides its name.
                return Ok(Network {
                    ssid: answer.to_owned(),
                    rssi: 0,
                    needs_password: true,
                });
            }
            Err(error) => terminal.refuse(&error.to_string()),
        }
    }
}

fn asked(ssid: &str, terminal: &mut Terminal) -> Result<String, Error> {
    loop {
        let question = format!("Password of {ssid} (empty for an open network): ");
        let password = terminal.hidden(&question)?;
        match check(&[(Key::WifiPassword, password.clone())]) {
            Ok(()) => return Ok(password),
            Err(error) => terminal.refuse(&error.to_string()),
        }
    }
}

fn first_line(path: &Path) -> Result<String, Error> {
    let mut line = String::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().read_line(&mut line)
    } else {
        File::open(path).and_then(|file| BufReader::new(file).read_line(&mut line))
    };
    read.map_err(|error| {
        let what = format!("can't read the password in {}", path.display());
        Error::new(ExitCode::Usage, what).because(reason(&error))
    })?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn password_missing() -> Error {
    Error::new(ExitCode::Usage, "the network's password is missing").remedy(
        "Set DECLIC_WIFI_PASSWORD, or add --password-file FILE; --open for a network without one.",
    )
}

/// A network for people.
struct Shown<'a>(&'a Network);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Network {
            ssid,
            rssi,
            needs_password,
        } = self.0;
        let open = if *needs_password { "" } else { "  open" };
        // A name that comes over the air must not do anything to a terminal.
        let safe: String = ssid
            .chars()
            .map(|char| if char.is_control() { '?' } else { char })
            .collect();
        write!(f, "{rssi:>4} dBm  {safe}{open}")
    }
}
