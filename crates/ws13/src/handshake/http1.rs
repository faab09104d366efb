//! The text codec of HTTP/1.1: heads between bytes and types (RFC 9112). One codec of the handshake among
//! others.

use super::client::Response;
use super::head::{HeadError, HeadLimits, Scanner};
use super::server::Head;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

/// Reads the head of a request while its bytes arrive.
#[derive(Debug)]
pub(super) struct ReadRequestHead {
    pub(super) scanner: Scanner,
}

impl ReadRequestHead {
    pub(super) fn new(limits: HeadLimits) -> Self {
        ReadRequestHead { scanner: Scanner::new(limits) }
    }

    /// `bytes` is the same growing buffer at each call. Returns the head and how many bytes it took.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<Option<(Head, usize)>, HeadError> {
        let Some(found) = self.scanner.scan(bytes)? else { return Ok(None) };
        let head = bytes.get(found.start..found.end).ok_or(HeadError::StartLine)?;
        Ok(Some((parse_request(head, found.headers)?, found.end)))
    }
}

/// Reads the head of a response while its bytes arrive, and nothing of its body. A proxy's answer to CONNECT
/// is read with it, too: there, unlike in a handshake, HTTP/1.0 is fine.
///
/// ```
/// use ws13::handshake::{HeadLimits, http1::ReadResponse};
/// let mut reading = ReadResponse::new(HeadLimits::response());
/// assert!(reading.receive(b"HTTP/1.0 200 Connection est")?.is_none());
/// let all = b"HTTP/1.0 200 Connection established\r\n\r\n\x16\x03";
/// let (response, consumed) = reading.receive(all)?.ok_or("incomplete")?;
/// assert!(response.status.is_success());
/// assert_eq!(&all[consumed..], b"\x16\x03");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ReadResponse {
    scanner: Scanner,
}

impl ReadResponse {
    /// Starts to read. See [`HeadLimits::response`].
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        ReadResponse { scanner: Scanner::new(limits) }
    }

    /// Give it everything received so far, each time: the same buffer, growing. Returns the response without
    /// a body, and how many bytes the head took. Work is linear in the bytes, however few come at a time.
    ///
    /// # Errors
    /// [`HeadError`] as soon as the bytes cannot be a head, or are over a limit.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<(Response, usize)>, HeadError> {
        let Some(found) = self.scanner.scan(bytes)? else { return Ok(None) };
        let head = bytes.get(found.start..found.end).ok_or(HeadError::StartLine)?;
        Ok(Some((parse_response(head, found.headers)?, found.end)))
    }

    /// Goes on to the head that follows: after an interim response (100, 103).
    pub(crate) fn next_head(&mut self) {
        self.scanner.restart();
    }
}

fn parse_request(head: &[u8], headers: usize) -> Result<Head, HeadError> {
    let mut slots = vec![httparse::EMPTY_HEADER; headers];
    let mut parsed = httparse::Request::new(&mut slots);
    let consumed = parsed.parse(head).map_err(|error| translate(&error))?;
    if consumed != httparse::Status::Complete(head.len()) {
        return Err(HeadError::StartLine);
    }
    let method = parsed.method.unwrap_or_default();
    Ok(Head {
        method: Method::from_bytes(method.as_bytes()).map_err(|_| HeadError::StartLine)?,
        target: parsed.path.unwrap_or_default().to_owned(),
        version: version(parsed.version),
        headers: collect(parsed.headers)?,
    })
}

fn parse_response(head: &[u8], headers: usize) -> Result<Response, HeadError> {
    let mut slots = vec![httparse::EMPTY_HEADER; headers];
    let mut parsed = httparse::Response::new(&mut slots);
    let consumed = parsed.parse(head).map_err(|error| translate(&error))?;
    if consumed != httparse::Status::Complete(head.len()) {
        return Err(HeadError::StartLine);
    }
    Ok(Response {
        status: StatusCode::from_u16(parsed.code.unwrap_or_default()).map_err(|_| HeadError::StartLine)?,
        reason: parsed.reason.unwrap_or_default().to_owned(),
        version: version(parsed.version),
        headers: collect(parsed.headers)?,
        body: Vec::new(),
        truncated: false,
    })
}

/// What httparse can still object to: the scanner has checked the lines and the names.
fn translate(error: &httparse::Error) -> HeadError {
    match error {
        httparse::Error::Version => HeadError::Version,
        httparse::Error::HeaderName | httparse::Error::HeaderValue => HeadError::HeaderName,
        _ => HeadError::StartLine,
    }
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 }
}

fn collect(parsed: &[httparse::Header<'_>]) -> Result<HeaderMap, HeadError> {
    let mut headers = HeaderMap::new();
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| HeadError::HeaderName)?;
        let value = HeaderValue::from_bytes(header.value.trim_ascii()).map_err(|_| HeadError::HeaderName)?;
        headers
            .try_append(name, value)
            .map_err(|_| HeadError::TooManyHeaders { limit: parsed.len().saturating_sub(1) })?;
    }
    Ok(headers)
}

/// `HTTP/1.1 200 OK`; the reason may be empty, the blank before it not (RFC 9112, section 4).
pub(super) fn status_line(status: StatusCode) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes()
}

/// `GET /path HTTP/1.1`.
pub(super) fn request_line(path_and_query: &str) -> Vec<u8> {
    format!("GET {path_and_query} HTTP/1.1\r\n").into_bytes()
}

/// One header line. Names are written as people expect them (`Sec-WebSocket-Key`): case does not matter by
/// the RFC, but small devices compare bytes.
pub(super) fn header_line(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for (index, part) in name.as_str().split('-').enumerate() {
        if index > 0 {
            out.push(b'-');
        }
        let at = out.len();
        out.extend_from_slice(if part == "websocket" { "WebSocket" } else { part }.as_bytes());
        if let Some(first) = out.get_mut(at) {
            first.make_ascii_uppercase();
        }
    }
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{HOST, SEC_WEBSOCKET_ACCEPT, SET_COOKIE};

    fn request(text: &[u8]) -> Result<Option<(Head, usize)>, HeadError> {
        ReadRequestHead::new(HeadLimits::default()).receive(text)
    }

    fn response(text: &str) -> Result<Response, HeadError> {
        ReadResponse::new(HeadLimits::response()).receive(text.as_bytes()).map(|found| found.unwrap().0)
    }

    #[test]
    fn no_space_or_several_blanks_and_tabs_around_a_value_and_names_in_any_case() {
        let (head, _) =
            request(b"GET / HTTP/1.1\r\nhOsT:a\r\nX: \t b c \t \r\nEmpty:\r\n\r\n").unwrap().unwrap();
        assert_eq!(head.headers.get(HOST).unwrap(), "a");
        assert_eq!(head.headers.get("x").unwrap(), "b c");
        assert_eq!(head.headers.get("empty").unwrap(), "");
    }

    #[test]
    fn empty_lines_ahead_of_a_request_are_skipped() {
        let text = b"\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n";
        let (head, consumed) = request(text).unwrap().unwrap();
        assert_eq!((head.target.as_str(), consumed), ("/x", text.len()));
    }

    #[test]
    fn request_lines_that_are_none() {
        for line in [
            "GET",
            "GET /",
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET / HTTP/1.1 x",
            "GET\t/ HTTP/1.1",
            " GET / HTTP/1.1",
            "G(T / HTTP/1.1",
            "GET / b HTTP/1.1",
            "",
        ] {
            let error = request(format!("{line}\r\nHost: a\r\n\r\n").as_bytes()).unwrap_err();
            assert!(matches!(error, HeadError::StartLine | HeadError::Version), "{line:?}: {error:?}");
        }
        assert_eq!(request(b"GET / HTTP/2.0\r\n\r\n").unwrap_err(), HeadError::Version);
        assert_eq!(request(b"GET /\xff HTTP/1.1\r\n\r\n").unwrap_err(), HeadError::StartLine);
    }

    #[test]
    fn a_101_with_another_reason_an_empty_one_or_none_even_without_the_trailing_blank() {
        for (line, reason) in [
            ("HTTP/1.1 101 Switching Protocols", "Switching Protocols"),
            ("HTTP/1.1 101 Web Socket Protocol Handshake", "Web Socket Protocol Handshake"),
            ("HTTP/1.1 101 ", ""),
            ("HTTP/1.1 101", ""),
        ] {
            let found = response(&format!("{line}\r\nA: b\r\n\r\n")).unwrap();
            assert_eq!((found.status.as_u16(), found.reason.as_str()), (101, reason));
        }
        for line in ["HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 10", "HTTP/1.1 1010", "HTTP/1.1 099 x", "ICY 200 OK"]
        {
            assert!(response(&format!("{line}\r\n\r\n")).is_err(), "{line}");
        }
    }

    #[test]
    fn header_names_are_written_as_people_expect() {
        let mut out = Vec::new();
        header_line(&mut out, &SEC_WEBSOCKET_ACCEPT, b"x");
        header_line(&mut out, &SET_COOKIE, b"a=b");
        header_line(&mut out, &HeaderName::from_static("x--y"), b"");
        assert_eq!(out, b"Sec-WebSocket-Accept: x\r\nSet-Cookie: a=b\r\nX--Y: \r\n");
    }
}
