//! The machine's time as the engines want it.

use declic_mqtt::Instant;

/// Microseconds since the start, 64 bits.
pub fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}

/// The same moment for a timer.
pub const fn timer(at: Instant) -> embassy_time::Instant {
    embassy_time::Instant::from_micros(at.as_micros())
}
