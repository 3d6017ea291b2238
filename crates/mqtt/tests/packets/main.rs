//! The packets of both versions, from the outside: bytes written by hand after the
//! specifications, properties of all packets and all bytes, and input that killed others.
//!
//! A comment line names the normative statement that a test holds, with its version.

mod bad_fields;
mod bad_lengths;
mod bad_text;
mod buffers;
mod bytes;
mod invariants;
mod property_table;
mod reason_codes;
mod round_trip;
mod seeds;
mod strategies;
mod streams;
mod topics;
mod vectors_v3_1_1;
mod vectors_v5;

use declic_mqtt::packet::{DecodeError, FixedHeader, Packet, PacketId, ProtocolVersion};
use declic_mqtt::{TopicFilter, TopicName};

use invariants::BOTH;

/// Decodes `bytes`, which are one whole packet.
#[track_caller]
fn decode(version: ProtocolVersion, bytes: &[u8]) -> Result<Packet<'_>, DecodeError> {
    let header = FixedHeader::decode(bytes)?.expect("a whole fixed header");
    assert_eq!(
        header.packet_len(),
        bytes.len(),
        "the test's remaining length"
    );
    Packet::decode(version, header, &bytes[header.len()..])
}

fn encode(version: ProtocolVersion, packet: &Packet<'_>) -> Vec<u8> {
    let mut buffer = vec![0; packet.encoded_len(version).expect("a valid packet")];
    assert_eq!(packet.encode(version, &mut buffer), Ok(buffer.len()));
    buffer
}

/// Checks that `bytes` and `packet` are the same, in both directions.
#[track_caller]
fn both_ways(version: ProtocolVersion, bytes: &[u8], packet: Packet<'_>) {
    assert_eq!(decode(version, bytes), Ok(packet));
    assert_eq!(encode(version, &packet), bytes);
}

/// A packet with `first` as first byte and the parts of `body` behind its remaining length.
fn framed(first: u8, body: &[&[u8]]) -> Vec<u8> {
    invariants::framed(first, &body.concat())
}

/// `bytes` behind their length in two bytes, as strings and binary data are.
fn prefixed(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let len = u16::try_from(bytes.len()).expect("at most 65,535 bytes");
    [&len.to_be_bytes(), bytes].concat()
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).expect("a valid packet identifier")
}

fn name(name: &str) -> TopicName<'_> {
    TopicName::new(name).expect("a valid topic name")
}

fn filter(filter: &str) -> TopicFilter<'_> {
    TopicFilter::new(filter).expect("a valid topic filter")
}
