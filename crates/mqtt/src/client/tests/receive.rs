//! Messages from the server (section 4.3, the receiver's side).

use core::num::NonZeroU32;

use super::*;
use crate::packet::DecodeError;

/// A message of `len` bytes of payload, counted up so that a shift is noticed.
fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| at as u8).collect()
}

fn long(qos: QoS, packet_id: u16, dup: bool, payload: &[u8]) -> Packet<'_> {
    Packet::Publish(Publish {
        dup,
        delivery: Delivery::new(qos, PacketId::new(packet_id).unwrap_or(PacketId::FIRST)),
        ..Publish::new(topic(), payload)
    })
}

/// What a message given out in parts said, put together; checks what each part says is left.
#[track_caller]
fn joined(events: &[Event<'_>]) -> Vec<u8> {
    let Some(Event::Message { publish, remaining }) = events.first() else {
        panic!("{events:?}");
    };
    let mut payload = publish.payload.to_vec();
    let mut left = *remaining;
    for event in &events[1..] {
        let Event::MessageChunk {
            payload: chunk,
            remaining,
        } = event
        else {
            panic!("{event:?}");
        };
        assert!(!chunk.is_empty());
        assert_eq!(left, chunk.len() + remaining);
        payload.extend_from_slice(chunk);
        left = *remaining;
    }
    assert_eq!(left, 0);
    payload
}

/// Feeds `bytes` in pieces of at most `step`, as far as there is space.
#[track_caller]
fn trickle(bench: &mut Bench, mut bytes: &[u8], step: usize) -> Vec<Event<'static>> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let taken = bench.feed(&bytes[..step.min(bytes.len())]);
        assert!(taken > 0, "there is space");
        bytes = &bytes[taken..];
        events.extend(bench.events());
    }
    events
}

#[test]
fn a_message_is_answered_as_its_qos_asks() {
    // v3.1.1 [MQTT-3.3.4-1], [MQTT-4.3.2-2] and [MQTT-4.3.3-2]
    // v5 [MQTT-3.3.4-1], [MQTT-4.3.2-4], [MQTT-4.3.3-8] and [MQTT-4.3.3-11]
    for version in BOTH {
        let mut bench = Bench::online(version);
        let packet = publish(QoS::AtMostOnce, 0, "0");
        assert_eq!(bench.say(packet), [received(packet)]);
        assert_eq!(bench.sent(), []);
        let packet = publish(QoS::AtLeastOnce, 7, "1");
        assert_eq!(bench.say(packet), [received(packet)]);
        assert_eq!(bench.sent(), [puback(7)]);
        let packet = publish(QoS::ExactlyOnce, 7, "2");
        assert_eq!(bench.say(packet), [received(packet)]);
        assert_eq!(bench.sent(), [pubrec(7)]);
        assert_eq!(bench.say(pubrel(7)), []);
        assert_eq!(bench.sent(), [pubcomp(7)]);
    }
}

#[test]
fn acknowledgements_go_out_in_the_order_of_the_messages() {
    // v3.1.1 [MQTT-4.6.0-2] and [MQTT-4.6.0-3]
    // v5 [MQTT-4.6.0-2] and [MQTT-4.6.0-3]
    for version in BOTH {
        let mut bench = Bench::online(version);
        for (qos, number) in [
            (QoS::AtLeastOnce, 9),
            (QoS::ExactlyOnce, 4),
            (QoS::AtLeastOnce, 2),
            (QoS::ExactlyOnce, 8),
        ] {
            bench.say(publish(qos, number, "x"));
        }
        let expected = [puback(9), pubrec(4), puback(2), pubrec(8)];
        assert_eq!(bench.sent(), expected);
    }
}

#[test]
fn a_message_of_qos_1_that_comes_again_is_given_out_again() {
    // v5 [MQTT-4.3.2-5]
    for version in BOTH {
        let mut bench = Bench::online(version);
        let packet = publish(QoS::AtLeastOnce, 7, "x");
        assert_eq!(bench.say(packet), [received(packet)]);
        let packet = again(QoS::AtLeastOnce, 7, "x");
        assert_eq!(bench.say(packet), [received(packet)]);
        assert_eq!(bench.sent(), [puback(7), puback(7)]);
    }
}

#[test]
fn a_message_of_qos_2_that_comes_again_is_given_out_once() {
    // v3.1.1 [MQTT-4.3.3-2]
    // v5 [MQTT-4.3.3-10] and [MQTT-4.3.3-12]
    for version in BOTH {
        let mut bench = Bench::online(version);
        let packet = publish(QoS::ExactlyOnce, 7, "x");
        assert_eq!(bench.say(packet), [received(packet)]);
        assert_eq!(bench.say(again(QoS::ExactlyOnce, 7, "x")), []);
        assert_eq!(bench.sent(), [pubrec(7), pubrec(7)]);
        // Nor on another connection.
        bench.reconnect(true);
        assert_eq!(bench.say(again(QoS::ExactlyOnce, 7, "x")), []);
        assert_eq!(bench.sent(), [pubrec(7)]);
        assert_eq!(bench.say(pubrel(7)), []);
        assert_eq!(bench.sent(), [pubcomp(7)]);
        // PUBREL may come again, and the identifier is free.
        assert_eq!(bench.say(pubrel(7)), []);
        assert_eq!(bench.sent().len(), 1);
        let packet = publish(QoS::ExactlyOnce, 7, "another");
        assert_eq!(bench.say(packet), [received(packet)]);
    }
}

#[test]
fn identifiers_of_a_session_that_the_server_lost_are_forgotten() {
    // v3.1.1 [MQTT-3.1.2-6]
    // v5 [MQTT-3.2.2-5]
    for version in BOTH {
        let mut bench = Bench::online(version);
        bench.say(publish(QoS::ExactlyOnce, 7, "x"));
        bench.sent();
        bench.reconnect(false);
        let packet = publish(QoS::ExactlyOnce, 7, "another");
        assert_eq!(bench.say(packet), [received(packet)]);
    }
}

#[test]
fn in_the_memory_of_a_client_another_one_knows_nothing_of_the_first() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        bench.say(publish(QoS::ExactlyOnce, 7, "to the first"));
        bench.publish(QoS::AtLeastOnce, "of the first");
        let memory = bench.client.into_memory();
        assert_eq!(memory.receive.len(), Sizes::default().receive);
        assert_eq!(memory.outbox.len(), Sizes::default().outbox);
        bench.client = Client::new(Config::default(), memory);
        assert_eq!(bench.client.in_flight(), 0);
        bench.begin(false);
        // A session that is not the second one's: it takes the message as a new one.
        bench.accept(true, &[]);
        assert_eq!(bench.sent(), []);
        let packet = publish(QoS::ExactlyOnce, 7, "to the second");
        assert_eq!(bench.say(packet), [received(packet)]);
    }
}

#[test]
fn places_of_a_session_that_was_lost_unnoticed_are_used_again() {
    // The server lost its session, and the CONNACK that said so was lost too: what it says next
    // looks as if it went on with the old one.
    for version in BOTH {
        for len in [1, 1_000] {
            let mut bench = Bench::online(version);
            for number in 1..=4 {
                bench.say(publish(QoS::ExactlyOnce, number, "of the old session"));
            }
            bench.reconnect(true);
            // This one is confirmed.
            bench.say(again(QoS::ExactlyOnce, 2, "of the old session"));
            bench.sent();
            let payload = payload(len);
            for number in 11..=13 {
                let bytes = encoded(version, long(QoS::ExactlyOnce, number, false, &payload));
                assert_eq!(joined(&trickle(&mut bench, &bytes, 50)), payload);
                assert_eq!(bench.sent(), [pubrec(number)]);
            }
            for number in [2, 11, 12, 13] {
                assert_eq!(bench.say(again(QoS::ExactlyOnce, number, "known")), []);
                bench.say(pubrel(number));
                assert_eq!(bench.sent(), [pubrec(number), pubcomp(number)]);
            }
        }
    }
}

#[test]
fn messages_of_qos_2_beyond_the_places_end_the_connection_and_are_not_given_out() {
    // v5 [MQTT-3.3.4-9]
    for version in BOTH {
        // Whole, and larger than the receive buffer.
        for len in [1, 1_000] {
            let mut bench = Bench::online(version);
            let payload = payload(len);
            for number in 1..=4 {
                let bytes = encoded(version, long(QoS::ExactlyOnce, number, false, &payload));
                assert_eq!(joined(&trickle(&mut bench, &bytes, 50)), payload);
                assert_eq!(bench.sent(), [pubrec(number)]);
            }
            // What has a place already needs none.
            let bytes = encoded(version, long(QoS::ExactlyOnce, 2, true, &payload));
            assert_eq!(trickle(&mut bench, &bytes, 50), []);
            assert_eq!(bench.sent(), [pubrec(2)]);

            let bytes = encoded(version, long(QoS::ExactlyOnce, 5, false, &payload));
            let mut events = bench.say_bytes(&bytes[..bytes.len().min(100)]);
            let expected = match version {
                V3 => Vec::new(),
                V5 => std::vec![goodbye(ReasonCode::ReceiveMaximumExceeded)],
            };
            assert_eq!(bench.sent(), expected);
            events.extend(bench.events());
            let error = CloseReason::Protocol(ProtocolError::ReceiveMaximumExceeded);
            assert_eq!(events, [Event::Closed(error)]);
        }
    }
}

#[test]
fn a_message_larger_than_the_receive_buffer_comes_in_parts_that_make_it_whole() {
    for version in BOTH {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for step in [1, 2, 3, 7, 64, 128] {
                let mut bench = Bench::online(version);
                let payload = payload(700);
                let mut bytes = encoded(version, long(qos, 7, false, &payload));
                bytes.extend(encoded(version, publish(QoS::AtMostOnce, 0, "next")));
                let mut events = trickle(&mut bench, &bytes, step);
                assert_eq!(
                    events.pop(),
                    Some(received(publish(QoS::AtMostOnce, 0, "next")))
                );
                assert_eq!(joined(&events), payload);
                let answer = match qos {
                    QoS::AtMostOnce => Vec::new(),
                    QoS::AtLeastOnce => std::vec![puback(7)],
                    QoS::ExactlyOnce => std::vec![pubrec(7)],
                };
                assert_eq!(bench.sent(), answer);
            }
        }
    }
}

#[test]
fn a_message_as_large_as_the_receive_buffer_comes_whole() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        let capacity = Sizes::default().receive;
        let overhead = encoded(version, publish(QoS::AtMostOnce, 0, "")).len();
        let payload = payload(capacity - overhead);
        let packet = long(QoS::AtMostOnce, 0, false, &payload);
        assert_eq!(encoded(version, packet).len(), capacity);
        // Not at the front of the buffer at first.
        let mut bytes = encoded(version, Packet::PingResp);
        bytes.extend(encoded(version, packet));
        let events = trickle(&mut bench, &bytes, 100);
        assert_eq!(events, [received(packet)]);
    }
}

#[test]
fn a_message_in_parts_is_acknowledged_behind_its_last_byte() {
    for version in BOTH {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut bench = Bench::online(version);
            let payload = payload(700);
            let bytes = encoded(version, long(qos, 7, false, &payload));
            let (last, bytes) = bytes.split_last().expect("some bytes");
            trickle(&mut bench, bytes, 100);
            assert_eq!(bench.sent(), []);
            assert_eq!(bench.say_bytes(&[*last]).len(), 1);
            assert_eq!(bench.sent().len(), 1);
        }
    }
}

#[test]
fn a_message_in_parts_that_the_connections_end_cuts_is_not_acknowledged_and_comes_again() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        let payload = payload(700);
        let bytes = encoded(version, long(QoS::ExactlyOnce, 7, false, &payload));
        trickle(&mut bench, &bytes[..600], 100);
        bench.reconnect(true);
        assert_eq!(bench.sent(), []);
        let bytes = encoded(version, long(QoS::ExactlyOnce, 7, true, &payload));
        let events = trickle(&mut bench, &bytes, 100);
        assert_eq!(joined(&events), payload);
        assert_eq!(bench.sent(), [pubrec(7)]);
    }
}

#[test]
fn a_large_message_of_qos_2_that_comes_again_is_given_out_once() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        let payload = payload(700);
        let bytes = encoded(version, long(QoS::ExactlyOnce, 7, false, &payload));
        assert_eq!(joined(&trickle(&mut bench, &bytes, 100)), payload);
        let bytes = encoded(version, long(QoS::ExactlyOnce, 7, true, &payload));
        assert_eq!(trickle(&mut bench, &bytes, 100), []);
        assert_eq!(bench.sent(), [pubrec(7), pubrec(7)]);
    }
}

#[test]
fn a_message_of_the_largest_size_begins_without_memory_for_it() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        let mut bytes = std::vec![0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, b't'];
        if version == V5 {
            bytes.push(0);
        }
        bytes.extend_from_slice(b"begin");
        let events = bench.say_bytes(&bytes);
        let [Event::Message { publish, remaining }] = events[..] else {
            panic!("{events:?}");
        };
        assert_eq!(publish.payload, b"begin");
        assert_eq!(remaining, 268_435_455 - (bytes.len() - 5));
    }
}

#[test]
fn while_the_acknowledgements_are_stuck_nothing_is_taken_and_nothing_is_lost() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        // The server sends without end; the transport takes nothing from the client.
        let mut stream = Vec::new();
        for number in 1..=100 {
            stream.extend(encoded(
                version,
                publish(QoS::AtLeastOnce, number, "some text"),
            ));
        }
        let mut events = Vec::new();
        let mut fed = 0;
        loop {
            let taken = bench.feed(&stream[fed..]);
            fed += taken;
            events.extend(bench.events());
            if taken == 0 {
                break;
            }
        }
        assert_eq!(events.len(), 8, "as many as there are acknowledgements");
        assert_eq!(bench.client.rx_space(), b"");
        assert!(fed < stream.len() / 3);
        // An owner that waited only for bytes would sleep now, though messages are there.
        let mut acks = bench.sent();
        let timeout = bench.client.poll_timeout().expect("a moment");
        assert!(timeout <= bench.now);
        bench.client.handle_timeout(bench.now);
        while fed < stream.len() {
            events.extend(bench.events());
            acks.extend(bench.sent());
            fed += bench.feed(&stream[fed..]);
        }
        loop {
            let more = bench.events();
            acks.extend(bench.sent());
            if more.is_empty() {
                break;
            }
            events.extend(more);
        }
        assert_eq!(events.len(), 100);
        let expected: Vec<_> = (1..=100).map(puback).collect();
        assert_eq!(acks, expected);
        let timeout = bench.client.poll_timeout().expect("the keep-alive");
        assert!(timeout > bench.now);
    }
}

#[test]
fn a_topic_alias_above_the_announced_maximum_ends_the_connection() {
    // v5 [MQTT-3.3.2-11] read from the other side
    for (announced, alias, is_valid) in [(0, 1, false), (3, 3, true), (3, 4, false)] {
        for len in [1, 1_000] {
            let mut bench = Bench::new(V5);
            let mut connect = Connect::new(V5, "bench");
            let properties = [Property::TopicAliasMaximum(announced)];
            if announced > 0 {
                connect.properties = Properties::new(&properties);
            }
            bench.client.connect(&connect, bench.now).expect("idle");
            bench.sent();
            bench.accept(false, &[]);
            let payload = payload(len);
            let alias = NonZeroU16::new(alias).expect("an alias");
            let properties = [Property::TopicAlias(alias)];
            let packet = Publish {
                topic: None,
                properties: Properties::new(&properties),
                ..Publish::new(topic(), &payload)
            };
            let bytes = encoded(V5, Packet::Publish(packet));
            if is_valid {
                let events = trickle(&mut bench, &bytes, 100);
                assert_eq!(joined(&events), payload);
                let Event::Message { publish, .. } = events[0] else {
                    panic!("{events:?}");
                };
                assert_eq!(publish.topic, None);
                assert_eq!(publish.properties.topic_alias(), Some(alias));
            } else {
                assert_eq!(bench.say_bytes(&bytes[..bytes.len().min(100)]), []);
                assert_eq!(bench.sent(), [goodbye(ReasonCode::TopicAliasInvalid)]);
                let error = CloseReason::Protocol(ProtocolError::TopicAlias);
                assert_eq!(bench.events(), [Event::Closed(error)]);
            }
        }
    }
}

#[test]
fn a_packet_above_the_announced_size_ends_the_connection() {
    // v5 [MQTT-3.1.2-24]
    let mut bench = Bench::new(V5);
    let mut connect = Connect::new(V5, "bench");
    let properties = [Property::MaximumPacketSize(
        NonZeroU32::new(20).expect("20"),
    )];
    connect.properties = Properties::new(&properties);
    bench.client.connect(&connect, bench.now).expect("idle");
    bench.sent();
    bench.accept(false, &[]);
    let packet = publish(QoS::AtMostOnce, 0, "fourteen bytes");
    assert_eq!(encoded(V5, packet).len(), 20);
    assert_eq!(bench.say(packet), [received(packet)]);
    let packet = publish(QoS::AtMostOnce, 0, "fifteen bytes..");
    assert_eq!(bench.say(packet), []);
    assert_eq!(bench.sent(), [goodbye(ReasonCode::PacketTooLarge)]);
    let error = DecodeError::PacketTooLarge {
        size: 21,
        limit: 20,
    };
    let closed = CloseReason::Protocol(ProtocolError::Decode(error));
    assert_eq!(bench.events(), [Event::Closed(closed)]);
    // 3.1.1 has no such limit, whatever the properties say.
    let mut bench = Bench::new(V3);
    let connect = Connect {
        version: V3,
        ..connect
    };
    bench.client.connect(&connect, bench.now).expect("idle");
    bench.sent();
    bench.accept(false, &[]);
    let packet = publish(QoS::AtMostOnce, 0, "more than fifteen bytes");
    assert_eq!(bench.say(packet), [received(packet)]);
}

#[test]
fn a_messages_flags_and_properties_are_given_out() {
    // v5 [MQTT-3.3.2-17] and [MQTT-3.3.2-18], the receiver's part
    let properties = [
        Property::UserProperty(("a", "1")),
        Property::UserProperty(("a", "2")),
        Property::ContentType("\u{feff}text"),
    ];
    let mut bench = Bench::online(V5);
    let packet = Packet::Publish(Publish {
        retain: true,
        dup: true,
        properties: Properties::new(&properties),
        delivery: Delivery::AtLeastOnce(id(7)),
        ..Publish::new(topic(), b"\x00binary\xff")
    });
    assert_eq!(bench.say(packet), [received(packet)]);
}
