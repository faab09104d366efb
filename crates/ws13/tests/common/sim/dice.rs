//! Where a simulation's choices come from: a seed, or the bytes of a fuzzer.

use std::ops::RangeInclusive;

/// A stream of choices: the same source gives the same ones.
pub struct Dice {
    script: std::vec::IntoIter<u8>,
    state: u64,
}

impl Dice {
    pub fn seeded(seed: u64) -> Dice {
        Dice { script: Vec::new().into_iter(), state: seed }
    }

    #[allow(dead_code, reason = "for the fuzzer")]
    /// The choices that the bytes make; when they are used up, the same ones for all.
    pub fn scripted(script: &[u8]) -> Dice {
        Dice { script: Vec::from(script).into_iter(), state: 0 }
    }

    pub fn number(&mut self) -> u64 {
        if let Some(byte) = self.script.next() {
            // Small choices take one byte of the script, and large ones are spread.
            return u64::from(byte).wrapping_mul(0x0101_0101_0101_0101) ^ (u64::from(byte) << 8);
        }
        // splitmix64
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }

    pub fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    pub fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
