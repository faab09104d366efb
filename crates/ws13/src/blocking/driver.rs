//! The driver of a connection that one thread has for itself: read, receive, write, wait until the deadline.

use super::pace::{Moved, Pace};
use super::scratch;
use super::state::State;
use super::transport::Transport;
use crate::connection::{Connection, FactOrEnd, Inbox, Mode, Outbox};
use crate::error::Error;
use crate::time::Timestamp;
use bytes::Buf;
use std::io::{self, IoSlice};
use std::time::Duration;

/// A connection on its stream.
#[derive(Debug)]
pub(super) struct Driver<S> {
    pub(super) stream: S,
    pub(super) state: State,
    reading: Pace,
    writing: Pace,
    /// The stream may hold bytes that it took and has not written.
    unflushed: bool,
    /// When to try again to write, after the stream took no more.
    retry_at: Timestamp,
}

/// How long a receiver waits for a stream that takes no more, before it reads on: both ends may be waiting.
pub(super) const SLICE: Duration = Duration::from_millis(20);

/// How long to look whether something has arrived, before a deadline is judged.
pub(super) const PEEK: Duration = Duration::from_millis(1);

/// Slices of one vectored write; more do not pay.
const SLICES: usize = 64;

impl<S: Transport> Driver<S> {
    pub(super) fn new(stream: S, connection: Connection, inbox: Inbox) -> Self {
        Driver {
            stream,
            state: State::new(connection, inbox),
            reading: Pace::default(),
            writing: Pace::default(),
            unflushed: false,
            retry_at: Timestamp::default(),
        }
    }

    /// Waits for the next event; what is queued is written before it waits, as far as the stream takes it.
    pub(super) fn next_fact(&mut self, mode: Mode) -> FactOrEnd {
        loop {
            if let Some(fact) = self.state.next_fact(mode) {
                return fact;
            }
            let written = self.write_for_a_slice();
            if written && self.state.wants_shutdown() {
                // When it fails the peer is gone already, and reading will show it.
                let _ = self.stream.shutdown_write();
                self.state.connection.shut_down();
                continue;
            }
            if self.pass_time() {
                continue;
            }
            let limit = self.state.limit();
            self.read(if written { limit } else { Some(limit.map_or(SLICE, |limit| limit.min(SLICE))) });
        }
    }

    /// Writes everything that is queued, and gives up on a peer that takes nothing for too long.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        loop {
            if !self.state.outbox.is_empty() || self.unflushed {
                self.pass_time();
            }
            if self.write(self.state.limit())? {
                return self.state.check_alive();
            }
            if self.is_untimed() {
                self.state.pass_time();
            }
        }
    }

    /// Waits until the queue is under its mark.
    pub(super) fn wait_for_room(&mut self) -> Result<(), Error> {
        if self.state.has_room(0) { Ok(()) } else { self.flush() }
    }

    /// Writes, but not for long; says whether everything is written.
    fn write_for_a_slice(&mut self) -> bool {
        if !self.unflushed && !self.state.wants_write() {
            return true;
        }
        if self.state.now() < self.retry_at {
            return false;
        }
        // An error shows up as the end.
        let written = self.write(Some(SLICE)).unwrap_or(true);
        if !written {
            self.retry_at = self.state.now() + SLICE;
        }
        written
    }

    /// Writes until everything is written, or the stream takes no more for `limit`; says which.
    fn write(&mut self, limit: Option<Duration>) -> Result<bool, Error> {
        self.state.check_writable()?;
        while self.state.wants_write() {
            let (outbox, offered) = (&self.state.outbox, self.state.outbox.queued());
            match self.writing.write(&mut self.stream, limit, offered, |stream| write_some(stream, outbox)) {
                Moved::Bytes(len) => self.state.has_written(len),
                Moved::Nothing => return Ok(false),
                Moved::Failed(error) => return self.break_off(error),
            }
            self.unflushed = true;
        }
        // For a lost connection nobody waits.
        if self.unflushed && !self.state.is_lost() {
            match self.writing.write(&mut self.stream, limit, 0, |stream| stream.flush().map(|()| 0)) {
                Moved::Bytes(_) => {}
                Moved::Nothing => return Ok(false),
                Moved::Failed(error) => return self.break_off(error),
            }
        }
        self.unflushed = false;
        Ok(true)
    }

    fn break_off(&mut self, error: io::Error) -> Result<bool, Error> {
        self.unflushed = false;
        self.state.break_off(error);
        self.state.check_writable().map(|()| true)
    }

    /// Lets time pass; says whether there may be an event. What the peer has said already counts before it is judged.
    fn pass_time(&mut self) -> bool {
        if !self.state.is_due() {
            return self.state.pass_time();
        }
        if self.is_untimed() {
            // To look could take for ever: time passes when a read has returned.
            return false;
        }
        self.read(Some(PEEK));
        self.state.pass_time();
        true
    }

    /// Reads once.
    fn read(&mut self, limit: Option<Duration>) {
        let Driver { stream, state, reading, .. } = self;
        state.park();
        scratch::with(|target| {
            let moved = reading.read(stream, limit, target);
            state.has_read(moved, target);
        });
        if self.is_untimed() {
            self.state.pass_time();
        }
    }

    /// Whether one direction is known to have no timeouts; then the other has none either.
    fn is_untimed(&self) -> bool {
        self.reading.is_untimed() || self.writing.is_untimed()
    }
}

/// Writes some of the queue: in one slice where it is one.
fn write_some<S: Transport>(stream: &mut S, outbox: &Outbox) -> io::Result<usize> {
    let first = outbox.chunk();
    if first.len() == outbox.queued() {
        return stream.write(first);
    }
    let mut slices = [IoSlice::new(&[]); SLICES];
    let filled = outbox.chunks_vectored(&mut slices);
    stream.write_vectored(&slices[..filled])
}
