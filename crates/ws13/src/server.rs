//! A server's settings, whichever driver listens with them, and where it listens.

use crate::accept::AcceptSettings;
use crate::handshake::server::Accept;
use crate::handshake::{Reject, Reply, Request};
use std::fmt;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long connections have to close when the server stops, if nothing else is said.
const DRAIN: Duration = Duration::from_secs(10);

/// How long to wait after `accept` failed: doubled from the first to the last while it goes on failing.
pub(crate) const BACK_OFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// What a `Server` was told.
#[derive(Clone)]
pub(crate) struct ServerSettings {
    pub(crate) accept: AcceptSettings,
    pub(crate) on_request: Option<OnRequest>,
    pub(crate) on_http: Option<OnHttp>,
    pub(crate) drain: Duration,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::tls::ServerTls>,
}

type OnRequest = Arc<dyn Fn(&Request) -> Result<Accept, Reject> + Send + Sync>;
type OnHttp = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

impl Default for ServerSettings {
    fn default() -> Self {
        ServerSettings {
            accept: AcceptSettings::default(),
            on_request: None,
            on_http: None,
            drain: DRAIN,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl ServerSettings {
    /// What becomes of a handshake.
    pub(crate) fn decide(&self, request: &Request) -> Result<Accept, Reject> {
        self.on_request.as_ref().map_or_else(|| Ok(Accept::new()), |decide| decide(request))
    }

    /// The answer to a plain HTTP request.
    pub(crate) fn answer(&self, request: &Request) -> Reply {
        self.on_http.as_ref().map_or_else(Reply::upgrade_required, |answer| answer(request))
    }
}

/// The settings' methods, the same for each driver's `Server`, which has them in a field `settings`.
macro_rules! server_builder {
    () => {
        /// Limits, keepalive and quirks of the connections.
        #[must_use]
        pub fn config(mut self, config: impl Into<std::sync::Arc<crate::limits::Config>>) -> Self {
            self.settings.accept.set_config(config.into());
            self
        }

        /// Speaks a subprotocol; the first one named is the one preferred.
        #[must_use]
        pub fn subprotocol(mut self, subprotocol: crate::handshake::Subprotocol) -> Self {
            self.settings.accept.options().subprotocols.push(subprotocol);
            self
        }

        /// Refuses clients that offer none of the subprotocols; otherwise they are accepted without one.
        #[must_use]
        pub fn require_subprotocol(mut self) -> Self {
            self.settings.accept.options().require_subprotocol = true;
            self
        }

        /// Which web pages may connect: by default those of this server itself.
        #[must_use]
        pub fn origins(mut self, origins: crate::handshake::OriginPolicy) -> Self {
            self.settings.accept.origins = origins;
            self
        }

        /// The limits on a request's head.
        #[must_use]
        pub fn head_limits(mut self, limits: crate::handshake::HeadLimits) -> Self {
            self.settings.accept.options().limits = limits;
            self
        }

        /// Encrypts: clients come by `wss:`, and by `https:` for plain requests.
        #[cfg(feature = "tls")]
        #[must_use]
        pub fn tls(mut self, tls: crate::tls::ServerTls) -> Self {
            self.settings.tls = Some(tls);
            self.settings.accept.secure = true;
            self
        }

        /// How long an opening handshake may take, that of TLS included: 10 s by default.
        #[must_use]
        pub fn handshake_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.settings.accept.timeout = timeout;
            self
        }

        /// Looks at each request before it is accepted, and accepts it with what it likes or refuses it with a
        /// status, headers and a body.
        #[must_use]
        pub fn on_request(
            mut self,
            decide: impl Fn(&Request) -> Result<crate::handshake::server::Accept, crate::handshake::Reject>
            + Send
            + Sync
            + 'static,
        ) -> Self {
            self.settings.on_request = Some(std::sync::Arc::new(decide));
            self
        }

        /// Answers plain HTTP requests on the same port; otherwise they get 426.
        #[must_use]
        pub fn on_http(
            mut self,
            answer: impl Fn(&Request) -> crate::handshake::Reply + Send + Sync + 'static,
        ) -> Self {
            self.settings.on_http = Some(std::sync::Arc::new(answer));
            self
        }

        /// How long connections have to close when the server stops: 10 s by default. Then they are dropped.
        #[must_use]
        pub fn drain_timeout(mut self, drain: std::time::Duration) -> Self {
            self.settings.drain = drain;
            self
        }
    };
}
pub(crate) use server_builder;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalAddr {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    #[cfg(unix)]
    Unix(PathBuf),
}

impl fmt::Display for LocalAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LocalAddr::Tcp(address) => address.fmt(f),
            #[cfg(unix)]
            LocalAddr::Unix(path) => path.display().fmt(f),
        }
    }
}
