//! A connection without its stream and clock, as both drivers hold it: the core, its buffers, and how the stream broke.

use crate::close::CloseFrame;
use crate::connection::{
    CloseCause, Closed, Connection, Event, FactOrEnd, Inbox, Mode, Outbox, Outgoing, Output, Stats,
};
use crate::error::{Error, Lost, Misuse};
use crate::message::Kind;
#[cfg(feature = "tokio")]
use crate::message::Message;
use crate::pool;
use crate::time::Timestamp;
use bytes::Buf;
use std::any::Any;
use std::io;

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) connection: Connection,
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    /// Why the stream cannot be written or read any more.
    broken: Option<io::Error>,
    /// What lasts as long as the connection, such as its place among those of a server.
    held: Option<Box<Held>>,
}

/// In a box, so that it is one word in the many that have none.
#[derive(Debug, Default)]
struct Held {
    #[allow(dead_code, reason = "it is there to be dropped")]
    anything: Option<Box<dyn Any + Send + Sync>>,
    /// A client's, until its end is reported.
    #[cfg(feature = "tracing")]
    span: Option<tracing::Span>,
}

impl State {
    pub(crate) fn new(connection: Connection, inbox: Inbox) -> Self {
        State { connection, inbox, outbox: Outbox::new(), broken: None, held: None }
    }

    /// Keeps this until the connection is dropped.
    pub(crate) fn hold(&mut self, held: impl Send + Sync + 'static) {
        self.held.get_or_insert_default().anything = Some(Box::new(held));
    }

    /// Has the end reported in this span.
    #[cfg(feature = "tracing")]
    pub(crate) fn report_in(&mut self, span: tracing::Span) {
        self.held.get_or_insert_default().span = Some(span);
    }

    #[cfg(feature = "tracing")]
    #[cold]
    fn report_end(&mut self) {
        if let Some(span) = self.held.as_mut().and_then(|held| held.span.take()) {
            span.in_scope(|| crate::trace::closed(self.connection.closed(), &self.stats()));
        }
    }

    /// Queues a message.
    #[inline(always)]
    pub(crate) fn send(&mut self, message: Outgoing<'_>) -> Result<(), Misuse> {
        self.lease_outgoing();
        self.connection.send(message, &mut self.outbox)
    }

    pub(crate) fn ping(&mut self, payload: &[u8]) -> Result<(), Misuse> {
        self.lease_outgoing();
        self.connection.ping(payload, &mut self.outbox)
    }

    pub(crate) fn pong(&mut self, payload: &[u8]) -> Result<(), Misuse> {
        self.lease_outgoing();
        self.connection.pong(payload, &mut self.outbox)
    }

    /// Queues a part of a message, and before the first one begins it.
    pub(crate) fn send_part(&mut self, begin: Option<Kind>, part: &[u8], last: bool) -> Result<(), Misuse> {
        if let Some(kind) = begin {
            self.connection.begin_message(kind)?;
        }
        self.lease_outgoing();
        self.connection.send_part(part, last, &mut self.outbox)
    }

    pub(crate) fn close(&mut self, frame: Option<CloseFrame>) {
        self.connection.close(frame, &mut self.outbox);
    }

    /// The next event that the inbox holds; after the end, the end.
    #[inline(always)]
    pub(crate) fn next_fact(&mut self, mode: Mode) -> Option<FactOrEnd> {
        match self.connection.short_fact(&mut self.inbox, mode) {
            Some(fact) => Some(fact),
            None if self.connection.awaits_frame(&self.inbox) => None,
            None => self.next_fact_of_any_kind(mode),
        }
    }

    fn next_fact_of_any_kind(&mut self, mode: Mode) -> Option<FactOrEnd> {
        let fact = self.connection.next_fact(&mut self.inbox, &mut self.outbox, mode);
        #[cfg(feature = "tracing")]
        if let Some(FactOrEnd::End) = fact {
            self.report_end();
        }
        fact.or(self.connection.has_ended().then_some(FactOrEnd::End))
    }

    /// A small message that is next, and here already, for keeps: what `next_fact` would give, made where it is needed.
    #[cfg(feature = "tokio")]
    #[inline(always)]
    pub(crate) fn next_small_message(&mut self) -> Option<Message> {
        self.connection.next_small_message(&mut self.inbox)
    }

    /// The next event that is here already, when there is room to answer it; the end is left to `next_fact`.
    #[inline(always)]
    pub(crate) fn next_fact_with_room(&mut self) -> Option<FactOrEnd> {
        if !self.has_room(0) {
            return None;
        }
        self.next_fact(Mode::Whole).filter(|fact| matches!(fact, FactOrEnd::Fact(_)))
    }

    /// The event of a fact.
    #[inline(always)]
    pub(crate) fn event(&mut self, fact: FactOrEnd) -> Event<'_> {
        self.connection.event(fact, &mut self.inbox)
    }

    /// The event of a fact, and the output to answer it with.
    #[inline(always)]
    pub(crate) fn event_and_output(&mut self, fact: FactOrEnd) -> (Event<'_>, Output<'_>) {
        self.lease_outgoing();
        self.connection.event_and_output(fact, &mut self.inbox, &mut self.outbox)
    }

    /// Whether there is something to write, now.
    pub(crate) fn wants_write(&mut self) -> bool {
        self.connection.wants_write(&mut self.outbox)
    }

    /// The first `len` queued bytes are gone.
    pub(crate) fn has_written(&mut self, len: usize) {
        self.outbox.advance(len);
        if let Some(buffer) = self.outbox.take_spent() {
            pool::give_back(buffer);
        }
    }

    /// Whether our direction of the stream is to be ended, now.
    pub(crate) fn wants_shutdown(&self) -> bool {
        self.connection.wants_shutdown(&self.outbox)
    }

    /// Whether the queue is under its mark, with `unsent` bytes taken from it and not written.
    pub(crate) fn has_room(&self, unsent: usize) -> bool {
        self.outbox.queued() + unsent < self.connection.config().limits.queue_mark
    }

    /// Whether the end has been given out.
    #[cfg(feature = "tokio")]
    pub(crate) fn has_ended(&self) -> bool {
        self.connection.has_ended()
    }

    /// Tells the core the time; whether anything was due.
    pub(crate) fn tick(&mut self, now: Timestamp) -> bool {
        self.connection.tick(now, &self.inbox, &mut self.outbox)
    }

    /// Reading is over, with an error.
    pub(crate) fn reading_failed(&mut self, error: io::Error) {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            // TLS that ended without close_notify.
            self.lose(Lost::Eof);
        } else {
            self.broken.get_or_insert(error);
            self.lose(Lost::Transport);
        }
    }

    /// What the connection has done so far.
    pub(crate) fn stats(&self) -> Stats {
        self.connection.stats(&self.inbox, &self.outbox)
    }

    /// The connection is over, as of now.
    pub(crate) fn lose(&mut self, lost: Lost) {
        self.connection.lose(lost, &mut self.outbox);
    }

    /// Writing is over. What the peer sent before it went is still read.
    pub(crate) fn break_off(&mut self, error: io::Error) {
        self.outbox.clear();
        self.broken.get_or_insert(error);
    }

    /// Whether what is queued can still be written. Drops it when it cannot.
    pub(crate) fn check_writable(&mut self) -> Result<(), Error> {
        match &self.broken {
            None => Ok(()),
            Some(error) => {
                self.outbox.clear();
                Err(Error::Io(copy(error)))
            }
        }
    }

    /// Whether the stream is there: not broken, and the connection not lost.
    pub(crate) fn check_alive(&mut self) -> Result<(), Error> {
        self.check_writable()?;
        if self.is_lost() { self.outcome() } else { Ok(()) }
    }

    /// Whether messages can still be sent.
    pub(crate) fn is_open(&self) -> bool {
        self.broken.is_none() && self.connection.is_open()
    }

    /// Whether the connection was lost without a closing handshake.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self.connection.closed().map(Closed::cause), Some(CloseCause::Lost(_)))
    }

    /// How the connection ended: a clean close is no error.
    pub(crate) fn outcome(&self) -> Result<(), Error> {
        match (self.connection.closed().map(Closed::cause), &self.broken) {
            (None | Some(CloseCause::Handshake), _) => Ok(()),
            (Some(CloseCause::Fault(fault)), _) => Err(Error::Fault(fault)),
            (Some(CloseCause::Lost(Lost::Eof | Lost::Transport)), Some(error)) => Err(Error::Io(copy(error))),
            (Some(CloseCause::Lost(lost)), _) => Err(Error::Lost(lost)),
        }
    }

    /// Before waiting: gives back what an idle connection does not need.
    pub(crate) fn park(&mut self) {
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
}

/// A socket may be dropped before its end.
#[cfg(feature = "tracing")]
impl Drop for State {
    fn drop(&mut self) {
        self.report_end();
    }
}

/// An `io::Error` cannot be cloned, but it is told more than once.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
