//! Every packet of both versions, with every property it may have.
//!
//! Packets borrow; what these borrow is leaked, which a test can afford.

use core::num::{NonZeroU16, NonZeroU32};

use declic_mqtt::packet::{
    Ack, Auth, ConnAck, Connect, Delivery, Disconnect, Items, Packet, Properties, Property,
    Publish, RetainHandling, SubAck, Subscribe, Subscription, SubscriptionId, UnsubAck,
    Unsubscribe, Will,
};
use declic_mqtt::{PacketId, ProtocolVersion, QoS, ReasonCode, TopicFilter, TopicName};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::property_table::{PROPERTIES, Place};
use crate::reason_codes;
use crate::{filter, name};

/// Any packet of any kind that `version` has.
pub fn packet(version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    match version {
        ProtocolVersion::V3_1_1 => prop_oneof![
            3 => connect(version).prop_map(Packet::Connect),
            1 => connack_v3_1_1(),
            4 => publish(version).prop_map(Packet::Publish),
            2 => packet_id().prop_map(Ack::new).prop_flat_map(acks),
            2 => subscribe(version),
            1 => suback(version),
            1 => unsubscribe(version),
            1 => packet_id().prop_map(|packet_id| Packet::UnsubAck(UnsubAck {
                packet_id,
                properties: Properties::EMPTY,
                reasons: Items::EMPTY,
            })),
            1 => select(vec![
                Packet::PingReq,
                Packet::PingResp,
                Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION)),
            ]),
        ]
        .boxed(),
        ProtocolVersion::V5 => prop_oneof![
            3 => connect(version).prop_map(Packet::Connect),
            2 => connack_v5(),
            4 => publish(version).prop_map(Packet::Publish),
            1 => ack(Place::PubAck).prop_map(Packet::PubAck),
            1 => ack(Place::PubRec).prop_map(Packet::PubRec),
            1 => ack(Place::PubRel).prop_map(Packet::PubRel),
            1 => ack(Place::PubComp).prop_map(Packet::PubComp),
            2 => subscribe(version),
            1 => suback(version),
            1 => unsubscribe(version),
            1 => unsuback_v5(),
            1 => select(vec![Packet::PingReq, Packet::PingResp]),
            1 => disconnect_v5(),
            1 => auth(),
        ]
        .boxed(),
    }
}

/// A CONNECT of `version`.
pub fn connect(version: ProtocolVersion) -> impl Strategy<Value = Connect<'static>> {
    (
        any::<bool>(),
        any::<u16>(),
        text(),
        option::of(will(version)),
        option::of(text()),
        option::of(binary()),
        properties(version, Place::Connect),
    )
        .prop_map(
            move |(clean_start, keep_alive, client_id, will, user_name, password, properties)| {
                Connect {
                    version,
                    clean_start,
                    keep_alive,
                    client_id,
                    will,
                    user_name,
                    password: match version {
                        ProtocolVersion::V3_1_1 => user_name.and(password),
                        ProtocolVersion::V5 => password,
                    },
                    properties,
                }
            },
        )
}

fn will(version: ProtocolVersion) -> impl Strategy<Value = Will<'static>> {
    (
        topic_name(),
        binary(),
        qos(),
        any::<bool>(),
        properties(version, Place::Will),
    )
        .prop_map(|(topic, payload, qos, retain, properties)| Will {
            topic,
            payload,
            qos,
            retain,
            properties,
        })
}

fn connack_v3_1_1() -> impl Strategy<Value = Packet<'static>> {
    let codes = vec![
        ReasonCode::Success,
        ReasonCode::UnsupportedProtocolVersion,
        ReasonCode::ClientIdentifierNotValid,
        ReasonCode::ServerUnavailable,
        ReasonCode::BadUserNameOrPassword,
        ReasonCode::NotAuthorized,
    ];
    (any::<bool>(), select(codes)).prop_map(|(present, reason)| {
        Packet::ConnAck(ConnAck {
            session_present: present && reason == ReasonCode::Success,
            reason,
            properties: Properties::EMPTY,
        })
    })
}

fn connack_v5() -> impl Strategy<Value = Packet<'static>> {
    (
        any::<bool>(),
        reason(Place::ConnAck),
        properties(ProtocolVersion::V5, Place::ConnAck),
    )
        .prop_map(|(present, reason, properties)| {
            Packet::ConnAck(ConnAck {
                session_present: present && reason == ReasonCode::Success,
                reason,
                properties,
            })
        })
}

/// A PUBLISH of `version`.
pub fn publish(version: ProtocolVersion) -> impl Strategy<Value = Publish<'static>> {
    (
        any::<bool>(),
        qos(),
        packet_id(),
        any::<bool>(),
        topic_name(),
        properties(version, Place::Publish),
        payload(),
        any::<bool>(),
    )
        .prop_map(
            |(dup, qos, packet_id, retain, topic, properties, payload, only_alias)| Publish {
                dup: dup && qos != QoS::AtMostOnce,
                delivery: Delivery::new(qos, packet_id),
                retain,
                topic: Some(topic).filter(|_| !only_alias || properties.topic_alias().is_none()),
                properties,
                payload,
            },
        )
}

fn ack(place: Place) -> impl Strategy<Value = Ack<'static>> {
    (
        packet_id(),
        reason(place),
        properties(ProtocolVersion::V5, place),
    )
        .prop_map(|(packet_id, reason, properties)| Ack {
            packet_id,
            reason,
            properties,
        })
}

fn acks(ack: Ack<'static>) -> impl Strategy<Value = Packet<'static>> {
    select(vec![
        Packet::PubAck(ack),
        Packet::PubRec(ack),
        Packet::PubRel(ack),
        Packet::PubComp(ack),
    ])
}

fn subscribe(version: ProtocolVersion) -> impl Strategy<Value = Packet<'static>> {
    (
        packet_id(),
        properties(version, Place::Subscribe),
        vec(subscription(version), 1..5),
    )
        .prop_map(|(packet_id, properties, subscriptions)| {
            Packet::Subscribe(Subscribe {
                packet_id,
                properties,
                subscriptions: Items::new(subscriptions.leak()),
            })
        })
}

fn subscription(version: ProtocolVersion) -> impl Strategy<Value = Subscription<'static>> {
    let retain_handling = select(vec![
        RetainHandling::OnSubscribe,
        RetainHandling::OnNewSubscription,
        RetainHandling::Never,
    ]);
    (
        topic_filter(),
        qos(),
        any::<bool>(),
        any::<bool>(),
        retain_handling,
    )
        .prop_map(
            move |(filter, qos, no_local, retain_as_published, retain_handling)| match version {
                ProtocolVersion::V3_1_1 => Subscription::new(filter, qos),
                ProtocolVersion::V5 => Subscription {
                    filter,
                    qos,
                    no_local: no_local && filter.share_name().is_none(),
                    retain_as_published,
                    retain_handling,
                },
            },
        )
}

fn suback(version: ProtocolVersion) -> impl Strategy<Value = Packet<'static>> {
    let reason = match version {
        ProtocolVersion::V3_1_1 => select(vec![
            ReasonCode::GRANTED_QOS_0,
            ReasonCode::GrantedQoS1,
            ReasonCode::GrantedQoS2,
            ReasonCode::UnspecifiedError,
        ])
        .boxed(),
        ProtocolVersion::V5 => reason(Place::SubAck).boxed(),
    };
    (
        packet_id(),
        properties(version, Place::SubAck),
        vec(reason, 1..5),
    )
        .prop_map(|(packet_id, properties, reasons)| {
            Packet::SubAck(SubAck {
                packet_id,
                properties,
                reasons: Items::new(reasons.leak()),
            })
        })
}

fn unsubscribe(version: ProtocolVersion) -> impl Strategy<Value = Packet<'static>> {
    (
        packet_id(),
        properties(version, Place::Unsubscribe),
        vec(topic_filter(), 1..5),
    )
        .prop_map(|(packet_id, properties, filters)| {
            Packet::Unsubscribe(Unsubscribe {
                packet_id,
                properties,
                filters: Items::new(filters.leak()),
            })
        })
}

fn unsuback_v5() -> impl Strategy<Value = Packet<'static>> {
    (
        packet_id(),
        properties(ProtocolVersion::V5, Place::UnsubAck),
        vec(reason(Place::UnsubAck), 1..5),
    )
        .prop_map(|(packet_id, properties, reasons)| {
            Packet::UnsubAck(UnsubAck {
                packet_id,
                properties,
                reasons: Items::new(reasons.leak()),
            })
        })
}

fn disconnect_v5() -> impl Strategy<Value = Packet<'static>> {
    (
        reason(Place::Disconnect),
        properties(ProtocolVersion::V5, Place::Disconnect),
    )
        .prop_map(|(reason, properties)| Packet::Disconnect(Disconnect { reason, properties }))
}

fn auth() -> impl Strategy<Value = Packet<'static>> {
    (
        reason(Place::Auth),
        properties(ProtocolVersion::V5, Place::Auth),
    )
        .prop_map(|(reason, properties)| {
            let properties = match (reason, properties.authentication_method()) {
                (_, Some(_)) => properties,
                (ReasonCode::Success, None) => Properties::EMPTY,
                (_, None) => {
                    let method = Property::AuthenticationMethod("method");
                    let all: Vec<_> = properties.iter().chain([method]).collect();
                    Properties::new(all.leak())
                }
            };
            Packet::Auth(Auth { reason, properties })
        })
}

fn reason(place: Place) -> impl Strategy<Value = ReasonCode> {
    let (_, codes) = reason_codes::TABLES
        .iter()
        .find(|(of, _)| *of == place)
        .expect("a packet with reason codes");
    let codes: Vec<_> = codes
        .iter()
        .map(|value| reason_codes::reason_code(*value))
        .collect();
    // Success often: it shortens packets.
    prop_oneof![1 => Just(ReasonCode::Success), 2 => select(codes)]
}

/// Properties that may stand in `place`, in any order; none in 3.1.1.
fn properties(version: ProtocolVersion, place: Place) -> BoxedStrategy<Properties<'static>> {
    if version == ProtocolVersion::V3_1_1 {
        return Just(Properties::EMPTY).boxed();
    }
    let allowed: Vec<_> = PROPERTIES
        .iter()
        .filter(|(_, places)| places.contains(&place))
        .map(|(id, _)| {
            let repeated = *id == 0x26 || (*id == 0x0b && place == Place::Publish);
            vec(property(*id), if repeated { 0..=3 } else { 0..=1 })
        })
        .collect();
    let shuffled = allowed
        .prop_map(|lists| lists.concat())
        .prop_shuffle()
        .prop_map(|mut list| {
            let has_method = list.iter().any(|property| property.id() == 0x15);
            list.retain(|property| property.id() != 0x16 || has_method);
            Properties::new(list.leak())
        });
    prop_oneof![1 => Just(Properties::EMPTY), 4 => shuffled].boxed()
}

/// Any value of the property with identifier `id`.
fn property(id: u8) -> BoxedStrategy<Property<'static>> {
    use Property::*;
    match id {
        0x01 => any::<bool>().prop_map(PayloadFormatIndicator).boxed(),
        0x02 => any::<u32>().prop_map(MessageExpiryInterval).boxed(),
        0x03 => text().prop_map(ContentType).boxed(),
        0x08 => topic_name().prop_map(ResponseTopic).boxed(),
        0x09 => binary().prop_map(CorrelationData).boxed(),
        0x0b => subscription_id().prop_map(SubscriptionIdentifier).boxed(),
        0x11 => any::<u32>().prop_map(SessionExpiryInterval).boxed(),
        0x12 => text().prop_map(AssignedClientIdentifier).boxed(),
        0x13 => any::<u16>().prop_map(ServerKeepAlive).boxed(),
        0x15 => text().prop_map(AuthenticationMethod).boxed(),
        0x16 => binary().prop_map(AuthenticationData).boxed(),
        0x17 => any::<bool>().prop_map(RequestProblemInformation).boxed(),
        0x18 => any::<u32>().prop_map(WillDelayInterval).boxed(),
        0x19 => any::<bool>().prop_map(RequestResponseInformation).boxed(),
        0x1a => text().prop_map(ResponseInformation).boxed(),
        0x1c => text().prop_map(ServerReference).boxed(),
        0x1f => text().prop_map(ReasonString).boxed(),
        0x21 => any::<NonZeroU16>().prop_map(ReceiveMaximum).boxed(),
        0x22 => any::<u16>().prop_map(TopicAliasMaximum).boxed(),
        0x23 => any::<NonZeroU16>().prop_map(TopicAlias).boxed(),
        0x24 => select(vec![QoS::AtMostOnce, QoS::AtLeastOnce])
            .prop_map(MaximumQoS)
            .boxed(),
        0x25 => any::<bool>().prop_map(RetainAvailable).boxed(),
        0x26 => (text(), text()).prop_map(UserProperty).boxed(),
        0x27 => any::<NonZeroU32>().prop_map(MaximumPacketSize).boxed(),
        0x28 => any::<bool>()
            .prop_map(WildcardSubscriptionAvailable)
            .boxed(),
        0x29 => any::<bool>()
            .prop_map(SubscriptionIdentifierAvailable)
            .boxed(),
        0x2a => any::<bool>().prop_map(SharedSubscriptionAvailable).boxed(),
        id => unreachable!("property {id:#04x} is not in the table"),
    }
}

fn subscription_id() -> impl Strategy<Value = SubscriptionId> {
    prop_oneof![1..=300_u32, 1..=0x0fff_ffff_u32]
        .prop_map(|id| SubscriptionId::new(id).expect("a valid identifier"))
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    any::<NonZeroU16>().prop_map(|id| PacketId::new(id.get()).expect("not zero"))
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

/// Text without U+0000; sometimes as long as a string may be.
fn text() -> BoxedStrategy<&'static str> {
    let character = prop_oneof![
        6 => proptest::char::range('a', 'f'),
        2 => proptest::char::range('\u{1}', '\u{7f}'),
        1 => proptest::char::range('\u{80}', '\u{10ffff}'),
    ];
    prop_oneof![
        40 => vec(character, 0..8)
            .prop_map(|text| &*text.into_iter().collect::<String>().leak()),
        4 => Just(LONG.split_at(130).0),
        1 => Just(LONG),
    ]
    .boxed()
}

fn binary() -> BoxedStrategy<&'static [u8]> {
    prop_oneof![
        40 => vec(any::<u8>(), 0..8).prop_map(|bytes| &*bytes.leak()),
        4 => Just(&LONG.as_bytes()[..130]),
        1 => Just(LONG.as_bytes()),
    ]
    .boxed()
}

/// Payloads around each length at which the remaining length grows by a byte.
fn payload() -> BoxedStrategy<&'static [u8]> {
    prop_oneof![
        20 => vec(any::<u8>(), 0..20).prop_map(|bytes| &*bytes.leak()),
        4 => (100..140_usize).prop_map(|len| &LONG.as_bytes()[..len]),
        1 => (16_300..16_400_usize).prop_map(|len| &LONG.as_bytes()[..len]),
    ]
    .boxed()
}

/// A topic name of few levels, made of few texts so that filters match.
pub fn topic_name() -> BoxedStrategy<TopicName<'static>> {
    let levels = vec(
        select(vec!["", "a", "b", "déclic", "$SYS", "\u{feff}"]),
        1..5,
    );
    prop_oneof![
        20 => levels.prop_map(|levels| {
            let text = levels.join("/");
            name(if text.is_empty() { "/" } else { text.leak() })
        }),
        1 => Just(name(LONG)),
    ]
    .boxed()
}

/// A topic filter of few levels, wildcards and shares among them.
pub fn topic_filter() -> BoxedStrategy<TopicFilter<'static>> {
    let level = select(vec!["", "a", "b", "+", "+", "déclic", "$SYS"]);
    let share = select(vec!["", "", "", "$share/g/", "$share/déclic/"]);
    let last = select(vec!["", "", "#", "/#"]);
    (share, vec(level, 0..5), last)
        .prop_map(|(share, levels, last)| {
            let mut plain = levels.join("/");
            match last {
                "#" if plain.is_empty() => plain.push('#'),
                "#" => plain.push_str("/#"),
                last => plain.push_str(last),
            }
            if plain.is_empty() {
                plain.push('+');
            }
            filter((share.to_owned() + &plain).leak())
        })
        .boxed()
}

/// 65,535 bytes.
const LONG: &str = match core::str::from_utf8(&[b'x'; 65_535]) {
    Ok(text) => text,
    Err(_) => unreachable!(),
};
