//! What goes wrong between a board and the broker.

use std::net::Ipv4Addr;
use std::time::Duration;

use declic_board::Measured;

use super::node::Program;
use super::{BoardIndex, Happening, World};
use crate::network::{End, Network, Wire, WireId};

impl World<'_> {
    /// All boards and listeners have another network from now on; a witness keeps its own.
    pub fn set_network(&mut self, network: Network) {
        self.network = network;
        for index in 0..self.nodes.len() {
            self.set_board_network(BoardIndex(index), network);
        }
    }

    /// From now on a machine that starts or wakes needs that time to join its network: Wi-Fi and
    /// DHCP.
    pub fn set_joining(&mut self, time: Duration) {
        self.joining = time;
    }

    /// One board has another network from now on, also on the connection that it has.
    pub fn set_board_network(&mut self, board: BoardIndex, network: Network) {
        if self.broker.witness == Some(board.0) {
            return;
        }
        let node = &mut self.nodes[board.0];
        node.network = network;
        if let Some(wire) = node.wire.and_then(|id| self.wires.at_mut(id)) {
            wire.network = network;
        }
    }

    /// The board's network goes or comes back. When it goes, the connection goes silent; the broker
    /// is not told.
    pub fn set_link(&mut self, board: BoardIndex, up: bool) {
        let word = if up { "network up" } else { "network down" };
        self.note_node(board.0, || word.into());
        self.change_link(board, up);
        // Below the tutorial's program, the connection waits for the network.
        if up && matches!(self.nodes[board.0].program(), Program::Tutorial(_)) {
            self.thaw_wire(board);
        }
    }

    /// The board's connection, if it has one, breaks; both ends are told at once.
    pub fn cut(&mut self, board: BoardIndex) {
        self.note_node(board.0, || "connection cut".into());
        if let Some(wire) = self.nodes[board.0].wire {
            for end in [End::Broker, End::Board] {
                self.queue.push(self.now, Happening::Closed(wire, end));
            }
        }
    }

    /// The board's connection, if it has one, goes silent: nothing arrives any more, and neither
    /// end is told.
    pub fn freeze(&mut self, board: BoardIndex) {
        self.note_node(board.0, || "connection goes silent".into());
        self.freeze_wire(board, [true; 2]);
    }

    /// As [`Self::freeze`], but only for what the board sends.
    pub fn freeze_uplink(&mut self, board: BoardIndex) {
        self.note_node(board.0, || "nothing from the board arrives".into());
        self.freeze_wire(board, [false, true]);
    }

    /// As [`Self::freeze`], but only for what the broker sends.
    pub fn freeze_downlink(&mut self, board: BoardIndex) {
        self.note_node(board.0, || "nothing arrives at the board".into());
        self.freeze_wire(board, [true, false]);
    }

    /// A connection that went silent talks again, if its ends still have it: what was sent
    /// meanwhile is sent again.
    pub fn thaw(&mut self, board: BoardIndex) {
        self.note_node(board.0, || "connection talks again".into());
        self.thaw_wire(board);
    }

    /// The router is away for `time`: no board has a network, and when it is back every board has
    /// another address, within 5 s. The broker hears nothing of that.
    pub fn reboot_router(&mut self, time: Duration) {
        self.note("the router restarts");
        for index in 0..self.nodes.len() {
            if self.broker.witness == Some(index) {
                continue;
            }
            self.change_link(BoardIndex(index), false);
            let back = self.now + time + self.random.up_to(Duration::from_secs(5));
            self.queue.push(back, Happening::RouterBack(index));
        }
    }

    pub(super) fn router_back(&mut self, index: usize) {
        let now = self.now;
        let address = self.random.next().to_be_bytes();
        let node = &mut self.nodes[index];
        let on = node.on;
        match node.program_mut() {
            Program::Board(board) if on => {
                let measured = Measured {
                    address: Some(Ipv4Addr::new(10, address[0], address[1], address[2])),
                    ..Measured::default()
                };
                board.handle_measured(measured, now);
            }
            // Its sockets belong to an address that is no more.
            Program::Tutorial(tutorial) if on => {
                tutorial.handle_closed(now);
            }
            _ => {}
        }
        self.note_node(index, || "network up, with another address".into());
        self.change_link(BoardIndex(index), true);
    }

    fn change_link(&mut self, board: BoardIndex, up: bool) {
        if !up {
            self.freeze_wire(board, [true; 2]);
        }
        let now = self.now;
        let node = &mut self.nodes[board.0];
        node.link = up;
        node.attempts.clear();
        if node.on {
            node.program_mut().handle_link(up, now);
            self.settle_node(board.0);
        }
    }

    /// By the end at which nothing arrives any more.
    fn freeze_wire(&mut self, board: BoardIndex, ends: [bool; 2]) {
        let wire = self.nodes[board.0].wire;
        if let Some(wire) = wire.and_then(|id| self.wires.at_mut(id)) {
            wire.silent = [wire.silent[0] || ends[0], wire.silent[1] || ends[1]];
        }
    }

    fn thaw_wire(&mut self, board: BoardIndex) {
        let Some(id) = self.nodes[board.0].wire else {
            return;
        };
        let Some(wire) = self.wires.at_mut(id) else {
            return;
        };
        wire.thaw();
        for what in std::mem::take(&mut self.nodes[board.0].held) {
            let (end, len) = match &what {
                Happening::Bytes(_, end, bytes) => (*end, bytes.len()),
                Happening::Closed(_, end) | Happening::GaveUp(_, end) => (*end, 0),
                Happening::Answer(..) => (End::Board, 0),
                _ => (End::Broker, 0),
            };
            self.send(id, end, len, what);
        }
    }

    /// TCP has waited in vain for an acknowledgement of what `end` sent.
    pub(super) fn gave_up(&mut self, id: WireId, end: End) {
        let due = |wire: &Wire| wire.gives_up(end, self.now);
        if self.wires.at(id).is_some_and(due) {
            match end {
                End::Board => self.closed_at_board(id),
                End::Broker => self.closed_at_broker(id),
            }
        }
    }
}
