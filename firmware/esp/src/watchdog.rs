//! The hardware watchdog: it restarts the chip when the program is stuck, wherever it is stuck.

use core::sync::atomic::{AtomicU32, Ordering};

use embassy_time::{Duration, Instant, Timer};
use esp_hal::rtc_cntl::{Rtc, RwdtStage};

/// A part of the program that must show that it is alive.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Part {
    Board = 1,
    WiFi = 2,
}

/// How often a part must call [`alive`] at the latest; it should do so twice as often.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long the chip may run with nothing running at all.
const TIMEOUT: esp_hal::time::Duration = esp_hal::time::Duration::from_secs(10);

/// `part` is alive.
pub fn alive(part: Part) {
    // Tasks run on one core and interrupts don't call this, so no update is lost.
    SEEN.store(
        SEEN.load(Ordering::Relaxed) | part as u32,
        Ordering::Relaxed,
    );
}

/// Starts the watchdog and feeds it for as long as every part is alive.
#[embassy_executor::task]
pub async fn run(mut rtc: Rtc<'static>) -> ! {
    rtc.rwdt.enable();
    rtc.rwdt.set_timeout(RwdtStage::Stage0, TIMEOUT);
    let mut last = Instant::now();
    loop {
        rtc.rwdt.feed();
        Timer::after_secs(2).await;
        if SEEN.load(Ordering::Relaxed) == ALL {
            SEEN.store(0, Ordering::Relaxed);
            last = Instant::now();
        }
        if last.elapsed() > PATIENCE {
            let missing = ALL & !SEEN.load(Ordering::Relaxed);
            panic!("a part of the program is stuck (number {missing})");
        }
    }
}

static SEEN: AtomicU32 = AtomicU32::new(0);
const ALL: u32 = Part::Board as u32 | Part::WiFi as u32;
