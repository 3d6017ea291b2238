//! `declic bench press`: from a press on one board to the light of another.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use declic_board::{BoardId, Notice, Settings};

use super::route::{Broker, Mosquitto, Route};
use super::{failed, percentile, progress, relay::Relay};
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::host::{Host, News, Report};
use crate::printer::Printer;

/// Measure the time from a press to the light
///
/// Two boards, each with a thread and a socket of its own, over loopback; QoS 1, one press at a
/// time. Debouncing is left out. Three ways in turn, round by round: a relay that only copies
/// bytes from one board to the other, which is the least that anything between them can take; the
/// broker of this program; and Mosquitto, where it is installed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many rounds; each measures all three ways
    #[arg(long, default_value_t = 20)]
    rounds: u32,

    /// How many presses in a round, each way
    #[arg(long, default_value_t = 500)]
    presses: u32,

    /// The Mosquitto to compare with; without it, one is looked for on the PATH
    #[arg(long, value_name = "FILE")]
    mosquitto: Option<PathBuf>,
}

/// Measures and prints a table.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let mut routes: Vec<Box<dyn Route>> = vec![Box::new(Relay), Box::new(Broker::start()?)];
    match Mosquitto::start(args.mosquitto.as_deref())? {
        Some(mosquitto) => routes.push(Box::new(mosquitto)),
        None => printer.note("Mosquitto is not installed; its row is left out"),
    }
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); routes.len()];
    for round in 1..=args.rounds {
        progress(format_args!("round {round} of {}", args.rounds));
        for (route, times) in routes.iter().zip(&mut times) {
            let mut pair = Pair::connect(route.open()?, route.name())?;
            // The first ones warm up what they pass through.
            for _ in 0..WARM_UP {
                pair.press()?;
            }
            for _ in 0..args.presses {
                times.push(pair.press()?);
                // Until the acknowledgement is home too.
                thread::sleep(PAUSE);
            }
            pair.stop();
        }
    }
    progress(format_args!(""));
    printer.line("| press to light, QoS 1 | p50 | p99 | p50 / relay | p50 / Mosquitto |")?;
    printer.line("|---|---|---|---|---|")?;
    let micros = |time: Duration| time.as_nanos() as f64 / 1_000.0;
    let medians: Vec<f64> = times
        .iter_mut()
        .map(|times| {
            times.sort_unstable();
            micros(percentile(times, 50))
        })
        .collect();
    for (index, route) in routes.iter().enumerate() {
        let median = medians[index];
        let to_mosquitto = medians.get(2).map_or_else(String::new, |mosquitto| {
            format!("{:.2}", median / mosquitto)
        });
        printer.line(format_args!(
            "| {} | {median:.1} µs | {:.1} µs | {:.2} | {to_mosquitto} |",
            route.name(),
            micros(percentile(&times[index], 99)),
            median / medians[0],
        ))?;
    }
    Ok(ExitCode::Success)
}

/// A publisher and a subscriber on the same route.
struct Pair {
    publisher: Host,
    subscriber: Host,
    reports: Receiver<(Side, Report)>,
    route: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Publisher,
    Subscriber,
}

impl Pair {
    fn connect(address: SocketAddr, route: &'static str) -> Result<Self, Error> {
        let (sender, reports) = mpsc::channel();
        let start = |side: Side| {
            let role = match side {
                Side::Publisher => "publisher",
                Side::Subscriber => "subscriber",
            };
            let settings = settings(address, role)?;
            let sender = sender.clone();
            let id = BoardId::new([2, 0, 0, 0, 0, side as u8]);
            Host::start(id, settings, move |report| {
                let _ = sender.send((side, report));
            })
            .map_err(|error| failed("a board does not start", error))
        };
        let (publisher, subscriber) = (start(Side::Publisher)?, start(Side::Subscriber)?);
        let mut pair = Self {
            publisher,
            subscriber,
            reports,
            route,
        };
        let mut subscribed = 0;
        while subscribed < 2 {
            let (_, report) = pair.next()?;
            subscribed += u32::from(matches!(report.news, News::Notice(Notice::Subscribed)));
        }
        Ok(pair)
    }

    /// Presses, and waits for the light to change.
    fn press(&mut self) -> Result<Duration, Error> {
        self.publisher.press();
        let mut pressed: Option<Instant> = None;
        loop {
            let (side, report) = self.next()?;
            match (side, &report.news) {
                (Side::Publisher, News::Notice(Notice::Pressed { .. })) => {
                    pressed = Some(report.at);
                }
                (Side::Subscriber, News::Notice(Notice::Light(_))) => {
                    if let Some(pressed) = pressed {
                        return Ok(report.at.duration_since(pressed));
                    }
                }
                _ => {}
            }
        }
    }

    fn stop(self) {
        self.publisher.join();
        self.subscriber.join();
    }

    fn next(&mut self) -> Result<(Side, Report), Error> {
        self.reports
            .recv_timeout(PATIENCE)
            .map_err(|_| failed(self.route, "nothing came for 10 s"))
    }
}

/// Settings of a board that sends nothing but its presses.
fn settings(address: SocketAddr, role: &str) -> Result<Settings, Error> {
    let mut settings = Settings::default();
    let port = address.port().to_string();
    for (key, value) in [
        ("broker", address.ip().to_string().as_str()),
        ("port", &port),
        ("role", role),
        ("topics", "none"),
        ("retain", "off"),
        ("keep-alive", "0"),
        ("mqtt", "5"),
    ] {
        settings
            .set(key, value)
            .map_err(|error| failed("the boards' settings", error))?;
    }
    Ok(settings)
}

/// Between two presses.
const PAUSE: Duration = Duration::from_micros(500);

const WARM_UP: u32 = 50;

/// How long to wait for something that takes microseconds.
const PATIENCE: Duration = Duration::from_secs(10);
