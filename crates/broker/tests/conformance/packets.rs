//! The format of all packets (chapter 2).

use std::collections::BTreeSet;

use declic_mqtt::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Delivery, Packet, PacketKind, Publish};

use crate::case::{both, join, packet, string, v5};
use crate::client::{ack, granted_code, id, subscription, topic};

/// v3.1.1 [MQTT-2.2.2-1], [MQTT-2.2.2-2]; v5 [MQTT-2.1.3-1]
#[test]
fn reserved_flags_of_any_packet_close_the_connection() {
    both(|case| {
        let props = case.no_properties();
        let subscribe = join(&[&[0, 7], props, &string(case.topic("f")), &[0]]);
        let unsubscribe = join(&[&[0, 7], props, &string(case.topic("f"))]);
        let identifier = [0, 7].to_vec();
        for (kind, flags, body) in [
            (PacketKind::PubAck, [1, 2, 8], &identifier),
            (PacketKind::PubRec, [1, 2, 8], &identifier),
            (PacketKind::PubRel, [0, 3, 10], &identifier),
            (PacketKind::PubComp, [1, 2, 8], &identifier),
            (PacketKind::Subscribe, [0, 3, 10], &subscribe),
            (PacketKind::Unsubscribe, [0, 3, 10], &unsubscribe),
            (PacketKind::PingReq, [1, 2, 8], &Vec::new()),
            (PacketKind::Disconnect, [1, 2, 8], &Vec::new()),
        ] {
            for flags in flags {
                let mut client = case.client("c");
                client.send_bytes(&packet((kind as u8) << 4 | flags, body));
                client.closed_with(ReasonCode::MalformedPacket);
            }
        }
        let mut client = case.open();
        let mut bytes = case.connect_bytes(0x02, &case.id("c"), &[]);
        bytes[0] |= 1;
        client.send_bytes(&bytes);
        client.refused();
    });
}

/// v3.1.1 [MQTT-2.3.1-5]; v5 [MQTT-2.2.1-2]
#[test]
fn a_publish_of_qos_0_has_no_packet_identifier() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.subscribe(&name, ExactlyOnce);
        client.publish(&name, "x", AtMostOnce);
        let body = join(&[&string(&name), case.no_properties(), b"x"]);
        assert_eq!(client.message().bytes, packet(0x30, &body));
    });
}

/// v3.1.1 [MQTT-2.3.1-1]; v5 [MQTT-2.2.1-3]
#[test]
fn the_packet_identifier_0_closes_the_connection() {
    both(|case| {
        let (props, name) = (case.no_properties(), string(case.topic("f")));
        for (first, body) in [
            (0x32, join(&[&name, &[0, 0], props, b"x"])),
            (0x34, join(&[&name, &[0, 0], props, b"x"])),
            (0x82, join(&[&[0, 0], props, &name, &[0]])),
            (0xa2, join(&[&[0, 0], props, &name])),
        ] {
            let mut client = case.client("c");
            client.send_bytes(&packet(first, &body));
            client.closed_with(ReasonCode::MalformedPacket);
        }
    });
}

/// v3.1.1 [MQTT-2.3.1-4], [MQTT-2.3.1-2]; v5 [MQTT-2.2.1-4], [MQTT-4.3.2-1], [MQTT-4.3.3-1]
#[test]
fn messages_on_their_way_to_a_client_have_different_identifiers() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.subscribe(&name, ExactlyOnce);
        let mut publisher = case.client("p");
        for number in 0..12 {
            let qos = if number % 2 == 0 {
                AtLeastOnce
            } else {
                ExactlyOnce
            };
            publisher.publish(&name, &number.to_string(), qos);
        }
        let messages: Vec<_> = (0..12).map(|_| client.message()).collect();
        let ids: BTreeSet<_> = messages.iter().map(|one| one.packet_id()).collect();
        assert_eq!((ids.len(), ids.contains(&0)), (12, false));
        // With some of them free again, still none is used twice.
        let (done, waiting) = messages.split_at(5);
        done.iter().for_each(|one| client.acknowledge(one));
        for number in 0..5 {
            publisher.publish(&name, &number.to_string(), AtLeastOnce);
            let id = client.message().packet_id();
            assert!(id != 0 && waiting.iter().all(|one| one.packet_id() != id));
        }
    });
}

/// v3.1.1 [MQTT-2.3.1-6]; v5 [MQTT-2.2.1-5]
#[test]
fn acknowledgements_name_the_packet_identifier_of_the_publish() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        for number in [1, 255, 256, 65_535] {
            for (delivery, kind) in [
                (Delivery::AtLeastOnce(id(number)), PacketKind::PubAck),
                (Delivery::ExactlyOnce(id(number)), PacketKind::PubRec),
            ] {
                client.send(Packet::Publish(Publish {
                    delivery,
                    ..Publish::new(topic(&name), b"x")
                }));
                assert_eq!(client.take(kind).ack().packet_id, id(number));
            }
            client.send(Packet::PubRel(ack(number)));
            let complete = client.take(PacketKind::PubComp);
            assert_eq!(complete.ack().packet_id, id(number));
        }
    });
}

/// v3.1.1 [MQTT-2.3.1-7]; v5 [MQTT-2.2.1-6]
#[test]
fn subacks_and_unsubacks_name_the_packet_identifier_of_the_request() {
    both(|case| {
        let name = case.topic("f");
        let mut client = case.client("c");
        // The client counts its identifiers up, and compares those of the answers.
        for _ in 0..300 {
            let granted = client.try_subscribe(&[subscription(&name, AtLeastOnce)], &[]);
            assert_eq!(granted, [granted_code(AtLeastOnce)]);
            client.unsubscribe(&[&name]);
        }
    });
}

/// v5 [MQTT-2.2.2-1]
#[test]
fn where_there_are_no_properties_their_length_is_0() {
    v5(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.subscribe(&name, AtLeastOnce);
        client.publish(&name, "x", AtLeastOnce);
        let message = client.message();
        let id = message.packet_id().to_be_bytes();
        let body = join(&[&string(&name), &id, &[0], b"x"]);
        assert_eq!(message.bytes, packet(0x32, &body));
    });
}
