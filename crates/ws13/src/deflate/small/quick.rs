//! Level 1: of the places where the next bytes stood only the last one is looked at, and what is found is written at once,
//! with the fixed codes. Five bytes make a place known: by four, what is found in JSON is too short too often.

use super::bits::Bits;
use super::blocks;
use super::finder::{Finder, common, eight};
use std::vec::Vec;

/// The last place of each bucket.
pub(super) type Last = [u16; 1 << BITS];

const BITS: u32 = 12;

/// Bytes of the shortest reference: others that share a bucket may be this long.
const SHORTEST: usize = 4;

/// Of the bytes of a match, every so manyth is put into the index.
const STEP: usize = 4;

/// The bucket of the next bytes.
#[inline(always)]
pub(super) fn bucket(next: u64) -> usize {
    ((next << 24).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS)) as usize
}

/// Appends the bytes of the finder from `start` on as a block, and the bits behind it; references go no further back than
/// `reach`.
pub(super) fn write(finder: &mut Finder, start: usize, reach: usize, out: &mut Vec<u8>) {
    let before = out.len();
    let Some((bytes, base, last)) = finder.quick() else { return };
    let mut bits = Bits::new(out);
    bits.put(blocks::FIXED, 3);
    let mut at = start;
    while let Some(next) = eight(bytes, at) {
        let place = base.wrapping_add(at as u16);
        let there = core::mem::replace(&mut last[bucket(next)], place);
        let distance = usize::from(place.wrapping_sub(there));
        let len = if distance.wrapping_sub(1) < reach.min(at) { same(bytes, at, distance, next) } else { 0 };
        if len < SHORTEST {
            blocks::put_fixed_literal(bytes[at], &mut bits);
            at += 1;
            continue;
        }
        blocks::put_fixed_reference(len, distance, &mut bits);
        let end = at + len;
        for at in (at..end).skip(STEP).step_by(STEP) {
            let Some(next) = eight(bytes, at) else { break };
            last[bucket(next)] = base.wrapping_add(at as u16);
        }
        at = end;
    }
    for byte in &bytes[at..] {
        blocks::put_fixed_literal(*byte, &mut bits);
    }
    blocks::end_fixed(bits);
    let message = &bytes[start..];
    if out.len() - before > blocks::stored_len(message) {
        out.truncate(before);
        blocks::write_stored(message, out);
    }
    finder.set_indexed(at);
}

/// How many bytes at `at`, the next eight and those behind them, are the same at this distance.
#[inline(always)]
fn same(bytes: &[u8], at: usize, distance: usize, next: u64) -> usize {
    match eight(bytes, at - distance) {
        Some(before) if before == next => common(bytes, at, distance),
        Some(before) => (before ^ next).trailing_zeros() as usize / 8,
        None => 0,
    }
}
