//! Inflating messages, in steps of bounded output.

use super::Half;
use super::pool::{self, Buffer};
use super::window::Window;
use core::fmt;
use std::boxed::Box;
use std::vec::Vec;
use zlib_rs::{Inflate, InflateFlush, Status};

/// Bytes of output in one step: what is inflated beyond a limit before it is noticed.
pub(crate) const STEP: usize = 16 << 10;

/// A message of less compressed bytes than this waits for its end before a decoder is lent: so that what an
/// unfinished message costs stays in proportion to what has arrived of it.
const PATIENCE: usize = 16 << 10;

/// Final blocks that a message may have.
pub(crate) const MOST_FINAL_BLOCKS: u8 = 16;

/// "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end" (RFC 7692 section 7.2.2), and then a final block that is
/// empty: every truncated stream would pass for want of an end.
const TAIL: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];

/// What a connection keeps for the compressed messages that it receives.
pub(crate) struct Inflation {
    half: Half,
    window: Window,
    message: Option<Box<Unfinished>>,
}

/// A compressed message that has begun and not ended.
#[derive(Default)]
struct Unfinished {
    /// The decoder, as soon as there is something to do.
    inflater: Option<Box<Inflate>>,
    /// Compressed bytes that wait; those before `pending_at` have been handled.
    pending: Vec<u8>,
    pending_at: usize,
    /// The output was full: the decoder may hold back more, also where its input is used up.
    held_back: bool,
    final_blocks: u8,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Bytes of the input that are handled.
    pub(crate) consumed: usize,
    /// Bytes that were put out.
    pub(crate) produced: usize,
    /// How to go on.
    pub(crate) next: Next,
}

/// How to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The output is full: take it, and go on with the rest of the input.
    Output,
    /// The input is used up, and the message goes on.
    Input,
    /// The message is complete.
    Done,
    /// The message cannot be inflated; what was put out before is valid.
    Stop(Stopped),
}

/// Why a message cannot be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// The bytes are no deflate stream, or are cut off.
    Broken,
    /// It has too many final blocks.
    FinalBlocks,
}

impl Inflation {
    pub(crate) fn new(half: Half) -> Self {
        Inflation { half, window: Window::new(1 << half.window_bits), message: None }
    }

    /// Keeps a piece of a message that is not complete, as long as there is little of it; says whether it did.
    pub(crate) fn defer(&mut self, piece: &[u8]) -> bool {
        let message = self.message.get_or_insert_default();
        if message.inflater.is_some() || message.pending.len() + piece.len() >= PATIENCE {
            return false;
        }
        message.pending.extend_from_slice(piece);
        true
    }

    /// Inflates until the input is used up or the output is full. `last` says that the message ends with this input,
    /// which is given again, without what was consumed, until the message is done.
    pub(crate) fn step(&mut self, input: &[u8], last: bool, out: &mut [u8]) -> Step {
        let Inflation { half, window, message } = self;
        let unfinished = message.get_or_insert_default();
        let inflater = unfinished.inflater.get_or_insert_with(|| {
            if !half.takeover {
                // Its window is for final blocks inside of it alone, and goes with it.
                window.exchange(pool::take_buffer(Buffer::History));
            }
            pool::take_inflater(window)
        });
        let mut work = Work {
            inflater,
            input,
            consumed: 0,
            out,
            produced: 0,
            recorded: 0,
            window,
            pending: &unfinished.pending,
            pending_at: &mut unfinished.pending_at,
            held_back: &mut unfinished.held_back,
            final_blocks: &mut unfinished.final_blocks,
        };
        let next = work.run(last).unwrap_or_else(Next::Stop);
        *work.held_back = next == Next::Output;
        work.record();
        let (consumed, produced) = (work.consumed, work.produced);
        if unfinished.pending_at == unfinished.pending.len() {
            (unfinished.pending, unfinished.pending_at) = (Vec::new(), 0);
        }
        if next == Next::Done {
            self.end();
        }
        Step { consumed, produced, next }
    }

    fn end(&mut self) {
        if let Some(inflater) = self.message.take().and_then(|message| message.inflater) {
            pool::give_inflater(inflater);
        }
        if !self.half.takeover {
            pool::give_buffer(Buffer::History, self.window.exchange(Vec::new()));
        }
    }
}

/// One step.
struct Work<'a> {
    inflater: &'a mut Inflate,
    input: &'a [u8],
    consumed: usize,
    out: &'a mut [u8],
    produced: usize,
    /// How much of the output is in the window.
    recorded: usize,
    window: &'a mut Window,
    pending: &'a [u8],
    pending_at: &'a mut usize,
    held_back: &'a mut bool,
    final_blocks: &'a mut u8,
}

impl Work<'_> {
    /// What is held back, what has waited, then the input, then the tail.
    fn run(&mut self, last: bool) -> Result<Next, Stopped> {
        if *self.held_back {
            let (_, status) = self.decompress(&[])?;
            self.count_final_block(status)?;
        }
        while !self.is_full() {
            if *self.pending_at < self.pending.len() {
                *self.pending_at += self.inflate(&self.pending[*self.pending_at..])?;
            } else if self.consumed < self.input.len() {
                self.consumed += self.inflate(&self.input[self.consumed..])?;
            } else {
                return if last { self.finish() } else { Ok(Next::Input) };
            }
        }
        Ok(Next::Output)
    }

    fn inflate(&mut self, input: &[u8]) -> Result<usize, Stopped> {
        let (used, status) = self.decompress(input)?;
        self.count_final_block(status)?;
        // It always gets on while there is input and room; never spin.
        let stuck = used == 0 && status != Status::StreamEnd && !self.is_full();
        if stuck { Err(Stopped::Broken) } else { Ok(used) }
    }

    /// A final block inside of a message is legal (RFC 7692, 7.2.3.4); the next block begins at a whole byte.
    fn count_final_block(&mut self, status: Status) -> Result<(), Stopped> {
        if status != Status::StreamEnd {
            return Ok(());
        }
        *self.final_blocks += 1;
        if *self.final_blocks > MOST_FINAL_BLOCKS {
            return Err(Stopped::FinalBlocks);
        }
        self.record();
        pool::prime_inflater(self.inflater, self.window);
        Ok(())
    }

    /// The tail ends the stream, exactly, and brings nothing to light: else the message was cut off, and takes it for
    /// its own bytes.
    fn finish(&mut self) -> Result<Next, Stopped> {
        let before = self.produced;
        let (used, status) = self.decompress(&TAIL)?;
        let ended = status == Status::StreamEnd && used == TAIL.len() && self.produced == before;
        if ended { Ok(Next::Done) } else { Err(Stopped::Broken) }
    }

    fn decompress(&mut self, input: &[u8]) -> Result<(usize, Status), Stopped> {
        let (taken, written) = (self.inflater.total_in(), self.inflater.total_out());
        let result = self.inflater.decompress(input, &mut self.out[self.produced..], InflateFlush::NoFlush);
        self.produced += (self.inflater.total_out() - written) as usize;
        let used = (self.inflater.total_in() - taken) as usize;
        result.map(|status| (used, status)).map_err(|_| Stopped::Broken)
    }

    fn is_full(&self) -> bool {
        self.produced == self.out.len()
    }

    fn record(&mut self) {
        self.window.append(&self.out[self.recorded..self.produced]);
        self.recorded = self.produced;
    }
}

/// Lends a buffer of `STEP` bytes for output.
pub(crate) fn with_step<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut step = pool::take_buffer(Buffer::Step);
    step.resize(STEP, 0);
    let value = work(&mut step);
    pool::give_buffer(Buffer::Step, step);
    value
}

impl fmt::Debug for Inflation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unfinished = self.message.is_some();
        f.debug_struct("Inflation").field("window", &self.window).field("unfinished", &unfinished).finish()
    }
}
