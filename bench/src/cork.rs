//! A stream that keeps writes back until somebody waits for input. It gives libraries that write once a
//! message what batching they could have: their `-corked` rows.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub struct Corked<S> {
    stream: S,
    held: Vec<u8>,
    /// Bytes of `held` that have been written.
    written: usize,
}

impl<S> Corked<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, held: Vec::new(), written: 0 }
    }
}

impl<S: AsyncWrite + Unpin> Corked<S> {
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.held.len() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.held[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.held.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Corked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_pending()
            && let Poll::Ready(Err(error)) = self.poll_release(cx)
        {
            return Poll::Ready(Err(error));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.held.len() >= HIGH_MARK {
            ready!(self.poll_release(cx))?;
        }
        slices.iter().for_each(|slice| self.held.extend_from_slice(slice));
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing on purpose: the libraries that are corked flush after every message.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Bytes held back before a write waits for the stream to take them.
const HIGH_MARK: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn releases_when_somebody_waits_for_input() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (near, mut far) = tokio::io::duplex(1024);
            let mut near = Corked::new(near);
            near.write_all(b"one").await.unwrap();
            near.write_all(b"two").await.unwrap();
            near.flush().await.unwrap();
            let mut answer = [0; 6];
            tokio::select! {
                biased;
                read = far.read_exact(&mut answer) => panic!("not held back: {read:?}"),
                _ = std::future::ready(()) => {}
            }
            let echoed = tokio::join!(near.read_u8(), async {
                far.read_exact(&mut answer).await.unwrap();
                far.write_u8(7).await.unwrap();
            });
            assert_eq!((echoed.0.unwrap(), &answer), (7, b"onetwo"));
        });
    }
}
