//! Strings, numbers and pairs on the wire (section 1.5).

use declic_mqtt::QoS::AtMostOnce;
use declic_mqtt::ReasonCode;
use declic_mqtt::packet::Publish;

use crate::case::{Case, both, join, packet, string, v5};
use crate::client::topic;

/// A PUBLISH of QoS 0 with any bytes as its topic.
fn publish_to(case: &Case, topic: &[u8]) -> Vec<u8> {
    packet(0x30, &join(&[&string(topic), case.no_properties(), b"x"]))
}

fn closes_at(case: &Case, packets: &[Vec<u8>]) {
    for bytes in packets {
        let mut client = case.client("c");
        client.send_bytes(bytes);
        client.closed_with(ReasonCode::MalformedPacket);
    }
}

/// v3.1.1 [MQTT-1.5.3-1], [MQTT-3.3.2-1]; v5 [MQTT-1.5.4-1], [MQTT-3.3.2-1]
#[test]
fn text_that_is_not_utf_8_closes_the_connection() {
    both(|case| {
        // A surrogate, a form that is too long, a byte that never occurs, half a character.
        let wrong: [&[u8]; 4] = [b"a/\xed\xa0\x80", b"a/\xc0\xaf", b"a/\xff", b"a/\xe2\x82"];
        closes_at(case, &wrong.map(|topic| publish_to(case, topic)));
    });
}

/// v3.1.1 [MQTT-1.5.3-2], [MQTT-4.7.3-2]; v5 [MQTT-1.5.4-2], [MQTT-4.7.3-2]
#[test]
fn a_null_character_closes_the_connection() {
    both(|case| {
        let filter = join(&[&[0, 7], case.no_properties(), &string("a\0b"), &[0]]);
        let filters = join(&[&[0, 7], case.no_properties(), &string("a\0b")]);
        closes_at(
            case,
            &[
                publish_to(case, b"a\0b"),
                packet(0x82, &filter),
                packet(0xa2, &filters),
            ],
        );
    });
}

/// v3.1.1 [MQTT-1.5.3-3]; v5 [MQTT-1.5.4-3]
#[test]
fn a_byte_order_mark_is_a_character_as_any_other() {
    both(|case| {
        let (with, without) = (case.topic("\u{feff}a"), case.topic("a"));
        let mut client = case.client("c");
        client.subscribe(&without, AtMostOnce);
        client.publish(&with, "x", AtMostOnce);
        assert_eq!(client.payloads(), Vec::<String>::new());
        client.subscribe(&with, AtMostOnce);
        client.publish(&with, "x", AtMostOnce);
        assert_eq!(client.message().topic, with);
    });
}

/// v5 [MQTT-1.5.5-1]
#[test]
fn lengths_are_sent_in_as_few_bytes_as_they_need() {
    v5(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.subscribe(&name, AtMostOnce);
        let rest = 2 + name.len() + 1;
        for (length, bytes) in [(127, 1), (128, 2), (16_383, 2), (16_384, 3)] {
            let payload = "x".repeat(length - rest);
            client.publish(&name, &payload, AtMostOnce);
            let received = client.message();
            assert_eq!(received.bytes.len(), 1 + bytes + length);
        }
    });
}

/// v5 [MQTT-1.5.7-1]
#[test]
fn both_strings_of_a_pair_have_to_be_utf_8() {
    v5(|case| {
        for (name, value) in [(&b"\xff"[..], &b"v"[..]), (b"n", b"\xff"), (b"n", b"\0")] {
            let property = join(&[&[0x26], &string(name), &string(value)]);
            let properties = join(&[&[property.len() as u8], &property]);
            let body = join(&[&string("a/b"), &properties, b"x"]);
            closes_at(case, &[packet(0x30, &body)]);
        }
    });
}

/// v3.1.1 [MQTT-4.7.3-3]; v5 [MQTT-4.7.3-3]
#[test]
fn a_topic_may_have_65_535_bytes() {
    both(|case| {
        let mut name = case.topic("");
        name.push_str(&"x".repeat(65_535 - name.len()));
        let mut client = case.client("c");
        client.subscribe(&name, AtMostOnce);
        client.publish_with(Publish::new(topic(&name), b"all of it"), AtMostOnce);
        let received = client.message();
        assert_eq!(
            (received.topic.len(), received.payload()),
            (65_535, "all of it")
        );
    });
}
