//! Restarts: why the last one happened, and what a panic leaves behind for the next start.

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use declic_board::RestartReason;
use esp_hal::system::{reset_reason, software_reset};

/// Why the chip started this time. To be asked once: a panic's place is forgotten by that.
pub fn take_reason() -> RestartReason {
    if let Some(place) = Note::take() {
        return RestartReason::Panic(place);
    }
    let Some(reason) = reset_reason() else {
        return RestartReason::Unknown;
    };
    // The numbers mean the same on all chips (see the technical reference manuals).
    match reason as u8 {
        0x01 => RestartReason::PowerOn,
        0x03 | 0x0c => RestartReason::Requested,
        0x05 => RestartReason::DeepSleep,
        0x07..=0x09 | 0x0b | 0x0d | 0x10..=0x12 => RestartReason::Watchdog,
        0x0f => RestartReason::BrownOut,
        0x15 | 0x16 | 0x18 => RestartReason::Usb,
        code => RestartReason::Other(code.into()),
    }
}

/// Restarts the chip.
pub fn restart() -> ! {
    software_reset()
}

#[panic_handler]
fn on_panic(info: &PanicInfo<'_>) -> ! {
    // A panic while one is printed must not end in a loop.
    if !PANICKING.load(Ordering::Relaxed) {
        PANICKING.store(true, Ordering::Relaxed);
        let mut note = Note::new();
        if let Some(place) = info.location() {
            let _ = write!(note, "{}:{}", place.file(), place.line());
        }
        note.keep();
        esp_println::println!("\r\npanic: {info}\r\nrestarting\r");
    }
    software_reset()
}

/// A line that survives a reset of the chip, though not a loss of power.
#[derive(Clone, Copy)]
#[repr(C)]
struct Note {
    magic: u32,
    len: u32,
    text: [u8; 96],
}

impl Note {
    const fn new() -> Self {
        Self {
            magic: MAGIC,
            len: 0,
            text: [0; 96],
        }
    }

    fn keep(self) {
        // SAFETY: only here and in `take` is it accessed; a panic does not return, and `take`
        // is called at the start, before anything else runs.
        unsafe { (&raw mut KEPT).cast::<Self>().write_volatile(self) };
    }

    fn take() -> Option<&'static str> {
        static TAKEN: static_cell::StaticCell<Note> = static_cell::StaticCell::new();
        // SAFETY: as in `keep`; any bytes make a `Note`.
        let note = unsafe { (&raw const KEPT).cast::<Self>().read_volatile() };
        // SAFETY: as in `keep`.
        unsafe { (&raw mut KEPT).cast::<u32>().write_volatile(0) };
        if note.magic != MAGIC {
            return None;
        }
        let note = TAKEN.init(note);
        let bytes = note.text.get(..note.len as usize)?;
        core::str::from_utf8(bytes).ok()
    }
}

impl Write for Note {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let at = self.len as usize;
        let room = self.text.get_mut(at..).unwrap_or_default();
        let len = text.floor_char_boundary(room.len().min(text.len()));
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len as u32;
        Ok(())
    }
}

/// In memory that a reset leaves alone.
#[esp_hal::ram(unstable(rtc_fast, persistent))]
static mut KEPT: [u32; size_of::<Note>() / 4] = [0; size_of::<Note>() / 4];

static PANICKING: AtomicBool = AtomicBool::new(false);
const MAGIC: u32 = 0xdec1_1c01;
