//! Dialling: from a URL to a `WebSocket`.

use super::dial::{Dialler, Resolver};
use super::net::Stream;
use super::websocket::WebSocket;
use crate::client::{ClientSettings, ConnectError, Opened, Phase, Progress, client_builder, or_end};
use crate::handshake::Response;
use crate::trace::Dialled;
use bytes::BytesMut;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time;

/// Connects to a `ws://` or `wss://` URL with the default settings.
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
    settings: ClientSettings,
    resolver: Option<Resolver>,
}

impl Client {
    client_builder!();

    /// Finds addresses in another way than the system's: by host and port, in the order in which they are preferred.
    /// Hosts that are addresses are not asked for.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::net::{Ipv4Addr, SocketAddr};
    /// let local = |_host, port| async move { Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))]) };
    /// let socket = ws13::Client::new("ws://example.com/")?.resolver(local).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn resolver<F>(self, resolve: impl Fn(String, u16) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        Client { resolver: Some(Resolver::new(resolve)), ..self }
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
    pub async fn connect_with_response(mut self) -> Result<(WebSocket<Stream>, Response), ConnectError> {
        let (timeout, mut progress) = (self.settings.timeout, Progress::default());
        let dialled = Dialled::new(&self.settings.url);
        let made = dialled.during(time::timeout(timeout, self.follow(&mut progress))).await;
        let made = made.unwrap_or_else(|_| Err(self.settings.after_redirects(progress.timed_out(timeout))));
        report(dialled, made)
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
        let (timeout, dialled) = (self.settings.timeout, Dialled::new(&self.settings.url));
        let made = dialled.during(time::timeout(timeout, handshake(&self.settings, stream))).await;
        report(dialled, made.unwrap_or_else(|_| Err(Progress::default().timed_out(timeout))))
    }

    /// Connects, to wherever the server redirects.
    async fn follow(
        &mut self,
        progress: &mut Progress,
    ) -> Result<(WebSocket<Stream>, Response), ConnectError> {
        self.settings.check()?;
        loop {
            match self.dial_and_upgrade(progress).await {
                Err(error) => self.settings.follow(error)?,
                made => return made,
            }
        }
    }

    async fn dial_and_upgrade(
        &self,
        progress: &mut Progress,
    ) -> Result<(WebSocket<Stream>, Response), ConnectError> {
        let (settings, resolver) = (&self.settings, self.resolver.as_ref());
        let stream = Dialler { settings, resolver, progress: &mut *progress }.dial().await?;
        progress.phase = Phase::Handshake;
        handshake(settings, stream).await
    }
}

type Made<S> = Result<(WebSocket<S>, Response), ConnectError>;

fn report<S: AsyncRead + AsyncWrite + Unpin>(dialled: Dialled, mut made: Made<S>) -> Made<S> {
    match &mut made {
        Ok((socket, _)) => dialled.opened(&mut socket.handle.access()),
        Err(error) => dialled.failed(error),
    }
    made
}

async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    settings: &ClientSettings,
    mut stream: S,
) -> Result<(WebSocket<S>, Response), ConnectError> {
    let (mut upgrade, bytes) = settings.start()?;
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    let mut received = BytesMut::new();
    let (accepted, used) = loop {
        let answer = match or_end(stream.read_buf(&mut received).await)? {
            0 => upgrade.receive_eof(&received).map(Some),
            _ => upgrade.receive(&received),
        };
        if let Some(answer) = answer.map_err(|error| settings.refusal(error, &received))? {
            break answer;
        }
    };
    let Opened { connection, inbox, subprotocol, response } = settings.finish(accepted, &received[used..]);
    let socket = WebSocket::from_parts(stream, connection, inbox).with_subprotocol(subprotocol);
    Ok((socket, response))
}
