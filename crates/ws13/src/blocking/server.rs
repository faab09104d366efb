//! Listening: a server that hands each connection to a handler, in a thread of its own.

use super::accept::{Acceptor, Asked, Opening, refuse};
use super::connections::{Connections, Entry};
use super::net::{self, Listener, Stream};
use super::websocket::WebSocket;
use crate::accept::AcceptError;
use crate::handshake::{ConnectInfo, Reject, Request};
use crate::server::{
    BACK_OFF, Counters, LocalAddr, Metrics, Refusal, ServerSettings, note_refusal, refusal, server_builder,
};
use crate::trace;
use std::fmt;
use std::io;
use std::net::{TcpListener, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
#[cfg(unix)]
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Once};
use std::thread;

/// A WebSocket server on a TCP or Unix socket.
///
/// ```no_run
/// # fn run() -> std::io::Result<()> {
/// use ws13::blocking::Server;
///
/// let server = Server::bind("127.0.0.1:12345")?;
/// server.serve(|request, mut socket| {
///     println!("{} asks for {}", request.host().map_or("-", |host| host.as_str()), request.path());
///     while let Some(message) = socket.receive()? {
///         socket.send(message)?;
///     }
///     Ok::<(), ws13::Error>(())
/// })
/// # }
/// ```
pub struct Server {
    listener: Listener,
    settings: ServerSettings,
    stop: StopHandle,
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
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Server> {
        Server::new(Listener::Tcp(TcpListener::bind(address)?))
    }

    /// Listens on a Unix socket at this path.
    ///
    /// # Errors
    /// When the path cannot be had, such as when it exists.
    #[cfg(unix)]
    pub fn bind_unix(path: impl AsRef<Path>) -> io::Result<Server> {
        Server::new(Listener::Unix(UnixListener::bind(path)?))
    }

    /// Listens on a socket that is listening already.
    ///
    /// # Errors
    /// When the system does not tell where it listens.
    pub fn from_tcp(listener: TcpListener) -> io::Result<Server> {
        listener.set_nonblocking(false)?;
        Server::new(Listener::Tcp(listener))
    }

    fn new(listener: Listener) -> io::Result<Server> {
        let stop = StopHandle { stopped: Arc::default(), address: listener.local_addr()? };
        let counters = Arc::new(Counters::default());
        let connections = Arc::new(Connections::new(Arc::clone(&counters)));
        let (settings, limited) = (ServerSettings::default(), Once::new());
        Ok(Server { listener, settings, stop, connections, counters, limited })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// None; a `Result` because the asynchronous server has one.
    pub fn local_addr(&self) -> io::Result<LocalAddr> {
        Ok(self.stop.address.clone())
    }

    /// What stops this server, from any thread.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// The figures of this server, to be read at any time, while it serves, too. Of the round-trip times they have the
    /// last one of each connection that ended.
    pub fn metrics(&self) -> Metrics {
        let connections = Arc::clone(&self.connections);
        Metrics::new(Arc::clone(&self.counters), move || connections.look())
    }

    server_builder!();

    /// Serves until it is [stopped](StopHandle::stop): each connection in a thread of its own, which runs the handler.
    ///
    /// A connection lasts as long as its handler: when that returns (what it returns is dropped), an open connection
    /// is closed with 1000, also where a sender of it lives on elsewhere. Stopped, the server accepts no more
    /// connections, closes those that are open with 1001, and returns when the last one is gone, or when the drain
    /// timeout is over; it cannot end the thread of a handler that goes on after its connection is gone.
    ///
    /// # Errors
    /// None so far: a failing `accept`, or a thread that cannot be had, is tried again.
    pub fn serve<H, R>(self, handler: H) -> io::Result<()>
    where
        H: Fn(Request, WebSocket<Stream>) -> R + Send + Sync + 'static,
    {
        self.limit();
        let Server { listener, settings, stop, connections, .. } = self;
        let service = Arc::new(Service { settings, handler, connections });
        accept_until(&listener, &stop, &service, |stream, entry| {
            let service = Arc::clone(&service);
            spawn(move || service.connection(stream, entry))
        });
        drop(listener);
        service.connections.drain(service.settings.drain);
        Ok(())
    }

    fn limit(&self) {
        self.limited.call_once(|| self.connections.set_limits(self.settings.limits));
    }

    /// Accepts one connection and does its opening handshake, for those who want a loop of their own. Plain HTTP
    /// requests and failed handshakes are answered, and then the next connection is waited for. A socket has its place
    /// among the [connections](Server::max_connections), altogether and of its address, until it is dropped.
    ///
    /// A client that is slow with its handshake keeps others waiting, up to the handshake timeout; call it from
    /// several threads, or use [`serve`](Server::serve).
    ///
    /// # Errors
    /// When `accept` fails, or the server was stopped.
    pub fn accept(&self) -> io::Result<(Request, WebSocket<Stream>)> {
        loop {
            let accepted = self.listener.accept();
            if self.stop.is_stopped() {
                // Others may wait, too.
                net::wake(&self.stop.address);
                return Err(io::Error::other("the server was stopped"));
            }
            let stream = accepted?;
            self.limit();
            let Some(mut entry) = admit(&self.settings, &self.connections, &stream) else { continue };
            if let Some((mut socket, request)) = open(&self.settings, stream, &mut entry) {
                entry.give_away(&mut socket);
                return Ok((request, socket));
            }
        }
    }

    /// Hands over each connection when its handshake is done, until it is stopped.
    pub(super) fn hand_over(self, sockets: &SyncSender<WebSocket<Stream>>) {
        self.limit();
        let Server { listener, settings, stop, connections, .. } = self;
        let service = Arc::new(Service { settings, handler: (), connections });
        accept_until(&listener, &stop, &service, |stream, mut entry| {
            let (service, sockets) = (Arc::clone(&service), sockets.clone());
            spawn(move || {
                if let Some((mut socket, _)) = open(&service.settings, stream, &mut entry) {
                    entry.give_away(&mut socket);
                    // When nobody is there to take it, it is dropped.
                    let _ = sockets.send(socket);
                }
            })
        });
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// Stops a server, from any thread; see [`Server::serve`].
#[derive(Clone, Debug)]
pub struct StopHandle {
    stopped: Arc<AtomicBool>,
    address: LocalAddr,
}

impl StopHandle {
    /// Stops the server; a second call does nothing. It returns at once: [`Server::serve`] returns when all
    /// connections are gone.
    pub fn stop(&self) {
        if !self.stopped.swap(true, Ordering::SeqCst) {
            net::wake(&self.address);
        }
    }

    /// Whether the server was stopped.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}

/// Accepts connections until the server is stopped; `begin` fails when the system has nothing more to give. Waits while
/// too many handshakes are under way, and refuses who comes when there are too many connections.
fn accept_until<H>(
    listener: &Listener,
    stop: &StopHandle,
    service: &Service<H>,
    mut begin: impl FnMut(Stream, Entry) -> io::Result<()>,
) {
    let mut back_off = BACK_OFF.0;
    while !stop.is_stopped() {
        let connections = &service.connections;
        connections.wait_for_handshakes(service.settings.limits.handshakes, || stop.is_stopped());
        let accepted = listener.accept();
        if stop.is_stopped() {
            return;
        }
        let begun =
            accepted.and_then(|stream| match admit(&service.settings, &service.connections, &stream) {
                Some(entry) => begin(stream, entry),
                None => Ok(()),
            });
        match begun {
            Ok(()) => back_off = BACK_OFF.0,
            Err(error) => {
                // EMFILE, ENFILE, ECONNABORTED, EAGAIN: never a reason to stop, nor to spin.
                connections.counters().accept_failed();
                trace::event!(warn, %error, "accept failed");
                let _ = error;
                thread::sleep(back_off);
                back_off = (back_off * 2).min(BACK_OFF.1);
            }
        }
    }
}

/// A place for a new connection, unless there are too many, altogether or from this address. Who is refused is told so,
/// as long as there are few of them.
fn admit(settings: &ServerSettings, connections: &Arc<Connections>, stream: &Stream) -> Option<Entry> {
    let info = ConnectInfo::new(stream.peer_addr(), None);
    let refused = match connections.admit(stream.clone()) {
        None => Refusal::TooManyConnections,
        Some(mut entry) => {
            let address = info.client().map(|client| client.ip());
            if !settings.knows_client(&info) || entry.comes_from(address) {
                return Some(entry);
            }
            Refusal::TooManyFromAddress
        }
    };
    note_refusal(connections.counters(), &info, refused);
    if let Some(refusing) = connections.refusing() {
        let stream = stream.clone();
        // Without a thread, and when it cannot be written, there is no answer.
        let _ = spawn(move || {
            let _ = refuse(stream, &Reject::unavailable());
            drop(refusing);
        });
    }
    None
}

fn spawn(run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("ws13".to_owned()).spawn(run).map(drop)
}

/// What the threads of a server share.
struct Service<H> {
    settings: ServerSettings,
    handler: H,
    connections: Arc<Connections>,
}

impl<H, R> Service<H>
where
    H: Fn(Request, WebSocket<Stream>) -> R + Send + Sync + 'static,
{
    /// A connection from its first byte to its last.
    fn connection(&self, stream: Stream, mut entry: Entry) {
        let Some((socket, request)) = open(&self.settings, stream, &mut entry) else { return };
        #[cfg(feature = "tracing")]
        let _span = trace::connection(&request).entered();
        trace::event!(info, "connection opened");
        let Ok((socket, shared)) = socket.share() else { return };
        entry.connected(&shared);
        (self.handler)(request, socket);
        shared.finish();
        // Within the span.
        drop(entry);
    }
}

/// Does the opening handshake; `None` when there is no WebSocket, and the answer has been given.
fn open(
    settings: &ServerSettings,
    stream: Stream,
    entry: &mut Entry,
) -> Option<(WebSocket<Stream>, Request)> {
    let mut info = ConnectInfo::new(stream.peer_addr(), stream.local_addr());
    match try_open(settings, stream, &mut info, entry) {
        Ok(opened) => opened,
        Err(error) => {
            note_refusal(entry.counters(), &info, refusal(&error));
            None
        }
    }
}

fn try_open(
    settings: &ServerSettings,
    mut stream: Stream,
    info: &mut ConnectInfo,
    entry: &mut Entry,
) -> Result<Option<(WebSocket<Stream>, Request)>, AcceptError> {
    let acceptor = Acceptor { settings: settings.accept.clone() };
    let deadline = acceptor.deadline();
    *info = acceptor.read_proxy_header_until(&mut stream, info.clone(), deadline)?;
    #[cfg(feature = "tls")]
    if let Some(tls) = &settings.tls {
        let Some(encrypted) = super::tls::accept(stream, tls, deadline) else {
            note_refusal(entry.counters(), info, Refusal::Tls);
            return Ok(None);
        };
        stream = encrypted;
    }
    let opening = acceptor.read_until(stream, info.clone(), deadline)?;
    *info = opening.request().connect_info().clone();
    if !entry.comes_from(info.client().map(|client| client.ip())) {
        note_refusal(entry.counters(), info, Refusal::TooManyFromAddress);
        opening.reject(Reject::unavailable())?;
        return Ok(None);
    }
    match opening {
        Opening::Upgrade(asked) => accept(*asked, settings).map(Some),
        Opening::Plain(plain) => {
            let reply = settings.answer(plain.request());
            plain.reply(reply)?;
            Ok(None)
        }
    }
}

fn accept(
    asked: Asked<Stream>,
    settings: &ServerSettings,
) -> Result<(WebSocket<Stream>, Request), AcceptError> {
    match settings.decide(asked.request()) {
        Ok(accept) => asked.accept_with(accept),
        Err(reject) => {
            // When it cannot be written, the client has gone.
            let _ = asked.reject(reject.clone());
            Err(AcceptError::Refused(reject))
        }
    }
}
