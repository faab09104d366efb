//! What a server says on a connection, whatever brings the bytes: so that engines can be compared.

use crate::stock::Stock;
use bytes::BytesMut;
use std::io::IoSlice;

/// What is said on a connection.
///
/// # Safety
/// The bytes that [`unsent`](Dialogue::unsent) gives after [`work`](Dialogue::work) asked to send them stay where they are,
/// unchanged, until [`has_sent`](Dialogue::has_sent), whatever arrives meanwhile, and wherever the dialogue itself is moved.
pub unsafe trait Dialogue {
    /// Takes bytes that have arrived, also while something is being sent.
    fn take(&mut self, bytes: BytesMut, stock: &mut Stock);

    /// Nothing more will arrive.
    fn end(&mut self);

    /// Nothing more will arrive, and nothing can be sent.
    fn lose(&mut self);

    /// Works on what has arrived, while nothing is being sent, and says what is to be done.
    fn work(&mut self, stock: &mut Stock) -> Next;

    /// Gives what is to be sent; says how many slices were filled in.
    fn unsent<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize;

    /// The first `len` bytes of that are sent.
    fn has_sent(&mut self, len: usize, stock: &mut Stock);
}

/// What a dialogue wants to be done; it will be asked again after that, or when bytes have come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    Send,
    Wait,
    /// End our direction.
    ShutDown,
    Close,
}
