//! Shared subscriptions.

use declic_mqtt::packet::{Connect, Packet, Properties, Property, Subscription};

use super::harness::*;
use crate::engine::{CloseReason, Limits};

/// v5, section 4.8.2
#[test]
fn each_message_goes_to_one_member_in_turn() {
    for version in BOTH {
        let mut world = World::new();
        let members = ["1", "2", "3"].map(|name| {
            let conn = world.client(version, name);
            world.subscribe(conn, "$share/g/t/+", AtMostOnce);
            conn
        });
        let other = world.client(version, "other");
        world.subscribe(other, "$share/h/t/#", AtMostOnce);
        let ordinary = world.client(version, "ordinary");
        world.subscribe(ordinary, "t/x", AtMostOnce);
        let conn = world.client(version, "p");
        for number in 0..9 {
            world.send(conn, &[message("t/x", &number.to_string(), AtMostOnce, 1)]);
        }
        let shares = members.map(|member| world.messages(member));
        assert_eq!(shares.each_ref().map(Vec::len), [3, 3, 3]);
        assert_eq!(world.messages(other).len(), 9);
        assert_eq!(world.messages(ordinary).len(), 9);
    }
}

#[test]
fn a_member_that_is_not_there_is_passed_over() {
    let mut world = World::new();
    let (gone, _) = world.connect(&lasting(V5, "gone"));
    world.subscribe(gone, "$share/g/t", AtLeastOnce);
    let there = world.client(V5, "there");
    world.subscribe(there, "$share/g/t", AtLeastOnce);
    world.lose(gone);
    let conn = world.client(V5, "p");
    for number in 1..=4 {
        world.send(
            conn,
            &[message("t", &number.to_string(), AtLeastOnce, number)],
        );
    }
    assert_eq!(world.messages(there).len(), 4);
    world.send(there, &[puback(1), puback(2), puback(3), puback(4)]);
    // With nobody there, it waits for one who will come back.
    world.lose(there);
    world.send(conn, &[message("t", "5", AtLeastOnce, 5)]);
    let (gone, _) = world.connect(&lasting(V5, "gone"));
    assert_eq!(world.messages(gone), ["t 5"]);
    world.unsubscribe(gone, "$share/g/t");
    world.send(conn, &[message("t", "6", AtLeastOnce, 6)]);
    world.expect_nothing(gone);
}

/// v5, section 4.8.2: no retained messages, and a client's own messages too.
#[test]
fn a_shared_subscription_gets_no_retained_messages() {
    let mut world = World::new();
    let conn = world.client(V5, "p");
    world.send(conn, &[retained("t", "x", AtMostOnce, 1)]);
    world.subscribe(conn, "$share/g/t", AtMostOnce);
    world.expect_nothing(conn);
    world.send(conn, &[message("t", "own", AtMostOnce, 1)]);
    assert_eq!(world.messages(conn), ["t own"]);
}

/// v5, section 4.8.2: an ordinary subscription of the same client is another one.
#[test]
fn a_client_with_both_kinds_of_subscription_gets_both_copies() {
    let mut world = World::new();
    let conn = world.client(V5, "s");
    world.subscribe(conn, "$share/g/t", AtMostOnce);
    world.subscribe(conn, "t", AtMostOnce);
    world.send(conn, &[message("t", "x", AtMostOnce, 1)]);
    assert_eq!(world.messages(conn), ["t x", "t x"]);
}

/// Mistake of other brokers and bad input 5: malformed shared filters.
/// v5 [MQTT-3.8.3-4], [MQTT-4.8.2-1], [MQTT-4.8.2-2]
#[test]
fn malformed_shared_filters_end_the_connection() {
    for version in BOTH {
        for filter in [
            "$share/",
            "$share/g",
            "$share/g/",
            "$share//t",
            "$share/+/t",
            "$share/g#/t",
        ] {
            let mut world = World::new();
            let conn = world.client(version, "s");
            let mut subscribe = vec![0x82, 0, 0, 1];
            if version == V5 {
                subscribe.push(0);
            }
            subscribe.extend((filter.len() as u16).to_be_bytes());
            subscribe.extend(filter.bytes());
            subscribe.push(0);
            subscribe[1] = subscribe.len() as u8 - 2;
            world.send_bytes(conn, &subscribe);
            assert!(
                matches!(world.closed(conn), Some(CloseReason::Malformed(_))),
                "{filter}"
            );
            assert_eq!(world.engine.stats().subscriptions, 0);
        }
    }
    let mut world = World::new();
    let conn = world.client(V5, "s");
    let mut bytes = encode(
        V5,
        &[Packet::Subscribe(declic_mqtt::packet::Subscribe {
            packet_id: id(1),
            properties: declic_mqtt::packet::Properties::EMPTY,
            subscriptions: declic_mqtt::packet::Items::new(&[Subscription {
                no_local: false,
                ..subscription("$share/g/t", AtMostOnce)
            }]),
        })],
    );
    // No Local on a shared subscription.
    *bytes.last_mut().expect("the options") |= 0b100;
    world.send_bytes(conn, &bytes);
    assert!(world.closed(conn).is_some());
}

/// v5 [MQTT-4.8.2-3], [MQTT-4.8.2-4], [MQTT-4.8.2-5]
#[test]
fn a_shared_delivery_that_was_begun_is_completed_with_the_same_member() {
    let mut world = World::new();
    let (first, _) = world.connect(&lasting(V5, "1"));
    world.subscribe(first, "$share/g/t", ExactlyOnce);
    let conn = world.client(V5, "p");
    world.send(conn, &[message("t", "x", ExactlyOnce, 1)]);
    world.expect(first, &[message("t", "x", ExactlyOnce, 1)]);
    let second = world.client(V5, "2");
    world.subscribe(second, "$share/g/t", AtMostOnce);
    world.lose(first);
    world.expect_nothing(second);
    let (first, _) = world.connect(&lasting(V5, "1"));
    world.expect(first, &[again("t", "x", ExactlyOnce, 1)]);
    // Each member has the QoS it was granted.
    world.send(
        conn,
        &[
            message("t", "y", ExactlyOnce, 2),
            message("t", "z", ExactlyOnce, 3),
        ],
    );
    let shares = [world.messages(first).len(), world.messages(second).len()];
    assert_eq!(shares, [1, 1]);
}

/// v5, section 4.8.2: what was not sent, and what was not acknowledged with QoS 1, is for the
/// others when a session ends. [MQTT-4.8.2-5]: not so what is on its way with QoS 2.
#[test]
fn messages_of_a_member_that_goes_are_given_to_the_others() {
    let mut world = World::new();
    let properties = [Property::ReceiveMaximum(2.try_into().expect("not 0"))];
    let (goes, _) = world.connect(&Connect {
        properties: Properties::new(&properties),
        ..Connect::new(V5, "goes")
    });
    world.subscribe(goes, "$share/g/t", ExactlyOnce);
    world.subscribe(goes, "$share/other/t", AtLeastOnce);
    world.subscribe(goes, "t", AtLeastOnce);
    let conn = world.client(V5, "p");
    // Each comes three times; only two are sent: the ordinary one, and one of a group.
    world.send(conn, &[message("t", "1", ExactlyOnce, 1), pubrel(1)]);
    assert_eq!(world.messages(goes), ["t 1", "t 1"]);
    world.send(conn, &[message("t", "2", AtLeastOnce, 2)]);
    world.expect_nothing(goes);
    let stays = world.client(V5, "stays");
    world.subscribe(stays, "$share/g/t", AtMostOnce);
    world.lose(goes);
    let received = world.messages(stays);
    // Of `1`, either group's copy was on its way; the other group has nobody left.
    assert!(
        received == ["t 1", "t 2"] || received == ["t 2"],
        "{received:?}"
    );
    assert_eq!(world.engine.stats().messages, 0);
}

#[test]
fn the_last_member_takes_its_messages_with_it() {
    let mut world = World::new();
    let conn = world.client(V5, "s");
    world.subscribe(conn, "$share/g/t", AtLeastOnce);
    world.block(conn, true);
    let publisher = world.client(V5, "p");
    for number in 1..=3 {
        world.send(publisher, &[message("t", "x", AtLeastOnce, number)]);
    }
    world.lose(conn);
    assert_eq!(world.engine.stats().messages, 0);
    assert_eq!(world.engine.stats().dropped_qos_1_2, 3);
}

#[test]
fn unacknowledged_messages_of_qos_1_go_to_another_member_and_those_of_qos_2_to_nobody() {
    let mut world = World::new();
    let goes = world.client(V5, "goes");
    world.subscribe(goes, "$share/g/t", ExactlyOnce);
    let publisher = world.client(V5, "p");
    for (number, qos) in [(1, AtLeastOnce), (2, ExactlyOnce), (3, AtLeastOnce)] {
        world.send(publisher, &[message("t", &number.to_string(), qos, number)]);
    }
    assert_eq!(world.messages(goes).len(), 3);
    let stays = world.client(V5, "stays");
    world.subscribe(stays, "$share/g/t", AtLeastOnce);
    world.send(goes, &[puback(1)]);
    world.lose(goes);
    world.expect(stays, &[message("t", "3", AtLeastOnce, 1)]);
}

#[test]
fn a_member_whose_queue_is_full_is_passed_over() {
    let mut world = World::with_limits(Limits {
        queued_messages: 2,
        ..Limits::default()
    });
    let [slow, fast] = ["slow", "fast"].map(|name| {
        let conn = world.client(V5, name);
        world.subscribe(conn, "$share/g/t", AtLeastOnce);
        conn
    });
    world.block(slow, true);
    let publisher = world.client(V5, "p");
    for number in 1..=10 {
        world.send(publisher, &[message("t", "x", AtLeastOnce, number)]);
    }
    assert_eq!(world.messages(fast).len(), 8);
    world.block(slow, false);
    assert_eq!(world.messages(slow).len(), 2);
    assert_eq!(world.engine.stats().dropped_qos_1_2, 0);
}
