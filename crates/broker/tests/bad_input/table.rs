//! The list of bad input: what is sent, and what has to become of it.

use declic_mqtt::{ProtocolVersion, ReasonCode};

/// Bytes that a client should not have sent.
pub struct Entry {
    pub name: &'static str,
    pub version: ProtocolVersion,
    /// They are sent behind a CONNECT that was accepted; otherwise they are the first.
    pub is_connected: bool,
    pub bytes: Vec<u8>,
    pub outcome: Outcome,
}

/// What the broker makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The connection ends and nothing is said.
    Closed,
    /// A CONNACK with this code, then the end.
    ConnAck(u8),
    /// A DISCONNECT with this reason, then the end; in 3.1.1, which has none, only the end.
    Disconnect(ReasonCode),
    /// It does no harm, and the client is served on.
    Served,
    /// The broker waits for this rest; with it, the client is served on.
    Waits(Vec<u8>),
}

/// The whole list, for both versions.
pub fn entries() -> Vec<Entry> {
    [ProtocolVersion::V3_1_1, ProtocolVersion::V5]
        .into_iter()
        .flat_map(|version| {
            let mut list = List {
                version,
                entries: Vec::new(),
            };
            list.lengths();
            list.overruns();
            list.before_connect();
            list.connects();
            list.out_of_place();
            list.topics();
            list.identifiers();
            list.entries
        })
        .collect()
}

struct List {
    version: ProtocolVersion,
    entries: Vec<Entry>,
}

impl List {
    /// Remaining lengths that no packet has, or that promise more than ever comes.
    fn lengths(&mut self) {
        let malformed = Outcome::Disconnect(ReasonCode::MalformedPacket);
        let too_large = Outcome::Disconnect(ReasonCode::PacketTooLarge);
        self.connected(
            "a remaining length of five bytes",
            vec![0x30, 0xff, 0xff, 0xff, 0xff, 0x01],
            malformed.clone(),
        );
        self.connected(
            "a remaining length of five bytes that mean 0",
            vec![0x30, 0x80, 0x80, 0x80, 0x80, 0x00],
            malformed.clone(),
        );
        for first in [0x30, 0x82, 0xa2, 0xe0] {
            self.connected(
                "a remaining length that is larger than any packet",
                vec![first, 0xff, 0xff, 0xff, 0x7f],
                too_large.clone(),
            );
        }
        let payload = vec![b'x'; 5_000];
        let whole = packet(0x30, &[&string("t"), self.no_properties(), &payload]);
        self.connected(
            "a packet that goes beyond what was sent",
            whole[..20].to_vec(),
            Outcome::Waits(whole[20..].to_vec()),
        );
        self.connected(
            "the beginning of a header",
            vec![0xc0],
            Outcome::Waits(vec![0]),
        );
        self.connected(
            "a publish without a topic",
            packet(0x30, &[]),
            malformed.clone(),
        );
        self.connected(
            "an acknowledgement without an identifier",
            packet(0x40, &[&[0]]),
            malformed,
        );
    }

    /// Lengths inside of a packet that go beyond its end.
    fn overruns(&mut self) {
        let malformed = || Outcome::Disconnect(ReasonCode::MalformedPacket);
        for length in [2, 0x100, 0xffff_u16] {
            let topic = [&length.to_be_bytes()[..], b"t"].concat();
            self.connected(
                "a topic that goes beyond the packet",
                packet(0x30, &[&topic]),
                malformed(),
            );
            for (first, name) in [
                (0x82, "a filter that goes beyond a SUBSCRIBE"),
                (0xa2, "a filter that goes beyond an UNSUBSCRIBE"),
            ] {
                let bytes = packet(first, &[&[0, 1], self.no_properties(), &topic]);
                self.connected(name, bytes, malformed());
            }
        }
        let no_options = packet(0x82, &[&[0, 1], self.no_properties(), &string("t")]);
        self.connected(
            "a subscription without its options",
            no_options,
            malformed(),
        );
        if self.version != ProtocolVersion::V5 {
            return;
        }
        for (name, properties) in [
            ("properties that go beyond the packet", &[0x7f][..]),
            (
                "a length of properties of five bytes",
                &[0xff, 0xff, 0xff, 0xff, 0x01],
            ),
            ("a length of properties without an end", &[0xff]),
            (
                "a string that goes beyond the properties",
                &[4, 3, 0, 2, b'x'],
            ),
            (
                "a name that goes beyond the properties",
                &[4, 38, 0xff, 0xff, b'x'],
            ),
            (
                "a value that goes beyond the properties",
                &[6, 38, 0, 1, b'x', 0, 9],
            ),
            ("a number that goes beyond the properties", &[3, 2, 0, 0]),
            ("a property that there is not", &[2, 0x7f, 0]),
        ] {
            let bytes = packet(0x30, &[&string("t"), properties]);
            self.connected(name, bytes, malformed());
        }
    }

    /// What comes first and is no CONNECT.
    fn before_connect(&mut self) {
        for (name, bytes) in [
            ("a huge first packet", vec![0x10, 0xff, 0xff, 0xff, 0x7f]),
            (
                "a huge PUBLISH as the first packet",
                vec![0x30, 0xff, 0xff, 0xff, 0x7f],
            ),
            (
                "five bytes of length in the first packet",
                vec![0x10, 0xff, 0xff, 0xff, 0xff, 0x01],
            ),
            (
                "a PUBLISH before CONNECT",
                packet(0x30, &[&string("t"), self.no_properties(), b"x"]),
            ),
            (
                "a SUBSCRIBE before CONNECT",
                packet(0x82, &[&[0, 1], self.no_properties(), &string("#"), &[0]]),
            ),
            ("a PUBREL before CONNECT", packet(0x62, &[&[0, 1]])),
            ("a PINGREQ before CONNECT", packet(0xc0, &[])),
            ("a DISCONNECT before CONNECT", packet(0xe0, &[])),
            ("an AUTH before CONNECT", packet(0xf0, &[])),
            ("a CONNACK before CONNECT", packet(0x20, &[&[0, 0]])),
            ("a packet of a kind that there is not", packet(0x00, &[])),
            (
                "a request of HTTP",
                b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            ),
            (
                "a ClientHello",
                b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(),
            ),
            ("nothing but zeros", vec![0; 3_000]),
            ("nothing but ones", vec![0xff; 3_000]),
        ] {
            self.first(name, bytes, Outcome::Closed);
        }
    }

    /// CONNECTs that say what they may not.
    fn connects(&mut self) {
        // 3.1.1 has no code for a packet that is malformed.
        let malformed = match self.version {
            ProtocolVersion::V5 => Outcome::ConnAck(ReasonCode::MalformedPacket as u8),
            ProtocolVersion::V3_1_1 => Outcome::Closed,
        };
        let no_properties = self.no_properties();
        let will = |topic: &[u8]| [no_properties, &string(topic), &string("x")].concat();
        for (name, flags, id, rest) in [
            (
                "a client id that goes beyond the packet",
                CLEAN,
                vec![0, 9, b'c'],
                vec![],
            ),
            ("a NUL in the client id", CLEAN, string("a\0b"), vec![]),
            (
                "half a surrogate in the client id",
                CLEAN,
                string(b"a\xed\xa0\x80"),
                vec![],
            ),
            (
                "a topic of the will that goes beyond the packet",
                CLEAN | WILL,
                string("c"),
                [self.no_properties(), &[0, 9, b't']].concat(),
            ),
            (
                "a will with bytes that are no text",
                CLEAN | WILL,
                string("c"),
                will(b"\xff"),
            ),
            (
                "a will of QoS 3",
                CLEAN | WILL | 0x18,
                string("c"),
                will(b"t"),
            ),
            (
                "a user name in more bytes than need be",
                CLEAN | USER,
                string("c"),
                string(b"u\xc0\x80"),
            ),
            (
                "a user name that goes beyond the packet",
                CLEAN | USER,
                string("c"),
                vec![0xff, 0xff, b'u'],
            ),
            (
                "a password that goes beyond the packet",
                CLEAN | USER | PASSWORD,
                string("c"),
                [&string("u")[..], &[0, 2, b'p']].concat(),
            ),
            ("the reserved flag", CLEAN | 1, string("c"), vec![]),
            ("bytes behind the end", CLEAN, string("c"), vec![0]),
        ] {
            let bytes = self.connect(flags, &id, &rest);
            self.first(name, bytes, malformed.clone());
        }
        let no_topic = match self.version {
            ProtocolVersion::V5 => Outcome::ConnAck(ReasonCode::TopicNameInvalid as u8),
            ProtocolVersion::V3_1_1 => Outcome::Closed,
        };
        for topic in [&b""[..], b"a/#"] {
            let bytes = self.connect(CLEAN | WILL, &string("c"), &will(topic));
            self.first("a will for no topic", bytes, no_topic.clone());
        }
        self.first("an empty CONNECT", packet(0x10, &[]), Outcome::Closed);
        let bytes = packet(0x10, &[&string("MQTT")]);
        self.first("a CONNECT without a version", bytes, Outcome::Closed);
        let bytes = packet(0x10, &[&string("MQTX"), &[4, CLEAN, 0, 60], &string("c")]);
        self.first("a protocol of another name", bytes, Outcome::Closed);
        for (version, code) in [(0, 1), (3, 1), (6, 0x84), (0x84, 1), (0xff, 1)] {
            let body = [&[version, CLEAN, 0, 60][..], &[0], &string("c")].concat();
            let bytes = packet(0x10, &[&string("MQTT"), &body]);
            self.first("a version that there is not", bytes, Outcome::ConnAck(code));
        }
        let password = string([0, 0xff, 0xed, 0xa0, 0x80]);
        let rest = [string("u"), password].concat();
        let mut bytes = self.connect(CLEAN | USER | PASSWORD, &string(""), &rest);
        bytes.extend(packet(0xc0, &[]));
        self.first("a password of any bytes", bytes, Outcome::Served);
    }

    /// Packets that may not come now, or not from a client.
    fn out_of_place(&mut self) {
        let protocol = || Outcome::Disconnect(ReasonCode::ProtocolError);
        let malformed = || Outcome::Disconnect(ReasonCode::MalformedPacket);
        let second = self.connect(CLEAN, &string("bad-input"), &[]);
        self.connected("a second CONNECT", second, protocol());
        let connack = packet(0x20, &[&[0, 0], self.no_properties()]);
        self.connected("a CONNACK of a client", connack, protocol());
        let suback = packet(0x90, &[&[0, 1], self.no_properties(), &[0]]);
        self.connected("a SUBACK of a client", suback, protocol());
        let codes: &[u8] = match self.version {
            ProtocolVersion::V5 => &[0, 0],
            ProtocolVersion::V3_1_1 => &[],
        };
        self.connected(
            "an UNSUBACK of a client",
            packet(0xb0, &[&[0, 1], codes]),
            protocol(),
        );
        self.connected("a PINGRESP of a client", packet(0xd0, &[]), protocol());
        let auth = packet(0xf0, &[&[0x19, 5, 21, 0, 2, b'm', b'e']]);
        self.connected("an AUTH that was not agreed on", auth, protocol());
        self.connected(
            "a kind of packet that there is not",
            packet(0, &[]),
            malformed(),
        );
        self.connected("flags that are reserved", packet(0xc1, &[]), malformed());
        self.connected(
            "a PINGREQ with something in it",
            packet(0xc0, &[b"x"]),
            malformed(),
        );
        let publish = packet(0x36, &[&string("t"), &[0, 1], self.no_properties()]);
        self.connected("a PUBLISH of QoS 3", publish, malformed());
        for first in [0x40, 0x50, 0x62, 0x70] {
            let bytes = packet(first, &[&[0x12, 0x34]]);
            self.connected("an acknowledgement for nothing", bytes, Outcome::Served);
        }
    }

    /// Topics and filters that are none.
    fn topics(&mut self) {
        let malformed = || Outcome::Disconnect(ReasonCode::MalformedPacket);
        let publish = |topic: &[u8]| packet(0x30, &[&string(topic), self.no_properties(), b"x"]);
        let subscribe = |filter: &[u8]| {
            packet(
                0x82,
                &[&[0, 1], self.no_properties(), &string(filter), &[0]],
            )
        };
        let slashes = "/".repeat(65_000);
        let mut list = vec![
            (
                "a topic of 65,000 slashes",
                publish(slashes.as_bytes()),
                // More levels than the broker takes.
                Outcome::Disconnect(ReasonCode::TopicNameInvalid),
            ),
            (
                "a filter of 65,000 slashes",
                subscribe(slashes.as_bytes()),
                Outcome::Served,
            ),
            (
                "a filter of 32,000 wildcards",
                subscribe("+/".repeat(32_000).as_bytes()),
                Outcome::Served,
            ),
            (
                "an empty topic",
                publish(b""),
                Outcome::Disconnect(ReasonCode::ProtocolError),
            ),
            (
                "an empty filter",
                subscribe(b""),
                Outcome::Disconnect(ReasonCode::TopicFilterInvalid),
            ),
        ];
        for topic in [&b"a/+"[..], b"#", b"a/#/b", b"a+b"] {
            let outcome = Outcome::Disconnect(ReasonCode::TopicNameInvalid);
            list.push(("a wildcard in a topic", publish(topic), outcome));
        }
        for text in [
            &b"a\0b"[..],
            b"a\xed\xa0\x80",
            b"\xed\xbf\xbf",
            b"\xc0\x80",
            b"\xff",
            b"\xf4\x90\x80\x80",
            b"a\xe2\x82",
        ] {
            list.push(("a topic that is no text", publish(text), malformed()));
            list.push(("a filter that is no text", subscribe(text), malformed()));
        }
        for filter in [
            &b"a/#/b"[..],
            b"a#",
            b"+a",
            b"$share/",
            b"$share/g",
            b"$share/g/",
            b"$share//t",
            b"$share/g+/t",
            b"$share/#/t",
            b"$share/g/t/#/x",
        ] {
            let outcome = Outcome::Disconnect(ReasonCode::TopicFilterInvalid);
            list.push(("a filter that is none", subscribe(filter), outcome));
        }
        list.push((
            "a SUBSCRIBE for nothing",
            packet(0x82, &[&[0, 1], self.no_properties()]),
            Outcome::Disconnect(ReasonCode::ProtocolError),
        ));
        list.push((
            "an UNSUBSCRIBE for nothing",
            packet(0xa2, &[&[0, 1], self.no_properties()]),
            Outcome::Disconnect(ReasonCode::ProtocolError),
        ));
        for (name, bytes, outcome) in list {
            self.connected(name, bytes, outcome);
        }
    }

    /// Packet identifiers that are 0, come again, or never end.
    fn identifiers(&mut self) {
        let malformed = || Outcome::Disconnect(ReasonCode::MalformedPacket);
        let publish = |first, id: u16| {
            let id = id.to_be_bytes();
            packet(first, &[&string("t"), &id, self.no_properties(), b"x"])
        };
        let zeros = [publish(0x32, 0), publish(0x34, 0)];
        let twice = [publish(0x34, 7), publish(0x3c, 7), publish(0x34, 7)].concat();
        let (most, more) = (1..=20_u16, 1..=5_000_u16);
        let rounds: Vec<u8> = most
            .flat_map(|_| [publish(0x34, 7), packet(0x62, &[&[0, 7]])].concat())
            .collect();
        let window = Outcome::Disconnect(ReasonCode::ReceiveMaximumExceeded);
        let many: Vec<u8> = more.clone().flat_map(|id| publish(0x34, id)).collect();
        let releases: Vec<u8> = more
            .flat_map(|id| packet(0x62, &[&id.to_be_bytes()]))
            .collect();
        for bytes in zeros {
            self.connected("the packet identifier 0", bytes, malformed());
        }
        self.connected(
            "a QoS 2 identifier that is used already",
            twice,
            Outcome::Served,
        );
        self.connected("one identifier again and again", rounds, Outcome::Served);
        self.connected("more QoS 2 than the window has", many, window);
        self.connected("endless PUBREL", releases, Outcome::Served);
    }

    fn first(&mut self, name: &'static str, bytes: Vec<u8>, outcome: Outcome) {
        self.push(name, false, bytes, outcome);
    }

    fn connected(&mut self, name: &'static str, bytes: Vec<u8>, outcome: Outcome) {
        self.push(name, true, bytes, outcome);
    }

    fn push(&mut self, name: &'static str, is_connected: bool, bytes: Vec<u8>, outcome: Outcome) {
        self.entries.push(Entry {
            name,
            version: self.version,
            is_connected,
            bytes,
            outcome,
        });
    }

    fn connect(&self, flags: u8, id: &[u8], rest: &[u8]) -> Vec<u8> {
        let head = [self.version as u8, flags, 0, 60];
        packet(
            0x10,
            &[&string("MQTT"), &head, self.no_properties(), id, rest],
        )
    }

    /// No properties, where there could be some.
    const fn no_properties(&self) -> &'static [u8] {
        match self.version {
            ProtocolVersion::V5 => &[0],
            ProtocolVersion::V3_1_1 => &[],
        }
    }
}

/// A packet with this first byte.
pub fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut bytes = vec![first];
    let mut length = body.len();
    while length > 0x7f {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(body);
    bytes
}

/// A string with its length before it.
pub fn string(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    let length = u16::try_from(text.len()).expect("a short text");
    [&length.to_be_bytes(), text].concat()
}

const CLEAN: u8 = 0x02;
const WILL: u8 = 0x04;
const PASSWORD: u8 = 0x40;
const USER: u8 = 0x80;
