//! The one task that owns the board: it waits for whichever comes first of pin, console, network
//! and time, lets the board deal with it, and does what the board asks for.
//!
//! No borrow of the board lives across an `.await`, so nothing here ever holds up the button.

use core::fmt::Write as _;
use core::mem::take;
use core::pin::pin;
use core::task::Poll;

use declic_board::{
    Board, Effect, Kept, LONGEST_VALUE, LogLevel, Measured, Notice, SettingsStore, StoreError,
};
use embassy_futures::poll_once;
use embassy_futures::select::{Either, select};
use embassy_net::tcp::TcpSocket;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{Ipv4Address, Stack};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use embedded_storage_async::nor_flash::NorFlash;
use heapless::String;

use crate::{clock, net, wake};

/// What only this machine knows: its pins, its console's wires, its end. Nothing here may wait, and
/// news call [`wake::board`].
pub trait Machine {
    /// Where the settings lie.
    type Flash: NorFlash;

    /// Feeds the board with all that is new: the button's edges, what other tasks report.
    fn feed(&mut self, board: &mut Board<'static>);

    /// What was measured last, at that address.
    fn measure(&mut self, address: Option<Ipv4Address>) -> Measured;

    /// Whether another network is being joined, so that an address that is there is an old one.
    fn is_joining(&self) -> bool {
        false
    }

    /// Takes what was typed on the console; returns how many bytes.
    fn typed(&mut self, space: &mut [u8]) -> usize;

    /// Prints as much as there is room for; returns how many bytes.
    fn print(&mut self, bytes: &[u8]) -> usize;

    /// Whether all that was printed is on its way.
    fn is_drained(&self) -> bool;

    /// Does what nothing but the machine can do; the rest never comes here.
    fn carry_out(&mut self, board: &mut Board<'static>, effect: Effect);

    /// Looks at what happened; whether the machine is to end because of it.
    fn notice(&mut self, _notice: Notice) -> Option<Ending> {
        None
    }

    /// Bytes of the board went out.
    fn transmitted(&mut self, _board: &mut Board<'static>) {}

    /// Ends the machine's present life.
    fn end(&mut self, ending: Ending) -> !;
}

/// What becomes of the machine.
#[derive(Clone, Copy)]
pub enum Ending {
    /// It starts again.
    Restart,
    /// It stays off.
    PowerOff,
    /// It sleeps until the button's contact closes, and starts again with what the board kept.
    Sleep(Kept),
}

/// The board and all that its task works with.
pub struct Owner<M: Machine> {
    /// The board.
    pub board: Board<'static>,
    /// Its settings; a machine without flash has none.
    pub store: Option<SettingsStore<M::Flash>>,
    /// Its network.
    pub stack: Stack<'static>,
    /// The rest of it.
    pub machine: M,
    /// Nothing, at first.
    pub wishes: Wishes,
}

/// What the board asked for and was not done yet, and the address it was told last.
#[derive(Default)]
pub struct Wishes {
    open: bool,
    find: bool,
    close: bool,
    /// What follows when the connection is closed.
    ending: Option<Ending>,
    address: Option<Ipv4Address>,
}

/// The buffers of the one socket that is open.
pub struct Buffers {
    /// For what comes; an answer of mDNS fits, too.
    pub receive: [u8; 1280],
    /// For what goes.
    pub send: [u8; 768],
}

impl Buffers {
    /// Empty ones.
    #[expect(clippy::new_without_default, reason = "made in place in a static")]
    pub const fn new() -> Self {
        Self {
            receive: [0; 1280],
            send: [0; 768],
        }
    }
}

impl<M: Machine> Owner<M> {
    /// Lives the board's life, until the machine ends.
    pub async fn run(&mut self, buffers: &'static mut Buffers) -> ! {
        loop {
            self.connecting(buffers).await;
            self.finding(buffers).await;
        }
    }

    /// One connection after the other, until the board wants to search for a broker.
    async fn connecting(&mut self, buffers: &mut Buffers) {
        let mut socket = TcpSocket::new(self.stack, &mut buffers.receive, &mut buffers.send);
        loop {
            self.closed().await;
            if take(&mut self.wishes.find) {
                return;
            }
            if self.opening(&mut socket).await {
                self.opened(&mut socket).await;
            }
            self.closing(&mut socket).await;
        }
    }

    /// A broker is searched for in the network: until there is one, or the board gives up.
    async fn finding(&mut self, buffers: &mut Buffers) {
        let (mut receive, mut send) = ([PacketMetadata::EMPTY; 4], [PacketMetadata::EMPTY; 1]);
        let Buffers {
            receive: receive_buffer,
            send: send_buffer,
        } = buffers;
        let mut socket = UdpSocket::new(
            self.stack,
            &mut receive,
            receive_buffer,
            &mut send,
            send_buffer,
        );
        let mut find = pin!(net::find_broker(&mut socket));
        loop {
            match select(find.as_mut(), self.wait()).await {
                Either::First(broker) => {
                    let mut host = String::<15>::new();
                    // There is room for every address.
                    let _ = write!(host.as_mut_view(), "{}", broker.ip());
                    self.board
                        .handle_broker_found(&host, broker.port(), clock::now());
                    return;
                }
                Either::Second(()) => self.turn(),
            }
            if self.is_over() {
                return;
            }
        }
    }

    /// There is no connection: until the board wants one, or a broker.
    async fn closed(&mut self) {
        loop {
            self.turn();
            if let Some(ending) = self.wishes.ending {
                self.drain_console().await;
                self.machine.end(ending);
            }
            self.wishes.close = false;
            if take(&mut self.wishes.open) || self.wishes.find {
                return;
            }
            self.wait().await;
        }
    }

    /// The connection is being opened. Returns whether it is.
    async fn opening(&mut self, socket: &mut TcpSocket<'_>) -> bool {
        let Some(to) = self.board.destination() else {
            return false;
        };
        let host = String::<LONGEST_VALUE>::try_from(to.host).unwrap_or_default();
        let port = to.port;
        let mut connect = pin!(net::connect(self.stack, socket, &host, port));
        loop {
            match select(connect.as_mut(), self.wait()).await {
                Either::First(Ok(())) => {
                    self.board.handle_connected(clock::now());
                    return true;
                }
                Either::First(Err(why)) => {
                    let now = clock::now();
                    let text = format_args!("{host}:{port}: {why}");
                    self.board.log(LogLevel::Warn, text, now);
                    self.board.handle_connect_failed(now);
                    return false;
                }
                Either::Second(()) => self.turn(),
            }
            if self.is_over() {
                return false;
            }
        }
    }

    /// The connection is open: until one of the two sides ends it.
    async fn opened(&mut self, socket: &mut TcpSocket<'_>) {
        loop {
            let lost = self.read(socket).is_err();
            if lost {
                self.board.handle_closed(clock::now());
            }
            self.turn();
            if !lost {
                self.write(socket);
            }
            if lost || self.is_over() {
                return;
            }
            let reading = !self.board.rx_space().is_empty();
            let writing = !self.board.transmit().is_empty();
            select(net::ready(socket, reading, writing), self.wait()).await;
        }
    }

    /// What was written goes out, but not for long.
    async fn closing(&mut self, socket: &mut TcpSocket<'_>) {
        {
            let mut finish = pin!(with_timeout(Duration::from_secs(1), net::finish(socket)));
            while let Either::Second(()) = select(finish.as_mut(), self.wait()).await {
                self.turn();
            }
        }
        socket.abort();
    }

    /// Whether the connection is to be closed.
    fn is_over(&mut self) -> bool {
        take(&mut self.wishes.close) || self.wishes.ending.is_some()
    }

    /// Until something happened, or the board wants to be called.
    async fn wait(&self) {
        let latest = Instant::now() + Duration::from_secs(10);
        let until = self.board.poll_timeout().map_or(latest, clock::timer);
        select(wake::wait(), Timer::at(until.min(latest))).await;
    }

    /// Feeds all input that is ready, then does what the board asks for.
    fn turn(&mut self) {
        loop {
            // Piece by piece, so that nothing the board says is lost however much is typed.
            let len = self.machine.typed(self.board.console_space());
            if len == 0 {
                break;
            }
            self.board.typed(len, clock::now());
            self.obey();
        }
        self.machine.feed(&mut self.board);
        let address = net::address(self.stack).filter(|_| !self.machine.is_joining());
        if address != self.wishes.address {
            self.wishes.address = address;
            // Another address ends every connection that there was.
            self.board.handle_link(false, clock::now());
            let measured = self.machine.measure(address);
            self.board.handle_measured(measured, clock::now());
            if address.is_some() {
                self.board.handle_link(true, clock::now());
            }
        }
        self.board.handle_timeout(clock::now());
        self.obey();
    }

    /// Does what the board asks for, and prints what it says.
    fn obey(&mut self) {
        loop {
            while let Some(effect) = self.board.poll_effect() {
                self.carry_out(effect);
            }
            let len = self.machine.print(self.board.console_output());
            if len == 0 {
                return;
            }
            self.board.console_written(len);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::OpenTransport => self.wishes.open = true,
            Effect::FindBroker => self.wishes.find = true,
            Effect::CloseTransport => {
                self.wishes.close = true;
                self.wishes.open = false;
                self.wishes.find = false;
            }
            Effect::Sleep => self.wishes.ending = Some(Ending::Sleep(self.board.kept())),
            Effect::Store { ticket, key } => {
                let value = self.board.edited().value(key);
                let result = stored(self.store.as_mut(), |store| store.store(key, &value));
                self.board.handle_stored(ticket, result, clock::now());
            }
            Effect::StoreLight { ticket, on } => {
                let result = stored(self.store.as_mut(), |store| store.store_light(on));
                self.board.handle_stored(ticket, result, clock::now());
            }
            Effect::EraseSettings { ticket } => {
                let result = stored(self.store.as_mut(), SettingsStore::forget);
                self.board.handle_stored(ticket, result, clock::now());
            }
            Effect::Restart => self.wishes.ending = Some(Ending::Restart),
            // The board has written it to its console.
            Effect::Notice(notice) => {
                if let Some(ending) = self.machine.notice(notice) {
                    self.wishes.ending = Some(ending);
                }
            }
            effect => self.machine.carry_out(&mut self.board, effect),
        }
    }

    /// What was printed gets out, but not for ever.
    async fn drain_console(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(1);
        while Instant::now() < deadline
            && !(self.board.console_output().is_empty() && self.machine.is_drained())
        {
            self.obey();
            Timer::after_millis(10).await;
        }
        // The last bytes are in the port's own buffer.
        Timer::after_millis(20).await;
    }

    /// Takes what the socket has. An error says that the connection is over.
    fn read(&mut self, socket: &mut TcpSocket<'_>) -> Result<(), ()> {
        loop {
            let space = self.board.rx_space();
            if space.is_empty() {
                return Ok(());
            }
            match poll_once(socket.read(space)) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0) | Err(_)) => return Err(()),
                Poll::Ready(Ok(len)) => {
                    self.board.received(len, clock::now());
                    self.obey();
                }
            }
        }
    }

    /// Gives the socket what it takes. An end of the connection is seen when reading.
    fn write(&mut self, socket: &mut TcpSocket<'_>) {
        loop {
            let bytes = self.board.transmit();
            if bytes.is_empty() {
                return;
            }
            match poll_once(socket.write(bytes)) {
                Poll::Ready(Ok(len)) => {
                    self.board.transmitted(len, clock::now());
                    self.machine.transmitted(&mut self.board);
                    self.obey();
                }
                _ => return,
            }
        }
    }
}

/// A machine without flash has one that does not work.
fn stored<F: NorFlash>(
    store: Option<&mut SettingsStore<F>>,
    run: impl FnOnce(&mut SettingsStore<F>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    store.map_or(Err(StoreError::Flash), run)
}
