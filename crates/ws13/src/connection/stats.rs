//! What a connection has done so far, in figures.

use core::time::Duration;

/// The figures of one connection, from its opening handshake on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Messages that were received.
    pub messages_received: u64,
    /// Messages that were queued to be sent.
    pub messages_sent: u64,
    /// Bytes of those messages, as they were after decompression.
    pub payload_received: u64,
    /// Bytes of those messages, as they were before compression.
    pub payload_sent: u64,
    /// Bytes received in frames: over `payload_received` it is the compression ratio, with headers, Pings and the like.
    pub bytes_received: u64,
    /// Bytes written in frames.
    pub bytes_sent: u64,
    /// Bytes that are queued and not written.
    pub queued: usize,
    /// The round-trip time of the latest Ping of keepalive that was answered.
    pub round_trip: Option<Duration>,
}

/// Messages of one direction, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) messages: u64,
    pub(super) payload: u64,
}

impl Tally {
    #[inline(always)]
    pub(super) fn message(&mut self, len: usize) {
        self.messages += 1;
        self.payload += len as u64;
    }

    pub(super) fn part(&mut self, len: usize, last: bool) {
        self.messages += u64::from(last);
        self.payload += len as u64;
    }
}
