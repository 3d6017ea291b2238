//! Messages whose payload the owner sends itself.

use super::*;

/// The owner sends `payload` as far as the client waits for it.
fn stream(bench: &mut Bench, payload: &[u8]) -> usize {
    let len = bench.client.awaited_payload().min(payload.len());
    bench.outgoing.extend_from_slice(&payload[..len]);
    bench.client.streamed(len, bench.now);
    len
}

/// What the transport takes goes out, byte by byte if `limit` is 1; not the streamed payload.
fn write_all(bench: &mut Bench, limit: usize) {
    while bench.write(limit) > 0 {}
}

#[track_caller]
fn begin(bench: &mut Bench, qos: QoS, len: usize) -> Option<PacketId> {
    let message = message(qos, "not looked at");
    bench.client.publish_streamed(&message, len).expect("space")
}

#[test]
fn a_streamed_message_arrives_whole_with_any_writes() {
    for version in BOTH {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for limit in [1, 2, 100] {
                let payload = "a message much larger than the outbox ".repeat(50);
                let mut bench = Bench::online(version);
                let packet_id = begin(&mut bench, qos, payload.len());
                assert_eq!(packet_id.is_some(), qos != QoS::AtMostOnce);
                assert_eq!(bench.client.awaited_payload(), 0, "the front comes first");
                write_all(&mut bench, limit);
                let mut rest = payload.as_bytes();
                while !rest.is_empty() {
                    assert_eq!(bench.client.awaited_payload(), rest.len());
                    assert_eq!(bench.client.transmit(), b"");
                    assert!(bench.client.has_unsent());
                    let len = limit.min(rest.len());
                    stream(&mut bench, &rest[..len]);
                    rest = &rest[len..];
                }
                assert_eq!(bench.client.awaited_payload(), 0);
                assert_eq!(bench.sent(), [publish(qos, 1, &payload)]);
                match qos {
                    QoS::AtMostOnce => assert_eq!(bench.client.in_flight(), 0),
                    QoS::AtLeastOnce => {
                        assert_eq!(bench.say(puback(1)), [acknowledged(1)]);
                    }
                    QoS::ExactlyOnce => {
                        assert_eq!(bench.say(pubrec(1)), []);
                        assert_eq!(bench.sent(), [pubrel(1)]);
                        assert_eq!(bench.say(pubcomp(1)), [acknowledged(1)]);
                    }
                }
                assert_eq!(bench.client.in_flight(), 0);
            }
        }
    }
}

#[test]
fn nothing_comes_between_the_bytes_of_a_streamed_message() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        bench.publish(QoS::AtLeastOnce, "before");
        begin(&mut bench, QoS::AtLeastOnce, 6);
        // Nothing else is taken meanwhile.
        let result = bench.client.publish(&message(QoS::AtMostOnce, "x"));
        assert_eq!(result, Err(RequestError::Full));
        let subscription = [Subscription::new(filter(), QoS::AtLeastOnce)];
        let result = bench.client.subscribe(&subscription, Properties::EMPTY);
        assert_eq!(result, Err(RequestError::Full));
        write_all(&mut bench, 1);
        stream(&mut bench, b"str");
        // An answer, a PINGREQ and a PUBREL become due.
        let packet = publish(QoS::AtLeastOnce, 7, "in");
        assert_eq!(bench.say(packet), [received(packet)]);
        assert_eq!(bench.say(puback(1)), [acknowledged(1)]);
        bench.wait(60_000);
        assert_eq!(bench.client.transmit(), b"");
        stream(&mut bench, b"eam");
        assert_eq!(
            bench.sent(),
            [
                publish(QoS::AtLeastOnce, 1, "before"),
                publish(QoS::AtLeastOnce, 2, "stream"),
                puback(7),
                Packet::PingReq,
            ]
        );
        assert_eq!(bench.publish(QoS::AtLeastOnce, "after"), Some(id(3)));
    }
}

#[test]
fn a_streamed_message_may_be_empty() {
    for version in BOTH {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            let mut bench = Bench::online(version);
            begin(&mut bench, qos, 0);
            assert_eq!(bench.sent(), [publish(qos, 1, "")]);
            assert_eq!(bench.publish(QoS::AtMostOnce, "next"), None);
            assert_eq!(bench.sent(), [publish(QoS::AtMostOnce, 0, "next")]);
        }
    }
}

#[test]
fn a_streamed_message_that_the_connections_end_cuts_is_dropped_by_name() {
    for version in BOTH {
        for (qos, packet_id) in [(QoS::AtMostOnce, None), (QoS::AtLeastOnce, Some(id(2)))] {
            // Not begun, begun, in its payload.
            for step in 0..3 {
                let mut bench = Bench::online(version);
                bench.publish(QoS::AtLeastOnce, "kept");
                bench.sent();
                assert_eq!(begin(&mut bench, qos, 10), packet_id);
                match step {
                    0 => {}
                    1 => {
                        bench.write(2);
                    }
                    _ => {
                        write_all(&mut bench, 7);
                        stream(&mut bench, b"cut");
                    }
                }
                bench.client.handle_closed(bench.now);
                assert_eq!(bench.client.awaited_payload(), 0);
                let reason = ReasonCode::UnspecifiedError;
                assert_eq!(
                    bench.events(),
                    [
                        Event::Closed(CloseReason::Lost),
                        Event::Dropped {
                            id: packet_id,
                            reason
                        }
                    ]
                );
                bench.outgoing.clear();
                bench.begin(false);
                bench.accept(true, &[]);
                assert_eq!(bench.sent(), [again(QoS::AtLeastOnce, 1, "kept")]);
            }
        }
    }
}

#[test]
fn a_streamed_message_sent_whole_but_not_acknowledged_is_dropped_by_name() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        begin(&mut bench, QoS::AtLeastOnce, 3);
        begin_rest(&mut bench, b"abc");
        bench.client.handle_closed(bench.now);
        let events = bench.events();
        let reason = ReasonCode::UnspecifiedError;
        let dropped = Event::Dropped {
            id: Some(id(1)),
            reason,
        };
        assert_eq!(events, [Event::Closed(CloseReason::Lost), dropped]);
        assert_eq!(bench.client.in_flight(), 0);
    }
}

fn begin_rest(bench: &mut Bench, payload: &[u8]) {
    write_all(bench, usize::MAX);
    assert_eq!(stream(bench, payload), payload.len());
}

#[test]
fn a_streamed_message_of_qos_2_that_the_server_has_is_finished_on_the_next_connection() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        begin(&mut bench, QoS::ExactlyOnce, 3);
        begin_rest(&mut bench, b"abc");
        bench.sent();
        bench.say(pubrec(1));
        bench.reconnect(true);
        assert_eq!(bench.sent(), [pubrel(1)]);
        assert_eq!(bench.say(pubcomp(1)), [acknowledged(1)]);
    }
}

#[test]
fn a_streamed_message_waits_for_the_quota_like_any_other() {
    const ONE: &[Property<'_>] = &[Property::ReceiveMaximum(NonZeroU16::MIN)];
    let mut bench = Bench::online_with(V5, Sizes::default(), ONE);
    bench.publish(QoS::AtLeastOnce, "1");
    begin(&mut bench, QoS::AtLeastOnce, 3);
    assert_eq!(bench.sent(), [publish(QoS::AtLeastOnce, 1, "1")]);
    assert_eq!(bench.client.awaited_payload(), 0);
    bench.say(puback(1));
    begin_rest(&mut bench, b"abc");
    assert_eq!(bench.sent(), [publish(QoS::AtLeastOnce, 2, "abc")]);
}

#[test]
fn an_acknowledgement_before_the_last_byte_is_ignored() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        begin(&mut bench, QoS::AtLeastOnce, 3);
        write_all(&mut bench, usize::MAX);
        stream(&mut bench, b"ab");
        assert_eq!(bench.say(puback(1)), []);
        stream(&mut bench, b"c");
        assert_eq!(bench.say(puback(1)), [acknowledged(1)]);
    }
}

#[test]
fn an_error_within_a_streamed_message_closes_without_a_word() {
    // A DISCONNECT can't be put between its bytes.
    for version in BOTH {
        let mut bench = Bench::online(version);
        begin(&mut bench, QoS::AtMostOnce, 3);
        write_all(&mut bench, usize::MAX);
        let events = bench.say_bytes(&[0x00, 0]);
        assert!(
            matches!(
                events[..],
                [
                    Event::Closed(CloseReason::Protocol(_)),
                    Event::Dropped { id: None, .. }
                ]
            ),
            "{events:?}"
        );
        assert_eq!(bench.client.awaited_payload(), 0);
    }
}

#[test]
fn a_stream_longer_than_mqtt_allows_is_refused() {
    let mut bench = Bench::online(V3);
    let message = message(QoS::AtMostOnce, "");
    for len in [268_435_455, usize::MAX] {
        let result = bench.client.publish_streamed(&message, len);
        assert!(matches!(result, Err(RequestError::Encode(_))), "{result:?}");
    }
    assert_eq!(begin(&mut bench, QoS::AtMostOnce, 268_435_452), None);
    write_all(&mut bench, usize::MAX);
    assert_eq!(bench.client.awaited_payload(), 268_435_452);
    // Too large a number from the owner ends it, no more.
    bench.client.streamed(usize::MAX, bench.now);
    assert_eq!(bench.client.awaited_payload(), 0);
}
