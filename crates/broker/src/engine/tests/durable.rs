//! What waits for the store, what does not, and what comes back from it.

use std::num::NonZeroU16;

use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Connect, Packet, Properties, Property, Publish, SubscriptionId, Will};

use super::harness::*;
use crate::engine::{CloseReason, ConnId, Engine, Limits};

/// A world with a store that stores nothing before it is told to.
fn slow() -> World {
    let mut world = World::with_engine(Engine::new(Limits::default(), 7).with_store());
    world.disk.is_slow = true;
    world
}

/// A world with a store that is prompt.
fn prompt() -> World {
    World::with_engine(Engine::new(Limits::default(), 7).with_store())
}

impl World {
    /// The batch that is out is stored, or not.
    fn store(&mut self, is_stored: bool) {
        let now = self.now;
        self.disk.store(&mut self.engine, is_stored, now);
        self.step();
    }

    /// The broker is killed, and another one goes on with what is stored.
    fn kill(&mut self) -> World {
        let mut world = World::with_engine(self.disk.restored(self.now));
        world.now = self.now;
        world.disk.records = std::mem::take(&mut self.disk.records);
        world.step();
        world
    }

    fn connack_comes_after_storing(&mut self, connect: &Connect<'_>) -> ConnId {
        let conn = self.open(connect.version);
        self.send(conn, &[Packet::Connect(*connect)]);
        self.expect_nothing(conn);
        self.store(true);
        let connack = self.received(conn);
        assert_eq!(connack[0], 0x20);
        conn
    }
}

#[test]
fn a_lasting_session_is_stored_before_its_connack_and_a_clean_one_waits_for_nothing() {
    for version in BOTH {
        let mut world = slow();
        let conn = world.connack_comes_after_storing(&lasting(version, "lasting"));
        world.client(version, "clean");
        assert_eq!(world.disk.batches, 1);
        // Nothing overtakes a CONNACK, not even a message of its own session.
        world.lose(conn);
        world.store(true);
        let again = world.open(version);
        world.send(again, &[Packet::Connect(lasting(version, "lasting"))]);
        world.send(again, &[Packet::PingReq]);
        world.expect_nothing(again);
        world.store(true);
        let bytes = world.received(again);
        assert_eq!(
            (bytes[0], &bytes[bytes.len() - 2..]),
            (0x20, &[0xd0, 0][..])
        );
    }
}

#[test]
fn a_publish_is_acknowledged_when_it_is_stored_for_those_who_are_away() {
    for version in BOTH {
        let mut world = prompt();
        let (away, _) = world.connect(&lasting(version, "away"));
        world.subscribe(away, "t", ExactlyOnce);
        world.lose(away);
        let sender = world.client(version, "sender");
        world.disk.is_slow = true;
        world.send(sender, &[message("t", "1", AtLeastOnce, 1)]);
        world.send(sender, &[message("t", "2", ExactlyOnce, 2)]);
        // For nobody, but acknowledgements keep their order.
        world.send(
            sender,
            &[
                message("t", "0", AtMostOnce, 1),
                message("x", "3", AtLeastOnce, 3),
            ],
        );
        world.send(sender, &[Packet::PingReq]);
        world.expect(sender, &[Packet::PingResp]);
        world.store(true);
        world.store(true);
        let acks = world.received(sender);
        let kinds: Vec<_> = decode(version, &acks).iter().map(Packet::kind).collect();
        assert_eq!(format!("{kinds:?}"), "[PubAck, PubRec, PubAck]");
        let mut world = world.kill();
        let (back, present) = world.connect(&lasting(version, "away"));
        assert!(present);
        assert_eq!(world.messages(back), ["t 1", "t 2"]);
    }
}

#[test]
fn a_retained_message_is_acknowledged_when_it_is_stored() {
    let mut world = slow();
    let sender = world.client(V5, "sender");
    world.send(sender, &[retained("t", "kept", AtLeastOnce, 1)]);
    world.expect_nothing(sender);
    world.store(true);
    world.expect(
        sender,
        &[Packet::PubAck(ack(1, ReasonCode::NoMatchingSubscribers))],
    );
    let mut world = world.kill();
    let reader = world.client(V5, "reader");
    world.subscribe(reader, "t", AtMostOnce);
    assert_eq!(world.messages(reader), ["t kept"]);
}

#[test]
fn what_was_delivered_before_it_was_stored_is_never_stored() {
    let mut world = prompt();
    let (reader, _) = world.connect(&lasting(V3_1_1, "reader"));
    world.subscribe(reader, "t", AtLeastOnce);
    let sender = world.client(V3_1_1, "sender");
    world.disk.is_slow = true;
    world.send(sender, &[message("t", "first", AtLeastOnce, 1)]);
    world.expect(reader, &[message("t", "first", AtLeastOnce, 1)]);
    // While the first is stored, the second comes and goes.
    world.send(sender, &[message("t", "second", AtLeastOnce, 2)]);
    world.expect(reader, &[message("t", "second", AtLeastOnce, 2)]);
    world.send(reader, &[puback(1), puback(2)]);
    let batches = world.disk.batches;
    world.store(true);
    world.expect(sender, &[puback(1)]);
    // Only that the first is gone.
    assert_eq!(world.disk.batches, batches + 1);
    world.store(true);
    world.expect(sender, &[puback(2)]);
    assert!(!world.disk.records.keys().any(|key| key[0] == b'm'));
}

/// `[MQTT-4.3.3-2]` of 5.0 across a crash: with another identifier it would be another message.
#[test]
fn a_message_of_qos_2_is_sent_when_its_identifier_is_stored_and_again_with_the_same_one() {
    for version in BOTH {
        let mut world = prompt();
        let (reader, _) = world.connect(&lasting(version, "reader"));
        world.subscribe(reader, "t", ExactlyOnce);
        let sender = world.client(version, "sender");
        world.disk.is_slow = true;
        world.send(sender, &[message("t", "a", ExactlyOnce, 1), pubrel(1)]);
        world.send(sender, &[message("t", "b", AtLeastOnce, 2)]);
        // What is behind it keeps its place.
        world.expect_nothing(reader);
        world.store(true);
        let sent = [
            message("t", "a", ExactlyOnce, 1),
            message("t", "b", AtLeastOnce, 2),
        ];
        world.expect(reader, &sent);
        world.store(true);
        let mut world = world.kill();
        let (reader, _) = world.connect(&lasting(version, "reader"));
        let sent = [
            again("t", "a", ExactlyOnce, 1),
            again("t", "b", AtLeastOnce, 2),
        ];
        world.expect(reader, &sent);
    }
}

/// `[MQTT-4.3.3-8]` and others of 5.0: neither side forgets before the other may rely on it.
#[test]
fn both_releases_of_qos_2_wait_for_the_store() {
    let mut world = prompt();
    let (reader, _) = world.connect(&lasting(V3_1_1, "reader"));
    world.subscribe(reader, "t", ExactlyOnce);
    let (sender, _) = world.connect(&lasting(V3_1_1, "sender"));
    world.send(sender, &[message("t", "a", ExactlyOnce, 1)]);
    world.expect(sender, &[pubrec(1)]);
    world.expect(reader, &[message("t", "a", ExactlyOnce, 1)]);
    world.disk.is_slow = true;
    world.send(sender, &[pubrel(1)]);
    world.send(reader, &[pubrec(1)]);
    world.expect_nothing(sender);
    world.expect_nothing(reader);
    world.store(true);
    world.expect(sender, &[pubcomp(1)]);
    world.store(true);
    world.expect(reader, &[pubrel(1)]);
    // Killed now, only the release is sent again.
    let mut world = world.kill();
    let (reader, _) = world.connect(&lasting(V3_1_1, "reader"));
    world.expect(reader, &[pubrel(1)]);
    world.send(reader, &[pubcomp(1)]);
    let (sender, _) = world.connect(&lasting(V3_1_1, "sender"));
    world.send(sender, &[message("t", "b", ExactlyOnce, 1)]);
    assert_eq!(world.messages(reader), ["t b"]);
}

/// `[MQTT-4.3.3-10]` of 5.0 across a crash.
#[test]
fn a_message_of_qos_2_that_was_received_is_not_taken_twice_after_a_crash() {
    let mut world = prompt();
    let (reader, _) = world.connect(&lasting(V5, "reader"));
    world.subscribe(reader, "t", AtLeastOnce);
    world.lose(reader);
    let (sender, _) = world.connect(&lasting(V5, "sender"));
    world.send(sender, &[message("t", "once", ExactlyOnce, 9)]);
    world.expect(sender, &[pubrec(9)]);
    let mut world = world.kill();
    let (sender, present) = world.connect(&lasting(V5, "sender"));
    assert!(present);
    world.send(sender, &[again("t", "once", ExactlyOnce, 9), pubrel(9)]);
    world.expect(sender, &[pubrec(9), pubcomp(9)]);
    let (reader, _) = world.connect(&lasting(V5, "reader"));
    assert_eq!(world.messages(reader), ["t once"]);
}

#[test]
fn a_payload_is_stored_once_however_many_sessions_it_waits_for() {
    let mut world = prompt();
    for number in 0..20 {
        let (conn, _) = world.connect(&lasting(V5, &format!("away{number}")));
        world.subscribe(conn, "t", AtLeastOnce);
        world.lose(conn);
    }
    let sender = world.client(V5, "sender");
    let payload = "x".repeat(1_000);
    world.send(sender, &[message("t", &payload, AtLeastOnce, 1)]);
    let bytes: usize = world.disk.records.values().map(Vec::len).sum();
    assert!(bytes < 2 * payload.len() + 20 * 60, "{bytes}");
    let mut world = world.kill();
    for number in 0..20 {
        let (conn, _) = world.connect(&lasting(V5, &format!("away{number}")));
        assert_eq!(world.messages(conn).len(), 1);
        world.send(conn, &[puback(1)]);
    }
    assert!(!world.disk.records.keys().any(|key| key[0] == b'm'));
}

/// `[MQTT-3.1.2-8]`: "in the case of a server failure it may be deferred until a restart".
#[test]
fn a_crash_is_the_end_of_all_connections_so_wills_are_published_after_it() {
    let will = |payload| Will {
        topic: topic("will"),
        payload,
        qos: AtLeastOnce,
        retain: false,
        properties: Properties::EMPTY,
    };
    let mut world = prompt();
    let (reader, _) = world.connect(&lasting(V5, "reader"));
    world.subscribe(reader, "will", AtLeastOnce);
    world.connect(&Connect {
        will: Some(will(b"clean")),
        ..Connect::new(V3_1_1, "clean")
    });
    let delay = [Property::WillDelayInterval(30)];
    world.connect(&Connect {
        will: Some(Will {
            properties: Properties::new(&delay),
            ..will(b"delayed")
        }),
        ..lasting(V5, "delayed")
    });
    let (goes, _) = world.connect(&Connect {
        will: Some(will(b"never")),
        ..lasting(V5, "goes")
    });
    world.send(
        goes,
        &[Packet::Disconnect(declic_mqtt::packet::Disconnect::new(
            ReasonCode::NORMAL_DISCONNECTION,
        ))],
    );
    let mut world = world.kill();
    let (reader, _) = world.connect(&lasting(V5, "reader"));
    assert_eq!(world.messages(reader), ["will clean"]);
    world.advance(seconds(31));
    assert_eq!(world.messages(reader), ["will delayed"]);
    let mut world = world.kill();
    let (reader, _) = world.connect(&lasting(V5, "reader"));
    assert_eq!(
        world.messages(reader).len(),
        2,
        "not acknowledged, and no third"
    );
    assert_eq!(world.engine.stats().sessions, 3);
}

#[test]
fn lifetimes_go_on_while_the_broker_is_down() {
    let mut world = prompt();
    let expiry = [Property::SessionExpiryInterval(100)];
    let away = Connect {
        clean_start: false,
        properties: Properties::new(&expiry),
        ..Connect::new(V5, "away")
    };
    let (conn, _) = world.connect(&away);
    world.subscribe(conn, "t", AtLeastOnce);
    world.lose(conn);
    let lifetime = [Property::MessageExpiryInterval(60)];
    let sender = world.client(V5, "sender");
    for retain in [false, true] {
        let publish = Publish {
            retain,
            properties: Properties::new(&lifetime),
            ..publish("t", "short", AtLeastOnce, 1)
        };
        world.send(sender, &[Packet::Publish(publish)]);
    }
    assert_eq!(world.engine.stats().retained, 1);
    world.now = world.now + seconds(61);
    let mut world = world.kill();
    world.advance(seconds(1));
    assert_eq!(world.engine.stats().retained, 0);
    let (conn, present) = world.connect(&away);
    assert!(present);
    assert_eq!(world.messages(conn), Vec::<String>::new());
    world.lose(conn);
    world.now = world.now + seconds(101);
    let mut world = world.kill();
    world.advance(seconds(1));
    assert_eq!(world.engine.stats().sessions, 0);
}

/// v5, section 4.8.2: as without the restart, what was not sent, and what was not acknowledged with
/// QoS 1, is for another member; [MQTT-4.8.2-5]: not what is on its way with QoS 2.
#[test]
fn after_a_crash_messages_of_a_shared_subscription_go_to_another_member_when_their_session_ends() {
    for dies in ["its time is over", "a clean start"] {
        let (world, _) = shared();
        let mut world = { world }.kill();
        let stays = world.client(V5, "stays");
        world.subscribe(stays, "$share/g/t", AtLeastOnce);
        world.subscribe(stays, "$share/g/own", AtLeastOnce);
        world.expect_nothing(stays);
        match dies {
            "a clean start" => drop(world.client(V5, "goes")),
            _ => world.advance(seconds(61)),
        }
        let expected = ["t 1", "t 3", "t 5"];
        assert_eq!(world.messages(stays), expected, "{dies}");
    }
}

/// v5 [MQTT-4.8.2-4], [MQTT-4.8.2-6]: a delivery that was begun ends with the member it was begun
/// with, and what that one refuses is for nobody else.
#[test]
fn after_a_crash_a_shared_delivery_is_completed_with_the_same_member_although_it_unsubscribes() {
    let (world, connect) = shared();
    let mut world = { world }.kill();
    let stays = world.client(V5, "stays");
    world.subscribe(stays, "$share/g/t", AtLeastOnce);
    let (goes, present) = world.connect(&connect);
    assert!(present);
    assert_eq!(world.messages(goes), ["t 1", "t 2"]);
    world.unsubscribe(goes, "$share/g/t");
    let refused = ack(1, ReasonCode::NotAuthorized);
    world.send(goes, &[Packet::PubAck(refused)]);
    assert_eq!(world.messages(goes), ["t 3"]);
    world.lose(goes);
    let mut world = world.kill();
    let (goes, _) = world.connect(&connect);
    assert_eq!(world.messages(goes), ["t 2", "t 3"]);
    world.send(goes, &[pubrec(2), pubcomp(2), puback(3)]);
    let stays = world.client(V5, "stays");
    world.subscribe(stays, "$share/g/t", AtLeastOnce);
    world.advance(seconds(61));
    world.expect_nothing(stays);
}

/// A session with messages of a shared subscription: 1 and 2 are on their way, 3 and 5 wait, and 4
/// is from an ordinary subscription.
fn shared() -> (World, Connect<'static>) {
    const PROPERTIES: &[Property<'_>] = &[
        Property::SessionExpiryInterval(60),
        Property::ReceiveMaximum(NonZeroU16::new(2).expect("not 0")),
    ];
    let connect = Connect {
        clean_start: false,
        properties: Properties::new(PROPERTIES),
        ..Connect::new(V5, "goes")
    };
    let mut world = prompt();
    let (goes, _) = world.connect(&connect);
    let id = SubscriptionId::new(9).map(Property::SubscriptionIdentifier);
    world.subscribe_with(goes, subscription("$share/g/t", ExactlyOnce), id.as_slice());
    world.subscribe(goes, "own", ExactlyOnce);
    let publisher = world.client(V5, "p");
    for (name, number, qos) in [
        ("t", 1, AtLeastOnce),
        ("t", 2, ExactlyOnce),
        ("t", 3, AtLeastOnce),
        ("own", 4, AtLeastOnce),
        ("t", 5, AtLeastOnce),
    ] {
        world.send(
            publisher,
            &[message(name, &number.to_string(), qos, number)],
        );
    }
    assert_eq!(world.messages(goes), ["t 1", "t 2"]);
    (world, connect)
}

#[test]
fn a_session_that_was_ended_does_not_come_back() {
    for version in BOTH {
        let mut world = prompt();
        let (conn, _) = world.connect(&lasting(version, "c"));
        world.subscribe(conn, "t", AtLeastOnce);
        world.lose(conn);
        world.disk.is_slow = true;
        // A clean start ends it, so its CONNACK waits until that is stored.
        world.connack_comes_after_storing(&Connect::new(version, "c"));
        let mut world = world.kill();
        assert_eq!(world.engine.stats().sessions, 0);
        assert!(!world.connect(&lasting(version, "c")).1);
    }
}

/// Retained messages of a subscription that is interrupted by a crash are neither lost nor sent
/// twice, and those that came later are not sent again.
#[test]
fn retained_messages_for_a_new_subscription_go_on_where_a_crash_interrupted_them() {
    let limits = Limits {
        outbound_in_flight: 2,
        queued_messages: 3,
        ..Limits::default()
    };
    let mut world = World::with_engine(Engine::new(limits, 7).with_store());
    let sender = world.client(V5, "sender");
    for number in 0..9 {
        let topic = format!("r/{number}");
        world.send(sender, &[retained(&topic, "old", AtLeastOnce, 1)]);
    }
    let (reader, _) = world.connect(&lasting(V5, "reader"));
    world.subscribe(reader, "r/+", AtLeastOnce);
    world.send(sender, &[retained("r/9", "new", AtLeastOnce, 1)]);
    let mut seen = world.messages(reader);
    assert_eq!(seen.len(), 2);
    let mut world = world.kill();
    let (reader, _) = world.connect(&lasting(V5, "reader"));
    loop {
        let received = world.received(reader);
        let packets = decode(V5, &received);
        if packets.is_empty() {
            break;
        }
        for packet in packets {
            if let Packet::Publish(publish) = packet {
                let id = publish.delivery.packet_id().expect("not QoS 0").get();
                let name = publish.topic.expect("a topic").as_str();
                let payload = String::from_utf8_lossy(publish.payload);
                seen.push(format!("{name} {payload}"));
                world.send(reader, &[puback(id)]);
            }
        }
    }
    seen.sort();
    seen.dedup();
    let expected: Vec<_> = (0..9).map(|number| format!("r/{number} old")).collect();
    assert_eq!(seen[..9], expected);
    assert_eq!(seen[9..], ["r/9 new"]);
}

fn full() -> (World, ConnId) {
    let mut world = prompt();
    let (away, _) = world.connect(&lasting(V5, "away"));
    world.subscribe(away, "away", AtLeastOnce);
    world.lose(away);
    let reader = world.client(V5, "reader");
    world.subscribe(reader, "now", AtLeastOnce);
    world.disk.is_full = true;
    (world, reader)
}

#[test]
fn with_a_full_disk_what_needs_it_is_refused_and_the_rest_is_served() {
    let (mut world, reader) = full();
    let sender = world.client(V5, "sender");
    // The first to notice gets no acknowledgement.
    world.send(sender, &[message("away", "1", AtLeastOnce, 1)]);
    assert_eq!(world.closed(sender), Some(CloseReason::StoreFailed));
    assert!(world.engine.stats().store_failing);
    let refused = |id| Packet::PubAck(ack(id, ReasonCode::QuotaExceeded));
    let sender = world.client(V5, "sender");
    world.send(sender, &[message("away", "2", AtLeastOnce, 2)]);
    world.send(sender, &[retained("now", "3", AtLeastOnce, 3)]);
    world.expect(sender, &[refused(2), refused(3)]);
    world.send(sender, &[message("away", "4", ExactlyOnce, 4)]);
    world.expect(sender, &[Packet::PubRec(ack(4, ReasonCode::QuotaExceeded))]);
    world.expect_nothing(reader);
    world.send(sender, &[message("now", "5", AtLeastOnce, 5)]);
    world.expect(sender, &[puback(5)]);
    assert_eq!(world.messages(reader), ["now 5"]);
    // 3.1.1 has no word for it (`[MQTT-3.3.5-2]`).
    let old = world.client(V3_1_1, "old");
    world.send(old, &[message("away", "6", AtLeastOnce, 6)]);
    assert_eq!(world.closed(old), Some(CloseReason::StoreFailed));
    // Sessions go on, but none can begin.
    assert!(world.connect(&lasting(V5, "away")).1);
    for version in BOTH {
        let conn = world.open(version);
        let connack = world.try_connect(conn, &lasting(version, "new"));
        let expected = if version == V5 { 0x97 } else { 3 };
        assert_eq!(connack[3], expected);
    }
    assert_eq!(world.engine.stats().refused_unstored, 6);
}

#[test]
fn when_the_disk_has_room_again_all_is_as_if_it_always_had() {
    let (mut world, _) = full();
    let sender = world.client(V5, "sender");
    world.send(sender, &[message("away", "1", AtLeastOnce, 1)]);
    // Not acknowledged, so that its client sends it again.
    assert!(world.closed(sender).is_some());
    world.disk.is_full = false;
    world.advance(seconds(2));
    assert!(!world.engine.stats().store_failing);
    let sender = world.client(V5, "sender");
    world.send(sender, &[again("away", "1", AtLeastOnce, 1)]);
    world.expect(sender, &[puback(1)]);
    let mut world = world.kill();
    let (away, _) = world.connect(&lasting(V5, "away"));
    assert_eq!(world.messages(away), ["away 1", "away 1"]);
}

#[test]
fn a_client_of_no_store_pays_nothing() {
    let mut world = World::new();
    let (conn, _) = world.connect(&lasting(V5, "c"));
    world.subscribe(conn, "t", ExactlyOnce);
    world.send(conn, &[retained("t", "x", ExactlyOnce, 1)]);
    assert!(world.engine.poll_batch().is_none());
    assert_eq!(world.disk.batches, 0);
}

#[test]
fn records_of_something_else_are_refused() {
    let mut engine = Engine::new(Limits::default(), 7).with_store();
    let mut restore = engine.restore(declic_mqtt::Instant::ZERO);
    for (key, value) in [
        (&b"x"[..], &b""[..]),
        (b"m\0\0\0\0\0\0\0\x01", b"short"),
        // A queue without its session.
        (b"s\0\0\0\0\0\0\0\x01q\0\0\0\0\0\0\0\x01", &[0; 17]),
    ] {
        let error = restore.record(key, value).expect_err("a wrong record");
        assert!(error.to_string().contains("can't be read"), "{error}");
    }
}
