//! The format on disk: it changes with its version, never by accident, and older ones are read.

use std::fmt::Write;

use std::num::NonZeroU16;

use declic_mqtt::ProtocolVersion::V5;
use declic_mqtt::packet::{
    Ack, Connect, Delivery, Items, Packet, Properties, Property, Publish, Subscribe, Subscription,
    SubscriptionId, Will,
};
use declic_mqtt::{Instant, PacketId, QoS, TopicFilter, TopicName};

use super::disk::SimulatedDisk;
use crate::engine::{Batch, Change, ConnId, Effect, Engine, Identity, Limits};
use crate::store::database::{Format, Record};
use crate::store::directory::{DirectoryStore, Disk, FileName, Sizes};
use crate::store::{Durability, Store, StoreError};

/// All records of a store of each version, and the log in front of it, as hexadecimal digits: what
/// a broker of that version wrote.
const VERSION_1: &str = include_str!("version-1.txt");
const VERSION_2: &str = include_str!("version-2.txt");

#[test]
fn a_store_of_version_1_is_brought_to_this_one_and_nobody_owns_its_sessions() {
    let version_1 = Format {
        version: 1,
        upgrade: |_, _, _| panic!("there is no version 0"),
    };
    let disk = a_store(VERSION_1, version_1);
    let mut store = open(&disk, Format::CURRENT).expect("a store");
    let engine = understood(&mut store);
    let owners = engine.clients(0, 10).clients;
    assert!(owners.iter().all(|client| client.owner.is_none()));
    // It stays what it has become.
    store.close().expect("room");
    let error = open(&disk, version_1).expect_err("it is newer");
    assert!(matches!(error, StoreError::Newer { .. }), "{error}");
    let mut store = open(&disk, Format::CURRENT).expect("a store");
    assert_eq!(understood(&mut store).stats(), engine.stats());
}

#[test]
fn a_store_of_version_2_is_read() {
    let disk = a_store(VERSION_2, Format::CURRENT);
    let mut store = open(&disk, Format::CURRENT).expect("a store");
    // What the log says is what the records say.
    let mut records = String::new();
    let loaded = store.load(&mut |key, value| {
        let _ = writeln!(records, "{} {}", hexadecimal(key), hexadecimal(value));
        Ok(())
    });
    loaded.expect("what is stored can be read");
    let log = VERSION_2.lines().next_back().expect("a line");
    assert_eq!(VERSION_2, format!("{records}{log}\n"));
    let engine = understood(&mut store);
    let mut owners: Vec<_> = engine.clients(0, 10).clients;
    owners.sort_by(|a, b| a.client_id.cmp(&b.client_id));
    let owners: Vec<_> = owners.into_iter().map(|client| client.owner).collect();
    let ann = Identity::User("ann".into());
    assert_eq!(owners, [Some(ann), Some(Identity::Trusted)]);
}

/// A disk with what is written in `fixture`.
fn a_store(fixture: &str, format: Format) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let mut store = open(&disk, format).expect("a store");
    let mut batch = Batch::default();
    for line in fixture.lines() {
        match line.split_once(' ') {
            Some(("log", bytes)) => {
                let log = disk.open(FileName::Log).expect("a file");
                drop(store);
                log.set_len(0).expect("room");
                log.set_len(bytes.len() as u64 / 2).expect("room");
                log.write(0, &from_hexadecimal(bytes)).expect("room");
                store = open(&disk, format).expect("a store");
            }
            Some((key, value)) => batch.push(Change::Put {
                key: &from_hexadecimal(key),
                value: &from_hexadecimal(value),
            }),
            None => panic!("{line}"),
        }
    }
    store.close().expect("room");
    disk
}

/// What the engine of today makes of a store like that.
fn understood(store: &mut DirectoryStore) -> Engine {
    let mut engine = Engine::new(Limits::default(), 7).with_store();
    let mut restore = engine.restore(Instant::ZERO);
    let loaded = store.load(&mut |key, value| restore.record(key, value));
    loaded.expect("the engine understands it");
    restore.finish();
    let stats = engine.stats();
    let counts = (stats.sessions, stats.subscriptions, stats.retained);
    assert_eq!(counts, (2, 3, 2));
    let away = engine.clients(0, 10).clients;
    let away = away.iter().find(|client| &*client.client_id == "away");
    let away = away.expect("the session");
    assert_eq!((away.queued, away.in_flight), (4, 2), "{away:?}");
    engine
}

/// Version 2 of a test: its keys begin with a `2`.
const NEXT: Format = Format {
    version: Format::CURRENT.version + 1,
    upgrade: |version, key, value| -> Record {
        assert_eq!(version, Format::CURRENT.version);
        ([b"2", key].concat(), value.to_vec())
    },
};

#[test]
fn records_of_an_older_version_are_brought_to_the_new_one_and_the_older_program_says_so() {
    for power in 0..60 {
        let disk = SimulatedDisk::new(power);
        let mut store = open(&disk, Format::CURRENT).expect("a store");
        for key in ["a", "b"] {
            // The log is to be upgraded too.
            let mut batch = Batch::default();
            batch.push(Change::Put {
                key: key.as_bytes(),
                value: b"value",
            });
            store.write(&batch, Instant::ZERO).expect("room");
        }
        disk.kill();
        drop(store);
        disk.start();
        // Whenever the power goes, it is all old or all new.
        disk.cut_power_after(power);
        drop(open(&disk, NEXT));
        disk.lose_power();
        disk.start();
        let mut store = open(&disk, NEXT).expect("a store");
        let mut keys = Vec::new();
        let loaded = store.load(&mut |key, _| {
            keys.push(String::from_utf8_lossy(key).into_owned());
            Ok(())
        });
        loaded.expect("what is stored can be read");
        assert_eq!(keys, ["2a", "2b"]);
        store.close().expect("room");
        let error = open(&disk, Format::CURRENT).expect_err("it is newer");
        assert!(matches!(error, StoreError::Newer { .. }), "{error}");
        assert!(error.to_string().contains("newer version"), "{error}");
    }
}

fn open(disk: &SimulatedDisk, format: Format) -> Result<DirectoryStore, StoreError> {
    let sizes = Sizes {
        log: 100_000,
        growth: 1_000,
    };
    let disk = Box::new(disk.clone());
    DirectoryStore::on_disk(disk, Durability::Always, sizes, format, KEY)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hexadecimal(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(pair, 16).expect("digits")
    };
    digits.map(byte).collect()
}

const KEY: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;

/// With `DECLIC_WRITE_FORMAT` the file is written: for a new version, under a new name.
#[test]
fn what_is_written_today_is_version_2() {
    let made = made();
    if std::env::var_os("DECLIC_WRITE_FORMAT").is_some() {
        std::fs::write("src/store/tests/version-2.txt", &made).expect("room");
        return;
    }
    assert_eq!(made, VERSION_2, "a change of the format is a new version");
}

/// A store with a record of every kind.
fn made() -> String {
    let disk = SimulatedDisk::new(1);
    let mut store = open(&disk, Format::CURRENT).expect("a store");
    let mut engine = Engine::new(Limits::default(), 7)
        .with_authentication()
        .with_store();
    let now = Instant::from_millis(1_700_000_000_000);
    let mut settle = |engine: &mut Engine| {
        let mut buffer = [0; 4_096];
        loop {
            while let Some(effect) = engine.poll_effect() {
                if let Effect::Authenticate(asked) = effect {
                    let who = match &*asked.client_id {
                        "away" => Identity::User("ann".into()),
                        _ => Identity::Trusted,
                    };
                    engine.handle_authenticated(asked.ticket, Ok(who), now);
                }
            }
            while let Some(conn) = engine.poll_ready() {
                engine.fill(conn, &mut buffer, now);
            }
            let Some(batch) = engine.poll_batch() else {
                break;
            };
            store.write(&batch, now).expect("room");
            engine.handle_stored(batch, true, now);
        }
    };
    let forever = [
        Property::SessionExpiryInterval(u32::MAX),
        Property::ReceiveMaximum(NonZeroU16::new(2).expect("not 0")),
    ];
    let away = engine.handle_open(now).expect("room");
    let connect = Connect {
        clean_start: false,
        properties: Properties::new(&forever),
        ..Connect::new(V5, "away")
    };
    feed(&mut engine, away, &Packet::Connect(connect), now);
    settle(&mut engine);
    subscribe(&mut engine, away, "t", 9, now);
    subscribe(&mut engine, away, "$share/g/+", 0, now);
    settle(&mut engine);
    let delay = [
        Property::WillDelayInterval(60),
        Property::MessageExpiryInterval(5),
        Property::UserProperty(("k", "v")),
    ];
    let hour = [Property::SessionExpiryInterval(3_600)];
    let sender = engine.handle_open(now).expect("room");
    let connect = Connect {
        clean_start: false,
        properties: Properties::new(&hour),
        will: Some(Will {
            topic: topic("w"),
            payload: b"bye",
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: Properties::new(&delay),
        }),
        ..Connect::new(V5, "sender")
    };
    feed(&mut engine, sender, &Packet::Connect(connect), now);
    settle(&mut engine);
    subscribe(&mut engine, sender, "x/#", 1, now);
    let lifetime = [
        Property::MessageExpiryInterval(86_400),
        Property::ContentType("text"),
    ];
    for (name, properties) in [("r/1", &[][..]), ("r/2", &lifetime[..])] {
        let publish = Publish {
            retain: true,
            properties: Properties::new(properties),
            ..Publish::new(topic(name), b"kept")
        };
        feed(&mut engine, sender, &Packet::Publish(publish), now);
    }
    for (id, qos) in [
        (9, QoS::ExactlyOnce),
        (10, QoS::AtLeastOnce),
        (11, QoS::AtLeastOnce),
    ] {
        let publish = Publish {
            delivery: Delivery::new(qos, packet_id(id)),
            ..Publish::new(topic("t"), b"waits")
        };
        feed(&mut engine, sender, &Packet::Publish(publish), now);
    }
    settle(&mut engine);
    feed(
        &mut engine,
        away,
        &Packet::PubRec(Ack::new(packet_id(1))),
        now,
    );
    settle(&mut engine);
    engine.handle_closed(away, now);
    settle(&mut engine);
    let log = disk.open(FileName::Log).expect("a file");
    let mut bytes = vec![0; log.len().expect("a length") as usize];
    log.read(0, &mut bytes).expect("a log");
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    drop(store);
    let mut text = String::new();
    let mut store = open(&disk, Format::CURRENT).expect("a store");
    let loaded = store.load(&mut |key, value| {
        let _ = writeln!(text, "{} {}", hexadecimal(key), hexadecimal(value));
        Ok(())
    });
    loaded.expect("what is stored can be read");
    let _ = writeln!(text, "log {}", hexadecimal(&bytes));
    text
}

fn feed(engine: &mut Engine, conn: ConnId, packet: &Packet<'_>, now: Instant) {
    let mut bytes = vec![0; packet.encoded_len(V5).expect("a valid packet")];
    packet.encode(V5, &mut bytes).expect("room");
    engine.handle_bytes(conn, &bytes, now);
}

fn subscribe(engine: &mut Engine, conn: ConnId, filter: &str, id: u32, now: Instant) {
    let filter = TopicFilter::new(filter).expect("a valid filter");
    let subscriptions = [Subscription::new(filter, QoS::ExactlyOnce)];
    let id = SubscriptionId::new(id).map(Property::SubscriptionIdentifier);
    let subscribe = Subscribe {
        packet_id: packet_id(1),
        properties: Properties::new(id.as_slice()),
        subscriptions: Items::new(&subscriptions),
    };
    feed(engine, conn, &Packet::Subscribe(subscribe), now);
}

fn topic(name: &str) -> TopicName<'_> {
    TopicName::new(name).expect("a valid topic")
}

fn packet_id(id: u16) -> PacketId {
    PacketId::new(id).expect("not 0")
}
