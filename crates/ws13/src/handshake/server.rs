//! The server's side of the opening handshake (RFC 6455, section 4.2).
//!
//! Bytes in, a decision out, bytes back; the socket and the clock are the caller's.
//!
//! ```
//! use ws13::handshake::server::{Accept, Options, ReadRequest, Received};
//!
//! let options = Options { subprotocols: vec!["chat".parse()?], ..Options::default() };
//! let mut reading = ReadRequest::new(options);
//! let received = b"GET /room HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
//!     Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
//!     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\r\nearly";
//! match reading.receive(received) {
//!     Ok(None) => println!("read more, append it to the same buffer, ask again"),
//!     Ok(Some((Received::Upgrade(upgrade), consumed))) => {
//!         assert_eq!(upgrade.request().path(), "/room");
//!         let accepted = upgrade.accept(Accept::new())?;
//!         assert!(accepted.response.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
//!         assert_eq!(accepted.agreed.subprotocol, Some("chat".parse()?));
//!         assert_eq!(&received[consumed..], b"early"); // the first bytes of the first frame
//!     }
//!     Ok(Some((Received::Plain(_request), _))) => println!("answer with a Reply"),
//!     Err(reject) => println!("write {:?}, then close", reject.encode()),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::Agreed;
use super::error::{Invalid, check_header, check_value};
use super::fields;
use super::head::{HeadError, HeadLimits};
use super::http1::{self, ReadRequestHead};
use super::key::Key;
use super::proxies::ConnectInfo;
use super::reply::Reject;
use super::request::Request;
use super::subprotocol::Subprotocol;
use crate::extension::{self, Claims, Negotiate};
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use std::sync::Arc;

/// How a server reads handshakes. One of them serves all connections (`Arc<Options>`).
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The limits on the request head.
    pub limits: HeadLimits,
    /// Take an HTTP/1.1 request without a Host header, as some embedded clients send it. Default: no (400).
    pub accept_missing_host: bool,
    /// What this server speaks, in its order of preference. Default: nothing.
    pub subprotocols: Vec<Subprotocol>,
    /// Refuse (400) a client that offers none of `subprotocols`. Default: no; the client then gets no
    /// subprotocol, as RFC 6455, section 4.2.2 has it.
    pub require_subprotocol: bool,
    /// Accept permessage-deflate (RFC 7692) where it is offered. Default: no.
    #[cfg(feature = "deflate")]
    pub deflate: Option<crate::Deflate>,
    /// Accept these extensions where they are offered. Default: none.
    pub extensions: Vec<Arc<dyn Negotiate>>,
}

/// Reads one request, while its bytes arrive.
#[derive(Debug)]
pub struct ReadRequest {
    head: ReadRequestHead,
    options: Arc<Options>,
}

impl ReadRequest {
    /// Starts to read.
    #[must_use]
    pub fn new(options: impl Into<Arc<Options>>) -> Self {
        let options = options.into();
        ReadRequest { head: ReadRequestHead::new(options.limits), options }
    }

    /// Give it everything received so far, each time: the same buffer, growing. `None`: read more.
    ///
    /// The number is how many bytes the request took. What follows them came early: after an accepted
    /// handshake it belongs to the connection; after a refused one it is dropped, never read as a request.
    /// Work is linear in the bytes, however few come at a time, and nothing is kept but positions.
    ///
    /// # Errors
    /// A [`Reject`], to be written before the connection is closed. It comes as soon as the bytes are over a
    /// limit or cannot be a request.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<(Received, usize)>, Reject> {
        match self.head.receive(bytes) {
            Ok(None) => Ok(None),
            Ok(Some((head, consumed))) => examine(head, &self.options).map(|it| Some((it, consumed))),
            Err(error) => Err(refuse_head(&error)),
        }
    }
}

/// The head of a request as an HTTP codec read it: that of this crate, or of another HTTP stack.
#[derive(Clone, Debug)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The request target, as it was sent: `/path?query`, or a whole URL.
    pub target: String,
    /// The HTTP version.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
}

/// What a request turned out to be.
#[derive(Debug)]
pub enum Received {
    /// A valid WebSocket handshake: accept it or reject it.
    Upgrade(Upgrade),
    /// A valid HTTP request that does not ask for a WebSocket: answer it with a [`Reply`](super::Reply),
    /// close, and do not read on (its body, if any, follows).
    Plain(Request),
}

/// Decides about a head that another HTTP stack has read (RFC 6455, section 4.2.1).
///
/// # Errors
/// A [`Reject`] for a request that is invalid, or is a handshake with something missing or wrong.
pub fn examine(head: Head, options: &Options) -> Result<Received, Reject> {
    let mut request = Request::from_head(head, options.accept_missing_host)?;
    let signs = Signs::of(request.headers());
    if !signs.attempt() {
        return Ok(Received::Plain(request));
    }
    check_method(&request, &signs)?;
    check_http_version(&request)?;
    signs.check_complete()?;
    check_no_body(request.headers())?;
    check_version(request.headers())?;
    let key = read_key(request.headers())?;
    request.read_offers()?;
    let common = options.subprotocols.iter().find(|own| request.subprotocols().contains(own)).cloned();
    if options.require_subprotocol && common.is_none() {
        return Err(refuse_subprotocols(&options.subprotocols));
    }
    Ok(Received::Upgrade(Upgrade {
        #[cfg(feature = "deflate")]
        deflate: answer_deflate(&request, options.deflate.as_ref()),
        own: options.extensions.clone(),
        request,
        key,
        common,
    }))
}

/// What is answered to the client's offers of permessage-deflate, and what holds then.
#[cfg(feature = "deflate")]
fn answer_deflate(
    request: &Request,
    settings: Option<&crate::Deflate>,
) -> Option<(String, crate::deflate::Agreed)> {
    let offers = extension::parse(request.extensions()?).ok()?;
    let (answer, agreed) = crate::deflate::answer(settings?, &offers)?;
    Some((answer.to_string(), agreed))
}

/// A valid handshake that waits for an answer.
#[derive(Debug)]
pub struct Upgrade {
    request: Request,
    key: Key,
    /// The first of the server's subprotocols that the client offered.
    common: Option<Subprotocol>,
    #[cfg(feature = "deflate")]
    deflate: Option<(String, crate::deflate::Agreed)>,
    own: Vec<Arc<dyn Negotiate>>,
}

impl Upgrade {
    /// What the client asks for.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Says where the request came from, for those who have read it from a stream of their own.
    pub fn set_connect_info(&mut self, info: ConnectInfo) {
        self.request.set_connect_info(info);
    }

    /// Accepts: the bytes to write, then the connection is open.
    ///
    /// # Errors
    /// [`Invalid`] when `accept` names a subprotocol or an extension that the client did not offer
    /// (RFC 6455, 4.2.2). Nothing was sent; answer with [`Reject::internal_error`].
    pub fn accept(self, accept: Accept) -> Result<Accepted, Invalid> {
        let Answer { headers, request, agreed } = self.answer(accept)?;
        let mut response = http1::status_line(StatusCode::SWITCHING_PROTOCOLS);
        for (name, value) in &headers {
            http1::header_line(&mut response, name, value.as_bytes());
        }
        response.extend_from_slice(b"\r\n");
        Ok(Accepted { response, request, agreed })
    }

    /// As [`accept`](Upgrade::accept), for another HTTP stack: the headers of its 101 response, not the text.
    ///
    /// # Errors
    /// As [`accept`](Upgrade::accept).
    pub fn answer(self, accept: Accept) -> Result<Answer, Invalid> {
        self.check_extensions(accept.extensions.as_ref())?;
        #[cfg(feature = "deflate")]
        let (accept, deflate) = accept.with_deflate(self.deflate.as_ref());
        #[cfg(feature = "deflate")]
        let taken = deflate.map_or(Claims::NONE, |_| Claims::DEFLATE);
        #[cfg(not(feature = "deflate"))]
        let taken = Claims::NONE;
        let (accept, claims) = accept.with_extensions(&self.request, &self.own, taken);
        let subprotocol = self.choose(accept.subprotocol)?;
        let mut headers = vec![
            (UPGRADE, HeaderValue::from_static("websocket")),
            (CONNECTION, HeaderValue::from_static("Upgrade")),
            (SEC_WEBSOCKET_ACCEPT, check_value(&SEC_WEBSOCKET_ACCEPT, &self.key.accept())?),
        ];
        if let Some(name) = &subprotocol {
            headers.push((SEC_WEBSOCKET_PROTOCOL, check_value(&SEC_WEBSOCKET_PROTOCOL, name.as_str())?));
        }
        if let Some(value) = &accept.extensions {
            headers.push((SEC_WEBSOCKET_EXTENSIONS, check_value(&SEC_WEBSOCKET_EXTENSIONS, value)?));
        }
        headers.extend(accept.headers);
        let agreed = Agreed {
            subprotocol,
            extensions: accept.extensions,
            #[cfg(feature = "deflate")]
            deflate,
            claims,
        };
        Ok(Answer { headers, request: self.request, agreed })
    }

    /// Refuses: the bytes to write; then close, and drop what came early.
    #[must_use]
    pub fn reject(self, reject: Reject) -> Vec<u8> {
        reject.encode()
    }

    fn choose(&self, choice: Choice) -> Result<Option<Subprotocol>, Invalid> {
        match choice {
            Choice::Common => Ok(self.common.clone()),
            Choice::Nothing => Ok(None),
            Choice::This(name) if self.request.subprotocols().contains(&name) => Ok(Some(name)),
            Choice::This(name) => Err(Invalid::SubprotocolNotOffered(name)),
        }
    }

    fn check_extensions(&self, accepted: Option<&String>) -> Result<(), Invalid> {
        let Some(accepted) = accepted else { return Ok(()) };
        let names = |value: &str| extension::names(value).map_err(|_| Invalid::Extensions(accepted.clone()));
        let offered = names(self.request.extensions().unwrap_or_default())?;
        match names(accepted)?.into_iter().find(|name| !offered.contains(name)) {
            Some(name) => Err(Invalid::ExtensionNotOffered(name)),
            None => Ok(()),
        }
    }
}

/// An accepted handshake.
#[derive(Debug)]
pub struct Accepted {
    /// The bytes to write: the 101 response.
    pub response: Vec<u8>,
    /// What the client asked for.
    pub request: Request,
    /// What holds for the connection.
    pub agreed: Agreed,
}

/// An accepted handshake, for another HTTP stack to write.
#[derive(Debug)]
pub struct Answer {
    /// The headers of the 101 response, in their order.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What the client asked for.
    pub request: Request,
    /// What holds for the connection.
    pub agreed: Agreed,
}

/// How to accept a handshake.
///
/// ```
/// use ws13::handshake::server::Accept;
/// let accept = Accept::new().subprotocol("chat".parse()?).header("X-Node", "7")?;
/// assert!(Accept::new().header("Upgrade", "x").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Accept {
    subprotocol: Choice,
    extensions: Option<String>,
    #[cfg(feature = "deflate")]
    without_deflate: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Clone, Debug, Default)]
enum Choice {
    #[default]
    Common,
    Nothing,
    This(Subprotocol),
}

impl Accept {
    /// Accepts with the first of the server's subprotocols that the client offered, and without extensions.
    #[must_use]
    pub fn new() -> Self {
        Accept::default()
    }

    /// Chooses this subprotocol; it must be one that the client offered.
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: Subprotocol) -> Self {
        self.subprotocol = Choice::This(subprotocol);
        self
    }

    /// Chooses no subprotocol.
    #[must_use]
    pub fn without_subprotocol(mut self) -> Self {
        self.subprotocol = Choice::Nothing;
        self
    }

    /// The value of `Sec-WebSocket-Extensions` that was negotiated. An empty one is never sent.
    ///
    /// Who names permessage-deflate here has negotiated it, whatever the server's settings are.
    ///
    /// # Errors
    /// [`Invalid::Extensions`] when it does not follow RFC 6455, section 9.1.
    pub fn extensions(mut self, value: &str) -> Result<Self, Invalid> {
        let names = extension::names(value).map_err(|_| Invalid::Extensions(value.to_owned()))?;
        check_value(&SEC_WEBSOCKET_EXTENSIONS, value)?;
        self.extensions = (!names.is_empty()).then(|| value.to_owned());
        Ok(self)
    }

    /// Does not compress messages of this connection, whatever the server's settings are.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn without_deflate(mut self) -> Self {
        self.without_deflate = true;
        self
    }

    /// Adds the answer for permessage-deflate, unless the caller has decided about it; tells what holds then.
    #[cfg(feature = "deflate")]
    fn with_deflate(
        mut self,
        answer: Option<&(String, crate::deflate::Agreed)>,
    ) -> (Self, Option<crate::deflate::Agreed>) {
        let own = self.extensions.as_deref().unwrap_or_default();
        let names = extension::names(own).unwrap_or_default();
        let decided = self.without_deflate || names.iter().any(|name| name == crate::deflate::NAME);
        let Some((answer, agreed)) = answer.filter(|_| !decided) else { return (self, None) };
        let separator = if own.is_empty() { "" } else { ", " };
        self.extensions = Some(format!("{answer}{separator}{own}"));
        (self, Some(*agreed))
    }

    /// Adds the answers for extensions of one's own, unless the caller has decided about one; tells what is claimed.
    fn with_extensions(
        mut self,
        request: &Request,
        own: &[Arc<dyn Negotiate>],
        taken: Claims,
    ) -> (Self, Claims) {
        let mut claims = Claims::NONE;
        let Some(offered) = request.extensions().filter(|_| !own.is_empty()) else { return (self, claims) };
        let decided = extension::names(self.extensions.as_deref().unwrap_or_default()).unwrap_or_default();
        let mut offers = extension::parse(offered).unwrap_or_default();
        offers.retain(|offer| !decided.iter().any(|name| name == offer.name));
        for (answer, claimed) in extension::answers(own, &offers, taken) {
            self.extensions = Some(match self.extensions {
                None => answer,
                Some(before) => format!("{before}, {answer}"),
            });
            claims = claims.union(claimed);
        }
        (self, claims)
    }

    /// Adds a header to the 101 response. A name may be added more than once (`Set-Cookie`).
    ///
    /// # Errors
    /// [`Invalid`] for what is no header, for a value that is not printable ASCII, and for the headers of the
    /// handshake itself.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Invalid> {
        self.headers.push(check_header(name, value)?);
        Ok(self)
    }
}

/// What makes a request look like a handshake.
struct Signs {
    upgrade: bool,
    connection: bool,
    key: bool,
}

impl Signs {
    fn of(headers: &HeaderMap) -> Self {
        Signs {
            upgrade: fields::has_token(headers, &UPGRADE, "websocket"),
            connection: fields::has_token(headers, &CONNECTION, "upgrade"),
            key: headers.contains_key(SEC_WEBSOCKET_KEY),
        }
    }

    /// `Connection: upgrade` alone is no sign: some proxies add it to each request, and h2c has it too.
    fn attempt(&self) -> bool {
        self.upgrade || self.key
    }

    fn check_complete(&self) -> Result<(), Reject> {
        let parts = [
            (self.upgrade, "'Upgrade: websocket'"),
            (self.connection, "'Connection: Upgrade'"),
            (self.key, "'Sec-WebSocket-Key: …'"),
        ];
        let missing: Vec<_> = parts.iter().filter(|(there, _)| !there).map(|&(_, name)| name).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.join(" and ");
        Err(Reject::bad_request(format!(
            "the WebSocket handshake lacks the header {missing}: send it, and let proxies pass it on"
        )))
    }
}

fn check_method(request: &Request, signs: &Signs) -> Result<(), Reject> {
    if signs.upgrade && request.method() != Method::GET {
        return Err(Reject::method_not_allowed());
    }
    Ok(())
}

/// RFC 6455, 4.2.1: "An HTTP/1.1 or higher GET request".
fn check_http_version(request: &Request) -> Result<(), Reject> {
    // HTTP/2 and later have no Upgrade header (RFC 9113, 8.2.2); their handshake is another one (RFC 8441).
    if request.version() != Version::HTTP_11 {
        return Err(Reject::bad_request("a WebSocket handshake needs HTTP/1.1: let proxies use it, too"));
    }
    Ok(())
}

/// A body would be read as frames by us and as a request by another: request smuggling.
fn check_no_body(headers: &HeaderMap) -> Result<(), Reject> {
    let zero = |value: &HeaderValue| {
        let digits = value.as_bytes();
        !digits.is_empty() && digits.iter().all(|&digit| digit == b'0')
    };
    if headers.contains_key(TRANSFER_ENCODING) || !headers.get_all(CONTENT_LENGTH).iter().all(zero) {
        return Err(Reject::bad_request("a WebSocket handshake has no body: leave it out, with its headers"));
    }
    Ok(())
}

/// RFC 6455, 4.2.2: another version is answered with 426 and the versions that are understood.
fn check_version(headers: &HeaderMap) -> Result<(), Reject> {
    if fields::single(headers, &SEC_WEBSOCKET_VERSION) == Some(b"13") {
        Ok(())
    } else {
        Err(Reject::upgrade_required())
    }
}

fn read_key(headers: &HeaderMap) -> Result<Key, Reject> {
    let key = fields::single(headers, &SEC_WEBSOCKET_KEY).and_then(Key::parse);
    key.ok_or_else(|| {
        Reject::bad_request("Sec-WebSocket-Key is invalid: send it once, 16 bytes in base64 (24 characters)")
    })
}

fn refuse_subprotocols(own: &[Subprotocol]) -> Reject {
    let own: Vec<_> = own.iter().map(Subprotocol::as_str).collect();
    Reject::bad_request(format!("offer a subprotocol that this server speaks: {}", own.join(", ")))
}

fn refuse_head(error: &HeadError) -> Reject {
    let reason = error.to_string();
    match error {
        HeadError::TooLong { .. } | HeadError::HeaderTooLong { .. } | HeadError::TooManyHeaders { .. } => {
            Reject::head_too_large(reason)
        }
        HeadError::Version => Reject::version_not_supported(reason),
        // RFC 9112, 3 would have 414 for a long target. 400 it is: a line that long is seldom a target.
        _ => Reject::bad_request(reason),
    }
}

#[cfg(test)]
mod tests;
