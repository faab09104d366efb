//! How a socket reaches its connection: it has it alone, or shares it.

use super::driver::Driver;
use super::shared::{Held, Shared};
use super::state::State;
use super::transport::Transport;
use crate::connection::{FactOrEnd, Mode};
use crate::error::Error;
use crate::sync::MutexGuard;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

#[derive(Debug)]
pub(super) enum Handle<S> {
    /// It is the only one: no lock.
    Own(Box<Driver<S>>),
    Shared(Arc<Shared<S>>),
}

impl<S> Handle<S> {
    pub(super) fn access(&mut self) -> Access<'_> {
        match self {
            Handle::Own(driver) => Access::Own(&mut driver.state),
            Handle::Shared(shared) => Access::Shared(shared.lock()),
        }
    }
}

impl<S: Transport> Handle<S> {
    /// Waits for the next event, and gives access to what it lends.
    pub(super) fn next_fact(&mut self, mode: Mode) -> (Access<'_>, FactOrEnd) {
        match self {
            Handle::Own(driver) => {
                let fact = driver.next_fact(mode);
                (Access::Own(&mut driver.state), fact)
            }
            Handle::Shared(shared) => {
                let (held, fact) = shared.next_fact(mode);
                (Access::Shared(held), fact)
            }
        }
    }

    /// The stream, for what it knows of the peer. It must not be read meanwhile, in another thread.
    #[cfg(feature = "tls")]
    pub(super) fn with_stream<R>(&mut self, ask: impl FnOnce(&S) -> R) -> R {
        match self {
            Handle::Own(driver) => ask(&driver.stream),
            Handle::Shared(shared) => shared.with_stream(ask),
        }
    }

    /// Waits until what is queued is written.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        match self {
            Handle::Own(driver) => driver.flush(),
            Handle::Shared(shared) => shared.flush(shared.lock()),
        }
    }

    /// Waits until the queue is under its mark.
    pub(super) fn wait_for_room(&mut self) -> Result<(), Error> {
        match self {
            Handle::Own(driver) => driver.wait_for_room(),
            Handle::Shared(shared) => shared.wait_for_room().map(drop),
        }
    }

    /// Bytes that are queued and not written.
    pub(super) fn unsent(&self) -> usize {
        match self {
            Handle::Own(driver) => driver.state.outbox.queued(),
            Handle::Shared(shared) => shared.lock().unsent(),
        }
    }
}

/// The connection, for the time of one operation.
#[derive(Debug)]
pub(super) enum Access<'a> {
    Own(&'a mut State),
    Shared(MutexGuard<'a, Held>),
}

impl Deref for Access<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        match self {
            Access::Own(state) => state,
            Access::Shared(held) => held,
        }
    }
}

impl DerefMut for Access<'_> {
    fn deref_mut(&mut self) -> &mut State {
        match self {
            Access::Own(state) => state,
            Access::Shared(held) => held,
        }
    }
}
