//! Starts, missing settings, and the factory reset by the button.

use core::time::Duration;

use super::bench::{Bench, LINK};
use crate::flash::Loaded;
use crate::{Effect, Key, Measured, Notice, RestartReason, Start, StoreError};

#[test]
fn a_start_is_logged_with_its_reason_and_what_was_broken() {
    let mut bench = Bench::connected(&[]);
    let mut loaded = Loaded::default();
    loaded.broken.insert(Key::Port);
    let start = Start {
        boots: Some(3),
        settings: Ok(loaded),
        ..Start::new("ESP32-C3", RestartReason::Panic("src/main.rs:7"))
    };
    bench.board.handle_start(start, bench.now);
    bench.drive();
    assert_eq!(
        bench.log(),
        [
            concat!(
                "info: Declic ",
                env!("CARGO_PKG_VERSION"),
                " on ESP32-C3, board 0a0b0c0d0e0f"
            ),
            "warn: start 3: panic at src/main.rs:7",
            "warn: the stored port was broken: it has its default",
        ]
    );
    bench.forget();
    let start = Start {
        settings: Err(StoreError::Format),
        ..Start::new("ESP32-C3", RestartReason::Watchdog)
    };
    bench.board.handle_start(start, bench.now);
    bench.drive();
    assert_eq!(bench.log()[1], "warn: start: watchdog");
    assert_eq!(
        bench.log()[2],
        "error: the flash holds settings of another version: all settings have their defaults"
    );
}

#[test]
fn a_board_without_settings_says_every_minute_what_to_type() {
    let mut bench = Bench::new(&[("broker", ""), ("log-level", "error")]);
    let start = Start {
        has_wifi: true,
        ..Start::new("ESP32-C3", RestartReason::PowerOn)
    };
    bench.board.handle_start(start, bench.now);
    bench.drive();
    let hint = [
        "info: This board needs settings. Type these lines, with your own words:",
        "info:   set wifi-ssid NAME-OF-YOUR-WIFI",
        "info:   set wifi-password PASSWORD-OF-YOUR-WIFI",
        "info:   set broker ADDRESS-OF-YOUR-COMPUTER",
        "info:   set role publisher",
        "info:   save",
        "info:   restart",
    ];
    assert_eq!(bench.log(), hint);
    bench.pass(Duration::from_secs(59));
    assert_eq!(bench.log().len(), 7);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.log().len(), 14);
    bench.types("");
    assert_eq!(bench.log().len(), 21, "and when somebody is there");
    bench.types("set wifi-ssid MyNet");
    bench.types("set broker 192.168.1.20");
    bench.pass(Duration::from_secs(600));
    assert_eq!(bench.log().len(), 21);
}

#[test]
fn info_has_what_the_machine_knows_and_nothing_that_it_does_not() {
    let mut bench = Bench::new(&[]);
    let start = Start {
        boots: Some(3),
        ..Start::new("ESP32-C3", RestartReason::Panic(r#"src\"main.rs:7"#))
    };
    bench.board.handle_start(start, bench.now);
    let measured = Measured {
        address: Some([192, 168, 1, 50].into()),
        rssi: Some(-61),
        free_memory: None,
    };
    bench.board.handle_measured(measured, bench.now);
    bench.open_transport();
    let info = bench.sent_on("declic/0a0b0c0d0e0f/info");
    assert_eq!(
        info,
        [concat!(
            r#"{"role":"both","version":""#,
            env!("CARGO_PKG_VERSION"),
            r#"","mqtt":"5.0","uptime":0,"reconnects":0,"presses":0,"dropped":0,"offline":0,"#,
            r#""address":"192.168.1.50","rssi":-61,"chip":"ESP32-C3","boots":3,"restart":"panic at src\\\"main.rs:7"} "#,
            "qos0 retain"
        )]
    );
    assert!(
        bench
            .log()
            .contains(&"info: the board's address is 192.168.1.50")
    );
}

#[test]
fn the_longest_info_is_sent_whole() {
    let mut bench = Bench::new(&[("role", "subscriber")]);
    let place = "x".repeat(200).leak();
    let start = Start {
        boots: Some(u32::MAX),
        ..Start::new(
            "a chip with a name that is too long",
            RestartReason::Panic(place),
        )
    };
    bench.board.handle_start(start, bench.now);
    let measured = Measured {
        address: Some([200; 4].into()),
        rssi: Some(-128),
        free_memory: Some(u32::MAX),
    };
    bench.board.handle_measured(measured, bench.now);
    bench.now = bench.now + Duration::from_secs(1_000_000_000);
    bench.board.handle_timeout(bench.now);
    bench.drive();
    bench.effects.clear();
    bench.wait_for_attempt();
    bench.open_transport();
    let info = bench.sent_on("declic/0a0b0c0d0e0f/info");
    assert!(info[0].ends_with(r#"xxx"} qos0 retain"#), "{info:?}");
}

/// A board whose button is held from 0 s to 11 s; the LED blinks.
fn held() -> Bench {
    let mut bench = Bench::connected(&[]);
    bench.board.handle_level(false, bench.now);
    bench.pass(Duration::from_secs(1));
    level(&mut bench, true);
    bench.pass(Duration::from_millis(10_049));
    assert!(!bench.board.is_confirming_reset());
    bench.pass(Duration::from_millis(1));
    assert!(bench.board.is_confirming_reset());
    bench.pass(Duration::from_secs(1));
    level(&mut bench, false);
    bench.pass(Duration::from_millis(100));
    bench
}

fn level(bench: &mut Bench, closed: bool) {
    bench.board.handle_level(closed, bench.now);
    bench.drive();
}

#[test]
fn held_for_ten_seconds_and_pressed_again_the_button_forgets_all_settings() {
    let mut bench = held();
    assert_eq!(bench.sent_on(LINK).len(), 1, "the first press is one");
    let toggles = |effect: &&Effect| matches!(effect, Effect::SetLed(_));
    assert!(
        bench.effects.iter().filter(toggles).count() > 8,
        "the LED blinks"
    );
    level(&mut bench, true);
    bench.pass(Duration::from_millis(50));
    assert_eq!(bench.board.presses(), 1, "the second press is none");
    assert_eq!(bench.sent_on(LINK).len(), 1);
    let Some(Effect::EraseSettings { ticket }) = bench.effects.pop() else {
        panic!("{:?}", bench.effects);
    };
    bench.board.handle_stored(ticket, Ok(()), bench.now);
    bench.drive();
    assert!(bench.effects.contains(&Effect::Restart));
    assert!(bench.notices.contains(&Notice::Stopped));
}

#[test]
fn who_lets_go_changes_nothing_and_the_light_is_as_before() {
    let mut bench = held();
    assert!(bench.board.light());
    bench.pass(Duration::from_secs(5));
    assert!(!bench.board.is_confirming_reset());
    let shown = bench.effects.iter().rev().find_map(|effect| match effect {
        Effect::SetLed(on) => Some(*on),
        _ => None,
    });
    assert_eq!(shown, Some(true));
    level(&mut bench, true);
    bench.pass(Duration::from_millis(50));
    assert_eq!(bench.board.presses(), 2, "this is a press again");
    assert!(
        !bench
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::EraseSettings { .. }))
    );
}

#[test]
fn the_setting_switches_the_gesture_off() {
    let mut bench = Bench::connected(&[("factory-reset-button", "off")]);
    level(&mut bench, false);
    level(&mut bench, true);
    bench.pass(Duration::from_secs(60));
    assert!(!bench.board.is_confirming_reset());
    assert_eq!(bench.board.presses(), 1);
}

#[test]
fn a_failed_factory_reset_is_logged_and_the_board_goes_on() {
    let mut bench = held();
    level(&mut bench, true);
    bench.pass(Duration::from_millis(50));
    let Some(Effect::EraseSettings { ticket }) = bench.effects.pop() else {
        panic!("{:?}", bench.effects);
    };
    bench
        .board
        .handle_stored(ticket, Err(StoreError::Flash), bench.now);
    bench.drive();
    assert_eq!(
        bench.log().last().unwrap(),
        &"error: the settings could not be forgotten: the flash does not work"
    );
    assert!(bench.board.is_connected());
}
