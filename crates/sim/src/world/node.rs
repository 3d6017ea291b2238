//! Whatever has a connection of its own to the broker.

use std::collections::VecDeque;
use std::time::Duration;

use declic_board::{Board, BoardId, Kept, Settings};
use declic_mqtt::Instant;
use declic_mqtt::client::Memory;

use super::listener::Listener;
use super::tutorial::Tutorial;
use super::{Counters, Happening};
use crate::flash::Flash;
use crate::network::{Network, WireId};

/// A machine with its program, its LED, and what its owner knows.
pub(super) struct Node<'m> {
    /// Always there, except for a moment while one is made from the memory of another.
    pub(super) program: Option<Program<'m>>,
    pub(super) name: String,
    /// What a board is made of again when it starts.
    pub(super) make: Option<Box<(BoardId, Settings)>>,
    /// Made when it is first needed.
    pub(super) flash: Option<Flash>,
    pub(super) network: Network,
    /// Whether it has power.
    pub(super) on: bool,
    /// What it has kept, while it sleeps.
    pub(super) kept: Option<Kept>,
    pub(super) is_waking: bool,
    pub(super) awake_since: Instant,
    pub(super) awake: Duration,
    /// Whether its network is there.
    pub(super) link: bool,
    /// Whether the button's contact is closed.
    pub(super) contact: bool,
    pub(super) led: bool,
    /// The connection that it has or is opening.
    pub(super) wire: Option<WireId>,
    /// What would have arrived on that, had it not become silent.
    pub(super) held: Vec<Happening>,
    /// When it will be called for its timeout.
    pub(super) timer: Option<Instant>,
    pub(super) attempts: VecDeque<Instant>,
    pub(super) counters: Counters,
}

/// What runs on it.
pub(super) enum Program<'m> {
    Board(Box<Board<'m>>),
    Listener(Box<Listener<'m>>),
    Tutorial(Box<Tutorial<'m>>),
}

impl<'m> Node<'m> {
    pub(super) fn new(name: &str, program: Program<'m>, network: Network) -> Self {
        Self {
            program: Some(program),
            name: name.to_owned(),
            make: None,
            flash: None,
            network,
            on: true,
            kept: None,
            is_waking: false,
            awake_since: Instant::ZERO,
            awake: Duration::ZERO,
            link: true,
            contact: false,
            led: false,
            wire: None,
            held: Vec::new(),
            timer: None,
            attempts: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    pub(super) fn with_board(mut self, id: BoardId, settings: Settings) -> Self {
        self.make = Some(Box::new((id, settings)));
        self
    }

    pub(super) const fn program(&self) -> &Program<'m> {
        self.program.as_ref().expect(PROGRAM)
    }

    pub(super) const fn program_mut(&mut self) -> &mut Program<'m> {
        self.program.as_mut().expect(PROGRAM)
    }

    pub(super) const fn board_mut(&mut self) -> Option<&mut Board<'m>> {
        match self.program_mut() {
            Program::Board(board) => Some(board),
            _ => None,
        }
    }
}

impl<'m> Program<'m> {
    pub(super) fn into_memory(self) -> Memory<'m> {
        match self {
            Self::Board(board) => board.into_memory(),
            Self::Listener(listener) => listener.client.into_memory(),
            Self::Tutorial(tutorial) => tutorial.into_memory(),
        }
    }

    pub(super) fn handle_link(&mut self, up: bool, now: Instant) {
        match self {
            Self::Board(board) => board.handle_link(up, now),
            Self::Listener(listener) => listener.handle_link(up, now),
            // Wi-Fi comes and goes below it; its sockets just stall.
            Self::Tutorial(_) => {}
        }
    }

    pub(super) fn handle_level(&mut self, closed: bool, now: Instant) {
        match self {
            Self::Board(board) => board.handle_level(closed, now),
            Self::Listener(_) => {}
            Self::Tutorial(tutorial) => tutorial.handle_level(closed, now),
        }
    }

    pub(super) fn handle_connected(&mut self, now: Instant) {
        match self {
            Self::Board(board) => board.handle_connected(now),
            Self::Listener(listener) => listener.handle_connected(now),
            Self::Tutorial(tutorial) => tutorial.handle_connected(now),
        }
    }

    pub(super) fn handle_connect_failed(&mut self, now: Instant) {
        match self {
            Self::Board(board) => board.handle_connect_failed(now),
            Self::Listener(listener) => listener.handle_connect_failed(now),
            Self::Tutorial(tutorial) => tutorial.handle_connect_failed(),
        }
    }

    pub(super) fn handle_closed(&mut self, now: Instant) {
        match self {
            Self::Board(board) => board.handle_closed(now),
            Self::Listener(listener) => listener.client.handle_closed(now),
            Self::Tutorial(tutorial) => tutorial.handle_closed(now),
        }
    }

    pub(super) fn rx_space(&mut self) -> &mut [u8] {
        match self {
            Self::Board(board) => board.rx_space(),
            Self::Listener(listener) => listener.client.rx_space(),
            Self::Tutorial(tutorial) => tutorial.client_mut().rx_space(),
        }
    }

    pub(super) fn received(&mut self, len: usize, now: Instant) {
        match self {
            Self::Board(board) => board.received(len, now),
            Self::Listener(listener) => listener.client.received(len, now),
            Self::Tutorial(tutorial) => tutorial.client_mut().received(len, now),
        }
    }

    pub(super) fn transmit(&mut self) -> &[u8] {
        match self {
            Self::Board(board) => board.transmit(),
            Self::Listener(listener) => listener.client.transmit(),
            Self::Tutorial(tutorial) => tutorial.client_mut().transmit(),
        }
    }

    pub(super) fn transmitted(&mut self, len: usize, now: Instant) {
        match self {
            Self::Board(board) => board.transmitted(len, now),
            Self::Listener(listener) => listener.client.transmitted(len, now),
            Self::Tutorial(tutorial) => tutorial.client_mut().transmitted(len, now),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Board(board) => board.poll_timeout(),
            Self::Listener(listener) => listener.poll_timeout(),
            Self::Tutorial(tutorial) => tutorial.poll_timeout(),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Board(board) => board.handle_timeout(now),
            Self::Listener(listener) => listener.handle_timeout(now),
            Self::Tutorial(tutorial) => tutorial.handle_timeout(now),
        }
    }
}

/// What a program without a board wants of its machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Open,
    Close,
    SetLed(bool),
    Note(&'static str),
    Subscribed,
    Heard {
        topic: Box<str>,
        payload: Box<[u8]>,
        retain: bool,
    },
}

const PROGRAM: &str = "a node has a program";
