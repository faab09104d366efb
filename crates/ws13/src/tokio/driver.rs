//! The driver: a short loop around the core. Read, receive, write, sleep until the deadline.

use super::lag::Lag;
use super::shared::Writers;
use super::timer::Timer;
use crate::connection::{Connection, FactOrEnd, Inbox, Mode};
use crate::error::{Error, Lost};
use crate::pool;
use crate::state::State;
use crate::trusted;
use bytes::{Buf, BytesMut};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::ops::{Deref, DerefMut};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::unconstrained;
use tokio::time::Instant;

/// A connection on its stream.
#[derive(Debug)]
pub(super) struct Driver<S> {
    pub(super) stream: S,
    state: State,
    timer: Timer,
    /// Bytes handled since we last let others run.
    handled: u32,
    /// The stream may hold bytes that it took and has not written.
    unflushed: bool,
    /// Several tasks may write: those who wait are in `writers`.
    shared: bool,
    /// Who is woken when the stream can take more, from the first time on that somebody waits for it.
    writers: Option<Arc<Writers>>,
    /// How many hold this connection, where it is shared.
    pub(super) holders: u32,
    /// The task that serves this connection.
    task: Option<Waker>,
    /// The task that receives, where another one may come upon its events: a deadline, a read.
    reader: Option<Waker>,
    /// The server has given this connection up.
    abandoned: bool,
    /// What broadcasts have for a peer that lags behind.
    pub(super) lag: Option<Box<Lag>>,
}

/// "Input handled in one go" before other tasks get their turn, in bytes.
const TURN: u32 = 256 << 10;

/// Slices of one vectored write; more do not pay.
const SLICES: usize = 64;

impl<S> Driver<S> {
    /// The server says that the time it was told has come.
    pub(super) fn ring(&mut self) {
        self.timer.ring();
        self.wake_task();
    }

    /// Has the task that serves this connection look at it again.
    pub(super) fn wake_task(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }

    /// Whether something is queued, or in the stream and not flushed.
    pub(super) fn has_unwritten(&self) -> bool {
        !self.outbox.is_empty() || self.unflushed
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(super) fn new(stream: S, connection: Connection, inbox: Inbox) -> Self {
        Driver {
            stream,
            state: State::new(connection, inbox),
            timer: Timer::new(),
            handled: 0,
            unflushed: false,
            shared: false,
            writers: None,
            holders: 0,
            task: None,
            reader: None,
            abandoned: false,
            lag: None,
        }
    }

    pub(super) fn share_writes(&mut self) {
        self.shared = true;
    }

    /// Has a task woken when the stream can take more.
    pub(super) fn add_writer(&mut self, waker: &Waker) {
        self.writers.get_or_insert_default().add(waker);
    }

    /// Those who wait until the stream can take more, to be woken when it never will.
    pub(super) fn writers(&self) -> Option<Arc<Writers>> {
        self.writers.clone()
    }

    pub(super) fn remember_task(&mut self, waker: &Waker) {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(waker)) {
            self.task = Some(waker.clone());
        }
    }

    /// Polls something that may have to wait until the stream takes more; of those who share it, whoever waits is woken then.
    #[inline(always)]
    pub(super) fn poll_among_writers<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // Who is alone is woken by the stream itself.
        let mut listed = !self.shared;
        let polled = loop {
            let polled = poll(self, cx);
            if polled.is_ready() || listed || !self.has_unwritten() {
                break polled;
            }
            self.add_writer(cx.waker());
            // It may have become writable before we were on the list.
            listed = true;
        };
        if let Some(writers) = &self.writers {
            if self.is_lost() {
                writers.wake_all();
            }
        }
        polled
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
        if self.shared && !self.reader.as_ref().is_some_and(|reader| reader.will_wake(waker)) {
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

    /// Writes what the stream takes at once, for a connection that is not one's own; the rest is left to its task, which
    /// knows already where something was left before.
    pub(super) fn write_at_once(&mut self, knows: bool) {
        // How the connection was lost, if it was, its task sees.
        let written = self.flush_now();
        if written.is_pending() && !knows {
            self.leave_writing();
        }
        self.park_outgoing();
    }

    /// Writes what the stream takes now; pending where it does not take all, of which nobody is told.
    ///
    /// Not out of the budget of the task that calls, which is for 128 operations: who sends to thousands would leave most of
    /// them to the tasks of their connections.
    pub(super) fn flush_now(&mut self) -> Poll<Result<(), Error>> {
        let flush = pin!(unconstrained(poll_fn(|cx| self.poll_flush(cx))));
        flush.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Gives back the outbox's buffer, where nothing is queued: its own task may not look at this connection for long.
    pub(super) fn park_outgoing(&mut self) {
        if let Some(buffer) = self.outbox.park() {
            pool::give_back_outgoing(buffer);
        }
    }

    pub(super) fn set_abandoned(&mut self) {
        self.abandoned = true;
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Waits for the next event; what is queued is always written before it waits.
    ///
    /// This and what it calls, down to the stream, are inlined into the caller: see ARCHITECTURE, "Few calls around a system
    /// call".
    #[inline(always)]
    pub(super) fn poll_fact(&mut self, cx: &mut Context<'_>, mode: Mode) -> Poll<FactOrEnd> {
        match self.state.next_fact(mode) {
            Some(fact) => Poll::Ready(fact),
            None => self.poll_fact_to_come(cx, mode),
        }
    }

    /// Waits for an event that is not here yet.
    #[inline(always)]
    fn poll_fact_to_come(&mut self, cx: &mut Context<'_>, mode: Mode) -> Poll<FactOrEnd> {
        loop {
            ready!(self.poll_step(cx));
            if let Some(fact) = self.state.next_fact(mode) {
                return Poll::Ready(fact);
            }
        }
    }

    /// Waits for something from which an event may come.
    #[inline(always)]
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_write(cx).is_ready() && self.wants_shutdown() {
            return self.poll_shutdown(cx);
        }
        if self.handled >= TURN {
            cx.waker().wake_by_ref();
        } else if self.poll_read(cx).is_ready() {
            return Poll::Ready(());
        }
        self.handled = 0;
        if self.poll_time(cx).is_pending() {
            self.park();
            self.remember_reader(cx.waker());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Writes what is queued, until nothing is or the stream takes no more.
    #[inline(always)]
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Every wake-up asks, and most find nothing: where no call is made, no answer goes through memory.
        if !self.has_unwritten() && !self.wants_write() {
            return Poll::Ready(Ok(()));
        }
        self.poll_write_queued(cx)
    }

    /// As `poll_write`, where there is something to write: has all woken who wait for the stream.
    #[inline(always)]
    fn poll_write_queued(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Some(writers) = &self.writers {
            // The stream remembers one waker only: this one wakes all who wait.
            let waker = Waker::from(Arc::clone(writers));
            return self.poll_write_all(&mut Context::from_waker(&waker));
        }
        let polled = self.poll_write_all(cx);
        if polled.is_pending() && self.shared {
            let waker = Waker::from(Arc::clone(self.writers.get_or_insert_default()));
            return self.poll_write_all(&mut Context::from_waker(&waker));
        }
        polled
    }

    /// Waits until everything queued is written.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_write(cx))?;
        Poll::Ready(self.not_lost())
    }

    /// An error when nothing that is queued will ever be written.
    #[inline]
    fn not_lost(&self) -> Result<(), Error> {
        if self.is_lost() { self.outcome() } else { Ok(()) }
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
        if self.has_room(0) {
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
        if self.timer.is_server_late(deadline) {
            // The connection's task tells it.
            self.wake_task();
        }
        ready!(self.timer.poll(deadline, cx));
        self.tick(cx);
        self.wake_reader();
        Poll::Ready(())
    }

    /// From now on the connection's task has the server keep the time.
    pub(super) fn leave_time_to_server(&mut self) {
        self.timer.leave_to_server();
    }

    /// When the server has to wake the connection's task, where it has not been told.
    pub(super) fn time_to_tell_server(&mut self) -> Option<Instant> {
        let deadline = self.connection.deadline()?;
        self.timer.tell_server(deadline)
    }

    /// Tells the core the time; whether anything was due.
    fn tick(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.timer.now();
        if self.connection.deadline().is_some_and(|deadline| now >= deadline) {
            self.look_for_life(cx);
            // It looked with a waker of its own.
            self.wake_reader();
        }
        let due = self.state.tick(now);
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

    #[inline(always)]
    fn poll_write_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.check_writable()?;
        while self.wants_write() {
            match ready!(self.poll_write_some(cx)) {
                Ok(0) => return self.stop_writing(io::ErrorKind::WriteZero.into()),
                Ok(len) => self.has_written(len),
                Err(error) => return self.stop_writing(error),
            }
            self.unflushed = true;
            if self.lag.is_some() {
                self.catch_up();
            }
        }
        // For a lost connection nobody waits.
        if self.unflushed && !self.is_lost() {
            if let Err(error) = ready!(Pin::new(&mut self.stream).poll_flush(cx)) {
                return self.stop_writing(error);
            }
        }
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    #[inline(always)]
    fn poll_write_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let outbox = &self.state.outbox;
        let first = outbox.chunk();
        if first.len() == outbox.queued() || !stream.is_write_vectored() {
            return stream.poll_write(cx, first).map(|written| at_most(first.len(), written?));
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = outbox.chunks_vectored(&mut slices);
        let offered = slices[..filled].iter().map(|slice| slice.len()).sum();
        stream.poll_write_vectored(cx, &slices[..filled]).map(|written| at_most(offered, written?))
    }

    /// Writing is over. What the peer sent before it went is still read.
    fn stop_writing(&mut self, error: io::Error) -> Poll<Result<(), Error>> {
        self.unflushed = false;
        self.lag = None;
        self.break_off(error);
        Poll::Ready(self.check_writable())
    }

    /// Reads once; ready when there is something new to handle.
    #[inline(always)]
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let room = self.state.inbox.room(pool::lease);
        match ready!(poll_read_buf(&mut self.stream, cx, room)) {
            Ok(0) => self.lose(Lost::Eof),
            Ok(len) => self.has_read(len),
            Err(error) => self.reading_failed(error),
        }
        Poll::Ready(())
    }

    fn has_read(&mut self, len: usize) {
        self.handled = self.handled.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
        self.inbox.advance_received(len);
        if self.connection.wants_time(&self.outbox) {
            let now = self.timer.now();
            self.state.tick(now);
        }
    }
}

impl<S> Deref for Driver<S> {
    type Target = State;

    #[inline]
    fn deref(&self) -> &State {
        &self.state
    }
}

impl<S> DerefMut for Driver<S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

/// Reads once into a buffer's spare capacity, without writing zeros there first; how many bytes came.
///
/// It is `AsyncReadExt::read_buf` without a future of its own, which the compiler does not inline.
#[inline(always)]
fn poll_read_buf<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    let mut room = ReadBuf::uninit(buffer.spare_capacity_mut());
    let start = room.filled().as_ptr();
    ready!(Pin::new(stream).poll_read(cx, &mut room))?;
    assert_eq!(
        room.filled().as_ptr(),
        start,
        "a stream reads into the buffer that it is given, not into another one"
    );
    let len = room.filled().len();
    trusted::appended(buffer, len);
    Poll::Ready(Ok(len))
}

/// A stream that claims to have written more than it was given has lost its place.
#[inline]
fn at_most(offered: usize, written: usize) -> io::Result<usize> {
    if written > offered {
        return Err(io::Error::other("the stream says that it wrote more than it was given"));
    }
    Ok(written)
}
