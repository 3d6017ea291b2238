//! Strings that are no text, topics that are none, and bytes that may be anything.

use declic_mqtt::packet::{DecodeError, EncodeError, Packet, Properties, Property, Publish};
use declic_mqtt::{InvalidTopic, ProtocolVersion, ReasonCode};

use crate::{BOTH, decode, encode, framed, name, prefixed};

const V3_1_1: ProtocolVersion = ProtocolVersion::V3_1_1;
const V5: ProtocolVersion = ProtocolVersion::V5;

// Strings.

/// Bytes that are no UTF-8: surrogates, overlong forms, cut and stray bytes, beyond U+10FFFF.
const NO_UTF8: [&[u8]; 9] = [
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\xbd\xed\xb8\x80",
    b"\xc0\x80",
    b"\xe0\x80\xaf",
    b"a\xc3",
    b"\x80",
    b"\xff",
    b"\xf4\x90\x80\x80",
];

/// A packet for each string that a packet may hold, with `text` as the string.
fn with_string(version: ProtocolVersion, text: &[u8]) -> Vec<Vec<u8>> {
    let text = &prefixed(text)[..];
    let none = if version == V5 { &[0][..] } else { &[] };
    let connect = |flags| [b"\x00\x04MQTT", &[version as u8, flags, 0, 0][..], none].concat();
    let mut packets = vec![
        framed(0x10, &[&connect(0x02), text]),
        framed(
            0x10,
            &[&connect(0x06), b"\x00\x00", none, text, b"\x00\x00"],
        ),
        framed(0x10, &[&connect(0x82), b"\x00\x00", text]),
        framed(0x30, &[text, none]),
        framed(0x82, &[b"\x00\x01", none, text, b"\x00"]),
        framed(0xa2, &[b"\x00\x01", none, text]),
    ];
    if version == V5 {
        let section = |id: u8, value: &[&[u8]]| {
            let value = value.concat();
            [&[value.len() as u8 + 1, id], &value[..]].concat()
        };
        packets.extend([
            framed(0x30, &[b"\x00\x01t", &section(0x03, &[text])]),
            framed(0x30, &[b"\x00\x01t", &section(0x08, &[text])]),
            framed(0x30, &[b"\x00\x01t", &section(0x26, &[text, b"\x00\x00"])]),
            framed(0x30, &[b"\x00\x01t", &section(0x26, &[b"\x00\x00", text])]),
            framed(0x20, &[b"\x00\x00", &section(0x12, &[text])]),
            framed(0x20, &[b"\x00\x00", &section(0x15, &[text])]),
            framed(0x20, &[b"\x00\x00", &section(0x1a, &[text])]),
            framed(0x20, &[b"\x00\x00", &section(0x1c, &[text])]),
            framed(0x20, &[b"\x00\x00", &section(0x1f, &[text])]),
        ]);
    }
    packets
}

// v3.1.1 [MQTT-1.5.3-1], v3.1.1 [MQTT-3.1.3-4], v3.1.1 [MQTT-3.1.3-10], v3.1.1 [MQTT-3.1.3-11]
// v3.1.1 [MQTT-3.3.2-1], v3.1.1 [MQTT-3.8.3-1], v3.1.1 [MQTT-3.10.3-1]
// v5 [MQTT-1.5.4-1], v5 [MQTT-1.5.7-1], v5 [MQTT-3.1.3-4], v5 [MQTT-3.1.3-11]
// v5 [MQTT-3.1.3-12], v5 [MQTT-3.3.2-1], v5 [MQTT-3.3.2-13], v5 [MQTT-3.3.2-19]
// v5 [MQTT-3.8.3-1], v5 [MQTT-3.10.3-1]
#[test]
fn a_string_that_is_not_utf_8_is_refused() {
    for version in BOTH {
        for text in NO_UTF8 {
            for bytes in with_string(version, text) {
                assert_eq!(
                    decode(version, &bytes),
                    Err(DecodeError::Utf8),
                    "{bytes:x?}"
                );
            }
        }
        for bytes in with_string(version, "A\u{2a6d4}".as_bytes()) {
            assert!(decode(version, &bytes).is_ok(), "{bytes:x?}");
        }
    }
    assert_eq!(DecodeError::Utf8.reason_code(), ReasonCode::MalformedPacket);
}

// v3.1.1 [MQTT-1.5.3-2], v5 [MQTT-1.5.4-2], v5 [MQTT-1.5.7-1]
#[test]
fn a_string_with_nul_is_refused() {
    for version in BOTH {
        for text in [&b"\0"[..], b"a\0", b"\0a"] {
            for bytes in with_string(version, text) {
                let result = decode(version, &bytes);
                assert_eq!(result, Err(DecodeError::NulInString), "{bytes:x?}");
            }
        }
    }
    let mut buffer = [0; 64];
    let properties = [Property::UserProperty(("a\0", ""))];
    let publish = Publish {
        properties: Properties::new(&properties),
        ..Publish::new(name("t"), b"")
    };
    let result = publish.encode(V5, &mut buffer);
    assert_eq!(result, Err(EncodeError::NulInString));
}

// v5 [MQTT-1.5.4-3]
#[test]
fn a_byte_order_mark_is_kept() {
    for version in BOTH {
        let bytes = &with_string(version, "\u{feff}a".as_bytes())[3];
        match decode(version, bytes) {
            Ok(Packet::Publish(publish)) => assert_eq!(publish.topic, Some(name("\u{feff}a"))),
            other => panic!("{other:?}"),
        }
    }
}

/// A receiver may refuse them; here applications decide.
#[test]
fn control_characters_and_non_characters_are_accepted() {
    for version in BOTH {
        for text in [
            "\u{1}", "\u{1f}", "\u{7f}", "\u{9f}", "\u{ffff}", "\u{fdd0}",
        ] {
            for bytes in with_string(version, text.as_bytes()) {
                assert!(decode(version, &bytes).is_ok(), "{bytes:x?}");
            }
        }
    }
}

#[test]
fn password_and_payloads_are_any_bytes() {
    for version in BOTH {
        let none = if version == V5 { &[0][..] } else { &[] };
        for bytes in NO_UTF8.into_iter().chain([&b"\0"[..], b""]) {
            let connect = framed(
                0x10,
                &[
                    b"\x00\x04MQTT",
                    &[version as u8, 0xc6, 0, 0],
                    none,
                    b"\x00\x00",
                    none,
                    b"\x00\x01w",
                    &prefixed(bytes),
                    b"\x00\x01u",
                    &prefixed(bytes),
                ],
            );
            let Ok(Packet::Connect(connect)) = decode(version, &connect) else {
                panic!("a valid CONNECT");
            };
            assert_eq!(connect.password, Some(bytes));
            assert_eq!(connect.will.map(|will| will.payload), Some(bytes));
            let publish = framed(0x30, &[b"\x00\x01t", none, bytes]);
            let Ok(Packet::Publish(publish)) = decode(version, &publish) else {
                panic!("a valid PUBLISH");
            };
            assert_eq!(publish.payload, bytes);
        }
    }
}

// Topics.

// v3.1.1 [MQTT-4.7.3-1]
#[test]
fn an_empty_topic_is_refused() {
    let empty = DecodeError::TopicName(InvalidTopic::Empty);
    assert_eq!(decode(V3_1_1, b"\x30\x02\x00\x00"), Err(empty));
    // In 5.0 a topic alias may stand for it.
    let no_topic = decode(V5, b"\x30\x03\x00\x00\x00");
    assert_eq!(no_topic, Err(DecodeError::NoTopic));
    assert_eq!(
        DecodeError::NoTopic.reason_code(),
        ReasonCode::ProtocolError
    );
    for version in BOTH {
        let packets = with_string(version, b"");
        assert_eq!(decode(version, &packets[1]), Err(empty), "a will");
        let filter = Err(DecodeError::TopicFilter(InvalidTopic::Empty));
        assert_eq!(decode(version, &packets[4]), filter);
        assert_eq!(decode(version, &packets[5]), filter);
    }
    let response_topic = decode(V5, b"\x30\x07\x00\x01t\x03\x08\x00\x00");
    assert_eq!(response_topic, Err(empty));
}

#[test]
fn a_topic_of_65_000_slashes_is_a_topic() {
    let topic = "/".repeat(65_000);
    for version in BOTH {
        let packets = with_string(version, topic.as_bytes());
        for bytes in &packets[..6] {
            let packet = decode(version, bytes).expect("a valid packet");
            assert_eq!(&encode(version, &packet), bytes);
        }
    }
}

// v3.1.1 [MQTT-3.3.2-2], v3.1.1 [MQTT-4.7.1-1]
// v5 [MQTT-3.3.2-2], v5 [MQTT-3.3.2-14], v5 [MQTT-4.7.0-1]
#[test]
fn a_topic_name_with_wildcards_is_refused() {
    let wildcard = Err(DecodeError::TopicName(InvalidTopic::WildcardInName));
    for text in ["+", "#", "a/+", "a/#", "a+b"] {
        for version in BOTH {
            let packets = with_string(version, text.as_bytes());
            assert_eq!(decode(version, &packets[3]), wildcard);
            assert_eq!(decode(version, &packets[1]), wildcard, "a will");
        }
        let response_topic = &with_string(V5, text.as_bytes())[7];
        assert_eq!(decode(V5, response_topic), wildcard);
    }
}

// v5 [MQTT-4.8.2-1], v5 [MQTT-4.8.2-2]
#[test]
fn a_malformed_share_is_refused() {
    for text in [
        "$share/",
        "$share//",
        "$share/g",
        "$share/g/",
        "$share//a",
        "$share/+/a",
        "$share/#/a",
        "$share/g+/a",
        "$share/g/$share/g/a",
    ] {
        for version in BOTH {
            for bytes in &with_string(version, text.as_bytes())[4..6] {
                assert_eq!(
                    decode(version, bytes),
                    Err(DecodeError::TopicFilter(InvalidTopic::Share)),
                    "{text}"
                );
            }
        }
    }
    let bytes = &with_string(V5, b"$share/g/a#")[4];
    let result = decode(V5, bytes);
    assert_eq!(
        result,
        Err(DecodeError::TopicFilter(InvalidTopic::WildcardPlace))
    );
}
