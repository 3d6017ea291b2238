//! The board at the other end of Improv Wi-Fi: commands in frames between what is typed.
//!
//! New settings are tried first and stored when the board is in the network. If it does not get
//! there in time, it goes back to those that it had.

use core::fmt::Write as _;
use core::time::Duration;

use declic_mqtt::Instant;
use heapless::{Deque, String};

use super::Board;
use crate::console::Job;
use crate::improv::{self, Command, Error, Frame, Packet, Parser, SILENCE, State, Taken};
use crate::{FoundNetwork, Key, StoreError};

/// What has come of frames, and what is to be answered.
#[derive(Debug)]
pub(super) struct Improv {
    parser: Parser<LONGEST_COMMAND>,
    /// When the last byte came.
    heard: Instant,
    answers: Deque<Answer, ANSWERS>,
    trial: Trial,
}

/// New Wi-Fi settings that are being tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    No,
    /// The owner does not know yet; until then is the time to get into the network.
    Wanted(Instant),
    Joining(Instant),
    /// The board is in the network: they are being stored.
    Storing,
    /// The owner is to go back to the settings of before.
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    State,
    Error(Error),
    Information,
    /// A result without strings, for the command with that number.
    Nothing(u8),
}

impl Improv {
    pub(super) const fn new() -> Self {
        Self {
            parser: Parser::new(),
            heard: Instant::ZERO,
            answers: Deque::new(),
            trial: Trial::No,
        }
    }

    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        match self.trial {
            Trial::Wanted(until) | Trial::Joining(until) => Some(until),
            _ => None,
        }
    }

    fn answer(&mut self, answer: Answer) {
        // There is room: nothing is read before all is answered, and a trial ends with two.
        let _ = self.answers.push_back(answer);
    }
}

impl Board<'_> {
    /// Bytes came on the console's wire.
    pub(super) fn listen(&mut self) {
        let improv = &mut self.improv;
        if self.now.since(improv.heard) > SILENCE {
            improv.parser.give_up();
        }
        improv.heard = self.now;
    }

    /// Takes a byte of the wire; what is text of it goes to the console's line.
    pub(super) fn take_byte(&mut self, byte: u8) {
        match self.improv.parser.take(byte) {
            Taken::Part => {}
            Taken::Text => {
                let mut index = 0;
                while let Some(byte) = self.improv.parser.text().get(index) {
                    self.type_byte(*byte);
                    index += 1;
                }
            }
            // What else comes broken is nothing to answer.
            Taken::Broken if self.improv.parser.kind() == improv::COMMAND => {
                self.improv.answer(Answer::Error(Error::InvalidCommand));
            }
            Taken::Broken => {}
            Taken::Frame => {
                // The parser leaves for the time in which the frame is dealt with.
                let parser = core::mem::take(&mut self.improv.parser);
                match parser.packet() {
                    Ok(Packet::Command(command)) => self.obey(command),
                    Err(error) if parser.kind() == improv::COMMAND => {
                        self.improv.answer(Answer::Error(error));
                    }
                    _ => {}
                }
                self.improv.parser = parser;
            }
        }
    }

    /// Prints the next answer. Returns false when there is none.
    pub(super) fn print_answer(&mut self) -> bool {
        let Some(answer) = self.improv.answers.pop_front() else {
            return false;
        };
        let frame = match answer {
            Answer::State => Some(Frame::state(self.improv_state())),
            Answer::Error(error) => Some(Frame::error(error)),
            Answer::Nothing(command) => Frame::result(command, &[]),
            Answer::Information => {
                let own_name = self.id.host_name();
                let name = Some(self.settings.name()).filter(|name| !name.is_empty());
                let chip = self.start.map_or("", |start| start.chip);
                let name = name.unwrap_or(&own_name);
                let strings = [FIRMWARE, env!("CARGO_PKG_VERSION"), chip, name];
                Frame::result(Command::Information.number(), &strings)
            }
        };
        // None of these is too long.
        if let Some(frame) = frame {
            self.console.output.frame(frame.as_bytes());
        }
        true
    }

    /// A network was found; there is room for it.
    pub(super) fn print_network(&mut self, network: &FoundNetwork<'_>) {
        let mut rssi = String::<4>::new();
        // -128 has four characters.
        let _ = write!(rssi.as_mut_view(), "{}", network.rssi);
        let secured = if network.security == "open" {
            "NO"
        } else {
            "YES"
        };
        let strings = [network.ssid, &rssi, secured];
        if let Some(frame) = Frame::result(Command::Networks.number(), &strings) {
            self.console.output.frame(frame.as_bytes());
        }
    }

    /// All networks were said, or there are none to be had.
    pub(super) fn end_networks(&mut self, is_done: bool) {
        self.improv.answer(if is_done {
            Answer::Nothing(Command::Networks.number())
        } else {
            Answer::Error(Error::Unknown)
        });
    }

    /// Whether the owner is to join the network of the edited settings now.
    pub(super) fn poll_join(&mut self) -> bool {
        self.improv.trial = match self.improv.trial {
            Trial::Wanted(until) => Trial::Joining(until),
            Trial::Failed => Trial::No,
            _ => return false,
        };
        true
    }

    /// The network is there: if that was tried, its settings are good.
    pub(super) fn improv_joined(&mut self) {
        if !matches!(self.improv.trial, Trial::Joining(_)) {
            return;
        }
        self.improv.trial = Trial::Storing;
        let upkeep = &mut self.upkeep;
        for key in WIFI {
            let value = upkeep.edited.value(key);
            // What one has, the other can have.
            let _ = self.settings.set_key(key, &value);
            upkeep.unsaved.insert(key);
            upkeep.to_store.insert(key);
        }
    }

    /// All that was to be stored is, or it can't be.
    pub(super) fn improv_stored(&mut self, result: Result<(), StoreError>) {
        if self.improv.trial != Trial::Storing {
            return;
        }
        self.improv.trial = Trial::No;
        match result {
            Ok(()) => {
                self.put_info(format_args!("the Wi-Fi settings are saved"));
                self.improv.answer(Answer::State);
                // The result may hold an address to go on with; a board has no page of its own.
                self.improv.answer(Answer::Nothing(1));
            }
            Err(error) => {
                let text = format_args!("the Wi-Fi settings could not be saved: {error}");
                self.put_log(crate::LogLevel::Error, text);
                self.improv.answer(Answer::Error(Error::Unknown));
                self.improv.answer(Answer::State);
            }
        }
    }

    pub(super) fn handle_improv_timeout(&mut self) {
        if self
            .improv
            .poll_timeout()
            .is_some_and(|until| until <= self.now)
        {
            let text = format_args!("the board did not get into that network");
            self.put_log(crate::LogLevel::Warn, text);
            self.improv.trial = Trial::Failed;
            for key in WIFI {
                let value = self.settings.value(key);
                let _ = self.upkeep.edited.set_key(key, &value);
                // What was typed of them is gone as well.
                self.upkeep.unsaved.remove(key);
            }
            self.improv.answer(Answer::Error(Error::UnableToConnect));
            self.improv.answer(Answer::State);
        }
    }

    fn obey(&mut self, command: Command<'_>) {
        self.improv.answer(Answer::Error(Error::None));
        match command {
            Command::State => {
                self.improv.answer(Answer::State);
                if self.improv_state() == State::Provisioned {
                    self.improv.answer(Answer::Nothing(command.number()));
                }
            }
            Command::Information => self.improv.answer(Answer::Information),
            Command::Networks => {
                self.upkeep.scan = true;
                self.begin_job(Job::Networks);
            }
            Command::Settings { ssid, password } => match self.try_network(ssid, password) {
                Ok(()) => self.improv.answer(Answer::State),
                Err(error) => self.improv.answer(Answer::Error(error)),
            },
        }
    }

    /// Begins to try a network.
    fn try_network(&mut self, ssid: &str, password: &str) -> Result<(), Error> {
        if ssid.is_empty() {
            return Err(Error::InvalidCommand);
        }
        let has_wifi = self.start.is_some_and(|start| start.has_wifi);
        let mut tried = self.upkeep.edited.clone();
        let is_valid = [(Key::WifiSsid, ssid), (Key::WifiPassword, password)]
            .into_iter()
            .all(|(key, value)| tried.set_key(key, value).is_ok());
        // No network has such a name or password, so there is no need to look for it.
        if !has_wifi || !is_valid || self.improv.trial == Trial::Storing {
            return Err(Error::UnableToConnect);
        }
        self.upkeep.edited = tried;
        self.put_info(format_args!("trying the Wi-Fi network {ssid}"));
        self.improv.trial = Trial::Wanted(self.now + JOIN_TIME);
        Ok(())
    }

    fn improv_state(&self) -> State {
        match self.improv.trial {
            Trial::Wanted(_) | Trial::Joining(_) | Trial::Storing => State::Provisioning,
            Trial::No if self.network => State::Provisioned,
            Trial::No | Trial::Failed => State::Authorised,
        }
    }
}

/// What a browser compares with the name of the firmware that it offers.
const FIRMWARE: &str = "Déclic";

const WIFI: [Key; 2] = [Key::WifiSsid, Key::WifiPassword];

/// How long a board may take to get into a network. A browser waits for 30 s.
const JOIN_TIME: Duration = Duration::from_secs(25);

/// Bytes of data of the longest command: two strings with their lengths.
const LONGEST_COMMAND: usize = 2 + 1 + 32 + 1 + 64;

/// Three for a command, and two for a trial that ends meanwhile.
const ANSWERS: usize = 6;
