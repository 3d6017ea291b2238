//! Sessions: what is kept between connections (sections 3.1.2.4 and 4.1).

use declic_mqtt::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use declic_mqtt::ReasonCode;
use declic_mqtt::packet::{Connect, Disconnect, Packet, Properties, Property};

use crate::case::{both, v3_1_1, v5};

/// v3.1.1 [MQTT-3.1.2-4], [MQTT-3.1.2-5], [MQTT-4.1.0-1], [MQTT-4.5.0-1];
/// v5 [MQTT-3.1.2-5], [MQTT-3.1.2-23], [MQTT-4.5.0-1]
#[test]
fn a_session_keeps_its_subscriptions_and_the_messages_for_them() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.lasting("c");
        client.subscribe(&name, ExactlyOnce);
        client.disconnect();
        let mut publisher = case.client("p");
        publisher.publish(&name, "1", AtLeastOnce);
        publisher.publish(&name, "2", ExactlyOnce);
        let (mut client, present) = case.lasting_present("c");
        assert!(present);
        for (payload, qos) in [("1", AtLeastOnce), ("2", ExactlyOnce)] {
            let message = client.message();
            assert_eq!((message.payload(), message.qos()), (payload, qos));
            assert!(!message.publish().dup, "never sent before");
            client.acknowledge(&message);
        }
        publisher.publish(&name, "3", AtLeastOnce);
        assert_eq!(client.message().payload(), "3");
    });
}

/// v3.1.1 [MQTT-3.1.2-4]; v5 [MQTT-3.1.2-6]
#[test]
fn where_there_is_no_session_a_new_one_begins() {
    both(|case| {
        let (mut client, present) = case.lasting_present("c");
        assert!(!present);
        client.ping();
        assert!(client.settle().is_empty());
    });
}

/// v3.1.1 [MQTT-3.1.2-6]; v5 [MQTT-3.1.2-4]
#[test]
fn a_clean_start_discards_what_there_was() {
    both(|case| {
        let name = case.topic("t");
        let mut client = case.lasting("c");
        client.subscribe(&name, AtLeastOnce);
        client.disconnect();
        let mut publisher = case.client("p");
        publisher.publish(&name, "waits", AtLeastOnce);
        let mut clean = case.client("c");
        publisher.publish(&name, "new", AtLeastOnce);
        assert!(clean.settle().is_empty());
    });
}

/// v3.1.1 [MQTT-3.1.2-6]
#[test]
fn a_clean_session_ends_with_its_connection() {
    v3_1_1(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.subscribe(&name, AtLeastOnce);
        client.disconnect();
        case.client("p").publish(&name, "x", AtLeastOnce);
        let (mut client, present) = case.lasting_present("c");
        assert!(!present);
        assert!(client.settle().is_empty());
    });
}

/// v3.1.1 [MQTT-3.1.2.7]
#[test]
fn a_retained_message_outlives_the_session_that_published_it() {
    v3_1_1(|case| {
        let name = case.topic("t");
        let mut client = case.client("c");
        client.retain(&name, "kept", AtLeastOnce);
        client.disconnect();
        let mut late = case.client("c");
        late.subscribe(&name, AtMostOnce);
        assert_eq!(late.message().payload(), "kept");
        late.retain(&name, "", AtLeastOnce);
    });
}

/// v3.1.1 [MQTT-4.1.0-2]; v5 [MQTT-4.1.0-1]
#[test]
fn a_session_lasts_as_long_as_its_connection() {
    both(|case| {
        let name = case.topic("t");
        // Its expiry is 0, and it is clean: it has only the connection.
        let mut client = case.client("c");
        client.subscribe(&name, AtLeastOnce);
        let mut publisher = case.client("p");
        for number in 0..10 {
            publisher.publish(&name, &number.to_string(), AtLeastOnce);
            let message = client.message();
            assert_eq!(message.payload(), number.to_string());
            client.acknowledge(&message);
        }
    });
}

/// v5 [MQTT-3.1.2-23], [MQTT-4.1.0-2]
#[test]
fn a_session_without_an_expiry_ends_with_its_connection() {
    v5(|case| {
        let name = case.id("c");
        let connect = Connect {
            clean_start: false,
            ..Connect::new(case.version, &name)
        };
        case.connect(&connect).disconnect();
        assert!(!case.lasting_present("c").1);
    });
}

/// v5 [MQTT-4.1.0-2]
#[test]
fn a_client_may_change_the_expiry_when_it_disconnects() {
    v5(|case| {
        let mut client = case.lasting("c");
        let properties = [Property::SessionExpiryInterval(0)];
        client.send(Packet::Disconnect(Disconnect {
            properties: Properties::new(&properties),
            ..Disconnect::new(ReasonCode::NORMAL_DISCONNECTION)
        }));
        client.closed();
        assert!(!case.lasting_present("c").1);
    });
}

/// v5 [MQTT-4.13.1-1]
#[test]
fn an_expiry_of_0_can_t_be_raised_when_the_client_disconnects() {
    v5(|case| {
        let mut client = case.client("c");
        let properties = [Property::SessionExpiryInterval(10)];
        client.send(Packet::Disconnect(Disconnect {
            properties: Properties::new(&properties),
            ..Disconnect::new(ReasonCode::NORMAL_DISCONNECTION)
        }));
        client.closed_with(ReasonCode::ProtocolError);
        assert!(!case.lasting_present("c").1);
    });
}
