//! Memory of a usual size.

use declic_mqtt::PacketId;
use declic_mqtt::client::{InFlight, Memory};

/// The memory that a board works in, in one piece: about 1.6 kB, for a `StaticCell` on a chip or
/// anywhere on a host.
///
/// The sizes are such that everything a board sends fits with the longest settings, and that eight
/// presses can wait for the broker's acknowledgement. Who wants others makes a [`Memory`].
#[derive(Debug)]
pub struct Storage {
    receive: [u8; 512],
    outbox: [u8; 1024],
    in_flight: [InFlight; 16],
    inbound: [Option<PacketId>; 4],
}

impl Storage {
    /// Empty memory.
    pub fn new() -> Self {
        Self {
            receive: [0; 512],
            outbox: [0; 1024],
            in_flight: [InFlight::default(); 16],
            inbound: [None; 4],
        }
    }

    /// The memory, for [`Board::new`](crate::Board::new).
    pub const fn memory(&mut self) -> Memory<'_> {
        Memory {
            receive: &mut self.receive,
            outbox: &mut self.outbox,
            in_flight: &mut self.in_flight,
            inbound: &mut self.inbound,
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self::new()
    }
}
