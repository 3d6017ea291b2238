//! What wakes the board's task: interrupts and other tasks leave their news where it is looked for
//! and call [`board`].

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;

/// There is something new for the board.
pub fn board() {
    NEWS.signal(());
}

/// Waits until there is something new; at once if there was since the last time.
pub async fn wait() {
    NEWS.wait().await;
}

static NEWS: Signal<CriticalSectionRawMutex, ()> = Signal::new();
