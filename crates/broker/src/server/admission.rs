//! How many connections there are, in all and from each address: counted from the moment they are
//! accepted, whoever serves them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Limits;

/// Counts connections over the network. Unix sockets have no address; the engine's own limit is
/// theirs.
#[derive(Debug)]
pub(super) struct Admission {
    limit: usize,
    limit_per_address: usize,
    open: Mutex<Open>,
    refused: AtomicU64,
    refused_per_address: AtomicU64,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limit: limits.connections,
            limit_per_address: limits.connections_per_address,
            open: Mutex::default(),
            refused: AtomicU64::new(0),
            refused_per_address: AtomicU64::new(0),
        }
    }

    /// A connection from `address` was accepted. Returns whether it may stay; then
    /// [`Self::leave`] follows.
    pub(super) fn enter(&self, address: IpAddr) -> bool {
        let mut open = self.lock();
        if open.total >= self.limit {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let address = place(address);
        let count = open.by_address.get(&address).copied().unwrap_or(0);
        if count >= self.limit_per_address {
            self.refused_per_address.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        open.by_address.insert(address, count + 1);
        open.total += 1;
        true
    }

    /// A connection from `address` that had entered is over.
    pub(super) fn leave(&self, address: IpAddr) {
        let mut open = self.lock();
        let address = place(address);
        if let Some(count) = open.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&address);
                // A flood from everywhere is over.
                if open.by_address.capacity() > 4 * open.by_address.len() + KEPT {
                    open.by_address.shrink_to_fit();
                }
            }
            open.total -= 1;
        }
    }

    /// Connections that were closed at once because there were too many.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Connections that were closed at once because there were too many from their address.
    pub(super) fn refused_per_address(&self) -> u64 {
        self.refused_per_address.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Nothing under the lock panics half-way.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts as one address: of IPv6 the first 64 bits, since everyone has all of the others.
pub(super) fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
        address => address,
    }
}

const KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: usize, connections_per_address: usize) -> Admission {
        Admission::new(&Limits {
            connections,
            connections_per_address,
            ..Limits::default()
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_address_can_not_take_all_connections() {
        let admission = admission(5, 2);
        assert!(admission.enter(ip("192.0.2.1")) && admission.enter(ip("192.0.2.1")));
        assert!(!admission.enter(ip("192.0.2.1")));
        assert!(admission.enter(ip("192.0.2.2")));
        admission.leave(ip("192.0.2.1"));
        assert!(admission.enter(ip("192.0.2.1")));
        assert_eq!(
            (admission.refused(), admission.refused_per_address()),
            (0, 1)
        );
    }

    #[test]
    fn many_addresses_can_not_take_more_than_all_connections() {
        let admission = admission(3, 2);
        for number in 1..=3 {
            assert!(admission.enter(IpAddr::from([192, 0, 2, number])));
        }
        assert!(!admission.enter(ip("192.0.2.9")));
        assert_eq!(
            (admission.refused(), admission.refused_per_address()),
            (1, 0)
        );
        for number in 1..=3 {
            admission.leave(IpAddr::from([192, 0, 2, number]));
        }
        assert!(admission.lock().by_address.is_empty());
        assert_eq!(admission.lock().total, 0);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_count_together() {
        let admission = admission(9, 1);
        assert!(admission.enter(ip("2001:db8::1")));
        assert!(!admission.enter(ip("2001:db8::2:1")));
        assert!(admission.enter(ip("2001:db8:0:1::1")));
        assert!(admission.enter(ip("::ffff:192.0.2.1")));
        assert!(!admission.enter(ip("192.0.2.1")));
    }
}
