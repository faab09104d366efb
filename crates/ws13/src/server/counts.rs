//! How many connections a server takes, altogether and from each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU64;

/// Connections from one address, if nothing else is said.
const PER_ADDRESS: usize = 256;

/// Opening handshakes under way, if nothing else is said.
const HANDSHAKES: usize = 1024;

/// Refusals that are answered at the same time; who comes on top of them is dropped without an answer, as each answer
/// takes a descriptor for up to a second.
pub(crate) const REFUSALS: usize = 64;

/// What a server was told about how many it should take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// `None`: by the descriptors that the process may have.
    pub(crate) connections: Option<usize>,
    /// `None`: the default, which spares this machine's own addresses.
    pub(crate) per_address: Option<usize>,
    pub(crate) handshakes: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        ConnectionLimits { connections: None, per_address: None, handshakes: HANDSHAKES }
    }
}

impl ConnectionLimits {
    /// Without any, for connections that somebody else accepts.
    #[cfg(feature = "tokio")]
    pub(crate) fn none() -> Self {
        ConnectionLimits {
            connections: Some(usize::MAX),
            per_address: Some(usize::MAX),
            handshakes: HANDSHAKES,
        }
    }

    fn per_address(&self, address: IpAddr) -> usize {
        match self.per_address {
            Some(limit) => limit,
            None if address.to_canonical().is_loopback() => usize::MAX,
            None => PER_ADDRESS,
        }
    }
}

/// The connections that are there, counted.
#[derive(Debug)]
pub(crate) struct Counts {
    limits: ConnectionLimits,
    most: usize,
    all: usize,
    by_address: HashMap<AddressKey, u32>,
}

/// The part of an address that counts as one client: an IPv4 address, or the first 64 bits of an IPv6 address, which is
/// what one customer has at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AddressKey(NonZeroU64);

impl Counts {
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        let most = limits.connections.unwrap_or_else(nine_tenths_of_the_descriptors);
        Counts { limits, most, all: 0, by_address: HashMap::new() }
    }

    /// Takes one more, unless there are too many.
    pub(crate) fn enter(&mut self) -> bool {
        let room = self.all < self.most;
        self.all += usize::from(room);
        room
    }

    /// Counts one of those that were taken for its address; `None` when there are too many from there.
    pub(crate) fn enter_from(&mut self, address: IpAddr) -> Option<AddressKey> {
        let limit = self.limits.per_address(address);
        if limit == usize::MAX {
            return Some(AddressKey::of(address));
        }
        let count = self.by_address.entry(AddressKey::of(address)).or_default();
        if *count as usize >= limit {
            return None;
        }
        *count += 1;
        Some(AddressKey::of(address))
    }

    pub(crate) fn leave(&mut self, from: Option<AddressKey>) {
        self.all = self.all.saturating_sub(1);
        let Some(key) = from else { return };
        if let Some(count) = self.by_address.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&key);
                if self.by_address.len() * 8 < self.by_address.capacity() {
                    self.by_address.shrink_to_fit();
                }
            }
        }
    }
}

impl AddressKey {
    fn of(address: IpAddr) -> Self {
        let bits = match address.to_canonical() {
            // No IPv6 address begins like this (RFC 4291, section 2.4): the first eight bits are zero.
            IpAddr::V4(address) => 1 << 32 | u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        };
        AddressKey(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }
}

/// Descriptors that are left over at least: for files, for runtimes, for answers to those who are refused.
const SPARE: u64 = 32;

/// How many descriptors may be connections.
fn nine_tenths_of_the_descriptors() -> usize {
    #[cfg(unix)]
    if let Ok((soft, _)) = rlimit::Resource::NOFILE.get() {
        return nine_tenths(soft);
    }
    usize::MAX
}

#[cfg(unix)]
fn nine_tenths(descriptors: u64) -> usize {
    let most = (descriptors / 10 * 9).min(descriptors.saturating_sub(SPARE)).max(1);
    usize::try_from(most).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(connections: usize, per_address: usize) -> Counts {
        let limits = ConnectionLimits {
            connections: Some(connections),
            per_address: Some(per_address),
            handshakes: HANDSHAKES,
        };
        Counts::new(limits)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn no_more_are_taken_than_the_limit_says() {
        let mut counts = counts(2, 9);
        assert!(counts.enter() && counts.enter() && !counts.enter());
        counts.leave(None);
        assert!(counts.enter() && !counts.enter());
    }

    #[test]
    fn limits_are_90_percent_of_the_descriptors_256_of_an_address_and_1024_handshakes_by_default() {
        let limits = ConnectionLimits::default();
        assert_eq!((limits.per_address(ip("192.0.2.1")), limits.handshakes), (256, 1024));
        #[cfg(unix)]
        {
            let by_descriptors = [1, 60, 100, 1024, 1 << 20].map(nine_tenths);
            // Of few descriptors 32 are left over at least, and one connection is always taken.
            assert_eq!(by_descriptors, [1, 28, 68, 918, 943_713]);
            let soft = rlimit::Resource::NOFILE.get().unwrap().0;
            assert_eq!(Counts::new(limits).most, nine_tenths(soft));
        }
    }

    #[test]
    fn an_ipv6_network_of_64_bits_counts_as_one_client() {
        let mut counts = counts(99, 2);
        let first = counts.enter_from(ip("2001:db8::1"));
        assert!(first.is_some() && counts.enter_from(ip("2001:db8::ffff:2")).is_some());
        assert!(counts.enter_from(ip("2001:db8::3")).is_none());
        assert!(counts.enter_from(ip("2001:db8:0:1::3")).is_some());
        counts.leave(first);
        assert!(counts.enter_from(ip("2001:db8::3")).is_some());
    }

    #[test]
    fn an_ipv4_address_counts_alone_however_it_is_written() {
        let mut counts = counts(99, 1);
        let key = counts.enter_from(ip("192.0.2.1"));
        assert!(counts.enter_from(ip("::ffff:192.0.2.1")).is_none());
        assert!(counts.enter_from(ip("192.0.2.2")).is_some());
        counts.leave(key);
        assert!(counts.enter_from(ip("::ffff:192.0.2.1")).is_some());
        assert_eq!(counts.by_address.len(), 2);
    }

    #[test]
    fn this_machine_itself_is_spared_by_default_alone() {
        let mut counts = Counts::new(ConnectionLimits::default());
        for _ in 0..PER_ADDRESS {
            assert!(counts.enter_from(ip("192.0.2.1")).is_some());
            assert!(counts.enter_from(ip("127.0.0.1")).is_some());
        }
        assert!(counts.enter_from(ip("192.0.2.1")).is_none());
        assert!(counts.enter_from(ip("127.0.0.1")).is_some());
        let mut strict = self::counts(99, 1);
        assert!(strict.enter_from(ip("::1")).is_some() && strict.enter_from(ip("::1")).is_none());
    }

    #[test]
    fn what_left_is_forgotten() {
        let mut counts = counts(usize::MAX, 9);
        let keys: Vec<_> = (0..1000u32).map(|n| counts.enter_from(IpAddr::V4(n.into()))).collect();
        keys.into_iter().for_each(|key| counts.leave(key));
        assert!(counts.by_address.is_empty() && counts.by_address.capacity() < 100);
    }
}
