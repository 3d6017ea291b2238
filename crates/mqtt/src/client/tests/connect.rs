//! From CONNECT to CONNACK.

use super::*;
use crate::packet::EncodeError;

/// The CONNECT that a client with the default sizes sends.
fn connect_packet(version: ProtocolVersion) -> Connect<'static> {
    Connect::new(version, "bench")
}

#[test]
fn connect_is_the_first_packet_and_sent_once() {
    // v3.1.1 [MQTT-3.1.0-1]
    // v5 [MQTT-3.1.0-1]
    for version in BOTH {
        let mut bench = Bench::new(version);
        bench.publish(QoS::AtLeastOnce, "before");
        assert_eq!(bench.sent(), [], "nothing without a connection");
        let mut connect = connect_packet(version);
        connect.user_name = Some("user");
        connect.password = Some(b"\x00secret\xff");
        bench.client.connect(&connect, bench.now).expect("idle");
        assert_eq!(bench.client.state(), State::Connecting);
        let sent = bench.sent();
        let [Packet::Connect(seen)] = sent[..] else {
            panic!("{sent:?}");
        };
        assert_eq!(seen.version, version);
        assert_eq!(seen.client_id, "bench");
        assert_eq!(seen.user_name, Some("user"));
        assert_eq!(seen.password, Some(&b"\x00secret\xff"[..]));
        // Even what waits does not follow before the server accepts.
        assert_eq!(bench.sent(), []);
        bench.accept(false, &[]);
        assert_eq!(bench.sent(), [publish(QoS::AtLeastOnce, 1, "before")]);
    }
}

#[test]
fn connect_goes_out_byte_by_byte_and_nothing_is_received_before() {
    for version in BOTH {
        let mut bench = Bench::new(version);
        let connect = connect_packet(version);
        bench.client.connect(&connect, bench.now).expect("idle");
        let mut bytes = 0;
        while bench.client.transmit() != b"" {
            assert_eq!(bench.client.rx_space(), b"", "CONNECT lies there");
            assert_eq!(bench.client.state(), State::Connecting);
            bytes += bench.write(1);
        }
        assert!(bytes > 10);
        assert!(matches!(bench.seen()[..], [Packet::Connect(_)]));
        assert_eq!(bench.client.rx_space().len(), Sizes::default().receive);
        let events = bench.accept(false, &[]);
        assert!(matches!(events[..], [Event::Connected { .. }]));
        assert_eq!(bench.client.state(), State::Connected);
    }
}

#[test]
fn bytes_that_a_server_sends_before_it_has_the_connect_do_not_damage_it() {
    let mut bench = Bench::new(V5);
    let connect = connect_packet(V5);
    bench.client.connect(&connect, bench.now).expect("idle");
    bench.write(3);
    // An owner that reports bytes although there was no space for any.
    bench.client.received(7, bench.now);
    assert_eq!(bench.events(), []);
    assert!(matches!(bench.sent()[..], [Packet::Connect(_)]));
}

#[test]
fn a_connect_that_does_not_fit_in_the_receive_buffer_is_refused_with_its_size() {
    let sizes = Sizes {
        receive: 16,
        ..Sizes::default()
    };
    let mut bench = Bench::with(V3, sizes);
    let connect = connect_packet(V3);
    assert_eq!(
        bench.client.connect(&connect, bench.now),
        Err(ConnectError::Encode(EncodeError::BufferTooSmall {
            needed: 19,
            available: 16
        }))
    );
    assert_eq!(bench.client.state(), State::Idle);
    assert_eq!(bench.client.transmit(), b"");
    assert_eq!(bench.client.poll_timeout(), None);
    // A shorter one may follow.
    let connect = Connect::new(V3, "ab");
    assert_eq!(bench.client.connect(&connect, bench.now), Ok(()));
}

#[test]
fn a_second_connect_on_a_connection_is_an_error_of_the_owner() {
    // v3.1.1 [MQTT-3.1.0-2]
    // v5 [MQTT-3.1.0-2]
    for version in BOTH {
        let mut bench = Bench::new(version);
        let connect = connect_packet(version);
        bench.client.connect(&connect, bench.now).expect("idle");
        let again = bench.client.connect(&connect, bench.now);
        assert_eq!(again, Err(ConnectError::NotIdle));
        bench.sent();
        bench.accept(false, &[]);
        let again = bench.client.connect(&connect, bench.now);
        assert_eq!(again, Err(ConnectError::NotIdle));
        assert_eq!(bench.sent(), []);
    }
}

#[test]
fn silence_after_connect_ends_at_the_deadline() {
    for version in BOTH {
        for is_sent in [false, true] {
            let mut bench = Bench::new(version);
            let connect = connect_packet(version);
            bench.client.connect(&connect, bench.now).expect("idle");
            if is_sent {
                bench.sent();
            }
            bench.wait(9_999);
            assert_eq!(bench.events(), []);
            bench.wait(1);
            let closed = Event::Closed(CloseReason::ConnectTimeout);
            assert_eq!(bench.events(), [closed]);
            assert_eq!(bench.client.state(), State::Idle);
            assert_eq!(bench.client.poll_timeout(), None);
        }
    }
}

#[test]
fn half_a_connack_does_not_move_the_deadline() {
    let mut bench = Bench::new(V5);
    bench.begin(true);
    bench.wait(9_000);
    assert_eq!(bench.say_bytes(&[0x20, 3, 0]), []);
    bench.wait(1_000);
    let closed = Event::Closed(CloseReason::ConnectTimeout);
    assert_eq!(bench.events(), [closed]);
}

#[test]
fn a_refusal_is_reported_with_its_code() {
    let codes_of_3_1_1 = [
        (1, ReasonCode::UnsupportedProtocolVersion),
        (2, ReasonCode::ClientIdentifierNotValid),
        (3, ReasonCode::ServerUnavailable),
        (4, ReasonCode::BadUserNameOrPassword),
        (5, ReasonCode::NotAuthorized),
    ];
    for (code, reason) in codes_of_3_1_1 {
        let mut bench = Bench::new(V3);
        bench.begin(true);
        let events = bench.say_bytes(&[0x20, 2, 0, code]);
        assert_eq!(events, [Event::Closed(CloseReason::Refused(reason))]);
        assert_eq!(bench.client.state(), State::Idle);
    }
    let codes_of_5 = [
        0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97,
        0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
    ];
    for code in codes_of_5 {
        let mut bench = Bench::new(V5);
        bench.begin(true);
        let events = bench.say_bytes(&[0x20, 3, 0, code, 0]);
        let [Event::Closed(CloseReason::Refused(reason))] = events[..] else {
            panic!("{code:#x}: {events:?}");
        };
        assert_eq!(reason.as_u8(), code);
    }
}

#[test]
fn a_server_of_3_1_1_refuses_a_client_of_5_in_its_own_format() {
    let mut bench = Bench::new(V5);
    bench.begin(true);
    let events = bench.say_bytes(&[0x20, 2, 0, 1]);
    let reason = CloseReason::Refused(ReasonCode::UnsupportedProtocolVersion);
    assert_eq!(events, [Event::Closed(reason)]);
}

#[test]
fn a_refused_client_keeps_its_messages_and_may_connect_again() {
    for version in BOTH {
        let mut bench = Bench::new(version);
        bench.publish(QoS::AtLeastOnce, "kept");
        bench.begin(true);
        let refusal: &[u8] = match version {
            V3 => &[0x20, 2, 0, 3],
            V5 => &[0x20, 3, 0, 0x88, 0],
        };
        let reason = CloseReason::Refused(ReasonCode::ServerUnavailable);
        assert_eq!(bench.say_bytes(refusal), [Event::Closed(reason)]);
        bench.begin(true);
        bench.accept(false, &[]);
        assert_eq!(bench.sent(), [publish(QoS::AtLeastOnce, 1, "kept")]);
    }
}

#[test]
fn a_server_that_closes_right_after_its_connack_was_connected_before() {
    for version in BOTH {
        let mut bench = Bench::new(version);
        bench.publish(QoS::AtLeastOnce, "kept");
        bench.begin(true);
        let connack = encoded(
            version,
            Packet::ConnAck(ConnAck {
                session_present: false,
                reason: ReasonCode::Success,
                properties: Properties::EMPTY,
            }),
        );
        bench.feed(&connack);
        bench.client.handle_closed(bench.now);
        assert_eq!(
            bench.events(),
            [
                Event::Connected {
                    session_present: false,
                    properties: Properties::EMPTY
                },
                Event::Closed(CloseReason::Lost)
            ]
        );
        assert_eq!(bench.sent(), [], "there is no transport");
        assert_eq!(bench.client.in_flight(), 1);
    }
}

#[test]
fn a_refusal_followed_by_the_end_is_a_refusal() {
    let mut bench = Bench::new(V3);
    bench.begin(true);
    bench.feed(&[0x20, 2, 0, 5]);
    bench.client.handle_closed(bench.now);
    let reason = CloseReason::Refused(ReasonCode::NotAuthorized);
    assert_eq!(bench.events(), [Event::Closed(reason)]);
}

#[test]
fn a_transport_that_ends_before_connack_is_lost() {
    for version in BOTH {
        for is_sent in [false, true] {
            let mut bench = Bench::new(version);
            let connect = connect_packet(version);
            bench.client.connect(&connect, bench.now).expect("idle");
            if is_sent {
                bench.sent();
            }
            bench.client.handle_closed(bench.now);
            assert_eq!(bench.client.transmit(), b"", "there is no transport");
            assert_eq!(bench.events(), [Event::Closed(CloseReason::Lost)]);
            assert_eq!(bench.client.state(), State::Idle);
        }
    }
}

#[test]
fn what_a_server_says_behind_its_connack_comes_after_connected() {
    for version in BOTH {
        let mut bench = Bench::new(version);
        bench.begin(false);
        let mut bytes = encoded(
            version,
            Packet::ConnAck(ConnAck {
                session_present: true,
                reason: ReasonCode::Success,
                properties: Properties::EMPTY,
            }),
        );
        bytes.extend(encoded(version, publish(QoS::AtMostOnce, 0, "early")));
        let events = bench.say_bytes(&bytes);
        assert_eq!(
            events[1..],
            [received(publish(QoS::AtMostOnce, 0, "early"))]
        );
        assert!(matches!(
            events[0],
            Event::Connected {
                session_present: true,
                ..
            }
        ));
    }
}

#[test]
fn any_packet_but_connack_before_connack_breaks_the_protocol() {
    // v3.1.1 [MQTT-3.2.0-1]
    // v5 [MQTT-3.2.0-1]
    for version in BOTH {
        for packet in [
            Packet::PingResp,
            publish(QoS::AtMostOnce, 0, "x"),
            puback(1),
        ] {
            let mut bench = Bench::new(version);
            bench.begin(true);
            let kind = packet.kind();
            let error = CloseReason::Protocol(ProtocolError::Unexpected(kind));
            assert_eq!(bench.say(packet), [Event::Closed(error)]);
            assert_eq!(bench.sent(), []);
        }
    }
}

#[test]
fn a_second_connack_breaks_the_protocol() {
    // v5 [MQTT-3.2.0-2]
    for version in BOTH {
        let mut bench = Bench::online(version);
        let events = bench.accept(false, &[]);
        let error = ProtocolError::Unexpected(crate::packet::PacketKind::ConnAck);
        let closed = Event::Closed(CloseReason::Protocol(error));
        if version == V5 {
            assert_eq!(events, []);
            assert_eq!(bench.sent(), [goodbye(ReasonCode::ProtocolError)]);
            assert_eq!(bench.events(), [closed]);
        } else {
            assert_eq!(events, [closed]);
        }
    }
}

#[test]
fn a_session_although_a_clean_start_was_asked_for_ends_the_connection() {
    // v5 [MQTT-3.2.2-4], v3.1.1 [MQTT-3.2.2-1]
    for version in BOTH {
        let mut bench = Bench::new(version);
        bench.begin(true);
        let error = CloseReason::Protocol(ProtocolError::SessionPresent);
        assert_eq!(bench.accept(true, &[]), [Event::Closed(error)]);
    }
}

#[test]
fn a_clean_start_that_was_not_confirmed_is_asked_for_again() {
    // The server may have begun a new session, or go on with the old one: with a session of which
    // it is not clear which one it is, a new message could be taken for a known one.
    // v3.1.1 [MQTT-3.1.2-6], v5 [MQTT-3.1.2-4] and [MQTT-3.2.2-4]
    for version in BOTH {
        let clean_start = |bench: &mut Bench, asked: bool| {
            let mut connect = connect_packet(version);
            connect.clean_start = asked;
            bench.client.connect(&connect, bench.now).expect("idle");
            match bench.sent()[..] {
                [Packet::Connect(connect)] => connect.clean_start,
                ref sent => panic!("{sent:?}"),
            }
        };
        let mut bench = Bench::online(version);
        bench.say(publish(QoS::ExactlyOnce, 1, "of the old session"));
        bench.lose();
        assert!(clean_start(&mut bench, true));
        bench.lose();
        assert!(clean_start(&mut bench, false), "still wanted");
        bench.accept(false, &[]);
        let packet = publish(QoS::ExactlyOnce, 1, "of the new session");
        assert_eq!(bench.say(packet), [received(packet)]);
        bench.lose();
        assert!(!clean_start(&mut bench, false));
    }
}

#[test]
fn the_owner_may_give_up_while_connecting() {
    for version in BOTH {
        let mut bench = Bench::new(version);
        bench.begin(true);
        let packet = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        let result = bench.client.disconnect(&packet, bench.now);
        assert_eq!(result, Ok(()));
        assert_eq!(bench.sent(), []);
        assert_eq!(bench.events(), [Event::Closed(CloseReason::Requested)]);
    }
}

#[test]
fn a_client_of_5_announces_its_places_for_messages_of_qos_2() {
    let receive_maximum = |own: &'static [Property<'static>]| {
        let mut bench = Bench::new(V5);
        let mut connect = connect_packet(V5);
        connect.properties = Properties::new(own);
        bench.client.connect(&connect, bench.now).expect("idle");
        match bench.sent()[..] {
            [Packet::Connect(connect)] => connect.properties.receive_maximum(),
            ref sent => panic!("{sent:?}"),
        }
    };
    assert_eq!(receive_maximum(&[]), NonZeroU16::new(4));
    const TWO: &[Property<'_>] = &[Property::ReceiveMaximum(NonZeroU16::new(2).unwrap())];
    assert_eq!(receive_maximum(TWO), NonZeroU16::new(2));
}

#[test]
fn a_receive_maximum_above_the_places_is_refused() {
    let mut bench = Bench::new(V5);
    let five = [Property::ReceiveMaximum(NonZeroU16::new(5).expect("not 0"))];
    let mut connect = connect_packet(V5);
    connect.properties = Properties::new(&five);
    assert_eq!(
        bench.client.connect(&connect, bench.now),
        Err(ConnectError::ReceiveMaximum {
            asked: 5,
            places: 4
        })
    );
    // 3.1.1 says nothing of it.
    connect.version = V3;
    assert_eq!(bench.client.connect(&connect, bench.now), Ok(()));
}

#[test]
fn without_a_client_identifier_3_1_1_keeps_no_session() {
    // v3.1.1 [MQTT-3.1.3-7]
    let mut bench = Bench::new(V3);
    let mut connect = Connect::new(V3, "");
    connect.clean_start = false;
    let result = bench.client.connect(&connect, bench.now);
    assert_eq!(result, Err(ConnectError::NoClientId));
    connect.clean_start = true;
    assert_eq!(bench.client.connect(&connect, bench.now), Ok(()));
    let mut bench = Bench::new(V5);
    connect.version = V5;
    connect.clean_start = false;
    assert_eq!(bench.client.connect(&connect, bench.now), Ok(()));
}
