//! The engine that joins button, light, settings, link and client.

mod connecting;
mod console;
mod discovery;
mod getters;
mod improv;
mod incoming;
mod light;
mod memory;
mod outgoing;
mod pressing;
mod sleeping;
#[cfg(test)]
mod tests;
mod upkeep;

use declic_mqtt::client::{Client, Config, Memory, State};
use declic_mqtt::packet::Disconnect;
use declic_mqtt::{Instant, PacketId, QoS, ReasonCode};
use heapless::Deque;

pub use memory::Storage;

use crate::console::Console;
use crate::factory_reset::FactoryReset;
use crate::led::Led;
use crate::link::{Link, Request};
use crate::own::OwnMessages;
use crate::route::Route;
use crate::settings::{LedRestore, LinkTopic};
use crate::{
    BoardId, Button, Cause, Connection, Effect, Measured, Notice, Presses, Settings, Start,
};
use discovery::Discovery;
use improv::Improv;
use light::LightStore;
use sleeping::Sleep;
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
///   [`handle_broker_found`](Self::handle_broker_found),
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
///                 let to = board.destination().expect("the transport of a broker that is set");
///                 socket.open(to.host, to.port);
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
/// It is debounced ([`Button`]), and told from a double press and a hold where the settings want
/// these ([`Presses`]). Then it counts, one for every press however long it is held. A button that
/// is held when the board starts is not pressed by that.
///
/// A press sends one message on the link topic, ON and OFF in turn, beginning with ON. The board
/// follows that topic too, also as a publisher: after another board's press, or with a retained
/// state that was there before, the next press sends the other state. A press never waits. Without
/// a connection, or with one that takes no more, it changes the state at once and the newest state
/// is sent as soon as that is possible; what was sent and not acknowledged before a loss is sent
/// again. A double press and a hold send nothing there.
///
/// Each of the three is an event on `declic/<id>/button`, with QoS 1 (setting `qos`), in order.
/// Events that can't be sent are kept one by one, up to 32; of more, the oldest are given up and
/// counted ([`dropped_events`](Self::dropped_events)). QoS 1 may bring an event twice: `boot` and
/// `count` together name it, so a receiver can tell. `count` goes up by one with each event, given
/// up or not; `boot` is how often the board has started, or, where nothing counts that, a random
/// number above 2,147,483,647 for each start.
///
/// # What is never lost, and what a restart loses
/// As long as the program runs, an event is kept until the broker has acknowledged it (QoS 1 and
/// 2), over any number of connections and brokers, but for those that are given up and counted; and
/// the link's newest state arrives. Nothing of that is in flash. **A loss of power, a crash or a
/// reset loses** the events that were not acknowledged, the state of the link if it was not, and
/// the count, which begins at 1 again with another `boot`. A press whose debounce time is not over
/// is none. A planned [`Restart`](Effect::Restart) first sends what it can within a second.
/// [Sleeping](#sleeping) loses nothing. What is in flash is never lost: the settings, the number of
/// starts, and the light's state with the setting `led-restore` on `flash`, but for its last five
/// seconds.
///
/// # The light after a restart
/// The setting `led-restore` says what it is: dark until the broker has told the retained state
/// (`retained`); as it was, until the broker has told (`flash`); or `off` or `on`, and then
/// retained messages count only for what comes after the first connection. For `flash`, a change is
/// stored when the light has been still for five seconds and is another one than what is stored, so
/// that neither a child at the button nor a program that blinks wears the flash out:
/// [`store_light`](crate::flash::SettingsStore::store_light) says how long it lasts.
///
/// # Finding the broker
/// The setting `broker` names one or several, which are tried in turn, or has `mdns` as one of them
/// ([`Effect::FindBroker`]). Every step has its own deadline: opening the transport, the broker's
/// answer, a ping. After a failure follows a pause that grows from `backoff-base` to `backoff-cap`
/// and is drawn at random below that; failures of the transport and of MQTT are counted apart, and
/// forgotten when a connection has lasted for `stable-uptime`. So a network or a broker that
/// accepts the board and throws it out counts as one that fails. After refusals that last (a wrong
/// password, say) the pause is at least half of `backoff-cap`. A broker of MQTT 5 that names
/// another one is followed, three times in a row at most: "use another server" for one connection,
/// "server moved" as long as that one can be reached and the board runs.
///
/// # Sleeping
/// With the setting `sleep`, a board that only sends (role `publisher`) sleeps when all that it had
/// to say has arrived and nothing has happened for that time: [`Effect::Sleep`]. It also sleeps
/// when that could not be done within a minute since the last press; the events wait for the next
/// press. Its `status` stays `online`, since it is only asleep. The press that wakes it counts at
/// once. What it sends on the link is decided when the broker has told the retained state, or has
/// not within a second: another board may have pressed meanwhile.
///
/// # A broker that lost its memory
/// A broker that has no session for the board and, a second after the subscription, has told no
/// retained state of the link may have lost it. A board that publishes and knows the state then
/// tells it again, so that whoever comes later finds the light as it is. One that hears the state
/// from another board within that second leaves it at that.
///
/// # Sessions
/// The first connection after a start begins with a clean session, since nothing of an older one is
/// known; identifiers of messages would be used twice otherwise. With MQTT 5 the later ones to the
/// same broker go on with it, for as long as the setting `session-expiry` says. With 3.1.1 every
/// connection is clean, because a session there has no end and would stay in the broker for ever:
/// the board then sends again what was not acknowledged and takes the retained state, so only
/// messages for it that nobody retained are lost with the connection.
pub struct Board<'b> {
    id: BoardId,
    settings: Settings,
    link_topic: LinkTopic,
    client: Client<'b>,
    link: Link,
    route: Route,
    button: Button,
    presses: Presses,
    led: Led,
    light: LightStore,
    /// The state of the link as this board knows it.
    state: Option<bool>,
    own: OwnMessages,
    unsent: Unsent,
    subscription: Subscription,
    /// When the broker, which has lost the session, counts as having lost the link's state as well,
    /// unless it tells one before.
    forgotten_at: Option<Instant>,
    server: Server,
    /// Names the events of this run, together with their numbers.
    boot: u32,
    /// The number of the last event.
    count: u32,
    connections: u32,
    /// Microseconds with a connection, without those of the current one.
    online: u64,
    info_at: Option<Instant>,
    sleep: Sleep,
    dropped_events: u32,
    notices: Deque<Notice, NOTICES>,
    missed_notices: u32,
    console: Console,
    upkeep: Upkeep,
    improv: Improv,
    discovery: Discovery,
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
    /// Two bits for the kind of each press, the last one in the lowest.
    kinds: u64,
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
    has_session: bool,
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
            route: Route::default(),
            button: Button::new(settings.debounce()),
            presses: Presses::new(settings.double_press(), settings.hold_press()),
            led: Led::new(settings.led_restore() == LedRestore::On),
            light: LightStore::new(settings.led_restore()),
            state: None,
            own: OwnMessages::default(),
            unsent: Unsent::default(),
            subscription: Subscription::None,
            forgotten_at: None,
            server: Server {
                has_session: false,
                qos: QoS::ExactlyOnce,
                retain: true,
            },
            // No machine starts so often.
            boot: 1 << 31 | (seed ^ seed >> 32) as u32,
            count: 0,
            connections: 0,
            online: 0,
            info_at: None,
            sleep: Sleep::default(),
            dropped_events: 0,
            notices: Deque::new(),
            missed_notices: 0,
            console: Console::new(settings.log_level()),
            upkeep: Upkeep::new(&settings),
            improv: Improv::new(),
            discovery: Discovery::new(seed),
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
            if self.destination().is_some() {
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
            self.count_online();
            self.route.left();
            self.link.down(self.now);
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
        if let Some(kind) = self.presses.handle_timeout(self.now) {
            self.count_press(kind);
        }
        self.handle_upkeep_timeout();
        self.handle_sleep_timeout();
        self.handle_forgotten_timeout();
        self.handle_info_timeout();
        self.handle_discovery_timeout();
        self.client.handle_timeout(self.now);
        self.own.handle_timeout(self.now);
        if self.link.handle_timeout(self.now) {
            self.failed(if self.must_search() {
                Cause::NotFound
            } else {
                Cause::OpenTimeout
            });
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
        if self.client.awaited_payload() > 0 {
            return self.discovery_bytes();
        }
        self.client.transmit()
    }

    /// The first `len` bytes of [`Self::transmit`] were taken by the transport.
    pub fn transmitted(&mut self, len: usize, now: Instant) {
        self.at(now);
        if self.client.awaited_payload() > 0 {
            self.discovery_sent(len);
        } else {
            self.client.transmitted(len, self.now);
        }
    }

    /// What the owner must do next. To be called until it returns `None`.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        loop {
            if let Some(on) = self.led.poll_level() {
                return Some(Effect::SetLed(on));
            }
            if let Some(request) = self.link.poll_request() {
                return Some(match request {
                    Request::Open if self.must_search() => Effect::FindBroker,
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
            if let Some(effect) = self.poll_upkeep().or_else(|| self.poll_sleep()) {
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
            self.presses.poll_timeout(),
            self.client.poll_timeout(),
            self.link.poll_timeout(),
            self.own.poll_timeout(),
            self.factory_reset.poll_timeout(self.now),
            self.upkeep.poll_timeout(),
            self.improv.poll_timeout(),
            self.discovery.poll_timeout(),
            self.light.poll_timeout(),
            self.status_light().map(|(_, until)| until),
            self.poll_sleep_timeout(),
            self.info_at.filter(|_| self.is_connected()),
            self.forgotten_at,
        ]
        .into_iter()
        .flatten()
        .min()
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

/// Microseconds between two moments: shorter code on a small chip than that of a `Duration`.
fn micros(from: Instant, to: Instant) -> u64 {
    to.as_micros().saturating_sub(from.as_micros())
}

/// Payloads of `declic/<id>/status`.
const ONLINE: &[u8] = b"online";
const OFFLINE: &[u8] = b"offline";

/// Button events that wait for a connection at most; of more, the oldest are given up.
pub(crate) const EVENTS: u32 = 32;

/// Notices that wait for the owner. One input makes at most four.
const NOTICES: usize = 16;
