//! The address under which the network reaches this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// The address that other machines use for what listens on `address`; `None` for loopback, and
/// where no network is found.
pub(super) fn reachable_from_outside(address: SocketAddr) -> Option<SocketAddr> {
    let ip = match address.ip() {
        ip if ip.is_loopback() => return None,
        ip if ip.is_unspecified() => own_address()?,
        ip => ip,
    };
    Some(SocketAddr::new(ip, address.port()))
}

/// The address that packets to the outside would come from. Connecting a UDP socket only asks the
/// system for the way; it sends nothing.
fn own_address() -> Option<IpAddr> {
    // The first is in a network for documentation, so the default route decides; without one,
    // the usual networks of homes are asked for.
    let outside = [
        Ipv4Addr::new(192, 0, 2, 1),
        Ipv4Addr::new(192, 168, 1, 254),
        Ipv4Addr::new(192, 168, 0, 254),
        Ipv4Addr::new(10, 0, 0, 254),
        Ipv4Addr::new(172, 16, 0, 254),
    ];
    outside.into_iter().find_map(|peer| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect((peer, DISCARD)).ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
    })
}

/// The port of the discard protocol.
const DISCARD: u16 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_not_reachable_and_a_chosen_address_is_itself() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert_eq!(reachable_from_outside(address("127.0.0.1:1883")), None);
        assert_eq!(reachable_from_outside(address("[::1]:1883")), None);
        let chosen = address("192.168.7.7:1883");
        assert_eq!(reachable_from_outside(chosen), Some(chosen));
    }

    #[test]
    fn a_found_address_is_one_of_this_machine() {
        if let Some(found) = reachable_from_outside(SocketAddr::from(([0, 0, 0, 0], 1883))) {
            assert_eq!(found.port(), 1883);
            UdpSocket::bind((found.ip(), 0)).expect("an address of this machine");
        }
    }
}
