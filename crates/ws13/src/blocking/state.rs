//! A connection without its stream: the core, its buffers, the clock, and how the stream broke.

use super::pace::Moved;
use crate::close::CloseFrame;
use crate::connection::Outgoing;
use crate::connection::{CloseCause, Closed, Connection, Event, FactOrEnd, Inbox, Mode, Outbox, Output};
use crate::error::{Error, Lost, Misuse};
use crate::message::Kind;
use crate::pool;
use crate::time::Timestamp;
use bytes::Buf;
use std::io;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct State {
    pub(super) connection: Connection,
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    /// Where the clock counts from.
    origin: Instant,
    /// Why the stream cannot be written or read any more.
    broken: Option<io::Error>,
    /// The end has been given out.
    ended: bool,
}

impl State {
    pub(super) fn new(connection: Connection, inbox: Inbox) -> Self {
        let origin = Instant::now();
        State { connection, inbox, outbox: Outbox::new(), origin, broken: None, ended: false }
    }

    /// Queues a message.
    #[inline]
    pub(super) fn send(&mut self, message: Outgoing<'_>) -> Result<(), Misuse> {
        self.lease_outgoing();
        self.connection.send(message, &mut self.outbox)
    }

    pub(super) fn ping(&mut self, payload: &[u8]) -> Result<(), Misuse> {
        self.lease_outgoing();
        self.connection.ping(payload, &mut self.outbox)
    }

    pub(super) fn pong(&mut self, payload: &[u8]) -> Result<(), Misuse> {
        self.lease_outgoing();
        self.connection.pong(payload, &mut self.outbox)
    }

    /// Queues a part of a message, and before the first one begins it.
    pub(super) fn send_part(&mut self, begin: Option<Kind>, part: &[u8], last: bool) -> Result<(), Misuse> {
        if let Some(kind) = begin {
            self.connection.begin_message(kind)?;
        }
        self.lease_outgoing();
        self.connection.send_part(part, last, &mut self.outbox)
    }

    pub(super) fn close(&mut self, frame: Option<CloseFrame>) {
        self.connection.close(frame, &mut self.outbox);
    }

    /// The next event that the inbox holds; after the end, the end.
    #[inline]
    pub(super) fn next_fact(&mut self, mode: Mode) -> Option<FactOrEnd> {
        let fact = self.connection.next_fact(&mut self.inbox, &mut self.outbox, mode);
        if let Some(FactOrEnd::End) = fact {
            self.ended = true;
        }
        fact.or(self.ended.then_some(FactOrEnd::End))
    }

    /// The next event that is here already, when there is room to answer it; the end is left to `next_fact`.
    #[inline]
    pub(super) fn next_fact_with_room(&mut self) -> Option<FactOrEnd> {
        if !self.has_room(0) {
            return None;
        }
        self.next_fact(Mode::Whole).filter(|fact| matches!(fact, FactOrEnd::Fact(_)))
    }

    /// The event of a fact.
    #[inline]
    pub(super) fn event(&mut self, fact: FactOrEnd) -> Event<'_> {
        self.connection.event(fact, &mut self.inbox)
    }

    /// The event of a fact, and the output to answer it with.
    #[inline]
    pub(super) fn event_and_output(&mut self, fact: FactOrEnd) -> (Event<'_>, Output<'_>) {
        self.lease_outgoing();
        self.connection.event_and_output(fact, &mut self.inbox, &mut self.outbox)
    }

    /// Whether there is something to write, now.
    pub(super) fn wants_write(&mut self) -> bool {
        self.connection.wants_write(&mut self.outbox)
    }

    /// The first `len` queued bytes are gone.
    pub(super) fn has_written(&mut self, len: usize) {
        self.outbox.advance(len);
        if let Some(buffer) = self.outbox.take_spent() {
            pool::give_back(buffer);
        }
    }

    /// Whether our direction of the stream is to be ended, now.
    pub(super) fn wants_shutdown(&self) -> bool {
        self.connection.wants_shutdown(&self.outbox)
    }

    /// Whether the queue is under its mark, with `unsent` bytes taken from it and not written.
    pub(super) fn has_room(&self, unsent: usize) -> bool {
        self.outbox.queued() + unsent < self.connection.config().limits.queue_mark
    }

    pub(super) fn now(&self) -> Timestamp {
        self.origin.elapsed().into()
    }

    /// How long to wait at most before time has to pass; `None`: for ever.
    pub(super) fn limit(&self) -> Option<Duration> {
        self.connection.deadline().map(|deadline| deadline.since(self.now()))
    }

    /// Whether a deadline has come.
    pub(super) fn is_due(&self) -> bool {
        self.connection.deadline().is_some_and(|deadline| self.now() >= deadline)
    }

    /// Lets time pass where a clock is to be started or a deadline has come; says whether anything was due.
    pub(super) fn pass_time(&mut self) -> bool {
        if !self.connection.wants_time(&self.outbox) && !self.is_due() {
            return false;
        }
        let now = self.now();
        self.connection.tick(now, &self.inbox, &mut self.outbox)
    }

    /// Takes in what a read gave.
    pub(super) fn has_read(&mut self, moved: Moved, bytes: &[u8]) {
        match moved {
            Moved::Bytes(0) => self.connection.receive_eof(&mut self.outbox),
            Moved::Bytes(len) => {
                self.append(&bytes[..len]);
                if self.connection.wants_time(&self.outbox) {
                    let now = self.now();
                    self.connection.tick(now, &self.inbox, &mut self.outbox);
                }
            }
            Moved::Nothing => {}
            // TLS that ended without close_notify.
            Moved::Failed(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.connection.receive_eof(&mut self.outbox);
            }
            Moved::Failed(error) => {
                self.broken.get_or_insert(error);
                self.lose(Lost::Transport);
            }
        }
    }

    /// The connection is over, as of now.
    pub(super) fn lose(&mut self, lost: Lost) {
        self.connection.lose(lost, &mut self.outbox);
    }

    /// Writing is over. What the peer sent before it went is still read.
    pub(super) fn break_off(&mut self, error: io::Error) {
        self.outbox.clear();
        self.broken.get_or_insert(error);
    }

    /// Whether what is queued can still be written. Drops it when it cannot.
    pub(super) fn check_writable(&mut self) -> Result<(), Error> {
        match &self.broken {
            None => Ok(()),
            Some(error) => {
                self.outbox.clear();
                Err(Error::Io(copy(error)))
            }
        }
    }

    /// Whether the stream is there: not broken, and the connection not lost.
    pub(super) fn check_alive(&mut self) -> Result<(), Error> {
        self.check_writable()?;
        if self.is_lost() { self.outcome() } else { Ok(()) }
    }

    /// Whether messages can still be sent.
    pub(super) fn is_open(&self) -> bool {
        self.broken.is_none() && self.connection.is_open()
    }

    /// Whether the connection was lost without a closing handshake.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.connection.closed().map(Closed::cause), Some(CloseCause::Lost(_)))
    }

    /// How the connection ended: a clean close is no error.
    pub(super) fn outcome(&self) -> Result<(), Error> {
        match (self.connection.closed().map(Closed::cause), &self.broken) {
            (None | Some(CloseCause::Handshake), _) => Ok(()),
            (Some(CloseCause::Fault(fault)), _) => Err(Error::Fault(fault)),
            (Some(CloseCause::Lost(Lost::Eof | Lost::Transport)), Some(error)) => Err(Error::Io(copy(error))),
            (Some(CloseCause::Lost(lost)), _) => Err(Error::Lost(lost)),
        }
    }

    /// Before waiting: gives back what an idle connection does not need.
    pub(super) fn park(&mut self) {
        if let Some(buffer) = self.inbox.park() {
            pool::give_back(buffer);
        }
        if let Some(buffer) = self.outbox.park() {
            pool::give_back_outgoing(buffer);
        }
    }

    /// Gives the outbox a buffer to queue into.
    #[inline]
    fn lease_outgoing(&mut self) {
        if self.outbox.is_parked() {
            self.outbox.lease(pool::lease_outgoing());
        }
    }

    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.inbox.room(pool::lease);
            // Whatever the room, there is progress: the buffer grows.
            let len = bytes.len().min((room.capacity() - room.len()).max(1));
            room.extend_from_slice(&bytes[..len]);
            self.inbox.advance_received(len);
            bytes = &bytes[len..];
        }
    }
}

/// An `io::Error` cannot be cloned, but it is told more than once.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
