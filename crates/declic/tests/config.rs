//! `declic config` over the console of a board that runs behind a pseudo-terminal.
#![cfg(unix)]

mod plugged;
mod running;

use std::fs;

use plugged::Plugged;
use running::Running;

/// Runs `declic config` to its end; returns exit code, output and errors.
fn config(board: &Plugged, arguments: &[&str]) -> (Option<i32>, Vec<String>, Vec<String>) {
    let port = board.port();
    let arguments = [&["config", "--port", &port], arguments].concat();
    let mut process = Running::start_without_input(&arguments);
    let (code, errors) = process.wait();
    (code, process.seen().to_vec(), errors)
}

/// Runs `declic config`, which must succeed; returns its output.
fn right(board: &Plugged, arguments: &[&str]) -> Vec<String> {
    let (code, lines, errors) = config(board, arguments);
    assert_eq!((code, errors), (Some(0), vec![]));
    lines
}

/// Runs `declic config`, which must fail with `code`; returns its one line of error.
fn wrong(board: &Plugged, code: i32, arguments: &[&str]) -> String {
    let (found, _, errors) = config(board, arguments);
    assert_eq!((found, errors.len()), (Some(code), 1), "{errors:?}");
    errors[0].clone()
}

#[test]
fn a_setting_is_read_changed_and_kept() {
    let board = Plugged::new();
    assert_eq!(right(&board, &["get", "role"]), ["both"]);
    assert_eq!(
        right(&board, &["set", "name", " the \"left\" one "]),
        ["saved", "restarted"]
    );
    assert_eq!(board.stored().name(), " the \"left\" one ");
    assert_eq!(right(&board, &["get", "name"]), [" the \"left\" one "]);
    assert_eq!(board.starts(), 2);
}

#[test]
fn passwords_are_set_and_not_read() {
    let board = Plugged::new();
    right(&board, &["set", "wifi-password", "-secret--"]);
    assert_eq!(board.stored().wifi_password(), Some("-secret--"));
    assert_eq!(right(&board, &["get", "wifi-password"]), ["(set)"]);
    let all = right(&board, &["get"]);
    assert!(all.contains(&"wifi-password=(set)".to_owned()), "{all:?}");
    assert!(all.contains(&"password=(not set)".to_owned()), "{all:?}");
}

#[test]
fn what_one_board_exports_another_imports() {
    let one = Plugged::new();
    let file = one.file("settings.toml");
    let file = file.to_str().expect("plain");
    for (key, value) in [
        ("name", "a \"b\" \\ c"),
        ("qos", "2"),
        ("wifi-ssid", "My Net"),
    ] {
        right(&one, &["set", key, value]);
    }
    right(&one, &["set", "wifi-password", "secret123"]);
    right(&one, &["export", file]);
    let text = fs::read_to_string(file).expect("written");
    assert!(
        text.contains("# wifi-password is set, and never read out\n"),
        "{text}"
    );
    assert!(!text.contains("secret123"), "{text}");
    let other = Plugged::new();
    assert_eq!(right(&other, &["import", file]), ["saved", "restarted"]);
    let (mut expected, found) = (one.stored(), other.stored());
    expected.set("wifi-password", "").expect("open");
    assert!(expected == found, "{expected:?} {found:?}");
}

#[test]
fn the_two_payloads_can_change_places() {
    let board = Plugged::new();
    let file = board.file("payloads.toml");
    fs::write(&file, "payload-on = \"OFF\"\npayload-off = \"ON\"\n").expect("written");
    right(&board, &["import", file.to_str().expect("plain")]);
    let stored = board.stored();
    assert_eq!((stored.payload_on(), stored.payload_off()), ("OFF", "ON"));
}

#[test]
fn a_wrong_value_is_refused_before_the_board_is_asked() {
    let board = Plugged::new();
    let file = board.file("wrong.toml");
    fs::write(&file, "name = \"x\"\nqos = 3\n").expect("written");
    let file = file.to_str().expect("plain");
    assert_eq!(
        wrong(&board, 2, &["import", file]),
        "error: qos can't be `3`: it is a number from 0 to 2"
    );
    assert_eq!(
        wrong(&board, 2, &["set", "role", "boss"]),
        "error: role can't be `boss`: it is publisher, subscriber or both"
    );
    assert_eq!(board.starts(), 1);
}

#[test]
fn what_the_board_refuses_changes_nothing() {
    let board = Plugged::new();
    assert_eq!(
        wrong(&board, 1, &["set", "payload-on", "off"]),
        "error: the board refused it: payload-on and payload-off must differ"
    );
    assert_eq!(
        wrong(&board, 1, &["set", "nonesuch", "1"]),
        "error: the board refused it: there is no setting `nonesuch`"
    );
    assert_eq!(
        wrong(&board, 1, &["get", "nonesuch"]),
        "error: the board refused it: there is no setting `nonesuch`"
    );
    assert_eq!(right(&board, &["get", "payload-on"]), ["ON"]);
}
