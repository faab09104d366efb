//! Messages in parts: written as fragments, and read as they arrive.

use super::driver::Driver;
use super::websocket::WebSocket;
use crate::connection::Mode;
use crate::error::Error;
use crate::message::Kind;
use crate::parts::{FRAME_SIZE, LentPart, cut_off, into_io};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Writes one message in parts; see [`WebSocket::writer`].
///
/// Small parts are collected into frames of 16 KiB, or of [`Config::fragment_size`](crate::Config::fragment_size).
/// Dropped before [`finish`](MessageWriter::finish), it leaves its message unfinished: nothing but a close can follow.
#[derive(Debug)]
pub struct MessageWriter<'a, S> {
    socket: &'a mut WebSocket<S>,
    /// The kind, until the first frame is queued.
    begin: Option<Kind>,
    buffer: Vec<u8>,
    frame_size: usize,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> MessageWriter<'a, S> {
    pub(super) fn new(socket: &'a mut WebSocket<S>, kind: Kind) -> Self {
        let fragment_size = socket.handle.access().connection.config().fragment_size;
        let frame_size = fragment_size.unwrap_or(FRAME_SIZE).max(1);
        MessageWriter { socket, begin: Some(kind), buffer: Vec::new(), frame_size }
    }

    /// Writes a part. Parts of a text may end anywhere; the message as a whole must be UTF-8.
    ///
    /// # Errors
    /// As [`WebSocket::send`]; [`Misuse::Utf8`](crate::Misuse::Utf8) where the text is none, which may show only when more
    /// of it is written. What was sent of it before cannot be taken back: close the connection then.
    ///
    /// # Cancel safety
    /// Not cancel safe: a dropped future may have queued a beginning of `part`.
    pub async fn write(&mut self, mut part: &[u8]) -> Result<(), Error> {
        while self.buffer.len() + part.len() >= self.frame_size {
            let (head, rest) = part.split_at(self.frame_size - self.buffer.len());
            self.buffer.extend_from_slice(head);
            part = rest;
            self.send_frame(false).await?;
        }
        self.buffer.extend_from_slice(part);
        Ok(())
    }

    /// Sends what was written so far, as a frame.
    ///
    /// # Errors
    /// As [`WebSocket::send`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn flush(&mut self) -> Result<(), Error> {
        if self.buffer.is_empty() { Ok(()) } else { self.send_frame(false).await }
    }

    /// Ends the message.
    ///
    /// # Errors
    /// As [`WebSocket::send`].
    ///
    /// # Cancel safety
    /// The end of the message is queued as soon as the queue has room, and is not lost then.
    pub async fn finish(mut self) -> Result<(), Error> {
        self.send_frame(true).await
    }

    async fn send_frame(&mut self, last: bool) -> Result<(), Error> {
        // A full queue would refuse the frame when its message is begun.
        poll_fn(|cx| self.socket.handle.poll_in_time(cx, Driver::poll_room)).await?;
        self.socket.handle.access().send_part(self.begin, &self.buffer, last)?;
        self.begin = None;
        self.buffer.clear();
        self.socket.flush().await
    }
}

/// Reads one message in parts as they arrive; see [`WebSocket::reader`]. Also an `AsyncRead`.
#[derive(Debug)]
pub struct MessageReader<'a, S> {
    socket: &'a mut WebSocket<S>,
    part: LentPart,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> MessageReader<'a, S> {
    pub(super) async fn begin(socket: &'a mut WebSocket<S>) -> Result<Option<Self>, Error> {
        let begun = poll_fn(|cx| poll_part(socket, cx, true)).await?;
        Ok(begun.map(|part| MessageReader { socket, part }))
    }

    /// Whether the message is text or binary. Parts of a text may end in the middle of a character; that the whole
    /// is UTF-8 is checked as it arrives.
    pub fn kind(&self) -> Kind {
        self.part.kind
    }

    /// Reads some bytes into `target`; 0 at the end of the message.
    ///
    /// # Errors
    /// As [`WebSocket::receive`]; [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) when the peer closed the connection
    /// in the middle of the message.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn read(&mut self, target: &mut [u8]) -> Result<usize, Error> {
        poll_fn(|cx| self.poll_part_read(cx, target)).await
    }

    /// Reads the rest of the message, up to `max` bytes of it; says whether that was all.
    ///
    /// # Errors
    /// As [`WebSocket::receive`].
    ///
    /// # Cancel safety
    /// Cancel safe: what was read stands in `target`.
    pub async fn read_to_end(&mut self, target: &mut Vec<u8>, max: usize) -> Result<bool, Error> {
        let mut piece = [0; 4096];
        let end = target.len().saturating_add(max);
        while target.len() < end {
            let room = piece.len().min(end - target.len());
            match self.read(&mut piece[..room]).await? {
                0 => return Ok(true),
                len => target.extend_from_slice(&piece[..len]),
            }
        }
        Ok(false)
    }

    fn poll_part_read(&mut self, cx: &mut Context<'_>, target: &mut [u8]) -> Poll<Result<usize, Error>> {
        loop {
            let len = self.part.copy_out(&mut self.socket.handle.access(), target);
            if len > 0 || self.part.last || target.is_empty() {
                return Poll::Ready(Ok(len));
            }
            match ready!(poll_part(self.socket, cx, false))? {
                Some(next) => self.part = next,
                None => return Poll::Ready(Err(cut_off())),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for MessageReader<'_, S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let len = ready!(this.poll_part_read(cx, target.initialize_unfilled())).map_err(into_io)?;
        target.advance(len);
        Poll::Ready(Ok(()))
    }
}

/// The next part of a message; `None` at the end of the connection. `begin` skips what is left of an earlier message.
fn poll_part<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocket<S>,
    cx: &mut Context<'_>,
    begin: bool,
) -> Poll<Result<Option<LentPart>, Error>> {
    loop {
        let fact = ready!(socket.poll_fact(cx, Mode::Parts));
        if let Some(found) = LentPart::of(fact, &mut socket.handle.access(), begin) {
            return Poll::Ready(found);
        }
    }
}
