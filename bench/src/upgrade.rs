//! The HTTP upgrade as text, for the load generator, the floor, and the peers that take a ready stream.

use base64::{Engine, prelude::BASE64_STANDARD};
use sha1::{Digest, Sha1};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

/// The key and its answer that RFC 6455 (1.3) gives as an example.
pub const SAMPLE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const SAMPLE_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The load generator's request.
pub fn request() -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {SAMPLE_KEY}\r\n\r\n"
    )
}

/// Sends a request, and gives the head of the answer that accepts it. What comes behind the head is left in the stream.
pub fn ask(stream: &mut TcpStream, request: &str) -> io::Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    while head_end(&head).is_none() {
        let mut part = [0; 1024];
        let here = match stream.peek(&mut part) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) => return Err(io::Error::other("the server closed during the upgrade")),
            here => here?,
        };
        let before = head.len();
        head.extend_from_slice(&part[..here]);
        head.truncate(head_end(&head).unwrap_or(head.len()));
        stream.read_exact(&mut part[..head.len() - before])?;
    }
    if !is_accepted(&head) {
        return Err(io::Error::other("the server refused the upgrade"));
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// The answer to a complete request head, or `None` where it asks for no WebSocket.
pub fn response(head: &[u8]) -> Option<String> {
    let key = header(head, "sec-websocket-key")?;
    let accept = BASE64_STANDARD.encode(Sha1::digest(format!("{key}{GUID}")));
    Some(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}

/// Where the head of a request or a response ends, its empty line included.
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Whether a response head accepts `request()`.
fn is_accepted(head: &[u8]) -> bool {
    head.starts_with(b"HTTP/1.1 101") && header(head, "sec-websocket-accept") == Some(SAMPLE_ACCEPT)
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let lines = std::str::from_utf8(head).ok()?.lines();
    let (_, value) =
        lines.filter_map(|line| line.split_once(':')).find(|(n, _)| n.eq_ignore_ascii_case(name))?;
    Some(value.trim())
}

/// RFC 6455, 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_answer_accepts_our_request() {
        let head = request().into_bytes();
        assert_eq!(head_end(&head), Some(head.len()));
        assert!(is_accepted(response(&head).unwrap().as_bytes()));
    }

    #[test]
    fn a_request_without_a_key_has_no_answer() {
        assert_eq!(response(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), None);
    }
}
