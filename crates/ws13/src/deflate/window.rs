//! The last plain bytes of one direction: all that is kept of a compressed connection while it is idle.

use std::vec::Vec;

/// The room for the first bytes; doubled as it fills up.
const FIRST: usize = 256;

/// The last bytes up to a limit, in a ring that grows with what is put in.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    /// Where the oldest byte stands, once the ring is full.
    start: u32,
    limit: u32,
}

impl Window {
    /// An empty window of at most `limit` bytes; allocates nothing.
    pub(crate) fn new(limit: usize) -> Self {
        Window { bytes: Vec::new(), start: 0, limit: u32::try_from(limit).unwrap_or(u32::MAX) }
    }

    /// The most bytes that it holds.
    pub(crate) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// How many bytes it holds.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What it holds: the older bytes, the newer bytes.
    pub(crate) fn parts(&self) -> (&[u8], &[u8]) {
        let (newer, older) = self.bytes.split_at(self.start as usize);
        (older, newer)
    }

    /// The last `len` bytes of what it holds, in two parts.
    pub(crate) fn last(&self, len: usize) -> (&[u8], &[u8]) {
        let (older, newer) = self.parts();
        let end = |part: &'_ [u8], len: usize| part.len() - part.len().min(len);
        let from_older = len.saturating_sub(newer.len());
        (&older[end(older, from_older)..], &newer[end(newer, len)..])
    }

    /// Puts bytes in; the oldest go where there is no room.
    pub(crate) fn append(&mut self, mut fresh: &[u8]) {
        let limit = self.limit as usize;
        if fresh.len() >= limit {
            fresh = &fresh[fresh.len() - limit..];
            self.bytes.clear();
            self.start = 0;
        }
        let (fill, wrap) = fresh.split_at(fresh.len().min(limit - self.bytes.len()));
        self.grow_for(fill.len());
        self.bytes.extend_from_slice(fill);
        if wrap.is_empty() {
            return;
        }
        let at = self.start as usize;
        let (to_end, from_front) = wrap.split_at(wrap.len().min(limit - at));
        self.bytes[at..at + to_end.len()].copy_from_slice(to_end);
        self.bytes[..from_front.len()].copy_from_slice(from_front);
        self.start = ((at + wrap.len()) % limit) as u32;
    }

    /// Empties it into a buffer that is lent; gives the buffer it had.
    pub(crate) fn exchange(&mut self, mut buffer: Vec<u8>) -> Vec<u8> {
        buffer.clear();
        self.start = 0;
        core::mem::replace(&mut self.bytes, buffer)
    }

    fn grow_for(&mut self, more: usize) {
        let wanted = self.bytes.len() + more;
        if wanted > self.bytes.capacity() {
            let room = wanted.next_power_of_two().max(FIRST).min(self.limit as usize);
            self.bytes.reserve_exact(room - self.bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_end_of_everything(
            limit in prop_oneof![Just(0usize), Just(1), 1..700usize],
            pieces in vec(vec(any::<u8>(), 0..900), 0..12),
        ) {
            let (mut window, mut all) = (Window::new(limit), Vec::new());
            for piece in pieces {
                window.append(&piece);
                all.extend_from_slice(&piece);
                let (older, newer) = window.parts();
                prop_assert_eq!([older, newer].concat(), &all[all.len().saturating_sub(limit)..]);
                for len in [0, 1, limit / 2, limit, limit + 1] {
                    let (older, newer) = window.last(len);
                    prop_assert_eq!([older, newer].concat(), &all[all.len().saturating_sub(limit.min(len))..]);
                }
                prop_assert!(window.bytes.capacity() <= limit);
            }
        }
    }

    #[test]
    fn grows_by_doubling_and_no_further_than_its_limit() {
        let mut window = Window::new(2048);
        assert_eq!(window.bytes.capacity(), 0);
        for (add, room) in [(1, 256), (255, 256), (1, 512), (600, 1024), (5000, 2048), (1, 2048)] {
            window.append(&std::vec![0; add]);
            assert_eq!(window.bytes.capacity(), room);
        }
    }
}
