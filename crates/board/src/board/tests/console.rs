//! The board at its console.

use std::format;
use std::string::String;
use std::vec::Vec;

use core::time::Duration;

use proptest::prelude::*;

use super::bench::{Bench, LED, LINK};
use crate::{Effect, FoundNetwork, Key, Measured, RestartReason, ScanError, Start, StoreError};

/// Does what the effects ask of the flash, and returns what was stored.
pub fn store_all(bench: &mut Bench, result: Result<(), StoreError>) -> Vec<(Key, String)> {
    let mut stored = Vec::new();
    while let Some(index) = bench
        .effects
        .iter()
        .position(|effect| matches!(effect, Effect::Store { .. }))
    {
        let Effect::Store { ticket, key } = bench.effects.remove(index) else {
            unreachable!();
        };
        let value = bench.board.edited().value(key);
        stored.push((key, String::from(value.as_str())));
        bench.board.handle_stored(ticket, result, bench.now);
        bench.drive();
    }
    stored
}

#[test]
fn an_answer_begins_with_the_command_and_ends_with_ok_or_error() {
    let mut bench = Bench::connected(&[]);
    assert_eq!(bench.types("get role"), ["> get role", "role=both", "ok"]);
    assert_eq!(
        bench.types("set role lamp"),
        [
            "> set role lamp",
            "error: role can't be `lamp`: it is publisher, subscriber or both"
        ]
    );
    assert_eq!(
        bench.types("dance"),
        ["error: there is no command `dance`; type help"]
    );
    assert_eq!(bench.types(""), [] as [&str; 0]);
    assert_eq!(
        bench.types(&"x".repeat(1_000)),
        ["error: a line has 160 bytes at most"]
    );
    let help = bench.types("help");
    assert_eq!(help.len(), 2 + 10);
    assert_eq!(help.last().unwrap(), "ok");
}

#[test]
fn get_lists_every_setting_and_hides_passwords() {
    let mut bench = Bench::new(&[("user", "lamp"), ("password", "hunter2")]);
    let lines = bench.types("get");
    assert_eq!(lines.len(), Key::ALL.len() + 2);
    assert!(lines.contains(&"password=(set)".into()));
    assert!(lines.contains(&"wifi-password=(not set)".into()));
    assert!(lines.contains(&"topic=esp32/data".into()));
    assert!(lines.contains(&"name=".into()));
    bench.types("set wifi-password correcthorse");
    bench.types("status");
    let all = bench.printed.join("\n");
    assert!(
        !all.contains("hunter2") && !all.contains("correcthorse"),
        "{all}"
    );
}

#[test]
fn status_says_how_the_board_is_doing() {
    let mut bench = Bench::connected(&[("name", "kitchen")]);
    let mut start = Start::new("ESP32-C3", RestartReason::PowerOn);
    start.boots = Some(7);
    bench.board.handle_start(start, bench.now);
    let measured = Measured {
        address: Some([192, 168, 1, 50].into()),
        rssi: Some(-61),
        free_memory: Some(40_000),
    };
    bench.board.handle_measured(measured, bench.now);
    bench.press();
    bench.pass(Duration::from_secs(65));
    assert_eq!(
        bench.types("status"),
        [
            "> status",
            "console=1",
            "id=0a0b0c0d0e0f",
            "name=kitchen",
            "role=both",
            concat!("version=", env!("CARGO_PKG_VERSION")),
            "chip=ESP32-C3",
            "address=192.168.1.50",
            "rssi=-61",
            "broker=broker.test:1883",
            "connection=connected",
            "mqtt=5.0",
            "subscribed=yes",
            "light=ON",
            "presses=1",
            "unsent=no",
            "reconnects=0",
            "dropped-events=0",
            "uptime=65",
            "boots=7",
            "restart-reason=power on",
            "free-memory=40000",
            "unsaved=0",
            "offline=0",
            "ok"
        ]
    );
}

#[test]
fn press_and_led_do_what_button_and_message_do() {
    let mut bench = Bench::connected(&[]);
    assert_eq!(bench.types("press"), ["> press", "ok"]);
    assert_eq!(bench.sent_on(LINK).len(), 1);
    assert!(bench.board.light());
    assert_eq!(bench.types("led off"), ["> led off", "ok"]);
    assert!(!bench.board.light());
    assert!(bench.sent_on(LED).last().unwrap().starts_with("OFF"));
    assert_eq!(
        bench.log(),
        ["info: pressed ON", "info: light ON", "info: light OFF"]
    );
}

#[test]
fn settings_change_only_what_is_typed_until_they_are_saved_and_the_board_restarts() {
    let mut bench = Bench::connected(&[]);
    let answer = bench.types("set pair table-7");
    assert_eq!(answer[1], "ok: type save, and restart to use it");
    bench.types("set qos 2");
    assert_eq!(bench.board.settings().value(Key::Pair), "");
    assert_eq!(bench.board.edited().value(Key::Pair), "table-7");
    assert_eq!(bench.types("get pair")[1], "pair=table-7");
    assert_eq!(
        bench.types("restart")[1],
        "error: changes are not saved (2): type save, or restart now to drop them"
    );
    // One at a time is stored, and the answer waits for the last.
    assert_eq!(bench.types("save"), ["> save"]);
    assert_eq!(bench.effects.len(), 1);
    let from = bench.printed.len();
    let stored = store_all(&mut bench, Ok(()));
    assert_eq!(
        stored,
        [(Key::Pair, "table-7".into()), (Key::QoS, "2".into())]
    );
    assert_eq!(bench.printed[from..], ["ok: saved 2; restart to use it"]);
    assert_eq!(bench.types("save")[1], "ok: nothing was changed");
    assert_eq!(bench.types("restart"), ["> restart", "ok"]);
    assert!(bench.effects.contains(&Effect::Restart));
    assert_eq!(bench.sent.last().unwrap(), "DISCONNECT", "it said goodbye");
}

#[test]
fn a_flash_that_fails_is_said_and_what_was_typed_can_be_saved_again() {
    let mut bench = Bench::connected(&[]);
    bench.types("set pair table-7");
    bench.types("save");
    store_all(&mut bench, Err(StoreError::Full));
    assert_eq!(bench.printed.last().unwrap(), "error: the flash is full");
    assert_eq!(bench.board.unsaved().len(), 1);
    bench.types("save");
    assert_eq!(store_all(&mut bench, Ok(())).len(), 1);
    assert!(bench.board.unsaved().is_empty());
}

#[test]
fn restart_now_drops_what_was_not_saved() {
    let mut bench = Bench::connected(&[]);
    bench.types("set pair table-7");
    assert_eq!(bench.types("restart now"), ["> restart now", "ok"]);
    assert!(bench.effects.contains(&Effect::Restart));
}

#[test]
fn a_restart_comes_even_if_neither_broker_nor_console_takes_anything() {
    let mut bench = Bench::connected(&[]);
    bench.types_bytes(b"restart\n");
    bench.effects.clear();
    let mut bench = Bench::connected(&[]);
    bench.prints = false;
    bench.open = false;
    bench.types_bytes(b"restart\n");
    assert!(!bench.effects.contains(&Effect::Restart));
    bench.pass(Duration::from_secs(1));
    assert!(bench.effects.contains(&Effect::Restart));
}

#[test]
fn factory_reset_forgets_all_settings_and_restarts() {
    let mut bench = Bench::connected(&[]);
    assert_eq!(bench.types("factory-reset"), ["> factory-reset"]);
    let Some(Effect::EraseSettings { ticket }) = bench.effects.pop() else {
        panic!("{:?}", bench.effects);
    };
    assert!(!bench.effects.contains(&Effect::Restart));
    bench.board.handle_stored(ticket, Ok(()), bench.now);
    bench.drive();
    assert!(bench.printed.contains(&"ok".into()));
    assert!(bench.effects.contains(&Effect::Restart));
}

#[test]
fn a_log_level_is_used_at_once() {
    let mut bench = Bench::connected(&[]);
    let answer = bench.types("set log-level error");
    assert_eq!(answer[1], "ok: type save to keep it");
    bench.press();
    assert_eq!(bench.log(), [] as [&str; 0]);
    bench.types("set log-level debug");
    bench.press();
    assert_eq!(bench.log(), ["info: pressed OFF", "info: light OFF"]);
}

#[test]
fn a_scan_lists_networks_and_ends() {
    let mut bench = Bench::connected(&[]);
    assert_eq!(bench.types("scan"), ["> scan"]);
    assert_eq!(bench.effects, [Effect::Scan]);
    let network = FoundNetwork {
        ssid: "My Net",
        rssi: -55,
        channel: 6,
        security: "wpa2",
    };
    assert!(bench.board.handle_network(&network));
    let from = bench.printed.len();
    bench.board.handle_scanned(Ok(()), bench.now);
    bench.drive();
    assert_eq!(
        bench.printed[from..],
        ["network rssi=-55 channel=6 security=wpa2 ssid=My Net", "ok"]
    );
    bench.types("scan");
    bench
        .board
        .handle_scanned(Err(ScanError::NoWifi), bench.now);
    bench.drive();
    assert_eq!(
        bench.printed.last().unwrap(),
        "error: this board has no Wi-Fi"
    );
}

#[test]
fn what_the_owner_never_does_is_given_up() {
    let mut bench = Bench::connected(&[]);
    bench.types("scan");
    bench.types_bytes(b"get role\n");
    assert!(
        !bench.printed.contains(&"role=both".into()),
        "one command at a time"
    );
    bench.pass(Duration::from_secs(20));
    let from = bench.printed.len() - 4;
    assert_eq!(
        bench.printed[from..],
        [
            "error: that did not end in time",
            "> get role",
            "role=both",
            "ok"
        ]
    );
}

#[test]
fn nobody_at_the_console_holds_nothing_up() {
    let mut bench = Bench::connected(&[]);
    bench.prints = false;
    bench.types_bytes(b"help\nstatus\nget\n");
    for _ in 0..100 {
        bench.press();
    }
    assert_eq!(bench.sent_on(LINK).len(), 100);
    // Then somebody comes.
    bench.prints = true;
    bench.drive();
    assert_eq!(bench.printed.iter().filter(|line| *line == "ok").count(), 3);
    bench.press();
    let gap = bench
        .log()
        .iter()
        .position(|line| line.ends_with("lines were left out"));
    assert!(gap.is_some(), "{:?}", bench.log());
    assert_eq!(bench.log().last().unwrap(), &"info: light ON");
}

#[test]
fn log_lines_have_a_time_and_a_level_and_help_a_person() {
    let mut bench = Bench::new(&[]);
    bench.board.handle_connect_failed(bench.now);
    bench.drive();
    bench.effects.clear();
    bench.wait_for_attempt();
    bench.open_transport();
    assert_eq!(
        bench.printed[0],
        "[1.000] warn: could not connect: the broker can't be reached (broker.test:1883). \
         Is the broker running, and the board in the same network?"
    );
    assert_eq!(
        bench.log()[2..],
        [
            "info: connected (MQTT 5.0) to broker.test:1883",
            "info: subscribed to esp32/data"
        ]
    );
}

#[test]
fn a_log_line_stays_one_line_whatever_is_in_it() {
    let mut bench = Bench::connected(&[]);
    let text = "a\r\nok\n\u{1b}[2J";
    bench
        .board
        .log(crate::LogLevel::Info, format_args!("{text}"), bench.now);
    bench.drive();
    assert_eq!(bench.log(), ["info: a??ok??[2J"]);
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_print_the_same(
        lines in prop::collection::vec(prop_oneof![
            "(help|status|get|press|led on|save|scan|get role|set name [a-z]{0,9})",
            "\\PC{0,40}",
            ".{0,200}",
        ], 0..12),
        pieces in prop::collection::vec(1..50_usize, 1..40),
        stalls in prop::collection::vec(any::<bool>(), 40),
    ) {
        let bytes: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect();
        let run = |pieces: &[usize], stalls: &[bool]| {
            let mut bench = Bench::connected(&[]);
            let mut rest = &bytes[..];
            let mut idle = 0;
            for (piece, stall) in pieces.iter().cycle().zip(stalls.iter().cycle()) {
                bench.prints = !stall;
                let taken = bench.types_bytes(&rest[..(*piece).min(rest.len())]);
                rest = &rest[taken..];
                // The owner's part.
                bench.prints = true;
                bench.drive();
                if let Some(at) = bench.effects.iter().position(|effect| *effect == Effect::Scan) {
                    bench.effects.remove(at);
                    bench.board.handle_scanned(Ok(()), bench.now);
                }
                store_all(&mut bench, Ok(()));
                bench.drive();
                idle = if rest.is_empty() { idle + 1 } else { 0 };
                if idle > lines.len() {
                    break;
                }
            }
            bench
        };
        let whole = run(&[1], &[false]);
        let parts = run(&pieces, &stalls);
        let answers = |bench: &Bench| -> Vec<String> {
            let timing = |line: &str| line.starts_with('[') || line.starts_with("unsent=");
            bench.printed.iter().filter(|line| !timing(line)).cloned().collect()
        };
        prop_assert_eq!(answers(&whole), answers(&parts));
        let ends = answers(&whole).iter().filter(|line| {
            *line == "ok" || line.starts_with("ok: ") || line.starts_with("error: ")
        }).count();
        let commands = answers(&whole).iter().filter(|line| line.starts_with("> ")).count();
        prop_assert!(ends >= commands);
    }
}
