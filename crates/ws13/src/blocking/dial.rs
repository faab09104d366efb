//! From a URL to a stream: names, addresses that race (RFC 8305), proxies. Threads do what has no deadline of its own.

use super::handshake::{Deadline, Timed};
use super::net::Stream;
#[cfg(feature = "tls")]
use super::tls::secure;
use super::transport::Transport;
use crate::client::{ClientSettings, ConnectError, Phase, Progress, Route, TcpOptions, unix_error};
use crate::proxy::{Proxy, ProxyError, Step, Tunnel};
use socket2::Socket;
use std::fmt;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// A resolver of the user's own.
#[derive(Clone)]
pub(super) struct Resolver(Arc<Resolve>);

type Resolve = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

impl Resolver {
    pub(super) fn new(
        resolve: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Resolver {
        Resolver(Arc::new(resolve))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// Dials for one set of settings, and tells how far it came.
#[derive(Debug)]
pub(super) struct Dialler<'a> {
    pub(super) settings: &'a ClientSettings,
    pub(super) resolver: Option<&'a Resolver>,
    pub(super) progress: &'a mut Progress,
    pub(super) deadline: Deadline,
}

impl Dialler<'_> {
    /// A stream to the server itself, whatever way it takes, encrypted where the URL wants it.
    pub(super) fn dial(&mut self) -> Result<Stream, ConnectError> {
        let url = &self.settings.url;
        let stream = match self.settings.route()? {
            Route::Unix(path) => unix(path, self.deadline).map_err(|error| unix_error(path, error))?,
            Route::Direct => self.tcp(url.host(), url.port())?,
            Route::Proxy(proxy) => self.through(proxy)?,
        };
        #[cfg(feature = "tls")]
        if url.secure() {
            self.progress.phase = Phase::Securing;
            return secure(stream, url.host(), self.settings.tls.as_ref(), self.deadline);
        }
        Ok(stream)
    }

    fn through(&mut self, proxy: &Proxy) -> Result<Stream, ConnectError> {
        if !proxy.wants_addresses() {
            return self.tunnel(proxy, Tunnel::new(proxy, &self.settings.url));
        }
        let url = &self.settings.url;
        let mut failed = None;
        // A tunnel that failed cannot be asked for another address.
        for address in self.resolve(url.host(), url.port())? {
            match self.tunnel(proxy, Tunnel::to_address(proxy, address)) {
                Err(error @ ConnectError::Proxy { error: ProxyError::Socks(_), .. }) => failed = Some(error),
                opened => return opened,
            }
        }
        Err(failed.unwrap_or(ConnectError::Io(Arc::new(io::ErrorKind::NotFound.into()))))
    }

    fn tunnel(&mut self, proxy: &Proxy, tunnel: Tunnel) -> Result<Stream, ConnectError> {
        let stream = self.tcp(proxy.host(), proxy.port())?;
        #[cfg(feature = "tls")]
        let stream = self.encrypt_to_proxy(stream, proxy)?;
        let mut stream = stream;
        self.progress.phase = Phase::Proxy;
        match open(tunnel, &mut stream, self.deadline)? {
            Ok(()) => Ok(stream),
            Err(error) => Err(ConnectError::Proxy { proxy: proxy.to_string(), error }),
        }
    }

    /// The same stream, or over it one that the proxy's certificate vouches for.
    #[cfg(feature = "tls")]
    fn encrypt_to_proxy(&mut self, stream: Stream, proxy: &Proxy) -> Result<Stream, ConnectError> {
        if !proxy.secure() {
            return Ok(stream);
        }
        self.progress.phase = Phase::Securing;
        let secured = secure(stream, proxy.host(), self.settings.proxy_tls.as_ref(), self.deadline);
        secured.map_err(|error| match error {
            ConnectError::Tls(error) => ConnectError::ProxyTls { proxy: proxy.to_string(), error },
            error => error,
        })
    }

    fn tcp(&mut self, host: &str, port: u16) -> Result<Stream, ConnectError> {
        let addresses = self.resolve(host, port)?;
        self.progress.dial(host, port, addresses);
        Race::new(&self.settings.tcp, self.deadline).run(self.progress).map(|won| Stream::Tcp(Arc::new(won)))
    }

    /// The system resolves names, and knows no deadline: a thread waits for it, and is left behind when it takes too
    /// long.
    fn resolve(&mut self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
        self.progress.phase = Phase::Resolving;
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![(ip, port).into()]);
        }
        let (answer, answered) = mpsc::channel();
        let (resolver, name) = (self.resolver.cloned(), host.to_owned());
        thread::Builder::new().name("resolve".to_owned()).spawn(move || {
            let addresses = match resolver {
                Some(resolver) => (resolver.0)(&name, port),
                None => (name.as_str(), port).to_socket_addrs().map(Iterator::collect),
            };
            // Nobody waits for it any more where it came too late.
            let _ = answer.send(addresses);
        })?;
        let late = || Err(io::ErrorKind::TimedOut.into());
        Progress::found(host, receive(&answered, self.deadline.left()?).unwrap_or_else(late))
    }
}

/// Addresses that are dialled one after the other, each a moment after the one before or as soon as that one has
/// failed, by a thread each.
#[derive(Debug)]
struct Race<'a> {
    options: &'a TcpOptions,
    deadline: Deadline,
    /// What is dialled and has not answered.
    dialled: Vec<(SocketAddr, Arc<Socket>)>,
    answer: mpsc::Sender<Answer>,
    answered: mpsc::Receiver<Answer>,
}

type Answer = (SocketAddr, io::Result<TcpStream>);

impl<'a> Race<'a> {
    fn new(options: &'a TcpOptions, deadline: Deadline) -> Self {
        let (answer, answered) = mpsc::channel();
        Race { options, deadline, dialled: Vec::new(), answer, answered }
    }

    /// The first that answers wins; the others are ended.
    fn run(mut self, progress: &mut Progress) -> Result<TcpStream, ConnectError> {
        loop {
            if let Some(address) = progress.begin() {
                if let Err(error) = self.dial(address, progress.is_alone(address)) {
                    progress.failed(address, error);
                    continue;
                }
            }
            if progress.is_over() {
                return Err(progress.dial_error());
            }
            let left = self.deadline.left()?;
            let pause = left.map_or(self.options.attempt_delay, |left| left.min(self.options.attempt_delay));
            let wait = if progress.is_waiting() { Some(pause) } else { left };
            let Some((address, answer)) = receive(&self.answered, wait) else { continue };
            self.dialled.retain(|(dialled, _)| *dialled != address);
            match answer {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    // What ended by the deadline gave no answer.
                    self.deadline.left()?;
                    progress.failed(address, error);
                }
            }
        }
    }

    /// Begins to dial; the last address needs no thread beside the others.
    fn dial(&mut self, address: SocketAddr, alone: bool) -> io::Result<()> {
        let socket = Arc::new(self.options.socket(address)?);
        let (answer, left, dialled) = (self.answer.clone(), self.deadline.left()?, Arc::clone(&socket));
        let connect = move || {
            let connected = match left {
                Some(left) => dialled.connect_timeout(&address.into(), left.saturating_add(LATER)),
                None => dialled.connect(&address.into()),
            };
            let stream = connected.and_then(|()| dialled.try_clone()).map(TcpStream::from);
            // Nobody waits for it any more where another one was first.
            let _ = answer.send((address, stream));
        };
        if alone {
            connect();
        } else {
            thread::Builder::new().name("dial".to_owned()).spawn(connect)?;
            self.dialled.push((address, socket));
        }
        Ok(())
    }
}

impl Drop for Race<'_> {
    /// A socket that is shut down wakes the thread that dials with it.
    fn drop(&mut self) {
        for (_, socket) in &self.dialled {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Dialling itself gives up this much after the deadline: a system that counts whole milliseconds would end it a bit
/// before, and what was late would look as if the host had said so.
const LATER: Duration = Duration::from_millis(2);

fn receive<T>(receiver: &mpsc::Receiver<T>, wait: Option<Duration>) -> Option<T> {
    match wait {
        Some(wait) => receiver.recv_timeout(wait).ok(),
        None => receiver.recv().ok(),
    }
}

/// Talks with the proxy until there is a tunnel, or it says why there is none.
fn open<S: Transport>(
    mut tunnel: Tunnel,
    stream: &mut S,
    deadline: Deadline,
) -> io::Result<Result<(), ProxyError>> {
    let mut stream = Timed::new(stream, deadline);
    let mut piece = Vec::new();
    loop {
        match tunnel.step() {
            Err(error) => return Ok(Err(error)),
            Ok(Step::Open) => return Ok(Ok(())),
            Ok(Step::Write(bytes)) => stream.write_all(&bytes)?,
            Ok(Step::Read(most)) => {
                piece.clear();
                match stream.read_up_to(most, &mut piece)? {
                    0 => return Ok(Err(ProxyError::Ended)),
                    _ => tunnel.receive(&piece),
                }
            }
        }
    }
}

/// A Unix socket refuses for the moment when its queue is full: it is tried again until the deadline.
#[cfg(unix)]
fn unix(path: &Path, deadline: Deadline) -> io::Result<Stream> {
    use socket2::{Domain, SockAddr, Type};

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

#[cfg(not(unix))]
fn unix(_: &Path, _: Deadline) -> io::Result<Stream> {
    Err(io::ErrorKind::Unsupported.into())
}
