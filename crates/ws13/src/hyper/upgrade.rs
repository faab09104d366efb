//! From hyper's request to the socket: what was asked, what was accepted, and the stream once hyper gives it up.

use super::refused::{NotUpgraded, Refused};
use super::settings::{Settings, upgrade_of};
use super::stream::Upgraded;
use super::{Connections, WebSocket};
use crate::connection::Role;
use crate::handshake::server::{Accept, Answer, Head, Options, examine};
use crate::handshake::{Agreed, ConnectInfo, Reject, Request};
use crate::limits::Config;
use http::{Extensions, HeaderMap, Method, Response, StatusCode, Uri, Version};
use hyper::body::Bytes;
use hyper::upgrade::OnUpgrade;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A request for a WebSocket that is sound in itself, and waits to be judged by the settings.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    head: Head,
    on_upgrade: OnUpgrade,
    from: ConnectInfo,
}

impl Asked {
    /// Reads it from the parts of hyper's request.
    pub(crate) fn read(
        method: &Method,
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Asked, Refused> {
        if version > Version::HTTP_11 && method == Method::CONNECT {
            return Err(Refused::ExtendedConnect);
        }
        let head =
            Head { method: method.clone(), target: uri.to_string(), version, headers: headers.clone() };
        // A missing Host is for the settings to judge.
        let lenient = Options { accept_missing_host: true, ..Options::default() };
        upgrade_of(examine(head.clone(), &lenient))?;
        let on_upgrade = extensions.get::<OnUpgrade>().cloned().ok_or(Refused::NotUpgradable)?;
        let from = extensions.get::<ConnectInfo>().cloned().unwrap_or_default();
        Ok(Asked { head, on_upgrade, from })
    }

    /// Says where the request came from.
    #[cfg(feature = "axum")]
    pub(crate) fn set_connect_info(&mut self, from: ConnectInfo) {
        self.from = from;
    }

    /// The request as it was sent.
    #[cfg(feature = "axum")]
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The response, and what follows it.
    pub(crate) fn accept(self, settings: &Settings) -> Result<(Response<Bytes>, Upgrade), Refused> {
        let accepted = settings.judge(self.head, self.from)?.answer(Accept::new());
        // Nothing was chosen that could be wrong.
        let Answer { headers, request, agreed } =
            accepted.map_err(|_| Refused::handshake(Reject::internal_error()))?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().extend(headers);
        let upgrade = Upgrade {
            on_upgrade: self.on_upgrade,
            request: Box::new(request),
            agreed,
            config: Arc::clone(settings.accept.config()),
            connections: settings.connections.clone(),
        };
        Ok((response, upgrade))
    }
}

/// An accepted handshake: a future of the socket, ready when hyper has written the 101 response.
///
/// [`serve`](Upgrade::serve) is the way to use it. Who awaits it does so in a task of its own: the response has to be
/// returned first. Dropped, it ends the connection when the response is written. Return that response and no other: hyper
/// does not look at the status, and gives up what is left of the connection after any response.
#[derive(Debug)]
#[must_use = "serve the socket, or await it in a task of its own"]
pub struct Upgrade {
    on_upgrade: OnUpgrade,
    request: Box<Request>,
    agreed: Agreed,
    config: Arc<Config>,
    connections: Option<Connections>,
}

impl Upgrade {
    /// What the client asked for: path, headers, offered subprotocols, origin.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.agreed.subprotocol.as_ref().map(AsRef::as_ref)
    }

    /// Runs a handler on the socket, in a task of its own, as [`Server::serve`](crate::Server::serve) does: what it
    /// sends is collected and written in one go when it waits for anything, keepalive and deadlines hold whatever it
    /// does, and when it returns (what it returns is dropped), an open connection is closed with 1000.
    ///
    /// A client that goes before the connection is open is no event.
    ///
    /// # Panics
    /// Outside of a tokio runtime, as all that spawns a task.
    pub fn serve<F>(self, handler: impl FnOnce(WebSocket) -> F + Send + 'static)
    where
        F: Future + Send + 'static,
    {
        let connections = self.connections.clone().unwrap_or_default();
        connections.serve_opening(self, handler);
    }
}

impl Future for Upgrade {
    type Output = Result<WebSocket, NotUpgraded>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let upgraded = ready!(Pin::new(&mut self.on_upgrade).poll(cx)).map_err(NotUpgraded)?;
        let (stream, early) = Upgraded::take(upgraded);
        let config = Arc::clone(&self.config);
        Poll::Ready(Ok(WebSocket::from_handshake(stream, Role::Server, config, &self.agreed, &early)))
    }
}
