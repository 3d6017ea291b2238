//! PINGREQ and DISCONNECT (sections 3.12 to 3.14).

use declic_mqtt::QoS::AtMostOnce;
use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Connect, Disconnect, Packet, PacketKind};

use crate::case::{both, packet, v5};
use crate::client::topic;

/// v3.1.1 [MQTT-3.12.4-1]; v5 [MQTT-3.12.4-1]
#[test]
fn each_pingreq_has_its_pingresp() {
    both(|case| {
        let mut client = case.client("c");
        client.send_bytes(&packet(0xc0, &[]).repeat(50));
        for _ in 0..50 {
            let received = client.next().expect("a packet");
            assert_eq!(received.bytes, [0xd0, 0]);
        }
        client.disconnect();
    });
}

/// v3.1.1 [MQTT-3.14.1-1]; v5 [MQTT-3.14.1-1]
#[test]
fn a_disconnect_with_flags_is_no_disconnect() {
    both(|case| {
        let (name, will) = (case.id("c"), case.topic("w"));
        let mut watcher = case.client("w");
        watcher.subscribe(&will, AtMostOnce);
        for flags in 1..16 {
            let mut client = case.connect(&Connect {
                will: Some(crate::wills::will(&will, b"malformed", AtMostOnce)),
                ..Connect::new(case.version, &name)
            });
            client.send_bytes(&[0xe0 | flags, 0]);
            client.closed_with(ReasonCode::MalformedPacket);
            assert_eq!(watcher.message().payload(), "malformed");
        }
    });
}

/// v3.1.1 [MQTT-3.14.4-1], [MQTT-3.14.4-2]; v5 [MQTT-3.14.4-1], [MQTT-3.14.4-2]
#[test]
fn after_a_disconnect_nothing_is_read_and_the_connection_is_closed() {
    both(|case| {
        let name = case.topic("t");
        let mut watcher = case.client("w");
        watcher.subscribe(&name, AtMostOnce);
        let mut client = case.client("c");
        let mut bytes = packet(0xe0, &[]);
        let publish = declic_mqtt::packet::Publish::new(topic(&name), b"too late");
        let at = bytes.len();
        bytes.resize(at + 100, 0);
        let length = Packet::Publish(publish)
            .encode(case.version, &mut bytes[at..])
            .expect("room");
        bytes.truncate(at + length);
        client.send_bytes(&bytes);
        assert!(client.closed().is_empty());
        assert!(watcher.settle().is_empty());
    });
}

/// v5 [MQTT-3.14.0-1]
#[test]
fn there_is_no_disconnect_before_a_connack() {
    v5(|case| {
        for bytes in [packet(0xc0, &[]), packet(0x10, &[]), packet(0x00, &[0])] {
            let mut client = case.open();
            client.send_bytes(&bytes);
            let kinds = client.closed();
            assert!(kinds.iter().all(|one| one.kind() == PacketKind::ConnAck));
        }
    });
}

/// v5 [MQTT-3.14.2-1], [MQTT-4.13.2-1], [MQTT-4.13.1-1]
#[test]
fn a_client_may_say_why_it_disconnects_and_is_closed() {
    v5(|case| {
        for reason in [
            ReasonCode::UnspecifiedError,
            ReasonCode::ProtocolError,
            ReasonCode::QuotaExceeded,
        ] {
            let mut client = case.client("c");
            client.send(Packet::Disconnect(Disconnect::new(reason)));
            assert!(client.closed().is_empty());
        }
        // A reason that only a server has, or none at all.
        for code in [0x8e, 0x01, 0xff] {
            let mut client = case.client("c");
            client.send_bytes(&packet(0xe0, &[code]));
            client.closed();
        }
    });
}
