//! `declic up`, driven by lines as a script would.

mod running;

use std::net::TcpListener;

use running::Running;

fn up(args: &[&str]) -> (Running, u16) {
    let mut up = Running::start(&[&["up"], args].concat());
    let port = up.expect_port();
    up.expect("ready");
    (up, port)
}

fn on_a_free_port() -> (Running, u16) {
    up(&["--listen", "127.0.0.1:0"])
}

#[test]
fn a_press_turns_the_light_on_and_the_next_one_off() {
    let (mut up, _) = on_a_free_port();
    for state in ["ON", "OFF", "ON"] {
        up.send("press");
        up.expect(&format!("publisher pressed {state}"));
        up.expect(&format!("subscriber light {state}"));
    }
    up.quit();
    assert_eq!(up.seen()[0].split(':').next(), Some("listening on mqtt"));
    assert_eq!(up.seen().iter().filter(|line| *line == "ready").count(), 1);
}

#[test]
fn a_contact_that_stays_closed_is_one_press() {
    let (mut up, _) = on_a_free_port();
    up.send("hold 400");
    up.expect("subscriber light ON");
    // Closed again while it is closed: still the same press.
    up.send("hold 100");
    up.send("press");
    up.expect("subscriber light OFF");
    up.quit();
    let presses = up
        .seen()
        .iter()
        .filter(|line| line.contains("pressed"))
        .count();
    assert_eq!(presses, 2);
}

#[test]
fn presses_before_it_is_ready_are_not_lost() {
    let mut up = Running::start(&["up", "--listen", "127.0.0.1:0"]);
    up.send("press");
    up.expect("subscriber light ON");
    up.quit();
}

#[test]
fn status_tells_of_broker_and_boards() {
    let (mut up, port) = on_a_free_port();
    up.send("press");
    up.expect("subscriber light ON");
    up.send("status");
    assert!(
        up.expect("status broker")
            .contains(&format!("127.0.0.1:{port}"))
    );
    let publisher = up.expect("status publisher");
    for part in [
        "client-id=declic",
        "role=publisher",
        "connection=connected",
        "presses=1",
    ] {
        assert!(publisher.contains(part), "{publisher}");
    }
    let subscriber = up.expect("status subscriber");
    for part in ["role=subscriber", "mqtt=5.0", "subscribed=yes", "light=ON"] {
        assert!(subscriber.contains(part), "{subscriber}");
    }
    up.quit();
}

#[test]
fn what_was_asked_for_before_quit_is_answered() {
    let (mut up, _) = on_a_free_port();
    up.send("status");
    up.quit();
    for start in ["status broker", "status publisher", "status subscriber"] {
        assert!(
            up.seen().iter().any(|line| line.starts_with(start)),
            "{:?}",
            up.seen()
        );
    }
}

#[test]
fn what_is_no_command_is_said_and_does_no_harm() {
    let (mut up, _) = on_a_free_port();
    up.send("launch");
    up.expect_error("note: no command `launch`");
    up.send("press");
    up.expect("subscriber light ON");
    up.send("quit");
    assert_eq!(up.wait().0, Some(0));
}

#[test]
fn any_client_can_be_the_button() {
    let (mut up, port) = on_a_free_port();
    let port = port.to_string();
    for state in ["ON", "OFF"] {
        let mut publish = Running::start_without_input(&[
            "pub",
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-t",
            "esp32/data",
            "-m",
            state,
            "-i",
            "guest",
        ]);
        assert_eq!(publish.wait(), (Some(0), Vec::new()));
        let light = format!("subscriber light {state}");
        up.expect_all(&["client guest connected (MQTT 5.0)", &light]);
    }
    up.quit();
}

#[test]
fn a_port_that_was_asked_for_and_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    let mut up = Running::start(&["up", "--listen", &address]);
    let (code, errors) = up.wait();
    assert_eq!(code, Some(5));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with("error: "), "{errors:?}");
    assert!(errors[0].contains(&address), "{errors:?}");
    assert_eq!(up.seen(), &[] as &[String]);
}

#[test]
fn port_1883_that_was_not_asked_for_gives_way_to_a_free_one() {
    // Taken here, or by another program already.
    let _taken = TcpListener::bind("127.0.0.1:1883");
    let mut up = Running::start(&[]);
    assert_ne!(up.expect_port(), 1883);
    up.expect("ready");
    up.expect_error("note: 127.0.0.1:1883 is in use");
    up.send("press");
    up.expect("subscriber light ON");
    up.send("quit");
    assert_eq!(up.wait().0, Some(0));
}

#[test]
fn the_network_is_let_in_with_the_password_only() {
    let (mut up, port) = up(&["--lan", "--listen", "127.0.0.1:0"]);
    let login = up
        .seen()
        .iter()
        .find_map(|line| line.strip_prefix("clients log in as user declic with password "))
        .expect("the password is printed")
        .to_owned();
    let port = port.to_string();
    let publish = |password: &str| {
        let mut publish = Running::start_without_input(&[
            "pub",
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-t",
            "esp32/data",
            "-m",
            "ON",
            "-q",
            "1",
            "-u",
            "declic",
            "-P",
            password,
        ]);
        publish.wait().0
    };
    assert_eq!(publish("guess"), Some(4));
    assert_eq!(publish(&login), Some(0));
    up.expect("subscriber light ON");
    up.quit();
}

#[test]
fn the_network_is_not_let_in_without_a_word_about_who() {
    let mut up = Running::start(&["up", "--listen", "0.0.0.0:0"]);
    let (code, errors) = up.wait();
    assert_eq!(code, Some(2));
    assert_eq!(errors.len(), 1, "{errors:?}");
}

#[test]
fn nobody_reading_is_a_reason_to_leave_but_no_failure() {
    let (mut up, _) = on_a_free_port();
    up.send_and_stop_reading("press", "subscriber light ON");
    // Not once only: a process that another test is starting may hold the pipe for a moment.
    up.send_until_the_end("press");
    assert_eq!(up.wait(), (Some(0), Vec::new()));
}

#[cfg(unix)]
mod signals {
    use super::*;

    #[test]
    fn a_signal_ends_it_in_good_order() {
        for signal in ["INT", "TERM"] {
            let (mut up, _) = on_a_free_port();
            up.signal(signal);
            assert_eq!(up.wait(), (Some(0), Vec::new()), "SIG{signal}");
        }
    }

    #[test]
    fn without_input_it_serves_until_a_signal() {
        let mut up = Running::start_without_input(&["up", "--listen", "127.0.0.1:0"]);
        let port = up.expect_port().to_string();
        up.expect("ready");
        let mut publish = Running::start_without_input(&[
            "pub",
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-t",
            "esp32/data",
            "-m",
            "ON",
        ]);
        assert_eq!(publish.wait().0, Some(0));
        up.expect("subscriber light ON");
        up.signal("TERM");
        assert_eq!(up.wait(), (Some(0), Vec::new()));
    }
}
