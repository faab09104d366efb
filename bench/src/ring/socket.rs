//! A connection on the ring: which requests the kernel has for it, and what it says.

use super::{CLOSE, GROUP, OTHER, RECEIVE, buffers::Buffers, name};
use crate::{dialogue::Dialogue, stock::Stock};
use io_uring::{cqueue, opcode, squeue, types::Fixed};
use std::io::IoSlice;

pub struct Socket<D> {
    pub dialogue: D,
    /// It is in the list of those to look at.
    pub touched: bool,
    pub sending: bool,
    /// The kernel has the request to receive.
    pub receiving: bool,
    /// The kernel was asked to give that request up.
    cancelling: bool,
    /// Nothing is to be received any more.
    over: bool,
    /// The kernel was asked to close it.
    pub closed: bool,
    /// Bytes that came while a send was waiting for the peer.
    behind: usize,
}

impl<D: Dialogue> Socket<D> {
    pub fn new(dialogue: D) -> Self {
        Self {
            dialogue,
            touched: true,
            sending: false,
            receiving: false,
            cancelling: false,
            over: false,
            closed: false,
            behind: 0,
        }
    }

    pub fn has_received(&mut self, result: i32, flags: u32, buffers: &mut Buffers) {
        self.receiving = cqueue::more(flags);
        self.cancelling &= self.receiving;
        match (usize::try_from(result), cqueue::buffer_select(flags)) {
            (Ok(len @ 1..), Some(number)) => {
                self.behind += if self.sending { len } else { 0 };
                self.dialogue.take(buffers.take(number, len), buffers.stock());
            }
            // Asked again: there was no buffer left, or we had asked to stop.
            _ if result == -libc::ENOBUFS || result == -libc::ECANCELED => {}
            (Ok(0), _) => {
                self.over = true;
                self.dialogue.end();
            }
            _ => {
                self.over = true;
                self.dialogue.lose();
            }
        }
    }

    pub fn has_sent(&mut self, result: i32, stock: &mut Stock) {
        self.sending = false;
        self.behind = 0;
        match usize::try_from(result) {
            Ok(len) => self.dialogue.has_sent(len, stock),
            Err(_) => self.dialogue.lose(),
        }
    }

    /// The request to send all there is: the kernel waits by itself until the peer has room.
    pub fn send(&mut self, file: Fixed, gathers: &mut Gathers) -> squeue::Entry {
        self.sending = true;
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = self.dialogue.unsent(&mut slices);
        match &slices[..count] {
            [one] => opcode::Send::new(file, one.as_ptr(), one.len() as u32).flags(FLAGS).build(),
            slices => opcode::SendMsg::new(file, gathers.add(slices)).flags(FLAGS as u32).build(),
        }
    }

    /// The request to close it; while it receives, to end that first, once: then nobody uses the file any more.
    pub fn close(&mut self, file: Fixed) -> Option<(u64, squeue::Entry)> {
        self.closed = !self.receiving;
        if self.closed {
            return Some((CLOSE, opcode::Close::new(file).build()));
        }
        let ends = !std::mem::replace(&mut self.over, true);
        ends.then(|| (OTHER, opcode::Shutdown::new(file, libc::SHUT_RDWR).build()))
    }

    /// The request to receive, or to stop it while the peer sends and does not take.
    pub fn pace(&mut self, file: Fixed) -> Option<(u64, squeue::Entry)> {
        if !self.receiving && !self.over && !self.closed && self.behind < MARK {
            self.receiving = true;
            return Some((RECEIVE, opcode::RecvMulti::new(file, GROUP).build()));
        }
        if self.receiving && self.behind >= MARK && !self.cancelling {
            self.cancelling = true;
            return Some((OTHER, opcode::AsyncCancel::new(name(RECEIVE, file.0)).build()));
        }
        None
    }
}

/// Headers of gathered sends, until the kernel has read them: that is when they are submitted.
#[derive(Default)]
pub struct Gathers {
    #[expect(clippy::vec_box, reason = "the kernel has their addresses, which must not change")]
    all: Vec<Box<Gather>>,
    used: usize,
}

struct Gather {
    header: libc::msghdr,
    slices: [libc::iovec; SLICES],
}

impl Gathers {
    fn add(&mut self, slices: &[IoSlice]) -> *const libc::msghdr {
        if self.used == self.all.len() {
            // SAFETY: null pointers and zero lengths are what an empty header has.
            self.all.push(Box::new(unsafe { std::mem::zeroed() }));
        }
        let gather = &mut *self.all[self.used];
        self.used += 1;
        for (to, from) in gather.slices.iter_mut().zip(slices) {
            *to = libc::iovec { iov_base: from.as_ptr().cast_mut().cast(), iov_len: from.len() };
        }
        gather.header.msg_iov = gather.slices.as_mut_ptr();
        gather.header.msg_iovlen = slices.len();
        &raw const gather.header
    }

    /// The kernel has read them all.
    pub fn clear(&mut self) {
        self.used = 0;
    }
}

const SLICES: usize = 16;
const FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
/// So many bytes may come while a send waits.
const MARK: usize = 1 << 20;
