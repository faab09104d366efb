//! The floor: what came goes back out of the buffer it came in, and nothing is parsed.

use bytes::{Buf, BytesMut};
use std::{collections::VecDeque, io::IoSlice};
use ws13_bench::{
    dialogue::{Dialogue, Next},
    stock::{SIZE, Stock},
    upgrade,
};

#[derive(Default)]
pub struct Raw {
    upgraded: bool,
    over: bool,
    lost: bool,
    /// In the order of their arrival; the request head until it is complete.
    unsent: VecDeque<BytesMut>,
}

// SAFETY: a buffer stays in the queue, untouched, until it is sent, and its bytes are on the heap.
unsafe impl Dialogue for Raw {
    fn take(&mut self, bytes: BytesMut, _: &mut Stock) {
        self.unsent.push_back(bytes);
    }

    fn end(&mut self) {
        self.over = true;
    }

    fn lose(&mut self) {
        self.lost = true;
    }

    fn work(&mut self, stock: &mut Stock) -> Next {
        if self.lost || self.over && self.unsent.is_empty() {
            return Next::Close;
        }
        if !self.upgraded && !self.unsent.is_empty() && self.answer_upgrade(stock).is_none() {
            return Next::Close;
        }
        if self.upgraded && !self.unsent.is_empty() { Next::Send } else { Next::Wait }
    }

    fn unsent<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        slices.iter_mut().zip(&self.unsent).map(|(slice, bytes)| *slice = IoSlice::new(bytes)).count()
    }

    fn has_sent(&mut self, mut len: usize, stock: &mut Stock) {
        while let Some(first) = self.unsent.front_mut().filter(|_| len > 0) {
            let step = len.min(first.len());
            first.advance(step);
            len -= step;
            if first.is_empty() {
                self.unsent.pop_front().into_iter().for_each(|sent| stock.give_back(sent));
            }
        }
    }
}

impl Raw {
    /// The answer takes the place of the head; a head must come in one piece.
    fn answer_upgrade(&mut self, stock: &mut Stock) -> Option<()> {
        let head = self.unsent.pop_front()?;
        let response = upgrade::response(&head[..upgrade::head_end(&head)?])?;
        stock.give_back(head);
        let mut answer = stock.lease(SIZE);
        answer.extend_from_slice(response.as_bytes());
        self.unsent.push_front(answer);
        self.upgraded = true;
        Some(())
    }
}
