//! What goes wrong: one line with cause and remedy, and an exit code that means it.

use std::net::TcpListener;

use crate::harness::{Server, TempDir, declic, run};

fn fails(arguments: &[&str], code: i32) -> String {
    run(declic(arguments), b"").error(code)
}

/// A port on which nobody listens: one that was just given back goes to nobody else so soon.
fn refusing_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port().to_string()
}

#[test]
fn no_broker_is_3() {
    let port = refusing_port();
    for verb in [&["pub", "-t", "a", "-m", "x"][..], &["sub", "-t", "a"]] {
        assert_eq!(
            fails(&[verb, &["-h", "127.0.0.1", "-p", &port]].concat(), 3),
            format!(
                "no broker at 127.0.0.1:{port}: connection refused. Is it running? \
                 `declic broker` starts one; -h and -p say where it is."
            )
        );
    }
}

#[test]
fn an_unknown_host_is_3() {
    let error = fails(&["sub", "-h", "no.such.host.invalid", "-t", "a"], 3);
    assert!(
        error.starts_with("can't find the host no.such.host.invalid: "),
        "{error}"
    );
}

#[test]
fn a_wrong_password_is_4() {
    let server = Server::with_password();
    for version in [&[][..], &["-V", "311"], &["-V", "5"]] {
        let flags = [
            &["-t", "a", "-m", "x", "-u", "ann", "-P", "s3cret"],
            version,
        ]
        .concat();
        let error = run(server.command("pub", &flags), b"").error(4);
        assert_eq!(
            error,
            format!(
                "the broker at {} refused the connection: bad user name or password (0x86). \
                 Check the user name (-u) and the password (-P).",
                server.address
            )
        );
        let flags = [&["-t", "a"], version].concat();
        let error = run(server.command("sub", &flags), b"").error(4);
        assert!(
            error.ends_with("It may want a user name (-u) and a password (-P)."),
            "{error}"
        );
    }
}

#[test]
fn a_topic_with_a_wildcard_is_2_before_anything_is_sent() {
    for topic in ["a/#", "+", ""] {
        let error = fails(&["pub", "-p", "1", "-t", topic, "-m", "x"], 2);
        let expected = format!("can't use \"{topic}\" to publish to: ");
        assert!(error.starts_with(&expected), "{error}");
    }
    for filter in ["a/#/b", "a+", ""] {
        for flag in ["-t", "-T", "-U"] {
            let error = fails(&["sub", "-p", "1", "-t", "ok", flag, filter], 2);
            let expected = format!("can't use \"{filter}\" as a topic filter: ");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}

#[test]
fn wrong_flags_are_2() {
    for arguments in [
        &["launch"][..],
        &["pub", "-t", "a"],
        &["pub", "-m", "x"],
        &["pub", "-t", "a", "-m", "x", "-n"],
        &["pub", "-t", "a", "-m", "x", "-q", "3"],
        &["pub", "-t", "a", "-m", "x", "-V", "31"],
        &["pub", "-t", "a", "-m", "x", "-p", "0"],
        &["pub", "-t", "a", "-m", "x", "--will-qos", "1"],
        &["pub", "-t", "a", "-m", "x", "-L", "http://x"],
        &["pub", "-t", "a", "-m", "x", "-L", "mqtts://"],
        &["pub", "-t", "a", "-m", "x", "--insecure"],
        &["pub", "-t", "a", "-m", "x", "--cert", "c.pem"],
        &["pub", "-t", "a", "-m", "x", "--cafile", "nowhere.pem"],
        &[
            "pub", "-t", "a", "-m", "x", "-D", "publish", "nonsense", "1",
        ],
        &["pub", "-t", "a", "-l", "--repeat", "2"],
        &["pub", "-t", "a", "-m", "x", "-c"],
        &["sub"],
        &["sub", "-t", "a", "-C", "0"],
        &["sub", "-t", "a", "-F", "%z"],
        &["sub", "-t", "a", "-R", "--retained-only"],
        &["broker", "--listen", "nowhere"],
        &["broker", "--listen", "127.0.0.1"],
        &[
            "broker",
            "--listen",
            "127.0.0.1:0",
            "--max-packet-size",
            "big",
        ],
        &["broker", "--users", "x", "--anonymous"],
    ] {
        let done = run(declic(arguments), b"");
        let (stdout, stderr) = done.text();
        assert_eq!(
            (done.code, stdout.as_str()),
            (2, ""),
            "{arguments:?}: {stderr}"
        );
        assert!(stderr.starts_with("error: "), "{stderr}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = TempDir::new();
    let missing = directory.path().join("missing");
    let missing = missing.to_str().expect("a plain path");
    let server = Server::start();
    let error = run(server.command("pub", &["-t", "a", "-f", missing]), b"").error(2);
    assert!(
        error.starts_with(&format!("can't read the message in {missing}: ")),
        "{error}"
    );
    let flags = ["-t", "a", "-m", "x", "--password-file", missing];
    let error = run(server.command("pub", &flags), b"").error(2);
    assert!(
        error.starts_with(&format!("can't read the password in {missing}: ")),
        "{error}"
    );
    let error = fails(
        &["broker", "--listen", "127.0.0.1:0", "--users", missing],
        2,
    );
    assert!(
        error.starts_with(&format!("can't read the users in {missing}: ")),
        "{error}"
    );
}

#[test]
fn an_empty_standard_input_is_no_message() {
    let server = Server::start();
    let error = run(server.command("pub", &["-t", "a", "-s"]), b"").error(1);
    assert_eq!(
        error,
        "no message to send: standard input is empty. -n sends an empty message."
    );
}

#[test]
fn an_address_in_use_is_5() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    assert_eq!(
        fails(&["broker", "--listen", &address], 5),
        format!(
            "can't listen on {address}: the address is in use. Stop the other program, or let \
             the system choose a port: --listen 127.0.0.1:0"
        )
    );
    let error = fails(&["broker", "--listen", "192.0.2.1:0", "--anonymous"], 5);
    assert!(
        error.starts_with("can't listen on 192.0.2.1:0: it is no address"),
        "{error}"
    );
}

#[test]
fn a_listener_for_the_network_says_who_may_connect() {
    let error = fails(&["broker", "--listen", "0.0.0.0:0"], 2);
    for flag in ["--lan", "--users", "--anonymous"] {
        assert!(error.contains(flag), "{error}");
    }
}

#[test]
fn quiet_says_nothing_but_ends_with_the_code() {
    let done = run(
        declic(&["pub", "-p", "1", "-t", "a/#", "-m", "x", "--quiet"]),
        b"",
    );
    assert_eq!(
        (done.code, done.text()),
        (2, (String::new(), String::new()))
    );
}

#[test]
fn colour_is_used_when_it_is_asked_for() {
    let stderr = |flags: &[&str]| {
        let done = run(
            declic(&[&["pub", "-t", "#", "-m", "x"], flags].concat()),
            b"",
        );
        done.text().1
    };
    assert!(stderr(&["--color", "always"]).starts_with("\u{1b}["));
    assert!(stderr(&["--color", "never"]).starts_with("error: "));
    assert!(stderr(&[]).starts_with("error: "), "no terminal, no colour");
}
