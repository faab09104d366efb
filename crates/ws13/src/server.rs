//! A server's settings, whichever driver listens with them, and where it listens.

use crate::accept::{AcceptError, AcceptSettings};
use crate::handshake::ConnectInfo;
use crate::handshake::server::Accept;
use crate::handshake::{Reject, Reply, Request};
use std::fmt;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

mod counts;
mod metrics;

pub(crate) use counts::{AddressKey, ConnectionLimits, Counts, REFUSALS};
pub(crate) use metrics::{Counters, Open, Refusal};
pub use metrics::{Metrics, RoundTrips, Snapshot};

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
    pub(crate) drain: Drain,
    pub(crate) limits: ConnectionLimits,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::tls::ServerTls>,
}

/// How a server stops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    /// The time in which connections are told, one after the other.
    pub(crate) spread: Duration,
    /// How long they have after that.
    pub(crate) timeout: Duration,
}

impl From<Duration> for Drain {
    fn from(timeout: Duration) -> Self {
        Drain { spread: Duration::ZERO, timeout }
    }
}

type OnRequest = Arc<dyn Fn(&Request) -> Result<Accept, Reject> + Send + Sync>;
type OnHttp = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

impl Default for ServerSettings {
    fn default() -> Self {
        ServerSettings {
            accept: AcceptSettings::default(),
            on_request: None,
            on_http: None,
            drain: DRAIN.into(),
            limits: ConnectionLimits::default(),
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

    /// Whether the client's address is that of the socket, before it has said anything.
    pub(crate) fn knows_client(&self, info: &ConnectInfo) -> bool {
        let proxies = &self.accept.proxies;
        !proxies.expects_header(info) && !proxies.may_tell_more(info)
    }

    /// The answer to a plain HTTP request.
    pub(crate) fn answer(&self, request: &Request) -> Reply {
        self.on_http.as_ref().map_or_else(Reply::upgrade_required, |answer| answer(request))
    }
}

/// The settings' methods, the same for each driver's `Server`, which has them in a field `settings`.
macro_rules! server_builder {
    () => {
        crate::accept::request_builder!(settings.accept);
        crate::accept::reader_builder!(settings.accept);

        /// How many connections are taken at the same time, handshakes included: by default nine tenths of the
        /// descriptors that the process may have, and 32 fewer than those at least. Further ones get 503 with
        /// `Retry-After`, or nothing at all where they come in masses.
        #[must_use]
        pub fn max_connections(mut self, most: usize) -> Self {
            self.settings.limits.connections = Some(most);
            self
        }

        /// How many connections one client may have, by its IPv4 address or the first 64 bits of its IPv6 address: by
        /// default 256, and any number from this machine itself, where a proxy may run. Set, it holds for all. Further
        /// ones get 503 with `Retry-After`. Where the proxies are named by [`behind`](Self::behind), the address is the
        /// client's.
        #[must_use]
        pub fn max_per_address(mut self, most: usize) -> Self {
            self.settings.limits.per_address = Some(most);
            self
        }

        /// How many opening handshakes may be under way at the same time: by default 1,024. Further ones wait to be
        /// accepted.
        #[must_use]
        pub fn max_handshakes(mut self, most: usize) -> Self {
            self.settings.limits.handshakes = most.max(1);
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

        /// How long connections have to close when the server stops, after the last was told to: 10 s by default. Then
        /// they are dropped.
        #[must_use]
        pub fn drain_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.settings.drain.timeout = timeout;
            self
        }

        /// When the server stops, tells its connections to close one after the other, in this time and in random order, so
        /// that their clients do not all come back in one wave. By default all are told at once.
        #[must_use]
        pub fn drain_spread(mut self, spread: std::time::Duration) -> Self {
            self.settings.drain.spread = spread;
            self
        }
    };
}
pub(crate) use server_builder;

/// For the figures: why nothing came of a handshake.
pub(crate) fn refusal(error: &AcceptError) -> Refusal<'_> {
    match error {
        AcceptError::Refused(reject) => Refusal::Answered(reject),
        AcceptError::Proxy(_) => Refusal::Proxy,
        AcceptError::Choice(_) | AcceptError::Ended | AcceptError::Io(_) => Refusal::Lost,
    }
}

/// Counts a handshake that came to nothing, and reports it.
pub(crate) fn note_refusal(counters: &Counters, info: &ConnectInfo, refused: Refusal<'_>) {
    counters.refused(refused);
    #[cfg(feature = "tracing")]
    {
        let peer = info.client().map(tracing::field::display);
        tracing::info!(target: "ws13", peer, reason = %refused, "handshake refused");
    }
    let _ = info;
}

/// Asks again while somebody else is at a connection, which is over in microseconds; but not for ever: it may be the
/// one who asks, in the middle of a message that was lent to them.
pub(crate) fn patiently<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    (0..TRIES).find_map(|_| {
        let answer = ask();
        if answer.is_none() {
            std::thread::yield_now();
        }
        answer
    })
}

const TRIES: usize = 1000;

/// The same in random order.
pub(crate) fn shuffled<T>(mut items: Vec<T>) -> Vec<T> {
    let mut bits = crate::entropy::random_u64() | 1;
    for at in (1..items.len()).rev() {
        // xorshift: spreads load, guards no secret.
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        items.swap(at, (bits % (at as u64 + 1)) as usize);
    }
    items
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_stops_waits_10_s_by_default() {
        let drain = ServerSettings::default().drain;
        assert_eq!((drain.spread, drain.timeout), (Duration::ZERO, Duration::from_secs(10)));
    }

    #[test]
    fn accept_is_tried_again_after_10_ms_to_1_s() {
        assert_eq!(BACK_OFF, (Duration::from_millis(10), Duration::from_millis(1000)));
    }
}
