//! Publishing with QoS 0, 1 and 2 (section 4.3), subscribing and unsubscribing.

use super::*;
use crate::packet::{EncodeError, RetainHandling, Subscribe, SubscriptionId, Unsubscribe};

#[test]
fn qos_0_is_sent_once_and_forgotten() {
    // v3.1.1 [MQTT-4.3.1-1]
    // v5 [MQTT-4.3.1-1]
    for version in BOTH {
        let mut bench = Bench::online(version);
        assert_eq!(bench.publish(QoS::AtMostOnce, "x"), None);
        assert!(bench.client.has_unsent());
        assert_eq!(bench.sent(), [publish(QoS::AtMostOnce, 0, "x")]);
        assert!(!bench.client.has_unsent());
        assert_eq!(bench.client.in_flight(), 0);
        assert_eq!(bench.events(), []);
        bench.reconnect(true);
        assert_eq!(bench.sent(), []);
    }
}

#[test]
fn qos_1_is_finished_by_puback() {
    // v3.1.1 [MQTT-4.3.2-1]
    // v5 [MQTT-4.3.2-1], [MQTT-4.3.2-2] and [MQTT-4.3.2-3]
    for version in BOTH {
        let mut bench = Bench::online(version);
        assert_eq!(bench.publish(QoS::AtLeastOnce, "x"), Some(id(1)));
        assert_eq!(bench.sent(), [publish(QoS::AtLeastOnce, 1, "x")]);
        assert_eq!(bench.client.in_flight(), 1);
        bench.wait(30_000);
        assert_eq!(bench.sent(), [], "never again on this connection");
        assert_eq!(bench.say(puback(1)), [acknowledged(1)]);
        assert_eq!(bench.client.in_flight(), 0);
        assert_eq!(bench.say(puback(1)), [], "a second one says nothing");
        bench.reconnect(true);
        assert_eq!(bench.sent(), []);
    }
}

#[test]
fn qos_2_is_finished_by_pubcomp() {
    // v3.1.1 [MQTT-4.3.3-1]
    // v5 [MQTT-4.3.3-1], [MQTT-4.3.3-2], [MQTT-4.3.3-3], [MQTT-4.3.3-4] and [MQTT-4.3.3-5]
    for version in BOTH {
        let mut bench = Bench::online(version);
        assert_eq!(bench.publish(QoS::ExactlyOnce, "x"), Some(id(1)));
        assert_eq!(bench.sent(), [publish(QoS::ExactlyOnce, 1, "x")]);
        assert_eq!(bench.say(pubrec(1)), []);
        assert_eq!(bench.sent(), [pubrel(1)]);
        assert_eq!(bench.client.in_flight(), 1);
        assert_eq!(bench.say(pubcomp(1)), [acknowledged(1)]);
        assert_eq!(bench.client.in_flight(), 0);
        assert_eq!(bench.sent(), []);
    }
}

#[test]
fn acknowledgements_may_come_in_any_order() {
    for version in BOTH {
        // All orders of four messages, the even ones with QoS 2.
        for order in permutations([1, 2, 3, 4]) {
            let mut bench = Bench::online(version);
            for number in 1..=4 {
                let qos = QoS::from_u8(1 + u8::from(number % 2 == 0)).unwrap_or_default();
                assert_eq!(bench.publish(qos, "x"), Some(id(number)));
            }
            assert_eq!(bench.sent().len(), 4);
            let mut pubrels = Vec::new();
            for number in order {
                if number % 2 == 0 {
                    assert_eq!(bench.say(pubrec(number)), []);
                    pubrels.push(pubrel(number));
                } else {
                    assert_eq!(bench.say(puback(number)), [acknowledged(number)]);
                }
            }
            // v3.1.1 [MQTT-4.6.0-4], v5 [MQTT-4.6.0-4]
            assert_eq!(bench.sent(), pubrels);
            for number in order.into_iter().filter(|number| number % 2 == 0) {
                assert_eq!(bench.say(pubcomp(number)), [acknowledged(number)]);
            }
            assert_eq!(bench.client.in_flight(), 0);
            assert!(!bench.client.has_unsent());
        }
    }
}

fn permutations(numbers: [u16; 4]) -> Vec<[u16; 4]> {
    let mut all = Vec::new();
    for code in 0..256 {
        let order = [0, 2, 4, 6].map(|shift| numbers[code >> shift & 3]);
        if numbers.iter().all(|number| order.contains(number)) {
            all.push(order);
        }
    }
    assert_eq!(all.len(), 24);
    all
}

#[test]
fn a_refused_puback_finishes_the_message_with_its_reason() {
    for reason in [
        ReasonCode::NotAuthorized,
        ReasonCode::QuotaExceeded,
        ReasonCode::PacketIdentifierInUse,
        ReasonCode::NoMatchingSubscribers,
    ] {
        let mut bench = Bench::online(V5);
        bench.publish(QoS::AtLeastOnce, "x");
        bench.sent();
        let events = bench.say(with_reason(puback(1), reason));
        assert_eq!(events, [refused(1, reason)]);
        assert_eq!(bench.client.in_flight(), 0);
    }
}

#[test]
fn a_refused_pubrec_finishes_the_message_and_is_not_answered() {
    // v5 [MQTT-4.3.3-4]
    let mut bench = Bench::online(V5);
    bench.publish(QoS::ExactlyOnce, "x");
    bench.sent();
    let reason = ReasonCode::NotAuthorized;
    let events = bench.say(with_reason(pubrec(1), reason));
    assert_eq!(events, [refused(1, reason)]);
    assert_eq!(bench.sent(), []);
    assert_eq!(bench.client.in_flight(), 0);
    // One below 0x80 is no refusal.
    bench.publish(QoS::ExactlyOnce, "y");
    bench.sent();
    let events = bench.say(with_reason(pubrec(2), ReasonCode::NoMatchingSubscribers));
    assert_eq!(events, []);
    assert_eq!(bench.sent(), [pubrel(2)]);
}

#[test]
fn a_pubcomp_for_what_the_server_finished_earlier_is_no_refusal() {
    // The PUBCOMP was lost with the connection; the server has forgotten the identifier.
    let mut bench = Bench::online(V5);
    bench.publish(QoS::ExactlyOnce, "x");
    bench.sent();
    bench.say(pubrec(1));
    bench.sent();
    bench.reconnect(true);
    assert_eq!(bench.sent(), [pubrel(1)]);
    let not_found = with_reason(pubcomp(1), ReasonCode::PacketIdentifierNotFound);
    assert_eq!(bench.say(not_found), [acknowledged(1)]);
}

#[test]
fn a_pubrec_that_comes_again_is_answered_again() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        bench.publish(QoS::ExactlyOnce, "x");
        bench.sent();
        bench.say(pubrec(1));
        assert_eq!(bench.sent(), [pubrel(1)]);
        assert_eq!(bench.say(pubrec(1)), []);
        assert_eq!(bench.say(pubrec(1)), []);
        assert_eq!(bench.sent(), [pubrel(1)]);
        assert_eq!(bench.say(pubcomp(1)), [acknowledged(1)]);
        assert_eq!(bench.say(pubcomp(1)), []);
    }
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_is_not_taken_for_the_right_one() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        bench.publish(QoS::AtLeastOnce, "1");
        bench.publish(QoS::ExactlyOnce, "2");
        bench.sent();
        assert_eq!(bench.say(puback(2)), []);
        assert_eq!(bench.say(pubcomp(1)), []);
        assert_eq!(bench.say(pubcomp(2)), [], "PUBREC is missing");
        assert_eq!(bench.say(suback(1)), []);
        assert_eq!(bench.say(unsuback(2)), []);
        assert_eq!(bench.client.in_flight(), 2);
        assert_eq!(bench.say(puback(1)), [acknowledged(1)]);
        bench.say(pubrec(2));
        bench.sent();
        assert_eq!(bench.say(pubcomp(2)), [acknowledged(2)]);
    }
}

#[test]
fn an_acknowledgement_of_something_unsent_is_ignored() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        bench.publish(QoS::AtLeastOnce, "1");
        bench.publish(QoS::ExactlyOnce, "2");
        let subscription = [Subscription::new(filter(), QoS::AtLeastOnce)];
        let result = bench.client.subscribe(&subscription, Properties::EMPTY);
        assert_eq!(result, Ok(id(3)));
        let result = bench.client.unsubscribe(&[filter()], Properties::EMPTY);
        assert_eq!(result, Ok(id(4)));
        for sent in [0, 2] {
            bench.write(sent);
            for packet in [puback(1), pubrec(2), suback(3), unsuback(4)] {
                assert_eq!(bench.say(packet), []);
            }
        }
        let sent = bench.sent();
        assert_eq!(sent.len(), 4, "{sent:?}");
        assert_eq!(bench.say(puback(1)), [acknowledged(1)]);
        assert_eq!(bench.say(pubrec(2)), []);
        assert!(matches!(
            bench.say(suback(3))[..],
            [Event::Subscribed { .. }]
        ));
        assert!(matches!(
            bench.say(unsuback(4))[..],
            [Event::Unsubscribed { .. }]
        ));
        // And once only.
        assert_eq!(bench.say(suback(3)), []);
        assert_eq!(bench.say(unsuback(4)), []);
    }
}

#[test]
fn subscribing_names_filters_and_options_and_is_answered() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        let subscription = [Subscription {
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::Never,
            ..Subscription::new(filter(), QoS::ExactlyOnce)
        }];
        let number = SubscriptionId::new(7).expect("an identifier");
        let properties = [Property::SubscriptionIdentifier(number)];
        let properties = Properties::new(&properties);
        let result = bench.client.subscribe(&subscription, properties);
        assert_eq!(result, Ok(id(1)));
        let plain = [Subscription::new(filter(), QoS::ExactlyOnce)];
        let expected = match version {
            V3 => Subscribe {
                packet_id: id(1),
                properties: Properties::EMPTY,
                subscriptions: Items::new(&plain),
            },
            V5 => Subscribe {
                packet_id: id(1),
                properties,
                subscriptions: Items::new(&subscription),
            },
        };
        assert_eq!(bench.sent(), [Packet::Subscribe(expected)]);
        assert_eq!(bench.client.in_flight(), 0, "only messages count");
        assert_eq!(
            bench.say(suback(1)),
            [Event::Subscribed {
                id: id(1),
                reasons: Items::new(&[ReasonCode::GrantedQoS1])
            }]
        );
        let result = bench.client.unsubscribe(&[filter()], Properties::EMPTY);
        assert_eq!(result, Ok(id(2)));
        let filters = [filter()];
        let expected = Unsubscribe {
            packet_id: id(2),
            properties: Properties::EMPTY,
            filters: Items::new(&filters),
        };
        assert_eq!(bench.sent(), [Packet::Unsubscribe(expected)]);
        assert!(matches!(
            bench.say(unsuback(2))[..],
            [Event::Unsubscribed { .. }]
        ));
    }
}

#[test]
fn requests_without_a_connection_are_refused() {
    let mut bench = Bench::new(V5);
    let subscription = [Subscription::new(filter(), QoS::AtLeastOnce)];
    let check = |client: &mut Client<'_>| {
        let result = client.subscribe(&subscription, Properties::EMPTY);
        assert_eq!(result, Err(RequestError::NotConnected));
        let result = client.unsubscribe(&[filter()], Properties::EMPTY);
        assert_eq!(result, Err(RequestError::NotConnected));
        let result = client.publish_streamed(&message(QoS::AtMostOnce, ""), 9);
        assert_eq!(result, Err(RequestError::NotConnected));
    };
    check(&mut bench.client);
    bench.begin(true);
    check(&mut bench.client);
    bench.accept(false, &[]);
    bench.lose();
    check(&mut bench.client);
}

#[test]
fn every_other_call_without_a_connection_does_nothing() {
    let mut bench = Bench::new(V5);
    assert_eq!(bench.client.state(), State::Idle);
    assert_eq!(bench.client.transmit(), b"");
    assert_eq!(bench.client.rx_space(), b"");
    bench.client.transmitted(10, bench.now);
    bench.client.received(10, bench.now);
    bench.client.streamed(10, bench.now);
    bench.client.handle_timeout(bench.now);
    bench.client.handle_closed(bench.now);
    assert_eq!(bench.client.awaited_payload(), 0);
    assert_eq!(bench.client.poll_timeout(), None);
    assert_eq!(bench.events(), []);
}

#[test]
fn a_request_that_lists_nothing_is_refused() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        let error = RequestError::Encode(EncodeError::EmptyList);
        let result = bench.client.subscribe(&[], Properties::EMPTY);
        assert_eq!(result, Err(error));
        let result = bench.client.unsubscribe(&[], Properties::EMPTY);
        assert_eq!(result, Err(error));
        assert_eq!(bench.sent(), []);
    }
}

#[test]
fn subscriptions_that_end_with_their_connection_free_their_identifiers() {
    for version in BOTH {
        let sizes = Sizes {
            in_flight: 1,
            ..Sizes::default()
        };
        let mut bench = Bench::online_with(version, sizes, &[]);
        let subscription = [Subscription::new(filter(), QoS::AtLeastOnce)];
        for round in 0..10 {
            let result = bench.client.subscribe(&subscription, Properties::EMPTY);
            assert!(result.is_ok(), "round {round}: {result:?}");
            let full = bench.client.subscribe(&subscription, Properties::EMPTY);
            assert_eq!(full, Err(RequestError::Full));
            if round % 2 == 0 {
                assert_eq!(bench.sent().len(), 1);
            }
            bench.reconnect(true);
            assert_eq!(bench.sent(), [], "a SUBSCRIBE is never sent again");
        }
    }
}

#[test]
fn a_message_has_no_topic_alias_and_no_subscription_identifier() {
    // v5 [MQTT-3.3.2-9]
    // v5 [MQTT-3.3.4-6]
    let number = SubscriptionId::new(7).expect("an identifier");
    for property in [
        Property::TopicAlias(NonZeroU16::MIN),
        Property::SubscriptionIdentifier(number),
    ] {
        for version in BOTH {
            let mut bench = Bench::online(version);
            let properties = [property];
            let message = Message {
                properties: Properties::new(&properties),
                ..message(QoS::AtLeastOnce, "x")
            };
            let error = RequestError::Encode(EncodeError::Property);
            assert_eq!(bench.client.publish(&message), Err(error));
            let result = bench.client.publish_streamed(&message, 1);
            assert_eq!(result, Err(error));
            assert_eq!(bench.sent(), []);
        }
    }
}

#[test]
fn a_messages_flags_and_properties_are_sent() {
    let properties = [
        Property::MessageExpiryInterval(5),
        Property::ContentType("text/plain"),
        Property::UserProperty(("a", "b")),
    ];
    for version in BOTH {
        let mut bench = Bench::online(version);
        let message = Message {
            retain: true,
            properties: Properties::new(&properties),
            ..message(QoS::AtLeastOnce, "x")
        };
        assert_eq!(bench.client.publish(&message), Ok(Some(id(1))));
        let sent = bench.sent();
        let [Packet::Publish(publish)] = sent[..] else {
            panic!("{sent:?}");
        };
        assert!(publish.retain);
        assert!(!publish.dup);
        let expected = if version == V5 { &properties[..] } else { &[] };
        assert_eq!(publish.properties, Properties::new(expected));
    }
}
