//! SUBSCRIBE and SUBACK (sections 3.8 and 3.9).

use declic_mqtt::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use declic_mqtt::packet::{PacketKind, Subscription};
use declic_mqtt::{ProtocolVersion, ReasonCode};

use crate::case::{both, join, packet, string, v5};
use crate::client::{granted_code, subscription};

/// v3.1.1 [MQTT-3.8.1-1]; v5 [MQTT-3.8.1-1]
#[test]
fn a_subscribe_with_other_flags_closes_the_connection() {
    both(|case| {
        let name = string(case.topic("f"));
        let body = join(&[&[0, 1], case.no_properties(), &name, &[0]]);
        for flags in (0..16).filter(|flags| *flags != 2) {
            let mut client = case.client("c");
            client.send_bytes(&packet(0x80 | flags, &body));
            client.closed_with(ReasonCode::MalformedPacket);
        }
    });
}

/// v3.1.1 [MQTT-3.8.3-1]; v5 [MQTT-3.8.3-1]
#[test]
fn a_filter_that_is_not_utf_8_closes_the_connection() {
    both(|case| {
        for filter in [&b"a/\xff"[..], b"\xed\xa0\x80", b"a\0"] {
            let body = join(&[&[0, 1], case.no_properties(), &string(filter), &[0]]);
            let mut client = case.client("c");
            client.send_bytes(&packet(0x82, &body));
            client.closed_with(ReasonCode::MalformedPacket);
        }
    });
}

/// v3.1.1 [MQTT-3.8.3-3]; v5 [MQTT-3.8.3-2]
#[test]
fn a_subscribe_without_a_filter_closes_the_connection() {
    both(|case| {
        let mut client = case.client("c");
        client.send_bytes(&packet(0x82, &join(&[&[0, 1], case.no_properties()])));
        client.closed_with(ReasonCode::ProtocolError);
    });
}

/// v3.1.1 [MQTT-3-8.3-4]; v5 [MQTT-3.8.3-5]
#[test]
fn reserved_bits_of_the_options_close_the_connection() {
    both(|case| {
        let bits: &[u8] = if case.is_v5() {
            &[0x40, 0x80, 0xc0]
        } else {
            &[0x04, 0x08, 0x10, 0x20, 0x40, 0x80]
        };
        for options in bits {
            let name = string(case.topic("f"));
            let body = join(&[&[0, 1], case.no_properties(), &name, &[*options]]);
            let mut client = case.client("c");
            client.send_bytes(&packet(0x82, &body));
            client.closed_with(ReasonCode::MalformedPacket);
        }
    });
}

/// v3.1.1 [MQTT-3-8.3-4]; v5 [MQTT-4.13.1-1]
#[test]
fn a_subscription_of_qos_3_closes_the_connection() {
    both(|case| {
        let name = string(case.topic("f"));
        let body = join(&[&[0, 1], case.no_properties(), &name, &[0x03]]);
        let mut client = case.client("c");
        client.send_bytes(&packet(0x82, &body));
        client.closed_with(ReasonCode::ProtocolError);
    });
}

/// v5 [MQTT-4.13.1-1]
#[test]
fn a_retain_handling_of_3_closes_the_connection() {
    v5(|case| {
        let body = join(&[&[0, 1, 0], &string(case.topic("f")), &[0x30]]);
        let mut client = case.client("c");
        client.send_bytes(&packet(0x82, &body));
        client.closed();
    });
}

/// v5 [MQTT-3.8.3-3]
#[test]
fn no_local_leaves_out_what_the_client_published_itself() {
    v5(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        let no_local = Subscription {
            no_local: true,
            ..subscription(&name, AtLeastOnce)
        };
        client.subscribe_with(no_local, &[]);
        client.publish(&name, "own", AtLeastOnce);
        case.client("p").publish(&name, "other", AtLeastOnce);
        assert_eq!(client.payloads(), ["other"]);
    });
}

/// v5 [MQTT-3.8.3-3]
#[test]
fn no_local_leaves_out_a_clients_own_will() {
    v5(|case| {
        let (name, id) = (case.topic("t"), case.id("c"));
        let connect = declic_mqtt::packet::Connect {
            will: Some(crate::wills::will(&name, b"own", AtLeastOnce)),
            ..crate::case::lasting(case.version, &id)
        };
        let mut client = case.connect(&connect);
        let no_local = Subscription {
            no_local: true,
            ..subscription(&name, AtLeastOnce)
        };
        client.subscribe_with(no_local, &[]);
        let mut watcher = case.client("w");
        watcher.subscribe(&name, AtMostOnce);
        client.lose();
        assert_eq!(watcher.message().payload(), "own");
        assert!(case.lasting("c").settle().is_empty());
    });
}

/// v5 [MQTT-3.8.3-4]
#[test]
fn no_local_on_a_shared_subscription_closes_the_connection() {
    v5(|case| {
        let filter = string(format!("$share/g/{}", case.topic("t")));
        let body = join(&[&[0, 1, 0], &filter, &[0x04]]);
        let mut client = case.client("c");
        client.send_bytes(&packet(0x82, &body));
        client.closed_with(ReasonCode::ProtocolError);
    });
}

/// v3.1.1 [MQTT-3.8.4-1], [MQTT-3.8.4-2], [MQTT-3.8.4-4], [MQTT-3.8.4-5], [MQTT-3.9.3-1],
/// [MQTT-3.9.3-2];
/// v5 [MQTT-3.8.4-1], [MQTT-3.8.4-2], [MQTT-3.8.4-5], [MQTT-3.8.4-6], [MQTT-3.8.4-7],
/// [MQTT-3.9.3-1], [MQTT-3.9.3-2]
#[test]
fn one_suback_has_a_code_for_each_filter_in_order() {
    both(|case| {
        let names = ["a", "b", "c", "d", "b"].map(|name| case.topic(name));
        let qos = [
            ExactlyOnce,
            AtMostOnce,
            AtLeastOnce,
            ExactlyOnce,
            AtLeastOnce,
        ];
        let wanted: Vec<_> = names
            .iter()
            .zip(qos)
            .map(|(name, qos)| subscription(name, qos))
            .collect();
        let mut client = case.client("c");
        let granted = client.try_subscribe(&wanted, &[]);
        assert_eq!(granted, qos.map(granted_code));
        // As if they had come one by one.
        let mut publisher = case.client("p");
        for (name, qos) in [("a", ExactlyOnce), ("b", AtLeastOnce), ("c", AtLeastOnce)] {
            publisher.publish(&case.topic(name), "x", ExactlyOnce);
            let message = client.message();
            assert_eq!(
                (message.topic.as_str(), message.qos()),
                (&*case.topic(name), qos)
            );
            client.acknowledge(&message);
        }
        // And there is no second SUBACK.
        client.send(declic_mqtt::packet::Packet::PingReq);
        let next = client.next().expect("a packet");
        assert_eq!(next.kind(), PacketKind::PingResp);
    });
}

/// v3.1.1 [MQTT-3.8.4-3]; v5 [MQTT-3.8.4-3]
#[test]
fn a_subscription_to_the_same_filter_takes_the_place_of_the_first() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        let mut publisher = case.client("p");
        for qos in [ExactlyOnce, AtMostOnce, AtLeastOnce] {
            client.subscribe(&name, qos);
            publisher.publish(&name, "once", ExactlyOnce);
            let received = client.settle();
            let qos_of: Vec<_> = received.iter().map(|one| one.qos()).collect();
            assert_eq!(qos_of, [qos]);
            client.acknowledge(&received[0]);
        }
    });
}

/// v3.1.1 [MQTT-3.8.4-3]; v5 [MQTT-3.8.4-4]
#[test]
fn messages_flow_on_while_a_subscription_is_replaced() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.subscribe(&name, AtLeastOnce);
        let mut publisher = case.client("p");
        for number in 0..10 {
            publisher.publish(&name, &number.to_string(), AtLeastOnce);
            client.subscribe(
                &name,
                if number % 2 == 0 {
                    ExactlyOnce
                } else {
                    AtLeastOnce
                },
            );
        }
        let all: Vec<_> = (0..10)
            .map(|_| client.message().payload().to_owned())
            .collect();
        assert_eq!(
            all,
            (0..10).map(|number| number.to_string()).collect::<Vec<_>>()
        );
    });
}

/// v3.1.1 [MQTT-3.8.4-6]; v5 [MQTT-3.8.4-8]
#[test]
fn a_message_comes_with_the_lower_of_both_qos() {
    both(|case| {
        let all = [AtMostOnce, AtLeastOnce, ExactlyOnce];
        let mut publisher = case.client("p");
        for granted in all {
            let name = case.topic(&(granted as u8).to_string());
            let mut client = case.client("c");
            client.subscribe(&name, granted);
            for published in all {
                publisher.publish(&name, "x", published);
                let message = client.message();
                assert_eq!(message.qos(), granted.min(published));
                client.acknowledge(&message);
            }
        }
    });
}

/// v3.1.1 [MQTT-4.7.3-1]; v5 [MQTT-4.7.3-1]
#[test]
fn an_empty_filter_is_not_accepted() {
    both(|case| {
        let body = join(&[&[0, 1], case.no_properties(), &string(""), &[0]]);
        let mut client = case.client("c");
        client.send_bytes(&packet(0x82, &body));
        client.closed();
    });
}

/// v3.1.1 [MQTT-3.8.4-5], [MQTT-3.9.3-2]; v5 [MQTT-3.8.4-7], [MQTT-3.9.3-2]
#[test]
fn a_subscription_that_is_not_accepted_has_a_code_of_its_own() {
    both(|case| {
        if !case.subject.ours {
            // Which subscriptions a broker refuses is its own affair.
            return;
        }
        let (good, bad) = (case.topic("f"), case.topic(&"/".repeat(300)));
        let wanted = [&good, &bad, &good].map(|filter| subscription(filter, AtLeastOnce));
        let mut client = case.client("c");
        let granted = client.try_subscribe(&wanted, &[]);
        let fails = match case.version {
            ProtocolVersion::V3_1_1 => ReasonCode::UnspecifiedError,
            ProtocolVersion::V5 => ReasonCode::TopicFilterInvalid,
        };
        assert_eq!(
            granted,
            [ReasonCode::GrantedQoS1, fails, ReasonCode::GrantedQoS1]
        );
    });
}
