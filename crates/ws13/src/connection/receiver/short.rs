//! The commonest messages, quickly: those in one frame that is short and all here. The general path gives the same answers.

use super::{MaskRule, Receiver};
use crate::connection::inbox::{Inbox, Place};
use crate::frame::{MAX_CONTROL_PAYLOAD, MaskKey, OpCode};
use crate::mask;
use crate::message::Kind;
#[cfg(feature = "tokio")]
use crate::message::Message;
#[cfg(feature = "tokio")]
use crate::text::Text;
use crate::utf8;
#[cfg(feature = "tokio")]
use alloc::vec::Vec;
#[cfg(feature = "tokio")]
use bytes::Bytes;

impl Receiver {
    /// The commonest case, and quickly so: a short message, which is one frame that is all here and less than `SHARE_FROM`
    /// bytes. Whatever else is at the front is left to `next`, which would give the same answer here, too.
    #[inline(always)]
    pub(in crate::connection) fn short_message(&mut self, inbox: &mut Inbox) -> Option<(Kind, Place)> {
        inbox.release();
        let WholeStart { kind, masked, len } = self.whole_start(inbox.bytes())?;
        if len <= MAX_CONTROL_PAYLOAD {
            return self.short_payload::<2>(kind, masked, len, inbox);
        }
        match *inbox.bytes() {
            [_, _, high, low, ..] if len == 126 => {
                let len = usize::from(u16::from_be_bytes([high, low]));
                if len > MAX_CONTROL_PAYLOAD {
                    self.short_payload::<4>(kind, masked, len, inbox)
                } else {
                    None
                }
            }
            _ => None,
        }
    }

    /// As `short_message`, for keeps and of at most 125 bytes: the payload is unmasked on its way out of the buffer.
    #[cfg(feature = "tokio")]
    #[inline(always)]
    pub(in crate::connection) fn small_message(&mut self, inbox: &mut Inbox) -> Option<Message> {
        inbox.release();
        let WholeStart { kind, masked, len } = self.whole_start(inbox.bytes())?;
        if len > MAX_CONTROL_PAYLOAD || len >= self.short_below.into() {
            return None;
        }
        let (header_len, key, payload) = split_frame::<2>(masked, len, inbox.bytes_mut())?;
        // By way of a box, which is made in registers, as all of this is: what a call leaves in memory word by word, and is
        // moved on from there in larger pieces, the processor waits for.
        let mut copy = Vec::with_capacity(len);
        mask::extend_small(&mut copy, key.unwrap_or(mask::UNMASKED), payload);
        let payload = Bytes::from(copy.into_boxed_slice());
        let message = match kind {
            Kind::Binary => Message::Binary(payload),
            Kind::Text if utf8::is_valid_small(&payload) => Message::Text(Text::from_validated(payload)),
            Kind::Text => return None,
        };
        inbox.lend(header_len + len);
        self.messages += 1;
        Some(message)
    }

    /// What the first two bytes say, where a message in one frame is next.
    #[inline(always)]
    fn whole_start(&self, bytes: &[u8]) -> Option<WholeStart> {
        if self.message.is_some() {
            return None;
        }
        let (kind, second) = match *bytes {
            [WHOLE_TEXT, second, ..] => (Kind::Text, second),
            [WHOLE_BINARY, second, ..] => (Kind::Binary, second),
            _ => return None,
        };
        let masked = match (self.mask, second & 0x80 != 0) {
            (MaskRule::Required, true) => true,
            (MaskRule::Forbidden, false) => false,
            _ => return None,
        };
        Some(WholeStart { kind, masked, len: (second & 0x7f).into() })
    }

    /// The payload of a short message, unmasked where it stands; its length ends `LENGTH_END` bytes after the front.
    #[inline(always)]
    fn short_payload<const LENGTH_END: usize>(
        &mut self,
        kind: Kind,
        masked: bool,
        len: usize,
        inbox: &mut Inbox,
    ) -> Option<(Kind, Place)> {
        if len >= self.short_below.into() {
            return None;
        }
        let (header_len, key, payload) = split_frame::<LENGTH_END>(masked, len, inbox.bytes_mut())?;
        let key = if LENGTH_END == 2 { Some(key.unwrap_or(mask::UNMASKED)) } else { key };
        if let Some(key) = key {
            mask::apply_whole(key, payload);
        }
        let is_text = if LENGTH_END == 2 { utf8::is_valid_small } else { utf8::is_valid };
        if kind == Kind::Text && !is_text(payload) {
            // Left as it was, for `next` to find the fault.
            if let Some(key) = key {
                mask::apply_whole(key, payload);
            }
            return None;
        }
        inbox.lend(header_len + len);
        self.messages += 1;
        Some((kind, Place::Front { offset: header_len as u32, len }))
    }
}

/// The first two bytes of a message in one frame.
struct WholeStart {
    kind: Kind,
    masked: bool,
    /// The length of the payload, or where it stands: 126 and 127.
    len: usize,
}

/// The first bytes of a text and a binary message in one frame.
const WHOLE_TEXT: u8 = 0x80 | OpCode::Text as u8;
const WHOLE_BINARY: u8 = 0x80 | OpCode::Binary as u8;

/// The length of a frame's header, its masking key and its payload, where all of it is here.
#[inline(always)]
fn split_frame<const LENGTH_END: usize>(
    masked: bool,
    len: usize,
    bytes: &mut [u8],
) -> Option<(usize, Option<MaskKey>, &mut [u8])> {
    let header_len = if masked { LENGTH_END + MASK_LEN } else { LENGTH_END };
    let (header, payload) = bytes.get_mut(..header_len + len)?.split_at_mut(header_len);
    Some((header_len, header[LENGTH_END..].first_chunk().copied(), payload))
}

const MASK_LEN: usize = size_of::<MaskKey>();
