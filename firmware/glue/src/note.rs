//! What a program leaves behind for its next start.

use core::fmt;
use core::str;

use declic_board::Kept;

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

    /// One for a board that sleeps.
    pub fn keeping(mark: u32, kept: &Kept) -> Self {
        let mut note = Self::new(mark);
        let words = kept.to_words();
        for (place, word) in note.text.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        note
    }

    /// What the board that slept had kept; `None` for any other note.
    pub fn kept(&self) -> Option<Kept> {
        let mut words = [0; 8];
        for (word, place) in words.iter_mut().zip(self.text.chunks_exact(4)) {
            *word = u32::from_le_bytes(place.try_into().ok()?);
        }
        Kept::from_words(&words)
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
