//! A client's settings, whichever driver dials with them.

mod error;

pub use error::ConnectError;

use crate::connection::{Connection, Inbox, Role};
use crate::handshake::client::{Accepted, Request, Upgrade};
use crate::handshake::{ClientError, Response, Subprotocol, Url};
use crate::limits::Config;
#[cfg(feature = "tls")]
use crate::tls::{ClientTls, TlsError};
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
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<ClientTls>,
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
            #[cfg(feature = "tls")]
            tls: None,
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
        #[cfg(not(feature = "tls"))]
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
        Upgrade::start(request).map_err(ConnectError::Request)
    }

    /// The connection that a handshake ended in; `early` is what followed the server's answer.
    pub(crate) fn finish(self, accepted: Accepted, early: &[u8]) -> Opened {
        let mut inbox = Inbox::new();
        inbox.extend_from_slice(early);
        let connection = Connection::new(Role::Client, self.config).agreed(&accepted.agreed);
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

        /// How to encrypt where the URL is `wss:`: whom to trust, what to show. Otherwise it is as the operating system
        /// has it.
        #[cfg(feature = "tls")]
        #[must_use]
        pub fn tls(mut self, tls: crate::tls::ClientTls) -> Self {
            self.settings.tls = Some(tls);
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

/// TLS that ends without close_notify has ended all the same.
pub(crate) fn or_end(read: io::Result<usize>) -> io::Result<usize> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        read => read,
    }
}
