//! The kinds of work that are measured, and what is aimed at.

use std::io;
use std::time::Duration;

use declic_mqtt::QoS;

use super::load::flow::{Flow, Measured};
use super::load::{churn, idle, latency, retained, subscriptions};
use super::peer::{Folder, Kind, Peer, Storing};
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
    /// 10 publishers, 10 subscribers with lasting sessions, QoS 1, each message on the disk
    Durable,
    /// A start with a million retained messages on the disk
    Restart,
}

/// What a ratio to Mosquitto shall be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aim {
    AtLeast(f64),
    AtMost(f64),
    /// Not a ratio: what ours shall be at most.
    Below(f64),
    /// Only to be stated.
    None,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    PerSecond,
    Micros,
    Seconds,
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
    pub const ALL: [Self; 11] = [
        Self::OneToOne,
        Self::Pairs,
        Self::Qos2,
        Self::FanOut,
        Self::FanIn,
        Self::Latency,
        Self::Connect,
        Self::Idle,
        Self::Subscriptions,
        Self::Durable,
        Self::Restart,
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
            Self::Durable => "durable",
            Self::Restart => "restart",
        }
    }

    /// Its figures, in the order of [`Sample::values`].
    pub const fn figures(self) -> &'static [Figure] {
        match self {
            Self::OneToOne => &ONE_TO_ONE,
            Self::Pairs => &PAIRS,
            Self::Qos2 => &QOS_2,
            Self::FanOut => &FAN_OUT,
            Self::FanIn => &FAN_IN,
            Self::Latency => &LATENCY,
            Self::Connect => &CONNECT,
            Self::Idle => &IDLE,
            Self::Subscriptions => &SUBSCRIPTIONS,
            Self::Durable => &DURABLE,
            Self::Restart => &RESTART,
        }
    }

    /// Whether measuring once is enough: it is no matter of speed, or takes long.
    pub const fn is_steady(self) -> bool {
        matches!(self, Self::Idle | Self::Subscriptions | Self::Restart)
    }

    /// Whether `kind` can do that at all.
    pub const fn is_for(self, kind: Kind) -> bool {
        match self {
            Self::Subscriptions | Self::Durable | Self::Restart => {
                matches!(kind, Kind::Mosquitto | Kind::Declic)
            }
            Self::Idle => !matches!(kind, Kind::Floor),
            _ => true,
        }
    }

    /// Measures the row's work with peers that `start` starts.
    pub fn measure(
        self,
        settings: &Settings,
        start: &dyn Fn(Storing<'_>) -> io::Result<Peer>,
    ) -> io::Result<Sample> {
        let time = settings.time;
        let in_memory = || start(Storing::Nothing);
        let sample = |measured: Measured| Sample {
            values: vec![measured.rate, measured.cpu],
            busy: Some(measured.busy),
        };
        let only = |values| Sample { values, busy: None };
        if let Some(flow) = self.flow(settings) {
            if self != Self::Durable {
                return flow.measure(&in_memory()?, time).map(sample);
            }
            let folder = Folder::new()?;
            let stored = flow.measure(&start(Storing::EachMessage(folder.path()))?, time)?;
            let kept = flow.measure(&in_memory()?, time)?;
            return Ok(only(vec![stored.rate, kept.rate]));
        }
        match self {
            Self::Connect => churn::measure(&in_memory()?, AT_ONCE, time).map(sample),
            Self::Latency => {
                let mut took = latency::measure(&in_memory()?, 1_000, settings.payload, time)?;
                took.sort_unstable();
                let micros = |percent| percentile(&took, percent).as_secs_f64() * 1e6;
                Ok(only(vec![micros(50), micros(99)]))
            }
            Self::Idle => {
                let counts = match settings.scale {
                    Some(count) => vec![count],
                    None => vec![10_000, 50_000],
                };
                let mut values = Vec::new();
                for count in counts {
                    values.push(idle::measure(
                        &in_memory()?,
                        count.min(settings.connections),
                    )?);
                }
                Ok(only(values))
            }
            Self::Restart => {
                let count = settings.scale.unwrap_or(1_000_000);
                let took = retained::measure(count, settings.payload, start)?;
                Ok(only(vec![took.as_secs_f64()]))
            }
            _ => {
                let count = settings.scale.unwrap_or(1_000_000);
                let messages = MESSAGES.min((time.as_secs_f64() * 100_000.0) as usize);
                let few = subscriptions::measure(&in_memory()?, count.min(1_000), messages)?;
                let many = subscriptions::measure(&in_memory()?, count, messages)?;
                Ok(only(vec![many.memory, few.cpu, many.cpu]))
            }
        }
    }

    /// The flow of messages, where that is the row's work.
    fn flow(self, settings: &Settings) -> Option<Flow> {
        let scale = |usual| settings.scale.unwrap_or(usual);
        let (publishers, subscribers, qos, window) = match self {
            Self::OneToOne => (scale(1), scale(1), QoS::AtMostOnce, 1_000),
            Self::Pairs | Self::Durable => (scale(10), scale(10), QoS::AtLeastOnce, 1_000),
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
            lasting: self == Self::Durable,
        })
    }
}

impl Aim {
    /// Whether what was aimed at is reached; `None` where nothing was, or it is not known.
    pub fn is_met(self, ours: Option<f64>, ratio: Option<f64>) -> Option<bool> {
        match self {
            Self::AtLeast(aim) => ratio.map(|ratio| ratio >= aim),
            Self::AtMost(aim) => ratio.map(|ratio| ratio <= aim),
            Self::Below(aim) => ours.map(|ours| ours <= aim),
            Self::None => None,
        }
    }

    /// As in a table; empty where nothing is aimed at.
    pub fn text(self, unit: Unit) -> String {
        match self {
            Self::AtLeast(aim) => format!("≥ {aim}"),
            Self::AtMost(aim) => format!("≤ {aim}"),
            Self::Below(aim) => format!("≤ {}", unit.format(aim)),
            Self::None => String::new(),
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
            Self::Seconds => format!("{value:.2} s"),
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

const fn rate(title: &'static str, aim: Aim) -> Figure {
    let unit = Unit::PerSecond;
    Figure { title, unit, aim }
}

const fn micros(title: &'static str, aim: Aim) -> Figure {
    let unit = Unit::Micros;
    Figure { title, unit, aim }
}

const fn bytes(title: &'static str, aim: Aim) -> Figure {
    let unit = Unit::Bytes;
    Figure { title, unit, aim }
}

const ONE_TO_ONE: [Figure; 2] = [
    rate("1 → 1, QoS 0", Aim::AtLeast(10.0)),
    micros("CPU for a delivery, QoS 0", Aim::AtMost(0.1)),
];
const PAIRS: [Figure; 2] = [
    rate("10 → 10, QoS 1", Aim::AtLeast(6.0)),
    micros("CPU for a delivery, QoS 1", Aim::AtMost(0.15)),
];
const QOS_2: [Figure; 2] = [
    rate("1 → 1, QoS 2", Aim::AtLeast(6.0)),
    micros("CPU for a delivery, QoS 2", Aim::AtMost(0.15)),
];
const FAN_OUT: [Figure; 2] = [
    rate("1 → 1,000, QoS 0", Aim::AtLeast(12.0)),
    micros("its CPU for a delivery", Aim::None),
];
const FAN_IN: [Figure; 2] = [
    rate("1,000 → 1, QoS 0", Aim::AtLeast(8.0)),
    micros("its CPU for a delivery", Aim::None),
];
const LATENCY: [Figure; 2] = [
    micros("latency at 1,000/s, QoS 1, p50", Aim::AtMost(0.7)),
    micros("latency at 1,000/s, QoS 1, p99", Aim::AtMost(0.7)),
];
const CONNECT: [Figure; 2] = [
    rate("connect, CONNACK, disconnect", Aim::AtLeast(2.0)),
    micros("its CPU", Aim::AtMost(0.5)),
];
const IDLE: [Figure; 2] = [
    bytes("memory of an idle connection, of 10,000", Aim::Below(600.0)),
    bytes("memory of an idle connection, of 50,000", Aim::Below(600.0)),
];
const SUBSCRIPTIONS: [Figure; 3] = [
    bytes("memory of a subscription, of 1,000,000", Aim::AtMost(1.0)),
    micros("CPU for a new topic among 1,000 filters", Aim::None),
    micros("CPU for a new topic among 1,000,000 filters", Aim::None),
];
const DURABLE: [Figure; 2] = [
    rate(
        "10 → 10, QoS 1, lasting sessions, on the disk before each acknowledgement",
        Aim::AtLeast(5.0),
    ),
    rate("the same in memory only", Aim::None),
];
const RESTART: [Figure; 1] = [Figure {
    title: "start with 1,000,000 retained messages on the disk",
    unit: Unit::Seconds,
    aim: Aim::None,
}];

/// Clients that are on their way at the same time.
const AT_ONCE: usize = 50;
/// Messages to new topics.
const MESSAGES: usize = 50_000;
