//! What a server reports to `tracing`: spans and events, never payloads. Without that feature nothing is left of it.

#[cfg(feature = "tracing")]
use crate::connection::{CloseCause, Closed, Stats};
#[cfg(feature = "tracing")]
use crate::error::Fault;
#[cfg(feature = "tracing")]
use crate::handshake::Request;

/// An event of this crate, at a level.
macro_rules! event {
    ($level:ident, $($fields:tt)*) => {
        #[cfg(feature = "tracing")]
        tracing::$level!(target: "ws13", $($fields)*);
    };
}
pub(crate) use event;

/// The span of a connection, in which its handler runs.
#[cfg(feature = "tracing")]
pub(crate) fn connection(request: &Request) -> tracing::Span {
    let peer = request.peer_addr().map(tracing::field::display);
    tracing::info_span!(target: "ws13", "connection", peer, path = request.path())
}

/// How a connection ended. The peer's reason is escaped: it is anybody's text.
#[cfg(feature = "tracing")]
pub(crate) fn closed(closed: Option<&Closed>, stats: &Stats) {
    let (received, sent) = (stats.messages_received, stats.messages_sent);
    let Some(closed) = closed else {
        tracing::info!(target: "ws13", code = 1006, cause = "dropped", received, sent, "connection closed");
        return;
    };
    let (code, reason) = (closed.code(), closed.reason());
    match closed.cause() {
        CloseCause::Handshake => {
            let cause = "handshake";
            tracing::info!(target: "ws13", code, cause, ?reason, received, sent, "connection closed");
        }
        CloseCause::Fault(fault) => {
            if let Fault::Limit(limit) = fault {
                tracing::warn!(target: "ws13", %limit, "limit hit");
            }
            tracing::info!(target: "ws13", code, cause = %fault, received, sent, "connection closed");
        }
        CloseCause::Lost(lost) => {
            tracing::info!(target: "ws13", code, cause = %lost, received, sent, "connection closed");
        }
    }
}
