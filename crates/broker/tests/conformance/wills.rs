//! Wills (sections 3.1.2.5 to 3.1.2.7 and 3.1.3.2).

use std::time::Duration;

use declic_mqtt::QoS::{self, AtLeastOnce, AtMostOnce, ExactlyOnce};
use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Connect, Disconnect, Packet, Properties, Property, Will};

use crate::case::{Case, both, v5};
use crate::client::{Client, subscription, topic};

pub fn will<'a>(name: &'a str, payload: &'a [u8], qos: QoS) -> Will<'a> {
    Will {
        topic: topic(name),
        payload,
        qos,
        retain: false,
        properties: Properties::EMPTY,
    }
}

/// A client with a will on the topic `w`, and one that watches it.
fn with_will<'a>(case: &Case, change: impl FnOnce(&mut Will<'a>)) -> (Client, Client) {
    let (name, topic) = (case.id("c"), case.topic("w"));
    let mut watcher = case.client("watch");
    watcher.subscribe(&topic, ExactlyOnce);
    let mut changed = will("w", b"gone", AtMostOnce);
    change(&mut changed);
    let client = case.connect(&Connect {
        will: Some(Will {
            topic: crate::client::topic(&topic),
            ..changed
        }),
        ..Connect::new(case.version, &name)
    });
    (client, watcher)
}

/// v3.1.1 [MQTT-3.1.2-8]; v5 [MQTT-3.1.2-7], [MQTT-3.1.2-8]
#[test]
fn a_will_is_published_when_the_connection_is_lost() {
    both(|case| {
        let (client, mut watcher) = with_will(case, |_| {});
        assert!(watcher.settle().is_empty());
        client.lose();
        assert_eq!(watcher.message().payload(), "gone");
    });
}

/// v3.1.1 [MQTT-3.1.2-8]; v5 [MQTT-3.1.2-8]
#[test]
fn a_will_is_published_when_the_client_breaks_the_protocol() {
    both(|case| {
        let (mut client, mut watcher) = with_will(case, |_| {});
        client.send_bytes(&[0x36, 0]);
        client.closed();
        assert_eq!(watcher.message().payload(), "gone");
    });
}

/// v3.1.1 [MQTT-3.1.2-9]; v5 [MQTT-3.1.2-9]
#[test]
fn a_will_is_published_with_its_qos() {
    both(|case| {
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            let (client, mut watcher) = with_will(case, |will| will.qos = qos);
            client.lose();
            assert_eq!(watcher.message().qos(), qos);
        }
    });
}

/// v3.1.1 [MQTT-3.1.2-10], [MQTT-3.14.4-3]; v5 [MQTT-3.1.2-10], [MQTT-3.14.4-3]
#[test]
fn a_will_is_forgotten_when_the_client_disconnects() {
    both(|case| {
        let (client, mut watcher) = with_will(case, |_| {});
        client.disconnect();
        case.client("c").disconnect();
        assert!(watcher.settle().is_empty());
    });
}

/// v3.1.1 [MQTT-3.1.2-10], [MQTT-3.1.2-12]; v5 [MQTT-3.1.2-10]
#[test]
fn a_will_is_published_once_and_only_by_a_client_that_has_one() {
    both(|case| {
        let (client, mut watcher) = with_will(case, |_| {});
        client.lose();
        assert_eq!(watcher.message().payload(), "gone");
        let mut without = case.lasting("c");
        without.ping();
        without.lose();
        case.lasting("c").disconnect();
        assert!(watcher.settle().is_empty());
    });
}

/// v3.1.1 [MQTT-3.1.2-16]; v5 [MQTT-3.1.2-14]
#[test]
fn a_will_without_the_retain_flag_is_not_retained() {
    both(|case| {
        let (client, mut watcher) = with_will(case, |_| {});
        client.lose();
        assert_eq!(watcher.message().payload(), "gone");
        let mut late = case.client("late");
        late.subscribe(&case.topic("w"), AtMostOnce);
        assert!(late.settle().is_empty());
    });
}

/// v3.1.1 [MQTT-3.1.2-17]; v5 [MQTT-3.1.2-15]
#[test]
fn a_will_with_the_retain_flag_is_retained() {
    both(|case| {
        let (client, mut watcher) = with_will(case, |will| will.retain = true);
        client.lose();
        assert!(!watcher.message().publish().retain);
        let mut late = case.client("late");
        late.subscribe(&case.topic("w"), AtMostOnce);
        let kept = late.message();
        assert!(kept.publish().retain);
        assert_eq!(kept.payload(), "gone");
        late.retain(&case.topic("w"), "", AtMostOnce);
    });
}

/// v5 [MQTT-3.1.3-10], [MQTT-3.3.2-17], [MQTT-3.3.2-18]
#[test]
fn a_wills_properties_are_published_with_it_in_order() {
    v5(|case| {
        let properties = [
            Property::UserProperty(("b", "1")),
            Property::ContentType("text/plain"),
            Property::UserProperty(("a", "2")),
            Property::UserProperty(("b", "1")),
        ];
        let (client, mut watcher) =
            with_will(case, |will| will.properties = Properties::new(&properties));
        client.lose();
        let message = watcher.message();
        let received = message.publish().properties;
        let user: Vec<_> = received.user_properties().collect();
        assert_eq!(user, [("b", "1"), ("a", "2"), ("b", "1")]);
        assert_eq!(received.content_type(), Some("text/plain"));
    });
}

/// v5 [MQTT-3.14.4-3], [MQTT-3.1.2-10]
#[test]
fn a_client_may_disconnect_and_have_its_will_published() {
    v5(|case| {
        let (mut client, mut watcher) = with_will(case, |_| {});
        client.send(Packet::Disconnect(Disconnect::new(
            ReasonCode::DisconnectWithWill,
        )));
        client.closed();
        assert_eq!(watcher.message().payload(), "gone");
    });
}

/// A client with a will that waits for `delay` seconds, in a session that lasts for `expiry`.
pub fn delayed(case: &Case, delay: u32, expiry: u32) -> Client {
    let (name, topic) = (case.id("c"), case.topic("w"));
    let delay = [Property::WillDelayInterval(delay)];
    let expiry = [Property::SessionExpiryInterval(expiry)];
    case.connect(&Connect {
        clean_start: false,
        will: Some(Will {
            properties: Properties::new(&delay),
            ..will(&topic, b"gone", AtMostOnce)
        }),
        properties: Properties::new(&expiry),
        ..Connect::new(case.version, &name)
    })
}

/// v5 [MQTT-3.1.3-9], [MQTT-3.1.2-8]
#[test]
fn a_delayed_will_is_not_published_when_the_client_is_back_in_time() {
    v5(|case| {
        let mut watcher = case.client("watch");
        watcher.subscribe(&case.topic("w"), AtMostOnce);
        delayed(case, 2, 300).lose();
        let mut client = case.lasting("c");
        watcher.silent_for(Duration::from_millis(2_300));
        client.ping();
    });
}

/// v5 [MQTT-3.1.2-8], [MQTT-4.1.0-2]
#[test]
fn a_delayed_will_is_published_when_the_session_ends_before() {
    v5(|case| {
        let mut watcher = case.client("watch");
        watcher.subscribe(&case.topic("w"), AtMostOnce);
        delayed(case, 100, 1).lose();
        assert_eq!(watcher.message().payload(), "gone");
        // And the session is gone with all that it had.
        assert!(!case.lasting_present("c").1);
    });
}

/// v5 [MQTT-3.1.2-8]
#[test]
fn a_delayed_will_is_published_when_a_clean_start_ends_the_session() {
    v5(|case| {
        let mut watcher = case.client("watch");
        watcher.subscribe_with(subscription(&case.topic("w"), AtMostOnce), &[]);
        delayed(case, 100, 300).lose();
        assert!(watcher.settle().is_empty());
        case.client("c");
        assert_eq!(watcher.message().payload(), "gone");
    });
}
