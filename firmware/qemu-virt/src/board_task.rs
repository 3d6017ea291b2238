//! The one task that owns the board: it waits for whichever comes first of console, network and
//! time, lets the board deal with it, and does what the board asks for.
//!
//! No borrow of the board lives across an `.await`, so nothing here ever holds up a press.

use core::fmt;
use core::pin::pin;

use declic_board::{Board, Effect, LogLevel, Measured, Notice, ScanError, StoreError};
use embassy_futures::poll_once;
use embassy_futures::select::{Either, select};
use embassy_net::tcp::TcpSocket;
use embassy_net::{Ipv4Address, Stack};
use embassy_time::{Duration, Timer, with_timeout};
use heapless::String;

use crate::hal::{machine, time_driver, uart};
use crate::storage::Store;
use crate::{clock, net, restart, wake};

/// The board and all that its task works with.
pub struct Owner {
    pub board: Board<'static>,
    pub store: Option<Store>,
    pub stack: Stack<'static>,
    pub address: Option<Ipv4Address>,
    /// What the board asked for and was not done yet.
    pub open: bool,
    pub close: bool,
    /// What follows when the connection is closed.
    pub ending: Option<Ending>,
    /// Whether Ctrl-D was typed: what follows when the board has stopped.
    pub leaving: bool,
    /// Whether the first publish was logged.
    pub published: bool,
}

/// What becomes of the machine.
#[derive(Clone, Copy)]
pub enum Ending {
    Restart,
    PowerOff,
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
            match self.ending {
                Some(Ending::Restart) => restart::restart(),
                Some(Ending::PowerOff) => machine::power_off(),
                None => {}
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
                    self.log(format_args!("{host}:{port}: {why}"));
                    self.board.handle_connect_failed(clock::now());
                    return false;
                }
                Either::Second(()) => self.turn(),
            }
            if core::mem::take(&mut self.close) || self.ending.is_some() {
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
            if lost || core::mem::take(&mut self.close) || self.ending.is_some() {
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
        let address = net::address(self.stack);
        if address != self.address {
            // Another address ends every connection that there was.
            self.board.handle_link(false, clock::now());
            self.address = address;
            let measured = Measured {
                address,
                ..Measured::default()
            };
            self.board.handle_measured(measured, clock::now());
            if address.is_some() {
                self.board.handle_link(true, clock::now());
            }
        }
        self.board.handle_timeout(clock::now());
        self.obey();
        while self.read_console() {
            // Each time, so that nothing the board says is lost, however much is typed at once.
            self.obey();
        }
    }

    /// Takes what was typed. Returns whether there was anything.
    fn read_console(&mut self) -> bool {
        let space = self.board.console_space();
        let len = uart::read(space);
        let leave = space[..len].contains(&CTRL_D);
        self.board.typed(len, clock::now());
        if leave {
            self.leaving = true;
            self.board.shut_down(clock::now());
        }
        len > 0
    }

    /// Does what the board asks for, and prints what it says.
    fn obey(&mut self) {
        loop {
            while let Some(effect) = self.board.poll_effect() {
                self.carry_out(effect);
            }
            let output = self.board.console_output();
            if output.is_empty() {
                return;
            }
            uart::write(output);
            let len = output.len();
            self.board.console_written(len);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::SetLed(on) => {
                self.log(format_args!("led {}", if on { "ON" } else { "OFF" }));
            }
            Effect::OpenTransport => self.open = true,
            Effect::CloseTransport => {
                self.close = true;
                self.open = false;
            }
            Effect::Store { ticket, key } => {
                let value = self.board.edited().value(key);
                let result = self.with_store(|store| store.store(key, &value));
                self.board.handle_stored(ticket, result, clock::now());
            }
            Effect::EraseSettings { ticket } => {
                let result = self.with_store(Store::forget);
                self.board.handle_stored(ticket, result, clock::now());
            }
            Effect::Restart => self.ending = Some(Ending::Restart),
            Effect::Scan => {
                let result = Err(ScanError::NoWifi);
                self.board.handle_scanned(result, clock::now());
            }
            Effect::Notice(Notice::Stopped) if self.leaving => {
                self.ending = Some(Ending::PowerOff);
            }
            _ => {}
        }
    }

    /// A machine without flash has one that does not work.
    fn with_store(
        &mut self,
        run: impl FnOnce(&mut Store) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.store.as_mut().map_or(Err(StoreError::Flash), run)
    }

    fn log(&mut self, text: fmt::Arguments<'_>) {
        self.board.log(LogLevel::Info, text, clock::now());
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
                    if self.board.is_connected() && !self.published {
                        self.published = true;
                        let uptime = time_driver::uptime().as_millis();
                        self.log(format_args!("first publish {uptime} ms after the start"));
                    }
                    self.obey();
                }
                _ => return,
            }
        }
    }
}

/// Ends the machine, when the board has said goodbye.
const CTRL_D: u8 = 0x04;
