//! The boards' side of the world.

use std::time::Duration;

use declic_board::{Board, Effect, Kept, Notice, RestartReason, ScanError, Settings, Start};

use super::node::{Action, Program};
use super::tutorial::Tutorial;
use super::{BoardIndex, Happening, World};
use crate::flash::Flash;
use crate::network::{End, Wire, WireId};
use crate::record::Fact;

impl<'m> World<'m> {
    /// As [`Self::add_board`], for a board that has its settings in flash and counts its starts
    /// there, as the firmware does.
    pub fn add_board_with_flash(&mut self, name: &str, settings: Settings) -> BoardIndex {
        let board = self.add_board(name, settings);
        // It has not sent anything yet: its machine starts again, with the flash.
        self.power_off(board);
        let node = &mut self.nodes[board.0];
        node.flash = Some(Flash::new());
        node.counters = super::Counters::default();
        self.power_on(board);
        board
    }

    /// The board's power fails. Whoever is at the other end of its connection is not told.
    pub fn power_off(&mut self, board: BoardIndex) {
        let node = &mut self.nodes[board.0];
        let was_asleep = node.kept.take().is_some();
        if !std::mem::take(&mut node.on) && !was_asleep {
            return;
        }
        node.led = false;
        node.timer = None;
        node.held.clear();
        let wire = node.wire.take();
        if let Some(id) = wire {
            self.forget_wire(id);
        }
        self.records.push(self.now, || Fact::PowerLost { board });
        self.note_node(board.0, || "power off".into());
    }

    /// The board's power comes back, if it has none: its machine starts. Where the power is to fail
    /// again while its flash is written, [`Self::is_on`] says false.
    pub fn power_on(&mut self, board: BoardIndex) {
        let node = &self.nodes[board.0];
        if !node.on && node.kept.is_none() {
            self.start_machine(board.0, None);
        }
    }

    /// How long the board was awake, those times that it has gone to sleep again; from the edge of
    /// the contact that woke it on.
    pub fn awake(&self, board: BoardIndex) -> Duration {
        self.nodes[board.0].awake
    }

    /// The machine starts, or wakes with what was `kept`.
    fn start_machine(&mut self, index: usize, kept: Option<Kept>) {
        let (now, board) = (self.now, BoardIndex(index));
        let seed = self.random.next();
        let node = &mut self.nodes[index];
        let mut settings = node.make.as_ref().map(|make| make.1.clone());
        let reason = match kept {
            Some(_) => RestartReason::DeepSleep,
            None => RestartReason::PowerOn,
        };
        let mut start = Start {
            kept,
            pressed: kept.is_some(),
            can_sleep: true,
            ..Start::new("simulated", reason)
        };
        if let (Some(flash), Some(settings)) = (&mut node.flash, &mut settings) {
            if flash.has_failed() {
                flash.mend();
            }
            start.settings = flash.load(settings);
            start.light = flash.light();
            if kept.is_none() {
                start.boots = flash.count_boot();
            }
            if flash.has_failed() {
                self.note_node(index, || "power off again while it starts".into());
                return;
            }
        }
        node.on = true;
        let old = node.program.take().expect("a node has a program");
        let boots = start.boots;
        node.program = Some(match (&node.make, settings, old) {
            (Some(make), Some(settings), old) => {
                let mut board = Board::new(make.0, settings, seed, old.into_memory());
                board.handle_start(start, now);
                Program::Board(Box::new(board))
            }
            (_, _, Program::Tutorial(tutorial)) => {
                let part = tutorial.part();
                Program::Tutorial(Box::new(Tutorial::new(part, tutorial.into_memory())))
            }
            (_, _, other) => other,
        });
        node.counters.starts += 1;
        if kept.is_none() {
            node.awake_since = now;
        }
        // What a person or a network does is not the board's fault.
        node.attempts.clear();
        let (contact, link) = (node.contact, node.link);
        if kept.is_none() {
            self.records.push(now, || Fact::Started { board, boots });
        }
        self.note_node(index, || match (kept, boots) {
            (Some(_), _) => "wakes".into(),
            (None, Some(boots)) => format!("power on, start {boots}"),
            (None, None) => "power on".into(),
        });
        let program = self.nodes[index].program_mut();
        program.handle_level(contact, now);
        if self.joining.is_zero() {
            program.handle_link(link, now);
        } else {
            self.queue
                .push(now + self.joining, Happening::Joined(index));
        }
        self.settle_node(index);
    }

    /// The machine is in its network.
    pub(super) fn joined(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if node.on && node.link {
            node.program_mut().handle_link(true, now);
            self.settle_node(index);
        }
    }

    /// The program wants to sleep until the contact closes.
    fn sleep(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if let Some(board) = node.board_mut() {
            let kept = board.kept();
            node.kept = Some(kept);
            node.on = false;
            node.led = false;
            node.timer = None;
            node.awake += now.since(node.awake_since);
        }
    }

    /// The board's power fails after `bytes` more bytes were written to its flash or erased there.
    /// A board that writes fewer is not harmed.
    pub fn cut_power_after(&mut self, board: BoardIndex, bytes: usize) {
        let flash = self.nodes[board.0].flash.get_or_insert_with(Flash::new);
        flash.fail_after(bytes);
    }

    /// Bytes that the board has written to its flash or erased there.
    pub fn flash_worked(&self, board: BoardIndex) -> u64 {
        let flash = self.nodes[board.0].flash.as_ref();
        flash.map_or(0, Flash::worked)
    }

    /// Keeps a program's contract after an input: drains the effects, then moves bytes, until
    /// nothing moves.
    pub(super) fn settle_node(&mut self, index: usize) {
        while self.nodes[index].on {
            while self.nodes[index].on && self.poll_node(index) {}
            let sent = self.transmit(index);
            let read = self.read(index);
            if !sent && !read {
                break;
            }
        }
        let node = &mut self.nodes[index];
        if !node.on {
            return;
        }
        if let Some(due) = node.program().poll_timeout()
            && node.timer.is_none_or(|timer| due < timer)
        {
            node.timer = Some(due);
            let at = due.max(self.now);
            self.queue.push(at, Happening::BoardTimer(index));
        }
    }

    pub(super) fn board_timer(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        // A timer that was overtaken by an earlier one finds that one's successor planned.
        if node.timer.is_some_and(|timer| timer <= now) {
            node.timer = None;
        }
        if !node.on {
            return;
        }
        let program = node.program_mut();
        if program.poll_timeout().is_some_and(|due| due <= now) {
            program.handle_timeout(now);
        }
        self.settle_node(index);
    }

    pub(super) fn level(&mut self, index: usize, closed: bool) {
        let now = self.now;
        let node = &mut self.nodes[index];
        node.contact = closed;
        if node.on {
            node.program_mut().handle_level(closed, now);
            self.settle_node(index);
        } else if closed && node.kept.is_some() && !node.is_waking {
            node.is_waking = true;
            node.awake_since = now;
            self.queue.push(now + START_TIME, Happening::Wake(index));
        }
    }

    /// The machine that the contact woke has started.
    pub(super) fn wake(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.is_waking = false;
        if let Some(kept) = node.kept.take() {
            self.start_machine(index, Some(kept));
        }
    }

    pub(super) fn note_node(&mut self, index: usize, what: impl FnOnce() -> String) {
        if self.timeline.is_on() {
            let name = &self.nodes[index].name;
            self.timeline.push(self.now, name, what());
        }
    }

    /// The broker's machine has answered: the transport is open, or refused.
    pub(super) fn answer(&mut self, id: WireId, accepted: bool) {
        let Some(index) = self.node_of(id) else {
            return;
        };
        let now = self.now;
        let node = &mut self.nodes[index];
        if accepted {
            node.program_mut().handle_connected(now);
        } else {
            node.wire = None;
            node.program_mut().handle_connect_failed(now);
            self.forget_wire(id);
        }
        self.settle_node(index);
    }

    pub(super) fn bytes_at_board(&mut self, id: WireId, bytes: &[u8]) {
        if let Some(index) = self.node_of(id) {
            if let Some(wire) = self.wires.at_mut(id) {
                wire.unread.extend(bytes);
            }
            self.settle_node(index);
            return;
        }
        let Some(wire) = self.wires.at_mut(id) else {
            return;
        };
        let node = &self.nodes[wire.board];
        if node.on && node.link {
            // A machine that does not know the connection any more says so.
            self.send(id, End::Broker, 0, Happening::Closed(id, End::Broker));
        } else {
            // Sent again in vain, and what follows too.
            wire.silent = [true; 2];
            self.send(
                id,
                End::Board,
                bytes.len(),
                Happening::Bytes(id, End::Board, bytes.into()),
            );
        }
    }

    pub(super) fn closed_at_board(&mut self, id: WireId) {
        if let (Some(index), Some(wire)) = (self.node_of(id), self.wires.at_mut(id)) {
            wire.ended = true;
            self.settle_node(index);
        }
    }

    fn poll_node(&mut self, index: usize) -> bool {
        let now = self.now;
        let action = match self.nodes[index].program_mut() {
            Program::Board(board) => {
                let effect = board.poll_effect();
                if let Some(effect) = effect {
                    self.follow(index, effect);
                }
                return effect.is_some();
            }
            Program::Listener(listener) => listener.poll_action(now),
            Program::Tutorial(tutorial) => tutorial.poll_action(),
        };
        let acted = action.is_some();
        if let Some(action) = action {
            self.act(index, action);
        }
        acted
    }

    fn follow(&mut self, index: usize, effect: Effect) {
        let (now, board) = (self.now, BoardIndex(index));
        match effect {
            Effect::SetLed(on) => self.set_led(index, on),
            Effect::OpenTransport => self.open_transport(index),
            Effect::CloseTransport => self.close_transport(index),
            Effect::Store { ticket, key } => {
                let node = &mut self.nodes[index];
                let value = node.board_mut().map(|board| board.edited().value(key));
                let flash = node.flash.get_or_insert_with(Flash::new);
                let result = flash.store_setting(key, value.as_deref().unwrap_or_default());
                self.stored(index, |board| board.handle_stored(ticket, result, now));
            }
            Effect::EraseSettings { ticket } => {
                let flash = self.nodes[index].flash.get_or_insert_with(Flash::new);
                let result = flash.forget();
                self.stored(index, |board| board.handle_stored(ticket, result, now));
            }
            Effect::StoreLight { ticket, on } => {
                let flash = self.nodes[index].flash.get_or_insert_with(Flash::new);
                let result = flash.store_light(on);
                self.stored(index, |board| board.handle_stored(ticket, result, now));
            }
            Effect::Sleep => self.sleep(index),
            // There is no such service in this network.
            Effect::FindBroker => {
                if let Some(board) = self.nodes[index].board_mut() {
                    board.handle_connect_failed(now);
                }
            }
            Effect::Restart => {
                self.power_off(board);
                self.queue.push(now + START_TIME, Happening::PowerOn(index));
            }
            Effect::Scan => {
                if let Some(board) = self.nodes[index].board_mut() {
                    board.handle_scanned(Err(ScanError::NoWifi), now);
                }
            }
            Effect::Notice(notice) => {
                let accepted = matches!(notice, Notice::Connected { .. });
                self.nodes[index].counters.connections += u64::from(accepted);
                if let Notice::Pressed { count, sends, .. } = notice {
                    self.records.push(now, || Fact::Pressed {
                        board,
                        count,
                        sends,
                    });
                }
                self.note_node(index, || notice.to_string());
            }
            _ => {}
        }
    }

    /// The flash has done what it was asked for, unless its power failed.
    fn stored(&mut self, index: usize, tell: impl FnOnce(&mut Board<'m>)) {
        let node = &mut self.nodes[index];
        if node.flash.as_ref().is_some_and(Flash::has_failed) {
            self.power_off(BoardIndex(index));
        } else if let Some(board) = node.board_mut() {
            tell(board);
        }
    }

    fn act(&mut self, index: usize, action: Action) {
        match action {
            Action::Open => self.open_transport(index),
            Action::Close => self.close_transport(index),
            Action::SetLed(on) => {
                if self.nodes[index].led != on {
                    self.note_node(index, || format!("light {}", if on { "ON" } else { "OFF" }));
                }
                self.nodes[index].counters.messages += 1;
                self.set_led(index, on);
            }
            Action::Note(what) => {
                self.nodes[index].counters.connections += u64::from(what == "connected");
                self.note_node(index, || what.into());
            }
            Action::Subscribed => {
                let listener = BoardIndex(index);
                self.records
                    .push(self.now, || Fact::Subscribed { listener });
            }
            Action::Heard {
                topic,
                payload,
                retain,
            } => {
                let listener = BoardIndex(index);
                self.nodes[index].counters.messages += 1;
                self.note_node(index, || {
                    format!("hears {topic}: {}", String::from_utf8_lossy(&payload))
                });
                self.records.push(self.now, || Fact::Heard {
                    listener,
                    topic,
                    payload,
                    retain,
                });
            }
        }
    }

    fn set_led(&mut self, index: usize, on: bool) {
        let node = &mut self.nodes[index];
        node.counters.light_changes += u64::from(node.led != on);
        node.led = on;
    }

    fn open_transport(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let id = self.wires.insert(Wire::new(index, node.network));
        node.wire = Some(id);
        node.held.clear();
        self.count_attempt(index);
        self.send(id, End::Broker, 0, Happening::Knock(id));
    }

    fn close_transport(&mut self, index: usize) {
        if let Some(id) = self.nodes[index].wire.take() {
            self.nodes[index].held.clear();
            self.send(id, End::Broker, 0, Happening::Closed(id, End::Broker));
            // One that the broker knows is forgotten when that arrives.
            self.forget_wire(id);
        }
    }

    fn transmit(&mut self, index: usize) -> bool {
        let now = self.now;
        let node = &mut self.nodes[index];
        let (true, Some(id)) = (node.on, node.wire) else {
            return false;
        };
        let program = node.program_mut();
        let bytes: Box<[u8]> = program.transmit().into();
        if bytes.is_empty() {
            return false;
        }
        program.transmitted(bytes.len(), now);
        self.send_bytes(id, End::Broker, bytes);
        true
    }

    /// Gives the program what has arrived, as far as it has room.
    fn read(&mut self, index: usize) -> bool {
        let now = self.now;
        let node = &mut self.nodes[index];
        if !node.on {
            return false;
        }
        let Some(wire) = node.wire.and_then(|id| self.wires.at_mut(id)) else {
            return false;
        };
        let (bytes, _) = wire.unread.as_slices();
        if bytes.is_empty() {
            if !wire.ended {
                return false;
            }
            let id = node.wire.take();
            node.program_mut().handle_closed(now);
            id.into_iter().for_each(|id| self.forget_wire(id));
            return true;
        }
        let program = node.program.as_mut().expect("a node has a program");
        let space = program.rx_space();
        let len = space.len().min(bytes.len());
        space[..len].copy_from_slice(&bytes[..len]);
        wire.unread.drain(..len);
        if len > 0 {
            program.received(len, now);
        }
        len > 0
    }

    /// The node at the end of a wire, if it still knows the wire.
    pub(super) fn node_of(&self, id: WireId) -> Option<usize> {
        let index = self.wires.at(id)?.board;
        (self.nodes[index].wire == Some(id)).then_some(index)
    }
}

/// From a restart to the first instruction of the program.
const START_TIME: Duration = Duration::from_millis(300);
