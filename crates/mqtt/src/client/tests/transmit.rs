//! Bytes out: any partial writes, and only at legal boundaries.

use super::*;

/// Does a little of everything and returns what the server saw; every write takes `limit` bytes.
fn conversation(version: ProtocolVersion, limit: usize) -> Vec<Packet<'static>> {
    let mut bench = Bench::online(version);
    let mut packets = Vec::new();
    let mut writes = |bench: &mut Bench, count: usize| {
        for _ in 0..count {
            bench.write(limit);
        }
        packets.extend(bench.seen());
    };
    bench.publish(QoS::AtLeastOnce, "one");
    bench.publish(QoS::ExactlyOnce, "two");
    writes(&mut bench, 3);
    bench.say(publish(QoS::AtLeastOnce, 11, "in"));
    bench.say(publish(QoS::ExactlyOnce, 12, "in"));
    writes(&mut bench, 2);
    let subscription = [Subscription::new(filter(), QoS::AtLeastOnce)];
    let result = bench.client.subscribe(&subscription, Properties::EMPTY);
    assert_eq!(result, Ok(id(3)));
    bench.say(publish(QoS::AtMostOnce, 0, "in"));
    bench.say(pubrel(12));
    writes(&mut bench, 200);
    bench.say(pubrec(2));
    bench.publish(QoS::AtMostOnce, "three");
    writes(&mut bench, 5);
    bench.wait(60_000);
    let packet = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
    writes(&mut bench, 100);
    let result = bench.client.disconnect(&packet, bench.now);
    assert_eq!(result, Ok(()));
    writes(&mut bench, 100);
    assert_eq!(bench.outgoing, [], "half a packet");
    packets
}

#[test]
fn the_same_packets_go_out_whatever_a_write_takes() {
    for version in BOTH {
        let mut all: Vec<Vec<std::string::String>> = Vec::new();
        for limit in [1, 2, 3, 5, 11, 64, usize::MAX] {
            let mut packets: Vec<_> = conversation(version, limit)
                .iter()
                .map(|packet| std::format!("{packet:?}"))
                .collect();
            assert!(
                packets
                    .last()
                    .is_some_and(|last| last.starts_with("Disconnect"))
            );
            // Acknowledgements overtake messages where a packet ends.
            packets.sort();
            all.push(packets);
        }
        assert_eq!(all[0].len(), 10);
        assert!(all.iter().all(|packets| *packets == all[0]), "{all:#?}");
    }
}

#[test]
fn an_acknowledgement_goes_out_at_the_next_boundary() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        let len = encoded(version, publish(QoS::AtLeastOnce, 1, "one")).len();
        for sent in 1..len {
            bench.publish(QoS::AtLeastOnce, "one");
            bench.publish(QoS::AtLeastOnce, "two");
            bench.write(sent);
            bench.say(publish(QoS::AtLeastOnce, 9, "in"));
            let packet_id = bench.client.in_flight() as u16;
            assert_eq!(packet_id, 2);
            // The slice may hold both messages. Where the first one ends, the acknowledgement
            // comes before the second, if the transport stops there.
            bench.write(len - sent);
            let packets = bench.sent();
            assert!(matches!(
                packets[..],
                [Packet::Publish(_), Packet::PubAck(_), Packet::Publish(_)]
            ));
            for packet in packets {
                if let Packet::Publish(publish) = packet {
                    let number = publish.delivery.packet_id().expect("QoS 1").get();
                    assert_eq!(bench.say(puback(number)), [acknowledged(number)]);
                }
            }
        }
    }
}

#[test]
fn transmit_says_the_same_until_bytes_are_taken() {
    let mut bench = Bench::online(V5);
    bench.publish(QoS::AtLeastOnce, "x");
    bench.say(publish(QoS::AtLeastOnce, 9, "in"));
    let first = bench.client.transmit().to_vec();
    assert_eq!(bench.client.transmit(), first);
    bench.client.transmitted(0, bench.now);
    assert_eq!(bench.client.transmit(), first);
    bench.client.transmitted(1, bench.now);
    assert_eq!(bench.client.transmit(), &first[1..]);
}

#[test]
fn more_bytes_reported_than_there_were_do_no_harm() {
    for version in BOTH {
        let mut bench = Bench::new(version);
        let connect = Connect::new(version, "bench");
        bench.client.connect(&connect, bench.now).expect("idle");
        bench.client.transmitted(usize::MAX, bench.now);
        bench.accept(false, &[]);
        bench.publish(QoS::AtLeastOnce, "x");
        bench.say(publish(QoS::AtLeastOnce, 9, "in"));
        for _ in 0..3 {
            bench.client.transmit();
            bench.client.transmitted(usize::MAX, bench.now);
        }
        assert_eq!(bench.client.transmit(), b"");
        bench.client.received(usize::MAX, bench.now);
        bench.events();
    }
}

#[test]
fn requests_made_between_transmit_and_transmitted_do_not_shift_the_bytes() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        let long = "x".repeat(50);
        for number in 1..=3 {
            assert_eq!(bench.publish(QoS::AtLeastOnce, &long), Some(id(number)));
        }
        bench.sent();
        bench.publish(QoS::AtLeastOnce, "being sent");
        let bytes = bench.client.transmit()[..5].to_vec();
        bench.outgoing.extend(bytes);
        // Space is made: everything moves to the front.
        bench.say(puback(1));
        bench.say(puback(3));
        bench.publish(QoS::AtLeastOnce, &long);
        bench.client.transmitted(5, bench.now);
        assert_eq!(
            bench.sent(),
            [
                publish(QoS::AtLeastOnce, 4, "being sent"),
                publish(QoS::AtLeastOnce, 5, &long)
            ]
        );
    }
}

#[test]
fn has_unsent_is_true_exactly_while_something_is() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        let check = |bench: &mut Bench, why: &str| {
            assert!(bench.client.has_unsent(), "{why}");
            bench.sent();
            assert!(!bench.client.has_unsent(), "{why}");
        };
        assert!(!bench.client.has_unsent());
        bench.publish(QoS::ExactlyOnce, "x");
        check(&mut bench, "a message");
        bench.say(publish(QoS::AtLeastOnce, 9, "in"));
        check(&mut bench, "an acknowledgement");
        bench.say(pubrec(1));
        check(&mut bench, "a PUBREL");
        bench.say(pubcomp(1));
        bench.wait(60_000);
        check(&mut bench, "a PINGREQ");
        let packet = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        let result = bench.client.disconnect(&packet, bench.now);
        assert_eq!(result, Ok(()));
        check(&mut bench, "a DISCONNECT");
        bench.events();
        let connect = Connect::new(version, "bench");
        bench.client.connect(&connect, bench.now).expect("idle");
        check(&mut bench, "a CONNECT");
    }
}
