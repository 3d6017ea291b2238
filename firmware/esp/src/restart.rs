//! Restarts: why the last one happened, and what a panic leaves behind for the next start.

use core::fmt::Write;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use declic_board::{Kept, RestartReason};
use declic_glue::Note;
use esp_hal::system::{reset_reason, software_reset};
use static_cell::StaticCell;

/// Why the chip started this time. To be asked once: what was left behind is forgotten by that.
pub fn take_cause() -> Cause {
    static NOTE: StaticCell<Note> = StaticCell::new();
    let note = NOTE.init(take());
    match (note.mark(), note.kept()) {
        (PANIC, _) => Cause::Start(RestartReason::Panic(note.text())),
        (TIRED, Some(kept)) => Cause::Tired(kept),
        (ASLEEP, Some(kept)) => Cause::Woken(kept),
        _ => Cause::Start(reason()),
    }
}

/// What a start is.
#[derive(Clone, Copy)]
pub enum Cause {
    /// A start of the board.
    Start(RestartReason),
    /// The board is to sleep now, and kept this.
    Tired(Kept),
    /// It has slept.
    Woken(Kept),
}

/// Restarts the chip, to sleep from its start: with no radio and no second core that would have to
/// be stopped first.
pub fn sleep(kept: &Kept) -> ! {
    keep(&Note::keeping(TIRED, kept));
    software_reset()
}

/// The chip sleeps from now on, and what follows is that it has slept.
pub fn fall_asleep(kept: &Kept) {
    keep(&Note::keeping(ASLEEP, kept));
}

/// It has slept without a reset.
pub fn wake_up() {
    keep(&Note::new(0));
}

fn reason() -> RestartReason {
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
        let mut note = Note::new(PANIC);
        if let Some(place) = info.location() {
            let _ = write!(note, "{}:{}", place.file(), place.line());
        }
        keep(&note);
        esp_println::println!("\r\npanic: {info}\r\nrestarting\r");
    }
    software_reset()
}

fn keep(note: &Note) {
    let words = (&raw const *note).cast::<u32>();
    for index in 0..WORDS {
        // Word by word: a volatile write of the whole is instructions for each of its bytes.
        // SAFETY: only here and in `take` is it accessed: at the start, before anything else runs,
        // and by what does not return. A `Note` is so many words, without gaps.
        unsafe {
            let word = words.add(index).read();
            (&raw mut KEPT[index]).write_volatile(word);
        }
    }
}

fn take() -> Note {
    let mut note = Note::new(0);
    let words = (&raw mut note).cast::<u32>();
    for index in 0..WORDS {
        // SAFETY: as in `keep`; any bytes make a `Note`.
        unsafe {
            words
                .add(index)
                .write((&raw const KEPT[index]).read_volatile())
        };
    }
    keep(&Note::new(0));
    note
}

/// In memory that a reset leaves alone.
#[esp_hal::ram(unstable(rtc_fast, persistent))]
static mut KEPT: [u32; WORDS] = [0; WORDS];

const WORDS: usize = size_of::<Note>() / size_of::<u32>();

static PANICKING: AtomicBool = AtomicBool::new(false);
const PANIC: u32 = 0xdec1_1c01;
const TIRED: u32 = 0xdec1_1c02;
const ASLEEP: u32 = 0xdec1_1c03;
