//! A server's settings for opening handshakes, whichever driver does them, and why one comes to nothing.

use crate::connection::{Connection, Inbox, Role};
use crate::handshake::proxy_header::InvalidProxyHeader;
use crate::handshake::server::{Options, ReadRequest, Received};
use crate::handshake::{Agreed, ConnectInfo, Invalid, OriginPolicy, Proxies, Reject, Request};
use crate::limits::Config;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long an opening handshake may take, if nothing else is said.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long, and how much, is read after a refusal, so that the answer is not lost to a connection reset.
pub(crate) const LINGER: Duration = Duration::from_secs(1);
pub(crate) const LINGER_BYTES: usize = 256 << 10;

/// What an `Acceptor` was told.
#[derive(Clone, Debug)]
pub(crate) struct AcceptSettings {
    options: Arc<Options>,
    config: Arc<Config>,
    pub(crate) origins: OriginPolicy,
    pub(crate) proxies: Proxies,
    pub(crate) timeout: Duration,
    /// Whether clients reach this server by `https:` and `wss:`.
    pub(crate) secure: bool,
}

impl Default for AcceptSettings {
    fn default() -> Self {
        AcceptSettings {
            options: Arc::default(),
            config: Arc::default(),
            origins: OriginPolicy::same_origin(),
            proxies: Proxies::default(),
            timeout: HANDSHAKE_TIMEOUT,
            secure: false,
        }
    }
}

impl AcceptSettings {
    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.config
    }

    pub(crate) fn set_config(&mut self, config: Arc<Config>) {
        self.options().accept_missing_host = config.quirks.accept_missing_host;
        #[cfg(feature = "deflate")]
        {
            self.options().deflate = config.deflate.clone();
        }
        self.options().extensions.clone_from(&config.extensions);
        self.config = config;
    }

    /// How requests are read.
    #[cfg(feature = "hyper")]
    pub(crate) fn options_as_set(&self) -> &Options {
        &self.options
    }

    /// How requests are read, to change it.
    pub(crate) fn options(&mut self) -> &mut Options {
        Arc::make_mut(&mut self.options)
    }

    /// Begins to read a request.
    pub(crate) fn reading(&self) -> ReadRequest {
        ReadRequest::new(Arc::clone(&self.options))
    }

    /// Says where the request came from, and refuses what comes from a page that may not connect, or by a host name that
    /// is not ours.
    pub(crate) fn check(&self, mut received: Received, mut info: ConnectInfo) -> Result<Received, Reject> {
        if self.secure {
            info = info.secure(true);
        }
        let secure = |request: &Request| request.connect_info().is_secure();
        match &mut received {
            Received::Upgrade(upgrade) => {
                self.proxies.resolve(&mut info, upgrade.request().headers());
                upgrade.set_connect_info(info);
                self.origins.check(upgrade.request(), secure(upgrade.request()))
            }
            Received::Plain(request) => {
                self.proxies.resolve(&mut info, request.headers());
                request.set_connect_info(info);
                self.origins.check_host(request)
            }
        }?;
        Ok(received)
    }
}

/// What a client gets that speaks plain HTTP to a port for TLS.
#[cfg(feature = "tls")]
pub(crate) fn only_tls() -> Reject {
    Reject::bad_request("this port speaks TLS: use https:// or wss://")
}

/// The connection that a handshake ended in; `early` is what followed the client's request.
pub(crate) fn opened(config: Arc<Config>, agreed: &Agreed, early: &[u8]) -> (Connection, Inbox) {
    let mut inbox = Inbox::new();
    if !early.is_empty() {
        inbox.extend_from_slice(early);
    }
    (Connection::new(Role::Server, config).agreed(agreed), inbox)
}

/// The settings' methods that say which requests are taken, the same for all who take them, which have the
/// [`AcceptSettings`] at this path of fields.
macro_rules! request_builder {
    ($($settings:ident).+) => {
        /// Limits, keepalive, quirks, compression and further extensions of the connections.
        #[must_use]
        pub fn config(mut self, config: impl Into<std::sync::Arc<crate::limits::Config>>) -> Self {
            self.$($settings).+.set_config(config.into());
            self
        }

        /// Speaks a subprotocol; the first one named is the one preferred.
        #[must_use]
        pub fn subprotocol(mut self, subprotocol: crate::handshake::Subprotocol) -> Self {
            self.$($settings).+.options().subprotocols.push(subprotocol);
            self
        }

        /// Refuses clients that offer none of the subprotocols; otherwise they are accepted without one.
        #[must_use]
        pub fn require_subprotocol(mut self) -> Self {
            self.$($settings).+.options().require_subprotocol = true;
            self
        }

        /// Which web pages may connect: by default those of this server itself.
        #[must_use]
        pub fn origins(mut self, origins: crate::handshake::OriginPolicy) -> Self {
            self.$($settings).+.origins = origins;
            self
        }

        /// The host names that are answered to; requests by others get 403. By default any name will do. A list stops
        /// DNS rebinding: a page of `evil.example`, whose name is made to point to this server's address, is of the
        /// same origin and would be let in.
        ///
        /// After [`origins`](Self::origins), which sets them, too.
        #[must_use]
        pub fn hosts(mut self, hosts: impl IntoIterator<Item = crate::handshake::AllowedHost>) -> Self {
            self.$($settings).+.origins.hosts = Some(hosts.into_iter().collect());
            self
        }

        /// Believes these proxies about who the client is, and whether it came by TLS; by default nobody is believed.
        #[must_use]
        pub fn behind(mut self, proxies: crate::handshake::Proxies) -> Self {
            self.$($settings).+.proxies = proxies;
            self
        }
    };
}
pub(crate) use request_builder;

/// And those for who reads requests from the stream.
macro_rules! reader_builder {
    ($($settings:ident).+) => {
        /// The limits on a request's head.
        #[must_use]
        pub fn head_limits(mut self, limits: crate::handshake::HeadLimits) -> Self {
            self.$($settings).+.options().limits = limits;
            self
        }
    };
}
pub(crate) use reader_builder;

/// The settings' methods, the same for each driver's `Acceptor`, which has them in a field `settings`.
macro_rules! acceptor_builder {
    () => {
        /// With the defaults: no subprotocol, pages of the same origin only, 10 s.
        pub fn new() -> Self {
            Acceptor::default()
        }

        crate::accept::request_builder!(settings);
        crate::accept::reader_builder!(settings);

        /// Says that clients reach this server by `https:` and `wss:`, which makes it the same origin for pages that
        /// came by `https:`: for streams that are encrypted already, or behind a proxy that encrypts.
        #[must_use]
        pub fn secure(mut self, secure: bool) -> Self {
            self.settings.secure = secure;
            self
        }

        /// How long an opening handshake may take: 10 s by default.
        #[must_use]
        pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
            self.settings.timeout = timeout;
            self
        }
    };
}
pub(crate) use acceptor_builder;

/// Why a handshake came to nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError {
    /// It was refused with this answer.
    Refused(Reject),
    /// A trusted proxy did not begin with the PROXY protocol, as it was told to.
    Proxy(InvalidProxyHeader),
    /// The caller's choice cannot be, such as a subprotocol that was not offered.
    Choice(Invalid),
    /// The client ended the stream before its request was complete.
    Ended,
    /// Reading or writing failed.
    Io(io::Error),
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AcceptError::Refused(reject) => write!(f, "the handshake was refused with {}", reject.status()),
            AcceptError::Proxy(error) => error.fmt(f),
            AcceptError::Choice(error) => error.fmt(f),
            AcceptError::Ended => f.write_str("the client ended the stream before its request was complete"),
            AcceptError::Io(error) => write!(f, "the connection broke during the opening handshake: {error}"),
        }
    }
}

impl std::error::Error for AcceptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            AcceptError::Proxy(error) => Some(error),
            AcceptError::Choice(error) => Some(error),
            AcceptError::Io(error) => Some(error),
            AcceptError::Refused(_) | AcceptError::Ended => None,
        }
    }
}

impl From<InvalidProxyHeader> for AcceptError {
    fn from(error: InvalidProxyHeader) -> Self {
        AcceptError::Proxy(error)
    }
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        AcceptError::Io(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_handshake_has_10_s_by_default() {
        assert_eq!(AcceptSettings::default().timeout, Duration::from_secs(10));
    }
}
