//! `declic broker ctl` with a running broker.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use crate::harness::{Process, TempDir, declic, run};

/// A broker with a control socket.
struct Broker {
    directory: TempDir,
    process: Process,
    port: String,
}

impl Broker {
    fn start(flags: &[&str]) -> Self {
        Self::start_in(TempDir::new(), flags)
    }

    fn start_in(directory: TempDir, flags: &[&str]) -> Self {
        let path = directory.path().join("run/ctl");
        let path = path.to_str().expect("a plain path");
        let listen = ["broker", "--listen", "127.0.0.1:0", "--control", path];
        let process = Process::start(declic(&[&listen[..], flags].concat()));
        let line = process.line();
        let (_, port) = line.rsplit_once(':').expect("a port");
        Self {
            port: port.to_owned(),
            directory,
            process,
        }
    }

    fn socket(&self) -> String {
        format!("{}/run/ctl", self.directory.path().display())
    }

    fn ctl(&self, arguments: &[&str]) -> crate::harness::Done {
        let socket = self.socket();
        let ctl = ["broker", "ctl", "--socket", &socket];
        run(declic(&[&ctl[..], arguments].concat()), b"")
    }

    /// What `ctl` prints, which must succeed.
    fn asked(&self, arguments: &[&str]) -> String {
        let done = self.ctl(arguments);
        let (stdout, stderr) = done.text();
        assert_eq!((done.code, &*stderr), (0, ""), "{stdout}");
        stdout
    }

    fn publish(&self, flags: &[&str]) {
        let at = ["pub", "-h", "127.0.0.1", "-p", &self.port, "-q", "1"];
        let done = run(declic(&[&at[..], flags].concat()), b"");
        assert_eq!(done.code, 0, "{:?}", done.text());
    }

    fn subscribe(&self, flags: &[&str]) -> Process {
        let at = ["sub", "-h", "127.0.0.1", "-p", &self.port, "-d"];
        let process = Process::start(declic(&[&at[..], flags].concat()));
        process.expect_diagnostic("Subscribed");
        process
    }
}

#[test]
fn clients_are_listed_and_disconnected_with_a_reason() {
    let broker = Broker::start(&[]);
    let sub = broker.subscribe(&["-i", "lamp", "-t", "a", "-t", "b", "-V", "5"]);
    let table = broker.asked(&["clients"]);
    let lines: Vec<_> = table.lines().collect();
    let [head, row] = lines[..] else {
        panic!("a head and a row: {table}");
    };
    assert!(
        head.starts_with("CLIENT  USER  TRANSPORT  ADDRESS "),
        "{head}"
    );
    assert!(
        row.starts_with("lamp    -     TCP        127.0.0.1:"),
        "{row}"
    );
    assert!(row.contains("  5.0   20"), "{row}");
    let json = broker.asked(&["clients", "--json"]);
    let start = r#"{"answer":"client","client_id":"lamp","user":null,"connected":true,"transport":"TCP","address":"127.0.0.1:"#;
    assert!(json.starts_with(start), "{json}");
    assert!(json.contains(r#""subscriptions":2,"queued":0,"#), "{json}");

    let done = broker.asked(&["disconnect", "lamp", "--reason", "server-busy"]);
    assert_eq!(done, "disconnected lamp\n");
    let note = sub.expect_diagnostic("the broker ended the connection");
    assert!(note.contains("server busy"), "{note}");
    let error = broker.ctl(&["disconnect", "nobody"]).error(1);
    let expected = "can't disconnect nobody: no such client is connected";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_kept_session_is_listed_and_can_be_forgotten() {
    let broker = Broker::start(&[]);
    let flags = ["-i", "kept", "-c", "-t", "a", "-q", "1", "-V", "311"];
    let mut sub = broker.subscribe(&flags);
    sub.signal("-TERM");
    sub.end();
    broker.publish(&["-t", "a", "-m", "x"]);
    let json = broker.asked(&["clients", "--json"]);
    assert!(
        json.contains(r#""client_id":"kept","user":null,"connected":false,"transport":null"#),
        "{json}"
    );
    assert!(json.contains(r#""queued":1,"queued_bytes":4,"#), "{json}");
    assert!(broker.asked(&["clients"]).contains("away"));
    broker.asked(&["disconnect", "kept", "--forget"]);
    assert_eq!(broker.asked(&["clients", "--json"]), "");
}

#[test]
fn a_session_is_its_users_after_a_restart_too_until_it_is_forgotten() {
    let directory = TempDir::new();
    let users = directory.file("users", b"ann:a\neve:e\n");
    let store = format!("{}/store", directory.path().display());
    let flags = ["--users", &users, "--store", &store];
    let mut broker = Broker::start_in(directory, &flags);
    let kept = [
        "-i", "kept", "-c", "-t", "a", "-q", "1", "-V", "5", "-x", "600",
    ];
    let ann = [&kept[..], &["-u", "ann", "-P", "a"]].concat();
    let mut sub = broker.subscribe(&ann);
    sub.signal("-TERM");
    sub.end();
    broker.process.signal("-KILL");
    broker.process.end();
    let broker = Broker::start_in(broker.directory, &flags);
    let table = broker.asked(&["clients"]);
    assert!(
        table.contains("\nkept    ann   -          -        -     away "),
        "{table}"
    );
    let at = [
        "sub",
        "-h",
        "127.0.0.1",
        "-p",
        &broker.port,
        "-u",
        "eve",
        "-P",
        "e",
    ];
    let error = run(declic(&[&at[..], &kept].concat()), b"").text().1;
    assert!(error.contains("client identifier not valid"), "{error}");
    broker.asked(&["disconnect", "kept", "--forget"]);
    let eve = [&kept[..], &["-u", "eve", "-P", "e"]].concat();
    let _sub = broker.subscribe(&eve);
    assert!(broker.asked(&["clients"]).contains("\nkept    eve   TCP "));
}

#[test]
fn retained_messages_are_listed_and_cleared_by_filter() {
    let broker = Broker::start(&["--sys-interval", "0"]);
    for topic in ["home/lamp", "home/door", "garden"] {
        broker.publish(&["-t", topic, "-m", "ON", "-r"]);
    }
    let long = "x".repeat(300);
    broker.publish(&["-t", "long", "-m", &long, "-r"]);
    let table = broker.asked(&["retained", "home/#"]);
    let expected = "TOPIC      QOS  PAYLOAD\nhome/door  1    ON\nhome/lamp  1    ON\n";
    assert_eq!(table, expected);
    assert!(broker.asked(&["retained", "long"]).ends_with("xxx ...\n"));
    assert_eq!(broker.asked(&["clear", "home/#"]), "cleared 2 messages\n");
    assert_eq!(
        broker.asked(&["clear", "garden", "--json"]),
        "{\"count\":1}\n"
    );
    let rest = broker.asked(&["retained", "--json"]);
    assert_eq!(rest.lines().count(), 1, "{rest}");
    assert_eq!(broker.ctl(&["clear", "a/#/b"]).code, 2);
}

#[test]
fn more_than_a_page_is_listed_and_cleared_whole() {
    let broker = Broker::start(&["--sys-interval", "0"]);
    let mut stream = TcpStream::connect(format!("127.0.0.1:{}", broker.port)).expect("it listens");
    let mut bytes = b"\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x02me".to_vec();
    for number in 0..1_000 {
        bytes.extend_from_slice(format!("\x31\x09\0\x06t/{number:04}x").as_bytes());
    }
    bytes.extend_from_slice(b"\xc0\0");
    stream.write_all(&bytes).expect("it reads");
    // CONNACK, and with PINGRESP all of it is done.
    stream.read_exact(&mut [0; 6]).expect("it answers");
    let json = broker.asked(&["retained", "t/#", "--json"]);
    assert_eq!(json.lines().count(), 1_000);
    let table = broker.asked(&["retained", "t/#"]);
    assert!(table.ends_with("\nt/0999  0    x\n"));
    assert_eq!(table.lines().count(), 1_001);
    assert_eq!(broker.asked(&["clear", "t/+"]), "cleared 1000 messages\n");
    assert_eq!(broker.asked(&["retained", "--json"]), "");
}

#[test]
fn what_the_broker_counts_is_printed_for_people_scripts_and_prometheus() {
    let broker = Broker::start(&[]);
    broker.publish(&["-t", "a", "-m", "x"]);
    let stats = broker.asked(&["stats"]);
    let received = stats
        .lines()
        .find_map(|line| line.strip_prefix("publishes_received_total"))
        .expect("it is counted");
    assert_eq!(received.trim(), "1");
    let json = broker.asked(&["stats", "--json"]);
    let member = r#"{"answer":"count","name":"publishes_received_total","value":1}"#;
    assert!(json.contains(member), "{json}");
    let metrics = broker.asked(&["metrics"]);
    assert!(
        metrics.contains("\ndeclic_broker_publishes_received_total 1\n"),
        "{metrics}"
    );
}

#[test]
fn the_log_level_changes_when_the_configuration_is_read_again() {
    let directory = TempDir::new();
    let config = directory.file("broker.toml", b"");
    let broker = Broker::start_in(directory, &["--config", &config]);
    std::fs::write(&config, "[log]\nlevel = \"info\"\n").expect("a place to write");
    assert_eq!(broker.asked(&["reload"]), "configuration read again\n");
    broker.process.expect_diagnostic("configuration read again");
    broker.publish(&["-i", "somebody", "-t", "a", "-m", "x"]);
    broker.process.expect_diagnostic("client_id=somebody");
    std::fs::write(&config, "[log]\nlevel = 5\n").expect("a place to write");
    let error = broker.ctl(&["reload"]).error(1);
    assert!(
        error.contains("broker.toml:2:9: log.level can't be 5"),
        "{error}"
    );
}

#[test]
fn only_the_owner_can_use_the_socket_and_it_goes_with_the_broker() {
    let mut broker = Broker::start(&[]);
    let path = broker.socket();
    let mode = |path: &str| {
        let file = std::fs::metadata(path).expect("it is there");
        file.permissions().mode() & 0o777
    };
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&format!("{path}/..").replace("/ctl/..", "")), 0o700);
    broker.process.signal("-TERM");
    assert_eq!(broker.process.end().0, 0);
    assert!(std::fs::symlink_metadata(&path).is_err());
    let error = broker.ctl(&["stats"]).error(3);
    assert!(error.starts_with("no broker answers at "), "{error}");
}

#[test]
fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let directory = TempDir::new();
    let run_directory = directory.path().join("run");
    std::fs::create_dir(&run_directory).expect("a place to write");
    // Nobody listens on it any more.
    drop(UnixListener::bind(run_directory.join("ctl")).expect("a socket"));
    let broker = Broker::start_in(directory, &[]);
    broker.asked(&["stats"]);
    let second = [
        "broker",
        "--listen",
        "127.0.0.1:0",
        "--control",
        &broker.socket(),
    ];
    let error = run(declic(&second), b"").error(5);
    assert!(error.contains("another broker listens there"), "{error}");
    broker.asked(&["stats"]);
    let file = broker.directory.file("file", b"precious");
    let onto = ["broker", "--listen", "127.0.0.1:0", "--control", &file];
    let error = run(declic(&onto), b"").error(5);
    assert!(error.contains("a file that is no socket"), "{error}");
    assert_eq!(std::fs::read(&file).expect("it is there"), b"precious");
}

#[test]
fn a_backup_is_a_store_that_a_broker_can_be_started_with() {
    let directory = TempDir::new();
    let path = |name: &str| format!("{}/{name}", directory.path().display());
    let (store, copy) = (path("store"), path("copy"));
    let broker = Broker::start(&["--store", &store]);
    broker.publish(&["-t", "kept", "-m", "x", "-r"]);
    assert_eq!(
        broker.asked(&["backup", &copy]),
        format!("copied to {copy}\n")
    );
    let error = broker.ctl(&["backup", &copy]).error(1);
    assert!(error.starts_with("the broker could not do it: "), "{error}");
    drop(broker);
    let broker = Broker::start(&["--store", &copy, "--sys-interval", "0"]);
    assert!(broker.asked(&["retained"]).contains("kept"));
    let memory = Broker::start(&[]);
    let error = memory.ctl(&["backup", &path("none")]).error(1);
    assert!(error.contains("the broker has no store"), "{error}");
}

#[test]
fn bridges_are_listed() {
    let directory = TempDir::new();
    // Nobody listens there.
    let config = "[[bridge]]\nname = \"far\"\nhost = \"127.0.0.1\"\nport = 1\n[[bridge.topic]]\n";
    let config = directory.file("broker.toml", config.as_bytes());
    let broker = Broker::start_in(directory, &["--config", &config]);
    let table = broker.asked(&["bridges"]);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[1].starts_with("far     away   0     0"), "{table}");
}
