//! Buffers that the kernel receives into: it takes the next one of a ring when bytes arrive, and not before.

use crate::stock::{SIZE, Stock};
use bytes::BytesMut;
use io_uring::{Submitter, types::BufRingEntry};
use std::{
    io,
    sync::atomic::{AtomicU16, Ordering},
};

/// The ring of buffers that the kernel may take, and those it does not have now.
pub struct Buffers {
    /// One page, shared with the kernel.
    entries: Box<Entries>,
    /// Entries that were ever filled in.
    tail: u16,
    /// What the kernel has, by number; each is empty.
    lent: Vec<BytesMut>,
    stock: Stock,
}

#[repr(C, align(4096))]
struct Entries([BufRingEntry; COUNT as usize]);

/// As many as fill a page.
const COUNT: u16 = 256;
const MASK: u16 = COUNT - 1;
/// The only group of buffers there is.
pub const GROUP: u16 = 0;

impl Buffers {
    /// Registers a full ring of buffers, which must not be dropped before the process ends: the kernel writes into them.
    pub fn register(submitter: &Submitter) -> io::Result<&'static mut Self> {
        // SAFETY: entries are integers, for which zero is a value.
        let entries = unsafe { Box::<Entries>::new_zeroed().assume_init() };
        let lent = (0..COUNT).map(|_| BytesMut::with_capacity(SIZE)).collect();
        let buffers = Box::leak(Box::new(Self { entries, tail: 0, lent, stock: Stock::default() }));
        let address = (&raw const *buffers.entries) as u64;
        // SAFETY: the entries are aligned to a page, as many as is said, and leaked: they stay where they are.
        unsafe { submitter.register_buf_ring_with_flags(address, COUNT, GROUP, 0)? };
        (0..COUNT).for_each(|number| buffers.lend(number));
        Ok(buffers)
    }

    /// The buffer that the kernel has put `len` bytes into. It gets another one in its place.
    pub fn take(&mut self, number: u16, len: usize) -> BytesMut {
        let mut filled = std::mem::replace(&mut self.lent[usize::from(number)], self.stock.lease(SIZE));
        assert!(len <= filled.capacity(), "the kernel received more than there was room for");
        // SAFETY: the kernel has written the first `len` bytes, and the buffer is ours again.
        unsafe { filled.set_len(len) };
        self.lend(number);
        filled
    }

    pub fn stock(&mut self) -> &mut Stock {
        &mut self.stock
    }

    fn lend(&mut self, number: u16) {
        let room = self.lent[usize::from(number)].spare_capacity_mut();
        let entry = &mut self.entries.0[usize::from(self.tail & MASK)];
        entry.set_addr(room.as_mut_ptr() as u64);
        entry.set_len(room.len() as u32);
        entry.set_bid(number);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the pointer is to the first entry, whose reserved field is the tail; it is aligned, and the kernel
        // reads it as an atomic, too.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.0.as_ptr()).cast_mut()) };
        // The entry first, then the tail that tells of it.
        tail.store(self.tail, Ordering::Release);
    }
}
