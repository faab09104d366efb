//! From a URL to a stream: names, addresses that race (RFC 8305), proxies.

use super::net::Stream;
#[cfg(feature = "tls")]
use super::tls::secure;
use crate::client::{ClientSettings, ConnectError, Phase, Progress, Route, TcpOptions, unix_error};
use crate::proxy::{Proxy, ProxyError, Step, Tunnel};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

/// A resolver of the user's own.
#[derive(Clone)]
pub(super) struct Resolver(Arc<Resolve>);

type Resolve = dyn Fn(String, u16) -> Resolving + Send + Sync;
type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

impl Resolver {
    pub(super) fn new<F>(resolve: impl Fn(String, u16) -> F + Send + Sync + 'static) -> Resolver
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        Resolver(Arc::new(move |host, port| Box::pin(resolve(host, port))))
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
}

impl Dialler<'_> {
    /// A stream to the server itself, whatever way it takes, encrypted where the URL wants it.
    pub(super) async fn dial(&mut self) -> Result<Stream, ConnectError> {
        let url = &self.settings.url;
        let stream = match self.settings.route()? {
            Route::Unix(path) => unix(path).await.map_err(|error| unix_error(path, error))?,
            Route::Direct => self.tcp(url.host(), url.port()).await?,
            Route::Proxy(proxy) => self.through(proxy).await?,
        };
        #[cfg(feature = "tls")]
        if url.secure() {
            self.progress.phase = Phase::Securing;
            return secure(stream, url.host(), self.settings.tls.as_ref()).await;
        }
        Ok(stream)
    }

    async fn through(&mut self, proxy: &Proxy) -> Result<Stream, ConnectError> {
        if !proxy.wants_addresses() {
            return self.tunnel(proxy, Tunnel::new(proxy, &self.settings.url)).await;
        }
        let url = &self.settings.url;
        let mut failed = None;
        // A tunnel that failed cannot be asked for another address.
        for address in self.resolve(url.host(), url.port()).await? {
            match self.tunnel(proxy, Tunnel::to_address(proxy, address)).await {
                Err(error @ ConnectError::Proxy { error: ProxyError::Socks(_), .. }) => failed = Some(error),
                opened => return opened,
            }
        }
        Err(failed.unwrap_or(ConnectError::Io(Arc::new(io::ErrorKind::NotFound.into()))))
    }

    async fn tunnel(&mut self, proxy: &Proxy, tunnel: Tunnel) -> Result<Stream, ConnectError> {
        let stream = self.tcp(proxy.host(), proxy.port()).await?;
        #[cfg(feature = "tls")]
        let stream = self.encrypt_to_proxy(stream, proxy).await?;
        let mut stream = stream;
        self.progress.phase = Phase::Proxy;
        match open(tunnel, &mut stream).await? {
            Ok(()) => Ok(stream),
            Err(error) => Err(ConnectError::Proxy { proxy: proxy.to_string(), error }),
        }
    }

    /// The same stream, or over it one that the proxy's certificate vouches for.
    #[cfg(feature = "tls")]
    async fn encrypt_to_proxy(&mut self, stream: Stream, proxy: &Proxy) -> Result<Stream, ConnectError> {
        if !proxy.secure() {
            return Ok(stream);
        }
        self.progress.phase = Phase::Securing;
        let secured = secure(stream, proxy.host(), self.settings.proxy_tls.as_ref()).await;
        secured.map_err(|error| match error {
            ConnectError::Tls(error) => ConnectError::ProxyTls { proxy: proxy.to_string(), error },
            error => error,
        })
    }

    async fn tcp(&mut self, host: &str, port: u16) -> Result<Stream, ConnectError> {
        let addresses = self.resolve(host, port).await?;
        self.progress.dial(host, port, addresses);
        race(&self.settings.tcp, self.progress).await.map(Stream::Tcp)
    }

    async fn resolve(&mut self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
        self.progress.phase = Phase::Resolving;
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![(ip, port).into()]);
        }
        let addresses = match self.resolver {
            Some(resolver) => (resolver.0)(host.to_owned(), port).await,
            None => tokio::net::lookup_host((host, port)).await.map(Iterator::collect),
        };
        Progress::found(host, addresses)
    }
}

/// Dials the addresses one after the other, each a moment after the one before or as soon as that one has failed. The
/// first that answers wins, the others are dropped.
async fn race(options: &TcpOptions, progress: &mut Progress) -> Result<TcpStream, ConnectError> {
    let mut dialled: Vec<(SocketAddr, Dialling<'_>)> = Vec::new();
    let mut pause = pin!(sleep(options.attempt_delay));
    poll_fn(|cx| {
        loop {
            if let Some(address) = progress.begin() {
                dialled.push((address, Box::pin(connect(options, address))));
                pause.set(sleep(options.attempt_delay));
            }
            let before = dialled.len();
            if let Poll::Ready(stream) = poll_dialled(&mut dialled, progress, cx) {
                return Poll::Ready(Ok(stream));
            }
            if progress.is_over() {
                return Poll::Ready(Err(progress.dial_error()));
            }
            let none_failed = dialled.len() == before;
            // The timer wakes this task only if it is polled.
            if none_failed && (!progress.is_waiting() || pause.as_mut().poll(cx).is_pending()) {
                return Poll::Pending;
            }
        }
    })
    .await
}

type Dialling<'a> = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send + 'a>>;

/// Ready with the first that answered; those that failed are taken out.
fn poll_dialled(
    dialled: &mut Vec<(SocketAddr, Dialling<'_>)>,
    progress: &mut Progress,
    cx: &mut Context<'_>,
) -> Poll<TcpStream> {
    let mut won = Poll::Pending;
    dialled.retain_mut(|(address, dialling)| match dialling.as_mut().poll(cx) {
        _ if won.is_ready() => false,
        Poll::Ready(Ok(stream)) => {
            won = Poll::Ready(stream);
            false
        }
        Poll::Ready(Err(error)) => {
            progress.failed(*address, error);
            false
        }
        Poll::Pending => true,
    });
    won
}

async fn connect(options: &TcpOptions, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = options.socket(address)?;
    socket.set_nonblocking(true)?;
    TcpSocket::from_std_stream(socket.into()).connect(address).await
}

/// Talks with the proxy until there is a tunnel, or it says why there is none.
async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    mut tunnel: Tunnel,
    stream: &mut S,
) -> io::Result<Result<(), ProxyError>> {
    let mut piece = [0; 512];
    loop {
        match tunnel.step() {
            Err(error) => return Ok(Err(error)),
            Ok(Step::Open) => return Ok(Ok(())),
            Ok(Step::Write(bytes)) => {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
            }
            Ok(Step::Read(most)) => {
                let most = most.min(piece.len());
                match stream.read(&mut piece[..most]).await? {
                    0 => return Ok(Err(ProxyError::Ended)),
                    len => tunnel.receive(&piece[..len]),
                }
            }
        }
    }
}

#[cfg(unix)]
async fn unix(path: &Path) -> io::Result<Stream> {
    tokio::net::UnixStream::connect(path).await.map(Stream::Unix)
}

#[cfg(not(unix))]
async fn unix(_: &Path) -> io::Result<Stream> {
    Err(io::ErrorKind::Unsupported.into())
}
