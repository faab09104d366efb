//! A final HTTP answer: to refuse a handshake, or to answer a plain request.

use super::error::{Invalid, check_header, check_value};
use super::http1;
use super::request::Request;
use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use std::fmt;

/// A final HTTP/1.1 answer with its whole body. The connection ends after it.
///
/// `Content-Length` and `Connection: close` are written by [`encode`](Reply::encode).
///
/// ```
/// use ws13::handshake::Reply;
/// use http::StatusCode;
/// let reply = Reply::text(StatusCode::NOT_FOUND, "no such room").header("X-Room", "9")?;
/// let text = String::from_utf8(reply.encode())?;
/// assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n"));
/// assert!(text.ends_with("\r\n\r\nno such room\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

/// A [`Reply`] that refuses a handshake.
pub type Reject = Reply;

impl Reply {
    /// An answer without a body.
    ///
    /// An informational status (1xx) is no final answer: it is replaced by 500. To say 101, accept the
    /// handshake.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        let status = if status.is_informational() { StatusCode::INTERNAL_SERVER_ERROR } else { status };
        Reply { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// An answer with a text for people; a line end is added.
    #[must_use]
    pub fn text(status: StatusCode, text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        text.push('\n');
        let mut reply = Reply::new(status);
        reply.body = text.into();
        reply.with(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))
    }

    /// Adds a header. A name may be added more than once (`Set-Cookie`).
    ///
    /// # Errors
    /// [`Invalid`] for what is no header, for a value that is not printable ASCII, and for the headers that
    /// [`encode`](Reply::encode) writes itself.
    pub fn header(self, name: &str, value: &str) -> Result<Self, Invalid> {
        let (name, value) = check_header(name, value)?;
        Ok(self.with(name, value))
    }

    /// Sets the body and its `Content-Type`.
    ///
    /// # Errors
    /// [`Invalid::HeaderValue`] when the content type is not printable ASCII.
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Result<Self, Invalid> {
        let content_type = check_value(&CONTENT_TYPE, content_type)?;
        self.headers.retain(|(name, _)| name != CONTENT_TYPE);
        self.body = body.into();
        Ok(self.with(CONTENT_TYPE, content_type))
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The first value of a header of this answer.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.as_str().eq_ignore_ascii_case(name))?;
        found.1.to_str().ok()
    }

    /// The HTTP/1.1 text, with the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.encode_head();
        if self.may_have_body() {
            out.extend_from_slice(&self.body);
        }
        out
    }

    /// The HTTP/1.1 text as this request wants it: without the body for HEAD (RFC 9110, 9.3.2).
    #[must_use]
    pub fn encode_for(&self, request: &Request) -> Vec<u8> {
        if request.method() == Method::HEAD { self.encode_head() } else { self.encode() }
    }

    fn encode_head(&self) -> Vec<u8> {
        let mut out = http1::status_line(self.status);
        for (name, value) in &self.headers {
            http1::header_line(&mut out, name, value.as_bytes());
        }
        // RFC 9110, 7.8: a sender of Upgrade MUST also send the "Upgrade" connection option.
        let upgrade = self.headers.iter().any(|(name, _)| name == UPGRADE);
        out.extend_from_slice(if upgrade {
            b"Connection: close, Upgrade\r\n"
        } else {
            b"Connection: close\r\n"
        });
        if self.may_have_body() {
            out.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    /// RFC 9110, 15.3.5 and 15.4.5.
    fn may_have_body(&self) -> bool {
        self.status != StatusCode::NO_CONTENT && self.status != StatusCode::NOT_MODIFIED
    }

    /// A header that is known to be right.
    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// For another HTTP stack to write: it adds `Content-Length` itself. `Connection` names `Upgrade` where that header
/// stands, and does not say `close`.
impl From<Reply> for http::Response<Bytes> {
    fn from(reply: Reply) -> Self {
        let upgrade = reply.headers.iter().any(|(name, _)| name == UPGRADE);
        let mut response = http::Response::new(reply.body);
        *response.status_mut() = reply.status;
        if upgrade {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        }
        for (name, value) in reply.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

/// The refusals a server of WebSockets needs.
impl Reply {
    /// 400: the request is wrong; the reason says how to put it right.
    #[must_use]
    pub fn bad_request(reason: impl Into<String>) -> Self {
        Reply::text(StatusCode::BAD_REQUEST, reason)
    }

    /// 403: the request is understood and not allowed, as for a foreign Origin (RFC 6455, 4.2.2).
    #[must_use]
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Reply::text(StatusCode::FORBIDDEN, reason)
    }

    /// 404: nothing is served at this path.
    #[must_use]
    pub fn not_found() -> Self {
        Reply::text(StatusCode::NOT_FOUND, "nothing is served at this path")
    }

    /// 405 with `Allow: GET`: a handshake is a GET (RFC 6455, 4.1).
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Reply::text(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket handshake is a GET request: use GET")
            .with(ALLOW, HeaderValue::from_static("GET"))
    }

    /// 408: the handshake did not come in time.
    #[must_use]
    pub fn request_timeout() -> Self {
        Reply::text(StatusCode::REQUEST_TIMEOUT, "the handshake was not complete in time: connect again")
    }

    /// 426 with `Sec-WebSocket-Version: 13` (RFC 6455, 4.2.2 and 4.4) and `Upgrade: websocket`: for another
    /// version, and for a plain request where only WebSockets are served.
    #[must_use]
    pub fn upgrade_required() -> Self {
        let reason = "this is a WebSocket endpoint: connect with a WebSocket client, version 13";
        Reply::text(StatusCode::UPGRADE_REQUIRED, reason)
            .with(UPGRADE, HeaderValue::from_static("websocket"))
            .with(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
    }

    /// 431: the head of the request is over a limit (RFC 6585, section 5).
    #[must_use]
    pub fn head_too_large(reason: impl Into<String>) -> Self {
        Reply::text(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, reason)
    }

    /// 500: the server failed.
    #[must_use]
    pub fn internal_error() -> Self {
        Reply::text(StatusCode::INTERNAL_SERVER_ERROR, "the server failed: try again later")
    }

    /// 503 with `Retry-After: 5`: too many connections, or the server is about to stop.
    #[must_use]
    pub fn unavailable() -> Self {
        Reply::text(StatusCode::SERVICE_UNAVAILABLE, "the server takes no more connections: try again later")
            .with(RETRY_AFTER, HeaderValue::from_static("5"))
    }

    /// 505: another version of HTTP than 1.1.
    #[must_use]
    pub fn version_not_supported(reason: impl Into<String>) -> Self {
        Reply::text(StatusCode::HTTP_VERSION_NOT_SUPPORTED, reason)
    }
}

/// The status, and the first line of the body: for logs.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        match std::str::from_utf8(&self.body).ok().and_then(|body| body.lines().next()) {
            Some(line) => write!(f, ": {line}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(reply: &Reply) -> String {
        String::from_utf8(reply.encode()).unwrap()
    }

    #[test]
    fn a_reply_has_its_length_and_closes() {
        let reply = Reply::new(StatusCode::OK).header("X-A", "b").unwrap().body("text/html", "<p>").unwrap();
        assert_eq!(
            text(&reply),
            "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Type: text/html\r\n\
             Connection: close\r\nContent-Length: 3\r\n\r\n<p>"
        );
        assert_eq!(
            text(&Reply::new(StatusCode::NO_CONTENT)),
            "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
        );
        let replaced = Reply::text(StatusCode::OK, "a").body("text/html", "b").unwrap();
        assert_eq!(replaced.get("content-type"), Some("text/html"));
    }

    #[test]
    fn each_refusal_says_what_was_wrong() {
        for (reply, status) in [
            (Reply::bad_request("x"), 400),
            (Reply::forbidden("x"), 403),
            (Reply::not_found(), 404),
            (Reply::method_not_allowed(), 405),
            (Reply::request_timeout(), 408),
            (Reply::upgrade_required(), 426),
            (Reply::head_too_large("x"), 431),
            (Reply::internal_error(), 500),
            (Reply::unavailable(), 503),
            (Reply::version_not_supported("x"), 505),
        ] {
            assert_eq!(reply.status().as_u16(), status);
            assert!(text(&reply).starts_with(&format!("HTTP/1.1 {status} ")));
            assert!(!reply.body.is_empty());
            assert!(reply.to_string().starts_with(&format!("{status} ")), "{reply}");
        }
        assert!(text(&Reply::method_not_allowed()).contains("\r\nAllow: GET\r\n"));
        let required = text(&Reply::upgrade_required());
        assert!(required.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{required}");
        assert!(required.contains("\r\nUpgrade: websocket\r\nSec"), "{required}");
        assert!(required.contains("\r\nConnection: close, Upgrade\r\n"), "{required}");
    }

    #[test]
    fn another_http_stack_gets_the_same_headers() {
        let response = http::Response::from(Reply::upgrade_required().header("X-A", "b").unwrap());
        assert_eq!(response.status(), StatusCode::UPGRADE_REQUIRED);
        for (name, value) in [
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-version", "13"),
            ("x-a", "b"),
        ] {
            assert_eq!(response.headers()[name], value);
        }
        assert!(response.body().ends_with(b"version 13\n"));
        assert!(!http::Response::from(Reply::not_found()).headers().contains_key("connection"));
    }

    #[test]
    fn cr_lf_nul_in_a_reply_header_is_an_error() {
        let reply = || Reply::new(StatusCode::OK);
        assert!(reply().header("X-A", "b\r\nX-B: c").is_err());
        assert!(reply().header("Content-Length", "7").is_err());
        assert!(reply().body("text/html\r\nX: y", "").is_err());
    }

    #[test]
    fn an_informational_status_is_no_final_answer() {
        assert_eq!(Reply::new(StatusCode::SWITCHING_PROTOCOLS).status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
