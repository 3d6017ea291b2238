//! The text that Prometheus scrapes (exposition format 0.0.4).

use std::fmt::Write as _;
use std::time::Duration;

use crate::Stats;

/// The value of `Content-Type` that goes with [`render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All that the broker has counted, as text for Prometheus: names begin with `declic_broker_`,
/// counters end with `_total`, sizes are in bytes and times in seconds.
///
/// ```
/// use std::time::Duration;
/// use declic_broker::{Stats, metrics};
///
/// let text = metrics::render(&Stats::default(), Duration::from_secs(5));
/// assert!(text.contains("\ndeclic_broker_uptime_seconds 5\n"));
/// ```
pub fn render(stats: &Stats, uptime: Duration) -> String {
    let mut text = String::with_capacity(8 * 1_024);
    // Writing to a string can't fail.
    let _ = writeln!(
        text,
        "# HELP declic_broker_build_info Which broker this is.\n\
         # TYPE declic_broker_build_info gauge\n\
         declic_broker_build_info{{version=\"{}\"}} 1",
        env!("CARGO_PKG_VERSION")
    );
    for (name, kind, help, value) in all(stats, uptime) {
        metric(&mut text, name, kind, help, value);
    }
    text
}

/// All that the broker has counted, with the names of [`render`] but for their beginning.
pub fn values(stats: &Stats, uptime: Duration) -> impl Iterator<Item = (&'static str, u64)> {
    all(stats, uptime)
        .into_iter()
        .map(|(name, _, _, value)| (name, value))
}

fn metric(text: &mut String, name: &str, kind: Kind, help: &str, value: u64) {
    let kind = match kind {
        Kind::Gauge => "gauge",
        Kind::Counter => "counter",
    };
    let _ = writeln!(
        text,
        "# HELP declic_broker_{name} {help}\n\
         # TYPE declic_broker_{name} {kind}\n\
         declic_broker_{name} {value}"
    );
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// How much there is now.
    Gauge,
    /// How often something happened since the start.
    Counter,
}

/// Every field of [`Stats`]: taken apart without `..`, so that none can be forgotten.
fn all(stats: &Stats, uptime: Duration) -> Vec<(&'static str, Kind, &'static str, u64)> {
    use Kind::{Counter, Gauge};
    let &Stats {
        connections,
        clients,
        sessions,
        subscriptions,
        retained,
        messages,
        message_bytes,
        opened,
        refused_connections,
        refused_connections_per_address,
        accepted,
        refused,
        refused_identifiers,
        expired_sessions,
        packets_received,
        packets_sent,
        bytes_received,
        bytes_sent,
        received,
        sent,
        payload_bytes_received,
        payload_bytes_sent,
        dropped_qos_0,
        dropped_qos_1_2,
        dropped_expired,
        dropped_too_large,
        dropped_retained,
        refused_publishes,
        withheld,
        refused_subscriptions,
        protocol_errors,
        pauses,
        rate_pauses,
        connect_timeouts,
        keep_alive_timeouts,
        oversized_packets,
        receive_maximum_exceeded,
        connection_bytes_exceeded,
        slow_consumers,
        batches,
        store_failures,
        refused_unstored,
        store_failing,
        resident_bytes,
    } = stats;
    let mut all = vec![
        (
            "uptime_seconds",
            Gauge,
            "Time since the broker was started.",
            uptime.as_secs(),
        ),
        (
            "connections",
            Gauge,
            "Open connections, accepted or not.",
            connections as u64,
        ),
        (
            "clients",
            Gauge,
            "Clients that are connected.",
            clients as u64,
        ),
        (
            "sessions",
            Gauge,
            "Sessions, of connected clients and kept ones.",
            sessions as u64,
        ),
        (
            "subscriptions",
            Gauge,
            "Subscriptions of all sessions.",
            subscriptions as u64,
        ),
        (
            "retained_messages",
            Gauge,
            "Retained messages.",
            retained as u64,
        ),
        (
            "held_messages",
            Gauge,
            "Messages held: waiting, in flight and retained.",
            messages as u64,
        ),
        (
            "held_bytes",
            Gauge,
            "Bytes of the messages held.",
            message_bytes as u64,
        ),
        (
            "connections_opened_total",
            Counter,
            "Connections that were opened.",
            opened,
        ),
        (
            "connections_refused_total",
            Counter,
            "Connections closed at once because there were too many.",
            refused_connections,
        ),
        (
            "refused_connections_per_address_total",
            Counter,
            "Connections closed at once because there were too many from their address.",
            refused_connections_per_address,
        ),
        (
            "clients_accepted_total",
            Counter,
            "Clients that were accepted.",
            accepted,
        ),
        (
            "clients_refused_total",
            Counter,
            "Clients that were refused with a CONNACK.",
            refused,
        ),
        (
            "clients_refused_for_client_id_total",
            Counter,
            "Clients refused because another user has a session with their client identifier.",
            refused_identifiers,
        ),
        (
            "sessions_expired_total",
            Counter,
            "Sessions that ended because their client was away for too long.",
            expired_sessions,
        ),
        (
            "packets_received_total",
            Counter,
            "Packets received, of any kind.",
            packets_received,
        ),
        (
            "packets_sent_total",
            Counter,
            "Packets sent, of any kind.",
            packets_sent,
        ),
        (
            "received_bytes_total",
            Counter,
            "Bytes received.",
            bytes_received,
        ),
        ("sent_bytes_total", Counter, "Bytes sent.", bytes_sent),
        (
            "publishes_received_total",
            Counter,
            "Publishes received.",
            received,
        ),
        ("publishes_sent_total", Counter, "Publishes sent.", sent),
        (
            "publish_received_bytes_total",
            Counter,
            "Bytes of the payloads of publishes received.",
            payload_bytes_received,
        ),
        (
            "publish_sent_bytes_total",
            Counter,
            "Bytes of the payloads of publishes sent.",
            payload_bytes_sent,
        ),
        (
            "dropped_qos0_total",
            Counter,
            "Publishes of QoS 0 dropped because a queue or the store was full.",
            dropped_qos_0,
        ),
        (
            "dropped_qos12_total",
            Counter,
            "Publishes of QoS 1 and 2 dropped because a queue or the store was full.",
            dropped_qos_1_2,
        ),
        (
            "dropped_expired_total",
            Counter,
            "Publishes dropped because their lifetime was over.",
            dropped_expired,
        ),
        (
            "dropped_too_large_total",
            Counter,
            "Publishes dropped because they are larger than the client accepts.",
            dropped_too_large,
        ),
        (
            "dropped_retained_total",
            Counter,
            "Messages that were not retained because of a limit.",
            dropped_retained,
        ),
        (
            "publishes_refused_total",
            Counter,
            "Publishes refused: to $SYS, or to a topic with too many levels.",
            refused_publishes,
        ),
        (
            "publishes_withheld_total",
            Counter,
            "Publishes not sent because the client may not read their topic.",
            withheld,
        ),
        (
            "subscriptions_refused_total",
            Counter,
            "Subscriptions refused because of a limit.",
            refused_subscriptions,
        ),
        (
            "protocol_errors_total",
            Counter,
            "Connections closed because the peer broke the protocol.",
            protocol_errors,
        ),
        (
            "read_pauses_total",
            Counter,
            "Times that reading from a client was paused.",
            pauses,
        ),
        (
            "read_pauses_for_rate_total",
            Counter,
            "Times that reading was paused because the client sent faster than it may.",
            rate_pauses,
        ),
        (
            "connect_timeouts_total",
            Counter,
            "Connections without a CONNECT in time.",
            connect_timeouts,
        ),
        (
            "keep_alive_timeouts_total",
            Counter,
            "Connections closed because the client was silent for too long.",
            keep_alive_timeouts,
        ),
        (
            "oversized_packets_total",
            Counter,
            "Connections closed because of a packet that is too large.",
            oversized_packets,
        ),
        (
            "receive_maximum_exceeded_total",
            Counter,
            "Connections closed because of too many unfinished publishes.",
            receive_maximum_exceeded,
        ),
        (
            "connection_bytes_exceeded_total",
            Counter,
            "Connections closed because of the bound on unfinished packets and aliases.",
            connection_bytes_exceeded,
        ),
        (
            "slow_consumers_total",
            Counter,
            "Clients disconnected because their queues ran over.",
            slow_consumers,
        ),
        (
            "store_batches_total",
            Counter,
            "Batches of changes that were given to the store.",
            batches,
        ),
        (
            "store_failures_total",
            Counter,
            "Times that the store could not write.",
            store_failures,
        ),
        (
            "store_refused_total",
            Counter,
            "Publishes, subscriptions and sessions refused because the store could not write.",
            refused_unstored,
        ),
        (
            "store_failing",
            Gauge,
            "1 while the store can't write.",
            u64::from(store_failing),
        ),
    ];
    all.extend(resident_bytes.map(|bytes| {
        (
            "resident_memory_bytes",
            Gauge,
            "Bytes of memory that the whole process has in use.",
            bytes,
        )
    }));
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_metric_has_its_help_its_type_and_one_value() {
        let stats = Stats {
            opened: u64::MAX,
            retained: 3,
            resident_bytes: Some(4_096),
            ..Stats::default()
        };
        let text = render(&stats, Duration::from_millis(61_900));
        let mut names = BTreeSet::new();
        let lines: Vec<_> = text.lines().collect();
        for metric in lines.chunks(3) {
            let [help, kind, value] = metric else {
                panic!("three lines each: {metric:?}");
            };
            let name = help.split(' ').nth(2).expect("a name");
            assert!(name.starts_with("declic_broker_"), "{name}");
            assert!(help.starts_with("# HELP ") && help.ends_with('.'), "{help}");
            let counter = name.ends_with("_total");
            let kind_of_it = if counter { "counter" } else { "gauge" };
            assert_eq!(*kind, format!("# TYPE {name} {kind_of_it}"));
            assert!(value.starts_with(name), "{value}");
            assert!(names.insert(name), "{name} is there twice");
        }
        assert!(text.contains("\ndeclic_broker_retained_messages 3\n"));
        assert!(text.contains("\ndeclic_broker_uptime_seconds 61\n"));
        assert!(text.contains("\ndeclic_broker_resident_memory_bytes 4096\n"));
        assert!(text.contains("\ndeclic_broker_connections_opened_total 18446744073709551615\n"));
        let values = values(&stats, Duration::ZERO);
        assert_eq!(names.len(), 1 + values.count());
    }
}
