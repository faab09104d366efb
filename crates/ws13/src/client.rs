//! A client's settings, whichever driver dials with them, and why a connection is not made.

use crate::connection::{Connection, Inbox, Role};
use crate::handshake::client::{Accepted, Request, Upgrade};
use crate::handshake::{ClientError, Invalid, InvalidSubprotocol, InvalidUrl, Response, Subprotocol, Url};
use crate::limits::Config;
use std::fmt;
use std::io;
#[cfg(unix)]
use std::path::PathBuf;
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
    #[cfg(unix)]
    pub(crate) unix: Option<PathBuf>,
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
            #[cfg(unix)]
            unix: None,
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

    /// A request that cannot be is told before a byte is sent.
    pub(crate) fn check(&self) -> Result<(), ConnectError> {
        self.request.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// Where to dial over TCP: the host as a resolver takes it, and the port.
    pub(crate) fn tcp_target(&self) -> Result<(&str, u16), ConnectError> {
        if self.url.secure() {
            return Err(ConnectError::NoTls);
        }
        Ok((self.url.host().trim_start_matches('[').trim_end_matches(']'), self.url.port()))
    }

    /// Names who was dialled over TCP.
    pub(crate) fn dial_error(&self, error: io::Error) -> ConnectError {
        let to = format!("{}:{}", self.url.host(), self.url.port());
        ConnectError::Dial { to, error: Arc::new(error) }
    }

    /// The handshake, and the bytes it begins with.
    pub(crate) fn start(&self) -> Result<(Upgrade, Vec<u8>), ConnectError> {
        let request = self.request.clone()?.require_subprotocol(self.config.quirks.require_subprotocol);
        #[cfg(feature = "deflate")]
        let request = request.deflate(self.config.deflate.clone());
        let request = request.negotiate(self.config.extensions.clone());
        Upgrade::start(request).map_err(ConnectError::Request)
    }

    /// The connection that a handshake ended in; `early` is what followed the server's answer.
    pub(crate) fn finish(self, accepted: Accepted, early: &[u8]) -> Opened {
        let mut inbox = Inbox::new();
        inbox.extend_from_slice(early);
        let connection = Connection::new(Role::Client, self.config).agreed(&accepted.agreed);
        Opened { connection, inbox, subprotocol: accepted.agreed.subprotocol, response: accepted.response }
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
        /// # Errors
        /// [`ConnectError::Url`].
        pub fn new(url: &str) -> Result<Client, ConnectError> {
            Ok(Client { settings: ClientSettings::new(url)? })
        }

        /// Offers a subprotocol; the first one offered is the one preferred. A name that is no token is an error of
        /// [`connect`](Client::connect).
        #[must_use]
        pub fn subprotocol(self, name: &str) -> Self {
            Client { settings: self.settings.subprotocol(name) }
        }

        /// Adds a header to the request. One that cannot be is an error of [`connect`](Client::connect): what is no
        /// header, and those of the handshake itself.
        #[must_use]
        pub fn header(self, name: &str, value: &str) -> Self {
            Client { settings: self.settings.header(name, value) }
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

        /// Dials a Unix socket; the URL gives the Host and the path of the request all the same.
        #[cfg(unix)]
        #[must_use]
        pub fn over_unix(mut self, socket: impl AsRef<std::path::Path>) -> Self {
            self.settings.unix = Some(socket.as_ref().to_owned());
            self
        }
    };
}
pub(crate) use client_builder;

/// Why a connection was not made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is none that can be connected to.
    Url(InvalidUrl),
    /// A subprotocol is no token (RFC 6455 section 4.1).
    Subprotocol(InvalidSubprotocol),
    /// The request cannot be made, such as for a header with a line end in it.
    Request(Invalid),
    /// `wss://`, and this version has no TLS of its own.
    NoTls,
    /// The host was not found or did not answer.
    Dial {
        /// Who was dialled.
        to: String,
        /// What the system says.
        error: Arc<io::Error>,
    },
    /// Reading or writing failed during the handshake.
    Io(Arc<io::Error>),
    /// The server did not open the connection; an answer other than 101 is in here.
    Handshake(ClientError),
    /// It took longer than the timeout.
    Timeout(Duration),
}

impl ConnectError {
    /// The server's answer, where it was no 101.
    pub fn response(&self) -> Option<&Response> {
        match self {
            ConnectError::Handshake(ClientError::Refused(response)) => Some(response),
            _ => None,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Url(error) => error.fmt(f),
            ConnectError::Subprotocol(error) => error.fmt(f),
            ConnectError::Request(error) => error.fmt(f),
            ConnectError::NoTls => f.write_str(
                "wss:// needs TLS, which this version does not do itself: encrypt a stream and use connect_on",
            ),
            ConnectError::Dial { to, error } => write!(f, "cannot connect to {to}: {error}"),
            ConnectError::Io(error) => write!(f, "the connection broke during the opening handshake: {error}"),
            ConnectError::Handshake(error) => error.fmt(f),
            ConnectError::Timeout(timeout) => write!(f, "no connection within {timeout:?}"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConnectError::Url(error) => Some(error),
            ConnectError::Subprotocol(error) => Some(error),
            ConnectError::Request(error) => Some(error),
            ConnectError::Dial { error, .. } | ConnectError::Io(error) => Some(error.as_ref()),
            ConnectError::Handshake(error) => Some(error),
            ConnectError::NoTls | ConnectError::Timeout(_) => None,
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        ConnectError::Io(Arc::new(error))
    }
}
