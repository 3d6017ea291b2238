//! The memory that a client of the command line works in.

use declic_mqtt::PacketId;
use declic_mqtt::client::{InFlight, Memory};

/// Owns what a [`Memory`] borrows.
pub struct ClientMemory {
    receive: Vec<u8>,
    outbox: Vec<u8>,
    in_flight: Vec<InFlight>,
    inbound: Vec<Option<PacketId>>,
}

impl ClientMemory {
    /// Memory for `in_flight` unfinished requests and messages of QoS 1 and 2.
    pub fn new(in_flight: usize) -> Self {
        Self {
            // Zeroed memory costs nothing until it is used.
            receive: vec![0; RECEIVE],
            outbox: vec![0; OUTBOX],
            in_flight: vec![InFlight::default(); in_flight],
            inbound: vec![None; INBOUND],
        }
    }

    pub fn lend(&mut self) -> Memory<'_> {
        Memory {
            receive: &mut self.receive,
            outbox: &mut self.outbox,
            in_flight: &mut self.in_flight,
            inbound: &mut self.inbound,
        }
    }
}

/// The largest CONNECT fits: five fields of 64 KiB, and properties.
const RECEIVE: usize = 512 * 1024;
/// Enough for the topics and properties of any packet, and for many messages of a usual size.
const OUTBOX: usize = 512 * 1024;
/// Received messages of QoS 2 that may be unfinished at a time. In 3.1.1 no broker can be told; ours
/// has 1,024 on their way.
const INBOUND: usize = 2_048;
