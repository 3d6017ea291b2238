//! The broker as a service: sockets that are handed over, what systemd is told, signals.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use crate::harness::{LIMIT, Process, TempDir, declic, run};

#[test]
fn sockets_of_systemd_are_served_and_it_is_told_when_the_broker_is_ready_and_ends() {
    let directory = TempDir::new();
    let path = directory.path().join("notify");
    let notify = UnixDatagram::bind(&path).expect("a socket");
    notify.set_read_timeout(Some(LIMIT)).expect("a timeout");
    let told = || {
        let mut buffer = [0; 100];
        let count = notify.recv(&mut buffer).expect("it is told in time");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    // The process that gets the socket is the one that LISTEN_PID names.
    let mut command = Command::new("sh");
    let script = "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" broker 3<&0 0</dev/null";
    command.args(["-c", script, env!("CARGO_BIN_EXE_declic")]);
    command.env("NOTIFY_SOCKET", &path);
    command.env("XDG_RUNTIME_DIR", "/dev/null");
    let mut process = Process::start_with(command, Stdio::from(OwnedFd::from(listener)));
    assert_eq!(process.line(), format!("listening on mqtt://{address}"));
    assert_eq!(told(), "READY=1");
    let port = address.port().to_string();
    let at = [
        "pub",
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-q",
        "1",
        "-t",
        "a",
        "-m",
        "x",
    ];
    assert_eq!(run(declic(&at), b"").code, 0);
    process.signal("-TERM");
    assert_eq!(told(), "STOPPING=1");
    assert_eq!(process.end(), (0, vec![]));
}

#[test]
fn a_hang_up_has_the_configuration_read_again() {
    let directory = TempDir::new();
    let config = directory.file("broker.toml", b"");
    let flags = ["broker", "--listen", "127.0.0.1:0", "--config", &config];
    let process = Process::start(declic(&flags));
    process.line();
    std::fs::write(&config, "[log]\nlevel = \"info\"\n").expect("a place to write");
    process.signal("-HUP");
    process.expect_diagnostic("configuration read again");
    std::fs::write(&config, "[log]\nlevel = 1\n").expect("a place to write");
    process.signal("-HUP");
    let told = process.expect_diagnostic("the files are as they were");
    assert!(told.contains("broker.toml:2:9"), "{told}");
}

#[test]
fn it_listens_on_a_unix_socket_and_for_http_and_not_by_default_then() {
    use std::io::{Read as _, Write as _};

    let directory = TempDir::new();
    let path = directory.path().join("mqtt");
    let path = path.to_str().expect("a plain path");
    let flags = [
        "broker",
        "--listen-unix",
        path,
        "--listen-http",
        "127.0.0.1:0",
    ];
    let process = Process::start(declic(&flags));
    let line = process.line();
    let address = line.strip_prefix("listening on ws://").expect("an address");
    let address = address.strip_suffix("/mqtt").expect("a path");
    assert_eq!(process.line(), format!("listening on unix:{path}"));
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\ndeclic_broker_connections "), "{answer}");
    let mut stream = std::os::unix::net::UnixStream::connect(path).expect("it listens");
    stream
        .write_all(b"\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x02me")
        .expect("it reads");
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).expect("an answer");
    assert_eq!(connack, [0x20, 2, 0, 0]);
}

#[test]
fn tls_needs_a_certificate_and_its_key() {
    let flags = ["broker", "--listen-tls", "127.0.0.1:0"];
    let error = run(declic(&flags), b"").error(2);
    assert!(error.starts_with("can't listen with TLS: "), "{error}");
    let open = ["broker", "--listen-http", "0.0.0.0:0"];
    let error = run(declic(&open), b"").error(2);
    assert!(error.contains("nothing says who may connect"), "{error}");
}
