//! What goes wrong on a line: in pieces, late, up to a byte, or from a word on.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// What happens to a line in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Reading comes to the end of the stream, while writing may go on: the peer ended its direction. Writing fails as
    /// it does when the peer has gone (`BrokenPipe`).
    End,
    /// It fails, from now on.
    Error(io::ErrorKind),
    /// Nothing moves any more, until [`Faults::heal`].
    Stall,
    /// Nothing moves for so long; then it goes on.
    Pause(Duration),
    /// What is written is lost, and nobody notices: a cable was cut far away. Reading stalls.
    Swallow,
}

impl Fault {
    /// The connection is reset.
    pub const RESET: Fault = Fault::Error(io::ErrorKind::ConnectionReset);
}

/// The faults of a line. A clone speaks of the same line, so that a test can change it while it is in use.
///
/// Bytes are counted as they come to the line: handshakes are not part of what a [`Pair`](super::Pair) transports.
#[derive(Clone, Default)]
pub struct Faults(Arc<Line>);

#[derive(Default)]
struct Line {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    read: Direction,
    write: Direction,
}

#[derive(Debug, Default)]
struct Direction {
    most: Option<usize>,
    delay: Option<Duration>,
    /// Sorted by the byte at which they happen.
    faults: Vec<(u64, Fault)>,
    moved: u64,
    /// Who waits for a stall to end.
    waker: Option<Waker>,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Read,
    Write,
}

/// What a call may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Move so many bytes at most.
    Move(usize),
    Fault(Fault),
}

impl Faults {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Faults::default()
    }

    /// Moves at most `most` bytes in one call, in both directions; 0 counts as 1.
    #[must_use]
    pub fn split(self, most: usize) -> Self {
        self.change(|state| {
            state.read.most = Some(most.max(1));
            state.write.most = Some(most.max(1));
        })
    }

    /// Gives what is read, each time, so much later.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.change(|state| state.read.delay = Some(delay))
    }

    /// Has this happen when so many bytes were read.
    #[must_use]
    pub fn read_at(self, bytes: u64, fault: Fault) -> Self {
        self.change(|state| state.read.plan(bytes, fault))
    }

    /// Has this happen when so many bytes were written.
    #[must_use]
    pub fn write_at(self, bytes: u64, fault: Fault) -> Self {
        self.change(|state| state.write.plan(bytes, fault))
    }

    /// Has this happen to reading, now.
    pub fn read_now(&self, fault: Fault) {
        self.clone().change(|state| state.read.plan_now(fault));
    }

    /// Has this happen to writing, now.
    pub fn write_now(&self, fault: Fault) {
        self.clone().change(|state| state.write.plan_now(fault));
    }

    /// From now on nothing goes wrong: what stalled goes on. What was swallowed stays lost.
    pub fn heal(&self) {
        self.clone().change(|state| {
            state.read.faults.clear();
            state.write.faults.clear();
        });
    }

    /// How many bytes were read so far, and how many written.
    #[must_use]
    pub fn moved(&self) -> (u64, u64) {
        let state = self.lock();
        (state.read.moved, state.write.moved)
    }

    /// What a call that has room for `len` bytes, or has them to write, may do.
    pub(super) fn turn(&self, way: Way, len: usize) -> Turn {
        self.lock().direction(way).turn(len)
    }

    pub(super) fn moved_by(&self, way: Way, len: usize) {
        self.lock().direction(way).moved += len as u64;
    }

    /// A pause is over.
    pub(super) fn go_on(&self, way: Way) {
        let mut state = self.lock();
        let direction = state.direction(way);
        if matches!(direction.faults.first(), Some((_, Fault::Pause(_)))) {
            direction.faults.remove(0);
        }
    }

    pub(super) fn read_delay(&self) -> Option<Duration> {
        self.lock().read.delay
    }

    /// Wakes this task when something changes.
    pub(super) fn wake_later(&self, way: Way, waker: &Waker) {
        self.lock().direction(way).waker = Some(waker.clone());
    }

    /// Blocks until something changes, or for `timeout`; `None`: for ever.
    pub(super) fn wait(&self, timeout: Option<Duration>) {
        let state = self.lock();
        match timeout {
            Some(timeout) => drop(self.0.changed.wait_timeout(state, timeout)),
            None => drop(self.0.changed.wait(state)),
        }
    }

    fn change(self, change: impl FnOnce(&mut State)) -> Self {
        let mut state = self.lock();
        change(&mut state);
        let wakers = [state.read.waker.take(), state.write.waker.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        self.0.changed.notify_all();
        self
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faults").field(&*self.lock()).finish()
    }
}

impl State {
    fn direction(&mut self, way: Way) -> &mut Direction {
        match way {
            Way::Read => &mut self.read,
            Way::Write => &mut self.write,
        }
    }
}

impl Direction {
    fn plan(&mut self, bytes: u64, fault: Fault) {
        self.faults.push((bytes, fault));
        // Stable: those for the same byte come in the order in which they were named.
        self.faults.sort_by_key(|&(at, _)| at);
    }

    fn plan_now(&mut self, fault: Fault) {
        self.faults.insert(0, (self.moved, fault));
    }

    fn turn(&self, len: usize) -> Turn {
        let most = self.most.map_or(len, |most| most.min(len));
        match self.faults.first() {
            Some(&(at, fault)) if self.moved >= at => Turn::Fault(fault),
            Some(&(at, _)) => Turn::Move(most.min(usize::try_from(at - self.moved).unwrap_or(most))),
            None => Turn::Move(most),
        }
    }
}
