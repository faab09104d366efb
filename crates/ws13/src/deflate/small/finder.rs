//! The bytes that may be referred to, and an index of them: where were these bytes before?
//!
//! Two tables of buckets, by the next four bytes and by the next eight: a bucket is one number of 64 or 128 bits, the last
//! four or eight places where its bytes stood. To put a place in is a shift; to look up, some comparisons and no chain to
//! walk, so that the work is bounded whatever the bytes are.
//!
//! A place is 16 bits of how many bytes were ever put in. What a bucket says is a hint alone: a reference is made from
//! bytes that were compared, so a place that is long gone is no harm, and nothing has to be moved in time.

use super::token::{LONGEST, SHORTEST};
use std::boxed::Box;
use std::vec::Vec;

/// Buckets of each table, as a power of two.
const SHORT_BITS: u32 = 11;
const LONG_BITS: u32 = 11;

/// The most that is kept: the largest window, and what is put in before the oldest is let go.
const MOST: usize = (32 << 10) + SLACK;
const SLACK: usize = 8 << 10;

/// The last bytes of a history that is for one message alone: they can be found by four bytes, too.
const LAST: usize = 512;

/// A match of so many bytes is good enough: no better one is looked for at that place.
const NICE: usize = 24;

/// The room for the first bytes; doubled as it fills up.
const FIRST: usize = 1 << 10;

/// Plain bytes, with an index.
pub(super) struct Finder {
    bytes: Vec<u8>,
    /// Bytes that were put in before the first one: its place is the lowest 16 bits of it.
    base: u64,
    /// The first byte that is not in the index.
    indexed: usize,
    short: Box<[u64; 1 << SHORT_BITS]>,
    long: Box<[u128; 1 << LONG_BITS]>,
    /// Bytes that were compared.
    #[cfg(test)]
    pub(super) compared: core::cell::Cell<usize>,
}

/// The bytes at some place stood there before, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) len: usize,
    pub(super) distance: usize,
    /// How good it is, to be compared with others: four for each byte, less the bits of the distance.
    pub(super) gain: i32,
}

impl Finder {
    pub(super) fn new() -> Self {
        Finder {
            bytes: Vec::new(),
            base: 0,
            indexed: 0,
            short: table(),
            long: table(),
            #[cfg(test)]
            compared: core::cell::Cell::default(),
        }
    }

    /// Forgets all.
    pub(super) fn forget(&mut self) {
        // The places begin behind those that are in the index, so that none of them is near.
        self.base += self.bytes.len() as u64;
        self.bytes.clear();
        self.indexed = 0;
        if self.base > (1 << 16) - MOST as u64 {
            self.short.fill(0);
            self.long.fill(0);
            self.base = 0;
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Puts bytes behind the others, and lets go of what is further back than `reach`, now and then; gives where they begin.
    pub(super) fn append(&mut self, bytes: &[u8], reach: usize) -> usize {
        if self.bytes.len() + bytes.len() > reach.min(MOST - SLACK) + SLACK {
            let old = self.bytes.len().saturating_sub(reach);
            self.bytes.drain(..old);
            self.base += old as u64;
            self.indexed = self.indexed.saturating_sub(old);
        }
        let start = self.bytes.len();
        let wanted = start + bytes.len();
        if wanted > self.bytes.capacity() {
            let room = wanted.next_power_of_two().clamp(FIRST, MOST.max(wanted));
            self.bytes.reserve_exact(room - start);
        }
        self.bytes.extend_from_slice(bytes);
        start
    }

    /// Takes bytes off the end again.
    pub(super) fn retract(&mut self, len: usize) {
        self.bytes.truncate(self.bytes.len() - len.min(self.bytes.len()));
        self.indexed = self.indexed.min(self.bytes.len());
    }

    /// Puts every `step`th byte up to `end` into the index, as far as there are enough behind it.
    pub(super) fn index(&mut self, end: usize, step: usize) {
        let end = end.min((self.bytes.len() + 1).saturating_sub(8));
        if self.indexed >= end {
            return;
        }
        let places = self.bytes[self.indexed..end + 7].windows(8).step_by(step);
        let mut place = self.place(self.indexed);
        for next in places.map(word) {
            let short = &mut self.short[short_bucket(next)];
            *short = *short << 16 | u64::from(place);
            let long = &mut self.long[long_bucket(next)];
            *long = *long << 16 | u128::from(place);
            place = place.wrapping_add(step as u16);
        }
        self.indexed = end;
    }

    /// For one message alone: puts every `step`th byte into the table of eight bytes alone, and the last ones into both.
    pub(super) fn index_roughly(&mut self, step: usize) {
        let end = self.bytes.len().saturating_sub(LAST);
        if self.indexed < end {
            let places = self.bytes[self.indexed..end + 7].windows(8).step_by(step);
            let mut place = self.place(self.indexed);
            for next in places {
                let long = &mut self.long[long_bucket(word(next))];
                *long = *long << 16 | u128::from(place);
                place = place.wrapping_add(step as u16);
            }
            self.indexed = end;
        }
        self.index(usize::MAX, step);
    }

    #[inline(always)]
    fn place(&self, at: usize) -> u16 {
        (self.base as u16).wrapping_add(at as u16)
    }

    /// The best match for the bytes at `at`, no further back than `reach`, among the last places of their buckets: twice
    /// `ways` for eight bytes, and `ways` for four where those have none. Best by its gain; those of no more than `least`
    /// bytes are not looked for. Puts the bytes into the index.
    #[inline(always)]
    pub(super) fn find(&mut self, at: usize, reach: usize, ways: u8, least: usize) -> Option<Match> {
        let Some(next) = eight(&self.bytes, at) else { return self.find_at_end(at, reach) };
        let place = self.place(at);
        let short = &mut self.short[short_bucket(next)];
        let long = &mut self.long[long_bucket(next)];
        let (mut shorts, mut longs) = (*short, *long);
        *short = shorts << 16 | u64::from(place);
        *long = longs << 16 | u128::from(place);
        self.indexed = at + 1;
        let limit = reach.min(at);
        let mut best = None;
        // A longer match has these eight bytes, too: the last of them is the one behind the best so far.
        let mut skipped = least.max(7) - 7;
        let mut wanted = eight(&self.bytes, at + skipped)?;
        for _ in 0..2 * ways {
            let distance = usize::from(place.wrapping_sub(longs as u16));
            longs >>= 16;
            if distance.wrapping_sub(1) >= limit
                || eight(&self.bytes, at + skipped - distance) != Some(wanted)
            {
                continue;
            }
            let len = self.common(at, distance);
            if keep_better(len, distance, &mut best) {
                skipped = len.max(7) - 7;
                match eight(&self.bytes, at + skipped) {
                    Some(longer) if len < NICE => wanted = longer,
                    _ => break,
                }
            }
        }
        if best.is_some() || least > 7 {
            return best;
        }
        for _ in 0..ways {
            let distance = usize::from(place.wrapping_sub(shorts as u16));
            shorts >>= 16;
            if distance.wrapping_sub(1) < limit {
                let different = eight(&self.bytes, at - distance).map_or(next, |before| before ^ next);
                keep_better(different.trailing_zeros() as usize / 8, distance, &mut best);
            }
        }
        best
    }

    /// How many bytes from `at` on are the same at this distance.
    #[inline(always)]
    fn common(&self, at: usize, distance: usize) -> usize {
        let end = self.bytes.len().min(at + LONGEST);
        let (here, there) = (&self.bytes[at..end], &self.bytes[at - distance..end - distance]);
        let mut len = 0;
        let all = here.chunks_exact(8).zip(there.chunks_exact(8));
        for (here, there) in all {
            let different = word(here) ^ word(there);
            if different != 0 {
                len += different.trailing_zeros() as usize / 8;
                #[cfg(test)]
                self.compared.set(self.compared.get() + len);
                return len;
            }
            len += 8;
        }
        len += here[len..].iter().zip(&there[len..]).take_while(|(here, there)| here == there).count();
        #[cfg(test)]
        self.compared.set(self.compared.get() + len);
        len
    }

    /// The same where less than eight bytes are left: they are put in when there are more.
    #[cold]
    fn find_at_end(&self, at: usize, reach: usize) -> Option<Match> {
        let rest = &self.bytes[at..];
        let mut four = [0; 8];
        four[..4].copy_from_slice(rest.first_chunk::<4>()?);
        let mut shorts = self.short[short_bucket(u64::from_le_bytes(four))];
        let place = self.place(at);
        let mut best = None;
        for _ in 0..4 {
            let distance = usize::from(place.wrapping_sub(shorts as u16));
            shorts >>= 16;
            if distance.wrapping_sub(1) < reach.min(at) {
                let before = &self.bytes[at - distance..];
                let len = rest.iter().zip(before).take_while(|(here, there)| here == there).count();
                keep_better(len, distance, &mut best);
            }
        }
        best
    }
}

/// Whether it is the best so far.
#[inline(always)]
fn keep_better(len: usize, distance: usize, best: &mut Option<Match>) -> bool {
    // What is this short and this far takes as much as literals with codes of their own.
    if len < SHORTEST || (len <= SHORTEST + 1 && distance > 4096) {
        return false;
    }
    let gain = 4 * len as i32 - distance.ilog2() as i32;
    let better = best.is_none_or(|best| gain > best.gain);
    if better {
        *best = Some(Match { len, distance, gain });
    }
    better
}

fn table<T: Copy + Default, const N: usize>() -> Box<[T; N]> {
    // Made on the heap: on the stack it would have to be moved.
    match std::vec![T::default(); N].into_boxed_slice().try_into() {
        Ok(table) => table,
        Err(_) => Box::new([T::default(); N]),
    }
}

#[inline(always)]
fn short_bucket(next: u64) -> usize {
    ((next as u32).wrapping_mul(0x9e37_79b1) >> (32 - SHORT_BITS)) as usize
}

#[inline(always)]
fn long_bucket(next: u64) -> usize {
    (next.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - LONG_BITS)) as usize
}

#[inline(always)]
fn eight(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8).map(word)
}

/// Eight bytes as a number, the first the lowest.
#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
