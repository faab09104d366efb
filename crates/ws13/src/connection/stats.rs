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
    /// Bytes received, headers, Pings and the like included.
    pub bytes_received: u64,
    /// Bytes written, headers, Pings and the like included.
    pub bytes_sent: u64,
    /// Bytes of compressed messages that were received.
    pub inflated_from: u64,
    /// What they were after decompression: the ratio of the two is that of the compression.
    pub inflated_to: u64,
    /// Bytes of the messages that were compressed to be sent.
    pub deflated_from: u64,
    /// What they were after it.
    pub deflated_to: u64,
    /// Bytes that are queued and not written.
    pub queued: usize,
    /// The round-trip time of the latest Ping of keepalive that was answered.
    pub round_trip: Option<Duration>,
}

/// Bytes before and after compression, or decompression, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ratio {
    pub(super) from: u64,
    pub(super) to: u64,
}

#[cfg(feature = "deflate")]
impl Ratio {
    pub(super) fn add(&mut self, from: usize, to: usize) {
        self.from += from as u64;
        self.to += to as u64;
    }
}
