//! Enhanced authentication, which a broker may refuse (sections 3.15 and 4.12).

use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Auth, Connect, Packet, PacketKind, Properties, Property};

use crate::case::{packet, v3_1_1, v5};

/// v5 [MQTT-4.12.0-1], [MQTT-4.12.0-4], [MQTT-3.2.2-7]
#[test]
fn an_authentication_method_that_is_not_known_is_refused() {
    v5(|case| {
        let name = case.id("c");
        let properties = [
            Property::AuthenticationMethod("none that there is"),
            Property::AuthenticationData(b"data"),
        ];
        let mut client = case.open();
        client.send(Packet::Connect(Connect {
            properties: Properties::new(&properties),
            ..Connect::new(case.version, &name)
        }));
        let known = [
            ReasonCode::BadAuthenticationMethod,
            ReasonCode::NotAuthorized,
        ];
        for received in client.closed() {
            assert!(known.contains(&received.connack().reason), "{received:?}");
        }
    });
}

/// v5 [MQTT-4.12.0-6]
#[test]
fn who_gave_no_method_is_sent_no_auth() {
    v5(|case| {
        let name = case.id("c");
        let mut client = case.open();
        let received = client.try_connect(&Connect::new(case.version, &name));
        let properties = received.connack().properties;
        assert_eq!(properties.authentication_method(), None);
        assert_eq!(properties.authentication_data(), None);
        client.ping();
        client.disconnect();
    });
}

/// v5 [MQTT-4.12.0-7], [MQTT-4.12.1-2], [MQTT-4.13.1-1]
#[test]
fn an_auth_from_who_gave_no_method_closes_the_connection() {
    v5(|case| {
        for reason in [
            ReasonCode::ReAuthenticate,
            ReasonCode::ContinueAuthentication,
        ] {
            let properties = [Property::AuthenticationMethod("m")];
            let mut client = case.client("c");
            client.send(Packet::Auth(Auth {
                reason,
                properties: Properties::new(&properties),
            }));
            client.closed_with(ReasonCode::ProtocolError);
        }
    });
}

/// v5 [MQTT-3.15.1-1]
#[test]
fn an_auth_with_flags_closes_the_connection() {
    v5(|case| {
        for flags in 1..16 {
            let mut client = case.client("c");
            client.send_bytes(&packet(0xf0 | flags, &[]));
            client.closed();
        }
    });
}

/// v5 [MQTT-3.1.2-30]
#[test]
fn an_auth_before_the_connack_is_not_answered() {
    v5(|case| {
        let mut client = case.open();
        client.send_bytes(&packet(0xf0, &[]));
        assert!(client.closed().is_empty());
    });
}

/// v3.1.1 [MQTT-4.8.0-1]
#[test]
fn there_is_no_auth_in_3_1_1() {
    v3_1_1(|case| {
        for first in [0xf0, 0x00] {
            let mut client = case.client("c");
            client.send_bytes(&packet(first, &[]));
            let all = client.closed();
            assert!(all.iter().all(|one| one.kind() != PacketKind::Auth));
        }
    });
}
