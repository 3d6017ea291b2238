//! `declic bench broker`: our broker beside Mosquitto, another one, and the physical floor.

pub mod floor;
mod growth;
pub mod load;
pub mod machine;
pub mod peer;
mod plot;
pub mod report;
mod rows;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::{failed, progress};
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::open_files;
use crate::printer::Printer;
use machine::Cores;
use peer::{Kind, Programs};
use report::{Report, Results};
use rows::{Row, Sample, Settings};

/// Measure the broker beside Mosquitto: messages, CPU, latency, connections, memory
///
/// Each broker is a process of its own, started afresh for each measurement, and each kind of work
/// is measured with all of them in turn, round by round. The generator is one thread on one core,
/// the brokers are kept on another. Nothing may be lost: every message carries its number, and is
/// counted.
///
/// A publisher may have 1,000 messages undelivered (20 where 1,000 clients are on one side, so that
/// 20,000 are under way there), and 200 unacknowledged at QoS 1 and 2. The bare relay makes the reads and writes of a broker and looks
/// at nothing: it is the physical floor, and shows what the generator itself is good for.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Measure only this; may be given several times
    #[arg(long, value_enum, value_name = "ROW")]
    row: Vec<Row>,

    /// Measure only this one; may be given several times
    #[arg(long, value_enum, value_name = "PEER")]
    peer: Vec<Kind>,

    /// How long a measurement takes, in seconds
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    seconds: f64,

    /// How often each is measured; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// Bytes of a message's payload
    #[arg(long, default_value_t = 64, value_name = "BYTES")]
    payload: usize,

    /// Messages that a publisher may have undelivered, instead of 1,000 or 20
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    window: Option<u32>,

    /// How many publishers, subscribers, pairs, connections or subscriptions the rows have,
    /// instead of their own number
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    scale: Option<u32>,

    /// Measure how the figures grow, and draw a picture for each row into this folder
    #[arg(long, value_name = "FOLDER")]
    plots: Option<PathBuf>,

    /// Write the tables into this page, between the lines that mark their place
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,

    /// The `declic` whose broker is measured, instead of this one: an earlier build, for example
    #[arg(long, value_name = "FILE")]
    declic: Option<PathBuf>,

    /// The Mosquitto to compare with; without it, one is looked for on the PATH
    #[arg(long, value_name = "FILE")]
    mosquitto: Option<PathBuf>,

    /// The rumqttd to compare with; without it, tests/peers/rumqttd if it is built
    #[arg(long, value_name = "FILE")]
    rumqttd: Option<PathBuf>,

    /// Print figures as objects of JSON
    #[arg(long)]
    json: bool,
}

/// Measures and prints a table.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let printer = &printer.with_json(args.json);
    let machine = machine::description();
    let open_files = open_files::allow_most();
    let cores = Cores::take();
    if !cores.are_apart() {
        printer.note("there is only one core: the generator and the brokers share it");
    }
    let programs = Programs::find(
        args.declic.as_deref(),
        args.mosquitto.as_deref(),
        args.rumqttd.as_deref(),
        cores,
    )
    .map_err(|error| failed("this program can't be found", error))?;
    let bench = Bench {
        settings: Settings {
            time: Duration::try_from_secs_f64(args.seconds)
                .map_err(|error| failed("--seconds", error))?,
            payload: args.payload,
            scale: args.scale.map(|count| count as usize),
            window: args.window.map(|count| count as usize),
            // A few are for other things.
            connections: open_files.saturating_sub(100),
        },
        kinds: programs.among(&Kind::ALL, &args.peer, printer),
        programs,
    };
    let rows: Vec<_> = Row::ALL
        .into_iter()
        .filter(|row| args.row.is_empty() || args.row.contains(row))
        .collect();
    if rows.contains(&Row::Idle) && bench.settings.connections < 50_000 && args.scale.is_none() {
        printer.note(format_args!(
            "the system lets a process open {open_files} files: {} connections instead of 50,000",
            bench.settings.connections,
        ));
    }
    let mut results = bench.measure(&rows, args.rounds, printer);
    if let Some(folder) = &args.plots {
        fs::create_dir_all(folder).map_err(|error| failed("can't make the folder", error))?;
        for &row in &rows {
            let panels = bench.growth(row, printer);
            let file = folder.join(format!("broker-{}.svg", row.slug()));
            fs::write(&file, plot::draw(row, &panels))
                .map_err(|error| failed(&file.display().to_string(), error))?;
            results.plotted.push(row);
        }
    }
    progress(format_args!(""));
    let report = Report {
        results: &results,
        kinds: &bench.kinds,
        machine,
        connections: bench.settings.connections,
    };
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
    Ok(ExitCode::Success)
}

struct Bench {
    settings: Settings,
    kinds: Vec<Kind>,
    programs: Programs,
}

impl Bench {
    /// Measures all rows with all peers in turn, round by round.
    fn measure(&self, rows: &[Row], rounds: usize, printer: &Printer) -> Results {
        let mut results = Results::default();
        for round in 1..=rounds.max(1) {
            for &row in rows {
                if row.is_steady() && round > 1 {
                    continue;
                }
                for &kind in &self.kinds {
                    progress(format_args!(
                        "round {round} of {rounds}: {}, {}",
                        row.slug(),
                        kind.name()
                    ));
                    if let Some(sample) = self.sample(row, kind, &self.settings, printer) {
                        results.add(row, kind, sample);
                    }
                }
            }
        }
        results
    }

    /// One measurement; `None` where that peer can't do it, which is told.
    fn sample(
        &self,
        row: Row,
        kind: Kind,
        settings: &Settings,
        printer: &Printer,
    ) -> Option<Sample> {
        if !row.is_for(kind) {
            return None;
        }
        match row.measure(settings, &|storing| self.programs.start(kind, storing)) {
            Ok(sample) => Some(sample),
            Err(error) => {
                progress(format_args!(""));
                printer.note(format_args!("{}, {}: {error}", row.slug(), kind.name()));
                None
            }
        }
    }
}
