//! Buffers lent for the time of use, a small stock of them for each thread, so that an idle connection holds none.

use crate::connection::LEASE;
use bytes::BytesMut;
use std::cell::RefCell;

/// Buffers kept for each thread, of each sort: more connections than that are rarely in the middle of a frame.
const KEPT: usize = 16;

/// An outbox's buffer that grew above this is not kept.
const LARGEST_KEPT: usize = 256 << 10;

#[derive(Default)]
struct Stock {
    read: Vec<BytesMut>,
    write: Vec<Vec<u8>>,
}

thread_local! {
    static STOCK: RefCell<Stock> = const { RefCell::new(Stock { read: Vec::new(), write: Vec::new() }) };
}

/// An empty buffer of [`LEASE`] bytes to read into.
pub(crate) fn lease() -> BytesMut {
    let kept = STOCK.try_with(|stock| stock.borrow_mut().read.pop()).ok().flatten();
    kept.unwrap_or_else(|| BytesMut::with_capacity(LEASE))
}

/// Takes a buffer back; keeps it when nobody holds a part of it any more.
pub(crate) fn give_back(mut buffer: BytesMut) {
    buffer.clear();
    if buffer.capacity() < LEASE && !buffer.try_reclaim(LEASE) {
        return;
    }
    if buffer.capacity() > LARGEST_KEPT {
        return;
    }
    // A thread that ends has no stock any more; the buffer is dropped.
    let _ = STOCK.try_with(|stock| {
        let stock = &mut stock.borrow_mut().read;
        if stock.len() < KEPT {
            stock.push(buffer);
        }
    });
}

/// An empty buffer to queue frames in.
pub(crate) fn lease_outgoing() -> Vec<u8> {
    STOCK.try_with(|stock| stock.borrow_mut().write.pop()).ok().flatten().unwrap_or_default()
}

/// Takes an outbox's buffer back.
pub(crate) fn give_back_outgoing(buffer: Vec<u8>) {
    if buffer.capacity() > LARGEST_KEPT {
        return;
    }
    let _ = STOCK.try_with(|stock| {
        let stock = &mut stock.borrow_mut().write;
        if stock.len() < KEPT {
            stock.push(buffer);
        }
    });
}
