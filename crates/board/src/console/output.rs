//! Lines that wait to be printed.

use core::fmt::{self, Write};

use declic_mqtt::Instant;

use crate::settings::LogLevel;

/// Whole lines, as many as there is room for.
#[derive(Debug)]
pub(crate) struct Output {
    bytes: [u8; OUTPUT_LEN],
    start: usize,
    end: usize,
    left_out: u32,
}

impl Output {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; OUTPUT_LEN],
            start: 0,
            end: 0,
            left_out: 0,
        }
    }

    /// What is to be printed next.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The first `len` bytes of [`Self::bytes`] were printed.
    pub(crate) fn written(&mut self, len: usize) {
        self.start = (self.start + len).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Whether a line of an answer has room, however long it is.
    pub(crate) const fn has_room(&self) -> bool {
        OUTPUT_LEN - (self.end - self.start) >= ROOM
    }

    /// Adds a line of an answer; to be called with [`Self::has_room`]. A line that is too long
    /// nevertheless is cut.
    pub(crate) fn line(&mut self, text: fmt::Arguments<'_>) {
        let start = self.begin();
        let _ = self.write_fmt(text);
        self.end_line(start);
    }

    /// Adds a frame between the lines; to be called with [`Self::has_room`].
    pub(crate) fn frame(&mut self, bytes: &[u8]) {
        let start = self.begin();
        if let Some(space) = self.bytes.get_mut(start..start + bytes.len()) {
            space.copy_from_slice(bytes);
            self.end += bytes.len();
        }
    }

    /// Adds a log line, or leaves it out where there is no room.
    pub(crate) fn log(&mut self, at: Instant, level: LogLevel, text: fmt::Arguments<'_>) {
        // An answer shall not have to wait for ever because of log lines.
        if !self.has_room() {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        let left_out = core::mem::take(&mut self.left_out);
        if left_out > 0 {
            self.log(
                at,
                LogLevel::Warn,
                format_args!("{left_out} lines were left out"),
            );
        }
        let start = self.begin();
        let (seconds, millis) = (at.as_millis() / 1_000, at.as_millis() % 1_000);
        let _ = write!(self, "[{seconds}.{millis:03}] {level}: {text}");
        self.end_line(start);
    }

    fn begin(&mut self) -> usize {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.end
    }

    fn end_line(&mut self, start: usize) {
        for byte in &mut self.bytes[start..self.end] {
            // Whatever stands in a text, a line stays one.
            if byte.is_ascii_control() {
                *byte = b'?';
            }
        }
        self.bytes[self.end..self.end + 2].copy_from_slice(b"\r\n");
        self.end += 2;
    }
}

impl Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // The line's end has room always.
        let room = OUTPUT_LEN - 2 - self.end;
        let len = text.floor_char_boundary(text.len().min(room));
        self.bytes[self.end..self.end + len].copy_from_slice(&text.as_bytes()[..len]);
        self.end += len;
        if len == text.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

const OUTPUT_LEN: usize = 768;
/// The longest line of an answer: an error with a setting's longest rule.
const ROOM: usize = 288;
