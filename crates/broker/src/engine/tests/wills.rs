//! Wills: published when a client is lost, and only then.

use declic_mqtt::packet::{Connect, Disconnect, Packet, Properties, Property, Publish, Will};
use declic_mqtt::{ProtocolVersion, QoS, ReasonCode};

use super::harness::*;
use crate::engine::{ConnId, Limits};

fn will<'a>(qos: QoS, retain: bool, properties: &'a [Property<'a>]) -> Will<'a> {
    Will {
        topic: topic("will"),
        payload: b"gone",
        qos,
        retain,
        properties: Properties::new(properties),
    }
}

fn with_will<'a>(version: ProtocolVersion, will: Will<'a>) -> Connect<'a> {
    Connect {
        will: Some(will),
        keep_alive: 10,
        ..Connect::new(version, "w")
    }
}

fn watcher(world: &mut World, version: ProtocolVersion) -> ConnId {
    let connect = Connect {
        keep_alive: 0,
        ..Connect::new(version, "watcher")
    };
    let (conn, _) = world.connect(&connect);
    world.subscribe(conn, "will", ExactlyOnce);
    conn
}

/// v3.1.1 [MQTT-3.1.2-8], [MQTT-3.1.2-10], [MQTT-3.1.2-16]; v5 [MQTT-3.1.2-8], [MQTT-3.1.2-10],
/// [MQTT-3.1.2-14]
#[test]
fn a_will_is_published_once_when_the_connection_is_lost() {
    for version in BOTH {
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            let mut world = World::new();
            let watcher = watcher(&mut world, version);
            let (conn, _) = world.connect(&with_will(version, will(qos, false, &[])));
            world.expect_nothing(watcher);
            world.lose(conn);
            world.expect(watcher, &[message("will", "gone", qos, 1)]);
            world.advance(seconds(1_000));
            world.expect_nothing(watcher);
            assert_eq!(world.engine.stats().retained, 0);
        }
    }
}

/// v3.1.1 [MQTT-3.1.2-8]; v5 [MQTT-3.1.2-8]
#[test]
fn a_will_is_published_on_keep_alive_protocol_error_and_takeover() {
    for version in BOTH {
        let mut world = World::new();
        let watcher = watcher(&mut world, version);
        let connect = with_will(version, will(AtMostOnce, false, &[]));
        world.connect(&connect);
        world.advance(seconds(16));
        assert_eq!(world.messages(watcher), ["will gone"]);
        let (conn, _) = world.connect(&connect);
        world.send_bytes(conn, &[0xff, 0xff]);
        assert_eq!(world.messages(watcher), ["will gone"]);
        world.connect(&connect);
        world.client(version, "w");
        assert_eq!(world.messages(watcher), ["will gone"]);
    }
}

/// v3.1.1 [MQTT-3.1.2-10], [MQTT-3.14.4-3]; v5 [MQTT-3.1.2-10], [MQTT-3.14.4-3]
#[test]
fn a_goodbye_discards_the_will() {
    for version in BOTH {
        let mut world = World::new();
        let watcher = watcher(&mut world, version);
        let (conn, _) = world.connect(&with_will(version, will(AtMostOnce, true, &[])));
        let goodbye = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        world.send(conn, &[Packet::Disconnect(goodbye)]);
        world.expect_nothing(watcher);
        assert_eq!(world.engine.stats().messages, 0);
        // v3.1.1 [MQTT-3.1.2-12]: no will, nothing to publish.
        let conn = world.client(version, "none");
        world.lose(conn);
        world.expect_nothing(watcher);
    }
}

/// v5, section 3.14.2.1: reason code 0x04
#[test]
fn a_goodbye_may_ask_for_the_will() {
    let mut world = World::new();
    let watcher = watcher(&mut world, V5);
    let (conn, _) = world.connect(&with_will(V5, will(AtMostOnce, false, &[])));
    let goodbye = Disconnect::new(ReasonCode::DisconnectWithWill);
    world.send(conn, &[Packet::Disconnect(goodbye)]);
    assert_eq!(world.messages(watcher), ["will gone"]);
}

/// What no client may publish, no client may have published for it.
#[test]
fn a_will_to_the_brokers_own_topics_or_with_too_many_levels_is_refused() {
    let limits = Limits {
        topic_levels: 3,
        ..Limits::default()
    };
    let (invalid, forbidden) = (ReasonCode::TopicNameInvalid, ReasonCode::NotAuthorized);
    for (name, reason) in [
        ("$SYS/broker/version", forbidden),
        ("$SYS", forbidden),
        ("a/b/c/d", invalid),
    ] {
        for version in BOTH {
            let mut world = World::with_limits(limits.clone());
            let conn = world.open(version);
            let connect = Connect {
                will: Some(Will {
                    topic: topic(name),
                    payload: b"forged",
                    qos: AtMostOnce,
                    retain: true,
                    properties: Properties::EMPTY,
                }),
                ..Connect::new(version, "c")
            };
            let connack = world.try_connect(conn, &connect);
            world.connack(version, &connack, |connack| match version {
                V5 => assert_eq!(connack.reason, reason, "{name}"),
                V3_1_1 => assert!(connack.reason.is_error(), "{name}"),
            });
            assert!(world.closed(conn).is_some());
            assert_eq!(world.engine.stats().retained, 0);
        }
    }
}

/// v3.1.1 [MQTT-3.1.2-17]; v5 [MQTT-3.1.2-15]
#[test]
fn a_retained_will_is_retained() {
    for version in BOTH {
        let mut world = World::new();
        let (conn, _) = world.connect(&with_will(version, will(AtLeastOnce, true, &[])));
        world.lose(conn);
        let watcher = watcher(&mut world, version);
        world.expect(watcher, &[retained("will", "gone", AtLeastOnce, 1)]);
    }
}

fn delayed<'a>(properties: &'a [Property<'a>], expiry: &'a [Property<'a>]) -> Connect<'a> {
    Connect {
        clean_start: false,
        properties: Properties::new(expiry),
        ..with_will(V5, will(AtMostOnce, false, properties))
    }
}

/// Mistake of other brokers: will delay ignored. v5 [MQTT-3.1.3-9]
#[test]
fn a_delayed_will_waits_and_is_not_sent_if_the_client_comes_back() {
    let mut world = World::new();
    let watcher = watcher(&mut world, V5);
    let delay = [Property::WillDelayInterval(10)];
    let expiry = [Property::SessionExpiryInterval(100)];
    let connect = delayed(&delay, &expiry);
    let (conn, _) = world.connect(&connect);
    world.lose(conn);
    world.advance(seconds(9));
    world.expect_nothing(watcher);
    let (conn, _) = world.connect(&Connect {
        keep_alive: 0,
        ..connect
    });
    world.advance(seconds(100));
    world.expect_nothing(watcher);
    world.lose(conn);
    world.advance(seconds(11));
    // The delay itself is not passed on.
    world.expect(watcher, &[message("will", "gone", AtMostOnce, 1)]);
    assert_eq!(world.engine.stats().sessions, 2);
    world.advance(seconds(100));
    world.expect_nothing(watcher);
    assert_eq!(world.engine.stats().sessions, 1);
}

/// v5 [MQTT-3.1.3-9], and section 3.1.2.5: the will is published when the session ends.
#[test]
fn a_delayed_will_is_sent_when_the_session_ends_before() {
    let delay = [Property::WillDelayInterval(1_000)];
    let expiry = [Property::SessionExpiryInterval(10)];
    let connect = delayed(&delay, &expiry);

    let mut world = World::new();
    let watcher_ = watcher(&mut world, V5);
    let (conn, _) = world.connect(&connect);
    world.lose(conn);
    world.advance(seconds(11));
    assert_eq!(world.messages(watcher_), ["will gone"]);

    // A clean start ends it too.
    let (conn, _) = world.connect(&connect);
    world.lose(conn);
    world.client(V5, "w");
    assert_eq!(world.messages(watcher_), ["will gone"]);

    // One that ends with the connection has nothing to wait for.
    let (conn, _) = world.connect(&delayed(&delay, &[]));
    world.lose(conn);
    assert_eq!(world.messages(watcher_), ["will gone"]);
}

/// v5 [MQTT-3.1.3-10], [MQTT-3.3.2-6]
#[test]
fn a_wills_properties_are_passed_on_and_its_expiry_counts_from_its_publication() {
    let mut world = World::new();
    let watcher = watcher(&mut world, V5);
    let properties = [
        Property::UserProperty(("b", "1")),
        Property::WillDelayInterval(10),
        Property::ContentType("text/plain"),
        Property::MessageExpiryInterval(60),
        Property::UserProperty(("a", "2")),
    ];
    let expiry = [Property::SessionExpiryInterval(100)];
    let (conn, _) = world.connect(&delayed(&properties, &expiry));
    world.lose(conn);
    world.advance(seconds(20));
    let expected = [
        Property::MessageExpiryInterval(60),
        Property::UserProperty(("b", "1")),
        Property::ContentType("text/plain"),
        Property::UserProperty(("a", "2")),
    ];
    world.expect(
        watcher,
        &[Packet::Publish(Publish {
            properties: Properties::new(&expected),
            ..publish("will", "gone", AtMostOnce, 1)
        })],
    );
}
