//! `declic board`: a board that runs in this process.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::mpsc;

use declic_board::{BoardId, Cause, Key, Notice, Settings};
use declic_mqtt::ReasonCode;
use declic_mqtt::client::CloseReason;

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::host::console::{self, BoardCommand, COMMANDS, CONSOLE_COMMANDS, Command};
use crate::host::identity::Identity;
use crate::host::{Host, News, Report, reason};
use crate::printer::Printer;
use crate::signals;
use crate::url::BrokerUrl;

/// Run a board with a button, a light, or both
///
/// It is the program of the real boards, with a button that is pressed by a line on standard input
/// and a light that is printed. Like a real board it never gives up: without a broker, or with a
/// wrong password, it says so and tries again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help())]
pub struct Args {
    /// Which parts the board plays: publisher (button), subscriber (light), or both
    #[arg(long, value_name = "ROLE", default_value = "both")]
    role: String,

    /// The broker: `mqtt://USER:PASSWORD@HOST:PORT`, of which only the host is needed
    #[arg(long, value_name = "URL", default_value = "mqtt://127.0.0.1:1883",
        value_parser = BrokerUrl::parse_plain)]
    broker: BrokerUrl,

    /// The board's name for people; its id is kept under that name
    #[arg(long)]
    name: Option<String>,

    /// The board's id: 12 hex digits. Without it, a random one is made and kept
    #[arg(long, value_parser = parse_id)]
    id: Option<BoardId>,

    /// The topic between button and light
    #[arg(short, long)]
    topic: Option<String>,

    /// Name of a pair of boards, so that several pairs share a broker
    #[arg(long)]
    pair: Option<String>,

    /// Quality of service of the link: 0, 1 or 2
    #[arg(short, long)]
    qos: Option<String>,

    /// Don't let the broker keep the last state for boards that come later
    #[arg(long)]
    no_retain: bool,

    /// The message that turns the light on
    #[arg(long, value_name = "PAYLOAD")]
    on: Option<String>,

    /// The message that turns the light off
    #[arg(long, value_name = "PAYLOAD")]
    off: Option<String>,

    /// How long the button's contact must be quiet before a press counts
    #[arg(long, value_name = "MS")]
    debounce: Option<String>,

    /// Longest silence on the connection; 0 switches the check off
    #[arg(short, long, value_name = "SECONDS")]
    keep_alive: Option<String>,

    /// User name for the broker
    #[arg(short, long)]
    user: Option<String>,

    /// Password for the broker; other users of this machine may see it there
    #[arg(short = 'P', long, conflicts_with = "password_file")]
    password: Option<String>,

    /// File whose first line is the password for the broker
    ///
    /// Without a password from anywhere, DECLIC_PASSWORD in the environment is used.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// Set any of the board's settings; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_setting)]
    settings: Vec<(Key, String)>,
}

/// Runs the board until it is told to quit.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let settings = args.settings()?;
    let identity = match args.id {
        Some(id) => Identity::given(id),
        None => Identity::kept_or_random(args.name.as_deref().unwrap_or(&args.role), printer)?,
    };
    let mut session = Session::new(printer, identity.id, &settings);
    let (sender, events) = mpsc::channel();
    let reports = sender.clone();
    let host = Host::start(identity.id, settings, move |report| {
        let _ = reports.send(Event::Board(report));
    })
    .map_err(|error| start_error(&error))?;
    let lines = sender.clone();
    console::read(move |line| lines.send(Event::Line(line)).is_ok())
        .map_err(|error| start_error(&error))?;
    signals::on_stop(move || {
        let _ = sender.send(Event::Stop);
    })?;
    let mut result = Ok(ExitCode::Success);
    let mut stopping = false;
    for event in events {
        let done = match event {
            Event::Board(Report {
                news: News::Ended, ..
            }) => {
                if !stopping {
                    result = Err(Error::new(
                        ExitCode::Failure,
                        "the board failed unexpectedly",
                    ));
                }
                break;
            }
            Event::Board(report) => session.report(&report),
            Event::Stop | Event::Line(Ok(BoardCommand::Host(Command::Quit))) => {
                stopping = true;
                host.stop();
                Ok(())
            }
            Event::Line(Ok(command)) => {
                match command {
                    BoardCommand::Host(Command::Press) => host.press(),
                    BoardCommand::Host(Command::Hold(time)) => host.hold(time),
                    BoardCommand::Host(Command::Status) => host.ask(),
                    BoardCommand::Host(Command::Quit) => {}
                    BoardCommand::Console(line) => host.type_line(line),
                }
                Ok(())
            }
            Event::Line(Err(error)) => {
                printer.note(error);
                Ok(())
            }
        };
        if done.is_err() && result.is_ok() {
            result = done.map(|()| ExitCode::Success);
            stopping = true;
            host.stop();
        }
    }
    host.join();
    result
}

enum Event {
    Board(Report),
    Line(Result<BoardCommand, String>),
    Stop,
}

/// What is known of the board from its reports, and how it is printed.
struct Session<'a> {
    printer: &'a Printer,
    id: BoardId,
    broker: BrokerUrl,
    client_id: String,
    topic: String,
    /// Why attempts to connect failed, since there was a connection: each is said once, not at each
    /// attempt.
    failures: Vec<String>,
}

impl<'a> Session<'a> {
    fn new(printer: &'a Printer, id: BoardId, settings: &Settings) -> Self {
        Self {
            printer,
            id,
            broker: match settings.brokers().next() {
                Some(first) => BrokerUrl::new(first.host, first.port),
                None => BrokerUrl::new("", settings.port()),
            },
            client_id: match settings.client_id() {
                Some(id) => id.to_owned(),
                None => id.client_id().to_string(),
            },
            topic: settings.link_topic().as_str().to_owned(),
            failures: Vec::new(),
        }
    }

    fn report(&mut self, report: &Report) -> Result<(), Error> {
        let Self {
            printer,
            broker,
            client_id,
            topic,
            failures,
            ..
        } = self;
        match &report.news {
            News::Notice(Notice::Connected { version, .. }) => {
                failures.clear();
                printer.line(format_args!(
                    "connected to {broker} as {client_id} (MQTT {version})"
                ))
            }
            News::Notice(Notice::Subscribed) => printer.line(format_args!("subscribed to {topic}")),
            News::Notice(Notice::ConnectFailed(cause)) => {
                let remedy = remedy(*cause);
                self.failure(&format!("{cause}{remedy}"))
            }
            News::Unreachable(error) => {
                let question = match error.kind() {
                    ErrorKind::ConnectionRefused => " Is a broker running there?",
                    _ => "",
                };
                self.failure(&format!("{}.{question} Trying again", reason(error)))
            }
            News::Opening(to) => {
                *broker = to.clone();
                Ok(())
            }
            News::Notice(Notice::RetryIn(_) | Notice::Stopped) | News::Ended => Ok(()),
            News::Notice(notice) => printer.line(notice),
            News::Console(line) => printer.line(line),
            News::Restarted(settings) => {
                *self = Self::new(self.printer, self.id, settings);
                self.printer.line("restarted")
            }
            News::Asked => printer.line(format_args!(
                "status client-id={client_id} {}",
                report.status
            )),
        }
    }

    fn failure(&mut self, cause: &str) -> Result<(), Error> {
        let line = format!("cannot connect to {}: {cause}", self.broker);
        if self.failures.contains(&line) {
            return Ok(());
        }
        self.printer.line(&line)?;
        self.failures.push(line);
        Ok(())
    }
}

/// What can be done about `cause`, to be put behind it.
fn remedy(cause: Cause) -> &'static str {
    match cause {
        Cause::Closed(CloseReason::Refused(reason)) => match reason {
            ReasonCode::BadUserNameOrPassword | ReasonCode::NotAuthorized => {
                ". Check --user and --password. Trying again"
            }
            ReasonCode::ClientIdentifierNotValid => {
                ". Choose another with --set client-id=NAME. Trying again"
            }
            _ => ". Trying again",
        },
        Cause::Closed(CloseReason::ConnectTimeout) => ". Is that an MQTT port? Trying again",
        _ => ". Trying again",
    }
}

/// The system can't run a board.
fn start_error(error: &std::io::Error) -> Error {
    Error::new(ExitCode::Failure, "can't start a board").because(error)
}

impl Args {
    fn settings(&self) -> Result<Settings, Error> {
        let mut settings = Settings::default();
        let password = self.password()?;
        let port = self.broker.port.to_string();
        let values = [
            (Key::Role, Some(self.role.as_str())),
            (Key::Broker, Some(&self.broker.host)),
            (Key::Port, Some(&port)),
            (Key::Name, self.name.as_deref()),
            (Key::User, self.broker.user.as_deref()),
            (Key::User, self.user.as_deref()),
            (Key::Password, password.as_deref()),
            (Key::Topic, self.topic.as_deref()),
            (Key::Pair, self.pair.as_deref()),
            (Key::QoS, self.qos.as_deref()),
            (Key::Retain, self.no_retain.then_some("off")),
            (Key::Debounce, self.debounce.as_deref()),
            (Key::KeepAlive, self.keep_alive.as_deref()),
        ];
        let given = values
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .chain(
                self.settings
                    .iter()
                    .map(|(key, value)| (*key, value.as_str())),
            );
        for (key, value) in given {
            set(&mut settings, key, value)?;
        }
        set_payloads(&mut settings, self.on.as_deref(), self.off.as_deref())?;
        if settings.password().is_some() && settings.user().is_none() {
            return Err(Error::new(ExitCode::Usage, "a password needs a user name")
                .remedy("Add --user NAME."));
        }
        Ok(settings)
    }

    fn password(&self) -> Result<Option<String>, Error> {
        if let Some(path) = &self.password_file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                let what = format!("can't read the password in {}", path.display());
                Error::new(ExitCode::Usage, what).because(reason(&error))
            })?;
            return Ok(Some(text.lines().next().unwrap_or_default().to_owned()));
        }
        let given = self
            .password
            .clone()
            .or_else(|| self.broker.password.clone());
        let has_user = self.user.is_some() || self.broker.user.is_some();
        Ok(given.or_else(|| std::env::var(PASSWORD).ok().filter(|_| has_user)))
    }
}

/// Sets both payloads; in whichever order they differ from what was set before.
fn set_payloads(settings: &mut Settings, on: Option<&str>, off: Option<&str>) -> Result<(), Error> {
    let mut payloads = [(Key::PayloadOn, on), (Key::PayloadOff, off)];
    if let Some(on) = on
        && settings.read_payload(on.as_bytes()) == Some(false)
    {
        payloads.swap(0, 1);
    }
    for (key, value) in payloads {
        if let Some(value) = value {
            set(settings, key, value)?;
        }
    }
    Ok(())
}

fn set(settings: &mut Settings, key: Key, value: &str) -> Result<(), Error> {
    settings
        .set_key(key, value)
        .map_err(|error| Error::new(ExitCode::Usage, error.to_string()))
}

fn parse_id(text: &str) -> Result<BoardId, String> {
    text.parse()
        .map_err(|error: declic_board::InvalidBoardId| error.to_string())
}

fn parse_setting(text: &str) -> Result<(Key, String), String> {
    let (name, value) = text.split_once('=').ok_or("it has the form KEY=VALUE")?;
    let key = Key::from_name(name)
        .ok_or_else(|| format!("there is no setting `{name}`; there are {}", key_names()))?;
    Ok((key, value.to_owned()))
}

fn key_names() -> String {
    let names: Vec<_> = Key::ALL.iter().map(|key| key.name()).collect();
    names.join(", ")
}

fn after_help() -> String {
    let mut help =
        format!("{COMMANDS}\n\n{CONSOLE_COMMANDS}\n\nSettings for --set, with their defaults:\n");
    for key in Key::ALL {
        let (name, default) = (key.name(), key.default_value());
        let _ = writeln!(help, "  {name:<20} {default:<11} {}", key.doc());
    }
    help
}

const PASSWORD: &str = "DECLIC_PASSWORD";
