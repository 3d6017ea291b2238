//! What the screen of `declic up` shows.

mod draw;
mod look;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use declic_board::{Connection, Notice, Settings};
use declic_broker::{CloseReason, Effect};
use declic_mqtt::ProtocolVersion;

use super::{News, Report, Side, lan, printable};
use crate::access::Credentials;
use crate::host::{Status, reason};

pub(super) use look::Look;

/// All that is shown.
pub(super) struct View {
    look: Look,
    started: Instant,
    /// Where clients on this machine connect.
    address: SocketAddr,
    join: Join,
    topic: String,
    boards: [Board; 2],
    /// Other clients, by identifier.
    clients: BTreeMap<Box<str>, ProtocolVersion>,
    /// The latest last.
    log: VecDeque<Entry>,
    /// What was sent last, and when it was sent.
    sent: Option<(bool, Instant)>,
    /// From the last press to the light.
    delay: Option<Duration>,
    /// Until when the button is shown as pressed.
    pressed_until: Option<Instant>,
    ready: bool,
}

/// What to enter on a real board.
pub(super) enum Join {
    /// The broker can't be reached from other machines.
    Closed,
    Open {
        /// `None` where this machine's address was not found.
        address: Option<SocketAddr>,
        port: u16,
        login: Option<Credentials>,
        anyone: bool,
    },
}

struct Board {
    client_id: String,
    status: Status,
    /// Why there is no connection.
    trouble: Option<String>,
}

struct Entry {
    at: Duration,
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Press,
    Light,
    Trouble,
    Other,
}

impl View {
    /// `address` is where clients on this machine connect, `client_ids` are those of the
    /// publisher and of the subscriber.
    pub(super) fn new(
        look: Look,
        started: Instant,
        address: SocketAddr,
        join: Join,
        client_ids: [&str; 2],
    ) -> Self {
        Self {
            look,
            started,
            address,
            join,
            topic: Settings::default().link_topic().as_str().to_owned(),
            boards: client_ids.map(|id| Board {
                client_id: id.to_owned(),
                status: Status::default(),
                trouble: None,
            }),
            clients: BTreeMap::new(),
            log: VecDeque::new(),
            sent: None,
            delay: None,
            pressed_until: None,
            ready: false,
        }
    }

    /// Something to know from the start.
    pub(super) fn notice(&mut self, text: &str) {
        self.note(Instant::now(), Kind::Other, text.to_owned());
    }

    /// The key of the button was hit.
    pub(super) fn key(&mut self) {
        self.pressed_until = Some(Instant::now() + FLASH);
    }

    /// A board tells something.
    pub(super) fn report(&mut self, side: Side, report: &Report) {
        let board = &mut self.boards[side as usize];
        board.status = report.status;
        let name = side.as_str();
        match &report.news {
            News::Notice(Notice::Connected { .. }) => {
                board.trouble = None;
                self.note(report.at, Kind::Other, format!("{name} {report}"));
            }
            News::Notice(Notice::Pressed { sends, .. }) => {
                self.sent = sends.map(|on| (on, report.at));
                self.note(report.at, Kind::Press, format!("{name} {report}"));
            }
            News::Notice(Notice::Light(on)) => {
                let by_press = self.sent.filter(|(sent, _)| sent == on);
                self.delay = by_press.map(|(_, at)| report.at.saturating_duration_since(at));
                let later = self
                    .delay
                    .map_or_else(String::new, |delay| format!(", {} later", millis(delay)));
                let kind = if *on { Kind::Light } else { Kind::Other };
                self.note(report.at, kind, format!("{name} {report}{later}"));
            }
            News::Notice(Notice::Disconnected(cause) | Notice::ConnectFailed(cause)) => {
                board.trouble = Some(cause.to_string());
                self.note(report.at, Kind::Trouble, format!("{name} {report}"));
            }
            News::Unreachable(error) => {
                board.trouble = Some(reason(error));
                self.note(report.at, Kind::Trouble, format!("{name} {report}"));
            }
            News::Notice(Notice::Subscribed | Notice::Stopped) | News::Asked | News::Ended => {}
            // Nobody types on the console of these boards.
            News::Opening(_) | News::Console(_) | News::Restarted(_) => {}
            News::Notice(_) => self.note(report.at, Kind::Other, format!("{name} {report}")),
        }
        let [publisher, subscriber] = &self.boards;
        if !self.ready && publisher.is_connected() && subscriber.status.subscribed {
            self.ready = true;
            let text = format!("ready: press {}", self.look.key());
            self.note(report.at, Kind::Other, text);
        }
    }

    /// The broker tells of a client.
    pub(super) fn client(&mut self, at: Instant, effect: &Effect) {
        match effect {
            Effect::Connected {
                client_id, version, ..
            } => self.joined(at, client_id, *version),
            Effect::Disconnected { client_id, reason } => self.left(at, client_id, *reason),
            _ => {}
        }
    }

    fn joined(&mut self, at: Instant, id: &str, version: ProtocolVersion) {
        if !self.is_own(id) {
            let text = format!("{} connected (MQTT {version})", printable(id));
            self.note(at, Kind::Other, text);
            self.clients.insert(id.into(), version);
        }
    }

    fn left(&mut self, at: Instant, id: &str, reason: CloseReason) {
        if self.clients.remove(id).is_some() {
            let text = format!("{} is gone: {reason}", printable(id));
            self.note(at, Kind::Other, text);
        }
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.pressed_until.take_if(|at| *at <= now);
    }

    /// When to call [`Self::handle_timeout`] and to draw again without an event.
    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.pressed_until
    }

    fn note(&mut self, at: Instant, kind: Kind, text: String) {
        let at = at.saturating_duration_since(self.started);
        if self.log.len() == LOG {
            self.log.pop_front();
        }
        // What comes from different threads may come in another order than it happened.
        let behind = self
            .log
            .iter()
            .rev()
            .take_while(|entry| entry.at > at)
            .count();
        let place = self.log.len() - behind;
        self.log.insert(place, Entry { at, text, kind });
    }

    fn is_own(&self, id: &str) -> bool {
        self.boards.iter().any(|board| board.client_id == id)
    }

    fn light(&self) -> bool {
        self.boards[Side::Subscriber as usize].status.light
    }
}

impl Board {
    const fn is_connected(&self) -> bool {
        matches!(self.status.connection, Connection::Connected { .. })
    }
}

impl Join {
    pub(super) fn new(addresses: &[SocketAddr], login: Option<&Credentials>, anyone: bool) -> Self {
        let open = addresses.iter().find(|address| !address.ip().is_loopback());
        open.map_or(Self::Closed, |address| Self::Open {
            address: lan::reachable_from_outside(*address),
            port: address.port(),
            login: login.cloned(),
            anyone,
        })
    }
}

/// A short time, for people.
fn millis(time: Duration) -> String {
    let micros = time.as_micros();
    if micros < 10_000 {
        format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100)
    } else {
        format!("{} ms", micros / 1_000)
    }
}

/// How long a key shows the button as pressed.
const FLASH: Duration = Duration::from_millis(150);
/// More lines than any terminal has.
const LOG: usize = 512;
