//! Bridges: messages go from this broker to another one, and back.
//!
//! A [`Bridge`] is a client of both brokers, in a thread of its own. Here it is an ordinary session,
//! with a queue and limits like any other; there it is a client of MQTT 5.0 or 3.1.1.
//!
//! # What arrives
//! A message of QoS 1 or 2 is acknowledged to the broker it came from only after the other one has
//! acknowledged it, so none is lost, whatever the network does. While both brokers and the bridge
//! run, a message of QoS 2 arrives exactly once. What a restart does:
//!
//! - *of this broker*: messages that were on their way may arrive twice, also those of QoS 2. None
//!   is lost if sessions are stored on disk; without a store, this broker forgets what waited to go
//!   out, as it forgets all sessions. What waits at the other broker is fetched afterwards.
//! - *of the other broker*: what it kept for the bridge is as safe as any session there. What was
//!   not acknowledged is sent again.
//!
//! Messages of QoS 0 are dropped while there is no connection, or when it is too slow.
//!
//! # No loops
//! - Neither broker sends the bridge its own messages back (No Local). 3.1.1 can't say that, so
//!   rules with which one could come back are refused there before the bridge starts.
//! - Each message that goes over a bridge gets a user property [`VIA`] with the bridge's name and a
//!   number made at the start. A bridge drops what has its own already, and what has too many.
//!   So also in a ring of brokers a message passes each bridge once. User properties pass through
//!   any broker of 5.0; a ring needs 5.0 all around.
//!
//! Two brokers need one bridge, at one of them; with one at each, messages arrive several times.

mod backoff;
mod link;
mod local;
mod remote;
mod rules;
mod transport;
mod version;

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
#[cfg(feature = "tls")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use declic_mqtt::{ProtocolVersion, QoS};

pub use rules::{Direction, InvalidRule, Rule};

use crate::Handle;
#[cfg(feature = "tls")]
use crate::client_side::{Identity, Tls, Trust};
use link::Link;

/// A bridge to another broker. Its `Debug` leaves out the password.
#[derive(Clone, PartialEq, Eq)]
pub struct BridgeConfig {
    /// What it is called, here and in logs; each bridge has another name.
    pub name: String,
    /// The other broker's host: a name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Certificates that vouch for the other broker, in a file of PEM: the connection is encrypted.
    /// Needs the feature `tls`. `None` for no TLS.
    pub ca: Option<PathBuf>,
    /// The bridge's own certificate, in a file of PEM; `None` for none. Needs [`Self::ca`] and
    /// [`Self::key`].
    pub certificate: Option<PathBuf>,
    /// The key of the certificate, in a file of PEM.
    pub key: Option<PathBuf>,
    /// The client identifier there; empty for `declic-` and the name.
    pub client_id: String,
    /// The user's name there; empty for none.
    pub user_name: String,
    /// The password there.
    pub password: Option<String>,
    /// The version spoken there. With a broker that does not know 5.0 it is 3.1.1 by itself, if the
    /// rules allow it.
    pub version: ProtocolVersion,
    /// Seconds between two signs of life; 0 for none.
    pub keep_alive: u16,
    /// How long the other broker keeps the session while there is no connection (5.0).
    pub session_expiry: Duration,
    /// The pause after the first failure to connect; it doubles with each, at random in between.
    pub shortest_pause: Duration,
    /// The longest pause between two attempts.
    pub longest_pause: Duration,
    /// Largest packet either way in bytes; larger ones are dropped.
    pub packet_size: usize,
    /// Which topics go over it.
    pub rules: Vec<Rule>,
}

impl fmt::Debug for BridgeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeConfig")
            .field("name", &self.name)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("client_id", &self.client_id)
            .field("user_name", &self.user_name)
            .field("version", &self.version)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl Default for BridgeConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            host: String::new(),
            port: 1883,
            ca: None,
            certificate: None,
            key: None,
            client_id: String::new(),
            user_name: String::new(),
            password: None,
            version: ProtocolVersion::V5,
            keep_alive: 60,
            session_expiry: Duration::from_secs(7 * 86_400),
            shortest_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            packet_size: 1 << 20,
            rules: Vec::new(),
        }
    }
}

/// What is wrong with the configuration of a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidBridge {
    /// It has no name, or one that is no level of a topic.
    Name,
    /// There is no host.
    NoHost,
    /// Packets of this size are too small, or too large for MQTT.
    PacketSize(usize),
    /// It can't be encrypted, for a reason in words.
    Tls(String),
    /// Its rules can't be used.
    Rule(InvalidRule),
}

impl fmt::Display for InvalidBridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("the name is empty or has one of / + # in it"),
            Self::NoHost => f.write_str("there is no host"),
            Self::PacketSize(size) => write!(
                f,
                "packets of {size} bytes; {SMALLEST_PACKETS} to {LARGEST_PACKETS} are possible"
            ),
            Self::Tls(why) => write!(f, "no TLS: {why}"),
            Self::Rule(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for InvalidBridge {}

impl BridgeConfig {
    /// Checks it without starting anything.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), InvalidBridge> {
        if self.name.is_empty() || self.name.contains(['/', '+', '#', '\0']) {
            return Err(InvalidBridge::Name);
        }
        if self.host.is_empty() {
            return Err(InvalidBridge::NoHost);
        }
        if !(SMALLEST_PACKETS..=LARGEST_PACKETS).contains(&self.packet_size) {
            return Err(InvalidBridge::PacketSize(self.packet_size));
        }
        if self.certificate.is_some() != self.key.is_some() {
            let why = "a certificate of its own needs its key, and the key its certificate";
            return Err(InvalidBridge::Tls(why.to_owned()));
        }
        if self.certificate.is_some() && self.ca.is_none() {
            let why = "a certificate of its own is shown over TLS only: ca says whom to trust";
            return Err(InvalidBridge::Tls(why.to_owned()));
        }
        rules::check(&self.rules, self.version == ProtocolVersion::V5).map_err(InvalidBridge::Rule)
    }

    /// The connections it takes. A process that begins again must not use identifiers of messages
    /// of QoS 2 that the other broker still knows, so such messages go out over a connection that
    /// starts clean; one over which messages come in must not.
    fn links(&self) -> Vec<BridgeConfig> {
        let exact = |rule: &Rule| rule.direction.is_out() && rule.qos == QoS::ExactlyOnce;
        let has_in = self.rules.iter().any(|rule| rule.direction.is_in());
        if !has_in || !self.rules.iter().any(exact) {
            return vec![self.clone()];
        }
        let (mut main, mut out) = (self.clone(), self.clone());
        main.rules.clear();
        out.rules.clear();
        out.name.push_str("-out");
        if !out.client_id.is_empty() {
            out.client_id.push_str("-out");
        }
        for rule in &self.rules {
            let with = |direction| Rule {
                direction,
                ..rule.clone()
            };
            match rule.direction {
                _ if !exact(rule) => main.rules.push(rule.clone()),
                Direction::Both => {
                    main.rules.push(with(Direction::In));
                    out.rules.push(with(Direction::Out));
                }
                _ => out.rules.push(rule.clone()),
            }
        }
        vec![main, out]
    }
}

/// A running bridge. It ends when this is dropped, or when the broker stops.
#[derive(Debug)]
pub struct Bridge {
    name: String,
    shared: Vec<Arc<Shared>>,
    /// Ends when all threads have.
    ended: Receiver<()>,
}

/// What a bridge has done since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BridgeStats {
    /// Whether the other broker is connected.
    pub connected: bool,
    /// Messages that went to the other broker.
    pub sent: u64,
    /// Messages that came from the other broker.
    pub received: u64,
    /// Messages that were dropped: of QoS 0 without a connection, too large, refused, or without a
    /// rule.
    pub dropped: u64,
    /// Messages that were dropped because they had been over the bridge already.
    pub looped: u64,
    /// Connections that the other broker accepted.
    pub connects: u64,
    /// Attempts to connect that failed.
    pub failures: u64,
}

/// What the thread of a connection and its owner have in common.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    connected: AtomicBool,
    sent: AtomicU64,
    received: AtomicU64,
    dropped: AtomicU64,
    looped: AtomicU64,
    connects: AtomicU64,
    failures: AtomicU64,
    /// Wakes the thread up.
    waker: std::sync::OnceLock<mio::Waker>,
}

impl Bridge {
    /// Starts a bridge of the broker that `handle` is of.
    ///
    /// # Errors
    /// The configuration is wrong. That there is no other broker is none: it is tried again.
    pub fn start(config: &BridgeConfig, handle: &Handle) -> Result<Self, InvalidBridge> {
        config.check()?;
        #[cfg(feature = "tls")]
        let tls = match &config.ca {
            Some(ca) => Some(encryption(config, ca).map_err(InvalidBridge::Tls)?),
            None => None,
        };
        #[cfg(not(feature = "tls"))]
        if config.ca.is_some() {
            return Err(InvalidBridge::Tls("it is not built in".to_owned()));
        }
        // Of all rules: the two connections of a bridge are different clients there.
        let obstacle = rules::check(&config.rules, false).err();
        let number = RandomState::new().build_hasher().finish();
        let via = format!("{}-{number:016x}", config.name);
        let (sender, ended) = sync_channel(1);
        let mut shared = Vec::new();
        for config in config.links() {
            let ours = Arc::new(Shared::default());
            shared.push(Arc::clone(&ours));
            let (handle, via, sender) = (handle.clone(), via.clone(), sender.clone());
            let name = format!("bridge {}", config.name);
            let thread = thread::Builder::new().name(name);
            let remote = Far {
                config,
                obstacle: obstacle.clone(),
                #[cfg(feature = "tls")]
                tls: tls.clone(),
            };
            let spawned = thread.spawn(move || run(&remote, &via, &handle, &ours, sender));
            if let Err(error) = spawned {
                tracing::error!(%error, "a bridge has no thread and does not run");
            }
        }
        Ok(Self {
            name: config.name.clone(),
            shared,
            ended,
        })
    }

    /// Has it finish what is on its way and say goodbye; dropping it waits for that.
    pub fn stop(&self) {
        for shared in &self.shared {
            shared.stop.store(true, Ordering::Release);
            if let Some(waker) = shared.waker.get() {
                // Where that fails, its next timeout finds the flag.
                let _ = waker.wake();
            }
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has done.
    pub fn stats(&self) -> BridgeStats {
        let sum = |counter: fn(&Shared) -> &AtomicU64| {
            let values = self.shared.iter().map(|one| counter(one));
            values.map(|one| one.load(Ordering::Relaxed)).sum()
        };
        let connected = |one: &Arc<Shared>| one.connected.load(Ordering::Relaxed);
        BridgeStats {
            connected: self.shared.iter().all(connected),
            sent: sum(|one| &one.sent),
            received: sum(|one| &one.received),
            dropped: sum(|one| &one.dropped),
            looped: sum(|one| &one.looped),
            connects: sum(|one| &one.connects),
            failures: sum(|one| &one.failures),
        }
    }
}

impl Drop for Bridge {
    /// Waits until it has said goodbye to the other broker.
    fn drop(&mut self) {
        self.stop();
        // A name that is being looked up can't be hurried.
        let _ = self.ended.recv_timeout(GOODBYE_TIME);
    }
}

#[cfg(feature = "tls")]
fn encryption(config: &BridgeConfig, ca: &Path) -> Result<Tls, String> {
    let mut trust = Trust::nobody();
    trust.add_file(ca).map_err(|error| error.to_string())?;
    let identity = config.certificate.clone().zip(config.key.clone());
    let identity = identity.map(|(certificate, key)| Identity { certificate, key });
    Tls::new(trust, identity.as_ref(), &config.host)
}

/// The other broker, as a connection needs it.
struct Far {
    config: BridgeConfig,
    /// Why 3.1.1 can't be spoken.
    obstacle: Option<InvalidRule>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

fn run(far: &Far, via: &str, handle: &Handle, shared: &Shared, _ended: SyncSender<()>) {
    let config = &far.config;
    let mut memory = link::Memory::new(config.packet_size);
    match Link::new(far, via, handle, shared, &mut memory) {
        Ok(mut link) => link.run(),
        Err(error) => tracing::error!(bridge = %config.name, %error, "the bridge can't run"),
    }
}

/// The user property that says which bridges a message has passed.
pub const VIA: &str = "declic-via";
/// Bridges that a message may pass.
const MOST_BRIDGES: usize = 16;
const SMALLEST_PACKETS: usize = 1_024;
const LARGEST_PACKETS: usize = 256 << 20;
const GOODBYE_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(topics: &str, direction: Direction, qos: QoS) -> Rule {
        Rule {
            topics: topics.to_owned(),
            direction,
            qos,
            ..Rule::default()
        }
    }

    #[test]
    fn messages_of_qos_2_go_out_over_a_connection_of_their_own_where_others_come_in() {
        let mut config = BridgeConfig {
            name: "b".to_owned(),
            host: "h".to_owned(),
            rules: vec![rule("a", Direction::Both, QoS::AtLeastOnce)],
            ..BridgeConfig::default()
        };
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.links().len(), 1);
        config
            .rules
            .push(rule("b", Direction::Both, QoS::ExactlyOnce));
        config
            .rules
            .push(rule("c", Direction::Out, QoS::ExactlyOnce));
        let links = config.links();
        let [main, out] = &links[..] else {
            panic!("two connections: {links:?}");
        };
        let inward = rule("b", Direction::In, QoS::ExactlyOnce);
        assert_eq!(main.rules, [config.rules[0].clone(), inward]);
        let outward = rule("b", Direction::Out, QoS::ExactlyOnce);
        assert_eq!(out.rules, [outward, config.rules[2].clone()]);
        assert_eq!(out.name, "b-out");
        config.rules.drain(..2);
        assert_eq!(config.links().len(), 1);
    }

    #[test]
    fn the_password_is_in_no_debug_output() {
        let config = BridgeConfig {
            user_name: "ann".to_owned(),
            password: Some("secret".to_owned()),
            ..BridgeConfig::default()
        };
        let text = format!("{config:?}");
        assert!(text.contains("ann") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn what_can_not_be_a_bridge_is_refused() {
        let good = BridgeConfig {
            name: "b".to_owned(),
            host: "h".to_owned(),
            rules: vec![rule("a", Direction::Both, QoS::AtLeastOnce)],
            ..BridgeConfig::default()
        };
        let with = |change: fn(&mut BridgeConfig)| {
            let mut config = good.clone();
            change(&mut config);
            config.check().expect_err("wrong")
        };
        assert_eq!(with(|one| one.name = "a/b".to_owned()), InvalidBridge::Name);
        assert_eq!(with(|one| one.host.clear()), InvalidBridge::NoHost);
        let size = with(|one| one.packet_size = 10);
        assert!(size.to_string().contains("1024 to"), "{size}");
        let old = with(|one| one.version = ProtocolVersion::V3_1_1);
        assert!(matches!(old, InvalidBridge::Rule(InvalidRule::Echo { .. })));
    }
}
