//! A stream gives the same packets however its bytes are split.

use declic_mqtt::ProtocolVersion;
use declic_mqtt::packet::{DecodeError, FixedHeader, Packet, Publish};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::invariants::{Framing, check_stream};
use crate::strategies::{packet, publish};
use crate::{BOTH, encode};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_split_of_3_1_1_gives_the_same_packets(
        packets in vec(packet(ProtocolVersion::V3_1_1), 0..6),
        lengths in vec(0..40_usize, 0..60),
    ) {
        check_split(ProtocolVersion::V3_1_1, &packets, &lengths)?;
    }

    #[test]
    fn any_split_of_5_0_gives_the_same_packets(
        packets in vec(packet(ProtocolVersion::V5), 0..6),
        lengths in vec(0..40_usize, 0..60),
    ) {
        check_split(ProtocolVersion::V5, &packets, &lengths)?;
    }

    #[test]
    fn any_split_of_any_bytes_gives_the_same_packets_and_error(
        bytes in vec(prop_oneof![any::<u8>(), Just(0), Just(0xc0), Just(0xd0)], 0..80),
        lengths in vec(0..10_usize, 0..60),
    ) {
        for version in BOTH {
            check_stream(version, &bytes, lengths.iter().copied());
        }
    }

    #[test]
    fn a_publish_of_3_1_1_comes_in_header_and_chunks(
        publish in publish(ProtocolVersion::V3_1_1),
        chunk in 1..50_usize,
    ) {
        check_chunks(ProtocolVersion::V3_1_1, &publish, chunk)?;
    }

    #[test]
    fn a_publish_of_5_0_comes_in_header_and_chunks(
        publish in publish(ProtocolVersion::V5),
        chunk in 1..50_usize,
    ) {
        check_chunks(ProtocolVersion::V5, &publish, chunk)?;
    }
}

#[test]
fn a_fixed_header_is_whole_when_its_last_byte_is_there() {
    for (bytes, remaining_len) in [
        (&[0x30, 0][..], 0),
        (&[0x30, 0x7f], 127),
        (&[0x30, 0x80, 1], 128),
        (&[0x30, 0xff, 0x7f], 16_383),
        (&[0x30, 0x80, 0x80, 1], 16_384),
        (&[0x30, 0xff, 0xff, 0x7f], 2_097_151),
        (&[0x30, 0x80, 0x80, 0x80, 1], 2_097_152),
        (&[0x30, 0xff, 0xff, 0xff, 0x7f], 268_435_455),
    ] {
        for len in 0..bytes.len() {
            assert_eq!(FixedHeader::decode(&bytes[..len]), Ok(None));
        }
        let header = FixedHeader::decode(&[bytes, &[0xff; 3]].concat())
            .expect("a valid fixed header")
            .expect("a whole fixed header");
        assert_eq!(header.len(), bytes.len());
        assert_eq!(header.remaining_len(), remaining_len);
        assert_eq!(header.packet_len(), bytes.len() + remaining_len);
    }
}

#[test]
fn a_wrong_first_byte_is_found_before_the_second_is_there() {
    assert_eq!(
        FixedHeader::decode(&[0x00]),
        Err(DecodeError::UnknownKind(0))
    );
    assert!(matches!(
        FixedHeader::decode(&[0x60]),
        Err(DecodeError::HeaderFlags { flags: 0, .. })
    ));
}

#[test]
fn a_header_is_there_as_soon_as_its_last_byte_is() {
    // Topic `t`, packet identifier 1, a user property, payload `pay`.
    let bytes = b"\x32\x10\x00\x01t\x00\x01\x07\x26\x00\x01k\x00\x01vpay";
    let header = FixedHeader::decode(bytes)
        .expect("a valid fixed header")
        .expect("a whole fixed header");
    let behind = &bytes[header.len()..];
    let payload_at = behind.len() - 3;
    for len in 0..behind.len() {
        let decoded =
            Publish::decode_header(ProtocolVersion::V5, header, &behind[..len]).expect("no error");
        assert_eq!(decoded.is_some(), len >= payload_at, "{len} bytes");
        assert!(decoded.is_none_or(|(_, at)| at == payload_at));
    }
}

fn check_split(
    version: ProtocolVersion,
    packets: &[Packet<'_>],
    lengths: &[usize],
) -> Result<(), TestCaseError> {
    let packets: Vec<_> = packets
        .iter()
        .map(|packet| encode(version, packet))
        .collect();
    let stream = packets.concat();
    let mut framing = Framing::new(version);
    framing.receive(&stream);
    prop_assert_eq!(framing.error, None);
    prop_assert_eq!(&framing.packets, &packets);
    check_stream(version, &stream, lengths.iter().copied());
    if stream.len() < 2_000 {
        check_stream(version, &stream, core::iter::repeat_n(1, stream.len()));
    }
    Ok(())
}

/// Receives `publish` as a client with a small buffer does: the header whole, then the payload
/// piece by piece. Bytes of the next packet follow at once.
fn check_chunks(
    version: ProtocolVersion,
    publish: &Publish<'_>,
    chunk: usize,
) -> Result<(), TestCaseError> {
    let packet = encode(version, &Packet::Publish(*publish));
    let stream = [&packet[..], &[0xc0, 0, 0xc0, 0]].concat();
    let header = FixedHeader::decode(&stream)
        .expect("a valid fixed header")
        .expect("a whole fixed header");
    let behind = &stream[header.len()..];
    let mut received = 0;
    let (decoded, payload_at) = loop {
        received = (received + chunk).min(behind.len());
        let decoded = Publish::decode_header(version, header, &behind[..received]);
        match decoded.expect("no error") {
            Some(decoded) => break decoded,
            None => prop_assert!(received < header.remaining_len()),
        }
    };
    prop_assert_eq!(
        decoded,
        Publish {
            payload: b"",
            ..*publish
        }
    );
    prop_assert_eq!(header.remaining_len() - payload_at, publish.payload.len());
    prop_assert!(received < payload_at + chunk, "found late");
    let mut payload = Vec::new();
    for piece in behind[payload_at..header.remaining_len()].chunks(chunk) {
        payload.extend_from_slice(piece);
    }
    prop_assert_eq!(payload, publish.payload);
    Ok(())
}
