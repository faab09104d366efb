//! Reading ahead below TLS: rustls asks for 4 KiB at a time, and a system call for each costs as much as decrypting them.

use super::net::Stream;
use crate::pool;
use bytes::{Buf, BytesMut};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// A stream that is read into a buffer which the thread's pool lends; an idle one holds none.
#[derive(Debug)]
pub(super) struct ReadAhead {
    pub(super) stream: Stream,
    /// What was read, and not yet asked for.
    read: BytesMut,
}

impl ReadAhead {
    pub(super) fn new(stream: Stream) -> Self {
        ReadAhead { stream, read: BytesMut::new() }
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let ReadAhead { stream, read } = self.get_mut();
        let mut buffer = std::mem::take(read);
        if buffer.is_empty() {
            buffer = pool::lease(0);
            let polled = pin!(stream.read_buf(&mut buffer)).poll(cx);
            if !matches!(polled, Poll::Ready(Ok(1..))) {
                pool::give_back(buffer);
                return polled.map_ok(|_| ());
            }
        }
        let len = buffer.len().min(target.remaining());
        target.put_slice(&buffer[..len]);
        buffer.advance(len);
        if buffer.is_empty() {
            pool::give_back(buffer);
        } else {
            *read = buffer;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
