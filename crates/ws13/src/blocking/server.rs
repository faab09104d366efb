//! Listening: a server that hands each connection to a handler, in a thread of its own.

use super::accept::{Acceptor, Asked, Opening};
use super::connections::{Connections, Entry};
use super::handshake::Deadline;
use super::net::{self, Listener, Stream};
use super::websocket::WebSocket;
use crate::handshake::Request;
use crate::server::{BACK_OFF, LocalAddr, ServerSettings, server_builder};
use std::fmt;
use std::io;
use std::net::{TcpListener, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
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
        Ok(Server { listener, settings: ServerSettings::default(), stop })
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
        let Server { listener, settings, stop } = self;
        let drain = settings.drain;
        let connections = Arc::new(Connections::default());
        let service = Arc::new(Service { settings, handler });
        accept_until(&listener, &stop, |stream| {
            let entry = connections.enter(stream.clone());
            let service = Arc::clone(&service);
            spawn(move || service.connection(stream, entry))
        });
        drop(listener);
        connections.drain(drain);
        Ok(())
    }

    /// Accepts one connection and does its opening handshake, for those who want a loop of their own. Plain HTTP
    /// requests and failed handshakes are answered, and then the next connection is waited for.
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
            if let Some((socket, request)) = open(&self.settings, accepted?) {
                return Ok((request, socket));
            }
        }
    }

    /// Hands over each connection when its handshake is done, until it is stopped.
    pub(super) fn hand_over(self, sockets: &SyncSender<WebSocket<Stream>>) {
        let settings = Arc::new(self.settings);
        accept_until(&self.listener, &self.stop, |stream| {
            let (settings, sockets) = (Arc::clone(&settings), sockets.clone());
            spawn(move || {
                if let Some((socket, _)) = open(&settings, stream) {
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

/// Accepts connections until the server is stopped; `begin` fails when the system has nothing more to give.
fn accept_until(listener: &Listener, stop: &StopHandle, mut begin: impl FnMut(Stream) -> io::Result<()>) {
    let mut back_off = BACK_OFF.0;
    while !stop.is_stopped() {
        let accepted = listener.accept();
        if stop.is_stopped() {
            return;
        }
        match accepted.and_then(&mut begin) {
            Ok(()) => back_off = BACK_OFF.0,
            Err(_) => {
                // EMFILE, ENFILE, ECONNABORTED, EAGAIN: never a reason to stop, nor to spin.
                thread::sleep(back_off);
                back_off = (back_off * 2).min(BACK_OFF.1);
            }
        }
    }
}

fn spawn(run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("ws13".to_owned()).spawn(run).map(drop)
}

/// What the threads of a server share.
struct Service<H> {
    settings: ServerSettings,
    handler: H,
}

impl<H, R> Service<H>
where
    H: Fn(Request, WebSocket<Stream>) -> R + Send + Sync + 'static,
{
    /// A connection from its first byte to its last.
    fn connection(&self, stream: Stream, entry: Entry) {
        let Some((socket, request)) = open(&self.settings, stream) else { return };
        let Ok((socket, shared)) = socket.share() else { return };
        entry.connected(&shared);
        (self.handler)(request, socket);
        shared.finish();
    }
}

/// Does the opening handshake; `None` when there is no WebSocket, and the answer has been given.
fn open(settings: &ServerSettings, stream: Stream) -> Option<(WebSocket<Stream>, Request)> {
    let acceptor = Acceptor { settings: settings.accept.clone() };
    let deadline = Deadline::after(acceptor.settings.timeout);
    #[cfg(feature = "tls")]
    let stream = match &settings.tls {
        Some(tls) => super::tls::accept(stream, tls, deadline)?,
        None => stream,
    };
    match acceptor.read_until(stream, deadline).ok()? {
        Opening::Upgrade(asked) => accept(*asked, settings),
        Opening::Plain(plain) => {
            let reply = settings.answer(plain.request());
            // When it cannot be written, the client has gone.
            let _ = plain.reply(reply);
            None
        }
    }
}

fn accept(asked: Asked<Stream>, settings: &ServerSettings) -> Option<(WebSocket<Stream>, Request)> {
    match settings.decide(asked.request()) {
        Ok(accept) => asked.accept_with(accept).ok(),
        Err(reject) => {
            // When it cannot be written, the client has gone.
            let _ = asked.reject(reject);
            None
        }
    }
}
