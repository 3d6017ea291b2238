//! Restarts: why the last one happened, and what a panic leaves behind for the next start.

use core::fmt::{self, Write};
use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use declic_board::RestartReason;
use static_cell::StaticCell;

use crate::hal::machine;
use crate::say;

/// Why the program started this time. To be asked once, at start: it is forgotten by that.
pub fn reason() -> RestartReason {
    static NOTE: StaticCell<Note> = StaticCell::new();
    let note = NOTE.init(Note::take());
    match note.magic {
        PROGRAM => RestartReason::Requested,
        PANIC => {
            let place = note.place.get(..note.len as usize).unwrap_or_default();
            RestartReason::Panic(core::str::from_utf8(place).unwrap_or_default())
        }
        _ => RestartReason::PowerOn,
    }
}

/// Restarts the machine.
pub fn restart() -> ! {
    Note::new(PROGRAM).keep();
    machine::reset()
}

#[panic_handler]
fn on_panic(info: &PanicInfo<'_>) -> ! {
    // A panic while one is printed must not end in a loop.
    if !PANICKING.swap(true, Ordering::Relaxed) {
        let mut note = Note::new(PANIC);
        if let Some(place) = info.location() {
            let _ = write!(note, "{}:{}", place.file(), place.line());
        }
        note.keep();
        say!("panic: {info}");
        say!("restarting");
    }
    machine::reset()
}

/// What survives a restart of the machine, though not switching it off.
#[derive(Clone, Copy)]
#[repr(C)]
struct Note {
    magic: u32,
    len: u32,
    place: [u8; PLACE],
}

impl Note {
    const fn new(magic: u32) -> Self {
        Self {
            magic,
            len: 0,
            place: [0; PLACE],
        }
    }

    fn keep(self) {
        // SAFETY: only here and in `take` is it accessed; a restart follows, and `take` is called
        // at the start, before anything else runs.
        unsafe { (&raw mut KEPT).cast::<Self>().write_volatile(self) };
    }

    fn take() -> Self {
        // SAFETY: as in `keep`; any bytes make a `Note`.
        let note = unsafe { (&raw const KEPT).cast::<Self>().read_volatile() };
        Self::new(0).keep();
        note
    }
}

impl Write for Note {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.place.get_mut(self.len as usize..).unwrap_or_default();
        let len = text.floor_char_boundary(room.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len as u32;
        Ok(())
    }
}

/// In memory that the start leaves alone.
#[unsafe(link_section = ".uninit")]
static mut KEPT: MaybeUninit<Note> = MaybeUninit::uninit();

static PANICKING: AtomicBool = AtomicBool::new(false);
const PLACE: usize = 96;
const PROGRAM: u32 = 0xdec1_1c00;
const PANIC: u32 = 0xdec1_1c01;
