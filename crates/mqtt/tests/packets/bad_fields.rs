//! Flags, identifiers and options that are reserved, contradict each other or are missing.

use declic_mqtt::packet::{
    DecodeError, EncodeError, FixedHeader, Items, Packet, PacketKind, Properties, Subscribe,
    Subscription,
};
use declic_mqtt::{ProtocolVersion, QoS, ReasonCode};

use crate::{BOTH, decode, filter, framed, id, prefixed};

const V3_1_1: ProtocolVersion = ProtocolVersion::V3_1_1;
const V5: ProtocolVersion = ProtocolVersion::V5;

// Fixed headers.

// v3.1.1 [MQTT-2.2.2-1], v3.1.1 [MQTT-2.2.2-2], v5 [MQTT-2.1.3-1]
// v3.1.1 [MQTT-3.6.1-1], v3.1.1 [MQTT-3.8.1-1], v3.1.1 [MQTT-3.10.1-1], v3.1.1 [MQTT-3.14.1-1]
// v5 [MQTT-3.6.1-1], v5 [MQTT-3.8.1-1], v5 [MQTT-3.10.1-1], v5 [MQTT-3.14.1-1]
// v5 [MQTT-3.15.1-1]
#[test]
fn reserved_header_flags_are_as_the_table_says() {
    for first in 0..=255_u8 {
        let (kind, flags) = (first >> 4, first & 0x0f);
        let expected = match kind {
            0 => Err(DecodeError::UnknownKind(0)),
            3 => Ok(None),
            6 | 8 | 10 if flags == 0b0010 => Ok(None),
            1 | 2 | 4 | 5 | 7 | 9 | 11..=15 if flags == 0 => Ok(None),
            _ => Err(DecodeError::HeaderFlags {
                kind: PacketKind::from_u8(kind).expect("a kind"),
                flags,
            }),
        };
        assert_eq!(FixedHeader::decode(&[first]), expected, "{first:#010b}");
        if let Err(error) = expected {
            assert_eq!(error.reason_code(), ReasonCode::MalformedPacket);
        }
    }
}

// v3.1.1 [MQTT-3.3.1-4], v5 [MQTT-3.3.1-4]
#[test]
fn qos_3_is_refused() {
    for version in BOTH {
        let result = decode(version, b"\x36\x06\x00\x01t\x00\x01\x00");
        assert_eq!(result, Err(DecodeError::QoS));
    }
    assert_eq!(DecodeError::QoS.reason_code(), ReasonCode::MalformedPacket);
}

// v3.1.1 [MQTT-3.3.1-2], v5 [MQTT-3.3.1-2]
#[test]
fn dup_with_qos_0_is_refused() {
    for version in BOTH {
        let result = decode(version, b"\x38\x04\x00\x01t\x00");
        assert_eq!(result, Err(DecodeError::DupWithoutId));
    }
}

// v3.1.1 [MQTT-2.3.1-1], v5 [MQTT-2.2.1-3], v5 [MQTT-2.2.1-4]
#[test]
fn a_packet_identifier_of_zero_is_refused() {
    for version in BOTH {
        for bytes in [
            &b"\x32\x06\x00\x01t\x00\x00\x00"[..],
            b"\x34\x06\x00\x01t\x00\x00\x00",
            b"\x40\x02\x00\x00",
            b"\x50\x02\x00\x00",
            b"\x62\x02\x00\x00",
            b"\x70\x02\x00\x00",
            b"\x82\x07\x00\x00\x00\x00\x01f\x00",
            b"\x90\x04\x00\x00\x00\x00",
            b"\xa2\x06\x00\x00\x00\x00\x01f",
            b"\xb0\x04\x00\x00\x00\x00",
        ] {
            assert_eq!(
                decode(version, bytes),
                Err(DecodeError::ZeroPacketId),
                "{bytes:x?}"
            );
        }
    }
}

// CONNECT.

// v3.1.1 [MQTT-3.1.2-1], v5 [MQTT-3.1.2-1]
#[test]
fn another_protocol_name_is_refused() {
    for name in [
        "",
        "mqtt",
        "MQTTT",
        "MQT",
        "HTTP",
        "MQIsdp ",
        "\u{feff}MQTT",
    ] {
        let bytes = framed(0x10, &[&prefixed(name), b"\x04\x02\x00\x00\x00\x00"]);
        let result = decode(V5, &bytes);
        assert_eq!(result, Err(DecodeError::ProtocolName), "{name}");
    }
    assert_eq!(
        DecodeError::ProtocolName.reason_code(),
        ReasonCode::UnsupportedProtocolVersion
    );
}

/// Another version is told apart from damage whatever follows: the server answers it.
#[test]
fn another_protocol_version_is_named() {
    for (name, level) in [
        ("MQTT", 3),
        ("MQTT", 6),
        ("MQTT", 0x84),
        ("MQIsdp", 3),
        ("MQTT", 0),
    ] {
        let bytes = framed(0x10, &[&prefixed(name), &[level, 0xff]]);
        for version in BOTH {
            let error = decode(version, &bytes).expect_err("another version");
            assert_eq!(error, DecodeError::UnsupportedVersion(level));
            assert_eq!(error.reason_code(), ReasonCode::UnsupportedProtocolVersion);
        }
    }
}

// v3.1.1 [MQTT-3.1.2-3], v3.1.1 [MQTT-3.1.2-11], v3.1.1 [MQTT-3.1.2-13]
// v3.1.1 [MQTT-3.1.2-14], v3.1.1 [MQTT-3.1.2-15], v3.1.1 [MQTT-3.1.2-22]
// v5 [MQTT-3.1.2-3], v5 [MQTT-3.1.2-11], v5 [MQTT-3.1.2-12], v5 [MQTT-3.1.2-13]
#[test]
fn connect_flags_that_contradict_each_other_are_refused() {
    for flags in 0..=255_u8 {
        let [
            reserved,
            _,
            will,
            qos_low,
            qos_high,
            retain,
            password,
            user_name,
        ] = core::array::from_fn(|bit| flags & (1 << bit) != 0);
        let will_is_sound = match will {
            true => !(qos_low && qos_high),
            false => !(qos_low || qos_high || retain),
        };
        for version in BOTH {
            let v5 = version == V5;
            let mut body = b"\x00\x04MQTT".to_vec();
            body.extend([version as u8, flags, 0, 0]);
            body.extend(if v5 { &[0][..] } else { &[] });
            body.extend([0, 0]);
            if will {
                body.extend(if v5 { &[0][..] } else { &[] });
                body.extend(b"\x00\x01w\x00\x00");
            }
            body.extend([&b"\x00\x01u"[..], &[]][usize::from(!user_name)]);
            body.extend([&b"\x00\x01p"[..], &[]][usize::from(!password)]);
            let sound = !reserved && will_is_sound && (v5 || user_name || !password);
            let bytes = framed(0x10, &[&body]);
            let result = decode(version, &bytes);
            assert_eq!(result.is_ok(), sound, "{version} {flags:#010b}: {result:?}");
            if let Err(error) = result {
                assert_eq!(error.reason_code(), ReasonCode::MalformedPacket);
            }
        }
    }
}

// v5 [MQTT-3.2.2-1]
#[test]
fn reserved_connack_flags_are_refused() {
    for flags in 2..=255 {
        let error = Err(DecodeError::ConnAckFlags(flags));
        assert_eq!(decode(V3_1_1, &[0x20, 2, flags, 0]), error);
        assert_eq!(decode(V5, &[0x20, 3, flags, 0, 0]), error);
    }
}

// Subscriptions.

// v3.1.1 [MQTT-3.8.3-3], v3.1.1 [MQTT-3.10.3-2], v5 [MQTT-3.8.3-2], v5 [MQTT-3.10.3-2]
#[test]
fn a_subscribe_and_an_unsubscribe_of_nothing_are_refused() {
    for (first, kind) in [
        (0x82, PacketKind::Subscribe),
        (0xa2, PacketKind::Unsubscribe),
    ] {
        let error = DecodeError::EmptyList(kind);
        assert_eq!(decode(V3_1_1, &[first, 2, 0, 1]), Err(error));
        assert_eq!(decode(V5, &[first, 3, 0, 1, 0]), Err(error));
        assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
    }
    let nothing = Packet::Subscribe(Subscribe {
        packet_id: id(1),
        properties: Properties::EMPTY,
        subscriptions: Items::EMPTY,
    });
    assert_eq!(nothing.encoded_len(V5), Err(EncodeError::EmptyList));
}

#[test]
fn an_answer_to_nothing_is_refused() {
    for (version, bytes, kind) in [
        (V3_1_1, &[0x90, 2, 0, 1][..], PacketKind::SubAck),
        (V5, &[0x90, 3, 0, 1, 0], PacketKind::SubAck),
        (V5, &[0xb0, 3, 0, 1, 0], PacketKind::UnsubAck),
    ] {
        assert_eq!(decode(version, bytes), Err(DecodeError::EmptyList(kind)));
    }
}

// v3.1.1 [MQTT-3-8.3-4], v5 [MQTT-3.8.3-5]
#[test]
fn reserved_subscription_options_are_refused() {
    for options in 0..=255_u8 {
        let bytes = [0x82, 6, 0, 1, 0, 1, b'f', options];
        let result = decode(V3_1_1, &bytes);
        assert_eq!(result.is_ok(), options <= 2, "{options:#010b}");
        let sound = options & 3 != 3 && (options >> 4) & 3 != 3 && options < 0x40;
        let bytes = [0x82, 7, 0, 1, 0, 0, 1, b'f', options];
        let result = decode(V5, &bytes);
        assert_eq!(result.is_ok(), sound, "{options:#010b}");
        if let Err(error) = result {
            assert_eq!(error, DecodeError::SubscriptionOptions(options));
        }
    }
}

// v5 [MQTT-3.8.3-4]
#[test]
fn no_local_on_a_shared_subscription_is_refused() {
    let bytes = b"\x82\x10\x00\x01\x00\x00\x0a$share/g/a\x04";
    assert_eq!(decode(V5, bytes), Err(DecodeError::SubscriptionOptions(4)));
    let shared = [Subscription {
        no_local: true,
        ..Subscription::new(filter("$share/g/a"), QoS::AtMostOnce)
    }];
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id: id(1),
        properties: Properties::EMPTY,
        subscriptions: Items::new(&shared),
    });
    assert_eq!(subscribe.encoded_len(V5), Err(EncodeError::NoLocalOnShared));
}
