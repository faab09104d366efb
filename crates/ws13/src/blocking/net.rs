//! TCP and Unix sockets: the streams that `Client`, `Server` and `Peer` work on.

#[cfg(feature = "tls")]
use super::tls::TlsStream;
use super::transport::{Duplex, Transport};
use crate::server::LocalAddr;
#[cfg(feature = "tls")]
use crate::tls::TlsInfo;
use socket2::SockRef;
use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A TCP or Unix stream, plain or encrypted. Clones are handles to the same stream, free of charge.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Stream {
    /// Over TCP, with TCP_NODELAY and keepalive on.
    Tcp(Arc<TcpStream>),
    /// Over a Unix socket.
    #[cfg(unix)]
    Unix(Arc<UnixStream>),
    /// Encrypted, over another stream.
    #[cfg(feature = "tls")]
    Tls(Arc<TlsStream>),
}

macro_rules! delegate {
    ($stream:expr, $inner:ident => $call:expr, $tls:ident => $encrypted:expr) => {
        match $stream {
            Stream::Tcp($inner) => $call,
            #[cfg(unix)]
            Stream::Unix($inner) => $call,
            #[cfg(feature = "tls")]
            Stream::Tls($tls) => $encrypted,
        }
    };
}

impl Stream {
    /// A TCP stream as this crate sets it up: small messages go out at once, and a dead peer is noticed some day.
    pub(super) fn tcp(stream: TcpStream) -> Stream {
        // Without them it works all the same.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_keepalive(true);
        Stream::Tcp(Arc::new(stream))
    }

    /// The address of the peer, where it has one.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(stream) => stream.peer_addr().ok(),
            #[cfg(unix)]
            Stream::Unix(_) => None,
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.peer_addr(),
        }
    }

    /// What TLS agreed on, where the stream is encrypted.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<TlsInfo> {
        match self {
            Stream::Tls(stream) => stream.info(),
            _ => None,
        }
    }

    /// Our own address, where it has one.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(stream) => stream.local_addr().ok(),
            #[cfg(unix)]
            Stream::Unix(_) => None,
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.local_addr(),
        }
    }

    /// Ends both directions; who waits in a read or a write is woken.
    pub(super) fn end(&self) {
        // When it fails the stream has ended already.
        let _ = delegate!(self, stream => stream.shutdown(Shutdown::Both), tls => { tls.end(); Ok(()) });
    }

    // What the traits do, for those who share the stream.

    #[inline]
    pub(super) fn read(&self, target: &mut [u8]) -> io::Result<usize> {
        delegate!(self, stream => (&**stream).read(target), tls => tls.read(target))
    }

    #[inline]
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        delegate!(self, stream => (&**stream).write(bytes), tls => tls.write(bytes))
    }

    pub(super) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        delegate!(self, stream => stream.set_read_timeout(timeout), tls => tls.set_read_timeout(timeout))
    }

    pub(super) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        delegate!(self, stream => stream.set_write_timeout(timeout), tls => tls.set_write_timeout(timeout))
    }

    /// For the last words on a stream.
    #[cfg(feature = "tls")]
    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        delegate!(self, stream => stream.set_nonblocking(true), tls => tls.set_nonblocking())
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        delegate!(self, stream => stream.shutdown(Shutdown::Write), tls => tls.shutdown_write())
    }
}

impl Read for Stream {
    #[inline]
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        Stream::read(self, target)
    }
}

impl Write for Stream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Stream::write(self, bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        delegate!(self, stream => (&**stream).write_vectored(slices), tls => tls.write_vectored(slices))
    }

    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        delegate!(self, _stream => Ok(()), tls => tls.flush())
    }
}

impl Transport for Stream {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        Stream::set_read_timeout(self, timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        Stream::set_write_timeout(self, timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Stream::shutdown_write(self)
    }
}

impl Duplex for Stream {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(self.clone())
    }
}

/// A listening socket.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listener {
    pub(super) fn accept(&self) -> io::Result<Stream> {
        match self {
            Listener::Tcp(listener) => listener.accept().map(|(stream, _)| Stream::tcp(stream)),
            #[cfg(unix)]
            Listener::Unix(listener) => listener.accept().map(|(stream, _)| Stream::Unix(Arc::new(stream))),
        }
    }

    pub(super) fn local_addr(&self) -> io::Result<LocalAddr> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map(LocalAddr::Tcp),
            #[cfg(unix)]
            Listener::Unix(listener) => {
                let address = listener.local_addr()?;
                Ok(LocalAddr::Unix(address.as_pathname().map(Path::to_owned).unwrap_or_default()))
            }
        }
    }
}

/// Wakes who waits in `accept` there, by a connection that says nothing.
pub(super) fn wake(address: &LocalAddr) {
    // When it cannot be made there are connections to accept already, or nobody listens any more.
    match address {
        LocalAddr::Tcp(address) => {
            let ip = match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                ip => ip,
            };
            let _ = TcpStream::connect_timeout(&(ip, address.port()).into(), WAKE);
        }
        #[cfg(unix)]
        LocalAddr::Unix(path) => {
            let _ = UnixStream::connect(path);
        }
    }
}

/// How long such a connection may take.
const WAKE: Duration = Duration::from_secs(1);
