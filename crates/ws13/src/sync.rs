//! The locks and pauses of the shared connections: std's, or those of a scheduler that tries many orders of the threads.

#[cfg(not(all(test, ws13_shuttle)))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(all(test, ws13_shuttle)))]
pub(crate) use std::thread::sleep;

#[cfg(all(test, ws13_shuttle))]
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
#[cfg(all(test, ws13_shuttle))]
pub(crate) use shuttle::thread::sleep;
