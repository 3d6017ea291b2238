//! `declic bench hostile`: what clients that mean harm do to a broker, and to its other clients.

mod attack;
mod report;
mod rows;
mod service;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use declic_broker::Limits;

use super::broker::machine::{self, Cores};
use super::broker::peer::{Kind, Peer, Programs, Storing};
use super::{failed, percentile, progress};
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::open_files;
use crate::printer::Printer;
use attack::Attack;
use report::Report;
use rows::Row;
use service::Service;

/// Measure what hostile clients do to the broker and to its other clients, beside Mosquitto
///
/// Each broker is a process of its own with its default limits, started afresh for each kind of
/// hostile clients. Meanwhile a client publishes 200 messages a second with QoS 1 to another, and
/// newcomers connect: their service with and without hostile clients is compared, and the broker's
/// resident memory before, at its peak, and when they have left.
///
/// The hostile clients are one thread on the core of the measuring ones, which go first; the broker
/// is kept on another. The command fails when our broker loses a message of the others, or takes
/// more memory than its limits allow.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Measure only this; may be given several times
    #[arg(long, value_enum, value_name = "ROW")]
    row: Vec<Row>,

    /// Measure only this broker, `mosquitto` or `declic`; may be given several times
    #[arg(long, value_enum, value_name = "PEER")]
    peer: Vec<Kind>,

    /// How long the hostile clients go on once all are there, in seconds
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    seconds: f64,

    /// How many hostile clients there are, instead of the row's own number
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    scale: Option<u32>,

    /// Write the table into this page, between the lines that mark its place
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,

    /// The `declic` whose broker is measured, instead of this one: an earlier build, for example
    #[arg(long, value_name = "FILE")]
    declic: Option<PathBuf>,

    /// The Mosquitto to compare with; without it, one is looked for on the PATH
    #[arg(long, value_name = "FILE")]
    mosquitto: Option<PathBuf>,

    /// Print figures as objects of JSON
    #[arg(long)]
    json: bool,
}

/// What was measured of one broker with one kind of hostile clients.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Hostile clients.
    pub count: usize,
    /// Connections of theirs that the broker ended, or did not take.
    pub ended: usize,
    /// Bytes that they sent, where they flood.
    pub sent: usize,
    /// Bytes of resident memory: before, at the peak, after they had left.
    pub memory: [u64; 3],
    /// How long the others' messages took, 50th and 99th percentile: before, and meanwhile.
    pub latency: [[Duration; 2]; 2],
    /// Messages of the others that were sent meanwhile, and how many of them never arrived.
    pub messages: usize,
    pub lost: usize,
    /// How long newcomers took until their CONNACK: median and worst; and how many got none.
    pub newcomer: [Duration; 2],
    pub refused: usize,
}

/// Measures and prints a table.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let printer = &printer.with_json(args.json);
    let time =
        Duration::try_from_secs_f64(args.seconds).map_err(|error| failed("--seconds", error))?;
    let description = machine::description();
    let open_files = open_files::allow_most();
    let cores = Cores::take();
    if !cores.are_apart() {
        printer.note("there is only one core: the clients and the brokers share it");
    }
    let (declic, mosquitto) = (args.declic.as_deref(), args.mosquitto.as_deref());
    let programs = Programs::find(declic, mosquitto, None, cores)
        .map_err(|error| failed("this program can't be found", error))?;
    let kinds = programs.among(&[Kind::Mosquitto, Kind::Declic], &args.peer, printer);
    let mut report = Report::new(description, kinds);
    for row in Row::ALL {
        if !args.row.is_empty() && !args.row.contains(&row) {
            continue;
        }
        let wanted = args.scale.map_or(row.count(), |count| count as usize);
        // A few are for other things.
        let count = wanted.min(open_files.saturating_sub(100));
        if count < wanted {
            printer.note(format_args!(
                "{}: {count} instead of {wanted}, since a process may open {open_files} files",
                row.slug()
            ));
        }
        for kind in report.kinds.clone() {
            progress(format_args!("{}, {}", row.slug(), kind.name()));
            let measured = programs
                .start(kind, Storing::AsItComes)
                .and_then(|peer| measure(row, &peer, count, time));
            match measured {
                Ok(outcome) => report.add(row, kind, outcome),
                Err(error) if kind == Kind::Declic => return Err(failed(row.slug(), error)),
                Err(error) => {
                    progress(format_args!(""));
                    printer.note(format_args!("{}, {}: {error}", row.slug(), kind.name()));
                }
            }
        }
    }
    progress(format_args!(""));
    if args.json {
        for object in report.json() {
            printer.line(object)?;
        }
    } else {
        printer.line(report.table())?;
    }
    if let Some(page) = &args.write {
        report.write_into(page)?;
    }
    match report.failures().as_slice() {
        [] => Ok(ExitCode::Success),
        failures => Err(Error::new(ExitCode::Failure, failures.join("; "))),
    }
}

fn measure(row: Row, peer: &Peer, count: usize, time: Duration) -> io::Result<Outcome> {
    let mut service = Service::start(peer.address)?;
    // What is only made for the first is no part of the price.
    let began = Instant::now();
    service.serve(|| Ok(began.elapsed() >= time / 10))?;
    let (before, _) = peer.resident()?;
    let began = Instant::now();
    let (undisturbed, _) = service.serve(|| Ok(began.elapsed() >= time))?;

    let attack = Attack::new(peer.address, count);
    let stop_newcomers = AtomicBool::new(false);
    let (served, attacked, newcomers) = thread::scope(|scope| {
        let hostile = scope.spawn(|| row.attack(&attack));
        let newcomers = scope.spawn(|| service::newcomers(peer.address, &stop_newcomers));
        let begun = Instant::now();
        let mut ready_at = None;
        let served = service.serve(|| {
            if ready_at.is_none() && attack.is_ready.load(Ordering::Relaxed) {
                ready_at = Some(Instant::now());
            }
            Ok(hostile.is_finished()
                || ready_at.is_some_and(|at| at.elapsed() >= time)
                || begun.elapsed() >= time + LONGEST)
        });
        stop_newcomers.store(true, Ordering::Relaxed);
        // They have to have been served while the others were still there.
        let newcomers = newcomers.join();
        attack.stop.store(true, Ordering::Relaxed);
        (served, hostile.join(), newcomers)
    });
    let panicked = |_| io::Error::other("a client's thread failed");
    let (took, lost) = served?;
    attacked.map_err(panicked)??;
    let (mut connected, refused) = newcomers.map_err(panicked)?;
    connected.sort_unstable();

    let after = settled(peer)?;
    let (_, peak) = peer.resident()?;
    Ok(Outcome {
        count,
        ended: attack.ended.load(Ordering::Relaxed),
        sent: attack.sent.load(Ordering::Relaxed),
        memory: [before, peak, after],
        latency: [percentiles(undisturbed), percentiles(took.clone())],
        messages: took.len() + lost,
        lost,
        newcomer: [percentile(&connected, 50), percentile(&connected, 100)],
        refused,
    })
}

fn percentiles(mut took: Vec<Duration>) -> [Duration; 2] {
    took.sort_unstable();
    [percentile(&took, 50), percentile(&took, 99)]
}

/// The broker's resident memory once it has not changed for a while.
fn settled(peer: &Peer) -> io::Result<u64> {
    let mut memory = peer.resident()?.0;
    let (begun, mut since) = (Instant::now(), Instant::now());
    while since.elapsed() < CALM && begun.elapsed() < LONGEST {
        thread::sleep(CALM / 10);
        let (now, _) = peer.resident()?;
        if now != memory {
            (memory, since) = (now, Instant::now());
        }
    }
    Ok(memory)
}

/// What our broker may take for hostile clients on top of what it had.
fn bound(row: Row, count: usize) -> u64 {
    row.bound(&Limits::default(), count)
}

/// For how long memory must stay as it is.
const CALM: Duration = Duration::from_millis(500);
/// How long hostile clients may take until they are all there, and memory until it settles.
const LONGEST: Duration = Duration::from_secs(10);
