//! The Sender: messages and control frames become frames in the outbox.

use super::Role;
use super::inbox::SHARE_FROM;
use super::outbox::Outbox;
use super::outgoing::{Outgoing, Payload};
use super::stats::Ratio;
use crate::error::Misuse;
use crate::extension::Claims;
use crate::frame::{Header, MAX_CONTROL_PAYLOAD, MaskKey, OpCode, Rsv};
use crate::limits::Config;
use crate::mask;
use crate::message::Kind;
use crate::utf8::Validator;
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::Bytes;

#[cfg(feature = "deflate")]
mod deflating;
mod special;

/// Where a client's masking keys come from.
///
/// "The masking key needs to be unpredictable; thus, the masking key MUST be derived from a strong source of entropy"
/// (RFC 6455 section 5.3): a plain pseudo-random generator is not enough.
pub trait MaskKeys: Send {
    /// A fresh key; called once for each frame.
    fn next_key(&mut self) -> MaskKey;
}

/// The sending half of a connection.
pub(super) struct Sender {
    /// The source of masking keys: a client has one, a server has none.
    keys: Option<Box<dyn MaskKeys>>,
    /// A Close frame was queued; nothing may follow it.
    closed: bool,
    /// The message that is being written in parts.
    partial: Option<Partial>,
    /// The Pong that is owed while earlier ones are not written yet.
    owed_pong: Option<Box<[u8]>>,
    /// Pongs that were queued since all of them were written.
    queued_pongs: u8,
    /// The count of written bytes at which the last of them is gone.
    pongs_gone_at: u64,
    /// What extensions may send.
    claims: Claims,
    /// Messages that were queued.
    messages: u64,
    #[cfg(feature = "deflate")]
    deflated: Ratio,
    /// What was agreed on for compressed messages.
    #[cfg(feature = "deflate")]
    deflate: Option<crate::deflate::Half>,
    /// What is kept for them, from the first one on.
    #[cfg(feature = "deflate")]
    deflation: Option<Box<crate::deflate::Deflation>>,
}

/// A message that is being written in parts.
struct Partial {
    kind: Kind,
    /// Its first frame is out.
    begun: bool,
    utf8: Validator,
}

impl Partial {
    /// What it is after this part; `None` where no text could have it.
    fn after(&self, part: &[u8], last: bool) -> Option<Partial> {
        let mut after = Partial { begun: true, utf8: self.utf8.clone(), ..*self };
        let valid = self.kind == Kind::Binary
            || (after.utf8.feed(part).is_ok() && (!last || after.utf8.is_complete()));
        valid.then_some(after)
    }
}

impl Sender {
    pub(super) fn new(keys: Option<Box<dyn MaskKeys>>) -> Self {
        Sender {
            keys,
            closed: false,
            partial: None,
            owed_pong: None,
            queued_pongs: 0,
            pongs_gone_at: 0,
            claims: Claims::NONE,
            messages: 0,
            #[cfg(feature = "deflate")]
            deflated: Ratio::default(),
            #[cfg(feature = "deflate")]
            deflate: None,
            #[cfg(feature = "deflate")]
            deflation: None,
        }
    }

    pub(super) fn role(&self) -> Role {
        if self.keys.is_some() { Role::Client } else { Role::Server }
    }

    /// Lets extensions send what they claim, from now on.
    pub(super) fn claim(&mut self, claims: Claims) {
        self.claims = self.claims.union(claims);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// How many messages were queued.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// The bytes of those that were compressed.
    pub(super) fn deflated(&self) -> Ratio {
        #[cfg(feature = "deflate")]
        return self.deflated;
        #[cfg(not(feature = "deflate"))]
        Ratio::default()
    }

    /// Whether a Pong waits for an earlier one to be written.
    pub(super) fn owes_pong(&self) -> bool {
        self.owed_pong.is_some()
    }

    /// Queues a whole message.
    #[inline(always)]
    pub(super) fn message(
        &mut self,
        message: Outgoing<'_>,
        outbox: &mut Outbox,
        config: &Config,
    ) -> Result<(), Misuse> {
        let ordinary = !matches!(message.payload, Payload::Special(_));
        if ordinary && self.short(message.kind, message.payload.as_slice(), outbox, config) {
            return Ok(());
        }
        self.message_of_any_kind(message, outbox, config)
    }

    /// The commonest case, and quickly so: one frame that is copied. Whether it was that.
    ///
    /// It takes what fits into registers: a message that is moved through memory to get here costs more than all this.
    #[inline]
    fn short(&mut self, kind: Kind, payload: &[u8], outbox: &mut Outbox, config: &Config) -> bool {
        let len = payload.len();
        let plain = !self.closed && self.partial.is_none() && config.fragment_size.is_none();
        #[cfg(feature = "deflate")]
        let plain = plain && self.deflate.is_none();
        if !plain || outbox.queued() >= config.limits.queue_cap {
            return false;
        }
        let first = 0x80 | kind.opcode().bits();
        if len > MAX_CONTROL_PAYLOAD {
            if len > self.copied_up_to() {
                return false;
            }
            self.messages += 1;
            self.push_of_16_bits(first, payload, outbox);
            return true;
        }
        self.messages += 1;
        let header = [first, len as u8];
        if let Some(key) = self.next_key() {
            push_small_masked(header, key, payload, outbox);
            return true;
        }
        outbox.push_small(|small| {
            small.reserve(header.len() + len);
            small.extend_from_slice(&header);
            small.extend_from_slice(payload);
        });
        true
    }

    /// The largest payload of a whole message that is queued by copy. Since a client has to go through each byte, to mask
    /// it, it may as well put it next to its header.
    #[inline]
    fn copied_up_to(&self) -> usize {
        if self.keys.is_some() { LARGEST_OF_16_BITS } else { SHARE_FROM - 1 }
    }

    /// Queues a frame whose length has 16 bits. A function of its own, for the sake of smaller ones.
    #[inline(never)]
    fn push_of_16_bits(&mut self, first: u8, payload: &[u8], outbox: &mut Outbox) {
        let key = self.next_key();
        let [high, low] = (payload.len() as u16).to_be_bytes();
        outbox.push_small(|small| match key {
            Some(key @ [a, b, c, d]) => {
                let header = [first, 0x80 | 126, high, low, a, b, c, d];
                small.reserve(header.len() + payload.len());
                small.extend_from_slice(&header);
                mask::extend(small, key, 0, payload);
            }
            None => {
                let header = [first, 126, high, low];
                small.reserve(header.len() + payload.len());
                small.extend_from_slice(&header);
                small.extend_from_slice(payload);
            }
        });
    }

    fn message_of_any_kind(
        &mut self,
        message: Outgoing<'_>,
        outbox: &mut Outbox,
        config: &Config,
    ) -> Result<(), Misuse> {
        if let Payload::Special(special) = message.payload {
            return self.special(special, message, outbox, config);
        }
        self.check_open(outbox, config)?;
        if self.partial.is_some() {
            return Err(Misuse::MessageUnfinished);
        }
        self.messages += 1;
        #[cfg(feature = "deflate")]
        if let Some(half) = self.deflate {
            self.message_compressed(half, message, outbox, config);
            return Ok(());
        }
        self.whole(Rsv::NONE, message.kind.opcode(), message.payload, outbox, config);
        Ok(())
    }

    /// Queues a whole message, in one frame or in fragments.
    #[inline]
    fn whole(
        &mut self,
        rsv: Rsv,
        opcode: OpCode,
        payload: Payload<'_>,
        outbox: &mut Outbox,
        config: &Config,
    ) {
        let len = payload.as_slice().len();
        match config.fragment_size {
            Some(size) if len > size.max(1) => {
                self.fragments(rsv, opcode, shared(payload), size.max(1), outbox);
            }
            _ => self.frame(true, rsv, opcode, payload, len, outbox),
        }
    }

    /// Begins a message that is written in parts.
    pub(super) fn begin(&mut self, kind: Kind) -> Result<(), Misuse> {
        if self.closed {
            return Err(Misuse::Closed);
        }
        if self.partial.is_some() {
            return Err(Misuse::MessageUnfinished);
        }
        self.partial = Some(Partial { kind, begun: false, utf8: Validator::new() });
        Ok(())
    }

    /// Queues a part of the message that was begun, as one frame.
    pub(super) fn part(
        &mut self,
        payload: &[u8],
        last: bool,
        outbox: &mut Outbox,
        config: &Config,
    ) -> Result<(), Misuse> {
        self.check_open(outbox, config)?;
        let partial = self.partial.as_ref().ok_or(Misuse::NoMessageBegun)?;
        let Some(after) = partial.after(payload, last) else {
            // Of what was not begun on the wire, nothing is left.
            self.partial = self.partial.take().filter(|partial| partial.begun);
            return Err(Misuse::Utf8);
        };
        let opcode = if partial.begun { OpCode::Continuation } else { partial.kind.opcode() };
        self.partial = (!last).then_some(after);
        self.messages += u64::from(last);
        #[cfg(feature = "deflate")]
        if self.part_compressed(opcode, payload, last, outbox, config) {
            return Ok(());
        }
        self.frame(last, Rsv::NONE, opcode, Payload::Slice(payload), payload.len(), outbox);
        Ok(())
    }

    /// Queues a Ping or an unsolicited Pong.
    pub(super) fn control(
        &mut self,
        opcode: OpCode,
        payload: &[u8],
        outbox: &mut Outbox,
        config: &Config,
    ) -> Result<(), Misuse> {
        self.control_with(Rsv::NONE, opcode, payload, outbox, config)
    }

    fn control_with(
        &mut self,
        rsv: Rsv,
        opcode: OpCode,
        payload: &[u8],
        outbox: &mut Outbox,
        config: &Config,
    ) -> Result<(), Misuse> {
        self.check_open(outbox, config)?;
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(Misuse::ControlPayload { len: payload.len() });
        }
        self.control_ahead(rsv, opcode, payload, outbox);
        Ok(())
    }

    /// Answers a Ping: "an endpoint MUST send a Pong frame in response", and "MAY elect to send a Pong frame for only
    /// the most recently processed Ping frame" (5.5.2, 5.5.3). A burst is answered Ping by Ping; a peer that does not
    /// take the answers is owed no more than the newest.
    pub(super) fn pong(&mut self, payload: &[u8], outbox: &mut Outbox) {
        if self.closed {
            return;
        }
        if outbox.written() >= self.pongs_gone_at {
            self.queued_pongs = 0;
        }
        if self.queued_pongs < MAX_QUEUED_PONGS {
            // This Ping is the newest; what was owed for an older one must not follow it.
            self.owed_pong = None;
            self.queued_pongs += 1;
            self.pongs_gone_at = self.control_ahead(Rsv::NONE, OpCode::Pong, payload, outbox);
        } else {
            self.owed_pong = Some(payload.into());
        }
    }

    /// Queues the owed Pong when the earlier ones are written.
    pub(super) fn settle_pong(&mut self, outbox: &mut Outbox) {
        if outbox.written() >= self.pongs_gone_at {
            if let Some(payload) = self.owed_pong.take() {
                self.pong(&payload, outbox);
            }
        }
    }

    /// Queues the Close frame, the last frame there is.
    pub(super) fn close(&mut self, payload: &[u8], outbox: &mut Outbox) {
        if self.closed {
            return;
        }
        // A Ping that came before is still answered: only a received Close would excuse us (5.5.2).
        if let Some(payload) = self.owed_pong.take() {
            self.control_ahead(Rsv::NONE, OpCode::Pong, &payload, outbox);
        }
        self.abandon();
        self.frame(true, Rsv::NONE, OpCode::Close, Payload::Slice(payload), payload.len(), outbox);
    }

    /// Nothing can be sent any more.
    pub(super) fn abandon(&mut self) {
        self.closed = true;
        self.owed_pong = None;
        #[cfg(feature = "deflate")]
        {
            self.deflation = None;
        }
    }

    fn check_open(&self, outbox: &Outbox, config: &Config) -> Result<(), Misuse> {
        if self.closed {
            return Err(Misuse::Closed);
        }
        if outbox.queued() >= config.limits.queue_cap {
            return Err(Misuse::QueueFull);
        }
        Ok(())
    }

    fn fragments(
        &mut self,
        mut rsv: Rsv,
        mut opcode: OpCode,
        mut payload: Bytes,
        size: usize,
        outbox: &mut Outbox,
    ) {
        while !payload.is_empty() {
            let piece = payload.split_to(size.min(payload.len()));
            let len = piece.len();
            self.frame(payload.is_empty(), rsv, opcode, Payload::Shared(piece), len, outbox);
            // The "Per-Message Compressed" bit is the first fragment's alone (RFC 7692 section 6.1).
            (rsv, opcode) = (Rsv::NONE, OpCode::Continuation);
        }
    }

    #[inline]
    fn frame(
        &mut self,
        fin: bool,
        rsv: Rsv,
        opcode: OpCode,
        payload: Payload<'_>,
        len: usize,
        outbox: &mut Outbox,
    ) {
        let mask = self.next_key();
        let header = Header { fin, rsv, opcode, mask, payload_len: len as u64 }.encode();
        // Fragments stay apart, so that control frames get between them.
        let whole = fin && opcode != OpCode::Continuation;
        let copied_up_to = if whole { self.copied_up_to() } else { SHARE_FROM - 1 };
        if len > copied_up_to {
            return match (mask, payload) {
                (Some(key), payload) => outbox.push_large(&header, masked(payload, key)),
                // Sent back as it is: one piece, header and all.
                (None, Payload::Lent(message)) => match message.into_frame(&header) {
                    Ok(frame) => outbox.push_frame_in_place(frame),
                    Err(message) => outbox.push_large(&header, message.into_bytes()),
                },
                (None, payload) => outbox.push_large(&header, shared(payload)),
            };
        }
        let payload = payload.as_slice();
        outbox.push_small(|small| {
            small.reserve(header.len() + len);
            small.extend_from_slice(&header);
            match mask {
                None => small.extend_from_slice(payload),
                Some(key) => mask::extend(small, key, 0, payload),
            }
        });
    }

    fn control_ahead(&mut self, rsv: Rsv, opcode: OpCode, payload: &[u8], outbox: &mut Outbox) -> u64 {
        let mask = self.next_key();
        let header = Header { fin: true, rsv, opcode, mask, payload_len: payload.len() as u64 };
        let mut frame = [0; Header::MAX_LEN + MAX_CONTROL_PAYLOAD];
        let header = header.encode();
        let len = header.len() + payload.len();
        frame[..header.len()].copy_from_slice(&header);
        frame[header.len()..len].copy_from_slice(payload);
        if let Some(key) = mask {
            mask::apply(key, 0, &mut frame[header.len()..len]);
        }
        outbox.push_ahead(&frame[..len])
    }

    /// "A client MUST mask all frames that it sends to the server. A server MUST NOT mask any frames" (5.1).
    #[inline]
    fn next_key(&mut self) -> Option<MaskKey> {
        self.keys.as_mut().map(|keys| keys.next_key())
    }
}

/// Queues a client's small frame, whose header is as a server's would be. A function of its own, so that a server's are not
/// kept waiting for registers that it takes.
#[inline(never)]
fn push_small_masked([first, len]: [u8; 2], key: MaskKey, payload: &[u8], outbox: &mut Outbox) {
    let [a, b, c, d] = key;
    let header = [first, 0x80 | len, a, b, c, d];
    outbox.push_small(|small| {
        small.reserve(header.len() + payload.len());
        small.extend_from_slice(&header);
        mask::extend_small(small, key, payload);
    });
}

/// The largest payload whose length fits into 16 bits.
const LARGEST_OF_16_BITS: usize = u16::MAX as usize;

/// Pongs that may be queued at once: a burst of Pings is answered one by one, and at most 2 KiB wait for a peer that
/// takes nothing.
pub(super) const MAX_QUEUED_PONGS: u8 = 16;

impl Kind {
    pub(super) fn opcode(self) -> OpCode {
        match self {
            Kind::Text => OpCode::Text,
            Kind::Binary => OpCode::Binary,
        }
    }
}

/// The payload as counted bytes: without a copy where it can be.
fn shared(payload: Payload<'_>) -> Bytes {
    match payload {
        Payload::Slice(slice) => Bytes::copy_from_slice(slice),
        Payload::Shared(bytes) => bytes,
        Payload::Lent(message) => message.into_bytes(),
        Payload::Special(special) => special.to_bytes(),
    }
}

/// The payload masked: in place where nobody else holds it, else copied and masked in one go.
fn masked(payload: Payload<'_>, key: MaskKey) -> Bytes {
    let copied = |slice: &[u8]| {
        let mut bytes = Vec::new();
        mask::extend(&mut bytes, key, 0, slice);
        Bytes::from(bytes)
    };
    match payload {
        Payload::Slice(slice) => copied(slice),
        payload => match shared(payload).try_into_mut() {
            Ok(mut bytes) => {
                mask::apply(key, 0, &mut bytes);
                bytes.freeze()
            }
            Err(bytes) => copied(&bytes),
        },
    }
}

impl core::fmt::Debug for Sender {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sender")
            .field("role", &self.role())
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
