//! QoS 1 and 2, both ways.

use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Disconnect, Packet, Properties, Property, Publish};

use super::harness::*;
use crate::engine::CloseReason;

/// v3.1.1 [MQTT-3.3.4-1], [MQTT-2.3.1-6], [MQTT-4.3.2-2], [MQTT-4.6.0-2], [MQTT-4.6.0-3]; v5 [MQTT-3.3.4-1],
/// [MQTT-2.2.1-5], [MQTT-4.3.2-4], [MQTT-4.6.0-2], [MQTT-4.6.0-3], [MQTT-3.4.2-1], [MQTT-3.5.2-1]
#[test]
fn publishes_are_acknowledged_by_their_qos_and_in_order() {
    for version in BOTH {
        let mut world = World::new();
        let conn = world.client(version, "p");
        world.subscribe(conn, "other", AtMostOnce);
        let subscriber = world.client(version, "s");
        world.subscribe(subscriber, "t", AtMostOnce);
        world.send(
            conn,
            &[
                message("t", "0", AtMostOnce, 1),
                message("t", "1", AtLeastOnce, 9),
                message("t", "2", AtLeastOnce, 3),
                message("t", "3", ExactlyOnce, 5),
                message("t", "4", ExactlyOnce, 4),
            ],
        );
        world.expect(conn, &[puback(9), puback(3), pubrec(5), pubrec(4)]);
        assert_eq!(
            world.messages(subscriber),
            ["t 0", "t 1", "t 2", "t 3", "t 4"]
        );
    }
}

/// v5, sections 3.4.2.1 and 3.5.2.1
#[test]
fn a_publisher_of_5_0_is_told_that_nobody_listens() {
    let mut world = World::new();
    let conn = world.client(V5, "p");
    let nobody = ReasonCode::NoMatchingSubscribers;
    world.send(
        conn,
        &[
            message("t", "1", AtLeastOnce, 1),
            message("t", "2", ExactlyOnce, 2),
        ],
    );
    world.expect(
        conn,
        &[
            Packet::PubAck(ack(1, nobody)),
            Packet::PubRec(ack(2, nobody)),
        ],
    );
    world.send(conn, &[pubrel(2)]);
    world.expect(conn, &[pubcomp(2)]);
    let old = world.client(V3_1_1, "o");
    world.send(
        old,
        &[
            message("t", "1", AtLeastOnce, 1),
            message("t", "2", ExactlyOnce, 2),
        ],
    );
    world.expect(old, &[puback(1), pubrec(2)]);
}

/// Bad input 6: duplicate QoS 2 identifiers. v3.1.1 [MQTT-4.3.3-2]; v5 [MQTT-4.3.3-8],
/// [MQTT-4.3.3-10], [MQTT-4.3.3-11], [MQTT-4.3.3-12]
#[test]
fn a_message_of_qos_2_is_delivered_once_until_it_is_released() {
    for version in BOTH {
        let mut world = World::new();
        let subscriber = world.client(version, "s");
        world.subscribe(subscriber, "t", AtMostOnce);
        let conn = world.client(version, "p");
        for _ in 0..3 {
            world.send(conn, &[message("t", "x", ExactlyOnce, 5)]);
            world.expect(conn, &[pubrec(5)]);
        }
        assert_eq!(world.messages(subscriber), ["t x"]);
        world.send(conn, &[pubrel(5)]);
        world.expect(conn, &[pubcomp(5)]);
        world.send(conn, &[message("t", "y", ExactlyOnce, 5)]);
        assert_eq!(world.messages(subscriber), ["t y"]);
    }
}

/// v5 [MQTT-4.3.2-5]
#[test]
fn an_identifier_of_qos_1_is_free_again_once_it_is_acknowledged() {
    let mut world = World::new();
    let subscriber = world.client(V5, "s");
    world.subscribe(subscriber, "t", AtMostOnce);
    let conn = world.client(V5, "p");
    world.send(
        conn,
        &[
            message("t", "x", AtLeastOnce, 5),
            again("t", "y", AtLeastOnce, 5),
        ],
    );
    assert_eq!(world.messages(subscriber), ["t x", "t y"]);
}

/// Bad input 6: endless PUBREL.
#[test]
fn a_release_for_nothing_is_answered_and_costs_nothing() {
    for version in BOTH {
        let mut world = World::new();
        let conn = world.client(version, "p");
        for number in 1..=1_000 {
            world.send(conn, &[pubrel(number)]);
        }
        world.received(conn);
        world.send(conn, &[pubrel(7)]);
        world.expect(
            conn,
            &[match version {
                V3_1_1 => pubcomp(7),
                V5 => Packet::PubComp(ack(7, ReasonCode::PacketIdentifierNotFound)),
            }],
        );
    }
}

/// Bad input 4: PUBACK for nothing.
#[test]
fn acknowledgements_for_nothing_do_no_harm() {
    for version in BOTH {
        let mut world = World::new();
        let conn = world.client(version, "a");
        world.send(conn, &[puback(1), pubcomp(2)]);
        world.expect_nothing(conn);
        world.send(conn, &[pubrec(3)]);
        world.expect(
            conn,
            &[match version {
                V3_1_1 => pubrel(3),
                V5 => Packet::PubRel(ack(3, ReasonCode::PacketIdentifierNotFound)),
            }],
        );
        assert_eq!(world.closed(conn), None);
    }
}

/// v3.1.1 [MQTT-4.3.2-1], [MQTT-4.3.3-1], [MQTT-4.6.0-4], [MQTT-2.3.1-4], [MQTT-3.3.1-3];
/// v5 [MQTT-4.3.2-2], [MQTT-4.3.2-3], [MQTT-4.3.3-2] to [MQTT-4.3.3-5], [MQTT-4.6.0-4],
/// [MQTT-3.3.1-3], [MQTT-3.6.2-1]
#[test]
fn deliveries_of_qos_1_and_2_take_their_steps() {
    for version in BOTH {
        let mut world = World::new();
        let conn = world.client(version, "s");
        world.subscribe(conn, "t", ExactlyOnce);
        let publisher = world.client(version, "p");
        // What the publisher sent again is new to the subscriber.
        world.send(
            publisher,
            &[
                again("t", "a", AtLeastOnce, 70),
                again("t", "b", ExactlyOnce, 71),
                again("t", "c", ExactlyOnce, 72),
            ],
        );
        world.expect(
            conn,
            &[
                message("t", "a", AtLeastOnce, 1),
                message("t", "b", ExactlyOnce, 2),
                message("t", "c", ExactlyOnce, 3),
            ],
        );
        world.send(conn, &[pubrec(3), pubrec(2), puback(1)]);
        world.expect(conn, &[pubrel(3), pubrel(2)]);
        // Once more, as it may not have come.
        world.send(conn, &[pubrec(3)]);
        world.expect(conn, &[pubrel(3)]);
        world.send(conn, &[pubcomp(2), pubcomp(3)]);
        assert_eq!(world.engine.stats().messages, 0);
    }
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_is_a_protocol_error() {
    for version in BOTH {
        for (qos, wrong) in [
            (AtLeastOnce, pubrec(1)),
            (AtLeastOnce, pubcomp(1)),
            (ExactlyOnce, puback(1)),
        ] {
            let mut world = World::new();
            let conn = world.client(version, "s");
            world.subscribe(conn, "t", qos);
            world.send(conn, &[message("t", "x", qos, 1)]);
            world.received(conn);
            world.send(conn, &[wrong]);
            let reason = CloseReason::Protocol(ReasonCode::ProtocolError);
            assert_eq!(world.closed(conn), Some(reason));
            if version == V5 {
                world.expect(
                    conn,
                    &[Packet::Disconnect(Disconnect::new(
                        ReasonCode::ProtocolError,
                    ))],
                );
            }
        }
    }
}

/// v5 [MQTT-4.4.0-2], [MQTT-4.8.2-6]
#[test]
fn a_refused_delivery_is_not_tried_again() {
    let mut world = World::new();
    let (conn, _) = world.connect(&lasting(V5, "s"));
    world.subscribe(conn, "t", ExactlyOnce);
    let publisher = world.client(V5, "p");
    world.send(
        publisher,
        &[
            message("t", "a", AtLeastOnce, 1),
            message("t", "b", ExactlyOnce, 2),
        ],
    );
    world.received(conn);
    world.send(
        conn,
        &[
            Packet::PubAck(ack(1, ReasonCode::NotAuthorized)),
            Packet::PubRec(ack(2, ReasonCode::PayloadFormatInvalid)),
        ],
    );
    world.expect_nothing(conn);
    world.lose(conn);
    let (conn, _) = world.connect(&lasting(V5, "s"));
    world.expect_nothing(conn);
    assert_eq!(world.engine.stats().messages, 0);
}

/// v5 [MQTT-4.3.3-9]
#[test]
fn a_refused_message_of_qos_2_leaves_its_identifier_free() {
    let mut world = World::new();
    let subscriber = world.client(V5, "s");
    world.subscribe(subscriber, "t", AtMostOnce);
    let conn = world.client(V5, "p");
    world.send(conn, &[message("$SYS/x", "x", ExactlyOnce, 1)]);
    world.expect(conn, &[Packet::PubRec(ack(1, ReasonCode::NotAuthorized))]);
    world.send(conn, &[message("t", "y", ExactlyOnce, 1)]);
    world.expect(conn, &[pubrec(1)]);
    assert_eq!(world.messages(subscriber), ["t y"]);
}

/// v5 [MQTT-4.3.3-7], [MQTT-4.3.3-13]
#[test]
fn a_message_that_was_sent_does_not_expire_any_more() {
    let mut world = World::new();
    let (conn, _) = world.connect(&lasting(V5, "s"));
    world.subscribe(conn, "t", ExactlyOnce);
    let publisher = world.client(V5, "p");
    let properties = [Property::MessageExpiryInterval(5)];
    world.send(
        publisher,
        &[Packet::Publish(Publish {
            properties: Properties::new(&properties),
            ..publish("t", "x", ExactlyOnce, 1)
        })],
    );
    world.received(conn);
    world.lose(conn);
    world.advance(seconds(10));
    let (conn, _) = world.connect(&lasting(V5, "s"));
    assert_eq!(world.messages(conn), ["t x"]);
    world.send(conn, &[pubrec(1)]);
    world.advance(seconds(10));
    world.expect(conn, &[pubrel(1)]);
    world.send(conn, &[pubcomp(1)]);
    assert_eq!(world.engine.stats().messages, 0);
}
