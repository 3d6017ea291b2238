//! Factory reset by the button: held for long, and then pressed once more.

use core::time::Duration;

use declic_mqtt::Instant;

use crate::Change;

/// Watches the button for the gesture that forgets all settings.
///
/// **The gesture:** the button is held for [`HOLD_TIME`]; the LED blinks; a second press that
/// begins while it blinks, within [`CONFIRM_TIME`], confirms. That second press is no press. Who
/// lets go and does nothing more changes nothing.
///
/// A button that is closed from the start, or for ever, does nothing by that.
#[derive(Debug, Clone)]
pub struct FactoryReset {
    enabled: bool,
    /// A press counts as begun before its debounce time.
    debounce: Duration,
    state: State,
}

/// What the gesture has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gesture {
    /// The button was held long enough: the LED blinks now.
    Held,
    /// Nobody confirmed in time.
    Over,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Open,
    Held { since: Instant },
    Blinking { since: Instant },
}

impl FactoryReset {
    /// A watch that does nothing where it is not `enabled`.
    pub const fn new(enabled: bool, debounce: Duration) -> Self {
        Self {
            enabled,
            debounce,
            state: State::Open,
        }
    }

    /// The debounced button changed. Returns true when that confirms, and is no press.
    pub fn handle_change(&mut self, change: Change) -> bool {
        if let State::Blinking { since } = self.state {
            if !change.pressed {
                return false;
            }
            if change.at <= self.end(since) {
                self.state = State::Open;
                return true;
            }
        }
        self.state = if change.pressed && self.enabled {
            State::Held { since: change.at }
        } else {
            State::Open
        };
        false
    }

    /// Time has passed. To be called after the button's own.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Gesture> {
        match self.state {
            State::Held { since } if since + HOLD_TIME <= now => {
                self.state = State::Blinking { since: now };
                Some(Gesture::Held)
            }
            State::Blinking { since } if self.end(since) <= now => {
                self.state = State::Open;
                Some(Gesture::Over)
            }
            _ => None,
        }
    }

    /// When [`Self::handle_timeout`] has something to do, or the LED changes.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Open => None,
            State::Held { since } => Some(since + HOLD_TIME),
            State::Blinking { since } => {
                let next = since + BLINK_TIME * (blinks(since, now) + 1);
                Some(next.min(self.end(since)))
            }
        }
    }

    /// What the LED shows instead of the light, while it blinks.
    pub fn blink(&self, now: Instant) -> Option<bool> {
        match self.state {
            State::Blinking { since } => Some(blinks(since, now).is_multiple_of(2)),
            _ => None,
        }
    }

    fn end(&self, since: Instant) -> Instant {
        since + CONFIRM_TIME + self.debounce
    }
}

/// How often the LED has changed.
fn blinks(since: Instant, now: Instant) -> u32 {
    let passed = now.since(since).min(CONFIRM_TIME * 2);
    (passed.as_secs() as u32 * 1_000 + passed.subsec_millis()) / BLINK_TIME.subsec_millis()
}

/// How long the button is held.
pub const HOLD_TIME: Duration = Duration::from_secs(10);

/// How long a second press confirms.
pub const CONFIRM_TIME: Duration = Duration::from_secs(5);

const BLINK_TIME: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    const MS_50: Duration = Duration::from_millis(50);

    fn change(pressed: bool, at: u64) -> Change {
        Change {
            pressed,
            at: ms(at),
        }
    }

    fn ms(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// Held from 1 s to 12 s; the LED blinks from 11 s on.
    fn held() -> FactoryReset {
        let mut reset = FactoryReset::new(true, MS_50);
        assert!(!reset.handle_change(change(true, 1_000)));
        assert_eq!(reset.poll_timeout(ms(1_000)), Some(ms(11_000)));
        assert_eq!(reset.handle_timeout(ms(10_999)), None);
        assert_eq!(reset.blink(ms(10_999)), None);
        assert_eq!(reset.handle_timeout(ms(11_000)), Some(Gesture::Held));
        assert!(!reset.handle_change(change(false, 12_000)));
        reset
    }

    #[test]
    fn a_second_press_within_five_seconds_confirms() {
        for at in [12_100, 14_000, 16_050] {
            assert!(held().handle_change(change(true, at)), "{at}");
        }
    }

    #[test]
    fn a_later_press_is_a_press_again() {
        let mut reset = held();
        assert_eq!(reset.handle_timeout(ms(16_049)), None);
        assert_eq!(reset.handle_timeout(ms(16_050)), Some(Gesture::Over));
        assert!(!reset.handle_change(change(true, 16_060)));
        assert!(!held().handle_change(change(true, 16_051)));
    }

    #[test]
    fn the_led_blinks_while_a_press_confirms() {
        let reset = held();
        let shown = |at| reset.blink(ms(at));
        assert_eq!(shown(11_000), Some(true));
        assert_eq!(shown(11_099), Some(true));
        assert_eq!(shown(11_100), Some(false));
        assert_eq!(shown(11_200), Some(true));
        assert_eq!(reset.poll_timeout(ms(11_000)), Some(ms(11_100)));
        assert_eq!(reset.poll_timeout(ms(11_150)), Some(ms(11_200)));
        assert_eq!(reset.poll_timeout(ms(16_020)), Some(ms(16_050)));
    }

    #[test]
    fn a_shorter_press_and_a_switched_off_watch_do_nothing() {
        let mut reset = FactoryReset::new(true, MS_50);
        reset.handle_change(change(true, 0));
        reset.handle_change(change(false, 9_999));
        assert_eq!(reset.handle_timeout(ms(60_000)), None);
        let mut off = FactoryReset::new(false, MS_50);
        off.handle_change(change(true, 0));
        assert_eq!(off.handle_timeout(ms(60_000)), None);
        assert_eq!(off.poll_timeout(ms(0)), None);
    }

    #[test]
    fn holding_on_confirms_nothing() {
        let mut reset = FactoryReset::new(true, MS_50);
        reset.handle_change(change(true, 0));
        assert_eq!(reset.handle_timeout(ms(10_000)), Some(Gesture::Held));
        assert_eq!(reset.handle_timeout(ms(15_050)), Some(Gesture::Over));
        assert_eq!(reset.handle_timeout(ms(100_000)), None);
        assert!(!reset.handle_change(change(false, 100_000)));
    }
}
