//! How fast a client may send: it is read from less often, and nothing is dropped.

use declic_mqtt::Instant;
use std::time::Duration;

use super::connection::pause;
use super::timers::{Timer, TimerId};
use super::{Engine, Limits};

/// What a connection may still send.
#[derive(Debug)]
pub(super) struct Rate {
    messages: Bucket,
    bytes: Bucket,
    pub(super) timer: Option<TimerId>,
}

impl Rate {
    /// `None` where the limits set no rate.
    pub(super) fn new(limits: &Limits, now: Instant) -> Option<Box<Self>> {
        let bytes = u32::try_from(limits.bytes_per_second).unwrap_or(u32::MAX);
        (limits.messages_per_second > 0 || bytes > 0).then(|| {
            Box::new(Self {
                messages: Bucket::new(limits.messages_per_second, now),
                bytes: Bucket::new(bytes, now),
                timer: None,
            })
        })
    }

    pub(super) fn spend_message(&mut self, now: Instant) {
        self.messages.spend(1, now);
    }

    pub(super) fn spend_bytes(&mut self, count: usize, now: Instant) {
        self.bytes.spend(count, now);
    }

    /// When the client may send again; `None` for now.
    fn opens(&mut self, now: Instant) -> Option<Instant> {
        self.messages.opens(now).max(self.bytes.opens(now))
    }
}

/// A token bucket that holds what one second allows, and may be overdrawn.
#[derive(Debug)]
struct Bucket {
    /// For each second; 0 for no limit.
    rate: u32,
    /// Millionths of what may be sent.
    level: i64,
    at: Instant,
}

impl Bucket {
    fn new(rate: u32, now: Instant) -> Self {
        Self {
            rate,
            level: i64::from(rate) * MILLION,
            at: now,
        }
    }

    fn spend(&mut self, count: usize, now: Instant) {
        if self.rate > 0 {
            self.fill(now);
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.level = self.level.saturating_sub(count.saturating_mul(MILLION));
        }
    }

    fn opens(&mut self, now: Instant) -> Option<Instant> {
        if self.rate == 0 {
            return None;
        }
        self.fill(now);
        let missing = u64::try_from(self.level.saturating_neg()).ok()?;
        (missing > 0).then(|| now + Duration::from_micros(missing.div_ceil(u64::from(self.rate))))
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = i64::try_from(now.since(self.at).as_micros()).unwrap_or(i64::MAX);
        let rate = i64::from(self.rate);
        let level = self.level.saturating_add(elapsed.saturating_mul(rate));
        self.level = level.min(rate * MILLION);
        self.at = now;
    }
}

impl Engine {
    /// Stops to read from a client that has sent more than it may, until it may again. What was
    /// read already is taken, and makes the pause longer.
    pub(super) fn slow_down(&mut self, slot: u32, now: Instant) {
        let Some(rate) = &mut self.conns[slot].rate else {
            return;
        };
        if rate.timer.is_none()
            && let Some(at) = rate.opens(now)
        {
            rate.timer = Some(self.timers.set(at, Timer::Rate(slot)));
            self.stats.rate_pauses += 1;
            self.pause(slot, pause::RATE);
        }
    }

    pub(super) fn rate_timeout(&mut self, slot: u32, now: Instant) {
        let Some(rate) = &mut self.conns[slot].rate else {
            return;
        };
        rate.timer = rate
            .opens(now)
            .map(|at| self.timers.set(at, Timer::Rate(slot)));
        if rate.timer.is_none() {
            self.resume(slot, pause::RATE);
        }
    }
}

const MILLION: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Instant {
        Instant::from_millis(milliseconds)
    }

    #[test]
    fn a_bucket_gives_a_second_at_once_and_then_its_rate() {
        let mut bucket = Bucket::new(10, at(0));
        bucket.spend(10, at(0));
        assert_eq!(bucket.opens(at(0)), None);
        bucket.spend(1, at(0));
        assert_eq!(bucket.opens(at(0)), Some(at(100)));
        assert_eq!(bucket.opens(at(100)), None);
        bucket.spend(25, at(100));
        assert_eq!(bucket.opens(at(1_100)), Some(at(2_600)));
        // However long it rests, it holds no more than a second.
        assert_eq!(bucket.opens(at(1_000_000)), None);
        bucket.spend(11, at(1_000_000));
        assert_eq!(bucket.opens(at(1_000_000)), Some(at(1_000_100)));
    }

    #[test]
    fn a_bucket_never_overflows() {
        let mut bucket = Bucket::new(u32::MAX, at(0));
        bucket.spend(usize::MAX, at(0));
        bucket.spend(usize::MAX, Instant::from_micros(u64::MAX));
        assert!(bucket.opens(Instant::from_micros(u64::MAX / 2)).is_some());
        let mut none = Bucket::new(0, at(0));
        none.spend(usize::MAX, at(0));
        assert_eq!(none.opens(at(0)), None);
    }
}
