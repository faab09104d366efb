//! Sockets that come from elsewhere than from a `Server`, served as it serves its own.

use super::connections;
use super::serving::Serving;
use super::websocket::WebSocket;
use crate::server::Drain;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Runs a handler on this socket as [`Server::serve`](crate::Server::serve) does: what the handler sends is
    /// collected, and written in one go when it waits for anything; keepalive and deadlines hold whatever it does;
    /// when it returns (what it returns is dropped), an open connection is closed with 1000.
    ///
    /// For a socket whose handshake was done by an [`Acceptor`](crate::Acceptor), or by others. [`Connections`] serve
    /// many, each in a task of its own.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ws13::Error> {
    /// use ws13::{Config, Error, Role, WebSocket};
    ///
    /// let (near, far) = tokio::io::duplex(1024);
    /// let server = WebSocket::from_upgraded(far, Role::Server, Config::default());
    /// let serving = tokio::spawn(server.serve(|mut socket| async move {
    ///     socket.send("welcome").await?;
    ///     Ok::<(), Error>(())
    /// }));
    ///
    /// let mut client = WebSocket::from_upgraded(near, Role::Client, Config::default());
    /// assert_eq!(client.receive().await?.unwrap().as_text(), Some("welcome"));
    /// assert_eq!(client.receive().await?, None); // closed with 1000
    /// # drop(client);
    /// # serving.await.unwrap();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// A dropped future drops the handler, and the connection with it.
    pub async fn serve<F: Future>(self, handler: impl FnOnce(WebSocket<S>) -> F) {
        let (_, serving) = Serving::begin(self, handler);
        serving.await;
    }
}

/// Connections that are closed together, on the day a program stops: as a [`Server`](crate::Server) has them, for
/// sockets that come from elsewhere. Clones are handles to the same connections.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ws13::Error> {
/// use std::time::Duration;
/// use ws13::{Config, Connections, Error, Role, WebSocket};
///
/// let connections = Connections::new();
/// let (near, far) = tokio::io::duplex(1024);
/// let server = WebSocket::from_upgraded(far, Role::Server, Config::default());
/// connections.serve(server, |mut socket| async move {
///     while let Some(message) = socket.receive().await? {
///         socket.send(message).await?;
///     }
///     Ok::<(), Error>(())
/// });
///
/// let mut client = WebSocket::from_upgraded(near, Role::Client, Config::default());
/// let (_, received) = tokio::join!(connections.close(Duration::from_secs(10)), client.receive());
/// assert_eq!(received?, None);
/// assert_eq!(client.closed().unwrap().code(), 1001); // going away
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Connections(Arc<connections::Connections>);

impl Connections {
    /// None so far.
    #[must_use]
    pub fn new() -> Self {
        Connections::default()
    }

    /// How many there are, those among them whose handshake is under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs a handler on a socket, as [`WebSocket::serve`] does, in a task of its own. After
    /// [`close`](Connections::close) the socket is closed with 1001 at once.
    ///
    /// # Panics
    /// Outside of a tokio runtime, as all that spawns a task.
    pub fn serve<S, F>(&self, socket: WebSocket<S>, handler: impl FnOnce(WebSocket<S>) -> F)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future + Send + 'static,
    {
        self.0.enter().serve(socket, handler);
    }

    /// Closes all connections with 1001, waits until they are gone, and drops those that take longer than `within`.
    /// Handshakes that are under way are given up.
    ///
    /// # Cancel safety
    /// The connections have been told to close all the same; nobody waits for them then.
    pub async fn close(&self, within: Duration) {
        self.close_spread(Duration::ZERO, within).await;
    }

    /// As [`close`](Connections::close), and tells the connections one after the other, in this time and in random order,
    /// so that their clients do not all come back in one wave. The time they have to close begins when the last is told.
    ///
    /// # Cancel safety
    /// Those that were not told yet are not told any more.
    pub async fn close_spread(&self, spread: Duration, within: Duration) {
        self.0.drain(Drain { spread, timeout: within }).await;
    }

    /// Whether [`close`](Connections::close) was called: no more connections are wanted.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.0.is_stopping()
    }

    /// Serves, in a task of its own, the socket that a handshake ends in.
    #[cfg(feature = "hyper")]
    pub(crate) fn serve_opening<S, E, F>(
        &self,
        opening: impl Future<Output = Result<WebSocket<S>, E>> + Send + 'static,
        handler: impl FnOnce(WebSocket<S>) -> F + Send + 'static,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        E: Send,
        F: Future + Send + 'static,
    {
        let entry = self.0.enter();
        let connections = self.clone();
        tokio::spawn(async move {
            // When nothing came of it, the client has gone.
            if let Some(Ok(socket)) = connections.0.unless_stopped(opening).await {
                entry.serve(socket, handler);
            }
        });
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("len", &self.len()).finish()
    }
}
