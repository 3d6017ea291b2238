//! A client that publishes numbers with QoS 1 and 2, and keeps what was not acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use declic_mqtt::packet::{Ack, Delivery, Packet, Publish};
use declic_mqtt::{PacketId, ProtocolVersion, QoS, ReasonCode, TopicName};

use super::broker::Broker;
use super::link::{LONG, Link};
use super::reader::Reader;

pub struct Publisher {
    number: usize,
    version: ProtocolVersion,
    client_id: String,
    /// The last number that was sent.
    last: u64,
    /// In the order of sending.
    unacknowledged: VecDeque<Unacknowledged>,
    next_id: PacketId,
    /// The broker has promised to keep the session.
    has_session: bool,
    /// The last number that was acknowledged, and the last that was sent, of each retained topic.
    retained: BTreeMap<String, (u64, u64)>,
}

struct Unacknowledged {
    id: PacketId,
    number: u64,
    is_released: bool,
}

impl Publisher {
    pub fn new(number: usize, version: ProtocolVersion) -> Self {
        Self {
            number,
            version,
            client_id: format!("publisher{number}"),
            last: 0,
            unacknowledged: VecDeque::new(),
            next_id: PacketId::FIRST,
            has_session: false,
            retained: BTreeMap::new(),
        }
    }

    /// The last number that was sent.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Publishes `count` messages, until all are acknowledged or the broker is gone.
    pub fn publish(&mut self, broker: &Broker, count: u64) {
        let _ = self.try_publish(broker, self.last + count);
    }

    /// What is not acknowledged is sent again until it is.
    pub fn finish(&mut self, broker: &Broker) {
        let ended = self.try_publish(broker, self.last);
        ended.expect("this broker is not killed");
    }

    /// Retained topics of which a message was acknowledged.
    pub fn retained_topics(&self) -> impl Iterator<Item = &String> {
        let acknowledged = self.retained.iter().filter(|(_, (number, _))| *number > 0);
        acknowledged.map(|(topic, _)| topic)
    }

    /// Every number has arrived at a reader; those of QoS 2 once.
    pub fn check(&self, reader: &Reader) {
        for number in 1..=self.last {
            let count = reader.count(self.number, number);
            let (name, publisher) = (reader.name(), self.number);
            match how(number).qos {
                QoS::ExactlyOnce => assert_eq!(
                    count, 1,
                    "{name}: number {number} of publisher {publisher}, QoS 2"
                ),
                _ => assert!(
                    count >= 1,
                    "{name}: number {number} of publisher {publisher} is lost"
                ),
            }
        }
    }

    pub fn check_retained(&self, retained: &BTreeMap<String, u64>) {
        for (topic, (acknowledged, sent)) in &self.retained {
            let number = retained.get(topic).copied().unwrap_or(0);
            assert!(
                (*acknowledged..=*sent).contains(&number),
                "{topic} has {number}; acknowledged was {acknowledged}, sent {sent}"
            );
        }
    }

    fn try_publish(&mut self, broker: &Broker, until: u64) -> io::Result<()> {
        let (mut link, present) = Link::connect(broker, self.version, &self.client_id, false)?;
        assert!(
            present || !self.has_session,
            "{}: the session is forgotten",
            self.client_id
        );
        self.has_session = true;
        // `[MQTT-4.4.0-1]`
        for one in &self.unacknowledged {
            if one.is_released {
                link.queue(&Packet::PubRel(Ack::new(one.id)));
            } else {
                self.queue(&mut link, one, true);
            }
        }
        loop {
            while self.unacknowledged.len() < WINDOW && self.last < until {
                self.last += 1;
                let one = Unacknowledged {
                    id: self.free_id(),
                    number: self.last,
                    is_released: false,
                };
                if how(one.number).retain {
                    let retained = self.retained.entry(self.topic(one.number));
                    retained.or_default().1 = one.number;
                }
                self.queue(&mut link, &one, false);
                self.unacknowledged.push_back(one);
            }
            link.flush()?;
            if self.unacknowledged.is_empty() {
                return Ok(());
            }
            let mut acknowledged = None;
            let came = link.next(LONG, |packet| acknowledged = Some(acknowledgement(packet)))?;
            assert!(came, "{}: no acknowledgement came", self.client_id);
            if let Some((kind, id)) = acknowledged {
                self.acknowledged(&mut link, kind, id);
            }
        }
    }

    fn acknowledged(&mut self, link: &mut Link, kind: Kind, id: PacketId) {
        let at = self.unacknowledged.iter().position(|one| one.id == id);
        let at = at.expect("an acknowledgement of something that was sent");
        let number = self.unacknowledged[at].number;
        if kind == Kind::Received {
            self.unacknowledged[at].is_released = true;
            link.queue(&Packet::PubRel(Ack::new(id)));
        } else {
            self.unacknowledged.remove(at);
        }
        if how(number).retain {
            let retained = self.retained.entry(self.topic(number)).or_default();
            retained.0 = retained.0.max(number);
        }
    }

    fn queue(&self, link: &mut Link, one: &Unacknowledged, dup: bool) {
        let (topic, how) = (self.topic(one.number), how(one.number));
        // Some are longer than a page.
        let mut payload = one.number.to_string();
        if one.number.is_multiple_of(97) {
            payload += &" ".repeat(5_000);
        }
        link.queue(&Packet::Publish(Publish {
            dup,
            retain: how.retain,
            delivery: Delivery::new(how.qos, one.id),
            ..Publish::new(
                TopicName::new(&topic).expect("a valid topic"),
                payload.as_bytes(),
            )
        }));
    }

    fn topic(&self, number: u64) -> String {
        if how(number).retain {
            format!("retained/{}/{}", self.number, number % 40)
        } else {
            format!("numbers/{}", self.number)
        }
    }

    fn free_id(&mut self) -> PacketId {
        loop {
            let id = self.next_id;
            self.next_id = id.next();
            if self.unacknowledged.iter().all(|one| one.id != id) {
                return id;
            }
        }
    }
}

struct How {
    qos: QoS,
    retain: bool,
}

/// How a number is published.
const fn how(number: u64) -> How {
    How {
        qos: if number.is_multiple_of(2) {
            QoS::ExactlyOnce
        } else {
            QoS::AtLeastOnce
        },
        retain: number.is_multiple_of(5),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The broker has a message of QoS 2.
    Received,
    Complete,
}

fn acknowledgement(packet: &Packet<'_>) -> (Kind, PacketId) {
    let (kind, ack) = match packet {
        Packet::PubAck(ack) | Packet::PubComp(ack) => (Kind::Complete, ack),
        Packet::PubRec(ack) => (Kind::Received, ack),
        other => panic!("expected an acknowledgement, received {other:?}"),
    };
    let fine = [
        ReasonCode::Success,
        ReasonCode::NoMatchingSubscribers,
        // The broker was killed between storing and answering.
        ReasonCode::PacketIdentifierNotFound,
    ];
    assert!(fine.contains(&ack.reason), "{packet:?}");
    (kind, ack.packet_id)
}

const WINDOW: usize = 20;
