//! Compressing messages: a function of the window and the message, which is put into the window only when its frame
//! is queued.

use super::pool::{self, Buffer, Encoder, Owner, Shape};
use super::window::Window;
use super::{Deflate, Half};
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

/// "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end" (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// What a connection keeps for the messages that it sends compressed.
pub(crate) struct Deflation {
    window: Window,
    owner: Owner,
    /// The encoder of the message that is being written in parts.
    parts: Option<std::boxed::Box<Encoder>>,
}

impl Deflation {
    pub(crate) fn new(half: Half, settings: &Deflate) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let reach = if half.takeover { 1 << half.window_bits } else { 0 };
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Deflation {
            window: Window::new(settings.send_window.min(reach)),
            owner: Owner { id, bytes: 0 },
            parts: None,
        }
    }

    /// Has `queue` queue the message, compressed, where that makes it smaller; says whether it did.
    pub(crate) fn message(
        &mut self,
        half: Half,
        settings: &Deflate,
        message: &[u8],
        queue: impl FnOnce(&[u8]),
    ) -> bool {
        let mut out = pool::take_buffer(Buffer::Output);
        let owner = half.takeover.then_some(self.owner);
        let shape = shape(half, settings);
        let compressed = pool::with_encoder(shape, &self.window, owner, |encoder| {
            let written = encoder.flush(message, &mut out);
            // The empty message has no tail; it could not get smaller.
            let smaller = out[..written].strip_suffix(&TAIL);
            let smaller = smaller.filter(|bytes| bytes.len() < message.len()).map(<[u8]>::len);
            (smaller, smaller.map(|_| message.len()))
        });
        if let Some(len) = compressed {
            queue(&out[..len]);
            self.commit(message);
        }
        pool::give_buffer(Buffer::Output, out);
        compressed.is_some()
    }

    /// Begins a message that is written in parts.
    pub(crate) fn begin(&mut self, half: Half, settings: &Deflate) {
        self.parts = Some(std::boxed::Box::new(pool::take_encoder(shape(half, settings), &self.window)));
    }

    /// Has `queue` queue a part of a message, compressed, where the message was begun so; says whether it did.
    pub(crate) fn part(&mut self, part: &[u8], last: bool, queue: impl FnOnce(&[u8])) -> bool {
        let Some(mut encoder) = self.parts.take() else { return false };
        let mut out = pool::take_buffer(Buffer::Output);
        let written = if part.is_empty() { 0 } else { encoder.flush(part, &mut out) };
        match out[..written].strip_suffix(&TAIL) {
            Some(cut) if last => queue(cut),
            // An empty block that ends at a byte: what is left of it without its tail.
            None if last => queue(&[0]),
            _ => queue(&out[..written]),
        }
        self.commit(part);
        pool::give_buffer(Buffer::Output, out);
        if last {
            pool::give_encoder(*encoder);
        } else {
            self.parts = Some(encoder);
        }
        true
    }

    fn commit(&mut self, message: &[u8]) {
        self.window.append(message);
        self.owner.bytes += message.len() as u64;
    }
}

fn shape(half: Half, settings: &Deflate) -> Shape {
    Shape { level: settings.level, memory_level: settings.memory_level, window_bits: half.window_bits }
}

impl fmt::Debug for Deflation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflation").field("window", &self.window).finish_non_exhaustive()
    }
}
