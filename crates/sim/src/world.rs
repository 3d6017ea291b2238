//! The world: what it is made of, and how its time passes.

mod boards;
mod broker;

use std::collections::BTreeMap;
use std::slice;
use std::time::Duration;

use declic_board::{Board, BoardId, Settings, Storage};
use declic_broker::Engine;
use declic_mqtt::Instant;

use crate::network::{End, Network, Wire, WireId, segments};
use crate::queue::Queue;
use crate::random::Random;
use crate::timeline::Timeline;

use boards::SimBoard;
use broker::Process;

/// Boards, a network and a broker, on one virtual clock.
///
/// Verbs ([`Self::press`], [`Self::cut`], ...) act at the present moment, [`Self::run_for`] and
/// [`Self::run_until`] let time pass; nothing else does. The same seed and the same calls give
/// the same run. The boards' memory is the owner's, one [`Storage`] each.
pub struct World<'m> {
    now: Instant,
    queue: Queue<Happening>,
    random: Random,
    network: Network,
    memory: slice::IterMut<'m, Storage>,
    boards: Vec<SimBoard<'m>>,
    broker: Process,
    wires: BTreeMap<WireId, Wire>,
    next_wire: u64,
    timeline: Timeline,
}

/// A board of a [`World`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BoardIndex(usize);

/// What a board did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Transports that it asked for.
    pub attempts: u64,
    /// Connections that the broker accepted.
    pub connections: u64,
    /// Changes of its LED, without the one at the start.
    pub light_changes: u64,
}

/// Something that is going to happen.
#[derive(Debug)]
enum Happening {
    /// A board knocks at the broker.
    Knock(WireId),
    /// The broker's answer to that is back.
    Answer(WireId, bool),
    Bytes(WireId, End, Vec<u8>),
    Closed(WireId, End),
    /// A contact closes or opens.
    Level(usize, bool),
    BoardTimer(usize),
    BrokerTimer,
}

impl<'m> World<'m> {
    /// A world with a running broker and no board. As many boards can be added as `memory` has
    /// places.
    pub fn new(seed: u64, network: Network, memory: &'m mut [Storage]) -> Self {
        let mut random = Random::new(seed);
        Self {
            now: Instant::ZERO,
            queue: Queue::new(),
            network,
            memory: memory.iter_mut(),
            boards: Vec::new(),
            broker: Process::new(random.next()),
            wires: BTreeMap::new(),
            next_wire: 0,
            timeline: Timeline::default(),
            random,
        }
    }

    /// Adds a board and switches it on: its network is there, its button is not pressed. A broker
    /// is set where `settings` have none; there is only one here.
    ///
    /// # Panics
    /// When the memory given to [`Self::new`] is used up.
    pub fn add_board(&mut self, name: &str, mut settings: Settings) -> BoardIndex {
        let memory = self.memory.next().expect("a storage for each board");
        if settings.broker().is_none() {
            settings
                .set("broker", "broker.sim")
                .expect("a valid host name");
        }
        let index = self.boards.len();
        let [.., a, b] = (index as u16).to_be_bytes();
        let id = BoardId::new([0x02, 0, 0, 0, a, b]);
        let board = Board::new(id, settings, self.random.next(), memory.memory());
        self.boards.push(SimBoard::new(name, board));
        let now = self.now;
        let board = &mut self.boards[index].board;
        board.handle_level(false, now);
        board.handle_link(true, now);
        self.settle_board(index);
        BoardIndex(index)
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Lets time pass until `done`, looked at after each happening; returns false when it was not
    /// within `limit`.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            if done(self) {
                return true;
            }
            let Some((at, what)) = self.queue.pop(end) else {
                self.now = end;
                return done(self);
            };
            self.now = self.now.max(at);
            self.happen(what);
        }
    }

    /// A press on a board's console: the button without its contact.
    pub fn press(&mut self, board: BoardIndex) {
        let now = self.now;
        self.boards[board.0].board.press(now);
        self.settle_board(board.0);
    }

    /// Presses a board's button and lets it go after `held`; the contact bounces for up to 5 ms
    /// each time, by chance.
    pub fn click(&mut self, board: BoardIndex, held: Duration) {
        for (start, closes) in [(self.now, true), (self.now + held, false)] {
            let mut at = start;
            for bounce in 0..2 * self.random.below(5) {
                self.queue
                    .push(at, Happening::Level(board.0, closes == (bounce % 2 == 0)));
                at = at + self.random.up_to(Duration::from_micros(600));
            }
            self.queue.push(at, Happening::Level(board.0, closes));
        }
    }

    /// The board's network goes or comes back. When it goes, the connection goes silent; the broker
    /// is not told.
    pub fn set_link(&mut self, board: BoardIndex, up: bool) {
        self.note_board(board.0, if up { "network up" } else { "network down" });
        if !up {
            self.freeze_wire(board);
        }
        let now = self.now;
        self.boards[board.0].board.handle_link(up, now);
        self.settle_board(board.0);
    }

    /// The board's connection, if it has one, breaks; both ends are told at once.
    pub fn cut(&mut self, board: BoardIndex) {
        self.note_board(board.0, "connection cut");
        if let Some(wire) = self.boards[board.0].wire {
            self.queue
                .push(self.now, Happening::Closed(wire, End::Broker));
            self.queue
                .push(self.now, Happening::Closed(wire, End::Board));
        }
    }

    /// The board's connection, if it has one, goes silent: nothing arrives any more, and neither
    /// end is told.
    pub fn freeze(&mut self, board: BoardIndex) {
        self.note_board(board.0, "connection goes silent");
        self.freeze_wire(board);
    }

    /// The time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// A board, to look at.
    pub fn board(&self, board: BoardIndex) -> &Board<'m> {
        &self.boards[board.0].board
    }

    /// Whether a board's LED shines.
    pub fn led(&self, board: BoardIndex) -> bool {
        self.boards[board.0].led
    }

    /// What a board did so far.
    pub fn counters(&self, board: BoardIndex) -> Counters {
        self.boards[board.0].counters
    }

    /// The broker, while it runs.
    pub const fn broker(&self) -> Option<&Engine> {
        self.broker.engine()
    }

    /// What happened so far.
    pub const fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Level(index, closed) => {
                let now = self.now;
                self.boards[index].board.handle_level(closed, now);
                self.settle_board(index);
            }
            Happening::BoardTimer(index) => self.board_timer(index),
            Happening::BrokerTimer => self.broker_timer(),
            Happening::Knock(wire)
            | Happening::Answer(wire, _)
            | Happening::Bytes(wire, ..)
            | Happening::Closed(wire, _) => {
                if self.wires.get(&wire).is_some_and(|wire| !wire.frozen) {
                    self.arrive(wire, what);
                }
            }
        }
    }

    /// Something arrives at an end of a wire.
    fn arrive(&mut self, wire: WireId, what: Happening) {
        match what {
            Happening::Knock(_) => self.knock(wire),
            Happening::Answer(_, accepted) => self.answer(wire, accepted),
            Happening::Bytes(_, End::Board, bytes) => self.bytes_at_board(wire, &bytes),
            Happening::Bytes(_, End::Broker, bytes) => self.bytes_at_broker(wire, &bytes),
            Happening::Closed(_, End::Board) => self.closed_at_board(wire),
            Happening::Closed(_, End::Broker) => self.closed_at_broker(wire),
            _ => {}
        }
    }

    /// Sends something to an end of a wire.
    fn send(&mut self, id: WireId, end: End, what: Happening) {
        if let Some(wire) = self.wires.get_mut(&id) {
            let at = wire.arrival(end, self.now, self.network, &mut self.random);
            self.queue.push(at, what);
        }
    }

    fn send_bytes(&mut self, id: WireId, end: End, bytes: &[u8]) {
        for segment in segments(bytes, self.network, &mut self.random) {
            self.send(id, end, Happening::Bytes(id, end, segment));
        }
    }

    /// Forgets a wire that neither end knows any more.
    fn forget_wire(&mut self, id: WireId) {
        let unused = |wire: &Wire| wire.conn.is_none() && self.boards[wire.board].wire != Some(id);
        if self.wires.get(&id).is_some_and(unused) {
            self.wires.remove(&id);
        }
    }

    fn freeze_wire(&mut self, board: BoardIndex) {
        let wire = self.boards[board.0].wire;
        if let Some(wire) = wire.and_then(|id| self.wires.get_mut(&id)) {
            wire.frozen = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wire_is_kept_that_neither_end_knows() {
        let mut memory = [Storage::new(), Storage::new()];
        let mut world = World::new(3, Network::default(), &mut memory);
        let boards = ["a", "b"].map(|name| world.add_board(name, Settings::default()));
        for round in 0..200_u32 {
            let board = boards[round as usize % 2];
            match round % 7 {
                0 => world.cut(board),
                1 => world.freeze(board),
                2 => world.set_link(board, false),
                3 => world.kill_broker(),
                4 => world.stop_broker(),
                _ => world.start_broker(),
            }
            world.run_for(Duration::from_millis(u64::from(round) * 37));
            for board in boards {
                world.set_link(board, true);
            }
        }
        world.start_broker();
        world.run_for(Duration::from_secs(300));
        assert!(
            boards
                .iter()
                .all(|board| world.board(*board).is_connected())
        );
        assert_eq!(world.wires.len(), 2);
        assert_eq!(
            world.broker().map(|engine| engine.stats().connections),
            Some(2)
        );
    }
}
