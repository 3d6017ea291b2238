//! The thread of a bridge's connection: a client there, a session here, and what goes between.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use declic_mqtt::client::{Client, Config, InFlight, Message, RequestError};
use declic_mqtt::packet::{Properties, Publish};
use declic_mqtt::{Instant, PacketId, QoS, TopicName};
use mio::{Events, Interest, Poll, Token, Waker};
use tracing::{debug, warn};

use super::backoff::Backoff;
use super::local::{FromLocal, Local, WINDOW, publish_in};
use super::remote::{Remote, marked};
use super::rules::Mapping;
use super::version::Version;
use super::{BridgeConfig, Far, Shared};
use crate::Handle;

/// The memory of the client there.
pub(super) struct Memory {
    receive: Vec<u8>,
    outbox: Vec<u8>,
    in_flight: Vec<InFlight>,
    inbound: Vec<Option<PacketId>>,
}

impl Memory {
    pub(super) fn new(packet_size: usize) -> Self {
        Self {
            receive: vec![0; packet_size.max(BUFFER)],
            // A packet that is sent, and others that wait.
            outbox: vec![0; packet_size.max(BUFFER) * 2],
            in_flight: vec![InFlight::default(); usize::from(WINDOW)],
            inbound: vec![None; usize::from(WINDOW)],
        }
    }
}

pub(super) struct Link<'a> {
    pub(super) config: &'a BridgeConfig,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<&'a crate::client_side::Tls>,
    /// What marks the messages of this bridge.
    pub(super) via: &'a str,
    pub(super) handle: &'a Handle,
    pub(super) shared: &'a Shared,
    pub(super) client_id: String,
    pub(super) outward: Mapping,
    pub(super) inward: Mapping,
    pub(super) poll: Poll,
    pub(super) started: std::time::Instant,
    pub(super) local: Local,
    /// When to try again to join the local broker.
    pub(super) local_at: Instant,
    pub(super) local_backoff: Backoff,
    pub(super) client: Client<'a>,
    pub(super) version: Version<'a>,
    pub(super) remote: Remote,
    pub(super) remote_backoff: Backoff,
    /// Addresses of the other broker that are still to be tried.
    pub(super) addresses: Vec<SocketAddr>,
    /// When the other broker accepted the bridge.
    pub(super) accepted_at: Option<Instant>,
    /// Messages for the other broker that its client has no room for, and their bytes.
    pub(super) held: VecDeque<Vec<u8>>,
    pub(super) held_bytes: usize,
    /// The local message behind the identifier of one that was sent.
    pub(super) sent: HashMap<PacketId, (PacketId, QoS)>,
    pub(super) buffer: Vec<u8>,
}

/// The broker stops, or the bridge is to.
struct Ended;

impl<'a> Link<'a> {
    pub(super) fn new(
        far: &'a Far,
        via: &'a str,
        handle: &'a Handle,
        shared: &'a Shared,
        memory: &'a mut Memory,
    ) -> io::Result<Self> {
        let config = &far.config;
        let poll = Poll::new()?;
        // A second one is never set.
        let _ = shared.waker.set(Waker::new(poll.registry(), WAKER)?);
        let client = Client::new(
            Config::default(),
            declic_mqtt::client::Memory {
                receive: &mut memory.receive,
                outbox: &mut memory.outbox,
                in_flight: &mut memory.in_flight,
                inbound: &mut memory.inbound,
            },
        );
        let client_id = match &*config.client_id {
            "" => format!("declic-{}", config.name),
            chosen => chosen.to_owned(),
        };
        Ok(Self {
            client_id,
            outward: Mapping::outward(&config.rules),
            inward: Mapping::inward(&config.rules),
            poll,
            started: std::time::Instant::now(),
            local: Local::new(format!("declic-bridge-{}", config.name)),
            local_at: Instant::ZERO,
            local_backoff: Backoff::new(config.shortest_pause, config.longest_pause),
            client,
            version: Version::new(config.version, far.obstacle.as_ref()),
            remote: Remote::Away {
                until: Instant::ZERO,
            },
            remote_backoff: Backoff::new(config.shortest_pause, config.longest_pause),
            addresses: Vec::new(),
            accepted_at: None,
            held: VecDeque::new(),
            held_bytes: 0,
            sent: HashMap::new(),
            buffer: vec![0; BUFFER],
            config,
            #[cfg(feature = "tls")]
            tls: far.tls.as_ref(),
            via,
            handle,
            shared,
        })
    }

    /// Carries messages until the bridge is to stop, or the broker does.
    pub(super) fn run(&mut self) {
        let mut events = Events::with_capacity(16);
        self.say_state(false);
        while self.work(&mut events).is_ok() {}
        self.settle(&mut events);
        self.say_goodbye(&mut events);
        if let Some(mut stream) = self.local.closed() {
            let _ = self.poll.registry().deregister(&mut stream);
        }
    }

    pub(super) fn now(&self) -> Instant {
        Instant::ZERO + self.started.elapsed()
    }

    fn work(&mut self, events: &mut Events) -> Result<(), Ended> {
        let now = self.now();
        self.join(now)?;
        self.dial(now);
        let more = self.turn(now);
        let timeout = if more {
            Some(Duration::ZERO)
        } else {
            self.timeout(now)
        };
        self.wait(events, timeout);
        if self.shared.stop.load(Ordering::Acquire) {
            return Err(Ended);
        }
        let now = self.now();
        self.client.handle_timeout(now);
        if let Remote::Opening { .. } = &self.remote {
            self.open(now);
        }
        Ok(())
    }

    /// Moves everything that can be moved. Returns whether there may be more at once.
    fn turn(&mut self, now: Instant) -> bool {
        let mut more = self.hear(now);
        self.send_held();
        more |= self.receive(now);
        self.send_held();
        if let Err(error) = self.local.write() {
            self.leave(&error.to_string(), now);
        }
        self.transmit(now);
        more
    }

    /// Waits a while for the acknowledgements of what is on its way, and takes nothing new to send.
    fn settle(&mut self, events: &mut Events) {
        let deadline = self.now() + SETTLE_TIME;
        loop {
            let now = self.now();
            self.hear(now);
            self.receive(now);
            if self.local.write().is_err() {
                return;
            }
            self.transmit(now);
            let is_settled = self.client.in_flight() == 0 && self.local.is_settled();
            if is_settled || now >= deadline || self.local.is_away() || !self.remote.is_open() {
                return;
            }
            self.wait(events, Some(deadline.since(now)));
        }
    }

    pub(super) fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) {
        // All sockets are tried after each return, so it matters little which one woke us up.
        if let Err(error) = self.poll.poll(events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            warn!(bridge = %self.config.name, %error, "waiting failed");
            std::thread::sleep(RETRY_TIME);
        }
    }

    fn timeout(&self, now: Instant) -> Option<Duration> {
        let local = self.local.is_away().then_some(self.local_at);
        let remote = match &self.remote {
            Remote::Away { until } => self.local.is_accepted().then_some(*until),
            Remote::Opening { deadline, .. } => Some(*deadline),
            Remote::Open(_) => None,
        };
        [local, remote, self.client.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
            .map(|at| at.since(now) + Duration::from_millis(1))
    }

    // --- the local broker ---

    /// Joins the local broker, if it is time.
    fn join(&mut self, now: Instant) -> Result<(), Ended> {
        if !self.local.is_away() || now < self.local_at {
            return Ok(());
        }
        let mut stream = match self.handle.join() {
            Ok(Some(stream)) => stream,
            Ok(None) => return Err(Ended),
            Err(error) => {
                warn!(bridge = %self.config.name, %error, "no connection inside the process");
                self.local_at = now + self.local_backoff.next();
                return Ok(());
            }
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut stream, LOCAL, interest) {
            warn!(bridge = %self.config.name, %error, "no connection inside the process");
            self.local_at = now + self.local_backoff.next();
            return Ok(());
        }
        let size = u32::try_from(self.config.packet_size).unwrap_or(u32::MAX);
        self.local.connect(stream, size);
        Ok(())
    }

    /// The local connection is over.
    fn leave(&mut self, why: &str, now: Instant) {
        debug!(bridge = %self.config.name, why, "the connection inside the process ended");
        if let Some(mut stream) = self.local.closed() {
            let _ = self.poll.registry().deregister(&mut stream);
        }
        // The broker sends again what it has not been told of.
        self.local_at = now + self.local_backoff.next();
    }

    /// Deals with what the local broker sent. Returns whether there may be more.
    fn hear(&mut self, now: Instant) -> bool {
        let more = match self.local.read(&mut self.buffer, BUFFER) {
            Ok(more) => more,
            Err(error) => {
                self.leave(&error.to_string(), now);
                return false;
            }
        };
        loop {
            match self.local.next() {
                Ok(None) => return more,
                Ok(Some(FromLocal::Accepted { session_present })) => {
                    self.local_backoff.reset();
                    if !session_present {
                        // What it was about is forgotten there.
                        self.held.retain(|packet| packet_id(packet).is_none());
                        self.held_bytes = self.held.iter().map(Vec::len).sum();
                        self.sent.clear();
                    }
                    self.local.subscribe(self.outward.filters());
                }
                Ok(Some(FromLocal::Message(packet))) => self.hold(packet),
                Err(why) => {
                    self.leave(&why, now);
                    return false;
                }
            }
        }
    }

    /// Keeps a message until it can be sent: those of QoS 0 only while that can be soon.
    fn hold(&mut self, packet: Vec<u8>) {
        let acknowledged = packet_id(&packet).is_some();
        let is_late = self.accepted_at.is_none() || self.held_bytes + packet.len() > HELD;
        if !acknowledged && is_late {
            count(&self.shared.dropped);
            return;
        }
        self.held_bytes += packet.len();
        self.held.push_back(packet);
    }

    /// Gives the client what it has room for.
    fn send_held(&mut self) {
        while let Some(packet) = self.held.pop_front() {
            let Some(publish) = publish_in(&packet) else {
                self.held_bytes -= packet.len();
                continue;
            };
            match self.forward(&publish) {
                Ok(sent) => {
                    let local = publish.delivery.packet_id();
                    match (sent, local) {
                        (Some(remote), Some(local)) => {
                            self.sent.insert(remote, (local, publish.delivery.qos()));
                        }
                        (None, Some(local)) => {
                            self.local.acknowledge(local, publish.delivery.qos());
                        }
                        (_, None) => {}
                    }
                    self.held_bytes -= packet.len();
                }
                Err(()) => {
                    self.held.push_front(packet);
                    return;
                }
            }
        }
    }

    /// Publishes a message there. Returns the identifier that will be acknowledged, if one will;
    /// an error while there is no room.
    fn forward(&mut self, publish: &Publish<'_>) -> Result<Option<PacketId>, ()> {
        let topic = publish.topic.and_then(|topic| self.outward.map(topic));
        let Some((topic, most)) = topic else {
            count(&self.shared.dropped);
            return Ok(None);
        };
        let (Ok(topic), Some(properties)) =
            (TopicName::new(&topic), marked(publish.properties, self.via))
        else {
            count(&self.shared.looped);
            return Ok(None);
        };
        let message = Message {
            topic,
            payload: publish.payload,
            qos: publish.delivery.qos().min(most),
            retain: publish.retain,
            properties: Properties::new(&properties),
        };
        match self.client.publish(&message) {
            Ok(None) => {
                count(&self.shared.sent);
                Ok(None)
            }
            Ok(id) => Ok(id),
            Err(RequestError::Full) => Err(()),
            Err(error) => {
                debug!(bridge = %self.config.name, topic = topic.as_str(), %error, "dropped");
                count(&self.shared.dropped);
                Ok(None)
            }
        }
    }
}

fn packet_id(packet: &[u8]) -> Option<PacketId> {
    publish_in(packet)?.delivery.packet_id()
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

const WAKER: Token = Token(0);
const LOCAL: Token = Token(1);
pub(super) const REMOTE: Token = Token(2);
const BUFFER: usize = 64 * 1_024;
/// Bytes of messages that are held, above which those of QoS 0 are dropped.
const HELD: usize = 4 << 20;
const SETTLE_TIME: Duration = Duration::from_millis(500);
const RETRY_TIME: Duration = Duration::from_millis(100);
