//! The Receiver: bytes in the inbox become messages, control frames, or the fault that ends the connection.

use super::inbox::{Inbox, Place, SHARE_FROM};
use super::stats::Ratio;
#[cfg(feature = "deflate")]
use crate::deflate::{Half, Inflation};
use crate::error::{Fault, LimitHit, Violation};
use crate::extension::{Claims, Meaning};
use crate::frame::{Header, HeaderError, MaskKey, OpCode, Rsv};
use crate::limits::Limits;
use crate::mask;
use crate::message::Kind;
use crate::utf8::{self, Validator};
#[cfg(feature = "deflate")]
use alloc::boxed::Box;
use core::ops::Range;

#[cfg(feature = "deflate")]
mod inflating;
mod short;

/// How data frames are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Whole messages.
    Whole,
    /// Each part as it arrives.
    Parts,
}

/// What the bytes were; where the payload stands, instead of the payload, so that nothing is borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fact {
    Message { kind: Kind, place: Place },
    Extended { opcode: OpCode, rsv: Rsv, place: Place },
    Part { kind: Kind, place: Place, first: bool, last: bool },
    Ping(Place),
    Pong(Place),
    Close(Place),
}

/// The receiving half of a connection.
#[derive(Debug)]
pub(super) struct Receiver {
    /// Whether frames must have a mask, must have none, or may do as they like (a quirk).
    mask: MaskRule,
    /// A message of fewer bytes than this is a short one: of `SHARE_FROM` at most, and within the limits; 0 where none is.
    short_below: u16,
    /// The reserved bits that mean something.
    claims: Claims,
    /// The data frame whose payload is not complete.
    frame: Option<Frame>,
    /// The message that is not complete.
    message: Option<Unfinished>,
    /// How many were received.
    pub(super) messages: u64,
    /// What was agreed on for compressed messages.
    #[cfg(feature = "deflate")]
    deflate: Option<Half>,
    /// What is kept for them, from the first one on.
    #[cfg(feature = "deflate")]
    inflation: Option<Box<Inflation>>,
    #[cfg(feature = "deflate")]
    inflated: Ratio,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MaskRule {
    Required,
    Forbidden,
    Any,
}

#[derive(Debug)]
struct Frame {
    fin: bool,
    mask: Option<MaskKey>,
    /// Bytes of payload that are not consumed from the inbox.
    remaining: u64,
    /// How many of them, at the front of the inbox, are unmasked and validated already.
    ready: usize,
    /// Where in the masking key the byte after those falls; only its last two bits matter.
    mask_offset: u8,
}

#[derive(Debug)]
struct Unfinished {
    /// The opcode and the reserved bits of its first frame, as they stand in its first byte.
    first: u8,
    meaning: Meaning,
    /// Bytes in the frames whose headers have come.
    len: u64,
    frames: usize,
    utf8: Validator,
    /// A part was given out, so that the message can no longer be had as a whole.
    parted: bool,
}

impl Receiver {
    pub(super) fn new(mask: MaskRule, limits: &Limits) -> Self {
        let within_limits = match limits.fragments() {
            0 => 0,
            _ => limits.frame().min(limits.max_message).saturating_add(1),
        };
        Receiver {
            mask,
            short_below: within_limits.min(SHARE_FROM) as u16,
            claims: Claims::NONE,
            frame: None,
            message: None,
            messages: 0,
            #[cfg(feature = "deflate")]
            deflate: None,
            #[cfg(feature = "deflate")]
            inflation: None,
            #[cfg(feature = "deflate")]
            inflated: Ratio::default(),
        }
    }

    /// Takes what extensions claim, from now on.
    pub(super) fn claim(&mut self, claims: Claims) {
        self.claims = self.claims.union(claims);
    }

    /// The bytes of compressed messages.
    pub(super) fn inflated(&self) -> Ratio {
        #[cfg(feature = "deflate")]
        return self.inflated;
        #[cfg(not(feature = "deflate"))]
        Ratio::default()
    }

    /// Forgets an unfinished message, and what was kept for those to come.
    pub(super) fn forget(&mut self) {
        (self.frame, self.message) = (None, None);
        #[cfg(feature = "deflate")]
        {
            self.inflation = None;
        }
    }

    /// Whether a frame's header is next.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(super) fn awaits_frame(&self) -> bool {
        self.frame.is_none()
    }

    /// The next fact that the inbox holds, or `None` when more bytes are needed.
    pub(super) fn next(
        &mut self,
        inbox: &mut Inbox,
        mode: Mode,
        limits: &Limits,
    ) -> Result<Option<Fact>, Fault> {
        inbox.release();
        loop {
            if self.frame.is_some() {
                self.check_switch(mode, limits)?;
                match self.payload(inbox, mode, limits)? {
                    Step::Fact(fact) => return Ok(Some(fact)),
                    Step::NextFrame => continue,
                    Step::NeedMore => return Ok(None),
                }
            }
            let Some((header, header_len)) = self.header(inbox.bytes())? else { return Ok(None) };
            let available = inbox.bytes().len() - header_len;
            if header.opcode.is_control() {
                if (available as u64) < header.payload_len {
                    return Ok(None);
                }
                return Ok(Some(control(inbox, header, header_len)));
            }
            self.admit(&header, mode, limits)?;
            let alone = header.fin
                && matches!(header.opcode, OpCode::Text | OpCode::Binary)
                && header.rsv == Rsv::NONE
                && mode == Mode::Whole;
            if alone && available as u64 >= header.payload_len {
                return self.whole_frame(inbox, &header, header_len).map(Some);
            }
            self.begin(inbox, &header, header_len);
        }
    }

    /// Decodes the header at the front. What this role in this state cannot accept is a fault at the first byte
    /// that shows it.
    #[inline]
    fn header(&self, bytes: &[u8]) -> Result<Option<(Header, usize)>, Fault> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        self.check_first_byte(first)?;
        if let Some(&second) = bytes.get(1) {
            self.check_mask_bit(second & 0x80 != 0)?;
        }
        Ok(Header::decode(bytes)?)
    }

    #[inline]
    fn check_first_byte(&self, first: u8) -> Result<(), Fault> {
        let opcode = OpCode::from_bits(first);
        // "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_." (5.2)
        if opcode.is_reserved() && !self.claims.has_opcode(opcode) {
            return Err(Violation::ReservedOpcode(opcode.bits()).into());
        }
        // "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values." (5.2)
        let rsv = Rsv::from_bits(first);
        if rsv != Rsv::NONE && !self.claims.allow(rsv, opcode) {
            return Err(Violation::ReservedBits.into());
        }
        match (opcode, &self.message) {
            (OpCode::Continuation, None) => Err(Violation::UnexpectedContinuation.into()),
            (OpCode::Continuation, Some(_)) => Ok(()),
            _ if opcode.is_control() && first & 0x80 == 0 => Err(HeaderError::FragmentedControl.into()),
            (_, Some(_)) if !opcode.is_control() => Err(Violation::ExpectedContinuation.into()),
            _ => Ok(()),
        }
    }

    /// "The server MUST close the connection upon receiving a frame that is not masked. A client MUST close a
    /// connection if it detects a masked frame." (5.1)
    #[inline]
    fn check_mask_bit(&self, masked: bool) -> Result<(), Fault> {
        match self.mask {
            MaskRule::Required if !masked => Err(Violation::Unmasked.into()),
            MaskRule::Forbidden if masked => Err(Violation::Masked.into()),
            _ => Ok(()),
        }
    }

    /// Holds a data frame against the limits, before a byte of its payload is kept.
    #[inline]
    fn admit(&self, header: &Header, mode: Mode, limits: &Limits) -> Result<(), Fault> {
        let (len, frames, meaning, parted) = match &self.message {
            None => (0, 0, self.claims.meaning(header.rsv, header.opcode), false),
            Some(message) => (message.len, message.frames, message.meaning, message.parted),
        };
        let compressed = meaning == Meaning::Compressed;
        if (mode == Mode::Parts && meaning != Meaning::Extended) || parted {
            return Ok(());
        }
        if header.payload_len > limits.frame() as u64 && limits.frame() < limits.max_message {
            return Err(LimitHit::Frame { max: limits.frame() }.into());
        }
        check_message(len + header.payload_len, compressed, frames + 1, limits)
    }

    /// A message that began while parts were asked for was not held against the limits; it is when it is to be had
    /// as a whole.
    #[inline]
    fn check_switch(&self, mode: Mode, limits: &Limits) -> Result<(), Fault> {
        match &self.message {
            Some(message) if mode == Mode::Whole && !message.parted => {
                check_message(message.len, message.meaning == Meaning::Compressed, message.frames, limits)
            }
            _ => Ok(()),
        }
    }

    /// The common case: a message in one frame that is all here.
    #[inline]
    fn whole_frame(&self, inbox: &mut Inbox, header: &Header, header_len: usize) -> Result<Fact, Fault> {
        let place = inbox.lend_frame(header.mask, header_len, header.payload_len as usize);
        let kind = if header.opcode == OpCode::Text { Kind::Text } else { Kind::Binary };
        if kind == Kind::Text && !utf8::is_valid(inbox.at(place)) {
            return Err(Violation::Utf8.into());
        }
        Ok(Fact::Message { kind, place })
    }

    /// Takes a data frame's header off the inbox; its payload follows.
    fn begin(&mut self, inbox: &mut Inbox, header: &Header, header_len: usize) {
        inbox.consume(header_len);
        let meaning = self.claims.meaning(header.rsv, header.opcode);
        let message = self.message.get_or_insert_with(|| Unfinished {
            first: header.opcode.bits() | header.rsv.bits(),
            meaning,
            len: 0,
            frames: 0,
            utf8: Validator::new(),
            parted: false,
        });
        message.len += header.payload_len;
        message.frames += 1;
        self.frame = Some(Frame {
            fin: header.fin,
            mask: header.mask,
            remaining: header.payload_len,
            ready: 0,
            mask_offset: 0,
        });
    }

    /// Handles what has arrived of the unfinished frame's payload.
    fn payload(&mut self, inbox: &mut Inbox, mode: Mode, limits: &Limits) -> Result<Step, Fault> {
        #[cfg(feature = "deflate")]
        if self.message.as_ref().is_some_and(|message| message.meaning == Meaning::Compressed) {
            return self.compressed_payload(inbox, mode, limits);
        }
        #[cfg(not(feature = "deflate"))]
        let _ = limits;
        let (Some(frame), Some(message)) = (&mut self.frame, &mut self.message) else {
            return Ok(Step::NextFrame);
        };
        // What is an extension's is always given out whole.
        let mode = if message.meaning == Meaning::Extended { Mode::Whole } else { mode };
        if mode == Mode::Parts && inbox.has_assembled() {
            // Joined before the caller asked for parts.
            inbox.lend_assembled();
            return Ok(message.part(Place::Assembled, false));
        }
        let fresh = frame.unmask(inbox);
        if message.kind() == Kind::Text {
            message.utf8.feed(&inbox.bytes()[fresh]).map_err(|_| Violation::Utf8)?;
        }
        let complete = frame.ready as u64 == frame.remaining;
        let last = complete && frame.fin;
        if last && !message.utf8.is_complete() {
            return Err(Violation::Utf8.into());
        }
        let step = match mode {
            Mode::Parts => frame.part(message, inbox, last),
            Mode::Whole if message.parted => frame.discard(inbox),
            Mode::Whole if frame.fin && message.frames == 1 => frame.in_place(message, inbox, complete),
            Mode::Whole => frame.join(message, inbox, last),
        };
        if complete {
            self.frame = None;
        }
        if last {
            self.message = None;
        }
        Ok(if complete && matches!(step, Step::NeedMore) { Step::NextFrame } else { step })
    }
}

#[inline]
fn check_message(len: u64, compressed: bool, frames: usize, limits: &Limits) -> Result<(), Fault> {
    // The limit is for what a message is inflated to; a compressed one that is much longer cannot be within it.
    let max = limits.max_message as u64;
    if len > if compressed { max.saturating_add(max / 8 + 1024) } else { max } {
        return Err(LimitHit::Message { max: limits.max_message }.into());
    }
    if frames > limits.fragments() {
        return Err(LimitHit::Fragments { max: limits.fragments() }.into());
    }
    Ok(())
}

/// What came of looking at a payload.
enum Step {
    Fact(Fact),
    NextFrame,
    NeedMore,
}

impl Frame {
    /// Unmasks what is new, so that an impossible byte is seen before its frame is complete; says where it stands.
    fn unmask(&mut self, inbox: &mut Inbox) -> Range<usize> {
        let bytes = inbox.bytes_mut();
        let available =
            usize::try_from(self.remaining).map_or(bytes.len(), |remaining| remaining.min(bytes.len()));
        let fresh = &mut bytes[self.ready..available];
        if let Some(key) = self.mask {
            mask::apply(key, self.mask_offset.into(), fresh);
        }
        self.mask_offset = (usize::from(self.mask_offset) + fresh.len()) as u8 % 4;
        core::mem::replace(&mut self.ready, available)..available
    }

    /// The payload of a message's only frame: it stays in the inbox until it is complete.
    fn in_place(&mut self, message: &Unfinished, inbox: &mut Inbox, complete: bool) -> Step {
        if !complete {
            inbox.expect(usize::try_from(self.remaining).unwrap_or(usize::MAX));
            return Step::NeedMore;
        }
        inbox.expect(0);
        inbox.lend(self.ready);
        message.whole(Place::Front { offset: 0, len: self.ready })
    }

    /// The payload of a fragment: joined to those before it as it arrives.
    fn join(&mut self, message: &Unfinished, inbox: &mut Inbox, last: bool) -> Step {
        inbox.assemble(self.take_ready());
        if !last {
            return Step::NeedMore;
        }
        inbox.lend_assembled();
        message.whole(Place::Assembled)
    }

    /// A part as it arrives.
    fn part(&mut self, message: &mut Unfinished, inbox: &mut Inbox, last: bool) -> Step {
        inbox.expect(0);
        let len = self.take_ready();
        if len == 0 && !last {
            return Step::NeedMore;
        }
        inbox.lend(len);
        message.part(Place::Front { offset: 0, len }, last)
    }

    /// The rest of a message whose reader was dropped.
    fn discard(&mut self, inbox: &mut Inbox) -> Step {
        inbox.expect(0);
        inbox.consume(self.take_ready());
        Step::NeedMore
    }

    fn take_ready(&mut self) -> usize {
        self.remaining -= self.ready as u64;
        core::mem::take(&mut self.ready)
    }
}

impl Unfinished {
    fn whole(&self, place: Place) -> Step {
        Step::Fact(match self.meaning {
            Meaning::Plain | Meaning::Compressed => Fact::Message { kind: self.kind(), place },
            Meaning::Extended => {
                Fact::Extended { opcode: self.opcode(), rsv: Rsv::from_bits(self.first), place }
            }
        })
    }

    /// What an extension makes of a text need not be one.
    fn kind(&self) -> Kind {
        match self.opcode() {
            OpCode::Text if self.meaning != Meaning::Extended => Kind::Text,
            _ => Kind::Binary,
        }
    }

    fn opcode(&self) -> OpCode {
        OpCode::from_bits(self.first)
    }

    fn part(&mut self, place: Place, last: bool) -> Step {
        let first = !core::mem::replace(&mut self.parted, true);
        Step::Fact(Fact::Part { kind: self.kind(), place, first, last })
    }
}

/// A control frame that is all here; its header has been checked.
fn control(inbox: &mut Inbox, header: Header, header_len: usize) -> Fact {
    let len = header.payload_len as usize;
    if let Some(key) = header.mask {
        mask::apply(key, 0, &mut inbox.bytes_mut()[header_len..header_len + len]);
    }
    inbox.lend(header_len + len);
    let place = Place::Front { offset: header_len as u32, len };
    match header.opcode {
        OpCode::Ping => Fact::Ping(place),
        OpCode::Pong => Fact::Pong(place),
        OpCode::Close => Fact::Close(place),
        opcode => Fact::Extended { opcode, rsv: header.rsv, place },
    }
}
