//! Tables of what was measured: for people, for the documents, for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::peer::Kind;
use super::rows::{Aim, Row, Sample, thousands};
use crate::commands::bench::failed;
use crate::error::Error;
use crate::json::Object;

/// What was measured.
#[derive(Debug, Default)]
pub struct Results {
    samples: BTreeMap<(Row, Kind), Vec<Sample>>,
    /// Rows with a picture.
    pub plotted: Vec<Row>,
}

impl Results {
    pub fn add(&mut self, row: Row, kind: Kind, sample: Sample) {
        self.samples.entry((row, kind)).or_default().push(sample);
    }

    fn rows(&self) -> impl Iterator<Item = Row> {
        let measured = |row: &Row| self.samples.keys().any(|(one, _)| one == row);
        Row::ALL.into_iter().filter(measured)
    }

    /// The median of a figure over all rounds.
    fn value(&self, row: Row, kind: Kind, figure: usize) -> Option<f64> {
        let samples = self.samples.get(&(row, kind))?;
        median(
            samples
                .iter()
                .filter_map(|sample| sample.values.get(figure).copied()),
        )
    }

    fn busy(&self, row: Row, kind: Kind) -> Option<f64> {
        let samples = self.samples.get(&(row, kind))?;
        median(samples.iter().filter_map(|sample| sample.busy))
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The results with what is to be said about them.
pub struct Report<'a> {
    pub results: &'a Results,
    pub kinds: &'a [Kind],
    pub machine: String,
    /// Connections that there could be.
    pub connections: usize,
}

impl Report<'_> {
    /// The table in Markdown.
    pub fn table(&self) -> String {
        let ratio = self.kinds.contains(&Kind::Mosquitto);
        let mut text = String::from("| work |");
        for kind in self.kinds {
            let _ = write!(text, " {} |", kind.name());
        }
        let _ = write!(
            text,
            "{}\n|---|",
            if ratio {
                " declic / Mosquitto | aim |"
            } else {
                ""
            }
        );
        text.push_str(&"---|".repeat(self.kinds.len() + if ratio { 2 } else { 0 }));
        for row in self.results.rows() {
            for (index, figure) in row.figures().iter().enumerate() {
                let _ = write!(text, "\n| {} |", figure.title);
                for &kind in self.kinds {
                    let value = self.results.value(row, kind, index);
                    let value = value.map_or("–".to_owned(), |value| figure.unit.format(value));
                    let _ = write!(text, " {value}{} |", self.mark(row, kind, index));
                }
                if ratio {
                    let ratio = self.ratio(row, index);
                    let shown = ratio.map_or("–".to_owned(), format_ratio);
                    let aim = figure.aim.text(figure.unit);
                    let met = match self.is_met(row, index) {
                        Some(true) => ", met",
                        Some(false) => ", **missed**",
                        None => "",
                    };
                    let _ = write!(text, " {shown} | {aim}{met} |");
                }
            }
        }
        text
    }

    /// A sign where the broker had time left: the generator, on its own core, gave all it had.
    fn mark(&self, row: Row, kind: Kind, figure: usize) -> &'static str {
        match self.results.busy(row, kind) {
            Some(busy) if figure == 0 && busy < BUSY => "\u{a0}*",
            _ => "",
        }
    }

    fn ratio(&self, row: Row, figure: usize) -> Option<f64> {
        let of = |kind| self.results.value(row, kind, figure);
        let (ours, theirs) = (of(Kind::Declic)?, of(Kind::Mosquitto)?);
        (theirs > 0.0).then(|| ours / theirs)
    }

    fn is_met(&self, row: Row, index: usize) -> Option<bool> {
        let ours = self.results.value(row, Kind::Declic, index);
        row.figures()[index]
            .aim
            .is_met(ours, self.ratio(row, index))
    }

    /// An object for each figure.
    pub fn json(&self) -> Vec<String> {
        let mut objects = Vec::new();
        for row in self.results.rows() {
            for (index, figure) in row.figures().iter().enumerate() {
                let mut object = Object::new()
                    .text("row", row.slug())
                    .text("figure", figure.title)
                    .text("unit", &format!("{:?}", figure.unit));
                for &kind in self.kinds {
                    if let Some(value) = self.results.value(row, kind, index) {
                        object = object.raw(kind.name(), value);
                    }
                    if let Some(busy) = self.results.busy(row, kind) {
                        object = object.raw(&format!("{} busy", kind.name()), busy);
                    }
                }
                if let Some(ratio) = self.ratio(row, index) {
                    object = object.raw("ratio", ratio);
                }
                objects.push(object.to_string());
            }
        }
        objects
    }

    /// Puts tables and pictures into a page, between [`BEGIN`] and [`END`].
    pub fn write_into(&self, page: &Path) -> Result<(), Error> {
        write_between(page, BEGIN, END, &self.section())
    }

    fn section(&self) -> String {
        let mut text = format!("Measured on {}.\n\n{}\n", self.machine, self.table());
        if self.results.rows().any(|row| {
            self.kinds
                .iter()
                .any(|kind| !self.mark(row, *kind, 0).is_empty())
        }) {
            text.push_str(
                "\n\\* The broker's process had more than a tenth of its time left: there the \
                 generator, or the system, is the limit, and the broker may be faster.\n",
            );
        }
        if self.connections < 50_000 && self.results.rows().any(|row| row == Row::Idle) {
            let _ = write!(
                text,
                "\nA process could open no more files there: {} connections instead of 50,000.\n",
                thousands(self.connections as f64)
            );
        }
        let missed = self.missed();
        if !missed.is_empty() {
            let _ = write!(text, "\nMissed in this run: {}.\n", missed.join("; "));
        }
        for row in &self.results.plotted {
            let (title, slug) = (row.figures()[0].title, row.slug());
            let _ = write!(
                text,
                "\n![{title}: how it grows](images/broker-{slug}.svg)\n"
            );
        }
        text
    }

    fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        for row in self.results.rows() {
            for (index, figure) in row.figures().iter().enumerate() {
                if self.is_met(row, index) != Some(false) {
                    continue;
                }
                let shown = match figure.aim {
                    Aim::Below(_) => {
                        let ours = self.results.value(row, Kind::Declic, index);
                        ours.map_or("–".to_owned(), |value| figure.unit.format(value))
                    }
                    _ => self.ratio(row, index).map_or("–".to_owned(), format_ratio),
                };
                let aim = figure.aim.text(figure.unit);
                missed.push(format!("{} ({shown}; aim {aim})", figure.title));
            }
        }
        missed
    }
}

/// Puts `text` into a page, between the lines `begin` and `end`.
pub fn write_between(page: &Path, begin: &str, end: &str, text: &str) -> Result<(), Error> {
    let name = page.display().to_string();
    let old = fs::read_to_string(page).map_err(|error| failed(&name, error))?;
    let parts = old
        .split_once(begin)
        .and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
    let Some((before, after)) = parts else {
        return Err(failed(&name, format_args!("no lines {begin} and {end}")));
    };
    let text = format!("{before}{begin}\n\n{text}\n{end}{after}");
    fs::write(page, text).map_err(|error| failed(&name, error))
}

pub fn format_ratio(ratio: f64) -> String {
    if ratio < 10.0 {
        format!("{ratio:.2}")
    } else {
        format!("{ratio:.1}")
    }
}

/// A broker that ran for a smaller part of the time was not the limit.
const BUSY: f64 = 0.9;
const BEGIN: &str = "<!-- made by `declic bench broker --write` -->";
const END: &str = "<!-- end of what it made -->";
