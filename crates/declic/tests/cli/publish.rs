//! `declic pub`.

use crate::harness::{Process, Server, TempDir, declic, noise, run};

#[test]
fn a_message_arrives_with_its_qos_in_both_versions() {
    let server = Server::start();
    let mut sub = server.subscribe(&["-t", "a/#", "-q", "2", "-F", "%t %p %q %r"]);
    for version in ["311", "5"] {
        for qos in ["0", "1", "2"] {
            server.publish(&["-t", "a/b", "-m", "héllo", "-q", qos, "-V", version]);
            assert_eq!(
                sub.line(),
                format!("a/b héllo {qos} 0"),
                "version {version}"
            );
        }
    }
    sub.kill();
    assert_eq!(sub.end().1, [""; 0]);
}

#[test]
fn each_line_is_a_message() {
    let server = Server::start();
    for qos in ["0", "1", "2"] {
        let mut sub = server.subscribe(&["-t", "a", "-q", "2", "-v", "-C", "500"]);
        let lines: Vec<_> = (0..499).map(|number| format!("line {number}")).collect();
        // An empty line is an empty message; the last one needs no end.
        let input = lines[..498].join("\n") + "\n\n" + &lines[498];
        let done = run(
            server.command("pub", &["-t", "a", "-l", "-q", qos]),
            input.as_bytes(),
        );
        assert_eq!((done.code, done.text().1.as_str()), (0, ""));
        let mut expected: Vec<_> = lines.iter().map(|line| format!("a {line}")).collect();
        expected.insert(498, "a (null)".to_owned());
        assert_eq!(sub.end(), (0, expected), "QoS {qos}");
    }
}

#[test]
fn a_line_is_sent_as_soon_as_it_is_there() {
    let server = Server::start();
    let sub = server.subscribe(&["-t", "a"]);
    let mut publisher = Process::start(server.command("pub", &["-t", "a", "-l", "-q", "1"]));
    for line in ["one", "two"] {
        publisher.say(&format!("{line}\n"));
        assert_eq!(sub.line(), line);
    }
    publisher.close_stdin();
    assert_eq!(publisher.end(), (0, vec![]));
}

#[test]
fn a_line_may_be_larger_than_the_clients_memory() {
    let server = Server::start();
    for qos in ["0", "1", "2"] {
        let mut sub = server.subscribe(&["-t", "a", "-q", qos, "-F", "%l", "-C", "3"]);
        let input = "x".repeat(3 << 20) + "\nshort\n" + &"y".repeat(1 << 20);
        let done = run(
            server.command("pub", &["-t", "a", "-l", "-q", qos]),
            input.as_bytes(),
        );
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!(
            sub.end(),
            (0, vec!["3145728".into(), "5".into(), "1048576".into()])
        );
    }
}

#[test]
fn a_large_payload_from_a_file_or_from_standard_input_arrives_whole() {
    let server = Server::start();
    let directory = TempDir::new();
    let payload = noise(5 << 20);
    let path = directory.file("payload", &payload);
    for version in ["311", "5"] {
        for qos in ["0", "1", "2"] {
            let received = directory.path().join("received");
            let file = std::fs::File::create(&received).expect("a place to write");
            let mut command = server.command(
                "sub",
                &["-t", "a", "-q", qos, "-N", "-C", "2", "-V", version, "-d"],
            );
            command.stdout(file);
            command.stderr(std::process::Stdio::piped());
            let mut sub = command.spawn().expect("the program is built");
            let stderr = sub.stderr.take().expect("a pipe");
            let stderr = std::io::BufReader::new(stderr);
            let mut diagnostics = std::io::BufRead::lines(stderr);
            diagnostics
                .find(|line| line.as_ref().is_ok_and(|line| line.contains("Subscribed")))
                .expect("it subscribes")
                .expect("text");
            let rest = std::thread::spawn(move || diagnostics.count());
            let flags = ["-t", "a", "-q", qos, "-V", version];
            server.publish(&[&flags[..], &["-f", &path]].concat());
            let done = run(
                server.command("pub", &[&flags[..], &["-s"]].concat()),
                &payload,
            );
            assert_eq!(done.code, 0, "{done:?}");
            assert!(sub.wait().expect("a child").success());
            rest.join().expect("it is read");
            let received = std::fs::read(&received).expect("it was written");
            let expected = [&payload[..], &payload[..]].concat();
            assert!(received == expected, "QoS {qos}, version {version}");
        }
    }
}

#[test]
fn an_empty_message_clears_what_was_kept() {
    let server = Server::start();
    server.publish(&["-t", "a", "-m", "kept", "-r", "-q", "1"]);
    let done = run(
        server.command("sub", &["-t", "a", "-C", "1", "-F", "%p %r"]),
        b"",
    );
    assert_eq!(done.text().0, "kept 1\n");
    server.publish(&["-t", "a", "-n", "-r", "-q", "1"]);
    server.publish(&["-t", "b", "-m", "kept", "-r", "-q", "1"]);
    let done = run(
        server.command("sub", &["-t", "a", "-t", "b", "-C", "1", "-v"]),
        b"",
    );
    assert_eq!(
        done.text().0,
        "b kept
"
    );
}

#[test]
fn a_message_is_repeated() {
    let server = Server::start();
    let mut sub = server.subscribe(&["-t", "a", "-C", "6"]);
    server.publish(&["-t", "a", "-m", "x", "-q", "1", "--repeat", "3"]);
    server.publish(&[
        "-t",
        "a",
        "-m",
        "y",
        "--repeat",
        "3",
        "--repeat-delay",
        "0.01",
    ]);
    assert_eq!(
        sub.end(),
        (0, ["x", "x", "x", "y", "y", "y"].map(String::from).to_vec())
    );
}

#[test]
fn properties_arrive() {
    let server = Server::start();
    let sub = server.subscribe(&["-t", "a", "-V", "5", "-F", "%C|%D|%R|%P|%F"]);
    server.publish(&[
        "-t",
        "a",
        "-m",
        "x",
        "-q",
        "1",
        "-D",
        "publish",
        "content-type",
        "text/plain",
        "-D",
        "publish",
        "user-property",
        "name",
        "value",
        "-D",
        "PUBLISH",
        "response-topic",
        "b/c",
        "-D",
        "publish",
        "correlation-data",
        "42",
        "-D",
        "publish",
        "payload-format-indicator",
        "1",
    ]);
    assert_eq!(sub.line(), "text/plain|42|b/c|name:value|1");
}

#[test]
fn a_url_names_broker_login_and_topic() {
    let server = Server::with_password();
    let url = format!("mqtt://ann:right@{}/a/b", server.address);
    let mut sub = declic(&["sub", "-L", &url, "-C", "1", "-v", "-d"]);
    sub.env("NO_COLOR", "1");
    let mut sub = Process::start(sub);
    sub.expect_diagnostic("Subscribed");
    let done = run(declic(&["pub", "-L", &url, "-m", "x", "-q", "1"]), b"");
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(sub.end(), (0, vec!["a/b x".to_owned()]));
}

#[test]
fn a_password_comes_from_a_flag_a_file_or_the_environment() {
    let server = Server::with_password();
    let directory = TempDir::new();
    let file = directory.file("password", b"right\r\nnot this\n");
    let message = ["-t", "a", "-m", "x", "-q", "1", "-u", "ann"];
    server.publish(&[&message[..], &["-P", "right"]].concat());
    server.publish(&[&message[..], &["--password-file", &file]].concat());
    let mut command = server.command("pub", &message);
    command.env("DECLIC_PASSWORD", "right");
    assert_eq!(run(command, b"").code, 0);
    // A flag stands above the environment.
    let mut command = server.command("pub", &[&message[..], &["-P", "wrong"]].concat());
    command.env("DECLIC_PASSWORD", "right");
    assert_eq!(run(command, b"").code, 4);
}

#[cfg(unix)]
#[test]
fn pub_that_waits_for_a_line_ends_well_on_a_signal() {
    let server = Server::start();
    for signal in ["-INT", "-TERM"] {
        let sub = server.subscribe(&["-t", "will", "-t", "a"]);
        let mut publisher = Process::start(server.command(
            "pub",
            &[
                "-t",
                "a",
                "-l",
                "-q",
                "1",
                "--will-topic",
                "will",
                "--will-payload",
                "gone",
            ],
        ));
        publisher.say("x\n");
        assert_eq!(sub.line(), "x");
        // The acknowledgement is there, or the signal could come before it.
        publisher.say("y\n");
        assert_eq!(sub.line(), "y");
        publisher.signal(signal);
        let (code, _) = publisher.end();
        assert!(code == 0 || code == 1, "{code}");
        // It said goodbye: no will comes before what is published next.
        server.publish(&["-t", "a", "-m", "z", "-q", "1"]);
        assert_eq!(sub.line(), "z");
    }
}
