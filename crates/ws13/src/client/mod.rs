//! A client's settings, whichever driver dials with them.

mod attempts;
mod backoff;
mod error;
mod redirect;
mod retry;
mod tcp;

pub use attempts::Attempt;
pub(crate) use attempts::{Progress, unix_error};
pub use backoff::Backoff;
pub use error::{ConnectError, Phase, TimedOut};
pub use redirect::RedirectError;
pub use tcp::TcpOptions;

use crate::connection::{Connection, Inbox, Role};
use crate::handshake::client::{Accepted, Request, Upgrade};
use crate::handshake::{ClientError, Response, Subprotocol, Url};
use crate::limits::Config;
use crate::proxy::{InvalidProxy, Proxies, Proxy};
#[cfg(feature = "tls")]
use crate::tls::{ClientTls, TlsError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long dialling and the opening handshake may take together, if nothing else is said.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a `Client` was told.
#[derive(Clone, Debug)]
pub(crate) struct ClientSettings {
    pub(crate) url: Url,
    /// The request so far, or the first thing that was wrong with it.
    request: Result<Request, ConnectError>,
    pub(crate) config: Arc<Config>,
    pub(crate) timeout: Duration,
    pub(crate) tcp: TcpOptions,
    proxies: Proxies,
    /// How many redirects are followed.
    redirects: u32,
    /// The URLs that redirected here.
    asked: Vec<Url>,
    /// The path to dial in place of the URL's host.
    unix: Option<PathBuf>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<ClientTls>,
    /// For the talk with an `https:` proxy itself.
    #[cfg(feature = "tls")]
    pub(crate) proxy_tls: Option<ClientTls>,
}

/// The way to a server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Route<'a> {
    /// Through a Unix socket.
    Unix(&'a Path),
    /// To its own host and port.
    Direct,
    /// Through a tunnel of this proxy.
    Proxy(&'a Proxy),
}

/// The parts of a connection whose handshake is done.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    /// Holds what came early, with the handshake.
    pub(crate) inbox: Inbox,
    pub(crate) subprotocol: Option<Subprotocol>,
    pub(crate) response: Response,
}

impl ClientSettings {
    pub(crate) fn new(url: &str) -> Result<Self, ConnectError> {
        let url = Url::new(url).map_err(ConnectError::Url)?;
        Ok(ClientSettings {
            request: Ok(Request::new(&url)),
            url,
            config: Arc::default(),
            timeout: CONNECT_TIMEOUT,
            tcp: TcpOptions::default(),
            proxies: Proxies::default(),
            redirects: 0,
            asked: Vec::new(),
            unix: None,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            proxy_tls: None,
        })
    }

    pub(crate) fn subprotocol(self, name: &str) -> Self {
        self.with(|request| {
            Ok(request.subprotocol(Subprotocol::new(name).map_err(ConnectError::Subprotocol)?))
        })
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        self.with(|request| request.header(name, value).map_err(ConnectError::Request))
    }

    pub(crate) fn redirects(&mut self, max: u32) {
        self.redirects = max;
    }

    #[cfg(unix)]
    pub(crate) fn over_unix(&mut self, socket: &Path) {
        self.unix = Some(socket.to_owned());
    }

    /// A request that cannot be is told before a byte is sent.
    pub(crate) fn check(&self) -> Result<(), ConnectError> {
        self.request.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.with(|request| request.authorization(&format!("Bearer {token}")).map_err(ConnectError::Request))
    }

    pub(crate) fn proxies(mut self, proxies: Result<Proxies, InvalidProxy>) -> Self {
        match proxies {
            Ok(proxies) => self.proxies = proxies,
            Err(error) => return self.with(|_| Err(ConnectError::InvalidProxy(error))),
        }
        self
    }

    /// How to reach the server.
    pub(crate) fn route(&self) -> Result<Route<'_>, ConnectError> {
        let proxy = || self.proxies.choose(&self.url).map_or(Route::Direct, Route::Proxy);
        let route = self.unix_socket().map_or_else(proxy, Route::Unix);
        #[cfg(not(feature = "tls"))]
        if self.url.secure() || matches!(route, Route::Proxy(proxy) if proxy.secure()) {
            return Err(ConnectError::NoTls);
        }
        Ok(route)
    }

    /// The Unix socket to dial, if one is.
    fn unix_socket(&self) -> Option<&Path> {
        self.unix.as_deref().or(self.url.socket())
    }

    /// The handshake, and the bytes it begins with.
    pub(crate) fn start(&self) -> Result<(Upgrade, Vec<u8>), ConnectError> {
        let request = self.authenticated()?.require_subprotocol(self.config.quirks.require_subprotocol);
        #[cfg(feature = "deflate")]
        let request = request.deflate(self.config.deflate.clone());
        let request = request.negotiate(self.config.extensions.clone());
        Upgrade::start(request).map_err(ConnectError::Request)
    }

    /// The request, with what the URL has to prove who asks, unless the user said it otherwise.
    fn authenticated(&self) -> Result<Request, ConnectError> {
        let request = self.request.clone()?;
        match self.url.user() {
            Some(user) if !request.has_authorization() => {
                request.authorization(&user.basic()).map_err(ConnectError::Request)
            }
            _ => Ok(request),
        }
    }

    /// The connection that a handshake ended in; `early` is what followed the server's answer.
    pub(crate) fn finish(&self, accepted: Accepted, early: &[u8]) -> Opened {
        let mut inbox = Inbox::new();
        inbox.extend_from_slice(early);
        let connection = Connection::new(Role::Client, Arc::clone(&self.config)).agreed(&accepted.agreed);
        Opened { connection, inbox, subprotocol: accepted.agreed.subprotocol, response: accepted.response }
    }

    /// What a server's answer means that is none of HTTP.
    pub(crate) fn refusal(&self, error: ClientError, received: &[u8]) -> ConnectError {
        // An alert of TLS, and its version.
        #[cfg(feature = "tls")]
        if matches!(error, ClientError::Head(_)) && received.starts_with(&[0x15, 0x03]) {
            return ConnectError::Tls(TlsError::OnlyTls);
        }
        let _ = received;
        ConnectError::Handshake(error)
    }

    fn with(mut self, add: impl FnOnce(Request) -> Result<Request, ConnectError>) -> Self {
        self.request = self.request.and_then(add);
        self
    }
}

/// The settings' methods, the same for each driver's `Client`, which has them in a field `settings`.
macro_rules! client_builder {
    () => {
        /// A client for a URL such as `ws://example.com/chat?room=1` (RFC 6455 section 3).
        ///
        /// `user:password@` before the host, percent-encoded, goes out as Basic authentication (RFC 7617), unless the
        /// request has a header `Authorization`; `ws+unix:/run/app.sock:/chat` dials a Unix socket.
        ///
        /// # Errors
        /// [`ConnectError::Url`].
        pub fn new(url: &str) -> Result<Client, ConnectError> {
            Ok(Client { settings: ClientSettings::new(url)?, resolver: None })
        }

        /// Offers a subprotocol; the first one offered is the one preferred. A name that is no token is an error of
        /// [`connect`](Client::connect).
        #[must_use]
        pub fn subprotocol(self, name: &str) -> Self {
            Client { settings: self.settings.subprotocol(name), ..self }
        }

        /// Adds a header to the request. One that cannot be is an error of [`connect`](Client::connect): what is no
        /// header, and those of the handshake itself.
        #[must_use]
        pub fn header(self, name: &str, value: &str) -> Self {
            Client { settings: self.settings.header(name, value), ..self }
        }

        /// Sends a token, as `Authorization: Bearer` (RFC 6750 section 2.1). One that is not printable ASCII is an
        /// error of [`connect`](Client::connect).
        #[must_use]
        pub fn bearer(self, token: &str) -> Self {
            Client { settings: self.settings.bearer(token), ..self }
        }

        /// Goes through this proxy, by a tunnel for `ws:` as for `wss:`. Default: none, whatever the environment says.
        #[must_use]
        pub fn proxy(self, proxy: crate::proxy::Proxy) -> Self {
            self.proxies(crate::proxy::Proxies::all(proxy))
        }

        /// Goes through the proxy that these choose for the URL, and for each URL that a redirect leads to.
        #[must_use]
        pub fn proxies(self, proxies: crate::proxy::Proxies) -> Self {
            Client { settings: self.settings.proxies(Ok(proxies)), ..self }
        }

        /// Goes through the proxy that the environment chooses for the URL:
        /// [`Proxies::from_env`](crate::proxy::Proxies::from_env). A proxy there that cannot be used is an error of
        /// [`connect`](Client::connect).
        #[must_use]
        pub fn proxy_from_env(self) -> Self {
            Client { settings: self.settings.proxies(crate::proxy::Proxies::from_env()), ..self }
        }

        /// Follows so many redirects (301, 302, 303, 307, 308). Default: none; the answer is then an error with its
        /// Location.
        ///
        /// Never from `wss:` to `ws:`. To another scheme, host or port the URL's credentials, Authorization, Cookie and a
        /// certificate of TLS do not go along.
        #[must_use]
        pub fn redirects(mut self, max: u32) -> Self {
            self.settings.redirects(max);
            self
        }

        /// Options of the TCP socket, and how addresses are raced.
        #[must_use]
        pub fn tcp(mut self, options: crate::TcpOptions) -> Self {
            self.settings.tcp = options;
            self
        }

        /// Limits, keepalive and quirks of the connection.
        #[must_use]
        pub fn config(mut self, config: impl Into<std::sync::Arc<crate::limits::Config>>) -> Self {
            self.settings.config = config.into();
            self
        }

        /// How long dialling and the opening handshake may take together: 10 s by default.
        #[must_use]
        pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
            self.settings.timeout = timeout;
            self
        }

        /// How to encrypt where the URL is `wss:`: whom to trust, what to show. Otherwise it is as the operating system
        /// has it.
        #[cfg(feature = "tls")]
        #[must_use]
        pub fn tls(mut self, tls: crate::tls::ClientTls) -> Self {
            self.settings.tls = Some(tls);
            self
        }

        /// How to encrypt the talk with a proxy whose URL is `https:`. Otherwise it is as the operating system has it.
        #[cfg(feature = "tls")]
        #[must_use]
        pub fn proxy_tls(mut self, tls: crate::tls::ClientTls) -> Self {
            self.settings.proxy_tls = Some(tls);
            self
        }

        /// Dials a Unix socket; the URL gives the Host and the path of the request all the same.
        #[cfg(unix)]
        #[must_use]
        pub fn over_unix(mut self, socket: impl AsRef<std::path::Path>) -> Self {
            self.settings.over_unix(socket.as_ref());
            self
        }
    };
}
pub(crate) use client_builder;

/// TLS that ends without close_notify has ended all the same.
pub(crate) fn or_end(read: io::Result<usize>) -> io::Result<usize> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialling_and_the_opening_handshake_have_10_s_by_default() {
        let settings = ClientSettings::new("ws://localhost/").unwrap();
        assert_eq!(settings.timeout, Duration::from_secs(10));
    }
}
