//! The button: from a bouncing contact to one press.

use core::time::Duration;

use declic_mqtt::Instant;

/// A debounced button.
///
/// **The rule:** the button changes when its contact has had the other level for the whole
/// debounce time without a single edge. That holds for both directions, so
/// - bouncing of any kind, at closing or at opening, makes one change, `debounce` after its last
///   edge;
/// - a disturbance shorter than `debounce` makes none;
/// - a press is reported once, however long the contact is held.
///
/// The other way, reporting the first edge and ignoring what follows, would be `debounce` faster,
/// but any spike that a long wire picks up would be a press. The latency of this way is `debounce`
/// from the last edge to the report, 50 ms by default; a shorter tap than that is not seen. Who
/// wants it faster sets a shorter time: most buttons bounce for less than 5 ms.
///
/// **The first level is no change:** a button that is held while the board starts is not pressed
/// by that. Feed the level once at start, and at every edge.
///
/// Times come from the edges, not from when they are looked at: an edge may be fed late, and the
/// result is the same.
#[derive(Debug, Clone)]
pub struct Button {
    debounce: Duration,
    state: State,
}

/// The debounced contact opened or closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Whether it is closed now: a press.
    pub pressed: bool,
    /// When the debounce time was over.
    pub at: Instant,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// No level was seen yet.
    Unknown,
    /// The contact has the debounced level.
    Steady { pressed: bool },
    /// The contact has the other level since `since`.
    Changing { pressed: bool, since: Instant },
}

impl Button {
    /// A button that takes a change as real after `debounce` without an edge; zero takes every
    /// edge as it comes.
    pub const fn new(debounce: Duration) -> Self {
        Self {
            debounce,
            state: State::Unknown,
        }
    }

    /// The contact closed before there was a level to see, and that press is known already: when
    /// it woke the machine. To be called instead of the first level; an open contact that follows
    /// is a release.
    pub(crate) const fn begin_pressed(&mut self) {
        self.state = State::Steady { pressed: true };
    }

    /// The contact has the level `pressed` since `at`.
    ///
    /// To be called at every edge, and allowed at any time; the same level again changes nothing.
    /// Call it before [`Self::handle_timeout`] where an edge and a timeout wait together.
    pub fn handle_level(&mut self, pressed: bool, at: Instant) -> Option<Change> {
        let settled = self.handle_timeout(at);
        self.state = match self.state {
            State::Unknown => State::Steady { pressed },
            State::Steady { pressed: steady } if steady != pressed => State::Changing {
                pressed: steady,
                since: at,
            },
            // Back at the old level: that was bouncing.
            State::Changing {
                pressed: steady, ..
            } if steady == pressed => State::Steady { pressed },
            state => state,
        };
        settled.or_else(|| self.handle_timeout(at))
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Change> {
        let at = self.poll_timeout().filter(|at| *at <= now)?;
        let pressed = !self.is_pressed();
        self.state = State::Steady { pressed };
        Some(Change { pressed, at })
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Changing { since, .. } => Some(since + self.debounce),
            _ => None,
        }
    }

    /// Whether the debounced contact is closed.
    pub const fn is_pressed(&self) -> bool {
        match self.state {
            State::Unknown => false,
            State::Steady { pressed } | State::Changing { pressed, .. } => pressed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const MS_50: Duration = Duration::from_millis(50);

    fn ms(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// Feeds edges (at a millisecond, to a level) and, as the contract asks, a timeout whenever one
    /// is due before the next edge.
    fn run(debounce: Duration, edges: &[(u64, bool)], until: u64) -> Vec<(u64, bool)> {
        let mut button = Button::new(debounce);
        let mut changes = vec![];
        let mut note = |change: Option<Change>| {
            changes.extend(change.map(|change| (change.at.as_millis(), change.pressed)));
        };
        for &(at, level) in edges {
            if let Some(due) = button.poll_timeout().filter(|due| *due < ms(at)) {
                note(button.handle_timeout(due));
            }
            note(button.handle_level(level, ms(at)));
        }
        note(button.handle_timeout(ms(until)));
        changes
    }

    #[test]
    fn a_press_is_reported_when_the_contact_was_closed_for_the_debounce_time() {
        let changes = run(MS_50, &[(0, false), (100, true)], 1_000);
        assert_eq!(changes, [(150, true)]);
    }

    #[test]
    fn a_bouncing_press_and_a_bouncing_release_are_one_press() {
        let edges = [
            (0, false),
            (100, true),
            (101, false),
            (102, true),
            (104, false),
            (105, true),
            (400, false),
            (402, true),
            (403, false),
            (407, true),
            (409, false),
        ];
        assert_eq!(run(MS_50, &edges, 1_000), [(155, true), (459, false)]);
    }

    #[test]
    fn a_spike_shorter_than_the_debounce_time_is_no_press() {
        assert_eq!(
            run(MS_50, &[(0, false), (100, true), (149, false)], 1_000),
            []
        );
        let held = [
            (0, false),
            (100, true),
            (500, false),
            (549, true),
            (900, false),
        ];
        assert_eq!(run(MS_50, &held, 2_000), [(150, true), (950, false)]);
    }

    #[test]
    fn a_button_held_for_an_hour_is_one_press() {
        let mut button = Button::new(MS_50);
        assert_eq!(button.handle_level(false, ms(0)), None);
        let mut presses = 0;
        for second in 1..3_600 {
            let change = button.handle_level(true, ms(second * 1_000));
            presses += u32::from(change.is_some());
            let change = button.handle_timeout(ms(second * 1_000 + 500));
            presses += u32::from(change.is_some());
        }
        assert_eq!(presses, 1);
    }

    #[test]
    fn a_button_held_at_start_is_not_pressed_by_that() {
        assert_eq!(run(MS_50, &[(0, true)], 1_000), []);
        let edges = [(0, true), (100, false), (300, true)];
        assert_eq!(run(MS_50, &edges, 1_000), [(150, false), (350, true)]);
    }

    #[test]
    fn without_debounce_time_every_edge_counts_at_once() {
        let edges = [(0, false), (5, true), (6, false), (7, true)];
        assert_eq!(
            run(Duration::ZERO, &edges, 10),
            [(5, true), (6, false), (7, true)]
        );
    }

    #[test]
    fn edges_fed_late_give_the_same_presses() {
        let mut button = Button::new(MS_50);
        button.handle_level(false, ms(0));
        button.handle_level(true, ms(100));
        // The loop was busy: the contact opened at 300, and nothing was polled in between.
        let change = button.handle_level(false, ms(300));
        assert_eq!(
            change,
            Some(Change {
                pressed: true,
                at: ms(150)
            })
        );
        assert_eq!(button.poll_timeout(), Some(ms(350)));
    }

    /// The rule of [`Button`], word for word: `levels[t]` is the level from millisecond `t` to the
    /// next.
    fn oracle(debounce: usize, levels: &[bool]) -> Vec<(u64, bool)> {
        let mut state = levels[0];
        let mut changes = vec![];
        for now in 0..levels.len() {
            let window = match (debounce, now.checked_sub(debounce)) {
                (0, _) => &levels[now..=now],
                (_, Some(from)) => &levels[from..now],
                (_, None) => continue,
            };
            if window.iter().all(|level| *level != state) {
                state = !state;
                changes.push((now as u64, state));
            }
        }
        changes
    }

    proptest! {
        #[test]
        fn any_contact_gives_what_the_rule_says(
            debounce in prop_oneof![Just(0_usize), 1..10_usize, Just(50)],
            runs in prop::collection::vec(prop_oneof![1..12_u64, 1..120_u64], 1..60),
        ) {
            let mut levels = vec![];
            let mut edges = vec![];
            let mut level = false;
            for length in runs {
                edges.push((levels.len() as u64, level));
                levels.extend((0..length).map(|_| level));
                level = !level;
            }
            let until = levels.len() as u64 - 1;
            let found = run(Duration::from_millis(debounce as u64), &edges, until);
            prop_assert_eq!(found, oracle(debounce, &levels));
        }
    }
}
