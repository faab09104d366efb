//! Dialling: from a URL to a `WebSocket`.

use super::net::Stream;
use super::websocket::WebSocket;
use crate::connection::{Connection, Inbox, Role};
use crate::handshake::client::{Accepted, Request, Upgrade};
use crate::handshake::{ClientError, Invalid, InvalidSubprotocol, InvalidUrl, Response, Subprotocol, Url};
use crate::limits::Config;
use bytes::BytesMut;
use std::fmt;
use std::io;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Connects to a `ws://` URL with the default settings.
///
/// # Errors
/// See [`ConnectError`].
///
/// # Cancel safety
/// A dropped future drops the connection attempt.
pub async fn connect(url: &str) -> Result<WebSocket<Stream>, ConnectError> {
    Client::new(url)?.connect().await
}

/// A connection to be made.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use ws13::Client;
///
/// let mut socket = Client::new("ws://127.0.0.1:12345/chat")?
///     .subprotocol("me-want-cookies")
///     .header("Authorization", "Bearer …")
///     .connect()
///     .await?;
/// socket.send("hi").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    url: Url,
    request: Result<Request, ConnectError>,
    config: Arc<Config>,
    timeout: Duration,
    #[cfg(unix)]
    unix: Option<PathBuf>,
}

/// How long dialling and the opening handshake may take together, if nothing else is said.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Client {
    /// A client for a URL such as `ws://example.com/chat?room=1` (RFC 6455 section 3).
    ///
    /// # Errors
    /// [`ConnectError::Url`].
    pub fn new(url: &str) -> Result<Client, ConnectError> {
        let url = Url::new(url).map_err(ConnectError::Url)?;
        Ok(Client {
            request: Ok(Request::new(&url)),
            url,
            config: Arc::default(),
            timeout: CONNECT_TIMEOUT,
            #[cfg(unix)]
            unix: None,
        })
    }

    /// Offers a subprotocol; the first one offered is the one preferred. A name that is no token is an error of
    /// [`connect`](Client::connect).
    #[must_use]
    pub fn subprotocol(self, name: &str) -> Self {
        self.with(|request| {
            Ok(request.subprotocol(Subprotocol::new(name).map_err(ConnectError::Subprotocol)?))
        })
    }

    /// Adds a header to the request. One that cannot be is an error of [`connect`](Client::connect): what is no
    /// header, and those of the handshake itself.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.with(|request| request.header(name, value).map_err(ConnectError::Request))
    }

    /// Limits, keepalive and quirks of the connection.
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// How long dialling and the opening handshake may take together: 10 s by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Dials a Unix socket; the URL gives the Host and the path of the request all the same.
    #[cfg(unix)]
    #[must_use]
    pub fn over_unix(mut self, socket: impl AsRef<Path>) -> Self {
        self.unix = Some(socket.as_ref().to_owned());
        self
    }

    /// Dials, and does the opening handshake.
    ///
    /// # Errors
    /// See [`ConnectError`]; an answer other than 101 comes as it is, with its body.
    ///
    /// # Cancel safety
    /// A dropped future drops the connection attempt.
    pub async fn connect(self) -> Result<WebSocket<Stream>, ConnectError> {
        Ok(self.connect_with_response().await?.0)
    }

    /// As [`connect`](Client::connect), and gives the 101 response, for its headers.
    ///
    /// # Errors
    /// As [`connect`](Client::connect).
    ///
    /// # Cancel safety
    /// As [`connect`](Client::connect).
    pub async fn connect_with_response(self) -> Result<(WebSocket<Stream>, Response), ConnectError> {
        let timeout = self.timeout;
        let dialled = async {
            // A request that cannot be is told before a byte is sent.
            self.request.as_ref().map_err(Clone::clone)?;
            let stream = self.dial().await?;
            self.handshake(stream).await
        };
        tokio::time::timeout(timeout, dialled).await.unwrap_or(Err(ConnectError::Timeout(timeout)))
    }

    /// Does the opening handshake on a stream of one's own: an encrypted one, a tunnel, a test's.
    ///
    /// # Errors
    /// As [`connect`](Client::connect).
    ///
    /// # Cancel safety
    /// As [`connect`](Client::connect).
    pub async fn connect_on<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        stream: S,
    ) -> Result<(WebSocket<S>, Response), ConnectError> {
        let timeout = self.timeout;
        let handshake = self.handshake(stream);
        tokio::time::timeout(timeout, handshake).await.unwrap_or(Err(ConnectError::Timeout(timeout)))
    }

    fn with(mut self, add: impl FnOnce(Request) -> Result<Request, ConnectError>) -> Self {
        self.request = self.request.and_then(add);
        self
    }

    async fn dial(&self) -> Result<Stream, ConnectError> {
        #[cfg(unix)]
        if let Some(path) = &self.unix {
            let connected = tokio::net::UnixStream::connect(path).await;
            return connected.map(Stream::Unix).map_err(|error| ConnectError::Dial {
                to: path.display().to_string(),
                error: Arc::new(error),
            });
        }
        if self.url.secure() {
            return Err(ConnectError::NoTls);
        }
        let host = self.url.host().trim_start_matches('[').trim_end_matches(']');
        match TcpStream::connect((host, self.url.port())).await {
            Ok(stream) => Ok(Stream::tcp(stream)),
            Err(error) => {
                let to = format!("{}:{}", self.url.host(), self.url.port());
                Err(ConnectError::Dial { to, error: Arc::new(error) })
            }
        }
    }

    async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        mut stream: S,
    ) -> Result<(WebSocket<S>, Response), ConnectError> {
        let request = self.request?.require_subprotocol(self.config.quirks.require_subprotocol);
        let (mut upgrade, bytes) = Upgrade::start(request).map_err(ConnectError::Request)?;
        stream.write_all(&bytes).await?;
        stream.flush().await?;
        let mut received = BytesMut::new();
        let (accepted, used) = loop {
            let answer = match stream.read_buf(&mut received).await? {
                0 => Some(upgrade.receive_eof(&received).map_err(ConnectError::Handshake)?),
                _ => upgrade.receive(&received).map_err(ConnectError::Handshake)?,
            };
            if let Some(answer) = answer {
                break answer;
            }
        };
        let Accepted { agreed, response } = accepted;
        let mut inbox = Inbox::new();
        inbox.extend_from_slice(&received[used..]);
        let socket = WebSocket::from_parts(stream, Connection::new(Role::Client, self.config), inbox)
            .with_subprotocol(agreed.subprotocol);
        Ok((socket, response))
    }
}

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
