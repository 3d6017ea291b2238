//! `declic board`, with brokers that come, go and refuse.

mod running;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use declic_broker::{Access, Broker, Config, Handle, RunError, Users};
use declic_mqtt::ProtocolVersion;
use declic_mqtt::packet::{ConnAck, Connect, FixedHeader, Packet, Properties, ReasonCode};

use running::Running;

/// A broker in a thread of this process.
struct Embedded {
    address: SocketAddr,
    handle: Handle,
    thread: Option<JoinHandle<Result<(), RunError>>>,
}

impl Embedded {
    fn start() -> Self {
        Self::with(Config::listening_on((Ipv4Addr::LOCALHOST, 0).into()))
    }

    fn with(config: Config) -> Self {
        Self::run(Broker::bind(config).expect("a free port"))
    }

    /// Listens where another one has listened before. A process that another test is starting may
    /// hold the old socket for a moment, between its fork and its exec.
    fn again(address: SocketAddr) -> Self {
        let limit = Instant::now() + Duration::from_secs(20);
        loop {
            match Broker::bind(Config::listening_on(address)) {
                Ok(broker) => return Self::run(broker),
                Err(error) if Instant::now() > limit => panic!("{error}"),
                Err(_) => thread::yield_now(),
            }
        }
    }

    fn run(broker: Broker) -> Self {
        Self {
            address: broker.local_addrs()[0],
            handle: broker.handle(),
            thread: Some(thread::spawn(move || broker.run())),
        }
    }

    fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    fn stop(&mut self) {
        self.handle.shutdown();
        if let Some(thread) = self.thread.take() {
            let result = thread.join().expect("the broker does not panic");
            result.expect("the broker ends well");
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

/// A board that is connected, and tries again quickly.
fn board(role: &str, broker: &Embedded, args: &[&str]) -> Running {
    let url = broker.url();
    let fixed = [
        "board",
        "--role",
        role,
        "--broker",
        &url,
        "--set",
        "backoff-base=10",
    ];
    let mut board = Running::start(&[&fixed, args].concat());
    board.expect(&format!("connected to {url} as declic"));
    board.expect("subscribed to ");
    board
}

#[test]
fn a_press_on_one_board_turns_the_light_of_another_on_and_off() {
    let broker = Embedded::start();
    let mut lamp = board("subscriber", &broker, &[]);
    let mut button = board("publisher", &broker, &[]);
    for state in ["ON", "OFF", "ON"] {
        button.send("press");
        button.expect(&format!("pressed {state}"));
        lamp.expect(&format!("light {state}"));
    }
    button.send("status");
    assert!(button.expect("status ").contains("presses=3"));
    button.quit();
    lamp.quit();
}

#[test]
fn a_board_of_both_roles_follows_its_own_button_at_once() {
    let broker = Embedded::start();
    let mut both = board("both", &broker, &[]);
    both.send("hold 200");
    both.expect("pressed ON");
    both.expect("light ON");
    both.quit();
}

#[test]
fn a_board_has_the_console_of_a_real_one_and_keeps_what_is_saved_over_a_restart() {
    let broker = Embedded::start();
    let mut lamp = board("subscriber", &broker, &[]);
    lamp.send("get pair");
    lamp.expect("pair=");
    lamp.expect("ok");
    lamp.send("set pair a/b");
    lamp.expect("error: pair can't be `a/b`");
    lamp.send("set pair table-7");
    lamp.expect("ok: type save");
    lamp.send("restart");
    lamp.expect("error: changes are not saved (1)");
    lamp.send("save");
    lamp.expect("ok: saved 1");
    lamp.send("restart");
    lamp.expect("restarted");
    lamp.expect("subscribed to esp32/data/table-7");
    lamp.send("factory-reset");
    lamp.expect("restarted");
    let line = lamp.expect("subscribed to esp32/data");
    assert_eq!(line, "subscribed to esp32/data");
    lamp.send("led on");
    lamp.expect("light ON");
    lamp.quit();
}

#[test]
fn a_press_while_offline_arrives_once_after_the_broker_has_returned() {
    let mut broker = Embedded::start();
    let address = broker.address;
    let mut button = board("publisher", &broker, &[]);
    broker.stop();
    button.expect("disconnected: ");
    button.send("press");
    button.expect("pressed ON");
    let _broker = Embedded::again(address);
    let port = address.port().to_string();
    // It may come before the subscription, and so be retained, or after it.
    let mut watch = Running::start(&[
        "sub",
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-t",
        "esp32/data",
        "-q",
        "1",
        "-F",
        "%r %p",
    ]);
    watch.expect_any(&["0 ON", "1 ON"]);
    button.expect("connected to ");
    button.send("press");
    watch.expect("0 OFF");
    let count = |line| watch.seen().iter().filter(|seen| *seen == line).count();
    assert!(
        count("0 ON") <= 1 && count("1 ON") <= 1,
        "{:?}",
        watch.seen()
    );
    button.quit();
}

#[test]
fn a_wrong_password_is_said_once_and_tried_again_later() {
    let broker = Embedded::with(Config {
        access: Access::Passwords(Users::one("lamp", "right").expect("a user")),
        ..Config::listening_on((Ipv4Addr::LOCALHOST, 0).into())
    });
    let url = broker.url();
    let args = ["board", "--broker", &url, "-u", "lamp", "-P"];
    let mut wrong = Running::start(&[&args[..], &["wrong"]].concat());
    let line = wrong.expect(&format!("cannot connect to {url}: "));
    assert!(line.contains("Check --user and --password"), "{line}");
    wrong.send("status");
    assert!(wrong.expect("status ").contains("connection=waiting"));
    wrong.quit();
    let said = wrong
        .seen()
        .iter()
        .filter(|line| line.starts_with("cannot"));
    assert_eq!(said.count(), 1);
    let mut right = Running::start(&[&args[..], &["right"]].concat());
    right.expect("connected to ");
    right.quit();
}

#[test]
fn without_a_broker_it_waits_for_one() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = free.local_addr().expect("its address");
    drop(free);
    let url = format!("mqtt://localhost:{}", address.port());
    let mut button = Running::start(&["board", "--broker", &url, "--set", "backoff-base=10"]);
    let line = button.expect(&format!("cannot connect to {url}: "));
    assert!(line.contains("refused"), "{line}");
    let _broker = Embedded::again(address);
    button.expect(&format!("connected to {url} as declic"));
    button.quit();
}

#[test]
fn of_several_brokers_the_next_one_is_tried_when_one_can_not_be_reached() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let nobody = free.local_addr().expect("its address");
    drop(free);
    let broker = Embedded::start();
    let list = format!("broker={nobody}, {}", broker.address);
    let mut button = Running::start(&["board", "--set", &list, "--set", "backoff-base=10"]);
    button.expect(&format!("cannot connect to mqtt://{nobody}: "));
    button.expect(&format!("connected to {} as declic", broker.url()));
    button.quit();
}

#[test]
fn a_board_that_sleeps_wakes_at_a_press_which_arrives() {
    let broker = Embedded::start();
    let mut lamp = board("subscriber", &broker, &[]);
    let mut button = board("publisher", &broker, &["--set", "sleep=1"]);
    for (count, state) in [(1, "ON"), (2, "OFF")] {
        button.expect("sleeping, after ");
        button.send("press");
        button.expect(&format!("pressed (number {count})"));
        lamp.expect(&format!("light {state}"));
    }
    button.expect("sleeping, after ");
    button.quit();
    lamp.quit();
}

#[test]
fn a_name_that_nobody_knows_is_said() {
    // No name at all, so that nobody needs to be asked.
    let mut board = Running::start(&["board", "--broker", "mqtt://a..b"]);
    let line = board.expect("cannot connect to mqtt://a..b:1883: ");
    assert!(line.contains("the name is not known"), "{line}");
    board.quit();
}

#[test]
fn a_broker_that_only_speaks_3_1_1_is_spoken_to_in_3_1_1() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("its address");
    let mut board = Running::start(&["board", "--broker", &format!("mqtt://{address}")]);
    let answer = |reason| {
        let (mut stream, _) = listener.accept().expect("a connection");
        let version = connect_version(&mut stream);
        let mut connack = [0; 8];
        let packet = ConnAck {
            session_present: false,
            reason,
            properties: Properties::EMPTY,
        };
        let len = packet
            .encode(ProtocolVersion::V3_1_1, &mut connack)
            .expect("it fits");
        stream.write_all(&connack[..len]).expect("it reads");
        (version, stream)
    };
    let (version, stream) = answer(ReasonCode::UnsupportedProtocolVersion);
    assert_eq!(version, ProtocolVersion::V5);
    drop(stream);
    let (version, _stream) = answer(ReasonCode::Success);
    assert_eq!(version, ProtocolVersion::V3_1_1);
    let line = board.expect(&format!("connected to mqtt://{address} as declic"));
    assert!(line.ends_with("(MQTT 3.1.1)"), "{line}");
    board.quit();
}

/// Reads a CONNECT; returns its version.
fn connect_version(stream: &mut TcpStream) -> ProtocolVersion {
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a time above zero");
    let mut bytes = Vec::new();
    loop {
        if let Ok(Some(header)) = FixedHeader::decode(&bytes)
            && let Some(packet) = bytes.get(..header.packet_len())
        {
            let connect: Connect<'_> =
                match Packet::decode(ProtocolVersion::V5, header, &packet[header.len()..]) {
                    Ok(Packet::Connect(connect)) => connect,
                    other => panic!("no CONNECT: {other:?}"),
                };
            return connect.version;
        }
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a CONNECT");
        bytes.extend(byte);
    }
}

#[test]
fn boards_with_names_keep_their_ids_and_others_do_not_share_them() {
    let broker = Embedded::start();
    let url = broker.url();
    let mut first = Running::start(&["board", "--broker", &url, "--name", "kitchen"]);
    let id = |line: String| line.split(' ').nth(4).map(str::to_owned);
    let kitchen = id(first.expect("connected to "));
    let mut second = first.start_again(&["board", "--broker", &url, "--name", "kitchen"]);
    assert_ne!(id(second.expect("connected to ")), kitchen);
    first.quit();
    let mut again = second.start_again(&["board", "--broker", &url, "--name", "kitchen"]);
    assert_eq!(id(again.expect("connected to ")), kitchen);
    again.quit();
    second.quit();
}

#[test]
fn a_wrong_setting_is_a_usage_error_that_names_it() {
    for (args, part) in [
        (["--qos", "3"], "qos can't be `3`"),
        (["--topic", "a/+"], "topic can't be `a/+`"),
        (["--set", "debounce=-1"], "debounce can't be `-1`"),
        (["--set", "colour=red"], "there is no setting `colour`"),
        (["--broker", "mqtts://host"], "boards don't speak mqtts://"),
        (["--role", "light"], "publisher, subscriber or both"),
        (["--id", "xyz"], "12 hex digits"),
        (["--on", "off"], "must differ"),
    ] {
        let mut board = Running::start_without_input(&[&["board"][..], &args].concat());
        let (code, errors) = board.wait();
        assert_eq!(code, Some(2), "{args:?}: {errors:?}");
        assert!(errors[0].starts_with("error: "), "{args:?}: {errors:?}");
        assert!(errors[0].contains(part), "{args:?}: {errors:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_in_good_order() {
    let broker = Embedded::start();
    let port = broker.address.port().to_string();
    let mut lamp = board("subscriber", &broker, &["--id", "c0ffee000001"]);
    let mut watch = Running::start(&[
        "sub",
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-t",
        "declic/c0ffee000001/status",
        "-C",
        "2",
    ]);
    watch.expect("online");
    lamp.signal("TERM");
    assert_eq!(lamp.wait(), (Some(0), Vec::new()));
    watch.expect("offline");
}
