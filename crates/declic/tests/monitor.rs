//! `declic monitor` at the console of a board that runs behind a pseudo-terminal.
#![cfg(unix)]

mod plugged;
mod running;

use plugged::Plugged;
use running::Running;

#[test]
fn what_is_typed_goes_to_the_board_and_its_lines_come_back() {
    let board = Plugged::new();
    let mut monitor = Running::start(&["monitor", "--port", &board.port()]);
    monitor.expect_error("note: ");
    monitor.send("get role");
    monitor.expect("> get role");
    assert_eq!(monitor.expect("role="), "role=both");
    monitor.expect("ok");
    monitor.send("set wifi-password \"not to be shown\"");
    monitor.expect("> set wifi-password (hidden)");
    monitor.expect("ok");
    assert!(monitor.seen().iter().all(|line| !line.contains("shown")));
}

#[test]
fn a_signal_ends_it_in_good_order() {
    let board = Plugged::new();
    let mut monitor = Running::start(&["monitor", "--port", &board.port()]);
    monitor.send("get role");
    monitor.expect("role=");
    monitor.signal("INT");
    assert_eq!(monitor.wait().0, Some(0));
}

#[test]
fn a_board_that_is_pulled_out_is_waited_for() {
    let mut board = Plugged::new();
    let mut monitor = Running::start_without_input(&["monitor", "--port", &board.port()]);
    monitor.expect("");
    for _ in 0..2 {
        board.pull_out();
        monitor.expect_error("note: the board is gone");
        board.plug_in();
        monitor.expect_error("note: the board is back");
        while !monitor.expect("[").ends_with("info: started") {}
    }
}

#[test]
fn the_time_stands_in_front_where_it_is_wanted() {
    let board = Plugged::new();
    let arguments = ["monitor", "--timestamps", "--port", &board.port()];
    let mut monitor = Running::start(&arguments);
    monitor.send("get role");
    let line = loop {
        let line = monitor.expect("");
        if line.ends_with("  role=both") {
            break line;
        }
    };
    let time = line.split(' ').next().expect("a time");
    assert_eq!(
        (time.len(), time.ends_with('Z')),
        ("12:34:56.789Z".len(), true),
        "{line}"
    );
}

#[test]
fn a_port_that_is_not_there_or_in_use_is_named() {
    let mut missing = Running::start(&["monitor", "--port", "/dev/no-such-port"]);
    assert_eq!(
        missing.wait(),
        (
            Some(1),
            vec![
                "note: /dev/no-such-port (not on USB)".to_owned(),
                "error: can't open /dev/no-such-port: there is no such port. `declic boards` \
                 lists those that there are."
                    .to_owned()
            ]
        )
    );
    let board = Plugged::new();
    let mut first = Running::start(&["monitor", "--port", &board.port()]);
    first.send("get role");
    first.expect("role=");
    let mut second = Running::start(&["monitor", "--port", &board.port()]);
    let (code, errors) = second.wait();
    assert_eq!(code, Some(1));
    let error = errors.last().expect("an error");
    assert!(
        error.contains("another program is using it. Close other"),
        "{error}"
    );
}
