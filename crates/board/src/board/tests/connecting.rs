use std::assert_eq;
use std::vec::Vec;

use core::time::Duration;

use declic_mqtt::client::CloseReason;
use declic_mqtt::packet::{Disconnect, Packet};
use declic_mqtt::{ProtocolVersion, ReasonCode};

use super::bench::{Bench, LINK, STATUS};
use crate::{Cause, Connection, Effect, Notice};

const CLIENT: &str = "declic0a0b0c0d0e0f";

fn connects(bench: &Bench) -> Vec<&str> {
    let connects = bench
        .sent
        .iter()
        .filter_map(|line| line.strip_prefix("CONNECT "));
    connects.collect()
}

/// The waits before new attempts, in order.
fn waits(bench: &Bench) -> Vec<Duration> {
    let wait = |notice: &Notice| match notice {
        Notice::RetryIn(wait) => Some(*wait),
        _ => None,
    };
    bench.notices.iter().filter_map(wait).collect()
}

#[test]
fn a_board_says_who_it_is_that_it_is_online_and_what_it_wants() {
    let mut bench = Bench::new(&[]);
    assert_eq!(
        bench.effects,
        [Effect::SetLed(false), Effect::OpenTransport]
    );
    assert_eq!(bench.board.settings().broker(), Some("broker.test"));
    bench.open_transport();
    assert_eq!(
        bench.sent,
        [
            "CONNECT 5.0 declic0a0b0c0d0e0f clean",
            "PUBLISH declic/0a0b0c0d0e0f/status online qos0 retain",
            "SUBSCRIBE esp32/data qos1 no-local declic/0a0b0c0d0e0f/led/set qos1",
            "PUBLISH declic/0a0b0c0d0e0f/led OFF qos0 retain",
            "PUBLISH declic/0a0b0c0d0e0f/info {\"role\":\"both\",\"version\":\"0.1.0\",\
             \"mqtt\":\"5.0\",\"uptime\":0,\"reconnects\":0,\"presses\":0,\"dropped\":0,\"offline\":0} qos0 retain",
        ]
    );
    assert_eq!(
        bench.notices,
        [
            Notice::Connected {
                version: ProtocolVersion::V5,
                session_present: false
            },
            Notice::Subscribed
        ]
    );
}

#[test]
fn the_first_connection_is_clean_and_later_ones_go_on_with_the_session_in_5_0_only() {
    let mut bench = Bench::new(&[]);
    bench.open_transport();
    bench.reconnect();
    assert_eq!(
        connects(&bench),
        ["5.0 declic0a0b0c0d0e0f clean", "5.0 declic0a0b0c0d0e0f"]
    );
    let mut bench = Bench::new(&[("mqtt", "3.1.1")]);
    bench.open_transport();
    bench.reconnect();
    assert_eq!(connects(&bench), ["3.1.1 declic0a0b0c0d0e0f clean"; 2]);
}

#[test]
fn a_board_subscribes_on_every_connection_for_a_session_may_have_no_subscriptions() {
    for present in [false, true] {
        let mut bench = Bench::connected(&[]);
        bench.answers.session_present = present;
        bench.reconnect();
        assert_eq!(bench.sent_kinds("SUBSCRIBE"), 1);
        assert!(bench.board.is_subscribed());
        assert_eq!(bench.notices.last(), Some(&Notice::Subscribed));
        assert_eq!(bench.sent_on(STATUS), ["online qos0 retain"]);
        assert_eq!(bench.board.reconnects(), 1);
    }
}

#[test]
fn a_subscription_that_was_refused_is_reported_and_asked_for_again_on_the_next_connection() {
    let mut bench = Bench::new(&[]);
    bench.answers.subscribe = ReasonCode::NotAuthorized;
    bench.open_transport();
    assert!(
        bench
            .notices
            .contains(&Notice::SubscribeRefused(ReasonCode::NotAuthorized))
    );
    assert!(bench.board.is_connected());
    assert!(!bench.board.is_subscribed());
    bench.answers.subscribe = ReasonCode::GrantedQoS1;
    bench.answers.session_present = true;
    bench.reconnect();
    assert!(bench.board.is_subscribed());
}

#[test]
fn a_refused_version_leads_to_3_1_1_at_once_and_stays() {
    let mut bench = Bench::new(&[]);
    bench.answers.connect = Some(ReasonCode::UnsupportedProtocolVersion);
    bench.open_transport();
    assert!(!bench.open);
    assert!(
        bench
            .notices
            .contains(&Notice::TryingVersion(ProtocolVersion::V3_1_1))
    );
    assert_eq!(waits(&bench), [Duration::ZERO]);
    bench.answers.connect = Some(ReasonCode::Success);
    bench.wait_for_attempt();
    bench.open_transport();
    assert!(bench.board.is_connected());
    bench.reconnect();
    let versions: Vec<_> = connects(&bench).iter().map(|line| &line[..3]).collect();
    assert_eq!(versions, ["5.0", "3.1", "3.1"]);
}

#[test]
fn a_broker_that_refuses_both_versions_is_not_stormed() {
    let mut bench = Bench::new(&[]);
    bench.answers.connect = Some(ReasonCode::UnsupportedProtocolVersion);
    let start = bench.now;
    for _ in 0..10 {
        bench.open_transport();
        bench.wait_for_attempt();
    }
    assert!(bench.now.since(start) >= Duration::from_secs(5 * 30));
}

#[test]
fn two_closes_before_connack_lead_to_3_1_1() {
    let mut bench = Bench::new(&[]);
    bench.answers.connect = None;
    for _ in 0..2 {
        bench.open_transport();
        bench.close();
        bench.wait_for_attempt();
    }
    bench.answers.connect = Some(ReasonCode::Success);
    bench.open_transport();
    assert!(connects(&bench)[2].starts_with("3.1.1"));
    assert_eq!(bench.board.version(), ProtocolVersion::V3_1_1);
}

#[test]
fn a_version_that_is_set_is_kept() {
    let mut bench = Bench::new(&[("mqtt", "5")]);
    bench.answers.connect = None;
    for _ in 0..5 {
        bench.open_transport();
        bench.close();
        bench.wait_for_attempt();
    }
    assert!(connects(&bench).iter().all(|line| line.starts_with("5.0")));
}

#[test]
fn a_version_that_worked_is_not_given_up_for_a_broker_that_is_restarting() {
    let mut bench = Bench::connected(&[]);
    bench.close();
    bench.answers.connect = None;
    for _ in 0..4 {
        bench.wait_for_attempt();
        bench.open_transport();
        bench.close();
    }
    bench.answers.connect = Some(ReasonCode::Success);
    bench.wait_for_attempt();
    bench.open_transport();
    assert_eq!(bench.board.version(), ProtocolVersion::V5);
}

#[test]
fn a_transport_that_does_not_open_in_time_is_given_up_and_tried_again() {
    let mut bench = Bench::new(&[]);
    bench.pass(Duration::from_secs(9));
    assert!(matches!(
        bench.board.connection(),
        Connection::Opening { .. }
    ));
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.effects.last(), Some(&Effect::CloseTransport));
    assert_eq!(bench.notices[0], Notice::ConnectFailed(Cause::OpenTimeout));
    bench.wait_for_attempt();
    // News of the transport that was given up can't disturb the next one.
    bench.open_transport();
    assert!(bench.board.is_connected());
}

#[test]
fn a_broker_that_never_answers_is_given_up_and_tried_again() {
    let mut bench = Bench::new(&[]);
    bench.answers.connect = None;
    bench.open_transport();
    bench.pass(Duration::from_secs(10));
    assert!(!bench.open);
    let cause = Cause::Closed(CloseReason::ConnectTimeout);
    assert_eq!(bench.notices[0], Notice::ConnectFailed(cause));
    bench.wait_for_attempt();
}

#[test]
fn a_transport_that_can_not_be_opened_is_tried_again() {
    let mut bench = Bench::new(&[]);
    bench.effects.clear();
    bench.board.handle_connect_failed(bench.now);
    bench.drive();
    assert_eq!(bench.effects, [], "nothing is open that could be closed");
    assert_eq!(bench.notices[0], Notice::ConnectFailed(Cause::Unreachable));
    bench.wait_for_attempt();
}

#[test]
fn a_half_open_connection_is_noticed() {
    let mut bench = Bench::connected(&[]);
    bench.pass(Duration::from_secs(29));
    assert_eq!(bench.sent_kinds("PINGREQ"), 0);
    bench.pass(Duration::from_secs(300));
    assert!(bench.board.is_connected());
    assert_eq!(bench.sent_kinds("PINGREQ"), 10);
    // From here on the network swallows everything.
    bench.open = false;
    bench.pass(Duration::from_secs(41));
    let cause = Cause::Closed(CloseReason::PingTimeout);
    assert!(
        bench.notices.contains(&Notice::Disconnected(cause)),
        "{:?}",
        bench.notices
    );
    assert!(bench.effects.contains(&Effect::CloseTransport));
}

#[test]
fn a_close_right_after_connack_counts_as_a_failure() {
    let mut bench = Bench::connected(&[]);
    for failure in 1..=10 {
        bench.close();
        assert_eq!(bench.board.failures(), failure);
        bench.wait_for_attempt();
        bench.open_transport();
        bench.pass(Duration::from_secs(29));
    }
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.board.failures(), 0, "30 s of uptime are stable");
    bench.close();
    assert!(*waits(&bench).last().unwrap() <= Duration::from_secs(1));
}

#[test]
fn attempts_go_on_for_ever_and_never_wait_longer_than_the_cap() {
    let mut bench = Bench::new(&[("backoff-cap", "5")]);
    let start = bench.now;
    for _ in 0..10_000 {
        bench.effects.clear();
        bench.board.handle_connect_failed(bench.now);
        bench.drive();
        bench.wait_for_attempt();
    }
    assert!(
        waits(&bench)
            .iter()
            .all(|wait| *wait <= Duration::from_secs(5))
    );
    let mean = bench.now.since(start) / 10_000;
    assert!((2_400..2_600).contains(&mean.as_millis()), "{mean:?}");
}

#[test]
fn a_refusal_that_lasts_waits_long_and_a_busy_broker_short() {
    for (reason, at_least, at_most) in [
        (ReasonCode::BadUserNameOrPassword, 30, 60),
        (ReasonCode::NotAuthorized, 30, 60),
        (ReasonCode::ClientIdentifierNotValid, 30, 60),
        (ReasonCode::ServerBusy, 0, 1),
        (ReasonCode::ServerUnavailable, 0, 1),
    ] {
        let mut bench = Bench::new(&[]);
        bench.answers.connect = Some(reason);
        bench.open_transport();
        let cause = Cause::Closed(CloseReason::Refused(reason));
        assert_eq!(bench.notices[0], Notice::ConnectFailed(cause));
        let range = Duration::from_secs(at_least)..=Duration::from_secs(at_most);
        assert!(
            range.contains(&waits(&bench)[0]),
            "{reason}: {:?}",
            waits(&bench)
        );
        assert!(!bench.open);
    }
}

#[test]
fn boards_with_the_same_client_identifier_do_not_throw_each_other_out_for_ever() {
    let mut bench = Bench::connected(&[]);
    let goodbye = Disconnect::new(ReasonCode::SessionTakenOver);
    bench.say(&Packet::Disconnect(goodbye));
    let cause = Cause::Closed(CloseReason::Server(ReasonCode::SessionTakenOver));
    assert_eq!(bench.notices[0], Notice::Disconnected(cause));
    assert!(waits(&bench)[0] >= Duration::from_secs(30));
}

#[test]
fn a_network_that_goes_closes_the_connection_and_one_that_comes_opens_it_at_once() {
    let mut bench = Bench::connected(&[]);
    bench.board.handle_link(false, bench.now);
    bench.drive();
    assert_eq!(bench.notices, [Notice::Disconnected(Cause::LinkDown)]);
    assert_eq!(bench.effects, [Effect::CloseTransport]);
    assert_eq!(bench.board.connection(), Connection::Down);
    bench.pass(Duration::from_secs(3_600));
    bench.press();
    bench.forget();
    bench.board.handle_link(true, bench.now);
    bench.drive();
    assert_eq!(bench.effects, [Effect::OpenTransport]);
    bench.open_transport();
    assert_eq!(bench.sent_on(LINK).len(), 1);
}

#[test]
fn a_network_that_flickers_leaves_one_transport_open() {
    let mut bench = Bench::connected(&[]);
    for _ in 0..5 {
        bench.board.handle_link(false, bench.now);
        bench.board.handle_link(true, bench.now);
    }
    bench.drive();
    assert_eq!(bench.effects, [Effect::CloseTransport]);
    bench.wait_for_attempt();
    assert_eq!(
        bench.effects,
        [Effect::CloseTransport, Effect::OpenTransport]
    );
    bench.open_transport();
    assert!(bench.board.is_connected());
}

#[test]
fn a_network_that_comes_and_goes_makes_no_more_attempts_than_a_broker_that_does() {
    let mut bench = Bench::connected(&[]);
    let mut attempts = 0;
    for _ in 0..600 {
        bench.board.handle_link(false, bench.now);
        bench.drive();
        bench.pass(Duration::from_millis(50));
        bench.board.handle_link(true, bench.now);
        bench.drive();
        bench.pass(Duration::from_millis(950));
        let opens = |effect: &&Effect| **effect == Effect::OpenTransport;
        attempts += bench.effects.iter().filter(opens).count();
        bench.effects.clear();
    }
    assert!(attempts < 60, "{attempts} attempts in ten minutes");
    bench.pass(Duration::from_secs(60));
    assert!(bench.effects.contains(&Effect::OpenTransport));
}

#[test]
fn a_network_that_was_there_for_long_is_back_at_once() {
    let mut bench = Bench::connected(&[]);
    bench.pass(Duration::from_secs(30));
    for up in [false, true] {
        bench.board.handle_link(up, bench.now);
    }
    bench.drive();
    assert_eq!(
        bench.effects,
        [Effect::CloseTransport, Effect::OpenTransport]
    );
}

#[test]
fn a_network_that_goes_while_connecting_stops_the_attempt() {
    let mut bench = Bench::new(&[]);
    bench.effects.clear();
    bench.board.handle_link(false, bench.now);
    bench.drive();
    assert_eq!(bench.effects, [Effect::CloseTransport]);
    assert_eq!(bench.notices, [Notice::ConnectFailed(Cause::LinkDown)]);
    bench.pass(Duration::from_secs(600));
    assert_eq!(bench.effects.len(), 1);
}

#[test]
fn an_answer_that_comes_with_the_end_of_the_network_is_not_believed() {
    let mut bench = Bench::new(&[]);
    bench.answers.connect = None;
    bench.open_transport();
    let connack = [0x20, 3, 0, 0, 0];
    bench.board.rx_space()[..5].copy_from_slice(&connack);
    bench.board.received(5, bench.now);
    bench.board.handle_link(false, bench.now);
    bench.drive();
    assert_eq!(bench.board.connection(), Connection::Down);
    assert_eq!(bench.board.poll_timeout(), None);
}

#[test]
fn a_board_without_broker_waits_for_one() {
    let mut bench = Bench::new(&[("broker", "")]);
    assert_eq!(bench.effects, [Effect::SetLed(false)]);
    bench.press();
    assert_eq!(bench.board.poll_timeout(), None);
    assert_eq!(bench.board.connection(), Connection::Down);
}

#[test]
fn a_board_that_is_shut_down_says_so_and_leaves_in_good_order() {
    let mut bench = Bench::connected(&[]);
    bench.board.shut_down(bench.now);
    bench.drive();
    assert_eq!(bench.sent_on(STATUS), ["offline qos0 retain"]);
    assert_eq!(bench.sent.last().unwrap(), "DISCONNECT");
    assert_eq!(bench.notices, [Notice::Stopped]);
    assert!(!bench.open);
    bench.pass(Duration::from_secs(3_600));
    bench.board.handle_link(true, bench.now);
    bench.drive();
    assert_eq!(bench.effects, [Effect::CloseTransport]);
}

#[test]
fn a_board_that_is_not_connected_is_shut_down_at_once() {
    for open in [false, true] {
        let mut bench = Bench::new(&[]);
        bench.answers.connect = None;
        if open {
            bench.open_transport();
        }
        bench.board.shut_down(bench.now);
        bench.drive();
        assert_eq!(bench.notices, [Notice::Stopped]);
        assert_eq!(bench.effects.last(), Some(&Effect::CloseTransport));
        assert_eq!(bench.board.connection(), Connection::Stopped);
    }
}

#[test]
fn all_that_can_be_set_reaches_the_broker() {
    let long = "x".repeat(64);
    let mut bench = Bench::new(&[
        ("client-id", &long),
        ("user", &long),
        ("password", &long),
        ("topic", &long),
        ("pair", &long[..32]),
        ("payload-on", &long[..32]),
        ("qos", "1"),
    ]);
    bench.open_transport();
    bench.press();
    assert!(bench.board.is_subscribed(), "{:?}", bench.notices);
    assert!(connects(&bench)[0].contains(&long));
    assert!(!bench.board.has_unsent());
}

#[test]
fn the_default_client_identifier_is_the_boards_own() {
    let mut bench = Bench::new(&[]);
    bench.open_transport();
    assert!(connects(&bench)[0].contains(CLIENT));
}

#[test]
fn the_same_seed_gives_the_same_attempts() {
    let run = || {
        let mut bench = Bench::connected(&[]);
        for _ in 0..20 {
            bench.reconnect();
        }
        bench.now
    };
    assert_eq!(run(), run());
}
