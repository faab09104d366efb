//! What is sent that is no ordinary message: prepared for many connections, or an extension's.

use super::Sender;
use crate::connection::outbox::Outbox;
use crate::connection::outgoing::{Outgoing, Payload, Special};
use crate::error::Misuse;
use crate::extension::Meaning;
use crate::frame::{OpCode, Rsv};
use crate::limits::Config;
use bytes::Bytes;

impl Sender {
    /// Queues what is prepared for many, or an extension's.
    #[inline(never)]
    pub(super) fn special(
        &mut self,
        special: Special<'_>,
        mut message: Outgoing<'_>,
        outbox: &mut Outbox,
        config: &Config,
    ) -> Result<(), Misuse> {
        let prepared = match special {
            Special::Extended(opcode, rsv, payload) => {
                return self.extended(opcode, rsv, payload, outbox, config);
            }
            Special::Prepared(prepared) => prepared,
        };
        if self.keys.is_some() || config.fragment_size.is_some() {
            // Its frame would not do: as any other message.
            message.payload = Payload::Shared(special.to_bytes());
            return self.message_of_any_kind(message, outbox, config);
        }
        self.check_open(outbox, config)?;
        if self.partial.is_some() {
            return Err(Misuse::MessageUnfinished);
        }
        #[cfg(feature = "deflate")]
        if message.compress && self.prepared_compressed(prepared, outbox, config) {
            return Ok(());
        }
        queue_frame(prepared.frame(), outbox);
        Ok(())
    }

    /// Queues what an extension sends, where it may.
    fn extended(
        &mut self,
        opcode: OpCode,
        rsv: Rsv,
        payload: &[u8],
        outbox: &mut Outbox,
        config: &Config,
    ) -> Result<(), Misuse> {
        let known = opcode.is_reserved() || matches!(opcode, OpCode::Text | OpCode::Binary);
        let agreed = (!opcode.is_reserved() || self.claims.has_opcode(opcode))
            && (rsv == Rsv::NONE || self.claims.allow(rsv, opcode))
            && self.claims.meaning(rsv, opcode) == Meaning::Extended;
        if !known || !agreed {
            return Err(Misuse::NotAgreed { opcode, rsv });
        }
        if opcode.is_control() {
            return self.control_with(rsv, opcode, payload, outbox, config);
        }
        self.check_open(outbox, config)?;
        if self.partial.is_some() {
            return Err(Misuse::MessageUnfinished);
        }
        self.whole(rsv, opcode, Payload::Slice(payload), outbox, config);
        Ok(())
    }
}

/// Queues a frame that many connections share: a copy where it is small.
pub(super) fn queue_frame(frame: &Bytes, outbox: &mut Outbox) {
    if frame.len() < SHARE_FRAME_FROM {
        outbox.push_small(|small| small.extend_from_slice(frame));
    } else {
        outbox.push_frame(frame.clone());
    }
}

/// A frame that was made already is shared from this many bytes on: to count a reference, and to write from two places,
/// costs as much as to copy some hundred bytes, and a queue of shared frames takes no memory of its own.
const SHARE_FRAME_FROM: usize = 256;
