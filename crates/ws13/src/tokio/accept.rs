//! The server's side of an opening handshake on a stream: read the request, decide, answer.

use super::websocket::WebSocket;
use crate::connection::{Connection, Inbox, Role};
use crate::handshake::server::{Accept, Options, ReadRequest, Received, Upgrade};
use crate::handshake::{HeadLimits, Invalid, OriginPolicy, Reject, Reply, Request, Subprotocol};
use crate::limits::Config;
use bytes::{Buf, BytesMut};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Does opening handshakes as a server, on any stream; [`Server`](crate::Server) has one for its own.
///
/// ```no_run
/// # async fn run(stream: tokio::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
/// use ws13::{Acceptor, Opening};
///
/// let acceptor = Acceptor::new();
/// match acceptor.read(stream).await? {
///     Opening::Upgrade(asked) if asked.request().path() == "/chat" => {
///         let mut socket = asked.accept().await?;
///         socket.send("welcome").await?;
///     }
///     Opening::Upgrade(asked) => asked.reject(ws13::handshake::Reject::not_found()).await?,
///     Opening::Plain(plain) => plain.reply(ws13::handshake::Reply::not_found()).await?,
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Acceptor {
    options: Arc<Options>,
    config: Arc<Config>,
    origins: OriginPolicy,
    timeout: Duration,
}

/// How long an opening handshake may take, if nothing else is said.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long, and how much, is read after a refusal, so that the answer is not lost to a connection reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 << 10;

impl Default for Acceptor {
    fn default() -> Self {
        Acceptor {
            options: Arc::default(),
            config: Arc::default(),
            origins: OriginPolicy::same_origin(),
            timeout: HANDSHAKE_TIMEOUT,
        }
    }
}

impl Acceptor {
    /// With the defaults: no subprotocol, pages of the same origin only, 10 s.
    pub fn new() -> Self {
        Acceptor::default()
    }

    /// Limits, keepalive and quirks of the connections.
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        let missing_host = self.config.quirks.accept_missing_host;
        self.with(|options| options.accept_missing_host = missing_host)
    }

    /// Speaks a subprotocol; the first one named is the one preferred.
    #[must_use]
    pub fn subprotocol(self, subprotocol: Subprotocol) -> Self {
        self.with(|options| options.subprotocols.push(subprotocol))
    }

    /// Refuses clients that offer none of the subprotocols; otherwise they are accepted without one.
    #[must_use]
    pub fn require_subprotocol(self) -> Self {
        self.with(|options| options.require_subprotocol = true)
    }

    /// The limits on a request's head.
    #[must_use]
    pub fn head_limits(self, limits: HeadLimits) -> Self {
        self.with(|options| options.limits = limits)
    }

    /// Which web pages may connect: by default those of this server itself.
    #[must_use]
    pub fn origins(mut self, origins: OriginPolicy) -> Self {
        self.origins = origins;
        self
    }

    /// How long an opening handshake may take: 10 s by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Reads the request. What cannot be accepted has been answered when this returns an error.
    ///
    /// # Errors
    /// [`AcceptError`].
    ///
    /// # Cancel safety
    /// A dropped future drops the stream.
    pub async fn read<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut stream: S,
    ) -> Result<Opening<S>, AcceptError> {
        let mut bytes = BytesMut::new();
        let read = timeout(self.timeout, self.read_request(&mut stream, &mut bytes)).await;
        let refused = match read.unwrap_or_else(|_| Err(AcceptError::Refused(Reject::request_timeout()))) {
            Ok(Received::Plain(request)) => return Ok(Opening::Plain(Plain { stream, request })),
            Ok(Received::Upgrade(upgrade)) => match self.origins.check(upgrade.request(), false) {
                Ok(()) => {
                    let config = Arc::clone(&self.config);
                    return Ok(Opening::Upgrade(Box::new(Asked { stream, upgrade, early: bytes, config })));
                }
                Err(reject) => AcceptError::Refused(reject),
            },
            Err(error) => error,
        };
        if let AcceptError::Refused(reject) = &refused {
            answer_and_end(&mut stream, &reject.encode()).await?;
        }
        Err(refused)
    }

    async fn read_request<S: AsyncRead + Unpin>(
        &self,
        stream: &mut S,
        bytes: &mut BytesMut,
    ) -> Result<Received, AcceptError> {
        let mut reading = ReadRequest::new(Arc::clone(&self.options));
        loop {
            if stream.read_buf(bytes).await? == 0 {
                return Err(AcceptError::Ended);
            }
            if let Some((received, used)) = reading.receive(bytes).map_err(AcceptError::Refused)? {
                bytes.advance(used);
                return Ok(received);
            }
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(Arc::make_mut(&mut self.options));
        self
    }
}

/// What a client asked for.
#[derive(Debug)]
pub enum Opening<S> {
    /// A WebSocket.
    Upgrade(Box<Asked<S>>),
    /// Something else, by plain HTTP.
    Plain(Plain<S>),
}

/// A valid opening handshake that waits for the decision; dropped, it ends the stream without an answer.
#[derive(Debug)]
pub struct Asked<S> {
    stream: S,
    upgrade: Upgrade,
    early: BytesMut,
    config: Arc<Config>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Asked<S> {
    /// What the client asked for: path, query, headers, offered subprotocols, origin.
    pub fn request(&self) -> &Request {
        self.upgrade.request()
    }

    /// The stream, for the peer's address and the like.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Accepts, with the first of our subprotocols that was offered.
    ///
    /// # Errors
    /// When the answer cannot be written.
    ///
    /// # Cancel safety
    /// A dropped future drops the connection.
    pub async fn accept(self) -> Result<WebSocket<S>, AcceptError> {
        Ok(self.accept_with(Accept::new()).await?.0)
    }

    /// Accepts with a subprotocol or headers of one's choice; gives the request along.
    ///
    /// # Errors
    /// [`AcceptError::Choice`] for a subprotocol that was not offered; else when the answer cannot be written.
    ///
    /// # Cancel safety
    /// A dropped future drops the connection.
    pub async fn accept_with(mut self, accept: Accept) -> Result<(WebSocket<S>, Request), AcceptError> {
        let accepted = self.upgrade.accept(accept).map_err(AcceptError::Choice)?;
        self.stream.write_all(&accepted.response).await?;
        self.stream.flush().await?;
        let mut inbox = Inbox::new();
        if !self.early.is_empty() {
            inbox.extend_from_slice(&self.early);
        }
        let connection = Connection::new(Role::Server, self.config);
        let socket = WebSocket::from_parts(self.stream, connection, inbox);
        Ok((socket.with_subprotocol(accepted.agreed.subprotocol), accepted.request))
    }

    /// Refuses with a status, headers and a body of one's choice, and ends the connection.
    ///
    /// # Errors
    /// When the answer cannot be written.
    ///
    /// # Cancel safety
    /// A dropped future drops the connection.
    pub async fn reject(mut self, reject: Reject) -> io::Result<()> {
        answer_and_end(&mut self.stream, &self.upgrade.reject(reject)).await
    }
}

/// A plain HTTP request; dropped, it ends the stream without an answer.
#[derive(Debug)]
pub struct Plain<S> {
    stream: S,
    request: Request,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Plain<S> {
    /// The request.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Answers, and ends the connection.
    ///
    /// # Errors
    /// When the answer cannot be written.
    ///
    /// # Cancel safety
    /// A dropped future drops the connection.
    pub async fn reply(mut self, reply: Reply) -> io::Result<()> {
        answer_and_end(&mut self.stream, &reply.encode_for(&self.request)).await
    }
}

/// Writes the last answer so that it arrives: ends our direction, and reads on for a bounded while.
async fn answer_and_end<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, answer: &[u8]) -> io::Result<()> {
    stream.write_all(answer).await?;
    stream.shutdown().await?;
    let drain = async {
        let mut scratch = [0; 2048];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match stream.read(&mut scratch).await {
                Ok(0) | Err(_) => return,
                Ok(len) => left = left.saturating_sub(len),
            }
        }
    };
    let _ = timeout(LINGER, drain).await;
    Ok(())
}

/// Why a handshake came to nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError {
    /// It was refused with this answer.
    Refused(Reject),
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
            AcceptError::Choice(error) => error.fmt(f),
            AcceptError::Ended => f.write_str("the client ended the stream before its request was complete"),
            AcceptError::Io(error) => write!(f, "the connection broke during the opening handshake: {error}"),
        }
    }
}

impl std::error::Error for AcceptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            AcceptError::Choice(error) => Some(error),
            AcceptError::Io(error) => Some(error),
            AcceptError::Refused(_) | AcceptError::Ended => None,
        }
    }
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        AcceptError::Io(error)
    }
}
