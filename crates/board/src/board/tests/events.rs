//! Double presses, holds, and what names an event.

use std::vec::Vec;
use std::{assert_eq, format};

use core::time::Duration;

use declic_mqtt::packet::{Ack, Packet};
use declic_mqtt::{PacketId, ReasonCode};

use super::bench::{BUTTON, Bench, LINK};
use crate::{Notice, PressKind, RestartReason, Start};

const GESTURES: [(&str, &str); 2] = [("double-press", "300"), ("hold-press", "800")];

/// The kinds and counts of the events that were sent.
fn events(bench: &Bench) -> Vec<&str> {
    let events = bench.sent_on(BUTTON).into_iter();
    events
        .map(|event| event.split(",\"boot\"").next().unwrap())
        .collect()
}

#[test]
fn a_press_a_double_press_and_a_hold_are_events_and_only_a_press_changes_the_link() {
    let mut bench = Bench::connected(&GESTURES);
    bench.level(false);
    bench.level(true);
    bench.level(false);
    assert_eq!(bench.sent.len(), 0, "it may become a double press");
    bench.pass(Duration::from_millis(300));
    for closed in [true, false, true, false] {
        bench.level(closed);
    }
    bench.level(true);
    bench.pass(Duration::from_secs(1));
    bench.level(false);
    bench.pass(Duration::from_secs(1));
    assert_eq!(
        events(&bench),
        [
            r#"{"event_type":"press","count":1"#,
            r#"{"event_type":"double","count":2"#,
            r#"{"event_type":"hold","count":3"#
        ]
    );
    assert_eq!(bench.sent_on(LINK).len(), 1);
    let hold = Notice::Pressed {
        count: 3,
        kind: PressKind::Hold,
        sends: None,
    };
    assert!(bench.notices.contains(&hold));
}

#[test]
fn without_double_presses_and_holds_nothing_delays_a_press() {
    let mut bench = Bench::connected(&[]);
    bench.level(false);
    bench.level(true);
    assert_eq!(
        bench.sent_on(LINK).len(),
        1,
        "50 ms after the contact closed"
    );
    bench.pass(Duration::from_secs(2));
    bench.level(false);
    bench.level(true);
    assert_eq!(events(&bench).len(), 2);
    assert!(
        events(&bench)
            .iter()
            .all(|event| event.contains(r#""press""#))
    );
}

#[test]
fn events_keep_their_kinds_and_their_order_while_offline() {
    let mut bench = Bench::connected(&GESTURES);
    bench.close();
    bench.level(false);
    for _ in 0..12 {
        bench.press();
        for closed in [true, false, true, false] {
            bench.level(closed);
        }
        bench.level(true);
        bench.pass(Duration::from_secs(1));
        bench.level(false);
    }
    assert_eq!(bench.board.dropped_events(), 4);
    bench.effects.clear();
    bench.wait_for_attempt();
    bench.open_transport();
    let kinds = ["press", "double", "hold"].into_iter().cycle();
    let expected: Vec<_> = kinds
        .zip(1..=36)
        .skip(4)
        .map(|(kind, count)| format!(r#"{{"event_type":"{kind}","count":{count}"#))
        .collect();
    assert_eq!(events(&bench), expected);
}

#[test]
fn an_event_is_named_by_the_number_of_the_start_and_its_own() {
    let start = Start {
        boots: Some(3),
        ..Start::new("test", RestartReason::PowerOn)
    };
    let mut bench = Bench::start(&[], start);
    bench.open_transport();
    bench.press();
    assert_eq!(
        bench.sent_on(BUTTON),
        [r#"{"event_type":"press","count":1,"boot":3} qos1 id3"#]
    );
    // Where nobody counts, it is a number that no count reaches.
    assert!(Bench::new(&[]).board.boot() > i32::MAX as u32);
}

#[test]
fn an_event_that_the_broker_refuses_is_counted_as_given_up() {
    let mut bench = Bench::connected(&[("role", "subscriber")]);
    bench.answers.publish = false;
    bench.press();
    let refusal = Ack {
        reason: ReasonCode::QuotaExceeded,
        ..Ack::new(PacketId::new(2).unwrap())
    };
    bench.say(&Packet::PubAck(refusal));
    assert_eq!(bench.board.dropped_events(), 1);
}

#[test]
fn an_event_that_was_not_acknowledged_is_sent_again_with_the_same_name() {
    for present in [true, false] {
        let mut bench = Bench::connected(&[("role", "subscriber")]);
        bench.answers.publish = false;
        bench.press();
        bench.answers.publish = true;
        bench.answers.session_present = present;
        bench.reconnect();
        assert_eq!(events(&bench).len(), 2);
        let sent = bench.sent_on(BUTTON);
        let name = |at: usize| sent[at].split(' ').next();
        assert_eq!(name(0), name(1));
        assert_eq!(sent[1].contains(" dup"), present);
        assert!(!bench.board.has_unsent());
    }
}

#[test]
fn the_machine_that_the_button_woke_is_pressed_once_even_if_it_is_open_again() {
    for closed in [true, false] {
        let start = Start {
            pressed: true,
            ..Start::new("test", RestartReason::DeepSleep)
        };
        let mut bench = Bench::start(&[], start);
        bench.board.handle_level(closed, bench.now);
        bench.drive();
        bench.pass(Duration::from_secs(1));
        bench.level(false);
        assert_eq!(bench.board.presses(), 1, "{closed}");
        bench.level(true);
        assert_eq!(bench.board.presses(), 2, "{closed}");
    }
}

#[test]
fn how_the_board_is_doing_is_said_again_and_again() {
    let mut bench = Bench::connected(&[("info-interval", "60")]);
    let info = "declic/0a0b0c0d0e0f/info";
    bench.pass(Duration::from_secs(59));
    assert_eq!(bench.sent_on(info).len(), 0);
    bench.pass(Duration::from_secs(61));
    assert_eq!(bench.sent_on(info).len(), 2);
    let mut bench = Bench::connected(&[("info-interval", "0")]);
    bench.pass(Duration::from_secs(3_600));
    assert_eq!(bench.sent_on(info).len(), 0);
}

#[test]
fn time_without_a_connection_is_counted() {
    let mut bench = Bench::new(&[]);
    bench.pass(Duration::from_secs(5));
    bench.open_transport();
    bench.pass(Duration::from_secs(100));
    bench.board.handle_timeout(bench.now);
    assert_eq!((bench.board.offline(), bench.board.uptime()), (5, 105));
    bench.board.handle_link(false, bench.now);
    bench.drive();
    bench.pass(Duration::from_secs(7));
    bench.board.handle_timeout(bench.now);
    assert_eq!((bench.board.offline(), bench.board.uptime()), (12, 112));
}
