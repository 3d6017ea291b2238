//! A person, or a script, at a board's console.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::console::is_connected;
use super::line::{NativePort, Report, SerialLine};
use super::ports::FoundPort;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;
use crate::signals;
use crate::timestamp::Timestamp;

/// What ends the watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Only the person.
    Stopped,
    /// The board says that it has reached its broker.
    Connected(Option<Duration>),
}

/// How lines are printed.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// With the time of day in front.
    pub timestamps: bool,
}

impl Look {
    /// With the time where a person looks.
    pub fn automatic() -> Self {
        Self {
            timestamps: io::stdout().is_terminal(),
        }
    }
}

enum Event {
    Board(Report),
    Typed(String),
    Stop,
}

/// Prints what the board on `port` writes, and sends it what is typed.
///
/// # Errors
/// The port can't be opened, or nobody reads what is printed. A board that goes away is waited
/// for.
pub fn watch(
    port: FoundPort,
    opened: Option<NativePort>,
    look: Look,
    until: Until,
    printer: &Printer,
) -> Result<ExitCode, Error> {
    let (sender, events) = channel();
    let reports = sender.clone();
    let report = move |report| reports.send(Event::Board(report)).is_ok();
    let line = match opened {
        Some(opened) => SerialLine::with(opened, port, report)?,
        None => SerialLine::open(port, report)?,
    };
    let stop = sender.clone();
    signals::on_stop(move || {
        let _ = stop.send(Event::Stop);
    })?;
    read_lines(sender)
        .map_err(|error| Error::new(ExitCode::Failure, "can't read the input").because(error))?;
    run(&line, &events, look, until, printer)
}

fn run(
    line: &SerialLine,
    events: &Receiver<Event>,
    look: Look,
    until: Until,
    printer: &Printer,
) -> Result<ExitCode, Error> {
    let limit = match until {
        Until::Connected(limit) => limit,
        Until::Stopped => None,
    };
    let deadline = limit.map(|limit| Instant::now() + limit);
    loop {
        let event = match deadline {
            None => events.recv().ok(),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                match events.recv_timeout(left) {
                    Ok(event) => Some(event),
                    Err(RecvTimeoutError::Disconnected) => None,
                    Err(RecvTimeoutError::Timeout) => {
                        return Err(Error::new(
                            ExitCode::TimedOut,
                            "the board did not reach its broker in time",
                        )
                        .remedy(
                            "The lines above say how far it came; `declic monitor` goes on \
                             watching.",
                        ));
                    }
                }
            }
        };
        match event {
            None | Some(Event::Stop) => return Ok(ExitCode::Success),
            Some(Event::Board(Report::Line(text))) => {
                if look.timestamps {
                    printer.line(format_args!("{}  {text}", time_of_day()))?;
                } else {
                    printer.line(&text)?;
                }
                if until != Until::Stopped && is_connected(&text) {
                    return Ok(ExitCode::Success);
                }
            }
            // An answer to somebody else.
            Some(Event::Board(Report::Improv(_))) => {}
            Some(Event::Board(Report::Lost(cause))) => {
                printer.note(format_args!("the board is gone ({cause}); waiting for it"));
            }
            Some(Event::Board(Report::Back(port))) => {
                printer.note(format_args!("the board is back on {port}"));
            }
            Some(Event::Typed(text)) => {
                if let Err(error) = line.send(&text) {
                    printer.note(format_args!("the board did not get `{text}`: {error}"));
                }
            }
        }
    }
}

/// Reads what is typed in a thread of its own. That it ends, ends nothing: the board goes on.
fn read_lines(sender: Sender<Event>) -> io::Result<()> {
    thread::Builder::new().name("stdin".into()).spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if sender.send(Event::Typed(line)).is_err() {
                break;
            }
        }
    })?;
    Ok(())
}

/// The time in UTC: the standard library knows no time zones.
fn time_of_day() -> String {
    let now = Timestamp::now();
    let calendar = now.calendar();
    format!(
        "{:02}:{:02}:{:02}.{:03}Z",
        calendar.hour,
        calendar.minute,
        calendar.second,
        now.nanos / 1_000_000
    )
}
