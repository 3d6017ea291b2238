//! Bounded memory: the outbox, the places for identifiers, and the identifiers themselves.

use super::*;

#[test]
fn a_full_outbox_refuses_and_recovers_with_acknowledgements() {
    for version in BOTH {
        let mut bench = Bench::new(version);
        let payload = "x".repeat(60);
        let mut accepted = 0;
        while let Ok(Some(_)) = bench.client.publish(&message(QoS::AtLeastOnce, &payload)) {
            accepted += 1;
        }
        assert_eq!(accepted, 3, "of 256 bytes");
        let result = bench.client.publish(&message(QoS::AtMostOnce, &payload));
        assert_eq!(result, Err(RequestError::Full));
        assert_eq!(bench.client.in_flight(), 3, "nothing of it was taken");
        // A smaller one still fits.
        assert_eq!(bench.publish(QoS::AtLeastOnce, "small"), Some(id(4)));
        bench.begin(true);
        bench.accept(false, &[]);
        assert_eq!(bench.sent().len(), 4);
        // Space in the middle is found too.
        assert_eq!(bench.say(puback(2)), [acknowledged(2)]);
        assert_eq!(bench.publish(QoS::AtLeastOnce, &payload), Some(id(5)));
        assert_eq!(bench.sent(), [publish(QoS::AtLeastOnce, 5, &payload)]);
        bench.reconnect(true);
        let packets = bench.sent();
        assert_eq!(packets.len(), 4);
        assert_eq!(packets[0], again(QoS::AtLeastOnce, 1, &payload));
        assert_eq!(packets[1], again(QoS::AtLeastOnce, 3, &payload));
        assert_eq!(packets[2], again(QoS::AtLeastOnce, 4, "small"));
        assert_eq!(packets[3], again(QoS::AtLeastOnce, 5, &payload));
    }
}

#[test]
fn an_outbox_that_never_drains_stays_within_its_memory() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        let mut taken = 0;
        for _ in 0..10_000 {
            taken += u32::from(bench.client.publish(&message(QoS::AtMostOnce, "x")).is_ok());
        }
        assert!((20..60).contains(&taken));
        assert_eq!(bench.sent().len(), taken as usize);
        assert_eq!(bench.publish(QoS::AtMostOnce, "x"), None);
    }
}

#[test]
fn full_places_refuse_qos_1_and_2_and_recover_with_acknowledgements() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        for number in 1..=8 {
            assert_eq!(bench.publish(QoS::ExactlyOnce, "x"), Some(id(number)));
        }
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let result = bench.client.publish(&message(qos, "x"));
            assert_eq!(result, Err(RequestError::Full));
        }
        let subscription = [Subscription::new(filter(), QoS::AtLeastOnce)];
        let result = bench.client.subscribe(&subscription, Properties::EMPTY);
        assert_eq!(result, Err(RequestError::Full));
        assert_eq!(bench.publish(QoS::AtMostOnce, "x"), None);
        assert_eq!(bench.sent().len(), 9);
        bench.say(pubrec(5));
        bench.sent();
        let result = bench.client.publish(&message(QoS::AtLeastOnce, "x"));
        assert_eq!(result, Err(RequestError::Full), "PUBCOMP is missing");
        assert_eq!(bench.say(pubcomp(5)), [acknowledged(5)]);
        assert_eq!(bench.publish(QoS::AtLeastOnce, "x"), Some(id(9)));
    }
}

#[test]
fn a_packet_larger_than_the_outbox_is_refused_with_both_sizes() {
    for version in BOTH {
        let mut bench = Bench::online(version);
        let long = "x".repeat(300);
        let extra = if version == V5 { 1 } else { 0 };
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            let error = RequestError::TooLarge {
                size: 3 + 3 + extra + 300 + if qos == QoS::AtMostOnce { 0 } else { 2 },
                limit: 254,
            };
            assert_eq!(bench.client.publish(&message(qos, &long)), Err(error));
        }
        let filter = TopicFilter::new(&long).expect("a valid filter");
        let subscription = [Subscription::new(filter, QoS::AtMostOnce)];
        let result = bench.client.subscribe(&subscription, Properties::EMPTY);
        assert!(matches!(result, Err(RequestError::TooLarge { .. })));
        let result = bench.client.unsubscribe(&[filter], Properties::EMPTY);
        assert!(matches!(result, Err(RequestError::TooLarge { .. })));
        assert_eq!(bench.sent(), []);
        // The next one gets the identifier that they did not use.
        assert_eq!(bench.publish(QoS::AtLeastOnce, "x"), Some(id(1)));
    }
}

#[test]
fn a_payload_is_never_cut_at_the_buffers_size() {
    for version in BOTH {
        for len in 0..254 {
            let mut bench = Bench::online(version);
            let payload = "x".repeat(len);
            if bench
                .client
                .publish(&message(QoS::AtLeastOnce, &payload))
                .is_ok()
            {
                assert_eq!(bench.sent(), [publish(QoS::AtLeastOnce, 1, &payload)]);
            } else {
                assert!(len > 230);
            }
        }
    }
}

#[test]
fn identifiers_wrap_at_65535_and_skip_those_in_use() {
    // v3.1.1 [MQTT-2.3.1-1], [MQTT-2.3.1-2] and [MQTT-2.3.1-3]
    // v5 [MQTT-2.2.1-3]
    for version in BOTH {
        let mut bench = Bench::online(version);
        assert_eq!(bench.publish(QoS::AtLeastOnce, "stays"), Some(id(1)));
        assert_eq!(bench.publish(QoS::ExactlyOnce, "stays"), Some(id(2)));
        bench.sent();
        bench.say(pubrec(2));
        bench.sent();
        let mut expected = 3;
        for _ in 0..66_000 {
            let packet_id = bench.publish(QoS::AtLeastOnce, "x").expect("an identifier");
            assert_eq!(packet_id, id(expected));
            while bench.client.transmit() != b"" {
                let len = bench.client.transmit().len();
                bench.client.transmitted(len, bench.now);
            }
            let ack = [0x40, 2, (expected >> 8) as u8, expected as u8];
            bench.client.rx_space()[..4].copy_from_slice(&ack);
            bench.client.received(4, bench.now);
            let event = bench.client.poll_event();
            assert_eq!(event, Some(acknowledged(expected)));
            expected = if expected == u16::MAX {
                3
            } else {
                expected + 1
            };
        }
        assert_eq!(bench.client.in_flight(), 2);
    }
}

#[test]
fn a_client_without_any_memory_refuses_everything() {
    let sizes = Sizes {
        receive: 0,
        outbox: 0,
        in_flight: 0,
        inbound: 0,
    };
    for version in BOTH {
        let mut bench = Bench::with(version, sizes);
        let connect = Connect::new(version, "bench");
        let result = bench.client.connect(&connect, bench.now);
        assert!(matches!(result, Err(ConnectError::Encode(_))));
        let result = bench.client.publish(&message(QoS::AtMostOnce, "x"));
        assert!(matches!(result, Err(RequestError::TooLarge { .. })));
        let result = bench.client.publish(&message(QoS::AtLeastOnce, "x"));
        assert_eq!(result, Err(RequestError::Full));
        assert_eq!(bench.client.transmit(), b"");
        assert_eq!(bench.events(), []);
    }
}

#[test]
fn what_the_outbox_can_hold_it_holds_again_after_any_history() {
    // No byte of it leaks, whatever was acknowledged in between.
    for version in BOTH {
        let mut bench = Bench::online(version);
        let payload = "x".repeat(200);
        for round in 0..500_u16 {
            let small = "y".repeat(usize::from(round % 40));
            let first = bench.publish(QoS::AtLeastOnce, &small).expect("an id");
            let second = bench.publish(QoS::ExactlyOnce, &small).expect("an id");
            bench.publish(QoS::AtMostOnce, &small);
            if round % 3 == 0 {
                bench.write(usize::from(round % 17));
                bench.reconnect(round % 2 == 0);
            }
            bench.sent();
            bench.say(puback(first.get()));
            bench.say(pubrec(second.get()));
            bench.sent();
            bench.say(pubcomp(second.get()));
            let large = bench.publish(QoS::AtLeastOnce, &payload).expect("an id");
            bench.sent();
            bench.say(puback(large.get()));
            assert_eq!(bench.client.in_flight(), 0);
        }
    }
}
