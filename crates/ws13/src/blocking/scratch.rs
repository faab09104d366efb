//! Buffers for each thread to read into: `Read` wants bytes that are initialized, so they are once, and what was read
//! is copied on.

use crate::connection::LEASE;
use std::cell::Cell;

thread_local! {
    static SCRATCH: Cell<Vec<Box<[u8]>>> = const { Cell::new(Vec::new()) };
}

/// Buffers that a thread keeps: one for a plain stream, one more for TLS on top of it.
const KEPT: usize = 2;

/// Runs `read` with a buffer. It is taken out meanwhile, as `read` may be a stream that reads by a buffer, too.
pub(super) fn with<R>(read: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut scratch = with_kept(Vec::pop).flatten().unwrap_or_else(|| vec![0; LEASE].into());
    let result = read(&mut scratch);
    with_kept(|kept| {
        if kept.len() < KEPT {
            kept.push(scratch);
        }
    });
    result
}

/// `None` in a thread that ends: it has no place for them any more.
fn with_kept<R>(change: impl FnOnce(&mut Vec<Box<[u8]>>) -> R) -> Option<R> {
    let place = |place: &Cell<Vec<Box<[u8]>>>| {
        let mut kept = place.take();
        let result = change(&mut kept);
        place.set(kept);
        result
    };
    SCRATCH.try_with(place).ok()
}
