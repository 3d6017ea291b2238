//! PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7), and how large answers may be.

use declic_mqtt::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Connect, Delivery, Packet, PacketKind, Properties, Property, Publish};

use crate::case::{both, packet, v5};
use crate::client::{Received, ack, id, subscription, topic};

/// v3.1.1 [MQTT-3.6.1-1]; v5 [MQTT-3.6.1-1]
#[test]
fn a_pubrel_with_other_flags_closes_the_connection() {
    both(|case| {
        for flags in (0..16).filter(|flags| *flags != 2) {
            let mut client = case.client("c");
            client.send_bytes(&packet(0x60 | flags, &[0, 1]));
            client.closed_with(ReasonCode::MalformedPacket);
        }
    });
}

/// v5 [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1]
#[test]
fn acknowledgements_have_reasons_that_they_may_have() {
    v5(|case| {
        let mut client = case.client("c");
        // Whatever is decoded has one; each of these is answered with something else.
        for name in [case.topic("nobody"), format!("$SYS/{}", case.topic("no"))] {
            for (delivery, kind) in [
                (Delivery::AtLeastOnce(id(1)), PacketKind::PubAck),
                (Delivery::ExactlyOnce(id(1)), PacketKind::PubRec),
            ] {
                client.send(Packet::Publish(Publish {
                    delivery,
                    ..Publish::new(topic(&name), b"x")
                }));
                client.take(kind).ack();
            }
        }
        client.send(Packet::PubRel(ack(77)));
        client.take(PacketKind::PubComp).ack();
        client.send(Packet::PubRec(ack(78)));
        client.take(PacketKind::PubRel).ack();
    });
}

/// v5 [MQTT-3.1.2-24], [MQTT-3.1.2-29], [MQTT-3.4.2-2], [MQTT-3.4.2-3], [MQTT-3.5.2-2],
/// [MQTT-3.5.2-3], [MQTT-3.6.2-2], [MQTT-3.6.2-3], [MQTT-3.7.2-2], [MQTT-3.7.2-3],
/// [MQTT-3.9.2-1], [MQTT-3.9.2-2], [MQTT-3.11.2-1], [MQTT-3.11.2-2], [MQTT-3.14.2-3],
/// [MQTT-3.14.2-4]
#[test]
fn answers_have_no_reason_in_words_where_it_is_not_wanted_or_too_long() {
    v5(|case| {
        let name = case.id("c");
        let properties = [
            Property::MaximumPacketSize(40.try_into().expect("not 0")),
            Property::RequestProblemInformation(false),
        ];
        let mut client = case.open();
        let connack = client.try_connect(&Connect {
            properties: Properties::new(&properties),
            ..Connect::new(case.version, &name)
        });
        let small = |received: &Received| assert!(received.bytes.len() <= 40, "{received:?}");
        small(&connack);
        let refused = format!("$SYS/{}", case.topic("no"));
        for (delivery, kind) in [
            (Delivery::AtLeastOnce(id(1)), PacketKind::PubAck),
            (Delivery::ExactlyOnce(id(2)), PacketKind::PubRec),
        ] {
            client.send(Packet::Publish(Publish {
                delivery,
                ..Publish::new(topic(&refused), b"x")
            }));
            let received = client.take(kind);
            small(&received);
            assert!(received.ack().properties.is_empty());
        }
        client.send(Packet::PubRel(ack(3)));
        client.send(Packet::PubRec(ack(4)));
        for kind in [PacketKind::PubComp, PacketKind::PubRel] {
            let received = client.take(kind);
            small(&received);
            assert!(received.ack().properties.is_empty());
        }
        // The client checks that there is nothing but codes.
        let filter = case.topic("f");
        let wanted = [subscription(&filter, AtMostOnce)];
        client.send(Packet::Subscribe(declic_mqtt::packet::Subscribe {
            packet_id: id(9),
            properties: Properties::EMPTY,
            subscriptions: declic_mqtt::packet::Items::new(&wanted),
        }));
        let received = client.take(PacketKind::SubAck);
        small(&received);
        assert!(matches!(received.packet(), Packet::SubAck(one) if one.properties.is_empty()));
        client.send(Packet::Unsubscribe(declic_mqtt::packet::Unsubscribe {
            packet_id: id(10),
            properties: Properties::EMPTY,
            filters: declic_mqtt::packet::Items::new(&wanted.map(|one| one.filter)),
        }));
        let received = client.take(PacketKind::UnsubAck);
        small(&received);
        assert!(matches!(received.packet(), Packet::UnsubAck(one) if one.properties.is_empty()));
        client.send_bytes(&[0x36, 0]);
        client.closed().iter().for_each(small);
    });
}

/// v5 [MQTT-3.1.2-24], [MQTT-3.1.2-25]
#[test]
fn a_message_that_is_too_large_for_a_client_is_left_out_for_that_client_only() {
    v5(|case| {
        let (name, id) = (case.topic("t"), case.id("s"));
        let properties = [Property::MaximumPacketSize(100.try_into().expect("not 0"))];
        let mut small = case.connect(&Connect {
            properties: Properties::new(&properties),
            ..Connect::new(case.version, &id)
        });
        let mut large = case.client("l");
        for client in [&mut small, &mut large] {
            client.subscribe(&name, ExactlyOnce);
        }
        let mut publisher = case.client("p");
        let rest = 1 + 1 + 2 + name.len() + 1;
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            let id = if qos == AtMostOnce { 0 } else { 2 };
            let fits = "x".repeat(100 - rest - id);
            let too_large = format!("{fits}x");
            publisher.publish(&name, &too_large, qos);
            publisher.publish(&name, &fits, qos);
            let message = small.message();
            assert_eq!((message.payload(), message.bytes.len()), (&*fits, 100));
            small.acknowledge(&message);
            for payload in [&too_large, &fits] {
                let message = large.message();
                assert_eq!(message.payload(), payload);
                large.acknowledge(&message);
            }
        }
    });
}
