//! A broker in a thread, and clients that do one thing after the other.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use declic_broker::{Broker, Config, Effect, Handle, RunError, Stats};
use declic_mqtt::packet::{
    ConnAck, Connect, Delivery, FixedHeader, Items, Packet, Properties, Publish, Subscribe,
    Subscription,
};
use declic_mqtt::{PacketId, ProtocolVersion, QoS, ReasonCode, TopicFilter, TopicName};

/// A broker in a thread of its own.
pub struct Server {
    pub addresses: Vec<SocketAddr>,
    pub tls_addresses: Vec<SocketAddr>,
    pub http_addresses: Vec<SocketAddr>,
    pub https_addresses: Vec<SocketAddr>,
    pub handle: Handle,
    pub events: Receiver<Effect>,
    pub thread: JoinHandle<Result<(), RunError>>,
}

impl Server {
    pub fn start(mut config: Config) -> Self {
        if config.listeners == Config::default().listeners {
            config.listeners = vec!["127.0.0.1:0".parse().expect("an address")];
        }
        let mut broker = Broker::bind(config).expect("a free port");
        Self {
            addresses: broker.local_addrs().to_vec(),
            tls_addresses: broker.tls_addrs().to_vec(),
            http_addresses: broker.http_addrs().to_vec(),
            https_addresses: broker.https_addrs().to_vec(),
            handle: broker.handle(),
            events: broker.events(64),
            thread: std::thread::spawn(move || broker.run()),
        }
    }

    pub fn connect(&self, client_id: &str) -> Client {
        Client::connect(
            self.addresses[0],
            &Connect::new(ProtocolVersion::V5, client_id),
        )
    }

    pub fn stats(&self) -> Stats {
        self.handle.stats().expect("the broker runs")
    }

    /// Asks until it is so.
    pub fn wait_for(&self, condition: impl Fn(&Stats) -> bool) {
        let begin = Instant::now();
        while !condition(&self.stats()) {
            assert!(begin.elapsed() < LIMIT, "{:?}", self.stats());
            std::thread::yield_now();
        }
    }
}

/// What a client speaks over.
pub trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// A connection over TCP on which nothing is waited for too long.
pub fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the broker listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    stream.set_write_timeout(Some(LIMIT)).expect("a timeout");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// A client that does one thing after the other.
pub struct Client {
    pub stream: Box<dyn Stream>,
    received: Vec<u8>,
}

impl Client {
    pub fn open(address: SocketAddr) -> Self {
        Self::over(dial(address))
    }

    pub fn over(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            received: Vec::new(),
        }
    }

    pub fn connect(address: SocketAddr, connect: &Connect<'_>) -> Self {
        let mut client = Self::open(address);
        client.greet(connect);
        client
    }

    /// Says CONNECT, and is accepted.
    pub fn greet(&mut self, connect: &Connect<'_>) {
        self.send(&[Packet::Connect(*connect)]);
        self.expect(|packet| {
            matches!(
                packet,
                Packet::ConnAck(ConnAck {
                    reason: ReasonCode::Success,
                    ..
                })
            )
        });
    }

    pub fn subscribe(&mut self, filter: &str, qos: QoS) {
        let filter = TopicFilter::new(filter).expect("a valid filter");
        let subscriptions = [Subscription::new(filter, qos)];
        self.send(&[Packet::Subscribe(Subscribe {
            packet_id: PacketId::FIRST,
            properties: Properties::EMPTY,
            subscriptions: Items::new(&subscriptions),
        })]);
        self.expect(|packet| matches!(packet, Packet::SubAck(_)));
    }

    pub fn publish(&mut self, topic: &str, payload: &[u8], qos: QoS) {
        let topic = TopicName::new(topic).expect("a valid topic");
        self.send(&[Packet::Publish(Publish {
            delivery: Delivery::new(qos, PacketId::FIRST),
            ..Publish::new(topic, payload)
        })]);
    }

    pub fn send(&mut self, packets: &[Packet<'_>]) {
        for packet in packets {
            let mut bytes = vec![0; packet.encoded_len(ProtocolVersion::V5).expect("encodable")];
            packet
                .encode(ProtocolVersion::V5, &mut bytes)
                .expect("room");
            self.stream.write_all(&bytes).expect("the broker reads");
            self.stream.flush().expect("the broker reads");
        }
    }

    /// Reads packets until one is as wanted.
    pub fn expect(&mut self, mut wanted: impl FnMut(Packet<'_>) -> bool) {
        let mut buffer = vec![0; 1 << 20];
        loop {
            while let Some(header) = FixedHeader::decode(&self.received).expect("a packet")
                && header.packet_len() <= self.received.len()
            {
                let packet: Vec<_> = self.received.drain(..header.packet_len()).collect();
                let body = &packet[header.len()..];
                let packet = Packet::decode(ProtocolVersion::V5, header, body);
                if wanted(packet.expect("a valid packet")) {
                    return;
                }
            }
            let count = self.stream.read(&mut buffer).expect("something in time");
            assert!(count > 0, "the broker closed the connection");
            self.received.extend_from_slice(&buffer[..count]);
        }
    }

    /// The broker closes the connection, and nothing more comes.
    pub fn expect_end(&mut self) {
        assert!(self.received.is_empty());
        match self.stream.read(&mut [0]) {
            Ok(count) => assert_eq!(count, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

/// What takes longer has failed.
pub const LIMIT: Duration = Duration::from_secs(20);
