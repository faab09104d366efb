//! How much compression saves: bytes of messages, and what they were on the wire, of all connections that agreed on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counts, for all connections together.
#[derive(Clone, Default)]
pub(super) struct Tally(Arc<Counts>);

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    messages: AtomicU64,
    wire: AtomicU64,
}

impl Tally {
    /// Counts one more connection.
    pub(super) fn connection(&self) -> Connection {
        self.0.connections.fetch_add(1, Ordering::Relaxed);
        Connection { tally: self.clone(), wire: 0 }
    }

    /// As JSON: the connections that agreed on compression so far, bytes of their messages both ways, bytes on the wire.
    pub(super) fn json(&self) -> String {
        let [connections, messages, wire] =
            [&self.0.connections, &self.0.messages, &self.0.wire].map(|count| count.load(Ordering::Relaxed));
        format!("{{\"connections\":{connections},\"messages\":{messages},\"wire\":{wire}}}")
    }
}

/// One connection's part of it.
pub(super) struct Connection {
    tally: Tally,
    wire: u64,
}

impl Connection {
    /// Bytes of messages, however they were sent.
    pub(super) fn messages(&self, bytes: usize) {
        self.tally.0.messages.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// All bytes that crossed the wire so far, or are about to.
    pub(super) fn wire(&mut self, bytes: u64) {
        self.tally.0.wire.fetch_add(bytes.saturating_sub(self.wire), Ordering::Relaxed);
        self.wire = bytes;
    }
}
