//! Compressed messages on their way in (RFC 7692 section 6.2).

use super::{Fact, Frame, Inbox, Mode, Ratio, Receiver, Step, Unfinished};
use crate::connection::inbox::Place;
use crate::deflate::{Half, Inflation, MOST_FINAL_BLOCKS, Next, Stopped, with_step};
use crate::error::{Fault, LimitHit, Violation};
use crate::extension::Claims;
use crate::limits::Limits;
use crate::message::Kind;
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};

impl Receiver {
    /// Takes compressed messages from now on.
    pub(in crate::connection) fn set_deflate(&mut self, half: Half) {
        self.claim(Claims::DEFLATE);
        self.deflate = Some(half);
    }

    /// Handles what has arrived of the unfinished frame's payload, where the message is compressed.
    pub(super) fn compressed_payload(
        &mut self,
        inbox: &mut Inbox,
        mode: Mode,
        limits: &Limits,
    ) -> Result<Step, Fault> {
        let (Some(frame), Some(message), Some(half)) = (&mut self.frame, &mut self.message, self.deflate)
        else {
            return Ok(Step::NextFrame);
        };
        if mode == Mode::Parts && inbox.has_assembled() {
            // Joined before the caller asked for parts.
            inbox.lend_assembled();
            return Ok(message.part(Place::Assembled, false));
        }
        frame.unmask(inbox);
        let complete = frame.ready as u64 == frame.remaining;
        let last = complete && frame.fin;
        let inflation = self.inflation.get_or_insert_with(|| Box::new(Inflation::new(half)));
        let whole = mode == Mode::Whole && !message.parted;
        if whole && !last && inflation.defer(&inbox.bytes()[..frame.ready]) {
            let len = frame.take_ready();
            self.inflated.add(len, 0);
            inbox.consume(len);
            return Ok(self.after_input(complete));
        }
        let max = if whole { limits.max_message } else { usize::MAX };
        let ahead = Ahead { last, keep: whole, max, mode };
        let inflated = &mut self.inflated;
        let next = with_step(|out| {
            loop {
                let next = frame.inflate(message, inflation, inbox, (ahead, &mut *inflated), out)?;
                if next != Next::Output || mode == Mode::Parts {
                    return Ok::<_, Fault>(next);
                }
            }
        })?;
        if next == Next::Done && !message.utf8.is_complete() {
            return Err(Violation::Utf8.into());
        }
        let done = next == Next::Done;
        let step = match mode {
            Mode::Whole if done && whole => {
                inbox.lend_assembled();
                Step::Fact(Fact::Message { kind: message.kind(), place: Place::Assembled })
            }
            Mode::Parts if done || inbox.has_assembled() => {
                inbox.lend_assembled();
                message.part(Place::Assembled, done)
            }
            _ => Step::NeedMore,
        };
        if done {
            self.message = None;
        }
        // With more output to come, the frame stays, even where its payload is used up.
        let after = if next == Next::Output { Step::NeedMore } else { self.after_input(complete) };
        Ok(if matches!(step, Step::Fact(_)) { step } else { after })
    }

    fn after_input(&mut self, complete: bool) -> Step {
        if complete {
            self.frame = None;
            return Step::NextFrame;
        }
        Step::NeedMore
    }
}

/// How a step is to be taken.
#[derive(Clone, Copy)]
struct Ahead {
    last: bool,
    /// The output is for the caller; else it is for the window alone.
    keep: bool,
    max: usize,
    mode: Mode,
}

impl Frame {
    /// One step: a piece of the payload becomes a piece of the message.
    fn inflate(
        &mut self,
        message: &mut Unfinished,
        inflation: &mut Inflation,
        inbox: &mut Inbox,
        (ahead, inflated): (Ahead, &mut Ratio),
        out: &mut [u8],
    ) -> Result<Next, Fault> {
        let (input, assembled) = inbox.front_and_assembled(self.ready);
        // A byte over the limit shows that there is one.
        let allowed = ahead.max.saturating_sub(assembled.len());
        let room = out.len().min(allowed.saturating_add(1));
        let step = inflation.step(input, ahead.last, &mut out[..room]);
        let (consumed, produced) = (step.consumed, &out[..step.produced.min(allowed)]);
        if message.kind() == Kind::Text {
            message.utf8.feed(produced).map_err(|_| Violation::Utf8)?;
        }
        if step.produced > allowed {
            return Err(LimitHit::Message { max: ahead.max }.into());
        }
        if ahead.keep || ahead.mode == Mode::Parts {
            append(assembled, produced, ahead.max);
        }
        inflated.add(consumed, produced.len());
        self.ready -= consumed;
        self.remaining -= consumed as u64;
        inbox.consume(consumed);
        match step.next {
            Next::Stop(Stopped::Broken) => Err(Violation::Compression.into()),
            Next::Stop(Stopped::FinalBlocks) => {
                Err(LimitHit::FinalBlocks { max: MOST_FINAL_BLOCKS.into() }.into())
            }
            next => Ok(next),
        }
    }
}

/// Puts bytes to the end of a message: with twice the room where there is too little, but never more than the limit.
fn append(assembled: &mut BytesMut, fresh: &[u8], max: usize) {
    let wanted = assembled.len() + fresh.len();
    if wanted > assembled.capacity() {
        let room = wanted.max(2 * assembled.capacity()).min(max.max(wanted));
        let mut grown = Vec::from(core::mem::take(assembled));
        grown.reserve_exact(room - grown.len());
        *assembled = BytesMut::from(Bytes::from(grown));
    }
    assembled.extend_from_slice(fresh);
}
