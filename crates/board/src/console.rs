//! The console: commands typed by a person or sent by a program, one per line, on the same wire as
//! the log.
//!
//! The board's console is driven through [`Board`](crate::Board):
//! [`console_space`](crate::Board::console_space) and [`typed`](crate::Board::typed) take bytes in,
//! [`console_output`](crate::Board::console_output) and
//! [`console_written`](crate::Board::console_written) give them out. It owns no port. Output is
//! pulled: when nobody does, log lines are left out and counted, answers wait, and the board goes
//! on.
//!
//! # Interface, version 1
//! `status` says the version as `console=1`. UTF-8 text, 115200 baud on a serial port.
//!
//! **Input** is lines that end with CR, LF or both. Backspace and Delete take the last character
//! away; Ctrl-C and Ctrl-U the whole line; what an arrow key sends is left out, and so are other
//! control characters. A line has 160 bytes at most. A program sends Ctrl-U (0x15) first: then
//! whatever stood in the line does not matter.
//!
//! | command | what it does |
//! |---|---|
//! | `help` | lists the commands |
//! | `status` | says how the board is doing, as `key=value` lines |
//! | `get` | all settings, as `key=value` lines |
//! | `get KEY` | one setting |
//! | `set KEY VALUE` | changes a setting, for now only here |
//! | `save` | stores the settings that were changed |
//! | `press` | presses the button |
//! | `led on`, `led off` | switches the light |
//! | `scan` | lists Wi-Fi networks, as `network rssi=DBM channel=N security=WORD ssid=NAME` lines |
//! | `restart` | restarts the board, which then uses what was saved; not with unsaved changes |
//! | `restart now` | restarts, and drops unsaved changes |
//! | `factory-reset` | forgets all settings, and restarts |
//!
//! The value of `set` is the rest of the line, without the blanks around it. A value in double
//! quotes is what stands between the first and the last of them, blanks included; there are no
//! escapes. A program always quotes.
//!
//! **Output** is lines that end with CR LF, of these kinds:
//!
//! | line | what it is |
//! |---|---|
//! | `[12.345] info: text` | a log line: seconds since the start, a level (`error`, `warn`, `info`, `debug`), a text. May come at any time, also within an answer |
//! | `> command` | the command that follows, as it was understood |
//! | `ok`, or `ok: text` | the end of an answer: it was done |
//! | `error: text` | the end of an answer: it was not done |
//! | anything else | a line of an answer |
//!
//! Every command has one answer, and answers come in the order of the commands. A value in a
//! `key=value` line goes to the end of the line, as it is. Passwords are never printed: `get` says
//! `(set)` or `(not set)`. An empty line has no answer.
//!
//! **Frames** of [Improv Wi-Fi](crate::improv) may come between the bytes of the input; they are no
//! part of its lines. Their answers are frames between lines of the output, and come only then.
//!
//! New commands, keys of `status` and settings may come without a new version; so a program leaves
//! out what it does not know.

mod line;
mod output;

use core::fmt;

use heapless::String;

pub use line::{Entered, LineReader};
pub(crate) use output::Output;

use crate::settings::{LogLevel, shortened};
use crate::{Key, SettingError, StoreError};

/// What a line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command<'a> {
    /// `help`
    Help,
    /// `status`
    Status,
    /// `get`, for all settings or one.
    Get(Option<Key>),
    /// `set`
    Set(Key, &'a str),
    /// `save`
    Save,
    /// `press`
    Press,
    /// `led`
    Led(bool),
    /// `scan`
    Scan,
    /// `restart`; true for `restart now`.
    Restart(bool),
    /// `factory-reset`
    FactoryReset,
}

impl<'a> Command<'a> {
    /// What each command is called, takes and does, for `help`.
    pub const ALL: &'static [(&'static str, &'static str)] = &[
        ("help", "this list"),
        ("status", "how the board is doing"),
        ("get [KEY]", "all settings, or one"),
        ("set KEY VALUE", "change a setting"),
        ("save", "keep the changed settings"),
        ("press", "press the button"),
        ("led on|off", "switch the light"),
        ("scan", "list Wi-Fi networks"),
        ("restart", "start again, with what was saved"),
        ("factory-reset", "forget all settings and start again"),
    ];

    /// Reads a line.
    ///
    /// # Errors
    /// It is no command.
    pub fn parse(line: &'a [u8]) -> Result<Self, CommandError> {
        let line = core::str::from_utf8(line).map_err(|_| CommandError::NotUtf8)?;
        let (verb, rest) = split_word(line);
        let (first, more) = split_word(rest);
        match (verb, first, more) {
            ("help", "", _) => Ok(Self::Help),
            ("status", "", _) => Ok(Self::Status),
            ("get", "", _) => Ok(Self::Get(None)),
            ("get", name, "") => Ok(Self::Get(Some(key(name)?))),
            ("set", name, value) if !name.is_empty() => Ok(Self::Set(key(name)?, unquoted(value))),
            ("save", "", _) => Ok(Self::Save),
            ("press", "", _) => Ok(Self::Press),
            ("led", "on", "") => Ok(Self::Led(true)),
            ("led", "off", "") => Ok(Self::Led(false)),
            ("scan", "", _) => Ok(Self::Scan),
            ("restart", "", _) => Ok(Self::Restart(false)),
            ("restart", "now", "") => Ok(Self::Restart(true)),
            ("factory-reset", "", _) => Ok(Self::FactoryReset),
            _ => Err(Self::usage(verb)),
        }
    }

    fn usage(verb: &str) -> CommandError {
        let same_verb = |(usage, _): &&(&'static str, _)| split_word(usage).0 == verb;
        match Self::ALL.iter().find(same_verb) {
            Some((usage, _)) => CommandError::Usage(usage),
            None => CommandError::Unknown(shortened(verb)),
        }
    }
}

/// As it is typed, but for passwords.
impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get(Some(key)) => return write!(f, "get {key}"),
            Self::Set(key, _) if key.is_secret() => return write!(f, "set {key} (hidden)"),
            Self::Set(key, value) => return write!(f, "set {key} {value}"),
            Self::Help => "help",
            Self::Status => "status",
            Self::Get(None) => "get",
            Self::Save => "save",
            Self::Press => "press",
            Self::Led(true) => "led on",
            Self::Led(false) => "led off",
            Self::Scan => "scan",
            Self::Restart(false) => "restart",
            Self::Restart(true) => "restart now",
            Self::FactoryReset => "factory-reset",
        })
    }
}

/// Why a line is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// It has more bytes than a line may have.
    TooLong,
    /// It is no text.
    NotUtf8,
    /// There is no such command (shown shortened).
    Unknown(String<40>),
    /// The command is used in another way: this one.
    Usage(&'static str),
    /// There is no such setting, or it can't have that value.
    Setting(SettingError),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "a line has {LINE_LEN} bytes at most"),
            Self::NotUtf8 => f.write_str("that was not readable; is the speed 115200 baud?"),
            Self::Unknown(verb) => write!(f, "there is no command `{verb}`; type help"),
            Self::Usage(usage) => write!(f, "use it like this: {usage}"),
            Self::Setting(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for CommandError {}

impl From<SettingError> for CommandError {
    fn from(error: SettingError) -> Self {
        Self::Setting(error)
    }
}

/// The board's console: what is typed, what is being answered, what is to be printed.
#[derive(Debug)]
pub(crate) struct Console {
    pub(crate) input: Input,
    pub(crate) line: LineReader,
    pub(crate) output: Output,
    pub(crate) busy: Busy,
    /// Log lines down to this level are printed.
    pub(crate) level: LogLevel,
}

/// What a command has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Busy {
    /// Nothing: the next line may come.
    Idle,
    /// Lines are printed, this one next.
    Help(usize),
    Status(usize),
    Get(usize),
    /// The owner does something.
    Waiting(Job),
    /// It is done: the answer's last line is due.
    Done(Job, Result<u32, Failure>),
}

/// Something that the owner does for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    Save,
    FactoryReset,
    Scan,
    /// The same for Improv Wi-Fi.
    Networks,
}

/// Why a job was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Store(StoreError),
    Scan(crate::ScanError),
    NoAnswer,
}

impl Console {
    pub(crate) fn new(level: LogLevel) -> Self {
        Self {
            input: Input::default(),
            line: LineReader::new(),
            output: Output::new(),
            busy: Busy::Idle,
            level,
        }
    }

    /// The owner has done, or not done, what it was asked for.
    pub(crate) fn finish(&mut self, job: Job, result: Result<u32, Failure>) {
        if self.busy == Busy::Waiting(job) {
            self.busy = Busy::Done(job, result);
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Scan(error) => error.fmt(f),
            Self::NoAnswer => f.write_str("that did not end in time"),
        }
    }
}

/// Typed bytes that wait for the answer before.
#[derive(Debug)]
pub(crate) struct Input {
    bytes: [u8; INPUT_LEN],
    start: usize,
    len: usize,
}

impl Input {
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.start..self.len, 0);
        self.len -= self.start;
        self.start = 0;
        &mut self.bytes[self.len..]
    }

    /// `len` bytes were put at the front of [`Self::space`].
    pub(crate) fn filled(&mut self, len: usize) {
        self.len = (self.len + len).min(INPUT_LEN);
    }

    pub(crate) fn next(&mut self) -> Option<u8> {
        let byte = *self.bytes[..self.len].get(self.start)?;
        self.start += 1;
        Some(byte)
    }
}

impl Default for Input {
    fn default() -> Self {
        Self {
            bytes: [0; INPUT_LEN],
            start: 0,
            len: 0,
        }
    }
}

fn key(name: &str) -> Result<Key, SettingError> {
    Key::from_name(name).ok_or_else(|| SettingError::UnknownKey(shortened(name)))
}

/// The first word, and what follows it, both without blanks around them.
fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim_matches(BLANKS);
    match text.split_once(BLANKS) {
        Some((word, rest)) => (word, rest.trim_start_matches(BLANKS)),
        None => (text, ""),
    }
}

fn unquoted(value: &str) -> &str {
    let inner = value.strip_prefix('"');
    inner
        .and_then(|inner| inner.strip_suffix('"'))
        .unwrap_or(value)
}

/// Bytes of the longest line.
pub(crate) const LINE_LEN: usize = 160;

const BLANKS: [char; 2] = [' ', '\t'];
const INPUT_LEN: usize = 64;

#[cfg(test)]
mod tests;
