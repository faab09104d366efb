//! What agreed extensions have taken of the frame header: reserved bits and reserved opcodes.

use crate::frame::{OpCode, Rsv};

/// The reserved bits and opcodes that extensions give a meaning to (RFC 6455 section 5.2); all others stay a fault.
///
/// ```
/// use ws13::extension::Claims;
/// use ws13::frame::{OpCode, Rsv};
/// let mine = Claims::NONE.bits(Rsv::RSV2).opcode(OpCode::Reserved3);
/// assert!(mine.overlaps(Claims::NONE.bits(Rsv::RSV2.union(Rsv::RSV3))));
/// assert!(!mine.overlaps(Claims::NONE.opcode(OpCode::Reserved4)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims(
    /// A bit for each reserved opcode, at its number. Those of opcodes that cannot be claimed stand for something else.
    u16,
);

/// RSV1 is "Per-Message Compressed" (RFC 7692 section 6).
const DEFLATE: u16 = 1 << OpCode::Close.bits();
const OPCODES: u16 = 0xf8f8;

/// What a frame that begins a message, or is a control frame, is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Plain,
    Compressed,
    /// For an extension that we know no more of than what it claims.
    Extended,
}

impl Claims {
    /// Nothing is claimed.
    pub const NONE: Claims = Claims(0);

    #[cfg(feature = "deflate")]
    pub(crate) const DEFLATE: Claims = Claims(DEFLATE);

    /// Claims bits, too: on the first frame of a text or binary message, and on frames with a claimed opcode.
    #[must_use]
    pub const fn bits(self, bits: Rsv) -> Claims {
        Claims(self.0 | place(bits))
    }

    /// Claims an opcode, too: 3 to 7 for messages, which may be fragmented, 11 to 15 for control frames. The RFC's own
    /// cannot be claimed.
    #[must_use]
    pub const fn opcode(self, opcode: OpCode) -> Claims {
        Claims(self.0 | 1 << opcode.bits() & OPCODES)
    }

    /// Whether both claim the same, so that no connection can have both.
    #[must_use]
    pub const fn overlaps(self, other: Claims) -> bool {
        self.taken() & other.taken() != 0
    }

    /// The claims of both.
    pub(crate) const fn union(self, other: Claims) -> Claims {
        Claims(self.0 | other.0)
    }

    /// Whether an opcode that the RFC reserves means something; asked only where there is one.
    #[cold]
    pub(crate) fn has_opcode(self, opcode: OpCode) -> bool {
        self.0 & OPCODES & 1 << opcode.bits() != 0
    }

    /// Whether a frame may have these bits; asked only where there are some.
    #[cold]
    pub(crate) fn allow(self, rsv: Rsv, opcode: OpCode) -> bool {
        match opcode {
            OpCode::Text | OpCode::Binary => self.is_compressed(rsv) || self.has_bits(rsv),
            opcode => opcode.is_reserved() && self.has_bits(rsv),
        }
    }

    /// What a frame means that is allowed.
    #[inline(always)]
    pub(crate) fn meaning(self, rsv: Rsv, opcode: OpCode) -> Meaning {
        if rsv == Rsv::NONE && matches!(opcode, OpCode::Text | OpCode::Binary) {
            return Meaning::Plain;
        }
        self.other_meaning(rsv, opcode)
    }

    #[cold]
    fn other_meaning(self, rsv: Rsv, opcode: OpCode) -> Meaning {
        match rsv {
            _ if opcode.is_reserved() => Meaning::Extended,
            Rsv::NONE => Meaning::Plain,
            rsv if self.is_compressed(rsv) => Meaning::Compressed,
            _ => Meaning::Extended,
        }
    }

    fn is_compressed(self, rsv: Rsv) -> bool {
        self.0 & DEFLATE != 0 && rsv == Rsv::RSV1
    }

    fn has_bits(self, rsv: Rsv) -> bool {
        self.0 & place(rsv) == place(rsv)
    }

    /// With the bit of compression as what it is.
    const fn taken(self) -> u16 {
        if self.0 & DEFLATE != 0 { self.0 | place(Rsv::RSV1) } else { self.0 }
    }
}

/// The bits in the places of the opcodes 0 to 2.
const fn place(bits: Rsv) -> u16 {
    (bits.bits() >> 4) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_bits_are_claimed_on_the_first_frame_of_a_message_only() {
        let both = Rsv::RSV1.union(Rsv::RSV2);
        for opcode in [OpCode::Text, OpCode::Binary, OpCode::Continuation, OpCode::Ping, OpCode::Close] {
            assert!(!Claims::NONE.allow(Rsv::RSV1, opcode));
            let claims = Claims::NONE.bits(Rsv::RSV1);
            assert_eq!(claims.allow(Rsv::RSV1, opcode), matches!(opcode, OpCode::Text | OpCode::Binary));
            assert!(!claims.allow(both, opcode) && !claims.allow(Rsv::RSV3, opcode));
        }
    }

    #[cfg(feature = "deflate")]
    #[test]
    fn a_message_belongs_to_one_extension() {
        let claims = Claims::DEFLATE.union(Claims::NONE.bits(Rsv::RSV2).opcode(OpCode::Reserved3));
        assert!(claims.allow(Rsv::RSV1, OpCode::Text) && claims.allow(Rsv::RSV2, OpCode::Text));
        assert!(!claims.allow(Rsv::RSV1.union(Rsv::RSV2), OpCode::Text));
        assert!(!claims.allow(Rsv::RSV1, OpCode::Reserved3));
        assert_eq!(claims.meaning(Rsv::RSV1, OpCode::Text), Meaning::Compressed);
        assert_eq!(claims.meaning(Rsv::RSV2, OpCode::Text), Meaning::Extended);
        assert!(claims.overlaps(Claims::NONE.bits(Rsv::RSV1)));
    }

    #[test]
    fn only_reserved_opcodes_can_be_claimed() {
        for bits in 0..16 {
            let opcode = OpCode::from_bits(bits);
            assert_eq!(Claims::NONE.opcode(opcode).has_opcode(opcode), opcode.is_reserved());
        }
    }
}
