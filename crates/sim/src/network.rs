//! Virtual TCP connections.

use std::collections::VecDeque;
use std::time::Duration;

use declic_broker::ConnId;
use declic_mqtt::Instant;

use crate::random::Random;

/// How the network between a board and the broker behaves.
///
/// What happens to single IP packets is shown as TCP shows it to its users: nothing is lost or out
/// of order, it only arrives later, and everything behind it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Time that bytes need for one way.
    pub latency: Duration,
    /// Up to so much is added by chance. Bytes of one connection never overtake each other.
    pub jitter: Duration,
    /// Bytes travel in pieces of at most so many, cut at random places; 0 for never.
    pub segment: usize,
    /// Of 1,000 segments so many are lost, each time that they are sent: TCP sends them again
    /// after [`RETRANSMISSION`], then after twice that time, and so on.
    pub loss: u16,
    /// Of 1,000 segments so many take a detour, which lasts up to [`Self::detour`] longer.
    pub reorder: u16,
    /// See [`Self::reorder`].
    pub detour: Duration,
    /// Bytes that one connection can carry in a second, each way; 0 for any number.
    pub bytes_per_second: u32,
}

impl Network {
    /// A network in which everything arrives at once.
    pub const PERFECT: Self = Self {
        latency: Duration::ZERO,
        jitter: Duration::ZERO,
        segment: 0,
        loss: 0,
        reorder: 0,
        detour: Duration::ZERO,
        bytes_per_second: 0,
    };
}

impl Default for Network {
    /// A good home network: 3 ms and up to 2 ms more, in one piece.
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(3),
            jitter: Duration::from_millis(2),
            ..Self::PERFECT
        }
    }
}

/// After this time without an acknowledgement TCP sends a segment again, for the first time (Linux:
/// at least 200 ms); the first segment of a connection after [`FIRST_RETRANSMISSION`].
pub const RETRANSMISSION: Duration = Duration::from_millis(200);
/// See [`RETRANSMISSION`]; RFC 6298 says 1 s.
pub const FIRST_RETRANSMISSION: Duration = Duration::from_secs(1);
/// After this time without any acknowledgement TCP gives a connection up: 15 retransmissions on
/// Linux.
pub const GIVE_UP: Duration = Duration::from_millis(924_600);
/// Longest time between two retransmissions.
const LONGEST_RETRANSMISSION: Duration = Duration::from_secs(120);

/// Names a [`Wire`]; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WireId {
    number: u64,
    slot: u32,
}

/// The end of a connection at which something arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Board,
    Broker,
}

impl End {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Board => Self::Broker,
            Self::Broker => Self::Board,
        }
    }
}

/// One connection, from the board's first knock until both ends have closed it.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Index of the board.
    pub(crate) board: usize,
    pub(crate) network: Network,
    /// The broker's side, once it was accepted.
    pub(crate) conn: Option<ConnId>,
    /// Whether the broker's machine knows it.
    pub(crate) accepted: bool,
    /// By the end at which nothing arrives any more, and nobody is told.
    pub(crate) silent: [bool; 2],
    /// Arrived at the board, which had no room for it.
    pub(crate) unread: VecDeque<u8>,
    /// Nothing comes behind [`Self::unread`].
    pub(crate) ended: bool,
    /// Arrived at the broker while it did not read; `None` while it reads.
    pub(crate) paused: Option<Vec<u8>>,
    ways: [Way; 2],
}

/// One direction of a wire.
#[derive(Debug, Clone, Copy)]
struct Way {
    last_arrival: Instant,
    /// When the bytes before have left.
    free_at: Instant,
    /// When TCP gives up what it has sent in vain.
    gives_up: Option<Instant>,
}

/// What becomes of something that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives(Instant),
    /// It never arrives; the sender is told then.
    GivenUp(Instant),
    /// It never arrives, as something before it.
    Lost,
}

impl Wire {
    pub(crate) const fn new(board: usize, network: Network) -> Self {
        let way = Way {
            last_arrival: Instant::ZERO,
            free_at: Instant::ZERO,
            gives_up: None,
        };
        Self {
            board,
            network,
            conn: None,
            accepted: false,
            silent: [false; 2],
            unread: VecDeque::new(),
            ended: false,
            paused: None,
            ways: [way; 2],
        }
    }

    pub(crate) const fn is_silent(&self, end: End) -> bool {
        self.silent[end as usize]
    }

    /// It talks again.
    pub(crate) fn thaw(&mut self) {
        self.silent = [false; 2];
        self.ways.iter_mut().for_each(|way| way.gives_up = None);
    }

    /// Whether TCP gives up now what was sent by `sender`.
    pub(crate) fn gives_up(&self, sender: End, now: Instant) -> bool {
        self.ways[sender.other() as usize].gives_up == Some(now)
    }

    /// What becomes of `len` bytes that are sent `now` to `end`, when the first retransmission is
    /// made after `retransmission`.
    pub(crate) fn fate(
        &mut self,
        end: End,
        len: usize,
        now: Instant,
        mut retransmission: Duration,
        random: &mut Random,
    ) -> Fate {
        let network = self.network;
        // An acknowledgement comes the other way.
        let silent = self.silent[0] || self.silent[1];
        let way = &mut self.ways[end as usize];
        if way.gives_up.is_some() {
            return Fate::Lost;
        }
        if silent {
            way.gives_up = Some(now + GIVE_UP);
            return Fate::GivenUp(now + GIVE_UP);
        }
        let mut at = now;
        if network.bytes_per_second > 0 {
            let micros = len as u64 * 1_000_000 / u64::from(network.bytes_per_second);
            at = now.max(way.free_at) + Duration::from_micros(micros);
            way.free_at = at;
        }
        at = at + network.latency + random.up_to(network.jitter);
        if random.chance(network.reorder) {
            at = at + random.up_to(network.detour);
        }
        let mut waited = Duration::ZERO;
        while random.chance(network.loss) {
            waited += retransmission;
            retransmission = (retransmission * 2).min(LONGEST_RETRANSMISSION);
            if waited >= GIVE_UP {
                way.gives_up = Some(now + GIVE_UP);
                return Fate::GivenUp(now + GIVE_UP);
            }
        }
        at = (at + waited).max(way.last_arrival);
        way.last_arrival = at;
        Fate::Arrives(at)
    }
}

/// All wires.
#[derive(Debug, Default)]
pub(crate) struct Wires {
    slots: Vec<Option<(u64, Wire)>>,
    free: Vec<u32>,
    made: u64,
}

impl Wires {
    pub(crate) fn insert(&mut self, wire: Wire) -> WireId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.made += 1;
        self.slots[slot as usize] = Some((self.made, wire));
        WireId {
            number: self.made,
            slot,
        }
    }

    pub(crate) fn at(&self, id: WireId) -> Option<&Wire> {
        match self.slots.get(id.slot as usize)? {
            Some((number, wire)) if *number == id.number => Some(wire),
            _ => None,
        }
    }

    pub(crate) fn at_mut(&mut self, id: WireId) -> Option<&mut Wire> {
        match self.slots.get_mut(id.slot as usize)? {
            Some((number, wire)) if *number == id.number => Some(wire),
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, id: WireId) {
        if self.at(id).is_some() {
            self.slots[id.slot as usize] = None;
            self.free.push(id.slot);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (WireId, &mut Wire)> {
        let slots = self.slots.iter_mut().enumerate();
        slots.filter_map(|(slot, entry)| {
            let (number, wire) = entry.as_mut()?;
            let id = WireId {
                number: *number,
                slot: slot as u32,
            };
            Some((id, wire))
        })
    }
}

/// Cuts `bytes` as `network` says.
pub(crate) fn segments<'a>(
    mut bytes: &'a [u8],
    network: Network,
    random: &mut Random,
) -> impl Iterator<Item = &'a [u8]> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let len = match network.segment {
            0 => bytes.len(),
            most => (1 + random.below(most as u64) as usize).min(bytes.len()),
        };
        let (segment, rest) = bytes.split_at(len);
        bytes = rest;
        Some(segment)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(network: Network, lens: &[usize], end: End) -> Vec<Fate> {
        let mut wire = Wire::new(0, network);
        let mut random = Random::new(1);
        let fate = |len: &usize| wire.fate(end, *len, Instant::ZERO, RETRANSMISSION, &mut random);
        lens.iter().map(fate).collect()
    }

    #[test]
    fn a_slow_connection_takes_its_time_for_each_byte() {
        let network = Network {
            bytes_per_second: 1_000,
            ..Network::PERFECT
        };
        let at = |millis| Fate::Arrives(Instant::from_millis(millis));
        assert_eq!(
            arrivals(network, &[100, 0, 50], End::Board),
            [at(100), at(100), at(150)]
        );
    }

    #[test]
    fn a_lost_segment_comes_after_retransmissions_and_all_behind_it_with_it() {
        let network = Network {
            loss: 300,
            ..Network::PERFECT
        };
        let fates = arrivals(network, &[10; 1_000], End::Broker);
        let mut last = Instant::ZERO;
        for fate in &fates {
            let Fate::Arrives(at) = fate else {
                panic!("{fate:?}");
            };
            assert!(*at >= last);
            // 200, 600, 1,400 ms and so on.
            assert_eq!(at.as_millis() % 200, 0);
            last = *at;
        }
        assert!(last > Instant::from_millis(600), "{last:?}");
    }

    #[test]
    fn where_nothing_arrives_tcp_gives_up_once() {
        let network = Network {
            loss: 1_000,
            ..Network::PERFECT
        };
        let fates = arrivals(network, &[10; 3], End::Broker);
        let end = Fate::GivenUp(Instant::ZERO + GIVE_UP);
        assert_eq!(fates, [end, Fate::Lost, Fate::Lost]);
    }

    #[test]
    fn a_wire_that_is_gone_is_not_found_under_the_number_of_its_successor() {
        let mut wires = Wires::default();
        let first = wires.insert(Wire::new(0, Network::PERFECT));
        wires.remove(first);
        let second = wires.insert(Wire::new(1, Network::PERFECT));
        assert_eq!(wires.len(), 1);
        assert!(wires.at(first).is_none());
        wires.remove(first);
        assert_eq!(wires.at(second).map(|wire| wire.board), Some(1));
    }
}
