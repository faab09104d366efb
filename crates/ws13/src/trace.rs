//! What a server reports to `tracing`: spans and events, never payloads. Without that feature nothing is left of it.

#[cfg(feature = "tracing")]
use crate::connection::{CloseCause, Closed, Stats};
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

/// How a connection ended.
#[cfg(feature = "tracing")]
pub(crate) fn closed(closed: Option<&Closed>, stats: &Stats) {
    let (code, cause) = (closed.map_or(1006, Closed::code), closed.map(tracing::field::display));
    let (received, sent) = (stats.messages_received, stats.messages_sent);
    if let Some(CloseCause::Fault(crate::Fault::Limit(limit))) = closed.map(Closed::cause) {
        tracing::warn!(target: "ws13", %limit, "limit hit");
    }
    tracing::info!(target: "ws13", code, cause, received, sent, "connection closed");
}
