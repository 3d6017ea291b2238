//! Client and a correct server, with any verbs, any partial reads and writes, any losses.

mod server;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use server::Server;

#[derive(Debug, Clone)]
enum Step {
    Publish {
        qos: QoS,
        padding: usize,
    },
    Stream {
        qos: QoS,
        padding: usize,
    },
    Subscribe,
    Disconnect,
    Connect {
        version: ProtocolVersion,
        clean_start: bool,
        receive_maximum: u16,
    },
    /// The transport takes that many bytes.
    Write(usize),
    /// That many bytes arrive.
    Read(usize),
    ServerReads,
    ServerAnswers(usize),
    ServerPublishes {
        qos: QoS,
        padding: usize,
    },
    /// The connection is lost; perhaps the server still read what was sent.
    Lose {
        is_read: bool,
        arrives: usize,
    },
    /// A server without a memory, while there is no connection.
    ServerForgets,
    Wait(u64),
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![
        1 => Just(QoS::AtMostOnce),
        2 => Just(QoS::AtLeastOnce),
        2 => Just(QoS::ExactlyOnce)
    ]
}

fn padding() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0..10_usize, 1 => 0..150_usize, 1 => 300..500_usize]
}

fn bytes() -> impl Strategy<Value = usize> {
    prop_oneof![1 => 1..4_usize, 1 => 0..60_usize, 2 => Just(10_000)]
}

fn connect() -> impl Strategy<Value = Step> {
    let version = prop_oneof![Just(V3), Just(V5)];
    let clean_start = prop_oneof![9 => Just(false), 1 => Just(true)];
    let receive_maximum = prop_oneof![Just(u16::MAX), 1..5_u16];
    (version, clean_start, receive_maximum).prop_map(|(version, clean_start, receive_maximum)| {
        Step::Connect {
            version,
            clean_start,
            receive_maximum,
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (qos(), padding()).prop_map(|(qos, padding)| Step::Publish { qos, padding }),
        1 => (qos(), padding()).prop_map(|(qos, padding)| Step::Stream { qos, padding }),
        1 => Just(Step::Subscribe),
        1 => Just(Step::Disconnect),
        8 => connect(),
        12 => bytes().prop_map(Step::Write),
        12 => bytes().prop_map(Step::Read),
        10 => Just(Step::ServerReads),
        10 => any::<usize>().prop_map(Step::ServerAnswers),
        6 => (qos(), padding()).prop_map(|(qos, padding)| Step::ServerPublishes { qos, padding }),
        2 => (any::<bool>(), bytes()).prop_map(|(is_read, arrives)| Step::Lose { is_read, arrives }),
        1 => Just(Step::ServerForgets),
        1 => (0..70_000_u64).prop_map(Step::Wait),
    ]
}

fn sizes() -> impl Strategy<Value = Sizes> {
    (50..160_usize, 30..300_usize, 1..7_usize, 1..4_usize).prop_map(
        |(receive, outbox, in_flight, inbound)| Sizes {
            receive,
            outbox,
            in_flight,
            inbound,
        },
    )
}

/// What became of a message of QoS 1 or 2.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Open,
    Acknowledged,
    Dropped,
}

struct World {
    bench: Bench,
    server: Server,
    /// Messages so far, both ways; each has its number in its payload.
    count: usize,
    /// Payloads that the client took, by QoS, and what became of them.
    published: [Vec<(Vec<u8>, Fate)>; 3],
    open: BTreeMap<PacketId, (QoS, usize)>,
    /// The streamed payload that is to be sent.
    stream: Vec<u8>,
    /// Payloads that the server took on, by QoS.
    server_published: [Vec<Vec<u8>>; 3],
    /// Payloads that the client gave out, by QoS.
    given_out: [Vec<Vec<u8>>; 3],
    /// A message that comes in parts.
    partial: Option<(QoS, Vec<u8>)>,
}

impl World {
    fn new(sizes: Sizes) -> Self {
        Self {
            bench: Bench::with(V5, sizes),
            server: Server::new(sizes.inbound),
            count: 0,
            published: Default::default(),
            open: BTreeMap::new(),
            stream: Vec::new(),
            server_published: Default::default(),
            given_out: Default::default(),
            partial: None,
        }
    }

    fn payload(&mut self, padding: usize) -> Vec<u8> {
        self.count += 1;
        let mut payload = std::format!("{:05}", self.count).into_bytes();
        payload.resize(5 + padding, b'.');
        payload
    }

    fn step(&mut self, step: Step) {
        let now = self.bench.now;
        match step {
            Step::Publish { qos, padding } => {
                let payload = self.payload(padding);
                let message = Message {
                    qos,
                    ..Message::new(topic(), &payload)
                };
                let result = self.bench.client.publish(&message);
                self.note_published(qos, payload, result);
            }
            Step::Stream { qos, padding } => {
                let payload = self.payload(padding);
                let message = Message {
                    qos,
                    ..Message::new(topic(), &[])
                };
                let client = &mut self.bench.client;
                let result = client.publish_streamed(&message, payload.len());
                if result.is_ok() {
                    self.stream = payload.clone();
                }
                self.note_published(qos, payload, result);
            }
            Step::Subscribe => {
                let subscription = [Subscription::new(filter(), QoS::ExactlyOnce)];
                let client = &mut self.bench.client;
                let _ = client.subscribe(&subscription, Properties::EMPTY);
            }
            Step::Disconnect => {
                let packet = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
                let result = self.bench.client.disconnect(&packet, now);
                assert_eq!(result, Ok(()));
            }
            Step::Connect {
                version,
                clean_start,
                receive_maximum,
            } => {
                let mut connect = Connect::new(version, "model");
                connect.clean_start = clean_start;
                if self.bench.client.connect(&connect, now).is_ok() {
                    self.server.open(version, receive_maximum);
                }
            }
            Step::Write(limit) => {
                self.write(limit);
            }
            Step::Read(limit) => {
                self.read(limit);
            }
            Step::ServerReads => self.server.read(),
            Step::ServerAnswers(which) => {
                self.server.answer(which);
            }
            Step::ServerPublishes { qos, padding } => {
                let payload = self.payload(padding);
                if self.server.publish(qos, payload.clone()) {
                    self.server_published[qos as usize].push(payload);
                }
            }
            Step::Lose { is_read, arrives } => {
                self.read(arrives);
                if is_read {
                    self.server.read();
                }
                let was_idle = self.bench.client.state() == State::Idle;
                self.bench.client.handle_closed(now);
                let closed = self.drain();
                assert_eq!(closed, !was_idle);
            }
            Step::ServerForgets => {
                if self.bench.client.state() == State::Idle && self.server.session.is_some() {
                    self.server.open(self.bench.version, u16::MAX);
                    self.server.forget();
                }
            }
            Step::Wait(millis) => self.bench.wait(millis),
        }
        self.drain();
        self.check_memory();
    }

    fn note_published(
        &mut self,
        qos: QoS,
        payload: Vec<u8>,
        result: Result<Option<PacketId>, RequestError>,
    ) {
        let log = &mut self.published[qos as usize];
        match result {
            Ok(Some(id)) => {
                let before = self.open.insert(id, (qos, log.len()));
                assert_eq!(before, None, "an identifier in use");
                log.push((payload, Fate::Open));
            }
            Ok(None) => log.push((payload, Fate::Open)),
            Err(error) => assert!(
                matches!(
                    error,
                    RequestError::Full | RequestError::TooLarge { .. } | RequestError::NotConnected
                ),
                "{error}"
            ),
        }
    }

    /// The transport takes up to `limit` bytes in one write; whether there was one to take.
    fn write(&mut self, limit: usize) -> bool {
        let bench = &mut self.bench;
        let mut len = bench.write(limit);
        self.server.incoming.append(&mut bench.outgoing);
        let awaited = bench.client.awaited_payload().min(limit - len);
        if awaited > 0 && bench.client.transmit().is_empty() {
            self.server.incoming.extend(self.stream.drain(..awaited));
            bench.client.streamed(awaited, bench.now);
            len += awaited;
        }
        // An owner looks for events when it is told to, not after every write.
        if self
            .bench
            .client
            .poll_timeout()
            .is_some_and(|at| at <= self.bench.now)
        {
            self.bench.client.handle_timeout(self.bench.now);
            self.drain();
        }
        len > 0
    }

    fn read(&mut self, limit: usize) -> bool {
        let bytes = self.server.outgoing.make_contiguous();
        let len = self.bench.feed(&bytes[..limit.min(bytes.len())]);
        self.server.outgoing.drain(..len);
        self.drain();
        len > 0
    }

    /// Takes all events; whether the connection was closed.
    fn drain(&mut self) -> bool {
        let mut is_closed = false;
        for event in self.bench.events() {
            match event {
                Event::Message { publish, remaining } => {
                    assert!(self.partial.is_none());
                    let payload = publish.payload.to_vec();
                    self.note_received(publish.delivery.qos(), payload, remaining);
                }
                Event::MessageChunk { payload, remaining } => {
                    let (qos, mut whole) = self.partial.take().expect("a message");
                    whole.extend_from_slice(payload);
                    self.note_received(qos, whole, remaining);
                }
                Event::Acknowledged { id, reason } => {
                    assert_eq!(reason, ReasonCode::Success);
                    self.finish(id, Fate::Acknowledged);
                }
                Event::Dropped { id: Some(id), .. } => self.finish(id, Fate::Dropped),
                Event::Dropped { id: None, .. }
                | Event::Connected { .. }
                | Event::Subscribed { .. }
                | Event::Unsubscribed { .. } => {}
                Event::Closed(reason) => {
                    assert!(
                        !matches!(reason, CloseReason::Protocol(_)),
                        "{reason} from a correct server"
                    );
                    is_closed = true;
                    self.partial = None;
                }
            }
        }
        is_closed
    }

    fn note_received(&mut self, qos: QoS, payload: Vec<u8>, remaining: usize) {
        if remaining > 0 {
            self.partial = Some((qos, payload));
        } else {
            self.given_out[qos as usize].push(payload);
        }
    }

    fn finish(&mut self, id: PacketId, fate: Fate) {
        let (qos, at) = self.open.remove(&id).expect("a message that was open");
        self.published[qos as usize][at].1 = fate;
    }

    fn check_memory(&self) {
        assert_eq!(self.bench.client.in_flight(), self.open.len());
    }

    /// Lets everything finish that can, on a connection that lasts.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.bench.client.state() == State::Idle {
                self.step(Step::Connect {
                    version: self.bench.version,
                    clean_start: false,
                    receive_maximum: 2,
                });
            }
            let mut moved = self.write(100);
            self.server.read();
            moved |= self.server.answer(0);
            moved |= self.read(100);
            if !moved && self.bench.client.state() == State::Connected {
                return;
            }
        }
        panic!("it never ends");
    }

    fn check(&self) {
        assert_eq!(self.bench.client.in_flight(), 0);
        assert!(!self.bench.client.has_unsent());
        assert!(self.server.is_idle());
        let is_kept = !self.server.has_forgotten;
        for (qos, published) in self.published.iter().enumerate() {
            let received = &self.server.received[qos];
            for (payload, fate) in published {
                let times = received.iter().filter(|other| *other == payload).count();
                match (qos, fate) {
                    (0, _) => assert!(times <= 1),
                    (_, Fate::Open) => panic!("a message was never finished"),
                    (1, Fate::Acknowledged) => assert!(times >= 1),
                    (2, Fate::Acknowledged) if is_kept => assert_eq!(times, 1),
                    (2, Fate::Acknowledged) => assert!(times >= 1),
                    (2, _) if is_kept => assert!(times <= 1),
                    _ => {}
                }
            }
            // v3.1.1 [MQTT-4.6.0-1], v5 [MQTT-4.6.0-1]
            let mut first: Vec<&[u8]> = Vec::new();
            for payload in received {
                assert!(published.iter().any(|(other, _)| other == payload));
                if !first.contains(&&payload[..]) {
                    first.push(payload);
                }
            }
            assert!(first.is_sorted(), "messages overtook each other");
        }
        for (qos, published) in self.server_published.iter().enumerate() {
            let given_out = &self.given_out[qos];
            for payload in given_out {
                assert!(published.contains(payload), "a payload was damaged");
            }
            for payload in published {
                let times = given_out.iter().filter(|other| *other == payload).count();
                match qos {
                    0 => assert!(times <= 1),
                    1 if is_kept => assert!(times >= 1),
                    2 if is_kept => assert_eq!(times, 1),
                    _ => {}
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(config(120))]

    // v3.1.1 [MQTT-4.3.1-1], [MQTT-4.3.2-1], [MQTT-4.3.2-2], [MQTT-4.3.3-1] and [MQTT-4.3.3-2]
    // v5 [MQTT-4.3.1-1], [MQTT-4.3.2-3], [MQTT-4.3.3-3], [MQTT-4.3.3-5] and [MQTT-4.3.3-10]
    // v5 [MQTT-4.4.0-1] and [MQTT-4.9.0-2]
    #[test]
    fn whatever_happens_messages_arrive_as_their_qos_promises(
        sizes in sizes(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(sizes);
        for step in steps {
            world.step(step);
        }
        world.settle();
        world.check();
    }
}
