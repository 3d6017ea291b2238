//! The boards' side of the world.

use declic_board::{Board, Effect, Notice};
use declic_mqtt::Instant;

use super::{Counters, Happening, World};
use crate::network::{End, Wire, WireId};

/// A board with its LED, and what its owner knows.
pub(super) struct SimBoard<'m> {
    pub(super) board: Board<'m>,
    name: String,
    pub(super) led: bool,
    /// The connection that it has or is opening.
    pub(super) wire: Option<WireId>,
    /// When it will be called for its timeout.
    timer: Option<Instant>,
    pub(super) counters: Counters,
}

impl<'m> SimBoard<'m> {
    pub(super) fn new(name: &str, board: Board<'m>) -> Self {
        Self {
            board,
            name: name.to_owned(),
            led: false,
            wire: None,
            timer: None,
            counters: Counters::default(),
        }
    }
}

impl World<'_> {
    /// Keeps the board's contract after an input: drains the effects, then moves bytes, until
    /// nothing moves.
    pub(super) fn settle_board(&mut self, index: usize) {
        loop {
            while let Some(effect) = self.boards[index].board.poll_effect() {
                self.follow(index, effect);
            }
            let sent = self.transmit(index);
            let read = self.read(index);
            if !sent && !read {
                break;
            }
        }
        let due = self.boards[index].board.poll_timeout();
        let board = &mut self.boards[index];
        if let Some(due) = due
            && board.timer.is_none_or(|timer| due < timer)
        {
            board.timer = Some(due);
            let at = due.max(self.now);
            self.queue.push(at, Happening::BoardTimer(index));
        }
    }

    pub(super) fn board_timer(&mut self, index: usize) {
        let now = self.now;
        let board = &mut self.boards[index];
        // A timer that was overtaken by an earlier one finds that one's successor planned.
        if board.timer.is_some_and(|timer| timer <= now) {
            board.timer = None;
        }
        if board.board.poll_timeout().is_some_and(|due| due <= now) {
            board.board.handle_timeout(now);
        }
        self.settle_board(index);
    }

    pub(super) fn note_board(&mut self, index: usize, what: impl Into<String>) {
        let name = &self.boards[index].name;
        self.timeline.push(self.now, name, what.into());
    }

    /// The broker's machine has answered: the transport is open, or refused.
    pub(super) fn answer(&mut self, id: WireId, accepted: bool) {
        let Some(index) = self.board_of(id) else {
            return;
        };
        let now = self.now;
        if accepted {
            self.boards[index].board.handle_connected(now);
        } else {
            self.boards[index].wire = None;
            self.forget_wire(id);
            self.boards[index].board.handle_connect_failed(now);
        }
        self.settle_board(index);
    }

    pub(super) fn bytes_at_board(&mut self, id: WireId, bytes: &[u8]) {
        if let (Some(index), Some(wire)) = (self.board_of(id), self.wires.get_mut(&id)) {
            wire.unread.extend(bytes);
            self.settle_board(index);
        }
    }

    pub(super) fn closed_at_board(&mut self, id: WireId) {
        if let (Some(index), Some(wire)) = (self.board_of(id), self.wires.get_mut(&id)) {
            wire.ended = true;
            self.settle_board(index);
        }
    }

    fn follow(&mut self, index: usize, effect: Effect) {
        match effect {
            Effect::SetLed(on) => {
                let board = &mut self.boards[index];
                board.counters.light_changes += u64::from(board.led != on);
                board.led = on;
            }
            Effect::OpenTransport => {
                let id = WireId(self.next_wire);
                self.next_wire += 1;
                self.wires.insert(id, Wire::new(index));
                let board = &mut self.boards[index];
                board.wire = Some(id);
                board.counters.attempts += 1;
                self.send(id, End::Broker, Happening::Knock(id));
            }
            Effect::CloseTransport => {
                if let Some(id) = self.boards[index].wire.take() {
                    self.send(id, End::Broker, Happening::Closed(id, End::Broker));
                    // The wire is forgotten when that arrives, unless it never does.
                    if self.wires.get(&id).is_some_and(|wire| wire.frozen) {
                        self.forget_wire(id);
                    }
                }
            }
            Effect::Notice(notice) => {
                let accepted = matches!(notice, Notice::Connected { .. });
                self.boards[index].counters.connections += u64::from(accepted);
                self.note_board(index, notice.to_string());
            }
            _ => {}
        }
    }

    fn transmit(&mut self, index: usize) -> bool {
        let now = self.now;
        let Some(id) = self.boards[index].wire else {
            return false;
        };
        let board = &mut self.boards[index].board;
        let bytes = board.transmit().to_vec();
        if bytes.is_empty() {
            return false;
        }
        board.transmitted(bytes.len(), now);
        self.send_bytes(id, End::Broker, &bytes);
        true
    }

    /// Gives the board what has arrived, as far as it has room.
    fn read(&mut self, index: usize) -> bool {
        let now = self.now;
        let board = &mut self.boards[index];
        let Some(wire) = board.wire.and_then(|id| self.wires.get_mut(&id)) else {
            return false;
        };
        let (bytes, _) = wire.unread.as_slices();
        if bytes.is_empty() {
            if !wire.ended {
                return false;
            }
            let id = board.wire.take();
            board.board.handle_closed(now);
            id.into_iter().for_each(|id| self.forget_wire(id));
            return true;
        }
        let space = board.board.rx_space();
        let len = space.len().min(bytes.len());
        space[..len].copy_from_slice(&bytes[..len]);
        wire.unread.drain(..len);
        if len > 0 {
            board.board.received(len, now);
        }
        len > 0
    }

    /// The board at the end of a wire, if it still knows the wire.
    fn board_of(&self, id: WireId) -> Option<usize> {
        let index = self.wires.get(&id)?.board;
        (self.boards[index].wire == Some(id)).then_some(index)
    }
}
