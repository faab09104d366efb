//! Networks of addresses, and which of them are trusted to say who their client is.

use core::net::{IpAddr, Ipv6Addr};
use std::fmt;
use std::str::FromStr;

/// A network in CIDR notation: `10.0.0.0/8`, `2001:db8::/32`, or one address alone.
///
/// ```
/// use ws13::handshake::Network;
/// let network: Network = "192.168.0.0/16".parse()?;
/// assert!(network.contains("192.168.7.1".parse()?));
/// assert!(network.contains("::ffff:192.168.7.1".parse()?)); // the same address, as IPv6 writes it
/// assert!(!network.contains("192.169.0.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// The address as IPv6 has it, its bits behind the prefix zero.
    bits: u128,
    /// How many leading bits count, of 128.
    prefix: u8,
    /// It was written as IPv4.
    v4: bool,
}

/// The bits that an IPv4 address has before it where it is written as IPv6 (`::ffff:0:0/96`).
const MAPPED: u8 = 96;

impl Network {
    /// The network of this address with so many leading bits; `None` where the address has fewer.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let (v4, prefix) = match address.to_canonical() {
            // An IPv4 address that was written as IPv6 has a prefix that was, too.
            IpAddr::V4(_) if address.is_ipv6() => (true, prefix.checked_sub(MAPPED)?),
            IpAddr::V4(_) => (true, prefix),
            IpAddr::V6(_) => (false, prefix),
        };
        let prefix = if v4 { MAPPED.checked_add(prefix)? } else { prefix };
        (prefix <= 128).then(|| Network { bits: bits_of(address) & mask(prefix), prefix, v4 })
    }

    /// Whether this address is in it; an IPv4 address counts as such, however it is written.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        bits_of(address) & mask(self.prefix) == self.bits
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Network { bits: bits_of(address), prefix: 128, v4: address.to_canonical().is_ipv4() }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let wrong = || InvalidNetwork(text.to_owned());
        let Some((address, prefix)) = text.split_once('/') else {
            return text.parse::<IpAddr>().map(Network::from).map_err(|_| wrong());
        };
        let address = address.parse().map_err(|_| wrong())?;
        if !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        prefix.parse().ok().and_then(|prefix| Network::new(address, prefix)).ok_or_else(wrong)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = Ipv6Addr::from_bits(self.bits);
        match address.to_ipv4_mapped().filter(|_| self.v4) {
            Some(address) => write!(f, "{address}/{}", self.prefix - MAPPED),
            None => write!(f, "{address}/{}", self.prefix),
        }
    }
}

/// A text that is no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidNetwork(String);

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no network: write an address, or one with a prefix, such as 10.0.0.0/8", self.0)
    }
}

impl core::error::Error for InvalidNetwork {}

fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// So many leading ones.
fn mask(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

/// Whose word about a client's address is taken. The default is nobody's.
///
/// ```
/// use ws13::handshake::Trusted;
/// let trusted = Trusted::networks(["127.0.0.1".parse()?, "10.0.0.0/8".parse()?]);
/// assert!(trusted.includes(Some("10.1.2.3".parse()?)));
/// assert!(!trusted.includes(None)); // a Unix socket, unless it is said so
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted {
    networks: Vec<Network>,
    unix: bool,
}

impl Trusted {
    /// Everybody in these networks.
    #[must_use]
    pub fn networks(networks: impl IntoIterator<Item = Network>) -> Self {
        Trusted { networks: networks.into_iter().collect(), unix: false }
    }

    /// And everybody who comes by a Unix socket, which has no address.
    #[must_use]
    pub fn and_unix(mut self) -> Self {
        self.unix = true;
        self
    }

    /// Whether this address is trusted; `None` is a Unix socket.
    #[must_use]
    pub fn includes(&self, address: Option<IpAddr>) -> bool {
        match address {
            Some(address) => self.networks.iter().any(|network| network.contains(address)),
            None => self.unix,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_their_prefix_says() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", "10.255.0.1", "9.255.255.255"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("192.168.1.128/25", "192.168.1.200", "192.168.1.127"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "::2"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"),
            ("0.0.0.0/0", "255.255.255.255", "2001:db8::1"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network} {outside}");
        }
        let all: Network = "::/0".parse().unwrap();
        assert!(all.contains("1.2.3.4".parse().unwrap()) && all.contains("::1".parse().unwrap()));
    }

    #[test]
    fn networks_come_out_in_normal_form() {
        for (text, normal) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("1.2.3.4", "1.2.3.4/32"),
            ("2001:DB8::1/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), normal);
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in
            ["", "/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0/8", "::/129", "a/8", "10.0.0.0/"]
        {
            assert!(text.parse::<Network>().is_err(), "{text:?}");
        }
        assert!("10/8".parse::<Network>().unwrap_err().to_string().contains("10.0.0.0/8"));
    }

    #[test]
    fn nobody_is_trusted_by_default() {
        let nobody = Trusted::default();
        assert!(!nobody.includes(Some("127.0.0.1".parse().unwrap())) && !nobody.includes(None));
        assert!(nobody.and_unix().includes(None));
    }
}
