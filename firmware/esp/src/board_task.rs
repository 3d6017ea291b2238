//! The one task that owns the board: it waits for whichever comes first of pin, console, network
//! and time, lets the board deal with it, and does what the board asks for.
//!
//! No borrow of the board lives across an `.await`, so nothing here ever holds up the button.

use core::pin::pin;

use declic_board::{Board, Effect, FoundNetwork, LogLevel, Measured};
use embassy_futures::poll_once;
use embassy_futures::select::{Either, select};
use embassy_net::Stack;
use embassy_net::tcp::TcpSocket;
use embassy_time::{Duration, Timer, with_timeout};
use heapless::String;

use crate::led::Led;
use crate::report::{self, Report};
use crate::storage::Store;
use crate::watchdog::{self, Part};
use crate::{button, clock, console, net, restart, wake};

/// The board and all that its task works with.
pub struct Owner {
    pub board: Board<'static>,
    pub store: Store,
    pub led: Led,
    pub stack: Stack<'static>,
    pub measured: Measured,
    /// A report that the board had no room for yet.
    pub held: Option<Report>,
    /// What the board asked for and was not done yet.
    pub open: bool,
    pub close: bool,
    pub restart: bool,
}

/// The socket's buffers.
pub struct Buffers {
    pub receive: [u8; 1536],
    pub send: [u8; 1536],
}

#[embassy_executor::task]
pub async fn run(owner: &'static mut Owner, buffers: &'static mut Buffers) -> ! {
    let mut socket = TcpSocket::new(owner.stack, &mut buffers.receive, &mut buffers.send);
    loop {
        owner.closed().await;
        if owner.opening(&mut socket).await {
            owner.opened(&mut socket).await;
        }
        owner.closing(&mut socket).await;
    }
}

impl Owner {
    /// There is no connection: until the board wants one.
    async fn closed(&mut self) {
        loop {
            self.turn();
            if self.restart {
                self.drain_console().await;
                restart::restart();
            }
            self.close = false;
            if core::mem::take(&mut self.open) {
                return;
            }
            self.wait().await;
        }
    }

    /// The connection is being opened. Returns whether it is.
    async fn opening(&mut self, socket: &mut TcpSocket<'static>) -> bool {
        let host = String::<64>::try_from(self.board.settings().broker().unwrap_or_default());
        let (host, port) = (host.unwrap_or_default(), self.board.settings().port());
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
            if core::mem::take(&mut self.close) || self.restart {
                return false;
            }
        }
    }

    /// The connection is open: until one of the two sides ends it.
    async fn opened(&mut self, socket: &mut TcpSocket<'static>) {
        loop {
            let lost = self.read(socket).is_err();
            if lost {
                self.board.handle_closed(clock::now());
            }
            self.turn();
            if !lost {
                self.write(socket);
            }
            if lost || core::mem::take(&mut self.close) || self.restart {
                return;
            }
            let reading = !self.board.rx_space().is_empty();
            let writing = !self.board.transmit().is_empty();
            select(net::ready(socket, reading, writing), self.wait()).await;
        }
    }

    /// What was written goes out, but not for long.
    async fn closing(&mut self, socket: &mut TcpSocket<'static>) {
        {
            let mut finish = pin!(with_timeout(Duration::from_secs(1), net::finish(socket)));
            while let Either::Second(()) = select(finish.as_mut(), self.wait()).await {
                self.turn();
            }
        }
        socket.abort();
    }

    /// Until something happened, or the board wants to be called.
    async fn wait(&self) {
        let latest = embassy_time::Instant::now() + Duration::from_secs(10);
        let until = self.board.poll_timeout().map_or(latest, clock::timer);
        select(wake::wait(), Timer::at(until.min(latest))).await;
    }

    /// Feeds all input that is ready, then does what the board asks for.
    fn turn(&mut self) {
        watchdog::alive(Part::Board);
        while let Some(edge) = button::take_edge() {
            self.board.handle_level(edge.closed, edge.at);
        }
        while let Some(report) = self.held.take().or_else(report::take) {
            self.held = self.hear(report);
            if self.held.is_some() {
                break;
            }
        }
        let address = net::address(self.stack);
        if address != self.measured.address {
            // Another address ends every connection that there was.
            self.board.handle_link(false, clock::now());
            self.measured.address = address;
            self.measure();
            if address.is_some() {
                self.board.handle_link(true, clock::now());
            }
        }
        self.board.handle_timeout(clock::now());
        self.obey();
        loop {
            // Piece by piece, so that nothing the board says is lost however much is typed.
            let len = console::typed(self.board.console_space());
            if len == 0 {
                break;
            }
            self.board.typed(len, clock::now());
            self.obey();
        }
    }

    /// Deals with what another task says; gives it back if the board has no room for it now.
    fn hear(&mut self, report: Report) -> Option<Report> {
        match &report {
            Report::Log(level, text) => {
                self.board.log(*level, format_args!("{text}"), clock::now());
            }
            Report::Signal(rssi) => {
                self.measured.rssi = *rssi;
                self.measure();
            }
            Report::Network {
                ssid,
                rssi,
                channel,
                security,
            } => {
                let network = FoundNetwork {
                    ssid,
                    rssi: *rssi,
                    channel: *channel,
                    security,
                };
                if !self.board.handle_network(&network) {
                    return Some(report);
                }
            }
            Report::Scanned(result) => self.board.handle_scanned(*result, clock::now()),
        }
        None
    }

    fn measure(&mut self) {
        self.measured.free_memory = u32::try_from(esp_alloc::HEAP.free()).ok();
        self.board.handle_measured(self.measured, clock::now());
    }

    /// Does what the board asks for, and prints what it says.
    fn obey(&mut self) {
        loop {
            while let Some(effect) = self.board.poll_effect() {
                self.carry_out(effect);
            }
            let len = console::print(self.board.console_output());
            if len == 0 {
                return;
            }
            self.board.console_written(len);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::SetLed(on) => self.led.set(on),
            Effect::OpenTransport => self.open = true,
            Effect::CloseTransport => {
                self.close = true;
                self.open = false;
            }
            Effect::Store { ticket, key } => {
                let value = self.board.edited().value(key);
                let result = self.store.store(key, &value);
                self.board.handle_stored(ticket, result, clock::now());
            }
            Effect::EraseSettings { ticket } => {
                let result = self.store.forget();
                self.board.handle_stored(ticket, result, clock::now());
            }
            Effect::Restart => self.restart = true,
            Effect::Scan => net::scan(),
            // The board has written it to its console.
            Effect::Notice(_) => {}
            _ => {}
        }
    }

    /// What was printed gets out, but not for ever.
    async fn drain_console(&mut self) {
        let deadline = embassy_time::Instant::now() + Duration::from_secs(1);
        while embassy_time::Instant::now() < deadline
            && !(self.board.console_output().is_empty() && console::is_drained())
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
                core::task::Poll::Pending => return Ok(()),
                core::task::Poll::Ready(Ok(0) | Err(_)) => return Err(()),
                core::task::Poll::Ready(Ok(len)) => {
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
                core::task::Poll::Ready(Ok(len)) => {
                    self.board.transmitted(len, clock::now());
                    self.obey();
                }
                _ => return,
            }
        }
    }
}
