//! How many instructions the engine spends on a message: a figure that no other work on the
//! machine disturbs.
//!
//! `cargo bench -p declic-broker --bench instructions` runs each kind of work under `valgrind`
//! twice, with few and with many messages, and prints the difference for one message. The names of
//! kinds may follow behind `--`.

use std::process::{Command, ExitCode};

use declic_broker::{ConnId, Engine, Limits};
use declic_mqtt::packet::{
    Connect, Delivery, Disconnect, FixedHeader, Items, Packet, PacketKind, Properties, Publish,
    Subscribe, Subscription,
};
use declic_mqtt::{Instant, PacketId, ProtocolVersion, QoS, ReasonCode, TopicFilter, TopicName};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("--count") => run(&args[1], args[2].parse().expect("a number of turns")),
        // `cargo test --all-targets` runs it too, without `--bench`.
        _ if !args.iter().any(|arg| arg == "--bench") => {
            for kind in KINDS {
                run(kind.name, 1);
            }
        }
        _ => {
            let wanted: Vec<_> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
            println!("| instructions of the engine | for one message |\n|---|---|");
            for kind in KINDS {
                if wanted.is_empty() || wanted.iter().any(|name| **name == kind.name) {
                    let Some((few, many)) = instructions(kind, 10).zip(instructions(kind, 110))
                    else {
                        eprintln!("valgrind is needed: it counts the instructions");
                        return ExitCode::FAILURE;
                    };
                    let each = (many - few) as f64 / (100 * kind.messages) as f64;
                    println!("| {} | {each:.0} |", kind.name);
                }
            }
        }
    }
    ExitCode::SUCCESS
}

/// What `kind` takes for that many turns, with all preparations.
fn instructions(kind: &Kind, turns: u32) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().ok()?)
        .args(["--count", kind.name, &turns.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.split("Collected :").nth(1)?;
    count.split_whitespace().next()?.parse().ok()
}

struct Kind {
    name: &'static str,
    /// Deliveries in a turn; connections where nothing is delivered.
    messages: u32,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "1-to-1-qos-0",
        messages: 100,
    },
    Kind {
        name: "1-to-1-qos-1",
        messages: 100,
    },
    Kind {
        name: "1-to-1-qos-2",
        messages: 100,
    },
    Kind {
        name: "1-to-100-qos-0",
        messages: 100,
    },
    Kind {
        name: "100-to-1-qos-0",
        messages: 100,
    },
    Kind {
        name: "new-topic-among-10000-filters",
        messages: 100,
    },
    Kind {
        name: "connect-and-disconnect",
        messages: 100,
    },
];

fn run(kind: &str, turns: u32) {
    let mut bench = Bench::new();
    match kind {
        "1-to-1-qos-0" => bench.one_to_one(QoS::AtMostOnce, turns),
        "1-to-1-qos-1" => bench.one_to_one(QoS::AtLeastOnce, turns),
        "1-to-1-qos-2" => bench.one_to_one(QoS::ExactlyOnce, turns),
        "1-to-100-qos-0" => bench.fan(1, 100, turns),
        "100-to-1-qos-0" => bench.fan(100, 1, turns),
        "new-topic-among-10000-filters" => bench.new_topics(turns),
        "connect-and-disconnect" => bench.connects(turns),
        other => panic!("there is no {other}"),
    }
}

/// An engine, and an owner that does what the server does.
struct Bench {
    engine: Engine,
    buffer: Vec<u8>,
    /// What the last connection was sent.
    sent: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        Self {
            engine: Engine::new(Limits::default(), 7),
            buffer: vec![0; 64 * 1_024],
            sent: Vec::new(),
        }
    }

    fn one_to_one(&mut self, qos: QoS, turns: u32) {
        let publisher = self.client("publisher");
        let subscriber = self.client("subscriber");
        self.subscribe(subscriber, "bench/1", qos);
        let mut publishes = Vec::new();
        for message in 1..=100 {
            publish(&mut publishes, "bench/1", qos, message);
        }
        for _ in 0..turns {
            let mut from = publisher;
            let mut bytes = publishes.clone();
            // Each side answers what it was sent, until nothing is left to be said.
            while !bytes.is_empty() {
                self.engine.handle_bytes(from, &bytes, Instant::ZERO);
                let (conn, answers) = self.exchange(from);
                (from, bytes) = (conn, answers);
            }
        }
    }

    /// Lets the engine write, and returns what its clients say to that.
    fn exchange(&mut self, other: ConnId) -> (ConnId, Vec<u8>) {
        let mut all = Vec::new();
        let mut from = other;
        while self.engine.poll_effect().is_some() {}
        while let Some(conn) = self.engine.poll_ready() {
            let filled = self.engine.fill(conn, &mut self.buffer, Instant::ZERO);
            let mut answers = Vec::new();
            let mut rest = &self.buffer[..filled];
            while let Ok(Some(header)) = FixedHeader::decode(rest) {
                let (packet, behind) = rest.split_at(header.packet_len());
                answer(&mut answers, header, &packet[header.len()..]);
                rest = behind;
            }
            if all.is_empty() {
                (from, all) = (conn, answers);
            } else if !answers.is_empty() {
                self.engine.handle_bytes(conn, &answers, Instant::ZERO);
            }
        }
        (from, all)
    }

    fn fan(&mut self, publishers: u32, subscribers: u32, turns: u32) {
        let from: Vec<_> = (0..publishers)
            .map(|n| self.client(&format!("p{n}")))
            .collect();
        for number in 0..subscribers {
            let conn = self.client(&format!("s{number}"));
            self.subscribe(conn, "bench/1", QoS::AtMostOnce);
        }
        let mut bytes = Vec::new();
        publish(&mut bytes, "bench/1", QoS::AtMostOnce, 1);
        for _ in 0..turns {
            for &conn in &from {
                self.engine.handle_bytes(conn, &bytes, Instant::ZERO);
            }
            self.write();
        }
    }

    /// Topics that were never published to, each of which matches two of many filters.
    fn new_topics(&mut self, turns: u32) {
        let publisher = self.client("publisher");
        for number in 0..100 {
            let conn = self.client(&format!("s{number}"));
            for other in 0..100 {
                let filter = match other % 4 {
                    0 => format!("building/{number}/+/{other}/temperature"),
                    1 => format!("building/+/{number}/{other}/#"),
                    2 => format!("+/{number}/{other}/state"),
                    _ => format!("building/{number}/floor/{other}/humidity"),
                };
                self.subscribe(conn, &filter, QoS::AtMostOnce);
            }
        }
        for turn in 0..turns {
            let mut bytes = Vec::new();
            for message in 0..100 {
                let topic = format!("building/{message}/{turn}/{message}/temperature");
                publish(&mut bytes, &topic, QoS::AtMostOnce, 1);
            }
            self.engine.handle_bytes(publisher, &bytes, Instant::ZERO);
            self.write();
        }
    }

    fn connects(&mut self, turns: u32) {
        for turn in 0..turns {
            for number in 0..100 {
                let conn = self.client(&format!("client-{turn}-{number}"));
                let bytes = encoded(&Packet::Disconnect(Disconnect {
                    reason: ReasonCode::NORMAL_DISCONNECTION,
                    properties: Properties::EMPTY,
                }));
                self.engine.handle_bytes(conn, &bytes, Instant::ZERO);
                self.write();
                self.engine.handle_closed(conn, Instant::ZERO);
            }
        }
    }

    fn client(&mut self, client_id: &str) -> ConnId {
        let conn = self.engine.handle_open(Instant::ZERO).expect("room");
        let connect = encoded(&Packet::Connect(Connect::new(VERSION, client_id)));
        self.engine.handle_bytes(conn, &connect, Instant::ZERO);
        self.write();
        assert_eq!(self.sent, [0x20, 2, 0, 0]);
        conn
    }

    fn subscribe(&mut self, conn: ConnId, filter: &str, qos: QoS) {
        let subscriptions = [Subscription::new(
            TopicFilter::new(filter).expect("a valid filter"),
            qos,
        )];
        let subscribe = encoded(&Packet::Subscribe(Subscribe {
            packet_id: PacketId::FIRST,
            properties: Properties::EMPTY,
            subscriptions: Items::new(&subscriptions),
        }));
        self.engine.handle_bytes(conn, &subscribe, Instant::ZERO);
        self.write();
    }

    /// Takes all that is to be done.
    fn write(&mut self) {
        while self.engine.poll_effect().is_some() {}
        while let Some(conn) = self.engine.poll_ready() {
            let filled = self.engine.fill(conn, &mut self.buffer, Instant::ZERO);
            self.sent.clear();
            self.sent.extend_from_slice(&self.buffer[..filled]);
        }
    }
}

fn publish(bytes: &mut Vec<u8>, topic: &str, qos: QoS, number: u16) {
    let id = PacketId::new(number).expect("not 0");
    let topic = TopicName::new(topic).expect("a valid name");
    bytes.extend(encoded(&Packet::Publish(Publish {
        delivery: Delivery::new(qos, id),
        ..Publish::new(topic, &[b'x'; 64])
    })));
}

/// What a client says to a packet; by hand, so that it is hardly counted.
fn answer(answers: &mut Vec<u8>, header: FixedHeader, body: &[u8]) {
    let (first, id) = match header.kind() {
        PacketKind::Publish => {
            let id = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
            match header.flags() >> 1 & 3 {
                0 => return,
                1 => (0x40, &body[id..id + 2]),
                _ => (0x50, &body[id..id + 2]),
            }
        }
        PacketKind::PubRec => (0x62, &body[..2]),
        PacketKind::PubRel => (0x70, &body[..2]),
        _ => return,
    };
    answers.extend_from_slice(&[first, 2, id[0], id[1]]);
}

fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut buffer = [0; 256];
    let len = packet.encode(VERSION, &mut buffer).expect("a small packet");
    buffer[..len].to_vec()
}

const VERSION: ProtocolVersion = ProtocolVersion::V3_1_1;
