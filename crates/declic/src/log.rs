//! What the broker tells with `tracing`: a line on standard error for each fact, for people or as
//! JSON.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU8, Ordering};

use clap::ValueEnum;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::json::Object;
use crate::printer::Printer;
use crate::timestamp::Timestamp;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// A line to read: time, level, message, `name=value`
    #[default]
    Text,
    /// An object of JSON: `time`, `level`, `message`, and a member for each value
    Json,
}

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, ValueEnum)]
pub enum LogLevel {
    /// Nothing but what the broker can't go on with
    Error,
    /// What may need somebody's attention
    #[default]
    Warn,
    /// Who connects and leaves
    Info,
    /// Why connections end
    Debug,
    /// Everything
    Trace,
}

impl LogLevel {
    /// The level that `-v`, `-vv` and `-vvv` stand for.
    pub const fn from_verbose(count: u8) -> Self {
        match count {
            0 => Self::Warn,
            1 => Self::Info,
            2 => Self::Debug,
            _ => Self::Trace,
        }
    }

    const fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// Prints events up to a level.
pub struct Log {
    format: LogFormat,
}

impl Log {
    /// Prints from now on what the process tells; nothing where the printer is to be quiet.
    pub fn start(level: LogLevel, format: LogFormat, printer: &Printer) {
        if printer.is_quiet() {
            return;
        }
        LEVEL.store(level as u8, Ordering::Relaxed);
        // It fails where there is one already, which then goes on.
        let _ = tracing::subscriber::set_global_default(Self { format });
    }

    /// Tells more or less from now on.
    pub fn set_level(level: LogLevel) {
        if LEVEL.swap(level as u8, Ordering::Relaxed) != level as u8 {
            tracing::callsite::rebuild_interest_cache();
        }
    }
}

fn level() -> LevelFilter {
    let level = LEVEL.load(Ordering::Relaxed);
    let is_it = |one: &&LogLevel| **one as u8 == level;
    LogLevel::value_variants()
        .iter()
        .find(is_it)
        .map_or(LevelFilter::WARN, |level| level.filter())
}

/// A [`LogLevel`], since it can change while the process runs.
static LEVEL: AtomicU8 = AtomicU8::new(LogLevel::Warn as u8);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= level()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(level())
    }

    fn event(&self, event: &Event<'_>) {
        let time = format!("{}Z", Timestamp::now().iso_8601());
        let level = *event.metadata().level();
        // Where standard error is gone, nobody can be told.
        let _ = match self.format {
            LogFormat::Text => writeln!(io::stderr().lock(), "{}", text(&time, level, event)),
            LogFormat::Json => writeln!(io::stderr().lock(), "{}", json(&time, level, event)),
        };
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

fn text(time: &str, level: Level, event: &Event<'_>) -> String {
    let mut line = Text::default();
    event.record(&mut line);
    format!("{time} {level:5} {}{}", line.message, line.fields)
}

fn json(time: &str, level: Level, event: &Event<'_>) -> Object {
    let level = level.as_str().to_ascii_lowercase();
    let mut line = Json(Some(Object::new().text("time", time).text("level", &level)));
    event.record(&mut line);
    line.0.unwrap_or_else(Object::new)
}

/// An event's fields as `name=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
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

/// An event's fields as members. `None` only while one is added.
struct Json(Option<Object>);

impl Json {
    fn add(&mut self, add: impl FnOnce(Object) -> Object) {
        self.0 = self.0.take().map(add);
    }
}

impl Visit for Json {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(|object| object.raw(field.name(), value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(|object| object.raw(field.name(), value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(|object| object.raw(field.name(), value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(|object| object.text(field.name(), value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(|object| object.text(field.name(), &format!("{value:?}")));
    }
}

/// `text` without what could do something to a terminal: clients choose their names.
pub fn printable(text: &str) -> String {
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

    #[test]
    fn each_v_tells_more() {
        let levels: Vec<_> = (0..5).map(LogLevel::from_verbose).collect();
        assert!(levels.is_sorted());
        assert_eq!(
            levels.iter().map(|level| level.filter()).max(),
            Some(LevelFilter::TRACE)
        );
    }
}
