//! Dialling: from a URL to a `WebSocket`.

use super::net::Stream;
use super::websocket::WebSocket;
use crate::client::{ClientSettings, ConnectError, Opened, client_builder, or_end};
use crate::handshake::Response;
use bytes::BytesMut;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

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
}

impl Client {
    client_builder!();

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
        let timeout = self.settings.timeout;
        let dialled = async {
            self.settings.check()?;
            let stream = self.dial().await?;
            #[cfg(feature = "tls")]
            let stream = super::tls::secure(stream, &self.settings.url, self.settings.tls.as_ref()).await?;
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
        let timeout = self.settings.timeout;
        let handshake = self.handshake(stream);
        tokio::time::timeout(timeout, handshake).await.unwrap_or(Err(ConnectError::Timeout(timeout)))
    }

    async fn dial(&self) -> Result<Stream, ConnectError> {
        #[cfg(unix)]
        if let Some(path) = &self.settings.unix {
            let connected = tokio::net::UnixStream::connect(path).await;
            return connected.map(Stream::Unix).map_err(|error| ConnectError::Dial {
                to: path.display().to_string(),
                error: Arc::new(error),
            });
        }
        let target = self.settings.tcp_target()?;
        let connected = TcpStream::connect(target).await;
        connected.map(Stream::tcp).map_err(|error| self.settings.dial_error(error))
    }

    async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        mut stream: S,
    ) -> Result<(WebSocket<S>, Response), ConnectError> {
        let (mut upgrade, bytes) = self.settings.start()?;
        stream.write_all(&bytes).await?;
        stream.flush().await?;
        let mut received = BytesMut::new();
        let (accepted, used) = loop {
            let answer = match or_end(stream.read_buf(&mut received).await)? {
                0 => upgrade.receive_eof(&received).map(Some),
                _ => upgrade.receive(&received),
            };
            if let Some(answer) = answer.map_err(|error| self.settings.refusal(error, &received))? {
                break answer;
            }
        };
        let Opened { connection, inbox, subprotocol, response } =
            self.settings.finish(accepted, &received[used..]);
        let socket = WebSocket::from_parts(stream, connection, inbox).with_subprotocol(subprotocol);
        Ok((socket, response))
    }
}
