//! How the figures grow: with messages, connections and subscriptions.

use std::time::Duration;

use super::load::{Line, idle, subscriptions};
use super::peer::{Kind, Storing};
use super::rows::{Row, Settings};
use super::{Bench, progress};
use crate::printer::Printer;

/// A figure over something that grows.
#[derive(Debug)]
pub struct Panel {
    pub title: &'static str,
    /// For each peer, its points.
    pub lines: Vec<(Kind, Vec<(f64, f64)>)>,
}

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growing {
    /// What the row itself has many of.
    Scale,
    /// Connections that do nothing, beside what is measured.
    Connections,
    /// Subscriptions of others.
    Subscriptions,
    /// Bytes of a message.
    Payload,
}

impl Bench {
    /// Measures a row again and again, with more of each thing.
    pub fn growth(&self, row: Row, printer: &Printer) -> Vec<Panel> {
        growing(row)
            .iter()
            .map(|&(growing, title, counts)| Panel {
                title,
                lines: self
                    .kinds
                    .iter()
                    .filter(|kind| row.is_for(**kind))
                    // It takes a millisecond for a connection, and so too long for all this.
                    .filter(|kind| **kind != Kind::Rumqttd)
                    // The relay knows one topic for a client.
                    .filter(|kind| growing != Growing::Subscriptions || **kind != Kind::Floor)
                    .map(|&kind| {
                        progress(format_args!("{}, {title}, {}", row.slug(), kind.name()));
                        let points = counts
                            .iter()
                            .filter_map(|&count| {
                                let value = self.point(row, kind, growing, count, printer)?;
                                Some((count as f64, value))
                            })
                            .collect();
                        (kind, points)
                    })
                    .collect(),
            })
            .collect()
    }

    fn point(
        &self,
        row: Row,
        kind: Kind,
        growing: Growing,
        count: usize,
        printer: &Printer,
    ) -> Option<f64> {
        let mut settings = Settings {
            time: self.settings.time.min(POINT),
            ..self.settings
        };
        match growing {
            Growing::Scale => settings.scale = Some(count.min(self.settings.connections)),
            Growing::Payload => settings.payload = count,
            Growing::Connections | Growing::Subscriptions => {}
        }
        let beside: std::cell::RefCell<Vec<Line>> = std::cell::RefCell::default();
        let start = |storing: Storing<'_>| {
            let peer = self.programs.start(kind, storing)?;
            *beside.borrow_mut() = match growing {
                Growing::Connections => idle::beside(&peer, count)?,
                Growing::Subscriptions => subscriptions::beside(&peer, count)?,
                Growing::Scale | Growing::Payload => Vec::new(),
            };
            Ok(peer)
        };
        match row.measure(&settings, &start) {
            // Of the subscriptions, what a message costs among all of them.
            Ok(sample) if row == Row::Subscriptions => sample.values.last().copied(),
            Ok(sample) => sample.values.first().copied(),
            Err(error) => {
                progress(format_args!(""));
                printer.note(format_args!(
                    "{} with {count}, {}: {error}",
                    row.slug(),
                    kind.name()
                ));
                None
            }
        }
    }
}

type Axis = (Growing, &'static str, &'static [usize]);

fn growing(row: Row) -> &'static [Axis] {
    const PAYLOAD: Axis = (
        Growing::Payload,
        "bytes of a message",
        &[16, 256, 4_096, 65_536],
    );
    const SUBSCRIPTIONS: Axis = (
        Growing::Subscriptions,
        "subscriptions of others",
        &[1, 1_000, 100_000],
    );
    const CONNECTIONS: Axis = (
        Growing::Connections,
        "idle connections beside",
        &[1, 100, 10_000],
    );
    match row {
        Row::OneToOne | Row::Pairs | Row::Qos2 => &[
            (Growing::Scale, "pairs", &[1, 10, 100, 1_000]),
            SUBSCRIPTIONS,
            PAYLOAD,
        ],
        Row::FanOut => &[
            (Growing::Scale, "subscribers", &[1, 10, 100, 1_000]),
            SUBSCRIPTIONS,
            PAYLOAD,
        ],
        Row::FanIn => &[
            (Growing::Scale, "publishers", &[1, 10, 100, 1_000]),
            SUBSCRIPTIONS,
            PAYLOAD,
        ],
        Row::Latency => &[CONNECTIONS, SUBSCRIPTIONS, PAYLOAD],
        Row::Connect => &[CONNECTIONS, SUBSCRIPTIONS],
        Row::Idle => &[(Growing::Scale, "connections", &[100, 1_000, 10_000, 50_000])],
        Row::Subscriptions => &[(
            Growing::Scale,
            "subscriptions",
            &[1_000, 10_000, 100_000, 1_000_000],
        )],
        Row::Durable => &[(Growing::Scale, "pairs", &[1, 10, 100]), PAYLOAD],
        Row::Restart => &[(
            Growing::Scale,
            "retained messages",
            &[1_000, 10_000, 100_000],
        )],
    }
}

/// Longest time for one point.
const POINT: Duration = Duration::from_millis(250);
