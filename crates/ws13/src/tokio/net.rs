//! TCP and Unix sockets: the streams that `Client`, `Server` and `Peer` work on.

#[cfg(feature = "tls")]
use super::tls::TlsStream;
use crate::server::LocalAddr;
#[cfg(feature = "tls")]
use crate::tls::TlsInfo;
use socket2::SockRef;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

/// A TCP or Unix stream, plain or encrypted.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stream {
    /// Over TCP, with TCP_NODELAY and keepalive on.
    Tcp(TcpStream),
    /// Over a Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
    /// Encrypted, over another stream.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream>),
}

/// TLS costs a plain connection nothing: its stream is as large as tokio's own.
#[cfg(test)]
const _: () = assert!(size_of::<Stream>() <= size_of::<TcpStream>() + size_of::<usize>());

impl Stream {
    /// A TCP stream as this crate sets it up: small messages go out at once, and a dead peer is noticed some day.
    pub(crate) fn tcp(stream: TcpStream) -> Stream {
        // Without them it works all the same.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_keepalive(true);
        Stream::Tcp(stream)
    }

    /// The address of the peer, where it has one.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(stream) => stream.peer_addr().ok(),
            #[cfg(unix)]
            Stream::Unix(_) => None,
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.inner().peer_addr(),
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
            Stream::Tls(stream) => stream.inner().local_addr(),
        }
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
    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        match self {
            Listener::Tcp(listener) => {
                listener.poll_accept(cx).map(|accepted| accepted.map(|(stream, _)| Stream::tcp(stream)))
            }
            #[cfg(unix)]
            Listener::Unix(listener) => {
                listener.poll_accept(cx).map(|accepted| accepted.map(|(stream, _)| Stream::Unix(stream)))
            }
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

macro_rules! delegate {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($inner) => $call,
            #[cfg(unix)]
            Stream::Unix($inner) => $call,
            #[cfg(feature = "tls")]
            Stream::Tls($inner) => $call,
        }
    };
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, target))
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        delegate!(self, stream => stream.is_write_vectored())
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
