//! Input that killed others (MQTT.md's lists), and packets that a server may not send.

use super::*;
use crate::packet::{Auth, DecodeError, PacketKind, Subscribe, Unsubscribe};

/// Feeds `bytes` to a client that is online and checks that it ends the connection because of
/// `error`: in 5.0 with a DISCONNECT that says why, in 3.1.1 at once.
#[track_caller]
fn ends(version: ProtocolVersion, bytes: &[u8], error: ProtocolError) {
    let mut bench = Bench::online(version);
    let mut events = bench.say_bytes(bytes);
    // v3.1.1 [MQTT-4.8.0-1]
    let expected: &[Packet<'_>] = match version {
        V3 => &[],
        V5 => &[goodbye(error.reason_code())],
    };
    assert_eq!(bench.sent(), expected, "{bytes:?}");
    events.extend(bench.events());
    let closed = Event::Closed(CloseReason::Protocol(error));
    assert_eq!(events, [closed], "{bytes:?}");
    assert_eq!(bench.client.state(), State::Idle);
    // The next connection is not harmed.
    bench.begin(true);
    assert!(matches!(
        bench.accept(false, &[])[..],
        [Event::Connected { .. }]
    ));
}

#[test]
fn a_packet_that_only_a_client_sends_breaks_the_protocol() {
    let subscription = [Subscription::new(filter(), QoS::AtMostOnce)];
    let subscribe = Subscribe {
        packet_id: id(1),
        properties: Properties::EMPTY,
        subscriptions: Items::new(&subscription),
    };
    let filters = [filter()];
    let unsubscribe = Unsubscribe {
        packet_id: id(1),
        properties: Properties::EMPTY,
        filters: Items::new(&filters),
    };
    for version in BOTH {
        for packet in [
            Packet::Connect(Connect::new(version, "x")),
            Packet::Subscribe(subscribe),
            Packet::Unsubscribe(unsubscribe),
            Packet::PingReq,
        ] {
            let error = ProtocolError::Unexpected(packet.kind());
            ends(version, &encoded(version, packet), error);
        }
    }
}

#[test]
fn auth_without_an_enhanced_authentication_breaks_the_protocol() {
    // v5 [MQTT-4.12.0-6]
    let properties = [Property::AuthenticationMethod("m")];
    let auth = Packet::Auth(Auth {
        reason: ReasonCode::ContinueAuthentication,
        properties: Properties::new(&properties),
    });
    let error = ProtocolError::Unexpected(PacketKind::Auth);
    ends(V5, &encoded(V5, auth), error);
    let mut bench = Bench::new(V5);
    bench.begin(true);
    let closed = Event::Closed(CloseReason::Protocol(error));
    assert_eq!(bench.say(auth), [closed]);
    // 3.1.1 does not know the kind.
    let error = ProtocolError::Decode(DecodeError::UnknownKind(15));
    ends(V3, &[0xf0, 0], error);
}

#[test]
fn disconnect_from_a_server_of_3_1_1_breaks_the_protocol() {
    let error = ProtocolError::Unexpected(PacketKind::Disconnect);
    ends(V3, &[0xe0, 0], error);
}

#[test]
fn malformed_bytes_end_the_connection_with_their_reason() {
    for version in BOTH {
        let cases: &[(&[u8], DecodeError)] = &[
            (&[0x00, 0], DecodeError::UnknownKind(0)),
            (
                &[0x41, 2, 0, 1],
                DecodeError::HeaderFlags {
                    kind: PacketKind::PubAck,
                    flags: 1,
                },
            ),
            // v3.1.1 [MQTT-3.3.1-4], v5 [MQTT-3.3.1-4]
            (&[0x36, 5, 0, 1, b't', 0, 1], DecodeError::QoS),
            // v3.1.1 [MQTT-3.3.1-2], v5 [MQTT-3.3.1-2]
            (&[0x38, 4, 0, 1, b't', 0], DecodeError::DupWithoutId),
            (&[0x40, 2, 0, 0], DecodeError::ZeroPacketId),
            (
                &[0xd0, 1, 0],
                DecodeError::TrailingBytes(PacketKind::PingResp),
            ),
            // v3.1.1 [MQTT-1.5.3-1] and [MQTT-1.5.3-2], v5 [MQTT-1.5.4-1] and [MQTT-1.5.4-2]
            (&[0x30, 4, 0, 1, 0xff, 0], DecodeError::Utf8),
            (&[0x30, 4, 0, 1, 0x00, 0], DecodeError::NulInString),
            (&[0x30, 6, 0, 3, 0xed, 0xa0, 0x80, 0], DecodeError::Utf8),
            (
                &[0x30, 4, 0, 1, b'#', 0],
                DecodeError::TopicName(crate::InvalidTopic::WildcardInName),
            ),
            (&[0x30, 4, 0, 9, b't', 0], DecodeError::Truncated),
            // A remaining length of five bytes: known after the fourth.
            (
                &[0x30, 0xff, 0xff, 0xff, 0xff],
                DecodeError::VariableByteInteger,
            ),
            (
                &[0xd0, 0x80, 0x80, 0x80, 0x80],
                DecodeError::VariableByteInteger,
            ),
        ];
        for (bytes, error) in cases {
            ends(version, bytes, ProtocolError::Decode(*error));
        }
    }
}

#[test]
fn an_empty_topic_ends_the_connection() {
    let error = DecodeError::TopicName(crate::InvalidTopic::Empty);
    ends(V3, &[0x30, 2, 0, 0], ProtocolError::Decode(error));
    ends(
        V5,
        &[0x30, 3, 0, 0, 0],
        ProtocolError::Decode(DecodeError::NoTopic),
    );
}

#[test]
fn a_suback_that_answers_nothing_ends_the_connection() {
    for version in BOTH {
        let bytes: &[u8] = match version {
            V3 => &[0x90, 2, 0, 1],
            V5 => &[0x90, 3, 0, 1, 0],
        };
        let error = DecodeError::EmptyList(PacketKind::SubAck);
        ends(version, bytes, ProtocolError::Decode(error));
    }
}

#[test]
fn a_packet_other_than_publish_larger_than_the_receive_buffer_is_refused_at_its_header() {
    for version in BOTH {
        let error = DecodeError::PacketTooLarge {
            size: 3 + 1_000,
            limit: Sizes::default().receive,
        };
        ends(version, &[0x90, 0xe8, 0x07], ProtocolError::Decode(error));
    }
}

#[test]
fn a_publish_whose_topic_alone_is_larger_than_the_receive_buffer_is_refused() {
    for version in BOTH {
        // 268,435,455 bytes, of which 65,000 are slashes.
        let mut bytes = std::vec![0x30, 0xff, 0xff, 0xff, 0x7f, 0xfd, 0xe8];
        bytes.resize(Sizes::default().receive, b'/');
        let error = DecodeError::PacketTooLarge {
            size: 5 + 268_435_455,
            limit: Sizes::default().receive,
        };
        ends(version, &bytes, ProtocolError::Decode(error));
    }
}

#[test]
fn a_topic_of_65000_slashes_is_taken_where_it_fits() {
    for version in BOTH {
        let sizes = Sizes {
            receive: 70_000,
            ..Sizes::default()
        };
        let mut bench = Bench::online_with(version, sizes, &[]);
        let slashes = "/".repeat(65_000);
        let topic = TopicName::new(&slashes).expect("a valid name");
        let packet = Packet::Publish(Publish::new(topic, b"x"));
        let events = bench.say(packet);
        assert_eq!(events, [received(packet)]);
    }
}

#[test]
fn acknowledgements_for_nothing_are_ignored_or_answered_and_leave_nothing_behind() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        for round in 1..200 {
            for packet in [
                puback(round),
                pubcomp(round),
                suback(round),
                unsuback(round),
            ] {
                assert_eq!(bench.say(packet), []);
                assert_eq!(bench.sent(), []);
            }
            let not_found = ReasonCode::PacketIdentifierNotFound;
            let expect = |packet| match version {
                V3 => packet,
                V5 => with_reason(packet, not_found),
            };
            // What the server believes unfinished is finished.
            assert_eq!(bench.say(pubrec(round)), []);
            assert_eq!(bench.sent(), [expect(pubrel(round))]);
            assert_eq!(bench.say(pubrel(round)), []);
            assert_eq!(bench.sent(), [expect(pubcomp(round))]);
        }
        assert_eq!(bench.client.in_flight(), 0);
        assert_eq!(bench.say(Packet::PingResp), [], "for nothing, too");
        assert_eq!(bench.client.state(), State::Connected);
        bench.publish(QoS::ExactlyOnce, "still works");
        assert_eq!(bench.sent().len(), 1);
    }
}

#[test]
fn identifiers_of_received_messages_do_not_leak() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        for round in 1..500 {
            let packet = publish(QoS::ExactlyOnce, round, "x");
            assert_eq!(bench.say(packet), [received(packet)]);
            assert_eq!(bench.sent(), [pubrec(round)]);
            assert_eq!(bench.say(pubrel(round)), []);
            assert_eq!(bench.sent(), [pubcomp(round)]);
        }
    }
}

#[test]
fn a_protocol_error_behind_the_last_bytes_of_a_dead_transport_is_reported_at_once() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        bench.feed(&[0x00, 0]);
        bench.client.handle_closed(bench.now);
        let error = ProtocolError::Decode(DecodeError::UnknownKind(0));
        let closed = Event::Closed(CloseReason::Protocol(error));
        assert_eq!(bench.events(), [closed]);
    }
}

#[test]
fn nothing_is_read_behind_a_protocol_error() {
    let mut bench = Bench::online(V5);
    let mut bytes = std::vec![0x00, 0];
    bytes.extend(encoded(V5, publish(QoS::AtLeastOnce, 1, "x")));
    assert_eq!(bench.say_bytes(&bytes), []);
    assert_eq!(bench.client.rx_space(), b"");
    assert_eq!(bench.sent(), [goodbye(ReasonCode::MalformedPacket)]);
}

#[test]
fn an_error_while_half_a_packet_is_unsent_lets_it_out_whole_before_the_disconnect() {
    let first = publish(QoS::AtLeastOnce, 1, "first");
    let second = publish(QoS::AtLeastOnce, 2, "other");
    let len = encoded(V5, first).len();
    for sent in 0..=2 * len {
        let mut bench = Bench::online(V5);
        bench.publish(QoS::AtLeastOnce, "first");
        bench.publish(QoS::AtLeastOnce, "other");
        bench.write(sent);
        assert_eq!(bench.say_bytes(&[0x00, 0]), []);
        let expected = [first, second];
        let mut expected = expected[..sent.div_ceil(len)].to_vec();
        expected.push(goodbye(ReasonCode::MalformedPacket));
        assert_eq!(bench.sent(), expected, "after {sent} bytes");
        let error = ProtocolError::Decode(DecodeError::UnknownKind(0));
        let closed = Event::Closed(CloseReason::Protocol(error));
        assert_eq!(bench.events(), [closed]);
    }
}

#[test]
fn a_server_that_takes_no_disconnect_is_left_after_the_ping_timeout() {
    let mut bench = Bench::online(V5);
    assert_eq!(bench.say_bytes(&[0x00, 0]), []);
    bench.wait(9_999);
    assert_eq!(bench.events(), []);
    bench.wait(1);
    let error = ProtocolError::Decode(DecodeError::UnknownKind(0));
    let closed = Event::Closed(CloseReason::Protocol(error));
    assert_eq!(bench.events(), [closed]);
}
