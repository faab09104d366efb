//! The stream below a connection that hyper gave up: the socket itself, where it can be had.

use crate::Stream;
use hyper::body::Bytes;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// What hyper's connection stood on.
///
/// Where that is a TCP or Unix socket of tokio's, as in `axum::serve`, it is the socket itself. Any other stream, such as
/// an encrypted one, is reached through hyper.
#[derive(Debug)]
pub struct Upgraded(Inner);

#[derive(Debug)]
enum Inner {
    Socket(Stream),
    Hyper(TokioIo<hyper::upgrade::Upgraded>),
}

impl Upgraded {
    /// The socket, where hyper does not stand between.
    #[must_use]
    pub fn socket(&self) -> Option<&Stream> {
        match &self.0 {
            Inner::Socket(stream) => Some(stream),
            Inner::Hyper(_) => None,
        }
    }

    /// The address of the peer, or of the last proxy; where there is a TCP socket.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.socket()?.peer_addr()
    }

    /// Takes the socket out of hyper, with the bytes that came early.
    pub(super) fn take(upgraded: hyper::upgrade::Upgraded) -> (Upgraded, Bytes) {
        let socket = downcast::<TcpStream>(upgraded).map(|(stream, early)| (Stream::tcp(stream), early));
        #[cfg(unix)]
        let socket = socket.or_else(|upgraded| {
            downcast::<UnixStream>(upgraded).map(|(stream, early)| (Stream::Unix(stream), early))
        });
        match socket {
            Ok((stream, early)) => (Upgraded(Inner::Socket(stream)), early),
            // It gives the early bytes itself.
            Err(upgraded) => (Upgraded(Inner::Hyper(TokioIo::new(upgraded))), Bytes::new()),
        }
    }
}

/// hyper's stream, if it is this one: hyper's own connection has it as it is, hyper-util's wraps it.
fn downcast<T>(upgraded: hyper::upgrade::Upgraded) -> Result<(T, Bytes), hyper::upgrade::Upgraded>
where
    TokioIo<T>: Read + Write + Unpin + 'static,
{
    match upgraded.downcast::<TokioIo<T>>() {
        Ok(parts) => Ok((parts.io.into_inner(), parts.read_buf)),
        Err(upgraded) => auto::upgrade::downcast::<TokioIo<T>>(upgraded)
            .map(|parts| (parts.io.into_inner(), parts.read_buf)),
    }
}

macro_rules! delegate {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Inner::Socket($inner) => $call,
            Inner::Hyper($inner) => $call,
        }
    };
}

impl AsyncRead for Upgraded {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(&mut self.get_mut().0, stream => Pin::new(stream).poll_read(cx, target))
    }
}

impl AsyncWrite for Upgraded {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(&mut self.get_mut().0, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(&mut self.get_mut().0, stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        delegate!(&self.0, stream => stream.is_write_vectored())
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(&mut self.get_mut().0, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(&mut self.get_mut().0, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
