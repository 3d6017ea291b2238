//! From presses to what they mean: a press, a double press, a hold.

use core::time::Duration;

use declic_mqtt::Instant;

use crate::Change;

/// What a person did with the button.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PressKind {
    /// One press.
    #[default]
    Press,
    /// Two presses, one soon after the other.
    Double,
    /// The button was held.
    Hold,
}

impl PressKind {
    /// The word for it in `declic/<id>/button`: `press`, `double` or `hold`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Press => "press",
            Self::Double => "double",
            Self::Hold => "hold",
        }
    }

    /// What happened to the button.
    pub(crate) const fn past(self) -> &'static str {
        match self {
            Self::Press => "pressed",
            Self::Double => "pressed twice",
            Self::Hold => "held",
        }
    }

    /// As two bits, and back.
    pub(crate) const fn bits(self) -> u64 {
        self as u64
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            1 => Self::Double,
            2 => Self::Hold,
            _ => Self::Press,
        }
    }
}

/// Tells presses, double presses and holds apart, from a debounced contact.
///
/// **The rule,** from the moment in which the contact closes:
/// - it closes a second time within `double`: a double press, at that moment;
/// - it is still closed after `hold`: a hold, at that moment;
/// - otherwise it is a press, as soon as neither of these can happen any more.
///
/// A time of zero switches its kind off. With both off, a press is one in the moment in which the
/// contact closes; nothing delays it. What a contact does after a double press or a hold, until it
/// closes again, means nothing.
#[derive(Debug, Clone)]
pub struct Presses {
    double: Duration,
    hold: Duration,
    first: Option<First>,
}

/// A first press that is not decided.
#[derive(Debug, Clone, Copy)]
struct First {
    at: Instant,
    released: bool,
}

impl Presses {
    /// Two presses within `double` are a double press, and one of `hold` is a hold.
    pub const fn new(double: Duration, hold: Duration) -> Self {
        Self {
            double,
            hold,
            first: None,
        }
    }

    /// The debounced contact changed.
    pub fn handle_change(&mut self, change: Change) -> Option<PressKind> {
        // What was due before it. A second press in the last moment is still one of a double press.
        let due = self.deadline().filter(|(at, _)| *at < change.at);
        let decided = due.map(|(_, kind)| kind);
        if decided.is_some() {
            self.first = None;
        }
        if !change.pressed {
            if let Some(first) = &mut self.first {
                first.released = true;
            }
        } else if self.first.take().is_some() {
            return Some(PressKind::Double);
        } else if self.double.is_zero() && self.hold.is_zero() {
            return Some(PressKind::Press);
        } else {
            self.first = Some(First {
                at: change.at,
                released: false,
            });
        }
        decided.or_else(|| self.handle_timeout(change.at))
    }

    /// Time has passed. To be called after the button's own.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<PressKind> {
        let (_, kind) = self.deadline().filter(|(at, _)| *at <= now)?;
        self.first = None;
        Some(kind)
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline().map(|(at, _)| at)
    }

    /// When the first press is decided if nothing happens, and as what.
    fn deadline(&self) -> Option<(Instant, PressKind)> {
        let First { at, released } = self.first?;
        Some(if released || self.hold.is_zero() {
            (at + self.double, PressKind::Press)
        } else {
            (at + self.hold, PressKind::Hold)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::PressKind::{Double, Hold, Press};
    use super::*;

    /// Feeds changes (at a millisecond; closed and open in turn), with a timeout whenever one is
    /// due, unless `late`.
    fn run(double: u64, hold: u64, changes: &[u64], late: bool) -> Vec<(u64, PressKind)> {
        let mut presses = Presses::new(Duration::from_millis(double), Duration::from_millis(hold));
        let mut seen = vec![];
        let mut pressed = false;
        for &at in changes.iter().chain([&1_000_000]) {
            let at = Instant::from_millis(at);
            if let Some(due) = presses.poll_timeout().filter(|due| *due < at && !late) {
                let kind = presses.handle_timeout(due);
                seen.extend(kind.map(|kind| (due.as_millis(), kind)));
            }
            pressed = !pressed;
            let change = Change { pressed, at };
            let kind = presses.handle_change(change);
            seen.extend(kind.map(|kind| (at.as_millis(), kind)));
        }
        // The change at the end belongs to no press.
        seen.retain(|(at, _)| *at < 1_000_000 || late);
        seen
    }

    #[test]
    fn with_both_off_every_press_counts_at_once_however_long_it_is_held() {
        let seen = run(0, 0, &[100, 150, 200, 90_000], false);
        assert_eq!(seen, [(100, Press), (200, Press)]);
    }

    #[test]
    fn two_presses_in_time_are_a_double_press_at_the_second() {
        assert_eq!(run(300, 0, &[100, 200, 400, 500], false), [(400, Double)]);
        let seen = run(300, 0, &[100, 200, 401, 500], false);
        assert_eq!(seen, [(400, Press), (701, Press)]);
    }

    #[test]
    fn three_presses_in_time_are_a_double_press_and_a_press() {
        let seen = run(300, 0, &[100, 150, 200, 250, 300, 350], false);
        assert_eq!(seen, [(200, Double), (600, Press)]);
    }

    #[test]
    fn without_holds_a_press_counts_after_the_time_for_a_second_one_even_while_held() {
        assert_eq!(run(300, 0, &[100, 5_000], false), [(400, Press)]);
    }

    #[test]
    fn a_button_that_is_held_is_a_hold_and_no_press() {
        assert_eq!(run(0, 800, &[100, 5_000], false), [(900, Hold)]);
        assert_eq!(run(300, 800, &[100, 5_000], false), [(900, Hold)]);
    }

    #[test]
    fn a_press_that_can_be_a_hold_counts_when_the_button_is_released() {
        assert_eq!(run(0, 800, &[100, 850], false), [(850, Press)]);
        assert_eq!(run(300, 800, &[100, 850], false), [(850, Press)]);
        assert_eq!(run(300, 800, &[100, 150], false), [(400, Press)]);
    }

    #[test]
    fn the_second_of_two_presses_may_be_held() {
        assert_eq!(
            run(300, 800, &[100, 150, 300, 9_000], false),
            [(300, Double)]
        );
    }

    #[test]
    fn changes_fed_late_mean_the_same() {
        for changes in [
            &[100, 200, 400, 500][..],
            &[100, 200, 401, 900],
            &[100, 5_000, 6_000, 6_100],
            &[100, 850],
        ] {
            let kinds = |late| {
                let seen = run(300, 800, changes, late);
                seen.iter().map(|(_, kind)| *kind).collect::<Vec<_>>()
            };
            assert_eq!(kinds(true), kinds(false), "{changes:?}");
        }
    }
}
