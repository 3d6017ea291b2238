//! What hostile clients did, as a table: for people, for the documents, for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::super::broker::peer::Kind;
use super::super::broker::report::{format_ratio, write_between};
use super::rows::Row;
use super::{Outcome, bound};
use crate::error::Error;
use crate::json::Object;

/// The outcomes with what is to be said about them.
pub struct Report {
    machine: String,
    pub kinds: Vec<Kind>,
    outcomes: BTreeMap<(Row, Kind), Outcome>,
}

/// A line of the table: what it shows of an outcome, and the figure that the ratio is made of.
struct Line {
    title: &'static str,
    name: &'static str,
    show: fn(&Outcome) -> String,
    figure: fn(&Outcome) -> f64,
}

impl Report {
    pub const fn new(machine: String, kinds: Vec<Kind>) -> Self {
        Self {
            machine,
            kinds,
            outcomes: BTreeMap::new(),
        }
    }

    pub fn add(&mut self, row: Row, kind: Kind, outcome: Outcome) {
        self.outcomes.insert((row, kind), outcome);
    }

    /// The table in Markdown.
    pub fn table(&self) -> String {
        let mut text = String::from("| hostile clients | measured |");
        for kind in &self.kinds {
            let _ = write!(text, " {} |", kind.name());
        }
        text.push_str(" declic / Mosquitto |\n|---|---|---|");
        text.push_str(&"---|".repeat(self.kinds.len()));
        for row in Row::ALL {
            let count = self.of(row).map(|(_, outcome)| outcome.count).next();
            let Some(count) = count else {
                continue;
            };
            let mut first = format!("{count} × {}", row.title());
            for line in &LINES {
                let _ = write!(
                    text,
                    "\n| {} | {} |",
                    std::mem::take(&mut first),
                    line.title
                );
                for kind in &self.kinds {
                    let outcome = self.outcomes.get(&(row, *kind));
                    let shown = outcome.map_or("–".to_owned(), line.show);
                    let _ = write!(text, " {shown} |");
                }
                let ratio = self.ratio(row, line).map_or("–".to_owned(), format_ratio);
                let _ = write!(text, " {ratio} |");
            }
            if let Some(outcome) = self.outcomes.get(&(row, Kind::Declic)) {
                let verdict = match problems(row, outcome).as_slice() {
                    [] => format!(
                        "kept: every message arrived, at most {} taken",
                        megabytes(bound(row, count))
                    ),
                    problems => format!("**{}**", problems.join("; ")),
                };
                let _ = write!(text, "\n| | what our limits promise |");
                for kind in &self.kinds {
                    let verdict = match kind {
                        Kind::Declic => &verdict,
                        _ => "",
                    };
                    let _ = write!(text, " {verdict} |");
                }
                text.push_str(" |");
            }
        }
        text
    }

    /// An object for each broker and kind of hostile clients.
    pub fn json(&self) -> Vec<String> {
        self.outcomes
            .iter()
            .map(|((row, kind), outcome)| {
                let mut object = Object::new()
                    .text("row", row.slug())
                    .text("broker", kind.name())
                    .raw("count", outcome.count)
                    .raw("ended", outcome.ended)
                    .raw("lost", outcome.lost)
                    .raw("refused", outcome.refused);
                for line in &LINES {
                    object = object.raw(line.name, (line.figure)(outcome));
                }
                object.to_string()
            })
            .collect()
    }

    /// Puts the table into a page, between [`BEGIN`] and [`END`].
    pub fn write_into(&self, page: &Path) -> Result<(), Error> {
        let text = format!("Measured on {}.\n\n{}\n", self.machine, self.table());
        write_between(page, BEGIN, END, &text)
    }

    /// What our broker promises and did not keep.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for ((row, kind), outcome) in &self.outcomes {
            if *kind == Kind::Declic {
                let with_row = |problem| format!("{}: {problem}", row.slug());
                failures.extend(problems(*row, outcome).into_iter().map(with_row));
            }
        }
        failures
    }

    fn of(&self, row: Row) -> impl Iterator<Item = (Kind, &Outcome)> {
        let outcomes = self.outcomes.iter();
        outcomes
            .filter(move |((one, _), _)| *one == row)
            .map(|((_, kind), outcome)| (*kind, outcome))
    }

    fn ratio(&self, row: Row, line: &Line) -> Option<f64> {
        let of = |kind| self.outcomes.get(&(row, kind)).map(line.figure);
        let (ours, theirs) = (of(Kind::Declic)?, of(Kind::Mosquitto)?);
        (theirs > 0.0).then(|| ours / theirs)
    }
}

fn problems(row: Row, outcome: &Outcome) -> Vec<String> {
    let mut problems = Vec::new();
    if outcome.lost > 0 {
        problems.push(format!(
            "{} of {} messages of the others are lost",
            outcome.lost, outcome.messages
        ));
    }
    let [before, peak, _] = outcome.memory;
    let (taken, bound) = (peak.saturating_sub(before), bound(row, outcome.count));
    if taken > bound {
        problems.push(format!(
            "{} were taken, {} are allowed",
            megabytes(taken),
            megabytes(bound)
        ));
    }
    problems
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn time(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1e3;
    match millis {
        0.0..1.0 => format!("{:.0} µs", millis * 1e3),
        1.0..100.0 => format!("{millis:.1} ms"),
        _ => format!("{:.2} s", millis / 1e3),
    }
}

fn pair([first, second]: [Duration; 2]) -> String {
    format!("{} / {}", time(first), time(second))
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

const LINES: [Line; 5] = [
    Line {
        title: "what they sent, and how many of them were thrown out",
        name: "sent bytes",
        show: |outcome| format!("{}, {}", megabytes(outcome.sent as u64), outcome.ended),
        figure: |outcome| outcome.sent as f64,
    },
    Line {
        title: "resident memory before → peak → after",
        name: "peak bytes",
        show: |outcome| {
            let [before, peak, after] = outcome.memory.map(megabytes);
            format!("{before} → {peak} → {after}")
        },
        figure: |outcome| outcome.memory[1] as f64,
    },
    Line {
        title: "the others' latency without them, p50 / p99",
        name: "undisturbed p99 µs",
        show: |outcome| pair(outcome.latency[0]),
        figure: |outcome| micros(outcome.latency[0][1]),
    },
    Line {
        title: "the others' latency meanwhile, p50 / p99",
        name: "p99 µs",
        show: |outcome| match outcome.lost {
            0 => pair(outcome.latency[1]),
            lost => format!("{}, {lost} lost", pair(outcome.latency[1])),
        },
        figure: |outcome| micros(outcome.latency[1][1]),
    },
    Line {
        title: "a newcomer's way to CONNACK, p50 / worst",
        name: "newcomer µs",
        show: |outcome| match outcome.refused {
            0 => pair(outcome.newcomer),
            refused => format!("{}, {refused} not served", pair(outcome.newcomer)),
        },
        figure: |outcome| micros(outcome.newcomer[0]),
    },
];
const BEGIN: &str = "<!-- made by `declic bench hostile --write` -->";
const END: &str = "<!-- end of what it made about hostile clients -->";
