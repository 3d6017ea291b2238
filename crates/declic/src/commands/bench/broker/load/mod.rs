//! The load generator: one thread, sockets that never block, packets by `declic-mqtt`.

pub mod churn;
pub mod flow;
pub mod idle;
pub mod latency;
pub mod retained;
pub mod subscriptions;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use declic_mqtt::packet::{
    Connect, Delivery, EncodeError, FixedHeader, Items, Packet, PacketKind, Properties, Publish,
    Subscribe, Subscription,
};
use declic_mqtt::{PacketId, ProtocolVersion, QoS, TopicFilter, TopicName};
use mio::{Interest, Registry, Token};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

/// A client's connection.
pub struct Line {
    stream: mio::net::TcpStream,
    /// What is to be sent.
    pub out: Vec<u8>,
    written: usize,
    /// The beginning of a packet.
    tail: Vec<u8>,
}

impl Line {
    /// Connects clients, and waits until all are accepted.
    pub fn connect(address: SocketAddr, client_ids: &[String]) -> io::Result<Vec<Self>> {
        Self::connect_with(address, client_ids, true)
    }

    /// The same; without a clean start their sessions last.
    pub fn connect_with(
        address: SocketAddr,
        client_ids: &[String],
        clean_start: bool,
    ) -> io::Result<Vec<Self>> {
        let mut lines = Vec::with_capacity(client_ids.len());
        for ids in client_ids.chunks(AT_ONCE) {
            let source = next_source();
            let mut greeted = Vec::with_capacity(ids.len());
            for client_id in ids {
                let mut stream = dial(address, source)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.write_all(&connect_packet(client_id, clean_start)?)?;
                greeted.push(stream);
            }
            for mut stream in greeted {
                let mut connack = [0; 4];
                stream.read_exact(&mut connack)?;
                if connack != CONNACK {
                    return Err(io::Error::other("a client was refused"));
                }
                lines.push(Self::new(stream)?);
            }
        }
        Ok(lines)
    }

    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: mio::net::TcpStream::from_std(stream),
            out: Vec::new(),
            written: 0,
            tail: Vec::new(),
        })
    }

    pub fn register(&mut self, registry: &Registry, token: usize) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut self.stream, Token(token), interest)
    }

    /// Whether all is sent.
    pub fn is_sent(&self) -> bool {
        self.out.is_empty()
    }

    /// Sends what the system takes now.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads all that has come, and gives each whole packet to `take`: its first byte, what comes
    /// behind the fixed header, and where answers go.
    pub fn read(
        &mut self,
        buffer: &mut [u8],
        mut take: impl FnMut(u8, &[u8], &mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            let kept = self.tail.len();
            buffer[..kept].copy_from_slice(&self.tail);
            let count = match self.stream.read(&mut buffer[kept..]) {
                Ok(0) => return Err(io::Error::other("the broker closed a connection")),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.tail.clear();
            let mut rest = &buffer[..kept + count];
            while let Some(header) = FixedHeader::decode(rest).map_err(io::Error::other)? {
                let Some((packet, behind)) = rest.split_at_checked(header.packet_len()) else {
                    break;
                };
                take(packet[0], &packet[header.len()..], &mut self.out)?;
                rest = behind;
            }
            self.tail.extend_from_slice(rest);
            // A short read emptied the socket; the next bytes are told again.
            if kept + count < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Sends `packet` and waits for an answer of that kind; only before the line is registered.
    pub fn ask(&mut self, packet: &[u8], answer: PacketKind) -> io::Result<Vec<u8>> {
        self.out.extend_from_slice(packet);
        let mut buffer = vec![0; 64 * 1_024];
        let mut found = None;
        let until = std::time::Instant::now() + PATIENCE;
        while found.is_none() {
            self.flush()?;
            self.read(&mut buffer, |first, body, _| {
                if first >> 4 == answer as u8 {
                    found = Some(body.to_vec());
                }
                Ok(())
            })?;
            if std::time::Instant::now() > until {
                return Err(io::Error::other("no answer for 10 s"));
            }
            std::thread::yield_now();
        }
        Ok(found.unwrap_or_default())
    }

    pub fn subscribe(&mut self, filters: &[&str], qos: QoS) -> io::Result<()> {
        let body = self.ask(&subscribe_packet(filters, qos)?, PacketKind::SubAck)?;
        let refused = body.iter().skip(2).filter(|code| **code >= 0x80).count();
        match refused {
            0 => Ok(()),
            count => Err(io::Error::other(format!("{count} subscriptions refused"))),
        }
    }
}

/// Opens a connection from one of the loopback addresses.
pub fn dial(address: SocketAddr, source: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddrV4::new(source, 0))?;
    connect(&socket, &address)?;
    Ok(TcpStream::from(socket))
}

/// Another loopback address each time: a port rests for a minute after its connection, and where
/// many are taken the system takes long to find one.
pub fn next_source() -> Ipv4Addr {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // Not where the run before began.
    let number = COUNT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 1_000;
    let [.., middle, last] = (number % ADDRESSES).to_be_bytes();
    Ipv4Addr::new(127, 1, middle, last)
}

pub fn connect_packet(client_id: &str, clean_start: bool) -> io::Result<Vec<u8>> {
    encode(&Packet::Connect(Connect {
        clean_start,
        // Nobody pings here, however long it takes; 0 would be refused by some.
        keep_alive: 3_600,
        ..Connect::new(VERSION, client_id)
    }))
}

pub fn subscribe_packet(filters: &[&str], qos: QoS) -> io::Result<Vec<u8>> {
    let filters: Result<Vec<_>, _> = filters.iter().map(|one| TopicFilter::new(one)).collect();
    let subscriptions: Vec<_> = filters
        .map_err(io::Error::other)?
        .into_iter()
        .map(|filter| Subscription::new(filter, qos))
        .collect();
    encode(&Packet::Subscribe(Subscribe {
        packet_id: PacketId::FIRST,
        properties: Properties::EMPTY,
        subscriptions: Items::new(&subscriptions),
    }))
}

/// An encoded message whose payload begins with its publisher's number and its own.
pub struct Template {
    packet: Vec<u8>,
    payload_at: usize,
    has_id: bool,
}

impl Template {
    pub fn new(topic: &str, qos: QoS, payload_len: usize, publisher: u32) -> io::Result<Self> {
        let mut payload = vec![b'.'; payload_len.max(STAMP)];
        payload[..4].copy_from_slice(&publisher.to_be_bytes());
        let topic = TopicName::new(topic).map_err(io::Error::other)?;
        let packet = encode(&Packet::Publish(Publish {
            delivery: Delivery::new(qos, PacketId::FIRST),
            ..Publish::new(topic, &payload)
        }))?;
        Ok(Self {
            payload_at: packet.len() - payload.len(),
            packet,
            has_id: qos != QoS::AtMostOnce,
        })
    }

    /// Appends message `number`, counted from 0.
    pub fn write(&mut self, number: u64, out: &mut Vec<u8>) {
        if self.has_id {
            let id = (number % IDS) as u16 + 1;
            self.packet[self.payload_at - 2..self.payload_at].copy_from_slice(&id.to_be_bytes());
        }
        let at = self.payload_at + 4;
        self.packet[at..at + 8].copy_from_slice(&number.to_be_bytes());
        out.extend_from_slice(&self.packet);
    }
}

/// What a received PUBLISH says: its publisher, its number, and its packet identifier.
pub fn stamp(first: u8, body: &[u8]) -> Option<(usize, u64, [u8; 2])> {
    let topic = 2 + usize::from(u16::from_be_bytes(*body.first_chunk()?));
    let rest = body.get(topic..)?;
    let (id, payload) = match first >> 1 & 3 {
        0 => ([0; 2], rest),
        _ => (*rest.first_chunk()?, rest.get(2..)?),
    };
    let publisher = u32::from_be_bytes(*payload.first_chunk()?);
    let number = u64::from_be_bytes(*payload.get(4..)?.first_chunk()?);
    Some((publisher as usize, number, id))
}

pub fn encode(packet: &Packet<'_>) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 256];
    loop {
        match packet.encode(VERSION, &mut buffer) {
            Ok(len) => {
                buffer.truncate(len);
                return Ok(buffer);
            }
            Err(EncodeError::BufferTooSmall { needed, .. }) => buffer.resize(needed, 0),
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

const VERSION: ProtocolVersion = ProtocolVersion::V3_1_1;
pub const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
const DISCONNECT: [u8; 2] = [0xe0, 0];
/// Loopback addresses that connections come from.
const ADDRESSES: u32 = 1 << 16;
/// Clients that are greeted together.
const AT_ONCE: usize = 100;
/// Bytes of a payload that say which message it is.
const STAMP: usize = 12;
/// Packet identifiers that are used.
const IDS: u64 = 60_000;
pub const READ_BUFFER: usize = 256 * 1_024;
/// How long to wait for what takes milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(10);
