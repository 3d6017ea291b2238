//! Searches the local network for a broker: `_mqtt._tcp` in mDNS.

use std::io;
use std::net::IpAddr;
use std::thread;

use mdns_sd::{Receiver, ResolvedService, ServiceDaemon, ServiceEvent};

/// A search that goes on until a broker is found or it is dropped.
pub(super) struct Search {
    daemon: ServiceDaemon,
}

/// Where a broker is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) address: IpAddr,
    pub(super) port: u16,
}

impl Search {
    /// Begins to search; `tell` is called in a thread of its own, once at most.
    ///
    /// # Errors
    /// The system has no socket or no thread left.
    pub(super) fn begin(tell: impl FnOnce(Found) + Send + 'static) -> io::Result<Self> {
        Self::with(ServiceDaemon::new().map_err(io::Error::other)?, tell)
    }

    fn with(daemon: ServiceDaemon, tell: impl FnOnce(Found) + Send + 'static) -> io::Result<Self> {
        // From here on dropping it ends the daemon's thread, and with it ours.
        let search = Self { daemon };
        let events = search.daemon.browse(SERVICE).map_err(io::Error::other)?;
        thread::Builder::new()
            .name("broker search".into())
            .spawn(move || {
                if let Some(found) = first(&events) {
                    tell(found);
                }
            })?;
        Ok(search)
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        // It fails only when the daemon has ended already.
        let _ = self.daemon.shutdown();
    }
}

/// The first broker that is found; `None` when the search was given up.
fn first(events: &Receiver<ServiceEvent>) -> Option<Found> {
    events.iter().find_map(|event| match event {
        ServiceEvent::ServiceResolved(service) => best(&service),
        _ => None,
    })
}

/// An address of IPv4 before one of IPv6, and one that others can use too before one that they
/// can't: link-local addresses of IPv6 need to know an interface.
fn best(service: &ResolvedService) -> Option<Found> {
    let addresses = service.get_addresses().iter();
    let address = addresses
        .map(|address| address.to_ip_addr())
        .filter(|address| !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()))
        .min_by_key(|address| (address.is_loopback(), *address))?;
    Some(Found {
        address,
        port: service.get_port(),
    })
}

const SERVICE: &str = "_mqtt._tcp.local.";

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};
    use std::sync::mpsc;
    use std::time::Duration;

    use mdns_sd::{IfKind, ServiceInfo};

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

    fn free_port() -> u16 {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        socket.local_addr().expect("bound").port()
    }

    #[test]
    fn a_broker_that_is_announced_is_found() {
        let port = free_port();
        let broker = daemon(port);
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let service = ServiceInfo::new(SERVICE, "test", "test.local.", address, 1884, None);
        broker
            .register(service.expect("a valid service"))
            .expect("it runs");
        let (sender, found) = mpsc::channel();
        let _search = Search::with(daemon(port), move |broker| {
            let _ = sender.send(broker);
        });
        let broker = found.recv_timeout(Duration::from_secs(20));
        assert_eq!(
            broker,
            Ok(Found {
                address,
                port: 1884
            })
        );
    }

    #[test]
    fn a_search_that_is_dropped_ends() {
        let (sender, found) = mpsc::channel();
        let search = Search::with(daemon(free_port()), move |broker| {
            let _ = sender.send(broker);
        });
        drop(search);
        let ended = found.recv_timeout(Duration::from_secs(20));
        assert_eq!(ended, Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
