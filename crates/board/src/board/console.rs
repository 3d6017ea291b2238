//! The board at its console: bytes in, commands, answers, log lines.

use core::fmt;
use core::time::Duration;

use declic_mqtt::client::CloseReason;
use declic_mqtt::{Instant, ReasonCode};

use super::Board;
use crate::console::{Busy, Command, CommandError, Entered, Failure, Job};
use crate::{Cause, Connection, FoundNetwork, Key, LogLevel, Notice, ScanError};

impl Board<'_> {
    /// Where to put typed bytes; empty while an answer is not ready yet.
    ///
    /// See [`console`](crate::console) for the commands.
    pub fn console_space(&mut self) -> &mut [u8] {
        self.console.input.space()
    }

    /// `len` bytes were put at the front of [`Self::console_space`].
    pub fn typed(&mut self, len: usize, now: Instant) {
        self.at(now);
        if len > 0 {
            self.listen();
            self.sleep.pressed(self.now);
        }
        self.console.input.filled(len);
        self.pump();
    }

    /// What the console prints next: whole lines, as many as there are.
    pub fn console_output(&self) -> &[u8] {
        self.console.output.bytes()
    }

    /// The first `len` bytes of [`Self::console_output`] were printed. More may follow.
    pub fn console_written(&mut self, len: usize) {
        self.console.output.written(len);
        self.pump();
    }

    /// Writes a line to the console's log: for what the owner knows and the board does not. It is
    /// left out where the setting `log-level` says so, and counted where there is no room.
    pub fn log(&mut self, level: LogLevel, text: fmt::Arguments<'_>, now: Instant) {
        self.at(now);
        self.put_log(level, text);
    }

    /// A network was found, as [`Effect::Scan`](crate::Effect::Scan) asked for. Returns false when
    /// the console has no room for it now.
    pub fn handle_network(&mut self, network: &FoundNetwork<'_>) -> bool {
        let Busy::Waiting(job @ (Job::Scan | Job::Networks)) = self.console.busy else {
            return true;
        };
        let output = &mut self.console.output;
        if !output.has_room() {
            return false;
        }
        if job == Job::Networks {
            self.print_network(network);
        } else {
            output.line(format_args!(
                "network rssi={} channel={} security={} ssid={}",
                network.rssi, network.channel, network.security, network.ssid
            ));
        }
        true
    }

    /// The search for networks is over.
    pub fn handle_scanned(&mut self, result: Result<(), ScanError>, now: Instant) {
        self.at(now);
        self.upkeep.job_deadline = None;
        let result = result.map(|()| 0).map_err(Failure::Scan);
        self.console.finish(Job::Scan, result);
        self.console.finish(Job::Networks, result);
        self.pump();
    }

    pub(super) fn put_log(&mut self, level: LogLevel, text: fmt::Arguments<'_>) {
        if level <= self.console.level {
            self.console.output.log(self.now, level, text);
        }
    }

    pub(super) fn log_notice(&mut self, notice: Notice) {
        if notice.level() > self.console.level {
            return;
        }
        let to = self.route.destination(&self.settings);
        let notice_line = Line {
            notice,
            host: to.map_or("", |to| to.host),
            port: to.map_or(0, |to| to.port),
            topic: self.link_topic.as_str(),
        };
        let output = &mut self.console.output;
        output.log(self.now, notice.level(), format_args!("{notice_line}"));
    }

    /// Goes on with answers and commands, as far as there is room for what they print.
    pub(super) fn pump(&mut self) {
        while self.console.output.has_room() && self.step() {}
    }

    /// Prints a line or takes a byte. Returns false when there is nothing to do.
    fn step(&mut self) -> bool {
        if self.print_answer() {
            return true;
        }
        let next = match self.console.busy {
            Busy::Idle => return self.read(),
            Busy::Waiting(_) => return false,
            Busy::Done(job, result) => {
                self.answer_job(job, result);
                None
            }
            Busy::Help(index) => Command::ALL.get(index).map(|(usage, doc)| {
                let line = format_args!("{usage:<16}{doc}");
                self.console.output.line(line);
                Busy::Help(index + 1)
            }),
            Busy::Get(index) => Key::ALL.get(index).map(|key| {
                self.print_setting(*key);
                Busy::Get(index + 1)
            }),
            Busy::Status(index) => self.print_status(index).then_some(Busy::Status(index + 1)),
        };
        if next.is_none() && !matches!(self.console.busy, Busy::Done(..)) {
            self.ok();
        }
        self.console.busy = next.unwrap_or(Busy::Idle);
        true
    }

    fn read(&mut self) -> bool {
        let Some(byte) = self.console.input.next() else {
            return false;
        };
        self.take_byte(byte);
        true
    }

    pub(super) fn type_byte(&mut self, byte: u8) {
        // The line leaves the reader for the time in which it is carried out.
        let mut line = core::mem::take(&mut self.console.line);
        match line.take(byte) {
            None => {}
            Some(Entered::Empty) => self.hint(),
            Some(Entered::TooLong) => self.error(CommandError::TooLong),
            Some(Entered::Line(text)) => match Command::parse(text) {
                Err(error) => self.error(error),
                Ok(command) => {
                    self.console.output.line(format_args!("> {command}"));
                    self.execute(command);
                }
            },
        }
        self.console.line = line;
    }

    fn execute(&mut self, command: Command<'_>) {
        match command {
            Command::Help => self.console.busy = Busy::Help(0),
            Command::Status => self.console.busy = Busy::Status(0),
            Command::Get(None) => self.console.busy = Busy::Get(0),
            Command::Get(Some(key)) => {
                self.print_setting(key);
                self.ok();
            }
            Command::Set(key, value) => match self.set(key, value) {
                Err(error) => self.error(error),
                Ok(()) if key == Key::LogLevel => {
                    self.say(format_args!("ok: type save to keep it"))
                }
                Ok(()) => self.say(format_args!("ok: type save, and restart to use it")),
            },
            Command::Save if self.save() => self.begin_job(Job::Save),
            Command::Save => self.say(format_args!("ok: nothing was changed")),
            Command::Press => {
                self.press(self.now);
                self.ok();
            }
            Command::Led(on) => {
                self.set_light(on);
                self.send();
                self.ok();
            }
            Command::Scan => {
                self.upkeep.scan = true;
                self.begin_job(Job::Scan);
            }
            Command::Restart(false) if !self.unsaved().is_empty() => {
                let count = self.unsaved().len();
                self.error(format_args!(
                    "changes are not saved ({count}): type save, or restart now to drop them"
                ));
            }
            Command::Restart(_) => {
                self.ok();
                self.begin_restart();
            }
            Command::FactoryReset => {
                self.begin_factory_reset();
                self.begin_job(Job::FactoryReset);
            }
        }
    }

    pub(super) fn begin_job(&mut self, job: Job) {
        self.console.busy = Busy::Waiting(job);
        self.upkeep.job_deadline = Some(self.now + JOB_TIME);
    }

    fn answer_job(&mut self, job: Job, result: Result<u32, Failure>) {
        match (job, result) {
            (Job::Networks, result) => self.end_networks(result.is_ok()),
            (_, Err(failure)) => self.error(failure),
            (Job::Save, Ok(count)) => {
                self.say(format_args!("ok: saved {count}; restart to use it"));
            }
            (Job::FactoryReset | Job::Scan, Ok(_)) => self.ok(),
        }
    }

    fn ok(&mut self) {
        self.say(format_args!("ok"));
    }

    fn error(&mut self, error: impl fmt::Display) {
        self.say(format_args!("error: {error}"));
    }

    fn say(&mut self, line: fmt::Arguments<'_>) {
        self.console.output.line(line);
    }

    fn print_setting(&mut self, key: Key) {
        let value = self.upkeep.edited.get_key(key);
        self.console.output.line(format_args!("{key}={value}"));
    }

    /// Prints the line of `status` with that number, if it is known. Returns false after the last.
    fn print_status(&mut self, index: usize) -> bool {
        let mut value = heapless::String::<VALUE_LEN>::new();
        let Some(name) = STATUS.get(index) else {
            return false;
        };
        // What is longer is cut.
        let _ = self.write_status(index, &mut value.as_mut_view());
        if !value.is_empty() {
            self.console.output.line(format_args!("{name}={value}"));
        }
        true
    }

    /// Writes the value of the line with that number; nothing if it is not known.
    fn write_status(&self, index: usize, out: &mut dyn fmt::Write) -> fmt::Result {
        let yes_or_no = |yes| if yes { "yes" } else { "no" };
        let start = self.start.as_ref();
        let number = match index {
            0 => return out.write_str("1"),
            1 => return write!(out, "{}", self.id),
            2 => return out.write_str(self.settings.name()),
            3 => return out.write_str(self.role().as_str()),
            4 => return out.write_str(env!("CARGO_PKG_VERSION")),
            5 => return out.write_str(start.map_or("", |start| start.chip)),
            6 => return write_optional(self.measured.address, out),
            7 => return write_optional(self.measured.rssi, out),
            8 => match self.destination() {
                Some(to) => return write!(out, "{}:{}", to.host, to.port),
                None => return Ok(()),
            },
            9 => return out.write_str(self.connection().as_str()),
            10 => return write!(out, "{}", self.version()),
            11 => return out.write_str(yes_or_no(self.is_subscribed())),
            12 => return out.write_str(if self.light() { "ON" } else { "OFF" }),
            13 => self.presses(),
            14 => return out.write_str(yes_or_no(self.has_unsent())),
            15 => self.reconnects(),
            16 => self.dropped_events(),
            17 => return write!(out, "{}", self.uptime()),
            18 => return write_optional(start.and_then(|start| start.boots), out),
            19 => return write_optional(start.map(|start| start.reason), out),
            20 => return write_optional(self.measured.free_memory, out),
            21 => self.unsaved().len() as u32,
            22 => return write!(out, "{}", self.offline()),
            _ if self.sleeps_after().is_some() => self.awake_ms(),
            _ => return Ok(()),
        };
        write!(out, "{number}")
    }
}

fn write_optional(value: Option<impl fmt::Display>, out: &mut dyn fmt::Write) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(out, "{value}"))
}

/// A notice for the log, with what helps a person.
struct Line<'a> {
    notice: Notice,
    host: &'a str,
    port: u16,
    topic: &'a str,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.notice.fmt(f)?;
        match self.notice {
            Notice::Connected { .. } => write!(f, " to {}:{}", self.host, self.port),
            Notice::Subscribed => write!(f, " to {}", self.topic),
            Notice::ConnectFailed(cause) => {
                write!(f, " ({}:{}). {}", self.host, self.port, remedy(cause))
            }
            _ => Ok(()),
        }
    }
}

/// What a person can do.
fn remedy(cause: Cause) -> &'static str {
    match cause {
        Cause::Unreachable | Cause::OpenTimeout | Cause::NotFound => {
            "Is the broker running, and the board in the same network?"
        }
        Cause::Closed(CloseReason::Refused(
            ReasonCode::BadUserNameOrPassword | ReasonCode::NotAuthorized,
        )) => "Look at the settings user and password.",
        Cause::Closed(CloseReason::Refused(ReasonCode::ClientIdentifierNotValid)) => {
            "Look at the setting client-id."
        }
        Cause::Closed(CloseReason::ConnectTimeout) => "Is that an MQTT port?",
        _ => "",
    }
}

impl Connection {
    /// A word for it: `down`, `waiting`, `connecting`, `connected` or `stopped`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Waiting { .. } => "waiting",
            Self::Opening { .. } | Self::Handshake => "connecting",
            Self::Connected { .. } => "connected",
            Self::Stopped => "stopped",
        }
    }
}

/// The names of the lines of `status`, in their order.
const STATUS: [&str; 24] = [
    "console",
    "id",
    "name",
    "role",
    "version",
    "chip",
    "address",
    "rssi",
    "broker",
    "connection",
    "mqtt",
    "subscribed",
    "light",
    "presses",
    "unsent",
    "reconnects",
    "dropped-events",
    "uptime",
    "boots",
    "restart-reason",
    "free-memory",
    "unsaved",
    "offline",
    "awake-ms",
];

/// The longest value in `status`: a panic's place.
const VALUE_LEN: usize = 128;

/// How long the owner may take for what a command asks for.
const JOB_TIME: Duration = Duration::from_secs(20);
