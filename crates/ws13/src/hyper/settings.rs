//! What an upgrade is told, by hyper's side and by axum's: the handshake's settings, and who closes its connections.

use crate::accept::AcceptSettings;
use crate::handshake::server::{Head, Options, Received, Upgrade, examine};
use crate::hyper::{Connections, Refused};

/// What an `Upgrader` or an extractor was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) accept: AcceptSettings,
    /// The client reached us by TLS.
    pub(crate) secure: bool,
    pub(crate) connections: Option<Connections>,
}

impl Settings {
    /// Judges a request by all of them.
    pub(crate) fn judge(&self, head: Head) -> Result<Upgrade, Refused> {
        if self.connections.as_ref().is_some_and(Connections::is_closing) {
            return Err(Refused::handshake(crate::handshake::Reject::unavailable()));
        }
        let upgrade = examined(head, self.accept.options_as_set())?;
        self.accept.origins.check(upgrade.request(), self.secure).map_err(Refused::handshake)?;
        Ok(upgrade)
    }
}

/// A request that asks for a WebSocket, as it should.
pub(crate) fn examined(head: Head, options: &Options) -> Result<Upgrade, Refused> {
    match examine(head, options).map_err(Refused::handshake)? {
        Received::Upgrade(upgrade) => Ok(upgrade),
        Received::Plain(_) => Err(Refused::Plain),
    }
}

/// The settings' methods, the same for hyper and axum, for a type that has them in a field `settings`.
macro_rules! upgrade_builder {
    () => {
        /// Limits, keepalive, quirks and compression of the connections.
        #[must_use]
        pub fn config(mut self, config: impl Into<std::sync::Arc<crate::limits::Config>>) -> Self {
            self.settings.accept.set_config(config.into());
            self
        }

        /// Speaks a subprotocol; the first one named is the one preferred.
        #[must_use]
        pub fn subprotocol(mut self, subprotocol: crate::handshake::Subprotocol) -> Self {
            self.settings.accept.options().subprotocols.push(subprotocol);
            self
        }

        /// Refuses clients that offer none of the subprotocols; otherwise they are accepted without one.
        #[must_use]
        pub fn require_subprotocol(mut self) -> Self {
            self.settings.accept.options().require_subprotocol = true;
            self
        }

        /// Which web pages may connect, and under which host names: by default pages of this server itself.
        #[must_use]
        pub fn origins(mut self, origins: crate::handshake::OriginPolicy) -> Self {
            self.settings.accept.origins = origins;
            self
        }

        /// Says that clients reach this server by TLS, which hyper does not tell: so that `https` pages are of the
        /// same origin. For a server that does TLS, or stands behind a proxy that does.
        #[must_use]
        pub fn behind_tls(mut self) -> Self {
            self.settings.secure = true;
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
