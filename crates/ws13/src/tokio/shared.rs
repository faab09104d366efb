//! A connection that is used from several places: its two halves, or the task that serves it and its handler.

use super::cork::{self, Id};
use super::driver::Driver;
use crate::error::Error;
use crate::sync::{Mutex, MutexGuard};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, PoisonError, TryLockError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use tokio::io::{AsyncRead, AsyncWrite};

/// The one lock of a connection, held for the time of a poll, never across an await.
#[derive(Debug)]
pub(super) struct Shared<S> {
    driver: Mutex<Driver<S>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Shared<S> {
    pub(super) fn new(mut driver: Driver<S>) -> Arc<Self> {
        driver.share_writes();
        Arc::new(Shared { driver: Mutex::new(driver) })
    }

    /// Polls something, and gives the lock along with the answer.
    #[inline(always)]
    pub(super) fn poll_locked<T>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnMut(&mut Driver<S>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<(MutexGuard<'_, Driver<S>>, T)> {
        let mut driver = self.lock();
        driver.poll_among_writers(cx, poll).map(|done| (driver, done))
    }
}

impl<S> Shared<S> {
    pub(super) fn lock(&self) -> MutexGuard<'_, Driver<S>> {
        // The core leaves no half-done state behind a panic; a poisoned lock is as good as any.
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` while somebody else has it.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, Driver<S>>> {
        match self.driver.try_lock() {
            Ok(driver) => Some(driver),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// What a user holds of a shared connection. When the last one goes, the task that serves the connection is woken, to
/// see it through to its end.
#[derive(Debug)]
pub(super) struct Held<S>(Option<Arc<Shared<S>>>);

impl<S> Held<S> {
    pub(super) fn new(shared: Arc<Shared<S>>) -> Self {
        shared.lock().holders += 1;
        Held(Some(shared))
    }
}

impl<S> Held<S> {
    /// The connection, for who does not want to keep it alive.
    pub(super) fn downgrade(&self) -> Weak<Shared<S>> {
        self.0.as_ref().map_or_else(Weak::new, Arc::downgrade)
    }

    fn connection(&self) -> Arc<Shared<S>> {
        Arc::clone(self.0.as_ref().expect("it is taken by drop alone"))
    }
}

impl<S> Clone for Held<S> {
    fn clone(&self) -> Self {
        self.lock().holders += 1;
        Held(self.0.clone())
    }
}

impl<S> Deref for Held<S> {
    type Target = Shared<S>;

    fn deref(&self) -> &Shared<S> {
        self.0.as_ref().expect("it is taken by drop alone")
    }
}

impl<S> Drop for Held<S> {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else { return };
        let mut driver = shared.lock();
        driver.holders -= 1;
        if driver.holders == 0 {
            driver.wake_task();
        }
    }
}

/// Who waits until the stream takes more. The stream itself remembers one waker only: this one.
#[derive(Debug, Default)]
pub(super) struct Writers(Mutex<Vec<Waker>>);

impl Writers {
    pub(super) fn add(&self, waker: &Waker) {
        let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    pub(super) fn wake_all(&self) {
        let wakers = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Wake for Writers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

/// How a handle reaches its connection.
#[derive(Debug)]
pub(super) enum Handle<S> {
    /// It is the only one: no lock.
    Own(Box<Driver<S>>),
    Shared(Held<S>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Handle<S> {
    /// Makes it one of several; gives the connection itself along.
    pub(super) fn share(self) -> (Arc<Shared<S>>, Held<S>) {
        match self {
            Handle::Own(driver) => {
                let shared = Shared::new(*driver);
                (Arc::clone(&shared), Held::new(shared))
            }
            Handle::Shared(held) => (held.connection(), held),
        }
    }

    pub(super) fn access(&mut self) -> Access<'_, S> {
        match self {
            Handle::Own(driver) => Access::Own(driver),
            Handle::Shared(shared) => Access::Shared(shared.lock()),
        }
    }

    /// Polls something that may have to wait until the stream takes more.
    #[inline(always)]
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnMut(&mut Driver<S>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.access().poll_among_writers(cx, poll)
    }

    /// As `poll`, and keeps the time where nobody else does.
    pub(super) fn poll_in_time(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnMut(&mut Driver<S>, &mut Context<'_>) -> Poll<Result<(), Error>>,
    ) -> Poll<Result<(), Error>> {
        match self {
            Handle::Own(driver) => driver.poll_in_time(cx, poll),
            Handle::Shared(shared) => {
                let mut poll = poll;
                let polled = shared.poll_locked(cx, |driver, cx| driver.poll_for_sender(cx, &mut poll));
                polled.map(|(_, done)| done)
            }
        }
    }

    /// Waits until what is queued is written; corked, only until there is room for more.
    #[inline]
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self {
            Handle::Own(driver) => driver.poll_in_time(cx, Driver::poll_flush),
            Handle::Shared(shared) if cork::is_corked(Id::of(&**shared)) => {
                shared.poll_locked(cx, Driver::poll_room).map(|(_, sent)| sent)
            }
            Handle::Shared(shared) => {
                let sent =
                    shared.poll_locked(cx, |driver, cx| driver.poll_for_sender(cx, Driver::poll_flush));
                sent.map(|(_, sent)| sent)
            }
        }
    }
}

/// The connection, for the time of one operation.
#[derive(Debug)]
pub(super) enum Access<'a, S> {
    Own(&'a mut Driver<S>),
    Shared(MutexGuard<'a, Driver<S>>),
}

impl<S> Deref for Access<'_, S> {
    type Target = Driver<S>;

    fn deref(&self) -> &Driver<S> {
        match self {
            Access::Own(driver) => driver,
            Access::Shared(guard) => guard,
        }
    }
}

impl<S> DerefMut for Access<'_, S> {
    fn deref_mut(&mut self) -> &mut Driver<S> {
        match self {
            Access::Own(driver) => driver,
            Access::Shared(guard) => guard,
        }
    }
}

#[cfg(all(test, target_os = "linux", target_pointer_width = "64", not(ws13_shuttle)))]
mod tests {
    use super::*;
    use crate::tokio::net::Stream;

    /// What an idle connection costs, most of all. With its two counts it is 616 bytes: up to there glibc leaves no gap
    /// between it and its task, which is aligned to 128 bytes; eight more cost 100.
    #[test]
    fn a_connection_fits_beside_its_task() {
        assert!(size_of::<Shared<Stream>>() <= 600, "{}", size_of::<Shared<Stream>>());
    }
}
