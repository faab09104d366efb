//! Bits put together to bytes, the lowest first (RFC 1951 section 3.1.1).

use std::vec::Vec;

/// Appends bits to a buffer.
pub(super) struct Bits<'a> {
    out: &'a mut Vec<u8>,
    /// What is no whole word yet: `count` bits, less than 32.
    word: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Bits { out, word: 0, count: 0 }
    }

    /// Appends the lowest `count` bits of `bits`, at most 32; those above must be zero.
    #[inline(always)]
    pub(super) fn put(&mut self, bits: u32, count: u32) {
        self.word |= u64::from(bits) << self.count;
        self.count += count;
        if self.count >= 32 {
            self.out.extend_from_slice(&(self.word as u32).to_le_bytes());
            self.word >>= 32;
            self.count -= 32;
        }
    }

    /// Appends zeros up to a whole byte, then bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.align();
        self.out.extend_from_slice(bytes);
    }

    /// Appends zeros up to a whole byte.
    pub(super) fn align(&mut self) {
        let bytes = self.count.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.word.to_le_bytes()[..bytes]);
        (self.word, self.count) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_one_bit_after_another(pieces in vec((any::<u32>(), 0..=32_u32), 0..60)) {
            let (mut out, mut slow, mut n) = (Vec::new(), Vec::new(), 0);
            let mut bits = Bits::new(&mut out);
            for (value, count) in pieces {
                let value = (u64::from(value) & ((1 << count) - 1)) as u32;
                bits.put(value, count);
                for bit in 0..count {
                    if n % 8 == 0 {
                        slow.push(0);
                    }
                    *slow.last_mut().unwrap() |= ((value >> bit & 1) as u8) << (n % 8);
                    n += 1;
                }
            }
            bits.align();
            bits.bytes(b"x");
            slow.push(b'x');
            prop_assert_eq!(out, slow);
        }
    }
}
