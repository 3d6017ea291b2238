//! What a program leaves behind for its next start.

use core::fmt;
use core::str;

/// A line that the machine keeps in memory over a restart, though not over a loss of power. Any
/// bytes make one, and only its mark says that it is not garbage.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Note {
    mark: u32,
    len: u32,
    text: [u8; 96],
}

impl Note {
    /// One without text.
    pub const fn new(mark: u32) -> Self {
        Self {
            mark,
            len: 0,
            text: [0; 96],
        }
    }

    /// What it is about.
    pub const fn mark(&self) -> u32 {
        self.mark
    }

    /// What was written to it, cut where it was too long.
    pub fn text(&self) -> &str {
        let text = self.text.get(..self.len as usize).unwrap_or_default();
        str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Write for Note {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.text.get_mut(self.len as usize..).unwrap_or_default();
        let len = text.floor_char_boundary(room.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len as u32;
        Ok(())
    }
}
