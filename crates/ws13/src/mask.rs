//! Masking (RFC 6455 section 5.3): XOR with a four byte key, in place or together with a copy, from any offset.
//!
//! The offset makes it possible to unmask a frame while it arrives: the second part of a payload goes on where the
//! first one ended.
//!
//! ```
//! let key = [0x37, 0xfa, 0x21, 0x3d];
//! let mut payload = *b"Hello";
//! ws13::mask::apply(key, 0, &mut payload[..2]);
//! ws13::mask::apply(key, 2, &mut payload[2..]);
//! assert_eq!(payload, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
//! ```

use crate::frame::MaskKey;
use alloc::vec::Vec;
use core::cell::Cell;

/// Masks or unmasks `payload`, which starts `offset` bytes into the frame's payload.
#[inline]
pub fn apply(key: MaskKey, offset: usize, payload: &mut [u8]) {
    apply_pattern(pattern(key, offset), payload);
}

/// As `apply`, for a frame's whole payload, inlined into its caller.
#[inline(always)]
pub(crate) fn apply_whole(key: MaskKey, payload: &mut [u8]) {
    apply_pattern(pattern(key, 0), payload);
}

/// Unmasks a frame's whole payload, which stands at the end of `bytes`, and moves it to their front, by `distance` bytes.
///
/// It is moved and unmasked at once, through registers.
pub(crate) fn apply_moving(key: MaskKey, bytes: &mut [u8], distance: usize) {
    let pattern = pattern(key, 0);
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    if crate::trusted::move_wide(bytes, distance, pattern) {
        return;
    }
    move_xor(bytes, distance, pattern);
}

#[inline(always)]
fn apply_pattern(pattern: Pattern, payload: &mut [u8]) {
    if payload.len() >= WIDE_FROM {
        apply_wide(payload, pattern);
    } else {
        xor(payload, pattern);
    }
}

/// Appends `payload`, masked, to `target`; `payload` starts `offset` bytes into the frame's payload.
///
/// It is copied and masked at once, through registers.
pub fn extend(target: &mut Vec<u8>, key: MaskKey, offset: usize, payload: &[u8]) {
    target.reserve(payload.len());
    let pattern = pattern(key, offset);
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    if payload.len() >= WIDE_FROM && crate::trusted::extend_wide(target, payload, pattern) {
        return;
    }
    extend_xor(target, payload, pattern);
}

/// The key that changes nothing: where payloads are small, that is quicker than to ask whether there is a key.
pub(crate) const UNMASKED: MaskKey = [0; 4];

/// As `extend`, for a frame's whole payload, and quicker where it is small.
#[inline(always)]
pub(crate) fn extend_small(target: &mut Vec<u8>, key: MaskKey, payload: &[u8]) {
    extend_rest(target, payload, pattern(key, 0));
}

/// Appends `payload` XOR the repeated pattern, in the registers of the function that this is inlined into. Each block asks
/// whether there is room, so that large blocks are worth it.
#[inline(always)]
pub(crate) fn extend_xor(target: &mut Vec<u8>, payload: &[u8], pattern: Pattern) {
    let rest = extend_blocks::<{ 16 * WORD }>(target, payload, pattern);
    extend_rest(target, rest, pattern);
}

#[inline(always)]
fn extend_rest(target: &mut Vec<u8>, payload: &[u8], pattern: Pattern) {
    let rest = extend_blocks::<{ 4 * WORD }>(target, payload, pattern);
    let rest = extend_blocks::<WORD>(target, rest, pattern);
    target.extend(rest.iter().zip(pattern.to_ne_bytes()).map(|(byte, key)| byte ^ key));
}

/// From here on a call to ask for wider registers pays.
const WIDE_FROM: usize = 256;

/// The key as it applies from an offset on, twice: in words the compiler sees that it is the same for each.
pub(crate) type Pattern = u64;

#[inline]
fn pattern(key: MaskKey, offset: usize) -> Pattern {
    let rotated = u32::from_ne_bytes(key).rotate_right(ROTATION * (offset as u32 % 4));
    u64::from(rotated) << 32 | u64::from(rotated)
}

/// Large payloads, with the widest registers that are worth it; those of 64 bytes were measured not to be.
fn apply_wide(payload: &mut [u8], pattern: Pattern) {
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    if crate::trusted::xor_wide(payload, pattern) {
        return;
    }
    xor(payload, pattern);
}

/// XOR with the repeated pattern, in blocks of a fixed size, which the compiler turns into vector instructions: those
/// of the function that this is inlined into.
#[inline(always)]
pub(crate) fn xor(payload: &mut [u8], pattern: Pattern) {
    let rest = xor_blocks::<{ 4 * WORD }>(payload, pattern);
    let rest = xor_blocks::<WORD>(rest, pattern);
    for (byte, key) in rest.iter_mut().zip(pattern.to_ne_bytes()) {
        *byte ^= key;
    }
}

/// All whole blocks of `N` bytes, a multiple of the word; gives back what is left.
#[inline(always)]
fn xor_blocks<const N: usize>(payload: &mut [u8], pattern: Pattern) -> &mut [u8] {
    let mut blocks = payload.chunks_exact_mut(N);
    for block in &mut blocks {
        block.chunks_exact_mut(WORD).for_each(|word| xor_word(word, pattern));
    }
    blocks.into_remainder()
}

#[inline(always)]
fn xor_word(word: &mut [u8], pattern: Pattern) {
    let mut bytes = [0; WORD];
    bytes.copy_from_slice(word);
    word.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ pattern).to_ne_bytes());
}

/// All whole blocks of `N` bytes, a multiple of the word; gives back what is left.
#[inline(always)]
fn extend_blocks<'a, const N: usize>(target: &mut Vec<u8>, payload: &'a [u8], pattern: Pattern) -> &'a [u8] {
    let mut blocks = payload.chunks_exact(N);
    for block in &mut blocks {
        let mut masked = [0; N];
        masked.copy_from_slice(block);
        masked.chunks_exact_mut(WORD).for_each(|word| xor_word(word, pattern));
        target.extend_from_slice(&masked);
    }
    blocks.remainder()
}

/// Moves `bytes[distance..]` to the front of `bytes`, XOR the repeated pattern, in the registers of the function that this is
/// inlined into.
#[inline(always)]
pub(crate) fn move_xor(bytes: &mut [u8], distance: usize, pattern: Pattern) {
    let cells = Cell::from_mut(bytes).as_slice_of_cells();
    let (from, to) = (&cells[distance..], &cells[..cells.len() - distance]);
    let (from, to) = move_blocks::<{ 16 * WORD }>(from, to, pattern);
    let (from, to) = move_blocks::<WORD>(from, to, pattern);
    for ((from, to), key) in from.iter().zip(to).zip(pattern.to_ne_bytes()) {
        to.set(from.get() ^ key);
    }
}

/// All whole blocks of `N` bytes, a multiple of the word, to a place before them; gives back what is left.
#[inline(always)]
fn move_blocks<'a, const N: usize>(
    from: &'a [Cell<u8>],
    to: &'a [Cell<u8>],
    pattern: Pattern,
) -> (&'a [Cell<u8>], &'a [Cell<u8>]) {
    let (mut from, mut to) = (from.chunks_exact(N), to.chunks_exact(N));
    for (from, to) in (&mut from).zip(&mut to) {
        // Read whole before it is written, to where nothing is read any more.
        let mut block: [u8; N] = core::array::from_fn(|i| from[i].get());
        block.chunks_exact_mut(WORD).for_each(|word| xor_word(word, pattern));
        to.iter().zip(block).for_each(|(to, byte)| to.set(byte));
    }
    (from.remainder(), to.remainder())
}

const WORD: usize = size_of::<Pattern>();

#[cfg(target_endian = "little")]
const ROTATION: u32 = 8;
#[cfg(target_endian = "big")]
const ROTATION: u32 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    /// The RFC's words as code: octet i of the result is octet i of the payload XOR octet i MOD 4 of the key.
    fn obvious(key: MaskKey, offset: usize, payload: &[u8]) -> Vec<u8> {
        payload.iter().enumerate().map(|(i, byte)| byte ^ key[(offset + i) % 4]).collect()
    }

    #[test]
    fn equals_the_obvious_version_for_every_length_offset_and_alignment() {
        let key = [0x12, 0x80, 0xff, 0x07];
        let bytes: Vec<u8> = (0..400).map(|i| (i * 7) as u8).collect();
        for start in 0..40 {
            for len in (0..140).chain(250..260) {
                for offset in 0..9 {
                    let expected = obvious(key, offset, &bytes[start..start + len]);
                    let mut in_place = bytes.clone();
                    apply(key, offset, &mut in_place[start..start + len]);
                    assert_eq!(in_place[start..start + len], expected);
                    assert_eq!(in_place[..start], bytes[..start]);
                    assert_eq!(in_place[start + len..], bytes[start + len..]);
                }
            }
        }
    }

    #[test]
    fn wide_registers_give_what_narrow_ones_do() {
        let bytes: Vec<u8> = (0..2000).map(|i| (i * 13) as u8).collect();
        for start in 0..64 {
            for len in (WIDE_FROM..WIDE_FROM + 140).chain([1024, 1900]) {
                for offset in 0..4 {
                    let pattern = pattern([0x12, 0x80, 0xff, 0x07], offset);
                    let (mut wide, mut narrow) = (bytes.clone(), bytes.clone());
                    apply_wide(&mut wide[start..start + len], pattern);
                    xor(&mut narrow[start..start + len], pattern);
                    assert_eq!(wide, narrow);
                }
            }
        }
    }

    #[test]
    fn a_moved_payload_equals_the_obvious_version_for_every_length_and_distance() {
        let key = [0x12, 0x80, 0xff, 0x07];
        let bytes: Vec<u8> = (0..9000).map(|i| (i * 7) as u8).collect();
        for len in (0..WIDE_FROM + 140).chain([1024, 8191, 8192, 8900]) {
            for distance in [0, 1, 3, 4, 7, 8, 20, 31, 32, 64, 90] {
                let mut moved = bytes[..distance + len].to_vec();
                apply_moving(key, &mut moved, distance);
                assert_eq!(moved[..len], obvious(key, 0, &bytes[distance..distance + len]));
            }
        }
    }

    #[test]
    fn extend_small_equals_the_obvious_version_at_every_length() {
        let key = [0x12, 0x80, 0xff, 0x07];
        let bytes: Vec<u8> = (0..200).map(|i| (i * 7) as u8).collect();
        for len in 0..=bytes.len() {
            let mut target = Vec::from(*b"before");
            extend_small(&mut target, key, &bytes[..len]);
            assert_eq!(target, [&b"before"[..], &obvious(key, 0, &bytes[..len])].concat());
        }
    }

    #[test]
    fn extend_equals_the_obvious_version_at_every_length_and_offset() {
        let key = [1, 2, 3, 4];
        let bytes: Vec<u8> = (0..9000).map(|i| (i * 31) as u8).collect();
        for len in (0..WIDE_FROM + 140).chain([1024, 4095, 4096, bytes.len()]) {
            for offset in 0..5 {
                let mut target = Vec::from(*b"before");
                extend(&mut target, key, offset, &bytes[..len]);
                assert_eq!(target[..6], *b"before");
                assert_eq!(target[6..], obvious(key, offset, &bytes[..len]));
            }
        }
    }
}
