//! WebSockets in axum 0.8 (feature `axum`): an extractor, with the names of axum's own.
//!
//! ```
//! use axum::{Router, response::Response, routing::any};
//! use ws13::axum::{WebSocket, WebSocketUpgrade};
//!
//! async fn handler(upgrade: WebSocketUpgrade) -> Response {
//!     upgrade.on_upgrade(echo)
//! }
//!
//! async fn echo(mut socket: WebSocket) -> Result<(), ws13::Error> {
//!     while let Some(message) = socket.receive().await? {
//!         socket.send(message).await?;
//!     }
//!     Ok(())
//! }
//!
//! let app: Router = Router::new().route("/echo", any(handler));
//! ```
//!
//! `examples/axum_echo.rs` is a whole program. Layers see the request and the 101 response as any other; a timeout of
//! theirs ends with the response, not the connection.
//!
//! # Who the client is, and TLS
//! [`WebSocketUpgrade::connect_info`] and [`behind`](WebSocketUpgrade::behind) take proxies into account. Where an
//! application ends TLS itself, what was agreed on is in the extensions that who accepts its connections puts there: see
//! [`hyper`](crate::hyper#who-the-client-is-and-tls).
//!
//! # Stopping
//! axum's `with_graceful_shutdown` does not wait for WebSockets. [`Connections`] in an extension layer gets them all, and
//! closes them:
//!
//! ```no_run
//! # async fn run(app: axum::Router, stop: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
//! use axum::Extension;
//! use std::time::Duration;
//! use ws13::axum::Connections;
//!
//! let connections = Connections::new();
//! let app = app.layer(Extension(connections.clone()));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:12345").await?;
//! axum::serve(listener, app).with_graceful_shutdown(stop).await?;
//! connections.close(Duration::from_secs(10)).await; // 1001 to all
//! # Ok(())
//! # }
//! ```

pub use crate::hyper::{Connections, Refused, Upgrade, Upgraded, WebSocket};

use crate::handshake::ConnectInfo;
use crate::hyper::{Asked, Settings, upgrade_builder};
use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::HeaderMap;
use http::request::Parts;

/// A request for a WebSocket, to be accepted by [`on_upgrade`](WebSocketUpgrade::on_upgrade).
///
/// As an extractor it refuses what is no sound handshake ([`Refused`]): `Result<WebSocketUpgrade, Refused>` tells why,
/// and `Option<WebSocketUpgrade>` is `None` for a plain request, such as for a page at the same path. It goes with `any`
/// and with `get` routes. What the settings refuse (an Origin, a missing subprotocol) is refused by `on_upgrade`.
///
/// ```
/// use axum::extract::State;
/// use axum::response::Response;
/// use ws13::axum::{WebSocket, WebSocketUpgrade};
/// use ws13::{Config, Limits};
///
/// async fn handler(State(greeting): State<String>, upgrade: WebSocketUpgrade) -> Response {
///     let limits = Limits { max_message: 4096, ..Limits::default() };
///     upgrade.config(Config { limits, ..Config::default() }).on_upgrade(|mut socket: WebSocket| async move {
///         socket.send(greeting).await
///     })
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::any(handler)).with_state("hi".to_owned());
/// ```
#[derive(Debug)]
pub struct WebSocketUpgrade {
    asked: Asked,
    settings: Settings,
}

impl WebSocketUpgrade {
    upgrade_builder!();

    /// Says where the request came from, for [`behind`](Self::behind): axum has it in its
    /// `ConnectInfo<SocketAddr>`, in applications that are served with it. A [`ConnectInfo`] of ours in the request's
    /// extensions does the same.
    ///
    /// ```
    /// use axum::extract::ConnectInfo;
    /// use axum::response::Response;
    /// use std::net::SocketAddr;
    /// use ws13::axum::WebSocketUpgrade;
    /// use ws13::handshake::{Proxies, Trusted};
    ///
    /// async fn handler(ConnectInfo(peer): ConnectInfo<SocketAddr>, upgrade: WebSocketUpgrade) -> Response {
    ///     let proxies = Proxies::trusted(Trusted::networks(["10.0.0.0/8".parse().unwrap()])).x_forwarded();
    ///     upgrade.connect_info(peer).behind(proxies).on_upgrade(|mut socket| async move { socket.send("hi").await })
    /// }
    /// # let app = axum::Router::<()>::new().route("/", axum::routing::any(handler));
    /// # let _ = app.into_make_service_with_connect_info::<SocketAddr>();
    /// ```
    #[must_use]
    pub fn connect_info(mut self, from: impl Into<ConnectInfo>) -> Self {
        self.asked.set_connect_info(from.into());
        self
    }

    /// The headers of the request.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.asked.headers()
    }

    /// Accepts, and runs a handler on the socket in a task of its own, as [`Server::serve`](crate::Server::serve) does:
    /// what it sends is collected and written in one go when it waits for anything, keepalive and deadlines hold
    /// whatever it does, and when it returns (what it returns is dropped), an open connection is closed with 1000.
    ///
    /// The response is the one to return: 101, or what the settings refuse with.
    ///
    /// # Panics
    /// Outside of a tokio runtime, as all that spawns a task.
    pub fn on_upgrade<F>(self, handler: impl FnOnce(WebSocket) -> F + Send + 'static) -> Response
    where
        F: Future + Send + 'static,
    {
        match self.accept() {
            Ok((response, upgrade)) => {
                upgrade.serve(handler);
                response
            }
            Err(refused) => refused.into_response(),
        }
    }

    /// Accepts, and gives the response to return, and the [`Upgrade`] to serve: its request tells who the client is, and
    /// what it asked for.
    ///
    /// # Errors
    /// [`Refused`], which is a response, too.
    pub fn accept(self) -> Result<(Response, Upgrade), Refused> {
        let (response, upgrade) = self.asked.accept(&self.settings)?;
        Ok((response.map(Body::from), upgrade))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let asked = Asked::read(&parts.method, &parts.uri, parts.version, &parts.headers, &parts.extensions)?;
        let connections = parts.extensions.get::<Connections>().cloned();
        Ok(WebSocketUpgrade { asked, settings: Settings { connections, ..Settings::default() } })
    }
}

/// `None` for a plain request; a handshake that is wrong is refused all the same.
impl<S: Send + Sync> OptionalFromRequestParts<S> for WebSocketUpgrade {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Refused> {
        match <Self as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(upgrade) => Ok(Some(upgrade)),
            Err(Refused::Plain) => Ok(None),
            Err(refused) => Err(refused),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.into_bytes().map(Body::from)
    }
}
