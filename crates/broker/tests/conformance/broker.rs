//! The broker that is asked: ours, or another one.

use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::OnceLock;
use std::time::Duration;

use declic_broker::{Broker, Config, Limits};

/// The broker under test.
pub struct Subject {
    pub address: SocketAddr,
    /// Where it listens for WebSocket, if it does.
    #[cfg(feature = "http")]
    pub websocket: Option<SocketAddr>,
    /// It is our own.
    pub ours: bool,
    /// What takes longer has failed.
    pub limit: Duration,
    /// Tests that it is known to fail, each with its version.
    pub known_failures: BTreeSet<(String, String)>,
}

impl Subject {
    /// Our own broker at this address.
    pub const fn ours(address: SocketAddr) -> Self {
        Self {
            address,
            #[cfg(feature = "http")]
            websocket: None,
            ours: true,
            limit: Duration::from_secs(30),
            known_failures: BTreeSet::new(),
        }
    }
}

/// All tests ask the same broker, so each keeps to topics and client identifiers of its own.
pub fn subject() -> &'static Subject {
    static SUBJECT: OnceLock<Subject> = OnceLock::new();
    SUBJECT.get_or_init(|| match std::env::var("DECLIC_CONFORMANCE_BROKER") {
        Ok(address) => Subject {
            address: resolved(&address),
            #[cfg(feature = "http")]
            websocket: std::env::var("DECLIC_CONFORMANCE_WEBSOCKET")
                .ok()
                .map(|address| resolved(&address)),
            ours: false,
            limit: Duration::from_secs(10),
            known_failures: std::env::var("DECLIC_CONFORMANCE_PEER")
                .map(|peer| known_failures(&peer))
                .unwrap_or_default(),
        },
        Err(_) => start(),
    })
}

/// Our broker, with limits that a test can reach. It runs until the process ends.
fn start() -> Subject {
    let config = Config {
        limits: Limits {
            packet_size: 1_000_000,
            inbound_in_flight: 20,
            keep_alive: Some(600),
            ..Limits::default()
        },
        response_prefix: "responses".to_owned(),
        #[cfg(feature = "http")]
        http_listeners: vec![resolved("127.0.0.1:0")],
        ..Config::listening_on(resolved("127.0.0.1:0"))
    };
    let broker = Broker::bind(config).expect("a free port");
    let subject = Subject {
        #[cfg(feature = "http")]
        websocket: broker.http_addrs().first().copied(),
        ..Subject::ours(broker.local_addrs()[0])
    };
    std::thread::spawn(move || broker.run());
    subject
}

fn resolved(address: &str) -> SocketAddr {
    let addresses = address.to_socket_addrs();
    let address = addresses.ok().and_then(|mut addresses| addresses.next());
    address.expect("an address that exists")
}

fn known_failures(peer: &str) -> BTreeSet<(String, String)> {
    let path = format!(
        "{}/tests/conformance/peers/{peer}.tsv",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let row = |line: &str| {
        let mut cells = line.split('\t').map(str::to_owned);
        Some((cells.next()?, cells.next()?))
    };
    text.lines().skip(1).filter_map(row).collect()
}
