//! Encoders and decoders, lent by the thread for the time of one message: an idle connection has none.

use super::window::Window;
use std::boxed::Box;
use std::cell::RefCell;
use std::vec::Vec;
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, Method, Strategy};

/// Encoders of different shapes that are kept without a history.
const COLD: usize = 4;

/// Encoders that are kept with the history of the connection they worked for last.
const WARM: usize = 8;

/// A connection that comes back among this many others gets a warm encoder.
const RECENT: usize = 2 * WARM;

/// A buffer above this many bytes is not kept.
const LARGEST_KEPT: usize = 256 << 10;

/// Bytes of output, about, that an encoder is given room for at once.
const STEP: usize = 128 << 10;

#[derive(Default)]
struct Pool {
    inflater: Option<Box<Inflate>>,
    cold: Vec<Encoder>,
    /// The one used last is the last.
    warm: Vec<Warm>,
    /// Connections whose encoder was cold lately, the latest first.
    recent: Vec<u64>,
    /// Buffers: for output, for small output, for inflated steps, for the window of a message without context takeover.
    buffers: [Vec<u8>; 4],
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::default();
}

/// What a buffer is for.
#[derive(Clone, Copy)]
pub(super) enum Buffer {
    Output,
    Small,
    Step,
    History,
}

/// A buffer, with what its last user left in it.
pub(super) fn take_buffer(buffer: Buffer) -> Vec<u8> {
    let take = |pool: &RefCell<Pool>| core::mem::take(&mut pool.borrow_mut().buffers[buffer as usize]);
    POOL.try_with(take).unwrap_or_default()
}

/// Takes a buffer back.
pub(super) fn give_buffer(buffer: Buffer, bytes: Vec<u8>) {
    if bytes.capacity() <= LARGEST_KEPT {
        // A thread that ends has no pool any more: then it is dropped.
        let _ = POOL.try_with(|pool| pool.borrow_mut().buffers[buffer as usize] = bytes);
    }
}

/// A decoder of raw deflate streams, primed with a window. It always looks back 32 KiB: what may be referred to is
/// bounded by what is in the window.
pub(super) fn take_inflater(window: &Window) -> Box<Inflate> {
    let kept = POOL.try_with(|pool| pool.borrow_mut().inflater.take()).ok().flatten();
    let mut inflater = kept.unwrap_or_else(|| Box::new(Inflate::new(false, 15)));
    prime_inflater(&mut inflater, window);
    inflater
}

/// Takes a decoder back.
pub(super) fn give_inflater(inflater: Box<Inflate>) {
    let _ = POOL.try_with(|pool| pool.borrow_mut().inflater = Some(inflater));
}

/// Makes a decoder as new, but for the window.
pub(super) fn prime_inflater(inflater: &mut Inflate, window: &Window) {
    inflater.reset(false);
    let (older, newer) = window.parts();
    for part in [older, newer] {
        // It refuses none for raw streams.
        let _ = inflater.set_dictionary(part);
    }
}

/// The sort of an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) level: u8,
    pub(super) memory_level: u8,
    pub(super) window_bits: u8,
}

/// An encoder of raw deflate streams.
pub(super) struct Encoder {
    shape: Shape,
    stream: Deflate,
}

impl Encoder {
    fn new(shape: Shape) -> Self {
        let config = DeflateConfig {
            level: i32::from(shape.level.clamp(1, 9)),
            method: Method::Deflated,
            // zlib has no raw encoder for 8 bits; that for 9 never looks back more than 250 bytes.
            window_bits: -i32::from(shape.window_bits.clamp(9, 15)),
            mem_level: i32::from(shape.memory_level.clamp(1, 9)),
            strategy: Strategy::Default,
        };
        Encoder { shape, stream: Deflate::new_with_config(config) }
    }

    /// Makes it as new, but for the window.
    fn prime(&mut self, (older, newer): (&[u8], &[u8])) {
        self.stream.reset();
        for part in [older, newer] {
            if !part.is_empty() {
                // It refuses none while no input is pending.
                let _ = self.stream.set_dictionary(part);
            }
        }
    }

    /// Compresses to the end of the input, and flushes to a whole byte; gives the bytes written.
    ///
    /// Always to the end, also where the output turns out larger than the input: zlib-rs forgets on a reset how much of
    /// its own buffer was taken, where some of it was not, and has less room in it from then on.
    pub(super) fn flush(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> usize {
        let mut at = 0;
        loop {
            // More than the input takes by itself (level 1 makes nine bits of eight), so that the output is not full in
            // the end: that would look as if there were more to come. Where there is much of it, more room comes when it is
            // needed: what nobody writes to is not zeroed, and stays small enough to be kept.
            let step = input.len().min(STEP);
            let room = at + step + step / 8 + 1024;
            if out.len() < room {
                out.resize(room, 0);
            }
            let (taken, written) = (self.stream.total_in(), self.stream.total_out());
            let compressed = self.stream.compress(input, &mut out[at..], DeflateFlush::SyncFlush);
            input = &input[(self.stream.total_in() - taken) as usize..];
            at += (self.stream.total_out() - written) as usize;
            if compressed.is_err() || (input.is_empty() && at < out.len()) {
                return at;
            }
        }
    }
}

/// An encoder that holds the history of a connection.
struct Warm {
    encoder: Encoder,
    owner: Owner,
}

/// Whose history an encoder holds: a connection, after so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) id: u64,
    pub(super) bytes: u64,
}

/// An encoder primed with a window, in two parts: for as long as it is wanted.
pub(super) fn take_encoder(shape: Shape, window: (&[u8], &[u8])) -> Encoder {
    let kept = POOL.try_with(|pool| pool.borrow_mut().take_cold(shape)).ok().flatten();
    primed(kept, shape, window)
}

/// Takes an encoder back.
pub(super) fn give_encoder(encoder: Encoder) {
    let _ = POOL.try_with(|pool| pool.borrow_mut().give_cold(encoder));
}

/// Has `work` done by an encoder that holds the window: by the one that still does, where there is one. One that is
/// given away after it holds only as much of the window's end as is `worth` it. The work says how many bytes it has
/// put in, or that the encoder's state is of no use.
pub(super) fn with_encoder<T>(
    shape: Shape,
    window: &Window,
    owner: Option<Owner>,
    worth: usize,
    work: impl FnOnce(&mut Encoder) -> (T, Option<usize>),
) -> T {
    let Some(owner) = owner else {
        let mut encoder = take_encoder(shape, window.parts());
        let (value, _) = work(&mut encoder);
        give_encoder(encoder);
        return value;
    };
    let found = POOL.try_with(|pool| pool.borrow_mut().find(shape, owner)).unwrap_or(Found::Cold(None));
    let (mut encoder, is_warm) = match found {
        Found::Ready(encoder) => (encoder, true),
        Found::Warm(encoder) => (primed(encoder, shape, window.parts()), true),
        Found::Cold(encoder) => (primed(encoder, shape, window.last(worth)), false),
    };
    let (value, put_in) = work(&mut encoder);
    let _ = POOL.try_with(|pool| {
        let pool = &mut *pool.borrow_mut();
        match put_in {
            Some(len) if is_warm => {
                pool.give_warm(Warm { encoder, owner: Owner { bytes: owner.bytes + len as u64, ..owner } });
            }
            _ => pool.give_cold(encoder),
        }
    });
    value
}

fn primed(encoder: Option<Encoder>, shape: Shape, window: (&[u8], &[u8])) -> Encoder {
    let mut encoder = encoder.unwrap_or_else(|| Encoder::new(shape));
    encoder.prime(window);
    encoder
}

enum Found {
    /// It holds the window already.
    Ready(Encoder),
    /// To be primed, and kept with its history then.
    Warm(Option<Encoder>),
    /// To be primed.
    Cold(Option<Encoder>),
}

impl Pool {
    fn find(&mut self, shape: Shape, owner: Owner) -> Found {
        if let Some(at) = self.warm.iter().rposition(|warm| warm.owner.id == owner.id) {
            let warm = self.warm.remove(at);
            if warm.encoder.shape == shape {
                let ready = warm.owner == owner;
                return if ready { Found::Ready(warm.encoder) } else { Found::Warm(Some(warm.encoder)) };
            }
        }
        let known = self.recent.iter().position(|id| *id == owner.id);
        if let Some(at) = known {
            self.recent.remove(at);
            return Found::Warm(self.take_oldest(shape));
        }
        self.recent.truncate(RECENT - 1);
        self.recent.insert(0, owner.id);
        Found::Cold(self.take_cold(shape))
    }

    fn take_cold(&mut self, shape: Shape) -> Option<Encoder> {
        let at = self.cold.iter().position(|encoder| encoder.shape == shape)?;
        Some(self.cold.remove(at))
    }

    fn give_cold(&mut self, encoder: Encoder) {
        if self.cold.len() == COLD {
            self.cold.remove(0);
        }
        self.cold.push(encoder);
    }

    /// The warm encoder that was not used for the longest time, where all places are taken and its shape fits.
    fn take_oldest(&mut self, shape: Shape) -> Option<Encoder> {
        if self.warm.len() < WARM {
            return None;
        }
        let oldest = self.warm.remove(0).encoder;
        (oldest.shape == shape).then_some(oldest)
    }

    fn give_warm(&mut self, warm: Warm) {
        if self.warm.len() == WARM {
            self.warm.remove(0);
        }
        self.warm.push(warm);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Decompress, FlushDecompress};

    /// Bytes that deflate cannot make smaller.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(len).collect()
    }

    #[test]
    fn a_long_message_comes_out_whole_in_as_many_steps_as_it_takes() {
        for len in [STEP - 1, STEP, STEP + 1, STEP + STEP / 8 + 1019, 3 * STEP + 7] {
            for level in [1, 3, 6, 9] {
                for memory_level in [1, 5, 9] {
                    let mut encoder = Encoder::new(Shape { level, memory_level, window_bits: 15 });
                    let (message, mut out) = (noise(len), Vec::new());
                    let written = encoder.flush(&message, &mut out);
                    let mut inflated = Vec::with_capacity(len + 1);
                    let mut decoder = Decompress::new(false);
                    decoder.decompress_vec(&out[..written], &mut inflated, FlushDecompress::Sync).unwrap();
                    assert!(inflated == message, "{len} bytes at level {level}, memory level {memory_level}");
                    assert_eq!(out[..written][written - 4..], [0, 0, 0xff, 0xff]);
                }
            }
        }
    }
}
