//! `declic sub`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use crate::harness::{Process, Server, run};

#[test]
fn a_payload_is_printed_byte_for_byte() {
    let server = Server::start();
    server.publish(&["-t", "a", "-m", "line\nline é", "-r", "-q", "1"]);
    let print = |flags: &[&str]| {
        let done = run(
            server.command("sub", &[&["-t", "a", "-C", "1"], flags].concat()),
            b"",
        );
        assert_eq!((done.code, done.text().1.as_str()), (0, ""));
        done.text().0
    };
    assert_eq!(print(&[]), "line\nline é\n");
    assert_eq!(print(&["-N"]), "line\nline é");
    assert_eq!(print(&["-v"]), "a line\nline é\n");
    assert_eq!(print(&["-v", "-N"]), "a line\nline é");
    assert_eq!(print(&["-F", "%l\\t%q%r"]), "12\t01\n");
    let json = print(&["--json"]);
    assert!(json.starts_with("{\"tst\":\"20"), "{json}");
    let expected = ",\"topic\":\"a\",\"qos\":0,\"retain\":1,\"payloadlen\":12,\
                    \"payload\":\"line\\nline é\"}\n";
    assert!(json.ends_with(expected), "{json}");
}

#[test]
fn several_filters_are_subscribed_and_some_topics_left_out() {
    let server = Server::start();
    let sub = server.subscribe(&["-t", "a/#", "-t", "b", "-T", "a/noise/#", "-T", "+/x", "-v"]);
    for topic in ["a/noise/1", "a/x", "a/y", "b", "c"] {
        server.publish(&["-t", topic, "-m", "m", "-q", "1"]);
    }
    assert_eq!(sub.line(), "a/y m");
    assert_eq!(sub.line(), "b m");
}

#[test]
fn kept_messages_can_be_left_out_or_be_all_that_is_printed() {
    let server = Server::start();
    server.publish(&["-t", "a/1", "-m", "kept", "-r", "-q", "1"]);
    for version in ["311", "5"] {
        let sub = server.subscribe(&["-t", "a/#", "-R", "-V", version]);
        server.publish(&["-t", "a/2", "-m", "live", "-q", "1"]);
        assert_eq!(sub.line(), "live");
        let mut sub = server.subscribe(&["-t", "a/#", "--retained-only", "-V", version]);
        assert_eq!(sub.line(), "kept");
        server.publish(&["-t", "a/2", "-m", "live", "-q", "1"]);
        assert_eq!(sub.end(), (0, vec![]));
    }
}

#[test]
fn kept_messages_can_be_removed() {
    let server = Server::start();
    for topic in ["a/1", "a/2", "a/stay"] {
        server.publish(&["-t", topic, "-m", topic, "-r", "-q", "1"]);
    }
    let flags = ["-t", "a/#", "--remove-retained", "-T", "a/stay", "-C", "2"];
    let done = run(server.command("sub", &flags), b"");
    let mut removed: Vec<_> = done.text().0.lines().map(str::to_owned).collect();
    removed.sort();
    assert_eq!(
        (done.code, removed),
        (0, vec!["a/1".to_owned(), "a/2".to_owned()])
    );
    let done = run(server.command("sub", &["-t", "a/#", "-C", "1"]), b"");
    assert_eq!(done.text().0, "a/stay\n");
}

#[test]
fn time_runs_out_with_27_and_not_before() {
    let server = Server::start();
    server.publish(&["-t", "a", "-m", "kept", "-r", "-q", "1"]);
    let done = run(
        server.command("sub", &["-t", "a", "-W", "1", "-C", "2"]),
        b"",
    );
    assert_eq!((done.code, done.text().0.as_str()), (27, "kept\n"));
    let done = run(
        server.command("sub", &["-t", "a", "-W", "30", "-C", "1"]),
        b"",
    );
    assert_eq!((done.code, done.text().0.as_str()), (0, "kept\n"));
    let mut quiet = server.command("sub", &["-t", "a", "-W", "1", "-R", "--quiet"]);
    quiet.env("NO_COLOR", "1");
    let done = run(quiet, b"");
    assert_eq!(
        (done.code, done.text()),
        (27, (String::new(), String::new()))
    );
}

#[test]
fn a_kept_session_gets_what_it_missed_and_loses_nothing_to_the_count() {
    let server = Server::start();
    for version in ["311", "5"] {
        let id = format!("archive{version}");
        let session = ["-i", &id, "-c", "-t", "mail", "-q", "1", "-V", version];
        let done = run(
            server.command("sub", &[&session[..], &["-E"]].concat()),
            b"",
        );
        assert_eq!((done.code, done.text().0.as_str()), (0, ""));
        for text in ["1", "2", "3"] {
            server.publish(&["-t", "mail", "-m", text, "-q", "1"]);
        }
        // Whatever comes behind the last message that is counted stays with the broker.
        for text in ["1", "2", "3"] {
            let done = run(
                server.command("sub", &[&session[..], &["-C", "1"]].concat()),
                b"",
            );
            assert_eq!(
                (done.code, done.text().0),
                (0, format!("{text}\n")),
                "{version}"
            );
        }
        // Unsubscribed, it misses nothing there.
        let session = ["-i", &id, "-c", "-t", "other", "-q", "1", "-V", version];
        let done = run(
            server.command("sub", &[&session[..], &["-U", "mail", "-E"]].concat()),
            b"",
        );
        assert_eq!(done.code, 0, "{done:?}");
        for topic in ["mail", "other"] {
            server.publish(&["-t", topic, "-m", "late", "-q", "1"]);
        }
        let done = run(
            server.command("sub", &[&session[..], &["-v", "-C", "1"]].concat()),
            b"",
        );
        assert_eq!(
            (done.code, done.text().0.as_str()),
            (0, "other late\n"),
            "{version}"
        );
    }
}

#[test]
fn a_killed_sub_leaves_its_will_and_one_that_ends_does_not() {
    let server = Server::start();
    let watcher = server.subscribe(&["-t", "will/#", "-q", "2", "-F", "%t %p %q"]);
    for version in ["311", "5"] {
        let will = |topic: &'static str| {
            [
                "-t",
                "x",
                "-V",
                version,
                "--will-topic",
                topic,
                "--will-payload",
                "gone",
            ]
        };
        server.publish(&["-t", "x", "-m", "kept", "-r", "-q", "1"]);
        let ended = [&will("will/ended")[..], &["-C", "1"]].concat();
        assert_eq!(run(server.command("sub", &ended), b"").code, 0);
        let killed = [&will("will/killed")[..], &["--will-qos", "2"]].concat();
        server.subscribe(&killed).kill();
        assert_eq!(watcher.line(), "will/killed gone 2", "{version}");
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_in_good_order() {
    let server = Server::start();
    let watcher = server.subscribe(&["-t", "will", "-t", "next"]);
    for signal in ["-INT", "-TERM", "-HUP"] {
        let mut sub = server.subscribe(&["-t", "a", "--will-topic", "will"]);
        sub.signal(signal);
        assert_eq!(sub.end(), (0, vec![]), "{signal}");
        server.publish(&["-t", "next", "-m", signal, "-q", "1"]);
        assert_eq!(watcher.line(), signal, "no will came before");
    }
}

#[cfg(unix)]
#[test]
fn it_ends_quietly_when_its_reader_has_gone_even_if_nothing_more_comes() {
    let server = Server::start();
    let mut command = server.command("sub", &["-t", "a"]);
    server.publish(&["-t", "a", "-m", "first", "-r", "-q", "1"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut sub = command.spawn().expect("the program is built");
    let mut stdout = BufReader::new(sub.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    assert_eq!(line, "first\n");
    drop(stdout);
    // As `head -n 1` would, without another message that could tell.
    let mut stderr = String::new();
    sub.stderr
        .take()
        .expect("a pipe")
        .read_to_string(&mut stderr)
        .expect("text");
    assert_eq!(sub.wait().expect("a child").code(), Some(0));
    assert_eq!(stderr, "");
}

#[test]
fn a_reader_that_is_gone_is_no_failure_while_messages_come() {
    let server = Server::start();
    let mut command = server.command("sub", &["-t", "a"]);
    server.publish(&["-t", "a", "-m", "x", "-r", "-q", "1"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut sub = command.spawn().expect("the program is built");
    drop(sub.stdout.take());
    let mut stderr = String::new();
    sub.stderr
        .take()
        .expect("a pipe")
        .read_to_string(&mut stderr)
        .expect("text");
    assert_eq!(
        (sub.wait().expect("a child").code(), stderr.as_str()),
        (Some(0), "")
    );
}

#[test]
fn it_connects_again_when_the_broker_comes_back() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port().to_string();
    let sub = Process::start(crate::harness::declic(&[
        "sub",
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-t",
        "a",
        "-V",
        "311",
    ]));
    for round in ["one", "two"] {
        let (mut stream, _) = listener.accept().expect("a client");
        crate::versions::read_packet(&mut stream, 0x10);
        std::io::Write::write_all(&mut stream, &[0x20, 2, 0, 0]).expect("it reads");
        let subscribe = crate::versions::read_packet(&mut stream, 0x82);
        let suback = [0x90, 3, subscribe[2], subscribe[3], 0];
        std::io::Write::write_all(&mut stream, &suback).expect("it reads");
        let message = [&[0x30, 6, 0, 1, b'a'], round.as_bytes()].concat();
        std::io::Write::write_all(&mut stream, &message).expect("it reads");
        assert_eq!(sub.line(), round);
        drop(stream);
        if round == "one" {
            let note = sub.expect_diagnostic("note: ");
            assert!(
                note.contains("the connection was lost. Trying again"),
                "{note}"
            );
        }
    }
}
