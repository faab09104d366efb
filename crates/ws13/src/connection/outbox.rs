//! The Outbox: frames that are queued and not written yet, in the order of the wire.

use super::inbox::LEASE;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Buf, Bytes, BytesMut};
use core::ops::Deref;

/// What is queued on a connection and not written yet.
///
/// Headers and small frames stand in one contiguous buffer; a large payload stays where it is and is written from
/// there. Reading it as a [`Buf`] gives the bytes in the order of the wire, also as slices for a vectored write.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Headers and small frames; those before `head` are written.
    small: Vec<u8>,
    head: usize,
    /// Large payloads; from the first one on, or with a buffer that has had some, until the outbox is parked.
    large: Option<Box<LargeQueue>>,
    queued: usize,
    written: u64,
}

/// What an [`Outbox`] queues into, empty: a driver keeps a few, and lends them for the time of use.
#[derive(Debug, Default)]
pub struct OutboxBuffer {
    small: Vec<u8>,
    large: Option<Box<LargeQueue>>,
}

impl OutboxBuffer {
    /// The bytes of memory that it holds on to, but for a few.
    pub fn capacity(&self) -> usize {
        let slots = self.large.as_ref().map_or(0, |large| large.queue.capacity());
        self.small.capacity() + slots * size_of::<Large>()
    }
}

impl From<Vec<u8>> for OutboxBuffer {
    /// A buffer for headers and small frames: keeps its capacity, drops its bytes.
    fn from(mut small: Vec<u8>) -> Self {
        small.clear();
        OutboxBuffer { small, large: None }
    }
}

/// Large payloads, each with its place between the small bytes.
#[derive(Debug, Default)]
struct LargeQueue {
    queue: VecDeque<Large>,
    /// The buffer of one that is written, where nobody else holds it.
    spent: Option<BytesMut>,
}

#[derive(Debug)]
struct Large {
    /// The payload goes out when `small` is written up to here.
    after: usize,
    /// The length of its header, which ends at `after`.
    header_len: usize,
    payload: Piece,
    /// A part of the payload is written.
    begun: bool,
}

#[derive(Debug)]
enum Piece {
    /// Counted bytes.
    Shared(Bytes),
    /// Frames as they stand in a buffer, header and all.
    Frames(BytesMut),
}

impl Outbox {
    /// An empty outbox; allocates nothing.
    pub fn new() -> Self {
        Outbox::default()
    }

    /// Bytes that are queued.
    #[inline]
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Whether everything has been written.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// All bytes that were ever written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Before waiting: gives the buffer back, empty, when nothing is queued.
    pub fn park(&mut self) -> Option<OutboxBuffer> {
        if self.queued > 0 || self.is_parked() {
            return None;
        }
        self.head = 0;
        let mut small = core::mem::take(&mut self.small);
        small.clear();
        let mut large = self.large.take();
        if let Some(LargeQueue { queue, spent }) = large.as_deref_mut() {
            debug_assert!(queue.is_empty());
            queue.clear();
            *spent = None;
        }
        Some(OutboxBuffer { small, large })
    }

    /// Whether the outbox has no buffer to queue into.
    #[inline]
    pub fn is_parked(&self) -> bool {
        self.small.capacity() == 0 && self.large.is_none()
    }

    /// Gives a [parked](Outbox::is_parked) outbox a buffer to queue into; without one it makes its own when it needs it.
    /// In an outbox that is not parked it would take the place of what is queued.
    #[inline]
    pub fn lease(&mut self, buffer: OutboxBuffer) {
        debug_assert!(self.is_parked());
        (self.small, self.large) = (buffer.small, buffer.large);
    }

    /// The buffer of a large payload that is written and no longer used, to be lent again.
    #[inline]
    pub fn take_spent(&mut self) -> Option<BytesMut> {
        self.large.as_mut()?.spent.take()
    }

    /// Forgets what is queued.
    pub(crate) fn clear(&mut self) {
        *self = Outbox { written: self.written, ..Outbox::default() };
    }

    /// Queues a small frame; `write` appends its bytes.
    #[inline]
    pub(super) fn push_small(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.small.len();
        write(&mut self.small);
        self.queued += self.small.len() - before;
    }

    /// Queues a header and its payload, which is not copied.
    pub(super) fn push_large(&mut self, header: &[u8], payload: Bytes) {
        self.small.extend_from_slice(header);
        self.queued += header.len();
        self.push_payload(header.len(), Piece::Shared(payload));
    }

    /// Queues a frame that is shared, header and all.
    pub(super) fn push_frame(&mut self, frame: Bytes) {
        self.push_payload(0, Piece::Shared(frame));
    }

    /// Queues a frame as it stands in its buffer, header and all. Behind one that it stands side by side with, and that has not
    /// begun to be written, it is one piece with it. (Of two allocations that happen to touch, `unsplit` would make a copy.)
    pub(super) fn push_frame_in_place(&mut self, frame: BytesMut) {
        let last = self.large.as_mut().and_then(|large| large.queue.back_mut());
        if let Some(Large { after, payload: Piece::Frames(frames), begun: false, .. }) = last {
            let side_by_side = frames.as_ptr_range().end == frame.as_ptr();
            if side_by_side && *after == self.small.len() && frames.len() + frame.len() <= LARGEST_PIECE {
                self.queued += frame.len();
                frames.unsplit(frame);
                return;
            }
        }
        self.push_payload(0, Piece::Frames(frame));
    }

    /// A payload after what is queued already, of which `header_len` bytes are its header.
    fn push_payload(&mut self, header_len: usize, payload: Piece) {
        // One without bytes would never be written, and stay for ever.
        if !payload.is_empty() {
            self.queued += payload.len();
            let large = Large { after: self.small.len(), header_len, payload, begun: false };
            self.large.get_or_insert_default().queue.push_back(large);
        }
    }

    /// Queues a small frame ahead of all large ones that have not begun to be written: the next frame boundary that
    /// can be told. Gives the count of [`written`](Outbox::written) at which it is gone.
    pub(super) fn push_ahead(&mut self, frame: &[u8]) -> u64 {
        let is_whole = |large: &Large| !large.begun && large.after >= self.head + large.header_len;
        let waiting = self.large().position(is_whole);
        let ahead_of = match self.large.as_deref_mut().zip(waiting) {
            None => {
                self.small.extend_from_slice(frame);
                0
            }
            Some((LargeQueue { queue, .. }, index)) => {
                let at = queue[index].after - queue[index].header_len;
                self.small.splice(at..at, frame.iter().copied());
                let behind = self.small.len() - (at + frame.len());
                let payloads = queue.range_mut(index..).map(|large| {
                    large.after += frame.len();
                    large.payload.len()
                });
                behind + payloads.sum::<usize>()
            }
        };
        self.queued += frame.len();
        self.written + (self.queued - ahead_of) as u64
    }

    #[inline]
    fn large(&self) -> impl Iterator<Item = &Large> {
        self.large.iter().flat_map(|large| &large.queue)
    }

    fn advance_front(&mut self, len: usize) -> usize {
        match self.large.as_mut().filter(|large| large.is_next(self.head)) {
            Some(large) => large.advance_front(len),
            None => {
                let until = self
                    .large
                    .as_ref()
                    .and_then(|large| large.queue.front())
                    .map_or(self.small.len(), |large| large.after);
                let step = len.min(until - self.head);
                self.head += step;
                step
            }
        }
    }

    /// Forgets the small bytes that are written, when that is free or has become worth its while.
    fn compact(&mut self) {
        if self.queued == 0 {
            self.small.clear();
            self.head = 0;
        } else if self.head >= COMPACT_FROM && self.head > self.small.len() / 2 {
            self.small.drain(..self.head);
            for large in self.large.iter_mut().flat_map(|large| &mut large.queue) {
                large.after -= self.head;
            }
            self.head = 0;
        }
    }

    /// The queued bytes as slices, in the order of the wire.
    #[cfg(any(feature = "std", test))]
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = self.head;
        let with_payloads = self.large().flat_map(move |large| {
            let small = &self.small[from..large.after];
            from = large.after;
            [small, &large.payload[..]]
        });
        let last =
            self.large.as_ref().and_then(|large| large.queue.back()).map_or(self.head, |large| large.after);
        with_payloads.chain(core::iter::once(&self.small[last..])).filter(|slice| !slice.is_empty())
    }
}

impl LargeQueue {
    /// Whether the next byte to be written is one of its own, with `head` small ones written.
    fn is_next(&self, head: usize) -> bool {
        self.queue.front().is_some_and(|large| large.after == head)
    }

    /// The first `len` bytes are written, of which those of the first payload are counted.
    fn advance_front(&mut self, len: usize) -> usize {
        let Some(large) = self.queue.front_mut() else { return 0 };
        let step = len.min(large.payload.len());
        large.payload.advance(step);
        large.begun = true;
        if large.payload.is_empty() {
            self.spent = self.queue.pop_front().and_then(|large| large.payload.into_buffer());
        }
        step
    }
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Piece::Shared(bytes) => bytes,
            Piece::Frames(frames) => frames,
        }
    }
}

impl Piece {
    fn advance(&mut self, len: usize) {
        match self {
            Piece::Shared(bytes) => bytes.advance(len),
            Piece::Frames(frames) => frames.advance(len),
        }
    }

    /// The buffer that it stood in, where nobody else holds a part of it.
    fn into_buffer(self) -> Option<BytesMut> {
        let bytes = match self {
            Piece::Shared(bytes) => bytes,
            Piece::Frames(frames) => frames.freeze(),
        };
        bytes.try_into_mut().ok()
    }
}

/// Frames that stand side by side are one piece up to this size; control frames get between pieces only.
const LARGEST_PIECE: usize = LEASE;

/// Written bytes at the front of the small buffer are worth moving the rest from here on.
const COMPACT_FROM: usize = 64 << 10;

impl Buf for Outbox {
    fn remaining(&self) -> usize {
        self.queued
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        match self.large.as_ref().and_then(|large| large.queue.front()) {
            None => &self.small[self.head..],
            Some(large) if large.after == self.head => &large.payload,
            Some(large) => &self.small[self.head..large.after],
        }
    }

    /// Says that `len` bytes are written.
    fn advance(&mut self, len: usize) {
        debug_assert!(len <= self.queued);
        let len = len.min(self.queued);
        if self.large.is_none() {
            self.head += len;
        } else {
            let mut left = len;
            while left > 0 {
                left -= self.advance_front(left);
            }
        }
        self.queued -= len;
        self.written += len as u64;
        self.compact();
    }

    #[cfg(feature = "std")]
    fn chunks_vectored<'a>(&'a self, target: &mut [std::io::IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slot, slice) in target.iter_mut().zip(self.slices()) {
            *slot = std::io::IoSlice::new(slice);
            filled += 1;
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(outbox: &mut Outbox, step: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while outbox.has_remaining() {
            let len = step.min(outbox.chunk().len());
            bytes.extend_from_slice(&outbox.chunk()[..len]);
            outbox.advance(len);
        }
        bytes
    }

    fn mixed() -> Outbox {
        let mut outbox = Outbox::new();
        outbox.push_small(|small| small.extend_from_slice(b"one"));
        outbox.push_large(b"H2", Bytes::from_static(b"payload2"));
        outbox.push_large(b"H3", Bytes::from_static(b"payload3"));
        outbox.push_small(|small| small.extend_from_slice(b"four"));
        outbox
    }

    #[test]
    fn keeps_the_order_whatever_the_writes() {
        for step in 1..30 {
            assert_eq!(drain(&mut mixed(), step), b"oneH2payload2H3payload3four");
        }
        let joined: Vec<u8> = mixed().slices().collect::<Vec<_>>().concat();
        assert_eq!(joined, b"oneH2payload2H3payload3four");
    }

    #[test]
    fn frames_that_stand_side_by_side_are_one_piece() {
        let mut buffer = BytesMut::from(&b"frame1frame2frame3frame4"[..]);
        let mut outbox = Outbox::new();
        outbox.push_frame_in_place(buffer.split_to(6));
        outbox.push_frame_in_place(buffer.split_to(6));
        assert_eq!(outbox.chunk(), b"frame1frame2");
        // Not with one that is being written, nor past what was queued in between.
        outbox.advance(7);
        outbox.push_frame_in_place(buffer.split_to(6));
        assert_eq!(outbox.chunk(), b"rame2");
        outbox.push_small(|small| small.extend_from_slice(b"small"));
        outbox.push_frame_in_place(buffer.split_to(6));
        assert_eq!(outbox.remaining(), 5 + 6 + 5 + 6);
        assert_eq!(drain(&mut outbox, 4), b"rame2frame3smallframe4");
        // From elsewhere, though it may be as long.
        outbox.push_frame_in_place(BytesMut::from(&b"frame5"[..]));
        outbox.push_frame_in_place(BytesMut::from(&b"frame6"[..]));
        assert_eq!(outbox.chunk(), b"frame5");
        assert_eq!(drain(&mut outbox, 4), b"frame5frame6");
    }

    #[test]
    fn a_piece_is_no_longer_than_the_largest_so_that_control_frames_get_between() {
        let mut buffer = BytesMut::zeroed(2 * LARGEST_PIECE);
        let mut outbox = Outbox::new();
        for _ in 0..4 {
            outbox.push_frame_in_place(buffer.split_to(LARGEST_PIECE / 2));
        }
        assert_eq!(outbox.chunk().len(), LARGEST_PIECE);
        outbox.advance(1);
        assert_eq!(outbox.push_ahead(b"PING"), LARGEST_PIECE as u64 + 4);
        let bytes = drain(&mut outbox, 100);
        assert_eq!((bytes.len(), &bytes[LARGEST_PIECE - 1..][..4]), (2 * LARGEST_PIECE + 3, &b"PING"[..]));
    }

    #[test]
    fn control_frames_go_ahead_of_frames_that_are_one_piece_and_more_may_join_them() {
        let mut buffer = BytesMut::from(&b"frame1frame2frame3"[..]);
        let mut outbox = Outbox::new();
        outbox.push_frame_in_place(buffer.split_to(6));
        outbox.push_frame_in_place(buffer.split_to(6));
        assert_eq!(outbox.push_ahead(b"PING"), 4);
        outbox.push_frame_in_place(buffer.split_to(6));
        assert_eq!(drain(&mut outbox, 100), b"PINGframe1frame2frame3");
    }

    #[test]
    fn a_written_buffer_is_given_back_whole_where_nobody_holds_a_part_of_it() {
        let whole = 4 * LEASE;
        let mut buffer = BytesMut::with_capacity(whole);
        buffer.resize(100, 1);
        let mut outbox = Outbox::new();
        outbox.push_frame_in_place(buffer.split_to(60));
        outbox.advance(60);
        assert!(outbox.take_spent().is_none());
        outbox.push_frame_in_place(buffer);
        outbox.advance(40);
        assert_eq!(outbox.take_spent().map(|buffer| buffer.capacity()), Some(whole - 100));
    }

    #[test]
    fn control_frames_go_ahead_at_the_next_frame_boundary() {
        for written in 0..27 {
            let mut outbox = mixed();
            let mut bytes = Vec::new();
            while bytes.len() < written {
                bytes.push(outbox.chunk()[0]);
                outbox.advance(1);
            }
            let gone_at = outbox.push_ahead(b"PING");
            bytes.extend(drain(&mut outbox, 5));
            let expected: &[u8] = match written {
                0..=3 => b"onePINGH2payload2H3payload3four",
                4..=13 => b"oneH2payload2PINGH3payload3four",
                _ => b"oneH2payload2H3payload3fourPING",
            };
            assert_eq!(bytes, expected, "after {written} bytes");
            let end = expected.windows(4).position(|window| window == b"PING").unwrap() + 4;
            assert_eq!(gone_at, end as u64);
        }
    }

    #[test]
    fn an_empty_outbox_gives_its_buffer_back() {
        let mut outbox = mixed();
        assert!(outbox.park().is_none());
        drain(&mut outbox, 7);
        let buffer = outbox.park().unwrap();
        assert!(buffer.small.is_empty() && buffer.small.capacity() > 0);
        assert!(buffer.large.as_ref().is_some_and(|large| large.queue.is_empty() && large.spent.is_none()));
        assert!(outbox.park().is_none());
        assert!(outbox.small.capacity() == 0 && outbox.large.is_none());
        assert_eq!(outbox.written(), 27);
        // What another one queued into it before is not to be seen.
        let mut other = Outbox::new();
        other.lease(buffer);
        other.push_small(|small| small.extend_from_slice(b"one"));
        other.push_large(b"H2", Bytes::new());
        assert_eq!(drain(&mut other, 2), b"oneH2");
        other.push_large(b"H3", Bytes::from_static(b"payload3"));
        assert_eq!(drain(&mut other, 4), b"H3payload3");
    }
}
