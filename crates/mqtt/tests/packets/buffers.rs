//! A buffer that is too small is named with the size that is needed, and nothing goes beyond it.

use core::num::NonZeroU16;

use declic_mqtt::ProtocolVersion;
use declic_mqtt::packet::{
    Connect, EncodeError, MAX_VARINT, Packet, Properties, Property, Publish,
};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::strategies::{packet, publish};
use crate::{BOTH, decode, encode, name};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn too_small_buffers_of_3_1_1_are_refused(
        packet in packet(ProtocolVersion::V3_1_1),
        size in any::<Index>(),
    ) {
        check_too_small(ProtocolVersion::V3_1_1, &packet, size)?;
    }

    #[test]
    fn too_small_buffers_of_5_0_are_refused(
        packet in packet(ProtocolVersion::V5),
        size in any::<Index>(),
    ) {
        check_too_small(ProtocolVersion::V5, &packet, size)?;
    }

    #[test]
    fn a_publish_header_is_the_front_of_the_whole_packet(
        v3_1_1 in publish(ProtocolVersion::V3_1_1),
        v5 in publish(ProtocolVersion::V5),
    ) {
        for (version, publish) in [(ProtocolVersion::V3_1_1, v3_1_1), (ProtocolVersion::V5, v5)] {
            let whole = encode(version, &Packet::Publish(publish));
            let mut buffer = vec![CANARY; whole.len() + 1];
            let len = publish.encode_header(version, publish.payload.len(), &mut buffer);
            let len = len.expect("a buffer of its size");
            prop_assert_eq!(&[&buffer[..len], publish.payload].concat(), &whole);
            prop_assert!(buffer[len..].iter().all(|byte| *byte == CANARY));
            let too_small = EncodeError::BufferTooSmall { needed: len, available: len - 1 };
            prop_assert_eq!(
                publish.encode_header(version, publish.payload.len(), &mut buffer[..len - 1]),
                Err(too_small)
            );
        }
    }
}

#[test]
fn every_smaller_buffer_is_refused() {
    let packet = Packet::Publish(Publish::new(name("a/b"), b"payload"));
    for version in BOTH {
        let needed = encode(version, &packet).len();
        for available in 0..needed {
            assert_eq!(
                packet.encode(version, &mut [0; 32][..available]),
                Err(EncodeError::BufferTooSmall { needed, available })
            );
        }
    }
}

// v5 [MQTT-1.5.5-1]
#[test]
fn remaining_lengths_are_as_short_as_can_be() {
    let payload = vec![0; 2_097_152];
    for (remaining_len, bytes) in [
        (127, 1),
        (128, 2),
        (16_383, 2),
        (16_384, 3),
        (2_097_151, 3),
        (2_097_152, 4),
    ] {
        let publish = Publish::new(name("t"), &payload[..remaining_len - 4]);
        let encoded = encode(ProtocolVersion::V5, &Packet::Publish(publish));
        assert_eq!(encoded.len(), 1 + bytes + remaining_len);
        assert_eq!(
            decode(ProtocolVersion::V5, &encoded),
            Ok(Packet::Publish(publish))
        );
    }
}

#[test]
fn the_longest_packet_has_a_remaining_length_of_four_bytes_and_no_more() {
    let publish = Publish::new(name("t"), b"");
    let limit = MAX_VARINT as usize;
    let mut buffer = [0; 8];
    assert_eq!(
        publish.encode_header(ProtocolVersion::V3_1_1, limit - 3, &mut buffer),
        Ok(8)
    );
    assert_eq!(buffer, *b"\x30\xff\xff\xff\x7f\x00\x01t");
    for (payload_len, length) in [(limit - 2, limit + 1), (usize::MAX, usize::MAX)] {
        assert_eq!(
            publish.encode_header(ProtocolVersion::V3_1_1, payload_len, &mut buffer),
            Err(EncodeError::TooLong { length, limit })
        );
    }
}

#[test]
fn what_no_packet_can_hold_is_refused() {
    let long = "x".repeat(65_536);
    let too_long = Err(EncodeError::TooLong {
        length: 65_536,
        limit: 65_535,
    });
    let mut buffer = [0; 64];
    for version in BOTH {
        let connect = Connect::new(version, "");
        let client_id = Connect {
            client_id: &long,
            ..connect
        };
        assert_eq!(client_id.encode(&mut buffer), too_long);
        let password = Connect {
            user_name: Some(""),
            password: Some(long.as_bytes()),
            ..connect
        };
        assert_eq!(password.encode(&mut buffer), too_long);
        let user_name = Connect {
            user_name: Some("\0"),
            ..connect
        };
        assert_eq!(user_name.encode(&mut buffer), Err(EncodeError::NulInString));
    }
    let properties = [Property::CorrelationData(long.as_bytes())];
    let correlation_data = Publish {
        properties: Properties::new(&properties),
        ..Publish::new(name("t"), b"")
    };
    let result = correlation_data.encode(ProtocolVersion::V5, &mut buffer);
    assert_eq!(result, too_long);
}

// v3.1.1 [MQTT-3.1.2-22]
#[test]
fn a_password_without_a_user_name_is_for_5_0_alone() {
    for (version, expected) in [
        (
            ProtocolVersion::V3_1_1,
            Err(EncodeError::PasswordWithoutUserName),
        ),
        (ProtocolVersion::V5, Ok(18)),
    ] {
        let connect = Connect {
            password: Some(b"p"),
            ..Connect::new(version, "")
        };
        assert_eq!(connect.encode(&mut [0; 32]), expected);
    }
}

#[test]
fn a_publish_needs_a_topic_or_in_5_0_an_alias() {
    let properties = [Property::TopicAlias(NonZeroU16::MIN)];
    let mut publish = Publish {
        topic: None,
        ..Publish::new(name("t"), b"")
    };
    for version in BOTH {
        let result = publish.encode(version, &mut [0; 16]);
        assert_eq!(result, Err(EncodeError::NoTopic));
    }
    publish.properties = Properties::new(&properties);
    let result = publish.encode(ProtocolVersion::V3_1_1, &mut [0; 16]);
    assert_eq!(result, Err(EncodeError::NoTopic));
    let result = publish.encode(ProtocolVersion::V5, &mut [0; 16]);
    assert_eq!(result, Ok(8));
}

fn check_too_small(
    version: ProtocolVersion,
    packet: &Packet<'_>,
    size: Index,
) -> Result<(), TestCaseError> {
    let needed = encode(version, packet).len();
    let available = size.index(needed);
    let mut buffer = vec![CANARY; needed];
    prop_assert_eq!(
        packet.encode(version, &mut buffer[..available]),
        Err(EncodeError::BufferTooSmall { needed, available })
    );
    prop_assert!(buffer[available..].iter().all(|byte| *byte == CANARY));
    Ok(())
}

const CANARY: u8 = 0xa5;
