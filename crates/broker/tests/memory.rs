//! The memory of an engine stays bounded, whatever clients do: measured at the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use declic_broker::{ConnId, Effect, Engine, Limits, SlowConsumer, Stats};
use declic_mqtt::packet::{
    Connect, Delivery, Items, Packet, Properties, Property, Publish, Subscribe, Subscription,
    SubscriptionId, Will,
};
use declic_mqtt::{Instant, PacketId, ProtocolVersion, QoS, TopicFilter, TopicName};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Small, so that every bound is reached soon.
fn limits(policy: SlowConsumer) -> Limits {
    Limits {
        connections: 15,
        connect_timeout: Duration::from_secs(3),
        packet_size: 40 * KIB,
        connect_packet_size: 8 * KIB,
        connection_bytes: 200 * KIB,
        answer_bytes: 4 * KIB,
        inbound_in_flight: 50,
        outbound_in_flight: 50,
        queued_messages: 300,
        queued_bytes: 300 * KIB,
        queued_in_all: 5_000,
        slow_consumer: policy,
        message_bytes: 1_000 * KIB,
        retained_messages: 200,
        retained_bytes: 200 * KIB,
        sessions: 60,
        session_bytes: 300 * KIB,
        subscriptions: 20,
        topic_levels: 30,
        ..Limits::default()
    }
}

/// What an engine with these limits may take at most.
///
/// Tables and queues double when they grow, so what is counted by its content may take twice as
/// much, and what is counted by its number is taken with the size of its structures.
fn bound(limits: &Limits) -> usize {
    let messages = 2 * limits.message_bytes;
    // Retained messages stand in a tree besides, with their topics.
    let retained = limits.retained_messages * 256 + limits.retained_bytes;
    let queues = 2 * limits.queued_in_all * 16;
    let sessions = limits.sessions * (512 + 4 * usize::from(limits.inbound_in_flight));
    let subscriptions = 3 * limits.session_bytes;
    // Each may have its answers, those to what was read at once, and a packet that is half written.
    let connection = 1_024 + 2 * limits.answer_bytes + 2 * READ_SIZE + 70 * KIB;
    let connections = limits.connections * connection + 2 * limits.connection_bytes;
    // Buffers kept for the next messages, routes, the timer wheel.
    let fixed = 5_000 * KIB;
    messages + retained + queues + sessions + subscriptions + connections + fixed
}

#[test]
fn memory_stays_within_a_bound_that_the_limits_give() {
    let mut all = Vec::new();
    for (seed, policy) in (1..).zip(SlowConsumer::ALL) {
        let limits = limits(policy);
        let bound = bound(&limits);
        let before = HELD.load(Ordering::Relaxed);
        let mut world = World::new(limits, seed);
        let mut highest = 0;
        for _ in 0..STEPS {
            world.step();
            // What the clients of this test hold is their own.
            let held = HELD
                .load(Ordering::Relaxed)
                .saturating_sub(before + world.own_bytes());
            highest = highest.max(held);
            assert!(
                held <= bound,
                "{held} of {bound}: {:?}",
                world.engine.stats()
            );
        }
        let stats = world.engine.stats();
        let is_disconnecting = policy == SlowConsumer::Disconnect;
        assert_eq!(stats.slow_consumers > 0, is_disconnecting, "{stats:?}");
        all.push(stats);
        println!("{}: {highest} of {bound} bytes", policy.as_str());
        // When all have gone, so has nearly all memory.
        world.end();
        let stats = world.engine.stats();
        assert_eq!((stats.connections, stats.sessions), (0, 0));
        drop(world);
        let left = HELD.load(Ordering::Relaxed).saturating_sub(before);
        assert!(left < 16 * KIB, "{left} bytes are left");
    }
    check_that_limits_were_reached(&all);
}

/// A bound that is never reached says nothing.
fn check_that_limits_were_reached(all: &[Stats]) {
    let sum = |count: fn(&Stats) -> u64| all.iter().map(count).sum::<u64>();
    let reached = [
        ("connections", sum(|stats| stats.refused_connections)),
        ("connect timeout", sum(|stats| stats.connect_timeouts)),
        ("keep-alive", sum(|stats| stats.keep_alive_timeouts)),
        ("packet size", sum(|stats| stats.oversized_packets)),
        ("sessions", sum(|stats| stats.refused)),
        ("queue, QoS 0", sum(|stats| stats.dropped_qos_0)),
        ("queue, QoS 1 and 2", sum(|stats| stats.dropped_qos_1_2)),
        ("retained messages", sum(|stats| stats.dropped_retained)),
        ("subscriptions", sum(|stats| stats.refused_subscriptions)),
        (
            "receive maximum",
            sum(|stats| stats.receive_maximum_exceeded),
        ),
        ("answers", sum(|stats| stats.pauses)),
        ("protocol", sum(|stats| stats.protocol_errors)),
    ];
    for (limit, count) in reached {
        assert!(count > 0, "{limit} was never reached: {all:?}");
    }
}

/// An engine and clients that mean it no good.
struct World {
    engine: Engine,
    now: Instant,
    random: Random,
    clients: BTreeMap<ConnId, Client>,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
}

struct Client {
    version: ProtocolVersion,
    /// It reads what it is sent.
    reads: bool,
    paused: bool,
    connected: bool,
}

impl World {
    fn new(limits: Limits, seed: u64) -> Self {
        Self {
            engine: Engine::new(limits, seed),
            now: Instant::ZERO,
            random: Random(seed),
            clients: BTreeMap::new(),
            buffer: vec![0; 4 * KIB],
            scratch: Vec::with_capacity(2 * READ_SIZE),
        }
    }

    fn own_bytes(&self) -> usize {
        self.buffer.capacity() + self.scratch.capacity() + self.clients.len() * 64
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..10 => self.open(),
            10..13 => {
                if let Some(conn) = self.any() {
                    self.clients.remove(&conn);
                    self.engine.handle_closed(conn, self.now);
                }
            }
            13..20 => {
                if let Some(conn) = self.any() {
                    let reads = self.random.below(3) > 0;
                    self.clients.entry(conn).and_modify(|one| one.reads = reads);
                }
            }
            20..24 => {
                self.now = self.now + Duration::from_millis(self.random.below(4_000));
                self.engine.handle_timeout(self.now);
            }
            _ => {
                if let Some(conn) = self.any() {
                    self.send(conn);
                }
            }
        }
        self.settle();
    }

    fn open(&mut self) {
        let Some(conn) = self.engine.handle_open(self.now) else {
            return;
        };
        let version = match self.random.below(3) {
            0 => ProtocolVersion::V3_1_1,
            _ => ProtocolVersion::V5,
        };
        let client = Client {
            version,
            reads: self.random.below(3) > 0,
            paused: false,
            connected: self.random.below(8) > 0,
        };
        let connects = client.connected;
        self.clients.insert(conn, client);
        if connects {
            self.connect(conn, version);
        }
    }

    fn connect(&mut self, conn: ConnId, version: ProtocolVersion) {
        let name = "x".repeat(self.random.below(4) as usize * 50);
        let id = format!("{}-{name}", self.random.below(60));
        let topic = self.topic();
        let payload = vec![b'w'; self.random.below(2_000) as usize];
        let properties = [
            Property::SessionExpiryInterval([0, 0, 20, u32::MAX][self.random.below(4) as usize]),
            Property::TopicAliasMaximum(self.random.below(40) as u16),
            Property::ReceiveMaximum(
                (1 + self.random.below(100) as u16)
                    .try_into()
                    .expect("not 0"),
            ),
        ];
        let connect = Connect {
            clean_start: self.random.below(3) == 0,
            keep_alive: [0, 1, 60][self.random.below(3) as usize],
            will: (self.random.below(2) == 0).then(|| Will {
                topic: TopicName::new(&topic).expect("a valid topic"),
                payload: &payload,
                qos: QoS::AtLeastOnce,
                retain: false,
                properties: Properties::EMPTY,
            }),
            properties: Properties::new(&properties),
            ..Connect::new(version, &id)
        };
        self.encode(version, Packet::Connect(connect));
        self.feed(conn);
    }

    /// Something in a moment: whole packets, or the half of one, or no packet at all.
    fn send(&mut self, conn: ConnId) {
        let Some(client) = self.clients.get(&conn) else {
            return;
        };
        if client.paused {
            return;
        }
        let version = client.version;
        match self.random.below(80) {
            0..24 => {
                for _ in 0..self.random.below(30) {
                    self.publish(version);
                }
            }
            24..27 => {
                let payload = vec![b'p'; self.random.below(39 * KIB as u64) as usize];
                self.publish_of(version, &payload);
            }
            27..45 => self.subscribe(version),
            // Acknowledgements, of whatever.
            45..62 => {
                for _ in 0..self.random.below(100) {
                    let first = [0x40, 0x50, 0x62, 0x70][self.random.below(4) as usize];
                    let id = 1 + self.random.below(60) as u8;
                    self.scratch.extend([first, 2, 0, id]);
                }
            }
            62..68 => {
                for _ in 0..self.random.below(3_000) {
                    self.scratch.extend([0xc0, 0]);
                }
            }
            // The beginning of something large.
            68..71 => {
                self.scratch
                    .extend([0x30, 0xff, 0xff, 1 + self.random.below(4) as u8]);
                let length = self.random.below(20_000) as usize;
                self.scratch.resize(self.scratch.len() + length, 0);
            }
            71 => {
                self.publish(version);
                let at = self.random.below(self.scratch.len() as u64) as usize;
                self.scratch[at] = self.random.below(256) as u8;
            }
            72 => {
                let length = self.random.below(200);
                for _ in 0..length {
                    let byte = self.random.below(256) as u8;
                    self.scratch.push(byte);
                }
            }
            _ => self.unsubscribe(version),
        }
        self.feed(conn);
    }

    fn publish(&mut self, version: ProtocolVersion) {
        let payload = vec![b'p'; self.random.below(300) as usize];
        self.publish_of(version, &payload);
    }

    fn publish_of(&mut self, version: ProtocolVersion, payload: &[u8]) {
        let name = self.topic();
        let alias = [Property::TopicAlias(
            (1 + self.random.below(32) as u16)
                .try_into()
                .expect("not 0"),
        )];
        let id = PacketId::new(1 + self.random.below(400) as u16).expect("not 0");
        let qos = QoS::from_u8(self.random.below(3) as u8).expect("a QoS");
        let publish = Publish {
            delivery: Delivery::new(qos, id),
            retain: self.random.below(4) == 0,
            properties: match self.random.below(3) {
                0 => Properties::new(&alias),
                _ => Properties::EMPTY,
            },
            ..Publish::new(TopicName::new(&name).expect("a valid topic"), payload)
        };
        self.encode(version, Packet::Publish(publish));
    }

    fn subscribe(&mut self, version: ProtocolVersion) {
        let filters: Vec<_> = (0..1 + self.random.below(20))
            .map(|_| self.filter())
            .collect();
        let subscriptions: Vec<_> = filters
            .iter()
            .map(|filter| {
                let filter = TopicFilter::new(filter).expect("a valid filter");
                let qos = QoS::from_u8(self.random.below(3) as u8).expect("a QoS");
                Subscription::new(filter, qos)
            })
            .collect();
        let id = SubscriptionId::new(1 + self.random.below(200_000_000) as u32).expect("valid");
        let properties = [Property::SubscriptionIdentifier(id)];
        let subscribe = Subscribe {
            packet_id: PacketId::FIRST,
            properties: Properties::new(&properties),
            subscriptions: Items::new(&subscriptions),
        };
        self.encode(version, Packet::Subscribe(subscribe));
    }

    fn unsubscribe(&mut self, version: ProtocolVersion) {
        let filter = self.filter();
        let filters = [TopicFilter::new(&filter).expect("a valid filter")];
        let unsubscribe = declic_mqtt::packet::Unsubscribe {
            packet_id: PacketId::FIRST,
            properties: Properties::EMPTY,
            filters: Items::new(&filters),
        };
        self.encode(version, Packet::Unsubscribe(unsubscribe));
    }

    /// One of a few that many subscribe to, or one that nobody has seen.
    fn topic(&mut self) -> String {
        match self.random.below(4) {
            0 => format!("new/{}", self.random.below(1 << 40)),
            1 => "l/".repeat(self.random.below(20) as usize) + "x",
            _ => ["a/b/c", "a/b", "x", "a/a/a/a"][self.random.below(4) as usize].to_owned(),
        }
    }

    fn filter(&mut self) -> String {
        let mut levels: Vec<_> = (0..1 + self.random.below(5))
            .map(|_| ["a", "b", "+", "x"][self.random.below(4) as usize].to_owned())
            .collect();
        match self.random.below(6) {
            0 => levels.push("#".to_owned()),
            1 => levels.push(format!("new{}", self.random.below(1 << 40))),
            2 => levels = vec!["$share/g".to_owned(), "#".to_owned()],
            3 => levels = vec!["#".to_owned()],
            _ => {}
        }
        levels.join("/")
    }

    fn encode(&mut self, version: ProtocolVersion, packet: Packet<'_>) {
        let length = packet.encoded_len(version).expect("encodable");
        let at = self.scratch.len();
        self.scratch.resize(at + length, 0);
        packet
            .encode(version, &mut self.scratch[at..])
            .expect("room");
    }

    /// Hands over what was written, as a server would: no more than it reads at once.
    fn feed(&mut self, conn: ConnId) {
        let bytes = std::mem::take(&mut self.scratch);
        let at_once = &bytes[..bytes.len().min(READ_SIZE)];
        self.engine.handle_bytes(conn, at_once, self.now);
        self.scratch = bytes;
        self.scratch.clear();
    }

    fn any(&mut self) -> Option<ConnId> {
        let count = self.clients.len() as u64;
        let at = self.random.below(count.max(1)) as usize;
        self.clients.keys().nth(at).copied()
    }

    fn settle(&mut self) {
        loop {
            while let Some(effect) = self.engine.poll_effect() {
                match effect {
                    Effect::Close { conn, .. } => {
                        self.clients.remove(&conn);
                        self.engine.handle_closed(conn, self.now);
                    }
                    Effect::PauseRead(conn) => self.set_paused(conn, true),
                    Effect::ResumeRead(conn) => self.set_paused(conn, false),
                    _ => {}
                }
            }
            let Some(conn) = self.engine.poll_ready() else {
                return;
            };
            // Who does not read takes a little now and then, as the system's buffers do.
            let reads = self.clients.get(&conn).is_some_and(|one| one.reads);
            let turns = if reads { 1_000 } else { self.random.below(2) };
            for _ in 0..turns {
                if self.engine.fill(conn, &mut self.buffer, self.now) < self.buffer.len() {
                    break;
                }
            }
        }
    }

    fn set_paused(&mut self, conn: ConnId, paused: bool) {
        self.clients
            .entry(conn)
            .and_modify(|one| one.paused = paused);
    }

    /// Everybody goes, and sessions that last are replaced by some that do not.
    fn end(&mut self) {
        for conn in std::mem::take(&mut self.clients).into_keys() {
            self.engine.handle_closed(conn, self.now);
        }
        self.settle();
        let mut start = 0;
        loop {
            let page = self.engine.clients(start, 1_000);
            for client in page.clients {
                let reason = declic_mqtt::ReasonCode::AdministrativeAction;
                self.engine
                    .disconnect(&client.client_id, reason, true, self.now);
            }
            match page.next {
                Some(next) => start = next,
                None => break,
            }
        }
        self.settle();
    }
}

/// A small generator (splitmix64): the same steps with the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

const KIB: usize = 1_024;
const READ_SIZE: usize = 16 * KIB;
const STEPS: usize = 6_000;
