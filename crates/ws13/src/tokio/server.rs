//! Listening: a server that hands each connection to a handler.

use super::accept::{Acceptor, Asked, Opening};
use super::net::{Listener, Stream};
use super::serving::{Serving, Stoppable};
use super::shared::Shared;
use super::websocket::WebSocket;
use crate::handshake::Request;
use crate::server::{BACK_OFF, LocalAddr, ServerSettings, server_builder};
use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::io;
#[cfg(unix)]
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// A WebSocket server on a TCP or Unix socket.
///
/// ```no_run
/// # async fn run() -> std::io::Result<()> {
/// use ws13::{Event, Server};
///
/// let server = Server::bind("127.0.0.1:12345").await?;
/// server
///     .serve(|request, mut socket| async move {
///         println!("{} asks for {}", request.host().map_or("-", |host| host.as_str()), request.path());
///         while let Some(message) = socket.receive().await? {
///             socket.send(message).await?;
///         }
///         Ok::<(), ws13::Error>(())
///     })
///     .await
/// # }
/// ```
pub struct Server {
    listener: Listener,
    settings: ServerSettings,
}

impl Server {
    /// Listens on a TCP address; port 0 lets the system choose one.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Server> {
        Ok(Server::from_tcp(TcpListener::bind(address).await?))
    }

    /// Listens on a Unix socket at this path.
    ///
    /// # Errors
    /// When the path cannot be had, such as when it exists.
    #[cfg(unix)]
    pub fn bind_unix(path: impl AsRef<Path>) -> io::Result<Server> {
        Ok(Server::new(Listener::Unix(tokio::net::UnixListener::bind(path)?)))
    }

    /// Listens on a socket that is listening already.
    pub fn from_tcp(listener: TcpListener) -> Server {
        Server::new(Listener::Tcp(listener))
    }

    fn new(listener: Listener) -> Server {
        Server { listener, settings: ServerSettings::default() }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<LocalAddr> {
        self.listener.local_addr()
    }

    server_builder!();

    /// Serves for ever: each connection in a task of its own, which runs the handler.
    ///
    /// In here replies are cheap: what the handler sends is collected, and written in one go when the handler
    /// waits for anything. Keepalive and deadlines hold whatever the handler does. When the handler returns (what
    /// it returns is dropped) and nobody else holds the socket or a half of it, an open connection is closed with
    /// 1000.
    ///
    /// # Errors
    /// None so far: a failing `accept` is tried again.
    ///
    /// # Cancel safety
    /// A dropped future stops listening; connections go on in their tasks.
    pub async fn serve<H, F>(self, handler: H) -> io::Result<()>
    where
        H: Fn(Request, WebSocket<Stream>) -> F + Send + Sync + 'static,
        F: Future + Send + 'static,
    {
        self.serve_until(handler, std::future::pending()).await
    }

    /// As [`serve`](Server::serve), until `stop` is ready. Then no more connections are accepted, those that are open
    /// are closed with 1001, and this returns when the last one is gone, or when the drain timeout is over.
    ///
    /// # Errors
    /// As [`serve`](Server::serve).
    ///
    /// # Cancel safety
    /// As [`serve`](Server::serve).
    pub async fn serve_until<H, F>(self, handler: H, stop: impl Future<Output = ()>) -> io::Result<()>
    where
        H: Fn(Request, WebSocket<Stream>) -> F + Send + Sync + 'static,
        F: Future + Send + 'static,
    {
        let Server { listener, settings } = self;
        let service = Arc::new(Service { settings, handler, connections: Arc::default() });
        accept_until(&listener, stop, |stream| {
            tokio::spawn(Arc::clone(&service).connection(stream));
        })
        .await;
        drop(listener);
        service.connections.drain(service.settings.drain).await;
        Ok(())
    }

    /// Accepts one connection and does its opening handshake, for those who want a loop of their own. Plain HTTP
    /// requests and failed handshakes are answered, and then the next connection is waited for.
    ///
    /// # Errors
    /// When `accept` fails.
    ///
    /// # Cancel safety
    /// A connection whose handshake is under way is dropped with the future.
    pub async fn accept(&self) -> io::Result<(Request, WebSocket<Stream>)> {
        loop {
            let stream = poll_fn(|cx| self.listener.poll_accept(cx)).await?;
            if let Some((socket, request)) = open(&self.settings, stream).await {
                return Ok((request, socket));
            }
        }
    }

    /// Hands over each connection when its handshake is done.
    pub(super) async fn hand_over(self, sockets: mpsc::Sender<WebSocket<Stream>>) {
        let server = Arc::new(self);
        accept_until(&server.listener, pin!(sockets.closed()), |stream| {
            let (server, sockets) = (Arc::clone(&server), sockets.clone());
            tokio::spawn(async move {
                if let Some((socket, _)) = open(&server.settings, stream).await {
                    // When nobody is there to take it, it is dropped.
                    let _ = sockets.send(socket).await;
                }
            });
        })
        .await;
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// Accepts connections until `stop` is ready.
async fn accept_until(listener: &Listener, stop: impl Future<Output = ()>, mut begin: impl FnMut(Stream)) {
    let mut stop = pin!(stop);
    let mut back_off = BACK_OFF.0;
    loop {
        let accepted = poll_fn(|cx| match stop.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => listener.poll_accept(cx).map(Some),
        });
        match accepted.await {
            None => return,
            Some(Ok(stream)) => {
                back_off = BACK_OFF.0;
                begin(stream);
            }
            Some(Err(_)) => {
                // EMFILE, ENFILE, ECONNABORTED: never a reason to stop, nor to spin.
                tokio::time::sleep(back_off).await;
                back_off = (back_off * 2).min(BACK_OFF.1);
            }
        }
    }
}

/// What the tasks of a server share.
struct Service<H> {
    settings: ServerSettings,
    handler: H,
    connections: Arc<Connections>,
}

impl<H, F> Service<H>
where
    H: Fn(Request, WebSocket<Stream>) -> F + Send + Sync + 'static,
    F: Future + Send + 'static,
{
    /// A connection until its handshake is done. The handler then gets a task of its own, so that an idle
    /// connection does not keep the memory of a handshake.
    async fn connection(self: Arc<Self>, stream: Stream) {
        let entry = self.connections.enter();
        let opened = self.connections.unless_stopped(open(&self.settings, stream)).await;
        let Some((socket, request)) = opened.flatten() else { return };
        entry.serve(socket, |socket| (self.handler)(request, socket));
    }
}

/// Does the opening handshake; `None` when there is no WebSocket, and the answer has been given.
async fn open(settings: &ServerSettings, stream: Stream) -> Option<(WebSocket<Stream>, Request)> {
    let acceptor = Acceptor { settings: settings.accept.clone() };
    let deadline = Instant::now() + acceptor.settings.timeout;
    #[cfg(feature = "tls")]
    let stream = match &settings.tls {
        Some(tls) => super::tls::accept(stream, tls, deadline).await?,
        None => stream,
    };
    match acceptor.read_until(stream, deadline).await.ok()? {
        Opening::Upgrade(asked) => accept(*asked, settings).await,
        Opening::Plain(plain) => {
            let reply = settings.answer(plain.request());
            // When it cannot be written, the client has gone.
            let _ = plain.reply(reply).await;
            None
        }
    }
}

async fn accept(asked: Asked<Stream>, settings: &ServerSettings) -> Option<(WebSocket<Stream>, Request)> {
    match settings.decide(asked.request()) {
        Ok(accept) => asked.accept_with(accept).await.ok(),
        Err(reject) => {
            // When it cannot be written, the client has gone.
            let _ = asked.reject(reject).await;
            None
        }
    }
}

/// The connections of a server, for the day it stops.
#[derive(Default)]
pub(super) struct Connections {
    open: Mutex<Open>,
    /// Told when the last one is gone.
    empty: Notify,
    /// Told when the server stops.
    stopped: Notify,
}

#[derive(Default)]
struct Open {
    next: usize,
    /// `None` while the handshake is under way.
    entries: HashMap<usize, Option<Weak<dyn Stoppable>>>,
    stopping: bool,
}

impl Connections {
    pub(super) fn enter(self: &Arc<Self>) -> Entry {
        let mut open = self.lock();
        let key = open.next;
        open.next += 1;
        open.entries.insert(key, None);
        Entry { connections: Arc::clone(self), key }
    }

    /// Closes all with 1001, waits until they are gone, and drops those that take longer than `timeout`.
    pub(super) async fn drain(&self, timeout: Duration) {
        self.tell_all(|connection| connection.go_away());
        self.stopped.notify_waiters();
        if tokio::time::timeout(timeout, self.gone()).await.is_err() {
            self.tell_all(|connection| connection.abandon());
            // Their tasks have been woken and end with their next poll.
            let _ = tokio::time::timeout(Duration::from_millis(100), self.gone()).await;
        }
    }

    fn tell_all(&self, tell: impl Fn(&dyn Stoppable)) {
        let connections: Vec<Weak<dyn Stoppable>> = {
            let mut open = self.lock();
            open.stopping = true;
            open.entries.values().flatten().cloned().collect()
        };
        for connection in connections {
            if let Some(connection) = connection.upgrade() {
                tell(&*connection);
            }
        }
    }

    /// Does a handshake; gives it up when the server stops: nobody waits for a client that says nothing.
    pub(super) async fn unless_stopped<F: Future>(&self, handshake: F) -> Option<F::Output> {
        let (mut handshake, mut stopped) = (pin!(handshake), pin!(self.stopped.notified()));
        poll_fn(|cx| match handshake.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            // The flag is for those that began when all had been told.
            Poll::Pending if stopped.as_mut().poll(cx).is_ready() || self.lock().stopping => {
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// How many there are, those whose handshake is under way among them.
    pub(super) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    async fn gone(&self) {
        loop {
            let notified = self.empty.notified();
            if self.lock().entries.is_empty() {
                return;
            }
            notified.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among those of its server.
pub(super) struct Entry {
    connections: Arc<Connections>,
    key: usize,
}

impl Entry {
    /// Serves a socket in a task of its own.
    pub(super) fn serve<S, F>(self, socket: WebSocket<S>, handler: impl FnOnce(WebSocket<S>) -> F)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future + Send + 'static,
    {
        let (shared, serving) = Serving::begin(socket, handler);
        self.connected(&shared);
        drop(shared);
        tokio::spawn(async move {
            serving.await;
            drop(self);
        });
    }

    fn connected<S>(&self, shared: &Arc<Shared<S>>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stoppable: Weak<dyn Stoppable> = Arc::<Shared<S>>::downgrade(shared);
        let stopping = {
            let mut open = self.connections.lock();
            open.entries.insert(self.key, Some(stoppable));
            open.stopping
        };
        if stopping {
            shared.go_away();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.entries.remove(&self.key);
        if open.entries.is_empty() {
            self.connections.empty.notify_waiters();
        }
    }
}
