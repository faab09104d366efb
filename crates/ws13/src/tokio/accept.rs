//! The server's side of an opening handshake on a stream: read the request, decide, answer.

use super::websocket::WebSocket;
use crate::accept::{AcceptError, AcceptSettings, LINGER, LINGER_BYTES, acceptor_builder, opened};
use crate::handshake::proxy_header::{Parsed, ProxyHeader};
use crate::handshake::server::{Accept, Received, Upgrade};
use crate::handshake::{ConnectInfo, Reject, Reply, Request};
use crate::limits::Config;
use bytes::{Buf, BytesMut};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

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
#[derive(Clone, Debug, Default)]
pub struct Acceptor {
    pub(super) settings: AcceptSettings,
}

impl Acceptor {
    acceptor_builder!();

    /// Reads the request. What cannot be accepted has been answered when this returns an error.
    ///
    /// # Errors
    /// [`AcceptError`].
    ///
    /// # Cancel safety
    /// A dropped future drops the stream.
    pub async fn read<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<Opening<S>, AcceptError> {
        self.read_from(stream, ConnectInfo::default()).await
    }

    /// As [`read`](Acceptor::read), and says where the connection came from, which the request then tells, with what
    /// trusted proxies add in its headers.
    ///
    /// # Errors
    /// As [`read`](Acceptor::read).
    ///
    /// # Cancel safety
    /// As [`read`](Acceptor::read).
    pub async fn read_from<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        info: ConnectInfo,
    ) -> Result<Opening<S>, AcceptError> {
        self.read_until(stream, info, self.deadline()).await
    }

    /// Reads what a trusted proxy says by the PROXY protocol, where it was told to, and nothing behind it: for before
    /// TLS and [`read_from`](Acceptor::read_from).
    ///
    /// # Errors
    /// [`AcceptError::Proxy`] when it says something else; else as the stream failed, or took too long.
    ///
    /// # Cancel safety
    /// What was read of the header is lost with a dropped future.
    pub async fn read_proxy_header<S: AsyncRead + Unpin>(
        &self,
        stream: &mut S,
        info: ConnectInfo,
    ) -> Result<ConnectInfo, AcceptError> {
        self.read_proxy_header_until(stream, info, self.deadline()).await
    }

    /// When a handshake that begins now has to be done.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.settings.timeout
    }

    pub(super) async fn read_proxy_header_until<S: AsyncRead + Unpin>(
        &self,
        stream: &mut S,
        info: ConnectInfo,
        deadline: Instant,
    ) -> Result<ConnectInfo, AcceptError> {
        if !self.settings.proxies.expects_header(&info) {
            return Ok(info);
        }
        let read = timeout_at(deadline, read_proxy_header(stream)).await;
        Ok(info.behind(&read.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))?))
    }

    pub(super) async fn read_until<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut stream: S,
        info: ConnectInfo,
        deadline: Instant,
    ) -> Result<Opening<S>, AcceptError> {
        let mut early = BytesMut::new();
        let read = timeout_at(deadline, self.read_request(&mut stream, info, &mut early)).await;
        let refused = match read.unwrap_or_else(|_| Err(AcceptError::Refused(Reject::request_timeout()))) {
            Ok(Received::Plain(request)) => {
                return Ok(Opening::Plain(Box::new(Plain { stream, request, deadline })));
            }
            Ok(Received::Upgrade(upgrade)) => {
                let config = Arc::clone(self.settings.config());
                return Ok(Opening::Upgrade(Box::new(Asked { stream, upgrade, early, config, deadline })));
            }
            Err(error) => error,
        };
        if let AcceptError::Refused(reject) = &refused {
            answer_and_end(&mut stream, &reject.encode(), deadline).await?;
        }
        Err(refused)
    }

    async fn read_request<S: AsyncRead + Unpin>(
        &self,
        stream: &mut S,
        info: ConnectInfo,
        bytes: &mut BytesMut,
    ) -> Result<Received, AcceptError> {
        let mut reading = self.settings.reading();
        loop {
            if stream.read_buf(bytes).await? == 0 {
                return Err(AcceptError::Ended);
            }
            if let Some((received, used)) = reading.receive(bytes).map_err(AcceptError::Refused)? {
                bytes.advance(used);
                return self.settings.check(received, info).map_err(AcceptError::Refused);
            }
        }
    }
}

/// Reads a header of the PROXY protocol, and not a byte more.
async fn read_proxy_header<S: AsyncRead + Unpin>(stream: &mut S) -> Result<ProxyHeader, AcceptError> {
    let mut bytes = Vec::new();
    loop {
        match ProxyHeader::parse(&bytes)? {
            Parsed::Header(header, _) => return Ok(header),
            Parsed::More(more) => {
                let len = bytes.len();
                bytes.resize(len + more, 0);
                // Byte for byte where they trickle in: an impossible one ends it at once.
                let read = stream.read(&mut bytes[len..]).await?;
                bytes.truncate(len + read);
                if read == 0 {
                    return Err(AcceptError::Ended);
                }
            }
        }
    }
}

/// Refuses before anything was read.
pub(super) async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    reject: &Reject,
) -> io::Result<()> {
    answer_and_end(&mut stream, &reject.encode(), Instant::now()).await
}

/// What a client asked for.
#[derive(Debug)]
pub enum Opening<S> {
    /// A WebSocket.
    Upgrade(Box<Asked<S>>),
    /// Something else, by plain HTTP.
    Plain(Box<Plain<S>>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Opening<S> {
    /// The request, whatever it asks for.
    pub fn request(&self) -> &Request {
        match self {
            Opening::Upgrade(asked) => asked.request(),
            Opening::Plain(plain) => plain.request(),
        }
    }

    /// Refuses it, and ends the connection.
    ///
    /// # Errors
    /// When the answer cannot be written.
    ///
    /// # Cancel safety
    /// A dropped future drops the connection.
    pub async fn reject(self, reject: Reject) -> io::Result<()> {
        match self {
            Opening::Upgrade(asked) => asked.reject(reject).await,
            Opening::Plain(plain) => plain.reply(reject).await,
        }
    }
}

/// A valid opening handshake that waits for the decision; dropped, it ends the stream without an answer.
#[derive(Debug)]
pub struct Asked<S> {
    stream: S,
    upgrade: Upgrade,
    early: BytesMut,
    config: Arc<Config>,
    deadline: Instant,
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
        let accepted = match self.upgrade.accept(accept) {
            Ok(accepted) => accepted,
            Err(error) => {
                // The client is not left without an answer for our mistake.
                answer_and_end(&mut self.stream, &Reject::internal_error().encode(), self.deadline).await?;
                return Err(AcceptError::Choice(error));
            }
        };
        let written = async {
            self.stream.write_all(&accepted.response).await?;
            self.stream.flush().await
        };
        answer_in_time(self.deadline, written).await?;
        let (connection, inbox) = opened(self.config, &accepted.agreed, &self.early);
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
        answer_and_end(&mut self.stream, &self.upgrade.reject(reject), self.deadline).await
    }
}

/// A plain HTTP request; dropped, it ends the stream without an answer.
#[derive(Debug)]
pub struct Plain<S> {
    stream: S,
    request: Request,
    deadline: Instant,
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
        answer_and_end(&mut self.stream, &reply.encode_for(&self.request), self.deadline).await
    }
}

/// Writes the last answer so that it arrives: ends our direction, and reads on for a bounded while.
pub(super) async fn answer_and_end<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    answer: &[u8],
    deadline: Instant,
) -> io::Result<()> {
    let written = async {
        stream.write_all(answer).await?;
        stream.shutdown().await
    };
    answer_in_time(deadline, written).await?;
    linger(stream).await;
    Ok(())
}

/// Reads on for a bounded while, so that a reset does not eat what was written last.
pub(super) async fn linger<S: AsyncRead + Unpin>(stream: &mut S) {
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
}

/// Gives an answer the rest of the handshake's time, and a moment at least.
async fn answer_in_time(deadline: Instant, written: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let late = deadline.max(Instant::now() + LINGER);
    timeout_at(late, written).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
