//! What a client asks of a server, whatever HTTP version carried it.

use super::authority::Authority;
use super::fields;
use super::proxies::ConnectInfo;
use super::reply::Reject;
use super::server::Head;
use super::subprotocol::Subprotocol;
use crate::extension;
use core::net::SocketAddr;
use http::header::{HOST, ORIGIN, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, Method, Version};

/// How many subprotocols a client may offer; more are refused with 400.
const MOST_SUBPROTOCOLS: usize = 128;

/// A request that was read and checked.
///
/// ```
/// use ws13::handshake::server::{Options, ReadRequest, Received};
/// let text = b"GET /room/9?name=a%20b HTTP/1.1\r\nHost: example.com\r\nCookie: a=b\r\n\r\n";
/// let Ok(Some((Received::Plain(request), _))) = ReadRequest::new(Options::default()).receive(text) else {
///     return Err("not complete");
/// };
/// assert_eq!((request.path(), request.query()), ("/room/9", Some("name=a%20b")));
/// assert_eq!(request.header("cookie"), Some("a=b"));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    version: Version,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    host: Option<Authority>,
    origin: Option<String>,
    subprotocols: Vec<Subprotocol>,
    extensions: Option<String>,
    connect_info: ConnectInfo,
}

impl Request {
    /// The method; GET for a WebSocket handshake.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The HTTP version that carried the request.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The path as it was sent: it begins with `/`, is ASCII, and still percent-encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What follows the first `?`, as it was sent; `None` without one.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// All headers, as they were sent.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The first value of a header; `None` when it is absent, or not printable ASCII (then see
    /// [`headers`](Request::headers)).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The host the client wants: that of the request target where it has one, else of the Host header
    /// (RFC 9112, section 3.2.2); before both what a trusted proxy told. Never `None` for HTTP/1.1, unless a missing
    /// Host is accepted.
    #[must_use]
    pub fn host(&self) -> Option<&Authority> {
        self.connect_info.forwarded_host().or(self.host.as_ref())
    }

    /// Where the request came from: addresses, TLS. Empty where nobody filled it in.
    #[must_use]
    pub fn connect_info(&self) -> &ConnectInfo {
        &self.connect_info
    }

    /// The client's address: that of the socket, or what trusted proxies told (its port is 0 where they tell none).
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.connect_info.client()
    }

    /// Says where the request came from, for those who have read it from a stream of their own.
    pub fn set_connect_info(&mut self, info: ConnectInfo) {
        self.connect_info = info;
    }

    /// The Origin header: browsers send it always, other clients seldom (RFC 6455, section 10.2).
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// The subprotocols the client offers, in its order of preference. Empty for a plain request.
    #[must_use]
    pub fn subprotocols(&self) -> &[Subprotocol] {
        &self.subprotocols
    }

    /// The values of all `Sec-WebSocket-Extensions` headers, joined by commas, well-formed by RFC 6455,
    /// section 9.1. `None` for a plain request.
    #[must_use]
    pub fn extensions(&self) -> Option<&str> {
        self.extensions.as_deref()
    }

    /// Checks what holds for each request, WebSocket or not.
    pub(super) fn from_head(head: Head, accept_missing_host: bool) -> Result<Self, Reject> {
        let Head { method, target, version, headers } = head;
        let target = Target::parse(&target).map_err(Reject::bad_request)?;
        let own_host = read_host(&headers, version, accept_missing_host)?;
        Ok(Request {
            origin: read_origin(&headers)?,
            method,
            version,
            path: target.path.to_owned(),
            query: target.query.map(str::to_owned),
            headers,
            host: target.authority.or(own_host),
            subprotocols: Vec::new(),
            extensions: None,
            connect_info: ConnectInfo::default(),
        })
    }

    /// Reads what only a handshake has.
    pub(super) fn read_offers(&mut self) -> Result<(), Reject> {
        self.subprotocols = read_subprotocols(&self.headers)?;
        self.extensions = read_extensions(&self.headers)?;
        Ok(())
    }
}

/// A request target (RFC 9112, section 3.2) in origin form or in absolute form.
struct Target<'a> {
    authority: Option<Authority>,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Target<'a> {
    fn parse(target: &'a str) -> Result<Self, &'static str> {
        // RFC 6455, 3: "Fragment identifiers are meaningless in the context of WebSocket URIs".
        if target.contains('#') {
            return Err("the request target has a fragment: leave '#' and what follows out, or write %23");
        }
        if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the request target is not printable ASCII: percent-encode it");
        }
        if target.starts_with('/') {
            return Ok(Target::split(None, target));
        }
        let wrong = "the request target must begin with '/', or be a whole http: or ws: URL";
        let (scheme, rest) = target.split_once("://").ok_or(wrong)?;
        if !["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(wrong);
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = Authority::new(authority).map_err(|_| "the request target has an invalid host")?;
        Ok(Target::split(Some(authority), path))
    }

    fn split(authority: Option<Authority>, path_and_query: &'a str) -> Self {
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        Target { authority, path: if path.is_empty() { "/" } else { path }, query }
    }
}

/// RFC 9112, 3.2: a server MUST answer 400 to an HTTP/1.1 request that lacks a Host, has more than one, or an
/// invalid one.
fn read_host(headers: &HeaderMap, version: Version, missing: bool) -> Result<Option<Authority>, Reject> {
    if !headers.contains_key(HOST) {
        return if missing || version != Version::HTTP_11 {
            Ok(None)
        } else {
            Err(Reject::bad_request("the Host header is missing: send it once, as 'Host: name:port'"))
        };
    }
    let value = fields::single(headers, &HOST);
    let value = value.ok_or_else(|| Reject::bad_request("there are several Host headers: send one"))?;
    let host = std::str::from_utf8(value).ok().and_then(|value| Authority::new(value).ok());
    host.map(Some).ok_or_else(|| Reject::bad_request("the Host header is invalid: send 'Host: name:port'"))
}

/// An Origin that is there twice or unreadable must not count as absent: absent is allowed.
fn read_origin(headers: &HeaderMap) -> Result<Option<String>, Reject> {
    if !headers.contains_key(ORIGIN) {
        return Ok(None);
    }
    let value = fields::single(headers, &ORIGIN);
    let value = value.ok_or_else(|| Reject::bad_request("there are several Origin headers: send one"))?;
    let value = std::str::from_utf8(value).ok().filter(|value| value.is_ascii());
    let value = value.ok_or_else(|| Reject::bad_request("the Origin header is not ASCII: use punycode"))?;
    Ok(Some(value.to_owned()))
}

fn read_subprotocols(headers: &HeaderMap) -> Result<Vec<Subprotocol>, Reject> {
    let wrong = || {
        Reject::bad_request(
            "Sec-WebSocket-Protocol is no list of names: send tokens with commas between them",
        )
    };
    let joined = fields::joined(headers, &SEC_WEBSOCKET_PROTOCOL).map_err(|_| wrong())?;
    let joined = joined.unwrap_or_default();
    if fields::items(&joined).nth(MOST_SUBPROTOCOLS).is_some() {
        let limit = format!("more than {MOST_SUBPROTOCOLS} subprotocols are offered: offer fewer");
        return Err(Reject::bad_request(limit));
    }
    fields::items(&joined).map(|name| Subprotocol::new(name).map_err(|_| wrong())).collect()
}

fn read_extensions(headers: &HeaderMap) -> Result<Option<String>, Reject> {
    let wrong = || {
        Reject::bad_request(
            "Sec-WebSocket-Extensions is malformed: write it as 'name; parameter=value, name'",
        )
    };
    let joined = fields::joined(headers, &SEC_WEBSOCKET_EXTENSIONS).map_err(|_| wrong())?;
    if let Some(value) = &joined {
        extension::parse(value).map_err(|_| wrong())?;
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn request(target: &str, headers: &[(&'static str, &'static str)]) -> Result<Request, Reject> {
        versioned(target, headers, Version::HTTP_11, false)
    }

    fn versioned(
        target: &str,
        headers: &[(&'static str, &'static str)],
        version: Version,
        missing: bool,
    ) -> Result<Request, Reject> {
        let mut map = HeaderMap::new();
        for &(name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let head = Head { method: Method::GET, target: target.to_owned(), version, headers: map };
        Request::from_head(head, missing)
    }

    #[test]
    fn targets_are_split_into_path_and_query() {
        for (target, path, query, host) in [
            ("/", "/", None, "own"),
            ("/a/b?c=d?e", "/a/b", Some("c=d?e"), "own"),
            ("/a?", "/a", Some(""), "own"),
            ("//a", "//a", None, "own"),
            ("/::", "/::", None, "own"),
            ("/%zz?q=100%|{}", "/%zz", Some("q=100%|{}"), "own"),
            ("http://Other:81/p?q", "/p", Some("q"), "other:81"),
            ("WSS://other", "/", None, "other"),
            ("ws://other?q", "/", Some("q"), "other"),
        ] {
            let request = request(target, &[("host", "own")]).unwrap();
            assert_eq!((request.path(), request.query()), (path, query), "{target}");
            assert_eq!(request.host().unwrap().as_str(), host, "{target}");
        }
    }

    #[test]
    fn request_target_colons_fragment_or_not_utf8_is_400() {
        for target in [
            "::",
            "#frag",
            "/a#frag",
            "*",
            "example.com:443",
            "a/b",
            "",
            "?q",
            "http:/a",
            "http://",
            "http:///a",
            "http://user@host/",
            "ftp://a/",
            "/a b",
            "/ä",
            "/\0",
            "://a/",
        ] {
            let error = request(target, &[("host", "own")]).unwrap_err();
            assert_eq!(error.status().as_u16(), 400, "{target:?}");
        }
    }

    #[test]
    fn missing_host_in_http_1_1_is_400_unless_switched() {
        let missing = request("/", &[]).unwrap_err();
        assert_eq!(missing.status().as_u16(), 400);
        assert!(missing.to_string().contains("Host header is missing"));
        assert!(versioned("/", &[], Version::HTTP_11, true).unwrap().host().is_none());
        assert!(versioned("/", &[], Version::HTTP_10, false).unwrap().host().is_none());
    }

    #[test]
    fn two_hosts_or_an_invalid_one_are_400_even_when_switched() {
        for headers in [
            &[("host", "a"), ("host", "a")][..],
            &[("host", "")],
            &[("host", "a b")],
            &[("host", "a, b")],
            &[("host", "a@b")],
            &[("host", "a:99999")],
            &[("host", "ä")],
        ] {
            for missing in [false, true] {
                let error = versioned("/", headers, Version::HTTP_11, missing).unwrap_err();
                assert_eq!(error.status().as_u16(), 400, "{headers:?}");
            }
        }
    }

    #[test]
    fn two_origins_or_an_unreadable_one_never_count_as_absent() {
        for headers in [
            &[("host", "a"), ("origin", "http://a"), ("origin", "http://b")][..],
            &[("host", "a"), ("origin", "ä")],
        ] {
            assert_eq!(request("/", headers).unwrap_err().status().as_u16(), 400);
        }
        assert_eq!(request("/", &[("host", "a"), ("origin", "")]).unwrap().origin(), Some(""));
        assert_eq!(request("/", &[("host", "a")]).unwrap().origin(), None);
    }

    #[test]
    fn offers_are_read_from_all_lines() {
        let headers = [
            ("host", "a"),
            ("sec-websocket-protocol", "chat, superchat"),
            ("sec-websocket-protocol", "mqtt,"),
            ("sec-websocket-extensions", "a; b=\"1\""),
            ("sec-websocket-extensions", "c"),
        ];
        let mut request = request("/", &headers).unwrap();
        request.read_offers().unwrap();
        assert_eq!(request.subprotocols(), ["chat", "superchat", "mqtt"]);
        assert_eq!(request.extensions(), Some("a; b=\"1\", c"));
    }

    #[test]
    fn empty_protocol_or_extensions_headers_are_read_as_absent() {
        let headers = [("host", "a"), ("sec-websocket-protocol", ""), ("sec-websocket-extensions", " ")];
        let mut request = request("/", &headers).unwrap();
        request.read_offers().unwrap();
        assert!(request.subprotocols().is_empty());
        assert_eq!(request.extensions(), None);
    }

    #[test]
    fn malformed_offers_are_400() {
        for header in [
            ("sec-websocket-protocol", "two words"),
            ("sec-websocket-protocol", "ä"),
            ("sec-websocket-extensions", "a;"),
            ("sec-websocket-extensions", "a; b=\""),
        ] {
            let mut request = request("/", &[("host", "a"), header]).unwrap();
            assert_eq!(request.read_offers().unwrap_err().status().as_u16(), 400, "{header:?}");
        }
    }

    #[test]
    fn more_than_128_subprotocols_are_400() {
        let mut map = HeaderMap::new();
        map.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(&"a,".repeat(128)).unwrap());
        assert_eq!(read_subprotocols(&map).unwrap().len(), 128);
        map.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("a"));
        assert_eq!(read_subprotocols(&map).unwrap_err().status().as_u16(), 400);
    }
}
