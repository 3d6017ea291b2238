//! Properties of 5.0: passed on untouched, but for those that concern one hop.

use declic_mqtt::packet::{
    Connect, Disconnect, Packet, Properties, Property, Publish, SubscriptionId,
};
use declic_mqtt::{QoS, ReasonCode};

use super::harness::*;
use crate::engine::{CloseReason, ConnId, Limits};

fn with<'a>(publish: Publish<'a>, properties: &'a [Property<'a>]) -> Packet<'a> {
    Packet::Publish(Publish {
        properties: Properties::new(properties),
        ..publish
    })
}

/// v5 [MQTT-3.3.2-4], [MQTT-3.3.2-15] to [MQTT-3.3.2-18], [MQTT-3.3.2-20]
#[test]
fn what_the_publisher_says_is_passed_on_untouched_and_in_order() {
    let properties = [
        Property::UserProperty(("z", "1")),
        Property::ResponseTopic(topic("answers")),
        Property::UserProperty(("a", "")),
        Property::CorrelationData(b"\0\xff"),
        Property::PayloadFormatIndicator(true),
        Property::ContentType("text/plain"),
        Property::UserProperty(("z", "1")),
    ];
    let mut world = World::new();
    let subscriber = world.client(V5, "s");
    world.subscribe(subscriber, "t", AtMostOnce);
    let old = world.client(V3_1_1, "o");
    world.subscribe(old, "t", AtMostOnce);
    let conn = world.client(V5, "p");
    world.send(conn, &[with(publish("t", "x", AtMostOnce, 1), &properties)]);
    world.expect(
        subscriber,
        &[with(publish("t", "x", AtMostOnce, 1), &properties)],
    );
    world.expect(old, &[message("t", "x", AtMostOnce, 1)]);
}

/// Mistake of other brokers: message expiry not counted down. v5 [MQTT-3.3.2-5], [MQTT-3.3.2-6]
#[test]
fn a_messages_lifetime_is_counted_down_while_it_waits() {
    let mut world = World::new();
    let (conn, _) = world.connect(&lasting(V5, "s"));
    world.subscribe(conn, "t", AtLeastOnce);
    world.lose(conn);
    let publisher = world.client(V5, "p");
    let lifetime = |seconds| [Property::MessageExpiryInterval(seconds)];
    world.send(
        publisher,
        &[
            with(publish("t", "short", AtLeastOnce, 1), &lifetime(10)),
            with(publish("t", "long", AtLeastOnce, 2), &lifetime(100)),
            message("t", "for ever", AtLeastOnce, 3),
        ],
    );
    world.advance(seconds(30));
    let (conn, _) = world.connect(&lasting(V5, "s"));
    world.expect(
        conn,
        &[
            with(publish("t", "long", AtLeastOnce, 2), &lifetime(70)),
            message("t", "for ever", AtLeastOnce, 3),
        ],
    );
    assert_eq!(world.engine.stats().dropped_expired, 1);
}

fn subscribe_with_id(world: &mut World, conn: ConnId, filter: &str, qos: QoS, number: u32) {
    let id = SubscriptionId::new(number).expect("a valid identifier");
    world.subscribe_with(
        conn,
        subscription(filter, qos),
        &[Property::SubscriptionIdentifier(id)],
    );
}

/// Mistake of other brokers: subscription identifiers merged wrongly for overlapping filters.
/// v5 [MQTT-3.3.4-3] to [MQTT-3.3.4-5]
#[test]
fn a_message_carries_the_identifiers_of_all_subscriptions_it_is_for() {
    let ids = |numbers: &[u32]| -> Vec<Property<'static>> {
        let id = |number: &u32| SubscriptionId::new(*number).expect("a valid identifier");
        numbers
            .iter()
            .map(id)
            .map(Property::SubscriptionIdentifier)
            .collect()
    };
    let mut world = World::new();
    let (one, two) = (world.client(V5, "1"), world.client(V5, "2"));
    subscribe_with_id(&mut world, one, "a/#", AtMostOnce, 268_435_455);
    subscribe_with_id(&mut world, one, "a/b", ExactlyOnce, 3);
    subscribe_with_id(&mut world, one, "a/+", AtLeastOnce, 3);
    world.subscribe(one, "+/b", AtMostOnce);
    subscribe_with_id(&mut world, one, "other", AtMostOnce, 9);
    subscribe_with_id(&mut world, two, "a/b", AtMostOnce, 4);
    let conn = world.client(V5, "p");
    world.send(conn, &[message("a/b", "x", ExactlyOnce, 1)]);
    let received = world.received(one);
    let [Packet::Publish(publish_)] = decode(V5, &received)[..] else {
        panic!("one publish");
    };
    let mut numbers: Vec<_> = publish_
        .properties
        .subscription_identifiers()
        .map(SubscriptionId::get)
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [3, 3, 268_435_455]);
    assert_eq!(publish_.delivery.qos(), ExactlyOnce);
    world.expect(two, &[with(publish("a/b", "x", AtMostOnce, 1), &ids(&[4]))]);
    // Without an identifier, the new subscription has none.
    world.subscribe(two, "a/b", AtMostOnce);
    world.send(conn, &[message("a/b", "y", AtMostOnce, 1)]);
    world.expect(two, &[message("a/b", "y", AtMostOnce, 1)]);
}

/// v5 [MQTT-3.3.4-6]
#[test]
fn a_client_can_not_publish_with_a_subscription_identifier() {
    let mut world = World::new();
    let conn = world.client(V5, "p");
    let id = SubscriptionId::new(1).expect("valid");
    let properties = [Property::SubscriptionIdentifier(id)];
    world.send(conn, &[with(publish("t", "x", AtMostOnce, 1), &properties)]);
    assert_eq!(
        world.closed(conn),
        Some(CloseReason::Protocol(ReasonCode::ProtocolError))
    );
}

/// Mistake of other brokers: topic alias ignored. v5 [MQTT-3.2.2-17], [MQTT-3.3.2-7],
/// [MQTT-3.3.2-11], [MQTT-3.3.2-12]
#[test]
fn topic_aliases_stand_for_topics_on_their_connection() {
    let alias = |number: u16| [Property::TopicAlias(number.try_into().expect("not 0"))];
    let mut world = World::new();
    let subscriber = world.client(V5, "s");
    world.subscribe(subscriber, "#", AtMostOnce);
    let (conn, _) = world.connect(&lasting(V5, "p"));
    let nameless = |payload| Publish {
        topic: None,
        ..publish("t", payload, AtMostOnce, 1)
    };
    world.send(
        conn,
        &[
            with(publish("a", "1", AtMostOnce, 1), &alias(1)),
            with(publish("b", "2", AtMostOnce, 1), &alias(32)),
            with(nameless("3"), &alias(1)),
            with(nameless("4"), &alias(32)),
            with(publish("c", "5", AtMostOnce, 1), &alias(1)),
            with(nameless("6"), &alias(1)),
        ],
    );
    // No alias goes to a client that accepts none.
    world.expect(
        subscriber,
        &[
            message("a", "1", AtMostOnce, 1),
            message("b", "2", AtMostOnce, 1),
            message("a", "3", AtMostOnce, 1),
            message("b", "4", AtMostOnce, 1),
            message("c", "5", AtMostOnce, 1),
            message("c", "6", AtMostOnce, 1),
        ],
    );
    world.lose(conn);
    let (conn, _) = world.connect(&lasting(V5, "p"));
    world.send(conn, &[with(nameless("7"), &alias(1))]);
    world.expect(
        conn,
        &[Packet::Disconnect(Disconnect::new(
            ReasonCode::ProtocolError,
        ))],
    );
    world.expect_nothing(subscriber);
}

/// v5 [MQTT-3.3.2-8], [MQTT-3.3.2-9]
#[test]
fn an_alias_above_the_maximum_ends_the_connection() {
    let mut world = World::new();
    let conn = world.client(V5, "p");
    let alias = [Property::TopicAlias(33.try_into().expect("not 0"))];
    world.send(conn, &[with(publish("a", "1", AtMostOnce, 1), &alias)]);
    world.expect(
        conn,
        &[Packet::Disconnect(Disconnect::new(
            ReasonCode::TopicAliasInvalid,
        ))],
    );
    let conn = world.client(V5, "q");
    world.send_bytes(conn, b"\x30\x08\0\x01t\x03\x23\0\0x");
    assert!(world.closed(conn).is_some());

    let mut world = World::with_limits(Limits {
        topic_aliases: 0,
        ..Limits::default()
    });
    let conn = world.client(V5, "p");
    let alias = [Property::TopicAlias(1.try_into().expect("not 0"))];
    world.send(conn, &[with(publish("a", "1", AtMostOnce, 1), &alias)]);
    world.expect(
        conn,
        &[Packet::Disconnect(Disconnect::new(
            ReasonCode::TopicAliasInvalid,
        ))],
    );
}

/// Mistake of other brokers: maximum packet size ignored. v5 [MQTT-3.1.2-24], [MQTT-3.1.2-25]
#[test]
fn a_client_gets_no_packet_larger_than_it_accepts() {
    let mut world = World::new();
    let limit = [
        Property::MaximumPacketSize(50.try_into().expect("not 0")),
        Property::SessionExpiryInterval(100),
    ];
    let connect = Connect {
        clean_start: false,
        properties: Properties::new(&limit),
        ..Connect::new(V5, "s")
    };
    let (conn, _) = world.connect(&connect);
    world.subscribe(conn, "t", AtLeastOnce);
    let publisher = world.client(V5, "p");
    // Header 2, topic 3, identifier 2, properties 1.
    let (fits, too_large) = ("x".repeat(42), "x".repeat(43));
    let larger = "x".repeat(45);
    let send = [
        message("t", &too_large, AtLeastOnce, 1),
        message("t", &fits, AtLeastOnce, 2),
        message("t", &larger, AtMostOnce, 1),
    ];
    world.send(publisher, &send);
    let received = world.messages(conn);
    assert_eq!(received, [format!("t {fits}")]);
    assert_eq!(world.engine.stats().dropped_too_large, 2);
    // Nor when it is sent again to a client that accepts less now.
    world.lose(conn);
    let limit = [Property::MaximumPacketSize(49.try_into().expect("not 0"))];
    let (conn, present) = world.connect(&Connect {
        properties: Properties::new(&limit),
        ..connect
    });
    assert!(present);
    world.expect_nothing(conn);
    assert_eq!(world.engine.stats().messages, 0);
}

/// v5 [MQTT-3.1.2-28], [MQTT-3.1.2-29], [MQTT-3.4.2-2]: no reason strings or user properties are
/// ever sent, and no response information.
#[test]
fn answers_have_no_properties() {
    let mut world = World::new();
    let ask = [
        Property::RequestProblemInformation(false),
        Property::RequestResponseInformation(true),
    ];
    let conn = world.open(V5);
    let connack = world.try_connect(
        conn,
        &Connect {
            properties: Properties::new(&ask),
            ..Connect::new(V5, "a")
        },
    );
    world.connack(V5, &connack, |connack| {
        assert_eq!(connack.properties.response_information(), None);
        assert_eq!(connack.properties.user_properties().count(), 0);
    });
    world.send(conn, &[message("$SYS/x", "x", AtLeastOnce, 1)]);
    world.expect(conn, &[Packet::PubAck(ack(1, ReasonCode::NotAuthorized))]);
}
