//! Everything that can be set: limits, keepalive, quirks; each with its unit and its default.

use crate::extension::Negotiate;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// How a connection behaves; shared by all connections of a client or server.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// What a peer may make us hold or do.
    pub limits: Limits,
    /// Pings, and how long silence may last.
    pub keepalive: Keepalive,
    /// Leniency towards implementations that break the RFC.
    pub quirks: Quirks,
    /// Cut messages above this many bytes into fragments of this size, so that control frames get through between
    /// them; `None` (the default) sends each message as one frame.
    pub fragment_size: Option<usize>,
    /// Compress messages (RFC 7692): a client offers it, a server accepts it where it is offered; `None` (the
    /// default): neither.
    #[cfg(feature = "deflate")]
    pub deflate: Option<crate::Deflate>,
    /// Extensions of one's own: a client offers them, a server accepts them where they are offered; in the order of
    /// preference. None by default.
    pub extensions: Vec<Arc<dyn Negotiate>>,
}

/// The limits of one connection. What goes over one of them ends the connection with the close code named.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes in one received message, after joining its fragments and inflating them: 1 MiB. 1009, at the header where
    /// it tells.
    ///
    /// Does not bind messages that are read in parts: their memory is bounded by the part.
    pub max_message: usize,
    /// Bytes in one received frame: the message limit. 1009, at the header.
    pub max_frame: Option<usize>,
    /// Frames in one received message: the larger of 1,024 and a 256th of the message limit. 1008.
    pub max_fragments: Option<usize>,
    /// Control frames received in 10 s: 1,000. 1008.
    pub max_control_frames: u32,
    /// Bytes in the outgoing queue from which `send` waits: 64 KiB.
    pub queue_mark: usize,
    /// Bytes in the outgoing queue from which nothing more is taken: 1 MiB, and always one message.
    pub queue_cap: usize,
    /// How long the peer may take nothing while we have something to write: 30 s. Then the connection is dropped.
    pub stall_timeout: Duration,
    /// How long the closing handshake may take: 10 s. Then the connection is dropped.
    pub close_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_message: 1 << 20,
            max_frame: None,
            max_fragments: None,
            max_control_frames: 1_000,
            queue_mark: 64 << 10,
            queue_cap: 1 << 20,
            stall_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// Bytes in one frame.
    pub(crate) fn frame(&self) -> usize {
        self.max_frame.unwrap_or(self.max_message)
    }

    /// Frames in one message.
    pub(crate) fn fragments(&self) -> usize {
        self.max_fragments.unwrap_or((self.max_message / 256).max(1024))
    }
}

/// The window in which control frames are counted.
pub(crate) const CONTROL_WINDOW: Duration = Duration::from_secs(10);

/// Keepalive: pings by interval. Any byte that arrives counts as life, not the Pong alone.
#[derive(Clone, Debug)]
pub struct Keepalive {
    /// Send a Ping this often, 10 % more or less by chance: 20 s. `None` or zero: never.
    pub ping_interval: Option<Duration>,
    /// How long nothing at all may arrive after a Ping: 20 s. Then the connection is dropped, as 1006 locally.
    pub pong_timeout: Duration,
}

impl Keepalive {
    /// How often to ping, if at all.
    pub(crate) fn interval(&self) -> Option<Duration> {
        self.ping_interval.filter(|interval| !interval.is_zero())
    }
}

impl Default for Keepalive {
    fn default() -> Self {
        Keepalive { ping_interval: Some(Duration::from_secs(20)), pong_timeout: Duration::from_secs(20) }
    }
}

/// Leniency towards peers that break the RFC, each off by default.
#[derive(Clone, Debug, Default)]
pub struct Quirks {
    /// As a server, accept unmasked frames (embedded devices send them). Otherwise 1002.
    pub accept_unmasked_frames: bool,
    /// As a client, accept masked frames. Otherwise 1002 (RFC 6455 section 5.1).
    pub accept_masked_frames: bool,
    /// As a server, accept an opening handshake without Host. Otherwise 400.
    pub accept_missing_host: bool,
    /// As a client, fail when subprotocols were asked for and none was given back. Otherwise connect without one.
    pub require_subprotocol: bool,
}
