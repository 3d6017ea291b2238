//! A board, and a broker's end of its transport that says what the test tells it to.

use std::boxed::Box;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use core::num::NonZeroU32;
use core::time::Duration;

use declic_mqtt::packet::{
    Ack, ConnAck, Connect, Delivery, FixedHeader, Items, Packet, Properties, Property, Publish,
    SubAck,
};
use declic_mqtt::{Instant, PacketId, ProtocolVersion, QoS, ReasonCode, TopicName};

use crate::improv::{self, Parser, Taken};
use crate::{Board, BoardId, Effect, Notice, Settings, Start, Storage};

pub const LINK: &str = "esp32/data";
pub const STATUS: &str = "declic/0a0b0c0d0e0f/status";
pub const BUTTON: &str = "declic/0a0b0c0d0e0f/button";
pub const LED: &str = "declic/0a0b0c0d0e0f/led";
pub const LED_SET: &str = "declic/0a0b0c0d0e0f/led/set";

pub struct Bench {
    pub board: Board<'static>,
    pub now: Instant,
    /// All effects but notices.
    pub effects: Vec<Effect>,
    pub notices: Vec<Notice>,
    /// Every packet that the board has sent, one line each.
    pub sent: Vec<String>,
    /// Every line that the console has printed.
    pub printed: Vec<String>,
    /// Every frame of Improv Wi-Fi that came between the lines.
    pub frames: Vec<String>,
    /// Whether the owner prints what the console has.
    pub prints: bool,
    /// Whether the transport is open, as the effects say.
    pub open: bool,
    /// What the broker does by itself.
    pub answers: Answers,
    received: Vec<u8>,
    version: ProtocolVersion,
}

/// What the scripted broker answers.
#[derive(Clone, Copy)]
pub struct Answers {
    /// CONNACK; `None` for silence.
    pub connect: Option<ReasonCode>,
    pub session_present: bool,
    /// Acknowledges messages.
    pub publish: bool,
    /// SUBACK.
    pub subscribe: ReasonCode,
    /// The other broker that it names in its CONNACK.
    pub reference: &'static str,
    /// Says in its CONNACK that it has neither QoS 1 nor retained messages.
    pub poor: bool,
    /// The largest packet that it takes, if it says so.
    pub packet_size: Option<NonZeroU32>,
}

impl Bench {
    /// A board with the given settings and its link up; the transport is not open yet.
    pub fn new(settings: &[(&str, &str)]) -> Self {
        let mut bench = Self::off(settings);
        bench.board.handle_link(true, bench.now);
        bench.drive();
        bench
    }

    /// A machine that has just started: the contact is open, the link comes.
    pub fn start(settings: &[(&str, &str)], start: Start) -> Self {
        let mut bench = Self::off(settings);
        bench.board.handle_start(start, bench.now);
        bench.board.handle_level(false, bench.now);
        bench.board.handle_link(true, bench.now);
        bench.drive();
        bench
    }

    /// A board that nothing has happened to.
    fn off(settings: &[(&str, &str)]) -> Self {
        let mut all = Settings::default();
        all.set("broker", "broker.test").unwrap();
        for (key, value) in settings {
            all.set(key, value).unwrap();
        }
        let id = BoardId::new([0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f]);
        let storage = Box::leak(Box::new(Storage::new()));
        Self {
            board: Board::new(id, all, 42, storage.memory()),
            now: Instant::from_millis(1_000),
            effects: Vec::new(),
            notices: Vec::new(),
            sent: Vec::new(),
            printed: Vec::new(),
            frames: Vec::new(),
            prints: true,
            open: false,
            answers: Answers {
                connect: Some(ReasonCode::Success),
                session_present: false,
                publish: true,
                subscribe: ReasonCode::GrantedQoS1,
                reference: "",
                poor: false,
                packet_size: None,
            },
            received: Vec::new(),
            version: ProtocolVersion::V5,
        }
    }

    /// As [`Self::new`], and connected; what that took is forgotten.
    pub fn connected(settings: &[(&str, &str)]) -> Self {
        let mut bench = Self::new(settings);
        bench.open_transport();
        assert!(bench.board.is_subscribed(), "{:?}", bench.notices);
        bench.forget();
        bench
    }

    pub fn forget(&mut self) {
        self.sent.clear();
        self.printed.clear();
        self.frames.clear();
        self.notices.clear();
        self.effects.clear();
    }

    /// The transport that the board asked for can't be opened.
    pub fn refuse_transport(&mut self) {
        assert_eq!(self.effects.pop(), Some(Effect::OpenTransport));
        self.board.handle_connect_failed(self.now);
        self.drive();
    }

    /// The broker that the board is connected to or tries next, as `host:port`.
    pub fn destination(&self) -> String {
        let to = self.board.destination().expect("a broker is set");
        format!("{}:{}", to.host, to.port)
    }

    /// The contact closes or opens, and that is debounced.
    pub fn level(&mut self, closed: bool) {
        self.board.handle_level(closed, self.now);
        self.drive();
        self.pass(Duration::from_millis(50));
    }

    /// What the LED was told, in order.
    pub fn leds(&self) -> Vec<bool> {
        let led = |effect: &Effect| match effect {
            Effect::SetLed(on) => Some(*on),
            _ => None,
        };
        self.effects.iter().filter_map(led).collect()
    }

    /// The transport that the board asked for opens.
    pub fn open_transport(&mut self) {
        assert_eq!(self.effects.last(), Some(&Effect::OpenTransport));
        self.effects.pop();
        self.transport_opened();
    }

    pub fn transport_opened(&mut self) {
        self.open = true;
        self.received.clear();
        self.board.handle_connected(self.now);
        self.drive();
    }

    /// The broker closes the transport.
    pub fn close(&mut self) {
        self.open = false;
        self.board.handle_closed(self.now);
        self.drive();
    }

    /// The transport is closed and, as soon as the board wants it, opened again.
    pub fn reconnect(&mut self) {
        self.close();
        self.wait_for_attempt();
        self.open_transport();
    }

    /// Lets time pass until the board asks for a transport.
    pub fn wait_for_attempt(&mut self) {
        let end = self.now + Duration::from_secs(3_600);
        while self.effects.last() != Some(&Effect::OpenTransport) {
            self.now = self.board.poll_timeout().expect("an attempt is planned");
            assert!(self.now < end, "no attempt within an hour");
            self.board.handle_timeout(self.now);
            self.drive();
        }
    }

    pub fn press(&mut self) {
        self.board.press(self.now);
        self.drive();
    }

    /// Somebody types a line; returns what was printed, without the log.
    pub fn types(&mut self, line: &str) -> Vec<String> {
        let from = self.printed.len();
        self.types_bytes(line.as_bytes());
        self.types_bytes(b"\r\n");
        let answer = self.printed[from..].iter();
        answer
            .filter(|line| !line.starts_with('['))
            .cloned()
            .collect()
    }

    /// Somebody types bytes; returns how many the board has taken.
    pub fn types_bytes(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            let space = self.board.console_space();
            let len = space.len().min(bytes.len() - taken);
            space[..len].copy_from_slice(&bytes[taken..taken + len]);
            self.board.typed(len, self.now);
            self.drive();
            taken += len;
            if len == 0 {
                break;
            }
        }
        taken
    }

    /// The lines of the log, without time.
    pub fn log(&self) -> Vec<&str> {
        let lines = self.printed.iter();
        lines
            .filter_map(|line| line.strip_prefix('[')?.split_once("] "))
            .map(|(_, text)| text)
            .collect()
    }

    /// Lets time pass, calling the board when it asks for it.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.board.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.board.handle_timeout(self.now);
            self.drive();
        }
        self.now = end;
    }

    /// The broker sends a message with QoS 0.
    pub fn message(&mut self, topic: &str, payload: &str) {
        self.publish(topic, payload, false);
    }

    /// The broker sends a retained message.
    pub fn retained(&mut self, topic: &str, payload: &str) {
        self.publish(topic, payload, true);
    }

    fn publish(&mut self, topic: &str, payload: &str, retain: bool) {
        let topic = TopicName::new(topic).unwrap();
        let publish = Publish {
            retain,
            ..Publish::new(topic, payload.as_bytes())
        };
        self.say(&Packet::Publish(publish));
    }

    /// The broker acknowledges the message with that identifier.
    pub fn acknowledge(&mut self, id: u16) {
        let ack = Ack::new(PacketId::new(id).unwrap());
        self.say(&Packet::PubAck(ack));
    }

    /// The broker sends a packet.
    pub fn say(&mut self, packet: &Packet<'_>) {
        self.feed(packet);
        self.drive();
    }

    /// The broker sends any bytes, as many as are taken.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let space = self.board.rx_space();
        let len = bytes.len().min(space.len());
        space[..len].copy_from_slice(&bytes[..len]);
        self.board.received(len, self.now);
        self.drive();
    }

    /// What was sent on a topic, as `payload` and flags.
    pub fn sent_on(&self, topic: &str) -> Vec<&str> {
        let start = format!("PUBLISH {topic} ");
        self.sent
            .iter()
            .filter_map(|line| line.strip_prefix(&start))
            .collect()
    }

    pub fn sent_kinds(&self, kind: &str) -> usize {
        self.sent
            .iter()
            .filter(|line| line.starts_with(kind))
            .count()
    }

    /// Drains effects and bytes until nothing moves.
    pub fn drive(&mut self) {
        loop {
            self.drain();
            let bytes = self.board.transmit();
            if bytes.is_empty() || !self.open {
                return;
            }
            let len = bytes.len();
            self.received.extend_from_slice(bytes);
            self.board.transmitted(len, self.now);
            self.answer();
        }
    }

    fn drain(&mut self) {
        self.print();
        while let Some(effect) = self.board.poll_effect() {
            match effect {
                Effect::Notice(notice) => self.notices.push(notice),
                effect => {
                    self.open &= effect != Effect::CloseTransport;
                    self.effects.push(effect);
                }
            }
        }
        self.print();
    }

    fn print(&mut self) {
        while self.prints && !self.board.console_output().is_empty() {
            let output = self.board.console_output().to_vec();
            let mut parser = Parser::<255>::new();
            let mut text = Vec::new();
            for byte in &output {
                match parser.take(*byte) {
                    Taken::Part => {}
                    Taken::Text => text.extend_from_slice(parser.text()),
                    Taken::Broken => panic!("a broken frame is printed"),
                    Taken::Frame => {
                        assert!(text.is_empty() || text.ends_with(b"\r\n"), "within a line");
                        self.frames.push(frame_line(&parser));
                    }
                }
            }
            assert!(!parser.is_within(), "whole frames are printed");
            if !text.is_empty() {
                let text = String::from_utf8(text).expect("the console prints UTF-8");
                let lines = text.strip_suffix("\r\n").expect("whole lines are printed");
                self.printed.extend(lines.split("\r\n").map(String::from));
            }
            self.board.console_written(output.len());
        }
    }

    /// Reads what the board has sent, and answers.
    fn answer(&mut self) {
        let received = core::mem::take(&mut self.received);
        let mut bytes = &received[..];
        while let Some(header) = FixedHeader::decode(bytes).unwrap() {
            let Some((packet, rest)) = bytes.split_at_checked(header.packet_len()) else {
                break;
            };
            bytes = rest;
            let packet = Packet::decode(self.version, header, &packet[header.len()..]).unwrap();
            self.sent.push(line(&packet));
            let answers = self.answers;
            match packet {
                Packet::Connect(Connect { version, .. }) => {
                    self.version = version;
                    let poor = [
                        Property::MaximumQoS(QoS::AtMostOnce),
                        Property::RetainAvailable(false),
                    ];
                    let reference = [Property::ServerReference(answers.reference)];
                    let size = answers.packet_size.map(Property::MaximumPacketSize);
                    if let Some(reason) = answers.connect {
                        self.feed(&Packet::ConnAck(ConnAck {
                            session_present: answers.session_present,
                            reason,
                            properties: Properties::new(match answers {
                                Answers { poor: true, .. } => &poor,
                                Answers { reference: "", .. } => size.as_slice(),
                                _ => &reference,
                            }),
                        }));
                    }
                }
                Packet::Subscribe(subscribe) => {
                    let count = subscribe.subscriptions.iter().count();
                    let reasons = [answers.subscribe; 4];
                    self.feed(&Packet::SubAck(SubAck {
                        packet_id: subscribe.packet_id,
                        properties: Properties::EMPTY,
                        reasons: Items::new(&reasons[..count]),
                    }));
                }
                Packet::Publish(publish) if answers.publish => {
                    if let Some(id) = publish.delivery.packet_id() {
                        self.feed(&Packet::PubAck(Ack::new(id)));
                    }
                }
                Packet::PingReq => self.feed(&Packet::PingResp),
                _ => {}
            }
        }
        self.received = bytes.to_vec();
    }

    fn feed(&mut self, packet: &Packet<'_>) {
        let mut buffer = [0; 256];
        let len = packet.encode(self.version, &mut buffer).unwrap();
        let space = self.board.rx_space();
        // Not taken only after bytes that were no MQTT.
        if let Some(space) = space.get_mut(..len) {
            space.copy_from_slice(&buffer[..len]);
            self.board.received(len, self.now);
        }
        self.drain();
    }
}

/// A frame in one line.
fn frame_line(parser: &Parser<255>) -> String {
    match parser.packet() {
        Ok(improv::Packet::Result { command, strings }) => {
            format!("Result {command} {:?}", strings.collect::<Vec<_>>())
        }
        Ok(packet) => format!("{packet:?}"),
        Err(error) => panic!("a frame that nobody understands: {error}"),
    }
}

/// A packet in one line.
fn line(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Connect(connect) => format!(
            "CONNECT {} {}{}",
            connect.version,
            connect.client_id,
            if connect.clean_start { " clean" } else { "" }
        ),
        Packet::Publish(publish) => {
            let payload = core::str::from_utf8(publish.payload).unwrap();
            let (qos, id) = match publish.delivery {
                Delivery::AtMostOnce => (0, String::new()),
                Delivery::AtLeastOnce(id) => (1, format!(" id{}", id.get())),
                Delivery::ExactlyOnce(id) => (2, format!(" id{}", id.get())),
            };
            let retain = if publish.retain { " retain" } else { "" };
            let dup = if publish.dup { " dup" } else { "" };
            let topic = publish.topic.unwrap();
            format!("PUBLISH {topic} {payload} qos{qos}{retain}{dup}{id}")
        }
        Packet::Subscribe(subscribe) => {
            let mut text = "SUBSCRIBE".to_string();
            for item in subscribe.subscriptions {
                let no_local = if item.no_local { " no-local" } else { "" };
                text += &format!(" {} qos{}{no_local}", item.filter, item.qos as u8);
            }
            text
        }
        packet => packet.kind().to_string(),
    }
}
