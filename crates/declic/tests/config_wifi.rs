//! `declic config wifi` and a board behind a pseudo-terminal that hears three networks.
#![cfg(unix)]

mod plugged;
mod running;

use plugged::Plugged;
use running::Running;

/// Runs `declic config wifi` with that input; returns exit code, output and errors.
fn wifi(
    board: &Plugged,
    arguments: &[&str],
    input: Option<&str>,
) -> (Option<i32>, Vec<String>, Vec<String>) {
    let port = board.port();
    let arguments = [&["config", "--port", &port, "wifi"], arguments].concat();
    let mut process = match input {
        Some(input) => Running::start_with_input(&arguments, input),
        None => Running::start_without_input(&arguments),
    };
    let (code, errors) = process.wait();
    let all = [process.seen(), &errors].concat().join("\n");
    assert!(!all.contains("secret"), "a password is printed: {all}");
    (code, process.seen().to_vec(), errors)
}

const ABOUT: &str = concat!(
    "note: Déclic ",
    env!("CARGO_PKG_VERSION"),
    " on test chip: declic-0123456789ab"
);

#[test]
fn a_board_gets_into_a_network_and_keeps_it() {
    let board = Plugged::new();
    let arguments = ["--ssid", "MyNet", "--password-file", "-"];
    assert_eq!(
        wifi(&board, &arguments, Some("secret123")),
        (
            Some(0),
            vec!["the board is in MyNet, and keeps it".to_owned()],
            vec![ABOUT.to_owned(), "note: the board tries MyNet".to_owned()]
        )
    );
    let stored = board.stored();
    assert_eq!(stored.wifi_ssid(), Some("MyNet"));
    assert_eq!(stored.wifi_password(), Some("secret123"));
    assert_eq!(board.starts(), 1, "it need not restart");
}

#[test]
fn an_open_network_has_no_password() {
    let board = Plugged::new();
    let (code, lines, _) = wifi(&board, &["--ssid", "Café", "--open"], None);
    assert_eq!(code, Some(0));
    assert_eq!(lines, ["the board is in Café, and keeps it"]);
    assert_eq!(board.stored().wifi_password(), None);
}

#[test]
fn a_wrong_password_leaves_the_network_of_before() {
    let board = Plugged::new();
    let arguments = ["--ssid", "MyNet", "--password-file", "-"];
    assert_eq!(wifi(&board, &arguments, Some("secret123")).0, Some(0));
    let (code, lines, errors) = wifi(&board, &arguments, Some("wrong secret"));
    assert_eq!((code, lines), (Some(1), vec![]));
    let error = "error: the board did not get into MyNet. Check the password, and that the \
                 network is on 2.4 GHz and not WPA3 only. The board keeps the network that it had.";
    assert_eq!(errors.last().map(String::as_str), Some(error));
    assert_eq!(board.stored().wifi_password(), Some("secret123"));
}

#[test]
fn the_networks_are_listed_once_each_the_strongest_first() {
    let board = Plugged::new();
    let (code, lines, _) = wifi(&board, &["--list"], None);
    assert_eq!(code, Some(0));
    assert_eq!(lines, [" -48 dBm  Café  open", " -61 dBm  MyNet"]);
}

#[test]
fn what_is_missing_or_wrong_is_said_before_the_board_is_asked() {
    let board = Plugged::new();
    for (arguments, input, error) in [
        (
            &[][..],
            None,
            "error: the network's name is missing. Add --ssid NAME; --list shows the networks.",
        ),
        (
            &["--ssid", "MyNet"],
            None,
            "error: the network's password is missing. Set DECLIC_WIFI_PASSWORD, or add \
             --password-file FILE; --open for a network without one.",
        ),
        (
            &["--ssid", "MyNet", "--password-file", "-"],
            Some("short"),
            "error: wifi-password can't be that: it is 8 to 63 characters or 64 hex digits, or \
             nothing for an open network, at most 64 bytes",
        ),
        (
            &["--ssid", "", "--open"],
            None,
            "error: the network's name is empty",
        ),
    ] {
        let (code, _, errors) = wifi(&board, arguments, input);
        assert_eq!((code, errors.len()), (Some(2), 1), "{errors:?}");
        assert_eq!(errors[0], error);
    }
}

#[test]
fn a_port_without_such_a_board_says_so() {
    let mut board = Plugged::new();
    let port = board.port();
    board.pull_out();
    let mut process = Running::start_without_input(&["config", "--port", &port, "wifi", "--list"]);
    let (code, errors) = process.wait();
    assert_eq!((code, errors.len()), (Some(1), 1), "{errors:?}");
}
