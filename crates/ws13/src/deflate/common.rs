//! Messages that are compressed once for many connections, against what all of them were sent before.

use super::compress::{INVESTED, SHORT};
use super::pool::{self, Buffer, Shape};
use super::small::{self, Manner};
use super::window::Window;
use super::{Deflate, Half};
use bytes::Bytes;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use std::boxed::Box;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

/// How far back into the channel a compression may reach, in bytes: one of these. A receiver takes the one that its
/// window holds as much of, so that few compressions serve all.
const REACHES: [usize; 4] = [8192, 2048, 512, 0];

/// Compressions of one message, at most.
const MOST: usize = 4;

/// The window of an encoder whose output nobody's window is too small for: message and reach fit into it.
const LARGEST: u8 = 15;

/// The end of what a channel has prepared.
pub(crate) struct Tail {
    settings: Arc<Deflate>,
    window: Window,
    /// The message at the end; nobody has the number of an empty channel.
    last: u64,
}

impl Tail {
    pub(crate) fn new(settings: Deflate) -> Self {
        Tail { settings: Arc::new(settings), window: Window::new(REACHES[0]), last: next_id() }
    }

    /// The next message; `None` where nobody is sent so short a message compressed.
    pub(crate) fn prepare(&mut self, message: &Bytes) -> Option<Arc<Common>> {
        if message.len() < self.settings.threshold.min(self.settings.threshold_without_takeover) {
            return None;
        }
        let (older, newer) = self.window.parts();
        let common = Common {
            settings: Arc::clone(&self.settings),
            message: message.clone(),
            tail: [older, newer].concat().into(),
            id: next_id(),
            before: self.last,
            made: Mutex::default(),
        };
        self.window.append(message);
        self.last = common.id;
        Some(Arc::new(common))
    }
}

/// A number that no other message or channel has.
fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A message, what was prepared before it, and what was made of it so far.
pub(crate) struct Common {
    settings: Arc<Deflate>,
    message: Bytes,
    /// The end of the channel before this message.
    tail: Box<[u8]>,
    id: u64,
    /// The message before it.
    before: u64,
    made: Mutex<Vec<Made>>,
}

/// One compression.
struct Made {
    reach: usize,
    window_bits: u8,
    /// The frame; `None` where it would not have been smaller.
    frame: Option<Bytes>,
}

impl Common {
    pub(super) fn len(&self) -> usize {
        self.message.len()
    }

    pub(crate) fn compressions(&self) -> usize {
        self.lock().len()
    }

    /// The frame for a connection whose window ends with `run` bytes of this channel; `None` where it is better sent as
    /// it is.
    pub(super) fn frame(&self, half: Half, run: usize, frame: impl FnOnce(&[u8]) -> Bytes) -> Option<Bytes> {
        if self.message.len() < self.settings.least(half) {
            return None;
        }
        let (reach, window_bits) = self.best(half, run);
        let mut made = self.lock();
        let found = made.iter().find(|made| made.reach == reach && made.window_bits == window_bits);
        if found.is_none() && made.len() < MOST {
            let frame = self.compress(reach, window_bits, frame);
            made.push(Made { reach, window_bits, frame: frame.clone() });
            return frame;
        }
        let readable =
            || made.iter().filter(|made| self.can_read(half, run, made)).max_by_key(|made| made.reach);
        found.or_else(readable)?.frame.clone()
    }

    /// How far back to reach, with an encoder of which window. Where reach and message together fit into the agreed
    /// window, any encoder will do, as no distance can be larger.
    fn best(&self, half: Half, run: usize) -> (usize, u8) {
        let fits = |reach: &&usize| **reach <= run && self.fits(half, **reach);
        match REACHES.iter().find(fits) {
            Some(reach) => (*reach, LARGEST),
            None if half.window_bits == LARGEST => {
                (REACHES.into_iter().find(|reach| *reach <= run).unwrap_or(0), LARGEST)
            }
            None => (0, half.window_bits),
        }
    }

    fn fits(&self, half: Half, reach: usize) -> bool {
        reach + self.message.len() <= 1 << half.window_bits
    }

    fn can_read(&self, half: Half, run: usize, made: &Made) -> bool {
        made.reach <= run && (made.window_bits <= half.window_bits || self.fits(half, made.reach))
    }

    fn compress(&self, reach: usize, window_bits: u8, frame: impl FnOnce(&[u8]) -> Bytes) -> Option<Bytes> {
        let Deflate { level, memory_level, .. } = *self.settings;
        let dictionary = &self.tail[self.tail.len().saturating_sub(reach)..];
        let most = self.message.len() + self.invested(reach);
        if small::takes(level, self.message.len()) {
            let mut out = pool::take_buffer(Buffer::Small);
            out.clear();
            let manner = Manner { level, window_bits, histories: 0 };
            small::compress(manner, dictionary, &self.message, &mut out);
            let frame = (out.len() < most).then(|| frame(&out));
            pool::give_buffer(Buffer::Small, out);
            return frame;
        }
        let mut encoder = pool::take_encoder(Shape { level, memory_level, window_bits }, (dictionary, &[]));
        let mut out = pool::take_buffer(Buffer::Output);
        let written = encoder.flush(&self.message, &mut out);
        let smaller = out[..written].strip_suffix(&super::compress::TAIL);
        let frame = smaller.filter(|bytes| bytes.len() < most).map(frame);
        pool::give_buffer(Buffer::Output, out);
        pool::give_encoder(encoder);
        frame
    }

    /// Bytes that a compressed message may be longer than it is: a short one by itself hardly ever gets smaller, but those
    /// after it do where it is in the window.
    fn invested(&self, reach: usize) -> usize {
        if reach == 0 && self.message.len() < SHORT && !self.tail.is_empty() { INVESTED } else { 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a connection was last sent of a channel, without a gap.
#[derive(Debug)]
pub(super) struct Run {
    last: u64,
    len: usize,
    /// How many bytes of it, at its end, are not in the connection's own window yet; they stand at the end of `held`.
    unsettled: usize,
    /// As the window of a thousand connections that are sent the same, one copy is enough.
    held: Option<Arc<Common>>,
}

/// A larger message is put into the window at once, rather than held for who may never be sent another.
const LARGEST_HELD: usize = 4 << 10;

impl Run {
    /// Nothing was sent.
    pub(super) fn new() -> Run {
        Run { last: next_id(), len: 0, unsettled: 0, held: None }
    }

    /// How many bytes before this message were sent without a gap.
    pub(super) fn before(&self, message: &Common) -> usize {
        if self.last == message.before { self.len } else { 0 }
    }

    /// The message was sent, too; the run begins anew where it did not follow.
    pub(super) fn go_on(&mut self, message: &Arc<Common>, window: &mut Window) {
        let len = message.message.len();
        if self.last != message.before {
            self.settle(window);
            self.len = 0;
        }
        self.last = message.id;
        self.len = self.len.saturating_add(len);
        if len > LARGEST_HELD {
            self.settle(window);
            window.append(&message.message);
            return;
        }
        self.unsettled = self.unsettled.saturating_add(len);
        self.held = Some(Arc::clone(message));
        if self.unsettled >= window.limit() {
            // All of it would be pushed out.
            window.exchange(Vec::new());
        }
    }

    /// Puts what is held into the window.
    pub(super) fn settle(&mut self, window: &mut Window) {
        let Some(held) = self.held.take() else { return };
        let missing = core::mem::take(&mut self.unsettled);
        let from_tail = missing.saturating_sub(held.message.len());
        if from_tail > held.tail.len() {
            // There is a gap to what the window has.
            window.exchange(Vec::new());
        }
        window.append(&held.tail[held.tail.len().saturating_sub(from_tail)..]);
        window.append(&held.message[held.message.len().saturating_sub(missing)..]);
    }
}
