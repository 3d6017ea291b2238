//! Improv Wi-Fi from the side of the one who has the network's password.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use declic_board::improv::{self, Command, Frame, Packet, State};

use super::line::{Report, SerialLine};
use super::ports::FoundPort;
use crate::error::Error;
use crate::exit_code::ExitCode;

/// What a board said in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    State(State),
    Error(improv::Error),
    Result { command: u8, strings: Vec<String> },
}

/// A board that has answered.
pub struct Improv {
    line: SerialLine,
    reports: Receiver<Report>,
    port: String,
}

/// What a board says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Information {
    pub firmware: String,
    pub version: String,
    pub chip: String,
    pub name: String,
}

/// A network that a board can hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    pub ssid: String,
    /// In dBm.
    pub rssi: i32,
    pub needs_password: bool,
}

impl Said {
    /// `None` for what no board says.
    pub fn from_packet(packet: Packet<'_>) -> Option<Self> {
        Some(match packet {
            Packet::State(state) => Self::State(state),
            Packet::Error(error) => Self::Error(error),
            Packet::Result { command, strings } => Self::Result {
                command,
                strings: strings.map(str::to_owned).collect(),
            },
            Packet::Command(_) => return None,
        })
    }
}

impl Improv {
    /// Opens `port` and waits until a board answers: it may start again when its port is opened.
    ///
    /// # Errors
    /// The port can't be opened, or nothing on it speaks Improv Wi-Fi.
    pub fn open(port: FoundPort) -> Result<Self, Error> {
        let name = port.name.clone();
        let (sender, reports) = channel();
        let line = SerialLine::open(port, move |report| sender.send(report).is_ok())?;
        let mut board = Self {
            line,
            reports,
            port: name,
        };
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if board.state(AGAIN)?.is_some() {
                return Ok(board);
            }
        }
        let what = format!("no answer from the board on {}", board.port);
        Err(Error::new(ExitCode::Failure, what)
            .remedy("Is Déclic's firmware on it? `declic flash` brings it there."))
    }

    /// What the board is.
    ///
    /// # Errors
    /// It does not answer.
    pub fn information(&mut self) -> Result<Information, Error> {
        let mut strings = self.result(Command::Information, ANSWER)?.into_iter();
        let mut next = || strings.next().unwrap_or_default();
        Ok(Information {
            firmware: next(),
            version: next(),
            chip: next(),
            name: next(),
        })
    }

    /// The networks that the board can hear, the strongest first, each once.
    ///
    /// # Errors
    /// It can't look for them, or does not answer.
    pub fn networks(&mut self) -> Result<Vec<Network>, Error> {
        let mut networks: Vec<Network> = Vec::new();
        let mut strings = self.result(Command::Networks, SCAN)?;
        while let [ssid, rssi, password, ..] = &strings[..] {
            networks.push(Network {
                ssid: ssid.clone(),
                rssi: rssi.parse().unwrap_or(i32::MIN),
                needs_password: password != "NO",
            });
            strings = self.next_result(Command::Networks, SCAN)?;
        }
        networks.sort_by_key(|network| -i64::from(network.rssi));
        let mut seen = std::collections::HashSet::new();
        networks.retain(|network| !network.ssid.is_empty() && seen.insert(network.ssid.clone()));
        Ok(networks)
    }

    /// Has the board join a network, and waits until it is in it and has stored that.
    ///
    /// # Errors
    /// It did not get into the network, or does not answer.
    pub fn provision(&mut self, ssid: &str, password: &str) -> Result<(), Error> {
        self.result(Command::Settings { ssid, password }, JOIN)?;
        Ok(())
    }

    /// How far the board is; `None` if it does not say so in time.
    fn state(&mut self, limit: Duration) -> Result<Option<State>, Error> {
        self.send(Command::State)?;
        let deadline = Instant::now() + limit;
        loop {
            match self.next(deadline)? {
                None => return Ok(None),
                Some(Said::State(state)) => return Ok(Some(state)),
                Some(_) => {}
            }
        }
    }

    /// Sends a command and waits for its result.
    fn result(&mut self, command: Command<'_>, limit: Duration) -> Result<Vec<String>, Error> {
        self.send(command)?;
        self.next_result(command, limit)
    }

    fn next_result(&mut self, command: Command<'_>, limit: Duration) -> Result<Vec<String>, Error> {
        let deadline = Instant::now() + limit;
        loop {
            match self.next(deadline)? {
                None => {
                    let what = format!("the board on {} does not answer any more", self.port);
                    return Err(Error::new(ExitCode::TimedOut, what));
                }
                Some(Said::Result {
                    command: number,
                    strings,
                }) if number == command.number() => return Ok(strings),
                Some(Said::Error(error)) if error != improv::Error::None => {
                    return Err(refused(command, error));
                }
                Some(_) => {}
            }
        }
    }

    fn send(&self, command: Command<'_>) -> Result<(), Error> {
        let frame = Frame::command(command).ok_or_else(|| {
            let what = "the network's name or password is too long";
            Error::new(ExitCode::Usage, what)
        })?;
        self.line
            .send_frame(&frame)
            .map_err(|error| self.lost(&error.to_string()))
    }

    /// What the board says next; `None` if nothing comes before `deadline`.
    fn next(&self, deadline: Instant) -> Result<Option<Said>, Error> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.reports.recv_timeout(left) {
                Ok(Report::Improv(said)) => return Ok(Some(said)),
                Ok(Report::Lost(cause)) => return Err(self.lost(&cause)),
                Ok(Report::Line(_) | Report::Back(_)) => {}
                Err(_) => return Ok(None),
            }
        }
    }

    fn lost(&self, cause: &str) -> Error {
        let what = format!("lost the board on {}", self.port);
        Error::new(ExitCode::Failure, what)
            .because(cause)
            .remedy("Is its cable plugged in?")
    }
}

fn refused(command: Command<'_>, error: improv::Error) -> Error {
    let (what, remedy) = match (command, error) {
        (Command::Settings { ssid, .. }, improv::Error::UnableToConnect) => (
            format!("the board did not get into {ssid}"),
            "Check the password, and that the network is on 2.4 GHz and not WPA3 only. The board \
             keeps the network that it had.",
        ),
        (Command::Networks, improv::Error::Unknown) => (
            "the board can't look for networks".to_owned(),
            "Name one with --ssid.",
        ),
        _ => return Error::new(ExitCode::Failure, error.to_string()),
    };
    Error::new(ExitCode::Failure, what).remedy(remedy)
}

/// How long a board may take to start.
const START: Duration = Duration::from_secs(10);
/// How long its first answer may take, before it is asked again.
const AGAIN: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(3);
/// A board gives up after 20 s.
const SCAN: Duration = Duration::from_secs(30);
/// A board gives up after 25 s, and then it may have to store something.
const JOIN: Duration = Duration::from_secs(40);
