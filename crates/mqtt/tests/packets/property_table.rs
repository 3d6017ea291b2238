//! Which properties may stand where: table 2-4 of 5.0, and what happens elsewhere.

use declic_mqtt::packet::{
    self, DecodeError, EncodeError, PacketKind, Properties, Property, PropertyPlace, SubscriptionId,
};
use declic_mqtt::{ProtocolVersion, QoS, ReasonCode};

use crate::{decode, encode, framed, name};

/// Where properties stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Connect,
    Will,
    ConnAck,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    SubAck,
    Unsubscribe,
    UnsubAck,
    Disconnect,
    Auth,
}

use Place::*;

/// Each property's identifier and places.
pub const PROPERTIES: [(u8, &[Place]); 27] = [
    (0x01, &[Publish, Will]),
    (0x02, &[Publish, Will]),
    (0x03, &[Publish, Will]),
    (0x08, &[Publish, Will]),
    (0x09, &[Publish, Will]),
    (0x0b, &[Publish, Subscribe]),
    (0x11, &[Connect, ConnAck, Disconnect]),
    (0x12, &[ConnAck]),
    (0x13, &[ConnAck]),
    (0x15, &[Connect, ConnAck, Auth]),
    (0x16, &[Connect, ConnAck, Auth]),
    (0x17, &[Connect]),
    (0x18, &[Will]),
    (0x19, &[Connect]),
    (0x1a, &[ConnAck]),
    (0x1c, &[ConnAck, Disconnect]),
    (
        0x1f,
        &[
            ConnAck, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth,
        ],
    ),
    (0x21, &[Connect, ConnAck]),
    (0x22, &[Connect, ConnAck]),
    (0x23, &[Publish]),
    (0x24, &[ConnAck]),
    (0x25, &[ConnAck]),
    (0x26, &PLACES),
    (0x27, &[Connect, ConnAck]),
    (0x28, &[ConnAck]),
    (0x29, &[ConnAck]),
    (0x2a, &[ConnAck]),
];

const PLACES: [Place; 14] = [
    Connect,
    Will,
    ConnAck,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    SubAck,
    Unsubscribe,
    UnsubAck,
    Disconnect,
    Auth,
];

#[test]
fn each_property_is_accepted_where_table_2_4_has_it_and_nowhere_else() {
    for (id, allowed) in PROPERTIES {
        for place in PLACES {
            let packet = with_properties(place, &with_method(place, &encoded(id)));
            let result = decode(ProtocolVersion::V5, &packet);
            if allowed.contains(&place) {
                assert!(result.is_ok(), "{id:#04x} in {place:?}: {result:?}");
            } else {
                assert_eq!(result, Err(DecodeError::MisplacedProperty(id)), "{place:?}");
            }
        }
    }
}

#[test]
fn a_property_knows_its_places() {
    for (id, allowed) in [
        (0x18, &[Will][..]),
        (0x1c, &[ConnAck, Disconnect]),
        (0x26, &PLACES),
    ] {
        let property = match id {
            0x18 => Property::WillDelayInterval(1),
            0x1c => Property::ServerReference("a"),
            _ => Property::UserProperty(("a", "b")),
        };
        for place in PLACES {
            let wire = property_place(place);
            assert_eq!(property.is_allowed_in(wire), allowed.contains(&place));
        }
    }
}

#[test]
fn identifiers_that_are_not_in_the_table_are_refused() {
    for id in (0..=255).filter(|id| PROPERTIES.iter().all(|(known, _)| known != id)) {
        for place in PLACES {
            let packet = with_properties(place, &[id, 1, 1, 1, 1]);
            assert_eq!(
                decode(ProtocolVersion::V5, &packet),
                Err(DecodeError::UnknownProperty(id)),
                "{place:?}"
            );
        }
    }
}

#[test]
fn a_property_twice_is_refused_where_it_may_be_there_once() {
    for (id, allowed) in PROPERTIES {
        for place in allowed {
            let twice = encoded(id).repeat(2);
            let result = decode(
                ProtocolVersion::V5,
                &with_properties(*place, &with_method(*place, &twice)),
            )
            .map(|_| ())
            .map_err(|error| (error, error.reason_code().as_u8()));
            let expected = match (id, place) {
                (0x26, _) | (0x0b, Publish) => Ok(()),
                _ => Err((DecodeError::RepeatedProperty(id), 0x82)),
            };
            assert_eq!(result, expected, "{id:#04x} in {place:?}");
        }
    }
}

#[test]
fn a_property_in_the_wrong_place_or_twice_is_not_encoded() {
    let properties = [
        Property::TopicAliasMaximum(1),
        Property::ContentType("t"),
        Property::ContentType("t"),
        Property::MaximumQoS(QoS::ExactlyOnce),
    ];
    let publish = |properties| packet::Publish {
        properties: Properties::new(properties),
        ..packet::Publish::new(name("t"), b"")
    };
    for wrong in [&properties[..1], &properties[1..3]] {
        let mut buffer = [0; 64];
        let result = publish(wrong).encode(ProtocolVersion::V5, &mut buffer);
        assert_eq!(result, Err(EncodeError::Property));
        // 3.1.1 leaves them out.
        let result = publish(wrong).encode(ProtocolVersion::V3_1_1, &mut buffer);
        assert_eq!(result, Ok(5));
    }
    let connack = packet::ConnAck {
        session_present: false,
        reason: ReasonCode::Success,
        properties: Properties::new(&properties[3..]),
    };
    let result = connack.encode(ProtocolVersion::V5, &mut [0; 64]);
    assert_eq!(result, Err(EncodeError::Property));
}

#[test]
fn subscription_identifiers_are_as_short_as_can_be() {
    for (value, bytes) in [
        (1, 1),
        (127, 1),
        (128, 2),
        (16_383, 2),
        (16_384, 3),
        (2_097_151, 3),
        (2_097_152, 4),
        (268_435_455, 4),
    ] {
        let properties = [Property::SubscriptionIdentifier(
            SubscriptionId::new(value).expect("a valid identifier"),
        )];
        let publish = packet::Packet::Publish(packet::Publish {
            properties: Properties::new(&properties),
            ..packet::Publish::new(name("t"), b"")
        });
        let encoded = encode(ProtocolVersion::V5, &publish);
        assert_eq!(encoded.len(), 7 + bytes);
        assert_eq!(decode(ProtocolVersion::V5, &encoded), Ok(publish));
    }
    assert_eq!(SubscriptionId::new(0), None);
    assert_eq!(SubscriptionId::new(268_435_456), None);
}

// v5 [MQTT-3.3.2-8]
#[test]
fn values_out_of_range_are_refused() {
    let booleans = [0x01, 0x17, 0x19, 0x25, 0x28, 0x29, 0x2a];
    let bytes = booleans.iter().map(|id| vec![*id, 2]);
    let others = [
        vec![0x0b, 0],
        vec![0x21, 0, 0],
        vec![0x23, 0, 0],
        vec![0x24, 2],
        vec![0x27, 0, 0, 0, 0],
    ];
    for property in bytes.chain(others) {
        let place = place_of(property[0]);
        assert_eq!(
            decode(ProtocolVersion::V5, &with_properties(place, &property)),
            Err(DecodeError::PropertyValue(property[0]))
        );
    }
}

#[test]
fn a_value_that_the_section_cuts_is_refused() {
    for (id, allowed) in PROPERTIES {
        let whole = encoded(id);
        for len in 1..whole.len() {
            assert_eq!(
                decode(
                    ProtocolVersion::V5,
                    &with_properties(allowed[0], &whole[..len])
                ),
                Err(DecodeError::Truncated),
                "{len} bytes of {id:#04x}"
            );
        }
    }
}

// v5 [MQTT-1.5.5-1]
#[test]
fn a_subscription_identifier_longer_than_needed_is_refused() {
    for value in [
        &[0x81, 0][..],
        &[0x81, 0x80, 0],
        &[0x80, 0x80, 0x80, 0x80, 1],
    ] {
        let property = [&[0x0b], value].concat();
        assert_eq!(
            decode(ProtocolVersion::V5, &with_properties(Publish, &property)),
            Err(DecodeError::VariableByteInteger)
        );
    }
}

/// A packet with `section` as its properties in `place`.
fn with_properties(place: Place, section: &[u8]) -> Vec<u8> {
    let mut properties = vec![section.len() as u8];
    assert!(section.len() < 128, "a property length of one byte");
    properties.extend(section);
    let properties = &properties[..];
    match place {
        Connect => framed(0x10, &[b"\0\x04MQTT\x05\x02\0\0", properties, b"\0\0"]),
        Will => framed(
            0x10,
            &[b"\0\x04MQTT\x05\x06\0\0\0\0\0", properties, b"\0\x01w\0\0"],
        ),
        ConnAck => framed(0x20, &[b"\0\0", properties]),
        Publish => framed(0x30, &[b"\0\x01t", properties]),
        PubAck => framed(0x40, &[b"\0\x01\0", properties]),
        PubRec => framed(0x50, &[b"\0\x01\0", properties]),
        PubRel => framed(0x62, &[b"\0\x01\0", properties]),
        PubComp => framed(0x70, &[b"\0\x01\0", properties]),
        Subscribe => framed(0x82, &[b"\0\x01", properties, b"\0\x01f\0"]),
        SubAck => framed(0x90, &[b"\0\x01", properties, b"\0"]),
        Unsubscribe => framed(0xa2, &[b"\0\x01", properties, b"\0\x01f"]),
        UnsubAck => framed(0xb0, &[b"\0\x01", properties, b"\0"]),
        Disconnect => framed(0xe0, &[b"\0", properties]),
        Auth => framed(0xf0, &[b"\0", properties]),
    }
}

/// A valid property with identifier `id`.
fn encoded(id: u8) -> Vec<u8> {
    let value: &[u8] = match id {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => &[1],
        0x0b => &[0x80, 1],
        0x13 | 0x21 | 0x22 | 0x23 => &[0, 1],
        0x02 | 0x11 | 0x18 | 0x27 => &[0, 0, 0, 1],
        0x26 => &[0, 1, b'k', 0, 1, b'v'],
        _ => &[0, 1, b'v'],
    };
    [&[id], value].concat()
}

/// `section` with the authentication method that authentication data, and each AUTH, need.
fn with_method(place: Place, section: &[u8]) -> Vec<u8> {
    let method: &[u8] = match (place, section[0]) {
        (_, 0x15) => &[],
        (Auth, _) | (Connect, 0x16) => &[0x15, 0, 1, b'm'],
        _ => &[],
    };
    [section, method].concat()
}

fn place_of(id: u8) -> Place {
    let (_, places) = PROPERTIES
        .iter()
        .find(|(known, _)| *known == id)
        .expect("a property of the table");
    places[0]
}

fn property_place(place: Place) -> PropertyPlace {
    PropertyPlace::Packet(match place {
        Will => return PropertyPlace::Will,
        Connect => PacketKind::Connect,
        ConnAck => PacketKind::ConnAck,
        Publish => PacketKind::Publish,
        PubAck => PacketKind::PubAck,
        PubRec => PacketKind::PubRec,
        PubRel => PacketKind::PubRel,
        PubComp => PacketKind::PubComp,
        Subscribe => PacketKind::Subscribe,
        SubAck => PacketKind::SubAck,
        Unsubscribe => PacketKind::Unsubscribe,
        UnsubAck => PacketKind::UnsubAck,
        Disconnect => PacketKind::Disconnect,
        Auth => PacketKind::Auth,
    })
}
