//! The broker's side of the world.

use std::collections::HashMap;

use declic_broker::{ConnId, Effect, Engine, Limits};
use declic_mqtt::Instant;

use super::{Happening, World};
use crate::network::{End, WireId};

/// The broker's program, which can be stopped and started.
pub(super) struct Process {
    engine: Option<Engine>,
    seed: u64,
    wires: HashMap<ConnId, WireId>,
    /// When it will be called for its timeout.
    timer: Option<Instant>,
}

impl Process {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            engine: Some(Engine::new(Limits::default(), seed)),
            seed,
            wires: HashMap::new(),
            timer: None,
        }
    }

    pub(super) const fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }
}

impl World<'_> {
    /// The broker's program ends at once; the boards are told that their connections are gone, as
    /// an operating system does. What it knew is lost.
    pub fn kill_broker(&mut self) {
        self.timeline.push(self.now, BROKER, "killed".into());
        self.broker.engine = None;
        self.broker.timer = None;
        let mut wires: Vec<_> = self.broker.wires.drain().map(|(_, wire)| wire).collect();
        // Not the hash map's order, which is another one each time.
        wires.sort_unstable();
        for id in wires {
            if let Some(wire) = self.wires.get_mut(&id) {
                wire.conn = None;
            }
            self.send(id, End::Board, Happening::Closed(id, End::Board));
            self.forget_wire(id);
        }
    }

    /// The broker is stopped in good order: it tells the boards, then its program ends. What it
    /// knew is lost.
    pub fn stop_broker(&mut self) {
        self.timeline.push(self.now, BROKER, "stops".into());
        if let Some(engine) = &mut self.broker.engine {
            engine.shutdown(self.now);
        }
        self.settle_broker();
        self.kill_broker();
    }

    /// Starts the broker's program, if it is not running.
    pub fn start_broker(&mut self) {
        if self.broker.engine.is_none() {
            self.timeline.push(self.now, BROKER, "started".into());
            self.broker.engine = Some(Engine::new(Limits::default(), self.broker.seed));
        }
    }

    pub(super) fn broker_timer(&mut self) {
        let now = self.now;
        if self.broker.timer.is_some_and(|timer| timer <= now) {
            self.broker.timer = None;
        }
        if let Some(engine) = &mut self.broker.engine {
            engine.handle_timeout(now);
            self.settle_broker();
        }
    }

    /// A board knocks; what the machine answers when no program listens is an answer too.
    pub(super) fn knock(&mut self, id: WireId) {
        let now = self.now;
        let engine = self.broker.engine.as_mut();
        let conn = engine.and_then(|engine| engine.handle_open(now));
        if let (Some(conn), Some(wire)) = (conn, self.wires.get_mut(&id)) {
            wire.conn = Some(conn);
            self.broker.wires.insert(conn, id);
        }
        self.send(id, End::Board, Happening::Answer(id, conn.is_some()));
        self.settle_broker();
    }

    pub(super) fn bytes_at_broker(&mut self, id: WireId, bytes: &[u8]) {
        let Some(wire) = self.wires.get_mut(&id) else {
            return;
        };
        match (&mut wire.paused, wire.conn, &mut self.broker.engine) {
            (Some(held), ..) => held.extend_from_slice(bytes),
            (None, Some(conn), Some(engine)) => engine.handle_bytes(conn, bytes, self.now),
            _ => {}
        }
        self.settle_broker();
    }

    pub(super) fn closed_at_broker(&mut self, id: WireId) {
        let conn = self.wires.get_mut(&id).and_then(|wire| wire.conn.take());
        if let (Some(conn), Some(engine)) = (conn, &mut self.broker.engine) {
            self.broker.wires.remove(&conn);
            engine.handle_closed(conn, self.now);
        }
        self.forget_wire(id);
        self.settle_broker();
    }

    /// Keeps the engine's contract after an input: drains the effects, then moves bytes.
    fn settle_broker(&mut self) {
        while let Some(engine) = &mut self.broker.engine {
            if let Some(effect) = engine.poll_effect() {
                self.follow_broker(effect);
            } else if let Some(conn) = engine.poll_ready() {
                self.fill(conn);
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
                if let Some(id) = self.broker.wires.remove(&conn) {
                    self.send(id, End::Board, Happening::Closed(id, End::Board));
                    if let Some(wire) = self.wires.get_mut(&id) {
                        wire.conn = None;
                    }
                    self.forget_wire(id);
                }
                if let Some(engine) = &mut self.broker.engine {
                    engine.handle_closed(conn, self.now);
                }
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
            _ => {}
        }
    }

    /// Moves all that the engine has for a connection; a virtual wire takes everything.
    fn fill(&mut self, conn: ConnId) {
        let mut buffer = [0; 4_096];
        while let Some(engine) = &mut self.broker.engine {
            let len = engine.fill(conn, &mut buffer, self.now);
            if let Some(id) = self.broker.wires.get(&conn) {
                self.send_bytes(*id, End::Board, &buffer[..len]);
            }
            if len < buffer.len() {
                break;
            }
        }
    }

    fn wire_of(&mut self, conn: ConnId) -> Option<&mut crate::network::Wire> {
        let id = self.broker.wires.get(&conn)?;
        self.wires.get_mut(id)
    }
}

const BROKER: &str = "broker";
