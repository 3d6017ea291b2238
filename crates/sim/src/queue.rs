//! What is going to happen, in order.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use declic_mqtt::Instant;

/// Happenings by time; those of the same moment in the order in which they were planned.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    planned: u64,
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            planned: 0,
        }
    }

    pub(crate) fn push(&mut self, at: Instant, what: T) {
        self.planned += 1;
        let order = (at, self.planned);
        self.heap.push(Reverse(Entry { order, what }));
    }

    /// The next happening, unless it lies after `end`.
    pub(crate) fn pop(&mut self, end: Instant) -> Option<(Instant, T)> {
        let next = self.heap.peek()?;
        if next.0.order.0 > end {
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        Some((entry.order.0, entry.what))
    }
}

#[derive(Debug)]
struct Entry<T> {
    order: (Instant, u64),
    what: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn happenings_come_by_time_and_then_in_the_order_of_planning() {
        let mut queue = Queue::new();
        let at = Instant::from_millis;
        for (time, what) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b'), (9, 'e')] {
            queue.push(at(time), what);
        }
        let mut order = String::new();
        while let Some((_, what)) = queue.pop(at(5)) {
            order.push(what);
        }
        assert_eq!(order, "abcd");
        assert_eq!(queue.pop(at(9)), Some((at(9), 'e')));
    }
}
