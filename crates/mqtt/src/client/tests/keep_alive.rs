//! Keep-alive (section 3.1.2.10). The bench's CONNECT says 60 s; a PINGREQ may take 10 s.

use super::*;

const SECOND: u64 = 1_000;

fn online_with_keep_alive(version: ProtocolVersion, keep_alive: u16) -> Bench {
    let mut bench = Bench::new(version);
    let mut connect = Connect::new(version, "bench");
    connect.keep_alive = keep_alive;
    bench.client.connect(&connect, bench.now).expect("idle");
    bench.sent();
    bench.accept(false, &[]);
    bench
}

#[test]
fn a_silent_client_sends_pingreq_after_the_keep_alive_without_being_asked() {
    // v3.1.1 [MQTT-3.1.2-23]
    // v5 [MQTT-3.1.2-20]
    for version in BOTH {
        let mut bench = Bench::online(version);
        for _ in 0..10 {
            bench.wait(60 * SECOND - 1);
            assert_eq!(bench.sent(), []);
            bench.wait(1);
            assert_eq!(bench.sent(), [Packet::PingReq]);
            bench.wait(5 * SECOND);
            assert_eq!(bench.say(Packet::PingResp), []);
            // From here on 55 s are left since the PINGREQ, 60 since the answer.
            bench.wait(55 * SECOND);
            assert_eq!(bench.sent(), [Packet::PingReq]);
            assert_eq!(bench.say(Packet::PingResp), []);
        }
        assert_eq!(bench.client.state(), State::Connected);
    }
}

#[test]
fn what_the_client_sends_makes_pingreq_unnecessary_if_the_server_answers() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        for round in 1..10 {
            bench.wait(50 * SECOND);
            bench.publish(QoS::AtLeastOnce, "x");
            assert_eq!(bench.sent().len(), 1, "the PUBLISH alone");
            assert_eq!(bench.say(puback(round)), [acknowledged(round)]);
        }
    }
}

#[test]
fn a_client_that_only_sends_asks_whether_the_server_is_still_there() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        for _ in 0..5 {
            bench.wait(10 * SECOND);
            bench.publish(QoS::AtMostOnce, "x");
            assert_eq!(bench.sent(), [publish(QoS::AtMostOnce, 0, "x")]);
        }
        bench.wait(10 * SECOND);
        assert_eq!(bench.sent(), [Packet::PingReq]);
        // Sending on does not save a connection whose server is gone.
        for _ in 0..9 {
            bench.wait(SECOND);
            bench.publish(QoS::AtMostOnce, "x");
            bench.sent();
            assert_eq!(bench.events(), []);
        }
        bench.wait(SECOND);
        assert_eq!(bench.events(), [Event::Closed(CloseReason::PingTimeout)]);
    }
}

#[test]
fn a_client_that_only_receives_pings_in_time_for_the_server() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        for _ in 0..5 {
            bench.wait(10 * SECOND);
            let packet = publish(QoS::AtMostOnce, 0, "x");
            assert_eq!(bench.say(packet), [received(packet)]);
            assert_eq!(bench.sent(), []);
        }
        bench.wait(10 * SECOND);
        assert_eq!(bench.sent(), [Packet::PingReq]);
    }
}

#[test]
fn a_pingreq_without_an_answer_ends_the_connection_at_its_deadline() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        bench.wait(60 * SECOND);
        assert_eq!(bench.sent(), [Packet::PingReq]);
        bench.wait(10 * SECOND - 1);
        assert_eq!(bench.events(), []);
        bench.wait(1);
        assert_eq!(bench.events(), [Event::Closed(CloseReason::PingTimeout)]);
        assert_eq!(bench.client.state(), State::Idle);
        assert_eq!(bench.client.poll_timeout(), None);
    }
}

#[test]
fn a_transport_that_takes_no_bytes_is_noticed_too() {
    let mut bench = Bench::online(V5);
    bench.wait(70 * SECOND);
    assert_eq!(bench.events(), [Event::Closed(CloseReason::PingTimeout)]);
}

#[test]
fn anything_received_counts_as_an_answer() {
    let mut bench = Bench::online(V5);
    bench.wait(60 * SECOND);
    assert_eq!(bench.sent(), [Packet::PingReq]);
    bench.wait(9 * SECOND);
    let packet = publish(QoS::AtMostOnce, 0, "x");
    assert_eq!(bench.say(packet), [received(packet)]);
    bench.wait(9 * SECOND);
    assert_eq!(bench.events(), []);
    bench.wait(SECOND);
    assert_eq!(bench.events(), [Event::Closed(CloseReason::PingTimeout)]);
}

#[test]
fn keep_alive_0_never_pings() {
    for version in BOTH {
        let mut bench = online_with_keep_alive(version, 0);
        assert_eq!(bench.client.poll_timeout(), None);
        bench.wait(1_000_000 * SECOND);
        assert_eq!(bench.sent(), []);
        assert_eq!(bench.events(), []);
        assert_eq!(bench.client.state(), State::Connected);
    }
}

#[test]
fn the_longest_keep_alive_is_kept() {
    let mut bench = online_with_keep_alive(V3, u16::MAX);
    bench.wait(65_535 * SECOND - 1);
    assert_eq!(bench.sent(), []);
    bench.wait(1);
    assert_eq!(bench.sent(), [Packet::PingReq]);
}

#[test]
fn the_servers_keep_alive_replaces_the_clients() {
    // v5 [MQTT-3.1.2-21]
    // v5 [MQTT-3.2.2-22]
    let server_keep_alive = |seconds| [Property::ServerKeepAlive(seconds)];
    let mut bench = Bench::online_with(V5, Sizes::default(), &server_keep_alive(7));
    bench.wait(7 * SECOND - 1);
    assert_eq!(bench.sent(), []);
    bench.wait(1);
    assert_eq!(bench.sent(), [Packet::PingReq]);
    let mut bench = Bench::online_with(V5, Sizes::default(), &server_keep_alive(0));
    bench.wait(1_000 * SECOND);
    assert_eq!(bench.sent(), []);
    // It holds for its own connection only.
    bench.reconnect(true);
    bench.wait(60 * SECOND);
    assert_eq!(bench.sent(), [Packet::PingReq]);
}

#[test]
fn there_is_no_pingreq_while_closing() {
    for version in BOTH {
        // Due, but not sent when the owner disconnects.
        let mut bench = Bench::online(version);
        bench.wait(60 * SECOND);
        let packet = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        let result = bench.client.disconnect(&packet, bench.now);
        assert_eq!(result, Ok(()));
        assert_eq!(bench.sent(), [Packet::Disconnect(packet)]);
        assert_eq!(bench.events(), [Event::Closed(CloseReason::Requested)]);
    }
    let mut bench = Bench::online(V5);
    bench.wait(60 * SECOND);
    bench.say_bytes(&[0x00, 0]);
    assert_eq!(bench.sent(), [goodbye(ReasonCode::MalformedPacket)]);
}

#[test]
fn a_huge_message_coming_in_does_not_end_the_connection_and_pingreqs_go_on() {
    // The PINGRESP waits behind the message for ten minutes. The server hears a PINGREQ within
    // each keep-alive nevertheless, or it would end the connection.
    for version in BOTH {
        let mut bench = Bench::online(version);
        let payload = std::vec![b'x'; 60_000];
        let packet = Packet::Publish(Publish::new(topic(), &payload));
        let bytes = encoded(version, packet);
        let mut pings = Vec::new();
        for chunk in bytes.chunks(bytes.len().div_ceil(600)) {
            bench.wait(SECOND);
            bench.say_bytes(chunk);
            let at = bench.now.as_millis();
            pings.extend(bench.sent().iter().map(|_| at));
        }
        assert_eq!(bench.client.state(), State::Connected);
        assert!(pings.len() >= 9, "{pings:?}");
        assert!(pings.windows(2).all(|two| two[1] - two[0] <= 60_000));
        for _ in 0..pings.len() {
            assert_eq!(bench.say(Packet::PingResp), []);
        }
        bench.wait(9 * SECOND);
        assert_eq!(bench.events(), []);
    }
}

#[test]
fn a_dead_connection_is_noticed_within_one_and_a_half_keep_alives() {
    // As the server does (v3.1.1 [MQTT-3.1.2-24], v5 [MQTT-3.1.2-22]), whoever named the time.
    let server_keep_alive = [Property::ServerKeepAlive(3)];
    for mut bench in [
        online_with_keep_alive(V3, 3),
        Bench::online_with(V5, Sizes::default(), &server_keep_alive),
    ] {
        bench.wait(3 * SECOND);
        assert_eq!(bench.sent(), [Packet::PingReq]);
        bench.wait(3 * SECOND / 2 - 1);
        assert_eq!(bench.events(), []);
        bench.wait(1);
        assert_eq!(bench.events(), [Event::Closed(CloseReason::PingTimeout)]);
    }
}

#[test]
fn a_huge_message_going_out_does_not_end_the_connection() {
    // No PINGREQ can go out between its bytes, and a server has no reason to say anything.
    for version in BOTH {
        let sizes = Sizes {
            outbox: 20_000,
            ..Sizes::default()
        };
        let mut bench = Bench::online_with(version, sizes, &[]);
        bench.publish(QoS::AtLeastOnce, &"x".repeat(12_000));
        while bench.outgoing.len() < 12_000 {
            bench.wait(SECOND);
            assert_eq!(bench.events(), []);
            bench.write(10);
        }
        bench.wait(SECOND);
        let sent = bench.sent();
        assert!(matches!(sent[..], [Packet::Publish(_), Packet::PingReq]));
        // Now the server has its time to answer.
        bench.wait(10 * SECOND - 1);
        assert_eq!(bench.events(), []);
        bench.wait(1);
        assert_eq!(bench.events(), [Event::Closed(CloseReason::PingTimeout)]);
    }
}

#[test]
fn a_streamed_message_that_goes_out_slowly_does_not_end_the_connection() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        let message = message(QoS::AtMostOnce, "");
        let result = bench.client.publish_streamed(&message, 200);
        assert_eq!(result, Ok(None));
        bench.write(usize::MAX);
        for missing in (1..=200).rev() {
            bench.wait(SECOND);
            assert_eq!(bench.events(), []);
            assert_eq!(bench.client.awaited_payload(), missing);
            bench.client.streamed(1, bench.now);
        }
        assert_eq!(bench.client.transmit(), [0xc0, 0], "the PINGREQ follows");
    }
}

#[test]
fn the_clock_may_stand_at_its_end() {
    let mut bench = Bench::online(V5);
    bench.now = Instant::from_micros(u64::MAX);
    bench.client.handle_timeout(bench.now);
    assert_eq!(bench.sent(), [Packet::PingReq]);
    bench.client.handle_timeout(bench.now);
    assert_eq!(bench.events(), [Event::Closed(CloseReason::PingTimeout)]);
}
