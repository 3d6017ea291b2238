//! How long to wait before the next attempt.

use core::time::Duration;

/// Capped exponential backoff with full jitter.
///
/// The wait before attempt *n* is drawn evenly from zero to `base * 2^n`, at most `cap`. Drawing
/// from the whole range spreads the boards of one house best when their broker comes back; see
/// "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
    random: Random,
}

impl Backoff {
    /// A backoff that has seen no failure. Boards must have different seeds.
    pub const fn new(base: Duration, cap: Duration, seed: u64) -> Self {
        Self {
            base,
            cap,
            failures: 0,
            random: Random(seed),
        }
    }

    /// An attempt failed: the time to wait before the next one.
    pub fn next_wait(&mut self) -> Duration {
        let limit = self.limit();
        self.failures = self.failures.saturating_add(1);
        self.random.up_to(limit)
    }

    /// An attempt failed for a reason that a quick retry will not mend, such as a wrong password:
    /// a time between half of the cap and the cap.
    pub fn long_wait(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let half = self.cap / 2;
        half + self.random.up_to(self.cap - half)
    }

    /// All is well: the next failure is the first one again.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last [`Self::reset`].
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// The longest time that the next wait may take.
    fn limit(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

/// SplitMix64: small, and good for any seed. Not for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A time from zero to `limit`, to the microsecond.
    pub(crate) fn up_to(&mut self, limit: Duration) -> Duration {
        let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.next() % micros.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const BASE: Duration = Duration::from_secs(1);
    const CAP: Duration = Duration::from_secs(60);

    #[test]
    fn waits_grow_up_to_the_cap_and_stay_there() {
        for seed in 0..100 {
            let mut backoff = Backoff::new(BASE, CAP, seed);
            for failure in 0..200_u32 {
                let limit = if failure < 6 {
                    BASE * (1 << failure)
                } else {
                    CAP
                };
                assert!(
                    backoff.next_wait() <= limit,
                    "seed {seed}, failure {failure}"
                );
            }
        }
    }

    #[test]
    fn waits_fill_their_whole_range() {
        let mut backoff = Backoff::new(CAP, CAP, 7);
        let waits: Vec<_> = (0..1_000).map(|_| backoff.next_wait().as_secs()).collect();
        for tenth in 0..10 {
            let range = tenth * 6..(tenth + 1) * 6;
            let hits = waits.iter().filter(|wait| range.contains(*wait)).count();
            assert!(
                (60..140).contains(&hits),
                "{hits} waits of 1,000 in {range:?}"
            );
        }
    }

    #[test]
    fn a_reset_begins_with_the_base_again() {
        let mut backoff = Backoff::new(BASE, CAP, 1);
        for _ in 0..10 {
            backoff.next_wait();
        }
        backoff.reset();
        assert_eq!(backoff.failures(), 0);
        assert!(backoff.next_wait() <= BASE);
    }

    #[test]
    fn a_long_wait_is_at_least_half_the_cap() {
        let mut backoff = Backoff::new(BASE, CAP, 3);
        for _ in 0..100 {
            let wait = backoff.long_wait();
            assert!((CAP / 2..=CAP).contains(&wait), "{wait:?}");
        }
    }

    #[test]
    fn the_same_seed_waits_the_same_and_another_seed_does_not() {
        let waits = |seed| {
            let mut backoff = Backoff::new(BASE, CAP, seed);
            (0..20).map(|_| backoff.next_wait()).collect::<Vec<_>>()
        };
        assert_eq!(waits(5), waits(5));
        assert_ne!(waits(5), waits(6));
    }
}
