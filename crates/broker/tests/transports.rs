//! The same MQTT over TCP, TLS, WebSocket, secure WebSocket and Unix sockets.

mod harness;
#[path = "harness/transports.rs"]
mod transports;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use declic_broker::{Config, Limits, ReloadError, Tls};
use declic_mqtt::packet::{Connect, Disconnect, Packet, Properties, Will};
use declic_mqtt::{ProtocolVersion, QoS, ReasonCode, TopicName};
use harness::dial;
use transports::{ALL, Everywhere, Files, Transport, upgrade};

const V5: ProtocolVersion = ProtocolVersion::V5;

#[test]
fn a_message_goes_from_any_transport_to_any_other() {
    let broker = Everywhere::start(Config::default());
    for &to in ALL {
        let mut subscriber = broker.open(to);
        subscriber.greet(&Connect::new(V5, "subscriber"));
        subscriber.subscribe("t", QoS::ExactlyOnce);
        for &from in ALL {
            let mut publisher = broker.open(from);
            publisher.greet(&Connect::new(V5, "publisher"));
            let payload = format!("{from:?} to {to:?}");
            publisher.publish("t", payload.as_bytes(), QoS::AtLeastOnce);
            publisher.expect(|packet| matches!(packet, Packet::PubAck(_)));
            let payload = payload.as_bytes();
            subscriber
                .expect(|packet| matches!(packet, Packet::Publish(one) if one.payload == payload));
        }
    }
}

#[test]
fn a_message_of_many_megabytes_goes_both_ways_over_every_transport() {
    let broker = Everywhere::start(Config::default());
    let payload: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
    for &transport in ALL {
        let mut client = broker.open(transport);
        client.greet(&Connect::new(V5, "client"));
        client.subscribe("t", QoS::AtMostOnce);
        client.publish("t", &payload, QoS::AtMostOnce);
        client.expect(|packet| matches!(packet, Packet::Publish(one) if one.payload == payload));
    }
}

#[test]
fn a_lost_connection_publishes_the_will_and_a_farewell_does_not() {
    let broker = Everywhere::start(Config::default());
    let mut watcher = broker.open(Transport::Tcp);
    watcher.greet(&Connect::new(V5, "watcher"));
    watcher.subscribe("will/+", QoS::AtMostOnce);
    for &transport in ALL {
        let topic = format!("will/{transport:?}");
        let will = |topic| Connect {
            will: Some(Will {
                topic: TopicName::new(topic).expect("a topic"),
                payload: b"lost",
                qos: QoS::AtMostOnce,
                retain: false,
                properties: Properties::EMPTY,
            }),
            ..Connect::new(V5, "client")
        };
        let mut client = broker.open(transport);
        client.greet(&will("will/never"));
        client.send(&[Packet::Disconnect(Disconnect::new(
            ReasonCode::NORMAL_DISCONNECTION,
        ))]);
        client.expect_end();
        let mut client = broker.open(transport);
        client.greet(&will(&topic));
        drop(client);
        watcher.expect(|packet| {
            let Packet::Publish(publish) = packet else {
                return false;
            };
            assert_eq!(publish.topic.map(|topic| topic.as_str()), Some(&*topic));
            true
        });
    }
}

#[test]
fn when_the_broker_stops_every_client_is_told_why() {
    let broker = Everywhere::start(Config::default());
    let mut clients: Vec<_> = ALL
        .iter()
        .map(|transport| broker.open(*transport))
        .collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.greet(&Connect::new(V5, &format!("client-{number}")));
    }
    let Everywhere { server, files } = broker;
    server.handle.shutdown();
    server.thread.join().expect("no panic").expect("no failure");
    let stopped = Disconnect::new(ReasonCode::ServerShuttingDown);
    for client in &mut clients {
        client.expect(|packet| packet == Packet::Disconnect(stopped));
        client.expect_end();
    }
    // The file of the Unix socket goes with the broker.
    assert!(!files.path("socket").exists());
}

#[test]
fn a_client_that_never_reads_stalls_nobody_over_any_transport() {
    let broker = Everywhere::start(Config {
        limits: Limits {
            queued_bytes: 1 << 20,
            ..Limits::default()
        },
        ..Config::default()
    });
    let payload = vec![7; 100_000];
    for &transport in ALL {
        let mut slow = broker.open(transport);
        slow.greet(&Connect::new(V5, "slow"));
        slow.subscribe("t", QoS::AtMostOnce);
        let mut fast = broker.open(transport);
        fast.greet(&Connect::new(V5, "fast"));
        fast.subscribe("t", QoS::AtMostOnce);
        let before = broker.server.stats().dropped_qos_0;
        while broker.server.stats().dropped_qos_0 == before {
            fast.publish("t", &payload, QoS::AtMostOnce);
            fast.expect(|packet| matches!(packet, Packet::Publish(one) if one.payload == payload));
        }
        // It gets what was kept once it reads, each message whole.
        let mut received = 0;
        slow.send(&[Packet::PingReq]);
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
}

#[test]
fn what_has_not_begun_to_speak_mqtt_in_time_is_closed() {
    let broker = Everywhere::start(Config {
        limits: Limits {
            connect_timeout: Duration::from_millis(200),
            ..Limits::default()
        },
        ..Config::default()
    });
    let server = &broker.server;
    for (address, beginning) in [
        (server.tls_addresses[0], &b""[..]),
        // The beginning of a ClientHello.
        (
            server.tls_addresses[0],
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        ),
        (server.http_addresses[0], b""),
        (
            server.http_addresses[0],
            b"GET /mqtt HTTP/1.1\r\nHost: x\r\n",
        ),
        (server.https_addresses[0], b""),
    ] {
        let mut stream = dial(address);
        stream.write_all(beginning).expect("the socket takes it");
        expect_end(&mut stream);
    }
    // Through TLS, but then silent.
    let mut client = broker.files.encrypt(dial(server.tls_addresses[0]), None);
    client
        .conn
        .complete_io(&mut client.sock)
        .expect("a handshake");
    expect_end(&mut client.sock);
    // A WebSocket, but then silent.
    let stream = dial(server.http_addresses[0]);
    let mut silent = upgrade(stream, "ws://localhost/mqtt");
    assert_eq!(silent.read(&mut [0]).expect("an end"), 0);
}

#[test]
fn what_is_not_tls_is_closed_and_disturbs_nobody() {
    let broker = Everywhere::start(Config::default());
    let address = broker.server.tls_addresses[0];
    for bytes in [
        &b"\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x02me"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 70_000],
    ] {
        let mut stream = dial(address);
        // The broker may close before it has read all of it.
        let _ = stream.write_all(bytes);
        expect_end(&mut stream);
    }
    let mut client = broker.open(Transport::Tls);
    client.greet(&Connect::new(V5, "client"));
}

#[test]
fn connections_from_one_address_are_limited_over_all_transports_together() {
    let broker = Everywhere::start(Config {
        limits: Limits {
            connections_per_address: 3,
            ..Limits::default()
        },
        ..Config::default()
    });
    let open = |transport| {
        let mut client = broker.open(transport);
        client.greet(&Connect::new(V5, ""));
        client
    };
    let kept = [
        open(Transport::Tcp),
        open(Transport::Tls),
        open(Transport::WebSocket),
    ];
    for address in [
        broker.server.addresses[0],
        broker.server.tls_addresses[0],
        broker.server.https_addresses[0],
    ] {
        expect_end(&mut dial(address));
    }
    assert_eq!(broker.server.stats().refused_connections_per_address, 3);
    // A Unix socket has no address.
    #[cfg(unix)]
    drop(open(Transport::Unix));
    drop(kept);
    broker.server.wait_for(|stats| stats.connections == 0);
    for _ in 0..3 {
        drop(open(Transport::Tcp));
    }
}

#[test]
fn certificates_are_exchanged_while_connections_stay_open() {
    let broker = Everywhere::start(Config::default());
    let serial = |broker: &Everywhere| {
        let mut client = broker
            .files
            .encrypt(dial(broker.server.tls_addresses[0]), None);
        client
            .conn
            .complete_io(&mut client.sock)
            .expect("a handshake");
        client.conn.peer_certificates().expect("certificates")[0].to_vec()
    };
    let mut open = broker.open(Transport::Tls);
    open.greet(&Connect::new(V5, "open"));
    let first = serial(&broker);
    broker.files.make("server", "the broker, renewed");
    assert_eq!(serial(&broker), first);
    broker.server.handle.reload().expect("valid certificates");
    assert_ne!(serial(&broker), first);
    open.send(&[Packet::PingReq]);
    open.expect(|packet| packet == Packet::PingResp);
}

#[test]
fn broken_certificates_are_refused_and_the_old_ones_stay() {
    let broker = Everywhere::start(Config::default());
    let files = &broker.files;
    files.make("other", "another one");
    let reload = || match broker.server.handle.reload() {
        Err(ReloadError::Source(error)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let key = std::fs::read_to_string(files.path("server.key")).expect("a key");
    let name = |name| files.path(name).display().to_string();
    for (content, cause) in [
        ("", "there is no private key in it".to_owned()),
        (
            "-----BEGIN PRIVATE KEY-----\nAA",
            "no private key can be read from it: ".to_owned(),
        ),
        (
            &std::fs::read_to_string(files.path("other.key")).expect("a key"),
            format!("it is not the key of {}", name("server.pem")),
        ),
    ] {
        files.write("server.key", content);
        let error = reload();
        assert!(
            error.starts_with(&format!("{}: {cause}", name("server.key"))),
            "{error}"
        );
        let mut client = broker.open(Transport::Tls);
        client.greet(&Connect::new(V5, "client"));
    }
    files.write("server.key", &key);
    broker.server.handle.reload().expect("valid certificates");
}

#[test]
fn the_broker_does_not_start_with_certificates_that_are_missing() {
    let files = Files::new();
    let mut tls = files.settings();
    tls.certificate = files.path("nowhere.pem");
    let config = Config {
        listeners: vec![any()],
        tls_listeners: vec![any()],
        tls: Some(tls),
        ..Config::default()
    };
    let error = declic_broker::Broker::bind(config).expect_err("no certificate");
    let file = error.file().expect("a file");
    assert_eq!(file.path(), files.path("nowhere.pem"));
    let config = Config {
        listeners: vec![any()],
        tls_listeners: vec![any()],
        ..Config::default()
    };
    let error = declic_broker::Broker::bind(config).expect_err("no certificate");
    assert_eq!(
        error.to_string(),
        "a listener with TLS needs a certificate and its key"
    );
}

#[test]
fn clients_without_a_certificate_are_turned_away_where_one_is_required() {
    let files = Files::new();
    files.make("lamp", "lamp");
    let stranger = Files::new();
    stranger.make("lamp", "lamp");
    let tls = Tls {
        client_ca: Some(files.path("ca.pem")),
        require_client_certificate: true,
        ..files.settings()
    };
    let broker = Everywhere::start_with(Config::default(), files, tls);
    let mut client = broker.open_as(Transport::Tls, Some("lamp"));
    client.greet(&Connect::new(V5, "lamp"));
    let mut client = broker.open_as(Transport::SecureWebSocket, Some("lamp"));
    client.greet(&Connect::new(V5, "lamp"));
    let refused = |mut client: rustls::StreamOwned<rustls::ClientConnection, TcpStream>| {
        // In TLS 1.3 the client learns it when it reads.
        let _ = client.write_all(b"\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x02me");
        client.read(&mut [0]).is_err()
    };
    let address = broker.server.tls_addresses[0];
    assert!(refused(broker.files.encrypt(dial(address), None)));
    // Vouched for by somebody else.
    broker
        .files
        .write("stranger.pem", &read(&stranger, "lamp.pem"));
    broker
        .files
        .write("stranger.key", &read(&stranger, "lamp.key"));
    assert!(refused(
        broker.files.encrypt(dial(address), Some("stranger"))
    ));
}

fn read(files: &Files, name: &str) -> String {
    std::fs::read_to_string(files.path(name)).expect("a file")
}

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// Nothing comes any more; whatever was on the way is passed over.
fn expect_end(stream: &mut TcpStream) {
    let mut buffer = [0; 4_096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("it is still open: {error}"),
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}
