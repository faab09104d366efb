//! WebSockets in services on hyper 1 (feature `hyper`).
//!
//! hyper reads the request and writes the answer; what is checked and agreed on is [`handshake`](crate::handshake)'s:
//! all of RFC 6455 section 4.2, subprotocols, compression, and which web pages may connect. Then the socket below hyper
//! is taken back out, with the bytes that came early, so that the connection is as fast as one of
//! [`Server`](crate::Server).
//!
//! ```
//! use http_body_util::Full;
//! use hyper::body::{Bytes, Incoming};
//! use hyper::{Request, Response};
//! use std::convert::Infallible;
//!
//! async fn echo(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
//!     let (response, upgrade) = match ws13::hyper::upgrade(&mut request) {
//!         Ok(upgraded) => upgraded,
//!         Err(refused) => return Ok(refused.response()),
//!     };
//!     upgrade.serve(|mut socket| async move {
//!         while let Some(message) = socket.receive().await? {
//!             socket.send(message).await?;
//!         }
//!         Ok::<(), ws13::Error>(())
//!     });
//!     Ok(response)
//! }
//! ```
//!
//! `examples/hyper_echo.rs` is a whole program. The connection has to be served
//! [`with_upgrades`](hyper::server::conn::http1::Connection::with_upgrades), or by hyper-util's
//! `serve_connection_with_upgrades`; [`Refused::NotUpgradable`] is what comes otherwise.
//!
//! HTTP/2 is not spoken: a request for a WebSocket by extended CONNECT (RFC 8441) is answered with 501, any other one
//! over HTTP/2 with 426. Do not let hyper announce `enable_connect_protocol` to browsers: they would not try HTTP/1.1.
//!
//! # Who the client is, and TLS
//! hyper tells neither: who accepts the connection puts both into the extensions of its requests. From a
//! [`ConnectInfo`](crate::handshake::ConnectInfo) there the handshake takes where the request came from, and whether by
//! TLS; [`Upgrader::behind`] goes on with what trusted proxies say, and [`Upgrade::request`] has the answer. Without one
//! the address counts as that of a Unix socket, which nobody trusts by default.
//!
//! What TLS agreed on, version, ALPN, SNI and the client's certificate, is for the program's own handler, which finds it
//! where it was put:
//!
//! ```
//! # #[cfg(feature = "tls")]
//! # mod example {
//! use hyper::Request;
//! use hyper::body::Incoming;
//! use rustls::ServerConnection;
//! use std::net::SocketAddr;
//! use ws13::handshake::ConnectInfo;
//! use ws13::tls::TlsInfo;
//!
//! /// With tokio-rustls the session is `stream.get_ref().1`; its acceptor takes `ServerTls::config()`.
//! fn known(peer: SocketAddr, session: &ServerConnection, mut request: Request<Incoming>) -> Request<Incoming> {
//!     request.extensions_mut().insert(ConnectInfo::from(peer).secure(true));
//!     request.extensions_mut().insert(TlsInfo::of_server(session));
//!     request
//! }
//! # }
//! ```

mod refused;
mod settings;
mod stream;
#[cfg(all(test, feature = "axum"))]
mod tests;
mod upgrade;

pub use crate::tokio::Connections;
pub use refused::{NotUpgraded, Refused};
pub(crate) use settings::{Settings, upgrade_builder};
pub use stream::Upgraded;
#[cfg(feature = "axum")]
pub(crate) use upgrade::Asked;
pub use upgrade::Upgrade;

use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Bytes;

/// A socket that hyper's upgrade ended in.
pub type WebSocket = crate::WebSocket<Upgraded>;

/// Answers a request for a WebSocket with the default settings: no subprotocol, no compression, pages of the same
/// origin only. See [`Upgrader`].
///
/// # Errors
/// As [`Upgrader::upgrade`].
pub fn upgrade<B>(request: &mut Request<B>) -> Result<(Response<Full<Bytes>>, Upgrade), Refused> {
    Upgrader::new().upgrade(request)
}

/// Answers requests for WebSockets; a clone is cheap.
///
/// ```
/// use ws13::hyper::Upgrader;
///
/// let upgrader = Upgrader::new()
///     .subprotocol("me-want-cookies".parse()?)
///     .config(ws13::Config { limits: ws13::Limits { max_message: 4096, ..Default::default() }, ..Default::default() });
///
/// let mut request = http::Request::builder().uri("/").header("Host", "example.com").body(())?;
/// let refused = upgrader.upgrade(&mut request).unwrap_err();
/// assert_eq!(refused.status(), 426); // nobody asked for a WebSocket
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Upgrader {
    settings: Settings,
}

impl Upgrader {
    /// With the defaults: no subprotocol, no compression, pages of the same origin only.
    #[must_use]
    pub fn new() -> Self {
        Upgrader::default()
    }

    upgrade_builder!();

    /// Checks a request, and gives the 101 response to return, and the [`Upgrade`] that ends in the socket once hyper
    /// has written it. The request keeps everything but the right to be upgraded.
    ///
    /// # Errors
    /// [`Refused`], which turns into the response to return in place of it.
    pub fn upgrade<B>(&self, request: &mut Request<B>) -> Result<(Response<Full<Bytes>>, Upgrade), Refused> {
        let asked = upgrade::Asked::read(
            request.method(),
            request.uri(),
            request.version(),
            request.headers(),
            request.extensions(),
        )?;
        let (response, upgrade) = asked.accept(&self.settings)?;
        Ok((response.map(Full::new), upgrade))
    }
}
