//! UNSUBSCRIBE and UNSUBACK (sections 3.10 and 3.11).

use declic_mqtt::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Packet, PacketKind};

use crate::case::{both, join, packet, string, v5};
use crate::client::ack;

/// v3.1.1 [MQTT-3.10.1-1]; v5 [MQTT-3.10.1-1]
#[test]
fn an_unsubscribe_with_other_flags_closes_the_connection() {
    both(|case| {
        let body = join(&[&[0, 1], case.no_properties(), &string(case.topic("f"))]);
        for flags in (0..16).filter(|flags| *flags != 2) {
            let mut client = case.client("c");
            client.send_bytes(&packet(0xa0 | flags, &body));
            client.closed_with(ReasonCode::MalformedPacket);
        }
    });
}

/// v3.1.1 [MQTT-3.10.3-1]; v5 [MQTT-3.10.3-1]
#[test]
fn a_filter_to_unsubscribe_from_has_to_be_utf_8() {
    both(|case| {
        for filter in [&b"a/\xff"[..], b"\xed\xa0\x80", b"a\0"] {
            let body = join(&[&[0, 1], case.no_properties(), &string(filter)]);
            let mut client = case.client("c");
            client.send_bytes(&packet(0xa2, &body));
            client.closed_with(ReasonCode::MalformedPacket);
        }
    });
}

/// v3.1.1 [MQTT-3.10.3-2]; v5 [MQTT-3.10.3-2]
#[test]
fn an_unsubscribe_without_a_filter_closes_the_connection() {
    both(|case| {
        let mut client = case.client("c");
        client.send_bytes(&packet(0xa2, &join(&[&[0, 1], case.no_properties()])));
        client.closed_with(ReasonCode::ProtocolError);
    });
}

/// v3.1.1 [MQTT-3.10.4-1], [MQTT-3.10.4-2]; v5 [MQTT-3.10.4-1], [MQTT-3.10.4-2]
#[test]
fn only_the_very_same_filter_is_unsubscribed_from() {
    both(|case| {
        let name = case.topic("a/b");
        let mut client = case.client("c");
        client.subscribe(&case.topic("a/+"), AtMostOnce);
        let mut publisher = case.client("p");
        for other in ["a/b", "a/#", "A/+", "+/b", "a/+/", "#"] {
            client.unsubscribe(&[&case.topic(other)]);
            publisher.publish(&name, other, AtMostOnce);
            assert_eq!(client.message().payload(), other);
        }
        client.unsubscribe(&[&case.topic("a/+")]);
        publisher.publish(&name, "no more", AtMostOnce);
        assert!(client.settle().is_empty());
    });
}

/// v3.1.1 [MQTT-3.10.4-3]; v5 [MQTT-3.10.4-3]
#[test]
fn messages_on_their_way_are_completed_after_an_unsubscribe() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.lasting("c");
        client.subscribe(&name, ExactlyOnce);
        let mut publisher = case.client("p");
        publisher.publish(&name, "1", AtLeastOnce);
        publisher.publish(&name, "2", ExactlyOnce);
        let sent = [client.message(), client.message()];
        client.unsubscribe(&[&name]);
        client.lose();
        let mut client = case.lasting("c");
        for sent in &sent {
            let again = client.message();
            assert_eq!(again.packet_id(), sent.packet_id());
            assert_eq!(again.payload(), sent.payload());
            client.acknowledge(&again);
        }
        assert!(client.settle().is_empty());
    });
}

/// v3.1.1 [MQTT-3.10.4-4], [MQTT-3.10.4-5], [MQTT-3.10.4-6];
/// v5 [MQTT-3.10.4-4], [MQTT-3.10.4-5], [MQTT-3.10.4-6]
#[test]
fn an_unsubscribe_of_many_filters_has_one_answer() {
    both(|case| {
        let names = ["a", "b", "c", "d"].map(|name| case.topic(name));
        let mut client = case.client("c");
        for name in [&names[0], &names[2], &names[3]] {
            client.subscribe(name, AtMostOnce);
        }
        let [a, b, c, _] = &names;
        client.unsubscribe(&[a, b, c]);
        client.unsubscribe(&[b]);
        let mut publisher = case.client("p");
        for name in &names {
            publisher.publish(name, name, AtMostOnce);
        }
        assert_eq!(client.payloads(), [&*names[3]]);
        client.send(Packet::PingReq);
        let next = client.next().expect("a packet");
        assert_eq!(next.kind(), PacketKind::PingResp);
    });
}

/// v5 [MQTT-3.11.3-1], [MQTT-3.11.3-2]
#[test]
fn an_unsuback_has_a_code_for_each_filter_in_order() {
    v5(|case| {
        let names = ["a", "b", "c", "a"].map(|name| case.topic(name));
        let mut client = case.client("c");
        client.subscribe(&names[0], AtMostOnce);
        client.subscribe(&names[2], AtMostOnce);
        let reasons = client.unsubscribe(&names.each_ref().map(|name| &**name));
        let (done, none) = (ReasonCode::Success, ReasonCode::NoSubscriptionExisted);
        assert_eq!(reasons, [done, none, done, none]);
    });
}

/// v3.1.1 [MQTT-3.10.4-2]; v5 [MQTT-3.10.4-2]
#[test]
fn what_waits_for_room_may_come_after_an_unsubscribe_but_nothing_new() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.with_receive_maximum("c", 1);
        client.subscribe(&name, AtLeastOnce);
        let mut publisher = case.client("p");
        publisher.publish(&name, "1", AtLeastOnce);
        publisher.publish(&name, "2", AtLeastOnce);
        let first = client.message();
        client.unsubscribe(&[&name]);
        publisher.publish(&name, "new", AtLeastOnce);
        client.send(Packet::PubAck(ack(first.packet_id())));
        assert!(client.payloads().iter().all(|payload| payload == "2"));
    });
}
