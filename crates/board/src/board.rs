//! The engine that joins button, light, settings, link and client.

mod console;
mod getters;
mod improv;
mod incoming;
mod memory;
mod outgoing;
#[cfg(test)]
mod tests;
mod upkeep;

use declic_mqtt::client::{Client, Config, Memory, State};
use declic_mqtt::packet::{Connect, Disconnect, Properties, Property, Will};
use declic_mqtt::{Instant, PacketId, ProtocolVersion, QoS, ReasonCode};
use heapless::Deque;

pub use memory::Storage;

use crate::console::Console;
use crate::factory_reset::FactoryReset;
use crate::id::Leaf;
use crate::led::Led;
use crate::link::{Link, Request};
use crate::own::OwnMessages;
use crate::settings::{LinkTopic, Topics};
use crate::{
    BoardId, Button, Cause, Change, Connection, Effect, Measured, Notice, Settings, Start,
};
use improv::Improv;
use upkeep::Upkeep;

/// A board: everything between its button, its light and its network.
///
/// **Feed all input that is ready, then drain the effects until `None`, then move bytes.** That is
/// the whole contract; nothing happens between calls.
///
/// Its methods are of four kinds:
///
/// - *input*: [`handle_link`](Self::handle_link) for the network,
///   [`handle_level`](Self::handle_level) for the button's pin,
///   [`handle_connected`](Self::handle_connected),
///   [`handle_connect_failed`](Self::handle_connect_failed) and
///   [`handle_closed`](Self::handle_closed) for the transport, [`rx_space`](Self::rx_space) and
///   [`received`](Self::received) for its bytes, [`console_space`](Self::console_space) and
///   [`typed`](Self::typed) for the console's, [`handle_stored`](Self::handle_stored) for the
///   flash, [`handle_start`](Self::handle_start) and [`handle_measured`](Self::handle_measured)
///   for what the machine knows, [`handle_timeout`](Self::handle_timeout);
/// - *verbs*: [`press`](Self::press), [`shut_down`](Self::shut_down);
/// - *output*: [`poll_effect`](Self::poll_effect), [`poll_timeout`](Self::poll_timeout),
///   [`transmit`](Self::transmit) and [`transmitted`](Self::transmitted) for bytes,
///   [`console_output`](Self::console_output) and [`console_written`](Self::console_written) for
///   the console's;
/// - *getters*, for a display or a console.
///
/// A board is made with its link down: [`handle_link`](Self::handle_link) starts it. Its memory is
/// the owner's, see [`Storage`]. Times must not go back; an earlier one counts as the latest.
///
/// # The loop
/// ```
/// # use core::time::Duration;
/// use declic_board::{Board, BoardId, Effect, Settings, Storage};
/// use declic_mqtt::Instant;
///
/// # struct Pin; impl Pin { fn set(&self, _: bool) {} fn is_closed(&self) -> bool { false } }
/// # #[derive(Default)] struct Socket(Option<()>);
/// # impl Socket {
/// #     fn open(&mut self, _: &str, _: u16) {} fn close(&mut self) {}
/// #     fn read(&mut self, _: &mut [u8]) -> usize { 0 } fn write(&mut self, _: &[u8]) -> usize { 0 }
/// # }
/// # let (led, contact, mut socket) = (Pin, Pin, Socket::default());
/// # let mut turns = 0..3;
/// # let now = || Instant::from_millis(5);
/// # let mut wait_for_anything = |_until: Option<Instant>| turns.next().is_some();
/// let mut settings = Settings::default();
/// settings.set("broker", "192.168.1.20")?;
/// let mut storage = Storage::new();
/// let id = BoardId::new([0x02, 0, 0, 0, 0, 0x01]);
/// let mut board = Board::new(id, settings, 0x5eed, storage.memory());
/// board.handle_link(true, now());
///
/// while wait_for_anything(board.poll_timeout()) {
///     // Input: all that is ready. Of the transport's news, this shows the bytes only.
///     board.handle_level(contact.is_closed(), now());
///     let received = socket.read(board.rx_space());
///     board.received(received, now());
///     board.handle_timeout(now());
///     // Effects, until there is none.
///     while let Some(effect) = board.poll_effect() {
///         match effect {
///             Effect::SetLed(on) => led.set(on),
///             Effect::OpenTransport => {
///                 let settings = board.settings();
///                 socket.open(settings.broker().unwrap_or_default(), settings.port());
///             }
///             Effect::CloseTransport => socket.close(),
///             Effect::Notice(notice) => println!("{notice}"),
///             _ => {}
///         }
///     }
///     // Bytes, as many as the socket takes.
///     while !board.transmit().is_empty() {
///         let written = socket.write(board.transmit());
///         board.transmitted(written, now());
///         if written == 0 {
///             break;
///         }
///     }
/// }
/// # Ok::<(), declic_board::SettingError>(())
/// ```
///
/// # Settings
/// A board uses the settings that it was made with until it is made again. What is typed on its
/// [`console`](crate::console) changes [`edited`](Self::edited); `save` has that stored with
/// [`Effect::Store`], and `restart` ends the board with [`Effect::Restart`]. A board whose owner
/// has no flash, no console and no machine leaves all of that alone.
///
/// # What a press does
/// It sends one message on the link topic, ON and OFF in turn, beginning with ON. The board follows
/// that topic too, also as a publisher: after another board's press, or with a retained state that
/// was there before, the next press sends the other state. A press never waits. Without a
/// connection, or with one that takes no more, it changes the state at once and the newest state
/// is sent as soon as that is possible; what was sent and not acknowledged before a loss is sent
/// again.
///
/// # Sessions
/// The first connection after a start begins with a clean session, since nothing of an older one
/// is known. With MQTT 5 the later ones go on with it, for as long as the setting `session-expiry`
/// says. With 3.1.1 every connection is clean, because a session there has no end and would stay
/// in the broker for ever: the board then sends again what was not acknowledged and takes the
/// retained state, so only messages for it that nobody retained are lost with the connection.
pub struct Board<'b> {
    id: BoardId,
    settings: Settings,
    link_topic: LinkTopic,
    client: Client<'b>,
    link: Link,
    button: Button,
    led: Led,
    /// The state of the link as this board knows it.
    state: Option<bool>,
    own: OwnMessages,
    unsent: Unsent,
    subscription: Subscription,
    server: Server,
    /// Whether the broker may still have a session of this run.
    session: bool,
    presses: u32,
    connections: u32,
    dropped_events: u32,
    notices: Deque<Notice, NOTICES>,
    missed_notices: u32,
    console: Console,
    upkeep: Upkeep,
    improv: Improv,
    /// Whether the network is there.
    network: bool,
    factory_reset: FactoryReset,
    start: Option<Start>,
    measured: Measured,
    started: Option<Instant>,
    now: Instant,
}

/// What is still to be sent.
#[derive(Debug, Clone, Copy, Default)]
struct Unsent {
    /// The link's state.
    link: bool,
    /// `online`.
    status: bool,
    /// The LED's state.
    led: bool,
    info: bool,
    /// Presses whose event was not sent; they are the last ones, so their numbers are known.
    events: u32,
}

/// Where the board's subscriptions stand on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subscription {
    None,
    /// To be asked for.
    Wanted(Filters),
    Asked(PacketId, Filters),
    Accepted,
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filters {
    /// All that the board listens to.
    All,
    /// The link again, for its retained state.
    Link,
}

/// What this broker can do.
#[derive(Debug, Clone, Copy)]
struct Server {
    qos: QoS,
    retain: bool,
}

impl<'b> Board<'b> {
    /// A board with its light off and its link down. `seed` spreads the attempts of many boards
    /// over time: take a random number, or the id where there is none.
    pub fn new(id: BoardId, settings: Settings, seed: u64, memory: Memory<'b>) -> Self {
        let config = Config {
            connect_timeout: settings.connect_timeout(),
            ping_timeout: settings.ping_timeout(),
        };
        Self {
            id,
            link_topic: settings.link_topic(),
            client: Client::new(config, memory),
            link: Link::new(&settings, seed),
            button: Button::new(settings.debounce()),
            led: Led::new(),
            state: None,
            own: OwnMessages::default(),
            unsent: Unsent::default(),
            subscription: Subscription::None,
            server: Server {
                qos: QoS::ExactlyOnce,
                retain: true,
            },
            session: false,
            presses: 0,
            connections: 0,
            dropped_events: 0,
            notices: Deque::new(),
            missed_notices: 0,
            console: Console::new(settings.log_level()),
            upkeep: Upkeep::new(&settings),
            improv: Improv::new(),
            network: false,
            factory_reset: FactoryReset::new(settings.factory_reset_button(), settings.debounce()),
            start: None,
            measured: Measured::default(),
            started: None,
            now: Instant::ZERO,
            settings,
        }
    }

    /// Ends the board at once, as a loss of power does, and gives its memory back for another one.
    pub fn into_memory(self) -> Memory<'b> {
        self.client.into_memory()
    }

    /// The network is there (`up`), or gone: Wi-Fi with an address, say. On a host, call it once.
    ///
    /// With a broker set, the first attempt to connect follows at once.
    pub fn handle_link(&mut self, up: bool, now: Instant) {
        self.at(now);
        self.started.get_or_insert(self.now);
        self.network = up;
        if up {
            self.improv_joined();
            if self.settings.broker().is_some() {
                self.link.up(self.now);
            }
        } else {
            match self.link.connection() {
                Connection::Connected { .. } => {
                    self.notice(Notice::Disconnected(Cause::LinkDown));
                }
                Connection::Opening { .. } | Connection::Handshake => {
                    self.notice(Notice::ConnectFailed(Cause::LinkDown));
                }
                _ => {}
            }
            self.link.down();
            self.client.handle_closed(self.now);
        }
    }

    /// The button's contact is closed (`closed`), or open, since `at`. To be called once at start
    /// and at every edge; a press follows after the debounce time, see [`Button`].
    pub fn handle_level(&mut self, closed: bool, at: Instant) {
        // The edge's own time, even when something later was handled before it.
        let change = self.button.handle_level(closed, at);
        self.at(at);
        if let Some(change) = change {
            self.handle_change(change, at);
        }
    }

    /// The transport that [`Effect::OpenTransport`] asked for is open.
    pub fn handle_connected(&mut self, now: Instant) {
        self.at(now);
        if self.link.opened() && !self.connect() {
            self.failed(Cause::Settings);
        }
    }

    /// The transport that [`Effect::OpenTransport`] asked for can't be opened.
    pub fn handle_connect_failed(&mut self, now: Instant) {
        self.at(now);
        if matches!(self.link.connection(), Connection::Opening { .. }) {
            self.link.transport_gone();
            self.failed(Cause::Unreachable);
        }
    }

    /// The transport is gone: the other side closed it, or it failed.
    pub fn handle_closed(&mut self, now: Instant) {
        self.at(now);
        match self.link.connection() {
            Connection::Opening { .. } => self.handle_connect_failed(now),
            Connection::Handshake | Connection::Connected { .. } => {
                self.link.transport_gone();
                self.client.handle_closed(self.now);
            }
            _ => {}
        }
    }

    /// Where to put received bytes; empty while there is no room for more.
    pub fn rx_space(&mut self) -> &mut [u8] {
        self.client.rx_space()
    }

    /// `len` bytes were put at the front of [`Self::rx_space`].
    pub fn received(&mut self, len: usize, now: Instant) {
        self.at(now);
        self.client.received(len, self.now);
    }

    /// Time has passed. To be called at [`Self::poll_timeout`] or later, and allowed at any time.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.at(now);
        if let Some(change) = self.button.handle_timeout(self.now) {
            self.handle_change(change, now);
        }
        self.handle_upkeep_timeout();
        self.client.handle_timeout(self.now);
        self.own.handle_timeout(self.now);
        if self.link.handle_timeout(self.now) {
            self.failed(Cause::OpenTimeout);
        }
        self.send();
    }

    /// A press, as the button makes one: for a console, or a board without a button.
    pub fn press(&mut self, now: Instant) {
        self.at(now);
        self.presses = self.presses.wrapping_add(1);
        if self.settings.topics() == Topics::All {
            if self.unsent.events == EVENTS {
                self.dropped_events = self.dropped_events.saturating_add(1);
            } else {
                self.unsent.events += 1;
            }
        }
        let role = self.settings.role();
        let sends = role.publishes().then(|| !self.state.unwrap_or(false));
        self.notice(Notice::Pressed {
            count: self.presses,
            sends,
        });
        if let Some(on) = sends {
            self.state = Some(on);
            self.unsent.link = true;
            if role.subscribes() {
                self.set_light(on);
            }
        }
        self.send();
    }

    /// Ends in good order: sends what can be sent, says `offline`, disconnects.
    ///
    /// [`Notice::Stopped`] follows once the bytes are out, after the ping timeout at the latest.
    /// The board does nothing after that.
    pub fn shut_down(&mut self, now: Instant) {
        self.at(now);
        self.send();
        if self.client.state() == State::Connected {
            self.send_offline();
            let goodbye = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
            let said = self.client.disconnect(&goodbye, self.now).is_ok();
            debug_assert!(
                said,
                "a DISCONNECT without properties has four bytes at most"
            );
        } else if self.link.connection() != Connection::Stopped {
            self.link.stop();
            self.client.handle_closed(self.now);
            self.notice(Notice::Stopped);
        }
    }

    /// Bytes for the transport; empty when there is nothing to send.
    pub fn transmit(&mut self) -> &[u8] {
        self.client.transmit()
    }

    /// The first `len` bytes of [`Self::transmit`] were taken by the transport.
    pub fn transmitted(&mut self, len: usize, now: Instant) {
        self.at(now);
        self.client.transmitted(len, self.now);
    }

    /// What the owner must do next. To be called until it returns `None`.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        loop {
            if let Some(on) = self.led.poll_level() {
                return Some(Effect::SetLed(on));
            }
            if let Some(request) = self.link.poll_request() {
                return Some(match request {
                    Request::Open => Effect::OpenTransport,
                    Request::Close => Effect::CloseTransport,
                });
            }
            if let Some(notice) = self.notices.pop_front() {
                return Some(Effect::Notice(notice));
            }
            if self.missed_notices > 0 {
                let missed = core::mem::take(&mut self.missed_notices);
                return Some(Effect::Notice(Notice::Missed(missed)));
            }
            if let Some(effect) = self.poll_upkeep() {
                return Some(effect);
            }
            // One event at a time: what it leads to is handed out before the next one is looked
            // at, so that no change of the light is skipped and no queue can overflow.
            if !self.handle_event() {
                return None;
            }
        }
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.button.poll_timeout(),
            self.client.poll_timeout(),
            self.link.poll_timeout(),
            self.own.poll_timeout(),
            self.factory_reset.poll_timeout(self.now),
            self.upkeep.poll_timeout(),
            self.improv.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Begins the MQTT connection on the open transport.
    fn connect(&mut self) -> bool {
        let version = self.link.version();
        let own_id = self.id.client_id();
        let status = self.id.topic(Leaf::Status);
        let properties = [Property::SessionExpiryInterval(
            self.settings.session_expiry(),
        )];
        let password = self.settings.password().map(str::as_bytes);
        let connect = Connect {
            clean_start: version == ProtocolVersion::V3_1_1 || !self.session,
            keep_alive: self.settings.keep_alive(),
            will: (self.settings.topics() != Topics::None).then(|| Will {
                topic: status.name(),
                payload: OFFLINE,
                qos: QoS::AtLeastOnce,
                retain: true,
                properties: Properties::EMPTY,
            }),
            user_name: self.settings.user(),
            // 3.1.1 has no password without a user name.
            password: password.filter(|_| self.settings.user().is_some()),
            properties: match version {
                ProtocolVersion::V3_1_1 => Properties::EMPTY,
                ProtocolVersion::V5 => Properties::new(&properties),
            },
            ..Connect::new(version, self.settings.client_id().unwrap_or(&own_id))
        };
        self.client.connect(&connect, self.now).is_ok()
    }

    /// There is no connection because of `cause`: arranges the next attempt.
    fn failed(&mut self, cause: Cause) {
        let was_connected = self.is_connected();
        let retry = self.link.failed(cause, self.now);
        self.client.handle_closed(self.now);
        self.notice(if was_connected {
            Notice::Disconnected(cause)
        } else {
            Notice::ConnectFailed(cause)
        });
        if let Some(version) = retry.version {
            self.notice(Notice::TryingVersion(version));
        }
        self.notice(Notice::RetryIn(retry.wait));
    }

    fn set_light(&mut self, on: bool) {
        if self.led.set(on) {
            self.unsent.led = self.settings.topics() == Topics::All;
            self.notice(Notice::Light(on));
        }
    }

    /// The debounced button changed.
    fn handle_change(&mut self, change: Change, now: Instant) {
        if self.factory_reset.handle_change(change) {
            self.begin_factory_reset();
        } else if change.pressed {
            self.press(now);
        }
    }

    fn notice(&mut self, notice: Notice) {
        self.log_notice(notice);
        if self.notices.push_back(notice).is_err() {
            self.missed_notices = self.missed_notices.saturating_add(1);
        }
    }

    /// Takes `now` as the time, unless it lies before what was seen already.
    fn at(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }
}

/// Payloads of `declic/<id>/status`.
const ONLINE: &[u8] = b"online";
const OFFLINE: &[u8] = b"offline";

/// Button events that wait for a connection at most; of more, the oldest are given up.
const EVENTS: u32 = 32;

/// Notices that wait for the owner. One input makes at most four.
const NOTICES: usize = 16;
