//! CONNACK (section 3.2).

use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Connect, Packet, PacketKind, Properties, Property};

use crate::case::{both, v5};

/// v3.1.1 [MQTT-3.2.2-1]; v5 [MQTT-3.2.2-1], [MQTT-3.2.2-2]
#[test]
fn a_clean_start_finds_no_session() {
    both(|case| {
        case.lasting("c").disconnect();
        let name = case.id("c");
        let mut client = case.open();
        let received = client.try_connect(&Connect::new(case.version, &name));
        assert_eq!(received.bytes[2..4], [0, 0]);
    });
}

/// v3.1.1 [MQTT-3.2.2-2], [MQTT-3.2.2-3]; v5 [MQTT-3.2.2-1], [MQTT-3.2.2-3]
#[test]
fn session_present_says_whether_there_was_one() {
    both(|case| {
        for expected in [0, 1, 1] {
            let name = case.id("c");
            let mut client = case.open();
            let received = client.try_connect(&crate::case::lasting(case.version, &name));
            assert_eq!(received.bytes[2..4], [expected, 0]);
            client.disconnect();
        }
    });
}

/// v5 [MQTT-3.1.2-24], [MQTT-3.2.2-19], [MQTT-3.2.2-20]
#[test]
fn a_connack_is_no_larger_than_the_client_accepts() {
    v5(|case| {
        let name = case.id("c");
        for size in [5, 10, 20, 40, 80] {
            let properties = [Property::MaximumPacketSize(size.try_into().expect("not 0"))];
            let mut client = case.open();
            client.send(Packet::Connect(Connect {
                properties: Properties::new(&properties),
                ..Connect::new(case.version, &name)
            }));
            // What the broker can't say in as few bytes, it can't say.
            match client.next() {
                None => assert!(size <= 20, "a CONNACK fits into {size} bytes"),
                Some(received) => {
                    assert!(received.bytes.len() <= size as usize, "{received:?}");
                    assert_eq!(received.kind(), PacketKind::ConnAck);
                    if received.connack().reason == ReasonCode::Success {
                        client.ping();
                    } else {
                        client.closed();
                    }
                }
            }
        }
    });
}
