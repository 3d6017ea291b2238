//! The kinds of work that are measured, and what is aimed at.

use std::io;
use std::time::Duration;

use declic_mqtt::QoS;

use super::load::flow::Flow;
use super::load::{churn, idle, latency, subscriptions};
use super::peer::{Kind, Peer};
use crate::commands::bench::percentile;

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Row {
    /// 1 publisher, 1 subscriber, QoS 0
    OneToOne,
    /// 10 publishers, 10 subscribers, each pair on a topic of its own, QoS 1
    Pairs,
    /// 1 publisher, 1 subscriber, QoS 2
    Qos2,
    /// 1 publisher, 1,000 subscribers, QoS 0
    FanOut,
    /// 1,000 publishers, 1 subscriber, QoS 0
    FanIn,
    /// 1,000 messages a second, QoS 1
    Latency,
    /// Clients that connect, are accepted and leave
    Connect,
    /// Connections that do nothing
    Idle,
    /// A million subscriptions with mixed wildcards
    Subscriptions,
}

/// What a ratio to Mosquitto shall be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aim {
    AtLeast(f64),
    AtMost(f64),
    /// Only to be stated.
    None,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    PerSecond,
    Micros,
    Bytes,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    pub title: &'static str,
    pub unit: Unit,
    pub aim: Aim,
}

/// One measurement of a row: a value for each of its figures.
#[derive(Debug, Clone)]
pub struct Sample {
    pub values: Vec<f64>,
    /// How much of the time the broker was running, 0 to 1, where it is a matter of speed.
    pub busy: Option<f64>,
}

/// How a row is measured.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub time: Duration,
    /// Bytes of a message.
    pub payload: usize,
    /// Instead of the row's own number of publishers or subscribers, pairs, connections or
    /// subscriptions.
    pub scale: Option<usize>,
    /// Instead of the row's own limit of undelivered messages.
    pub window: Option<usize>,
    /// Connections that there may be.
    pub connections: usize,
}

impl Row {
    pub const ALL: [Self; 9] = [
        Self::OneToOne,
        Self::Pairs,
        Self::Qos2,
        Self::FanOut,
        Self::FanIn,
        Self::Latency,
        Self::Connect,
        Self::Idle,
        Self::Subscriptions,
    ];

    /// Its name in files and on the command line.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::OneToOne => "one-to-one",
            Self::Pairs => "pairs",
            Self::Qos2 => "qos2",
            Self::FanOut => "fan-out",
            Self::FanIn => "fan-in",
            Self::Latency => "latency",
            Self::Connect => "connect",
            Self::Idle => "idle",
            Self::Subscriptions => "subscriptions",
        }
    }

    /// Its figures, in the order of [`Sample::values`].
    pub const fn figures(self) -> &'static [Figure] {
        match self {
            Self::OneToOne => {
                const {
                    &[
                        figure("1 → 1, QoS 0", Unit::PerSecond, Aim::AtLeast(10.0)),
                        figure("CPU for a delivery, QoS 0", Unit::Micros, Aim::AtMost(0.1)),
                    ]
                }
            }
            Self::Pairs => {
                const {
                    &[
                        figure("10 → 10, QoS 1", Unit::PerSecond, Aim::AtLeast(6.0)),
                        figure("CPU for a delivery, QoS 1", Unit::Micros, Aim::AtMost(0.15)),
                    ]
                }
            }
            Self::Qos2 => {
                const {
                    &[
                        figure("1 → 1, QoS 2", Unit::PerSecond, Aim::AtLeast(6.0)),
                        figure("CPU for a delivery, QoS 2", Unit::Micros, Aim::AtMost(0.15)),
                    ]
                }
            }
            Self::FanOut => {
                const {
                    &[
                        figure("1 → 1,000, QoS 0", Unit::PerSecond, Aim::AtLeast(12.0)),
                        figure("its CPU for a delivery", Unit::Micros, Aim::None),
                    ]
                }
            }
            Self::FanIn => {
                const {
                    &[
                        figure("1,000 → 1, QoS 0", Unit::PerSecond, Aim::AtLeast(8.0)),
                        figure("its CPU for a delivery", Unit::Micros, Aim::None),
                    ]
                }
            }
            Self::Latency => {
                const {
                    &[
                        figure(
                            "latency at 1,000/s, QoS 1, p50",
                            Unit::Micros,
                            Aim::AtMost(0.7),
                        ),
                        figure(
                            "latency at 1,000/s, QoS 1, p99",
                            Unit::Micros,
                            Aim::AtMost(0.7),
                        ),
                    ]
                }
            }
            Self::Connect => {
                const {
                    &[
                        figure(
                            "connect, CONNACK, disconnect",
                            Unit::PerSecond,
                            Aim::AtLeast(2.0),
                        ),
                        figure("its CPU", Unit::Micros, Aim::AtMost(0.5)),
                    ]
                }
            }
            Self::Idle => {
                const {
                    &[
                        figure(
                            "memory of an idle connection, of 10,000",
                            Unit::Bytes,
                            Aim::None,
                        ),
                        figure(
                            "memory of an idle connection, of 50,000",
                            Unit::Bytes,
                            Aim::None,
                        ),
                    ]
                }
            }
            Self::Subscriptions => {
                const {
                    &[
                        figure(
                            "memory of a subscription, of 1,000,000",
                            Unit::Bytes,
                            Aim::AtMost(1.0),
                        ),
                        figure("CPU for a new topic among 1,000", Unit::Micros, Aim::None),
                        figure(
                            "CPU for a new topic among 1,000,000",
                            Unit::Micros,
                            Aim::None,
                        ),
                    ]
                }
            }
        }
    }

    /// Whether measuring once is enough: it is no matter of speed, or takes long.
    pub const fn is_steady(self) -> bool {
        matches!(self, Self::Idle | Self::Subscriptions)
    }

    /// Whether the relay can do the same.
    pub const fn has_floor(self) -> bool {
        !self.is_steady()
    }

    /// Measures the row's work with a peer that `start` starts.
    pub fn measure(
        self,
        settings: &Settings,
        start: &dyn Fn() -> io::Result<Peer>,
    ) -> io::Result<Sample> {
        let time = settings.time;
        let sample = |measured: super::load::flow::Measured| Sample {
            values: vec![measured.rate, measured.cpu],
            busy: Some(measured.busy),
        };
        if let Some(flow) = self.flow(settings) {
            return flow.measure(&start()?, time).map(sample);
        }
        match self {
            Self::Connect => churn::measure(&start()?, AT_ONCE, time).map(sample),
            Self::Latency => {
                let mut took = latency::measure(&start()?, 1_000, settings.payload, time)?;
                took.sort_unstable();
                let micros = |percent| percentile(&took, percent).as_secs_f64() * 1e6;
                Ok(Sample {
                    values: vec![micros(50), micros(99)],
                    busy: None,
                })
            }
            Self::Idle => {
                let counts = match settings.scale {
                    Some(count) => vec![count],
                    None => vec![10_000, 50_000],
                };
                let mut values = Vec::new();
                for count in counts {
                    values.push(idle::measure(&start()?, count.min(settings.connections))?);
                }
                Ok(Sample { values, busy: None })
            }
            _ => {
                let count = settings.scale.unwrap_or(1_000_000);
                let messages = MESSAGES.min((time.as_secs_f64() * 100_000.0) as usize);
                let few = subscriptions::measure(&start()?, count.min(1_000), messages)?;
                let many = subscriptions::measure(&start()?, count, messages)?;
                Ok(Sample {
                    values: vec![many.memory, few.cpu, many.cpu],
                    busy: None,
                })
            }
        }
    }

    /// The flow of messages, where that is the row's work.
    fn flow(self, settings: &Settings) -> Option<Flow> {
        let scale = |usual| settings.scale.unwrap_or(usual);
        let (publishers, subscribers, qos, window) = match self {
            Self::OneToOne => (scale(1), scale(1), QoS::AtMostOnce, 1_000),
            Self::Pairs => (scale(10), scale(10), QoS::AtLeastOnce, 1_000),
            Self::Qos2 => (scale(1), scale(1), QoS::ExactlyOnce, 1_000),
            Self::FanOut => (1, scale(1_000), QoS::AtMostOnce, 20),
            Self::FanIn => (scale(1_000), 1, QoS::AtMostOnce, 20),
            _ => return None,
        };
        Some(Flow {
            publishers,
            subscribers,
            one_topic: matches!(self, Self::FanOut | Self::FanIn),
            qos,
            payload: settings.payload,
            window: settings.window.unwrap_or(window),
            unacknowledged: 200,
        })
    }
}

impl Aim {
    /// Whether `ratio` is what was aimed at; `None` where nothing was.
    pub fn is_met(self, ratio: f64) -> Option<bool> {
        match self {
            Self::AtLeast(aim) => Some(ratio >= aim),
            Self::AtMost(aim) => Some(ratio <= aim),
            Self::None => None,
        }
    }
}

impl Unit {
    /// `value` with its unit, in three digits or so.
    pub fn format(self, value: f64) -> String {
        match self {
            Self::PerSecond => format!("{}/s", thousands(value)),
            Self::Micros if value < 10.0 => format!("{value:.2} µs"),
            Self::Micros => format!("{value:.1} µs"),
            Self::Bytes => format!("{} B", thousands(value)),
        }
    }
}

/// A number in groups of three digits.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

const fn figure(title: &'static str, unit: Unit, aim: Aim) -> Figure {
    Figure { title, unit, aim }
}

/// Whether a growing number of subscriptions beside can be measured with that peer.
pub fn takes_subscriptions(kind: Kind) -> bool {
    kind != Kind::Floor
}

/// Clients that are on their way at the same time.
const AT_ONCE: usize = 50;
/// Messages to new topics.
const MESSAGES: usize = 50_000;
