//! The stream while the opening handshake lasts: everything on it must be over by one deadline.

use super::pace::{Moved, Pace};
use super::scratch;
use super::transport::Transport;
use std::io;
use std::time::{Duration, Instant};

/// A point in time by which something must be over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// A timeout that is too long to be told is none.
    pub(super) fn after(timeout: Duration) -> Deadline {
        Deadline(Instant::now().checked_add(timeout))
    }

    /// How long is left; `None`: for ever.
    ///
    /// # Errors
    /// `TimedOut` when it is over.
    pub(super) fn left(self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.0 else { return Ok(None) };
        match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }

    /// This deadline, or a later one that leaves `timeout`.
    pub(super) fn at_least(self, timeout: Duration) -> Deadline {
        match (self.0, Deadline::after(timeout).0) {
            (Some(deadline), Some(later)) => Deadline(Some(deadline.max(later))),
            _ => Deadline(None),
        }
    }

    pub(super) fn is_over(self) -> bool {
        self.left().is_err()
    }
}

/// A stream with a deadline for all that is done on it.
#[derive(Debug)]
pub(super) struct Timed<'a, S> {
    stream: &'a mut S,
    deadline: Deadline,
    reading: Pace,
    writing: Pace,
}

impl<'a, S: Transport> Timed<'a, S> {
    pub(super) fn new(stream: &'a mut S, deadline: Deadline) -> Self {
        Timed { stream, deadline, reading: Pace::default(), writing: Pace::default() }
    }

    /// Reads some bytes to the end of `target`; 0 at the end of the stream.
    pub(super) fn read(&mut self, target: &mut Vec<u8>) -> io::Result<usize> {
        self.read_up_to(usize::MAX, target)
    }

    /// The same, and no more than so many.
    pub(super) fn read_up_to(&mut self, most: usize, target: &mut Vec<u8>) -> io::Result<usize> {
        scratch::with(|scratch| {
            let most = most.min(scratch.len());
            let scratch = &mut scratch[..most];
            loop {
                match self.reading.read(self.stream, self.deadline.left()?, scratch) {
                    Moved::Bytes(len) => {
                        target.extend_from_slice(&scratch[..len]);
                        return Ok(len);
                    }
                    Moved::Nothing => {}
                    Moved::Failed(error) => return Err(error),
                }
            }
        })
    }

    pub(super) fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let len = self.write(bytes.len(), |stream| stream.write(bytes))?;
            bytes = &bytes[len..];
        }
        self.write(0, |stream| stream.flush().map(|()| 0)).map(drop)
    }

    pub(super) fn shutdown_write(&mut self) -> io::Result<()> {
        self.stream.shutdown_write()
    }

    fn write(&mut self, offered: usize, write: impl Fn(&mut S) -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match self.writing.write(self.stream, self.deadline.left()?, offered, &write) {
                Moved::Bytes(len) => return Ok(len),
                Moved::Nothing => {}
                Moved::Failed(error) => return Err(error),
            }
        }
    }
}
