//! Any bytes give a packet or an error: arbitrary ones, and valid packets that were damaged.

use declic_mqtt::ProtocolVersion;
use declic_mqtt::packet::{DecodeError, FixedHeader, Packet};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::invariants::check_packet;
use crate::strategies::packet;
use crate::{BOTH, encode, framed};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_give_a_packet_or_an_error(bytes in vec(any::<u8>(), 0..64)) {
        for version in BOTH {
            check_packet(version, &bytes);
        }
    }

    #[test]
    fn any_body_of_any_kind_gives_a_packet_or_an_error(
        first in any::<u8>(),
        body in vec(prop_oneof![3 => 0..8_u8, 1 => any::<u8>()], 0..48),
    ) {
        for version in BOTH {
            check_packet(version, &framed(first, &[&body]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn damaged_packets_of_3_1_1_give_a_packet_or_an_error(
        packet in packet(ProtocolVersion::V3_1_1),
        damages in vec(damage(), 1..4),
    ) {
        check_damaged(ProtocolVersion::V3_1_1, &packet, &damages);
    }

    #[test]
    fn damaged_packets_of_5_0_give_a_packet_or_an_error(
        packet in packet(ProtocolVersion::V5),
        damages in vec(damage(), 1..4),
    ) {
        check_damaged(ProtocolVersion::V5, &packet, &damages);
    }

    /// A packet that lost its end is never taken for whole, except where 5.0 lets one end early
    /// or its last field has no length of its own.
    #[test]
    fn truncated_packets_are_refused(packet in packet(ProtocolVersion::V5), at in any::<Index>()) {
        let bytes = encode(ProtocolVersion::V5, &packet);
        let header = FixedHeader::decode(&bytes).expect("a valid header").expect("a whole header");
        let body = &bytes[header.len()..];
        prop_assume!(!body.is_empty());
        let short = framed(bytes[0], &[&body[..at.index(body.len())]]);
        check_packet(ProtocolVersion::V5, &short);
        if let Packet::Connect(_) | Packet::ConnAck(_) = packet {
            let result = crate::decode(ProtocolVersion::V5, &short);
            // A CONNACK cut to four bytes can say 3.1.1's version error; this one can't.
            prop_assert_eq!(result, Err(DecodeError::Truncated));
        }
    }
}

#[derive(Debug, Clone)]
enum Damage {
    Set(Index, u8),
    FlipBit(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Cut(Index),
    Swap(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    prop_oneof![
        2 => (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        2 => (index(), 0..8_u8).prop_map(|(at, bit)| Damage::FlipBit(at, bit)),
        1 => (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        1 => index().prop_map(Damage::Remove),
        1 => index().prop_map(Damage::Cut),
        1 => (index(), index()).prop_map(|(a, b)| Damage::Swap(a, b)),
    ]
}

/// Damages a packet as a whole, and in its body alone so that the remaining length stays right.
fn check_damaged(version: ProtocolVersion, packet: &Packet<'_>, damages: &[Damage]) {
    let bytes = encode(version, packet);
    let header = FixedHeader::decode(&bytes)
        .expect("a valid header")
        .expect("a whole header");
    let mut whole = bytes.clone();
    let mut body = bytes[header.len()..].to_vec();
    for damage in damages {
        damage.apply(&mut whole);
        damage.apply(&mut body);
    }
    let body = framed(bytes[0], &[&body]);
    for other in BOTH {
        check_packet(other, &whole);
        check_packet(other, &body);
        check_packet(other, &bytes);
    }
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        // The fields are at the front, not in a long payload.
        let front = bytes.len().min(200);
        match self {
            Self::Set(at, byte) => bytes[at.index(front)] = *byte,
            Self::FlipBit(at, bit) => bytes[at.index(front)] ^= 1 << bit,
            Self::Insert(at, byte) => bytes.insert(at.index(front), *byte),
            Self::Remove(at) => drop(bytes.remove(at.index(front))),
            Self::Cut(at) => bytes.truncate(at.index(front)),
            Self::Swap(a, b) => bytes.swap(a.index(front), b.index(front)),
        }
    }
}
