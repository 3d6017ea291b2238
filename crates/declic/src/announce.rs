//! Tells the local network that there is a broker: `_mqtt._tcp` in mDNS.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mdns_sd::{ServiceDaemon, ServiceInfo};
use tracing::{debug, warn};

/// A broker that can be found; it is said goodbye to when this is dropped.
pub struct Announcement {
    daemon: ServiceDaemon,
    services: Vec<String>,
}

impl Announcement {
    /// Announces a broker that listens on `addresses`. `None` where it can't be reached from the
    /// network. That it can't be announced is told, and no failure.
    pub fn start(addresses: &[SocketAddr]) -> Option<Self> {
        if addresses.iter().all(|address| address.ip().is_loopback()) {
            return None;
        }
        match ServiceDaemon::new() {
            Ok(daemon) => Some(Self::with(daemon, &name()?, addresses)),
            Err(error) => {
                warn!(%error, "the broker is not announced in the network");
                None
            }
        }
    }

    fn with(daemon: ServiceDaemon, name: &str, addresses: &[SocketAddr]) -> Self {
        let mut services = Vec::new();
        for (port, ips) in ports(addresses) {
            let instance = match services.len() {
                0 => format!("Déclic broker {name}"),
                number => format!("Déclic broker {name} {}", number + 1),
            };
            let host = format!("declic-{name}.local.");
            let txt = [("software", concat!("declic ", env!("CARGO_PKG_VERSION")))];
            let service = ServiceInfo::new(SERVICE, &instance, &host, &ips[..], port, &txt[..]);
            let registered = service.and_then(|service| {
                // Without addresses, those of the machine are meant, as they come and go.
                let service = if ips.is_empty() {
                    service.enable_addr_auto()
                } else {
                    service
                };
                let full_name = service.get_fullname().to_owned();
                daemon.register(service).map(|()| full_name)
            });
            match registered {
                Ok(full_name) => {
                    debug!(service = %full_name, port, "announced in the network");
                    services.push(full_name);
                }
                Err(error) => warn!(%error, port, "the broker is not announced in the network"),
            }
        }
        Self { daemon, services }
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        for service in &self.services {
            // Told when the goodbye is sent.
            if let Ok(gone) = self.daemon.unregister(service) {
                let _ = gone.recv_timeout(GOODBYE_TIME);
            }
        }
        if let Ok(ended) = self.daemon.shutdown() {
            let _ = ended.recv_timeout(GOODBYE_TIME);
        }
    }
}

/// The ports that can be reached from the network, each with its addresses; none for all.
fn ports(addresses: &[SocketAddr]) -> Vec<(u16, Vec<IpAddr>)> {
    let mut ports: Vec<(u16, Vec<IpAddr>)> = Vec::new();
    for address in addresses.iter().filter(|one| !one.ip().is_loopback()) {
        let at = ports.iter().position(|(port, _)| *port == address.port());
        let at = at.unwrap_or_else(|| {
            ports.push((address.port(), Vec::new()));
            ports.len() - 1
        });
        ports[at].1.push(address.ip());
    }
    for (_, ips) in &mut ports {
        if ips.iter().any(IpAddr::is_unspecified) {
            ips.clear();
        }
    }
    ports
}

/// What tells this broker from others in the network.
fn name() -> Option<String> {
    let mut random = [0; 3];
    getrandom::fill(&mut random).ok()?;
    Some(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

const SERVICE: &str = "_mqtt._tcp.local.";
const GOODBYE_TIME: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};
    use std::time::Instant;

    use mdns_sd::{IfKind, ServiceEvent};

    use super::*;

    /// A daemon that talks to nothing but this machine, on a port that is no one else's.
    fn daemon(port: u16) -> ServiceDaemon {
        let daemon = ServiceDaemon::new_with_port(port).expect("a socket");
        daemon.disable_interface(IfKind::All).expect("it runs");
        daemon
            .enable_interface(IfKind::LoopbackV4)
            .expect("it runs");
        daemon
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        let parse = |text: &&str| text.parse().expect("an address");
        texts.iter().map(parse).collect()
    }

    #[test]
    fn a_broker_for_this_machine_only_is_not_announced() {
        let only = addresses(&["127.0.0.1:1883", "[::1]:1883"]);
        assert!(Announcement::start(&only).is_none());
    }

    #[test]
    fn each_port_that_others_can_reach_is_announced_once() {
        let all = ports(&addresses(&[
            "0.0.0.0:1883",
            "[::]:1883",
            "127.0.0.1:1",
            "10.0.0.1:2",
        ]));
        let one = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(all, [(1883, vec![]), (2, vec![one])]);
    }

    #[test]
    fn a_broker_is_found_and_a_goodbye_is_said() {
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|socket| socket.local_addr())
            .expect("a port")
            .port();
        let seeker = daemon(port);
        let events = seeker.browse(SERVICE).expect("it runs");
        let next = |wanted: fn(&ServiceEvent) -> Option<String>| {
            let deadline = Instant::now() + Duration::from_secs(20);
            loop {
                let event = events.recv_deadline(deadline).expect("an event in time");
                if let Some(text) = wanted(&event) {
                    return text;
                }
            }
        };
        let loopback = addresses(&["0.0.0.0:1884"]);
        let announcement = Announcement::with(daemon(port), "test", &loopback);
        let found = next(|event| match event {
            ServiceEvent::ServiceResolved(service) => {
                Some(format!("{} {}", service.get_fullname(), service.get_port()))
            }
            _ => None,
        });
        assert_eq!(found, "Déclic broker test._mqtt._tcp.local. 1884");
        drop(announcement);
        let gone = next(|event| match event {
            ServiceEvent::ServiceRemoved(_, name) => Some(name.clone()),
            _ => None,
        });
        assert_eq!(gone, "Déclic broker test._mqtt._tcp.local.");
        let _ = seeker.shutdown();
    }
}
