//! Several brokers, one that is searched for, and one that another one names.

use std::assert_eq;
use std::string::String;
use std::vec::Vec;

use core::time::Duration;

use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Disconnect, Packet, Properties, Property};

use super::bench::Bench;
use crate::{Cause, Effect, Notice};

const THREE: [(&str, &str); 1] = [("broker", "a.test, b.test:1884 192.168.1.20")];

/// Whether the last CONNECT asked for a clean start.
fn is_clean(bench: &Bench) -> bool {
    let mut connects = bench.sent.iter().filter(|line| line.starts_with("CONNECT"));
    connects
        .next_back()
        .is_some_and(|line| line.ends_with(" clean"))
}

fn last_wait(bench: &Bench) -> Duration {
    let wait = |notice: &Notice| match notice {
        Notice::RetryIn(wait) => Some(*wait),
        _ => None,
    };
    bench.notices.iter().rev().find_map(wait).expect("a wait")
}

#[test]
fn brokers_that_can_not_be_reached_are_tried_in_turn() {
    let mut bench = Bench::new(&THREE);
    let mut tried = Vec::new();
    for _ in 0..4 {
        tried.push(bench.destination());
        bench.refuse_transport();
        bench.wait_for_attempt();
    }
    assert_eq!(
        tried,
        [
            "a.test:1883",
            "b.test:1884",
            "192.168.1.20:1883",
            "a.test:1883"
        ]
    );
}

#[test]
fn a_broker_that_kept_the_connection_is_tried_first_after_a_loss_and_one_that_did_not_is_not() {
    let mut bench = Bench::new(&THREE);
    bench.refuse_transport();
    bench.wait_for_attempt();
    bench.open_transport();
    bench.pass(Duration::from_secs(30));
    bench.close();
    assert_eq!(bench.destination(), "b.test:1884");
    bench.wait_for_attempt();
    bench.open_transport();
    bench.close();
    assert_eq!(bench.destination(), "192.168.1.20:1883");
}

#[test]
fn a_refusal_that_lasts_waits_long_only_when_all_brokers_were_tried() {
    let mut bench = Bench::new(&THREE);
    bench.answers.connect = Some(ReasonCode::NotAuthorized);
    for long in [false, false, true, false] {
        bench.open_transport();
        let wait = last_wait(&bench);
        assert_eq!(wait >= Duration::from_secs(30), long, "{wait:?}");
        bench.wait_for_attempt();
    }
}

#[test]
fn a_broker_that_refuses_the_version_is_tried_with_the_other_one() {
    let mut bench = Bench::new(&THREE);
    bench.answers.connect = Some(ReasonCode::UnsupportedProtocolVersion);
    bench.open_transport();
    assert_eq!(bench.destination(), "a.test:1883");
}

#[test]
fn the_session_of_one_broker_is_not_gone_on_with_at_another() {
    let mut bench = Bench::new(&THREE);
    bench.open_transport();
    bench.pass(Duration::from_secs(30));
    bench.reconnect();
    assert!(!is_clean(&bench), "the same broker");
    bench.close();
    bench.wait_for_attempt();
    assert_eq!(bench.destination(), "b.test:1884");
    bench.open_transport();
    assert!(is_clean(&bench));
    for _ in 0..2 {
        bench.close();
        bench.wait_for_attempt();
        if bench.destination() != "a.test:1883" {
            bench.open_transport();
        }
    }
    bench.open_transport();
    assert!(is_clean(&bench), "its session is older than another one");
}

#[test]
fn a_broker_that_is_not_set_is_searched_for_and_then_connected_to() {
    let mut bench = Bench::new(&[("broker", "mdns")]);
    assert_eq!(bench.effects, [Effect::SetLed(false), Effect::FindBroker]);
    bench.effects.clear();
    bench.pass(Duration::from_secs(9));
    bench
        .board
        .handle_broker_found("192.168.1.77", 1885, bench.now);
    bench.drive();
    assert_eq!(bench.destination(), "192.168.1.77:1885");
    bench.pass(Duration::from_secs(9));
    bench.open_transport();
    assert!(bench.board.is_connected(), "opening has its own deadline");
    bench.pass(Duration::from_secs(30));
    bench.close();
    bench.pass(Duration::from_secs(1));
    assert_eq!(
        bench.effects,
        [Effect::FindBroker],
        "it may be elsewhere now"
    );
}

#[test]
fn a_search_that_finds_nothing_is_given_up_and_begun_again() {
    let mut bench = Bench::new(&[("broker", "mdns")]);
    bench.effects.clear();
    bench.pass(Duration::from_secs(12));
    assert_eq!(bench.effects, [Effect::CloseTransport, Effect::FindBroker]);
    assert_eq!(bench.notices[0], Notice::ConnectFailed(Cause::NotFound));
    bench.effects.clear();
    bench.board.handle_connect_failed(bench.now);
    bench.drive();
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.effects, [Effect::FindBroker]);
    // What is found when nothing is searched for is not taken.
    bench.board.handle_link(false, bench.now);
    bench
        .board
        .handle_broker_found("192.168.1.77", 1885, bench.now);
    bench.drive();
    assert_eq!(bench.destination(), "mdns:1883");
}

#[test]
fn a_search_may_be_one_of_several_brokers() {
    let mut bench = Bench::new(&[("broker", "a.test mdns")]);
    bench.refuse_transport();
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.effects.pop(), Some(Effect::FindBroker));
    bench.board.handle_broker_found("b.test", 1883, bench.now);
    bench.drive();
    assert_eq!(bench.destination(), "b.test:1883");
    bench.refuse_transport();
    assert_eq!(bench.destination(), "a.test:1883");
    let name = "x".repeat(65);
    bench.wait_for_attempt();
    bench.refuse_transport();
    bench.pass(Duration::from_secs(4));
    bench.board.handle_broker_found(&name, 1883, bench.now);
    bench.drive();
    assert!(matches!(bench.notices.last(), Some(Notice::RetryIn(_))));
}

#[test]
fn use_another_server_is_followed_at_once_and_for_one_connection() {
    // v5, section 4.11
    let mut bench = Bench::new(&[]);
    bench.answers.connect = Some(ReasonCode::UseAnotherServer);
    bench.answers.reference = "other.test:1884 third.test";
    bench.open_transport();
    assert!(bench.notices.contains(&Notice::Redirected));
    assert_eq!(last_wait(&bench), Duration::ZERO);
    assert_eq!(bench.destination(), "other.test:1884");
    bench.answers.connect = Some(ReasonCode::Success);
    bench.answers.reference = "";
    bench.wait_for_attempt();
    bench.open_transport();
    assert!(is_clean(&bench));
    bench.pass(Duration::from_secs(30));
    bench.close();
    assert_eq!(bench.destination(), "broker.test:1883");
}

#[test]
fn server_moved_is_followed_until_that_one_can_not_be_reached() {
    let mut bench = Bench::connected(&[]);
    let reference = [Property::ServerReference("[fd00::1]:1884")];
    bench.say(&Packet::Disconnect(Disconnect {
        reason: ReasonCode::ServerMoved,
        properties: Properties::new(&reference),
    }));
    assert_eq!(bench.destination(), "fd00::1:1884");
    bench.wait_for_attempt();
    bench.open_transport();
    bench.pass(Duration::from_secs(30));
    bench.reconnect();
    assert_eq!(bench.destination(), "fd00::1:1884");
    bench.board.handle_link(false, bench.now);
    assert_eq!(bench.destination(), "fd00::1:1884");
    bench.board.handle_link(true, bench.now);
    bench.drive();
    bench.wait_for_attempt();
    bench.refuse_transport();
    assert_eq!(bench.destination(), "broker.test:1883");
}

#[test]
fn brokers_that_name_each_other_are_followed_three_times_and_then_left_alone_for_long() {
    let mut bench = Bench::new(&[]);
    bench.answers.connect = Some(ReasonCode::UseAnotherServer);
    bench.answers.reference = "other.test";
    for _ in 0..2 {
        for _ in 0..3 {
            bench.open_transport();
            assert_eq!(last_wait(&bench), Duration::ZERO);
            bench.wait_for_attempt();
        }
        bench.open_transport();
        assert!(last_wait(&bench) >= Duration::from_secs(30));
        assert_eq!(bench.destination(), "broker.test:1883");
        bench.wait_for_attempt();
    }
}

#[test]
fn a_broker_that_names_none_or_nonsense_is_not_left() {
    let long = String::from("x").repeat(65).leak();
    for reference in ["", "mqtt://other.test", long] {
        let mut bench = Bench::new(&[]);
        bench.answers.connect = Some(ReasonCode::ServerMoved);
        bench.answers.reference = reference;
        bench.open_transport();
        assert_eq!(bench.destination(), "broker.test:1883");
        assert!(last_wait(&bench) >= Duration::from_secs(30), "{reference}");
    }
}
