//! `declic broker`: an MQTT broker.

use std::time::Duration;

use declic_broker::{Broker, Config, Limits};

use crate::access::{Access, AccessArgs, cannot_listen};
use crate::cli::OUTPUT;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::json::Object;
use crate::log::{Log, LogFormat, LogLevel};
use crate::printer::Printer;
use crate::signals;

/// Run an MQTT broker for boards and any other client
///
/// It speaks MQTT 3.1.1 and 5.0. Each address it listens on is printed as a line `listening on
/// mqtt://ADDR:PORT`. Ctrl-C or SIGTERM ends it in good order.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    access: AccessArgs,

    /// Connections at the same time
    #[arg(long, value_name = "COUNT", help_heading = LIMITS)]
    max_connections: Option<usize>,

    /// Largest packet that a client may send, in bytes or as in 64K, 16M
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, help_heading = LIMITS)]
    max_packet_size: Option<usize>,

    /// Messages that wait for one client; more are dropped
    #[arg(long, value_name = "COUNT", help_heading = LIMITS)]
    max_queued: Option<usize>,

    /// Memory for all messages together, in bytes or as in 512M
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, help_heading = LIMITS)]
    max_memory: Option<usize>,

    /// Longest time in seconds that a session is kept for a client that is away
    #[arg(long, value_name = "SECONDS", help_heading = LIMITS)]
    max_session_expiry: Option<u64>,

    /// Seconds between two updates of the topics below $SYS/broker; 0 for no such topics
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    sys_interval: u32,

    /// Tell on standard error who connects and leaves; twice for more
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = OUTPUT)]
    verbose: u8,

    /// How much to tell on standard error
    #[arg(long, value_enum, value_name = "LEVEL", conflicts_with = "verbose", help_heading = OUTPUT)]
    log_level: Option<LogLevel>,

    /// How lines on standard error look
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = OUTPUT)]
    log_format: LogFormat,

    /// Print lines as objects of JSON
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
}

/// Runs the broker until the process is told to stop.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let printer = &printer.with_json(args.json);
    let level = args
        .log_level
        .unwrap_or(LogLevel::from_verbose(args.verbose));
    Log::start(level, args.log_format, printer);
    let access = args.access.resolve()?;
    let broker = Broker::bind(Config {
        listeners: access.listen.clone(),
        access: access.access.clone(),
        limits: args.limits(),
        sys_interval: Duration::from_secs(args.sys_interval.into()),
        ..Config::default()
    })
    .map_err(|error| cannot_listen(&error))?;
    let handle = broker.handle();
    signals::on_stop(move || handle.shutdown())?;
    announce(&broker, &access, printer)?;
    broker
        .run()
        .map_err(|error| Error::new(ExitCode::Failure, "the broker had to stop").because(error))?;
    Ok(ExitCode::Success)
}

fn announce(broker: &Broker, access: &Access, printer: &Printer) -> Result<(), Error> {
    for address in broker.local_addrs() {
        let url = format!("mqtt://{address}");
        printer.event(
            format_args!("listening on {url}"),
            &Object::new().text("event", "listening").text("url", &url),
        )?;
    }
    if let Some(own) = access.own.as_ref().filter(|_| access.is_generated) {
        let (name, password) = (&own.name, &own.password);
        printer.event(
            format_args!("clients log in as user {name} with password {password}"),
            &Object::new()
                .text("event", "login")
                .text("user", name)
                .text("password", password),
        )?;
    }
    Ok(())
}

impl Args {
    fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits {
            connections: self.max_connections.unwrap_or(default.connections),
            packet_size: self.max_packet_size.unwrap_or(default.packet_size),
            queued_messages: self.max_queued.unwrap_or(default.queued_messages),
            message_bytes: self.max_memory.unwrap_or(default.message_bytes),
            session_expiry: self.max_session_expiry.map(Duration::from_secs),
            ..default
        }
    }
}

/// A number of bytes; K, M and G stand for powers of 1024.
fn parse_bytes(text: &str) -> Result<usize, String> {
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 1 << 10),
        Some((at, 'M' | 'm')) => (&text[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    digits
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| "it is a number of bytes, as in 65536, 64K or 16M".to_owned())
}

const LIMITS: &str = "Limits";

const EXAMPLES: &str = "\
Examples:
  For programs on this machine:
    declic broker
  For boards in the house, with a password:
    declic broker --lan
  For the boards of the tutorial, which can't send one:
    declic broker --lan --anonymous
  On a port that the system chooses, for a test:
    declic broker --listen 127.0.0.1:0

`declic pub` and `declic sub` talk to it.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        assert_eq!(parse_bytes("65536"), Ok(65_536));
        assert_eq!(parse_bytes("64K"), Ok(65_536));
        assert_eq!(parse_bytes("16m"), Ok(16 << 20));
        for wrong in ["", "K", "1.5M", "-1", "64KB", "99999999999G"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
