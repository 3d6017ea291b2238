//! Improv Wi-Fi over serial: how a browser or a program brings a board into its network, on the
//! same wire as the console. Both ends, without I/O.
//!
//! The protocol is that of <https://www.improv-wifi.com/serial/>, version 1. A frame is `IMPROV`,
//! the version, a type, the length of the data, the data, and the low byte of the sum of all bytes
//! before it; a newline follows, which belongs to no frame. [`Frame`] makes frames, [`Parser`]
//! finds them between log lines and typed text, and [`Packet`] says what is in one.
//!
//! ```
//! use declic_board::improv::{Command, Frame, Packet, Parser, Taken};
//!
//! let frame = Frame::command(Command::State).expect("it is short");
//! assert_eq!(frame.as_bytes(), b"IMPROV\x01\x03\x02\x02\x00\xe5\n");
//!
//! let mut parser = Parser::<255>::new();
//! let found = frame.as_bytes().iter().any(|byte| parser.take(*byte) == Taken::Frame);
//! assert!(found);
//! assert_eq!(parser.packet(), Ok(Packet::Command(Command::State)));
//! ```
//!
//! The board's end is in [`Board`](crate::Board): frames are taken out of what is typed on its
//! console, and answers go out between the lines that it prints.

use core::fmt;

use heapless::Vec;

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Type 1, from the board: how far it is.
    State(State),
    /// Type 2, from the board: what is wrong, or that nothing is.
    Error(Error),
    /// Type 3, to the board.
    Command(Command<'a>),
    /// Type 4, from the board: the answer to a command.
    Result {
        /// The number of the command.
        command: u8,
        /// What it says.
        strings: Strings<'a>,
    },
}

/// How far a board is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Somebody has to allow it at the board first. Boards of this program need no permission.
    AwaitingAuthorisation = 1,
    /// It takes settings.
    Authorised = 2,
    /// It has settings and tries them.
    Provisioning = 3,
    /// It is in the network.
    Provisioned = 4,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Error {
    /// Nothing.
    None = 0,
    /// The command was cut or malformed.
    InvalidCommand = 1,
    /// There is no such command.
    UnknownCommand = 2,
    /// The board could not join the network.
    UnableToConnect = 3,
    /// Anything else.
    Unknown = 0xff,
}

/// What a board is asked for. `Debug` does not show the password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// Number 1: join this network.
    Settings {
        /// The network's name.
        ssid: &'a str,
        /// Its password; empty for an open network.
        password: &'a str,
    },
    /// Number 2: say how far it is.
    State,
    /// Number 3: say what it is: firmware, version, chip, name.
    Information,
    /// Number 4: say which networks there are, one result each: name, RSSI, `YES` or `NO` for the
    /// password; then one without strings.
    Networks,
}

impl Command<'_> {
    /// Its number.
    pub const fn number(&self) -> u8 {
        match self {
            Self::Settings { .. } => 1,
            Self::State => 2,
            Self::Information => 3,
            Self::Networks => 4,
        }
    }
}

impl fmt::Debug for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settings { ssid, .. } => return write!(f, "Settings({ssid:?})"),
            Self::State => "State",
            Self::Information => "Information",
            Self::Networks => "Networks",
        })
    }
}

/// Why a frame says nothing that is known. For a board it is also the error to answer with.
pub type DecodeError = Error;

impl<'a> Packet<'a> {
    /// Reads the data of a frame of the type `kind`.
    ///
    /// # Errors
    /// [`Error::UnknownCommand`] for a command of another number, [`Error::InvalidCommand`] for
    /// anything else that is not as it should be.
    pub fn decode(kind: u8, data: &'a [u8]) -> Result<Self, DecodeError> {
        match (kind, data) {
            (STATE, [state]) => State::from_u8(*state).map(Self::State),
            (ERROR, [error]) => Some(Self::Error(Error::from_u8(*error))),
            (COMMAND | RESULT, [number, len, rest @ ..]) if usize::from(*len) == rest.len() => {
                if kind == COMMAND {
                    return Self::decode_command(*number, rest).map(Self::Command);
                }
                let strings = Strings(rest);
                let result = Self::Result {
                    command: *number,
                    strings,
                };
                strings.are_whole().then_some(result)
            }
            _ => None,
        }
        .ok_or(Error::InvalidCommand)
    }

    fn decode_command(number: u8, data: &'a [u8]) -> Result<Command<'a>, DecodeError> {
        let command = match number {
            1 => {
                let mut strings = Strings(data);
                let (Some(ssid), Some(password), None) =
                    (strings.next(), strings.next(), strings.next())
                else {
                    return Err(Error::InvalidCommand);
                };
                Command::Settings { ssid, password }
            }
            2 => Command::State,
            3 => Command::Information,
            4 => Command::Networks,
            _ => return Err(Error::UnknownCommand),
        };
        let is_whole = number == 1 && Strings(data).are_whole() || data.is_empty();
        is_whole.then_some(command).ok_or(Error::InvalidCommand)
    }
}

impl State {
    /// The state with that number.
    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::AwaitingAuthorisation,
            2 => Self::Authorised,
            3 => Self::Provisioning,
            4 => Self::Provisioned,
            _ => return None,
        })
    }
}

impl Error {
    /// The error with that number; [`Self::Unknown`] for those of later versions.
    pub const fn from_u8(number: u8) -> Self {
        match number {
            0 => Self::None,
            1 => Self::InvalidCommand,
            2 => Self::UnknownCommand,
            3 => Self::UnableToConnect,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no error",
            Self::InvalidCommand => "the command was not understood",
            Self::UnknownCommand => "there is no such command",
            Self::UnableToConnect => "the board could not join the network",
            Self::Unknown => "the board reports an unknown error",
        })
    }
}

impl core::error::Error for Error {}

/// The strings of a result, one after the other. What is no UTF-8 ends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strings<'a>(&'a [u8]);

impl Strings<'_> {
    fn are_whole(mut self) -> bool {
        while self.next().is_some() {}
        self.0.is_empty()
    }
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (len, rest) = self.0.split_first()?;
        let (string, rest) = rest.split_at_checked(usize::from(*len))?;
        let string = core::str::from_utf8(string).ok()?;
        self.0 = rest;
        Some(string)
    }
}

/// A frame to be sent, with its newline.
#[derive(Clone)]
pub struct Frame(Vec<u8, LONGEST_FRAME>);

impl Frame {
    /// The board says how far it is.
    pub fn state(state: State) -> Self {
        Self::small(STATE, state as u8)
    }

    /// The board says what is wrong.
    pub fn error(error: Error) -> Self {
        Self::small(ERROR, error as u8)
    }

    /// The board answers a command; `None` if that is too long for a frame.
    pub fn result(command: u8, strings: &[&str]) -> Option<Self> {
        Self::listing(RESULT, command, strings)
    }

    /// A command to the board; `None` if it is too long for a frame.
    pub fn command(command: Command<'_>) -> Option<Self> {
        let number = command.number();
        match command {
            Command::Settings { ssid, password } => {
                Self::listing(COMMAND, number, &[ssid, password])
            }
            _ => Self::listing(COMMAND, number, &[]),
        }
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn small(kind: u8, byte: u8) -> Self {
        let mut frame = Self::begin(kind);
        // There is room for one.
        let _ = frame.0.push(byte);
        frame.end()
    }

    fn listing(kind: u8, command: u8, strings: &[&str]) -> Option<Self> {
        let mut frame = Self::begin(kind);
        let len: usize = strings.iter().map(|string| 1 + string.len()).sum();
        let len = u8::try_from(len).ok().filter(|len| *len <= 253)?;
        frame.0.extend_from_slice(&[command, len]).ok()?;
        for string in strings {
            frame.0.push(string.len() as u8).ok()?;
            frame.0.extend_from_slice(string.as_bytes()).ok()?;
        }
        Some(frame.end())
    }

    fn begin(kind: u8) -> Self {
        let mut bytes = Vec::new();
        // The capacity is that of the longest frame.
        let _ = bytes.extend_from_slice(&HEADER);
        let _ = bytes.extend_from_slice(&[kind, 0]);
        Self(bytes)
    }

    fn end(mut self) -> Self {
        let data = self.0.len() - HEADER.len() - 2;
        self.0[HEADER.len() + 1] = data as u8;
        let sum = self
            .0
            .iter()
            .fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
        let _ = self.0.extend_from_slice(&[sum, b'\n']);
        self
    }
}

/// Finds frames in a stream of bytes, and gives back all else.
///
/// A frame may begin at any byte, also within another one that was cut off: the seven bytes of its
/// header stand nowhere else, since no text contains the last of them. Frames with more than `N`
/// bytes of data are left out.
#[derive(Debug, Clone)]
pub struct Parser<const N: usize> {
    place: Place,
    /// How many bytes of a header have come.
    matched: u8,
    kind: u8,
    /// Bytes of data that it has, and those that are still to come.
    len: u8,
    left: u8,
    sum: u8,
    data: Vec<u8, N>,
    text: Vec<u8, { HEADER.len() }>,
}

/// What a byte was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// A part of a frame, or perhaps of one.
    Part,
    /// The last one of a frame; [`Parser::packet`] has it.
    Frame,
    /// The last one of a frame that is not what was sent.
    Broken,
    /// Text: [`Parser::text`] has it, and what may have been a frame's beginning before it.
    Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    /// Behind a frame, where its newline is.
    Newline,
    Kind,
    Len,
    Data,
    Sum,
}

impl<const N: usize> Parser<N> {
    /// A parser at the beginning of a stream.
    pub const fn new() -> Self {
        Self {
            place: Place::Text,
            matched: 0,
            kind: 0,
            len: 0,
            left: 0,
            sum: 0,
            data: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Takes the next byte.
    pub fn take(&mut self, byte: u8) -> Taken {
        let before = self.matched;
        self.matched = match byte {
            _ if byte == HEADER[usize::from(before)] => before + 1,
            _ if byte == HEADER[0] => 1,
            _ => 0,
        };
        if usize::from(self.matched) == HEADER.len() {
            self.matched = 0;
            self.sum = HEADER
                .iter()
                .fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
            self.place = Place::Kind;
            return Taken::Part;
        }
        let place = self.place;
        match place {
            Place::Text | Place::Newline => {
                self.place = Place::Text;
                if place == Place::Newline && byte == b'\n' || self.matched > before {
                    return Taken::Part;
                }
                return self.take_text(before, byte);
            }
            Place::Kind => {
                self.kind = byte;
                self.place = Place::Len;
            }
            Place::Len => {
                (self.len, self.left) = (byte, byte);
                self.data.clear();
                self.place = if byte == 0 { Place::Sum } else { Place::Data };
            }
            Place::Data => {
                // Where there is no room, that is found out in the end.
                let _ = self.data.push(byte);
                self.left -= 1;
                if self.left == 0 {
                    self.place = Place::Sum;
                }
            }
            Place::Sum => {
                if byte == self.sum && self.data.len() == usize::from(self.len) {
                    self.place = Place::Newline;
                    self.matched = 0;
                    return Taken::Frame;
                }
                // A header may have begun in what was taken for the frame's end.
                self.place = Place::Newline;
                return Taken::Broken;
            }
        }
        self.sum = self.sum.wrapping_add(byte);
        Taken::Part
    }

    /// What the frame says that [`Self::take`] found last.
    ///
    /// # Errors
    /// Those of [`Packet::decode`].
    pub fn packet(&self) -> Result<Packet<'_>, DecodeError> {
        Packet::decode(self.kind, &self.data)
    }

    /// The type of that frame.
    pub const fn kind(&self) -> u8 {
        self.kind
    }

    /// The text that [`Self::take`] found last.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Nothing has come for a while: a frame that has begun is given up, so that it does not
    /// swallow what comes later.
    pub fn give_up(&mut self) {
        if !matches!(self.place, Place::Text | Place::Newline) {
            self.place = Place::Text;
            self.matched = 0;
        }
    }

    /// Whether a frame has begun and is not whole.
    pub const fn is_within(&self) -> bool {
        !matches!(self.place, Place::Text | Place::Newline)
    }

    /// `before` bytes of a header were none, and `byte` may begin another one.
    fn take_text(&mut self, before: u8, byte: u8) -> Taken {
        self.text.clear();
        // There is room for a header.
        let _ = self.text.extend_from_slice(&HEADER[..usize::from(before)]);
        if self.matched == 0 {
            let _ = self.text.push(byte);
        }
        if self.text.is_empty() {
            Taken::Part
        } else {
            Taken::Text
        }
    }
}

impl<const N: usize> Default for Parser<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// How long a frame may stand still before it is given up, see [`Parser::give_up`].
pub const SILENCE: core::time::Duration = core::time::Duration::from_secs(1);

/// `IMPROV` and the version.
const HEADER: [u8; 7] = *b"IMPROV\x01";

const STATE: u8 = 1;
const ERROR: u8 = 2;
/// The type of the frames that go to a board.
pub(crate) const COMMAND: u8 = 3;
const RESULT: u8 = 4;

/// Header, type and length, 255 bytes of data, checksum and newline.
const LONGEST_FRAME: usize = HEADER.len() + 2 + 255 + 2;

#[cfg(test)]
mod tests;
