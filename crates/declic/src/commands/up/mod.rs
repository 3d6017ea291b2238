//! `declic up`: a broker, a board with a button and a board with a light, all in this process.

mod lamp;
mod lan;
mod plain;
mod screen;
mod view;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use declic_board::{Key, SettingError, Settings};
use declic_broker::{Broker, Config, Effect, Handle};

use crate::access::{Access, AccessArgs, Credentials, cannot_listen};
use crate::announce::Announcement;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::host::console::{self, COMMANDS};
use crate::host::identity::Identity;
use crate::host::{Host, News, Report};
use crate::printer::Printer;
use crate::signals;

/// Press a button here, and a light turns on there: broker and two boards, ready to play with
///
/// Starts a broker, a virtual board with a button and a virtual board with a light. The boards run
/// the program of the real ones and speak to the broker over real sockets. Any other MQTT client
/// may join.
///
/// In a terminal it shows what happens: space or Enter is the button, q leaves. Otherwise events
/// are printed as lines, and commands are read as lines.
#[derive(Debug, Default, clap::Args)]
#[command(after_long_help = COMMANDS)]
pub struct Args {
    #[command(flatten)]
    access: AccessArgs,

    /// Print events as lines and read commands as lines, also in a terminal
    #[arg(long)]
    plain: bool,
}

/// Runs everything until it is told to quit.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let started = Instant::now();
    let access = args.access.resolve()?;
    let (broker, notice) = bind(&access)?;
    let system = System::start(broker, notice, &access, printer)?;
    if args.plain || !screen::is_possible() {
        plain::run(system, printer)
    } else {
        screen::run(system, started, printer)
    }
}

/// Something happened.
enum Event {
    Board(Side, Report),
    /// The broker tells of a client.
    Client(Instant, Effect),
    /// The broker has ended, for a reason unless it was told to.
    BrokerEnded(Option<String>),
    /// A key, or another size.
    Terminal(ratatui::crossterm::event::Event),
    /// A command line.
    Line(Result<console::Command, String>),
    /// SIGINT or SIGTERM.
    Stop,
}

/// One of the two boards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Publisher,
    Subscriber,
}

impl Side {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Subscriber => "subscriber",
        }
    }
}

/// Broker and boards, running.
struct System {
    /// Where the broker listens.
    addresses: Vec<SocketAddr>,
    /// What the user should know about them.
    notice: Option<String>,
    /// The login for clients from the network.
    login: Option<Credentials>,
    /// Whether clients need no login.
    anyone: bool,
    publisher: Board,
    subscriber: Board,
    broker: Handle,
    /// Where boards in the network can find the broker.
    _announcement: Option<Announcement>,
    sender: Sender<Event>,
    events: Receiver<Event>,
}

struct Board {
    host: Host,
    client_id: String,
    /// Keeps the id from being used by another process.
    _identity: Identity,
}

impl System {
    fn start(
        broker: Broker,
        notice: Option<String>,
        access: &Access,
        printer: &Printer,
    ) -> Result<Self, Error> {
        let (sender, events) = mpsc::channel();
        let addresses = broker.local_addrs().to_vec();
        let handle = broker.handle();
        serve(broker, &sender)?;
        let settings = |role: &str| board_settings(role, &addresses, access);
        let publisher = Board::start(Side::Publisher, settings("publisher")?, &sender, printer)?;
        let subscriber = Board::start(Side::Subscriber, settings("subscriber")?, &sender, printer)?;
        let stop = sender.clone();
        signals::on_stop(move || {
            let _ = stop.send(Event::Stop);
        })?;
        Ok(Self {
            _announcement: Announcement::start(&addresses),
            addresses,
            notice,
            login: access.own.clone().filter(|_| access.is_generated),
            anyone: access.own.is_none(),
            publisher,
            subscriber,
            broker: handle,
            sender,
            events,
        })
    }

    fn board(&self, side: Side) -> &Board {
        match side {
            Side::Publisher => &self.publisher,
            Side::Subscriber => &self.subscriber,
        }
    }

    /// Whether `client_id` is one of the two boards.
    fn is_own(&self, client_id: &str) -> bool {
        [&self.publisher, &self.subscriber]
            .iter()
            .any(|board| board.client_id == client_id)
    }

    /// Ends everything in good order: the boards say goodbye, then the broker.
    fn stop(self) {
        let boards = [self.publisher.host, self.subscriber.host];
        boards.iter().for_each(Host::stop);
        boards.into_iter().for_each(Host::join);
        self.broker.shutdown();
        let limit = Instant::now() + BROKER_STOP_LIMIT;
        while !matches!(
            self.events
                .recv_timeout(limit.saturating_duration_since(Instant::now())),
            Ok(Event::BrokerEnded(_)) | Err(RecvTimeoutError::Timeout)
        ) {}
    }
}

impl Board {
    fn start(
        side: Side,
        settings: Settings,
        sender: &Sender<Event>,
        printer: &Printer,
    ) -> Result<Self, Error> {
        let identity = Identity::kept_or_random(&format!("up-{}", side.as_str()), printer)?;
        let sender = sender.clone();
        let host = Host::start(identity.id, settings, move |report| {
            let _ = sender.send(Event::Board(side, report));
        })
        .map_err(|error| system_error(&error))?;
        Ok(Self {
            host,
            client_id: identity.id.client_id().to_string(),
            _identity: identity,
        })
    }
}

/// Opens the broker's listeners. Port 1883 that was not asked for may be another one, which is
/// said.
fn bind(access: &Access) -> Result<(Broker, Option<String>), Error> {
    if let (declic_broker::Access::File { path, anonymous }, None) = (&access.access, &access.own)
        && !anonymous
    {
        let what = format!("can't use the users in {}", path.display());
        return Err(Error::new(ExitCode::Usage, what)
            .because("the boards of `declic up` need a password too, and all are hashed")
            .remedy("Add a user with a plain one: a line boards:PASSWORD."));
    }
    let config = |listeners: &[SocketAddr]| Config {
        listeners: listeners.to_vec(),
        access: access.access.clone(),
        ..Config::default()
    };
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    match Broker::bind(config(&access.listen)) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && !access.is_chosen => {
            Broker::bind(config(&[free]))
                .map(|broker| (broker, Some(format!("{error}, so this is another port"))))
        }
        result => result.map(|broker| (broker, None)),
    }
    .map_err(|error| cannot_listen(&error))
}

/// Runs the broker and passes on what it tells, in threads of their own.
fn serve(mut broker: Broker, sender: &Sender<Event>) -> Result<(), Error> {
    let clients = broker.events(CLIENT_EVENTS);
    let ended = sender.clone();
    let run = move || {
        let guard = BrokerGuard(ended);
        let cause = broker.run().err().map(|error| error.to_string());
        guard.end(cause);
    };
    let told = sender.clone();
    let tell = move || {
        for event in clients {
            if told.send(Event::Client(Instant::now(), event)).is_err() {
                break;
            }
        }
    };
    thread::Builder::new()
        .name("broker".into())
        .spawn(run)
        .and_then(|_| thread::Builder::new().name("clients".into()).spawn(tell))
        .map(drop)
        .map_err(|error| system_error(&error))
}

/// Tells that the broker has ended, even by a panic.
struct BrokerGuard(Sender<Event>);

impl BrokerGuard {
    fn end(self, cause: Option<String>) {
        let _ = self.0.send(Event::BrokerEnded(cause));
    }
}

impl Drop for BrokerGuard {
    fn drop(&mut self) {
        if thread::panicking() {
            let cause = Some("it failed unexpectedly".to_owned());
            let _ = self.0.send(Event::BrokerEnded(cause));
        }
    }
}

fn board_settings(
    role: &str,
    addresses: &[SocketAddr],
    access: &Access,
) -> Result<Settings, Error> {
    let mut settings = Settings::default();
    let address = reachable_here(addresses);
    let login = access.own.as_ref();
    let values = [
        (Key::Role, role),
        (Key::Broker, &address.ip().to_string()),
        (Key::Port, &address.port().to_string()),
        (Key::User, login.map_or("", |login| &login.name)),
        (Key::Password, login.map_or("", |login| &login.password)),
    ];
    values
        .into_iter()
        .try_for_each(|(key, value)| settings.set_key(key, value))
        .map(|()| settings)
        .map_err(|error: SettingError| {
            Error::new(ExitCode::Usage, "can't set up the boards").because(error)
        })
}

/// Where this machine itself reaches a broker that listens on `addresses`.
fn reachable_here(addresses: &[SocketAddr]) -> SocketAddr {
    let address = addresses
        .iter()
        .find(|address| address.ip().is_loopback())
        .or(addresses.first())
        .copied()
        .unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The system can't run threads.
fn system_error(error: &io::Error) -> Error {
    Error::new(ExitCode::Failure, "can't start the boards").because(error)
}

/// The front of a client's identifier, without what could do something to a terminal.
fn printable(id: &str) -> String {
    let mut shown: String = id
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if id.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

/// Characters of a client's identifier that are shown.
const SHOWN: usize = 32;
const CLIENT_EVENTS: usize = 1_024;
const BROKER_STOP_LIMIT: Duration = Duration::from_millis(250);
