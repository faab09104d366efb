//! A buffer for each thread to read into: `Read` wants bytes that are initialized, so they are once, and what was read
//! is copied on.

use crate::connection::LEASE;
use std::cell::Cell;

thread_local! {
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Runs `read` with the buffer. It is taken out meanwhile, as `read` may be a stream that uses this driver itself.
pub(super) fn with<R>(read: impl FnOnce(&mut [u8]) -> R) -> R {
    let kept = SCRATCH.try_with(Cell::take).ok().flatten();
    let mut scratch = kept.unwrap_or_else(|| vec![0; LEASE].into());
    let result = read(&mut scratch);
    // A thread that ends has no place for it any more; the buffer is dropped.
    let _ = SCRATCH.try_with(|place| place.set(Some(scratch)));
    result
}
