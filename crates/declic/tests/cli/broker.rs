//! `declic broker`.

use crate::harness::{Process, TempDir, declic, run};

/// Starts a broker; returns it with the port that it printed.
fn start(flags: &[&str], directory: &TempDir) -> (Process, String) {
    let mut command = declic(&[&["broker"], flags].concat());
    command.env("DECLIC_STATE_DIR", directory.path());
    let process = Process::start(command);
    let line = process.line();
    let (start, port) = line.rsplit_once(':').expect("a port");
    assert!(start.starts_with("listening on mqtt://"), "{line}");
    (process, port.to_owned())
}

fn publish(port: &str, flags: &[&str]) -> i32 {
    let at = [
        "pub",
        "-h",
        "127.0.0.1",
        "-p",
        port,
        "-t",
        "a",
        "-m",
        "x",
        "-q",
        "1",
    ];
    run(declic(&[&at[..], flags].concat()), b"").code
}

#[test]
fn it_prints_each_address_and_serves_there() {
    let directory = TempDir::new();
    let listen = ["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"];
    let (process, port) = start(&listen, &directory);
    let second = process.line();
    assert!(
        second.starts_with("listening on mqtt://127.0.0.1:"),
        "{second}"
    );
    assert_eq!(publish(&port, &[]), 0);
    let (_, port) = second.rsplit_once(':').expect("a port");
    assert_eq!(publish(port, &["-V", "311"]), 0);
}

#[test]
fn it_prints_json_where_that_is_asked_for() {
    let process = Process::start(declic(&["broker", "--listen", "127.0.0.1:0", "--json"]));
    let line = process.line();
    let url = line.strip_prefix(r#"{"event":"listening","url":"mqtt://127.0.0.1:"#);
    let port = url.and_then(|url| url.strip_suffix(r#""}"#)).expect("JSON");
    assert!(port.parse::<u16>().is_ok(), "{line}");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_in_good_order() {
    let directory = TempDir::new();
    for signal in ["-INT", "-TERM"] {
        let (mut process, port) = start(&["--listen", "127.0.0.1:0"], &directory);
        let at = ["sub", "-h", "127.0.0.1", "-p", &port, "-t", "a", "-d"];
        let sub = Process::start(declic(&at));
        sub.expect_diagnostic("Subscribed");
        process.signal(signal);
        assert_eq!(process.end(), (0, vec![]));
        let note = sub.expect_diagnostic("note: ");
        assert!(note.contains("server shutting down"), "{note}");
    }
}

#[test]
fn users_come_from_a_file() {
    let directory = TempDir::new();
    let users = directory.file("users", b"# people\nann:right\n");
    let listen = ["--listen", "127.0.0.1:0", "--users", &users];
    let (_process, port) = start(&listen, &directory);
    assert_eq!(publish(&port, &["-u", "ann", "-P", "right"]), 0);
    assert_eq!(publish(&port, &["-u", "ann", "-P", "wrong"]), 4);
    assert_eq!(publish(&port, &[]), 4);
}

#[test]
fn the_network_gets_a_password_that_is_kept() {
    let directory = TempDir::new();
    let state = directory.path().join("state");
    let mut passwords = Vec::new();
    for _ in 0..2 {
        let mut command = declic(&["broker", "--lan", "--listen", "127.0.0.1:0"]);
        command.env("DECLIC_STATE_DIR", &state);
        let process = Process::start(command);
        let line = process.line();
        let (_, port) = line.rsplit_once(':').expect("a port");
        let login = process.line();
        let password = login
            .strip_prefix("clients log in as user declic with password ")
            .expect("a login");
        assert!(password.len() >= 16, "{password}");
        assert_eq!(publish(port, &["-u", "declic", "-P", password]), 0);
        assert_eq!(publish(port, &["-u", "declic", "-P", "wrong"]), 4);
        assert_eq!(publish(port, &[]), 4);
        passwords.push(password.to_owned());
    }
    assert_eq!(passwords[0], passwords[1]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        for entry in std::fs::read_dir(&state).expect("a directory") {
            let mode = entry
                .expect("a file")
                .metadata()
                .expect("a file")
                .permissions()
                .mode();
            assert_eq!(mode & 0o077, 0, "only for the owner");
        }
    }
}

#[test]
fn the_network_may_be_let_in_without_a_password() {
    let directory = TempDir::new();
    let flags = ["--lan", "--anonymous", "--listen", "127.0.0.1:0"];
    let (_process, port) = start(&flags, &directory);
    assert_eq!(publish(&port, &[]), 0);
    let files = std::fs::read_dir(directory.path())
        .expect("a directory")
        .count();
    assert_eq!(files, 0, "no password was made");
}

#[test]
fn a_packet_above_the_limit_is_refused_with_the_reason() {
    let directory = TempDir::new();
    let flags = ["--listen", "127.0.0.1:0", "--max-packet-size", "1K"];
    let (_process, port) = start(&flags, &directory);
    let payload = "x".repeat(2000);
    let at = [
        "pub",
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-t",
        "a",
        "-m",
        &payload,
    ];
    let error = run(declic(&[&at[..], &["-V", "5"]].concat()), b"").error(1);
    assert!(
        error.starts_with("can't publish on a: the packet has 200"),
        "{error}"
    );
    assert!(error.contains("1024 are possible"), "{error}");
}

#[test]
fn it_tells_who_connects() {
    let mut command = declic(&["broker", "--listen", "127.0.0.1:0", "-v"]);
    command.env("NO_COLOR", "1");
    let process = Process::start(command);
    let line = process.line();
    let (_, port) = line.rsplit_once(':').expect("a port");
    assert_eq!(publish(port, &["-i", "somebody"]), 0);
    let told = process.expect_diagnostic("client connected");
    assert!(told.contains("client_id=somebody"), "{told}");
    process.expect_diagnostic("client disconnected");
}

#[test]
fn it_tells_in_json_where_that_is_asked_for() {
    let flags = ["--log-level", "info", "--log-format", "json"];
    let listen = ["broker", "--listen", "127.0.0.1:0"];
    let process = Process::start(declic(&[&listen[..], &flags].concat()));
    let line = process.line();
    let (_, port) = line.rsplit_once(':').expect("a port");
    assert_eq!(publish(port, &["-i", "some\"body"]), 0);
    let told = process.expect_diagnostic("client connected");
    assert!(told.starts_with(r#"{"time":"2"#), "{told}");
    let members = [
        r#""level":"info""#,
        r#""message":"client connected""#,
        r#""client_id":"some\"body""#,
        r#""session_present":false"#,
    ];
    for member in members {
        assert!(told.contains(member), "{member} in {told}");
    }
}

#[test]
fn it_publishes_its_own_topics_below_sys() {
    let directory = TempDir::new();
    let (_process, port) = start(&["--listen", "127.0.0.1:0"], &directory);
    let at = ["sub", "-h", "127.0.0.1", "-p", &port, "-C", "1", "-t"];
    let done = run(declic(&[&at[..], &["$SYS/broker/version"]].concat()), b"");
    let version = format!("declic version {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(done.text(), (version, String::new()));
    let off = ["--listen", "127.0.0.1:0", "--sys-interval", "0"];
    let (_process, port) = start(&off, &directory);
    let at = ["sub", "-h", "127.0.0.1", "-p", &port, "-t", "$SYS/#", "-E"];
    let done = run(declic(&[&at[..], &["--retained-only"]].concat()), b"");
    assert_eq!(done.text(), (String::new(), String::new()));
}

#[test]
fn flags_win_over_the_configuration_file() {
    let directory = TempDir::new();
    let config = "[listen]\naddresses = [\"127.0.0.1:0\"]\n[limits]\npacket_size = \"1K\"\n";
    let path = directory.file("broker.toml", config.as_bytes());
    let payload = "x".repeat(2000);
    for (flags, expected) in [(&[][..], 1), (&["--max-packet-size", "64K"][..], 0)] {
        let (_process, port) = start(&[&["--config", &path], flags].concat(), &directory);
        let at = ["pub", "-h", "127.0.0.1", "-p", &port, "-t", "a", "-m"];
        assert_eq!(
            run(declic(&[&at[..], &[&payload]].concat()), b"").code,
            expected
        );
    }
}

#[test]
fn the_default_configuration_is_one_that_the_broker_takes() {
    let directory = TempDir::new();
    let written = run(declic(&["broker", "config", "--default"]), b"");
    assert_eq!(written.code, 0);
    let path = directory.file("broker.toml", &written.stdout);
    let checked = run(declic(&["broker", "config", "--check", &path]), b"");
    let said = format!("{path} is in order\n");
    assert_eq!(checked.text(), (said, String::new()));
    let flags = ["--config", &path, "--listen", "127.0.0.1:0"];
    let (_process, port) = start(&flags, &directory);
    assert_eq!(publish(&port, &[]), 0);
}

#[test]
fn all_mistakes_of_a_configuration_are_told_with_their_places() {
    let directory = TempDir::new();
    let path = directory.file("broker.toml", b"[limits]\nsession = 5\npacket_size = -1\n");
    for command in [
        ["broker", "config", "--check"],
        ["broker", "--quiet", "--config"],
    ] {
        let done = run(declic(&[&command[..], &[&path]].concat()), b"");
        assert_eq!(done.code, 2);
        let (stdout, stderr) = done.text();
        assert_eq!(stdout, "");
        if command[1] == "config" {
            let expected = format!(
                "error: {path}:2:1: limits.session: there is no such key; is sessions meant?\n\
                 error: {path}:3:15: limits.packet_size can't be -1; it is a number of bytes, as in \
                 65536, \"64K\" or \"16M\"\n"
            );
            assert_eq!(stderr, expected);
        } else {
            assert_eq!(stderr, "");
        }
    }
    let missing = ["broker", "--config", "/nonexistent/broker.toml"];
    let error = run(declic(&missing), b"").error(2);
    assert!(
        error.starts_with("can't read the configuration /nonexistent"),
        "{error}"
    );
}

#[test]
fn passwd_makes_users_whom_the_broker_knows() {
    let directory = TempDir::new();
    let users = directory.path().join("users").display().to_string();
    let passwd = |user: &str, password: &[u8]| {
        let done = run(declic(&["broker", "passwd", &users, user]), password);
        assert_eq!(done.text().0, format!("user {user} set\n"));
    };
    passwd("ann", b"first\n");
    passwd("bob", b"word\n");
    passwd("ann", b"second\n");
    let text = std::fs::read_to_string(&users).expect("a file");
    assert_eq!(text.lines().count(), 2);
    assert!(
        text.lines().all(|line| line.contains(":$argon2id$")),
        "{text}"
    );
    let deleted = run(declic(&["broker", "passwd", "-D", &users, "bob"]), b"");
    assert_eq!(deleted.text().0, "user bob deleted\n");
    let error = run(declic(&["broker", "passwd", "-D", &users, "bob"]), b"").error(2);
    assert!(error.contains("there is no user \"bob\""), "{error}");
    let error = run(declic(&["broker", "passwd", "-D", &users, "ann"]), b"").error(2);
    assert!(error.contains("there is at least one user"), "{error}");
    let made = run(
        declic(&["broker", "passwd", "--generate", &users, "lamp"]),
        b"",
    );
    assert_eq!(made.text().0.trim_end().len(), 32);
    let text = std::fs::read_to_string(&users).expect("a file");
    assert!(text.contains("\nlamp:$6$"), "{text}");
    let error = run(declic(&["broker", "passwd", &users, "a:b"]), b"x\n").error(2);
    assert!(error.contains("has no `:` in it"), "{error}");
}
