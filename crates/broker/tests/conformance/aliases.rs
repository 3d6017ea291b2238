//! Topic aliases in both directions (section 3.3.2.3.4).

use std::num::NonZeroU16;

use declic_mqtt::QoS::{AtLeastOnce, AtMostOnce};
use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Connect, Packet, Properties, Property, Publish};

use crate::case::{Case, join, packet, string, v5};
use crate::client::{Client, topic};

fn alias(number: u16) -> [Property<'static>; 1] {
    [Property::TopicAlias(
        NonZeroU16::new(number).expect("not 0"),
    )]
}

/// Publishes with an alias, and with a topic or without.
fn publish(client: &mut Client, name: Option<&str>, number: u16, payload: &str) {
    let properties = alias(number);
    client.send(Packet::Publish(Publish {
        topic: name.map(topic),
        properties: Properties::new(&properties),
        ..Publish::new(topic("unused"), payload.as_bytes())
    }));
}

/// A client, and the highest alias that it may use.
fn connect(case: &Case) -> (Client, u16) {
    let name = case.id("c");
    let mut client = case.open();
    let received = client.try_connect(&Connect::new(case.version, &name));
    let maximum = received.connack().properties.topic_alias_maximum();
    (client, maximum.expect("aliases are allowed"))
}

/// v5 [MQTT-3.3.2-12], [MQTT-3.2.2-17]
#[test]
fn every_alias_up_to_the_maximum_is_accepted() {
    v5(|case| {
        let (mut client, maximum) = connect(case);
        let mut watcher = case.client("w");
        watcher.subscribe(&case.topic("+"), AtMostOnce);
        for number in 1..=maximum {
            let name = case.topic(&number.to_string());
            publish(&mut client, Some(&name), number, "");
        }
        for number in (1..=maximum).rev() {
            publish(&mut client, None, number, "again");
        }
        for number in 1..=maximum {
            let name = case.topic(&number.to_string());
            assert_eq!(watcher.message().topic, name);
        }
        for number in (1..=maximum).rev() {
            let received = watcher.message();
            let name = case.topic(&number.to_string());
            assert_eq!(
                (received.topic.as_str(), received.payload()),
                (&*name, "again")
            );
        }
    });
}

/// v5 [MQTT-3.3.2-12]
#[test]
fn an_alias_may_be_given_to_another_topic() {
    v5(|case| {
        let (mut client, _) = connect(case);
        let mut watcher = case.client("w");
        watcher.subscribe(&case.topic("+"), AtMostOnce);
        for name in ["a", "b"].map(|name| case.topic(name)) {
            publish(&mut client, Some(&name), 1, "");
            publish(&mut client, None, 1, "");
            assert_eq!(watcher.message().topic, name);
            assert_eq!(watcher.message().topic, name);
        }
    });
}

/// v5 [MQTT-3.3.2-8], [MQTT-4.13.1-1]
#[test]
fn the_alias_0_closes_the_connection() {
    v5(|case| {
        let body = join(&[&string(case.topic("t")), &[3, 0x23, 0, 0], b"x"]);
        let mut client = case.client("c");
        client.send_bytes(&packet(0x30, &body));
        client.closed();
    });
}

/// v5 [MQTT-3.3.2-9], [MQTT-3.2.2-17], [MQTT-3.2.2-18], [MQTT-4.13.1-1]
#[test]
fn an_alias_above_the_maximum_closes_the_connection() {
    v5(|case| {
        let (mut client, maximum) = connect(case);
        publish(&mut client, Some(&case.topic("t")), maximum + 1, "x");
        client.closed_with(ReasonCode::TopicAliasInvalid);
    });
}

/// v5 [MQTT-3.3.2-7]
#[test]
fn an_alias_lasts_as_long_as_its_connection() {
    v5(|case| {
        let mut client = case.lasting("c");
        publish(&mut client, Some(&case.topic("t")), 1, "x");
        client.ping();
        client.disconnect();
        let mut client = case.lasting("c");
        publish(&mut client, None, 1, "x");
        client.closed_with(ReasonCode::ProtocolError);
    });
}

/// A subscriber that accepts that many aliases.
fn accepting(case: &Case, maximum: u16) -> Client {
    let name = case.id("w");
    let properties = [
        Property::TopicAliasMaximum(maximum),
        Property::SessionExpiryInterval(300),
    ];
    case.connect(&Connect {
        clean_start: false,
        properties: Properties::new(&properties),
        ..Connect::new(case.version, &name)
    })
}

/// v5 [MQTT-3.1.2-26], [MQTT-3.3.2-11], [MQTT-3.3.2-8]
#[test]
fn the_broker_sends_no_alias_above_the_clients_maximum() {
    v5(|case| {
        for maximum in [1, 2, 5] {
            let mut client = accepting(case, maximum);
            client.subscribe(&case.topic("+"), AtMostOnce);
            let mut publisher = case.client("p");
            let names = [
                "a", "b", "c", "a", "c", "a", "d", "d", "b", "a", "e", "f", "a",
            ];
            for name in names {
                publisher.publish(&case.topic(name), name, AtMostOnce);
            }
            for name in names {
                let received = client.message();
                // The client has resolved it: an alias always means the right topic.
                assert_eq!(received.topic, case.topic(received.payload()));
                assert_eq!(received.payload(), name);
                let alias = received.publish().properties.topic_alias();
                assert!(alias.is_none_or(|alias| alias.get() <= maximum));
            }
        }
    });
}

/// v5 [MQTT-3.1.2-27], [MQTT-3.3.2-11]
#[test]
fn the_broker_sends_no_alias_to_a_client_that_accepts_none() {
    v5(|case| {
        let mut publisher = case.client("p");
        let mut zero = accepting(case, 0);
        let mut absent = case.client("a");
        for client in [&mut zero, &mut absent] {
            client.subscribe(&case.topic("+"), AtMostOnce);
        }
        for _ in 0..3 {
            publisher.publish(&case.topic("t"), "x", AtMostOnce);
            for client in [&mut zero, &mut absent] {
                let received = client.message();
                assert_eq!(received.publish().properties.topic_alias(), None);
            }
        }
    });
}

/// v5 [MQTT-3.3.2-7], [MQTT-3.1.2-26]
#[test]
fn the_brokers_aliases_last_as_long_as_the_connection() {
    v5(|case| {
        let name = case.topic("t");
        let mut publisher = case.client("p");
        let mut client = accepting(case, 3);
        client.subscribe(&name, AtLeastOnce);
        for _ in 0..3 {
            publisher.publish(&name, "x", AtLeastOnce);
            client.message();
        }
        client.lose();
        // All three again, and the first has to have its topic.
        let mut client = accepting(case, 3);
        for _ in 0..3 {
            assert_eq!(client.message().topic, name);
        }
    });
}
