//! Time as a parameter: the engines read no clock.

use core::ops::{Add, Sub};
use core::time::Duration;

/// A moment on the owner's monotonic clock, in microseconds.
///
/// Where zero lies is the owner's choice (start of the program, usually). 64 bits of microseconds
/// last 584,000 years, so nothing in an engine ever handles a wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The zero of the owner's clock.
    pub const ZERO: Self = Self(0);

    /// The moment `micros` microseconds after the clock's zero.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The moment `millis` milliseconds after the clock's zero (saturating).
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Microseconds since the clock's zero.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Milliseconds since the clock's zero, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// `duration` later; saturates at the end of the clock.
    // Not `Duration::as_micros`: 128-bit arithmetic is large on a small chip.
    #[inline(never)]
    fn add(self, duration: Duration) -> Self {
        let seconds = duration.as_secs().saturating_mul(1_000_000);
        let micros = seconds.saturating_add(u64::from(duration.subsec_micros()));
        Self(self.0.saturating_add(micros))
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_saturates_instead_of_wrapping() {
        let end = Instant::from_micros(u64::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(Instant::ZERO - end, Duration::ZERO);
        assert_eq!(Instant::ZERO + Duration::MAX, end);
    }

    #[test]
    fn milliseconds_and_microseconds_agree() {
        let at = Instant::from_millis(1_234);
        assert_eq!(at.as_micros(), 1_234_000);
        assert_eq!((at + Duration::from_micros(999)).as_millis(), 1_234);
    }
}
