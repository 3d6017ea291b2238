//! From bytes to lines.

use heapless::Vec;

use super::LINE_LEN;

/// Collects typed bytes into lines.
///
/// Whatever comes, the next line after a CR or LF is read as it should be.
#[derive(Debug, Clone, Default)]
pub struct LineReader {
    line: Vec<u8, LINE_LEN>,
    too_long: bool,
    /// The line was handed out: the next byte begins another one.
    taken: bool,
    state: State,
}

/// The end of a line was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered<'a> {
    /// The line, not empty.
    Line(&'a [u8]),
    /// There was nothing in it.
    Empty,
    /// It was too long.
    TooLong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Text,
    /// After CR, whose LF belongs to it.
    Return,
    /// After ESC.
    Escape,
    /// Within the sequence that a key sends: ESC `[` or ESC `O`, up to a letter.
    Sequence,
}

impl LineReader {
    /// A reader at the start of a line.
    pub const fn new() -> Self {
        Self {
            line: Vec::new(),
            too_long: false,
            taken: false,
            state: State::Text,
        }
    }

    /// Takes a byte; returns what it ends.
    pub fn take(&mut self, byte: u8) -> Option<Entered<'_>> {
        if core::mem::take(&mut self.taken) {
            self.clear();
        }
        let state = core::mem::take(&mut self.state);
        match (state, byte) {
            (State::Return, b'\n') => return None,
            (_, b'\r' | b'\n') => {
                if byte == b'\r' {
                    self.state = State::Return;
                }
                self.taken = true;
                return Some(if self.too_long {
                    Entered::TooLong
                } else if self.line.trim_ascii().is_empty() {
                    Entered::Empty
                } else {
                    Entered::Line(&self.line)
                });
            }
            (_, ESC) => self.state = State::Escape,
            (State::Escape, b'[' | b'O') => self.state = State::Sequence,
            (State::Sequence, b'0'..=b'?' | b' '..=b'/') => self.state = State::Sequence,
            (State::Escape | State::Sequence, b' '..=b'~') => {}
            (_, CTRL_C | CTRL_U) => self.clear(),
            (_, BACKSPACE | DELETE) => self.take_back(),
            (_, b'\t') => self.push(b' '),
            (_, 0..=0x1f) => {}
            (_, byte) => self.push(byte),
        }
        None
    }

    fn push(&mut self, byte: u8) {
        self.too_long |= self.line.push(byte).is_err();
    }

    /// Takes the last character away, with all of its bytes.
    fn take_back(&mut self) {
        while self.line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
    }

    fn clear(&mut self) {
        self.line.clear();
        self.too_long = false;
    }
}

const CTRL_C: u8 = 0x03;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const ESC: u8 = 0x1b;
const DELETE: u8 = 0x7f;
