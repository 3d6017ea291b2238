//! Bytes and habits that killed other brokers, over TCP; `../bad_input` has them over TLS and
//! WebSocket too. What a single packet may not be is told in the files of each packet; here it is
//! about what the broker is like afterwards.

use std::num::NonZeroU32;

use declic_broker::{Broker, Config, Limits};
use declic_mqtt::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use declic_mqtt::packet::{
    Ack, Auth, Connect, Delivery, Disconnect, Items, Packet, PacketKind, Properties, Property,
    Publish, Subscribe, SubscriptionId, Unsubscribe, Will,
};
use declic_mqtt::{ProtocolVersion, ReasonCode};

use crate::broker::Subject;
use crate::case::{Case, both, join, packet, string, v5};
use crate::client::{Client, ack, filter, id, subscription, topic};

/// A client that sees whether the broker still serves.
fn served(case: &Case, check: impl FnOnce()) {
    let name = case.topic("watched");
    let mut before = case.client("before");
    before.subscribe(&name, AtLeastOnce);
    check();
    let mut after = case.client("after");
    after.publish(&name, "still there", AtLeastOnce);
    assert_eq!(before.message().payload(), "still there");
}

#[test]
fn a_remaining_length_that_is_too_long_or_too_large_ends_one_connection_only() {
    both(|case| {
        served(case, || {
            for (bytes, reason) in [
                (
                    &[0x30, 0xff, 0xff, 0xff, 0xff, 0x01][..],
                    ReasonCode::MalformedPacket,
                ),
                (
                    &[0x30, 0x80, 0x80, 0x80, 0x80, 0x00],
                    ReasonCode::MalformedPacket,
                ),
                (&[0x30, 0xff, 0xff, 0xff, 0x7f], ReasonCode::PacketTooLarge),
                (&[0x82, 0xff, 0xff, 0xff, 0x7f], ReasonCode::PacketTooLarge),
            ] {
                let mut client = case.client("c");
                client.send_bytes(bytes);
                client.closed_with(reason);
            }
            for first in [0x10, 0x30] {
                let mut stranger = case.open();
                stranger.send_bytes(&[first, 0xff, 0xff, 0xff, 0x7f]);
                assert!(stranger.closed().is_empty());
            }
        });
    });
}

#[test]
fn what_is_promised_and_never_comes_holds_up_nobody() {
    both(|case| {
        // Half a megabyte each, of which a few bytes come.
        let waiting: Vec<_> = (0..20)
            .map(|number| {
                let mut client = case.client(&format!("w{number}"));
                client.send_bytes(&[0x30, 0xa0, 0xc2, 0x1e, 0, 4, b'a']);
                client
            })
            .collect();
        served(case, || {});
        drop(waiting);
    });
}

/// A packet of every kind that a client may send, with all that it may have in it.
fn packets(version: ProtocolVersion) -> Vec<Vec<u8>> {
    let encode = |packet: Packet<'_>| {
        let mut bytes = vec![0; packet.encoded_len(version).expect("encodable")];
        packet.encode(version, &mut bytes).expect("room");
        bytes
    };
    let said = [
        Property::ReasonString("why"),
        Property::UserProperty(("name", "value")),
    ];
    let answer = Ack {
        properties: Properties::new(&said),
        ..ack(7)
    };
    let of_publish = [
        Property::PayloadFormatIndicator(true),
        Property::MessageExpiryInterval(60),
        Property::ContentType("text"),
        Property::ResponseTopic(topic("answers")),
        Property::CorrelationData(b"17"),
        Property::UserProperty(("name", "value")),
    ];
    let of_connect = [
        Property::SessionExpiryInterval(5),
        Property::ReceiveMaximum(10.try_into().expect("not 0")),
        Property::MaximumPacketSize(NonZeroU32::MAX),
        Property::TopicAliasMaximum(3),
        Property::RequestResponseInformation(true),
        Property::RequestProblemInformation(true),
        Property::UserProperty(("name", "value")),
    ];
    let of_will = [
        Property::WillDelayInterval(1),
        Property::ContentType("text"),
    ];
    let of_subscribe = [
        Property::SubscriptionIdentifier(SubscriptionId::new(200).expect("valid")),
        Property::UserProperty(("name", "value")),
    ];
    let subscriptions = [
        subscription("bad-input/+/#", AtLeastOnce),
        subscription("bad-input/b", ExactlyOnce),
    ];
    let mut all = vec![
        encode(Packet::Connect(Connect {
            user_name: Some("user"),
            password: Some(b"password"),
            will: Some(Will {
                topic: topic("bad-input/will"),
                payload: b"gone",
                qos: AtLeastOnce,
                retain: false,
                properties: Properties::new(&of_will),
            }),
            properties: Properties::new(&of_connect),
            ..Connect::new(version, "bad-input")
        })),
        encode(Packet::Publish(Publish {
            delivery: Delivery::ExactlyOnce(id(7)),
            properties: Properties::new(&of_publish),
            ..Publish::new(topic("bad-input/a/b"), b"payload")
        })),
        encode(Packet::Subscribe(Subscribe {
            packet_id: id(8),
            properties: Properties::new(&of_subscribe),
            subscriptions: Items::new(&subscriptions),
        })),
        encode(Packet::Unsubscribe(Unsubscribe {
            packet_id: id(9),
            properties: Properties::new(&of_subscribe[1..]),
            filters: Items::new(&[filter("bad-input/a"), filter("bad-input/+")]),
        })),
        encode(Packet::PubAck(answer)),
        encode(Packet::PubRec(answer)),
        encode(Packet::PubRel(answer)),
        encode(Packet::PubComp(answer)),
        encode(Packet::PingReq),
        encode(Packet::Disconnect(Disconnect {
            properties: Properties::new(&said),
            ..Disconnect::new(ReasonCode::DisconnectWithWill)
        })),
    ];
    if version == ProtocolVersion::V5 {
        let method = [
            Property::AuthenticationMethod("m"),
            Property::AuthenticationData(b"data"),
        ];
        all.push(encode(Packet::Auth(Auth {
            reason: ReasonCode::ReAuthenticate,
            properties: Properties::new(&method),
        })));
    }
    all
}

#[test]
fn each_byte_of_each_packet_may_be_wrong_and_the_broker_serves_on() {
    both(|case| {
        served(case, || {
            for bytes in packets(case.version) {
                let is_connect = bytes[0] == 0x10;
                for at in 0..bytes.len() {
                    for wrong in [0, 0x7f, 0xff, bytes[at].wrapping_add(1)] {
                        let mut changed = bytes.clone();
                        changed[at] = wrong;
                        let mut client = if is_connect {
                            case.open()
                        } else {
                            case.client("c")
                        };
                        client.send_bytes(&changed);
                        // Whatever comes is a packet, or the end. It may wait for more.
                        client.lose();
                    }
                }
            }
        });
    });
}

#[test]
fn each_packet_may_end_early_and_the_broker_serves_on() {
    both(|case| {
        served(case, || {
            for bytes in packets(case.version) {
                for length in 2..bytes.len() {
                    // Cut, with a remaining length that says so.
                    let mut client = match bytes[0] {
                        0x10 => case.open(),
                        _ => case.client("c"),
                    };
                    client.send_bytes(&packet(bytes[0], &bytes[2..length]));
                    client.lose();
                }
            }
        });
    });
}

/// Of our own broker, with a timeout that a test can wait for.
#[test]
fn who_says_nothing_is_closed() {
    let config = Config {
        limits: Limits {
            connect_timeout: std::time::Duration::from_millis(200),
            ..Limits::default()
        },
        ..Config::listening_on("127.0.0.1:0".parse().expect("an address"))
    };
    let broker = Broker::bind(config).expect("a free port");
    let subject: &'static Subject = Box::leak(Box::new(Subject::ours(broker.local_addrs()[0])));
    let handle = broker.handle();
    let thread = std::thread::spawn(move || broker.run());
    let silent = Client::open(subject, ProtocolVersion::V5);
    let mut slow = Client::open(subject, ProtocolVersion::V5);
    slow.send_bytes(&[0x10, 20, 0, 4, b'M']);
    assert!(silent.closed().is_empty());
    assert!(slow.closed().is_empty());
    assert_eq!(handle.stats().expect("it runs").connect_timeouts, 2);
    handle.shutdown();
    thread.join().expect("no panic").expect("no failure");
}

/// v5 [MQTT-4.3.3-4]
#[test]
fn acknowledgements_for_nothing_do_no_harm() {
    both(|case| {
        let mut client = case.client("c");
        for number in [1, 77, 65_535] {
            client.send(Packet::PubAck(ack(number)));
            client.send(Packet::PubComp(ack(number)));
            client.send(Packet::PubRec(ack(number)));
            assert_eq!(client.take(PacketKind::PubRel).ack().packet_id, id(number));
            client.send(Packet::PubRel(ack(number)));
            assert_eq!(client.take(PacketKind::PubComp).ack().packet_id, id(number));
        }
        let name = case.topic("t");
        client.subscribe(&name, ExactlyOnce);
        client.publish(&name, "x", ExactlyOnce);
        let message = client.message();
        client.acknowledge(&message);
        client.ping();
    });
}

#[test]
fn a_topic_of_65_000_slashes_is_accepted_or_refused_and_nothing_more() {
    both(|case| {
        served(case, || {
            let slashes = "/".repeat(65_000);
            for bytes in [
                packet(
                    0x30,
                    &join(&[&string(&slashes), case.no_properties(), b"x"]),
                ),
                packet(
                    0x82,
                    &join(&[&[0, 1], case.no_properties(), &string(&slashes), &[0]]),
                ),
                packet(
                    0x82,
                    &join(&[
                        &[0, 1],
                        case.no_properties(),
                        &string("+/".repeat(32_000)),
                        &[0],
                    ]),
                ),
                packet(
                    0xa2,
                    &join(&[&[0, 1], case.no_properties(), &string(&slashes)]),
                ),
            ] {
                let mut client = case.client("c");
                client.send_bytes(&bytes);
                client.lose();
            }
        });
    });
}

#[test]
fn a_password_may_be_any_bytes() {
    both(|case| {
        let name = case.id("c");
        case.connect(&Connect {
            user_name: Some("somebody"),
            password: Some(&[0, 0xff, 0xed, 0xa0, 0x80]),
            ..Connect::new(case.version, &name)
        });
    });
}

/// v3.1.1 [MQTT-4.3.3-2]; v5 [MQTT-4.3.3-11]
#[test]
fn endless_pubrels_are_answered_and_leave_nothing_behind() {
    both(|case| {
        let mut client = case.client("c");
        for round in 0..20 {
            for number in 1..=100 {
                client.send(Packet::PubRel(ack(round * 100 + number)));
            }
            for number in 1..=100 {
                let complete = client.take(PacketKind::PubComp);
                assert_eq!(complete.ack().packet_id, id(round * 100 + number));
            }
        }
        client.publish(&case.topic("t"), "x", ExactlyOnce);
    });
}

/// v5 [MQTT-4.3.3-9]
#[test]
fn packet_identifiers_do_not_leak() {
    v5(|case| {
        let (name, refused) = (case.topic("t"), format!("$SYS/{}", case.topic("t")));
        let mut client = case.client("c");
        // Far more than the receive maximum: some refused, some released, some repeated.
        for number in 1..=200 {
            for name in [&refused, &name, &name] {
                client.send(Packet::Publish(Publish {
                    delivery: Delivery::ExactlyOnce(id(number)),
                    ..Publish::new(topic(name), b"x")
                }));
                // What is refused is not to be released.
                if !client.take(PacketKind::PubRec).ack().reason.is_error() {
                    client.release(number);
                }
            }
        }
        client.ping();
    });
}

#[test]
fn a_subscriber_that_never_reads_and_a_publisher_that_never_stops_disturb_nobody() {
    both(|case| {
        let name = case.topic("t");
        let mut never_reads = case.client("n");
        never_reads.subscribe(&name, AtMostOnce);
        let mut reads = case.client("r");
        reads.subscribe(&name, AtMostOnce);
        let mut publisher = case.client("p");
        let payload = "x".repeat(20_000);
        for _ in 0..500 {
            publisher.send(Packet::Publish(Publish::new(
                topic(&name),
                payload.as_bytes(),
            )));
            assert_eq!(reads.message().payload(), payload);
        }
        served(case, || {});
        never_reads.lose();
    });
}

#[test]
fn who_does_not_read_its_answers_disturbs_nobody() {
    both(|case| {
        let mut client = case.client("c");
        // Less than the buffers of the system take, so that sending never waits.
        for _ in 0..100 {
            client.send_bytes(&packet(0xc0, &[]).repeat(200));
        }
        served(case, || {});
        client.lose();
    });
}

/// v3.1.1 [MQTT-3.1.4-2]; v5 [MQTT-3.1.4-3]
#[test]
fn many_takeovers_leave_one_session_and_no_connection_behind() {
    both(|case| {
        let name = case.topic("t");
        let mut old = case.lasting("c");
        old.subscribe(&name, AtLeastOnce);
        let mut connections = Vec::new();
        for _ in 0..50 {
            let (new, present) = case.lasting_present("c");
            assert!(present);
            connections.push(std::mem::replace(&mut old, new));
        }
        for connection in connections {
            connection.closed_with(ReasonCode::SessionTakenOver);
        }
        case.client("p").publish(&name, "once", AtLeastOnce);
        assert_eq!(old.payloads(), ["once"]);
    });
}
