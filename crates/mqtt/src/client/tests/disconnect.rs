//! The end of a connection.

use super::*;
use crate::packet::EncodeError;

fn disconnect(bench: &mut Bench) -> Result<(), EncodeError> {
    let packet = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
    bench.client.disconnect(&packet, bench.now)
}

const DISCONNECT: Packet<'_> = Packet::Disconnect(Disconnect::new(ReasonCode::Success));
const REQUESTED: Event<'_> = Event::Closed(CloseReason::Requested);

#[test]
fn disconnect_comes_last_and_is_followed_by_closed() {
    // v3.1.1 [MQTT-3.14.4-1] and [MQTT-3.14.4-2]
    // v5 [MQTT-3.14.4-1] and [MQTT-3.14.4-2]
    for version in BOTH {
        let mut bench = Bench::online(version);
        let packet = publish(QoS::AtLeastOnce, 7, "in");
        assert_eq!(bench.say(packet), [received(packet)]);
        bench.publish(QoS::AtMostOnce, "a");
        bench.publish(QoS::AtLeastOnce, "b");
        assert_eq!(disconnect(&mut bench), Ok(()));
        assert_eq!(bench.client.state(), State::Closing);
        assert_eq!(bench.events(), []);
        assert_eq!(
            bench.sent(),
            [
                puback(7),
                publish(QoS::AtMostOnce, 0, "a"),
                publish(QoS::AtLeastOnce, 1, "b"),
                DISCONNECT
            ]
        );
        assert_eq!(bench.events(), [REQUESTED]);
        assert_eq!(bench.client.state(), State::Idle);
        assert_eq!(bench.sent(), []);
    }
}

#[test]
fn an_owner_that_waits_after_the_last_byte_is_told_to_look_for_closed() {
    let mut bench = Bench::online(V5);
    assert_eq!(disconnect(&mut bench), Ok(()));
    assert_eq!(bench.events(), []);
    assert_eq!(bench.sent(), [DISCONNECT]);
    let timeout = bench.client.poll_timeout().expect("a moment");
    assert!(timeout <= bench.now);
    bench.client.handle_timeout(bench.now);
    assert_eq!(bench.events(), [REQUESTED]);
    assert_eq!(bench.client.poll_timeout(), None);
}

#[test]
fn a_disconnect_says_what_the_owner_wants() {
    let mut bench = Bench::online(V5);
    let properties = [Property::SessionExpiryInterval(60)];
    let packet = Disconnect {
        reason: ReasonCode::DisconnectWithWill,
        properties: Properties::new(&properties),
    };
    assert_eq!(bench.client.disconnect(&packet, bench.now), Ok(()));
    assert_eq!(bench.sent(), [Packet::Disconnect(packet)]);
}

#[test]
fn a_disconnect_that_can_not_be_sent_leaves_the_connection_as_it_is() {
    let long = "x".repeat(40);
    let properties = [Property::ReasonString(&long)];
    let packet = Disconnect {
        reason: ReasonCode::Success,
        properties: Properties::new(&properties),
    };
    let mut bench = Bench::online(V5);
    let result = bench.client.disconnect(&packet, bench.now);
    assert!(matches!(result, Err(EncodeError::BufferTooSmall { .. })));
    let wrong = Disconnect::new(ReasonCode::GrantedQoS1);
    let result = bench.client.disconnect(&wrong, bench.now);
    assert!(matches!(result, Err(EncodeError::ReasonCode(_))));
    assert_eq!(bench.client.state(), State::Connected);
    assert_eq!(bench.sent(), []);

    // v5 [MQTT-3.14.2-3] and [MQTT-3.2.2-15]
    const EIGHT: &[Property<'_>] = &[Property::MaximumPacketSize(
        core::num::NonZeroU32::new(8).unwrap(),
    )];
    let mut bench = Bench::online_with(V5, Sizes::default(), EIGHT);
    let properties = [Property::ReasonString("too long")];
    let packet = Disconnect {
        reason: ReasonCode::Success,
        properties: Properties::new(&properties),
    };
    let result = bench.client.disconnect(&packet, bench.now);
    let error = EncodeError::TooLong {
        length: 15,
        limit: 8,
    };
    assert_eq!(result, Err(error));
    assert_eq!(bench.client.state(), State::Connected);
    // A server can't make a plain one fail.
    const ONE: &[Property<'_>] = &[Property::MaximumPacketSize(core::num::NonZeroU32::MIN)];
    let mut bench = Bench::online_with(V5, Sizes::default(), ONE);
    assert_eq!(disconnect(&mut bench), Ok(()));
    assert_eq!(bench.sent(), [DISCONNECT]);
}

#[test]
fn what_the_server_says_while_the_client_disconnects_is_still_told() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        bench.publish(QoS::AtLeastOnce, "a");
        bench.write(3);
        assert_eq!(disconnect(&mut bench), Ok(()));
        let packet = publish(QoS::AtLeastOnce, 9, "in");
        assert_eq!(bench.say(packet), [received(packet)]);
        assert_eq!(
            bench.sent(),
            [publish(QoS::AtLeastOnce, 1, "a"), puback(9), DISCONNECT]
        );
        assert_eq!(bench.events(), [REQUESTED]);
    }
}

#[test]
fn a_server_that_never_stops_sending_does_not_keep_the_disconnect_from_going_out() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        let packet = publish(QoS::AtLeastOnce, 9, "in");
        let flood = |bench: &mut Bench| {
            for _ in 0..4 {
                assert_eq!(bench.say(packet), [received(packet)]);
            }
        };
        flood(&mut bench);
        assert_eq!(disconnect(&mut bench), Ok(()));
        for _ in 0..40 {
            flood(&mut bench);
            bench.write(usize::MAX);
            if bench.client.state() == State::Closing && bench.events() == [REQUESTED] {
                break;
            }
        }
        assert_eq!(bench.seen().last(), Some(&DISCONNECT));
        assert_eq!(bench.client.state(), State::Idle);
    }
}

#[test]
fn a_disconnect_on_a_dead_transport_ends_after_the_ping_timeout() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        assert_eq!(disconnect(&mut bench), Ok(()));
        bench.wait(9_999);
        assert_eq!(bench.events(), []);
        bench.wait(1);
        assert_eq!(bench.events(), [REQUESTED]);
    }
}

#[test]
fn bytes_received_do_not_postpone_the_end_of_a_disconnect() {
    let mut bench = Bench::online(V3);
    bench.wait(60_000);
    assert_eq!(bench.sent(), [Packet::PingReq]);
    assert_eq!(disconnect(&mut bench), Ok(()));
    for _ in 0..9 {
        bench.wait(1_000);
        assert_eq!(bench.say(Packet::PingResp), []);
    }
    bench.wait(1_000);
    assert_eq!(bench.events(), [REQUESTED]);
}

#[test]
fn a_transport_that_ends_while_the_client_disconnects_was_asked_to() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        assert_eq!(disconnect(&mut bench), Ok(()));
        bench.client.handle_closed(bench.now);
        assert_eq!(bench.events(), [REQUESTED]);
    }
}

#[test]
fn disconnect_without_a_connection_does_nothing() {
    let mut bench = Bench::new(V5);
    assert_eq!(disconnect(&mut bench), Ok(()));
    assert_eq!(bench.events(), []);
    assert_eq!(bench.client.state(), State::Idle);
}

#[test]
fn messages_that_the_servers_quota_holds_back_are_not_waited_for() {
    const ONE: &[Property<'_>] = &[Property::ReceiveMaximum(NonZeroU16::MIN)];
    let mut bench = Bench::online_with(V5, Sizes::default(), ONE);
    bench.publish(QoS::AtLeastOnce, "a");
    bench.publish(QoS::AtLeastOnce, "b");
    assert_eq!(disconnect(&mut bench), Ok(()));
    assert_eq!(
        bench.sent(),
        [publish(QoS::AtLeastOnce, 1, "a"), DISCONNECT]
    );
    assert_eq!(bench.events(), [REQUESTED]);
    assert_eq!(bench.client.in_flight(), 2);
}

#[test]
fn a_streamed_message_is_finished_before_the_disconnect() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        let message = message(QoS::AtLeastOnce, "");
        let result = bench.client.publish_streamed(&message, 3);
        assert_eq!(result, Ok(Some(id(1))));
        assert_eq!(disconnect(&mut bench), Ok(()));
        while bench.write(1) > 0 {}
        assert_eq!(bench.client.awaited_payload(), 3);
        bench.outgoing.extend_from_slice(b"abc");
        bench.client.streamed(3, bench.now);
        assert_eq!(
            bench.sent(),
            [publish(QoS::AtLeastOnce, 1, "abc"), DISCONNECT]
        );
        assert_eq!(bench.events()[0], REQUESTED);
    }
}

#[test]
fn a_disconnect_from_the_server_is_reported_with_its_reason_and_nothing_is_sent() {
    // v5 [MQTT-3.14.4-1] and [MQTT-3.14.4-2] read the other way round
    for reason in [
        ReasonCode::Success,
        ReasonCode::ServerShuttingDown,
        ReasonCode::SessionTakenOver,
        ReasonCode::ServerMoved,
        ReasonCode::KeepAliveTimeout,
    ] {
        let mut bench = Bench::online(V5);
        bench.publish(QoS::AtLeastOnce, "kept");
        let closed = Event::Closed(CloseReason::Server(reason));
        assert_eq!(bench.say(goodbye(reason)), [closed]);
        assert_eq!(bench.sent(), []);
        assert_eq!(bench.client.in_flight(), 1);
        assert_eq!(bench.client.state(), State::Idle);
    }
}

#[test]
fn a_disconnect_from_the_server_counts_although_the_transport_ends_with_it() {
    let mut bench = Bench::online(V5);
    bench.feed(&encoded(V5, goodbye(ReasonCode::SessionTakenOver)));
    bench.client.handle_closed(bench.now);
    let reason = CloseReason::Server(ReasonCode::SessionTakenOver);
    assert_eq!(bench.events(), [Event::Closed(reason)]);
}

#[test]
fn what_was_received_before_the_end_is_told_before_closed() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        let packet = publish(QoS::AtMostOnce, 0, "last");
        let mut bytes = encoded(version, packet);
        bytes.extend_from_slice(&[0x30, 9, 0]);
        bench.feed(&bytes);
        bench.client.handle_closed(bench.now);
        bench.client.handle_closed(bench.now);
        let lost = Event::Closed(CloseReason::Lost);
        assert_eq!(bench.events(), [received(packet), lost]);
        // Half a packet is not mistaken for the beginning of the next connection.
        bench.begin(true);
        assert!(matches!(
            bench.accept(false, &[])[..],
            [Event::Connected { .. }]
        ));
    }
}

#[test]
fn an_end_without_a_connection_is_no_event() {
    let mut bench = Bench::new(V5);
    bench.client.handle_closed(bench.now);
    assert_eq!(bench.events(), []);
    let mut bench = Bench::online(V5);
    bench.lose();
    bench.client.handle_closed(bench.now);
    assert_eq!(bench.events(), []);
}

#[test]
fn a_message_published_while_disconnecting_still_respects_the_server() {
    // v5 [MQTT-3.2.2-11]
    const QOS_0: &[Property<'_>] = &[Property::MaximumQoS(QoS::AtMostOnce)];
    let mut bench = Bench::online_with(V5, Sizes::default(), QOS_0);
    assert_eq!(disconnect(&mut bench), Ok(()));
    let result = bench.client.publish(&message(QoS::AtLeastOnce, "x"));
    let error = RequestError::NotSupported(ReasonCode::QoSNotSupported);
    assert_eq!(result, Err(error));
    bench.sent();
    assert_eq!(bench.events(), [REQUESTED]);
    // Another server may take it.
    let result = bench.client.publish(&message(QoS::AtLeastOnce, "x"));
    assert_eq!(result, Ok(Some(id(1))));
}

#[test]
fn the_server_that_a_server_names_when_it_ends_the_connection_is_known_until_the_next_one() {
    let reference = [Property::ServerReference("other.test:1884")];
    let properties = Properties::new(&reference);
    let mut bench = Bench::online(V5);
    assert_eq!(bench.client.server_reference(), None);
    let goodbye = Disconnect {
        reason: ReasonCode::UseAnotherServer,
        properties,
    };
    let closed = Event::Closed(CloseReason::Server(ReasonCode::UseAnotherServer));
    assert_eq!(bench.say(Packet::Disconnect(goodbye)), [closed]);
    assert_eq!(bench.client.server_reference(), Some("other.test:1884"));
    bench.begin(false);
    assert_eq!(bench.client.server_reference(), None);
    let refusal = ConnAck {
        session_present: false,
        reason: ReasonCode::ServerMoved,
        properties,
    };
    let closed = Event::Closed(CloseReason::Refused(ReasonCode::ServerMoved));
    assert_eq!(bench.say(Packet::ConnAck(refusal)), [closed]);
    assert_eq!(bench.client.server_reference(), Some("other.test:1884"));
}
