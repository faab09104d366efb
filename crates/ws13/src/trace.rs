//! What is reported to `tracing`: spans and events, never payloads. Without that feature nothing is left of it.

use crate::client::ConnectError;
#[cfg(feature = "tracing")]
use crate::connection::{CloseCause, Closed, Stats};
#[cfg(feature = "tracing")]
use crate::error::Fault;
#[cfg(feature = "tracing")]
use crate::handshake::Request;
use crate::handshake::Url;
use crate::state::State;

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

/// A client's connection as it is reported: one span from the first attempt to the end.
#[derive(Debug)]
pub(crate) struct Dialled {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl Dialled {
    /// Of a connection to this URL, which is told without its credentials and its query.
    pub(crate) fn new(url: &Url) -> Dialled {
        let _ = url;
        Dialled {
            #[cfg(feature = "tracing")]
            span: tracing::info_span!(target: "ws13", "connection", url = shown(url)),
        }
    }

    /// Dials, within the span.
    #[cfg(feature = "tokio")]
    pub(crate) fn during<F: Future>(&self, dialling: F) -> impl Future<Output = F::Output> + use<F> {
        #[cfg(feature = "tracing")]
        let dialling = tracing::Instrument::instrument(dialling, self.span.clone());
        dialling
    }

    /// Dials, within the span.
    pub(crate) fn run<T>(&self, dial: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing")]
        let _span = self.span.enter();
        dial()
    }

    /// It is open; its end will be reported, too.
    pub(crate) fn opened(self, state: &mut State) {
        let _ = state;
        self.run(|| {
            event!(info, "connection opened");
        });
        #[cfg(feature = "tracing")]
        state.report_in(self.span);
    }

    /// Nothing came of it.
    pub(crate) fn failed(&self, error: &ConnectError) {
        let _ = error;
        self.run(|| {
            #[cfg(feature = "tracing")]
            tracing::warn!(target: "ws13", error = shown(error), "connection failed");
        });
    }
}

/// A URL, or a sentence with some in it, without their queries: they may have a token in them.
#[cfg(feature = "tracing")]
pub(crate) fn shown(text: &impl std::fmt::Display) -> String {
    let text = text.to_string();
    let words = text.split_inclusive(char::is_whitespace);
    words.fold(String::new(), |shown, word| {
        let end = word.find('?').unwrap_or(word.len());
        let space = if end < word.len() && word.ends_with(char::is_whitespace) { " " } else { "" };
        shown + &word[..end] + space
    })
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
