//! Shared subscriptions (section 4.8.2).

use declic_mqtt::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Ack, Packet, PacketKind};

use crate::case::{Case, join, packet, string, v5};
use crate::client::{Client, ack};

fn share(case: &Case, group: &str) -> String {
    format!("$share/{group}/{}", case.topic("t"))
}

fn publish(case: &Case, payloads: &[&str], qos: declic_mqtt::QoS) {
    let mut publisher = case.client("p");
    for payload in payloads {
        publisher.publish(&case.topic("t"), payload, qos);
    }
}

/// v5 [MQTT-4.8.2-1], [MQTT-4.8.2-2]
#[test]
fn a_malformed_shared_subscription_is_not_accepted() {
    v5(|case| {
        let name = case.topic("t");
        for filter in [
            "$share/".to_owned(),
            "$share/g".to_owned(),
            "$share/g/".to_owned(),
            format!("$share//{name}"),
            format!("$share/g+/{name}"),
            format!("$share/#/{name}"),
            format!("$share/+/{name}"),
            format!("$share/g/{name}/#/x"),
        ] {
            let body = join(&[&[0, 1, 0], &string(&filter), &[0]]);
            let mut client = case.client("c");
            client.send_bytes(&packet(0x82, &body));
            // Closed, or refused with a code.
            for received in client.answered_or_closed(PacketKind::SubAck) {
                match received.packet() {
                    Packet::SubAck(suback) => {
                        assert!(suback.reasons.iter().all(|one| one.is_error()), "{filter}");
                    }
                    Packet::Disconnect(disconnect) => assert!(disconnect.reason.is_error()),
                    other => panic!("{other:?}"),
                }
            }
        }
    });
}

/// v5 [MQTT-4.8.2-1], [MQTT-4.8.2-2]
#[test]
fn each_message_goes_to_one_of_each_group_and_to_all_others() {
    v5(|case| {
        let mut clients: Vec<Client> = Vec::new();
        for (name, group) in [("a", "g"), ("b", "g"), ("c", "h"), ("d", "h")] {
            let mut client = case.client(name);
            client.subscribe(&share(case, group), AtLeastOnce);
            clients.push(client);
        }
        let mut plain = case.client("e");
        plain.subscribe(&case.topic("t"), AtLeastOnce);
        let payloads = ["1", "2", "3", "4", "5", "6"];
        publish(case, &payloads, AtLeastOnce);
        assert_eq!(plain.payloads(), payloads);
        for group in clients.chunks_mut(2) {
            let mut all: Vec<_> = group.iter_mut().flat_map(Client::payloads).collect();
            all.sort();
            assert_eq!(all, payloads);
        }
    });
}

/// v5 [MQTT-4.8.2-3]
#[test]
fn each_member_of_a_group_has_its_own_qos() {
    v5(|case| {
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            let mut client = case.client("c");
            client.subscribe(&share(case, "g"), qos);
            publish(case, &["x"], ExactlyOnce);
            let message = client.message();
            assert_eq!(message.qos(), qos);
            client.acknowledge(&message);
            client.disconnect();
        }
    });
}

/// v5 [MQTT-4.8.2-4]
#[test]
fn a_member_that_is_back_gets_the_message_that_was_on_its_way() {
    v5(|case| {
        let mut first = case.lasting("a");
        first.subscribe(&share(case, "g"), ExactlyOnce);
        publish(case, &["x"], ExactlyOnce);
        let sent = first.message();
        let mut second = case.client("b");
        second.subscribe(&share(case, "g"), ExactlyOnce);
        first.lose();
        assert!(second.settle().is_empty());
        let mut first = case.lasting("a");
        let again = first.message();
        assert_eq!(again.packet_id(), sent.packet_id());
        assert!(again.publish().dup);
        first.acknowledge(&again);
        assert!(second.settle().is_empty());
    });
}

/// v5 [MQTT-4.8.2-5]
#[test]
fn a_message_of_qos_2_on_its_way_to_a_session_that_ends_goes_to_nobody_else() {
    v5(|case| {
        let mut first = case.client("a");
        first.subscribe(&share(case, "g"), ExactlyOnce);
        publish(case, &["x"], ExactlyOnce);
        first.message();
        let mut second = case.client("b");
        second.subscribe(&share(case, "g"), ExactlyOnce);
        first.disconnect();
        assert!(second.settle().is_empty());
        publish(case, &["next"], ExactlyOnce);
        assert_eq!(second.payloads(), ["next"]);
    });
}

/// v5 [MQTT-4.8.2-6]
#[test]
fn a_message_that_a_member_refuses_goes_to_nobody_else() {
    v5(|case| {
        let mut members = ["a", "b"].map(|name| case.client(name));
        for member in &mut members {
            member.subscribe(&share(case, "g"), ExactlyOnce);
        }
        for (qos, kind) in [
            (AtLeastOnce, PacketKind::PubAck),
            (ExactlyOnce, PacketKind::PubRec),
        ] {
            publish(case, &["x"], qos);
            let received = members.each_mut().map(Client::settle);
            let [first, second] = received.each_ref().map(Vec::len);
            assert_eq!(first + second, 1);
            let at = usize::from(second == 1);
            let refusal = Ack {
                reason: ReasonCode::UnspecifiedError,
                ..ack(received[at][0].packet_id())
            };
            members[at].send(match kind {
                PacketKind::PubAck => Packet::PubAck(refusal),
                _ => Packet::PubRec(refusal),
            });
            for member in &mut members {
                assert!(member.settle().is_empty());
            }
        }
    });
}

/// v5 [MQTT-4.8.2-1]
#[test]
fn who_leaves_a_group_gets_no_more_and_the_others_get_all() {
    v5(|case| {
        let mut clients = ["a", "b", "c"].map(|name| case.client(name));
        for client in &mut clients {
            client.subscribe(&share(case, "g"), AtLeastOnce);
        }
        let [mut stays, mut unsubscribes, goes] = clients;
        unsubscribes.unsubscribe(&[&share(case, "g")]);
        goes.disconnect();
        publish(case, &["1", "2", "3", "4"], AtLeastOnce);
        assert_eq!(stays.payloads(), ["1", "2", "3", "4"]);
        assert!(unsubscribes.settle().is_empty());
    });
}

/// Section 4.8.2: it should, so only our own broker has to.
#[test]
fn messages_of_a_member_that_goes_are_given_to_the_others() {
    v5(|case| {
        let mut goes = case.with_receive_maximum("a", 1);
        goes.subscribe(&share(case, "g"), AtLeastOnce);
        publish(case, &["1", "2", "3"], AtLeastOnce);
        assert_eq!(goes.message().payload(), "1");
        let mut stays = case.client("b");
        stays.subscribe(&share(case, "g"), AtLeastOnce);
        goes.lose();
        publish(case, &["4"], AtLeastOnce);
        let received: Vec<_> = match case.subject.ours {
            true => (0..4).map(|_| stays.message()).collect(),
            false => vec![stays.message()],
        };
        let payloads: Vec<_> = received.iter().map(|one| one.payload()).collect();
        assert!(payloads.contains(&"4"));
        assert!(payloads.len() == 1 || ["1", "2", "3"].iter().all(|one| payloads.contains(one)));
    });
}
