//! Bridges of `declic broker`, with brokers as processes.

use crate::harness::{Process, TempDir, declic, run};

/// A broker, and its port.
fn start(flags: &[&str], directory: &TempDir) -> (Process, String) {
    let mut command = declic(&[&["broker"], flags].concat());
    command.env("DECLIC_STATE_DIR", directory.path());
    let process = Process::start(command);
    let line = process.line();
    let (start, port) = line.rsplit_once(':').expect("a port");
    assert!(start.starts_with("listening on mqtt://"), "{line}");
    (process, port.to_owned())
}

#[test]
fn a_bridge_of_the_configuration_carries_messages_both_ways() {
    let directory = TempDir::new();
    let users = directory.file("users", b"house:secret\n");
    let far = ["--listen", "127.0.0.1:0", "--users", &users];
    let (_far, far_port) = start(&far, &directory);
    let password = directory.file("password", b"secret\n");
    let config = format!(
        "[listen]\naddresses = [\"127.0.0.1:0\"]\n[log]\nlevel = \"info\"\n\
         [[bridge]]\nname = \"far\"\nhost = \"127.0.0.1\"\nport = {far_port}\n\
         user = \"house\"\npassword_file = \"{password}\"\n\
         [[bridge.topic]]\nfilter = \"a/#\"\nremote_prefix = \"house/\"\n"
    );
    let path = directory.file("broker.toml", config.as_bytes());
    let (mut near, near_port) = start(&["--config", &path], &directory);
    near.expect_diagnostic("bridge connected");
    let login = ["-u", "house", "-P", "secret"];
    for (port, topic, other_port, other) in [
        (&near_port, "a/1", &far_port, "house/a/1"),
        (&far_port, "house/a/2", &near_port, "a/2"),
    ] {
        let at = ["sub", "-h", "127.0.0.1", "-p", other_port, "-C", "1", "-d"];
        let mut sub = Process::start(declic(&[&at[..], &login, &["-t", other]].concat()));
        sub.expect_diagnostic("Subscribed");
        let at = ["pub", "-h", "127.0.0.1", "-p", port, "-q", "2", "-m", "x"];
        let done = run(declic(&[&at[..], &login, &["-t", topic]].concat()), b"");
        assert_eq!(done.code, 0);
        assert_eq!(sub.end(), (0, vec!["x".to_owned()]));
    }
    near.signal("-TERM");
    assert_eq!(near.end(), (0, vec![]));
}

/// What was acknowledged here is on disk here, and goes on from there.
#[test]
fn what_waits_for_a_bridge_survives_that_its_broker_is_killed() {
    let directory = TempDir::new();
    let path = |name: &str| format!("{}/{name}", directory.path().display());
    let (far_store, near_store) = (path("far"), path("near"));
    let any = ["--listen", "127.0.0.1:0"];
    // The other broker knows who waits there, and is not there for now.
    let (mut far, far_port) = start(&[&any[..], &["--store", &far_store]].concat(), &directory);
    let sub = [
        "sub",
        "-h",
        "127.0.0.1",
        "-p",
        &far_port,
        "-i",
        "s",
        "-c",
        "-q",
        "2",
        "-t",
    ];
    let mut first = Process::start(declic(&[&sub[..], &["up/#", "-d", "-V", "5"]].concat()));
    first.expect_diagnostic("Subscribed");
    first.signal("-TERM");
    first.end();
    far.kill();
    let config = format!(
        "[store]\ndirectory = \"{near_store}\"\n[log]\nlevel = \"info\"\n\
         [[bridge]]\nname = \"far\"\nhost = \"127.0.0.1\"\nport = {far_port}\n\
         shortest_pause = \"20ms\"\nlongest_pause = \"200ms\"\n\
         [[bridge.topic]]\nfilter = \"up/#\"\ndirection = \"out\"\nqos = 2\n"
    );
    let config = directory.file("near.toml", config.as_bytes());
    let mut listen = "127.0.0.1:0".to_owned();
    for round in 0..3 {
        let flags = ["--config", &config, "--listen", &listen];
        let (mut near, port) = start(&flags, &directory);
        near.expect_diagnostic("no connection");
        listen = format!("127.0.0.1:{port}");
        let lines: String = (0..100)
            .map(|number| format!("{round}-{number}\n"))
            .collect();
        for qos in ["1", "2"] {
            let at = [
                "pub",
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-l",
                "-t",
                "up/x",
                "-q",
                qos,
            ];
            assert_eq!(run(declic(&at), lines.as_bytes()).code, 0);
        }
        near.kill();
    }
    let far_listen = format!("127.0.0.1:{far_port}");
    let flags = ["--listen", &far_listen, "--store", &far_store];
    let (_far, _) = start(&flags, &directory);
    let (near, _) = start(&["--config", &config, "--listen", &listen], &directory);
    near.expect_diagnostic("bridge connected");
    let done = run(
        declic(&[&sub[..], &["up/#", "-C", "600", "-W", "20", "-V", "5"]].concat()),
        b"",
    );
    let (stdout, stderr) = done.text();
    assert_eq!(done.code, 0, "{stderr}");
    let mut expected: Vec<String> = Vec::new();
    for round in 0..3 {
        for number in 0..100 {
            expected.extend([format!("{round}-{number}"), format!("{round}-{number}")]);
        }
    }
    expected.sort();
    let mut came: Vec<_> = stdout.lines().map(str::to_owned).collect();
    came.sort();
    assert_eq!(came, expected);
}
