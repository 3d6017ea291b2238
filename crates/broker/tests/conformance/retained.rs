//! Retained messages (section 3.3.1.3).

use declic_mqtt::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use declic_mqtt::packet::{RetainHandling, Subscription};

use crate::case::{Case, both, v3_1_1, v5};
use crate::client::{Client, subscription};

/// Payloads of the retained messages that a new subscriber gets.
fn kept(case: &Case, filter: &str) -> Vec<String> {
    let mut client = case.client("late");
    client.subscribe(&case.topic(filter), ExactlyOnce);
    client.payloads()
}

fn forget(mut client: Client, case: &Case, names: &[&str]) {
    for name in names {
        client.retain(&case.topic(name), "", AtLeastOnce);
    }
}

/// v3.1.1 [MQTT-3.3.1-5], [MQTT-3.3.1-6], [MQTT-3.3.1-8]; v5 [MQTT-3.3.1-5], [MQTT-3.3.1-9]
#[test]
fn the_last_retained_message_of_each_topic_is_kept_with_its_qos() {
    both(|case| {
        let mut client = case.client("c");
        for (name, qos) in [("0", AtMostOnce), ("1", AtLeastOnce), ("2", ExactlyOnce)] {
            client.retain(&case.topic(name), "old", AtLeastOnce);
            client.retain(&case.topic(name), name, qos);
        }
        let mut late = case.client("late");
        late.subscribe(&case.topic("+"), ExactlyOnce);
        let mut received = late.settle();
        received.sort_by_key(|one| one.payload().to_owned());
        assert_eq!(received.len(), 3);
        for (message, qos) in received.iter().zip([AtMostOnce, AtLeastOnce, ExactlyOnce]) {
            assert_eq!(message.payload(), (qos as u8).to_string());
            assert_eq!(message.qos(), qos);
            assert!(message.publish().retain);
        }
        forget(client, case, &["0", "1", "2"]);
    });
}

/// v3.1.1 [MQTT-3.3.1-7]; v5 [MQTT-3.3.1-5]
#[test]
fn a_retained_message_of_qos_0_takes_the_place_of_the_last_one() {
    both(|case| {
        let mut client = case.client("c");
        client.retain(&case.topic("t"), "old", ExactlyOnce);
        client.retain(&case.topic("t"), "new", AtMostOnce);
        assert_eq!(kept(case, "t"), ["new"]);
        forget(client, case, &["t"]);
    });
}

/// v3.1.1 [MQTT-3.3.1-9]; v5 [MQTT-3.3.1-12]
#[test]
fn a_message_for_a_subscription_that_was_there_has_no_retain_flag() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.subscribe(&name, AtLeastOnce);
        client.retain(&name, "x", AtLeastOnce);
        assert!(!client.message().publish().retain);
        forget(client, case, &["t"]);
    });
}

/// v3.1.1 [MQTT-3.3.1-10], [MQTT-3.3.1-11]; v5 [MQTT-3.3.1-6], [MQTT-3.3.1-7]
#[test]
fn an_empty_retained_message_is_delivered_and_nothing_is_kept() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.retain(&name, "kept", AtLeastOnce);
        let mut watcher = case.client("w");
        watcher.subscribe(&name, AtMostOnce);
        assert_eq!(watcher.message().payload(), "kept");
        client.retain(&name, "", AtLeastOnce);
        let received = watcher.message();
        assert_eq!((received.payload(), received.publish().retain), ("", false));
        assert_eq!(kept(case, "t"), Vec::<String>::new());
    });
}

/// v3.1.1 [MQTT-3.3.1-12]; v5 [MQTT-3.3.1-8]
#[test]
fn a_message_without_the_retain_flag_changes_nothing_that_is_kept() {
    both(|case| {
        let mut client = case.client("c");
        client.publish(&case.topic("new"), "x", AtLeastOnce);
        assert_eq!(kept(case, "new"), Vec::<String>::new());
        client.retain(&case.topic("t"), "kept", AtLeastOnce);
        client.publish(&case.topic("t"), "passing", AtLeastOnce);
        client.publish(&case.topic("t"), "", AtLeastOnce);
        assert_eq!(kept(case, "t"), ["kept"]);
        forget(client, case, &["t"]);
    });
}

/// v3.1.1 [MQTT-3.8.4-3]
#[test]
fn retained_messages_come_again_with_the_same_subscription() {
    v3_1_1(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.retain(&name, "kept", AtLeastOnce);
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce, AtMostOnce] {
            client.subscribe(&name, qos);
            let received = client.settle();
            assert_eq!(received.len(), 1);
            assert_eq!(received[0].qos(), qos.min(AtLeastOnce));
            client.acknowledge(&received[0]);
        }
        forget(client, case, &["t"]);
    });
}

/// v5 [MQTT-3.3.1-9], [MQTT-3.8.4-4]
#[test]
fn retain_handling_0_sends_retained_messages_with_every_subscribe() {
    v5(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.retain(&name, "kept", AtMostOnce);
        for _ in 0..3 {
            client.subscribe(&name, AtMostOnce);
            assert_eq!(client.payloads(), ["kept"]);
        }
        forget(client, case, &["t"]);
    });
}

/// v5 [MQTT-3.3.1-10]
#[test]
fn retain_handling_1_sends_retained_messages_with_a_new_subscription() {
    v5(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.retain(&name, "kept", AtMostOnce);
        let new = Subscription {
            retain_handling: RetainHandling::OnNewSubscription,
            ..subscription(&name, AtMostOnce)
        };
        client.subscribe_with(new, &[]);
        assert_eq!(client.payloads(), ["kept"]);
        client.subscribe_with(new, &[]);
        assert_eq!(client.payloads(), Vec::<String>::new());
        client.unsubscribe(&[&name]);
        client.subscribe_with(new, &[]);
        assert_eq!(client.payloads(), ["kept"]);
        forget(client, case, &["t"]);
    });
}

/// v5 [MQTT-3.3.1-11]
#[test]
fn retain_handling_2_sends_no_retained_messages() {
    v5(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.retain(&name, "kept", AtMostOnce);
        let never = Subscription {
            retain_handling: RetainHandling::Never,
            ..subscription(&name, AtMostOnce)
        };
        client.subscribe_with(never, &[]);
        assert_eq!(client.payloads(), Vec::<String>::new());
        forget(client, case, &["t"]);
    });
}

/// v5 [MQTT-3.3.1-12], [MQTT-3.3.1-13]
#[test]
fn retain_as_published_keeps_the_flag() {
    v5(|case| {
        let name = case.topic("t");
        let mut keeps = case.client("k");
        keeps.subscribe_with(
            Subscription {
                retain_as_published: true,
                ..subscription(&name, AtMostOnce)
            },
            &[],
        );
        let mut clears = case.client("c");
        clears.subscribe(&name, AtMostOnce);
        let mut publisher = case.client("p");
        publisher.retain(&name, "retained", AtMostOnce);
        publisher.publish(&name, "not", AtMostOnce);
        let flags = |client: &mut Client| {
            let all = client.settle();
            let flags: Vec<_> = all.iter().map(|one| one.publish().retain).collect();
            flags
        };
        assert_eq!(flags(&mut keeps), [true, false]);
        assert_eq!(flags(&mut clears), [false, false]);
        forget(publisher, case, &["t"]);
    });
}
