//! The driver: a short loop around the core. Read, receive, write, sleep until the deadline.

use super::timer::Timer;
use crate::close::CloseFrame;
use crate::connection::Outgoing;
use crate::connection::{CloseCause, Closed, Connection, Event, FactOrEnd, Inbox, Mode, Outbox, Output};
use crate::error::{Error, Lost, Misuse};
use crate::message::Kind;
use crate::pool;
use bytes::Buf;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// A connection on its stream.
#[derive(Debug)]
pub(super) struct Driver<S> {
    pub(super) stream: S,
    pub(super) connection: Connection,
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    timer: Timer,
    /// Bytes handled since we last let others run.
    handled: usize,
    /// The stream may hold bytes that it took and has not written.
    unflushed: bool,
    /// Why the stream cannot be written or read any more.
    broken: Option<io::Error>,
    /// The end has been given out.
    ended: bool,
    /// Who is woken when the stream can take more, where that may be several tasks.
    write_waker: Option<Waker>,
    /// How many hold this connection, where it is shared.
    pub(super) holders: usize,
    /// The task that serves this connection.
    task: Option<Waker>,
    /// The task that receives, where another one may come upon its events: a deadline, a read.
    reader: Option<Waker>,
    /// The server has given this connection up.
    abandoned: bool,
}

/// "Input handled in one go" before other tasks get their turn, in bytes.
const TURN: usize = 256 << 10;

/// Slices of one vectored write; more do not pay.
const SLICES: usize = 64;

impl<S> Driver<S> {
    /// Has the task that serves this connection look at it again.
    pub(super) fn wake_task(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }

    /// Whether messages can still be sent.
    pub(super) fn is_open(&self) -> bool {
        self.broken.is_none() && self.connection.is_open()
    }

    /// Whether something is queued, or in the stream and not flushed.
    pub(super) fn has_unwritten(&self) -> bool {
        !self.outbox.is_empty() || self.unflushed
    }

    /// Whether the connection was lost, so that nothing more is written.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.connection.closed().map(Closed::cause), Some(CloseCause::Lost(_)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(super) fn new(stream: S, connection: Connection, inbox: Inbox) -> Self {
        Driver {
            stream,
            connection,
            inbox,
            outbox: Outbox::new(),
            timer: Timer::new(),
            handled: 0,
            unflushed: false,
            broken: None,
            ended: false,
            write_waker: None,
            holders: 0,
            task: None,
            reader: None,
            abandoned: false,
        }
    }

    pub(super) fn share_writes(&mut self, waker: Waker) {
        self.write_waker = Some(waker);
    }

    pub(super) fn remember_task(&mut self, waker: &Waker) {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(waker)) {
            self.task = Some(waker.clone());
        }
    }

    /// As `poll`, for one who has no timer: who receives has to keep the time of what now waits to be written.
    pub(super) fn poll_for_sender(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<Result<(), Error>>,
    ) -> Poll<Result<(), Error>> {
        let polled = poll(self, cx);
        if polled.is_pending() && self.connection.wants_time(&self.outbox) {
            self.wake_reader();
            self.wake_task();
        }
        polled
    }

    fn remember_reader(&mut self, waker: &Waker) {
        if self.write_waker.is_some() && !self.reader.as_ref().is_some_and(|reader| reader.will_wake(waker)) {
            self.reader = Some(waker.clone());
        }
    }

    pub(super) fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Has somebody write on what could not be written at once: the task that serves the connection, or receives.
    pub(super) fn leave_writing(&self) {
        if let Some(task) = self.task.as_ref().or(self.reader.as_ref()) {
            task.wake_by_ref();
        }
    }

    pub(super) fn set_abandoned(&mut self) {
        self.abandoned = true;
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
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

    /// The next fact that is here already, when there is room to answer it.
    #[inline(always)]
    pub(super) fn next_fact_with_room(&mut self) -> Option<FactOrEnd> {
        if self.outbox.queued() >= self.connection.config().limits.queue_mark {
            return None;
        }
        match self.connection.next_fact(&mut self.inbox, &mut self.outbox, Mode::Whole)? {
            FactOrEnd::End => {
                // `poll_fact` gives it again.
                self.ended = true;
                None
            }
            fact => Some(fact),
        }
    }

    /// The event of a fact, and the output to answer it with.
    #[inline(always)]
    pub(super) fn event_and_output(&mut self, fact: FactOrEnd) -> (Event<'_>, Output<'_>) {
        self.lease_outgoing();
        self.connection.event_and_output(fact, &mut self.inbox, &mut self.outbox)
    }

    /// Gives the outbox a buffer to queue into.
    #[inline]
    fn lease_outgoing(&mut self) {
        if self.outbox.is_parked() {
            self.outbox.lease(pool::lease_outgoing());
        }
    }

    /// Waits for the next event; what is queued is always written before it waits.
    #[inline]
    pub(super) fn poll_fact(&mut self, cx: &mut Context<'_>, mode: Mode) -> Poll<FactOrEnd> {
        loop {
            if let Some(fact) = self.connection.next_fact(&mut self.inbox, &mut self.outbox, mode) {
                self.ended = matches!(fact, FactOrEnd::End);
                return Poll::Ready(fact);
            }
            if self.ended {
                return Poll::Ready(FactOrEnd::End);
            }
            if self.poll_write(cx).is_ready() && self.connection.wants_shutdown(&self.outbox) {
                ready!(self.poll_shutdown(cx));
                continue;
            }
            if self.handled >= TURN {
                cx.waker().wake_by_ref();
            } else if self.poll_read(cx).is_ready() {
                continue;
            }
            self.handled = 0;
            if self.poll_time(cx).is_ready() {
                continue;
            }
            self.park();
            self.remember_reader(cx.waker());
            return Poll::Pending;
        }
    }

    /// Writes what is queued, until nothing is or the stream takes no more.
    #[inline]
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.outbox.is_empty() && !self.unflushed && !self.connection.wants_write(&mut self.outbox) {
            return Poll::Ready(Ok(()));
        }
        let Some(waker) = self.write_waker.clone() else { return self.poll_write_all(cx) };
        self.poll_write_all(&mut Context::from_waker(&waker))
    }

    /// Waits until everything queued is written.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_write(cx))?;
        Poll::Ready(self.not_lost())
    }

    /// An error when nothing that is queued will ever be written.
    #[inline]
    fn not_lost(&self) -> Result<(), Error> {
        match self.connection.closed().map(Closed::cause) {
            Some(CloseCause::Lost(_)) => self.outcome(),
            _ => Ok(()),
        }
    }

    /// Waits until everything is written, or there is room, and gives up on a peer that takes nothing for too long:
    /// for who has the connection alone.
    #[inline]
    pub(super) fn poll_in_time(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<Result<(), Error>>,
    ) -> Poll<Result<(), Error>> {
        loop {
            if let Poll::Ready(done) = poll(self, cx) {
                return Poll::Ready(done);
            }
            ready!(self.poll_time(cx));
        }
    }

    /// Waits until the queue is under its mark.
    #[inline]
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.outbox.queued() < self.connection.config().limits.queue_mark {
            return Poll::Ready(self.not_lost());
        }
        self.poll_flush(cx)
    }

    /// Ends our direction of the stream.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // When it fails the peer is gone already, and reading will show it.
        let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
        self.connection.shut_down();
        Poll::Ready(())
    }

    /// Lets time pass: ready when something was due.
    pub(super) fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.connection.wants_time(&self.outbox) && self.tick(cx) {
            return Poll::Ready(());
        }
        let Some(deadline) = self.connection.deadline() else { return Poll::Pending };
        ready!(self.timer.poll(deadline, cx));
        self.tick(cx);
        self.wake_reader();
        Poll::Ready(())
    }

    /// Tells the core the time; whether anything was due.
    fn tick(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.timer.now();
        if self.connection.deadline().is_some_and(|deadline| now >= deadline) {
            self.look_for_life(cx);
            // It looked with a waker of its own.
            self.wake_reader();
        }
        let due = self.connection.tick(now, &self.inbox, &mut self.outbox);
        if due {
            self.wake_reader();
        }
        due
    }

    /// Before silence is judged: who is sending, or busy, has not seen what arrived, such as the answer to a Ping.
    fn look_for_life(&mut self, cx: &mut Context<'_>) {
        if self.connection.closed().is_some() {
            return;
        }
        if self.inbox.can_take_more() {
            let _ = self.poll_read(cx);
            self.park();
        } else {
            self.connection.excuse_silence();
        }
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

    /// Gives back what an idle connection does not need.
    fn park(&mut self) {
        if let Some(buffer) = self.inbox.park() {
            pool::give_back(buffer);
        }
        if let Some(buffer) = self.outbox.park() {
            pool::give_back_outgoing(buffer);
        }
    }

    fn poll_write_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Some(error) = &self.broken {
            self.outbox.clear();
            return Poll::Ready(Err(Error::Io(copy(error))));
        }
        while self.connection.wants_write(&mut self.outbox) {
            match ready!(self.poll_write_some(cx)) {
                Ok(0) => return self.break_off(io::ErrorKind::WriteZero.into()),
                Ok(len) => self.outbox.advance(len),
                Err(error) => return self.break_off(error),
            }
            self.unflushed = true;
            if let Some(buffer) = self.outbox.take_spent() {
                pool::give_back(buffer);
            }
        }
        if self.unflushed {
            if let Err(error) = ready!(Pin::new(&mut self.stream).poll_flush(cx)) {
                return self.break_off(error);
            }
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let first = self.outbox.chunk();
        if first.len() == self.outbox.queued() || !stream.is_write_vectored() {
            return stream.poll_write(cx, first).map(|written| at_most(first.len(), written?));
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = self.outbox.chunks_vectored(&mut slices);
        let offered = slices[..filled].iter().map(|slice| slice.len()).sum();
        stream.poll_write_vectored(cx, &slices[..filled]).map(|written| at_most(offered, written?))
    }

    /// Writing is over. What the peer sent before it went is still read.
    fn break_off(&mut self, error: io::Error) -> Poll<Result<(), Error>> {
        self.outbox.clear();
        self.unflushed = false;
        let told = copy(&error);
        self.broken.get_or_insert(error);
        Poll::Ready(Err(Error::Io(told)))
    }

    /// Reads once; ready when there is something new to handle.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let room = self.inbox.room(pool::lease);
        match ready!(pin!(self.stream.read_buf(room)).poll(cx)) {
            Ok(0) => self.connection.receive_eof(&mut self.outbox),
            Ok(len) => self.has_read(len),
            // TLS that ended without close_notify.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.connection.receive_eof(&mut self.outbox);
            }
            Err(error) => {
                self.broken.get_or_insert(error);
                self.connection.lose(Lost::Transport, &mut self.outbox);
            }
        }
        Poll::Ready(())
    }

    fn has_read(&mut self, len: usize) {
        self.handled += len;
        self.inbox.advance_received(len);
        if self.connection.wants_time(&self.outbox) {
            self.connection.tick(self.timer.now(), &self.inbox, &mut self.outbox);
        }
    }
}

/// A stream that claims to have written more than it was given has lost its place.
fn at_most(offered: usize, written: usize) -> io::Result<usize> {
    if written > offered {
        return Err(io::Error::other("the stream says that it wrote more than it was given"));
    }
    Ok(written)
}

/// An `io::Error` cannot be cloned, but it is told more than once.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
