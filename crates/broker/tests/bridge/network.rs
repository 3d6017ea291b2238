//! Brokers that can be restarted, and a connection between them that can be cut.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use declic_broker::bridge::{Bridge, BridgeConfig, Direction, Rule};
use declic_broker::{Broker, Config, Handle, RunError};
use declic_mqtt::QoS;

/// A broker in a thread of its own, that stops with this.
pub struct Server {
    pub address: SocketAddr,
    pub handle: Handle,
    thread: Option<JoinHandle<Result<(), RunError>>>,
}

impl Server {
    pub fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"))
    }

    pub fn start_at(address: SocketAddr) -> Self {
        let broker = Broker::bind(Config::listening_on(address)).expect("a free port");
        Self {
            address: broker.local_addrs()[0],
            handle: broker.handle(),
            thread: Some(thread::spawn(move || broker.run())),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.shutdown();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !thread::panicking() {
                ended.expect("no panic").expect("no failure");
            }
        }
    }
}

/// Passes bytes on, until it is told to cut.
pub struct Wire {
    pub address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
    /// Clients of 5.0 that were turned away.
    pub refused: Arc<AtomicUsize>,
}

impl Wire {
    pub fn to(target: SocketAddr) -> Self {
        Self::with(target, None)
    }

    /// With a broker behind it, one that knows 3.1.1 only: clients of 5.0 get `answer`, and are
    /// closed.
    pub fn to_older(target: SocketAddr, answer: &'static [u8]) -> Self {
        Self::with(target, Some(answer))
    }

    fn with(target: SocketAddr, answer: Option<&'static [u8]>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let open = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&open);
        let refused = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&refused);
        thread::spawn(move || {
            for near in listener.incoming() {
                let mut near = near.expect("a connection");
                if let Some(answer) = answer
                    && level(&near) == Some(5)
                {
                    counter.fetch_add(1, Ordering::Relaxed);
                    // What is read, the system does not take for thrown away.
                    let _ = near.write_all(answer);
                    let _ = near.shutdown(Shutdown::Write);
                    let _ = near.read_to_end(&mut Vec::new());
                    continue;
                }
                let Ok(far) = TcpStream::connect(target) else {
                    continue;
                };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let mut from = from.try_clone().expect("a socket");
                    let mut to = to.try_clone().expect("a socket");
                    thread::spawn(move || {
                        let mut buffer = [0; 4_096];
                        while let Ok(count @ 1..) = from.read(&mut buffer) {
                            if to.write_all(&buffer[..count]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                all.lock().expect("no panic").extend([near, far]);
            }
        });
        Self {
            address,
            open,
            refused,
        }
    }

    /// Ends all connections in the middle of what they do.
    pub fn cut(&self) {
        for stream in self.open.lock().expect("no panic").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// The protocol level of the CONNECT that comes, which is left there.
fn level(stream: &TcpStream) -> Option<u8> {
    let mut head = [0; 16];
    loop {
        let count = stream.peek(&mut head).ok().filter(|count| *count > 0)?;
        let name = head[..count].windows(4).position(|one| one == b"MQTT");
        if let Some(level) = name.and_then(|at| head[..count].get(at + 4)) {
            return Some(*level);
        }
        thread::yield_now();
    }
}

/// A bridge to `remote` that connects again quickly.
pub fn config(name: &str, remote: SocketAddr, rules: &[Rule]) -> BridgeConfig {
    BridgeConfig {
        name: name.to_owned(),
        host: remote.ip().to_string(),
        port: remote.port(),
        shortest_pause: Duration::from_millis(10),
        longest_pause: Duration::from_millis(100),
        rules: rules.to_vec(),
        ..BridgeConfig::default()
    }
}

pub fn rule(topics: &str, direction: Direction, local: &str, remote: &str) -> Rule {
    Rule {
        topics: topics.to_owned(),
        direction,
        qos: QoS::ExactlyOnce,
        local_prefix: local.to_owned(),
        remote_prefix: remote.to_owned(),
    }
}

/// Starts a bridge and waits until it is connected.
pub fn start(config: &BridgeConfig, server: &Server) -> Bridge {
    let bridge = Bridge::start(config, &server.handle).expect("a valid bridge");
    wait_until(|| bridge.stats().connected);
    bridge
}

#[track_caller]
pub fn wait_until(condition: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !condition() {
        assert!(begin.elapsed() < crate::peer::LIMIT, "not in time");
        thread::sleep(Duration::from_millis(1));
    }
}
