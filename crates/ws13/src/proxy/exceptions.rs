//! NO_PROXY: the hosts that no proxy is asked for.

use core::net::IpAddr;

/// Hosts, domains, addresses and networks to be reached directly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Exceptions(Vec<Exception>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Exception {
    pattern: Pattern,
    /// The only port it holds for.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Everything,
    /// A name in lower case: itself, and all below it.
    Domain(String),
    /// An address and how many bits of it count.
    Network(IpAddr, u32),
}

impl Exceptions {
    /// A list with commas or blanks between its items. What is no item matches nothing.
    pub(super) fn new(list: &str) -> Self {
        let items = list.split([',', ' ', '\t', '\n', '\r']).filter(|item| !item.is_empty());
        Exceptions(items.filter_map(Exception::new).collect())
    }

    pub(super) fn add(&mut self, more: Exceptions) {
        self.0.extend(more.0);
    }

    /// The host as a `Url` has it: in lower case, an IPv6 address without brackets.
    pub(super) fn has(&self, host: &str, port: u16) -> bool {
        let address: Option<IpAddr> = host.parse().ok().map(|address: IpAddr| address.to_canonical());
        self.0.iter().any(|exception| exception.has(host, address, port))
    }
}

impl Exception {
    fn new(item: &str) -> Option<Self> {
        if let Some(pattern) = network(item) {
            return Some(Exception { pattern, port: None });
        }
        let (host, port) = match item.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (item, None),
        };
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let pattern = network(bare).unwrap_or_else(|| named(host));
        Some(Exception { pattern, port })
    }

    fn has(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        self.port.is_none_or(|only| only == port)
            && match &self.pattern {
                Pattern::Everything => true,
                Pattern::Domain(domain) => is_below(host, domain),
                Pattern::Network(network, bits) => {
                    address.is_some_and(|address| is_within(address, *network, *bits))
                }
            }
    }
}

/// `*`, `example.com`, `.example.com` or `*.example.com`; the last three mean the same.
fn named(item: &str) -> Pattern {
    match item.strip_prefix('*').unwrap_or(item).trim_matches('.') {
        "" => Pattern::Everything,
        domain => Pattern::Domain(domain.to_ascii_lowercase()),
    }
}

/// An address, or an address with `/` and a number of bits.
fn network(item: &str) -> Option<Pattern> {
    let (address, bits) = match item.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse().ok()?)),
        None => (item, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most: u32 = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    if bits > most {
        return None;
    }
    // `::ffff:10.0.0.1` is 10.0.0.1.
    let canonical = address.to_canonical();
    let skipped = if canonical == address { 0 } else { 96 };
    Some(Pattern::Network(canonical, bits.checked_sub(skipped)?))
}

/// Whether a host is a domain, or stands below it at a dot.
fn is_below(host: &str, domain: &str) -> bool {
    let host = host.trim_end_matches('.');
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (address.to_bits() ^ network.to_bits()).leading_zeros() >= bits
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            (address.to_bits() ^ network.to_bits()).leading_zeros() >= bits
        }
        _ => false,
    }
}
