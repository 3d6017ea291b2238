//! Lengths that are wrong: of a packet, and inside it.

use declic_mqtt::ProtocolVersion;
use declic_mqtt::packet::{DecodeError, FixedHeader, PacketKind, Publish};

use crate::{BOTH, decode, framed};

const V3_1_1: ProtocolVersion = ProtocolVersion::V3_1_1;
const V5: ProtocolVersion = ProtocolVersion::V5;

// Lengths of packets.

#[test]
fn a_remaining_length_of_five_bytes_is_refused() {
    for first in [0x10, 0x30, 0xc0] {
        let bytes = [first, 0x80, 0x80, 0x80, 0x80];
        for rest in [&[][..], &[0], &[1], &[0xff, 0xff, 0x7f]] {
            assert_eq!(
                FixedHeader::decode(&[&bytes, rest].concat()),
                Err(DecodeError::VariableByteInteger)
            );
        }
    }
}

#[test]
fn the_largest_remaining_length_asks_for_no_memory() {
    let header = FixedHeader::decode(&[0x30, 0xff, 0xff, 0xff, 0x7f])
        .expect("a valid fixed header")
        .expect("a whole fixed header");
    assert_eq!(header.packet_len(), 268_435_460);
    for version in BOTH {
        assert_eq!(Publish::decode_header(version, header, &[]), Ok(None));
    }
}

// v5 [MQTT-1.5.5-1]
#[test]
fn a_remaining_length_longer_than_needed_is_refused_in_5_0() {
    for bytes in [
        &b"\xc0\x80\x00"[..],
        b"\x40\x82\x80\x80\x00\x00\x01",
        b"\x10\x8d\x00\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00",
    ] {
        assert_eq!(decode(V5, bytes), Err(DecodeError::VariableByteInteger));
    }
}

#[test]
fn bytes_behind_the_last_field_are_refused() {
    let connack: [&[u8]; 2] = [b"\x20\x03\x00\x00\x00", b"\x20\x04\x00\x00\x00\x00"];
    for (version, connack) in BOTH.into_iter().zip(connack) {
        let kind = PacketKind::ConnAck;
        assert_eq!(
            decode(version, connack),
            Err(DecodeError::TrailingBytes(kind))
        );
        for (ping, kind) in [(0xc0, PacketKind::PingReq), (0xd0, PacketKind::PingResp)] {
            let bytes = [ping, 1, 0];
            assert_eq!(
                decode(version, &bytes),
                Err(DecodeError::TrailingBytes(kind))
            );
        }
    }
    for (bytes, kind) in [
        (&b"\x40\x03\x00\x01\x00"[..], PacketKind::PubAck),
        (b"\xb0\x03\x00\x01\x00", PacketKind::UnsubAck),
        (b"\xe0\x01\x00", PacketKind::Disconnect),
        // A user name without its flag.
        (
            b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x00\x00\x00\x00\x01u",
            PacketKind::Connect,
        ),
    ] {
        assert_eq!(decode(V3_1_1, bytes), Err(DecodeError::TrailingBytes(kind)));
    }
    for (bytes, kind) in [
        (&b"\x40\x05\x00\x01\x00\x00\x00"[..], PacketKind::PubAck),
        (b"\xe0\x03\x00\x00\x00", PacketKind::Disconnect),
        (b"\xf0\x03\x00\x00\x00", PacketKind::Auth),
    ] {
        let result = decode(V5, bytes);
        assert_eq!(result, Err(DecodeError::TrailingBytes(kind)));
    }
}

// Lengths inside packets.

#[test]
fn a_string_that_overruns_the_packet_is_refused() {
    for (version, bytes) in [
        (V3_1_1, &b"\x30\x03\x00\x02a"[..]),
        (V3_1_1, b"\x30\x03\xff\xffa"),
        (V3_1_1, b"\x30\x01\x00"),
        (V5, b"\x30\x04\x00\x05ab"),
        (V3_1_1, b"\x82\x05\x00\x01\x00\x02a"),
        (V3_1_1, b"\xa2\x05\x00\x01\x00\x02a"),
        (V3_1_1, b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x01"),
        (
            V3_1_1,
            b"\x10\x0e\x00\x04MQTT\x04\x82\x00\x00\x00\x00\x00\x01",
        ),
        (
            V3_1_1,
            b"\x10\x0e\x00\x04MQTT\x04\x06\x00\x00\x00\x00\x00\x01",
        ),
        (V3_1_1, b"\x10\x06\x00\x05MQTT"),
    ] {
        assert_eq!(
            decode(version, bytes),
            Err(DecodeError::Truncated),
            "{bytes:x?}"
        );
    }
}

#[test]
fn a_topic_that_overruns_the_packet_is_refused_before_the_rest_arrives() {
    for version in BOTH {
        let header = FixedHeader::decode(&[0x30, 100])
            .expect("a valid fixed header")
            .expect("a whole fixed header");
        assert_eq!(
            Publish::decode_header(version, header, &[0xff, 0xff]),
            Err(DecodeError::Truncated)
        );
        assert_eq!(Publish::decode_header(version, header, &[0, 90]), Ok(None));
    }
}

#[test]
fn properties_that_overrun_the_packet_are_refused() {
    for bytes in [
        &b"\x20\x03\x00\x00\x01"[..],
        b"\x20\x06\x00\x00\xff\xff\xff\x7f",
        b"\x30\x06\x00\x01t\x05\x01\x01",
        b"\x30\x04\x00\x01t\x80",
        b"\xe0\x02\x00\x80",
        b"\x10\x0b\x00\x04MQTT\x05\x02\x00\x00\x01",
    ] {
        assert_eq!(decode(V5, bytes), Err(DecodeError::Truncated), "{bytes:x?}");
    }
}

#[test]
fn a_property_length_of_five_bytes_is_refused() {
    let bytes = b"\x20\x07\x00\x00\x80\x80\x80\x80\x00";
    assert_eq!(decode(V5, bytes), Err(DecodeError::VariableByteInteger));
    let publish = b"\x30\x08\x00\x01t\x80\x80\x80\x80\x00";
    assert_eq!(decode(V5, publish), Err(DecodeError::VariableByteInteger));
}

// v5 [MQTT-1.5.5-1]
#[test]
fn a_property_length_longer_than_needed_is_refused() {
    let bytes = b"\x20\x04\x00\x00\x80\x00";
    assert_eq!(decode(V5, bytes), Err(DecodeError::VariableByteInteger));
}

#[test]
fn a_property_that_overruns_its_section_is_refused() {
    // The section has 4 bytes, its string asks for 5 more, which the payload would have.
    let bytes = framed(0x30, &[b"\x00\x01t\x04\x03\x00\x05apayload"]);
    assert_eq!(decode(V5, &bytes), Err(DecodeError::Truncated));
}

// v5 [MQTT-2.2.2-1]
#[test]
fn a_missing_property_length_is_refused() {
    for bytes in [
        &b"\x20\x02\x00\x00"[..],
        b"\x30\x03\x00\x01t",
        b"\x82\x02\x00\x01",
        b"\xb0\x02\x00\x01",
        b"\xf0\x01\x18",
        b"\x10\x0a\x00\x04MQTT\x05\x02\x00\x00",
    ] {
        assert_eq!(decode(V5, bytes), Err(DecodeError::Truncated), "{bytes:x?}");
    }
}
