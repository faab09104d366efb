//! What an upgrade is told, by hyper's side and by axum's: the handshake's settings, and who closes its connections.

use crate::accept::AcceptSettings;
use crate::handshake::server::{Head, Received, Upgrade, examine};
use crate::handshake::{ConnectInfo, Reject};
use crate::hyper::{Connections, Refused};

/// What an `Upgrader` or an extractor was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) accept: AcceptSettings,
    pub(crate) connections: Option<Connections>,
}

impl Settings {
    /// Judges a request that came from there by all of them.
    pub(crate) fn judge(&self, head: Head, from: ConnectInfo) -> Result<Upgrade, Refused> {
        if self.connections.as_ref().is_some_and(Connections::is_closing) {
            return Err(Refused::handshake(Reject::unavailable()));
        }
        let received = examine(head, self.accept.options_as_set());
        upgrade_of(received.and_then(|received| self.accept.check(received, from)))
    }
}

/// A request that asks for a WebSocket, as it should.
pub(crate) fn upgrade_of(received: Result<Received, Reject>) -> Result<Upgrade, Refused> {
    match received.map_err(Refused::handshake)? {
        Received::Upgrade(upgrade) => Ok(upgrade),
        Received::Plain(_) => Err(Refused::Plain),
    }
}

/// The settings' methods, the same for hyper and axum, for a type that has them in a field `settings`.
macro_rules! upgrade_builder {
    () => {
        crate::accept::request_builder!(settings.accept);

        /// Says that clients reach this server by TLS, which hyper does not tell: so that `https` pages are of the
        /// same origin. For a server that does TLS, or stands behind a proxy that does; a proxy that does for some is
        /// named by [`behind`](Self::behind).
        #[must_use]
        pub fn behind_tls(mut self) -> Self {
            self.settings.accept.secure = true;
            self
        }

        /// Counts the connections among these, which can be closed together on the day the program stops. From then on
        /// requests are answered with 503.
        #[must_use]
        pub fn connections(mut self, connections: &crate::tokio::Connections) -> Self {
            self.settings.connections = Some(connections.clone());
            self
        }
    };
}
pub(crate) use upgrade_builder;
