//! A client that follows all numbers and keeps count.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use declic_mqtt::packet::{
    Ack, Delivery, Items, Packet, Properties, Publish, Subscribe, Subscription,
};
use declic_mqtt::{PacketId, ProtocolVersion, QoS, TopicFilter};

use super::broker::Broker;
use super::link::{LONG, Link};

pub struct Reader {
    name: &'static str,
    version: ProtocolVersion,
    is_clean: bool,
    /// How often each number of each publisher came.
    counts: BTreeMap<(usize, u64), u32>,
    /// The last number of each publisher and QoS that came for the first time.
    newest: BTreeMap<(usize, QoS), u64>,
    /// Messages of QoS 2 that were not released.
    received: BTreeSet<PacketId>,
}

impl Reader {
    /// One whose session lasts.
    pub fn new(name: &'static str, version: ProtocolVersion) -> Self {
        Self {
            name,
            version,
            is_clean: false,
            counts: BTreeMap::new(),
            newest: BTreeMap::new(),
            received: BTreeSet::new(),
        }
    }

    /// One whose session ends with its connection.
    pub fn clean(name: &'static str, version: ProtocolVersion) -> Self {
        Self {
            is_clean: true,
            ..Self::new(name, version)
        }
    }

    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How often a number came.
    pub fn count(&self, publisher: usize, number: u64) -> u32 {
        self.counts.get(&(publisher, number)).copied().unwrap_or(0)
    }

    pub fn subscribe(&mut self, broker: &Broker) {
        let connected = Link::connect(broker, self.version, self.name, self.is_clean);
        let (mut link, _) = connected.expect("this broker is not killed");
        for filter in ["numbers/+", "retained/#"] {
            subscribe(&mut link, filter).expect("this broker is not killed");
        }
    }

    /// Reads until the broker is gone, or until nothing comes although `is_done`.
    pub fn read(&mut self, broker: &Broker, is_done: impl Fn() -> bool) {
        let _ = self.try_read(broker, is_done);
    }

    /// The retained messages, by topic, when all the `expected` ones have come.
    pub fn retained<'a>(
        &mut self,
        broker: &Broker,
        expected: impl Iterator<Item = &'a String>,
    ) -> BTreeMap<String, u64> {
        let connected = Link::connect(broker, self.version, self.name, self.is_clean);
        let (mut link, _) = connected.expect("this broker is not killed");
        let mut missing: BTreeSet<_> = expected.map(String::as_str).collect();
        let mut retained = BTreeMap::new();
        subscribe(&mut link, "retained/#").expect("this broker is not killed");
        while !missing.is_empty() {
            let came = link.next(LONG, |packet| {
                if let Packet::Publish(publish) = packet {
                    let topic = publish.topic.expect("a topic").as_str();
                    missing.remove(topic);
                    retained.insert(topic.to_owned(), number(publish));
                }
            });
            let came = came.expect("this broker is not killed");
            assert!(came, "retained messages are lost: {missing:?}");
        }
        retained
    }

    fn try_read(&mut self, broker: &Broker, is_done: impl Fn() -> bool) -> io::Result<()> {
        let (mut link, present) = Link::connect(broker, self.version, self.name, false)?;
        assert!(present, "{}: the session is forgotten", self.name);
        loop {
            let was_done = is_done();
            let mut answer = None;
            let came = link.next(QUIET, |packet| answer = self.take(packet))?;
            if let Some(answer) = answer {
                link.queue(&answer);
            }
            if !link.has_more() {
                link.flush()?;
            }
            if !came && was_done {
                return Ok(());
            }
        }
    }

    fn take(&mut self, packet: &Packet<'_>) -> Option<Packet<'static>> {
        match packet {
            Packet::Publish(publish) => match publish.delivery {
                Delivery::AtMostOnce => panic!("QoS 0: {publish:?}"),
                Delivery::AtLeastOnce(id) => {
                    self.note(publish);
                    Some(Packet::PubAck(Ack::new(id)))
                }
                Delivery::ExactlyOnce(id) => {
                    if self.received.insert(id) {
                        self.note(publish);
                    }
                    Some(Packet::PubRec(Ack::new(id)))
                }
            },
            Packet::PubRel(ack) => {
                self.received.remove(&ack.packet_id);
                Some(Packet::PubComp(Ack::new(ack.packet_id)))
            }
            other => panic!("{}: {other:?} is not expected", self.name),
        }
    }

    fn note(&mut self, publish: &Publish<'_>) {
        let topic = publish.topic.expect("a topic").as_str();
        let publisher = topic.split('/').nth(1).and_then(|text| text.parse().ok());
        let publisher: usize = publisher.expect("the number of a publisher");
        let number = number(publish);
        let count = self.counts.entry((publisher, number)).or_default();
        *count += 1;
        if *count == 1 {
            // `[MQTT-4.6.0-6]`: what comes for the first time comes in order.
            let qos = publish.delivery.qos();
            let newest = self.newest.entry((publisher, qos)).or_default();
            assert!(
                *newest < number,
                "{}: {number} of publisher {publisher} came behind {newest}",
                self.name
            );
            *newest = number;
        } else {
            assert_ne!(
                publish.delivery.qos(),
                QoS::ExactlyOnce,
                "{}: {number} of publisher {publisher} came twice",
                self.name
            );
        }
    }
}

fn number(publish: &Publish<'_>) -> u64 {
    let text = std::str::from_utf8(publish.payload).expect("text");
    text.trim_end().parse().expect("a number")
}

fn subscribe(link: &mut Link, filter: &str) -> io::Result<()> {
    let filter = TopicFilter::new(filter).expect("a valid filter");
    let subscriptions = [Subscription::new(filter, QoS::ExactlyOnce)];
    link.queue(&Packet::Subscribe(Subscribe {
        packet_id: PacketId::FIRST,
        properties: Properties::EMPTY,
        subscriptions: Items::new(&subscriptions),
    }));
    link.flush()?;
    link.next(LONG, |packet| {
        assert!(matches!(packet, Packet::SubAck(_)), "{packet:?}");
    })?;
    Ok(())
}

/// Longer than a broker is silent that has something to send.
const QUIET: Duration = Duration::from_secs(2);
