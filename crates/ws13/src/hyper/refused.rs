//! Why there is no WebSocket: [`Refused`] before the answer, [`NotUpgraded`] after it.

use crate::handshake::{Reject, Reply};
use http::header::CONNECTION;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use std::fmt;

/// Why a request does not become a WebSocket. Return its [`response`](Refused::response).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Refused {
    /// It does not ask for one: 426. Who has a page for it answers with that.
    Plain,
    /// It asks for one in the wrong way, or may not have one: 400, 403, 405, 426, 503.
    Handshake(Box<Reject>),
    /// It asks for one over HTTP/2 (RFC 8441), which is not spoken here: 501.
    ExtendedConnect,
    /// hyper cannot give up the connection: it is served without upgrades, or another one has taken it already: 500.
    NotUpgradable,
}

impl Refused {
    pub(crate) fn handshake(reject: Reject) -> Self {
        Refused::Handshake(Box::new(reject))
    }

    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.reply().status()
    }

    /// The answer, with its headers and a sentence for people.
    #[must_use]
    pub fn reply(&self) -> Reply {
        match self {
            Refused::Plain => Reply::upgrade_required(),
            Refused::Handshake(reject) => Reject::clone(reject),
            Refused::ExtendedConnect => Reply::text(
                StatusCode::NOT_IMPLEMENTED,
                "WebSockets are not served over HTTP/2 here: connect by HTTP/1.1",
            ),
            Refused::NotUpgradable => Reply::internal_error(),
        }
    }

    /// The response to return.
    ///
    /// After a handshake that failed it ends the connection: what the client has sent after its request is frames, and
    /// must not be read as the next request.
    #[must_use]
    pub fn response(self) -> Response<Full<Bytes>> {
        self.into_bytes().map(Full::new)
    }

    pub(crate) fn into_bytes(self) -> Response<Bytes> {
        let mut response = Response::from(self.reply());
        if matches!(self, Refused::Handshake(_) | Refused::NotUpgradable) {
            let upgrade = response.headers().contains_key(CONNECTION);
            let close = if upgrade { "close, Upgrade" } else { "close" };
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static(close));
        }
        response
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Plain => f.write_str("the request does not ask for a WebSocket"),
            Refused::Handshake(reject) => write!(f, "the handshake was refused with {reject}"),
            Refused::ExtendedConnect => f.write_str(
                "the request asks for a WebSocket over HTTP/2, which is not supported: use HTTP/1.1",
            ),
            Refused::NotUpgradable => f.write_str(
                "hyper cannot give up this connection: serve it with upgrades \
                 (`with_upgrades`, `serve_connection_with_upgrades`), and upgrade a request once",
            ),
        }
    }
}

impl std::error::Error for Refused {}

/// hyper did not give the connection up: it ended before the 101 response was written.
#[derive(Debug)]
pub struct NotUpgraded(pub(super) hyper::Error);

impl fmt::Display for NotUpgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "hyper did not give the connection up ({}): it ended before the 101 response was written",
            self.0
        )
    }
}

impl std::error::Error for NotUpgraded {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
