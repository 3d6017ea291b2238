//! `declic broker`: an MQTT broker.

mod config;
mod ctl;
mod passwd;
mod serve;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

use crate::access::{AccessArgs, parse_address};
use crate::broker_config::{DurabilityMode, Settings, parse_bytes};
use crate::cli::OUTPUT;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::log::{LogFormat, LogLevel};
use crate::printer::Printer;

/// Run an MQTT broker for boards and any other client
///
/// It speaks MQTT 3.1.1 and 5.0. Each address it listens on is printed as a line `listening on
/// mqtt://ADDR:PORT`. Ctrl-C or SIGTERM ends it in good order; SIGHUP has it read its files again.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// Use the configuration in this file; flags win over it
    ///
    /// `declic broker config --default` writes one with every key and what it means.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    access: AccessArgs,

    /// Listen on this address with TLS; may be given several times
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_address, help_heading = LISTENING)]
    listen_tls: Vec<SocketAddr>,

    /// Listen on this address for MQTT over WebSocket, /health and /metrics; several times
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_address, help_heading = LISTENING)]
    listen_http: Vec<SocketAddr>,

    /// The same with TLS; may be given several times
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_address, help_heading = LISTENING)]
    listen_https: Vec<SocketAddr>,

    /// Listen on this Unix socket; may be given several times
    #[arg(long, value_name = "PATH", help_heading = LISTENING)]
    listen_unix: Vec<PathBuf>,

    /// The certificate for TLS, and those that lead to one that clients trust (PEM)
    #[arg(long, value_name = "FILE", help_heading = LISTENING)]
    certificate: Option<PathBuf>,

    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE", help_heading = LISTENING)]
    key: Option<PathBuf>,

    /// Clients with a certificate from one of these are the user whom it names (PEM)
    #[arg(long, value_name = "FILE", help_heading = LISTENING)]
    client_ca: Option<PathBuf>,

    /// Turn clients without a certificate away
    #[arg(long, requires = "client_ca", help_heading = LISTENING)]
    require_client_certificate: bool,

    /// Who may publish and read what: a file in the form of Mosquitto's acl_file
    #[arg(long, value_name = "FILE", help_heading = LISTENING)]
    rights: Option<PathBuf>,

    /// Keep retained messages and lasting sessions in this directory
    ///
    /// It is made if it is not there. Without it, everything is kept in memory only.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,

    /// When what was stored is safe from a loss of power
    ///
    /// The default is always. A broker that is killed loses nothing in any of the modes.
    #[arg(long, value_enum, value_name = "MODE")]
    durability: Option<DurabilityMode>,

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
    ///
    /// The default is 10.
    #[arg(long, value_name = "SECONDS")]
    sys_interval: Option<u32>,

    /// Where `declic broker ctl` finds the broker: a path, auto or none
    #[arg(long, value_name = "PATH")]
    control: Option<String>,

    /// Tell on standard error who connects and leaves; twice for more
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = OUTPUT)]
    verbose: u8,

    /// How much to tell on standard error
    #[arg(long, value_enum, value_name = "LEVEL", conflicts_with = "verbose", help_heading = OUTPUT)]
    log_level: Option<LogLevel>,

    /// How lines on standard error look
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = OUTPUT)]
    log_format: Option<LogFormat>,

    /// Print lines as objects of JSON
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    Config(config::Args),
    Ctl(ctl::Args),
    Passwd(passwd::Args),
}

/// Runs the broker until the process is told to stop.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    match &args.command {
        Some(Command::Config(args)) => config::run(args, printer),
        Some(Command::Ctl(args)) => ctl::run(args, printer),
        Some(Command::Passwd(args)) => passwd::run(args, printer),
        None => serve::run(args, &printer.with_json(args.json)),
    }
}

impl Args {
    /// What the file says, and above it what the flags say.
    fn settings(&self, printer: &Printer) -> Result<Settings, Error> {
        let mut settings = match &self.config {
            Some(path) => Settings::load(path, printer)?,
            None => Settings::default(),
        };
        self.access.apply(&mut settings);
        replace_list(&mut settings.tls_listen, &self.listen_tls);
        replace_list(&mut settings.http_listen, &self.listen_http);
        replace_list(&mut settings.https_listen, &self.listen_https);
        replace_list(&mut settings.unix_listen, &self.listen_unix);
        let tls = &mut settings.tls;
        replace(&mut tls.certificate, self.certificate.clone().map(Some));
        replace(&mut tls.key, self.key.clone().map(Some));
        replace(&mut tls.client_ca, self.client_ca.clone().map(Some));
        tls.require_client_certificate |= self.require_client_certificate;
        replace(&mut settings.rights, self.rights.clone().map(Some));
        let limits = &mut settings.limits;
        replace(&mut limits.connections, self.max_connections);
        replace(&mut limits.packet_size, self.max_packet_size);
        replace(&mut limits.queued_messages, self.max_queued);
        replace(&mut limits.message_bytes, self.max_memory);
        let expiry = self.max_session_expiry.map(Duration::from_secs);
        replace(&mut limits.session_expiry, expiry.map(Some));
        replace(&mut settings.store_directory, self.store.clone().map(Some));
        replace(&mut settings.store_durability, self.durability);
        let interval = self.sys_interval.map(u64::from);
        replace(
            &mut settings.sys_interval,
            interval.map(Duration::from_secs),
        );
        let verbose = (self.verbose > 0).then(|| LogLevel::from_verbose(self.verbose));
        replace(&mut settings.log_level, self.log_level.or(verbose));
        replace(&mut settings.log_format, self.log_format);
        replace(&mut settings.control_socket, self.control.clone());
        Ok(settings)
    }
}

fn replace<T>(setting: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *setting = value;
    }
}

fn replace_list<T: Clone>(setting: &mut Vec<T>, flags: &[T]) {
    if !flags.is_empty() {
        *setting = flags.to_vec();
    }
}

const LISTENING: &str = "Listening";
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
  Retained messages and lasting sessions survive a restart:
    declic broker --store /var/lib/declic
  With users of their own, and rights for each:
    declic broker passwd users ann
    declic broker --listen 0.0.0.0:1883 --users users --rights rights
  With TLS, and for web pages:
    declic broker --listen-tls 0.0.0.0:8883 --listen-https 0.0.0.0:8443 \\
      --certificate broker.pem --key broker.key --users users
  As a service, with everything in a file:
    declic broker config --default > broker.toml
    declic broker --config broker.toml

`declic pub` and `declic sub` talk to it.";
