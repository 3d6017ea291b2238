//! Mistakes that were found in brokers, one test each.

use std::time::{Duration, Instant};

use declic_broker::{Broker, Config};
use declic_mqtt::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{
    Connect, Disconnect, Packet, PacketKind, Properties, Property, Publish, SubscriptionId, Will,
};

use crate::broker::Subject;
use crate::case::{both, join, packet, string, v3_1_1, v5};
use crate::client::{Client, subscription, topic};

/// The MicroPython client asks for 0 by default: no limit.
#[test]
fn a_keep_alive_of_0_is_accepted() {
    both(|case| {
        let (name, id) = (case.topic("t"), case.id("c"));
        let mut client = case.connect(&Connect {
            keep_alive: 0,
            ..Connect::new(case.version, &id)
        });
        client.subscribe(&name, AtMostOnce);
        client.silent_for(Duration::from_millis(200));
        client.publish(&name, "still there", AtMostOnce);
        assert_eq!(client.message().payload(), "still there");
    });
}

#[test]
fn a_message_of_qos_0_is_not_delivered_with_the_qos_of_the_subscription() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.subscribe(&name, ExactlyOnce);
        client.publish(&name, "x", AtMostOnce);
        assert_eq!(client.message().qos(), AtMostOnce);
        client.retain(&name, "x", AtMostOnce);
        client.message();
        client.subscribe(&name, AtLeastOnce);
        assert_eq!(client.message().qos(), AtMostOnce);
        client.retain(&name, "", AtMostOnce);
    });
}

#[test]
fn an_empty_message_that_is_not_retained_erases_nothing() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.retain(&name, "kept", AtLeastOnce);
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            client.publish(&name, "", qos);
        }
        client.subscribe(&name, AtMostOnce);
        assert_eq!(client.payloads(), ["kept"]);
        client.retain(&name, "", AtLeastOnce);
    });
}

#[test]
fn more_retained_messages_than_the_receive_window_all_arrive() {
    both(|case| {
        let mut publisher = case.client("p");
        let names: Vec<_> = (0..70).map(|n| case.topic(&format!("{n:02}"))).collect();
        for name in &names {
            publisher.retain(name, "kept", AtLeastOnce);
        }
        let mut client = case.with_receive_maximum("s", 3);
        client.subscribe(&case.topic("+"), ExactlyOnce);
        let mut topics: Vec<_> = (0..70)
            .map(|_| {
                let message = client.message();
                client.acknowledge(&message);
                message.topic
            })
            .collect();
        topics.sort();
        assert_eq!(topics, names);
        for name in &names {
            publisher.retain(name, "", AtLeastOnce);
        }
    });
}

#[test]
fn a_client_identifier_may_have_any_characters() {
    both(|case| {
        for text in ["a/b", "+", "#", "$SYS", "a b", "é€\u{1f600}"] {
            let id = case.id(text);
            let mut client = case.connect(&Connect::new(case.version, &id));
            client.ping();
        }
        let long = case.id(&"x".repeat(1_000));
        case.connect(&Connect::new(case.version, &long)).ping();
    });
}

/// Of our own broker: each version is told in its way, and the broker's thread ends.
#[test]
fn a_broker_that_stops_says_goodbye() {
    let listen = Config::listening_on("127.0.0.1:0".parse().expect("an address"));
    let broker = Broker::bind(listen).expect("a free port");
    let (address, handle) = (broker.local_addrs()[0], broker.handle());
    let thread = std::thread::spawn(move || broker.run());
    let subject: &'static Subject = Box::leak(Box::new(Subject::ours(address)));
    let versions = [
        declic_mqtt::ProtocolVersion::V3_1_1,
        declic_mqtt::ProtocolVersion::V5,
    ];
    let clients = versions.map(|version| {
        let mut client = Client::open(subject, version);
        client.connect(&Connect::new(version, ""));
        client
    });
    handle.shutdown();
    let [old, new] = clients.map(Client::closed);
    assert!(old.is_empty());
    let goodbye = Disconnect::new(ReasonCode::ServerShuttingDown);
    let new: Vec<_> = new.iter().map(|one| one.packet()).collect();
    assert_eq!(new, [Packet::Disconnect(goodbye)]);
    thread.join().expect("no panic").expect("no failure");
}

/// v5 [MQTT-4.8.2-1], [MQTT-4.8.2-2]
#[test]
fn a_shared_subscription_without_a_group_or_a_filter_is_refused() {
    v5(|case| {
        for filter in ["$share//t", "$share/g", "$share/g/", "$share/a+b/t"] {
            let body = join(&[&[0, 1, 0], &string(filter), &[0]]);
            let mut client = case.client("c");
            client.send_bytes(&packet(0x82, &body));
            for received in client.answered_or_closed(PacketKind::SubAck) {
                match received.packet() {
                    Packet::SubAck(suback) => assert!(suback.reasons.iter().all(|r| r.is_error())),
                    Packet::Disconnect(disconnect) => assert!(disconnect.reason.is_error()),
                    other => panic!("{other:?}"),
                }
            }
        }
    });
}

/// v5 [MQTT-3.3.2-5], [MQTT-3.3.2-6]
#[test]
fn the_lifetime_of_a_retained_message_is_counted_down() {
    v5(|case| {
        let mut client = case.client("c");
        for (name, seconds) in [("short", 1), ("long", 50)] {
            let properties = [Property::MessageExpiryInterval(seconds)];
            let name = case.topic(name);
            let publish = Publish {
                retain: true,
                properties: Properties::new(&properties),
                ..Publish::new(topic(&name), b"kept")
            };
            client.publish_with(publish, AtLeastOnce);
        }
        client.silent_for(Duration::from_millis(1_200));
        client.subscribe(&case.topic("+"), AtMostOnce);
        let received = client.settle();
        assert_eq!(received.len(), 1);
        let left = received[0].publish().properties.message_expiry_interval();
        assert!((40..=49).contains(&left.expect("a lifetime")), "{left:?}");
        client.retain(&case.topic("long"), "", AtLeastOnce);
    });
}

/// v5 [MQTT-3.1.2-24], [MQTT-3.1.2-25]
#[test]
fn a_client_is_sent_nothing_larger_than_it_accepts() {
    v5(|case| {
        let (name, id) = (case.topic("t"), case.id("c"));
        let properties = [Property::MaximumPacketSize(64.try_into().expect("not 0"))];
        let mut client = case.connect(&Connect {
            properties: Properties::new(&properties),
            ..Connect::new(case.version, &id)
        });
        client.retain(&name, &"x".repeat(200), AtLeastOnce);
        client.subscribe(&name, AtLeastOnce);
        for length in (0..80).rev() {
            client.publish(&name, &"x".repeat(length), AtMostOnce);
        }
        let received = client.settle();
        assert!(received.iter().all(|one| one.bytes.len() <= 64));
        let largest = received.iter().map(|one| one.bytes.len()).max();
        assert_eq!(largest, Some(64), "and all that it does accept");
        client.retain(&name, "", AtLeastOnce);
    });
}

/// v5 [MQTT-3.3.4-9]
#[test]
fn a_receive_maximum_of_1_is_kept() {
    v5(|case| {
        let name = case.topic("t");
        let mut client = case.with_receive_maximum("c", 1);
        client.subscribe(&name, AtLeastOnce);
        let mut publisher = case.client("p");
        for number in 0..10 {
            publisher.publish(&name, &number.to_string(), AtLeastOnce);
        }
        for number in 0..10 {
            let message = client.message();
            assert_eq!(message.payload(), number.to_string());
            client.send(Packet::PingReq);
            let next = client.next().expect("a packet");
            assert_eq!(next.kind(), PacketKind::PingResp);
            client.acknowledge(&message);
        }
    });
}

/// v5 [MQTT-3.2.2-22]
#[test]
fn without_a_server_keep_alive_the_clients_own_holds() {
    v5(|case| {
        let id = case.id("c");
        let connect = Connect {
            keep_alive: 600,
            ..Connect::new(case.version, &id)
        };
        let mut client = case.open();
        let received = client.try_connect(&connect);
        assert_eq!(received.connack().properties.server_keep_alive(), None);
        let connect = Connect {
            keep_alive: 601,
            ..connect
        };
        let mut client = case.open();
        let received = client.try_connect(&connect);
        assert_eq!(received.connack().properties.server_keep_alive(), Some(600));
    });
}

/// v5 [MQTT-3.1.3-9], [MQTT-3.1.2-8]
#[test]
fn a_will_waits_for_its_delay() {
    v5(|case| {
        let (name, id) = (case.topic("w"), case.id("c"));
        let mut watcher = case.client("w");
        watcher.subscribe(&name, AtMostOnce);
        let (delay, expiry) = (
            [Property::WillDelayInterval(1)],
            [Property::SessionExpiryInterval(100)],
        );
        let client = case.connect(&Connect {
            will: Some(Will {
                properties: Properties::new(&delay),
                ..crate::wills::will(&name, b"late", AtMostOnce)
            }),
            properties: Properties::new(&expiry),
            ..Connect::new(case.version, &id)
        });
        let begin = Instant::now();
        client.lose();
        assert_eq!(watcher.message().payload(), "late");
        assert!(begin.elapsed() >= Duration::from_secs(1), "too early");
    });
}

/// v3.1.1 [MQTT-3.1.2-5]; v5 [MQTT-3.1.2-23], [MQTT-4.1.0-2]
#[test]
fn a_session_lasts_as_long_as_it_was_asked_for() {
    v3_1_1(|case| {
        case.lasting("c").lose();
        assert!(case.lasting_present("c").1);
    });
    v5(|case| {
        // The will tells when the session has ended.
        let mut watcher = case.client("w");
        watcher.subscribe(&case.topic("w"), AtMostOnce);
        crate::wills::delayed(case, 100, 300).lose();
        assert!(case.lasting_present("c").1);
        crate::wills::delayed(case, 100, 1).lose();
        assert_eq!(watcher.message().payload(), "gone");
        assert!(!case.lasting_present("c").1);
    });
}

/// v5 [MQTT-3.3.4-3], [MQTT-3.3.4-4], [MQTT-3.3.4-5]
#[test]
fn each_message_has_the_identifiers_of_the_subscriptions_that_match_it() {
    v5(|case| {
        let mut client = case.client("c");
        for (filter, id) in [("a/+", 1), ("+/b", 2), ("a/b", 3), ("#", 4), ("x/#", 5)] {
            let id = SubscriptionId::new(id).expect("a valid identifier");
            let properties = [Property::SubscriptionIdentifier(id)];
            client.subscribe_with(subscription(&case.topic(filter), AtMostOnce), &properties);
        }
        // Replaced, once by another and once by none.
        let id = SubscriptionId::new(30).expect("a valid identifier");
        let properties = [Property::SubscriptionIdentifier(id)];
        client.subscribe_with(subscription(&case.topic("a/b"), AtMostOnce), &properties);
        client.subscribe_with(subscription(&case.topic("#"), AtMostOnce), &[]);
        let mut publisher = case.client("p");
        for (name, expected) in [
            ("a/b", &[1, 2, 30][..]),
            ("a/c", &[1]),
            ("c/b", &[2]),
            ("x", &[5]),
            ("y", &[]),
        ] {
            publisher.publish(&case.topic(name), name, AtMostOnce);
            let mut ids: Vec<_> = client
                .settle()
                .iter()
                .flat_map(|one| one.publish().properties.subscription_identifiers())
                .map(SubscriptionId::get)
                .collect();
            ids.sort();
            assert_eq!(ids, expected, "{name}");
        }
    });
}

#[test]
fn no_property_is_added_that_nobody_asked_for() {
    v5(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.subscribe(&name, ExactlyOnce);
        let mut publisher = case.client("p");
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            publisher.publish(&name, "x", qos);
            let message = client.message();
            assert!(message.publish().properties.is_empty());
            client.acknowledge(&message);
        }
        publisher.retain(&name, "kept", AtLeastOnce);
        let mut late = case.client("late");
        late.subscribe(&name, AtMostOnce);
        assert!(late.message().publish().properties.is_empty());
        publisher.retain(&name, "", AtLeastOnce);
    });
}

/// A broker may do without; ours does not.
#[test]
fn topic_aliases_are_used_towards_a_client_that_accepts_them() {
    v5(|case| {
        if !case.subject.ours {
            return;
        }
        let (name, id) = (case.topic(&"long/".repeat(20)), case.id("c"));
        let properties = [Property::TopicAliasMaximum(4)];
        let mut client = case.connect(&Connect {
            properties: Properties::new(&properties),
            ..Connect::new(case.version, &id)
        });
        client.subscribe(&name, AtLeastOnce);
        let mut publisher = case.client("p");
        let lengths: Vec<_> = (0..3)
            .map(|number| {
                publisher.publish(&name, &number.to_string(), AtLeastOnce);
                let message = client.message();
                client.acknowledge(&message);
                // The client knows what an alias stands for.
                assert_eq!(message.topic, name);
                message.bytes.len()
            })
            .collect();
        assert!(lengths[0] > name.len());
        assert_eq!(lengths[1..], [11, 11]);
    });
}
