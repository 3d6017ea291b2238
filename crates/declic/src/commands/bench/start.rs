//! `declic bench start`: from the start of `declic up` to a button that works.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{failed, percentile};
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;

/// Measure how long `declic up` takes to be ready, and what memory it then has
///
/// The program starts itself again and again, and waits for the line `ready`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many starts
    #[arg(long, default_value_t = 20)]
    starts: u32,
}

/// Measures and prints a table.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let mut times = Vec::new();
    let mut memory = Vec::new();
    for _ in 0..args.starts {
        let (time, kilobytes) = start().map_err(|error| failed("declic up", error))?;
        times.push(time);
        memory.extend(kilobytes);
    }
    times.sort_unstable();
    memory.sort_unstable();
    let millis = |time: Duration| time.as_nanos() as f64 / 1_000_000.0;
    printer.line("| declic up | p50 | worst |")?;
    printer.line("|---|---|---|")?;
    printer.line(format_args!(
        "| start to `ready` | {:.1} ms | {:.1} ms |",
        millis(percentile(&times, 50)),
        millis(percentile(&times, 100)),
    ))?;
    if !memory.is_empty() {
        printer.line(format_args!(
            "| resident memory when idle | {} kB | {} kB |",
            percentile(&memory, 50),
            percentile(&memory, 100),
        ))?;
    }
    Ok(ExitCode::Success)
}

/// Starts `declic up` once and ends it; returns the time and the resident memory in kB, where the
/// system tells it.
fn start() -> io::Result<(Duration, Option<u64>)> {
    let began = Instant::now();
    let mut up = Command::new(std::env::current_exe()?)
        .args(["up", "--plain", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let result = wait_for_ready(&mut up).map(|()| began.elapsed());
    let memory = resident_kilobytes(up.id());
    if let Some(mut stdin) = up.stdin.take() {
        // One that has ended already needs no order.
        let _ = stdin.write_all(b"quit\n");
    }
    up.wait()?;
    Ok((result?, memory))
}

fn wait_for_ready(up: &mut Child) -> io::Result<()> {
    let stdout = up.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    for line in BufReader::new(stdout).lines() {
        if line? == "ready" {
            return Ok(());
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// From Linux's /proc; other systems don't tell.
fn resident_kilobytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
