//! The board and Home Assistant.

use std::collections::BTreeSet;
use std::string::String;
use std::vec::Vec;

use core::num::NonZeroU32;
use core::time::Duration;

use declic_mqtt::packet::{Delivery, Packet, Publish};
use declic_mqtt::{PacketId, TopicName};

use super::bench::{BUTTON, Bench, LED, LED_SET, LINK, STATUS};
use super::console::store_all;
use crate::{Effect, Key, Notice};

const CONFIG: &str = "homeassistant/device/declic_0a0b0c0d0e0f/config";
const STARTED: &str = "homeassistant/status";
const INFO: &str = "declic/0a0b0c0d0e0f/info";
const RESTART: &str = "declic/0a0b0c0d0e0f/restart";
const ON: (&str, &str) = ("home-assistant", "on");
/// The last words of an announcement.
const END: &str = r#""pl_prs":"restart"}}}"#;

/// A board that connects, with all that this takes in [`Bench::sent`].
fn connecting(settings: &[(&str, &str)]) -> Bench {
    let mut bench = Bench::new(settings);
    bench.open_transport();
    bench
}

/// The topics on which something was sent.
fn topics(bench: &Bench) -> Vec<&str> {
    let lines = bench.sent.iter();
    lines
        .filter_map(|line| line.strip_prefix("PUBLISH ")?.split(' ').next())
        .collect()
}

/// The one announcement that was sent, which ends with `flags`.
#[track_caller]
fn announced<'a>(bench: &'a Bench, flags: &str) -> &'a str {
    let sent = bench.sent_on(CONFIG);
    assert_eq!(sent.len(), 1, "{sent:?}");
    let document = sent[0].strip_suffix(flags).expect("the flags");
    assert!(
        document.starts_with(r#"{"dev":{"ids":"declic_0a0b0c0d0e0f""#) && document.ends_with(END)
    );
    document
}

#[test]
fn a_board_announces_itself_retained_when_it_connects_after_all_else() {
    let bench = connecting(&[ON, ("name", "the \"lamp\" é")]);
    assert_eq!(topics(&bench), [STATUS, LED, INFO, CONFIG]);
    let document = announced(&bench, " qos0 retain");
    assert!(
        document.contains(r#""name":"the \"lamp\" é""#),
        "{document}"
    );
    let subscribed = bench.sent.iter().find(|line| line.starts_with("SUBSCRIBE"));
    let subscribed = subscribed.expect("it listens");
    for topic in [LED_SET, RESTART, STARTED] {
        assert!(subscribed.contains(topic), "{subscribed}");
    }
}

#[test]
fn nobody_notices_who_does_not_want_it() {
    let bench = connecting(&[]);
    assert_eq!(topics(&bench), [STATUS, LED, INFO]);
    let all = bench.sent.join("\n");
    assert!(
        !all.contains("homeassistant") && !all.contains(RESTART),
        "{all}"
    );
}

#[test]
fn the_prefix_is_a_setting() {
    let bench = connecting(&[ON, ("home-assistant-prefix", "ha")]);
    let topic = "ha/device/declic_0a0b0c0d0e0f/config";
    assert_eq!(bench.sent_on(topic).len(), 1);
    assert!(bench.sent.iter().any(|line| line.contains(" ha/status ")));
}

#[test]
fn when_home_assistant_starts_a_board_says_it_again_after_a_while_and_then_its_states() {
    let mut bench = Bench::connected(&[ON]);
    bench.message(STARTED, "online");
    bench.pass(Duration::from_millis(999));
    assert!(topics(&bench).is_empty());
    bench.pass(Duration::from_millis(9_001));
    assert_eq!(topics(&bench), [CONFIG, STATUS, LED, INFO]);
    bench.forget();
    bench.pass(Duration::from_secs(60));
    assert!(bench.sent_on(CONFIG).is_empty(), "once is enough");
}

#[test]
fn boards_wait_for_different_times() {
    let mut waits = BTreeSet::new();
    let mut bench = Bench::connected(&[ON]);
    for _ in 0..20 {
        bench.forget();
        bench.message(STARTED, "online");
        let before = bench.now;
        while bench.sent_on(CONFIG).is_empty() {
            bench.pass(Duration::from_millis(100));
        }
        waits.insert(bench.now.since(before).as_millis());
    }
    assert!(waits.len() > 10, "{waits:?}");
}

#[test]
fn what_is_no_start_of_home_assistant_is_ignored() {
    let mut bench = Bench::connected(&[ON]);
    // It was announced when the board connected, after this was retained.
    bench.retained(STARTED, "online");
    bench.message(STARTED, "offline");
    bench.message(STARTED, "");
    bench.message("homeassistant/other", "online");
    bench.pass(Duration::from_secs(20));
    assert!(topics(&bench).is_empty(), "{:?}", bench.sent);
}

/// A board that begins its announcement; nothing of it is sent.
fn announcing() -> Bench {
    let mut bench = Bench::connected(&[ON]);
    bench.message(STARTED, "online");
    let later = bench.now + Duration::from_secs(10);
    bench.now = later;
    bench.board.handle_timeout(later);
    bench
}

/// The transport takes what the board has, in pieces of `size` bytes, up to `limit` bytes. The
/// broker answers nothing.
fn write(bench: &mut Bench, size: usize, limit: usize) -> Vec<u8> {
    let mut sent = Vec::new();
    while sent.len() < limit {
        let bytes = bench.board.transmit();
        let len = bytes.len().min(size).min(limit - sent.len());
        sent.extend_from_slice(&bytes[..len]);
        bench.board.transmitted(len, bench.now);
        while bench.board.poll_effect().is_some() {}
        if len == 0 {
            break;
        }
    }
    sent
}

/// Where in `bytes` that text begins.
#[track_caller]
fn place(bytes: &[u8], text: &str) -> usize {
    let mut windows = bytes.windows(text.len());
    let found = windows.position(|window| window == text.as_bytes());
    found.unwrap_or_else(|| panic!("no {text}"))
}

#[test]
fn a_press_within_the_announcement_goes_out_right_behind_it() {
    for size in [1, 7, 128, 1_000] {
        let mut bench = announcing();
        // The transport takes a part of it, and then nothing for a while.
        let mut all = write(&mut bench, size, 700);
        assert_eq!(all.len(), 700);
        bench.board.press(bench.now);
        assert!(bench.board.light(), "a press does not wait");
        bench
            .board
            .handle_timeout(bench.now + Duration::from_secs(3));
        all.extend(write(&mut bench, size, usize::MAX));
        let behind = &all[place(&all, END) + END.len()..];
        // First of all: only the header of its packet is before it.
        assert!(place(behind, LINK) < 8, "{size}");
        place(behind, BUTTON);
        place(behind, STATUS);
    }
}

#[test]
fn an_announcement_that_was_cut_is_made_again() {
    let mut bench = announcing();
    let cut = write(&mut bench, 50, 900);
    place(&cut, CONFIG);
    bench.forget();
    bench.reconnect();
    announced(&bench, " qos0 retain");
}

#[test]
fn a_board_shuts_down_behind_its_announcement() {
    let mut bench = announcing();
    let mut all = write(&mut bench, 50, 600);
    bench.board.shut_down(bench.now);
    all.extend(write(&mut bench, 50, usize::MAX));
    let behind = &all[place(&all, END) + END.len()..];
    // DISCONNECT ends it.
    assert_eq!(behind.last_chunk(), Some(&[0xe0, 0]));
}

#[test]
fn switched_off_it_is_taken_back_once_and_that_is_remembered() {
    let mut bench = Bench::connected(&[ON]);
    assert_eq!(
        bench.types("set home-assistant off")[1],
        "ok: type save, and restart to use it"
    );
    assert_eq!(
        bench.types("get home-assistant")[1],
        "home-assistant=leaving"
    );
    bench.types("save");
    assert_eq!(
        store_all(&mut bench, Ok(())),
        [(Key::HomeAssistant, String::from("leaving"))]
    );

    // After the restart.
    let mut bench = connecting(&[("home-assistant", "leaving")]);
    assert_eq!(bench.sent_on(CONFIG), [" qos1 retain id2"]);
    assert_eq!(
        store_all(&mut bench, Ok(())),
        [(Key::HomeAssistant, String::from("off"))]
    );
    bench.forget();
    bench.reconnect();
    assert!(bench.sent_on(CONFIG).is_empty());
}

#[test]
fn what_was_not_acknowledged_is_taken_back_on_the_next_connection() {
    let mut bench = Bench::new(&[("home-assistant", "leaving")]);
    bench.answers.publish = false;
    bench.open_transport();
    assert!(store_all(&mut bench, Ok(())).is_empty());
    bench.answers.publish = true;
    bench.forget();
    bench.reconnect();
    assert_eq!(bench.sent_on(CONFIG).len(), 1);
    assert_eq!(store_all(&mut bench, Ok(())).len(), 1);
}

#[test]
fn switched_on_again_it_does_not_leave() {
    let mut bench = Bench::connected(&[ON]);
    bench.types("set home-assistant off");
    bench.types("set home-assistant on");
    assert_eq!(bench.types("get home-assistant")[1], "home-assistant=on");
    // One that never was there has nothing to take back.
    let mut bench = Bench::connected(&[]);
    bench.types("set home-assistant off");
    assert_eq!(bench.types("get home-assistant")[1], "home-assistant=off");
}

#[test]
fn without_its_topics_a_board_is_none_of_home_assistants() {
    let bench = connecting(&[ON, ("topics", "status")]);
    assert_eq!(topics(&bench), [STATUS, CONFIG]);
    assert!(bench.sent_on(CONFIG)[0].starts_with(" qos1 retain"));
}

#[test]
fn a_factory_reset_takes_it_back_before_the_restart() {
    let mut bench = Bench::connected(&[ON]);
    bench.types("factory-reset");
    let Some(Effect::EraseSettings { ticket }) = bench.effects.pop() else {
        panic!("{:?}", bench.effects);
    };
    bench.board.handle_stored(ticket, Ok(()), bench.now);
    bench.drive();
    assert_eq!(topics(&bench), [CONFIG, STATUS]);
    assert!(bench.sent_on(CONFIG)[0].starts_with(" qos1 retain"));
    assert!(store_all(&mut bench, Ok(())).is_empty(), "all is forgotten");
    bench.close();
    bench.pass(Duration::from_secs(2));
    assert!(bench.effects.contains(&Effect::Restart));
}

#[test]
fn a_message_restarts_the_board_but_not_one_that_is_retained_or_sent_again() {
    let mut bench = Bench::connected(&[ON]);
    bench.retained(RESTART, "restart");
    let again = Publish {
        dup: true,
        delivery: Delivery::AtLeastOnce(PacketId::new(7).expect("not zero")),
        ..Publish::new(TopicName::new(RESTART).expect("a topic"), b"restart")
    };
    bench.say(&Packet::Publish(again));
    bench.pass(Duration::from_secs(5));
    assert!(bench.effects.is_empty() && bench.notices.is_empty());
    bench.message(RESTART, "PRESS");
    assert_eq!(bench.notices, [Notice::NotUnderstood]);
    bench.message(RESTART, "restart");
    bench.close();
    bench.pass(Duration::from_secs(2));
    assert!(bench.effects.contains(&Effect::Restart));
}

#[test]
fn a_broker_that_can_not_take_it_is_no_hindrance() {
    // Neither retained messages nor QoS 1.
    let mut bench = Bench::new(&[ON]);
    bench.answers.poor = true;
    bench.open_transport();
    announced(&bench, " qos0");
    // Nor messages of that size.
    let mut bench = Bench::new(&[ON]);
    bench.answers.packet_size = NonZeroU32::new(600);
    bench.open_transport();
    assert!(bench.sent_on(CONFIG).is_empty());
    let refused = |notice: &Notice| matches!(notice, Notice::PublishRefused(_));
    assert!(bench.notices.iter().any(refused), "{:?}", bench.notices);
    bench.press();
    assert_eq!(bench.sent_on(LINK).len(), 1);
    assert_eq!(bench.board.dropped_events(), 0);
}

#[test]
fn any_name_makes_a_document() {
    for name in ["\"", "\\", "@i", "Küche \u{1F4A1}", "{{ 1 }}"] {
        announced(&connecting(&[ON, ("name", name)]), " qos0 retain");
    }
}
