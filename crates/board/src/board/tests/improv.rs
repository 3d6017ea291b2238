//! The board and a browser that brings it into its network.

use std::string::String;
use std::vec::Vec;

use core::time::Duration;

use proptest::prelude::*;

use super::bench::Bench;
use super::console::store_all;
use crate::improv::{Command, Frame};
use crate::{Effect, FoundNetwork, RestartReason, ScanError, Start, StoreError};

/// A board with Wi-Fi that is in no network.
fn board(settings: &[(&str, &str)]) -> Bench {
    let mut bench = Bench::new(settings);
    let start = Start {
        has_wifi: true,
        ..Start::new("ESP32-C3", RestartReason::PowerOn)
    };
    bench.board.handle_start(start, bench.now);
    bench.board.handle_link(false, bench.now);
    bench.drive();
    bench.forget();
    bench
}

/// Somebody sends a command; returns the frames that answer it.
fn ask(bench: &mut Bench, command: Command<'_>) -> Vec<String> {
    let from = bench.frames.len();
    let frame = Frame::command(command).expect("short");
    bench.types_bytes(frame.as_bytes());
    bench.frames[from..].to_vec()
}

fn settings<'a>() -> Command<'a> {
    Command::Settings {
        ssid: "MyNet",
        password: "correct horse",
    }
}

/// The board is in a network.
fn link(bench: &mut Bench, up: bool) {
    bench.board.handle_link(up, bench.now);
    bench.drive();
}

const TRYING: [&str; 2] = ["Error(None)", "State(Provisioning)"];

#[test]
fn a_board_says_at_once_how_far_it_is_and_what_it_is() {
    let mut bench = board(&[("name", "kitchen")]);
    assert_eq!(
        ask(&mut bench, Command::State),
        ["Error(None)", "State(Authorised)"]
    );
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        ask(&mut bench, Command::Information),
        [
            String::from("Error(None)"),
            std::format!("Result 3 [\"Déclic\", \"{version}\", \"ESP32-C3\", \"kitchen\"]"),
        ]
    );
    link(&mut bench, true);
    assert_eq!(
        ask(&mut bench, Command::State),
        ["Error(None)", "State(Provisioned)", "Result 2 []"]
    );
    assert_eq!(bench.printed, [] as [&str; 0]);
}

#[test]
fn a_board_without_a_name_goes_by_its_id() {
    let mut bench = board(&[]);
    let answer = ask(&mut bench, Command::Information);
    assert!(answer[1].contains("\"declic-0a0b0c0d0e0f\""), "{answer:?}");
}

#[test]
fn settings_are_tried_and_stored_once_the_board_is_in_the_network() {
    let mut bench = board(&[]);
    assert_eq!(ask(&mut bench, settings()), TRYING);
    assert_eq!(bench.effects, [Effect::JoinWifi]);
    let edited = bench.board.edited();
    assert_eq!(edited.wifi_ssid(), Some("MyNet"));
    assert_eq!(edited.wifi_password(), Some("correct horse"));
    // Nothing is stored before.
    bench.pass(Duration::from_secs(20));
    assert_eq!(bench.types("save"), ["> save", "ok: nothing was changed"]);
    bench.effects.clear();
    assert_eq!(
        ask(&mut bench, Command::State),
        ["Error(None)", "State(Provisioning)"]
    );
    bench.frames.clear();
    link(&mut bench, true);
    assert!(bench.frames.is_empty());
    let stored = store_all(&mut bench, Ok(()));
    let names: Vec<_> = stored.iter().map(|(key, _)| key.name()).collect();
    assert_eq!(names, ["wifi-ssid", "wifi-password"]);
    assert_eq!(bench.frames, ["State(Provisioned)", "Result 1 []"]);
    assert!(bench.board.unsaved().is_empty());
    assert_eq!(bench.board.settings().wifi_ssid(), Some("MyNet"));
    // It goes on to its broker without a restart.
    assert_eq!(bench.effects, [Effect::OpenTransport]);
}

#[test]
fn a_network_that_is_not_reached_in_time_leaves_the_old_settings() {
    let mut bench = board(&[("wifi-ssid", "Old"), ("wifi-password", "old secret")]);
    link(&mut bench, true);
    bench.forget();
    assert_eq!(ask(&mut bench, settings()), TRYING);
    // The address of before is no sign of the new network.
    link(&mut bench, false);
    bench.forget();
    bench.pass(Duration::from_secs(24));
    assert!(bench.frames.is_empty());
    bench.pass(Duration::from_secs(1));
    assert_eq!(
        bench.frames,
        ["Error(UnableToConnect)", "State(Authorised)"]
    );
    // Back to the network of before.
    assert_eq!(bench.effects, [Effect::JoinWifi]);
    let edited = bench.board.edited();
    assert_eq!(edited.wifi_ssid(), Some("Old"));
    assert_eq!(edited.wifi_password(), Some("old secret"));
    bench.forget();
    link(&mut bench, true);
    bench.pass(Duration::from_secs(100));
    assert!(bench.frames.is_empty() && store_all(&mut bench, Ok(())).is_empty());
    assert_eq!(bench.types("save"), ["> save", "ok: nothing was changed"]);
    assert_eq!(
        ask(&mut bench, Command::State)[1..],
        ["State(Provisioned)", "Result 2 []"]
    );
}

#[test]
fn settings_that_can_not_be_stored_are_an_error() {
    let mut bench = board(&[]);
    ask(&mut bench, settings());
    link(&mut bench, true);
    bench.frames.clear();
    store_all(&mut bench, Err(StoreError::Flash));
    assert_eq!(bench.frames, ["Error(Unknown)", "State(Provisioned)"]);
    assert_eq!(bench.board.unsaved().len(), 2);
}

#[test]
fn what_no_network_has_is_refused_at_once() {
    let mut bench = board(&[]);
    for (ssid, password, error) in [
        ("", "", "Error(InvalidCommand)"),
        ("Net", "short", "Error(UnableToConnect)"),
        (&"x".repeat(33), "", "Error(UnableToConnect)"),
        ("Net\u{7}", "", "Error(UnableToConnect)"),
    ] {
        let answer = ask(&mut bench, Command::Settings { ssid, password });
        assert_eq!(answer, ["Error(None)", error], "{ssid}");
    }
    // More than any network's name and password have.
    let ssid = "x".repeat(150);
    let command = Command::Settings {
        ssid: &ssid,
        password: "",
    };
    assert_eq!(ask(&mut bench, command), ["Error(InvalidCommand)"]);
    assert!(bench.effects.is_empty());
    assert_eq!(bench.board.edited().wifi_ssid(), None);
}

#[test]
fn without_wifi_there_is_nothing_to_join() {
    let mut bench = Bench::new(&[]);
    assert_eq!(
        ask(&mut bench, settings()),
        ["Error(None)", "Error(UnableToConnect)"]
    );
}

#[test]
fn networks_are_listed_with_an_end() {
    let mut bench = board(&[]);
    assert_eq!(ask(&mut bench, Command::Networks), ["Error(None)"]);
    assert_eq!(bench.effects, [Effect::Scan]);
    let found = |ssid, rssi, security| FoundNetwork {
        ssid,
        rssi,
        channel: 6,
        security,
    };
    for network in [found("MyNet", -61, "wpa2"), found("Café", -128, "open")] {
        assert!(bench.board.handle_network(&network));
    }
    // The console waits, as for any command that takes long.
    assert_eq!(bench.types("get role"), [] as [&str; 0]);
    bench.board.handle_scanned(Ok(()), bench.now);
    bench.drive();
    assert_eq!(
        bench.frames[1..],
        [
            "Result 4 [\"MyNet\", \"-61\", \"YES\"]",
            "Result 4 [\"Café\", \"-128\", \"NO\"]",
            "Result 4 []",
        ]
    );
    assert_eq!(bench.printed, ["> get role", "role=both", "ok"]);
}

#[test]
fn networks_that_can_not_be_looked_for_are_an_error() {
    let mut bench = board(&[]);
    ask(&mut bench, Command::Networks);
    bench.board.handle_scanned(Err(ScanError::Radio), bench.now);
    bench.drive();
    assert_eq!(bench.frames[1..], ["Error(Unknown)"]);
    ask(&mut bench, Command::Networks);
    bench.frames.clear();
    bench.pass(Duration::from_secs(20));
    assert_eq!(bench.frames, ["Error(Unknown)"]);
}

#[test]
fn networks_wait_for_room_on_the_wire() {
    let mut bench = board(&[]);
    ask(&mut bench, Command::Networks);
    bench.prints = false;
    let network = FoundNetwork {
        ssid: "MyNet",
        rssi: -61,
        channel: 6,
        security: "wpa2",
    };
    let taken = (0..100).take_while(|_| bench.board.handle_network(&network));
    let taken = taken.count();
    assert!(taken < 100);
    bench.prints = true;
    bench.drive();
    assert_eq!(bench.frames.len(), 1 + taken);
    assert!(bench.board.handle_network(&network));
}

#[test]
fn frames_do_not_disturb_a_line_that_is_being_typed() {
    let mut bench = board(&[]);
    bench.types_bytes(b"get ");
    ask(&mut bench, Command::State);
    assert_eq!(bench.types("role"), ["> get role", "role=both", "ok"]);
    assert_eq!(
        bench.types("get IMPROV"),
        ["error: there is no setting `IMPROV`"]
    );
    // One that was cut is forgotten after a second.
    bench.types_bytes(b"IMPROV\x01\x03\x60");
    bench.pass(Duration::from_millis(1_001));
    assert_eq!(bench.types("get role").len(), 3);
}

#[test]
fn broken_and_unknown_commands_are_answered_and_other_frames_are_not() {
    let mut bench = board(&[]);
    for (bytes, answer) in [
        (
            &b"IMPROV\x01\x03\x02\x02\x00\xe6\n"[..],
            &["Error(InvalidCommand)"][..],
        ),
        (
            b"IMPROV\x01\x03\x02\x02\x01\xe6\n",
            &["Error(InvalidCommand)"],
        ),
        (
            b"IMPROV\x01\x03\x02\x07\x00\xea\n",
            &["Error(UnknownCommand)"],
        ),
        // What a board says, as an echo would.
        (b"IMPROV\x01\x01\x01\x02\xe2\n", &[]),
        (b"IMPROV\x01\x01\x01\x02\xe3\n", &[]),
    ] {
        bench.frames.clear();
        bench.types_bytes(bytes);
        assert_eq!(bench.frames, answer, "{bytes:?}");
    }
    assert_eq!(bench.printed, [] as [&str; 0]);
}

proptest! {
    #[test]
    fn whatever_is_on_the_wire_no_password_is_printed(
        cut in 0_usize..60,
        flipped in 0_usize..60,
        bit in 0_u32..8,
        noise in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut bench = board(&[]);
        let mut bytes = Frame::command(settings()).expect("short").as_bytes().to_vec();
        if let Some(byte) = bytes.get_mut(flipped) {
            *byte ^= 1 << bit;
        }
        bytes.truncate(cut);
        // With the header gone, or behind a frame that calls itself shorter, it is text like any
        // other, which nobody calls a password.
        prop_assume!(flipped >= 9 && cut >= 7);
        bench.types_bytes(&bytes);
        bench.types_bytes(&noise);
        bench.types_bytes(b"\r\n");
        bench.types("get wifi-password");
        bench.pass(Duration::from_secs(60));
        let printed = bench.printed.join("\n");
        prop_assert!(!printed.contains("correct"), "{}", printed);
        prop_assert!(!printed.contains("horse"), "{}", printed);
        // And it still answers.
        let answer = ask(&mut bench, Command::State);
        prop_assert_eq!(answer.first().map(String::as_str), Some("Error(None)"));
    }
}
