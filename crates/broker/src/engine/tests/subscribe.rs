//! SUBSCRIBE and UNSUBSCRIBE.

use declic_mqtt::packet::{
    Items, Packet, Properties, Subscribe, Subscription, UnsubAck, Unsubscribe,
};
use declic_mqtt::{ReasonCode, TopicFilter};

use super::harness::*;
use crate::engine::Limits;

/// v3.1.1 [MQTT-2.3.1-7], [MQTT-3.8.4-1], [MQTT-3.8.4-2], [MQTT-3.8.4-4], [MQTT-3.8.4-6], [MQTT-3.9.3-1],
/// [MQTT-3.9.3-2]; v5 [MQTT-3.8.4-1], [MQTT-3.8.4-2], [MQTT-3.8.4-5] to [MQTT-3.8.4-7],
/// [MQTT-3.9.3-1], [MQTT-3.9.3-2], [MQTT-2.2.1-6]
#[test]
fn a_suback_has_a_reason_for_each_filter_in_order() {
    for version in BOTH {
        let mut world = World::with_limits(Limits {
            topic_levels: 3,
            ..Limits::default()
        });
        let conn = world.client(version, "s");
        let subscriptions = [
            subscription("a", AtLeastOnce),
            subscription("a/b/c/d", ExactlyOnce),
            subscription("b", ExactlyOnce),
            subscription("c", AtMostOnce),
        ];
        world.send(
            conn,
            &[Packet::Subscribe(Subscribe {
                packet_id: id(77),
                properties: Properties::EMPTY,
                subscriptions: Items::new(&subscriptions),
            })],
        );
        let failed = match version {
            V3_1_1 => ReasonCode::UnspecifiedError,
            V5 => ReasonCode::TopicFilterInvalid,
        };
        world.expect(
            conn,
            &[suback(
                77,
                &[
                    ReasonCode::GrantedQoS1,
                    failed,
                    ReasonCode::GrantedQoS2,
                    ReasonCode::GRANTED_QOS_0,
                ],
            )],
        );
    }
}

/// v3.1.1 [MQTT-3.8.4-3]; v5 [MQTT-3.8.4-3]
#[test]
fn the_same_filter_again_replaces_the_subscription() {
    for version in BOTH {
        let mut world = World::new();
        let conn = world.client(version, "s");
        world.subscribe(conn, "t", ExactlyOnce);
        world.subscribe(conn, "t", AtMostOnce);
        world.send(conn, &[message("t", "x", AtMostOnce, 1)]);
        world.expect(conn, &[message("t", "x", AtMostOnce, 1)]);
        assert_eq!(world.engine.stats().subscriptions, 1);
    }
}

/// v3.1.1 [MQTT-3.10.4-1] to [MQTT-3.10.4-6]; v5 [MQTT-3.10.4-1] to [MQTT-3.10.4-6],
/// [MQTT-3.11.3-1], [MQTT-3.11.3-2]
#[test]
fn an_unsubscribe_takes_exactly_its_filters_away_and_is_always_answered() {
    for version in BOTH {
        let mut world = World::new();
        let conn = world.client(version, "s");
        world.subscribe(conn, "a/#", AtLeastOnce);
        world.subscribe(conn, "a/+", AtLeastOnce);
        let publisher = world.client(version, "p");
        world.send(publisher, &[message("a/b", "begun", AtLeastOnce, 1)]);
        let filters = ["a/+", "a/b", "A/#"].map(|one| TopicFilter::new(one).expect("valid"));
        world.send(
            conn,
            &[Packet::Unsubscribe(Unsubscribe {
                packet_id: id(5),
                properties: Properties::EMPTY,
                filters: Items::new(&filters),
            })],
        );
        let none = ReasonCode::NoSubscriptionExisted;
        let reasons = [ReasonCode::Success, none, none];
        world.expect(
            conn,
            &[
                message("a/b", "begun", AtLeastOnce, 1),
                Packet::UnsubAck(UnsubAck {
                    packet_id: id(5),
                    properties: Properties::EMPTY,
                    reasons: Items::new(&reasons),
                }),
            ],
        );
        world.send(publisher, &[message("a/b", "still", AtMostOnce, 1)]);
        assert_eq!(world.messages(conn), ["a/b still"]);
        world.unsubscribe(conn, "a/#");
        world.send(publisher, &[message("a/b", "no more", AtMostOnce, 1)]);
        world.expect_nothing(conn);
        // What was begun is completed.
        world.send(conn, &[puback(1)]);
        assert_eq!(world.engine.stats().messages, 0);
    }
}

/// v5 [MQTT-3.8.3-3]
#[test]
fn no_local_leaves_out_what_the_client_published_itself() {
    let mut world = World::new();
    let conn = world.client(V5, "a");
    let no_local = Subscription {
        no_local: true,
        ..subscription("t", AtMostOnce)
    };
    world.subscribe_with(conn, no_local, &[]);
    world.send(conn, &[message("t", "own", AtLeastOnce, 1)]);
    let nobody = ReasonCode::NoMatchingSubscribers;
    world.expect(conn, &[Packet::PubAck(ack(1, nobody))]);
    let other = world.client(V5, "b");
    world.send(other, &[message("t", "other", AtMostOnce, 1)]);
    assert_eq!(world.messages(conn), ["t other"]);
    // Of overlapping subscriptions only those with No Local are left out.
    world.subscribe(conn, "+", AtMostOnce);
    world.send(conn, &[message("t", "own", AtMostOnce, 1)]);
    assert_eq!(world.messages(conn), ["t own"]);
}

#[test]
fn subscriptions_of_a_session_are_limited() {
    for version in BOTH {
        let mut world = World::with_limits(Limits {
            subscriptions: 2,
            ..Limits::default()
        });
        let conn = world.client(version, "s");
        world.subscribe(conn, "a", AtMostOnce);
        world.subscribe(conn, "b", AtMostOnce);
        // Replacing one is no new one.
        world.subscribe(conn, "a", AtLeastOnce);
        let subscriptions = [subscription("c", AtMostOnce)];
        world.send(
            conn,
            &[Packet::Subscribe(Subscribe {
                packet_id: id(1),
                properties: Properties::EMPTY,
                subscriptions: Items::new(&subscriptions),
            })],
        );
        let failed = match version {
            V3_1_1 => ReasonCode::UnspecifiedError,
            V5 => ReasonCode::QuotaExceeded,
        };
        world.expect(conn, &[suback(1, &[failed])]);
        assert_eq!(world.engine.stats().refused_subscriptions, 1);
        world.unsubscribe(conn, "b");
        world.subscribe(conn, "c", AtMostOnce);
    }
}
