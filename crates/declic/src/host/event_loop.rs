//! The thread that owns the board.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use declic_board::{
    Board, BoardId, Cause, Effect, Kept, Notice, RestartReason, ScanError, Settings, Start, Storage,
};
use mio::{Events, Poll, Token};

use crate::url::BrokerUrl;

use super::search::Search;
use super::transport::{Moved, Opened, Transport};
use super::{Inbox, News, Order, Report, STOP_LIMIT, Status};

/// Everything around the board, which borrows its memory from the thread's stack.
pub(super) struct EventLoop {
    poll: Poll,
    orders: mpsc::Receiver<Order>,
    inbox: Inbox,
    observer: Box<dyn FnMut(Report) + Send>,
    transport: Transport,
    /// A search for a broker that goes on.
    search: Option<Search>,
    /// Tells a search from earlier ones.
    searches: u64,
    clock: Clock,
    /// When the button's contact opens again.
    contact_opens: Option<Instant>,
    /// Why the transport could not be opened.
    open_error: Option<io::Error>,
    /// When to end even if the goodbye is not out.
    stop_at: Option<Instant>,
    stopped: bool,
    /// What was typed and the board's console has not taken yet.
    typed: VecDeque<u8>,
    /// What a new board has, and what this one has after a restart.
    given: Settings,
    saved: Settings,
    /// The light's state that the board had stored.
    light: Option<bool>,
    /// What the board wants to happen to its machine.
    ending: Option<Ending>,
    /// What was reported last.
    status: Status,
}

/// How a board's run ends.
#[derive(Clone, Copy)]
enum Ending {
    Restart,
    /// The board sleeps until the button is pressed.
    Sleep(Kept),
}

/// However the thread ends, the observer is told.
impl Drop for EventLoop {
    fn drop(&mut self) {
        (self.observer)(Report {
            at: Instant::now(),
            news: News::Ended,
            status: self.status,
        });
    }
}

/// The token of the waker; connections have larger ones.
pub(super) const WAKER: Token = Token(0);

impl EventLoop {
    pub(super) fn new(
        poll: Poll,
        orders: mpsc::Receiver<Order>,
        inbox: Inbox,
        observer: Box<dyn FnMut(Report) + Send>,
        settings: Settings,
    ) -> Self {
        Self {
            poll,
            orders,
            inbox,
            observer,
            transport: Transport::new(WAKER),
            search: None,
            searches: 0,
            clock: Clock(Instant::now()),
            contact_opens: None,
            open_error: None,
            stop_at: None,
            stopped: false,
            typed: VecDeque::new(),
            saved: settings.clone(),
            given: settings,
            light: None,
            ending: None,
            status: Status::default(),
        }
    }

    /// Runs a board until it is told to stop, however often it restarts and sleeps.
    pub(super) fn run(mut self, id: BoardId, mut seed: u64) {
        let mut start = Start::new(CHIP, RestartReason::PowerOn);
        while let Some(ending) = self.run_once(id, seed, start) {
            seed = seed.wrapping_add(1);
            self.stopped = false;
            start = match ending {
                Ending::Restart => {
                    self.contact_opens = None;
                    Start::new(CHIP, RestartReason::Requested)
                }
                Ending::Sleep(kept) => {
                    if !self.sleep() {
                        return;
                    }
                    Start {
                        kept: Some(kept),
                        pressed: true,
                        ..Start::new(CHIP, RestartReason::DeepSleep)
                    }
                }
            };
        }
    }

    /// Waits until the button is pressed; returns whether it is.
    fn sleep(&mut self) -> bool {
        // The waker is for the poll; here nothing else can happen.
        while let Ok(order) = self.orders.recv() {
            match order {
                Order::Press => {
                    self.contact_opens = Some(Instant::now());
                    return true;
                }
                Order::Hold(time) => {
                    self.contact_opens = Some(Instant::now() + time);
                    return true;
                }
                Order::Stop => return false,
                Order::Report => (self.observer)(Report {
                    at: Instant::now(),
                    news: News::Asked,
                    status: self.status,
                }),
                Order::Type(_) | Order::Resolved(_) | Order::Found(..) => {}
            }
        }
        false
    }

    /// Runs a board; returns what becomes of its machine, unless it was told to stop.
    fn run_once(&mut self, id: BoardId, seed: u64, start: Start) -> Option<Ending> {
        let mut storage = Storage::new();
        let mut board = Board::new(id, self.saved.clone(), seed, storage.memory());
        let mut events = Events::with_capacity(16);
        let start = Start {
            light: self.light,
            can_sleep: true,
            ..start
        };
        board.handle_start(start, self.clock.now());
        board.handle_level(start.pressed, self.clock.now());
        board.handle_link(true, self.clock.now());
        loop {
            self.turn(&mut board);
            if let Some(ending) = self.ending.take_if(|_| self.stop_at.is_none()) {
                self.search = None;
                self.transport.close();
                if let Ending::Restart = ending {
                    self.report(News::Restarted(Box::new(self.saved.clone())), &board);
                }
                return Some(ending);
            }
            if self.stopped || self.stop_at.is_some_and(|at| at <= Instant::now()) {
                return None;
            }
            let timeout = self.timeout(&board);
            if let Err(error) = self.poll.poll(&mut events, timeout)
                && error.kind() != io::ErrorKind::Interrupted
            {
                // The system's event queue is gone; there is no way on.
                return None;
            }
            for event in &events {
                if event.token() != WAKER {
                    let opened = self.transport.handle_event(event, self.poll.registry());
                    self.handle_opened(opened, &mut board);
                }
            }
            while let Ok(order) = self.orders.try_recv() {
                self.handle_order(order, &mut board);
            }
        }
    }

    fn handle_order(&mut self, order: Order, board: &mut Board<'_>) {
        let now = self.clock.now();
        match order {
            Order::Press => board.press(now),
            Order::Hold(time) => {
                self.contact_opens = Some(Instant::now() + time);
                board.handle_level(true, now);
            }
            Order::Type(line) => {
                self.typed.extend(line.as_bytes());
                self.typed.push_back(b'\n');
            }
            Order::Report => self.report(News::Asked, board),
            Order::Stop => {
                if self.stop_at.is_none() {
                    self.stop_at = Some(Instant::now() + STOP_LIMIT);
                    board.shut_down(now);
                }
            }
            Order::Found(search, found) => {
                if search == self.searches && self.search.take().is_some() {
                    let host = found.address.to_string();
                    board.handle_broker_found(&host, found.port, now);
                }
            }
            Order::Resolved(resolution) => {
                let opened = self.transport.handle_resolved(resolution);
                self.handle_opened(opened, board);
            }
        }
    }

    /// Feeds the input that is ready, drains the effects and moves bytes, until nothing moves.
    fn turn(&mut self, board: &mut Board<'_>) {
        loop {
            let now = Instant::now();
            if let Some(at) = self.contact_opens.take_if(|at| *at <= now) {
                board.handle_level(false, self.clock.at(at));
            }
            board.handle_timeout(self.clock.now());
            let opened = self.transport.turn(None, self.poll.registry());
            self.handle_opened(opened, board);
            let received = self.receive(board);
            let typed = self.type_on(board);
            self.drain(board);
            let printed = self.print(board);
            let sent = self.send(board);
            if !received && !typed && !printed && !sent {
                return;
            }
        }
    }

    /// Returns whether anything came.
    fn receive(&mut self, board: &mut Board<'_>) -> bool {
        match self.transport.read(board.rx_space()) {
            Moved::Bytes(len) => {
                board.received(len, self.clock.now());
                true
            }
            Moved::Nothing => false,
            Moved::Closed => {
                board.handle_closed(self.clock.now());
                true
            }
        }
    }

    /// Types what the board's console takes. Returns whether that is anything.
    fn type_on(&mut self, board: &mut Board<'_>) -> bool {
        let space = board.console_space();
        let len = space.len().min(self.typed.len());
        for (place, byte) in space.iter_mut().zip(self.typed.drain(..len)) {
            *place = byte;
        }
        if len > 0 {
            board.typed(len, self.clock.now());
        }
        len > 0
    }

    /// Reports the answers of the board's console. Its log is left out: the notices say the same;
    /// and so is what was typed. Returns whether there was anything.
    fn print(&mut self, board: &mut Board<'_>) -> bool {
        let output = String::from_utf8_lossy(board.console_output()).into_owned();
        board.console_written(board.console_output().len());
        for line in output.lines() {
            if !line.starts_with('[') && !line.starts_with("> ") {
                self.report(News::Console(line.to_owned()), board);
            }
        }
        !output.is_empty()
    }

    /// Returns whether anything went.
    fn send(&mut self, board: &mut Board<'_>) -> bool {
        let mut any = false;
        loop {
            match self.transport.write(board.transmit()) {
                Moved::Bytes(len) => board.transmitted(len, self.clock.now()),
                Moved::Nothing => return any,
                Moved::Closed => board.handle_closed(self.clock.now()),
            }
            any = true;
        }
    }

    fn drain(&mut self, board: &mut Board<'_>) {
        while let Some(effect) = board.poll_effect() {
            match effect {
                Effect::OpenTransport => {
                    self.report_opening(board);
                    if let Some(to) = board.destination() {
                        self.transport.open(to.host, to.port, &self.inbox);
                    }
                    let opened = self.transport.turn(None, self.poll.registry());
                    self.handle_opened(opened, board);
                }
                Effect::FindBroker => self.search(board),
                Effect::CloseTransport => {
                    self.search = None;
                    self.transport.close();
                }
                Effect::Notice(notice) => {
                    self.stopped |= notice == Notice::Stopped;
                    let news = match (notice, &mut self.open_error) {
                        (Notice::ConnectFailed(Cause::Unreachable), error) => {
                            error.take().map_or(News::Notice(notice), News::Unreachable)
                        }
                        _ => News::Notice(notice),
                    };
                    self.report(news, board);
                }
                Effect::Store { ticket, .. } => {
                    // All that was changed is stored, one after the other.
                    self.saved = board.edited().clone();
                    board.handle_stored(ticket, Ok(()), self.clock.now());
                }
                Effect::StoreLight { ticket, on } => {
                    self.light = Some(on);
                    board.handle_stored(ticket, Ok(()), self.clock.now());
                }
                Effect::EraseSettings { ticket } => {
                    self.saved = self.given.clone();
                    self.light = None;
                    board.handle_stored(ticket, Ok(()), self.clock.now());
                }
                Effect::Scan => {
                    board.handle_scanned(Err(ScanError::NoWifi), self.clock.now());
                }
                Effect::Restart => self.ending = Some(Ending::Restart),
                Effect::Sleep => self.ending = Some(Ending::Sleep(board.kept())),
                // The observer sees the light in every report.
                _ => {}
            }
        }
    }

    /// Begins to search the network for a broker.
    fn search(&mut self, board: &mut Board<'_>) {
        self.report_opening(board);
        self.searches += 1;
        let (number, inbox) = (self.searches, self.inbox.clone());
        match Search::begin(move |found| inbox.send(Order::Found(number, found))) {
            Ok(search) => self.search = Some(search),
            Err(error) => self.handle_opened(Opened::No(error), board),
        }
    }

    fn handle_opened(&mut self, opened: Opened, board: &mut Board<'_>) {
        match opened {
            Opened::Pending => {}
            Opened::Yes => board.handle_connected(self.clock.now()),
            Opened::No(error) => {
                self.open_error = Some(error);
                board.handle_connect_failed(self.clock.now());
            }
        }
    }

    fn timeout(&self, board: &Board<'_>) -> Option<Duration> {
        [
            board.poll_timeout().map(|at| self.clock.system(at)),
            self.contact_opens,
            self.transport.poll_timeout(),
            self.stop_at,
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn report_opening(&mut self, board: &Board<'_>) {
        if let Some(to) = board.destination() {
            self.report(News::Opening(BrokerUrl::new(to.host, to.port)), board);
        }
    }

    fn report(&mut self, news: News, board: &Board<'_>) {
        self.status = status(board);
        (self.observer)(Report {
            at: Instant::now(),
            news,
            status: self.status,
        });
    }
}

/// What a board here runs on.
const CHIP: &str = "computer";

fn status(board: &Board<'_>) -> Status {
    Status {
        role: board.role(),
        connection: board.connection(),
        version: board.version(),
        subscribed: board.is_subscribed(),
        light: board.light(),
        presses: board.presses(),
        reconnects: board.reconnects(),
        unsent: board.has_unsent(),
    }
}

/// The board's clock: microseconds since the thread's start.
struct Clock(Instant);

impl Clock {
    fn now(&self) -> declic_mqtt::Instant {
        self.at(Instant::now())
    }

    fn at(&self, system: Instant) -> declic_mqtt::Instant {
        let elapsed = system.saturating_duration_since(self.0);
        declic_mqtt::Instant::ZERO + elapsed
    }

    fn system(&self, at: declic_mqtt::Instant) -> Instant {
        // The clock ends far behind everything that is waited for; an hour is as good as never.
        let elapsed = Duration::from_micros(at.as_micros());
        self.0
            .checked_add(elapsed)
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600))
    }
}
