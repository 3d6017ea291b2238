//! The broker's own topics below `$SYS/broker`, with Mosquitto's names.

use std::fmt::{self, Write as _};
use std::time::Duration;

use declic_mqtt::Instant;

use super::memory;
use crate::{Engine, Stats};

/// Publishes what has changed, at an interval.
#[derive(Debug)]
pub(super) struct SysTopics {
    interval: Duration,
    started: Instant,
    due: Instant,
    before: Stats,
    most_clients: usize,
    loads: [Load; LOADS.len()],
    /// What each topic says, in the order in which they are made.
    said: Vec<String>,
    text: String,
}

impl SysTopics {
    /// `None` for no interval: there are no such topics then.
    pub(super) fn new(interval: Duration, started: Instant) -> Option<Self> {
        (!interval.is_zero()).then(|| Self {
            interval,
            started,
            due: started,
            before: Stats::default(),
            most_clients: 0,
            loads: [Load::default(); LOADS.len()],
            said: Vec::new(),
            text: String::new(),
        })
    }

    /// When to call [`Self::publish`].
    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// Publishes what has changed, if it is time. The clock began with the broker.
    pub(super) fn publish(&mut self, engine: &mut Engine, now: Instant) {
        if now < self.due {
            return;
        }
        self.due = now + self.interval;
        let stats = engine.stats();
        self.most_clients = self.most_clients.max(stats.clients);
        let mut turn = Turn {
            engine,
            said: &mut self.said,
            text: &mut self.text,
            next: 0,
        };
        turn.say(
            "version",
            format_args!("declic version {}", env!("CARGO_PKG_VERSION")),
        );
        let uptime = now.since(self.started).as_secs();
        turn.say("uptime", format_args!("{uptime} seconds"));
        let away = stats.sessions.saturating_sub(stats.clients);
        for (topic, value) in [
            ("clients/total", stats.sessions),
            ("clients/connected", stats.clients),
            ("clients/active", stats.clients),
            ("clients/disconnected", away),
            ("clients/inactive", away),
            ("clients/maximum", self.most_clients),
            ("subscriptions/count", stats.subscriptions),
            ("retained messages/count", stats.retained),
            ("store/messages/count", stats.messages),
            // Its name before Mosquitto 1.5, which many dashboards still ask for.
            ("messages/stored", stats.messages),
            ("store/messages/bytes", stats.message_bytes),
        ] {
            turn.say(topic, format_args!("{value}"));
        }
        for (topic, value) in [
            ("clients/expired", stats.expired_sessions),
            ("messages/received", stats.packets_received),
            ("messages/sent", stats.packets_sent),
            ("publish/messages/received", stats.received),
            ("publish/messages/sent", stats.sent),
            ("publish/messages/dropped", dropped(&stats)),
            ("publish/bytes/received", stats.payload_bytes_received),
            ("publish/bytes/sent", stats.payload_bytes_sent),
            ("bytes/received", stats.bytes_received),
            ("bytes/sent", stats.bytes_sent),
        ] {
            turn.say(topic, format_args!("{value}"));
        }
        if let Some(bytes) = memory::resident_bytes() {
            turn.say("memory/resident", format_args!("{bytes}"));
        }
        for (load, (name, count)) in self.loads.iter_mut().zip(LOADS) {
            load.add(count(&stats) - count(&self.before), self.interval);
            for (value, minutes) in load.0.iter().zip(["1min", "5min", "15min"]) {
                turn.say(
                    format_args!("load/{name}/{minutes}"),
                    format_args!("{value:.2}"),
                );
            }
        }
        self.before = stats;
    }
}

/// One round of publishing.
struct Turn<'a> {
    engine: &'a mut Engine,
    said: &'a mut Vec<String>,
    text: &'a mut String,
    next: usize,
}

impl Turn<'_> {
    /// Publishes `value` if the topic says something else so far.
    fn say(&mut self, topic: impl fmt::Display, value: fmt::Arguments<'_>) {
        if self.said.len() == self.next {
            self.said.push(String::new());
        }
        let said = &mut self.said[self.next];
        self.next += 1;
        self.text.clear();
        // Writing to a string can't fail.
        let _ = write!(self.text, "{value}");
        if *said != *self.text {
            said.clone_from(self.text);
            self.text.clear();
            let _ = write!(self.text, "$SYS/broker/{topic}");
            self.engine.publish_system(self.text, said.as_bytes());
        }
    }
}

/// How many in a minute, averaged over 1, 5 and 15 minutes: recent ones count more.
#[derive(Debug, Clone, Copy, Default)]
struct Load([f64; 3]);

impl Load {
    fn add(&mut self, count: u64, interval: Duration) {
        let seconds = interval.as_secs_f64();
        let in_a_minute = count as f64 * 60.0 / seconds;
        for (average, minutes) in self.0.iter_mut().zip([1.0, 5.0, 15.0]) {
            let weight = (-seconds / (60.0 * minutes)).exp();
            *average = *average * weight + in_a_minute * (1.0 - weight);
        }
    }
}

fn dropped(stats: &Stats) -> u64 {
    stats.dropped_qos_0 + stats.dropped_qos_1_2 + stats.dropped_expired + stats.dropped_too_large
}

type Count = fn(&Stats) -> u64;

const LOADS: [(&str, Count); 9] = [
    ("messages/received", |stats| stats.packets_received),
    ("messages/sent", |stats| stats.packets_sent),
    ("publish/dropped", dropped),
    ("publish/received", |stats| stats.received),
    ("publish/sent", |stats| stats.sent),
    ("bytes/received", |stats| stats.bytes_received),
    ("bytes/sent", |stats| stats.bytes_sent),
    ("sockets", |stats| stats.opened),
    ("connections", |stats| stats.accepted),
];

#[cfg(test)]
mod tests {
    use declic_mqtt::TopicFilter;

    use super::*;
    use crate::Limits;

    fn said(engine: &Engine, topic: &str) -> String {
        let filter = TopicFilter::new(topic).expect("a valid filter");
        let page = engine.retained(filter, None, 2, usize::MAX);
        let [message] = &page.messages[..] else {
            panic!("{topic} is retained once: {page:?}");
        };
        String::from_utf8(message.payload.to_vec()).expect("a text")
    }

    #[test]
    fn they_are_retained_and_published_again_only_when_they_change() {
        let mut engine = Engine::new(Limits::default(), 7);
        let mut topics =
            SysTopics::new(Duration::from_secs(10), Instant::ZERO).expect("an interval");
        topics.publish(&mut engine, Instant::ZERO);
        assert_eq!(said(&engine, "$SYS/broker/uptime"), "0 seconds");
        assert_eq!(said(&engine, "$SYS/broker/clients/connected"), "0");
        assert_eq!(said(&engine, "$SYS/broker/load/connections/15min"), "0.00");
        assert_eq!(said(&engine, "$SYS/broker/publish/bytes/received"), "0");
        // A client that follows them all.
        let now = Instant::from_millis(1_000);
        let conn = engine.handle_open(now).expect("room");
        engine.handle_bytes(conn, b"\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x02me", now);
        engine.handle_bytes(conn, b"\x30\x06\0\x01tabc", now);
        engine.handle_bytes(conn, b"\x82\x0b\0\x01\0\x06$SYS/#\0", now);
        let mut buffer = vec![0; 65_536];
        engine.fill(conn, &mut buffer, now);
        topics.publish(&mut engine, now);
        assert_eq!(engine.fill(conn, &mut buffer, now), 0, "it is not time yet");
        assert_eq!(topics.due(), Instant::from_millis(10_000));
        topics.publish(&mut engine, topics.due());
        assert_eq!(said(&engine, "$SYS/broker/uptime"), "10 seconds");
        assert_eq!(said(&engine, "$SYS/broker/clients/connected"), "1");
        assert_ne!(said(&engine, "$SYS/broker/load/connections/1min"), "0.00");
        assert_eq!(said(&engine, "$SYS/broker/publish/bytes/received"), "3");
        assert_ne!(said(&engine, "$SYS/broker/publish/bytes/sent"), "0");
        let filled = engine.fill(conn, &mut buffer, topics.due());
        let text = String::from_utf8_lossy(&buffer[..filled]).into_owned();
        assert!(text.contains("$SYS/broker/clients/connected1"), "{text}");
        assert!(!text.contains("$SYS/broker/version"), "{text}");
        assert!(!text.contains("$SYS/broker/clients/expired"), "{text}");
    }

    /// The table of docs/broker.md.
    #[test]
    #[cfg(target_os = "linux")]
    fn they_are_those_in_the_manual() {
        let mut engine = Engine::new(Limits::default(), 7);
        let mut topics =
            SysTopics::new(Duration::from_secs(10), Instant::ZERO).expect("an interval");
        topics.publish(&mut engine, Instant::ZERO);
        let filter = TopicFilter::new("$SYS/#").expect("a valid filter");
        let page = engine.retained(filter, None, 1_000, usize::MAX);
        let mut said: Vec<_> = page
            .messages
            .iter()
            .map(|message| {
                let topic = message.topic.strip_prefix("$SYS/broker/").expect("ours");
                let load = topic.strip_prefix("load/");
                let load = load.and_then(|load| load.rsplit_once('/'));
                load.map_or_else(|| topic.to_owned(), |(name, _)| format!("load/{name}/..."))
            })
            .collect();
        // A bridge says its own.
        said.push("connection/NAME/state".to_owned());
        said.sort();
        said.dedup();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/broker.md");
        let manual = std::fs::read_to_string(path).expect("the manual");
        let (_, table) = manual
            .split_once("| below `$SYS/broker/` |")
            .expect("a table");
        let rows = table.lines().take_while(|line| !line.is_empty()).skip(2);
        let cells = rows.filter_map(|row| row.split('|').nth(1));
        let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
        let mut told: Vec<_> = names.map(str::to_owned).collect();
        told.sort();
        assert_eq!(told, said);
    }

    #[test]
    fn a_load_is_what_a_steady_rate_would_be_in_a_minute() {
        let mut load = Load::default();
        for _ in 0..1_000 {
            load.add(20, Duration::from_secs(10));
        }
        for average in load.0 {
            assert!((average - 120.0).abs() < 0.1, "{average}");
        }
    }

    #[test]
    fn without_an_interval_there_are_none() {
        assert!(SysTopics::new(Duration::ZERO, Instant::ZERO).is_none());
    }
}
