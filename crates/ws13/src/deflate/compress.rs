//! Compressing messages: a function of the window and the message, which is put into the window only when its frame
//! is queued.

use super::common::{Common, Run};
use super::pool::{self, Buffer, Encoder, Owner, Shape};
use super::small::{self, Manner};
use super::window::Window;
use super::{Deflate, Half};
use bytes::Bytes;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use std::boxed::Box;
use std::sync::Arc;

/// "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end" (RFC 7692 section 7.2.1).
pub(super) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// A message of less bytes hardly ever gets smaller by itself; the ones after it do where it is in the window.
pub(super) const SHORT: usize = 512;

/// What a short message may cost more, in bytes, where the window has little: so that there is something to refer back to.
pub(super) const INVESTED: usize = 8;

/// What a connection keeps for the messages that it sends compressed.
pub(crate) struct Deflation {
    window: Window,
    owner: Owner,
    ongoing: Option<Box<Ongoing>>,
}

/// What may go on.
enum Ongoing {
    /// A message that is being written in parts, with its encoder.
    Parts(Box<Encoder>),
    /// What was last sent of a channel: nothing came after it.
    Run(Run),
}

impl Deflation {
    pub(crate) fn new(half: Half, settings: &Deflate) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let reach = if half.takeover { 1 << half.window_bits } else { 0 };
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Deflation {
            window: Window::new(settings.send_window.min(reach)),
            owner: Owner { id, bytes: 0 },
            ongoing: None,
        }
    }

    /// Has `queue` queue the message, compressed, where that makes it smaller, or will those to come; says whether it did.
    pub(crate) fn message(
        &mut self,
        half: Half,
        settings: &Deflate,
        message: &[u8],
        queue: impl FnOnce(&[u8]),
    ) -> bool {
        self.settle();
        let invested = half.takeover && message.len() < SHORT && self.window.len() < SHORT;
        let most = message.len() + if invested { INVESTED } else { 0 };
        if small::takes(settings.level, message.len()) {
            return self.small(half, settings, message, most, queue);
        }
        let mut out = pool::take_buffer(Buffer::Output);
        let owner = half.takeover.then_some(self.owner);
        let shape = shape(half, settings);
        let compressed =
            pool::with_encoder(shape, &self.window, owner, worth(shape.level, message.len()), |encoder| {
                let written = encoder.flush(message, &mut out);
                // The empty message has no tail; it could not get smaller.
                let smaller = out[..written].strip_suffix(&TAIL);
                let smaller = smaller.filter(|bytes| bytes.len() < most).map(<[u8]>::len);
                (smaller, smaller.map(|_| message.len()))
            });
        if let Some(len) = compressed {
            queue(&out[..len]);
            self.commit(message);
        }
        pool::give_buffer(Buffer::Output, out);
        compressed.is_some()
    }

    /// The same for a message that the encoder for small ones takes.
    fn small(
        &mut self,
        half: Half,
        settings: &Deflate,
        message: &[u8],
        most: usize,
        queue: impl FnOnce(&[u8]),
    ) -> bool {
        let Deflate { level, histories, .. } = *settings;
        let manner = Manner { level, window_bits: half.window_bits, histories };
        let mut out = pool::take_buffer(Buffer::Small);
        out.clear();
        let smaller = if half.takeover {
            small::compress_for(self.owner, &self.window, manner, message, most, &mut out)
        } else {
            small::compress(manner, &[], message, &mut out);
            out.len() < most
        };
        if smaller {
            queue(&out);
            self.commit(message);
        }
        pool::give_buffer(Buffer::Small, out);
        smaller
    }

    /// The frame of a message that is prepared for many, as this connection can take it; `None` where it goes out as it is.
    pub(crate) fn prepared(
        &mut self,
        half: Half,
        message: &Arc<Common>,
        frame: impl FnOnce(&[u8]) -> Bytes,
    ) -> Option<Bytes> {
        let before = self.run().map_or(0, |run| run.before(message));
        let frame = message.frame(half, before, frame)?;
        if half.takeover {
            match self.ongoing.as_deref_mut() {
                Some(Ongoing::Run(run)) => run.go_on(message, &mut self.window),
                _ => {
                    let mut run = Run::new();
                    run.go_on(message, &mut self.window);
                    self.ongoing = Some(Box::new(Ongoing::Run(run)));
                }
            }
            // An encoder that is still warm has to catch up with it.
            self.owner.bytes += message.len() as u64;
        }
        Some(frame)
    }

    /// Begins a message that is written in parts.
    pub(crate) fn begin(&mut self, half: Half, settings: &Deflate) {
        self.settle();
        let encoder = pool::take_encoder(shape(half, settings), self.window.parts());
        self.ongoing = Some(Box::new(Ongoing::Parts(Box::new(encoder))));
    }

    /// Has `queue` queue a part of a message, compressed, where the message was begun so; says whether it did.
    pub(crate) fn part(&mut self, part: &[u8], last: bool, queue: impl FnOnce(&[u8])) -> bool {
        let Some(Ongoing::Parts(encoder)) = self.ongoing.as_deref_mut() else { return false };
        let mut out = pool::take_buffer(Buffer::Output);
        let written = if part.is_empty() { 0 } else { encoder.flush(part, &mut out) };
        match out[..written].strip_suffix(&TAIL) {
            Some(cut) if last => queue(cut),
            // An empty block that ends at a byte: what is left of it without its tail.
            None if last => queue(&[0]),
            _ => queue(&out[..written]),
        }
        self.put_in(part);
        pool::give_buffer(Buffer::Output, out);
        if last {
            if let Some(Ongoing::Parts(encoder)) = self.ongoing.take().map(|ongoing| *ongoing) {
                pool::give_encoder(*encoder);
            }
        }
        true
    }

    /// Before the window is used: puts into it what is held elsewhere.
    fn settle(&mut self) {
        if let Some(Ongoing::Run(run)) = self.ongoing.as_deref_mut() {
            run.settle(&mut self.window);
        }
    }

    fn run(&self) -> Option<&Run> {
        match self.ongoing.as_deref() {
            Some(Ongoing::Run(run)) => Some(run),
            _ => None,
        }
    }

    fn commit(&mut self, message: &[u8]) {
        self.ongoing = None;
        self.put_in(message);
    }

    fn put_in(&mut self, message: &[u8]) {
        self.window.append(message);
        self.owner.bytes += message.len() as u64;
    }
}

/// How much of the window is worth its price, to prime an encoder for one message of this length: some 0.7 us a KiB. Who
/// asks for speed pays less; else it is all of it from 256 bytes on.
fn worth(level: u8, message: usize) -> usize {
    if level <= FAST { (8 * message).max(1024) } else { (32 * message).max(2048) }
}

/// Levels up to this one are chosen for speed.
pub(super) const FAST: u8 = 2;

fn shape(half: Half, settings: &Deflate) -> Shape {
    Shape { level: settings.level, memory_level: settings.memory_level, window_bits: half.window_bits }
}

impl fmt::Debug for Deflation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflation").field("window", &self.window).finish_non_exhaustive()
    }
}
