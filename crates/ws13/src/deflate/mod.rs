//! permessage-deflate (RFC 7692): messages compressed, each by itself or with those before it as a dictionary.
//!
//! Set [`Config::deflate`](crate::Config::deflate) and a client offers it, a server accepts it where it is offered:
//!
//! ```
//! use ws13::{Config, Deflate};
//!
//! let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
//! let frugal = Deflate { client_max_window_bits: 11, server_max_window_bits: 11, ..Deflate::default() };
//! assert!(frugal.check().is_ok());
//! # let _ = config;
//! ```
//!
//! A connection that is idle keeps the bytes that back references may reach, and no encoder or decoder: both are lent
//! by the thread for the time of one message and primed with those bytes.
//!
//! Messages of up to 4 KiB are compressed by an encoder of our own at levels up to 6, all others by zlib-rs. A thread keeps
//! what it has seen of the 64 connections that send most often, 88 KiB each at most ([`Deflate::histories`]).

mod agreed;
mod common;
mod compress;
mod inflate;
mod negotiation;
mod pool;
mod small;
mod window;

pub use agreed::Agreed;
pub(crate) use agreed::Half;
pub(crate) use common::{Common, Tail};
pub(crate) use compress::Deflation;
pub(crate) use inflate::{Inflation, MOST_FINAL_BLOCKS, Next, Stopped, with_step};
pub use negotiation::{Refused, answer, check, offer};

use core::fmt;

/// The registered name of the extension.
pub const NAME: &str = "permessage-deflate";

/// How messages are compressed, and what is offered and accepted. Changes to the fields are checked by
/// [`check`](Deflate::check); what is out of range is taken as the nearest value that is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// From 1, fast, to 9, small: 6. For short messages level 3 takes two thirds of the time of 6, for a twentieth to a tenth
    /// more bytes, and 1 a fifth of it, for a fifth to a half more; from 7 on it is many times as long.
    pub level: u8,
    /// Memory of zlib-rs' encoder while it works, from 1 to 9: 5, some 280 KB at 15 window bits.
    pub memory_level: u8,
    /// Shorter messages, in bytes, go out uncompressed where earlier messages help to compress: 64.
    pub threshold: usize,
    /// Shorter messages, in bytes, go out uncompressed where each message is compressed by itself: 256.
    pub threshold_without_takeover: usize,
    /// Bytes of earlier messages that an idle connection keeps for sending, where more is agreed: 8 KiB. Priming an
    /// encoder with more costs time, and compresses little better.
    pub send_window: usize,
    /// Connections whose last 32 KiB each thread keeps, ready to be referred to, for messages of up to 4 KiB at levels up to 6:
    /// 64, those that send most often; 4,096 at most. Each takes up to 88 KiB of memory, 48 at level 1, and makes each
    /// message of the thread a little slower, as they are looked through. The others refer back to `send_window` bytes at
    /// most. Where the connections of a thread differ in this, each has its own number looked at when it sends.
    pub histories: usize,
    /// Let the server compress with its earlier messages as a dictionary: yes. No saves the client a window.
    pub server_context_takeover: bool,
    /// Let the client compress with its earlier messages as a dictionary: yes. No saves the server a window.
    pub client_context_takeover: bool,
    /// The server looks back 2 to this power bytes at most, 8 to 15: 15, 32 KiB, which the client keeps.
    pub server_max_window_bits: u8,
    /// The client looks back 2 to this power bytes at most, 8 to 15: 15, 32 KiB, which the server keeps. With 12 a
    /// server keeps 4 KiB for each client that can be told so.
    pub client_max_window_bits: u8,
    /// As a client, offer `client_max_window_bits`, so that the server may choose a smaller window: yes. There are
    /// servers that refuse a handshake with this parameter.
    pub offer_client_max_window_bits: bool,
}

impl Default for Deflate {
    fn default() -> Self {
        Deflate {
            level: 6,
            memory_level: 5,
            threshold: 64,
            threshold_without_takeover: 256,
            send_window: 8 << 10,
            histories: 64,
            server_context_takeover: true,
            client_context_takeover: true,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
            offer_client_max_window_bits: true,
        }
    }
}

impl Deflate {
    /// The defaults, at level 1: for short messages a fifth of the time, and a fifth to a half more bytes.
    #[must_use]
    pub fn fast() -> Self {
        Deflate { level: 1, ..Deflate::default() }
    }

    /// Whether every field is in its range.
    ///
    /// # Errors
    /// [`OutOfRange`] names the first field that is not.
    pub fn check(&self) -> Result<(), OutOfRange> {
        for (field, value, range) in [
            ("level", self.level, 1..=9),
            ("memory_level", self.memory_level, 1..=9),
            ("server_max_window_bits", self.server_max_window_bits, WINDOW_BITS),
            ("client_max_window_bits", self.client_max_window_bits, WINDOW_BITS),
        ] {
            if !range.contains(&value) {
                return Err(OutOfRange { field, value });
            }
        }
        Ok(())
    }

    /// Messages of less bytes go out as they are.
    pub(crate) fn least(&self, half: Half) -> usize {
        if half.takeover { self.threshold } else { self.threshold_without_takeover }
    }

    /// The largest windows that we offer or accept: the server's, the client's.
    fn window_bits(&self) -> (u8, u8) {
        let in_range = |bits: u8| bits.clamp(*WINDOW_BITS.start(), *WINDOW_BITS.end());
        (in_range(self.server_max_window_bits), in_range(self.client_max_window_bits))
    }
}

/// RFC 7692, 7.1.2: "a decimal integer value without leading zeroes between 8 to 15, inclusive".
const WINDOW_BITS: core::ops::RangeInclusive<u8> = 8..=15;

/// A field of [`Deflate`] is out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// The field.
    pub field: &'static str,
    /// What it was set to.
    pub value: u8,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}: levels go from 1 to 9, window bits from 8 to 15", self.field, self.value)
    }
}

impl core::error::Error for OutOfRange {}
