//! Which proxy a URL goes through: by choice, or as the environment has it.

use super::exceptions::Exceptions;
use super::{InvalidProxy, Proxy};
use crate::handshake::Url;
use std::ffi::OsString;

/// The proxies for different URLs, and the hosts that need none. The default: none at all.
///
/// ```
/// use ws13::{handshake::Url, proxy::{Proxies, Proxy}};
///
/// let proxies = Proxies::all(Proxy::new("http://proxy.example:3128")?).except("localhost, .internal, 10.0.0.0/8");
/// assert!(proxies.choose(&Url::new("ws://example.com/")?).is_some());
/// assert!(proxies.choose(&Url::new("ws://chat.internal/")?).is_none());
/// assert!(proxies.choose(&Url::new("wss://10.1.2.3/")?).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `ws:`.
    plain: Option<Proxy>,
    /// For `wss:`.
    secure: Option<Proxy>,
    exceptions: Exceptions,
}

impl Proxies {
    /// One proxy for everything.
    #[must_use]
    pub fn all(proxy: Proxy) -> Self {
        Proxies { plain: Some(proxy.clone()), secure: Some(proxy), exceptions: Exceptions::default() }
    }

    /// What the environment says, in the variables that most programs know:
    ///
    /// | | |
    /// |---|---|
    /// | `HTTP_PROXY` | for `ws:`; not where `REQUEST_METHOD` is set, as a CGI program has it from its client's header `Proxy` |
    /// | `HTTPS_PROXY` | for `wss:` |
    /// | `ALL_PROXY` | for both, where theirs is missing or empty |
    /// | `NO_PROXY` | what needs none: see [`except`](Proxies::except) |
    ///
    /// Each in lower case, too, which wins. Both `ws:` and `wss:` go through a tunnel (CONNECT). This machine itself
    /// (`localhost`, 127.0.0.0/8, `::1`) needs none: it is another one to a proxy.
    ///
    /// # Errors
    /// [`InvalidProxy::Variable`]: a proxy that cannot be used is not passed by in silence.
    pub fn from_env() -> Result<Self, InvalidProxy> {
        Proxies::from_variables(|name| std::env::var_os(name))
    }

    /// As [`from_env`](Proxies::from_env), from variables of another source.
    ///
    /// # Errors
    /// As [`from_env`](Proxies::from_env).
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, InvalidProxy> {
        let value = |name: &str| {
            let value = variable(name)?.to_string_lossy().trim().to_owned();
            (!value.is_empty()).then(|| (name.to_owned(), value))
        };
        let either = |name: &str| value(&name.to_ascii_lowercase()).or_else(|| value(name));
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let plain = if is_cgi { value("http_proxy") } else { either("HTTP_PROXY") };
        let all = either("ALL_PROXY");
        Ok(Proxies {
            plain: plain.or_else(|| all.clone()).map(proxy).transpose()?,
            secure: either("HTTPS_PROXY").or(all).map(proxy).transpose()?,
            exceptions: Exceptions::new(THIS_MACHINE),
        }
        .except(&either("NO_PROXY").unwrap_or_default().1))
    }

    /// Hosts that are reached without a proxy, with commas or blanks between them.
    ///
    /// `*` is every host; `example.com` and `.example.com` are that host and all below it; `10.1.2.3`, `10.0.0.0/8` and
    /// `fe80::/10` are addresses, where the URL has an address: no name is resolved for this. A port behind a host
    /// (`example.com:8080`, `[::1]:80`) is the only one meant. What is none of these means nothing.
    #[must_use]
    pub fn except(mut self, hosts: &str) -> Self {
        self.exceptions.add(Exceptions::new(hosts));
        self
    }

    /// The proxy for a URL; none for a Unix socket.
    #[must_use]
    pub fn choose(&self, url: &Url) -> Option<&Proxy> {
        let proxy = if url.secure() { &self.secure } else { &self.plain };
        let direct = url.socket().is_some() || self.exceptions.has(url.host(), url.port());
        proxy.as_ref().filter(|_| !direct)
    }
}

const THIS_MACHINE: &str = "localhost, 127.0.0.0/8, ::1";

fn proxy((name, value): (String, String)) -> Result<Proxy, InvalidProxy> {
    Proxy::new(&value).map_err(|error| InvalidProxy::Variable { name, error: Box::new(error) })
}
