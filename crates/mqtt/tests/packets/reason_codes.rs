//! Which reason codes a packet may carry: the tables of chapter 3 of 5.0.

use declic_mqtt::packet::{Ack, DecodeError, EncodeError, Packet};
use declic_mqtt::{ProtocolVersion, ReasonCode};

use crate::property_table::Place::{self, *};
use crate::{decode, framed, id};

/// Each packet with its reason codes (tables 3-1 and 3-4 to 3-11).
///
/// DISCONNECT has 0x8c too: table 2-6 says so, table 3-10 leaves it out.
pub const TABLES: [(Place, &[u8]); 9] = [
    (
        ConnAck,
        &[
            0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90,
            0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
        ],
    ),
    (
        PubAck,
        &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
    ),
    (
        PubRec,
        &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
    ),
    (PubRel, &[0x00, 0x92]),
    (PubComp, &[0x00, 0x92]),
    (
        SubAck,
        &[
            0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2,
        ],
    ),
    (UnsubAck, &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91]),
    (
        Disconnect,
        &[
            0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90,
            0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0,
            0xa1, 0xa2,
        ],
    ),
    (Auth, &[0x00, 0x18, 0x19]),
];

// v5 [MQTT-3.2.2-8], v5 [MQTT-3.4.2-1], v5 [MQTT-3.5.2-1], v5 [MQTT-3.6.2-1], v5 [MQTT-3.7.2-1]
// v5 [MQTT-3.9.3-2], v5 [MQTT-3.11.3-2], v5 [MQTT-3.14.2-1], v5 [MQTT-3.15.2-1]
#[test]
fn a_packet_carries_the_reason_codes_of_its_table_and_no_other() {
    for (place, codes) in TABLES {
        for value in 0..=255 {
            let bytes = packet(place, value);
            let result = decode(ProtocolVersion::V5, &bytes);
            if codes.contains(&value) {
                assert!(result.is_ok(), "{value:#04x} in {place:?}: {result:?}");
            } else {
                assert!(
                    matches!(result, Err(DecodeError::ReasonCode { value: v, .. }) if v == value),
                    "{value:#04x} in {place:?}: {result:?}"
                );
            }
        }
    }
}

// v3.1.1 [MQTT-3.9.3-2]
#[test]
fn a_suback_of_3_1_1_carries_four_return_codes() {
    for value in 0..=255 {
        let bytes = [0x90, 3, 0, 1, value];
        let result = decode(ProtocolVersion::V3_1_1, &bytes);
        assert_eq!(result.is_ok(), matches!(value, 0 | 1 | 2 | 0x80), "{value}");
    }
}

#[test]
fn a_connack_of_3_1_1_carries_six_return_codes() {
    for value in 0..=255 {
        let bytes = [0x20, 2, 0, value];
        let result = decode(ProtocolVersion::V3_1_1, &bytes);
        assert_eq!(result.is_ok(), value <= 5, "{value}");
    }
}

#[test]
fn a_code_that_the_packet_can_not_carry_is_not_encoded() {
    let ack = Ack {
        reason: ReasonCode::SessionTakenOver,
        ..Ack::new(id(1))
    };
    for version in crate::BOTH {
        for packet in [Packet::PubAck(ack), Packet::PubRel(ack)] {
            assert_eq!(
                packet.encoded_len(version),
                Err(EncodeError::ReasonCode(ack.reason))
            );
        }
    }
}

#[test]
fn codes_of_failure_begin_at_0x80() {
    for (_, codes) in TABLES {
        for value in codes {
            let code = reason_code(*value);
            assert_eq!(code.as_u8(), *value);
            assert_eq!(code.is_error(), *value >= 0x80);
        }
    }
}

/// The reason code with the number `value`, as a decoder gives it.
pub fn reason_code(value: u8) -> ReasonCode {
    let (place, _) = TABLES
        .iter()
        .find(|(_, codes)| codes.contains(&value))
        .expect("a code of the tables");
    match decode(ProtocolVersion::V5, &packet(*place, value)) {
        Ok(Packet::ConnAck(packet)) => packet.reason,
        Ok(Packet::PubAck(packet) | Packet::PubRel(packet)) => packet.reason,
        Ok(Packet::SubAck(packet)) => packet.reasons.iter().next().expect("a reason"),
        Ok(Packet::UnsubAck(packet)) => packet.reasons.iter().next().expect("a reason"),
        Ok(Packet::Disconnect(packet)) => packet.reason,
        Ok(Packet::Auth(packet)) => packet.reason,
        other => unreachable!("{other:?}"),
    }
}

fn packet(place: Place, value: u8) -> Vec<u8> {
    match place {
        ConnAck => framed(0x20, &[&[0, value, 0]]),
        PubAck => framed(0x40, &[&[0, 1, value]]),
        PubRec => framed(0x50, &[&[0, 1, value]]),
        PubRel => framed(0x62, &[&[0, 1, value]]),
        PubComp => framed(0x70, &[&[0, 1, value]]),
        SubAck => framed(0x90, &[&[0, 1, 0, value]]),
        UnsubAck => framed(0xb0, &[&[0, 1, 0, value]]),
        Disconnect => framed(0xe0, &[&[value]]),
        Auth => framed(0xf0, &[&[value, 4, 0x15, 0, 1, b'm']]),
        other => unreachable!("{other:?} has no reason code"),
    }
}
