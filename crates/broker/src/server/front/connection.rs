//! One connection of the front, from its first byte to its last.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

#[cfg(feature = "tls")]
use super::tls;
use super::{Shared, Speech};
#[cfg(feature = "http")]
use crate::server::http;
use crate::server::pair::pair;
use crate::server::peer::{Origin, Peer, Transport};
#[cfg(feature = "http")]
use crate::server::websocket;

/// The network on one side, the engine's loop on the other, and between them what makes the bytes
/// of one plain for the other. Only what one side does not take is held, and while something is
/// held nothing more is read from the other side.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) generation: u64,
    /// Stands in the list of connections that may go on.
    pub(super) is_listed: bool,
    net: TcpStream,
    net_is: Ready,
    peer: SocketAddr,
    speech: Speech,
    phase: Phase,
    #[cfg(feature = "tls")]
    tls: Option<Box<rustls::ServerConnection>>,
    #[cfg(feature = "http")]
    websocket: Option<Box<websocket::Decoder>>,
    pair: Option<TcpStream>,
    pair_is: Ready,
    /// Bytes for the engine that the pair did not take; before that, the head of a request.
    inbound: Vec<u8>,
    /// Bytes for the network, still without TLS, that it did not take.
    outbound: Vec<u8>,
    /// The peer sends nothing more that is of interest.
    inbound_ended: bool,
    /// The peer has been told that it gets nothing more, by WebSocket.
    is_closed: bool,
    /// Our side of the network is closed.
    is_shut: bool,
    /// The peer has closed its side of the network.
    peer_ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No byte of MQTT has come.
    Starting,
    /// The engine serves it.
    Open,
    /// The last bytes are sent, then the peer's end is waited for.
    Ending,
}

/// What is known of a socket.
#[derive(Debug, Clone, Copy, Default)]
struct Ready {
    readable: bool,
    writable: bool,
}

/// The connection is over, and why.
#[derive(Debug)]
pub(super) struct Ended(pub(super) String);

impl<E: std::fmt::Display> From<E> for Ended {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// What came from the network.
enum Taken {
    Bytes(usize),
    Nothing,
    End,
}

impl Connection {
    /// # Errors
    /// There is no memory or no configuration for TLS.
    #[cfg_attr(
        not(feature = "tls"),
        expect(clippy::unnecessary_wraps, unused_variables)
    )]
    pub(super) fn new(
        net: TcpStream,
        peer: SocketAddr,
        speech: Speech,
        shared: &Shared,
    ) -> io::Result<Self> {
        Ok(Self {
            generation: 0,
            is_listed: false,
            net,
            net_is: Ready::default(),
            peer,
            speech,
            phase: Phase::Starting,
            #[cfg(feature = "tls")]
            tls: match &shared.tls {
                Some(tls) if speech.is_secure => Some(Box::new(tls.accept()?)),
                _ => None,
            },
            #[cfg(feature = "http")]
            websocket: None,
            pair: None,
            pair_is: Ready::default(),
            inbound: Vec::new(),
            outbound: Vec::new(),
            inbound_ended: false,
            is_closed: false,
            is_shut: false,
            peer_ended: false,
        })
    }

    pub(super) const fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Remembers what the system told.
    pub(super) fn note(&mut self, event: &mio::event::Event, is_pair: bool) {
        let ready = if is_pair {
            &mut self.pair_is
        } else {
            &mut self.net_is
        };
        let failed = event.is_error();
        ready.readable |= event.is_readable() || event.is_read_closed() || failed;
        ready.writable |= event.is_writable() || event.is_write_closed() || failed;
    }

    /// Moves bytes both ways as far as they go. Returns whether there may be more to do at once.
    ///
    /// # Errors
    /// The connection is over.
    pub(super) fn drive(
        &mut self,
        buffer: &mut [u8],
        shared: &Shared,
        registry: &Registry,
        pair_token: Token,
    ) -> Result<bool, Ended> {
        for _ in 0..ROUNDS {
            let mut progress = self.flush_inbound()?;
            progress |= self.receive(buffer, shared, registry, pair_token)?;
            progress |= self.send(buffer)?;
            if !progress {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes what came from the network a step on. Returns whether there was something.
    fn receive(
        &mut self,
        buffer: &mut [u8],
        shared: &Shared,
        registry: &Registry,
        pair_token: Token,
    ) -> Result<bool, Ended> {
        if self.phase == Phase::Ending {
            return self.wait_for_end(buffer);
        }
        let is_full = self.phase == Phase::Open && !self.inbound.is_empty();
        if self.inbound_ended || is_full {
            return Ok(false);
        }
        let count = match self.take(buffer)? {
            Taken::Bytes(count) => count,
            Taken::Nothing => return Ok(false),
            Taken::End if self.phase == Phase::Starting => {
                return Err("it was closed before anything was said".into());
            }
            Taken::End => {
                self.end_inbound();
                return Ok(true);
            }
        };
        let bytes = &mut buffer[..count];
        match self.phase {
            #[cfg(feature = "http")]
            Phase::Starting if self.speech.is_http => {
                self.request(bytes, shared, registry, pair_token)?;
            }
            Phase::Starting => {
                self.open(shared, registry, pair_token)?;
                self.data(bytes)?;
            }
            Phase::Open | Phase::Ending => self.data(bytes)?,
        }
        Ok(true)
    }

    /// Reads on only to see the peer's end.
    fn wait_for_end(&mut self, buffer: &mut [u8]) -> Result<bool, Ended> {
        if !self.peer_ended {
            match self.take(buffer)? {
                Taken::Bytes(_) => return Ok(true),
                Taken::Nothing => {}
                Taken::End => self.peer_ended = true,
            }
        }
        if self.peer_ended && self.is_shut {
            return Err("both sides closed it".into());
        }
        Ok(false)
    }

    /// More of the head of a request.
    #[cfg(feature = "http")]
    fn request(
        &mut self,
        bytes: &[u8],
        shared: &Shared,
        registry: &Registry,
        pair_token: Token,
    ) -> Result<(), Ended> {
        // No more than the longest head and one full buffer are held.
        self.inbound.extend_from_slice(bytes);
        let surroundings = http::Surroundings {
            peer: self.peer.ip(),
            public_pages: shared.public_pages,
            origins: &shared.origins,
        };
        match http::request(&self.inbound, surroundings, &shared.broker) {
            http::Outcome::Incomplete => {}
            http::Outcome::Upgrade { answer, head_len } => {
                self.websocket = Some(Box::default());
                self.open(shared, registry, pair_token)?;
                self.outbound = answer;
                let mut rest = std::mem::take(&mut self.inbound).split_off(head_len);
                self.data(&mut rest)?;
            }
            http::Outcome::Answer(answer) => {
                self.inbound = Vec::new();
                self.outbound = answer;
                self.inbound_ended = true;
                self.phase = Phase::Ending;
            }
        }
        Ok(())
    }

    /// Hands the other end of a pair to the engine's loop.
    fn open(&mut self, shared: &Shared, registry: &Registry, token: Token) -> Result<(), Ended> {
        let (mut ours, theirs) = pair()?;
        registry.register(&mut ours, token, Interest::READABLE | Interest::WRITABLE)?;
        let transport = match (self.speech.is_secure, self.speech.is_http) {
            (true, true) => Transport::SecureWebSocket,
            (false, true) => Transport::WebSocket,
            (_, false) => Transport::Tls,
        };
        #[cfg(feature = "tls")]
        let user = match &self.tls {
            Some(tls) => tls::user(tls)?,
            None => None,
        };
        #[cfg(not(feature = "tls"))]
        let user = None;
        let origin = Origin {
            transport,
            address: Some(self.peer),
            user,
        };
        shared.broker.adopt(theirs, Peer::Other(Box::new(origin)))?;
        self.pair = Some(ours);
        self.pair_is.writable = true;
        self.phase = Phase::Open;
        Ok(())
    }

    /// Bytes of MQTT, perhaps in frames.
    fn data(&mut self, bytes: &mut [u8]) -> Result<(), Ended> {
        #[cfg(feature = "http")]
        if let Some(websocket) = &mut self.websocket {
            let decoded = websocket.decode(bytes, &mut self.outbound);
            let is_closed = websocket.is_closed();
            match decoded {
                Ok(count) => self.pass(&bytes[..count])?,
                Err(websocket::Violation(code)) => {
                    self.outbound.extend(websocket::close_frame(code));
                    self.is_closed = true;
                    self.end_inbound();
                    return Ok(());
                }
            }
            if is_closed {
                self.is_closed = true;
                self.end_inbound();
            }
            return Ok(());
        }
        self.pass(bytes)
    }

    /// Gives bytes to the engine, and holds what it does not take.
    fn pass(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        let Some(pair) = &mut self.pair else {
            return Ok(());
        };
        let count = write(pair, &mut self.pair_is, bytes)?;
        self.inbound.extend_from_slice(&bytes[count..]);
        Ok(())
    }

    /// Gives the engine what it did not take before.
    fn flush_inbound(&mut self) -> Result<bool, Ended> {
        let Some(pair) = &mut self.pair else {
            return Ok(false);
        };
        if self.inbound.is_empty() || !self.pair_is.writable {
            return Ok(false);
        }
        let count = write(pair, &mut self.pair_is, &self.inbound)?;
        drop_front(&mut self.inbound, count);
        if self.inbound.is_empty() && self.inbound_ended {
            self.end_inbound();
        }
        Ok(count > 0)
    }

    /// Nothing more comes from the peer: the engine is told, behind all that came.
    fn end_inbound(&mut self) {
        self.inbound_ended = true;
        if self.inbound.is_empty()
            && let Some(pair) = &self.pair
        {
            // The engine may have closed its end already.
            let _ = pair.shutdown(Shutdown::Write);
        }
    }

    /// Sends what there is to send. Returns whether it was something.
    fn send(&mut self, buffer: &mut [u8]) -> Result<bool, Ended> {
        let mut progress = false;
        loop {
            if !self.flush_outbound()? {
                return Ok(progress);
            }
            let Some(pair) = &mut self.pair else {
                break;
            };
            if !self.pair_is.readable {
                return Ok(progress);
            }
            let room = buffer.len() - FRAME_HEADER;
            match pair.read(&mut buffer[FRAME_HEADER..]) {
                Ok(0) => {
                    self.end_outbound();
                    progress = true;
                }
                Ok(count) => {
                    debug_assert!(count <= room);
                    progress = true;
                    // What comes behind the close of a WebSocket is for nobody.
                    if !self.is_closed {
                        let start = self.frame(buffer, count);
                        let sent = self.put(&buffer[start..FRAME_HEADER + count])?;
                        self.outbound
                            .extend_from_slice(&buffer[start + sent..FRAME_HEADER + count]);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.pair_is.readable = false;
                    return Ok(progress);
                }
                // It was closed with bytes that nobody read.
                Err(_) => {
                    self.end_outbound();
                    progress = true;
                }
            }
        }
        if self.phase == Phase::Ending && !self.is_shut {
            #[cfg(feature = "tls")]
            if let Some(tls) = &mut self.tls {
                tls.send_close_notify();
            }
            if !self.flush_outbound()? {
                return Ok(progress);
            }
            self.net.shutdown(Shutdown::Write)?;
            self.is_shut = true;
            progress = true;
        }
        Ok(progress)
    }

    /// Puts the header of a frame before `count` bytes. Returns where it begins.
    #[cfg(feature = "http")]
    fn frame(&self, buffer: &mut [u8], count: usize) -> usize {
        if self.websocket.is_none() {
            return FRAME_HEADER;
        }
        let (header, length) = websocket::binary_header(count);
        let start = FRAME_HEADER - length;
        buffer[start..FRAME_HEADER].copy_from_slice(&header[..length]);
        start
    }

    #[cfg(not(feature = "http"))]
    #[expect(clippy::unused_self, reason = "only WebSocket has frames")]
    const fn frame(&self, _: &mut [u8], _: usize) -> usize {
        FRAME_HEADER
    }

    /// The engine has closed its end.
    fn end_outbound(&mut self) {
        self.pair = None;
        self.inbound = Vec::new();
        self.inbound_ended = true;
        self.phase = Phase::Ending;
        #[cfg(feature = "http")]
        if self.websocket.is_some() && !self.is_closed {
            self.outbound
                .extend(websocket::close_frame(websocket::NORMAL));
            self.is_closed = true;
        }
    }

    /// Sends what was not taken before. Returns whether nothing is left.
    fn flush_outbound(&mut self) -> Result<bool, Ended> {
        while !self.outbound.is_empty() {
            let outbound = std::mem::take(&mut self.outbound);
            let count = self.put(&outbound)?;
            self.outbound = outbound;
            drop_front(&mut self.outbound, count);
            if count == 0 {
                return Ok(false);
            }
        }
        self.flush_tls()
    }

    /// Gives bytes to the network, through TLS where there is some. Returns how many it took.
    fn put(&mut self, bytes: &[u8]) -> Result<usize, Ended> {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            let mut done = 0;
            loop {
                let Some(tls) = &mut self.tls else {
                    return Ok(done);
                };
                done += tls.writer().write(&bytes[done..])?;
                if !self.flush_tls()? || done == bytes.len() {
                    return Ok(done);
                }
            }
        }
        if !self.net_is.writable {
            return Ok(0);
        }
        Ok(write(&mut self.net, &mut self.net_is, bytes)?)
    }

    /// Sends what TLS has encrypted. Returns whether nothing is left.
    #[cfg_attr(
        not(feature = "tls"),
        expect(clippy::unnecessary_wraps, clippy::unused_self)
    )]
    fn flush_tls(&mut self) -> Result<bool, Ended> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                if !self.net_is.writable {
                    return Ok(false);
                }
                match tls.write_tls(&mut self.net) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.net_is.writable = false;
                        return Ok(false);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(true)
    }

    /// Reads from the network, through TLS where there is some.
    fn take(&mut self, buffer: &mut [u8]) -> Result<Taken, Ended> {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return self.take_tls(buffer);
        }
        while self.net_is.readable {
            match self.net.read(buffer) {
                Ok(0) => return Ok(Taken::End),
                Ok(count) => return Ok(Taken::Bytes(count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.net_is.readable = false;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Taken::Nothing)
    }

    #[cfg(feature = "tls")]
    fn take_tls(&mut self, buffer: &mut [u8]) -> Result<Taken, Ended> {
        let Some(tls) = &mut self.tls else {
            return Ok(Taken::Nothing);
        };
        loop {
            match tls.reader().read(buffer) {
                Ok(0) => return Ok(Taken::End),
                Ok(count) => return Ok(Taken::Bytes(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if !self.net_is.readable {
                return Ok(Taken::Nothing);
            }
            match tls.read_tls(&mut self.net) {
                // Without a word of TLS: an attacker may have cut it. MQTT has a word of its own.
                Ok(0) => return Ok(Taken::End),
                Ok(_) => {
                    if let Err(error) = tls.process_new_packets() {
                        // The peer is told why, as far as it can be.
                        let _ = tls.write_tls(&mut self.net);
                        return Err(error.into());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.net_is.readable = false;
                    return Ok(Taken::Nothing);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Writes as much as the stream takes. Returns how much it was.
fn write(stream: &mut TcpStream, ready: &mut Ready, bytes: &[u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() && ready.writable {
        match stream.write(&bytes[done..]) {
            Ok(count) => done += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => ready.writable = false,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Drops what is done with, and the room for it.
fn drop_front(bytes: &mut Vec<u8>, count: usize) {
    if count == bytes.len() {
        *bytes = Vec::new();
    } else {
        bytes.drain(..count);
    }
}

/// Full buffers moved for one connection before others have their turn.
const ROUNDS: usize = 4;
#[cfg(feature = "http")]
const FRAME_HEADER: usize = websocket::MAX_SENT_HEADER;
#[cfg(not(feature = "http"))]
const FRAME_HEADER: usize = 0;
