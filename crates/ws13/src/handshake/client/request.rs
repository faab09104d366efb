//! What a client asks for.

use crate::extension::{self, Negotiate};
use crate::handshake::authority::Authority;
use crate::handshake::error::{Invalid, check_header, check_value};
use crate::handshake::head::HeadLimits;
use crate::handshake::http1;
use crate::handshake::key::Key;
use crate::handshake::subprotocol::Subprotocol;
use crate::handshake::url::Url;
use http::header::{
    AUTHORIZATION, CONNECTION, COOKIE, HOST, ORIGIN, PROXY_AUTHORIZATION, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderName, HeaderValue};
use std::sync::Arc;

/// How much of a refusal's body is kept: 64 KiB.
const BODY_LIMIT: usize = 64 * 1024;

/// Headers that prove who the client is: shown in no log, and sent to no other origin.
const SECRET: [HeaderName; 3] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];

/// A handshake to be sent. Everything in it is checked when it is put in.
///
/// ```
/// use ws13::handshake::{Invalid, client::Request};
/// let url = "wss://example.com/chat?room=9".parse()?;
/// let request = Request::new(&url).subprotocol("chat".parse()?).origin("https://example.com")?;
/// assert!(matches!(request.header("X-A", "b\r\nX-B: c"), Err(Invalid::HeaderValue(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Request {
    host: HeaderValue,
    path_and_query: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) subprotocols: Vec<Subprotocol>,
    pub(super) extensions: Option<String>,
    #[cfg(feature = "deflate")]
    pub(super) deflate: Option<crate::Deflate>,
    pub(super) own: Vec<Arc<dyn Negotiate>>,
    pub(super) require_subprotocol: bool,
    pub(super) limits: HeadLimits,
    pub(super) body_limit: usize,
}

impl Request {
    /// A handshake for this URL. The user name and password of the URL are not sent: see [`Url::user`].
    #[must_use]
    pub fn new(url: &Url) -> Self {
        // A Url is made of an Authority and a checked path: neither can be rejected here.
        let host = HeaderValue::from_str(url.host_header()).unwrap_or(HeaderValue::from_static(""));
        Request::unchecked(host, url.path_and_query().to_owned())
    }

    /// A handshake for a host (`example.com`, `[::1]:8080`) and a path with a query, where there is no URL:
    /// over a Unix socket or another pipe.
    ///
    /// # Errors
    /// [`Invalid::Host`]; [`Invalid::Target`] for a path that does not begin with `/`, or that has a
    /// fragment, a blank, CR, LF, NUL, or anything else that is not printable ASCII.
    pub fn for_host(host: &str, path_and_query: &str) -> Result<Self, Invalid> {
        let host = check_value(&HOST, Authority::new(host)?.as_str())?;
        if !path_and_query.starts_with('/') {
            return Err(Invalid::Target("it must begin with '/'"));
        }
        if path_and_query.contains('#') {
            return Err(Invalid::Target("a fragment cannot be sent: leave '#' out, or write %23"));
        }
        if !path_and_query.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Invalid::Target(
                "it must be printable ASCII without blanks: percent-encode the rest",
            ));
        }
        Ok(Request::unchecked(host, path_and_query.to_owned()))
    }

    /// Adds a header. Host and Origin are replaced, any other name may be added more than once.
    ///
    /// # Errors
    /// [`Invalid`] for what is no header, for a value that is not printable ASCII, for a Host that is no
    /// host, and for the headers of the handshake itself: Upgrade, Connection, Sec-WebSocket-*, and those of
    /// a body.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Invalid> {
        let (name, mut value_checked) = check_header(name, value)?;
        if name == HOST {
            Authority::new(value)?;
            self.host = value_checked;
            return Ok(self);
        }
        if name == ORIGIN {
            self.headers.retain(|(other, _)| other != ORIGIN);
        }
        // Shown in no log.
        value_checked.set_sensitive(SECRET.contains(&name));
        self.headers.push((name, value_checked));
        Ok(self)
    }

    /// Sets the Authorization header, in place of one that was set before.
    ///
    /// # Errors
    /// [`Invalid::HeaderValue`] when it is not printable ASCII.
    pub fn authorization(mut self, value: &str) -> Result<Self, Invalid> {
        self.headers.retain(|(name, _)| name != AUTHORIZATION);
        self.header("Authorization", value)
    }

    /// Whether there is an Authorization header.
    pub(crate) fn has_authorization(&self) -> bool {
        self.headers.iter().any(|(name, _)| name == AUTHORIZATION)
    }

    /// The same request to another URL, where an answer redirects it. What proves who the client is goes along to the
    /// same origin only ([`Url::same_origin`]): elsewhere Authorization, Cookie and a Host of the user's own are left
    /// out.
    #[must_use]
    pub fn redirect(mut self, from: &Url, to: &Url) -> Self {
        let target = Request::new(to);
        self.path_and_query = target.path_and_query;
        if !from.same_origin(to) {
            self.host = target.host;
            self.headers.retain(|(name, _)| !SECRET.contains(name));
        }
        self
    }

    /// Sets the Origin header, as browsers do (RFC 6455, 4.1, item 8).
    ///
    /// # Errors
    /// [`Invalid::HeaderValue`] when it is not printable ASCII.
    pub fn origin(self, origin: &str) -> Result<Self, Invalid> {
        self.header("Origin", origin)
    }

    /// Offers a subprotocol; the one offered first is preferred.
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: Subprotocol) -> Self {
        self.subprotocols.push(subprotocol);
        self
    }

    /// Fails when the server chooses none of the subprotocols. Default: no; the connection then has none.
    #[must_use]
    pub fn require_subprotocol(mut self, require: bool) -> Self {
        self.require_subprotocol = require;
        self
    }

    /// The value of `Sec-WebSocket-Extensions`: what is offered. An empty one is never sent.
    ///
    /// # Errors
    /// [`Invalid::Extensions`] when it does not follow RFC 6455, section 9.1.
    pub fn extensions(mut self, offer: &str) -> Result<Self, Invalid> {
        let names = extension::names(offer).map_err(|_| Invalid::Extensions(offer.to_owned()))?;
        check_value(&SEC_WEBSOCKET_EXTENSIONS, offer)?;
        self.extensions = (!names.is_empty()).then(|| offer.to_owned());
        Ok(self)
    }

    /// Offers permessage-deflate (RFC 7692), before what [`extensions`](Request::extensions) names.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, settings: Option<crate::Deflate>) -> Self {
        self.deflate = settings;
        self
    }

    /// Offers extensions of one's own, after permessage-deflate and before what [`extensions`](Request::extensions)
    /// names.
    #[must_use]
    pub fn negotiate(mut self, own: Vec<Arc<dyn Negotiate>>) -> Self {
        self.own = own;
        self
    }

    /// All that is offered, as it stands in the header.
    pub(super) fn offered_extensions(&self) -> Option<String> {
        let mut all = extension::offers(&self.own);
        #[cfg(feature = "deflate")]
        if let Some(settings) = &self.deflate {
            all.insert(0, crate::deflate::offer(settings).to_string());
        }
        all.extend(self.extensions.clone());
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// The limits on the head of the answer. Default: [`HeadLimits::response`].
    #[must_use]
    pub fn limits(mut self, limits: HeadLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How many bytes of a refusal's body are kept; the rest is cut. Default: 64 KiB.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// The request as text. RFC 6455, 4.1: subprotocols "MUST all be unique strings".
    pub(super) fn encode(&self, key: &Key) -> Result<Vec<u8>, Invalid> {
        let mut offered: Vec<&str> = Vec::new();
        for name in &self.subprotocols {
            if offered.contains(&name.as_str()) {
                return Err(Invalid::SubprotocolTwice(name.clone()));
            }
            offered.push(name.as_str());
        }
        let mut out = http1::request_line(&self.path_and_query);
        let mut line = |name: &HeaderName, value: &[u8]| http1::header_line(&mut out, name, value);
        line(&HOST, self.host.as_bytes());
        line(&UPGRADE, b"websocket");
        line(&CONNECTION, b"Upgrade");
        line(&SEC_WEBSOCKET_KEY, key.encode().as_bytes());
        line(&SEC_WEBSOCKET_VERSION, b"13");
        if !offered.is_empty() {
            line(&SEC_WEBSOCKET_PROTOCOL, offered.join(", ").as_bytes());
        }
        if let Some(extensions) = self.offered_extensions() {
            line(&SEC_WEBSOCKET_EXTENSIONS, extensions.as_bytes());
        }
        for (name, value) in &self.headers {
            line(name, value.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        Ok(out)
    }

    fn unchecked(host: HeaderValue, path_and_query: String) -> Self {
        Request {
            host,
            path_and_query,
            headers: Vec::new(),
            subprotocols: Vec::new(),
            extensions: None,
            #[cfg(feature = "deflate")]
            deflate: None,
            own: Vec::new(),
            require_subprotocol: false,
            limits: HeadLimits::response(),
            body_limit: BODY_LIMIT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Request {
        Request::for_host("example.com", "/chat").unwrap()
    }

    fn text(request: &Request) -> String {
        String::from_utf8(request.encode(&Key::new(*b"the sample nonce")).unwrap()).unwrap()
    }

    #[test]
    fn rfc_6455_4_1_the_request() {
        let request = plain().subprotocol("chat".parse().unwrap()).subprotocol("b".parse().unwrap());
        let request = request.extensions("foo; bar").unwrap().origin("http://a").unwrap();
        assert_eq!(
            text(&request.header("X-Y", "z").unwrap()),
            "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: chat, b\r\nSec-WebSocket-Extensions: foo; bar\r\n\
             Origin: http://a\r\nX-Y: z\r\n\r\n"
        );
    }

    #[test]
    fn cr_lf_nul_in_a_path_is_an_error_before_a_byte_is_sent() {
        for path in
            ["", "chat", "*", "http://a/", "/a b", "/a\r\nX: y", "/\0", "/ä", "/a#b", "/\t", "/\u{7f}"]
        {
            assert!(matches!(Request::for_host("a", path), Err(Invalid::Target(_))), "{path:?}");
        }
        for host in ["", "a b", "a\r\nX: y", "a/b", "ä", "a\0"] {
            assert!(matches!(Request::for_host(host, "/"), Err(Invalid::Host(_))), "{host:?}");
        }
    }

    #[test]
    fn cr_lf_nul_in_a_header_is_an_error_before_a_byte_is_sent() {
        for value in ["a\r\nX: y", "a\nb", "a\0", "ä"] {
            assert!(plain().header("X-A", value).is_err(), "{value:?}");
            assert!(plain().header("Host", value).is_err(), "{value:?}");
            assert!(plain().origin(value).is_err(), "{value:?}");
            assert!(plain().extensions(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn headers_of_the_handshake_cannot_be_set_and_host_and_origin_are_replaced() {
        for name in
            ["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Transfer-Encoding"]
        {
            assert!(matches!(plain().header(name, "x"), Err(Invalid::OwnedHeader(_))), "{name}");
        }
        let request = plain().header("host", "other:81").unwrap().origin("http://a").unwrap();
        let text = text(&request.header("ORIGIN", "http://b").unwrap());
        assert!(text.contains("\r\nHost: other:81\r\n") && !text.contains("example.com"), "{text}");
        assert!(text.contains("\r\nOrigin: http://b\r\n") && !text.contains("http://a"), "{text}");
    }

    #[test]
    fn empty_protocol_and_extensions_headers_are_never_sent() {
        let text = text(&plain().extensions("").unwrap().extensions(" , ").unwrap());
        assert!(!text.contains("Protocol") && !text.contains("Extensions"), "{text}");
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        let request = plain().header("Authorization", "Bearer secret").unwrap();
        let request = request.header("cookie", "session=secret").unwrap().header("X-Open", "shown").unwrap();
        let logged = format!("{request:?}");
        assert!(!logged.contains("secret") && logged.contains("shown"), "{logged}");
        assert!(text(&request).contains("\r\nAuthorization: Bearer secret\r\nCookie: session=secret\r\n"));
    }

    #[test]
    fn a_302_to_another_host_or_scheme_has_credentials_and_cookies_stripped() {
        let from = Url::new("ws://a/b").unwrap();
        let request = Request::new(&from).authorization("Bearer one").unwrap();
        let request = request.authorization("Bearer two").unwrap().header("Cookie", "c=d").unwrap();
        let request = request.header("X-Y", "z").unwrap().header("Host", "other").unwrap();
        let redirected = |to| text(&request.clone().redirect(&from, &Url::new(to).unwrap()));
        let same = redirected("http://a:80/c?d");
        assert!(same.starts_with("GET /c?d HTTP/1.1\r\nHost: other\r\n"), "{same}");
        assert!(
            same.contains("Bearer two") && same.contains("Cookie: c=d") && !same.contains("one"),
            "{same}"
        );
        for to in ["wss://a/b", "ws://a:81/b", "ws://c/b"] {
            let other = redirected(to);
            assert!(!other.contains("Authorization") && !other.contains("Cookie"), "{other}");
            assert!(!other.contains("Host: other") && other.contains("X-Y: z"), "{other}");
        }
    }

    #[test]
    fn a_subprotocol_offered_twice_is_an_error() {
        let chat: Subprotocol = "chat".parse().unwrap();
        let twice = plain().subprotocol(chat.clone()).subprotocol(chat.clone());
        assert_eq!(twice.encode(&Key::new([0; 16])), Err(Invalid::SubprotocolTwice(chat)));
    }
}
