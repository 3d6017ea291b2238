//! How long to wait before the next attempt to connect.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

/// Doubles with each failure, at random in between, so that many bridges don't come at once.
#[derive(Debug)]
pub(super) struct Backoff {
    shortest: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) const fn new(shortest: Duration, longest: Duration) -> Self {
        Self {
            shortest,
            longest,
            failures: 0,
        }
    }

    /// The time until the next attempt.
    pub(super) fn next(&mut self) -> Duration {
        let factor = 1 << self.failures.min(20);
        let pause = self.shortest.saturating_mul(factor).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        let random = RandomState::new().build_hasher().finish();
        let share = random as f64 / u64::MAX as f64;
        pause.mul_f64(0.5 + share / 2.0)
    }

    /// The connection was good.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_begin_again_after_a_good_connection() {
        let (shortest, longest) = (Duration::from_secs(1), Duration::from_secs(60));
        let mut backoff = Backoff::new(shortest, longest);
        let pauses: Vec<_> = (0..40).map(|_| backoff.next()).collect();
        assert!(pauses[0] <= shortest && pauses[0] >= shortest / 2);
        assert!(pauses.iter().all(|pause| *pause <= longest));
        assert!(pauses[39] >= longest / 2);
        backoff.reset();
        assert!(backoff.next() <= shortest);
    }
}
