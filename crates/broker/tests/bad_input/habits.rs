//! Clients whose packets are right and whose habits are not.

use std::time::Duration;

use declic_broker::{Access, Config, Limits, Users};
use declic_mqtt::packet::{Connect, Disconnect, Packet, Properties, Will};
use declic_mqtt::{ProtocolVersion, QoS, ReasonCode, TopicName};

use crate::harness::Client;
use crate::table::{packet, string};
use crate::transports::{Everywhere, Files};
use crate::{FOUR, Peer, Witness};

const V5: ProtocolVersion = ProtocolVersion::V5;

fn with_will(id: &str) -> Connect<'_> {
    Connect {
        will: Some(Will {
            topic: TopicName::new("will").expect("a topic"),
            payload: b"lost",
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: Properties::EMPTY,
        }),
        ..Connect::new(V5, id)
    }
}

fn login<'a>(name: &'a str, id: &'a str) -> Connect<'a> {
    Connect {
        user_name: Some(name),
        password: Some(b"p"),
        ..Connect::new(V5, id)
    }
}

#[test]
fn a_session_is_taken_over_from_any_transport_by_any_other_and_nothing_is_left_behind() {
    let broker = Everywhere::start(Config::default());
    let mut watcher = broker.open(FOUR[0]);
    watcher.greet(&Connect::new(V5, "watcher"));
    watcher.subscribe("will", QoS::AtMostOnce);
    for from in FOUR {
        for to in FOUR {
            let mut old = broker.open(from);
            old.greet(&with_will("session"));
            let mut new = broker.open(to);
            new.greet(&Connect::new(V5, "session"));
            let told = Disconnect::new(ReasonCode::SessionTakenOver);
            old.expect(|packet| packet == Packet::Disconnect(told));
            old.expect_end();
            watcher.expect(|packet| matches!(packet, Packet::Publish(_)));
            new.send(&[Packet::PingReq]);
            new.expect(|packet| packet == Packet::PingResp);
        }
    }
    broker.server.wait_for(|stats| stats.connections == 1);
}

#[test]
fn a_name_made_of_wildcards_gives_no_right_over_any_transport() {
    let files = Files::new();
    files.write(
        "rights",
        "pattern readwrite id/%c/#\npattern readwrite user/%u/#\n",
    );
    let users = " #:p\n+:p\na/b:p\n$x:p\nvictim:p\n";
    let config = Config {
        access: Access::Passwords(Users::parse(users).expect("users")),
        rights: Some(files.path("rights")),
        ..Config::default()
    };
    let tls = files.settings();
    let broker = Everywhere::start_with(config, files, tls);
    for transport in FOUR {
        for (name, id) in [("+", "+"), ("a/b", "#"), ("$x", ""), (" #", "+/#")] {
            let mut client = broker.open(transport);
            client.greet(&login(name, id));
            client.subscribe("#", QoS::AtMostOnce);
            for topic in ["id/victim/x", "user/victim/x", "elsewhere"] {
                client.publish(topic, b"x", QoS::AtLeastOnce);
                client.expect(|packet| match packet {
                    Packet::PubAck(ack) => {
                        assert_eq!(ack.reason, ReasonCode::NotAuthorized, "{topic}");
                        true
                    }
                    other => panic!("{name:?} over {transport:?}: {other:?}"),
                });
            }
            let mut victim = broker.open(transport);
            victim.greet(&login("victim", "victim"));
            for topic in ["id/victim/x", "user/victim/x"] {
                victim.publish(topic, b"secret", QoS::AtLeastOnce);
                victim.expect(
                    |packet| matches!(packet, Packet::PubAck(ack) if !ack.reason.is_error()),
                );
            }
            // What it was sent has come before this.
            client.send(&[Packet::PingReq]);
            client.expect(|packet| {
                assert_eq!(packet, Packet::PingResp, "{name:?} over {transport:?}");
                true
            });
        }
    }
}

#[test]
fn a_will_without_the_right_to_write_is_never_published_over_any_transport() {
    let files = Files::new();
    files.write("rights", "topic read #\ntopic write after\n");
    let config = Config {
        rights: Some(files.path("rights")),
        ..Config::default()
    };
    let tls = files.settings();
    let broker = Everywhere::start_with(config, files, tls);
    let mut watcher = broker.open(FOUR[0]);
    watcher.greet(&Connect::new(V5, "watcher"));
    watcher.subscribe("#", QoS::AtMostOnce);
    for transport in FOUR {
        let mut client = broker.open(transport);
        client.send(&[Packet::Connect(with_will("client"))]);
        // Refused at once, or accepted and the will thrown away: it may not come.
        drop(client);
        broker.server.wait_for(|stats| stats.connections == 1);
        let mut after = broker.open(transport);
        after.greet(&Connect::new(V5, "after"));
        after.publish("after", b"after", QoS::AtMostOnce);
        watcher.expect(|packet| match packet {
            Packet::Publish(publish) => {
                assert_eq!(publish.payload, b"after", "{transport:?}");
                true
            }
            _ => false,
        });
        drop(after);
        broker.server.wait_for(|stats| stats.connections == 1);
    }
}

#[test]
fn hundreds_of_half_open_connections_are_closed_in_time_and_disturb_nobody() {
    let broker = Everywhere::start(Config {
        limits: Limits {
            connect_timeout: Duration::from_millis(500),
            ..Limits::default()
        },
        ..Config::default()
    });
    let begin = packet(0x10, &[&string("MQTT"), &[5, 2, 0, 60, 0], &string("c")]);
    let mut half_open = Vec::new();
    for transport in FOUR {
        let mut witness = Witness::new(&broker, transport);
        for number in 0..50 {
            let mut peer = Peer::new(broker.open(transport).stream);
            peer.send(&begin[..number % begin.len()], false);
            half_open.push(peer);
        }
        witness.is_served();
    }
    for peer in &mut half_open {
        assert_eq!(peer.rest(), Ok(Vec::new()));
    }
    broker.server.wait_for(|stats| stats.connections == 0);
}

#[test]
fn a_flood_and_a_reader_that_never_reads_disturb_nobody_over_any_transport() {
    let broker = Everywhere::start(Config {
        limits: Limits {
            queued_bytes: 1 << 18,
            ..Limits::default()
        },
        ..Config::default()
    });
    for transport in FOUR {
        let mut witness = Witness::new(&broker, transport);
        let mut never_reads = broker.open(transport);
        never_reads.greet(&Connect::new(V5, "never reads"));
        never_reads.subscribe("flood", QoS::AtMostOnce);
        let mut flood: Client = broker.open(transport);
        flood.greet(&Connect::new(V5, "flood"));
        let before = broker.server.stats().dropped_qos_0;
        while broker.server.stats().dropped_qos_0 == before {
            flood.publish("flood", &[7; 60_000], QoS::AtMostOnce);
        }
        witness.is_served();
    }
}
