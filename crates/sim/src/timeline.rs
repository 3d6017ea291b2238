//! What happened, for people.

use std::fmt;

use declic_mqtt::Instant;

/// What happened in a [`World`](crate::World), one line each; its `Display` shows it all.
///
/// ```text
///     0.010000 publisher    connected (MQTT 5.0)
///     1.000000 publisher    pressed ON
///     1.006000 subscriber   light ON
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    lines: Vec<Line>,
    is_off: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    at: Instant,
    who: String,
    what: String,
}

impl Timeline {
    pub(crate) const fn switch_off(&mut self) {
        self.is_off = true;
    }

    pub(crate) const fn is_on(&self) -> bool {
        !self.is_off
    }

    pub(crate) fn push(&mut self, at: Instant, who: &str, what: String) {
        self.lines.push(Line {
            at,
            who: who.to_owned(),
            what,
        });
    }

    /// How many lines there are.
    pub const fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether nothing happened.
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How often `who` did exactly `what`.
    pub fn count(&self, who: &str, what: &str) -> usize {
        let matches = |line: &&Line| line.who == who && line.what == what;
        self.lines.iter().filter(matches).count()
    }

    /// What `who` did, in order.
    pub fn of<'a>(&'a self, who: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.lines.iter().filter(move |line| line.who == who);
        lines.map(|line| line.what.as_str())
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| {
            let micros = line.at.as_micros();
            let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
            writeln!(f, "{seconds:>6}.{micros:06} {:<12} {}", line.who, line.what)
        })
    }
}
