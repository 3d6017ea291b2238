//! Each kind of packet of 5.0, byte by byte after the specification's figures.

use core::num::{NonZeroU16, NonZeroU32};

use declic_mqtt::packet::{
    Ack, Auth, ConnAck, Connect, DecodeError, Delivery, Disconnect, Items, Packet, Properties,
    Property, ProtocolVersion, Publish, RetainHandling, SubAck, Subscribe, Subscription,
    SubscriptionId, UnsubAck, Unsubscribe, Will,
};
use declic_mqtt::{QoS, ReasonCode};

use crate::{both_ways, decode, encode, filter, framed, id, name};

const V: ProtocolVersion = ProtocolVersion::V5;

/// Figure 3-6, with a payload of all six fields.
// v5 [MQTT-3.1.2-9], v5 [MQTT-3.1.2-17], v5 [MQTT-3.1.2-19], v5 [MQTT-3.1.3-1], v5 [MQTT-3.1.3-3]
#[test]
fn connect_with_everything() {
    let properties = [Property::SessionExpiryInterval(10)];
    let will_properties = [
        Property::WillDelayInterval(3),
        Property::PayloadFormatIndicator(true),
    ];
    both_ways(
        V,
        b"\x10\x37\
          \x00\x04MQTT\x05\xce\x00\x0a\x05\x11\x00\x00\x00\x0a\
          \x00\x06client\
          \x07\x18\x00\x00\x00\x03\x01\x01\x00\x04will\x00\x03\x00\xff!\
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
                properties: Properties::new(&will_properties),
            }),
            user_name: Some("user"),
            password: Some(b"\xf0pwd"),
            properties: Properties::new(&properties),
        }),
    );
}

// v5 [MQTT-2.2.2-1], v5 [MQTT-3.1.2-11], v5 [MQTT-3.1.2-16], v5 [MQTT-3.1.2-18]
#[test]
fn connect_with_nothing() {
    let mut connect = Connect::new(V, "");
    both_ways(
        V,
        b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00",
        Packet::Connect(connect),
    );
    connect.clean_start = false;
    both_ways(
        V,
        b"\x10\x0d\x00\x04MQTT\x05\x00\x00\x3c\x00\x00\x00",
        Packet::Connect(connect),
    );
}

/// Section 3.1.2.9: other than 3.1.1, 5.0 allows it.
#[test]
fn connect_with_a_password_but_no_user_name() {
    both_ways(
        V,
        b"\x10\x11\x00\x04MQTT\x05\x42\x00\x3c\x00\x00\x00\x00\x02\x00\xff",
        Packet::Connect(Connect {
            password: Some(b"\x00\xff"),
            ..Connect::new(V, "")
        }),
    );
}

#[test]
fn a_connect_names_its_own_version() {
    let bytes = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00";
    assert_eq!(decode(ProtocolVersion::V3_1_1, bytes), decode(V, bytes));
    let packet = Packet::Connect(Connect::new(V, ""));
    assert_eq!(encode(ProtocolVersion::V3_1_1, &packet), bytes);
}

#[test]
fn connack() {
    let mut connack = ConnAck {
        session_present: true,
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    };
    both_ways(V, b"\x20\x03\x01\x00\x00", Packet::ConnAck(connack));
    let properties = [
        Property::ReasonString("no"),
        Property::UserProperty(("k", "v")),
    ];
    connack.session_present = false;
    connack.reason = ReasonCode::NotAuthorized;
    connack.properties = Properties::new(&properties);
    both_ways(
        V,
        b"\x20\x0f\x00\x87\x0c\x1f\x00\x02no\x26\x00\x01k\x00\x01v",
        Packet::ConnAck(connack),
    );
}

// v5 [MQTT-3.2.2-6]
#[test]
fn connack_says_that_a_session_is_present_only_with_a_success() {
    assert_eq!(
        decode(V, b"\x20\x03\x01\x87\x00"),
        Err(DecodeError::ConnAckFlags(1))
    );
    let connack = Packet::ConnAck(ConnAck {
        session_present: true,
        reason: ReasonCode::NotAuthorized,
        properties: Properties::EMPTY,
    });
    assert_eq!(encode(V, &connack), b"\x20\x03\x00\x87\x00");
}

/// A server that only knows 3.1.1 refuses in the format of 3.1.1.
#[test]
fn connack_of_a_server_of_3_1_1() {
    let refused = Packet::ConnAck(ConnAck {
        session_present: false,
        reason: ReasonCode::UnsupportedProtocolVersion,
        properties: Properties::EMPTY,
    });
    assert_eq!(decode(V, b"\x20\x02\x00\x01"), Ok(refused));
    both_ways(V, b"\x20\x03\x00\x84\x00", refused);
    assert_eq!(decode(V, b"\x20\x02\x00\x00"), Err(DecodeError::Truncated));
    let present = decode(V, b"\x20\x02\x01\x01");
    assert_eq!(present, Err(DecodeError::ConnAckFlags(1)));
}

/// Figure 3-9: topic `a/b`, packet identifier 10, no properties.
#[test]
fn publish_with_qos_1() {
    both_ways(
        V,
        b"\x32\x08\x00\x03a/b\x00\x0a\x00",
        Packet::Publish(Publish {
            delivery: Delivery::AtLeastOnce(id(10)),
            ..Publish::new(name("a/b"), b"")
        }),
    );
}

#[test]
fn publish_with_qos_2_and_an_alias_for_the_topic() {
    let properties = [Property::TopicAlias(NonZeroU16::MAX)];
    both_ways(
        V,
        b"\x3d\x09\x00\x00\x00\x01\x03\x23\xff\xff!",
        Packet::Publish(Publish {
            dup: true,
            delivery: Delivery::ExactlyOnce(id(1)),
            retain: true,
            topic: None,
            properties: Properties::new(&properties),
            payload: b"!",
        }),
    );
}

// v5 [MQTT-2.2.1-2]
#[test]
fn publish_with_qos_0() {
    both_ways(
        V,
        b"\x31\x0f\x00\x0aesp32/data\x00ON",
        Packet::Publish(Publish {
            retain: true,
            ..Publish::new(name("esp32/data"), b"ON")
        }),
    );
}

// v5 [MQTT-3.3.1-2]
#[test]
fn dup_is_not_sent_with_qos_0() {
    let publish = Publish {
        dup: true,
        ..Publish::new(name("a"), b"")
    };
    assert_eq!(
        encode(V, &Packet::Publish(publish)),
        b"\x30\x04\x00\x01a\x00"
    );
}

/// Figures 3-11 to 3-17: reason and property length may be left out.
#[test]
fn the_four_acknowledgements() {
    let ack = Ack::new(id(0x1234));
    both_ways(V, b"\x40\x02\x12\x34", Packet::PubAck(ack));
    both_ways(V, b"\x50\x02\x12\x34", Packet::PubRec(ack));
    both_ways(V, b"\x62\x02\x12\x34", Packet::PubRel(ack));
    both_ways(V, b"\x70\x02\x12\x34", Packet::PubComp(ack));

    let with = |reason| Ack { reason, ..ack };
    let (no_subscribers, not_found) = (
        with(ReasonCode::NoMatchingSubscribers),
        with(ReasonCode::PacketIdentifierNotFound),
    );
    both_ways(V, b"\x40\x03\x12\x34\x10", Packet::PubAck(no_subscribers));
    both_ways(V, b"\x50\x03\x12\x34\x10", Packet::PubRec(no_subscribers));
    both_ways(V, b"\x62\x03\x12\x34\x92", Packet::PubRel(not_found));
    both_ways(V, b"\x70\x03\x12\x34\x92", Packet::PubComp(not_found));

    let properties = [Property::ReasonString("r")];
    let with_properties = Ack {
        properties: Properties::new(&properties),
        ..ack
    };
    both_ways(
        V,
        b"\x40\x08\x12\x34\x00\x04\x1f\x00\x01r",
        Packet::PubAck(with_properties),
    );
}

#[test]
fn an_acknowledgement_may_say_its_success_and_its_lack_of_properties() {
    let plain = Ok(Packet::PubRel(Ack::new(id(0x1234))));
    assert_eq!(decode(V, b"\x62\x03\x12\x34\x00"), plain);
    assert_eq!(decode(V, b"\x62\x04\x12\x34\x00\x00"), plain);
}

/// Figures 3-19 to 3-21.
#[test]
fn subscribe() {
    let properties = [Property::SubscriptionIdentifier(
        SubscriptionId::new(0x0fff_ffff).expect("a valid identifier"),
    )];
    let subscriptions = [
        Subscription::new(filter("a/b"), QoS::AtLeastOnce),
        Subscription {
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::Never,
            ..Subscription::new(filter("c/d"), QoS::ExactlyOnce)
        },
        Subscription {
            retain_handling: RetainHandling::OnNewSubscription,
            ..Subscription::new(filter("$share/g/#"), QoS::AtMostOnce)
        },
    ];
    both_ways(
        V,
        b"\x82\x21\x00\x0a\x05\x0b\xff\xff\xff\x7f\
          \x00\x03a/b\x01\x00\x03c/d\x2e\x00\x0a$share/g/#\x10",
        Packet::Subscribe(Subscribe {
            packet_id: id(10),
            properties: Properties::new(&properties),
            subscriptions: Items::new(&subscriptions),
        }),
    );
}

// v5 [MQTT-3.9.3-1]
#[test]
fn suback() {
    let reasons = [
        ReasonCode::GRANTED_QOS_0,
        ReasonCode::GrantedQoS2,
        ReasonCode::WildcardSubscriptionsNotSupported,
        ReasonCode::GrantedQoS1,
    ];
    both_ways(
        V,
        b"\x90\x07\x00\x0a\x00\x00\x02\xa2\x01",
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
    let properties = [Property::UserProperty(("", ""))];
    let filters = [filter("a/b"), filter("c/d")];
    both_ways(
        V,
        b"\xa2\x12\x00\x0a\x05\x26\x00\x00\x00\x00\x00\x03a/b\x00\x03c/d",
        Packet::Unsubscribe(Unsubscribe {
            packet_id: id(10),
            properties: Properties::new(&properties),
            filters: Items::new(&filters),
        }),
    );
}

// v5 [MQTT-3.11.3-1]
#[test]
fn unsuback() {
    let reasons = [ReasonCode::NoSubscriptionExisted, ReasonCode::Success];
    both_ways(
        V,
        b"\xb0\x05\x00\x0a\x00\x11\x00",
        Packet::UnsubAck(UnsubAck {
            packet_id: id(10),
            properties: Properties::EMPTY,
            reasons: Items::new(&reasons),
        }),
    );
}

#[test]
fn pings() {
    both_ways(V, b"\xc0\x00", Packet::PingReq);
    both_ways(V, b"\xd0\x00", Packet::PingResp);
}

/// Section 3.14.2, with figure 3-24.
#[test]
fn disconnect() {
    let normal = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
    both_ways(V, b"\xe0\x00", Packet::Disconnect(normal));
    assert_eq!(decode(V, b"\xe0\x01\x00"), decode(V, b"\xe0\x00"));
    assert_eq!(decode(V, b"\xe0\x02\x00\x00"), decode(V, b"\xe0\x00"));
    let taken_over = Disconnect::new(ReasonCode::SessionTakenOver);
    both_ways(V, b"\xe0\x01\x8e", Packet::Disconnect(taken_over));
    let properties = [Property::SessionExpiryInterval(0)];
    both_ways(
        V,
        b"\xe0\x07\x00\x05\x11\x00\x00\x00\x00",
        Packet::Disconnect(Disconnect {
            properties: Properties::new(&properties),
            ..normal
        }),
    );
}

/// Section 3.15.2.
#[test]
fn auth() {
    let mut auth = Auth {
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    };
    both_ways(V, b"\xf0\x00", Packet::Auth(auth));
    assert_eq!(decode(V, b"\xf0\x02\x00\x00"), Ok(Packet::Auth(auth)));
    let properties = [
        Property::AuthenticationMethod("m"),
        Property::AuthenticationData(b"\x00\xff"),
    ];
    auth.reason = ReasonCode::ContinueAuthentication;
    auth.properties = Properties::new(&properties);
    both_ways(
        V,
        b"\xf0\x0b\x18\x09\x15\x00\x01m\x16\x00\x02\x00\xff",
        Packet::Auth(auth),
    );
}

/// Each property once in a packet that may have it, after table 2-4.
#[test]
fn every_property() {
    let four = NonZeroU32::new(0x0102_0304).expect("not zero");
    let two = NonZeroU16::new(0x0102).expect("not zero");
    let subscription = SubscriptionId::new(128).expect("a valid identifier");
    for (place, bytes, property) in [
        (
            "publish",
            &b"\x01\x01"[..],
            Property::PayloadFormatIndicator(true),
        ),
        (
            "publish",
            b"\x02\x01\x02\x03\x04",
            Property::MessageExpiryInterval(0x0102_0304),
        ),
        ("publish", b"\x03\x00\x01t", Property::ContentType("t")),
        (
            "publish",
            b"\x08\x00\x01t",
            Property::ResponseTopic(name("t")),
        ),
        (
            "publish",
            b"\x09\x00\x01\xff",
            Property::CorrelationData(b"\xff"),
        ),
        (
            "publish",
            b"\x0b\x80\x01",
            Property::SubscriptionIdentifier(subscription),
        ),
        (
            "connack",
            b"\x11\x01\x02\x03\x04",
            Property::SessionExpiryInterval(0x0102_0304),
        ),
        (
            "connack",
            b"\x12\x00\x01t",
            Property::AssignedClientIdentifier("t"),
        ),
        (
            "connack",
            b"\x13\x01\x02",
            Property::ServerKeepAlive(0x0102),
        ),
        (
            "connack",
            b"\x15\x00\x01t",
            Property::AuthenticationMethod("t"),
        ),
        (
            "connack",
            b"\x16\x00\x01\xff",
            Property::AuthenticationData(b"\xff"),
        ),
        (
            "connect",
            b"\x17\x00",
            Property::RequestProblemInformation(false),
        ),
        (
            "will",
            b"\x18\x01\x02\x03\x04",
            Property::WillDelayInterval(0x0102_0304),
        ),
        (
            "connect",
            b"\x19\x01",
            Property::RequestResponseInformation(true),
        ),
        (
            "connack",
            b"\x1a\x00\x01t",
            Property::ResponseInformation("t"),
        ),
        ("connack", b"\x1c\x00\x01t", Property::ServerReference("t")),
        ("connack", b"\x1f\x00\x01t", Property::ReasonString("t")),
        ("connack", b"\x21\x01\x02", Property::ReceiveMaximum(two)),
        (
            "connack",
            b"\x22\x01\x02",
            Property::TopicAliasMaximum(0x0102),
        ),
        ("publish", b"\x23\x01\x02", Property::TopicAlias(two)),
        (
            "connack",
            b"\x24\x01",
            Property::MaximumQoS(QoS::AtLeastOnce),
        ),
        ("connack", b"\x25\x00", Property::RetainAvailable(false)),
        (
            "connack",
            b"\x26\x00\x01k\x00\x01v",
            Property::UserProperty(("k", "v")),
        ),
        (
            "connack",
            b"\x27\x01\x02\x03\x04",
            Property::MaximumPacketSize(four),
        ),
        (
            "connack",
            b"\x28\x01",
            Property::WildcardSubscriptionAvailable(true),
        ),
        (
            "connack",
            b"\x29\x00",
            Property::SubscriptionIdentifierAvailable(false),
        ),
        (
            "connack",
            b"\x2a\x01",
            Property::SharedSubscriptionAvailable(true),
        ),
    ] {
        let list = [property];
        let properties = Properties::new(&list);
        let section = [&[bytes.len() as u8], bytes].concat();
        let (first, before, after, packet) = match place {
            "publish" => (0x30, &b"\x00\x01t"[..], &b""[..], {
                Packet::Publish(Publish {
                    properties,
                    ..Publish::new(name("t"), b"")
                })
            }),
            "connack" => (0x20, &b"\x00\x00"[..], &b""[..], {
                Packet::ConnAck(ConnAck {
                    session_present: false,
                    reason: ReasonCode::Success,
                    properties,
                })
            }),
            "connect" => (
                0x10,
                &b"\x00\x04MQTT\x05\x02\x00\x3c"[..],
                &b"\x00\x00"[..],
                {
                    Packet::Connect(Connect {
                        properties,
                        ..Connect::new(V, "")
                    })
                },
            ),
            _ => (
                0x10,
                &b"\x00\x04MQTT\x05\x06\x00\x3c\x00\x00\x00"[..],
                &b"\x00\x01t\x00\x00"[..],
                Packet::Connect(Connect {
                    will: Some(Will {
                        topic: name("t"),
                        payload: b"",
                        qos: QoS::AtMostOnce,
                        retain: false,
                        properties,
                    }),
                    ..Connect::new(V, "")
                }),
            ),
        };
        assert_eq!(property.id(), bytes[0]);
        both_ways(V, &framed(first, &[before, &section, after]), packet);
    }
}
