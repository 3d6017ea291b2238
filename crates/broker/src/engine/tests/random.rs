//! Random bytes, and random packets of several clients in random pieces: nothing panics, all
//! counts stay right (the harness looks after each step), and the same input gives the same output.

use std::collections::VecDeque;
use std::time::Duration;

use declic_mqtt::packet::{
    Ack, Connect, Delivery, Disconnect, FixedHeader, Items, Packet, PacketKind, Properties,
    Property, Publish, RetainHandling, Subscribe, Subscription, SubscriptionId, Unsubscribe, Will,
};
use declic_mqtt::{ProtocolVersion, QoS, ReasonCode, TopicFilter};
use proptest::prelude::*;

use super::harness::*;
use crate::engine::{ConnId, Effect, Engine, Identity, Limits};

#[derive(Debug, Clone)]
enum Step {
    Open(bool),
    Lose(usize),
    Connect {
        conn: usize,
        client: u8,
        clean: bool,
        expiry: u8,
        will: bool,
        window: u16,
    },
    Subscribe {
        conn: usize,
        filter: usize,
        qos: u8,
        options: u8,
        id: u32,
    },
    Unsubscribe {
        conn: usize,
        filter: usize,
    },
    Publish {
        conn: usize,
        topic: usize,
        qos: u8,
        flags: u8,
        id: u16,
        len: usize,
        expiry: u8,
    },
    Ack {
        conn: usize,
        kind: u8,
        id: u16,
        bad: bool,
    },
    /// What the protocol asks the client for.
    Answer {
        conn: usize,
        count: usize,
        bad: bool,
    },
    Disconnect {
        conn: usize,
        with_will: bool,
    },
    Ping(usize),
    Garbage {
        conn: usize,
        bytes: Vec<u8>,
    },
    Block {
        conn: usize,
        blocked: bool,
    },
    Advance(u16),
}

const FILTERS: &[&str] = &[
    "a",
    "a/b",
    "a/+",
    "#",
    "+/b",
    "a/#",
    "$share/g/a/#",
    "$share/h/a",
    "$SYS/#",
    "will",
    "+",
];
const TOPICS: &[&str] = &["a", "a/b", "a/b/c", "b", "$SYS/a", "$own", "will", "/"];

fn step() -> impl Strategy<Value = Step> {
    let conn = 0..6_usize;
    prop_oneof![
        1 => any::<bool>().prop_map(Step::Open),
        1 => conn.clone().prop_map(Step::Lose),
        4 => (conn.clone(), 0..4_u8, any::<bool>(), 0..3_u8, any::<bool>(), 1..4_u16).prop_map(
            |(conn, client, clean, expiry, will, window)| Step::Connect {
                conn, client, clean, expiry, will, window,
            }
        ),
        4 => (conn.clone(), 0..FILTERS.len(), 0..3_u8, any::<u8>(), 0..3_u32).prop_map(
            |(conn, filter, qos, options, id)| Step::Subscribe { conn, filter, qos, options, id }
        ),
        1 => (conn.clone(), 0..FILTERS.len())
            .prop_map(|(conn, filter)| Step::Unsubscribe { conn, filter }),
        20 => (conn.clone(), 0..TOPICS.len(), 0..3_u8, any::<u8>(), 1..5_u16, 0..600_usize, 0..3_u8)
            .prop_map(|(conn, topic, qos, flags, id, len, expiry)| Step::Publish {
                conn, topic, qos, flags, id, len, expiry,
            }),
        8 => (conn.clone(), 1..6_usize, prop::bool::weighted(0.05))
            .prop_map(|(conn, count, bad)| Step::Answer { conn, count, bad }),
        1 => (conn.clone(), 0..4_u8, 1..6_u16, prop::bool::weighted(0.1))
            .prop_map(|(conn, kind, id, bad)| Step::Ack { conn, kind, id, bad }),
        1 => (conn.clone(), any::<bool>())
            .prop_map(|(conn, with_will)| Step::Disconnect { conn, with_will }),
        1 => conn.clone().prop_map(Step::Ping),
        1 => (conn.clone(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(conn, bytes)| Step::Garbage { conn, bytes }),
        1 => (conn, any::<bool>()).prop_map(|(conn, blocked)| Step::Block { conn, blocked }),
        1 => prop_oneof![8 => 0..30_u16, 1 => 0..1_000_u16].prop_map(Step::Advance),
    ]
}

fn small() -> Limits {
    Limits {
        connections: 8,
        sessions: 5,
        packet_size: 700,
        connect_packet_size: 200,
        connection_bytes: 1_000,
        answer_bytes: 100,
        inbound_in_flight: 3,
        outbound_in_flight: 3,
        queued_messages: 10,
        queued_bytes: 2_000,
        message_bytes: 8_000,
        retained_messages: 3,
        retained_bytes: 1_500,
        subscriptions: 6,
        topic_aliases: 2,
        ..Limits::default()
    }
}

/// Runs the steps and returns all that came out. With `disk`, the engine has a store, and what the
/// store has is compared with the state after each batch.
fn run(
    steps: &[Step],
    piece: usize,
    write_size: usize,
    authenticate: bool,
    disk: Option<u64>,
) -> String {
    let mut engine = Engine::new(small(), 42);
    if disk.is_some() {
        engine = engine.with_store();
    }
    if authenticate {
        engine = engine.with_authentication();
    }
    let mut world = World::with_engine(engine);
    world.write_size = write_size;
    world.disk = disk.map_or_else(Disk::default, Disk::random);
    let mut conns: Vec<Link> = Vec::new();
    let mut log = String::new();
    // Three clients to begin with, so that little is lost on nobody.
    let beginning = (0..3_u8).flat_map(|client| {
        let subscribe = |filter| Step::Subscribe {
            conn: 0,
            filter,
            qos: client,
            options: 0,
            id: u32::from(client),
        };
        [
            Step::Open(client > 0),
            Step::Connect {
                conn: 0,
                client,
                clean: false,
                expiry: client,
                will: true,
                window: 3,
            },
            subscribe(usize::from(client)),
            subscribe(5),
            subscribe(6),
        ]
    });
    for step in beginning.chain(steps.iter().cloned()) {
        take(&mut world, &mut conns, &step, piece);
        while let Some(at) = world
            .effects
            .iter()
            .position(|one| matches!(one, Effect::Authenticate(_)))
        {
            if let Effect::Authenticate(asked) = world.effects.remove(at) {
                let now = world.now;
                let answer = match &*asked.client_id {
                    "3" => Err(ReasonCode::BadUserNameOrPassword),
                    _ => Ok(Identity::Anonymous),
                };
                world.engine.handle_authenticated(asked.ticket, answer, now);
                world.step();
            }
        }
        let limits = small();
        let stats = world.engine.stats();
        assert!(stats.connections <= limits.connections && stats.sessions <= limits.sessions);
        assert!(stats.retained <= limits.retained_messages);
        // The last message may reach over the limit by its topic and properties; wills are not
        // asked.
        assert!(stats.message_bytes <= limits.message_bytes + 5 * limits.packet_size);
        assert!(stats.subscriptions <= limits.sessions * limits.subscriptions);
        log += &format!("{step:?} {:?}\n", world.effects);
        world.effects.clear();
        for link in &mut conns {
            let received = world.received(link.conn);
            log += &format!("{:?} {received:x?}\n", world.closed(link.conn));
            link.owe(&received);
        }
        conns.retain(|link| world.closed(link.conn).is_none());
    }
    // When all clients and sessions are gone, only retained messages are left.
    world.engine.shutdown(world.now);
    world.disk.heal();
    world.step();
    world.advance(Duration::from_secs(200_000));
    world.disk.check();
    let stats = world.engine.stats();
    assert_eq!(
        (stats.connections, stats.messages),
        (0, stats.retained),
        "{stats:?}"
    );
    log
}

/// A client's end of a connection.
struct Link {
    conn: ConnId,
    version: ProtocolVersion,
    connected: bool,
    /// Acknowledgements that the protocol asks for.
    owed: VecDeque<(PacketKind, u16)>,
}

impl Link {
    fn owe(&mut self, mut bytes: &[u8]) {
        // The last packet of a closed connection may be cut.
        while let Ok(Some(header)) = FixedHeader::decode(bytes)
            && let Some((packet, rest)) = bytes.split_at_checked(header.packet_len())
        {
            bytes = rest;
            let body = &packet[header.len()..];
            let packet = Packet::decode(self.version, header, body).expect("a valid packet");
            self.owed.extend(match packet {
                Packet::Publish(one) => match one.delivery {
                    Delivery::AtMostOnce => None,
                    Delivery::AtLeastOnce(id) => Some((PacketKind::PubAck, id.get())),
                    Delivery::ExactlyOnce(id) => Some((PacketKind::PubRec, id.get())),
                },
                Packet::PubRec(ack) => Some((PacketKind::PubRel, ack.packet_id.get())),
                Packet::PubRel(ack) => Some((PacketKind::PubComp, ack.packet_id.get())),
                _ => None,
            });
        }
    }
}

fn open(world: &mut World, conns: &mut Vec<Link>, v5: bool) {
    if world.engine.stats().connections < 8 {
        let version = if v5 { V5 } else { V3_1_1 };
        let conn = world.open(version);
        let (connected, owed) = (false, VecDeque::new());
        conns.insert(
            0,
            Link {
                conn,
                version,
                connected,
                owed,
            },
        );
    }
}

fn take(world: &mut World, conns: &mut Vec<Link>, step: &Step, piece: usize) {
    let index = match step {
        Step::Open(_) | Step::Advance(_) => 0,
        Step::Lose(conn)
        | Step::Ping(conn)
        | Step::Connect { conn, .. }
        | Step::Subscribe { conn, .. }
        | Step::Unsubscribe { conn, .. }
        | Step::Publish { conn, .. }
        | Step::Ack { conn, .. }
        | Step::Answer { conn, .. }
        | Step::Disconnect { conn, .. }
        | Step::Garbage { conn, .. }
        | Step::Block { conn, .. } => *conn,
    };
    match step {
        Step::Open(v5) => return open(world, conns, *v5),
        Step::Advance(seconds) => {
            return world.advance(Duration::from_secs(u64::from(*seconds)));
        }
        _ => {}
    }
    let index = index % conns.len().max(1);
    // A second CONNECT is tried, but rarely: a new client comes instead.
    let again = conns.get(index).is_some_and(|link| link.connected);
    let index = match step {
        Step::Connect { client, window, .. } if again && *window < 3 => {
            open(world, conns, *client > 0);
            0
        }
        _ => index,
    };
    let Some(link) = conns.get_mut(index) else {
        return;
    };
    link.connected |= matches!(step, Step::Connect { .. });
    let (conn, version) = (link.conn, link.version);
    let mut send = |packet: Packet<'_>| {
        for part in encode(version, &[packet]).chunks(piece) {
            world.send_bytes(conn, part);
        }
    };
    match step {
        Step::Connect {
            client,
            clean,
            expiry,
            will,
            window,
            ..
        } => {
            let client_id = client.to_string();
            let properties = [
                Property::SessionExpiryInterval([0, 50, 100_000][usize::from(*expiry)]),
                Property::ReceiveMaximum((*window).try_into().expect("not 0")),
            ];
            let delay = [Property::WillDelayInterval(u32::from(*expiry) * 20)];
            let will = will.then_some(Will {
                topic: topic("will"),
                payload: b"gone",
                qos: QoS::from_u8(*expiry).unwrap_or_default(),
                retain: *clean,
                properties: Properties::new(&delay),
            });
            // Those of 3.1.1 would last for ever.
            let clean_start = *clean || version == V3_1_1;
            send(Packet::Connect(Connect {
                clean_start,
                will,
                properties: Properties::new(&properties),
                ..Connect::new(version, &client_id)
            }));
        }
        Step::Subscribe {
            filter,
            qos,
            options,
            id: number,
            ..
        } => {
            let filter = TopicFilter::new(FILTERS[*filter]).expect("valid");
            let subscriptions = [Subscription {
                no_local: filter.share_name().is_none() && options & 1 != 0,
                retain_as_published: options & 2 != 0,
                retain_handling: match options >> 6 {
                    0 => RetainHandling::Never,
                    1 => RetainHandling::OnNewSubscription,
                    _ => RetainHandling::OnSubscribe,
                },
                ..Subscription::new(filter, QoS::from_u8(*qos).unwrap_or_default())
            }];
            let ids = SubscriptionId::new(*number).map(Property::SubscriptionIdentifier);
            send(Packet::Subscribe(Subscribe {
                packet_id: id(1),
                properties: Properties::new(ids.as_slice()),
                subscriptions: Items::new(&subscriptions),
            }));
        }
        Step::Unsubscribe { filter, .. } => {
            let filters = [TopicFilter::new(FILTERS[*filter]).expect("valid")];
            send(Packet::Unsubscribe(Unsubscribe {
                packet_id: id(1),
                properties: Properties::EMPTY,
                filters: Items::new(&filters),
            }));
        }
        Step::Publish {
            topic: name,
            qos,
            flags,
            id: number,
            len,
            expiry,
            ..
        } => {
            let qos = QoS::from_u8(*qos).unwrap_or_default();
            let payload = "x".repeat(if flags & 8 != 0 { 0 } else { *len });
            let mut properties = Vec::new();
            if *expiry > 0 {
                properties.push(Property::MessageExpiryInterval(u32::from(*expiry) * 30));
            }
            if flags & 16 != 0 {
                let alias = 1 + u16::from(flags & 192 == 192);
                properties.push(Property::TopicAlias(alias.try_into().expect("not 0")));
            }
            properties.push(Property::UserProperty(("a", "b")));
            let nameless = version == V5 && flags & 63 == 63;
            let publish = publish(TOPICS[*name], &payload, qos, *number);
            send(Packet::Publish(Publish {
                dup: flags & 1 != 0 && qos != QoS::AtMostOnce,
                retain: flags & 2 != 0,
                topic: if nameless { None } else { publish.topic },
                properties: Properties::new(&properties),
                ..publish
            }));
        }
        Step::Ack {
            kind,
            id: number,
            bad,
            ..
        } => {
            let ack_ = Ack::new(id(*number));
            let refused = if *bad {
                ack(*number, ReasonCode::NotAuthorized)
            } else {
                ack_
            };
            send(match kind {
                0 => Packet::PubAck(refused),
                1 => Packet::PubRec(refused),
                2 => Packet::PubRel(ack_),
                _ => Packet::PubComp(ack_),
            });
        }
        Step::Disconnect { with_will, .. } => {
            let reason = if *with_will && version == V5 {
                ReasonCode::DisconnectWithWill
            } else {
                ReasonCode::NORMAL_DISCONNECTION
            };
            send(Packet::Disconnect(Disconnect::new(reason)));
        }
        Step::Ping(_) => send(Packet::PingReq),
        Step::Garbage { bytes, .. } => world.send_bytes(conn, bytes),
        Step::Block { blocked, .. } => world.block(conn, *blocked),
        Step::Answer { count, bad, .. } => {
            for _ in 0..*count {
                let Some((kind, number)) = link.owed.pop_front() else {
                    break;
                };
                let refused = ack(number, ReasonCode::NotAuthorized);
                let ack = if *bad { refused } else { Ack::new(id(number)) };
                send(match kind {
                    PacketKind::PubAck => Packet::PubAck(ack),
                    PacketKind::PubRec => Packet::PubRec(ack),
                    PacketKind::PubRel => Packet::PubRel(Ack::new(id(number))),
                    _ => Packet::PubComp(Ack::new(id(number))),
                });
            }
        }
        Step::Lose(_) => {
            world.lose(conn);
            conns.remove(index);
        }
        Step::Open(_) | Step::Advance(_) => {}
    }
}

proptest! {
    #[test]
    fn random_packets_never_break_the_engine_and_give_the_same_output_twice(
        steps in prop::collection::vec(step(), 1..250),
        piece in 1..200_usize,
        write_size in prop_oneof![1..50_usize, Just(4_096)],
        authenticate in prop::bool::weighted(0.2),
    ) {
        let first = run(&steps, piece, write_size, authenticate, None);
        let second = run(&steps, piece, write_size, authenticate, None);
        prop_assert_eq!(first, second);
    }

    #[test]
    fn what_is_stored_is_the_state_at_each_batch_and_comes_back(
        steps in prop::collection::vec(step(), 1..250),
        piece in 20..200_usize,
        write_size in prop_oneof![1..50_usize, Just(4_096)],
        seed in any::<u64>(),
    ) {
        let first = run(&steps, piece, write_size, false, Some(seed));
        let second = run(&steps, piece, write_size, false, Some(seed));
        prop_assert_eq!(first, second);
    }

    #[test]
    fn random_bytes_never_break_the_engine(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        piece in 1..100_usize,
        connected in any::<bool>(),
        v5 in any::<bool>(),
    ) {
        let version = if v5 { V5 } else { V3_1_1 };
        let mut world = World::with_limits(small());
        let conn = if connected { world.client(version, "a") } else { world.open(version) };
        for part in bytes.chunks(piece) {
            world.send_bytes(conn, part);
        }
    }
}
