//! The light, and what a message can tell it to do.

/// What the LED shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Led {
    on: bool,
    /// What is shown instead of it.
    signal: Option<bool>,
    /// What the pin was told last; `None` before the first time.
    shown: Option<bool>,
}

impl Led {
    /// An LED that is off; its pin does not know yet.
    pub const fn new() -> Self {
        Self {
            on: false,
            signal: None,
            shown: None,
        }
    }

    /// Switches it; returns whether that changed it.
    pub fn set(&mut self, on: bool) -> bool {
        let changed = self.on != on;
        self.on = on;
        changed
    }

    /// Shows `signal` until this is called with `None`; the light itself stays what it is.
    pub const fn signal(&mut self, signal: Option<bool>) {
        self.signal = signal;
    }

    /// Whether it is on, whatever is signalled.
    pub const fn is_on(&self) -> bool {
        self.on
    }

    /// The level that the pin needs, if it has another one.
    pub fn poll_level(&mut self) -> Option<bool> {
        let level = Some(self.signal.unwrap_or(self.on));
        if self.shown == level {
            return None;
        }
        self.shown = level;
        level
    }
}

/// What `declic/<id>/led/set` can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `ON`
    On,
    /// `OFF`
    Off,
    /// `TOGGLE`
    Toggle,
}

impl Command {
    /// Reads a payload: `ON`, `OFF` or `TOGGLE` in any case, with blanks around it.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        [
            ("ON", Self::On),
            ("OFF", Self::Off),
            ("TOGGLE", Self::Toggle),
        ]
        .into_iter()
        .find_map(|(word, command)| is_word(payload, word).then_some(command))
    }
}

/// Whether `payload` is `word`, whatever its case and the blanks around it.
pub(crate) fn is_word(payload: &[u8], word: &str) -> bool {
    payload
        .trim_ascii()
        .eq_ignore_ascii_case(word.trim_ascii().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_in_any_case_and_nothing_else_is() {
        assert_eq!(Command::parse(b"ON"), Some(Command::On));
        assert_eq!(Command::parse(b"off"), Some(Command::Off));
        assert_eq!(Command::parse(b" Toggle\r\n"), Some(Command::Toggle));
        for other in [&b""[..], b"O", b"ONN", b"1", b"\xff\xfe", b"ON OFF"] {
            assert_eq!(Command::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_pin_is_told_at_the_start_and_at_every_change_only() {
        let mut led = Led::new();
        assert_eq!(led.poll_level(), Some(false));
        assert_eq!(led.poll_level(), None);
        assert!(led.set(true));
        assert!(!led.set(true));
        assert_eq!(led.poll_level(), Some(true));
        assert_eq!(led.poll_level(), None);
    }

    #[test]
    fn after_a_signal_the_light_is_what_it_became_meanwhile() {
        let mut led = Led::new();
        led.poll_level();
        led.signal(Some(true));
        assert_eq!(led.poll_level(), Some(true));
        led.signal(Some(false));
        assert_eq!(led.poll_level(), Some(false));
        assert!(led.set(true));
        assert_eq!(led.poll_level(), None);
        assert!(led.is_on());
        led.signal(None);
        assert_eq!(led.poll_level(), Some(true));
    }
}
