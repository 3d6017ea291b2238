//! The clock and its alarm: the machine's timer (CLINT, 10 MHz), dressed up as the 32-bit counter
//! that a chip has, which wraps, and extended again by [`ClockExtender`].
//!
//! A start other than zero puts the wrap where a test wants it.

use core::cell::RefCell;
use core::task::Waker;
use core::time::Duration;

use critical_section::{CriticalSection, Mutex};
use declic_board::ClockExtender;
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

use super::mmio::Mmio;

/// Where the clock starts.
#[derive(Clone, Copy)]
pub struct ClockStart {
    /// What the program's clock reads at the start, in microseconds.
    pub micros: u64,
    /// How many microseconds a step of the 32-bit counter has: 1 or 1000.
    pub micros_per_step: u32,
    /// What the machine's own 64-bit counter reads at the start, which a program for 32 bits reads
    /// in two halves; `None` leaves it as it is.
    pub ticks: Option<u64>,
}

/// Starts the clock. Call it once, before anything asks for the time.
pub fn start(start: ClockStart) {
    critical_section::with(|cs| {
        let clock = &mut *CLOCK.0.borrow_ref_mut(cs);
        if let Some(wanted) = start.ticks {
            let before = ticks();
            write_halves(MTIME, wanted);
            clock.set_forward = wanted.saturating_sub(before);
        }
        clock.start = start;
        clock.ticks = ticks();
        clock.extender = ClockExtender::new(start.micros_per_step);
    });
}

/// The time since the machine was switched on or restarted, by its own counter.
pub fn uptime() -> Duration {
    let set_forward = critical_section::with(|cs| CLOCK.0.borrow_ref(cs).set_forward);
    Duration::from_micros((ticks() - set_forward) / TICKS_PER_MICRO)
}

pub(super) fn handle_interrupt() {
    critical_section::with(|cs| CLOCK.0.borrow_ref_mut(cs).ring());
}

struct Shared(Mutex<RefCell<Clock>>);

struct Clock {
    start: ClockStart,
    /// By how much the machine's counter was set forward.
    set_forward: u64,
    /// The machine's counter at the start.
    ticks: u64,
    extender: ClockExtender,
    queue: Queue,
}

impl Clock {
    /// The program's time in microseconds.
    fn now(&mut self) -> u64 {
        let step = u64::from(self.start.micros_per_step);
        let start = self.start.micros / step;
        let counter = start + (ticks() - self.ticks) / TICKS_PER_MICRO / step;
        // What the extender can't know: how often the counter had wrapped before the start.
        let before = start & !u64::from(u32::MAX);
        before * step + self.extender.extend(counter as u32).as_micros()
    }

    /// Wakes whom it is time for, and sets the alarm for the next.
    fn ring(&mut self) {
        loop {
            let now = self.now();
            // The extender must be asked now and then.
            let latest = now + self.extender.max_gap().as_micros() as u64 / 2;
            let next = self.queue.next_expiration(now).min(latest);
            let ticks_at = self.ticks + (next - self.start.micros.min(next)) * TICKS_PER_MICRO;
            // A counter of milliseconds may show the time a little later.
            let ticks_at = ticks_at + u64::from(self.start.micros_per_step - 1) * TICKS_PER_MICRO;
            write_halves(MTIMECMP, ticks_at);
            if ticks() < ticks_at {
                return;
            }
        }
    }
}

impl Driver for Shared {
    fn now(&self) -> u64 {
        critical_section::with(|cs| self.0.borrow_ref_mut(cs).now())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs: CriticalSection<'_>| {
            let clock = &mut *self.0.borrow_ref_mut(cs);
            if clock.queue.schedule_wake(at, waker) {
                clock.ring();
            }
        });
    }
}

/// The machine's counter.
fn ticks() -> u64 {
    loop {
        let high: u32 = CLINT.read(MTIME + 4);
        let low: u32 = CLINT.read(MTIME);
        if high == CLINT.read(MTIME + 4) {
            return u64::from(high) << 32 | u64::from(low);
        }
    }
}

fn write_halves(register: usize, value: u64) {
    // First so that no half-written value is small.
    CLINT.write(register, u32::MAX);
    CLINT.write(register + 4, (value >> 32) as u32);
    CLINT.write(register, value as u32);
}

embassy_time_driver::time_driver_impl!(static CLOCK: Shared = Shared(Mutex::new(RefCell::new(Clock {
    start: ClockStart { micros: 0, micros_per_step: 1, ticks: None },
    set_forward: 0,
    ticks: 0,
    extender: ClockExtender::from_micros(),
    queue: Queue::new(),
}))));

// SAFETY: the machine's CLINT; it touches no memory.
const CLINT: Mmio = unsafe { Mmio::new(0x0200_0000, 0x1_0000) };
const MTIMECMP: usize = 0x4000;
const MTIME: usize = 0xbff8;
const TICKS_PER_MICRO: u64 = 10;
