//! The bytes that may be referred to, and an index of them: where were these bytes before?
//!
//! Two tables of buckets, by the next four bytes and by the next eight: a bucket is one number of 64 or 128 bits, the last
//! four or eight places where its bytes stood. To put a place in is a shift; to look up, some comparisons and no chain to
//! walk, so that the work is bounded whatever the bytes are.
//!
//! Level 1 has one small table instead (`quick.rs`).
//!
//! A place is 16 bits of how many bytes were ever put in. What a bucket says is a hint alone: a reference is made from
//! bytes that were compared, so a place that is long gone is no harm, and nothing has to be moved in time.

use super::quick::{self, Last};
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

/// The last bytes whose places level 1 puts in again, where others had taken them.
const AGAIN: usize = 4 << 10;

/// The room for the first bytes; doubled as it fills up.
const FIRST: usize = 1 << 10;

/// Plain bytes, with an index.
pub(super) struct Finder {
    bytes: Vec<u8>,
    /// Bytes that were put in before the first one: its place is the lowest 16 bits of it.
    base: u64,
    /// The first byte that is not in the index.
    indexed: usize,
    index: Index,
    /// Bytes that were compared.
    #[cfg(test)]
    pub(super) compared: core::cell::Cell<usize>,
}

/// Where bytes stood.
enum Index {
    Thorough { short: Box<[u64; 1 << SHORT_BITS]>, long: Box<[u128; 1 << LONG_BITS]> },
    Quick(Box<Last>),
}

impl Index {
    fn new(quick: bool) -> Self {
        if quick { Index::Quick(table()) } else { Index::Thorough { short: table(), long: table() } }
    }
}

/// The bytes at some place stood there before, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) len: usize,
    pub(super) distance: usize,
    /// How good it is, to be compared with others: four for each byte, less the bits of the distance.
    pub(super) gain: i32,
}

/// How many places of a bucket are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ways {
    /// Of the next eight bytes: up to 8.
    pub(super) long: u8,
    /// Of the next four, where those have no match: up to 4.
    pub(super) short: u8,
}

impl Finder {
    /// An empty one, with the index of level 1 or with that of the others.
    pub(super) fn new(quick: bool) -> Self {
        Finder {
            bytes: Vec::new(),
            base: 0,
            indexed: 0,
            index: Index::new(quick),
            #[cfg(test)]
            compared: core::cell::Cell::default(),
        }
    }

    /// Has the index of level 1, or that of the others; a new one knows nothing yet.
    pub(super) fn be(&mut self, quick: bool) {
        if quick != matches!(self.index, Index::Quick(_)) {
            self.index = Index::new(quick);
            self.indexed = 0;
        }
    }

    /// Forgets all.
    pub(super) fn forget(&mut self) {
        // The places begin behind those that are in the index, so that none of them is near.
        self.base += self.bytes.len() as u64;
        self.bytes.clear();
        self.indexed = 0;
        if self.base > (1 << 16) - MOST as u64 {
            match &mut self.index {
                Index::Thorough { short, long } => {
                    short.fill(0);
                    long.fill(0);
                }
                Index::Quick(last) => last.fill(0),
            }
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
        if len == 0 {
            return;
        }
        let end = self.bytes.len() - len.min(self.bytes.len());
        self.bytes.truncate(end);
        self.indexed = match self.index {
            Index::Thorough { .. } => self.indexed.min(end),
            // They have taken the places of others, of which the last come back.
            Index::Quick(_) => end.saturating_sub(AGAIN),
        };
    }

    /// Puts every `step`th byte up to `end` into the index, as far as there are enough behind it.
    pub(super) fn index(&mut self, end: usize, step: usize) {
        let end = end.min((self.bytes.len() + 1).saturating_sub(8));
        if self.indexed >= end {
            return;
        }
        let mut place = self.place(self.indexed);
        let places = self.bytes[self.indexed..end + 7].windows(8).step_by(step).map(word);
        match &mut self.index {
            Index::Thorough { short, long } => {
                for next in places {
                    let short = &mut short[short_bucket(next)];
                    *short = *short << 16 | u64::from(place);
                    let long = &mut long[long_bucket(next)];
                    *long = *long << 16 | u128::from(place);
                    place = place.wrapping_add(step as u16);
                }
            }
            Index::Quick(last) => {
                for next in places {
                    last[quick::bucket(next)] = place;
                    place = place.wrapping_add(step as u16);
                }
            }
        }
        self.indexed = end;
    }

    /// For one message alone: puts every `step`th byte into the table of eight bytes alone, and the last ones into both.
    pub(super) fn index_roughly(&mut self, step: usize) {
        let end = self.bytes.len().saturating_sub(LAST);
        let mut place = self.place(self.indexed);
        if let Index::Thorough { long, .. } = &mut self.index {
            if self.indexed < end {
                for next in self.bytes[self.indexed..end + 7].windows(8).step_by(step) {
                    let long = &mut long[long_bucket(word(next))];
                    *long = *long << 16 | u128::from(place);
                    place = place.wrapping_add(step as u16);
                }
                self.indexed = end;
            }
        }
        self.index(usize::MAX, step);
    }

    /// What level 1 works with: the bytes, the place of the first one, the index.
    pub(super) fn quick(&mut self) -> Option<(&[u8], u16, &mut Last)> {
        match &mut self.index {
            Index::Quick(last) => Some((&self.bytes, self.base as u16, last)),
            Index::Thorough { .. } => None,
        }
    }

    /// The bytes up to `end` are in the index, as far as they will be.
    pub(super) fn set_indexed(&mut self, end: usize) {
        self.indexed = end;
    }

    #[inline(always)]
    fn place(&self, at: usize) -> u16 {
        (self.base as u16).wrapping_add(at as u16)
    }

    /// The best match for the bytes at `at`, no further back than `reach`, among the last places of their buckets. Best by its
    /// gain; those of no more than `least` bytes are not looked for. Puts the bytes into the index.
    #[inline(always)]
    pub(super) fn find(&mut self, at: usize, reach: usize, ways: Ways, least: usize) -> Option<Match> {
        let Some(next) = eight(&self.bytes, at) else { return self.find_at_end(at, reach) };
        let place = self.place(at);
        let Index::Thorough { short, long } = &mut self.index else { return None };
        let (short, long) = (&mut short[short_bucket(next)], &mut long[long_bucket(next)]);
        let (mut shorts, mut longs) = (*short, *long);
        *short = shorts << 16 | u64::from(place);
        *long = longs << 16 | u128::from(place);
        self.indexed = at + 1;
        let limit = reach.min(at);
        let mut best = None;
        // A longer match has these eight bytes, too: the last of them is the one behind the best so far.
        let mut skipped = least.max(7) - 7;
        let mut wanted = eight(&self.bytes, at + skipped)?;
        for _ in 0..ways.long {
            let distance = usize::from(place.wrapping_sub(longs as u16));
            longs >>= 16;
            if distance.wrapping_sub(1) >= limit {
                if is_ahead(distance) {
                    continue;
                }
                // Those after it are older, and further away.
                break;
            }
            if eight(&self.bytes, at + skipped - distance) != Some(wanted) {
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
        for _ in 0..ways.short {
            let distance = usize::from(place.wrapping_sub(shorts as u16));
            shorts >>= 16;
            if distance.wrapping_sub(1) >= limit {
                if is_ahead(distance) {
                    continue;
                }
                break;
            }
            let different = eight(&self.bytes, at - distance).map_or(next, |before| before ^ next);
            keep_better(different.trailing_zeros() as usize / 8, distance, &mut best);
        }
        best
    }

    #[inline(always)]
    fn common(&self, at: usize, distance: usize) -> usize {
        let len = common(&self.bytes, at, distance);
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
        let Index::Thorough { short, .. } = &self.index else { return None };
        let mut shorts = short[short_bucket(u64::from_le_bytes(four))];
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

/// Whether a place is that of a byte that was taken off the end again: not before this one, nor long gone.
#[inline(always)]
fn is_ahead(distance: usize) -> bool {
    distance == 0 || distance > (1 << 16) - SLACK
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

/// How many bytes from `at` on are the same at this distance.
#[inline(always)]
pub(super) fn common(bytes: &[u8], at: usize, distance: usize) -> usize {
    let end = bytes.len().min(at + LONGEST);
    let (here, there) = (&bytes[at..end], &bytes[at - distance..end - distance]);
    let mut len = 0;
    for (here, there) in here.chunks_exact(8).zip(there.chunks_exact(8)) {
        let different = word(here) ^ word(there);
        if different != 0 {
            return len + different.trailing_zeros() as usize / 8;
        }
        len += 8;
    }
    len + here[len..].iter().zip(&there[len..]).take_while(|(here, there)| here == there).count()
}

#[inline(always)]
fn short_bucket(next: u64) -> usize {
    ((next as u32).wrapping_mul(0x9e37_79b1) >> (32 - SHORT_BITS)) as usize
}

#[inline(always)]
fn long_bucket(next: u64) -> usize {
    (next.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - LONG_BITS)) as usize
}

/// The eight bytes at `at` as a number, the first the lowest.
#[inline(always)]
pub(super) fn eight(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8).map(word)
}

#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
