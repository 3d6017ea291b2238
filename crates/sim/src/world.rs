//! The world: what it is made of, and how its time passes.

mod boards;
mod broker;
mod faults;
mod listener;
mod node;
mod tutorial;

use std::collections::VecDeque;
use std::slice;
use std::time::Duration;

use declic_board::{Board, BoardId, Settings, Storage};
use declic_broker::Engine;
use declic_mqtt::Instant;

use crate::network::{
    End, FIRST_RETRANSMISSION, Fate, Network, RETRANSMISSION, Wire, WireId, Wires, segments,
};
use crate::queue::Queue;
use crate::random::Random;
use crate::record::{Record, Records};
use crate::timeline::Timeline;

use broker::Process;
use node::{Node, Program};
pub use tutorial::Part;

/// Boards, a network and a broker, on one virtual clock.
///
/// Verbs ([`Self::press`], [`Self::cut`], ...) act at the present moment, [`Self::run_for`] and
/// [`Self::run_until`] let time pass; nothing else does. The same seed and the same calls give
/// the same run. The memory of boards and listeners is the owner's, one [`Storage`] each.
pub struct World<'m> {
    now: Instant,
    queue: Queue<Happening>,
    random: Random,
    network: Network,
    joining: Duration,
    memory: slice::IterMut<'m, Storage>,
    nodes: Vec<Node<'m>>,
    broker: Process,
    wires: Wires,
    /// When the boards asked for a transport, in the last minute.
    attempts: VecDeque<Instant>,
    most_attempts: usize,
    handled: u64,
    timeline: Timeline,
    records: Records,
}

/// A board of a [`World`], or a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BoardIndex(usize);

/// What a board did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Transports that it asked for.
    pub attempts: u64,
    /// The most of them within one minute in which its network did not come and it did not start.
    pub most_attempts_in_a_minute: usize,
    /// Connections that the broker accepted.
    pub connections: u64,
    /// Changes of its LED, without the one at the start.
    pub light_changes: u64,
    /// Messages that a listener, or the tutorial's light, received.
    pub messages: u64,
    /// Starts, the first one included.
    pub starts: u64,
}

/// Something that is going to happen.
#[derive(Debug)]
enum Happening {
    /// A board knocks at the broker.
    Knock(WireId),
    /// The answer of the broker's machine to that is back.
    Answer(WireId, bool),
    Bytes(WireId, End, Box<[u8]>),
    Closed(WireId, End),
    /// The sender's TCP has waited in vain; the end is the one that is told.
    GaveUp(WireId, End),
    /// A contact closes or opens.
    Level(usize, bool),
    /// A board's network is back after a reboot of the router.
    RouterBack(usize),
    /// A board's machine starts.
    PowerOn(usize),
    /// A board's machine has joined its network.
    Joined(usize),
    /// A board's machine that slept has started.
    Wake(usize),
    BoardTimer(usize),
    BrokerTimer,
    /// The broker's program has time for the next input.
    BrokerFree,
}

impl<'m> World<'m> {
    /// A world with a running broker and no board. As many boards and listeners can be added as
    /// `memory` has places.
    pub fn new(seed: u64, network: Network, memory: &'m mut [Storage]) -> Self {
        let mut random = Random::new(seed);
        Self {
            now: Instant::ZERO,
            queue: Queue::new(),
            network,
            joining: Duration::ZERO,
            memory: memory.iter_mut(),
            nodes: Vec::new(),
            broker: Process::new(random.next()),
            wires: Wires::default(),
            attempts: VecDeque::new(),
            most_attempts: 0,
            handled: 0,
            timeline: Timeline::default(),
            records: Records::default(),
            random,
        }
    }

    /// Writes no timeline: for runs of months, or with thousands of boards.
    #[must_use]
    pub fn without_timeline(mut self) -> Self {
        self.timeline.switch_off();
        self
    }

    /// Keeps a [`Record`] of all that matters to a judge, for [`Self::poll_record`].
    #[must_use]
    pub fn with_records(mut self) -> Self {
        self.records.switch_on();
        self
    }

    /// Adds a board and switches it on: its network is there, its button is not pressed. A broker
    /// is set where `settings` have none; there is only one here.
    ///
    /// The board has a flash, which holds nothing at first: what it stores there replaces
    /// `settings` at its next start.
    ///
    /// # Panics
    /// When the memory given to [`Self::new`] is used up.
    pub fn add_board(&mut self, name: &str, mut settings: Settings) -> BoardIndex {
        if settings.broker().is_none() {
            settings
                .set("broker", "broker.sim")
                .expect("a valid host name");
        }
        let index = self.nodes.len();
        let [.., a, b] = (index as u16).to_be_bytes();
        let id = BoardId::new([0x02, 0, 0, 0, a, b]);
        let memory = self.storage().memory();
        let seed = self.random.next();
        let board = Board::new(id, settings.clone(), seed, memory);
        let node = Node::new(name, Program::Board(Box::new(board)), self.network);
        self.nodes.push(node.with_board(id, settings));
        let now = self.now;
        let node = &mut self.nodes[index];
        node.counters.starts = 1;
        if let Some(board) = node.board_mut() {
            board.handle_level(false, now);
            board.handle_link(true, now);
        }
        self.settle_node(index);
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
            self.handled += 1;
            self.happen(what);
        }
    }

    /// A press on a board's console: the button without its contact.
    pub fn press(&mut self, board: BoardIndex) {
        let now = self.now;
        let node = &mut self.nodes[board.0];
        if !node.on {
            return;
        }
        if let Some(board) = node.board_mut() {
            board.press(now);
        }
        self.settle_node(board.0);
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

    /// Types a line on a board's console. Its answers are not looked at.
    pub fn type_line(&mut self, board: BoardIndex, line: &str) {
        let now = self.now;
        let node = &mut self.nodes[board.0];
        if !node.on {
            return;
        }
        if let Some(program) = node.board_mut() {
            for byte in line.bytes().chain([b'\n']) {
                // A console that is full loses what is typed, as a UART does.
                if let Some(place) = program.console_space().first_mut() {
                    *place = byte;
                    program.typed(1, now);
                }
                program.console_written(program.console_output().len());
            }
        }
        self.settle_node(board.0);
    }

    /// What happened next of all that matters to a judge; nothing without
    /// [`Self::with_records`].
    pub fn poll_record(&mut self) -> Option<Record> {
        self.records.pop()
    }

    /// The time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Happenings so far.
    pub const fn handled(&self) -> u64 {
        self.handled
    }

    /// The most attempts to connect within one minute, of all boards together.
    pub const fn most_attempts_in_a_minute(&self) -> usize {
        self.most_attempts
    }

    /// Connections that at least one end still knows.
    pub fn open_connections(&self) -> usize {
        self.wires.len()
    }

    /// A board, to look at. One without power is as it was when it had some.
    ///
    /// # Panics
    /// When `board` is no board, but a listener or the tutorial's program.
    pub fn board(&self, board: BoardIndex) -> &Board<'m> {
        match &self.nodes[board.0].program {
            Some(Program::Board(board)) => board,
            _ => panic!("{} is no board", self.nodes[board.0].name),
        }
    }

    /// Its name.
    pub fn name(&self, board: BoardIndex) -> &str {
        &self.nodes[board.0].name
    }

    /// Whether a board has power.
    pub fn is_on(&self, board: BoardIndex) -> bool {
        self.nodes[board.0].on
    }

    /// Whether a board has a connection that the broker's program knows, too, and that carries
    /// something: what a board believes may be wrong.
    pub fn is_in_service(&self, board: BoardIndex) -> bool {
        let node = &self.nodes[board.0];
        let wire = node.wire.and_then(|id| self.wires.at(id));
        node.on && wire.is_some_and(|wire| wire.conn.is_some() && wire.silent == [false; 2])
    }

    /// Whether a board's LED shines.
    pub fn led(&self, board: BoardIndex) -> bool {
        self.nodes[board.0].led
    }

    /// What a board did so far.
    pub fn counters(&self, board: BoardIndex) -> Counters {
        self.nodes[board.0].counters
    }

    /// The broker, while it runs.
    pub const fn broker(&self) -> Option<&Engine> {
        self.broker.engine()
    }

    /// What happened so far.
    pub const fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Writes a line of the owner's into the timeline.
    pub fn note(&mut self, what: impl Into<String>) {
        if self.timeline.is_on() {
            self.timeline.push(self.now, "", what.into());
        }
    }

    fn storage(&mut self) -> &'m mut Storage {
        let memory = self.memory.next();
        memory.expect("a storage for each board and listener")
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Level(index, closed) => self.level(index, closed),
            Happening::PowerOn(index) => self.power_on(BoardIndex(index)),
            Happening::RouterBack(index) => self.router_back(index),
            Happening::Joined(index) => self.joined(index),
            Happening::Wake(index) => self.wake(index),
            Happening::BoardTimer(index) => self.board_timer(index),
            Happening::BrokerTimer => self.broker_timer(),
            Happening::BrokerFree => self.broker_free(),
            Happening::GaveUp(wire, end) => self.gave_up(wire, end),
            Happening::Knock(wire) if self.reaches(wire, End::Broker) => self.knock(wire),
            Happening::Answer(wire, accepted) if self.reaches(wire, End::Board) => {
                self.answer(wire, accepted);
            }
            Happening::Knock(wire) | Happening::Answer(wire, _) => self.hold(wire, what),
            Happening::Bytes(wire, end, bytes) => match (self.reaches(wire, end), end) {
                (true, End::Board) => self.bytes_at_board(wire, &bytes),
                (true, End::Broker) => self.bytes_at_broker(wire, bytes),
                (false, _) => self.hold(wire, Happening::Bytes(wire, end, bytes)),
            },
            Happening::Closed(wire, end) => match (self.reaches(wire, end), end) {
                (true, End::Board) => self.closed_at_board(wire),
                (true, End::Broker) => self.closed_at_broker(wire),
                (false, _) => self.hold(wire, what),
            },
        }
    }

    /// Whether something that is under way arrives at an end of a wire.
    fn reaches(&self, id: WireId, end: End) -> bool {
        self.wires.at(id).is_some_and(|wire| !wire.is_silent(end))
    }

    /// What was under way to an end when it became silent arrives if it talks again.
    fn hold(&mut self, id: WireId, what: Happening) {
        if let Some(wire) = self.wires.at(id) {
            let node = &mut self.nodes[wire.board];
            // Of a silent wire only what the board's machine may still wait for is worth keeping.
            if node.wire == Some(id) {
                node.held.push(what);
            }
        }
    }

    /// Sends something to an end of a wire.
    fn send(&mut self, id: WireId, end: End, len: usize, what: Happening) {
        let Some(wire) = self.wires.at_mut(id) else {
            return;
        };
        let retransmission = match what {
            Happening::Knock(_) => FIRST_RETRANSMISSION,
            _ => RETRANSMISSION,
        };
        match wire.fate(end, len, self.now, retransmission, &mut self.random) {
            Fate::Arrives(at) => self.queue.push(at, what),
            Fate::GivenUp(at) => {
                self.queue.push(at, Happening::GaveUp(id, end.other()));
                self.hold(id, what);
            }
            Fate::Lost => self.hold(id, what),
        }
    }

    fn send_bytes(&mut self, id: WireId, end: End, bytes: Box<[u8]>) {
        let Some(network) = self.wires.at(id).map(|wire| wire.network) else {
            return;
        };
        if network.segment == 0 {
            let len = bytes.len();
            self.send(id, end, len, Happening::Bytes(id, end, bytes));
            return;
        }
        let mut random = self.random.split();
        for segment in segments(&bytes, network, &mut random) {
            let what = Happening::Bytes(id, end, segment.into());
            self.send(id, end, segment.len(), what);
        }
    }

    /// Forgets a wire that neither end knows any more.
    fn forget_wire(&mut self, id: WireId) {
        let unused = |wire: &Wire| !wire.accepted && self.nodes[wire.board].wire != Some(id);
        if self.wires.at(id).is_some_and(unused) {
            self.wires.remove(id);
        }
    }

    /// Counts an attempt of a board to connect.
    fn count_attempt(&mut self, index: usize) {
        let (now, node) = (self.now, &mut self.nodes[index]);
        node.counters.attempts += 1;
        let of_one = count_in_a_minute(&mut node.attempts, now);
        let most = &mut node.counters.most_attempts_in_a_minute;
        *most = of_one.max(*most);
        let of_all = count_in_a_minute(&mut self.attempts, now);
        self.most_attempts = of_all.max(self.most_attempts);
    }
}

/// Adds `now` to the times of the last minute, and returns how many there are.
fn count_in_a_minute(times: &mut VecDeque<Instant>, now: Instant) -> usize {
    let minute = Duration::from_secs(60);
    while times.front().is_some_and(|at| now.since(*at) >= minute) {
        times.pop_front();
    }
    times.push_back(now);
    times.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wire_is_kept_that_neither_end_knows() {
        let mut memory = [Storage::new(), Storage::new()];
        let mut world = World::new(3, Network::default(), &mut memory);
        let boards = ["a", "b"].map(|name| world.add_board(name, Settings::default()));
        for round in 0..400_u32 {
            let board = boards[round as usize % 2];
            match round % 13 {
                0 => world.cut(board),
                1 => world.freeze(board),
                2 => world.set_link(board, false),
                3 => world.kill_broker(),
                4 => world.stop_broker(),
                5 => world.power_off(board),
                6 => world.crash_broker(),
                7 => world.freeze_uplink(board),
                8 => world.kick(board),
                _ => world.start_broker(),
            }
            world.run_for(Duration::from_millis(u64::from(round) * 37));
            for board in boards {
                world.power_on(board);
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
