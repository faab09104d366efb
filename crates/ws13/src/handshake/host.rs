//! Which host names a server answers to.

use super::authority::{Authority, InvalidAuthority};
use std::fmt;
use std::str::FromStr;

/// A host name that a server answers to: `example.com` with any port, `example.com:8080` with this one, or
/// `*.example.com` for the names below it.
///
/// ```
/// use ws13::handshake::AllowedHost;
/// let below: AllowedHost = "*.example.com".parse()?;
/// assert!(below.matches(&"a.b.Example.com:81".parse()?));
/// assert!(!below.matches(&"example.com".parse()?));
/// # Ok::<(), ws13::handshake::InvalidAuthority>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AllowedHost {
    authority: Authority,
    /// The names below it, not itself.
    below: bool,
}

impl AllowedHost {
    /// Reads a host with an optional port, with an optional `*.` before it.
    ///
    /// # Errors
    /// [`InvalidAuthority`] says which part is wrong.
    pub fn new(text: &str) -> Result<Self, InvalidAuthority> {
        let (below, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
        Ok(AllowedHost { authority: Authority::new(name)?, below })
    }

    /// The names of this very machine, with any port: `localhost` and the names below it (RFC 6761, section 6.3),
    /// `127.0.0.1` and `[::1]`. With them DNS rebinding fails: a foreign name that is made to point here is none of them.
    #[must_use]
    pub fn loopback() -> Vec<AllowedHost> {
        let names = ["localhost", "*.localhost", "127.0.0.1", "[::1]"];
        names.iter().filter_map(|name| AllowedHost::new(name).ok()).collect()
    }

    /// Whether this is the host that a request names.
    #[must_use]
    pub fn matches(&self, host: &Authority) -> bool {
        let own = &self.authority;
        let name = if self.below {
            host.host().strip_suffix(own.host()).is_some_and(|label| label.len() > 1 && label.ends_with('.'))
        } else {
            host.host() == own.host()
        };
        name && (own.port().is_none() || own.port() == host.port())
    }
}

impl FromStr for AllowedHost {
    type Err = InvalidAuthority;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        AllowedHost::new(text)
    }
}

impl From<Authority> for AllowedHost {
    fn from(authority: Authority) -> Self {
        AllowedHost { authority, below: false }
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*." } else { "" }, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_are_those_of_this_machine_alone() {
        let allowed = |host: &str| {
            let host = host.parse().unwrap();
            AllowedHost::loopback().iter().any(|own| own.matches(&host))
        };
        for host in [
            "localhost",
            "LOCALHOST:12345",
            "127.0.0.1:1",
            "[::1]",
            "[0::1]:5",
            "app.localhost",
            "a.b.localhost:1",
        ] {
            assert!(allowed(host), "{host}");
        }
        for host in [
            "evil.com",
            "localhost.evil.com",
            "notlocalhost",
            ".localhost",
            "127.0.0.1.evil.com",
            "10.0.0.1",
            "127.0.0.2",
            "[::2]",
        ] {
            assert!(!allowed(host), "{host}");
        }
        assert_eq!(AllowedHost::loopback().len(), 4);
    }

    #[test]
    fn a_port_is_exact_where_one_is_named() {
        let host: AllowedHost = "Example.com:81".parse().unwrap();
        assert!(host.matches(&"example.com:81".parse().unwrap()));
        assert!(
            !host.matches(&"example.com".parse().unwrap())
                && !host.matches(&"example.com:82".parse().unwrap())
        );
        assert_eq!(host.to_string(), "example.com:81");
        for text in ["", "*", "*.", "*.*.a", "a.*", "http://a", "a/"] {
            assert!(AllowedHost::new(text).is_err(), "{text:?}");
        }
    }
}
