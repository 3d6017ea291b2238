//! `declic broker ctl`: ask a running broker, and tell it what to do.

use std::path::PathBuf;

use clap::Subcommand;
use declic_mqtt::{ReasonCode, TopicFilter};

use crate::cli::OUTPUT;
use crate::control::{Answer, BridgeLine, ClientLine, REASONS, Request, RetainedLine, usual_path};
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::log::printable;
use crate::printer::Printer;
use crate::timestamp::Timestamp;

/// List and disconnect clients of a running broker, list and clear retained messages, and more
///
/// It asks through a local socket that only the user who runs the broker can use. Not available on
/// Windows.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The broker's control socket, where it is not the usual one (--control of the broker)
    #[arg(long, value_name = "PATH", global = true)]
    socket: Option<PathBuf>,

    /// Print objects of JSON, one on a line
    #[arg(long, global = true, help_heading = OUTPUT)]
    json: bool,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// List the sessions, of connected clients and kept ones
    Clients,
    /// End a client's connection; its session stays
    Disconnect {
        client_id: String,

        /// What a client of MQTT 5.0 is told: a name or a number
        ///
        /// administrative-action, unspecified-error, not-authorized, server-busy,
        /// message-rate-too-high, quota-exceeded, use-another-server or server-moved
        #[arg(long, value_name = "REASON", value_parser = parse_reason, default_value = "administrative-action")]
        reason: ReasonCode,

        /// End its session too: subscriptions and waiting messages are forgotten
        #[arg(long)]
        forget: bool,
    },
    /// List the retained messages that a topic filter matches
    Retained {
        /// `#` leaves out topics that begin with `$`
        #[arg(value_name = "FILTER", value_parser = parse_filter, default_value = "#")]
        filter: String,
    },
    /// Forget the retained messages that a topic filter matches
    Clear {
        #[arg(value_name = "FILTER", value_parser = parse_filter)]
        filter: String,
    },
    /// Print all that the broker counts
    Stats,
    /// Print all that the broker counts as text for Prometheus
    Metrics,
    /// Have the broker read its configuration again: certificates, users, rights, log level
    Reload,
    /// Copy what the broker stores to a new directory, while it runs
    Backup {
        #[arg(value_name = "DIR")]
        path: PathBuf,
    },
    /// List the bridges to other brokers
    Bridges,
}

/// Asks, and prints the answer.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let path = match args.socket.clone().or_else(usual_path) {
        Some(path) => path,
        None => {
            return Err(
                Error::new(ExitCode::Usage, "can't find the broker's socket")
                    .remedy("Name it with --socket PATH."),
            );
        }
    };
    let request = args.verb.request()?;
    let mut output = Output {
        printer,
        json: args.json,
        rows: Vec::new(),
        widths: Vec::new(),
    };
    let (error, count) = ask(&path, &request, &mut |answer, line| {
        output.take(answer, line)
    })?;
    output.flush()?;
    if let Some(error) = error {
        return Err(Error::new(ExitCode::Failure, "the broker could not do it").because(error));
    }
    args.verb.conclude(count, args.json, printer)
}

impl Verb {
    fn request(&self) -> Result<Request, Error> {
        Ok(match self.clone() {
            Self::Clients => Request::Clients,
            Self::Disconnect {
                client_id,
                reason,
                forget,
            } => Request::Disconnect {
                client_id,
                reason: reason.as_u8(),
                forget,
            },
            Self::Retained { filter } => Request::Retained { filter },
            Self::Clear { filter } => Request::Clear { filter },
            Self::Stats => Request::Stats,
            Self::Metrics => Request::Metrics,
            Self::Reload => Request::Reload,
            Self::Bridges => Request::Bridges,
            Self::Backup { path } => {
                // The broker runs in another directory.
                let absolute = std::path::absolute(&path).map_err(|error| {
                    let what = format!("can't use {}", path.display());
                    Error::new(ExitCode::Usage, what).because(error)
                })?;
                Request::Backup {
                    path: absolute.to_string_lossy().into_owned(),
                }
            }
        })
    }

    /// Says what was done, where nothing was listed.
    fn conclude(&self, count: u64, json: bool, printer: &Printer) -> Result<ExitCode, Error> {
        let done = match self {
            Self::Disconnect { client_id, .. } if count == 0 => {
                let what = format!("can't disconnect {}", printable(client_id));
                return Err(Error::new(ExitCode::Failure, what)
                    .because("no such client is connected")
                    .remedy(
                        "`declic broker ctl clients` lists them; --forget ends a kept session.",
                    ));
            }
            Self::Disconnect { client_id, .. } => format!("disconnected {}", printable(client_id)),
            Self::Clear { .. } if count == 1 => "cleared 1 message".to_owned(),
            Self::Clear { .. } => format!("cleared {count} messages"),
            Self::Reload => "configuration read again".to_owned(),
            Self::Backup { path } => format!("copied to {}", path.display()),
            Self::Clients | Self::Retained { .. } | Self::Stats | Self::Metrics | Self::Bridges => {
                return Ok(ExitCode::Success);
            }
        };
        if json {
            printer.line(format_args!("{{\"count\":{count}}}"))?;
        } else {
            printer.line(done)?;
        }
        Ok(ExitCode::Success)
    }
}

/// Sends `request` and hands out each answer, with the line it came in, but the last; returns what
/// the last says.
#[cfg(unix)]
fn ask(
    path: &std::path::Path,
    request: &Request,
    each: &mut dyn FnMut(Answer, &str) -> Result<(), Error>,
) -> Result<(Option<String>, u64), Error> {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::UnixStream;

    let no_broker = |error: std::io::Error| {
        let what = format!("no broker answers at {}", path.display());
        Error::new(ExitCode::NoConnection, what)
            .because(error)
            .remedy("Is it running as this user? --socket names another path.")
    };
    let broken = |cause: &dyn std::fmt::Display| {
        let what = format!("the broker's answer at {} ended", path.display());
        Error::new(ExitCode::Failure, what).because(cause)
    };
    let mut stream = UnixStream::connect(path).map_err(no_broker)?;
    let mut line = serde_json::to_string(request).map_err(|error| broken(&error))?;
    line.push('\n');
    stream
        .write_all(line.as_bytes())
        .map_err(|error| broken(&error))?;
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(|error| broken(&error))?;
        match serde_json::from_str(&line).map_err(|error| broken(&error))? {
            Answer::End { error, count } => return Ok((error, count)),
            answer => each(answer, &line)?,
        }
    }
    Err(broken(&"too early; the broker stops, or too many ask it"))
}

#[cfg(not(unix))]
fn ask(
    _: &std::path::Path,
    _: &Request,
    _: &mut dyn FnMut(Answer, &str) -> Result<(), Error>,
) -> Result<(Option<String>, u64), Error> {
    Err(
        Error::new(ExitCode::Usage, "a running broker can't be asked here")
            .because("its control socket is not available on Windows"),
    )
}

/// Prints answers as they come: as JSON, or as a table whose columns are as wide as its first
/// rows need.
struct Output<'a> {
    printer: &'a Printer,
    json: bool,
    /// Rows that wait for the widths.
    rows: Vec<Vec<String>>,
    /// None until the first rows are printed.
    widths: Vec<usize>,
}

impl Output<'_> {
    fn take(&mut self, answer: Answer, line: &str) -> Result<(), Error> {
        let (head, row) = match answer {
            Answer::Text { text } => return self.printer.text(text.as_bytes()),
            _ if self.json => return self.printer.line(line),
            Answer::Client(client) => (&CLIENT_HEAD[..], client_row(&client)),
            Answer::Retained(message) => (&RETAINED_HEAD[..], retained_row(&message)),
            Answer::Bridge(bridge) => (&BRIDGE_HEAD[..], bridge_row(&bridge)),
            Answer::Count { name, value } => (&[][..], vec![name, value.to_string()]),
            Answer::End { .. } => return Ok(()),
        };
        if self.rows.is_empty() && self.widths.is_empty() && !head.is_empty() {
            self.rows
                .push(head.iter().map(|&name| name.to_owned()).collect());
        }
        self.rows.push(row);
        if self.rows.len() > ROWS_AT_ONCE || !self.widths.is_empty() {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.widths.is_empty()
            && let Some(first) = self.rows.first()
        {
            let width = |column: usize| {
                let cells = self.rows.iter().map(|row| row[column].chars().count());
                cells.max().unwrap_or(0)
            };
            self.widths = (0..first.len()).map(width).collect();
        }
        for row in self.rows.drain(..) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&self.widths) {
                line.push_str(&format!("{cell:width$}  "));
            }
            self.printer.line(line.trim_end())?;
        }
        Ok(())
    }
}

const CLIENT_HEAD: [&str; 10] = [
    "CLIENT",
    "USER",
    "TRANSPORT",
    "ADDRESS",
    "MQTT",
    "CONNECTED SINCE",
    "KEEP-ALIVE",
    "SUBSCRIPTIONS",
    "QUEUED",
    "IN FLIGHT",
];

fn client_row(client: &ClientLine) -> Vec<String> {
    let dash = || "-".to_owned();
    let since = client.connected_since.map(|unix| {
        let since = Timestamp { unix, nanos: 0 };
        format!("{}Z", since.iso_8601())
    });
    vec![
        printable(&client.client_id),
        client.user.as_deref().map_or_else(dash, printable),
        client.transport.clone().unwrap_or_else(dash),
        client.address.clone().unwrap_or_else(dash),
        client.version.clone().unwrap_or_else(dash),
        since.unwrap_or_else(|| "away".to_owned()),
        match (client.connected, client.keep_alive) {
            (false, _) => dash(),
            (true, 0) => "none".to_owned(),
            (true, seconds) => format!("{seconds} s"),
        },
        client.subscriptions.to_string(),
        client.queued.to_string(),
        client.in_flight.to_string(),
    ]
}

const RETAINED_HEAD: [&str; 3] = ["TOPIC", "QOS", "PAYLOAD"];

fn retained_row(message: &RetainedLine) -> Vec<String> {
    let dots = if message.cut { " ..." } else { "" };
    vec![
        printable(&message.topic),
        message.qos.to_string(),
        printable(&message.payload) + dots,
    ]
}

const BRIDGE_HEAD: [&str; 7] = [
    "BRIDGE", "STATE", "SENT", "RECEIVED", "DROPPED", "LOOPED", "CONNECTS",
];

fn bridge_row(bridge: &BridgeLine) -> Vec<String> {
    let state = if bridge.connected {
        "connected"
    } else {
        "away"
    };
    vec![
        printable(&bridge.name),
        state.to_owned(),
        bridge.sent.to_string(),
        bridge.received.to_string(),
        bridge.dropped.to_string(),
        bridge.looped.to_string(),
        bridge.connects.to_string(),
    ]
}

fn parse_reason(text: &str) -> Result<ReasonCode, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let name = text.replace(['-', '_'], " ").to_lowercase();
    REASONS
        .into_iter()
        .find(|reason| Some(reason.as_u8()) == number || reason.as_str() == name)
        .ok_or_else(|| {
            let names = REASONS.map(|reason| reason.as_str().replace(' ', "-"));
            format!("it is one of {}", names.join(", "))
        })
}

fn parse_filter(text: &str) -> Result<String, String> {
    match TopicFilter::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Rows that are looked at for the widths of the columns.
const ROWS_AT_ONCE: usize = 200;

const EXAMPLES: &str = "\
Examples:
  Who is there:
    declic broker ctl clients
  Throw a client out, and forget its session:
    declic broker ctl disconnect lamp-1 --forget
  What is retained below a topic, and forget it:
    declic broker ctl retained 'home/#'
    declic broker ctl clear 'home/#'
  The broker of a service:
    sudo declic broker ctl --socket /run/declic/broker.sock stats";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_name_or_a_number() {
        let reason = ReasonCode::AdministrativeAction;
        for text in [
            "administrative-action",
            "Administrative action",
            "0x98",
            "152",
        ] {
            assert_eq!(parse_reason(text), Ok(reason), "{text}");
        }
        for wrong in ["", "0", "4", "0x04", "999", "success"] {
            assert!(parse_reason(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_clients_chose_can_do_nothing_to_the_terminal() {
        let row = retained_row(&RetainedLine {
            topic: "a\x1b[2J".to_owned(),
            qos: 1,
            payload: "\n".to_owned(),
            cut: true,
        });
        assert_eq!(row, ["a\\u{1b}[2J", "1", "\\n ..."]);
    }
}
