//! Messages in parts: written as fragments, and read as they arrive.

use super::transport::Transport;
use super::websocket::WebSocket;
use crate::connection::Mode;
use crate::error::Error;
use crate::message::Kind;
use crate::parts::{FRAME_SIZE, LentPart, cut_off, into_io};
use std::io;

/// Writes one message in parts; see [`WebSocket::writer`]. Also an [`io::Write`].
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

impl<'a, S: Transport> MessageWriter<'a, S> {
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
    pub fn write(&mut self, mut part: &[u8]) -> Result<(), Error> {
        while self.buffer.len() + part.len() >= self.frame_size {
            let (head, rest) = part.split_at(self.frame_size - self.buffer.len());
            self.buffer.extend_from_slice(head);
            part = rest;
            self.send_frame(false)?;
        }
        self.buffer.extend_from_slice(part);
        Ok(())
    }

    /// Sends what was written so far, as a frame.
    ///
    /// # Errors
    /// As [`WebSocket::send`].
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.buffer.is_empty() { Ok(()) } else { self.send_frame(false) }
    }

    /// Ends the message.
    ///
    /// # Errors
    /// As [`WebSocket::send`].
    pub fn finish(mut self) -> Result<(), Error> {
        self.send_frame(true)
    }

    fn send_frame(&mut self, last: bool) -> Result<(), Error> {
        // A full queue would refuse the frame when its message is begun.
        self.socket.handle.wait_for_room()?;
        self.socket.handle.access().send_part(self.begin, &self.buffer, last)?;
        self.begin = None;
        self.buffer.clear();
        self.socket.flush()
    }
}

impl<S: Transport> io::Write for MessageWriter<'_, S> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        MessageWriter::write(self, part).map(|()| part.len()).map_err(into_io)
    }

    fn flush(&mut self) -> io::Result<()> {
        MessageWriter::flush(self).map_err(into_io)
    }
}

/// Reads one message in parts as they arrive; see [`WebSocket::reader`]. Also an [`io::Read`].
///
/// ```
/// # fn save(mut socket: ws13::blocking::WebSocket<std::net::TcpStream>) -> Result<(), Box<dyn std::error::Error>> {
/// if let Some(mut message) = socket.reader()? {
///     std::io::copy(&mut message, &mut std::fs::File::create("large")?)?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MessageReader<'a, S> {
    socket: &'a mut WebSocket<S>,
    part: LentPart,
}

impl<'a, S: Transport> MessageReader<'a, S> {
    pub(super) fn begin(socket: &'a mut WebSocket<S>) -> Result<Option<Self>, Error> {
        Ok(next_part(socket, true)?.map(|part| MessageReader { socket, part }))
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
    pub fn read(&mut self, target: &mut [u8]) -> Result<usize, Error> {
        loop {
            let len = self.part.copy_out(&mut self.socket.handle.access(), target);
            if len > 0 || self.part.last || target.is_empty() {
                return Ok(len);
            }
            match next_part(self.socket, false)? {
                Some(next) => self.part = next,
                None => return Err(cut_off()),
            }
        }
    }

    /// Reads the rest of the message, up to `max` bytes of it; says whether that was all.
    ///
    /// # Errors
    /// As [`read`](MessageReader::read).
    pub fn read_to_end(&mut self, target: &mut Vec<u8>, max: usize) -> Result<bool, Error> {
        let mut piece = [0; 4096];
        let end = target.len().saturating_add(max);
        while target.len() < end {
            let room = piece.len().min(end - target.len());
            match self.read(&mut piece[..room])? {
                0 => return Ok(true),
                len => target.extend_from_slice(&piece[..len]),
            }
        }
        Ok(false)
    }
}

impl<S: Transport> io::Read for MessageReader<'_, S> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        MessageReader::read(self, target).map_err(into_io)
    }
}

/// The next part of a message; `None` at the end of the connection. `begin` skips what is left of an earlier message.
fn next_part<S: Transport>(socket: &mut WebSocket<S>, begin: bool) -> Result<Option<LentPart>, Error> {
    loop {
        let (mut access, fact) = socket.handle.next_fact(Mode::Parts);
        if let Some(found) = LentPart::of(fact, &mut access, begin) {
            return found;
        }
    }
}
