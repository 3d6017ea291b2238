//! A timer wheel: setting and cancelling cost the same however many timers there are.

use declic_mqtt::Instant;

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// A connection's CONNECT or keep-alive.
    Connection(u32),
    /// A session's expiry or delayed will.
    Session(u32),
    /// The expiry of the retained message in a slot.
    Retained(u32),
    /// Publishers that were paused, and subscribers whose retained messages had no room.
    Pressure,
    /// The client of a connection may send again.
    Rate(u32),
    /// A batch that could not be stored.
    Store,
}

/// A timer that is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimerId(u32);

/// Timers in rings of slots of [`TICK`] each. A timer farther away than one turn of the wheel
/// is looked at once in each turn. None fires early; late by a tick at most.
#[derive(Debug)]
pub(super) struct Timers {
    /// All slots up to this tick have been emptied.
    tick: u64,
    heads: Box<[u32]>,
    occupied: [u64; SLOTS / 64],
    /// Timers whose time has come, not yet taken.
    due: u32,
    nodes: Vec<Node>,
    free: u32,
}

#[derive(Debug)]
struct Node {
    deadline: u64,
    next: u32,
    previous: u32,
    list: u32,
    timer: Timer,
}

impl Timers {
    pub(super) fn new() -> Self {
        Self {
            tick: 0,
            heads: vec![NONE; SLOTS].into_boxed_slice(),
            occupied: [0; SLOTS / 64],
            due: NONE,
            nodes: Vec::new(),
            free: NONE,
        }
    }

    /// Sets a timer for the moment `at`.
    pub(super) fn set(&mut self, at: Instant, timer: Timer) -> TimerId {
        // A timer for a moment that is over comes with the next tick.
        let deadline = at.as_micros().div_ceil(TICK).max(self.tick + 1);
        let node = Node {
            deadline,
            next: NONE,
            previous: NONE,
            list: NONE,
            timer,
        };
        let id = if self.free == NONE {
            self.nodes.push(node);
            self.nodes.len() as u32 - 1
        } else {
            let id = self.free;
            self.free = self.nodes[id as usize].next;
            self.nodes[id as usize] = node;
            id
        };
        self.link(id, slot(deadline));
        TimerId(id)
    }

    /// Takes a set timer back.
    pub(super) fn cancel(&mut self, TimerId(id): TimerId) {
        self.unlink(id);
        self.nodes[id as usize].next = self.free;
        self.free = id;
    }

    /// Takes one timer whose time has come at `now`. It is set no more.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Timer> {
        let now = now.as_micros() / TICK;
        while self.due == NONE && self.tick < now {
            // One turn visits every slot, so more are never needed.
            self.tick = (self.tick + 1).max(now.saturating_sub(SLOTS as u64 - 1));
            if let Some(ahead) = self.distance_to_occupied(self.tick) {
                self.tick = (self.tick + ahead).min(now);
                self.collect(slot(self.tick));
            } else {
                self.tick = now;
            }
        }
        (self.due != NONE).then(|| {
            let id = self.due;
            let timer = self.nodes[id as usize].timer;
            self.cancel(TimerId(id));
            timer
        })
    }

    /// When to call [`Self::pop`] at the latest.
    pub(super) fn next(&self) -> Option<Instant> {
        if self.due != NONE {
            return Some(Instant::from_micros(self.tick * TICK));
        }
        let ahead = self.distance_to_occupied(self.tick + 1)?;
        Some(Instant::from_micros((self.tick + 1 + ahead) * TICK))
    }

    /// Moves what is due in a slot to the list of due timers.
    fn collect(&mut self, slot: u32) {
        let mut id = self.heads[slot as usize];
        while id != NONE {
            let Node { deadline, next, .. } = self.nodes[id as usize];
            if deadline <= self.tick {
                self.unlink(id);
                self.link(id, DUE);
            }
            id = next;
        }
    }

    /// Slots from the one of `tick` to the first that has timers.
    fn distance_to_occupied(&self, tick: u64) -> Option<u64> {
        let start = slot(tick) as usize;
        let words = self.occupied.len();
        let (first, bit) = (start / 64, start % 64);
        for step in 0..=words {
            let index = (first + step) % words;
            let mut word = self.occupied[index];
            if step == 0 {
                word &= u64::MAX << bit;
            } else if step == words {
                word &= !(u64::MAX << bit);
            }
            if word != 0 {
                let found = index * 64 + word.trailing_zeros() as usize;
                return Some(((found + SLOTS - start) % SLOTS) as u64);
            }
        }
        None
    }

    fn link(&mut self, id: u32, list: u32) {
        let head = std::mem::replace(self.head(list), id);
        if let Some(bit) = self.bit(list) {
            *bit.0 |= bit.1;
        }
        if head != NONE {
            self.nodes[head as usize].previous = id;
        }
        let node = &mut self.nodes[id as usize];
        (node.next, node.previous, node.list) = (head, NONE, list);
    }

    fn unlink(&mut self, id: u32) {
        let Node {
            next,
            previous,
            list,
            ..
        } = self.nodes[id as usize];
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
        if previous != NONE {
            self.nodes[previous as usize].next = next;
            return;
        }
        *self.head(list) = next;
        if next == NONE
            && let Some(bit) = self.bit(list)
        {
            *bit.0 &= !bit.1;
        }
    }

    fn head(&mut self, list: u32) -> &mut u32 {
        if list == DUE {
            &mut self.due
        } else {
            &mut self.heads[list as usize]
        }
    }

    fn bit(&mut self, list: u32) -> Option<(&mut u64, u64)> {
        let word = self.occupied.get_mut(list as usize / 64)?;
        Some((word, 1 << (list % 64)))
    }
}

const fn slot(tick: u64) -> u32 {
    (tick % SLOTS as u64) as u32
}

/// Microseconds of one slot, about an eighth of a second.
const TICK: u64 = 1 << 17;
const SLOTS: usize = 1_024;
const NONE: u32 = u32::MAX;
const DUE: u32 = u32::MAX - 1;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seconds(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn no_timer_fires_early_and_none_later_than_a_tick() {
        let mut timers = Timers::new();
        for at in [1, 90, 3_600, 100_000] {
            timers.set(seconds(at), Timer::Session(at as u32));
        }
        let (mut now, mut fired) = (Instant::ZERO, Vec::new());
        while let Some(next) = timers.next() {
            assert!(next > now);
            now = next;
            while let Some(Timer::Session(at)) = timers.pop(now) {
                let late = now.since(seconds(u64::from(at)));
                assert!(now >= seconds(u64::from(at)) && late <= Duration::from_micros(TICK));
                fired.push(at);
            }
        }
        assert_eq!(fired, [1, 90, 3_600, 100_000]);
    }

    #[test]
    fn a_cancelled_timer_never_fires_not_even_when_its_time_had_come() {
        let mut timers = Timers::new();
        let first = timers.set(seconds(1), Timer::Session(1));
        let second = timers.set(seconds(1), Timer::Session(2));
        let third = timers.set(seconds(2), Timer::Session(3));
        timers.cancel(third);
        let popped = timers.pop(seconds(5)).expect("one of the two");
        timers.cancel(if popped == Timer::Session(1) {
            second
        } else {
            first
        });
        assert_eq!(timers.pop(seconds(500)), None);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_long_pause_misses_no_timer() {
        let mut timers = Timers::new();
        for index in 0..3_000 {
            timers.set(seconds(u64::from(index)), Timer::Connection(index));
        }
        let mut count = 0;
        while timers.pop(seconds(10_000)).is_some() {
            count += 1;
        }
        assert_eq!(count, 3_000);
    }
}
