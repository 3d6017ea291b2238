//! What is sent again after a reconnection (section 4.4), and in which order (section 4.6).

use super::*;

#[test]
fn unacknowledged_messages_are_sent_again_with_dup_in_their_order() {
    // v3.1.1 [MQTT-3.3.1-1], [MQTT-4.4.0-1] and [MQTT-4.6.0-1]
    // v5 [MQTT-3.3.1-1], [MQTT-4.4.0-1] and [MQTT-4.6.0-1]
    for version in BOTH {
        let mut bench = Bench::online(version);
        bench.publish(QoS::AtLeastOnce, "1");
        bench.publish(QoS::ExactlyOnce, "2");
        bench.publish(QoS::AtMostOnce, "none");
        bench.publish(QoS::AtLeastOnce, "3");
        assert_eq!(bench.sent().len(), 4);
        bench.publish(QoS::AtLeastOnce, "4");
        bench.say(puback(3));
        for _ in 0..3 {
            bench.reconnect(true);
            assert_eq!(
                bench.sent()[..2],
                [
                    again(QoS::AtLeastOnce, 1, "1"),
                    again(QoS::ExactlyOnce, 2, "2"),
                ]
            );
        }
    }
}

#[test]
fn what_was_never_sent_is_sent_without_dup() {
    // v3.1.1 [MQTT-4.3.2-1], v5 [MQTT-4.3.2-2] and [MQTT-4.3.3-2]
    for version in BOTH {
        let mut bench = Bench::online(version);
        bench.publish(QoS::AtLeastOnce, "1");
        bench.sent();
        bench.publish(QoS::ExactlyOnce, "2");
        bench.publish(QoS::AtMostOnce, "3");
        bench.reconnect(true);
        assert_eq!(
            bench.sent(),
            [
                again(QoS::AtLeastOnce, 1, "1"),
                publish(QoS::ExactlyOnce, 2, "2"),
                publish(QoS::AtMostOnce, 0, "3"),
            ]
        );
    }
}

#[test]
fn a_message_of_which_a_part_was_sent_counts_as_sent() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        bench.publish(QoS::AtLeastOnce, "1");
        bench.write(1);
        bench.reconnect(true);
        assert_eq!(bench.sent(), [again(QoS::AtLeastOnce, 1, "1")]);
        // One of QoS 0 is lost with the connection: it is never sent twice.
        bench.publish(QoS::AtMostOnce, "2");
        bench.write(1);
        bench.reconnect(true);
        assert_eq!(bench.sent(), [again(QoS::AtLeastOnce, 1, "1")]);
    }
}

#[test]
fn without_the_session_all_messages_are_new() {
    // v3.1.1 [MQTT-3.1.2-6]
    // v5 [MQTT-3.2.2-5]
    for version in BOTH {
        let mut bench = Bench::online(version);
        bench.publish(QoS::AtLeastOnce, "1");
        bench.publish(QoS::ExactlyOnce, "2");
        bench.sent();
        bench.reconnect(false);
        assert_eq!(
            bench.sent(),
            [
                publish(QoS::AtLeastOnce, 1, "1"),
                publish(QoS::ExactlyOnce, 2, "2"),
            ]
        );
        bench.say(puback(1));
        bench.reconnect(true);
        assert_eq!(bench.sent(), [again(QoS::ExactlyOnce, 2, "2")]);
    }
}

#[test]
fn pubrels_are_sent_again_before_messages_in_the_order_of_the_pubrecs() {
    // v3.1.1 [MQTT-4.4.0-1] and [MQTT-4.6.0-4]
    // v5 [MQTT-4.4.0-1] and [MQTT-4.6.0-4]
    for version in BOTH {
        let mut bench = Bench::online(version);
        for _ in 0..4 {
            bench.publish(QoS::ExactlyOnce, "x");
        }
        bench.sent();
        bench.say(pubrec(3));
        bench.say(pubrec(1));
        assert_eq!(bench.sent(), [pubrel(3), pubrel(1)]);
        // This one's PUBREL does not get out.
        bench.say(pubrec(4));
        for _ in 0..3 {
            bench.reconnect(true);
            assert_eq!(
                bench.sent(),
                [
                    pubrel(3),
                    pubrel(1),
                    pubrel(4),
                    again(QoS::ExactlyOnce, 2, "x")
                ]
            );
        }
        bench.say(pubrec(2));
        assert_eq!(bench.sent(), [pubrel(2)]);
        for number in 1..=4 {
            assert_eq!(bench.say(pubcomp(number)), [acknowledged(number)]);
        }
        bench.reconnect(true);
        assert_eq!(bench.sent(), []);
    }
}

#[test]
fn a_message_is_not_sent_again_behind_its_pubrec() {
    // v5 [MQTT-4.3.3-4], [MQTT-4.3.3-5] and [MQTT-4.3.3-6]
    for version in BOTH {
        let mut bench = Bench::online(version);
        bench.publish(QoS::ExactlyOnce, "x");
        bench.sent();
        bench.say(pubrec(1));
        bench.reconnect(true);
        assert_eq!(bench.sent(), [pubrel(1)]);
    }
}

#[test]
fn without_the_session_what_the_server_had_received_is_finished() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        bench.publish(QoS::ExactlyOnce, "x");
        bench.publish(QoS::ExactlyOnce, "y");
        bench.sent();
        bench.say(pubrec(1));
        bench.lose();
        bench.begin(false);
        let events = bench.accept(false, &[]);
        assert_eq!(events[1..], [acknowledged(1)]);
        assert_eq!(bench.sent(), [publish(QoS::ExactlyOnce, 2, "y")]);
        assert_eq!(bench.client.in_flight(), 1);
    }
}

#[test]
fn after_a_clean_start_there_is_no_reconnect_livelock() {
    // The session is gone each time, and the connection lost each time before the acknowledgement.
    for version in BOTH {
        let mut bench = Bench::online(version);
        bench.publish(QoS::AtLeastOnce, "x");
        for _ in 0..5 {
            bench.lose();
            bench.begin(true);
            let events = bench.accept(false, &[]);
            assert!(matches!(events[..], [Event::Connected { .. }]));
            assert_eq!(bench.sent(), [publish(QoS::AtLeastOnce, 1, "x")]);
        }
        assert_eq!(bench.say(puback(1)), [acknowledged(1)]);
        bench.lose();
        bench.begin(true);
        bench.accept(false, &[]);
        assert_eq!(bench.sent(), []);
    }
}

#[test]
fn messages_published_without_a_connection_wait_for_it() {
    for version in BOTH {
        let mut bench = Bench::new(version);
        assert_eq!(bench.publish(QoS::AtLeastOnce, "1"), Some(id(1)));
        assert_eq!(bench.publish(QoS::ExactlyOnce, "2"), Some(id(2)));
        assert_eq!(bench.publish(QoS::AtMostOnce, "3"), None);
        assert_eq!(bench.client.in_flight(), 2);
        assert_eq!(bench.sent(), []);
        bench.begin(true);
        bench.publish(QoS::AtLeastOnce, "4");
        assert_eq!(bench.sent(), [], "not before CONNACK");
        bench.accept(false, &[]);
        bench.publish(QoS::AtLeastOnce, "5");
        assert_eq!(
            bench.sent(),
            [
                publish(QoS::AtLeastOnce, 1, "1"),
                publish(QoS::ExactlyOnce, 2, "2"),
                publish(QoS::AtMostOnce, 0, "3"),
                publish(QoS::AtLeastOnce, 3, "4"),
                publish(QoS::AtLeastOnce, 4, "5"),
            ]
        );
        bench.lose();
        bench.publish(QoS::AtLeastOnce, "6");
        bench.begin(false);
        bench.accept(true, &[]);
        assert_eq!(
            bench.sent().last(),
            Some(&publish(QoS::AtLeastOnce, 5, "6"))
        );
    }
}

#[test]
fn a_press_during_a_blocked_connect_is_not_lost() {
    for version in BOTH {
        let mut bench = Bench::new(version);
        let connect = Connect::new(version, "bench");
        bench.client.connect(&connect, bench.now).expect("idle");
        bench.publish(QoS::AtLeastOnce, "ON");
        bench.wait(10_000);
        let closed = Event::Closed(CloseReason::ConnectTimeout);
        assert_eq!(bench.events(), [closed]);
        bench.begin(true);
        bench.accept(false, &[]);
        assert_eq!(bench.sent(), [publish(QoS::AtLeastOnce, 1, "ON")]);
    }
}

#[test]
fn the_owner_learns_whether_it_must_subscribe_again() {
    for version in BOTH {
        for session_present in [false, true] {
            let mut bench = Bench::online(version);
            bench.lose();
            bench.begin(false);
            assert_eq!(
                bench.accept(session_present, &[]),
                [Event::Connected {
                    session_present,
                    properties: Properties::EMPTY
                }]
            );
        }
    }
}

#[test]
fn acknowledgements_of_an_earlier_connection_are_not_sent_on_the_next() {
    // The server sends what it misses an answer to again.
    for version in BOTH {
        let mut bench = Bench::online(version);
        bench.say(publish(QoS::AtLeastOnce, 7, "x"));
        bench.say(publish(QoS::ExactlyOnce, 8, "y"));
        bench.write(2);
        bench.reconnect(true);
        assert_eq!(bench.sent(), []);
        let packet = again(QoS::AtLeastOnce, 7, "x");
        assert_eq!(bench.say(packet), [received(packet)]);
        assert_eq!(bench.say(again(QoS::ExactlyOnce, 8, "y")), []);
        assert_eq!(bench.sent(), [puback(7), pubrec(8)]);
    }
}
