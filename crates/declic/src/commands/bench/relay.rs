//! The least that can lie between two boards: it copies the bytes of one to the other.
//!
//! The boards want to be greeted by a broker, so their CONNECT and SUBSCRIBE are answered first.
//! From then on nothing is looked at: a PUBLISH goes to the other board as it came, and so does
//! the PUBACK that comes back.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use declic_mqtt::packet::{
    ConnAck, FixedHeader, Items, Packet, Properties, ProtocolVersion, ReasonCode, SubAck,
};
use mio::{Events, Interest, Poll, Token};

use super::failed;
use super::route::Route;
use crate::error::Error;

/// Makes a relay for each pair of boards, in a thread that ends when one of them leaves.
pub struct Relay;

impl Relay {
    fn start() -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        thread::Builder::new()
            .name("relay".to_owned())
            .spawn(move || {
                let streams = [Self::greet(&listener)?, Self::greet(&listener)?];
                // Nobody is let in twice: a board that is cut off by the other's leaving stays so.
                drop(listener);
                copy(streams)
            })?;
        Ok(address)
    }

    /// Accepts a board and answers until it has subscribed.
    fn greet(listener: &TcpListener) -> io::Result<TcpStream> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        loop {
            let packet = read_packet(&mut stream)?;
            let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, format!("{error}"));
            let header = FixedHeader::decode(&packet).map_err(invalid)?;
            let header = header.ok_or(io::ErrorKind::UnexpectedEof)?;
            let mut answer = [0; 32];
            let answered =
                match Packet::decode(VERSION, header, &packet[header.len()..]).map_err(invalid)? {
                    Packet::Connect(_) => Packet::ConnAck(ConnAck {
                        session_present: false,
                        reason: ReasonCode::Success,
                        properties: Properties::EMPTY,
                    })
                    .encode(VERSION, &mut answer),
                    Packet::Subscribe(subscribe) => {
                        let granted = [ReasonCode::GrantedQoS1; 8];
                        let count = subscribe.subscriptions.iter().count().min(granted.len());
                        Packet::SubAck(SubAck {
                            packet_id: subscribe.packet_id,
                            properties: Properties::EMPTY,
                            reasons: Items::new(&granted[..count]),
                        })
                        .encode(VERSION, &mut answer)
                    }
                    _ => return Err(io::ErrorKind::InvalidData.into()),
                };
            let len = answered.map_err(io::Error::other)?;
            stream.write_all(&answer[..len])?;
            // SUBACK
            if answer[0] >> 4 == 9 {
                return Ok(stream);
            }
        }
    }
}

impl Route for Relay {
    fn name(&self) -> &'static str {
        "bare relay"
    }

    fn open(&self) -> Result<SocketAddr, Error> {
        Self::start().map_err(|error| failed("the relay does not start", error))
    }
}

fn read_packet(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut packet = Vec::new();
    loop {
        let wanted = match FixedHeader::decode(&packet) {
            Ok(Some(header)) if packet.len() == header.packet_len() => return Ok(packet),
            Ok(Some(header)) => header.packet_len(),
            Ok(None) => packet.len() + 1,
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        };
        let have = packet.len();
        packet.resize(wanted, 0);
        stream.read_exact(&mut packet[have..])?;
    }
}

/// Copies in both directions until one side leaves, by the system calls that a broker makes too:
/// wait, read, write.
fn copy(streams: [TcpStream; 2]) -> io::Result<()> {
    let mut poll = Poll::new()?;
    for stream in &streams {
        stream.set_nonblocking(true)?;
    }
    let mut streams = streams.map(mio::net::TcpStream::from_std);
    for (index, stream) in streams.iter_mut().enumerate() {
        poll.registry()
            .register(stream, Token(index), Interest::READABLE)?;
    }
    let mut events = Events::with_capacity(2);
    let mut buffer = [0; 4_096];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            let from = event.token().0;
            loop {
                match streams[from].read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    // One press at a time: there is always room for it.
                    Ok(len) => streams[1 - from].write_all(&buffer[..len])?,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

const VERSION: ProtocolVersion = ProtocolVersion::V5;
