//! From a chip's 32-bit counter to an [`Instant`] that never wraps.

use declic_mqtt::Instant;

/// Extends a 32-bit counter that wraps to the 64 bits of an [`Instant`].
///
/// A counter of microseconds wraps every 71.6 minutes, one of milliseconds every 49.7 days. The
/// extender sees a wrap as long as it is asked at least once in [`Self::max_gap`], half of that.
///
/// Readings may come slightly out of order, as when an interrupt took a timestamp before the main
/// loop read the counter: an older reading gives an older instant and changes nothing.
///
/// ```
/// use declic_board::ClockExtender;
///
/// let mut clock = ClockExtender::from_micros();
/// let before = clock.extend(0xffff_fff0);
/// let after = clock.extend(0x0000_0010);
/// assert_eq!(after.since(before).as_micros(), 0x20);
/// ```
#[derive(Debug, Clone)]
pub struct ClockExtender {
    ticks: u64,
    micros_per_tick: u32,
}

impl ClockExtender {
    /// For a counter of microseconds; ask at least every 35 minutes.
    pub const fn from_micros() -> Self {
        Self::new(1)
    }

    /// For a counter of milliseconds; ask at least every 24 days.
    pub const fn from_millis() -> Self {
        Self::new(1_000)
    }

    /// For a counter whose step is `micros_per_tick` microseconds.
    pub const fn new(micros_per_tick: u32) -> Self {
        Self {
            ticks: 0,
            micros_per_tick,
        }
    }

    /// The moment at which the counter reads `counter`.
    ///
    /// The clock's zero is the counter's zero before the first reading.
    pub fn extend(&mut self, counter: u32) -> Instant {
        // How far the counter is from where it was last seen: ahead, or behind by less than half.
        let step = counter.wrapping_sub(self.ticks as u32);
        let ticks = if step <= u32::MAX / 2 || self.ticks == 0 {
            self.ticks += u64::from(step);
            self.ticks
        } else {
            self.ticks.saturating_sub(u64::from(step.wrapping_neg()))
        };
        Instant::from_micros(ticks.saturating_mul(u64::from(self.micros_per_tick)))
    }

    /// The longest time that may pass between two readings.
    pub const fn max_gap(&self) -> core::time::Duration {
        core::time::Duration::from_micros((u32::MAX / 2) as u64 * self.micros_per_tick as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrap_of_the_counter_is_seen() {
        for mut clock in [ClockExtender::from_micros(), ClockExtender::from_millis()] {
            let unit = u64::from(clock.micros_per_tick);
            let mut expected = 0xffff_ff00_u64;
            assert_eq!(
                clock.extend(0xffff_ff00).as_micros(),
                expected * unit,
                "the first reading is taken as it is, however late"
            );
            for _ in 0..100 {
                for step in [0xff_u64, 1, 1, 0x7fff_ffff, 0x7fff_fe00] {
                    expected += step;
                    assert_eq!(
                        clock.extend(expected as u32).as_micros(),
                        expected * unit,
                        "after a step of {step:#x}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_reading_from_before_a_wrap_may_come_after_it() {
        let mut clock = ClockExtender::from_micros();
        clock.extend(0x8000_0000);
        clock.extend(0xffff_fff0);
        let after = clock.extend(0x10);
        let edge = clock.extend(0xffff_fff8);
        assert_eq!(after.since(edge).as_micros(), 0x18);
        assert_eq!(clock.extend(0x20).since(after).as_micros(), 0x10);
    }

    #[test]
    fn a_counter_that_starts_late_in_its_range_starts_there() {
        let mut clock = ClockExtender::from_millis();
        assert_eq!(clock.extend(u32::MAX).as_millis(), u64::from(u32::MAX));
        assert_eq!(clock.extend(0).as_millis(), u64::from(u32::MAX) + 1);
    }
}
