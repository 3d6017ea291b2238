//! One test, with one version of the protocol.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use declic_mqtt::ProtocolVersion;
use declic_mqtt::packet::{Connect, Properties, Property};

use crate::broker::{Subject, subject};
use crate::client::Client;

/// Runs a test with 5.0.
#[track_caller]
pub fn v5(test: impl Fn(&Case)) {
    run(ProtocolVersion::V5, &test);
}

/// Runs a test with 3.1.1.
#[track_caller]
pub fn v3_1_1(test: impl Fn(&Case)) {
    run(ProtocolVersion::V3_1_1, &test);
}

/// Runs a test with each version.
#[track_caller]
pub fn both(test: impl Fn(&Case)) {
    let runs = [ProtocolVersion::V3_1_1, ProtocolVersion::V5].map(|version| {
        catch_unwind(AssertUnwindSafe(|| run(version, &test))).inspect_err(|_| {
            eprintln!("that was with {version}");
        })
    });
    for result in runs {
        result.unwrap_or_else(|panic| resume_unwind(panic));
    }
}

fn run(version: ProtocolVersion, test: &impl Fn(&Case)) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let subject = subject();
    let case = Case {
        version,
        subject,
        // Client identifiers of 3.1.1 are letters and digits, 23 at most.
        prefix: format!("c{:x}n{number}", started() % 0xffff_ffff),
    };
    let thread = std::thread::current();
    let name = thread.name().and_then(|name| name.rsplit("::").next());
    let known = (name.unwrap_or_default().to_owned(), version.to_string());
    if !subject.known_failures.contains(&known) {
        return test(&case);
    }
    let result = catch_unwind(AssertUnwindSafe(|| test(&case)));
    assert!(
        result.is_err(),
        "passes with {version}, but is listed as a known failure"
    );
}

/// A number that the tests of another run don't have.
fn started() -> u128 {
    use std::sync::OnceLock;
    static STARTED: OnceLock<u128> = OnceLock::new();
    *STARTED.get_or_init(|| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_micros())
    })
}

pub struct Case {
    pub version: ProtocolVersion,
    pub subject: &'static Subject,
    prefix: String,
}

impl Case {
    /// Whether 5.0 is spoken.
    pub fn is_v5(&self) -> bool {
        self.version == ProtocolVersion::V5
    }

    /// A topic or filter that only this test has.
    pub fn topic(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    /// A client identifier that only this test has: `name` is a few letters.
    pub fn id(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A transport without a CONNECT.
    pub fn open(&self) -> Client {
        Client::open(self.subject, self.version)
    }

    /// A client with a clean start that is accepted.
    pub fn client(&self, name: &str) -> Client {
        let id = self.id(name);
        self.connect(&Connect::new(self.version, &id))
    }

    /// A client that is accepted.
    pub fn connect(&self, connect: &Connect<'_>) -> Client {
        self.connect_present(connect).0
    }

    /// A client that is accepted, and whether its session was there.
    pub fn connect_present(&self, connect: &Connect<'_>) -> (Client, bool) {
        let mut client = self.open();
        let present = client.connect(connect);
        (client, present)
    }

    /// A client with a clean start that accepts so many messages before it acknowledges one.
    pub fn with_receive_maximum(&self, name: &str, maximum: u16) -> Client {
        let id = self.id(name);
        let properties = [Property::ReceiveMaximum(maximum.try_into().expect("not 0"))];
        self.connect(&Connect {
            properties: Properties::new(&properties),
            ..Connect::new(self.version, &id)
        })
    }

    /// A client whose session lasts, going on with the one that is there.
    pub fn lasting(&self, name: &str) -> Client {
        self.lasting_present(name).0
    }

    /// The same, and whether there was a session.
    pub fn lasting_present(&self, name: &str) -> (Client, bool) {
        let id = self.id(name);
        self.connect_present(&lasting(self.version, &id))
    }

    /// The CONNECT's bytes in this version, with a flags byte and what comes behind the client
    /// identifier.
    pub fn connect_bytes(&self, flags: u8, id: &str, rest: &[&[u8]]) -> Vec<u8> {
        let mut body = string("MQTT");
        body.extend([self.version as u8, flags, 0, 60]);
        body.extend(self.no_properties());
        body.extend(string(id));
        rest.iter().for_each(|part| body.extend(*part));
        packet(0x10, &body)
    }

    /// An empty section of properties, where the version has one.
    pub fn no_properties(&self) -> &'static [u8] {
        if self.is_v5() { &[0] } else { &[] }
    }
}

/// A CONNECT for a session that lasts.
pub fn lasting(version: ProtocolVersion, id: &str) -> Connect<'_> {
    Connect {
        clean_start: false,
        properties: Properties::new(LASTING),
        ..Connect::new(version, id)
    }
}

const LASTING: &[Property<'_>] = &[Property::SessionExpiryInterval(300)];

/// A packet of any bytes.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(varint(body.len()));
    bytes.extend(body);
    bytes
}

/// A string or binary data with its length.
pub fn string(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    let length = u16::try_from(text.len()).expect("no more than 65,535 bytes");
    join(&[&length.to_be_bytes(), text])
}

/// Parts, one behind the other.
pub fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A variable byte integer.
pub fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
