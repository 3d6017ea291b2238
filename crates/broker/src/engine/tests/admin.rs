//! Whoever runs the broker: clients and retained messages listed and ended.

use declic_mqtt::packet::{Connect, Disconnect, Packet, Properties, Property};
use declic_mqtt::{ReasonCode, TopicFilter};

use super::harness::*;
use crate::engine::CloseReason;

fn filter(text: &str) -> TopicFilter<'_> {
    TopicFilter::new(text).expect("a valid filter")
}

#[test]
fn all_sessions_are_listed_in_pages_of_any_size() {
    let mut world = World::new();
    for number in 0..10 {
        world.client(V5, &format!("client-{number}"));
    }
    for limit in [1, 3, 10, 100] {
        let (mut listed, mut start) = (Vec::new(), Some(0));
        while let Some(at) = start {
            let page = world.engine.clients(at, limit);
            assert!(page.clients.len() <= limit);
            listed.extend(page.clients.into_iter().map(|client| client.client_id));
            start = page.next;
        }
        listed.sort();
        assert_eq!(listed.len(), 10, "{listed:?}");
        listed.dedup();
        assert_eq!(listed.len(), 10, "{listed:?}");
    }
}

#[test]
fn a_client_that_is_away_is_listed_with_its_session() {
    let mut world = World::new();
    let connect = Connect {
        clean_start: false,
        ..Connect::new(V3_1_1, "away")
    };
    let (conn, _) = world.connect(&connect);
    world.lose(conn);
    let page = world.engine.clients(0, 10);
    let [client] = &page.clients[..] else {
        panic!("one client: {page:?}");
    };
    assert_eq!(&*client.client_id, "away");
    assert_eq!((client.connection, client.version), (None, None));
    assert_eq!(client.session_expiry, u32::MAX);
    assert_eq!(world.engine.stats().clients, 0);
}

/// v5 [MQTT-3.14.4-1]: the server says why before it closes.
#[test]
fn a_disconnected_client_of_5_is_told_the_reason_and_keeps_its_session() {
    let mut world = World::new();
    let mut connect = Connect::new(V5, "one");
    let expiry = [Property::SessionExpiryInterval(60)];
    connect.properties = Properties::new(&expiry);
    let (conn, _) = world.connect(&connect);
    let now = world.now;
    let reason = ReasonCode::AdministrativeAction;
    assert!(world.engine.disconnect("one", reason, false, now));
    world.step();
    world.expect(conn, &[Packet::Disconnect(Disconnect::new(reason))]);
    assert_eq!(
        world.closed(conn),
        Some(CloseReason::Administrative(reason))
    );
    assert_eq!(world.engine.stats().sessions, 1);
    assert!(!world.engine.disconnect("one", reason, false, now), "away");
    assert!(!world.engine.disconnect("two", reason, true, now), "nobody");
    assert!(world.engine.disconnect("one", reason, true, now));
    assert_eq!(world.engine.stats().sessions, 0);
}

#[test]
fn retained_messages_are_listed_and_cleared_by_filter_in_parts() {
    let mut world = World::new();
    let conn = world.client(V5, "one");
    for topic in ["a/1", "a/2", "a/3", "b/1"] {
        world.send(conn, &[retained(topic, "payload", AtMostOnce, 1)]);
    }
    world.engine.publish_system("$SYS/broker/version", b"1");
    let page = world.engine.retained(filter("a/#"), None, 2, 3);
    assert_eq!(page.messages.len(), 2);
    assert_eq!(&*page.messages[0].payload, b"pay");
    assert_eq!(page.after.as_deref(), Some("a/2"));
    let rest = world.engine.retained(filter("a/#"), Some("a/2"), 2, 100);
    assert_eq!(rest.messages.len(), 1);
    assert_eq!(rest.after, None);
    let cleared = world.engine.clear_retained(filter("#"), None, 3);
    assert_eq!((cleared.count, cleared.after.as_deref()), (3, Some("a/3")));
    let cleared = world.engine.clear_retained(filter("#"), Some("a/3"), 3);
    assert_eq!((cleared.count, cleared.after), (1, None));
    // `#` is not for topics that begin with `$`.
    assert_eq!(world.engine.stats().retained, 1);
}
