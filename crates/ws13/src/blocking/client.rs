//! Dialling: from a URL to a `WebSocket`.

use super::handshake::{Deadline, Timed};
use super::net::Stream;
use super::transport::Transport;
use super::websocket::WebSocket;
use crate::client::{ClientSettings, ConnectError, Opened, client_builder, or_end};
use crate::handshake::Response;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// Connects to a `ws://` or `wss://` URL with the default settings.
///
/// # Errors
/// See [`ConnectError`].
pub fn connect(url: &str) -> Result<WebSocket<Stream>, ConnectError> {
    Client::new(url)?.connect()
}

/// A connection to be made.
///
/// ```no_run
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use ws13::blocking::Client;
///
/// let mut socket = Client::new("ws://127.0.0.1:12345/chat")?
///     .subprotocol("me-want-cookies")
///     .header("Authorization", "Bearer …")
///     .connect()?;
/// socket.send("hi")?;
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
    pub fn connect(self) -> Result<WebSocket<Stream>, ConnectError> {
        Ok(self.connect_with_response()?.0)
    }

    /// As [`connect`](Client::connect), and gives the 101 response, for its headers.
    ///
    /// # Errors
    /// As [`connect`](Client::connect).
    pub fn connect_with_response(self) -> Result<(WebSocket<Stream>, Response), ConnectError> {
        self.settings.check()?;
        let deadline = Deadline::after(self.settings.timeout);
        let stream = self.dial(deadline)?;
        #[cfg(feature = "tls")]
        let stream = super::tls::secure(stream, &self.settings.url, self.settings.tls.as_ref(), deadline)
            .map_err(|error| self.or_timeout(deadline, error))?;
        self.handshake(stream, deadline)
    }

    /// Does the opening handshake on a stream of one's own: an encrypted one, a tunnel, a test's.
    ///
    /// # Errors
    /// As [`connect`](Client::connect).
    pub fn connect_on<S: Transport>(self, stream: S) -> Result<(WebSocket<S>, Response), ConnectError> {
        let deadline = Deadline::after(self.settings.timeout);
        self.handshake(stream, deadline)
    }

    fn dial(&self, deadline: Deadline) -> Result<Stream, ConnectError> {
        #[cfg(unix)]
        if let Some(path) = &self.settings.unix {
            return dial_unix(path, deadline).map_err(|error| {
                let to = path.display().to_string();
                self.or_timeout(deadline, ConnectError::Dial { to, error: Arc::new(error) })
            });
        }
        let (host, port) = self.settings.tcp_target()?;
        let dialled = resolve(host, port, deadline).and_then(|addresses| dial_tcp(&addresses, deadline));
        dialled.map(Stream::tcp).map_err(|error| self.or_timeout(deadline, self.settings.dial_error(error)))
    }

    fn handshake<S: Transport>(
        self,
        mut stream: S,
        deadline: Deadline,
    ) -> Result<(WebSocket<S>, Response), ConnectError> {
        let timed = Timed::new(&mut stream, deadline);
        let Opened { connection, inbox, subprotocol, response } = self.upgrade(timed, deadline)?;
        let socket = WebSocket::from_parts(stream, connection, inbox).with_subprotocol(subprotocol);
        Ok((socket, response))
    }

    fn upgrade<S: Transport>(
        self,
        mut stream: Timed<'_, S>,
        deadline: Deadline,
    ) -> Result<Opened, ConnectError> {
        let in_time = |error: io::Error| self.or_timeout(deadline, error.into());
        let (mut upgrade, bytes) = self.settings.start()?;
        stream.write_all(&bytes).map_err(in_time)?;
        let mut received = Vec::new();
        loop {
            let answer = match or_end(stream.read(&mut received)).map_err(in_time)? {
                0 => upgrade.receive_eof(&received).map(Some),
                _ => upgrade.receive(&received),
            };
            let answer = answer.map_err(|error| self.settings.refusal(error, &received))?;
            if let Some((accepted, used)) = answer {
                return Ok(self.settings.finish(accepted, &received[used..]));
            }
        }
    }

    /// What went wrong, if it was not that the time is over.
    fn or_timeout(&self, deadline: Deadline, error: ConnectError) -> ConnectError {
        if deadline.is_over() { ConnectError::Timeout(self.settings.timeout) } else { error }
    }
}

/// The addresses of a host. Only the system can resolve a name, and it knows no deadline: a thread waits for it, and is
/// left behind when it takes too long.
fn resolve(host: &str, port: u16, deadline: Deadline) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![(ip, port).into()]);
    }
    let (answer, answered) = mpsc::channel();
    let host = host.to_owned();
    thread::Builder::new().name("resolve".to_owned()).spawn(move || {
        // Nobody waits for it any more where it came too late.
        let _ = answer.send((host.as_str(), port).to_socket_addrs().map(Iterator::collect));
    })?;
    let resolved = match deadline.left()? {
        Some(left) => answered.recv_timeout(left).ok(),
        None => answered.recv().ok(),
    };
    resolved.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
}

/// Tries one address after the other; each has its share of the time.
fn dial_tcp(addresses: &[SocketAddr], deadline: Deadline) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for (index, address) in addresses.iter().enumerate() {
        let dialled = match deadline.left()? {
            Some(left) => {
                let share = left / u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
                TcpStream::connect_timeout(address, share.max(SHORTEST_DIAL))
            }
            None => TcpStream::connect(address),
        };
        match dialled {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// No dialling is given less than this, so that a timeout is never zero.
const SHORTEST_DIAL: Duration = Duration::from_millis(1);

/// A Unix socket refuses for the moment when its queue is full: it is tried again until the deadline.
#[cfg(unix)]
fn dial_unix(path: &Path, deadline: Deadline) -> io::Result<Stream> {
    use socket2::{Domain, SockAddr, Socket, Type};

    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    loop {
        match socket.connect(&address) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let left = deadline.left()?.unwrap_or(RETRY_DIAL);
                thread::sleep(left.min(RETRY_DIAL));
            }
            connected => break connected?,
        }
    }
    socket.set_nonblocking(false)?;
    Ok(Stream::Unix(Arc::new(std::os::fd::OwnedFd::from(socket).into())))
}

#[cfg(unix)]
const RETRY_DIAL: Duration = Duration::from_millis(5);
