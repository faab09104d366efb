//! Buffers of a thread, lent for the time of use, so that the same few stay in the caches.

use bytes::BytesMut;
use ws13::connection::OutboxBuffer;

/// Bytes of a buffer to receive into.
pub const SIZE: usize = 64 << 10;

#[derive(Default)]
pub struct Stock {
    ready: Vec<BytesMut>,
    /// Parts of these are still being sent.
    shared: Vec<BytesMut>,
    /// Of at least twice [`SIZE`], for large frames.
    large: Vec<BytesMut>,
    outgoing: Vec<OutboxBuffer>,
}

impl Stock {
    /// An empty buffer of so many bytes, at least of [`SIZE`]; or, where that is more and none is at hand, a smaller one.
    pub fn lease(&mut self, at_least: usize) -> BytesMut {
        if at_least > SIZE {
            let fits = self.large.iter().position(|buffer| buffer.capacity() >= at_least);
            return fits.map_or_else(BytesMut::new, |fits| self.large.swap_remove(fits));
        }
        if let Some(buffer) = self.ready.pop() {
            return buffer;
        }
        match self.shared.iter_mut().position(|buffer| buffer.try_reclaim(SIZE)) {
            Some(free) => self.shared.swap_remove(free),
            None => BytesMut::with_capacity(SIZE),
        }
    }

    pub fn give_back(&mut self, mut buffer: BytesMut) {
        buffer.clear();
        match buffer.capacity() {
            size if size >= 2 * SIZE && self.large.len() == LARGE_KEPT => {}
            size if size >= 2 * SIZE => self.large.push(buffer),
            size if size >= SIZE || buffer.try_reclaim(SIZE) => self.ready.push(buffer),
            _ if self.shared.len() < SHARED_KEPT => self.shared.push(buffer),
            _ => {}
        }
    }

    /// An empty buffer to queue frames in.
    pub fn lease_outgoing(&mut self) -> OutboxBuffer {
        self.outgoing.pop().unwrap_or_default()
    }

    pub fn give_back_outgoing(&mut self, buffer: OutboxBuffer) {
        self.outgoing.push(buffer);
    }
}

const LARGE_KEPT: usize = 8;
const SHARED_KEPT: usize = 128;
