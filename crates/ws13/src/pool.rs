//! Buffers lent for the time of use, a small stock of them for each thread, so that an idle connection holds none.

use crate::connection::{LEASE, OutboxBuffer};
use bytes::BytesMut;
use std::cell::RefCell;

/// Buffers kept for each thread, of each sort: more connections than that are rarely in the middle of a frame.
const KEPT: usize = 16;

/// Larger buffers, for large frames: as many as are kept, and the bytes that they may have together.
const LARGE_KEPT: usize = 8;
const LARGE_KEPT_BYTES: usize = 8 << 20;

/// An outbox's buffer that grew above this is not kept.
const LARGEST_OUTGOING: usize = 256 << 10;

#[derive(Default)]
struct Stock {
    read: Vec<BytesMut>,
    large: Vec<BytesMut>,
    write: Vec<OutboxBuffer>,
}

thread_local! {
    static STOCK: RefCell<Stock> =
        const { RefCell::new(Stock { read: Vec::new(), large: Vec::new(), write: Vec::new() }) };
}

/// An empty buffer to read into: of [`LEASE`] bytes, or of more where one is asked for and at hand.
pub(crate) fn lease(at_least: usize) -> BytesMut {
    let kept = with(|stock| {
        if at_least <= LEASE {
            return stock.read.pop();
        }
        let fits = stock.large.iter().position(|buffer| buffer.capacity() >= at_least)?;
        Some(stock.large.swap_remove(fits))
    });
    match kept.flatten() {
        Some(buffer) => buffer,
        None if at_least <= LEASE => BytesMut::with_capacity(LEASE),
        None => BytesMut::new(),
    }
}

/// Takes a buffer back; keeps it when nobody holds a part of it any more.
pub(crate) fn give_back(mut buffer: BytesMut) {
    buffer.clear();
    if buffer.capacity() < LEASE && !buffer.try_reclaim(LEASE) {
        return;
    }
    with(|stock| match buffer.capacity() {
        size if size < 2 * LEASE && stock.read.len() < KEPT => stock.read.push(buffer),
        size if size >= 2 * LEASE && stock.large.len() < LARGE_KEPT => {
            let kept: usize = stock.large.iter().map(BytesMut::capacity).sum();
            if kept + size <= LARGE_KEPT_BYTES {
                stock.large.push(buffer);
            }
        }
        _ => {}
    });
}

/// An empty buffer to queue frames in.
pub(crate) fn lease_outgoing() -> OutboxBuffer {
    with(|stock| stock.write.pop()).flatten().unwrap_or_default()
}

/// Takes an outbox's buffer back.
pub(crate) fn give_back_outgoing(buffer: OutboxBuffer) {
    with(|stock| {
        if buffer.capacity() <= LARGEST_OUTGOING && stock.write.len() < KEPT {
            stock.write.push(buffer);
        }
    });
}

/// `None` in a thread that is ending and has no stock any more.
fn with<T>(use_stock: impl FnOnce(&mut Stock) -> T) -> Option<T> {
    STOCK.try_with(|stock| use_stock(&mut stock.borrow_mut())).ok()
}
