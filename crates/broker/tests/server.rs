//! The server over real sockets.

mod harness;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use declic_broker::{Access, Broker, CloseReason, Config, Effect, Limits, Users};
use declic_mqtt::packet::{Connect, Disconnect, Packet};
use declic_mqtt::{ProtocolVersion, QoS, ReasonCode, TopicFilter};
use harness::{Client, LIMIT, Server, dial};

#[test]
fn an_embedded_broker_serves_two_clients_and_stops_in_good_order() {
    let server = Server::start(Config::default());
    let mut subscriber = server.connect("subscriber");
    subscriber.subscribe("esp32/data", QoS::AtLeastOnce);
    let mut publisher = server.connect("publisher");
    publisher.publish("esp32/data", b"ON", QoS::AtLeastOnce);
    publisher.expect(|packet| matches!(packet, Packet::PubAck(_)));
    subscriber.expect(|packet| matches!(packet, Packet::Publish(one) if one.payload == b"ON"));
    assert_eq!(server.stats().accepted, 2);

    let handle = server.handle.clone();
    handle.shutdown();
    server.thread.join().expect("no panic").expect("no failure");
    let stopped = Disconnect::new(ReasonCode::ServerShuttingDown);
    subscriber.expect(|packet| packet == Packet::Disconnect(stopped));
    subscriber.expect_end();
    assert!(handle.stats().is_err());
    handle.shutdown();
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address");
    let error = Broker::bind(Config::listening_on(address)).expect_err("in use");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert_eq!(error.address(), Some(address));
    assert_eq!(error.to_string(), format!("{address} is in use"));
    let elsewhere = "192.0.2.1:1".parse().expect("an address");
    let error = Broker::bind(Config::listening_on(elsewhere)).expect_err("not ours");
    assert_eq!(
        error.to_string(),
        "192.0.2.1:1 is no address of this machine"
    );
}

#[test]
fn a_broker_may_listen_on_several_addresses() {
    let address: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let server = Server::start(Config {
        listeners: vec![address; 3],
        ..Config::default()
    });
    assert_eq!(server.addresses.len(), 3);
    for address in &server.addresses {
        Client::connect(*address, &Connect::new(ProtocolVersion::V5, ""));
    }
}

#[test]
fn a_broker_is_ready_within_milliseconds() {
    let fastest = (0..5).map(|_| {
        let begin = Instant::now();
        let server = Server::start(Config::default());
        server.connect("first");
        begin.elapsed()
    });
    let fastest = fastest.min().expect("five times");
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");
}

#[test]
fn only_those_with_the_right_password_come_in() {
    let server = Server::start(Config {
        access: Access::Passwords(Users::parse("lamp:secret").expect("a user")),
        ..Config::default()
    });
    let with = |user_name, password: Option<&'static str>| Connect {
        user_name,
        password: password.map(str::as_bytes),
        ..Connect::new(ProtocolVersion::V5, "lamp")
    };
    Client::connect(server.addresses[0], &with(Some("lamp"), Some("secret")));
    for connect in [
        with(Some("lamp"), Some("wrong")),
        with(None, None),
        with(Some("lamp"), None),
    ] {
        let mut client = Client::open(server.addresses[0]);
        client.send(&[Packet::Connect(connect)]);
        let refused = ReasonCode::BadUserNameOrPassword;
        client.expect(|packet| matches!(packet, Packet::ConnAck(one) if one.reason == refused));
        client.expect_end();
    }
    assert_eq!(server.stats().refused, 3);
}

#[test]
fn those_who_watch_are_told_who_comes_and_goes() {
    let server = Server::start(Config::default());
    let client = server.connect("lamp");
    let connected = server.events.recv_timeout(LIMIT).expect("an event");
    assert!(matches!(connected, Effect::Connected { client_id, .. } if &*client_id == "lamp"));
    drop(client);
    let disconnected = server.events.recv_timeout(LIMIT).expect("an event");
    assert_eq!(
        disconnected,
        Effect::Disconnected {
            client_id: "lamp".into(),
            reason: CloseReason::Lost,
        }
    );
}

#[test]
fn clients_and_retained_messages_are_listed_and_ended_from_outside() {
    let server = Server::start(Config {
        sys_interval: Duration::from_secs(3_600),
        ..Config::default()
    });
    let mut one = server.connect("one");
    one.publish("a/b", b"kept", QoS::AtLeastOnce);
    one.expect(|packet| matches!(packet, Packet::PubAck(_)));
    let clients = server.handle.clients(0, 100).expect("it runs").clients;
    let [client] = &clients[..] else {
        panic!("one client: {clients:?}");
    };
    assert_eq!(&*client.info.client_id, "one");
    let address = client.address.expect("it is connected");
    assert!(address.ip().is_loopback(), "{address}");
    assert_eq!(client.transport.as_deref(), Some("TCP"));
    assert!(client.connected_since.is_some());

    let reason = ReasonCode::AdministrativeAction;
    assert_eq!(server.handle.disconnect("two", reason, false), Ok(false));
    assert_eq!(server.handle.disconnect("one", reason, false), Ok(true));
    one.expect(|packet| packet == Packet::Disconnect(Disconnect::new(reason)));
    one.expect_end();

    let version = TopicFilter::new("$SYS/broker/version").expect("a filter");
    let page = server.handle.retained(version, None, 10, 100);
    assert_eq!(page.expect("it runs").messages.len(), 1);
    assert_eq!(server.handle.clear_retained(version), Ok(1));
    let page = server.handle.retained(version, None, 10, 100);
    assert_eq!(page.expect("it runs").messages.len(), 0);
}

/// The kernel's own table says which timer a connection has: 02 is the one of keep-alive.
#[cfg(target_os = "linux")]
#[test]
fn tcp_asks_after_clients_that_announce_no_keep_alive() {
    let server = Server::start(Config::default());
    let has_timer = |stream: &TcpStream| {
        let port = |address: SocketAddr| format!(":{:04X}", address.port());
        let ours = port(server.addresses[0]);
        let theirs = port(stream.local_addr().expect("an address"));
        let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux tells");
        let line = table.lines().find_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let is_it = fields.get(1)?.ends_with(&ours) && fields.get(2)?.ends_with(&theirs);
            is_it.then(|| fields[5].starts_with("02:"))
        });
        line.expect("the connection is there")
    };
    for keep_alive in [0, 60] {
        let mut connect = Connect::new(ProtocolVersion::V5, "client");
        connect.keep_alive = keep_alive;
        let stream = dial(server.addresses[0]);
        let mut client = Client::over(stream.try_clone().expect("a descriptor"));
        client.greet(&connect);
        assert_eq!(has_timer(&stream), keep_alive == 0);
    }
}

#[test]
fn a_message_of_many_megabytes_goes_through() {
    let server = Server::start(Config::default());
    let mut subscriber = server.connect("s");
    subscriber.subscribe("t", QoS::ExactlyOnce);
    let mut publisher = server.connect("p");
    let payload: Vec<u8> = (0..10_000_000_u32).map(|number| number as u8).collect();
    publisher.publish("t", &payload, QoS::ExactlyOnce);
    publisher.expect(|packet| matches!(packet, Packet::PubRec(_)));
    subscriber.expect(|packet| matches!(packet, Packet::Publish(one) if one.payload == payload));
}

#[test]
fn a_thousand_idle_connections_and_half_open_ones_disturb_nobody() {
    if !with_open_files(
        4_096,
        "a_thousand_idle_connections_and_half_open_ones_disturb_nobody",
    ) {
        return;
    }
    let server = Server::start(Config::default());
    let idle: Vec<_> = (0..1_000)
        .map(|number| server.connect(&format!("idle-{number}")))
        .collect();
    // Half of the others say nothing, half of them half a CONNECT.
    let half_open: Vec<_> = (0..500)
        .map(|number| {
            let mut client = Client::open(server.addresses[0]);
            if number % 2 == 0 {
                client
                    .stream
                    .write_all(b"\x10\x10\0\x04MQ")
                    .expect("the socket takes it");
            }
            client
        })
        .collect();
    let mut client = server.connect("me");
    client.subscribe("t", QoS::AtMostOnce);
    client.publish("t", b"x", QoS::AtMostOnce);
    client.expect(|packet| matches!(packet, Packet::Publish(_)));
    server.wait_for(|stats| stats.connections == 1_501);
    drop((idle, half_open));
    server.wait_for(|stats| stats.connections == 1);
    client.send(&[Packet::PingReq]);
    client.expect(|packet| packet == Packet::PingResp);
}

#[test]
fn a_client_that_never_reads_stalls_nobody() {
    let server = Server::start(Config {
        limits: Limits {
            queued_bytes: 1 << 20,
            ..Limits::default()
        },
        ..Config::default()
    });
    let mut slow = server.connect("slow");
    slow.subscribe("t", QoS::AtMostOnce);
    let mut fast = server.connect("fast");
    fast.subscribe("t", QoS::AtMostOnce);
    let mut publisher = server.connect("publisher");
    let payload = vec![7; 100_000];
    let mut sent = 0;
    // Until more is on the way than the system's buffers and the queue hold.
    while server.stats().dropped_qos_0 == 0 {
        publisher.publish("t", &payload, QoS::AtMostOnce);
        fast.expect(|packet| matches!(packet, Packet::Publish(one) if one.payload == payload));
        sent += 1;
        assert!(sent < 10_000);
    }
    // The slow one gets what was kept once it reads, each message whole.
    slow.send(&[Packet::PingReq]);
    let mut received = 0;
    slow.expect(|packet| match packet {
        Packet::Publish(one) => {
            assert!(one.payload == payload);
            received += 1;
            false
        }
        packet => packet == Packet::PingResp,
    });
    assert!(received > 0);
}

#[test]
fn a_refused_client_is_told_why_even_if_it_goes_on_sending() {
    let server = Server::start(Config::default());
    let mut client = server.connect("client");
    // A packet larger than allowed, with as much of it as the system takes.
    client
        .stream
        .write_all(b"\x30\xff\xff\xff\x7f")
        .expect("the socket takes it");
    let chunk = [0; 65_536];
    for _ in 0..16 {
        if client.stream.write_all(&chunk).is_err() {
            break;
        }
    }
    client.expect(|packet| match packet {
        Packet::Disconnect(told) => {
            let words = told.properties.reason_string();
            assert!(
                words.is_some_and(|words| words.contains("bytes")),
                "{words:?}"
            );
            told.reason == ReasonCode::PacketTooLarge
        }
        _ => false,
    });
    client.expect_end();
    server.wait_for(|stats| stats.connections == 0);
}

#[test]
fn more_connections_than_allowed_are_closed() {
    let server = Server::start(Config {
        limits: Limits {
            connections: 2,
            ..Limits::default()
        },
        ..Config::default()
    });
    let _first = server.connect("1");
    let second = server.connect("2");
    Client::open(server.addresses[0]).expect_end();
    drop(second);
    server.wait_for(|stats| stats.connections == 1);
    server.connect("3");
}

/// The system's limit of open files is reached: those who are there are served, and those who
/// wait come in when there is room again.
#[test]
#[cfg(unix)]
fn without_descriptors_the_broker_goes_on() {
    if !with_open_files(40, "without_descriptors_the_broker_goes_on") {
        return;
    }
    let told = Arc::new(Told::default());
    tracing::subscriber::set_global_default(Arc::clone(&told)).expect("the only one");
    let server = Server::start(Config::default());
    let mut first = server.connect("first");
    // Each takes a descriptor here and one in the broker, until there are none.
    let mut others = Vec::new();
    while let Ok(stream) = TcpStream::connect(server.addresses[0]) {
        others.push(stream);
    }
    assert!(others.len() > 10);
    told.wait_for("no connections are taken for now", || {});
    // It goes on trying, says nothing more of it, and serves those who are there.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(500) {
        first.send(&[Packet::PingReq]);
        first.expect(|packet| packet == Packet::PingResp);
    }
    drop(others);
    let mut second = server.connect("second");
    second.send(&[Packet::PingReq]);
    second.expect(|packet| packet == Packet::PingResp);
    told.wait_for("connections are taken again", || {
        drop(server.connect("third"))
    });
    for (line, count) in told.0.lock().expect("nobody panics").iter() {
        assert_eq!(*count, 1, "{line}");
    }
}

/// What was told of listeners, and how often.
#[derive(Default)]
struct Told(Mutex<BTreeMap<String, usize>>);

impl Told {
    fn wait_for(&self, line: &str, meanwhile: impl Fn()) {
        let begin = Instant::now();
        while !self.0.lock().expect("nobody panics").contains_key(line) {
            assert!(begin.elapsed() < LIMIT, "{line}");
            meanwhile();
        }
    }
}

impl tracing::Subscriber for Told {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().ends_with("::listener")
    }

    fn event(&self, event: &tracing::Event<'_>) {
        struct Message(String);

        impl tracing::field::Visit for Message {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }

        let mut message = Message(String::new());
        event.record(&mut message);
        let mut told = self.0.lock().expect("nobody panics");
        *told.entry(message.0).or_default() += 1;
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// Runs the test `name` again in a process that may have `limit` files open. Returns whether this
/// is that process.
fn with_open_files(limit: u32, name: &str) -> bool {
    const MARK: &str = "DECLIC_TEST_OPEN_FILES";
    if cfg!(not(unix)) || std::env::var_os(MARK).is_some() {
        return true;
    }
    let test = std::env::current_exe().expect("this test");
    let run = format!("ulimit -n {limit}; exec \"$0\" {name} --exact");
    let status = Command::new("sh")
        .args(["-c", &run])
        .arg(test)
        .env(MARK, "1")
        .status();
    assert!(status.expect("a shell").success());
    false
}
