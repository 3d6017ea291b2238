//! The delivery protocols of QoS 1 and 2 (sections 4.3 and 4.4).

use declic_mqtt::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Ack, Delivery, Packet, PacketKind, Publish};

use crate::case::{Case, both, v5};
use crate::client::{Client, ack, id, topic};

fn send(client: &mut Client, name: &str, payload: &str, delivery: Delivery, dup: bool) {
    client.send(Packet::Publish(Publish {
        dup,
        delivery,
        ..Publish::new(topic(name), payload.as_bytes())
    }));
}

/// A subscriber whose session lasts, with a message on its way.
fn with_message(case: &Case, qos: declic_mqtt::QoS) -> (Client, Client, String) {
    let name = case.topic("t");
    let mut client = case.lasting("c");
    client.subscribe(&name, ExactlyOnce);
    let mut publisher = case.client("p");
    publisher.publish(&name, "x", qos);
    (client, publisher, name)
}

/// v3.1.1 [MQTT-4.3.2-2]; v5 [MQTT-4.3.2-5]
#[test]
fn after_a_puback_the_same_identifier_is_a_new_message() {
    both(|case| {
        let name = case.topic("t");
        let mut watcher = case.client("w");
        watcher.subscribe(&name, AtMostOnce);
        let mut client = case.client("c");
        for (payload, dup) in [("1", false), ("2", true), ("2", true)] {
            send(
                &mut client,
                &name,
                payload,
                Delivery::AtLeastOnce(id(5)),
                dup,
            );
            assert_eq!(client.take(PacketKind::PubAck).ack().packet_id, id(5));
        }
        assert_eq!(watcher.payloads(), ["1", "2", "2"]);
    });
}

/// v3.1.1 [MQTT-4.3.2-1], [MQTT-2.3.1-3], [MQTT-3.3.1-1], [MQTT-4.4.0-1];
/// v5 [MQTT-4.3.2-2], [MQTT-4.3.2-3], [MQTT-3.3.1-1], [MQTT-4.4.0-1]
#[test]
fn a_message_of_qos_1_is_sent_again_until_it_is_acknowledged() {
    both(|case| {
        let (mut client, _publisher, _) = with_message(case, AtLeastOnce);
        let sent = client.message();
        assert_eq!((sent.qos(), sent.publish().dup), (AtLeastOnce, false));
        for _ in 0..3 {
            client.lose();
            client = case.lasting("c");
            let again = client.message();
            assert_eq!(again.packet_id(), sent.packet_id());
            assert_eq!(again.payload(), sent.payload());
            assert!(again.publish().dup);
        }
        client.send(Packet::PubAck(ack(sent.packet_id())));
        client.ping();
        client.lose();
        assert!(case.lasting("c").settle().is_empty());
    });
}

/// v3.1.1 [MQTT-4.3.3-1], [MQTT-4.4.0-1], [MQTT-3.3.1-1], [MQTT-2.3.1-6];
/// v5 [MQTT-4.3.3-2], [MQTT-4.3.3-3], [MQTT-4.3.3-4], [MQTT-4.3.3-5], [MQTT-4.3.3-6],
/// [MQTT-4.4.0-1], [MQTT-3.3.1-1], [MQTT-2.2.1-5]
#[test]
fn each_step_of_qos_2_is_repeated_until_it_is_acknowledged() {
    both(|case| {
        let (mut client, _publisher, _) = with_message(case, ExactlyOnce);
        let sent = client.message();
        let number = sent.packet_id();
        assert_eq!((sent.qos(), sent.publish().dup), (ExactlyOnce, false));
        client.lose();
        let mut client = case.lasting("c");
        let again = client.message();
        assert_eq!((again.packet_id(), again.publish().dup), (number, true));
        client.send(Packet::PubRec(ack(number)));
        assert_eq!(client.take(PacketKind::PubRel).ack(), ack(number));
        // Now only the release is repeated, never the message.
        for _ in 0..2 {
            client.lose();
            client = case.lasting("c");
            assert_eq!(client.take(PacketKind::PubRel).ack(), ack(number));
            assert!(client.settle().is_empty());
        }
        client.send(Packet::PubComp(ack(number)));
        client.ping();
        client.lose();
        let mut client = case.lasting("c");
        client.send(Packet::PingReq);
        let next = client.next().expect("a packet");
        assert_eq!(next.kind(), PacketKind::PingResp);
    });
}

/// v3.1.1 [MQTT-4.3.3-2]; v5 [MQTT-4.3.3-8], [MQTT-4.3.3-10]
#[test]
fn a_message_of_qos_2_that_comes_twice_is_delivered_once() {
    both(|case| {
        let name = case.topic("t");
        let mut watcher = case.client("w");
        watcher.subscribe(&name, ExactlyOnce);
        let mut client = case.lasting("c");
        for dup in [false, true, true] {
            send(
                &mut client,
                &name,
                "once",
                Delivery::ExactlyOnce(id(5)),
                dup,
            );
            assert_eq!(client.take(PacketKind::PubRec).ack().packet_id, id(5));
        }
        // Also over another connection of the session.
        client.lose();
        let mut client = case.lasting("c");
        send(
            &mut client,
            &name,
            "once",
            Delivery::ExactlyOnce(id(5)),
            true,
        );
        assert_eq!(client.take(PacketKind::PubRec).ack().packet_id, id(5));
        client.release(5);
        assert_eq!(watcher.payloads(), ["once"]);
    });
}

/// v3.1.1 [MQTT-4.3.3-2]; v5 [MQTT-4.3.3-11], [MQTT-4.3.3-12]
#[test]
fn after_a_pubcomp_the_same_identifier_is_a_new_message() {
    both(|case| {
        let name = case.topic("t");
        let mut watcher = case.client("w");
        watcher.subscribe(&name, AtMostOnce);
        let mut client = case.client("c");
        for payload in ["1", "2", "2"] {
            send(
                &mut client,
                &name,
                payload,
                Delivery::ExactlyOnce(id(5)),
                false,
            );
            client.take(PacketKind::PubRec);
            client.release(5);
        }
        assert_eq!(watcher.payloads(), ["1", "2", "2"]);
    });
}

/// v5 [MQTT-4.3.3-9]
#[test]
fn after_a_pubrec_with_an_error_the_same_identifier_is_a_new_message() {
    v5(|case| {
        let name = case.topic("t");
        let mut watcher = case.client("w");
        watcher.subscribe(&name, AtMostOnce);
        let mut client = case.client("c");
        let refused = format!("$SYS/{name}");
        send(
            &mut client,
            &refused,
            "no",
            Delivery::ExactlyOnce(id(5)),
            false,
        );
        assert!(client.take(PacketKind::PubRec).ack().reason.is_error());
        send(
            &mut client,
            &name,
            "yes",
            Delivery::ExactlyOnce(id(5)),
            false,
        );
        assert!(!client.take(PacketKind::PubRec).ack().reason.is_error());
        client.release(5);
        assert_eq!(watcher.payloads(), ["yes"]);
    });
}

/// v5 [MQTT-4.4.0-2]
#[test]
fn an_acknowledgement_with_an_error_ends_the_delivery() {
    v5(|case| {
        for (qos, kind) in [
            (AtLeastOnce, PacketKind::PubAck),
            (ExactlyOnce, PacketKind::PubRec),
        ] {
            let (mut client, mut publisher, name) = with_message(case, qos);
            let sent = client.message();
            let refusal = Ack {
                reason: ReasonCode::ImplementationSpecificError,
                ..ack(sent.packet_id())
            };
            client.send(match kind {
                PacketKind::PubAck => Packet::PubAck(refusal),
                _ => Packet::PubRec(refusal),
            });
            client.ping();
            client.lose();
            publisher.publish(&name, "next", qos);
            let mut client = case.lasting("c");
            let next = client.message();
            assert_eq!((next.payload(), next.publish().dup), ("next", false));
            client.acknowledge(&next);
            client.unsubscribe(&[&name]);
            client.ping();
            client.disconnect();
        }
    });
}
