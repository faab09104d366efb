//! A connection that is used from several threads: its two halves, or its handler and the server that may stop it.

use super::driver::{PEEK, SLICE};
use super::pace::{Moved, Pace};
use super::scratch;
use super::state::State;
use super::transport::{Duplex, Transport};
use crate::close::CloseCode;
use crate::connection::{Closed, FactOrEnd, LEASE, Mode, Stats};
use crate::error::{Error, Lost};
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::time::Timestamp;
use bytes::Buf;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, PoisonError, TryLockError};
use std::time::Duration;

/// Three locks: one for the state, never held while a read or a write waits, and one for each direction of the
/// stream. They are taken in the order reader, state; the writer's is taken by who has set `writing`, and by nobody
/// else.
#[derive(Debug)]
pub(super) struct Shared<S> {
    held: Mutex<Held>,
    reader: Mutex<Reader<S>>,
    writer: Mutex<Writer<S>>,
    /// Told when something was written, when nobody writes any more, and when the connection ended.
    changed: Condvar,
}

/// What the state's lock holds.
#[derive(Debug)]
pub(super) struct Held {
    state: State,
    /// Somebody writes, for all.
    writing: bool,
    /// Threads that wait for their messages to be written, or for room.
    waiting: usize,
    /// Bytes that were taken from the outbox, and are not written.
    in_flight: usize,
    /// When the receiver may try again to write, after the stream took no more.
    retry_at: Timestamp,
}

/// The reading direction of a stream.
#[derive(Debug)]
struct Reader<S> {
    stream: S,
    pace: Pace,
}

/// The writing direction of a stream, and what it has to write next.
#[derive(Debug)]
struct Writer<S> {
    stream: S,
    pace: Pace,
    pending: Vec<u8>,
    /// Bytes of `pending` that are written.
    sent: usize,
    /// The stream may hold bytes that it took and has not written.
    unflushed: bool,
    /// When the stream last took something, or was first given it.
    progress: Timestamp,
}

/// What a writer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Write,
    Flush,
    /// Ends our direction of the stream.
    ShutDown,
    Nothing,
}

/// For how long to write for all.
#[derive(Clone, Copy, Debug)]
enum Until {
    /// The stream takes no more for now, or somebody else waits to write.
    Full,
    /// The bytes up to this count of all that were ever queued are written, and somebody else waits to write; or
    /// nothing is left.
    Written(u64),
}

/// How long one write waits, so that a writer notices an end that the receiver saw.
const WRITE: Duration = Duration::from_millis(250);

/// The receiver's wait is a fraction of the close timeout at most, as another thread may have begun to close.
const CLOSE_FRACTION: u32 = 8;
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

impl<S: Duplex> Shared<S> {
    pub(super) fn new(stream: S, state: State) -> std::io::Result<Arc<Self>> {
        let second = stream.try_clone()?;
        let reader = Reader { stream: second, pace: Pace::default() };
        let writer = Writer {
            stream,
            pace: Pace::default(),
            pending: Vec::new(),
            sent: 0,
            unflushed: false,
            progress: Timestamp::default(),
        };
        let held = Held { state, writing: false, waiting: 0, in_flight: 0, retry_at: Timestamp::default() };
        Ok(Arc::new(Shared {
            held: Mutex::new(held),
            reader: Mutex::new(reader),
            writer: Mutex::new(writer),
            changed: Condvar::new(),
        }))
    }
}

impl<S> Shared<S> {
    pub(super) fn lock(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }
}

impl<S: Transport> Shared<S> {
    /// The stream, of the reader's end.
    #[cfg(feature = "tls")]
    pub(super) fn with_stream<R>(&self, ask: impl FnOnce(&S) -> R) -> R {
        ask(&lock(&self.reader).stream)
    }

    /// Waits for the next event; gives the lock along.
    pub(super) fn next_fact(&self, mode: Mode) -> (MutexGuard<'_, Held>, FactOrEnd) {
        self.next_fact_of(&mut lock(&self.reader), mode)
    }

    /// Waits until there is room in the queue; gives the lock along.
    pub(super) fn wait_for_room(&self) -> Result<MutexGuard<'_, Held>, Error> {
        self.wait(self.lock(), Held::has_room_for_one)
    }

    /// Waits until everything that is queued now is written.
    pub(super) fn flush(&self, held: MutexGuard<'_, Held>) -> Result<(), Error> {
        let goal = held.position();
        self.wait(held, |held| held.is_written(goal)).map(drop)
    }

    /// Writes what the stream takes without much of a wait; the rest is left to who writes, receives or sends next.
    pub(super) fn write_some<'a>(&'a self, mut held: MutexGuard<'a, Held>) -> Result<(), Error> {
        if !held.writing && held.has_work() {
            held = self.write(held, Until::Full);
        }
        held.check_alive()
    }

    /// Begins to close because the server stops.
    pub(super) fn go_away(&self) {
        let mut held = self.lock();
        held.close(Some(CloseCode::GOING_AWAY.into()));
        held.pass_time();
        // How the connection ends, its handler sees.
        let _ = self.write_some(held);
    }

    /// Closes with 1000 what is still open, and sees it through to its end; where somebody else still receives, that
    /// is left to them.
    pub(super) fn finish(&self) {
        self.lock().close(Some(CloseCode::NORMAL.into()));
        let mut reader = match self.reader.try_lock() {
            Ok(reader) => reader,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let _ = self.flush(self.lock());
                return;
            }
        };
        while !matches!(self.next_fact_of(&mut reader, Mode::Whole).1, FactOrEnd::End) {}
    }

    /// What it has done so far; `None` while somebody else is at it.
    pub(super) fn try_stats(&self) -> Option<Stats> {
        match self.held.try_lock() {
            Ok(held) => Some(held.stats()),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner().stats()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// How it ended, and what it did.
    pub(super) fn end(&self) -> (Option<Closed>, Stats) {
        let held = self.lock();
        (held.connection.closed().cloned(), held.stats())
    }

    /// The last round-trip time, the first time that it is asked for.
    pub(super) fn new_round_trip(&self) -> Option<Duration> {
        self.lock().connection.new_round_trip()
    }

    /// Gives the connection up; who waits for it is woken.
    pub(super) fn abandon(&self) {
        self.lock().lose(Lost::Aborted);
        self.changed.notify_all();
    }

    fn next_fact_of(&self, reader: &mut Reader<S>, mode: Mode) -> (MutexGuard<'_, Held>, FactOrEnd) {
        let mut held = self.lock();
        loop {
            if let Some(fact) = held.next_fact(mode) {
                self.tell(&held);
                return (held, fact);
            }
            // Who waits to write has been told that nobody does.
            if !held.writing && held.waiting == 0 && held.has_work() && held.now() >= held.retry_at {
                held = self.write(held, Until::Full);
                continue;
            }
            if held.is_due() {
                // What the peer has said already counts before it is judged.
                held = self.read(reader, held, Some(PEEK));
                held.pass_time();
            } else if !held.pass_time() {
                let limit = held.read_limit();
                held = self.read(reader, held, Some(limit));
            }
            self.tell(&held);
        }
    }

    /// Reads once, without the lock.
    fn read<'a>(
        &'a self,
        reader: &mut Reader<S>,
        mut held: MutexGuard<'a, Held>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, Held> {
        held.park();
        drop(held);
        scratch::with(|target| {
            let moved = reader.pace.read(&mut reader.stream, limit, target);
            let mut held = self.lock();
            held.has_read(moved, target);
            held
        })
    }

    /// Waits until `ready`, writing for all where nobody does.
    fn wait<'a>(
        &'a self,
        mut held: MutexGuard<'a, Held>,
        ready: impl Fn(&Held) -> bool,
    ) -> Result<MutexGuard<'a, Held>, Error> {
        let goal = held.position();
        loop {
            held.check_alive()?;
            if ready(&held) {
                return Ok(held);
            }
            if held.writing {
                held.waiting += 1;
                held = self.changed.wait(held).unwrap_or_else(PoisonError::into_inner);
                held.waiting -= 1;
            } else {
                held = self.write(held, Until::Written(goal));
            }
        }
    }

    /// Writes for all; the lock is not held while a write waits.
    fn write<'a>(&'a self, mut held: MutexGuard<'a, Held>, until: Until) -> MutexGuard<'a, Held> {
        held.writing = true;
        let turn = Turn(self);
        let mut writer = lock(&self.writer);
        loop {
            let work = writer.next_work(&mut held);
            if work == Work::Nothing {
                break;
            }
            drop(held);
            let moved = writer.work(work, until);
            held = self.lock();
            let goes_on = writer.has_worked(work, moved, &mut held, until);
            self.tell(&held);
            if !goes_on {
                break;
            }
        }
        drop(writer);
        std::mem::forget(turn);
        held.writing = false;
        self.tell(&held);
        held
    }

    /// Wakes who waits for a change.
    fn tell(&self, held: &Held) {
        if held.waiting > 0 {
            self.changed.notify_all();
        }
    }
}

impl Held {
    /// The count of all bytes ever queued.
    fn position(&self) -> u64 {
        self.outbox.written() + self.outbox.queued() as u64
    }

    /// Whether the bytes up to this count are written.
    fn is_written(&self, goal: u64) -> bool {
        self.unsent() == 0 || self.outbox.written() >= goal + self.in_flight as u64
    }

    /// Bytes that are queued and not written.
    pub(super) fn unsent(&self) -> usize {
        self.state.outbox.queued() + self.in_flight
    }

    /// Whether the queue takes one more message: it is empty, or under its mark.
    pub(super) fn has_room_for_one(&self) -> bool {
        self.unsent() == 0 || self.has_room(self.in_flight)
    }

    /// Whether a writer has something to do.
    fn has_work(&mut self) -> bool {
        self.in_flight > 0 || self.state.wants_write() || self.state.wants_shutdown()
    }

    /// How long the receiver waits for bytes, at most.
    fn read_limit(&self) -> Duration {
        let close_timeout = self.connection.config().limits.close_timeout;
        let wait = (close_timeout / CLOSE_FRACTION).max(SHORTEST_WAIT);
        let wait = self.limit().map_or(wait, |limit| limit.min(wait));
        if self.unsent() > 0 && !self.writing { wait.min(SLICE) } else { wait }
    }
}

impl<S: Transport> Writer<S> {
    /// What to do next; takes the next bytes of the queue.
    fn next_work(&mut self, held: &mut Held) -> Work {
        if held.is_lost() {
            self.forget(held);
        }
        if self.sent < self.pending.len() {
            return Work::Write;
        }
        self.take(held);
        if !self.pending.is_empty() {
            Work::Write
        } else if self.unflushed {
            Work::Flush
        } else if held.wants_shutdown() {
            Work::ShutDown
        } else {
            // Nothing is kept for an idle connection.
            self.pending = Vec::new();
            Work::Nothing
        }
    }

    fn take(&mut self, held: &mut Held) {
        self.pending.clear();
        self.sent = 0;
        if held.check_writable().is_err() {
            return;
        }
        while self.pending.len() < LEASE && held.wants_write() {
            let chunk = held.outbox.chunk();
            let len = chunk.len().min(LEASE - self.pending.len());
            self.pending.extend_from_slice(&chunk[..len]);
            held.has_written(len);
        }
        held.in_flight = self.pending.len();
        self.progress = held.now();
    }

    /// Works once, without the lock.
    fn work(&mut self, work: Work, until: Until) -> Moved {
        let limit = Some(match until {
            Until::Full => SLICE,
            Until::Written(_) => WRITE,
        });
        let Writer { stream, pace, pending, sent, .. } = self;
        let rest = &pending[*sent..];
        match work {
            Work::Write => pace.write(stream, limit, rest.len(), |stream| stream.write(rest)),
            Work::Flush => pace.write(stream, limit, 0, |stream| stream.flush().map(|()| 0)),
            Work::ShutDown => {
                // When it fails the peer is gone already, and reading will show it.
                let _ = stream.shutdown_write();
                Moved::Bytes(0)
            }
            Work::Nothing => Moved::Bytes(0),
        }
    }

    /// Accounts for what was done; says whether to go on.
    fn has_worked(&mut self, work: Work, moved: Moved, held: &mut Held, until: Until) -> bool {
        match moved {
            Moved::Bytes(len) => {
                if work == Work::ShutDown {
                    held.connection.shut_down();
                }
                self.unflushed = work == Work::Write;
                self.sent += len;
                // It is zero where the connection was lost meanwhile.
                held.in_flight = held.in_flight.saturating_sub(len);
                self.progress = held.now();
                let hand_over = held.waiting > 0;
                match until {
                    Until::Full => self.sent == self.pending.len() && !hand_over,
                    Until::Written(goal) => !(hand_over && held.is_written(goal)),
                }
            }
            Moved::Nothing => self.is_patient(held, until),
            Moved::Failed(error) => {
                held.break_off(error);
                self.forget(held);
                false
            }
        }
    }

    /// After a write that wrote nothing.
    fn is_patient(&mut self, held: &mut Held, until: Until) -> bool {
        let now = held.now();
        if now.since(self.progress) >= held.connection.config().limits.stall_timeout {
            held.lose(Lost::Stalled);
            self.forget(held);
            return false;
        }
        held.retry_at = now + SLICE;
        matches!(until, Until::Written(_))
    }

    fn forget(&mut self, held: &mut Held) {
        self.pending = Vec::new();
        (self.sent, self.unflushed) = (0, false);
        held.in_flight = 0;
    }
}

/// Gives the writing back when the stream panics.
struct Turn<'a, S>(&'a Shared<S>);

impl<S> Drop for Turn<'_, S> {
    fn drop(&mut self) {
        match self.0.held.try_lock() {
            Ok(mut held) => held.writing = false,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().writing = false,
            // The panic came while this thread had the lock, out of the core: never.
            Err(TryLockError::WouldBlock) => {}
        }
        self.0.changed.notify_all();
    }
}

impl Deref for Held {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

/// The core leaves no half-done state behind a panic; a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
