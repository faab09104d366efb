//! Listening: a server that hands each connection to a handler.

use super::accept::{Acceptor, Asked, Opening, refuse};
use super::connections::{Connections, Entry};
use super::net::{Listener, Stream};
use super::websocket::WebSocket;
use crate::accept::AcceptError;
use crate::handshake::{ConnectInfo, Reject, Request};
use crate::server::{
    BACK_OFF, ConnectionLimits, Counters, LocalAddr, Metrics, Refusal, ServerSettings, note_refusal, refusal,
    server_builder,
};
use crate::trace;
use std::fmt;
use std::future::poll_fn;
use std::io;
#[cfg(unix)]
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::{Arc, Once};
use std::task::Poll;
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

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
    pub(super) listener: Listener,
    settings: ServerSettings,
    connections: Arc<Connections>,
    counters: Arc<Counters>,
    /// The limits hold from the first connection on.
    limited: Once,
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

    /// Listens on a Unix socket that is listening already.
    #[cfg(unix)]
    pub fn from_unix(listener: tokio::net::UnixListener) -> Server {
        Server::new(Listener::Unix(listener))
    }

    fn new(listener: Listener) -> Server {
        let counters = Arc::new(Counters::default());
        let connections = Connections::new(ConnectionLimits::none(), Arc::clone(&counters));
        let (settings, connections) = (ServerSettings::default(), Arc::new(connections));
        Server { listener, settings, connections, counters, limited: Once::new() }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<LocalAddr> {
        self.listener.local_addr()
    }

    /// The figures of this server, to be read at any time, while it serves, too.
    pub fn metrics(&self) -> Metrics {
        let connections = Arc::clone(&self.connections);
        Metrics::new(Arc::clone(&self.counters), move || connections.look())
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
        let (listener, service) = self.into_service(handler);
        service.run(listener, stop).await;
        Ok(())
    }

    /// What listens, and what is done with those who come.
    pub(super) fn into_service<H>(self, handler: H) -> (Listener, Arc<Service<H>>) {
        self.limit();
        let Server { listener, settings, connections, .. } = self;
        let handshakes = Arc::new(Semaphore::new(settings.limits.handshakes.min(Semaphore::MAX_PERMITS)));
        (listener, Arc::new(Service { settings, handler, connections, handshakes }))
    }

    fn limit(&self) {
        self.limited.call_once(|| self.connections.set_limits(self.settings.limits));
    }

    /// Accepts one connection and does its opening handshake, for those who want a loop of their own. Plain HTTP
    /// requests and failed handshakes are answered, and then the next connection is waited for. A socket has its place
    /// among the [connections](Server::max_connections), altogether and of its address, until it is dropped.
    ///
    /// # Errors
    /// When `accept` fails.
    ///
    /// # Cancel safety
    /// A connection whose handshake is under way is dropped with the future.
    pub async fn accept(&self) -> io::Result<(Request, WebSocket<Stream>)> {
        loop {
            let stream = poll_fn(|cx| self.listener.poll_accept(cx)).await?;
            self.limit();
            let Some((stream, mut entry)) = admit(&self.settings, &self.connections, stream) else {
                continue;
            };
            if let Some((mut socket, request)) = open(&self.settings, stream, &mut entry).await {
                entry.give_away(&mut socket);
                return Ok((request, socket));
            }
        }
    }

    /// Hands over each connection when its handshake is done.
    pub(super) async fn hand_over(self, sockets: mpsc::Sender<WebSocket<Stream>>) {
        let (listener, service) = self.into_service(());
        accept_until(&listener, pin!(sockets.closed()), &service, |stream, entry, permit| {
            let (service, sockets) = (Arc::clone(&service), sockets.clone());
            tokio::spawn(async move {
                let (mut entry, _permit) = (entry, permit);
                if let Some((mut socket, _)) = open(&service.settings, stream, &mut entry).await {
                    entry.give_away(&mut socket);
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

/// What the tasks of a server share.
pub(super) struct Service<H> {
    settings: ServerSettings,
    handler: H,
    connections: Arc<Connections>,
    /// The handshakes that may still be begun.
    handshakes: Arc<Semaphore>,
}

impl<H, F> Service<H>
where
    H: Fn(Request, WebSocket<Stream>) -> F + Send + Sync + 'static,
    F: Future + Send + 'static,
{
    /// Serves until `stop` is ready, and then until the last connection is gone.
    pub(super) async fn run(self: Arc<Self>, listener: Listener, stop: impl Future<Output = ()>) {
        self.connections.keep_time();
        accept_until(&listener, pin!(stop), &self, |stream, entry, permit| {
            tokio::spawn(Arc::clone(&self).connection(stream, entry, permit));
        })
        .await;
        drop(listener);
        self.connections.drain(self.settings.drain).await;
    }

    /// A connection until its handshake is done. The handler then gets a task of its own, so that an idle
    /// connection does not keep the memory of a handshake.
    async fn connection(self: Arc<Self>, stream: Stream, mut entry: Entry, permit: OwnedSemaphorePermit) {
        let opened = self.connections.unless_stopped(open(&self.settings, stream, &mut entry)).await;
        drop(permit);
        let Some((socket, request)) = opened.flatten() else { return };
        #[cfg(feature = "tracing")]
        {
            entry.set_span(trace::connection(&request));
            entry.span().in_scope(|| tracing::info!(target: "ws13", "connection opened"));
        }
        entry.serve(socket, |socket| (self.handler)(request, socket));
    }
}

/// Accepts connections until `stop` is ready. Waits while too many handshakes are under way, and refuses who comes when
/// there are too many connections.
async fn accept_until<H>(
    listener: &Listener,
    mut stop: Pin<&mut impl Future<Output = ()>>,
    service: &Service<H>,
    mut begin: impl FnMut(Stream, Entry, OwnedSemaphorePermit),
) {
    let mut back_off = BACK_OFF.0;
    loop {
        let next = async {
            let permit = Arc::clone(&service.handshakes).acquire_owned().await;
            (permit, poll_fn(|cx| listener.poll_accept(cx)).await)
        };
        match unless(stop.as_mut(), next).await {
            Some((Ok(permit), Ok(stream))) => {
                back_off = BACK_OFF.0;
                if let Some((stream, entry)) = admit(&service.settings, &service.connections, stream) {
                    begin(stream, entry, permit);
                }
            }
            Some((_, Err(error))) => {
                // EMFILE, ENFILE, ECONNABORTED: never a reason to stop, nor to spin.
                service.connections.counters().accept_failed();
                trace::event!(warn, %error, "accept failed");
                let _ = error;
                if unless(stop.as_mut(), tokio::time::sleep(back_off)).await.is_none() {
                    return;
                }
                back_off = (back_off * 2).min(BACK_OFF.1);
            }
            // Nobody closes the semaphore.
            Some((Err(_), _)) | None => return,
        }
    }
}

/// What becomes of `future`; `None` when `stop` is ready first.
async fn unless<F: Future>(mut stop: Pin<&mut impl Future<Output = ()>>, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match stop.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => future.as_mut().poll(cx).map(Some),
    })
    .await
}

/// A place for a new connection, unless there are too many, altogether or from this address. Who is refused is told so,
/// as long as there are few of them.
fn admit(
    settings: &ServerSettings,
    connections: &Arc<Connections>,
    stream: Stream,
) -> Option<(Stream, Entry)> {
    let info = ConnectInfo::new(stream.peer_addr(), None);
    let refused = match connections.admit() {
        None => Refusal::TooManyConnections,
        Some(mut entry) => {
            let address = info.client().map(|client| client.ip());
            if !settings.knows_client(&info) || entry.comes_from(address) {
                return Some((stream, entry));
            }
            Refusal::TooManyFromAddress
        }
    };
    note_refusal(connections.counters(), &info, refused);
    if let Some(refusing) = connections.refusing() {
        tokio::spawn(async move {
            // When it cannot be written, the client has gone.
            let _ = refuse(stream, &Reject::unavailable()).await;
            drop(refusing);
        });
    }
    None
}

/// Does the opening handshake; `None` when there is no WebSocket, and the answer has been given.
async fn open(
    settings: &ServerSettings,
    stream: Stream,
    entry: &mut Entry,
) -> Option<(WebSocket<Stream>, Request)> {
    let mut info = ConnectInfo::new(stream.peer_addr(), stream.local_addr());
    match try_open(settings, stream, &mut info, entry).await {
        Ok(opened) => opened,
        Err(error) => {
            note_refusal(entry.counters(), &info, refusal(&error));
            None
        }
    }
}

async fn try_open(
    settings: &ServerSettings,
    mut stream: Stream,
    info: &mut ConnectInfo,
    entry: &mut Entry,
) -> Result<Option<(WebSocket<Stream>, Request)>, AcceptError> {
    let acceptor = Acceptor { settings: settings.accept.clone() };
    let deadline = acceptor.deadline();
    *info = acceptor.read_proxy_header_until(&mut stream, info.clone(), deadline).await?;
    #[cfg(feature = "tls")]
    if let Some(tls) = &settings.tls {
        let Some(encrypted) = super::tls::accept(stream, tls, deadline).await else {
            note_refusal(entry.counters(), info, Refusal::Tls);
            return Ok(None);
        };
        stream = encrypted;
    }
    let opening = acceptor.read_until(stream, info.clone(), deadline).await?;
    *info = opening.request().connect_info().clone();
    if !entry.comes_from(info.client().map(|client| client.ip())) {
        note_refusal(entry.counters(), info, Refusal::TooManyFromAddress);
        opening.reject(Reject::unavailable()).await?;
        return Ok(None);
    }
    match opening {
        Opening::Upgrade(asked) => accept(*asked, settings).await.map(Some),
        Opening::Plain(plain) => {
            let reply = settings.answer(plain.request());
            plain.reply(reply).await?;
            Ok(None)
        }
    }
}

async fn accept(
    asked: Asked<Stream>,
    settings: &ServerSettings,
) -> Result<(WebSocket<Stream>, Request), AcceptError> {
    match settings.decide(asked.request()) {
        Ok(accept) => asked.accept_with(accept).await,
        Err(reject) => {
            // When it cannot be written, the client has gone.
            let _ = asked.reject(reject.clone()).await;
            Err(AcceptError::Refused(reject))
        }
    }
}
