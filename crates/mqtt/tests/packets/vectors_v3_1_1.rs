//! Each kind of packet of 3.1.1, byte by byte after the specification's figures.

use declic_mqtt::packet::{
    Ack, ConnAck, Connect, DecodeError, Delivery, Disconnect, Items, Packet, Properties,
    ProtocolVersion, Publish, SubAck, Subscribe, Subscription, UnsubAck, Unsubscribe, Will,
};
use declic_mqtt::{QoS, ReasonCode};

use crate::{both_ways, decode, encode, filter, id, name};

const V: ProtocolVersion = ProtocolVersion::V3_1_1;

/// Figure 3.6, with a payload of all five fields.
// v3.1.1 [MQTT-3.1.2-9], v3.1.1 [MQTT-3.1.2-19], v3.1.1 [MQTT-3.1.2-21]
// v3.1.1 [MQTT-3.1.3-1], v3.1.1 [MQTT-3.1.3-3]
#[test]
fn connect_with_everything() {
    both_ways(
        V,
        b"\x10\x29\
          \x00\x04MQTT\x04\xce\x00\x0a\
          \x00\x06client\
          \x00\x04will\x00\x03\x00\xff!\
          \x00\x04user\x00\x04\xf0pwd",
        Packet::Connect(Connect {
            version: V,
            clean_start: true,
            keep_alive: 10,
            client_id: "client",
            will: Some(Will {
                topic: name("will"),
                payload: b"\x00\xff!",
                qos: QoS::AtLeastOnce,
                retain: false,
                properties: Properties::EMPTY,
            }),
            user_name: Some("user"),
            password: Some(b"\xf0pwd"),
            properties: Properties::EMPTY,
        }),
    );
}

// v3.1.1 [MQTT-3.1.2-11], v3.1.1 [MQTT-3.1.2-18], v3.1.1 [MQTT-3.1.2-20]
#[test]
fn connect_with_nothing() {
    let mut connect = Connect::new(V, "");
    connect.keep_alive = 0;
    both_ways(
        V,
        b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00",
        Packet::Connect(connect),
    );
    connect.clean_start = false;
    connect.keep_alive = u16::MAX;
    connect.client_id = "a";
    both_ways(
        V,
        b"\x10\x0d\x00\x04MQTT\x04\x00\xff\xff\x00\x01a",
        Packet::Connect(connect),
    );
}

#[test]
fn connect_with_each_will_flag() {
    for (flags, qos, retain) in [
        (0x04, QoS::AtMostOnce, false),
        (0x24, QoS::AtMostOnce, true),
        (0x0c, QoS::AtLeastOnce, false),
        (0x34, QoS::ExactlyOnce, true),
    ] {
        let mut bytes = *b"\x10\x11\x00\x04MQTT\x04\x00\x00\x3c\x00\x00\x00\x01w\x00\x00";
        bytes[9] = flags;
        both_ways(
            V,
            &bytes,
            Packet::Connect(Connect {
                clean_start: false,
                will: Some(Will {
                    topic: name("w"),
                    payload: b"",
                    qos,
                    retain,
                    properties: Properties::EMPTY,
                }),
                ..Connect::new(V, "")
            }),
        );
    }
}

#[test]
fn a_connect_names_its_own_version() {
    let bytes = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00";
    assert_eq!(decode(ProtocolVersion::V5, bytes), decode(V, bytes));
    let packet = Packet::Connect(Connect::new(V, ""));
    assert_eq!(encode(ProtocolVersion::V5, &packet), bytes);
}

/// Table 3.1.
#[test]
fn connack_with_each_return_code() {
    for (code, reason) in [
        (0, ReasonCode::Success),
        (1, ReasonCode::UnsupportedProtocolVersion),
        (2, ReasonCode::ClientIdentifierNotValid),
        (3, ReasonCode::ServerUnavailable),
        (4, ReasonCode::BadUserNameOrPassword),
        (5, ReasonCode::NotAuthorized),
    ] {
        both_ways(
            V,
            &[0x20, 2, 0, code],
            Packet::ConnAck(ConnAck {
                session_present: false,
                reason,
                properties: Properties::EMPTY,
            }),
        );
    }
}

// v3.1.1 [MQTT-3.2.2-4]
#[test]
fn connack_says_that_a_session_is_present_only_with_a_success() {
    let mut connack = ConnAck {
        session_present: true,
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    };
    both_ways(V, &[0x20, 2, 1, 0], Packet::ConnAck(connack));
    assert_eq!(
        decode(V, &[0x20, 2, 1, 5]),
        Err(DecodeError::ConnAckFlags(1))
    );
    connack.reason = ReasonCode::NotAuthorized;
    assert_eq!(encode(V, &Packet::ConnAck(connack)), [0x20, 2, 0, 5]);
}

/// Figure 3.11: topic `a/b`, packet identifier 10.
#[test]
fn publish_with_qos_1() {
    let mut publish = Publish {
        delivery: Delivery::AtLeastOnce(id(10)),
        ..Publish::new(name("a/b"), b"")
    };
    let mut bytes = *b"\x32\x07\x00\x03a/b\x00\x0a";
    both_ways(V, &bytes, Packet::Publish(publish));
    publish.dup = true;
    bytes[0] = 0x3a;
    both_ways(V, &bytes, Packet::Publish(publish));
}

#[test]
fn publish_with_qos_2() {
    both_ways(
        V,
        b"\x3d\x08\x00\x03a/b\xff\xff!",
        Packet::Publish(Publish {
            dup: true,
            delivery: Delivery::ExactlyOnce(id(0xffff)),
            retain: true,
            ..Publish::new(name("a/b"), b"!")
        }),
    );
}

/// What the tutorial's publisher sends.
// v3.1.1 [MQTT-2.3.1-5]
#[test]
fn publish_with_qos_0() {
    let mut publish = Publish::new(name("esp32/data"), b"ON");
    let mut bytes = *b"\x30\x0e\x00\x0aesp32/dataON";
    both_ways(V, &bytes, Packet::Publish(publish));
    publish.retain = true;
    bytes[0] = 0x31;
    both_ways(V, &bytes, Packet::Publish(publish));
}

// v3.1.1 [MQTT-3.3.1-2]
#[test]
fn dup_is_not_sent_with_qos_0() {
    let publish = Publish {
        dup: true,
        ..Publish::new(name("a"), b"")
    };
    assert_eq!(encode(V, &Packet::Publish(publish)), b"\x30\x03\x00\x01a");
}

#[test]
fn the_four_acknowledgements() {
    let ack = Ack::new(id(0x1234));
    both_ways(V, b"\x40\x02\x12\x34", Packet::PubAck(ack));
    both_ways(V, b"\x50\x02\x12\x34", Packet::PubRec(ack));
    both_ways(V, b"\x62\x02\x12\x34", Packet::PubRel(ack));
    both_ways(V, b"\x70\x02\x12\x34", Packet::PubComp(ack));
}

/// Figures 3.21 and 3.23.
#[test]
fn subscribe() {
    let subscriptions = [
        Subscription::new(filter("a/b"), QoS::AtLeastOnce),
        Subscription::new(filter("c/d"), QoS::ExactlyOnce),
    ];
    both_ways(
        V,
        b"\x82\x0e\x00\x0a\x00\x03a/b\x01\x00\x03c/d\x02",
        Packet::Subscribe(Subscribe {
            packet_id: id(10),
            properties: Properties::EMPTY,
            subscriptions: Items::new(&subscriptions),
        }),
    );
}

/// Figure 3.27.
// v3.1.1 [MQTT-3.9.3-1]
#[test]
fn suback() {
    let reasons = [
        ReasonCode::GRANTED_QOS_0,
        ReasonCode::GrantedQoS2,
        ReasonCode::UnspecifiedError,
        ReasonCode::GrantedQoS1,
    ];
    both_ways(
        V,
        b"\x90\x06\x00\x0a\x00\x02\x80\x01",
        Packet::SubAck(SubAck {
            packet_id: id(10),
            properties: Properties::EMPTY,
            reasons: Items::new(&reasons),
        }),
    );
}

/// Figure 3.30.
#[test]
fn unsubscribe() {
    let filters = [filter("a/b"), filter("c/d")];
    both_ways(
        V,
        b"\xa2\x0c\x00\x0a\x00\x03a/b\x00\x03c/d",
        Packet::Unsubscribe(Unsubscribe {
            packet_id: id(10),
            properties: Properties::EMPTY,
            filters: Items::new(&filters),
        }),
    );
}

#[test]
fn unsuback() {
    both_ways(
        V,
        b"\xb0\x02\x00\x0a",
        Packet::UnsubAck(UnsubAck {
            packet_id: id(10),
            properties: Properties::EMPTY,
            reasons: Items::EMPTY,
        }),
    );
}

#[test]
fn pings_and_disconnect() {
    both_ways(V, b"\xc0\x00", Packet::PingReq);
    both_ways(V, b"\xd0\x00", Packet::PingResp);
    let disconnect = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
    both_ways(V, b"\xe0\x00", Packet::Disconnect(disconnect));
}

#[test]
fn auth_does_not_exist() {
    assert_eq!(decode(V, b"\xf0\x00"), Err(DecodeError::UnknownKind(15)));
}

/// Table 2.4 allows it: only 5.0 asks for the shortest form.
#[test]
fn a_remaining_length_longer_than_needed_is_accepted() {
    let short = decode(V, b"\x40\x02\x12\x34");
    assert_eq!(decode(V, b"\x40\x82\x00\x12\x34"), short);
    assert_eq!(decode(V, b"\x40\x82\x80\x80\x00\x12\x34"), short);
    let connect = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00";
    let long = b"\x10\x8c\x00\x00\x04MQTT\x04\x02\x00\x3c\x00\x00";
    assert_eq!(decode(V, long), decode(V, connect));
}
