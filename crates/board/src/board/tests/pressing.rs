use std::vec::Vec;
use std::{assert_eq, format, vec};

use core::time::Duration;

use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Ack, Packet, Publish};

use super::bench::{BUTTON, Bench, LED, LED_SET, LINK, STATUS};
use crate::{Effect, Notice, PressKind};

const V3: (&str, &str) = ("mqtt", "3.1.1");

fn leds(bench: &Bench) -> Vec<bool> {
    let led = |effect: &Effect| match effect {
        Effect::SetLed(on) => Some(*on),
        _ => None,
    };
    bench.effects.iter().filter_map(led).collect()
}

#[test]
fn each_press_is_one_message_on_and_off_in_turn() {
    let mut bench = Bench::connected(&[("role", "publisher")]);
    for _ in 0..3 {
        bench.press();
    }
    assert_eq!(
        bench.sent_on(LINK),
        [
            "ON qos1 retain id2",
            "OFF qos1 retain id4",
            "ON qos1 retain id6"
        ]
    );
    assert_eq!(
        bench.sent_on(BUTTON),
        [
            r#"{"event_type":"press","count":1,"boot":2147483690} qos1 id3"#,
            r#"{"event_type":"press","count":2,"boot":2147483690} qos1 id5"#,
            r#"{"event_type":"press","count":3,"boot":2147483690} qos1 id7"#
        ]
    );
    assert_eq!(bench.sent.len(), 6);
    assert_eq!(
        bench.notices[0],
        Notice::Pressed {
            count: 1,
            kind: PressKind::Press,
            sends: Some(true)
        }
    );
    assert!(!bench.board.has_unsent());
}

#[test]
fn a_bouncing_button_that_is_held_sends_one_message() {
    let mut bench = Bench::connected(&[("topics", "none")]);
    let start = bench.now;
    let at = |ms| start + Duration::from_millis(ms);
    for (ms, closed) in [
        (0, false),
        (10, true),
        (12, false),
        (14, true),
        (15, false),
        (16, true),
    ] {
        bench.board.handle_level(closed, at(ms));
    }
    bench.drive();
    bench.pass(Duration::from_millis(65));
    assert_eq!(bench.sent.len(), 0, "the debounce time is not over");
    bench.pass(Duration::from_secs(600));
    assert_eq!(bench.sent_on(LINK).len(), 1);
    bench.board.handle_level(false, bench.now);
    bench
        .board
        .handle_level(true, bench.now + Duration::from_millis(3));
    bench
        .board
        .handle_level(false, bench.now + Duration::from_millis(6));
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.sent_on(LINK).len(), 1);
}

#[test]
fn the_light_of_a_subscriber_follows_the_link() {
    let mut bench = Bench::connected(&[("role", "subscriber")]);
    bench.message(LINK, "ON");
    assert_eq!(leds(&bench), [true]);
    assert_eq!(bench.notices, [Notice::Light(true)]);
    assert_eq!(bench.sent_on(LED), ["ON qos0 retain"]);
    bench.message(LINK, "ON");
    bench.message(LINK, "OFF");
    assert_eq!(leds(&bench), [true, false]);
    assert!(!bench.board.light());
}

#[test]
fn messages_that_come_together_are_shown_one_by_one() {
    let mut bench = Bench::connected(&[("role", "subscriber"), ("topics", "none")]);
    let mut len = 0;
    for payload in [&b"ON"[..], b"OFF", b"ON", b"OFF", b"ON"] {
        let topic = declic_mqtt::TopicName::new(LINK).unwrap();
        let packet = Packet::Publish(Publish::new(topic, payload));
        let space = &mut bench.board.rx_space()[len..];
        len += packet
            .encode(declic_mqtt::ProtocolVersion::V5, space)
            .unwrap();
    }
    bench.board.received(len, bench.now);
    bench.drive();
    assert_eq!(leds(&bench), [true, false, true, false, true]);
    assert_eq!(bench.notices.len(), 5);
}

#[test]
fn the_light_of_a_publisher_does_not_follow_the_link() {
    let mut bench = Bench::connected(&[("role", "publisher")]);
    bench.message(LINK, "ON");
    assert_eq!(leds(&bench), []);
    assert_eq!(bench.board.link_state(), Some(true));
}

#[test]
fn a_press_of_a_subscriber_sends_nothing_on_the_link() {
    let mut bench = Bench::connected(&[("role", "subscriber")]);
    bench.press();
    assert_eq!(bench.sent_on(LINK).len(), 0);
    assert_eq!(bench.sent_on(BUTTON).len(), 1);
    assert_eq!(
        bench.notices,
        [Notice::Pressed {
            count: 1,
            kind: PressKind::Press,
            sends: None
        }]
    );
}

#[test]
fn a_press_changes_the_state_that_was_there_before_the_board() {
    let mut bench = Bench::connected(&[("role", "publisher")]);
    bench.retained(LINK, "ON");
    bench.press();
    assert_eq!(bench.sent_on(LINK), ["OFF qos1 retain id2"]);
}

#[test]
fn publishers_of_one_link_stay_in_step() {
    let mut bench = Bench::connected(&[("role", "publisher"), ("topics", "none")]);
    bench.press();
    bench.message(LINK, "OFF");
    bench.press();
    assert_eq!(
        bench.sent_on(LINK),
        ["ON qos1 retain id2", "ON qos1 retain id3"]
    );
}

#[test]
fn the_own_light_of_a_board_with_both_roles_follows_its_own_button_at_once() {
    for version in ["5", "3.1.1"] {
        let mut bench = Bench::connected(&[("role", "both"), ("mqtt", version)]);
        bench.answers.publish = false;
        bench.press();
        assert_eq!(leds(&bench), [true]);
        bench.press();
        assert_eq!(leds(&bench), [true, false]);
    }
}

#[test]
fn the_own_echo_in_3_1_1_is_not_followed() {
    let mut bench = Bench::connected(&[V3, ("topics", "none")]);
    bench.answers.publish = false;
    bench.press();
    bench.press();
    assert_eq!(
        bench.sent_on(LINK),
        ["ON qos1 retain id2", "OFF qos1 retain id3"]
    );
    // The broker sends the first message back when the second is on the way already.
    bench.acknowledge(2);
    bench.message(LINK, "ON");
    assert_eq!(bench.board.link_state(), Some(false));
    assert_eq!(leds(&bench), [true, false]);
    bench.message(LINK, "OFF");
    bench.acknowledge(3);
    assert_eq!(leds(&bench), [true, false]);
    bench.press();
    assert_eq!(bench.sent_on(LINK).last(), Some(&"ON qos1 retain id4"));
    assert_eq!(
        bench.sent_kinds("SUBSCRIBE"),
        0,
        "the last echo was the own state"
    );
}

#[test]
fn the_own_echo_of_a_message_without_acknowledgement_is_not_followed() {
    let mut bench = Bench::connected(&[V3, ("qos", "0"), ("topics", "none")]);
    bench.press();
    bench.press();
    bench.message(LINK, "ON");
    assert_eq!(bench.board.link_state(), Some(false));
    bench.message(LINK, "OFF");
    bench.pass(Duration::from_secs(2));
    assert_eq!(leds(&bench), [true, false]);
    bench.message(LINK, "ON");
    assert_eq!(
        bench.board.link_state(),
        Some(true),
        "that was somebody else"
    );
}

#[test]
fn waiting_for_an_echo_ends_with_the_connection_too() {
    let mut bench = Bench::connected(&[V3, ("qos", "0"), ("topics", "none")]);
    bench.press();
    bench.board.handle_link(false, bench.now);
    bench.drive();
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.board.poll_timeout(), None);
}

#[test]
fn a_press_at_the_same_time_as_anothers_is_settled_by_the_broker() {
    for version in ["5", "3.1.1"] {
        let mut bench = Bench::connected(&[("mqtt", version), ("topics", "none")]);
        bench.answers.publish = false;
        bench.press();
        bench.message(LINK, "OFF");
        assert!(
            bench.board.light(),
            "not while the own message is on the way"
        );
        bench.acknowledge(2);
        assert_eq!(bench.sent_kinds("SUBSCRIBE esp32/data"), 1);
        bench.retained(LINK, "OFF");
        assert!(!bench.board.light());
        bench.press();
        assert_eq!(bench.sent_on(LINK).last(), Some(&"ON qos1 retain id4"));
    }
}

#[test]
fn without_retained_state_the_last_message_decides_in_3_1_1() {
    let mut bench = Bench::connected(&[V3, ("retain", "off"), ("topics", "none")]);
    bench.answers.publish = false;
    bench.press();
    bench.message(LINK, "ON");
    bench.message(LINK, "OFF");
    bench.acknowledge(2);
    assert!(!bench.board.light());
    assert_eq!(bench.sent_kinds("SUBSCRIBE"), 0);
}

#[test]
fn presses_while_offline_are_one_message_with_the_newest_state_and_all_events() {
    let mut bench = Bench::new(&[]);
    for _ in 0..3 {
        bench.press();
    }
    assert!(bench.board.has_unsent());
    assert_eq!(leds(&bench), [false, true, false, true]);
    bench.effects.push(Effect::OpenTransport);
    bench.open_transport();
    assert_eq!(bench.sent_on(LINK), ["ON qos1 retain id1"]);
    assert_eq!(
        bench.sent_on(BUTTON),
        (1..=3)
            .map(|n| {
                let boot = bench.board.boot();
                format!(
                    r#"{{"event_type":"press","count":{n},"boot":{boot}}} qos1 id{}"#,
                    n + 2
                )
            })
            .collect::<Vec<_>>()
    );
    assert!(!bench.board.has_unsent());
}

#[test]
fn events_of_more_than_32_presses_offline_are_given_up_oldest_first() {
    let mut bench = Bench::new(&[]);
    for _ in 0..40 {
        bench.press();
    }
    assert_eq!(bench.board.dropped_events(), 8);
    bench.effects.push(Effect::OpenTransport);
    bench.open_transport();
    let events = bench.sent_on(BUTTON);
    assert_eq!(events.len(), 32);
    assert!(events[0].contains(r#""count":9,"#), "{}", events[0]);
    assert!(events[31].contains(r#""count":40,"#), "{}", events[31]);
    assert_eq!(bench.sent_on(LINK), ["OFF qos1 retain id1"]);
}

#[test]
fn presses_that_the_broker_does_not_acknowledge_end_in_the_newest_state() {
    let mut bench = Bench::connected(&[("topics", "none")]);
    bench.answers.publish = false;
    for _ in 0..101 {
        bench.press();
    }
    let sent = bench.sent_on(LINK).len();
    assert!((8..100).contains(&sent), "{sent}");
    bench.answers.publish = true;
    bench.acknowledge(2);
    assert_eq!(bench.sent_on(LINK).len(), sent + 1);
    assert!(bench.sent_on(LINK).last().unwrap().starts_with("ON "));
}

#[test]
fn a_press_that_was_not_acknowledged_is_sent_again_after_the_loss() {
    for (version, present) in [("5", true), ("5", false), ("3.1.1", false)] {
        let mut bench = Bench::connected(&[("mqtt", version), ("topics", "none")]);
        bench.answers.publish = false;
        bench.press();
        bench.answers.publish = true;
        bench.answers.session_present = present;
        bench.reconnect();
        let dup = if present { " dup" } else { "" };
        let again = format!("ON qos1 retain{dup} id2");
        assert_eq!(bench.sent_on(LINK), ["ON qos1 retain id2", &again]);
        assert!(!bench.board.has_unsent());
    }
}

#[test]
fn the_newest_state_follows_what_is_sent_again() {
    let mut bench = Bench::connected(&[("topics", "none")]);
    bench.answers.publish = false;
    bench.press();
    bench.close();
    bench.press();
    bench.press();
    bench.press();
    bench.answers.publish = true;
    bench.wait_for_attempt();
    bench.open_transport();
    assert_eq!(
        bench.sent_on(LINK),
        [
            "ON qos1 retain id2",
            "ON qos1 retain id2",
            "OFF qos1 retain id3"
        ]
    );
}

#[test]
fn an_older_state_from_the_broker_does_not_undo_a_press_made_offline() {
    let mut bench = Bench::connected(&[("topics", "none")]);
    bench.retained(LINK, "ON");
    bench.close();
    bench.press();
    bench.answers.publish = false;
    bench.wait_for_attempt();
    bench.open_transport();
    bench.retained(LINK, "ON");
    assert_eq!(bench.board.link_state(), Some(false));
    assert!(bench.sent_on(LINK).last().unwrap().starts_with("OFF"));
}

#[test]
fn a_state_that_the_broker_lost_is_told_again_and_one_that_it_has_is_not() {
    for (version, present, retained, again) in [
        ("5", false, None, Some("ON qos1 retain")),
        ("3.1.1", false, None, Some("ON qos1 retain")),
        // Another board has pressed meanwhile.
        ("5", false, Some("OFF"), None),
        ("5", false, Some("ON"), None),
        // Somebody has taken it away: the broker lost nothing.
        ("5", true, None, None),
    ] {
        let mut bench = Bench::connected(&[("mqtt", version), ("topics", "none")]);
        bench.press();
        bench.pass(Duration::from_secs(2));
        bench.answers.session_present = present;
        bench.reconnect();
        bench.forget();
        if let Some(state) = retained {
            bench.retained(LINK, state);
        }
        bench.pass(Duration::from_secs(10));
        let sent = bench.sent_on(LINK);
        assert_eq!(sent.len(), usize::from(again.is_some()), "{sent:?}");
        assert!(again.is_none_or(|again| sent[0].starts_with(again)));
        assert!(!bench.board.has_unsent());
    }
}

#[test]
fn only_a_board_that_publishes_and_knows_the_state_tells_it_again() {
    for settings in [
        &[("role", "subscriber")][..],
        &[("role", "both"), ("retain", "off")],
    ] {
        let mut bench = Bench::connected(settings);
        bench.message(LINK, "ON");
        bench.reconnect();
        bench.forget();
        bench.pass(Duration::from_secs(10));
        assert_eq!(bench.sent_on(LINK), [""; 0], "{settings:?}");
    }
    let mut new = Bench::connected(&[]);
    new.pass(Duration::from_secs(10));
    assert_eq!(new.sent_on(LINK), [""; 0]);
}

#[test]
fn a_connection_that_ends_before_the_broker_has_told_its_state_tells_nothing_by_itself() {
    let mut bench = Bench::connected(&[("topics", "none")]);
    bench.message(LINK, "ON");
    bench.reconnect();
    bench.close();
    bench.forget();
    bench.wait_for_attempt();
    bench.pass(Duration::from_secs(5));
    assert!(!bench.board.has_unsent());
}

#[test]
fn a_payload_that_is_neither_on_nor_off_changes_nothing() {
    let mut bench = Bench::connected(&[("role", "subscriber")]);
    bench.message(LINK, "purple");
    assert_eq!(bench.notices, [Notice::NotUnderstood]);
    bench.message(LINK, "");
    assert_eq!(bench.notices.len(), 1);
    assert_eq!(bench.effects, []);
    let long = "ON".repeat(60);
    bench.message(LINK, &long);
    assert_eq!(bench.notices.len(), 2);
}

#[test]
fn the_led_can_be_set_on_its_own_topic() {
    let mut bench = Bench::connected(&[("role", "publisher")]);
    bench.message(LED_SET, "on");
    bench.message(LED_SET, "TOGGLE");
    bench.message(LED_SET, "TOGGLE");
    bench.message(LED_SET, "blue");
    assert_eq!(leds(&bench), [true, false, true]);
    assert_eq!(
        bench.sent_on(LED),
        ["ON qos0 retain", "OFF qos0 retain", "ON qos0 retain"]
    );
    assert_eq!(bench.notices.last(), Some(&Notice::NotUnderstood));
    assert_eq!(bench.board.link_state(), None);
}

#[test]
fn a_retained_toggle_is_ignored_and_a_retained_state_is_not() {
    let mut bench = Bench::connected(&[]);
    bench.retained(LED_SET, "TOGGLE");
    assert_eq!(bench.effects, []);
    bench.retained(LED_SET, "ON");
    assert_eq!(bench.effects, [Effect::SetLed(true)]);
}

#[test]
fn the_setting_topics_leaves_out_the_boards_own_topics() {
    for (topics, expected) in [("status", vec![STATUS]), ("none", vec![])] {
        let mut bench = Bench::new(&[("topics", topics)]);
        bench.open_transport();
        bench.press();
        bench.message(LED_SET, "ON");
        let own: Vec<_> = bench
            .sent
            .iter()
            .filter_map(|line| line.strip_prefix("PUBLISH ")?.split(' ').next())
            .filter(|topic| topic.starts_with("declic/"))
            .collect();
        assert_eq!(own, expected);
        assert!(
            bench
                .sent
                .contains(&"SUBSCRIBE esp32/data qos1 no-local".into())
        );
        assert_eq!(bench.sent_on(LINK).len(), 1);
    }
}

#[test]
fn a_pair_has_its_own_link() {
    let mut bench = Bench::connected(&[("pair", "table-7")]);
    bench.message(LINK, "ON");
    assert_eq!(bench.board.link_state(), None);
    bench.message("esp32/data/table-7", "ON");
    assert_eq!(bench.board.link_state(), Some(true));
    bench.press();
    assert_eq!(bench.sent_on("esp32/data/table-7").len(), 1);
    assert_eq!(bench.sent_on(LINK).len(), 0);
}

#[test]
fn a_broker_without_retained_messages_and_acknowledgements_gets_what_it_can_take() {
    let mut bench = Bench::new(&[]);
    bench.answers.poor = true;
    bench.open_transport();
    bench.press();
    assert_eq!(bench.sent_on(LINK), ["ON qos0"]);
    assert_eq!(bench.sent_on(STATUS), ["online qos0"]);
    assert!(
        !bench
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::PublishRefused(_)))
    );
}

#[test]
fn a_message_that_the_broker_refuses_is_reported() {
    let mut bench = Bench::connected(&[("topics", "none")]);
    bench.answers.publish = false;
    bench.press();
    bench.forget();
    let id = declic_mqtt::PacketId::new(2).unwrap();
    let ack = Ack {
        reason: ReasonCode::NotAuthorized,
        ..Ack::new(id)
    };
    bench.say(&Packet::PubAck(ack));
    assert_eq!(
        bench.notices,
        [Notice::PublishRefused(ReasonCode::NotAuthorized)]
    );
    assert!(!bench.board.has_unsent());
}

#[test]
fn a_board_with_all_its_memory_takes_less_than_seven_kilobytes() {
    let board = size_of::<crate::Board<'_>>();
    let storage = size_of::<crate::Storage>();
    assert!(board + storage < 7_168, "{board} + {storage} bytes");
    assert!(
        storage < 1_700,
        "as its documentation says: {storage} bytes"
    );
}
