//! A message that is read in parts, as both drivers hold it: which part is lent, and what has been read of it.

use crate::connection::{Event, FactOrEnd};
use crate::error::Error;
use crate::message::Kind;
use crate::state::State;
use std::io;

/// A part that is lent by the inbox.
#[derive(Debug)]
pub(crate) struct LentPart {
    pub(crate) kind: Kind,
    /// Whether the message ends with it.
    pub(crate) last: bool,
    /// Where it stands, until it is read.
    fact: Option<FactOrEnd>,
    read: usize,
}

impl LentPart {
    /// What a fact is to who reads a message in parts: a part, or with `Ok(None)` the end of the connection. `None`:
    /// nothing to do with it, ask for the next. `begin` skips what is left of an earlier message.
    pub(crate) fn of(
        fact: FactOrEnd,
        state: &mut State,
        begin: bool,
    ) -> Option<Result<Option<LentPart>, Error>> {
        match state.event(fact) {
            Event::Part(part) if begin && !part.first => None,
            Event::Part(part) => {
                let (kind, last) = (part.kind, part.last);
                Some(Ok(Some(LentPart { kind, last, fact: Some(fact), read: 0 })))
            }
            Event::Closed(_) => Some(state.outcome().map(|()| None)),
            Event::Message(_) | Event::Ping(_) | Event::Pong(_) | Event::Extended(_) => None,
        }
    }

    /// Reads what is left of the part, as far as it fits.
    pub(crate) fn copy_out(&mut self, state: &mut State, target: &mut [u8]) -> usize {
        let Some(fact) = self.fact else { return 0 };
        let Event::Part(part) = state.event(fact) else { return 0 };
        let rest = &part.bytes[self.read..];
        let len = rest.len().min(target.len());
        target[..len].copy_from_slice(&rest[..len]);
        self.read += len;
        if len == rest.len() {
            // It goes with the next event, and must not be looked at again.
            self.fact = None;
        }
        len
    }
}

/// Bytes in a frame of a message that is written in parts.
pub(crate) const FRAME_SIZE: usize = 16 << 10;

/// The connection was closed before the message's last part.
pub(crate) fn cut_off() -> Error {
    Error::Io(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the connection was closed in the middle of a message",
    ))
}

/// An error where only an `io::Error` can be told.
pub(crate) fn into_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}
