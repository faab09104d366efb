//! An encoder of our own, for messages of some KiB at most: one block a message, and a history that is looked through in
//! no time. What it makes is DEFLATE (RFC 1951) as RFC 7692 wants it, at the end of a byte and without the flush's tail.

mod bits;
mod blocks;
mod finder;
mod huffman;
mod lent;
mod parse;
mod quick;
#[cfg(test)]
mod tests;
mod token;

use super::compress::FAST;
use super::pool::Owner;
use super::window::Window;
use finder::Finder;
use lent::State;
use parse::Effort;
use std::vec::Vec;

/// The longest message, in bytes.
const LONGEST: usize = 4 << 10;

/// The highest level: from there on zlib looks longer, and finds more.
const HIGHEST: u8 = 6;

/// Whether a message of this many bytes is for this encoder.
pub(super) fn takes(level: u8, len: usize) -> bool {
    level <= HIGHEST && (1..=LONGEST).contains(&len)
}

/// How a message is compressed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) level: u8,
    /// RFC 7692, 7.2.1: no reference goes back by more than 2 to this power bytes.
    pub(super) window_bits: u8,
    /// Connections whose history a thread keeps.
    pub(super) histories: usize,
}

impl Manner {
    fn reach(self) -> usize {
        1 << self.window_bits.min(15)
    }

    /// Level 1 has a way of its own.
    fn is_quick(self) -> bool {
        self.level <= 1
    }
}

/// Appends the message, compressed with this history; without the flush's tail.
pub(super) fn compress(manner: Manner, history: &[u8], message: &[u8], out: &mut Vec<u8>) {
    let mut lent = lent::take(None, manner.is_quick(), manner.histories);
    lent.finder.forget();
    lent.finder.append(history, manner.reach());
    encode(&mut lent, manner, message, out);
    lent::give(lent, None);
}

/// Appends the message, compressed with the history of its connection, if that makes it smaller than `most`; says whether it
/// did. Then the message is part of the history.
pub(super) fn compress_for(
    owner: Owner,
    window: &Window,
    manner: Manner,
    message: &[u8],
    most: usize,
    out: &mut Vec<u8>,
) -> bool {
    let mut lent = lent::take(Some(owner), manner.is_quick(), manner.histories);
    catch_up(&mut lent, owner, window, manner, message.len());
    encode(&mut lent, manner, message, out);
    let kept = out.len() < most;
    let put_in = if kept { message.len() } else { 0 };
    lent.finder.retract(message.len() - put_in);
    lent::give(lent, Some(Owner { bytes: owner.bytes + put_in as u64, ..owner }));
    kept
}

/// Puts into a finder what it has not seen of the history.
fn catch_up(lent: &mut lent::Lent, owner: Owner, window: &Window, manner: Manner, message: usize) {
    let finder = &mut *lent.finder;
    match lent.state {
        State::Warm(bytes) if bytes <= owner.bytes && owner.bytes - bytes <= window.len() as u64 => {
            // What was sent past it: by another encoder, or prepared for many.
            put_in(finder, manner, window.last((owner.bytes - bytes) as usize));
        }
        State::Warm(_) | State::New => {
            finder.forget();
            put_in(finder, manner, window.parts());
        }
        State::Cold => {
            finder.forget();
            put_in(finder, manner, window.last(worth(manner.level, message)));
            finder.index_roughly(step(manner.level));
        }
    }
}

fn put_in(finder: &mut Finder, manner: Manner, (older, newer): (&[u8], &[u8])) {
    for part in [older, newer] {
        finder.append(part, manner.reach());
    }
}

/// How much of the history is worth its price, for one message of this many bytes: it is looked through for it alone.
fn worth(level: u8, message: usize) -> usize {
    if level <= FAST { (8 * message).max(1024) } else { (32 * message).max(2048) }
}

/// Every so manyth place of that history is looked at. All of them would be a thirtieth better at level 6, in half as much time
/// again.
fn step(level: u8) -> usize {
    if level <= FAST { 4 } else { 2 }
}

fn encode(lent: &mut lent::Lent, manner: Manner, message: &[u8], out: &mut Vec<u8>) {
    let lent::Lent { finder, tokens, .. } = lent;
    let start = finder.append(message, manner.reach());
    // Of the history, what is not in it yet.
    finder.index(start, 1);
    if manner.is_quick() {
        return quick::write(finder, start, manner.reach(), out);
    }
    tokens.clear();
    let effort = Effort::of(manner.level);
    parse::parse(finder, start, manner.reach(), effort, tokens);
    blocks::write(tokens, message, effort.dynamic, out);
}
