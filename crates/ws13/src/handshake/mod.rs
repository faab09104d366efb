//! The opening handshake (RFC 6455, sections 1.3, 4, 9.1 and 11.3): how an HTTP request becomes a WebSocket.
//!
//! Pure: bytes and decisions, no socket, no clock. What is asked and answered ([`Request`],
//! [`server::Accept`],
//! [`Reject`], [`client::Response`]) does not depend on the HTTP version; [`http1`] is the codec for HTTP/1.1
//! text.
//!
//! - [`server`]: read a request, decide about it, accept or refuse it.
//! - [`client`]: send a request, judge the answer.
//! - [`OriginPolicy`]: which web pages may connect, and under which host names.
//! - [`Proxies`], [`ConnectInfo`]: who is the client, when somebody passes its connection on; [`proxy_header`] reads the
//!   PROXY protocol.
//! - [`Url`], [`Authority`], [`Origin`], [`Key`], [`Subprotocol`]: texts that were checked once.
//!
//! Both sides, through memory:
//!
//! ```
//! use ws13::handshake::{client, server};
//!
//! let request = client::Request::new(&"ws://localhost:12345/chat".parse()?);
//! let (mut upgrade, bytes) = client::Upgrade::start(request)?;
//!
//! let mut reading = server::ReadRequest::new(server::Options::default());
//! let Ok(Some((server::Received::Upgrade(asked), _))) = reading.receive(&bytes) else {
//!     return Err("not a handshake".into());
//! };
//! let accepted = asked.accept(server::Accept::new())?;
//!
//! assert!(upgrade.receive(&accepted.response)?.is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod authority;
pub mod client;
mod error;
mod fields;
mod forwarded;
mod head;
mod host;
pub mod http1;
mod key;
mod network;
mod origin;
mod proxies;
pub mod proxy_header;
mod reply;
mod request;
pub mod server;
mod subprotocol;
mod url;

pub use authority::{Authority, InvalidAuthority};
pub use client::{ClientError, Response};
pub use error::Invalid;
pub use head::{HeadError, HeadLimits};
pub use host::AllowedHost;
pub use key::Key;
pub use network::{InvalidNetwork, Network, Trusted};
pub use origin::{AllowedOrigins, InvalidOrigin, Origin, OriginPolicy};
pub use proxies::{ConnectInfo, Proxies};
pub use reply::{Reject, Reply};
pub use request::Request;
pub use subprotocol::{InvalidSubprotocol, Subprotocol};
pub use url::{InvalidUrl, Url, User};

/// What both sides agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    /// The subprotocol in use, if any.
    pub subprotocol: Option<Subprotocol>,
    /// The value of `Sec-WebSocket-Extensions` in the 101 response, its lines joined by commas; it names only
    /// extensions that were offered. Parameters are judged here for those only that the handshake was told to
    /// negotiate.
    pub extensions: Option<String>,
    /// How messages are compressed, where it was negotiated.
    #[cfg(feature = "deflate")]
    pub deflate: Option<crate::deflate::Agreed>,
    /// What extensions of one's own claim that were negotiated.
    pub claims: crate::extension::Claims,
}
