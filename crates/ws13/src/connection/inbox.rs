//! The Inbox: bytes that have arrived and are not handled yet, in one buffer that is lent for the time of use.

use crate::frame::MaskKey;
use crate::mask;
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};

/// The size of a buffer to read into, in bytes.
pub const LEASE: usize = 64 << 10;

/// Payloads from this size on are passed along by reference count; smaller ones are cheaper to copy. (A client copies whole
/// messages of up to 64 KiB on their way out, as it has to mask them.)
pub const SHARE_FROM: usize = 8 << 10;

/// What is left of a frame may be moved out of a lease up to this size, so that a slow peer holds no lease.
const PARK_UP_TO: usize = LEASE / 4;

/// Reading on into less room than this is not worth a system call.
const LEAST_ROOM: usize = 4 << 10;

/// A payload is moved towards the front of its buffer where it begins in the first line of the cache: from farther away it
/// would be written to other lines than it is read from.
const MOVED_FROM_AT_MOST: usize = 64;

/// What has arrived on a connection and is not handled yet.
///
/// It holds memory for bytes that arrived, never for a length that was only announced, and none at all when it is
/// empty and [`park`](Inbox::park)ed.
#[derive(Debug, Default)]
pub struct Inbox {
    /// `buf[start..]` is not handled yet.
    buf: BytesMut,
    /// The buffer was leased, also where a part of it has been shared since.
    leased: bool,
    start: usize,
    /// Bytes from `start` on that the last event has lent out.
    lent: usize,
    /// The payloads of a fragmented message, joined.
    assembled: Option<Box<BytesMut>>,
    assembled_lent: bool,
    /// The rest of the payload of the unfinished frame at the front, which stays here until it is complete.
    expected: usize,
    received: u64,
}

impl Inbox {
    /// An empty inbox; allocates nothing.
    pub fn new() -> Self {
        Inbox::default()
    }

    /// Puts bytes into the inbox, by copy: for those who have them in a buffer of their own.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.reset_if_empty();
        if self.buf.capacity() - self.buf.len() < bytes.len() {
            // What is handled must not be carried along.
            bytes::Buf::advance(&mut self.buf, self.start);
            self.start = 0;
        }
        self.buf.extend_from_slice(bytes);
        self.received += bytes.len() as u64;
    }

    /// The bytes that are not handled yet.
    pub fn bytes(&self) -> &[u8] {
        &self.buf[self.start..]
    }

    /// Whether everything that arrived has been handled.
    pub fn is_empty(&self) -> bool {
        self.start + self.lent == self.buf.len()
    }

    /// Whether more can be read although nobody handles it now: nothing is lent, and less than a lease waits, or a
    /// frame that is not complete.
    #[cfg(feature = "tokio")]
    pub(crate) fn can_take_more(&self) -> bool {
        let waiting = self.bytes().len();
        self.lent == 0 && !self.assembled_lent && (waiting < LEASE || waiting < self.expected)
    }

    /// All bytes that ever arrived.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// A buffer with room to append what is read next; [`advance_received`](Inbox::advance_received) must follow.
    ///
    /// `lease` gives an empty buffer of at least the capacity it is asked for. That is [`LEASE`], or more for a large
    /// frame; then it may give a smaller one, to say that it has none at hand. A large frame grows its buffer
    /// with what arrives: what is made for it is never more than what is here already, or a lease.
    pub fn room(&mut self, lease: impl FnOnce(usize) -> BytesMut) -> &mut BytesMut {
        self.release();
        self.reset_if_empty();
        let unread = self.buf.len() - self.start;
        if unread == 0 {
            if self.buf.capacity() < LEASE && !self.buf.try_reclaim(LEASE) {
                self.buf = lease(LEASE);
                self.leased = true;
            }
            return &mut self.buf;
        }
        let missing = self.expected.saturating_sub(unread);
        let wanted = growth(unread, missing);
        if self.buf.capacity() - self.buf.len() < wanted.min(LEAST_ROOM) {
            self.make_room(unread, wanted, lease);
        }
        &mut self.buf
    }

    /// Says how many bytes were appended to [`room`](Inbox::room).
    pub fn advance_received(&mut self, len: usize) {
        self.received += len as u64;
    }

    /// Before waiting for more: gives the lease back where it is not needed for an unfinished frame. A part of it may
    /// be shared still: `BytesMut::try_reclaim` tells.
    #[inline]
    pub fn park(&mut self) -> Option<BytesMut> {
        self.release();
        self.assembled.take_if(|assembled| assembled.is_empty());
        let unread = self.bytes();
        if unread.len() > PARK_UP_TO || !(self.leased || unread.is_empty()) {
            return None;
        }
        let rest = if unread.is_empty() { BytesMut::new() } else { BytesMut::from(unread) };
        self.start = 0;
        let mut lease = core::mem::replace(&mut self.buf, rest);
        lease.clear();
        core::mem::take(&mut self.leased).then_some(lease)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.buf = BytesMut::new();
        self.assembled = None;
        (self.start, self.lent, self.expected, self.assembled_lent, self.leased) = (0, 0, 0, false, false);
    }

    /// The bytes that are not handled yet, to unmask them in place.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buf[self.start..]
    }

    /// Drops bytes from the front.
    pub(super) fn consume(&mut self, len: usize) {
        self.start += len;
    }

    /// Says that the front is a payload of `len` bytes that stays here until it is complete; 0 for none.
    pub(super) fn expect(&mut self, len: usize) {
        self.expected = len;
    }

    /// Lends the first `len` bytes to an event; they go with the next [`release`](Inbox::release).
    pub(super) fn lend(&mut self, len: usize) {
        self.lent = len;
    }

    /// Unmasks the payload of the frame at the front, all of which is here, and lends it.
    ///
    /// A large one that stands near the front of the buffer moves to where the header of a server's frame, which is shorter by
    /// the masking key, has just room before it: frames that are sent back as they came then stand side by side, and are
    /// written as one. Behind much that was handled it stays where it is.
    pub(super) fn lend_frame(&mut self, mask: Option<MaskKey>, header_len: usize, len: usize) -> Place {
        let payload = self.start + header_len;
        let Some(key) = mask else { return self.lend_in_place(header_len, len) };
        if len < SHARE_FROM || payload > MOVED_FROM_AT_MOST {
            mask::apply(key, 0, &mut self.buf[payload..payload + len]);
            return self.lend_in_place(header_len, len);
        }
        let offset = header_len - key.len();
        mask::apply_moving(key, &mut self.buf[offset..payload + len], payload - offset);
        self.start = 0;
        self.lend(payload + len);
        Place::Front { offset: offset as u32, len }
    }

    fn lend_in_place(&mut self, header_len: usize, len: usize) -> Place {
        self.lend(header_len + len);
        Place::Front { offset: header_len as u32, len }
    }

    /// Lends the joined fragments to an event.
    pub(super) fn lend_assembled(&mut self) {
        self.assembled_lent = true;
    }

    /// Drops what the last event had lent.
    #[inline]
    pub(super) fn release(&mut self) {
        self.start += self.lent;
        self.lent = 0;
        if self.assembled_lent {
            self.assembled.as_mut().into_iter().for_each(|assembled| assembled.clear());
            self.assembled_lent = false;
        }
    }

    /// Whether fragments have been joined that no event has lent out.
    pub(super) fn has_assembled(&self) -> bool {
        !self.assembled_lent && self.assembled.as_ref().is_some_and(|assembled| !assembled.is_empty())
    }

    /// Moves the first `len` bytes to the end of the joined fragments.
    pub(super) fn assemble(&mut self, len: usize) {
        self.assembled.get_or_insert_default().extend_from_slice(&self.buf[self.start..self.start + len]);
        self.start += len;
    }

    /// The first `len` bytes, and the buffer for what becomes of them.
    #[cfg(feature = "deflate")]
    pub(super) fn front_and_assembled(&mut self, len: usize) -> (&[u8], &mut BytesMut) {
        (&self.buf[self.start..self.start + len], self.assembled.get_or_insert_default())
    }

    /// The bytes at a place.
    #[inline]
    pub(super) fn at(&self, place: Place) -> &[u8] {
        match place {
            Place::Front { offset, len } => {
                let from = self.start + offset as usize;
                &self.buf[from..from + len]
            }
            Place::Assembled => self.assembled(),
        }
    }

    #[cold]
    fn assembled(&self) -> &[u8] {
        self.assembled.as_deref().map_or(&[], |assembled| assembled)
    }

    /// Takes lent bytes out by reference count, without a copy.
    pub(super) fn share(&mut self, place: Place) -> Bytes {
        match place {
            Place::Front { offset, len } => {
                let from = self.start + offset as usize;
                self.share_front(from, from + len).freeze()
            }
            Place::Assembled => self.assembled.take().map_or_else(Bytes::new, |assembled| assembled.freeze()),
        }
    }

    /// As `share`, with the header of a frame to be sent before it. That takes the place of the header that the payload came
    /// with, which a client's masking key makes longer; `None` where the two do not stand together.
    pub(super) fn share_as_frame(&mut self, place: Place, header: &[u8]) -> Option<BytesMut> {
        let Place::Front { offset, len } = place else { return None };
        let payload = self.start + offset as usize;
        // All that stands before a lent payload has been handled.
        let from = payload.checked_sub(header.len())?;
        self.buf[from..payload].copy_from_slice(header);
        Some(self.share_front(from, payload + len))
    }

    /// Takes a part of what is lent out of the buffer, with all that stands before it; what is lent is handled then.
    fn share_front(&mut self, from: usize, to: usize) -> BytesMut {
        let handled = self.start + self.lent;
        let mut bytes = self.buf.split_to(to);
        (self.start, self.lent) = (handled - to, 0);
        bytes::Buf::advance(&mut bytes, from);
        bytes
    }

    fn reset_if_empty(&mut self) {
        if self.start == self.buf.len() {
            self.buf.clear();
            self.start = 0;
        }
    }

    /// Brings the unread bytes into a buffer with `wanted` bytes of room after them.
    fn make_room(&mut self, unread: usize, wanted: usize, lease: impl FnOnce(usize) -> BytesMut) {
        bytes::Buf::advance(&mut self.buf, self.start);
        self.start = 0;
        if self.leased && self.buf.try_reclaim(wanted) {
            // Nobody holds what was handled: the rest has moved to the front of the same lease.
            return;
        }
        let mut fresh = lease(LEASE.max(unread + wanted));
        if fresh.capacity() >= unread + wanted {
            fresh.extend_from_slice(self.bytes());
            self.leased = true;
            self.buf = fresh;
        } else {
            // `BytesMut::reserve` would double the buffer, and a frame would cost up to twice its length.
            let mut grown = Vec::from(core::mem::take(&mut self.buf));
            grown.reserve_exact(wanted);
            self.buf = BytesMut::from(Bytes::from(grown));
        }
    }
}

/// How many bytes of room to make after `unread` bytes of a frame of which `missing` have not come; 0 when that is
/// not known.
fn growth(unread: usize, missing: usize) -> usize {
    match missing {
        0 => LEAST_ROOM,
        // The end is near: not one more read for a few bytes.
        missing if missing <= unread + LEASE / 4 => missing,
        missing => missing.min(unread.max(LEASE - unread.min(LEASE))),
    }
}

/// Where an event's payload stands in the inbox.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// `len` bytes, `offset` bytes after the front.
    Front { offset: u32, len: usize },
    /// The joined fragments.
    Assembled,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(_: usize) -> BytesMut {
        BytesMut::with_capacity(LEASE)
    }

    #[test]
    fn an_empty_inbox_gives_its_lease_back() {
        let mut inbox = Inbox::new();
        inbox.room(lease).extend_from_slice(b"abc");
        inbox.consume(3);
        assert!(inbox.park().is_some_and(|buf| buf.capacity() >= LEASE));
        assert_eq!(inbox.buf.capacity(), 0);
    }

    #[test]
    fn an_unfinished_frame_keeps_its_bytes_only() {
        let mut inbox = Inbox::new();
        inbox.room(lease).extend_from_slice(b"abcdef");
        inbox.consume(2);
        assert!(inbox.park().is_some());
        assert_eq!(inbox.bytes(), b"cdef");
        assert!(inbox.buf.capacity() < 64);
        inbox.room(lease).extend_from_slice(b"gh");
        assert_eq!(inbox.bytes(), b"cdefgh");
    }

    #[test]
    fn a_declared_length_allocates_nothing_until_its_bytes_arrive() {
        let mut inbox = Inbox::new();
        inbox.expect(1 << 30);
        let mut arrived = 0;
        for _ in 0..40 {
            let room = inbox.room(lease);
            let len = (room.capacity() - room.len()).min(100_000);
            room.resize(room.len() + len, 7);
            arrived += len;
            assert!(inbox.buf.capacity() <= 4 * arrived.max(LEASE), "{} for {arrived}", inbox.buf.capacity());
        }
        assert_eq!(inbox.bytes().len(), arrived);
    }

    #[test]
    fn a_frame_takes_the_place_of_the_header_that_came() {
        let mut inbox = Inbox::new();
        inbox.extend_from_slice(b"handledHEADERpayloadrest");
        inbox.consume(7);
        inbox.lend(13);
        let place = Place::Front { offset: 6, len: 7 };
        assert_eq!(inbox.share_as_frame(place, b"hh").unwrap(), "hhpayload");
        inbox.release();
        assert_eq!(inbox.bytes(), b"rest");
    }

    #[test]
    fn large_frames_that_are_sent_back_stand_side_by_side() {
        const LEN: usize = SHARE_FROM;
        let header = [0x82, 0xfe, (LEN >> 8) as u8, LEN as u8, 1, 2, 3, 4];
        let masked: Vec<u8> = (0..LEN).map(|i| i as u8 ^ header[4 + i % 4]).collect();
        let plain: Vec<u8> = (0..LEN).map(|i| i as u8).collect();
        let mut inbox = Inbox::new();
        inbox.extend_from_slice(&[&header[..], &masked].concat().repeat(5));
        inbox.extend_from_slice(b"rest");

        let mut end = inbox.buf.as_ptr();
        for _ in 0..5 {
            inbox.release();
            assert!(!inbox.is_empty());
            let place = inbox.lend_frame(Some([1, 2, 3, 4]), header.len(), LEN);
            assert_eq!(inbox.at(place), plain);
            let frame = inbox.share_as_frame(place, b"HHHH").unwrap();
            assert_eq!(frame, [b"HHHH", &plain[..]].concat());
            assert_eq!(frame.as_ptr(), end);
            end = frame.as_ptr_range().end;
        }
        inbox.release();
        assert_eq!(inbox.bytes(), b"rest");
    }

    #[test]
    fn a_large_frame_moves_from_near_the_front_only_and_what_follows_it_stays() {
        for (header_len, len) in [(8, SHARE_FROM), (14, 70_000)] {
            for handled in (0..=MOVED_FROM_AT_MOST).chain([1000]) {
                let mut inbox = Inbox::new();
                inbox.extend_from_slice(&vec![9; handled]);
                inbox.extend_from_slice(&vec![0; header_len + len]);
                inbox.extend_from_slice(b"rest");
                inbox.consume(handled);
                let place = inbox.lend_frame(Some([7; 4]), header_len, len);
                assert_eq!(inbox.at(place), vec![7; len]);
                let moves = handled + header_len <= MOVED_FROM_AT_MOST;
                let at = if moves { header_len - 4 } else { handled + header_len };
                assert!(matches!(place, Place::Front { offset, .. } if inbox.start + offset as usize == at));
                inbox.release();
                assert_eq!(inbox.bytes(), b"rest");
            }
        }
    }

    #[test]
    fn after_the_last_frame_was_shared_nothing_is_left_but_room() {
        let shared = || {
            let mut inbox = Inbox::new();
            inbox.room(lease).resize(8 + SHARE_FROM, 0);
            let place = inbox.lend_frame(Some([7; 4]), 8, SHARE_FROM);
            let frame = inbox.share_as_frame(place, b"HHHH").unwrap();
            assert!(inbox.is_empty());
            (inbox, frame)
        };
        let (mut inbox, frame) = shared();
        inbox.extend_from_slice(b"more");
        assert_eq!(inbox.bytes(), b"more");
        assert_eq!(frame.len(), 4 + SHARE_FROM);

        let (mut inbox, frame) = shared();
        inbox.room(lease).extend_from_slice(&[1; SHARE_FROM]);
        assert_eq!(inbox.bytes(), [1; SHARE_FROM]);
        assert_eq!(frame[4..], [7; SHARE_FROM]);

        let (mut inbox, frame) = shared();
        drop(frame);
        assert!(inbox.park().is_some_and(|mut lease| lease.try_reclaim(LEASE)));
        assert_eq!(inbox.buf.capacity(), 0);
    }

    #[test]
    fn a_payload_without_its_header_is_no_frame() {
        let mut inbox = Inbox::new();
        inbox.extend_from_slice(b"payload");
        inbox.lend(7);
        let place = Place::Front { offset: 0, len: 7 };
        assert_eq!(inbox.share_as_frame(place, b"hh"), None);
        assert_eq!(inbox.at(place), b"payload");
        inbox.assembled = Some(Box::new(BytesMut::from(&b"joined"[..])));
        assert_eq!(inbox.share_as_frame(Place::Assembled, b"hh"), None);
    }

    #[test]
    fn shared_bytes_outlive_the_inbox_and_leave_the_rest() {
        let mut inbox = Inbox::new();
        inbox.extend_from_slice(b"hhpayloadrest");
        inbox.lend(9);
        let bytes = inbox.share(Place::Front { offset: 2, len: 7 });
        inbox.release();
        assert_eq!(inbox.bytes(), b"rest");
        drop(inbox);
        assert_eq!(bytes, "payload");
    }
}
