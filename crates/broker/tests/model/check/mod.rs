//! Drives the engine and the model with the same steps, read from any bytes.

mod link;
mod model;

use std::fmt::{self, Write as _};
use std::time::Duration;

use declic_broker::{CloseReason, ConnId, Effect, Engine, Limits};
use declic_mqtt::packet::{
    Ack, Connect, Delivery, Disconnect, Items, Packet, Properties, Property, Publish,
    RetainHandling, Subscribe, Subscription, SubscriptionId, Unsubscribe, Will,
};
use declic_mqtt::{Instant, PacketId, ProtocolVersion, QoS, ReasonCode, TopicFilter, TopicName};

use link::{Link, encode};
use model::{CLIENTS, Message, Model};

/// Does what `input` says, a few bytes for each step, and panics where the engine does something
/// that the model does not allow.
pub fn check_engine_input(input: &[u8]) {
    let mut input = Input(input);
    let mut bench = Bench {
        engine: Engine::new(Limits::default(), u64::from(input.byte())),
        model: Model::default(),
        now: Instant::from_millis(1_000),
        links: [const { None }; CLIENTS],
        messages: 0,
        // So that bytes come in pieces of every size.
        piece: usize::from(input.byte()).max(1),
        room: usize::from(input.byte()).max(2) * 8,
        timeline: String::new(),
    };
    while !input.0.is_empty() {
        bench.step(&mut input);
    }
    for client in 0..CLIENTS {
        bench.release(client);
    }
}

struct Bench {
    engine: Engine,
    model: Model,
    now: Instant,
    links: [Option<(ConnId, Link)>; CLIENTS],
    /// Messages so far: each has a text of its own.
    messages: u32,
    piece: usize,
    room: usize,
    /// What was done, shown where a check fails.
    timeline: String,
}

impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.timeline);
        }
    }
}

impl Bench {
    fn note(&mut self, client: usize, what: fmt::Arguments<'_>) {
        let seconds = self.now.as_millis() as f64 / 1e3;
        // Writing to a string can't fail.
        let _ = writeln!(self.timeline, "{seconds:8.3} client {client}: {what}");
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let (kind, client) = (input.byte(), usize::from(input.byte()) % CLIENTS);
        match kind % 24 {
            0..=2 => self.connect(client, input),
            3 => self.lose(client),
            4 => self.disconnect(client, input),
            5..=8 => self.subscribe(client, input),
            9 => self.unsubscribe(client, input),
            10..=18 => self.publish(client, input),
            19 => self.hold(client),
            20 => self.release(client),
            21 => self.ping(client),
            _ => self.wait(Duration::from_secs(u64::from(input.byte() % 50))),
        }
        self.settle();
    }

    fn connect(&mut self, client: usize, input: &mut Input<'_>) {
        let version = input.pick(&[ProtocolVersion::V5, ProtocolVersion::V3_1_1]);
        let is_v5 = version == ProtocolVersion::V5;
        let flags = input.byte();
        let clean_start = flags & 1 != 0;
        let seconds = input.pick(&[0, 20, 100]);
        let expiry = match (is_v5, clean_start) {
            (true, _) => Some(Duration::from_secs(seconds.into())),
            (false, true) => Some(Duration::ZERO),
            (false, false) => None,
        };
        let (delay, qos) = (input.pick(&[0, 10, 40]), input.pick(QOS));
        let delay = if is_v5 { delay } else { 0 };
        let delay_property = [Property::WillDelayInterval(delay)];
        let payload = self.next_payload();
        let retain = flags & 4 != 0;
        let will = (flags & 2 != 0).then(|| Will {
            topic: topic("will"),
            payload: payload.as_bytes(),
            qos,
            retain,
            properties: Properties::new(&delay_property[..usize::from(is_v5)]),
        });
        let expected_will = will.map(|_| model::Will {
            message: Message {
                topic: "will",
                payload: payload.clone(),
                qos: qos as u8,
                retain,
                expires: None,
                publisher: client,
            },
            delay: Duration::from_secs(delay.into()),
        });
        let properties = [
            Property::SessionExpiryInterval(seconds),
            Property::ReceiveMaximum(input.pick(&[1, 2, 100]).try_into().expect("not 0")),
        ];
        let client_id = client.to_string();
        let connect = Packet::Connect(Connect {
            clean_start,
            keep_alive: 0,
            will,
            properties: Properties::new(if is_v5 { &properties } else { &[] }),
            ..Connect::new(version, &client_id)
        });

        let bytes = encode(version, &connect);
        self.note(client, format_args!("{connect:?}"));
        let conn = self.engine.handle_open(self.now).expect("few connections");
        let before = self.links[client].replace((conn, Link::new(version)));
        let present = self
            .model
            .connect(client, clean_start, expiry, expected_will, self.now);
        self.engine.handle_bytes(conn, &bytes, self.now);
        if let Some((old, mut link)) = before {
            // The engine closes it: what it still says is heard first.
            while let Some(effect) = self.engine.poll_effect() {
                if matches!(effect, Effect::Close { conn, .. } if conn == old) {
                    assert!(matches!(
                        effect,
                        Effect::Close {
                            reason: CloseReason::TakenOver,
                            ..
                        }
                    ));
                    self.fill(old, &mut link);
                    self.engine.handle_closed(old, self.now);
                } else {
                    assert!(!matches!(effect, Effect::Close { .. }), "{effect:?}");
                }
            }
            let told =
                (link.version == ProtocolVersion::V5).then_some(ReasonCode::SessionTakenOver);
            assert_eq!(link.goodbye, told, "client {client} was taken over");
        }
        self.settle();
        let (_, link) = self.links[client].as_ref().expect("it was not closed");
        assert_eq!(link.session_present, Some(present), "client {client}");
    }

    fn lose(&mut self, client: usize) {
        if let Some((conn, _)) = self.links[client].take() {
            self.note(client, format_args!("loses its connection"));
            self.model.lose(client, self.now);
            self.engine.handle_closed(conn, self.now);
        }
    }

    fn disconnect(&mut self, client: usize, input: &mut Input<'_>) {
        let Some((conn, link)) = &self.links[client] else {
            return;
        };
        let with_will = link.version == ProtocolVersion::V5 && input.byte() & 1 != 0;
        let reason = if with_will {
            self.model.lose(client, self.now);
            ReasonCode::DisconnectWithWill
        } else {
            self.model.disconnect(client, self.now);
            ReasonCode::NORMAL_DISCONNECTION
        };
        let (conn, version) = (*conn, link.version);
        self.note(client, format_args!("DISCONNECT {reason}"));
        let bytes = encode(version, &Packet::Disconnect(Disconnect::new(reason)));
        self.engine.handle_bytes(conn, &bytes, self.now);
    }

    fn subscribe(&mut self, client: usize, input: &mut Input<'_>) {
        // Retained messages are looked up when there is room for them, and a subscription can be
        // another by then.
        self.release(client);
        let Some((_, link)) = &self.links[client] else {
            return;
        };
        let version = link.version;
        let is_v5 = version == ProtocolVersion::V5;
        let (filter, qos) = (input.pick(FILTERS), input.pick(QOS));
        let options = if is_v5 { input.byte() } else { 0 };
        let id = SubscriptionId::new(if is_v5 { input.byte() % 3 } else { 0 }.into());
        let topic_filter = TopicFilter::new(filter).expect("a filter of ours");
        // Of copies for several groups nobody could tell which is whose.
        if topic_filter.share_name().is_some() && self.model.shares_another(client, filter) {
            return;
        }
        let subscription = Subscription {
            no_local: options & 1 != 0 && topic_filter.share_name().is_none(),
            retain_as_published: options & 2 != 0,
            retain_handling: match options >> 2 & 3 {
                1 => RetainHandling::OnNewSubscription,
                2 => RetainHandling::Never,
                _ => RetainHandling::OnSubscribe,
            },
            ..Subscription::new(topic_filter, qos)
        };
        let expected = model::Subscription {
            filter,
            qos: qos as u8,
            no_local: subscription.no_local,
            retain_as_published: subscription.retain_as_published,
            retain_handling: match subscription.retain_handling {
                RetainHandling::OnSubscribe => 0,
                RetainHandling::OnNewSubscription => 1,
                RetainHandling::Never => 2,
            },
            id: id.map(SubscriptionId::get),
        };
        self.note(client, format_args!("SUBSCRIBE {expected:?}"));
        self.model.subscribe(client, expected, self.now);
        let id = id.map(Property::SubscriptionIdentifier);
        let subscriptions = [subscription];
        let request = Packet::Subscribe(Subscribe {
            packet_id: REQUEST,
            properties: Properties::new(id.as_slice()),
            subscriptions: Items::new(&subscriptions),
        });
        self.ask(client, &encode(version, &request), 1, 0);
    }

    fn unsubscribe(&mut self, client: usize, input: &mut Input<'_>) {
        // What waits for a subscription that is no more may be sent or not.
        self.release(client);
        let filter = input.pick(FILTERS);
        if let Some((_, link)) = &self.links[client] {
            let version = link.version;
            self.note(client, format_args!("UNSUBSCRIBE {filter}"));
            self.model.unsubscribe(client, filter);
            let filters = [TopicFilter::new(filter).expect("a filter of ours")];
            let request = Packet::Unsubscribe(Unsubscribe {
                packet_id: REQUEST,
                properties: Properties::EMPTY,
                filters: Items::new(&filters),
            });
            let bytes = encode(version, &request);
            self.ask(client, &bytes, 1, 0);
        }
    }

    fn publish(&mut self, client: usize, input: &mut Input<'_>) {
        let Some((_, link)) = &self.links[client] else {
            return;
        };
        let version = link.version;
        let (name, qos, flags) = (input.pick(TOPICS), input.pick(QOS), input.byte());
        let seconds = match input.pick(&[0, 0, 15, 60]) {
            seconds if version == ProtocolVersion::V5 => seconds,
            _ => 0,
        };
        let retain = flags & 1 != 0;
        let payload = match flags & 6 {
            0 if retain => String::new(),
            _ => self.next_payload(),
        };
        let expiry = [Property::MessageExpiryInterval(seconds)];
        let publish = Publish {
            retain,
            delivery: match qos {
                QoS::AtMostOnce => Delivery::AtMostOnce,
                qos => Delivery::new(qos, REQUEST),
            },
            properties: Properties::new(&expiry[..usize::from(seconds > 0)]),
            ..Publish::new(topic(name), payload.as_bytes())
        };
        let message = Message {
            topic: name,
            payload: payload.clone(),
            qos: qos as u8,
            retain,
            expires: (seconds > 0).then(|| self.now + Duration::from_secs(seconds.into())),
            publisher: client,
        };
        self.note(client, format_args!("PUBLISH {message:?}"));
        self.model.publish(&message, self.now);
        let bytes = encode(version, &Packet::Publish(publish));
        match qos {
            QoS::AtMostOnce => self.ask(client, &bytes, 0, 0),
            QoS::AtLeastOnce => self.ask(client, &bytes, 1, 0),
            // `[MQTT-4.3.3-10]`: what comes again before its PUBREL is the same message.
            QoS::ExactlyOnce if flags & 8 != 0 => {
                self.set_releasing(client, false);
                self.ask(client, &bytes, 0, 1);
                let again = Packet::Publish(Publish {
                    dup: true,
                    ..publish
                });
                self.ask(client, &encode(version, &again), 0, 1);
                self.set_releasing(client, true);
                let release = encode(version, &Packet::PubRel(Ack::new(REQUEST)));
                self.ask(client, &release, 1, 0);
            }
            QoS::ExactlyOnce => self.ask(client, &bytes, 1, 1),
        }
    }

    fn hold(&mut self, client: usize) {
        if let Some((_, link)) = &mut self.links[client] {
            link.holding = true;
            self.model.hold(client);
            self.note(client, format_args!("acknowledges nothing"));
        }
    }

    fn release(&mut self, client: usize) {
        if let Some((_, link)) = &mut self.links[client] {
            link.release();
            self.model.release(client);
            self.note(client, format_args!("acknowledges all that it has"));
        }
        self.settle();
    }

    fn ping(&mut self, client: usize) {
        if let Some((_, link)) = &self.links[client] {
            let bytes = encode(link.version, &Packet::PingReq);
            self.ask(client, &bytes, 1, 0);
        }
    }

    fn wait(&mut self, time: Duration) {
        // The odd millisecond lets no two deadlines fall together, and what is due may be late by a
        // tick of the engine's clock.
        self.now = self.now + time + Duration::from_millis(1);
        while self.model.is_due_between(self.now, self.now + TICK) {
            self.now = self.now + TICK;
        }
        self.now = self.now + TICK;
        self.model.advance(self.now);
        while let Some(at) = self.engine.poll_timeout().filter(|at| *at < self.now) {
            self.engine.handle_timeout(at);
        }
        self.engine.handle_timeout(self.now);
    }

    /// Sends a request; it is answered with that many acknowledgements, and PUBRECs.
    fn ask(&mut self, client: usize, bytes: &[u8], acknowledged: usize, received: usize) {
        let Some((conn, link)) = &mut self.links[client] else {
            return;
        };
        (link.acknowledged, link.received) = (0, 0);
        let conn = *conn;
        for piece in bytes.chunks(self.piece) {
            self.engine.handle_bytes(conn, piece, self.now);
        }
        self.settle();
        let link = self.links[client].as_ref().map(|(_, link)| link);
        let answered = link.map(|link| (link.acknowledged, link.received));
        assert_eq!(answered, Some((acknowledged, received)), "client {client}");
    }

    fn set_releasing(&mut self, client: usize, releasing: bool) {
        if let Some((_, link)) = &mut self.links[client] {
            link.releasing = releasing;
        }
    }

    /// Moves bytes until nobody has anything to say, and asks the model.
    fn settle(&mut self) {
        loop {
            while let Some(effect) = self.engine.poll_effect() {
                self.follow(&effect);
            }
            let ready = self.engine.poll_ready();
            if let Some(conn) = ready
                && let Some(client) = self.client_of(conn)
                && let Some((conn, mut link)) = self.links[client].take()
            {
                self.fill(conn, &mut link);
                self.links[client] = Some((conn, link));
            }
            let mut answered = false;
            for client in 0..CLIENTS {
                answered |= self.answer(client);
            }
            if ready.is_none() && !answered {
                break;
            }
        }
        self.model.settled(self.now);
        let stats = self.engine.stats();
        assert_eq!(
            (stats.sessions, stats.subscriptions),
            (self.model.sessions(), self.model.subscriptions()),
            "sessions and subscriptions"
        );
        // One that is expired may be forgotten a little later.
        assert!(stats.retained >= self.model.retained(self.now));
        for (client, link) in self.links.iter().enumerate() {
            assert_eq!(link.is_some(), self.model.is_connected(client));
        }
    }

    fn follow(&mut self, effect: &Effect) {
        let Effect::Close { conn, reason } = effect else {
            return;
        };
        let client = self.client_of(*conn);
        let connected = client.is_some_and(|client| self.model.is_connected(client));
        assert!(
            !connected && matches!(reason, CloseReason::Disconnected(_)),
            "client {client:?} was closed: {reason}"
        );
        if let Some((conn, mut link)) = client.and_then(|client| self.links[client].take()) {
            self.fill(conn, &mut link);
            assert_eq!(link.goodbye, None);
        }
        self.engine.handle_closed(*conn, self.now);
    }

    /// Lets a client hear all that the engine has for it.
    fn fill(&mut self, conn: ConnId, link: &mut Link) {
        let mut buffer = vec![0; self.room];
        loop {
            let filled = self.engine.fill(conn, &mut buffer, self.now);
            link.take(&buffer[..filled]);
            if filled < buffer.len() {
                return;
            }
        }
    }

    /// The model looks at what a client received, and the client answers it.
    fn answer(&mut self, client: usize) -> bool {
        let Some((conn, link)) = &mut self.links[client] else {
            return false;
        };
        for delivered in link.delivered.drain(..) {
            let seconds = self.now.as_millis() as f64 / 1e3;
            let _ = writeln!(
                self.timeline,
                "{seconds:8.3} client {client} receives {delivered:?}"
            );
            self.model.deliver(client, &delivered, self.now);
        }
        let answers = std::mem::take(&mut link.answers);
        for piece in answers.chunks(self.piece) {
            self.engine.handle_bytes(*conn, piece, self.now);
        }
        !answers.is_empty()
    }

    fn client_of(&self, conn: ConnId) -> Option<usize> {
        let is_it = |link: &Option<(ConnId, Link)>| link.as_ref().is_some_and(|one| one.0 == conn);
        self.links.iter().position(is_it)
    }

    fn next_payload(&mut self) -> String {
        self.messages += 1;
        self.messages.to_string()
    }
}

/// Bytes that decide; zeros follow the last one.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }
}

fn topic(name: &str) -> TopicName<'_> {
    TopicName::new(name).expect("a topic of ours")
}

/// Of the engine's clock, or a little more.
const TICK: Duration = Duration::from_millis(200);
const REQUEST: PacketId = PacketId::new(7).expect("not 0");
const QOS: &[QoS] = &[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
const TOPICS: &[&str] = &["a", "a/b", "a/b/c", "b", "/", "$a"];
const FILTERS: &[&str] = &[
    "a",
    "a/b",
    "a/+",
    "a/#",
    "+/b",
    "+",
    "#",
    "$a",
    "will",
    "$share/g/a/#",
    "$share/g/a",
    "$share/h/+",
];
