//! Two connections with one client identifier (section 3.1.4).

use declic_mqtt::QoS::{AtLeastOnce, AtMostOnce};
use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Connect, Disconnect, Packet};

use crate::case::{both, v5};

/// v3.1.1 [MQTT-3.1.4-2]; v5 [MQTT-3.1.4-3]
#[test]
fn a_new_connection_ends_the_old_one_with_the_same_identifier() {
    both(|case| {
        let old = case.client("c");
        let mut new = case.client("c");
        old.closed_with(ReasonCode::SessionTakenOver);
        new.ping();
    });
}

/// v5 [MQTT-3.14.2-1], [MQTT-3.14.2-2], [MQTT-3.14.4-1], [MQTT-3.14.4-2]
#[test]
fn a_disconnect_is_the_last_that_the_broker_sends() {
    v5(|case| {
        let name = case.topic("t");
        let mut old = case.lasting("c");
        old.subscribe(&name, AtMostOnce);
        let mut new = case.lasting("c");
        new.publish(&name, "for the new one", AtMostOnce);
        let all = old.closed();
        let all: Vec<_> = all.iter().map(|one| one.packet()).collect();
        // Without an expiry, or any other property.
        let taken_over = Disconnect::new(ReasonCode::SessionTakenOver);
        let told = all == [Packet::Disconnect(taken_over)];
        assert!(told || (all.is_empty() && !case.subject.ours), "{all:?}");
        assert_eq!(new.message().payload(), "for the new one");
    });
}

/// v3.1.1 [MQTT-3.1.2-4], [MQTT-3.1.2-8]; v5 [MQTT-3.1.2-5], [MQTT-3.1.2-8]
#[test]
fn a_session_that_is_taken_over_keeps_its_state_and_its_will_is_published() {
    both(|case| {
        let (name, id, will) = (case.topic("t"), case.id("c"), case.topic("w"));
        let mut watcher = case.client("watch");
        watcher.subscribe(&will, AtMostOnce);
        let mut old = case.connect(&Connect {
            will: Some(crate::wills::will(&will, b"taken over", AtMostOnce)),
            ..crate::case::lasting(case.version, &id)
        });
        old.subscribe(&name, AtLeastOnce);
        let mut publisher = case.client("p");
        publisher.publish(&name, "unacknowledged", AtLeastOnce);
        let sent = old.message();
        let (mut new, present) = case.lasting_present("c");
        assert!(present);
        let again = new.message();
        assert_eq!(again.packet_id(), sent.packet_id());
        assert!(again.publish().dup);
        new.acknowledge(&again);
        publisher.publish(&name, "next", AtLeastOnce);
        assert_eq!(new.message().payload(), "next");
        assert_eq!(watcher.message().payload(), "taken over");
        old.closed();
    });
}
