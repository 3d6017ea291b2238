//! What is encoded decodes to the same, in both versions.

use declic_mqtt::packet::{Packet, Properties, ProtocolVersion};
use proptest::prelude::*;

use crate::invariants::check_encode;
use crate::strategies::packet;
use crate::{decode, encode};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_packet_of_3_1_1_comes_back(packet in packet(ProtocolVersion::V3_1_1)) {
        check_encode(ProtocolVersion::V3_1_1, &packet);
    }

    #[test]
    fn every_packet_of_5_0_comes_back(packet in packet(ProtocolVersion::V5)) {
        check_encode(ProtocolVersion::V5, &packet);
    }

    /// A broker sends the same packet to clients of both versions.
    #[test]
    fn what_3_1_1_does_not_have_is_left_out(packet in packet(ProtocolVersion::V5)) {
        let sendable = match packet {
            Packet::Auth(_) => false,
            Packet::Publish(publish) => publish.topic.is_some(),
            // A CONNECT has its own version.
            Packet::Connect(_) => false,
            _ => true,
        };
        if sendable {
            let bytes = encode(ProtocolVersion::V3_1_1, &packet);
            let decoded = decode(ProtocolVersion::V3_1_1, &bytes).expect("a valid packet");
            prop_assert_eq!(decoded.kind(), packet.kind());
            prop_assert_eq!(&encode(ProtocolVersion::V3_1_1, &decoded), &bytes);
            if let (Packet::Publish(mut sent), Packet::Publish(decoded)) = (packet, decoded) {
                sent.properties = Properties::EMPTY;
                prop_assert_eq!(decoded, sent);
            }
        }
    }
}
