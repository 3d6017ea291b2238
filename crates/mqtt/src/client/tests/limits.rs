//! What a server of 5.0 says it takes (section 3.2.2.3), and flow control (section 4.9).

use core::num::NonZeroU32;

use super::*;

fn receive_maximum(maximum: u16) -> [Property<'static>; 1] {
    [Property::ReceiveMaximum(
        NonZeroU16::new(maximum).expect("not 0"),
    )]
}

fn maximum_packet_size(bytes: u32) -> [Property<'static>; 1] {
    [Property::MaximumPacketSize(
        NonZeroU32::new(bytes).expect("not 0"),
    )]
}

/// A client whose CONNACK said `properties`.
fn online(properties: &[Property<'static>]) -> Bench {
    Bench::online_with(V5, Sizes::default(), properties)
}

/// Publishes while there is no connection, then meets a server with `properties`; what comes after
/// Connected.
#[track_caller]
fn meet(bench: &mut Bench, properties: &[Property<'static>]) -> Vec<Event<'static>> {
    bench.begin(false);
    let events = bench.accept(false, properties);
    assert!(matches!(events[0], Event::Connected { .. }));
    events[1..].to_vec()
}

fn dropped(packet_id: Option<u16>, reason: ReasonCode) -> Event<'static> {
    Event::Dropped {
        id: packet_id.map(id),
        reason,
    }
}

#[test]
fn no_more_messages_are_unacknowledged_than_the_receive_maximum() {
    // v5 [MQTT-3.3.4-7], [MQTT-4.9.0-1] and [MQTT-4.9.0-2]
    let mut bench = online(&receive_maximum(2));
    for number in 1..=5 {
        assert_eq!(bench.publish(QoS::AtLeastOnce, "x"), Some(id(number)));
    }
    let sent = |bench: &mut Bench| bench.sent();
    let packet = |number| publish(QoS::AtLeastOnce, number, "x");
    assert_eq!(sent(&mut bench), [packet(1), packet(2)]);
    assert_eq!(sent(&mut bench), []);
    assert!(bench.client.has_unsent());
    bench.say(puback(2));
    assert_eq!(sent(&mut bench), [packet(3)]);
    // One that comes twice gives no more.
    bench.say(puback(2));
    assert_eq!(sent(&mut bench), []);
    bench.say(puback(1));
    bench.say(puback(3));
    assert_eq!(sent(&mut bench), [packet(4), packet(5)]);
}

#[test]
fn a_message_of_qos_2_counts_until_pubcomp_or_a_refusal() {
    // v5 [MQTT-3.3.4-7]
    let mut bench = online(&receive_maximum(1));
    for _ in 0..3 {
        bench.publish(QoS::ExactlyOnce, "x");
    }
    let packet = |number| publish(QoS::ExactlyOnce, number, "x");
    assert_eq!(bench.sent(), [packet(1)]);
    bench.say(pubrec(1));
    assert_eq!(bench.sent(), [pubrel(1)]);
    bench.say(pubcomp(1));
    assert_eq!(bench.sent(), [packet(2)]);
    bench.say(with_reason(pubrec(2), ReasonCode::QuotaExceeded));
    assert_eq!(bench.sent(), [packet(3)]);
}

#[test]
fn other_packets_do_not_wait_for_the_quota() {
    // v5 [MQTT-3.3.4-8] and [MQTT-4.9.0-3]
    let mut bench = online(&receive_maximum(1));
    bench.publish(QoS::AtLeastOnce, "1");
    bench.publish(QoS::AtLeastOnce, "2");
    bench.publish(QoS::ExactlyOnce, "3");
    bench.publish(QoS::AtMostOnce, "4");
    let subscription = [Subscription::new(filter(), QoS::AtLeastOnce)];
    let result = bench.client.subscribe(&subscription, Properties::EMPTY);
    assert_eq!(result, Ok(id(4)));
    let result = bench.client.unsubscribe(&[filter()], Properties::EMPTY);
    assert_eq!(result, Ok(id(5)));
    let sent = bench.sent();
    assert!(
        matches!(
            sent[..],
            [
                Packet::Publish(_),
                Packet::Subscribe(_),
                Packet::Unsubscribe(_)
            ]
        ),
        "{sent:?}"
    );
    let packet = publish(QoS::AtLeastOnce, 7, "in");
    assert_eq!(bench.say(packet), [received(packet)]);
    assert_eq!(bench.sent(), [puback(7)]);
    bench.wait(60_000);
    assert_eq!(bench.sent(), [Packet::PingReq]);
    // The messages keep their order.
    bench.say(puback(1));
    assert_eq!(bench.sent(), [publish(QoS::AtLeastOnce, 2, "2")]);
    bench.say(puback(2));
    assert_eq!(
        bench.sent(),
        [
            publish(QoS::ExactlyOnce, 3, "3"),
            publish(QoS::AtMostOnce, 0, "4")
        ]
    );
}

#[test]
fn the_quota_is_whole_again_on_the_next_connection() {
    let mut bench = online(&receive_maximum(2));
    for _ in 0..5 {
        bench.publish(QoS::AtLeastOnce, "x");
    }
    assert_eq!(bench.sent().len(), 2);
    bench.lose();
    bench.begin(false);
    bench.accept(true, &receive_maximum(3));
    assert_eq!(
        bench.sent(),
        [
            again(QoS::AtLeastOnce, 1, "x"),
            again(QoS::AtLeastOnce, 2, "x"),
            publish(QoS::AtLeastOnce, 3, "x"),
        ]
    );
    bench.reconnect(true);
    assert_eq!(bench.sent().len(), 5, "without a maximum");
}

#[test]
fn what_is_between_pubrec_and_pubcomp_counts_on_the_next_connection() {
    let mut bench = online(&[]);
    for _ in 0..3 {
        bench.publish(QoS::ExactlyOnce, "x");
    }
    bench.sent();
    bench.say(pubrec(1));
    bench.lose();
    bench.begin(false);
    bench.accept(true, &receive_maximum(2));
    assert_eq!(bench.sent(), [pubrel(1), again(QoS::ExactlyOnce, 2, "x")]);
    assert_eq!(bench.say(pubcomp(1)), [acknowledged(1)]);
    assert_eq!(bench.sent(), [again(QoS::ExactlyOnce, 3, "x")]);
}

#[test]
fn a_packet_larger_than_the_server_takes_is_refused() {
    // v5 [MQTT-3.2.2-15]
    let mut bench = online(&maximum_packet_size(20));
    let error = RequestError::TooLarge {
        size: 21,
        limit: 20,
    };
    let result = bench
        .client
        .publish(&message(QoS::AtLeastOnce, "thirteen by.."));
    assert_eq!(
        result,
        Err(RequestError::TooLarge {
            size: 21,
            limit: 20
        })
    );
    assert_eq!(bench.publish(QoS::AtLeastOnce, "twelve bytes"), Some(id(1)));
    let result = bench
        .client
        .publish_streamed(&message(QoS::AtLeastOnce, ""), 13);
    assert_eq!(result, Err(error));
    let filter = TopicFilter::new("a/longer/filter").expect("a filter");
    let subscription = [Subscription::new(filter, QoS::AtMostOnce)];
    let result = bench.client.subscribe(&subscription, Properties::EMPTY);
    assert!(matches!(result, Err(RequestError::TooLarge { .. })));
    let result = bench.client.unsubscribe(&[filter], Properties::EMPTY);
    assert!(matches!(result, Err(RequestError::TooLarge { .. })));
    assert_eq!(bench.sent(), [publish(QoS::AtLeastOnce, 1, "twelve bytes")]);
}

#[test]
fn a_qos_or_retain_that_the_server_lacks_is_refused() {
    // v5 [MQTT-3.2.2-11] and [MQTT-3.2.2-14]
    let mut bench = online(&[
        Property::MaximumQoS(QoS::AtLeastOnce),
        Property::RetainAvailable(false),
    ]);
    let error = RequestError::NotSupported(ReasonCode::QoSNotSupported);
    let result = bench.client.publish(&message(QoS::ExactlyOnce, "x"));
    assert_eq!(result, Err(error));
    let retained = Message {
        retain: true,
        ..message(QoS::AtMostOnce, "x")
    };
    let error = RequestError::NotSupported(ReasonCode::RetainNotSupported);
    assert_eq!(bench.client.publish(&retained), Err(error));
    assert_eq!(bench.client.publish_streamed(&retained, 9), Err(error));
    assert_eq!(bench.publish(QoS::AtLeastOnce, "x"), Some(id(1)));
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn waiting_messages_that_the_server_does_not_take_are_dropped_by_name() {
    // v5 [MQTT-3.2.2-11], [MQTT-3.2.2-14] and [MQTT-3.2.2-15]
    let mut bench = Bench::new(V5);
    bench.publish(QoS::AtLeastOnce, "thirteen by..");
    bench.publish(QoS::AtLeastOnce, "fits");
    bench.publish(QoS::AtMostOnce, "thirteen bytes and more");
    bench.publish(QoS::AtMostOnce, "thirteen bytes and more");
    assert_eq!(
        meet(&mut bench, &maximum_packet_size(20)),
        [
            dropped(None, ReasonCode::PacketTooLarge),
            dropped(None, ReasonCode::PacketTooLarge),
            dropped(Some(1), ReasonCode::PacketTooLarge),
        ]
    );
    assert_eq!(bench.client.in_flight(), 1);
    assert_eq!(bench.sent(), [publish(QoS::AtLeastOnce, 2, "fits")]);

    let mut bench = Bench::new(V5);
    bench.publish(QoS::ExactlyOnce, "1");
    bench.publish(QoS::AtLeastOnce, "2");
    bench.publish(QoS::AtMostOnce, "3");
    let reason = ReasonCode::QoSNotSupported;
    assert_eq!(
        meet(&mut bench, &[Property::MaximumQoS(QoS::AtMostOnce)]),
        [dropped(Some(1), reason), dropped(Some(2), reason)]
    );
    assert_eq!(bench.sent(), [publish(QoS::AtMostOnce, 0, "3")]);

    let mut bench = Bench::new(V5);
    bench.publish(QoS::AtLeastOnce, "1");
    let retained = Message {
        retain: true,
        ..message(QoS::AtLeastOnce, "2")
    };
    assert_eq!(bench.client.publish(&retained), Ok(Some(id(2))));
    assert_eq!(
        meet(&mut bench, &[Property::RetainAvailable(false)]),
        [dropped(Some(2), ReasonCode::RetainNotSupported)]
    );
    assert_eq!(bench.sent(), [publish(QoS::AtLeastOnce, 1, "1")]);
}

#[test]
fn a_dropped_messages_memory_and_identifier_are_free_again() {
    let mut bench = Bench::new(V5);
    let long = "x".repeat(60);
    for _ in 0..3 {
        bench.publish(QoS::AtLeastOnce, &long);
    }
    let small = maximum_packet_size(20);
    assert_eq!(meet(&mut bench, &small).len(), 3);
    assert_eq!(bench.client.in_flight(), 0);
    for number in 4..12 {
        assert_eq!(bench.publish(QoS::AtLeastOnce, "x"), Some(id(number)));
    }
    assert_eq!(bench.sent().len(), 8);
}

#[test]
fn the_limits_of_one_server_do_not_hold_for_the_next() {
    let mut bench = online(&[
        Property::MaximumQoS(QoS::AtMostOnce),
        Property::RetainAvailable(false),
    ]);
    bench.lose();
    let retained = Message {
        retain: true,
        ..message(QoS::ExactlyOnce, "x")
    };
    assert_eq!(bench.client.publish(&retained), Ok(Some(id(1))));
    assert_eq!(meet(&mut bench, &[]), []);
    assert_eq!(bench.sent().len(), 1);
}
