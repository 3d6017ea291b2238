//! A board that sleeps between presses.

use std::assert_eq;

use core::time::Duration;

use super::bench::{BUTTON, Bench, LINK, STATUS};
use crate::{Effect, Kept, Notice, RestartReason, Start};

const SLEEPER: [(&str, &str); 2] = [("role", "publisher"), ("sleep", "2")];

/// A board that a press woke, with what was kept.
fn woken(kept: Option<Kept>) -> Bench {
    let start = Start {
        kept,
        boots: Some(7),
        pressed: true,
        can_sleep: true,
        ..Start::new("test", RestartReason::DeepSleep)
    };
    let mut bench = Bench::start(&SLEEPER, start);
    // The contact is open again, and that is debounced.
    bench.pass(Duration::from_millis(50));
    bench
}

/// Lets time pass until the board sleeps.
#[track_caller]
fn fall_asleep(bench: &mut Bench) -> Kept {
    let from = bench.now;
    while bench.effects.last() != Some(&Effect::Sleep) {
        bench.now = bench.board.poll_timeout().expect("it wants to sleep");
        assert!(bench.now.since(from) < Duration::from_secs(70), "awake");
        bench.board.handle_timeout(bench.now);
        bench.drive();
    }
    let words = bench.board.kept().to_words();
    Kept::from_words(&words).expect("its own words")
}

#[test]
fn a_press_wakes_connects_is_acknowledged_and_the_board_sleeps_again() {
    let mut bench = woken(None);
    bench.open_transport();
    bench.retained(LINK, "OFF");
    assert_eq!(bench.sent_on(LINK), ["ON qos1 retain id3"]);
    assert_eq!(
        bench.sent_on(BUTTON),
        [r#"{"event_type":"press","count":1,"boot":7} qos1 id2"#]
    );
    let from = bench.now;
    fall_asleep(&mut bench);
    assert_eq!(bench.now.since(from), Duration::from_secs(2));
    assert_eq!(bench.sent.last().unwrap(), "DISCONNECT");
    assert_eq!(bench.sent_on(STATUS), ["online qos0 retain"], "only asleep");
    assert!(!bench.open);
    assert_eq!(
        bench.notices.last(),
        Some(&Notice::Sleeping(Duration::from_millis(2_050)))
    );
    assert_eq!(bench.board.poll_timeout(), None);
}

#[test]
fn a_press_after_sleeping_changes_the_state_that_others_made_meanwhile() {
    for (retained, sent) in [("ON", "OFF"), ("OFF", "ON")] {
        let mut bench = woken(None);
        bench.open_transport();
        bench.retained(LINK, "OFF");
        let kept = fall_asleep(&mut bench);
        let mut bench = woken(Some(kept));
        bench.open_transport();
        assert_eq!(bench.sent_on(LINK).len(), 0, "not decided yet");
        assert!(bench.board.has_unsent());
        bench.retained(LINK, retained);
        assert!(bench.sent_on(LINK)[0].starts_with(sent));
    }
}

#[test]
fn without_a_retained_state_the_press_counts_a_second_later() {
    let mut bench = woken(None);
    bench.open_transport();
    bench.pass(Duration::from_millis(999));
    assert_eq!(bench.sent_on(LINK).len(), 0);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.sent_on(LINK), ["ON qos1 retain id3"]);
    bench.press();
    assert_eq!(bench.sent_on(LINK).len(), 2, "from now on at once");
    let kept = fall_asleep(&mut bench);
    let mut bench = woken(Some(kept));
    bench.open_transport();
    bench.pass(Duration::from_secs(1));
    assert!(bench.sent_on(LINK)[0].starts_with("ON "), "it was OFF");
}

#[test]
fn events_keep_their_names_over_sleep() {
    let mut bench = woken(None);
    bench.open_transport();
    let kept = fall_asleep(&mut bench);
    let start = Start {
        kept: Some(kept),
        boots: Some(8),
        pressed: true,
        can_sleep: true,
        ..Start::new("test", RestartReason::DeepSleep)
    };
    let mut bench = Bench::start(&SLEEPER, start);
    bench.open_transport();
    assert!(bench.sent_on(BUTTON)[0].starts_with(r#"{"event_type":"press","count":2,"boot":7}"#));
}

#[test]
fn a_board_that_can_not_connect_sleeps_after_a_minute_and_says_all_later() {
    let mut bench = woken(None);
    let from = bench.now;
    let kept = fall_asleep(&mut bench);
    assert_eq!(bench.now.since(from), Duration::from_millis(59_950));
    let mut bench = woken(Some(kept));
    bench.open_transport();
    assert_eq!(bench.sent_on(BUTTON).len(), 2);
    bench.retained(LINK, "ON");
    assert_eq!(bench.sent_on(LINK).len(), 0, "two presses: as it was");
    assert_eq!(bench.board.link_state(), Some(true));
    bench.press();
    assert!(bench.sent_on(LINK)[0].starts_with("OFF "));
}

#[test]
fn what_was_not_acknowledged_before_sleep_is_sent_again() {
    let mut bench = woken(None);
    bench.answers.publish = false;
    bench.open_transport();
    bench.retained(LINK, "OFF");
    let kept = fall_asleep(&mut bench);
    let mut bench = woken(Some(kept));
    bench.open_transport();
    let events = bench.sent_on(BUTTON);
    assert!(events[0].contains(r#""count":1,"boot":7"#), "{events:?}");
    assert!(events[1].contains(r#""count":2,"boot":7"#), "{events:?}");
}

#[test]
fn a_press_while_it_says_goodbye_wakes_it_again() {
    let mut bench = woken(None);
    bench.open_transport();
    bench.retained(LINK, "OFF");
    bench.now = bench.now + Duration::from_secs(2);
    bench.board.handle_timeout(bench.now);
    bench.board.press(bench.now);
    bench.drive();
    assert_eq!(bench.effects.last(), Some(&Effect::OpenTransport));
    bench.open_transport();
    assert_eq!(bench.sent_on(BUTTON).len(), 2);
    fall_asleep(&mut bench);
}

#[test]
fn a_button_that_is_held_or_being_told_apart_and_a_person_at_the_console_keep_it_awake() {
    let mut bench = woken(None);
    bench.open_transport();
    bench.retained(LINK, "OFF");
    bench.level(true);
    bench.pass(Duration::from_secs(600));
    assert!(!bench.effects.contains(&Effect::Sleep));
    bench.level(false);
    bench.pass(Duration::from_millis(1_900));
    assert!(!bench.effects.contains(&Effect::Sleep));
    bench.types("status");
    bench.pass(Duration::from_millis(1_900));
    assert!(!bench.effects.contains(&Effect::Sleep));
    fall_asleep(&mut bench);
}

#[test]
fn only_publishers_sleep_and_only_where_the_machine_can() {
    for (role, can_sleep) in [("publisher", false), ("both", true), ("subscriber", true)] {
        let start = Start {
            can_sleep,
            ..Start::new("test", RestartReason::PowerOn)
        };
        let mut bench = Bench::start(&[("role", role), ("sleep", "2")], start);
        assert!(
            bench
                .log()
                .contains(&"warn: sleep: this board can't, or has a light that follows")
        );
        bench.open_transport();
        bench.pass(Duration::from_secs(600));
        assert!(!bench.effects.contains(&Effect::Sleep), "{role}");
        assert!(bench.board.is_connected());
    }
}

#[test]
fn time_awake_is_added_up() {
    let mut bench = woken(None);
    bench.open_transport();
    bench.retained(LINK, "OFF");
    bench.pass(Duration::from_millis(500));
    bench.press();
    let kept = fall_asleep(&mut bench);
    let mut bench = woken(Some(kept));
    bench.open_transport();
    let info = bench.sent_on("declic/0a0b0c0d0e0f/info");
    assert!(info[0].contains(r#""awake_ms":2600"#), "{info:?}");
    bench.retained(LINK, "OFF");
    fall_asleep(&mut bench);
    assert_eq!(bench.board.awake(), Duration::from_millis(4_600));
}
