//! The client's side of the opening handshake (RFC 6455, section 4.1).
//!
//! ```
//! use ws13::handshake::client::{Request, Upgrade};
//!
//! let url = "ws://example.com/chat".parse()?;
//! let request = Request::new(&url).subprotocol("chat".parse()?).header("Authorization", "Bearer x")?;
//! let (mut upgrade, bytes) = Upgrade::new(request, *b"the sample nonce")?; // or Upgrade::start(request)
//! assert!(bytes.starts_with(b"GET /chat HTTP/1.1\r\nHost: example.com\r\n"));
//!
//! let received = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
//!     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n\x81\x00";
//! let (accepted, consumed) = upgrade.receive(received)?.ok_or("read more, then ask again")?;
//! assert_eq!(accepted.agreed.subprotocol, Some("chat".parse()?));
//! assert_eq!(&received[consumed..], b"\x81\x00"); // the first frame came along
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body;
mod error;
mod request;
mod upgrade;

pub use error::ClientError;
pub use request::Request;
pub use upgrade::{Accepted, Upgrade};

use http::{HeaderMap, StatusCode, Version};

/// What a server answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The reason text; often empty.
    pub reason: String,
    /// The HTTP version of the answer.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// The body of a refusal, without its chunk framing, up to [`Request::body_limit`] bytes. Empty for a
    /// 101.
    pub body: Vec<u8>,
    /// The body is not complete: it is over the limit, was cut off, or its chunks were malformed.
    pub truncated: bool,
}

impl Response {
    /// The first value of a header; `None` when it is absent or not printable ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text; what is no UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}
