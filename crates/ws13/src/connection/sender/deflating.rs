//! Compressed messages on their way out (RFC 7692 section 6.1).

use super::Sender;
use super::special::queue_frame;
use crate::connection::outbox::Outbox;
use crate::connection::outgoing::{Outgoing, Payload};
use crate::connection::prepared::{self, Prepared};
use crate::deflate::{Deflation, Half};
use crate::extension::Claims;
use crate::frame::{OpCode, Rsv};
use crate::limits::Config;
use alloc::boxed::Box;

impl Sender {
    /// Compresses messages from now on.
    pub(in crate::connection) fn set_deflate(&mut self, half: Half) {
        self.deflate = Some(half);
        self.claim(Claims::DEFLATE);
    }

    /// Queues a whole message: compressed, unless it is short, its sender says so, or it would not get smaller.
    #[inline(never)]
    pub(super) fn message_compressed(
        &mut self,
        half: Half,
        message: Outgoing<'_>,
        outbox: &mut Outbox,
        config: &Config,
    ) {
        let Outgoing { kind, payload, compress } = message;
        let settings = config.deflate.clone().unwrap_or_default();
        let bytes = payload.as_slice();
        if !compress || bytes.len() < settings.least(half) {
            return self.whole(Rsv::NONE, kind.opcode(), payload, outbox, config);
        }
        let mut deflation = self.take_deflation(half, config);
        let smaller = deflation.message(half, &settings, bytes, |compressed| {
            self.deflated.add(bytes.len(), compressed.len());
            self.whole(Rsv::RSV1, kind.opcode(), Payload::Slice(compressed), outbox, config);
        });
        self.deflation = Some(deflation);
        if !smaller {
            self.whole(Rsv::NONE, kind.opcode(), payload, outbox, config);
        }
    }

    /// Queues a message that is prepared for many, where it is to be compressed, and says so.
    #[inline(never)]
    pub(super) fn prepared_compressed(
        &mut self,
        prepared: &Prepared,
        outbox: &mut Outbox,
        config: &Config,
    ) -> bool {
        let (Some(half), Some(common)) = (self.deflate, prepared.common()) else { return false };
        let mut deflation = self.take_deflation(half, config);
        let frame = deflation
            .prepared(half, common, |compressed| prepared::encode(prepared.kind(), Rsv::RSV1, compressed));
        self.deflation = Some(deflation);
        if let Some(frame) = &frame {
            queue_frame(frame, outbox);
        }
        frame.is_some()
    }

    /// Queues a part of a message, where the message is compressed, and says so.
    #[inline(never)]
    pub(super) fn part_compressed(
        &mut self,
        opcode: OpCode,
        part: &[u8],
        last: bool,
        outbox: &mut Outbox,
        config: &Config,
    ) -> bool {
        let Some(half) = self.deflate else { return false };
        let first = opcode != OpCode::Continuation;
        let settings = config.deflate.clone().unwrap_or_default();
        // Of a message that is not complete, nobody knows how long it gets.
        if first && last && part.len() < settings.least(half) {
            return false;
        }
        let mut deflation = self.take_deflation(half, config);
        if first {
            deflation.begin(half, &settings);
        }
        let compressed = deflation.part(part, last, |compressed| {
            self.deflated.add(part.len(), compressed.len());
            let rsv = if first { Rsv::RSV1 } else { Rsv::NONE };
            self.frame(last, rsv, opcode, Payload::Slice(compressed), compressed.len(), outbox);
        });
        self.deflation = Some(deflation);
        compressed
    }

    fn take_deflation(&mut self, half: Half, config: &Config) -> Box<Deflation> {
        self.deflation.take().unwrap_or_else(|| {
            let settings = config.deflate.clone().unwrap_or_default();
            Box::new(Deflation::new(half, &settings))
        })
    }
}
