//! Any bytes from the server, at any split.

use proptest::prelude::*;

use super::*;
use crate::packet::PacketKind;

/// What happened, with the parts of a payload put together: where they are cut depends on the
/// reads.
#[derive(Debug, PartialEq)]
enum Seen {
    Event(Event<'static>),
    Payload(Vec<u8>),
}

/// Feeds `bytes` in reads of `reads` bytes each, in turn, and says what came of it. The client
/// sends when it takes nothing more, which does not depend on the reads.
fn feed(version: ProtocolVersion, is_online: bool, bytes: &[u8], reads: &[usize]) -> Vec<Seen> {
    let mut bench = Bench::new(version);
    bench.publish(QoS::AtLeastOnce, "1");
    bench.publish(QoS::ExactlyOnce, "2");
    bench.begin(false);
    if is_online {
        bench.accept(true, &[]);
        let subscription = [Subscription::new(filter(), QoS::AtLeastOnce)];
        let result = bench.client.subscribe(&subscription, Properties::EMPTY);
        assert_eq!(result, Ok(id(3)));
        bench.write(10_000);
    }
    let mut seen = Vec::new();
    let mut rest = bytes;
    let mut reads = reads.iter().cycle();
    let mut idle = 0;
    while idle < 3 {
        let read = reads.next().copied().unwrap_or(1).max(1);
        let taken = bench.feed(&rest[..read.min(rest.len())]);
        rest = &rest[taken..];
        let events = bench.events();
        if taken == 0 && events.is_empty() {
            // All that goes out is valid.
            bench.sent();
            idle += 1;
        } else {
            idle = 0;
        }
        for event in events {
            note(&mut seen, event);
        }
    }
    bench.client.handle_closed(bench.now);
    for event in bench.events() {
        note(&mut seen, event);
    }
    assert_eq!(bench.client.state(), State::Idle);
    // The client is as good as new.
    bench.outgoing.clear();
    bench.begin(true);
    let events = bench.accept(false, &[]);
    assert!(matches!(events[0], Event::Connected { .. }));
    assert!(!bench.sent().contains(&Packet::PingReq));
    seen
}

fn note(seen: &mut Vec<Seen>, event: Event<'static>) {
    let (event, payload) = match event {
        Event::Message { publish, remaining } => {
            let payload = publish.payload;
            let publish = Publish {
                payload: &[],
                ..publish
            };
            let event = Event::Message {
                publish,
                remaining: remaining + payload.len(),
            };
            (Some(event), payload)
        }
        Event::MessageChunk { payload, .. } => (None, payload),
        event => return seen.push(Seen::Event(event)),
    };
    if let Some(event) = event {
        seen.push(Seen::Event(event));
        seen.push(Seen::Payload(Vec::new()));
    }
    let Some(Seen::Payload(whole)) = seen.last_mut() else {
        panic!("a part without a message");
    };
    whole.extend_from_slice(payload);
}

/// Bytes of a packet, mostly a valid one.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let qos = (0..3_u8).prop_map(|qos| QoS::from_u8(qos).unwrap_or_default());
    let message = (qos, 1..6_u16, prop_oneof![0..30_usize, 0..400_usize]);
    let message = message.prop_map(|(qos, id, len)| (qos, id, "x".repeat(len)));
    prop_oneof![
        6 => message.prop_map(|(qos, id, payload)| Some((qos, id, payload))),
        6 => Just(None),
    ]
    .prop_flat_map(|message| {
        (
            Just(message),
            1..5_u16,
            0..9_u8,
            prop_oneof![Just(V3), Just(V5)],
        )
    })
    .prop_map(|(message, number, kind, version)| {
        if let Some((qos, number, payload)) = message {
            return encoded(version, publish(qos, number, &payload));
        }
        let packet = match kind {
            0 => puback(number),
            1 => pubrec(number),
            2 => pubrel(number),
            3 => pubcomp(number),
            4 => suback(number),
            5 => unsuback(number),
            6 => Packet::PingResp,
            7 => goodbye(ReasonCode::ServerShuttingDown),
            _ => with_reason(pubrec(number), ReasonCode::QuotaExceeded),
        };
        encoded(version, packet)
    })
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let valid = || prop::collection::vec(packet(), 0..20).prop_map(|packets| packets.concat());
    let damaged = (valid(), any::<usize>(), any::<u8>()).prop_map(|(mut bytes, at, value)| {
        if let Some(at) = at.checked_rem(bytes.len()) {
            bytes[at] = value;
        }
        bytes
    });
    let kind = (1..16_u8).prop_map(|kind| kind << 4);
    let random = (kind, prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(kind, bytes)| {
        let mut all = std::vec![kind];
        all.extend(bytes);
        all
    });
    prop_oneof![3 => valid(), 4 => damaged, 2 => random]
}

proptest! {
    #![proptest_config(config(250))]

    #[test]
    fn any_bytes_are_events_or_an_end_and_the_same_at_any_split(
        version in prop_oneof![Just(V3), Just(V5)],
        is_online in prop_oneof![4 => Just(true), 1 => Just(false)],
        bytes in stream(),
        reads in prop::collection::vec(1..200_usize, 1..6),
    ) {
        let whole = feed(version, is_online, &bytes, &[usize::MAX]);
        for reads in [&[1][..], &reads] {
            prop_assert_eq!(&feed(version, is_online, &bytes, reads), &whole);
        }
    }
}

#[test]
fn any_first_byte_is_a_packet_or_an_end() {
    for version in BOTH {
        for first in 0..=u8::MAX {
            let mut bench = Bench::online(version);
            let mut events = bench.say_bytes(&[first, 0]);
            bench.sent();
            events.extend(bench.events());
            let kind = PacketKind::from_u8(first >> 4);
            match events[..] {
                [] => assert_eq!((kind, first & 15), (Some(PacketKind::PingResp), 0)),
                [Event::Closed(CloseReason::Server(ReasonCode::Success))] => {
                    assert_eq!((kind, version), (Some(PacketKind::Disconnect), V5));
                }
                [Event::Closed(CloseReason::Protocol(_))] => {}
                ref events => panic!("{first:#x}: {events:?}"),
            }
        }
    }
}
