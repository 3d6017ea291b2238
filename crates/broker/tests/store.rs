//! A server whose retained messages and lasting sessions outlive it.

mod harness;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use declic_broker::{
    BackupError, Batch, Broker, Config, Copying, DirectoryStore, Durability, Each, Store,
    StoreConfig, StoreError,
};
use declic_mqtt::packet::{Connect, Delivery, Packet, Properties, Property, Publish};
use declic_mqtt::{Instant, PacketId, ProtocolVersion, QoS, ReasonCode, TopicName};
use harness::{Client, Server};

/// A directory that is gone with it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let name = format!("declic-broker-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn config(&self, name: &str, durability: Durability) -> Config {
        Config {
            store: Some(StoreConfig {
                directory: self.0.join(name),
                durability,
            }),
            ..Config::default()
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn lasting(server: &Server, client_id: &str) -> Client {
    let for_ever = [Property::SessionExpiryInterval(u32::MAX)];
    let connect = Connect {
        clean_start: false,
        properties: Properties::new(&for_ever),
        ..Connect::new(ProtocolVersion::V5, client_id)
    };
    Client::connect(server.addresses[0], &connect)
}

fn retain(client: &mut Client, topic: &str, payload: &[u8], id: u16) {
    let topic = TopicName::new(topic).expect("a valid topic");
    let delivery = Delivery::new(QoS::AtLeastOnce, PacketId::new(id).expect("not 0"));
    client.send(&[Packet::Publish(Publish {
        retain: true,
        delivery,
        ..Publish::new(topic, payload)
    })]);
}

fn acknowledged(packet: Packet<'_>, with: ReasonCode) -> bool {
    matches!(packet, Packet::PubAck(ack) if ack.reason == with)
}

fn stop(server: Server) {
    server.handle.shutdown();
    server.thread.join().expect("no panic").expect("no failure");
}

#[test]
fn an_orderly_shutdown_loses_nothing_even_of_what_was_not_acknowledged() {
    let directory = Directory::new("shutdown");
    for durability in [
        Durability::Always,
        Durability::Interval(Duration::from_millis(1)),
        Durability::Never,
    ] {
        let name = format!("{durability:?}");
        let server = Server::start(directory.config(&name, durability));
        let mut away = lasting(&server, "away");
        away.subscribe("t", QoS::AtLeastOnce);
        drop(away);
        server.wait_for(|stats| stats.clients == 0);
        let mut sender = server.connect("sender");
        for number in 0..500 {
            let delivery =
                Delivery::new(QoS::AtLeastOnce, PacketId::new(number + 1).expect("not 0"));
            let payload = number.to_string();
            sender.send(&[Packet::Publish(Publish {
                delivery,
                ..Publish::new(TopicName::new("t").expect("valid"), payload.as_bytes())
            })]);
        }
        server.wait_for(|stats| stats.received == 500);
        stop(server);
        let server = Server::start(directory.config(&name, durability));
        let mut away = lasting(&server, "away");
        let mut next = 0;
        away.expect(|packet| {
            if let Packet::Publish(publish) = packet {
                assert_eq!(publish.payload, next.to_string().as_bytes());
                next += 1;
            }
            next == 500
        });
        stop(server);
    }
}

#[test]
fn a_backup_of_a_running_broker_is_what_another_can_start_with() {
    let directory = Directory::new("backup");
    let server = Server::start(directory.config("store", Durability::Always));
    let mut sender = server.connect("sender");
    for number in 1..=200_u16 {
        retain(&mut sender, &format!("r/{number}"), b"before", number);
    }
    let mut count = 0;
    sender.expect(|packet| {
        count += usize::from(acknowledged(packet, ReasonCode::NoMatchingSubscribers));
        count == 200
    });
    let copy = directory.0.join("copy");
    server.handle.backup(&copy).expect("room");
    retain(&mut sender, "r/1", b"after", 1);
    sender.expect(|packet| acknowledged(packet, ReasonCode::NoMatchingSubscribers));
    // It never overwrites anything.
    let error = server.handle.backup(&copy).expect_err("it is there");
    assert!(matches!(error, BackupError::Store(_)), "{error}");
    let other = Server::start(directory.config("copy", Durability::Always));
    assert_eq!(other.stats().retained, 200);
    let mut reader = other.connect("reader");
    reader.subscribe("r/1", QoS::AtMostOnce);
    reader.expect(|packet| matches!(packet, Packet::Publish(one) if one.payload == b"before"));
    stop(other);
    stop(server);
}

#[test]
fn without_a_store_there_is_no_backup() {
    let server = Server::start(Config::default());
    let error = server.handle.backup("/nowhere").expect_err("no store");
    assert_eq!(error.to_string(), "the broker has no store");
    stop(server);
}

#[test]
fn a_store_that_is_in_use_is_an_error_that_names_it() {
    let directory = Directory::new("in-use");
    let config = directory.config("store", Durability::Always);
    let server = Server::start(config.clone());
    let error = Broker::bind(config).expect_err("it is in use");
    assert!(
        matches!(error.store_error(), Some(StoreError::InUse(_))),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("state.redb is used by another process"),
        "{error}"
    );
    stop(server);
}

/// A store on a disk that is full when the test says so.
struct Full {
    store: DirectoryStore,
    is_full: Arc<AtomicBool>,
}

impl Store for Full {
    fn load(&mut self, each: &mut Each<'_>) -> Result<(), StoreError> {
        self.store.load(each)
    }

    fn last_time(&self) -> Option<Instant> {
        self.store.last_time()
    }

    fn write(&mut self, batch: &Batch, now: Instant) -> Result<(), StoreError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(StoreError::Io {
                path: "test".into(),
                source: std::io::ErrorKind::StorageFull.into(),
            });
        }
        self.store.write(batch, now)
    }

    fn tend(&mut self) -> Result<Option<Duration>, StoreError> {
        self.store.tend()
    }

    fn backup(&mut self, path: &std::path::Path) -> Result<Copying, StoreError> {
        self.store.backup(path)
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.store.close()
    }
}

#[test]
fn a_full_disk_refuses_what_needs_it_serves_the_rest_and_recovers() {
    let directory = Directory::new("full");
    let mut config = directory.config("store", Durability::Always);
    config.listeners = vec!["127.0.0.1:0".parse().expect("an address")];
    let settings = config.store.clone().expect("a store");
    let is_full = Arc::new(AtomicBool::new(false));
    let store = Full {
        store: DirectoryStore::open(&settings).expect("a store"),
        is_full: is_full.clone(),
    };
    let mut broker = Broker::bind_with_store(config, Box::new(store)).expect("a free port");
    let server = Server {
        addresses: broker.local_addrs().to_vec(),
        tls_addresses: Vec::new(),
        http_addresses: Vec::new(),
        https_addresses: Vec::new(),
        handle: broker.handle(),
        events: broker.events(64),
        thread: std::thread::spawn(move || broker.run()),
    };
    let mut reader = server.connect("reader");
    reader.subscribe("now", QoS::AtLeastOnce);
    is_full.store(true, Ordering::SeqCst);
    let mut first = server.connect("first");
    retain(&mut first, "kept", b"1", 1);
    // It gets no acknowledgement, but the reason.
    let full = ReasonCode::QuotaExceeded;
    first.expect(|packet| matches!(packet, Packet::Disconnect(one) if one.reason == full));
    let mut sender = server.connect("sender");
    retain(&mut sender, "kept", b"2", 2);
    sender.expect(|packet| acknowledged(packet, full));
    sender.publish("now", b"served", QoS::AtLeastOnce);
    sender.expect(|packet| acknowledged(packet, ReasonCode::Success));
    reader.expect(|packet| matches!(packet, Packet::Publish(one) if one.payload == b"served"));
    assert!(server.stats().store_failing);
    is_full.store(false, Ordering::SeqCst);
    server.wait_for(|stats| !stats.store_failing);
    retain(&mut sender, "kept", b"3", 3);
    sender.expect(|packet| acknowledged(packet, ReasonCode::NoMatchingSubscribers));
    stop(server);
    let server = Server::start(directory.config("store", Durability::Always));
    let mut reader = server.connect("reader");
    reader.subscribe("kept", QoS::AtMostOnce);
    reader.expect(|packet| matches!(packet, Packet::Publish(one) if one.payload == b"3"));
    stop(server);
}
