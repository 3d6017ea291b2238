//! What the broker tells with `tracing`, as lines on standard error.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::printer::Printer;
use crate::timestamp::Timestamp;

/// Prints events up to a level.
pub struct Log {
    level: Level,
}

impl Log {
    /// Prints from now on what the process tells: warnings, with `verbose` more.
    pub fn start(verbose: u8, printer: &Printer) {
        let level = match verbose {
            _ if printer.is_quiet() => return,
            0 => Level::WARN,
            1 => Level::INFO,
            2 => Level::DEBUG,
            _ => Level::TRACE,
        };
        // It fails where there is one already, which then goes on.
        let _ = tracing::subscriber::set_global_default(Self { level });
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(self.level.into())
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line {
            message: String::new(),
            fields: String::new(),
        };
        event.record(&mut line);
        // Where standard error is gone, nobody can be told.
        let _ = writeln!(
            io::stderr().lock(),
            "{}Z {:5} {}{}",
            Timestamp::now().iso_8601(),
            event.metadata().level(),
            line.message,
            line.fields
        );
    }

    // Spans say nothing here.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// An event's fields.
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = printable(&format!("{value:?}"));
        if field.name() == "message" {
            self.message = text;
        } else {
            // Writing to a string can't fail.
            let _ = write!(self.fields, " {}={text}", field.name());
        }
    }
}

/// `text` without what could do something to a terminal: clients choose their names.
fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_do_nothing_to_the_terminal() {
        assert_eq!(printable("a\x1b[2Jé\n"), "a\\u{1b}[2Jé\\n");
    }
}
