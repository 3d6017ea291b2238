//! A connection to the broker, which may be gone at any moment.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use declic_mqtt::packet::{Connect, FixedHeader, Packet, Properties, Property};
use declic_mqtt::{ProtocolVersion, ReasonCode};

use super::broker::Broker;

pub struct Link {
    stream: TcpStream,
    version: ProtocolVersion,
    received: Vec<u8>,
    at: usize,
    to_send: Vec<u8>,
}

impl Link {
    /// A connection, and whether the session was there already.
    pub fn connect(
        broker: &Broker,
        version: ProtocolVersion,
        client_id: &str,
        clean_start: bool,
    ) -> io::Result<(Self, bool)> {
        let stream = TcpStream::connect(broker.address)?;
        stream.set_nodelay(true)?;
        let mut link = Self {
            stream,
            version,
            received: Vec::new(),
            at: 0,
            to_send: Vec::new(),
        };
        let for_ever = [Property::SessionExpiryInterval(u32::MAX)];
        link.queue(&Packet::Connect(Connect {
            clean_start,
            properties: Properties::new(if clean_start { &[] } else { &for_ever }),
            ..Connect::new(version, client_id)
        }));
        link.flush()?;
        let mut present = false;
        link.next(LONG, |packet| match packet {
            Packet::ConnAck(connack) => {
                assert_eq!(
                    connack.reason,
                    ReasonCode::Success,
                    "{client_id} was refused"
                );
                present = connack.session_present;
            }
            other => panic!("{client_id} expected a CONNACK and received {other:?}"),
        })?;
        Ok((link, present))
    }

    /// Puts a packet behind those that are sent with the next [`Self::flush`].
    pub fn queue(&mut self, packet: &Packet<'_>) {
        let length = packet.encoded_len(self.version).expect("a valid packet");
        let at = self.to_send.len();
        self.to_send.resize(at + length, 0);
        packet
            .encode(self.version, &mut self.to_send[at..])
            .expect("room for the packet");
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&std::mem::take(&mut self.to_send))
    }

    /// Looks at the next packet. `Ok(false)` when none came in time.
    pub fn next(&mut self, limit: Duration, look: impl FnOnce(&Packet<'_>)) -> io::Result<bool> {
        loop {
            let bytes = &self.received[self.at..];
            if let Some(header) = FixedHeader::decode(bytes).expect("a packet")
                && bytes.len() >= header.packet_len()
            {
                let body = &bytes[header.len()..header.packet_len()];
                let packet = Packet::decode(self.version, header, body).expect("a valid packet");
                self.at += header.packet_len();
                look(&packet);
                return Ok(true);
            }
            self.received.drain(..self.at);
            self.at = 0;
            let mut buffer = [0; 16_384];
            self.stream.set_read_timeout(Some(limit))?;
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if is_timeout(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether a packet, or a part of one, was received and not looked at.
    pub fn has_more(&self) -> bool {
        self.at < self.received.len()
    }
}

fn is_timeout(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
    kinds.contains(&error.kind())
}

/// Longer than any answer takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(60);
