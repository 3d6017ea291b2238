//! The connection's other side: a client of the other broker.

use std::io;
use std::num::NonZeroU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use declic_mqtt::client::{Event, State};
use declic_mqtt::packet::{
    Connect, Disconnect, Properties, Property, Publish, RetainHandling, Subscription,
};
use declic_mqtt::{Instant, ProtocolVersion, ReasonCode, TopicName};
use mio::{Events, Interest};
use tracing::{debug, info, warn};

use super::link::{Link, REMOTE, count};
use super::local::Local;
use super::rules::Mapping;
use super::transport::{Transport, addresses};
use super::version::Next;
use super::{MOST_BRIDGES, Shared, VIA};

/// Where the connection to the other broker stands.
pub(super) enum Remote {
    Away {
        until: Instant,
    },
    Opening {
        transport: Transport,
        deadline: Instant,
    },
    Open(Transport),
}

impl Remote {
    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }
}

impl Link<'_> {
    /// Begins to connect, if it is time and the local broker is there.
    pub(super) fn dial(&mut self, now: Instant) {
        let Remote::Away { until } = self.remote else {
            return;
        };
        if now < until || !self.local.is_accepted() || self.client.state() != State::Idle {
            return;
        }
        if self.addresses.is_empty() {
            match addresses(&self.config.host, self.config.port) {
                Ok(addresses) => self.addresses = addresses,
                Err(error) => return self.failed(&error, now),
            }
        }
        let address = self.addresses.remove(0);
        let registry = self.poll.registry();
        let opened = Transport::connect(address).and_then(|mut transport| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            #[cfg(feature = "tls")]
            if let Some(tls) = self.tls {
                transport.encrypt(tls)?;
            }
            registry.register(transport.source(), REMOTE, interest)?;
            Ok(transport)
        });
        match opened {
            Ok(transport) => {
                let deadline = now + CONNECT_TIME;
                self.remote = Remote::Opening {
                    transport,
                    deadline,
                };
            }
            Err(error) => self.failed(&error, now),
        }
    }

    /// Looks whether the connection is there.
    pub(super) fn open(&mut self, now: Instant) {
        let away = Remote::Away { until: now };
        let Remote::Opening {
            mut transport,
            deadline,
        } = std::mem::replace(&mut self.remote, away)
        else {
            return;
        };
        let error = match transport.is_open() {
            Ok(true) => {
                self.remote = Remote::Open(transport);
                return self.connect(now);
            }
            Ok(false) if now < deadline => {
                self.remote = Remote::Opening {
                    transport,
                    deadline,
                };
                return;
            }
            Ok(false) => io::ErrorKind::TimedOut.into(),
            Err(error) => error,
        };
        let _ = self.poll.registry().deregister(transport.source());
        self.failed(&error, now);
    }

    /// An attempt failed: the next address at once, or all again after a pause.
    pub(super) fn failed(&mut self, error: &io::Error, now: Instant) {
        count(&self.shared.failures);
        let until = if self.addresses.is_empty() {
            let pause = self.remote_backoff.next();
            let (name, host, port) = (&self.config.name, &self.config.host, self.config.port);
            warn!(bridge = %name, %host, port, %error, again_in = ?pause, "no connection");
            now + pause
        } else {
            now
        };
        self.remote = Remote::Away { until };
    }

    /// Sends the CONNECT.
    pub(super) fn connect(&mut self, now: Instant) {
        let config = self.config;
        let expiry = u32::try_from(config.session_expiry.as_secs()).unwrap_or(u32::MAX);
        let size = u32::try_from(config.packet_size).ok();
        let properties: Vec<_> = [
            Some(Property::SessionExpiryInterval(expiry)),
            size.and_then(NonZeroU32::new)
                .map(Property::MaximumPacketSize),
        ]
        .into_iter()
        .flatten()
        .collect();
        let connect = Connect {
            // What an earlier process sent must not be taken for what this one sends. Where
            // messages come in, what waits for the bridge must not be lost.
            clean_start: self.inward.is_empty()
                && self.shared.connects.load(Ordering::Relaxed) == 0,
            keep_alive: config.keep_alive,
            user_name: Some(&*config.user_name).filter(|name| !name.is_empty()),
            password: config.password.as_deref().map(str::as_bytes),
            properties: match self.version.spoken() {
                ProtocolVersion::V5 => Properties::new(&properties),
                ProtocolVersion::V3_1_1 => Properties::EMPTY,
            },
            ..Connect::new(self.version.spoken(), &self.client_id)
        };
        if let Err(error) = self.client.connect(&connect, now) {
            warn!(bridge = %config.name, %error, "the bridge can't connect like this");
            self.lost(now);
        }
    }

    /// The transport is of no use any more.
    pub(super) fn lost(&mut self, now: Instant) {
        let away = Remote::Away {
            until: now + self.remote_backoff.next(),
        };
        if let Remote::Open(mut transport) = std::mem::replace(&mut self.remote, away) {
            let _ = self.poll.registry().deregister(transport.source());
        }
        self.client.handle_closed(now);
    }

    /// Reads from the other broker, as far as its messages can be passed on.
    pub(super) fn receive(&mut self, now: Instant) -> bool {
        for _ in 0..READS {
            let read = match &mut self.remote {
                Remote::Open(transport) => {
                    let space = self.client.rx_space();
                    if space.is_empty() {
                        Ok(None)
                    } else {
                        transport.receive(space)
                    }
                }
                _ => Ok(None),
            };
            match read {
                Ok(Some(count)) => self.client.received(count, now),
                Ok(None) => {
                    self.deal(now);
                    return false;
                }
                Err(error) => {
                    let name = &self.config.name;
                    if self.accepted_at.is_none() {
                        warn!(bridge = %name, %error, "no connection");
                    } else {
                        debug!(bridge = %name, %error, "the connection was lost");
                    }
                    self.lost(now);
                }
            }
            self.deal(now);
            // Its acknowledgements have places for a few; the rest waits until they are sent.
            if self.local.unconfirmed() > 0 {
                return false;
            }
            self.transmit(now);
        }
        true
    }

    /// Deals with what the other broker sent.
    pub(super) fn deal(&mut self, now: Instant) {
        while self.local.has_room()
            && let Some(event) = self.client.poll_event()
        {
            let config = self.config;
            match event {
                Event::Connected {
                    session_present, ..
                } => {
                    self.accepted_at = Some(now);
                    count(&self.shared.connects);
                    self.shared.connected.store(true, Ordering::Relaxed);
                    let (host, port) = (&config.host, config.port);
                    let (name, version) = (&config.name, self.version.spoken());
                    if self.version.accepted() {
                        info!(bridge = %name, "the other broker speaks MQTT {version} only");
                    }
                    info!(bridge = %name, %host, port, %version, session_present, "bridge connected");
                    self.subscribe();
                    self.say_state(true);
                }
                Event::Message { publish, remaining } => {
                    if remaining > 0 {
                        // Larger than allowed, from a broker that can't be told.
                        count(&self.shared.dropped);
                    } else {
                        let (inward, local, shared) = (&self.inward, &mut self.local, self.shared);
                        pass_on(&publish, inward, self.via, local, shared);
                    }
                }
                Event::Acknowledged { id, reason } => {
                    if reason.is_error() {
                        warn!(bridge = %config.name, %reason, "a message was refused there");
                        count(&self.shared.dropped);
                    } else {
                        count(&self.shared.sent);
                    }
                    if let Some((id, qos)) = self.sent.remove(&id) {
                        self.local.acknowledge(id, qos);
                    }
                }
                Event::Dropped { id, reason } => {
                    warn!(bridge = %config.name, %reason, "a message can't be taken there");
                    count(&self.shared.dropped);
                    if let Some((id, qos)) = id.and_then(|id| self.sent.remove(&id)) {
                        self.local.acknowledge(id, qos);
                    }
                }
                Event::Subscribed { reasons, .. } => {
                    for reason in reasons.iter().filter(|reason| reason.is_error()) {
                        warn!(bridge = %config.name, %reason, "the bridge can't subscribe there");
                    }
                }
                Event::Closed(reason) => {
                    let was_good = self
                        .accepted_at
                        .take()
                        .is_some_and(|at| now.since(at) >= GOOD_TIME);
                    if was_good {
                        self.remote_backoff.reset();
                    }
                    let mut next = Next::Again;
                    let was_connected = self.shared.connected.swap(false, Ordering::Relaxed);
                    if was_connected {
                        info!(bridge = %config.name, %reason, "bridge disconnected");
                        self.say_state(false);
                    } else {
                        count(&self.shared.failures);
                        next = self.version.not_accepted(reason);
                    }
                    if self.remote.is_open() {
                        self.lost(now);
                    }
                    let name = &config.name;
                    match next {
                        Next::Again if was_connected => {}
                        Next::Again => {
                            warn!(bridge = %name, %reason, "the other broker can't be used");
                        }
                        Next::Older => {
                            debug!(bridge = %name, %reason, "trying MQTT 3.1.1");
                            self.remote = Remote::Away { until: now };
                        }
                        Next::Stuck(why) => warn!(
                            bridge = %name,
                            %why,
                            "the other broker speaks MQTT 3.1.1 only, which these rules can't do"
                        ),
                    }
                }
                _ => {}
            }
        }
    }

    /// Subscribes there to what comes in. Also where the session goes on: its rules may be others.
    pub(super) fn subscribe(&mut self) {
        for (filter, qos) in self.inward.filters() {
            let subscription = Subscription {
                no_local: true,
                retain_as_published: true,
                retain_handling: RetainHandling::OnNewSubscription,
                ..Subscription::new(filter, qos)
            };
            if let Err(error) = self.client.subscribe(&[subscription], Properties::EMPTY) {
                let filter = filter.as_str();
                warn!(bridge = %self.config.name, filter, %error, "the bridge can't subscribe");
            }
        }
    }

    /// Writes to the other broker, unless it would be told of messages that are not taken here.
    pub(super) fn transmit(&mut self, now: Instant) {
        if self.local.unconfirmed() > 0 {
            return;
        }
        let Remote::Open(transport) = &mut self.remote else {
            return;
        };
        if let Err(error) = transport.flush() {
            debug!(bridge = %self.config.name, %error, "the connection was lost");
            return self.lost(now);
        }
        loop {
            let bytes = self.client.transmit();
            if bytes.is_empty() {
                return;
            }
            match transport.send(bytes) {
                Ok(Some(count)) => self.client.transmitted(count, now),
                Ok(None) => return,
                Err(error) => {
                    debug!(bridge = %self.config.name, %error, "the connection was lost");
                    return self.lost(now);
                }
            }
        }
    }

    /// Mosquitto's topic for the state of a bridge.
    pub(super) fn say_state(&self, connected: bool) {
        let topic = format!("$SYS/broker/connection/{}/state", self.config.name);
        // A broker that stops has nobody to be told.
        let _ = self
            .handle
            .publish_system(topic, if connected { "1" } else { "0" });
    }

    /// Ends the connection there in good order.
    pub(super) fn say_goodbye(&mut self, events: &mut Events) {
        let now = self.now();
        let deadline = now + GOODBYE_TIME;
        let _ = self
            .client
            .disconnect(&Disconnect::new(ReasonCode::Success), now);
        loop {
            let now = self.now();
            self.transmit(now);
            let done = !self.client.has_unsent() || !self.remote.is_open();
            if done || now >= deadline {
                return;
            }
            self.wait(events, Some(deadline.since(now)));
        }
    }
}

/// Publishes a message of the other broker here.
fn pass_on(publish: &Publish<'_>, inward: &Mapping, via: &str, local: &mut Local, shared: &Shared) {
    let Some((topic, most)) = publish.topic.and_then(|topic| inward.map(topic)) else {
        return count(&shared.dropped);
    };
    let (Ok(topic), Some(properties)) = (TopicName::new(&topic), marked(publish.properties, via))
    else {
        return count(&shared.looped);
    };
    count(&shared.received);
    let message = Publish {
        topic: Some(topic),
        properties: Properties::new(&properties),
        ..*publish
    };
    local.publish(&message, publish.delivery.qos().min(most));
}

/// The properties of a message that goes over the bridge; `None` for one that was here before, or
/// at too many bridges.
pub(super) fn marked<'p>(properties: Properties<'p>, via: &'p str) -> Option<Vec<Property<'p>>> {
    let passed = || {
        properties
            .user_properties()
            .filter(|(name, _)| *name == VIA)
    };
    if passed().any(|(_, value)| value == via) || passed().count() >= MOST_BRIDGES {
        return None;
    }
    let own = |property: &Property<'_>| {
        matches!(
            property,
            Property::TopicAlias(_) | Property::SubscriptionIdentifier(_)
        )
    };
    let mut kept: Vec<_> = properties.iter().filter(|one| !own(one)).collect();
    kept.push(Property::UserProperty((VIA, via)));
    Some(kept)
}

/// Reads from the other broker in a row.
const READS: usize = 64;
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// A connection that lasted so long was good.
const GOOD_TIME: Duration = Duration::from_secs(10);
const GOODBYE_TIME: Duration = Duration::from_millis(500);
