//! A buffer that is too small is named with the size that is needed, and nothing goes beyond it.

use declic_mqtt::ProtocolVersion;
use declic_mqtt::packet::{EncodeError, MAX_VARINT, Packet, Publish};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::strategies::{packet, publish};
use crate::{BOTH, encode, name};

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
