//! Messages in parts: written as fragments, and read as they arrive.

use super::transport::Transport;
use super::websocket::WebSocket;
use crate::connection::{Event, FactOrEnd, Mode};
use crate::error::Error;
use crate::message::Kind;
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

/// Bytes in a frame of a message that is written in parts.
const FRAME_SIZE: usize = 16 << 10;

impl<'a, S: Transport> MessageWriter<'a, S> {
    pub(super) fn new(socket: &'a mut WebSocket<S>, kind: Kind) -> Self {
        let fragment_size = socket.handle.access().connection.config().fragment_size;
        let frame_size = fragment_size.unwrap_or(FRAME_SIZE).max(1);
        MessageWriter { socket, begin: Some(kind), buffer: Vec::new(), frame_size }
    }

    /// Writes a part. Parts of a text may end anywhere; the message as a whole must be UTF-8.
    ///
    /// # Errors
    /// As [`WebSocket::send`].
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
    kind: Kind,
    /// The part that is lent, until it is read, and how much of it has been.
    part: Option<FactOrEnd>,
    read: usize,
    last: bool,
}

impl<'a, S: Transport> MessageReader<'a, S> {
    pub(super) fn begin(socket: &'a mut WebSocket<S>) -> Result<Option<Self>, Error> {
        let Some((kind, part, last)) = next_part(socket, true)? else { return Ok(None) };
        Ok(Some(MessageReader { socket, kind, part: Some(part), read: 0, last }))
    }

    /// Whether the message is text or binary. Parts of a text may end in the middle of a character; that the whole
    /// is UTF-8 is checked as it arrives.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Reads some bytes into `target`; 0 at the end of the message.
    ///
    /// # Errors
    /// As [`WebSocket::receive`]; [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) when the peer closed the connection
    /// in the middle of the message.
    pub fn read(&mut self, target: &mut [u8]) -> Result<usize, Error> {
        loop {
            let len = self.copy_out(target);
            if len > 0 || self.last || target.is_empty() {
                return Ok(len);
            }
            match next_part(self.socket, false)? {
                Some((_, part, last)) => (self.part, self.read, self.last) = (Some(part), 0, last),
                None => return Err(Error::Io(io::Error::new(io::ErrorKind::UnexpectedEof, CUT_OFF))),
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

    fn copy_out(&mut self, target: &mut [u8]) -> usize {
        let Some(fact) = self.part else { return 0 };
        let mut access = self.socket.handle.access();
        let Event::Part(part) = access.event(fact) else { return 0 };
        let rest = &part.bytes[self.read..];
        let len = rest.len().min(target.len());
        target[..len].copy_from_slice(&rest[..len]);
        self.read += len;
        if len == rest.len() {
            self.part = None;
        }
        len
    }
}

impl<S: Transport> io::Read for MessageReader<'_, S> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        MessageReader::read(self, target).map_err(into_io)
    }
}

const CUT_OFF: &str = "the connection was closed in the middle of a message";

fn into_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

/// The next part of a message, where it stands, and whether it is the last; `None` at the end of the connection.
/// `begin` skips what is left of an earlier message.
fn next_part<S: Transport>(
    socket: &mut WebSocket<S>,
    begin: bool,
) -> Result<Option<(Kind, FactOrEnd, bool)>, Error> {
    loop {
        let (mut access, fact) = socket.handle.next_fact(Mode::Parts);
        match access.event(fact) {
            Event::Part(part) if begin && !part.first => {}
            Event::Part(part) => return Ok(Some((part.kind, fact, part.last))),
            Event::Closed(_) => return access.outcome().map(|()| None),
            Event::Message(_) | Event::Ping(_) | Event::Pong(_) => {}
        }
    }
}
