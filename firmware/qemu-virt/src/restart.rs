//! Restarts: why the last one happened, and what a panic leaves behind for the next start.

use core::fmt::Write;
use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use declic_board::{Kept, RestartReason};
use declic_glue::Note;
use static_cell::StaticCell;

use crate::hal::machine;
use crate::say;

/// Why the program started this time, and what the board kept if it is to sleep now. To be asked
/// once, at start: it is forgotten by that.
pub fn reason() -> (RestartReason, Option<Kept>) {
    static NOTE: StaticCell<Note> = StaticCell::new();
    let note = NOTE.init(take());
    match note.mark() {
        PROGRAM => (RestartReason::Requested, None),
        PANIC => (RestartReason::Panic(note.text()), None),
        SLEEP => (RestartReason::DeepSleep, note.kept()),
        _ => (RestartReason::PowerOn, None),
    }
}

/// Restarts the machine, to sleep: whatever ran does no longer.
pub fn sleep(kept: &Kept) -> ! {
    keep(Note::keeping(SLEEP, kept));
    machine::reset()
}

/// Restarts the machine.
pub fn restart() -> ! {
    keep(Note::new(PROGRAM));
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
        keep(note);
        say!("panic: {info}");
        say!("restarting");
    }
    machine::reset()
}

fn keep(note: Note) {
    // SAFETY: only here and in `take` is it accessed; a restart follows, and `take` is called at
    // the start, before anything else runs.
    unsafe { (&raw mut KEPT).cast::<Note>().write_volatile(note) };
}

fn take() -> Note {
    // SAFETY: as in `keep`; any bytes make a `Note`.
    let note = unsafe { (&raw const KEPT).cast::<Note>().read_volatile() };
    keep(Note::new(0));
    note
}

/// In memory that the start leaves alone.
#[unsafe(link_section = ".uninit")]
static mut KEPT: MaybeUninit<Note> = MaybeUninit::uninit();

static PANICKING: AtomicBool = AtomicBool::new(false);
const PROGRAM: u32 = 0xdec1_1c00;
const PANIC: u32 = 0xdec1_1c01;
const SLEEP: u32 = 0xdec1_1c02;
