//! A host and a port, as they stand in a Host header, an Origin and a URL (RFC 3986, section 3.2).

use core::net::Ipv6Addr;
use std::fmt;
use std::str::FromStr;

/// The longest host name: no name in the DNS is longer than 253 characters.
const LONGEST_HOST: usize = 255;

/// A host with an optional port, in normal form: lower case, an IPv6 address in its shortest form.
///
/// ```
/// use ws13::handshake::Authority;
/// let authority: Authority = "[::0:1]:8080".parse()?;
/// assert_eq!((authority.host(), authority.port()), ("::1", Some(8080)));
/// assert_eq!(authority.as_str(), "[::1]:8080");
/// # Ok::<(), ws13::handshake::InvalidAuthority>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    host: String,
    port: Option<u16>,
    text: String,
}

impl Authority {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`. An empty port counts as none.
    ///
    /// # Errors
    /// [`InvalidAuthority`] says which part is wrong.
    pub fn new(text: &str) -> Result<Self, InvalidAuthority> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']').ok_or(InvalidAuthority::Address)?;
            let address: Ipv6Addr = address.parse().map_err(|_| InvalidAuthority::Address)?;
            return Ok(Authority::assemble(address.to_string(), parse_port(port)?));
        }
        let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        check_name(host)?;
        Ok(Authority::assemble(host.to_ascii_lowercase(), parse_port(port)?))
    }

    /// The host in lower case; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where one is written.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// `host:port` or `host`, as it goes into a Host header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same without its port when that is `default`.
    pub(super) fn without_default_port(self, default: Option<u16>) -> Self {
        if self.port.is_some() && self.port == default { Authority::assemble(self.host, None) } else { self }
    }

    fn assemble(host: String, port: Option<u16>) -> Self {
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let text = match port {
            Some(port) => format!("{bracketed}:{port}"),
            None => bracketed,
        };
        Authority { host, port, text }
    }
}

impl FromStr for Authority {
    type Err = InvalidAuthority;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Authority::new(text)
    }
}

impl AsRef<str> for Authority {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Letters, digits, `-`, `.`, `_` and `~`: RFC 3986 would allow more, but no name in use has it.
fn check_name(host: &str) -> Result<(), InvalidAuthority> {
    if host.is_empty() {
        return Err(InvalidAuthority::Empty);
    }
    if host.len() > LONGEST_HOST {
        return Err(InvalidAuthority::TooLong);
    }
    match host.chars().find(|c| !c.is_ascii_alphanumeric() && !"-._~".contains(*c)) {
        None => Ok(()),
        Some(wrong) if wrong.is_ascii() => Err(InvalidAuthority::Character(wrong)),
        Some(_) => Err(InvalidAuthority::NotAscii),
    }
}

/// The port behind a host: nothing, `:` or `:` and digits.
fn parse_port(text: &str) -> Result<Option<u16>, InvalidAuthority> {
    match text.strip_prefix(':') {
        None if text.is_empty() => Ok(None),
        Some("") => Ok(None),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map(Some).map_err(|_| InvalidAuthority::Port)
        }
        _ => Err(InvalidAuthority::Port),
    }
}

/// Why a text is no host with an optional port.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidAuthority {
    /// There is no host.
    Empty,
    /// The host is longer than 255 characters.
    TooLong,
    /// The host has a character that no host name has.
    Character(char),
    /// The host has characters outside ASCII.
    NotAscii,
    /// What stands in brackets is no IPv6 address, or the bracket is not closed.
    Address,
    /// The port is no number from 0 to 65535.
    Port,
}

impl fmt::Display for InvalidAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidAuthority::Empty => f.write_str("the host is missing"),
            InvalidAuthority::TooLong => write!(f, "the host is longer than {LONGEST_HOST} characters"),
            InvalidAuthority::Character(wrong) => write!(f, "the host has the character {wrong:?}"),
            InvalidAuthority::NotAscii => {
                f.write_str("the host is not ASCII: write it in punycode (xn--…) instead")
            }
            InvalidAuthority::Address => {
                f.write_str("the host in brackets is no IPv6 address: write it as [::1]")
            }
            InvalidAuthority::Port => f.write_str("the port is no number from 0 to 65535"),
        }
    }
}

impl core::error::Error for InvalidAuthority {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_come_out_in_normal_form() {
        for (text, host, port, normal) in [
            ("Example.COM", "example.com", None, "example.com"),
            ("a:80", "a", Some(80), "a:80"),
            ("a:", "a", None, "a"),
            ("127.0.0.1:12345", "127.0.0.1", Some(12345), "127.0.0.1:12345"),
            ("[::1]", "::1", None, "[::1]"),
            ("[0:0::1]:065", "::1", Some(65), "[::1]:65"),
            ("my_host", "my_host", None, "my_host"),
        ] {
            let authority = Authority::new(text).unwrap();
            assert_eq!((authority.host(), authority.port(), authority.as_str()), (host, port, normal));
        }
    }

    #[test]
    fn invalid_hosts_are_refused() {
        for (text, error) in [
            ("", InvalidAuthority::Empty),
            (":80", InvalidAuthority::Empty),
            ("::", InvalidAuthority::Empty),
            ("a:b", InvalidAuthority::Port),
            ("a:65536", InvalidAuthority::Port),
            ("a:+1", InvalidAuthority::Port),
            ("a:1:2", InvalidAuthority::Port),
            ("[::1", InvalidAuthority::Address),
            ("[a]", InvalidAuthority::Address),
            ("[::1]x", InvalidAuthority::Port),
            ("user@a", InvalidAuthority::Character('@')),
            ("a/b", InvalidAuthority::Character('/')),
            ("a b", InvalidAuthority::Character(' ')),
            ("a\r\nX", InvalidAuthority::Character('\r')),
            ("a,b", InvalidAuthority::Character(',')),
            ("a%41", InvalidAuthority::Character('%')),
            ("bücher.example", InvalidAuthority::NotAscii),
        ] {
            assert_eq!(Authority::new(text), Err(error), "{text:?}");
        }
        assert_eq!(Authority::new(&"a".repeat(256)), Err(InvalidAuthority::TooLong));
        assert!(InvalidAuthority::NotAscii.to_string().contains("punycode"));
    }

    #[test]
    fn default_ports_fall_away() {
        let authority = |text| Authority::new(text).unwrap();
        assert_eq!(authority("a:80").without_default_port(Some(80)), authority("a"));
        assert_eq!(authority("a:81").without_default_port(Some(80)), authority("a:81"));
        assert_eq!(authority("a").without_default_port(None), authority("a"));
    }
}
