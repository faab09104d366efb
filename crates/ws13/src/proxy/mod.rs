//! Proxies: which one a URL goes through, and the talk that opens a tunnel to its host.
//!
//! Pure: bytes and decisions, no socket, no resolver. Both drivers use it by `Client::proxy` and
//! `Client::proxies`; for a driver of your own there is [`Tunnel`]:
//!
//! ```
//! use ws13::proxy::{Proxy, Step, Tunnel};
//!
//! let proxy = Proxy::new("http://me:secret@proxy.example:3128")?;
//! let mut tunnel = Tunnel::new(&proxy, &"ws://example.com/chat".parse()?);
//! let Step::Write(request) = tunnel.step()? else { return Err("it begins by writing".into()) };
//! assert!(request.starts_with(b"CONNECT example.com:80 HTTP/1.1\r\n"));
//!
//! let mut answer = &b"HTTP/1.1 200 Connection established\r\n\r\n"[..];
//! while let Step::Read(most) = tunnel.step()? {
//!     let (bytes, rest) = answer.split_at(most.min(answer.len())); // what a read gives
//!     tunnel.receive(bytes);
//!     answer = rest;
//! }
//! assert!(matches!(tunnel.step()?, Step::Open));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod connect;
mod error;
mod exceptions;
mod proxies;
mod socks5;
mod tunnel;

pub use error::{InvalidProxy, ProxyError};
pub use proxies::Proxies;
pub use tunnel::{Step, Tunnel};

use crate::handshake::{Authority, User};
use std::fmt;
use std::str::FromStr;

/// A proxy, and the credentials for it.
///
/// | URL | how it is asked |
/// |---|---|
/// | `http://host:3128` | HTTP CONNECT (RFC 9110 section 9.3.6); port 80 if none is written |
/// | `https://host` | the same within TLS; port 443 |
/// | `socks5h://host` | SOCKS5 (RFC 1928); the proxy resolves names; port 1080 |
/// | `socks5://host` | SOCKS5; names are resolved here |
///
/// `user:password@` before the host, percent-encoded, is Basic authentication (RFC 7617), or that of RFC 1929. Without
/// a scheme it is `http`. No error and no debug output has the credentials.
///
/// ```
/// use ws13::proxy::Proxy;
/// let proxy = Proxy::new("socks5h://me:secret@proxy.example")?;
/// assert_eq!((proxy.host(), proxy.port()), ("proxy.example", 1080));
/// assert_eq!(proxy.to_string(), "socks5h://proxy.example:1080");
/// # Ok::<(), ws13::proxy::InvalidProxy>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    protocol: Protocol,
    host: Authority,
    user: Option<User>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Protocol {
    Http,
    Https,
    /// Names are resolved here.
    Socks5,
    /// The proxy resolves names.
    Socks5h,
}

impl Protocol {
    const ALL: [Protocol; 4] = [Protocol::Http, Protocol::Https, Protocol::Socks5, Protocol::Socks5h];

    fn scheme(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::Https => "https",
            Protocol::Socks5 => "socks5",
            Protocol::Socks5h => "socks5h",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Protocol::Http => 80,
            Protocol::Https => 443,
            Protocol::Socks5 | Protocol::Socks5h => 1080,
        }
    }

    fn is_socks(self) -> bool {
        matches!(self, Protocol::Socks5 | Protocol::Socks5h)
    }
}

impl Proxy {
    /// Reads the URL of a proxy.
    ///
    /// # Errors
    /// [`InvalidProxy`]; it never repeats the credentials.
    pub fn new(url: &str) -> Result<Self, InvalidProxy> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let named = |protocol: &Protocol| protocol.scheme().eq_ignore_ascii_case(scheme);
        let protocol = Protocol::ALL.into_iter().find(named).ok_or(InvalidProxy::Scheme)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, host) = match rest.rsplit_once('@') {
            Some((user, host)) => (Some(User::parse(user).map_err(|_| InvalidProxy::User)?), host),
            None => (None, rest),
        };
        let host = Authority::new(host).map_err(InvalidProxy::Host)?;
        let proxy = Proxy { protocol, host, user };
        if proxy.port() == 0 {
            return Err(InvalidProxy::Host(crate::handshake::InvalidAuthority::Port));
        }
        if protocol.is_socks() { proxy.check_lengths() } else { Ok(proxy) }
    }

    /// The host of the proxy; an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.host()
    }

    /// The port of the proxy: the one written, else the usual one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.host.port().unwrap_or(self.protocol.default_port())
    }

    /// Whether the talk with the proxy itself goes through TLS (`https`).
    #[must_use]
    pub fn secure(&self) -> bool {
        self.protocol == Protocol::Https
    }

    /// Whether the proxy is to be given addresses, names being resolved here (`socks5`).
    #[must_use]
    pub fn wants_addresses(&self) -> bool {
        self.protocol == Protocol::Socks5
    }

    /// RFC 1929, section 2: each length is one byte.
    fn check_lengths(self) -> Result<Self, InvalidProxy> {
        let fits = |text: &str| text.len() <= usize::from(u8::MAX);
        let user = self.user.as_ref();
        let fitting = user.is_none_or(|user| fits(user.name()) && user.password().is_none_or(fits));
        if fitting { Ok(self) } else { Err(InvalidProxy::User) }
    }
}

impl FromStr for Proxy {
    type Err = InvalidProxy;
    fn from_str(url: &str) -> Result<Self, Self::Err> {
        Proxy::new(url)
    }
}

/// Without the credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.protocol.scheme(), authority(self.host(), self.port()))
    }
}

/// Without the credentials.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(&self.to_string()).finish()
    }
}

/// `host:port`, an IPv6 address in brackets.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests;
