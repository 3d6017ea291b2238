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
    /// An LED that is `on`; its pin does not know yet.
    pub const fn new(on: bool) -> Self {
        Self {
            on,
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
    /// Reads a payload: `ON`, `OFF` or `TOGGLE` in any case, with blanks around it; or a JSON
    /// object with such a word as its `state`: `{"state":"ON"}`.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let payload = match payload.trim_ascii() {
            object @ [b'{', ..] => json_state(object)?,
            word => word,
        };
        [
            ("ON", Self::On),
            ("OFF", Self::Off),
            ("TOGGLE", Self::Toggle),
        ]
        .into_iter()
        .find_map(|(word, command)| is_word(payload, word).then_some(command))
    }
}

/// The text of the member `state` of a JSON object. Other members may be anything; what has
/// escapes in it is no word that matters.
fn json_state(object: &[u8]) -> Option<&[u8]> {
    let mut rest = object;
    let mut depth = 0_u32;
    let mut is_state = false;
    while let [byte, behind @ ..] = rest {
        rest = behind;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                let mut end = 0;
                while *rest.get(end)? != b'"' {
                    end += if rest[end] == b'\\' { 2 } else { 1 };
                }
                let text = rest.get(..end)?;
                rest = rest[end + 1..].trim_ascii_start();
                let is_key = rest.starts_with(b":");
                if depth == 1 && is_state && !is_key {
                    return Some(text);
                }
                is_state = depth == 1 && is_key && text == b"state";
                continue;
            }
            b':' | b' ' | b'\t' | b'\r' | b'\n' => continue,
            _ => {}
        }
        // `state` has another kind of value.
        is_state = false;
    }
    None
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
    fn the_state_of_a_json_object_is_a_command() {
        for (object, command) in [
            (&br#"{"state":"ON"}"#[..], Some(Command::On)),
            (
                br#" { "brightness" : 3, "state" : "off" } "#,
                Some(Command::Off),
            ),
            (
                br#"{"color":{"state":"ON"},"state":"toggle"}"#,
                Some(Command::Toggle),
            ),
            (
                br#"{"a":"\"state\":","b":["state","ON"],"state":"ON"}"#,
                Some(Command::On),
            ),
            (br#"{"color":{"state":"ON"}}"#, None),
            (br#"{"a":"state","b":"ON"}"#, None),
            (br#"{"state":true,"b":"ON"}"#, None),
            (br#"{"state":null}"#, None),
            (br#"{"state":"ON""#, Some(Command::On)),
            (br#"{"state":"ON"#, None),
            (br#"{"state":"\"#, None),
            (b"{", None),
            (b"}", None),
        ] {
            assert_eq!(Command::parse(object), command, "{}", object.escape_ascii());
        }
    }

    #[test]
    fn the_pin_is_told_at_the_start_and_at_every_change_only() {
        let mut led = Led::new(false);
        assert_eq!(led.poll_level(), Some(false));
        assert_eq!(led.poll_level(), None);
        assert!(led.set(true));
        assert!(!led.set(true));
        assert_eq!(led.poll_level(), Some(true));
        assert_eq!(led.poll_level(), None);
    }

    #[test]
    fn after_a_signal_the_light_is_what_it_became_meanwhile() {
        let mut led = Led::new(false);
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
