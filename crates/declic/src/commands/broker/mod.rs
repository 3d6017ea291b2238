//! `declic broker`: an MQTT broker.

mod config;
mod ctl;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Subcommand;
use declic_broker::bridge::Bridge;
use declic_broker::{Broker, Config, Handle};
#[cfg(unix)]
use tracing::info;

use crate::access::{Access, AccessArgs, cannot_listen};
use crate::announce::Announcement;
use crate::broker_config::{DurabilityMode, Settings, parse_bytes};
use crate::cli::OUTPUT;
#[cfg(unix)]
use crate::control::{Control, Place};
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::json::Object;
use crate::log::{Log, LogFormat, LogLevel};
#[cfg(unix)]
use crate::printer::Color;
use crate::printer::Printer;
use crate::signals;

/// Run an MQTT broker for boards and any other client
///
/// It speaks MQTT 3.1.1 and 5.0. Each address it listens on is printed as a line `listening on
/// mqtt://ADDR:PORT`. Ctrl-C or SIGTERM ends it in good order.
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
}

/// Runs the broker until the process is told to stop.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    match &args.command {
        Some(Command::Config(args)) => config::run(args, printer),
        Some(Command::Ctl(args)) => ctl::run(args, printer),
        None => serve(args, &printer.with_json(args.json)),
    }
}

fn serve(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let settings = args.settings(printer)?;
    Log::start(settings.log_level, settings.log_format, printer);
    let access = AccessArgs::from(&settings).resolve()?;
    let broker = Broker::bind(Config {
        listeners: access.listen.clone(),
        access: access.access.clone(),
        limits: settings.limits.clone(),
        store: settings.store(),
        sys_interval: settings.sys_interval,
        tcp_keep_alive: settings.tcp_keep_alive,
        ..Config::default()
    })
    .map_err(|error| cannot_listen(&error))?;
    #[cfg(unix)]
    let _control = args.control(&settings, broker.handle())?;
    let _announcement = settings
        .announce
        .then(|| Announcement::start(broker.local_addrs()));
    let bridges = start_bridges(&settings, &broker.handle())?;
    let handle = broker.handle();
    signals::on_stop(move || {
        // What is on its way over them is finished first.
        let mut bridges = bridges.lock().unwrap_or_else(PoisonError::into_inner);
        bridges.iter().for_each(Bridge::stop);
        bridges.clear();
        handle.shutdown();
    })?;
    announce(&broker, &access, printer)?;
    broker
        .run()
        .map_err(|error| Error::new(ExitCode::Failure, "the broker had to stop").because(error))?;
    Ok(ExitCode::Success)
}

/// Starts the bridges. They connect once the broker runs.
fn start_bridges(settings: &Settings, handle: &Handle) -> Result<Arc<Mutex<Vec<Bridge>>>, Error> {
    let mut bridges = Vec::new();
    for settings in &settings.bridges {
        let config = settings.resolve()?;
        let bridge = Bridge::start(&config, handle).map_err(|error| {
            let what = format!("can't bridge {:?}", config.name);
            Error::new(ExitCode::Usage, what).because(error)
        })?;
        bridges.push(bridge);
    }
    Ok(Arc::new(Mutex::new(bridges)))
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
    /// What the file says, and above it what the flags say.
    fn settings(&self, printer: &Printer) -> Result<Settings, Error> {
        let mut settings = match &self.config {
            Some(path) => Settings::load(path, printer)?,
            None => Settings::default(),
        };
        self.access.apply(&mut settings);
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

    /// Answers on the control socket.
    #[cfg(unix)]
    fn control(&self, settings: &Settings, handle: Handle) -> Result<Option<Control>, Error> {
        let args = self.clone();
        let reload = move || args.reload();
        Control::start(
            &Place::of(&settings.control_socket),
            handle,
            Arc::new(reload),
        )
        .map_err(|error| {
            let what = format!("can't be asked on {}", settings.control_socket);
            Error::new(ExitCode::CannotListen, what)
                .because(error)
                .remedy("Choose another path with --control, or none.")
        })
    }

    /// Reads the configuration again and takes over what can change while the broker runs.
    #[cfg(unix)]
    fn reload(&self) -> Result<(), String> {
        let settings = self.settings(&Printer::new(Color::Never, false));
        let settings = settings.map_err(|error| error.to_string())?;
        Log::set_level(settings.log_level);
        info!(level = ?settings.log_level, "configuration read again");
        Ok(())
    }
}

fn replace<T>(setting: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *setting = value;
    }
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
  Retained messages and lasting sessions survive a restart:
    declic broker --store /var/lib/declic
  As a service, with everything in a file:
    declic broker config --default > broker.toml
    declic broker --config broker.toml

`declic pub` and `declic sub` talk to it.";
