//! The broker's side of the world.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use declic_broker::{ConnId, Effect, Engine, Limits};
use declic_mqtt::Instant;

use super::node::Program;
use super::{BoardIndex, Happening, World};
use crate::network::{End, Wire, WireId};
use crate::record::Fact;

/// The broker's machine, and its program, which can be stopped and started.
pub(super) struct Process {
    engine: Option<Engine>,
    /// What a program that does not run has on its disk.
    kept: Option<Engine>,
    /// Whether its machine has power.
    on: bool,
    seed: u64,
    /// By [`ConnId::index`].
    wires: Vec<Option<WireId>>,
    /// When it will be called for its timeout.
    timer: Option<Instant>,
    /// The program stands still; its machine does not.
    paused: bool,
    /// Time that the program needs for each input.
    pace: Duration,
    /// What waits for the program.
    inbox: VecDeque<Input>,
    /// [`Happening::BrokerFree`] is planned.
    busy: bool,
    /// Whether every client is thrown out as soon as it is accepted.
    kicks: bool,
    to_kick: Vec<ConnId>,
    /// Clients that are connected.
    online: HashMap<Box<str>, ConnId>,
    /// A listener in the broker's own machine.
    pub(super) witness: Option<usize>,
    /// What the engine writes into.
    buffer: Box<[u8]>,
}

/// Something for the program.
enum Input {
    Open(WireId),
    Bytes(WireId, Box<[u8]>),
    Closed(WireId),
}

impl Process {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            engine: Some(Engine::new(Limits::default(), seed)),
            kept: None,
            on: true,
            seed,
            wires: Vec::new(),
            timer: None,
            paused: false,
            pace: Duration::ZERO,
            inbox: VecDeque::new(),
            busy: false,
            kicks: false,
            to_kick: Vec::new(),
            online: HashMap::new(),
            witness: None,
            buffer: vec![0; 4_096].into_boxed_slice(),
        }
    }

    pub(super) const fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    fn wire(&self, conn: ConnId) -> Option<WireId> {
        self.wires.get(conn.index()).copied().flatten()
    }

    fn set_wire(&mut self, conn: ConnId, wire: Option<WireId>) {
        let index = conn.index();
        if self.wires.len() <= index {
            self.wires.resize(index + 1, None);
        }
        self.wires[index] = wire;
    }
}

impl World<'_> {
    /// The broker's program ends at once; the boards are told that their connections are gone, as
    /// an operating system does. What it knew is lost.
    pub fn kill_broker(&mut self) {
        self.note_broker("killed");
        self.end_program(false);
        self.close_all();
    }

    /// As [`Self::kill_broker`], but what it knew is on its disk, and there again when it starts.
    pub fn kill_broker_keeping_memory(&mut self) {
        self.note_broker("killed, with its memory kept");
        self.end_program(true);
        self.close_all();
    }

    /// The broker is stopped in good order: it tells the boards, then its program ends. What it
    /// knew is lost.
    pub fn stop_broker(&mut self) {
        self.note_broker("stops");
        if let Some(engine) = &mut self.broker.engine {
            engine.shutdown(self.now);
        }
        self.settle_broker();
        self.end_program(false);
        self.close_all();
    }

    /// The broker's machine loses its power: nobody is told anything. What it knew is lost.
    pub fn crash_broker(&mut self) {
        self.note_broker("loses its power");
        self.end_program(false);
        self.broker.on = false;
        self.forget_all();
    }

    /// As [`Self::crash_broker`], but what it knew is on its disk, and there again when it starts.
    pub fn crash_broker_keeping_memory(&mut self) {
        self.note_broker("loses its power, with its memory kept");
        self.end_program(true);
        self.broker.on = false;
        self.forget_all();
    }

    /// Starts the broker's machine and its program, if it is not running.
    pub fn start_broker(&mut self) {
        self.broker.on = true;
        if self.broker.engine.is_some() {
            return;
        }
        self.note_broker("started");
        let seed = self.broker.seed;
        let kept = self.broker.kept.take();
        self.broker.engine = Some(kept.unwrap_or_else(|| Engine::new(Limits::default(), seed)));
        self.broker_timer();
        let now = self.now;
        if let Some(index) = self.broker.witness
            && let Program::Listener(listener) = self.nodes[index].program_mut()
        {
            listener.open(now);
            self.settle_node(index);
        }
    }

    /// The broker's program stands still until [`Self::resume_broker`]; its machine still takes
    /// connections and bytes for it.
    pub fn pause_broker(&mut self) {
        if self.broker.engine.is_some() {
            self.note_broker("stands still");
            self.broker.paused = true;
        }
    }

    /// See [`Self::pause_broker`].
    pub fn resume_broker(&mut self) {
        if std::mem::take(&mut self.broker.paused) {
            self.note_broker("goes on");
            self.broker_timer();
            self.plan_input();
        }
    }

    /// The broker needs that time for each connection, each piece of bytes and each end of a
    /// connection; the others wait.
    pub fn set_broker_pace(&mut self, pace: Duration) {
        self.broker.pace = pace;
    }

    /// Whether the broker throws every client out right after it has accepted it, as one with a
    /// wrong configuration may do.
    pub fn set_broker_kicks(&mut self, kicks: bool) {
        let word = if kicks {
            "throws out whom it accepts"
        } else {
            "throws nobody out"
        };
        self.note_broker(word);
        self.broker.kicks = kicks;
    }

    /// The broker closes the connection of a board, without a word.
    pub fn kick(&mut self, board: BoardIndex) {
        self.note_node(board.0, || "thrown out".into());
        let wire = self.nodes[board.0].wire;
        if let Some(conn) = wire.and_then(|id| self.wires.at(id)?.conn) {
            self.kick_connection(conn);
            self.settle_broker();
        }
    }

    /// Whether the broker's program runs.
    pub const fn is_broker_running(&self) -> bool {
        self.broker.engine.is_some()
    }

    pub(super) fn broker_timer(&mut self) {
        let now = self.now;
        if self.broker.timer.is_some_and(|timer| timer <= now) {
            self.broker.timer = None;
        }
        if self.broker.paused {
            return;
        }
        if let Some(engine) = &mut self.broker.engine {
            engine.handle_timeout(now);
            self.settle_broker();
        }
    }

    /// A board knocks: the machine answers for its program, also when none listens.
    pub(super) fn knock(&mut self, id: WireId) {
        let witness = self.is_of_witness(id);
        if !self.broker.on && !witness {
            // Nobody answers; what the board sends again in vain is not shown here.
            let at = self.now + SYN_PATIENCE;
            self.queue.push(at, Happening::Answer(id, false));
            return;
        }
        let accepted = self.broker.engine.is_some();
        if let Some(wire) = self.wires.at_mut(id) {
            wire.accepted = accepted;
        }
        self.send(id, End::Board, 0, Happening::Answer(id, accepted));
        if accepted {
            self.take_input(id, Input::Open(id));
        }
    }

    pub(super) fn bytes_at_broker(&mut self, id: WireId, bytes: Box<[u8]>) {
        if !self.broker.on {
            // Sent again until somebody answers.
            let at = self.now + Duration::from_secs(3) + self.random.up_to(Duration::from_secs(4));
            self.queue
                .push(at, Happening::Bytes(id, End::Broker, bytes));
        } else if self.wires.at(id).is_some_and(|wire| wire.accepted) {
            self.take_input(id, Input::Bytes(id, bytes));
        } else {
            // The machine knows no such connection.
            self.send(id, End::Board, 0, Happening::Closed(id, End::Board));
        }
    }

    pub(super) fn closed_at_broker(&mut self, id: WireId) {
        if self.wires.at(id).is_some_and(|wire| wire.accepted) {
            self.take_input(id, Input::Closed(id));
        } else {
            self.forget_wire(id);
        }
    }

    /// The program has time for the next input.
    pub(super) fn broker_free(&mut self) {
        self.broker.busy = false;
        if self.broker.paused {
            return;
        }
        if let Some(input) = self.broker.inbox.pop_front() {
            self.work(input);
        }
        self.plan_input();
    }

    fn take_input(&mut self, id: WireId, input: Input) {
        let broker = &self.broker;
        let waits = broker.paused || !broker.pace.is_zero() || !broker.inbox.is_empty();
        let witness =
            broker.witness.is_some() && broker.witness == self.wires.at(id).map(|wire| wire.board);
        if waits && !witness {
            self.broker.inbox.push_back(input);
            self.plan_input();
        } else {
            self.work(input);
        }
    }

    fn is_of_witness(&self, id: WireId) -> bool {
        let board = self.wires.at(id).map(|wire| wire.board);
        board.is_some() && board == self.broker.witness
    }

    fn plan_input(&mut self) {
        let broker = &mut self.broker;
        if !broker.busy && !broker.paused && !broker.inbox.is_empty() {
            broker.busy = true;
            self.queue
                .push(self.now + broker.pace, Happening::BrokerFree);
        }
    }

    fn work(&mut self, input: Input) {
        let now = self.now;
        let Some(engine) = &mut self.broker.engine else {
            return;
        };
        match input {
            Input::Open(id) => {
                let conn = engine.handle_open(now);
                match (conn, self.wires.at_mut(id)) {
                    (Some(conn), Some(wire)) => {
                        wire.conn = Some(conn);
                        self.broker.set_wire(conn, Some(id));
                    }
                    (Some(conn), None) => engine.handle_closed(conn, now),
                    (None, _) => self.hang_up(id),
                }
            }
            Input::Bytes(id, bytes) => {
                let Some(wire) = self.wires.at_mut(id) else {
                    return;
                };
                match (&mut wire.paused, wire.conn) {
                    (Some(held), _) => held.extend_from_slice(&bytes),
                    (None, Some(conn)) => engine.handle_bytes(conn, &bytes, now),
                    (None, None) => {}
                }
            }
            Input::Closed(id) => {
                let conn = self.wires.at_mut(id).and_then(|wire| {
                    wire.accepted = false;
                    wire.conn.take()
                });
                if let Some(conn) = conn {
                    engine.handle_closed(conn, now);
                    self.broker.set_wire(conn, None);
                }
                self.forget_wire(id);
            }
        }
        self.settle_broker();
    }

    /// Keeps the engine's contract after an input: drains the effects, then moves bytes.
    fn settle_broker(&mut self) {
        while let Some(engine) = &mut self.broker.engine {
            if let Some(effect) = engine.poll_effect() {
                self.follow_broker(effect);
            } else if let Some(conn) = engine.poll_ready() {
                self.fill(conn);
            } else if let Some(conn) = self.broker.to_kick.pop() {
                self.kick_connection(conn);
            } else {
                let due = engine.poll_timeout();
                if let Some(due) = due
                    && self.broker.timer.is_none_or(|timer| due < timer)
                {
                    self.broker.timer = Some(due);
                    self.queue.push(due.max(self.now), Happening::BrokerTimer);
                }
                break;
            }
        }
    }

    fn follow_broker(&mut self, effect: Effect) {
        match effect {
            Effect::Close { conn, .. } => {
                self.fill(conn);
                self.close_connection(conn);
            }
            Effect::PauseRead(conn) => {
                if let Some(wire) = self.wire_of(conn) {
                    wire.paused.get_or_insert_default();
                }
            }
            Effect::ResumeRead(conn) => {
                let held = self.wire_of(conn).and_then(|wire| wire.paused.take());
                if let (Some(held), Some(engine)) = (held, &mut self.broker.engine) {
                    engine.handle_bytes(conn, &held, self.now);
                }
            }
            Effect::Connected {
                conn,
                client_id,
                session_present,
                ..
            } => {
                let wire = self.wire_of(conn).map(|wire| wire.board);
                if self.broker.kicks && wire != self.broker.witness {
                    self.broker.to_kick.push(conn);
                }
                let twice = self.broker.online.insert(client_id.clone(), conn).is_some();
                self.records.push(self.now, || Fact::Accepted {
                    client_id,
                    twice,
                    session_present,
                });
            }
            Effect::Disconnected { client_id, .. } => {
                self.broker.online.remove(&client_id);
            }
            _ => {}
        }
    }

    fn kick_connection(&mut self, conn: ConnId) {
        if self.broker.wire(conn).is_some() {
            self.fill(conn);
            self.close_connection(conn);
        }
    }

    fn close_connection(&mut self, conn: ConnId) {
        if let Some(id) = self.broker.wire(conn) {
            self.broker.set_wire(conn, None);
            self.hang_up(id);
        }
        if let Some(engine) = &mut self.broker.engine {
            engine.handle_closed(conn, self.now);
        }
    }

    /// The broker's machine closes a connection.
    fn hang_up(&mut self, id: WireId) {
        self.send(id, End::Board, 0, Happening::Closed(id, End::Board));
        if let Some(wire) = self.wires.at_mut(id) {
            wire.conn = None;
            wire.accepted = false;
        }
        self.forget_wire(id);
    }

    /// Moves all that the engine has for a connection; a virtual wire takes everything.
    fn fill(&mut self, conn: ConnId) {
        let mut buffer = std::mem::take(&mut self.broker.buffer);
        while let Some(engine) = &mut self.broker.engine {
            let len = engine.fill(conn, &mut buffer, self.now);
            if len > 0
                && let Some(id) = self.broker.wire(conn)
            {
                self.send_bytes(id, End::Board, buffer[..len].into());
            }
            if len < buffer.len() {
                break;
            }
        }
        self.broker.buffer = buffer;
    }

    fn end_program(&mut self, keep: bool) {
        let now = self.now;
        self.broker.timer = None;
        self.broker.inbox.clear();
        self.broker.to_kick.clear();
        self.broker.online.clear();
        self.broker.paused = false;
        let Some(mut engine) = self.broker.engine.take() else {
            return;
        };
        if keep {
            for (_, wire) in self.wires.iter_mut() {
                if let Some(conn) = wire.conn {
                    engine.handle_closed(conn, now);
                }
            }
            while engine.poll_effect().is_some() {}
            self.broker.kept = Some(engine);
        } else {
            self.records.push(now, || Fact::Forgot);
        }
    }

    /// The machine closes all connections of a program that has ended.
    fn close_all(&mut self) {
        let accepted = self.wires.iter_mut().filter(|(_, wire)| wire.accepted);
        let ids: Vec<_> = accepted.map(|(id, _)| id).collect();
        self.broker.wires.clear();
        ids.into_iter().for_each(|id| self.hang_up(id));
    }

    /// The machine is off: it knows of no connection any more. The witness is in it, too.
    fn forget_all(&mut self) {
        let ids: Vec<_> = self.wires.iter_mut().map(|(id, _)| id).collect();
        self.broker.wires.clear();
        for id in ids {
            let Some(wire) = self.wires.at_mut(id) else {
                continue;
            };
            wire.conn = None;
            wire.accepted = false;
            if Some(wire.board) == self.broker.witness {
                self.closed_at_board(id);
            }
            self.forget_wire(id);
        }
    }

    fn wire_of(&mut self, conn: ConnId) -> Option<&mut Wire> {
        let id = self.broker.wire(conn)?;
        self.wires.at_mut(id)
    }

    fn note_broker(&mut self, what: &str) {
        if self.timeline.is_on() {
            self.timeline.push(self.now, BROKER, what.into());
        }
    }
}

const BROKER: &str = "broker";
/// How long a machine knocks at one that does not answer.
const SYN_PATIENCE: Duration = Duration::from_secs(75);
