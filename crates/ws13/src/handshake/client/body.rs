//! The body of a response that is no 101: bounded, without its chunk framing (RFC 9112, sections 6 and 7).

use crate::handshake::fields;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};

/// The longest line with the length of a chunk, its extensions included.
const LONGEST_CHUNK_LINE: usize = 256;

/// Collects a body out of the same growing buffer. A malformed body never hides the status: what was read so
/// far counts, marked as truncated.
#[derive(Debug)]
pub(super) struct ReadBody {
    framing: Framing,
    /// The first byte of the buffer not read.
    at: usize,
    limit: usize,
    pub(super) body: Vec<u8>,
    pub(super) truncated: bool,
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    Complete,
    /// This many bytes remain.
    Length(u64),
    UntilEnd,
    Chunk(Chunk),
}

/// Where in chunked text the reader stands.
#[derive(Clone, Copy, Debug)]
enum Chunk {
    /// In the line with the length: what it is so far, and how many bytes of the line were read.
    Size { size: u64, read: usize, digits: bool },
    /// This many bytes of data remain.
    Data(u64),
    /// Behind the data: CR LF is due.
    AfterData { cr: bool },
}

const NEW_CHUNK: Chunk = Chunk::Size { size: 0, read: 0, digits: true };

impl ReadBody {
    /// Begins behind the head, which took `at` bytes. Over `limit` bytes the body is cut.
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, at: usize, limit: usize) -> Self {
        ReadBody { framing: framing(status, headers), at, limit, body: Vec::new(), truncated: false }
    }

    /// Reads on; true when the body is complete, or will not be read further.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> bool {
        while let Some(rest) = bytes.get(self.at..).filter(|rest| !rest.is_empty()) {
            match self.framing {
                Framing::Complete => break,
                Framing::Length(remaining) => {
                    let taken = self.take(rest, remaining);
                    self.framing = Framing::Length(remaining - taken);
                }
                Framing::UntilEnd => {
                    self.take(rest, u64::MAX);
                }
                Framing::Chunk(chunk) => self.read_chunk(chunk, rest),
            }
            self.settle();
        }
        self.settle();
        matches!(self.framing, Framing::Complete)
    }

    /// The connection ended: whatever is missing does not come.
    pub(super) fn end(&mut self) {
        if !matches!(self.framing, Framing::Complete | Framing::UntilEnd) {
            self.truncated = true;
        }
        self.framing = Framing::Complete;
    }

    fn settle(&mut self) {
        if let Framing::Length(0) = self.framing {
            self.framing = Framing::Complete;
        }
    }

    /// Takes up to `most` bytes; returns how many. At the limit the body is cut.
    fn take(&mut self, rest: &[u8], most: u64) -> u64 {
        let there = rest.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        let room = self.limit.saturating_sub(self.body.len());
        let taken = there.min(room);
        self.body.extend_from_slice(rest.get(..taken).unwrap_or_default());
        self.at += there;
        if there > room {
            self.give_up();
        }
        there as u64
    }

    fn give_up(&mut self) {
        self.truncated = true;
        self.framing = Framing::Complete;
    }

    fn read_chunk(&mut self, chunk: Chunk, rest: &[u8]) {
        if let Chunk::Data(remaining) = chunk {
            let taken = self.take(rest, remaining);
            if let Framing::Chunk(_) = self.framing {
                let left = remaining - taken;
                let next = if left == 0 { Chunk::AfterData { cr: false } } else { Chunk::Data(left) };
                self.framing = Framing::Chunk(next);
            }
            return;
        }
        let Some(&byte) = rest.first() else { return };
        self.at += 1;
        match chunk_byte(chunk, byte) {
            // The trailers do not matter.
            Some(Chunk::Data(0)) => self.framing = Framing::Complete,
            Some(next) => self.framing = Framing::Chunk(next),
            None => self.give_up(),
        }
    }
}

/// One byte outside the data. `None`: malformed. `Data(0)`: that was the last chunk.
fn chunk_byte(chunk: Chunk, byte: u8) -> Option<Chunk> {
    match chunk {
        Chunk::AfterData { cr: false } => (byte == b'\r').then_some(Chunk::AfterData { cr: true }),
        Chunk::AfterData { cr: true } => (byte == b'\n').then_some(NEW_CHUNK),
        Chunk::Data(remaining) => Some(Chunk::Data(remaining)),
        Chunk::Size { read: LONGEST_CHUNK_LINE.., .. } => None,
        Chunk::Size { read: 0, .. } if !byte.is_ascii_hexdigit() => None,
        Chunk::Size { size, .. } if byte == b'\n' => Some(Chunk::Data(size)),
        Chunk::Size { size, read, digits } => match char::from(byte).to_digit(16).filter(|_| digits) {
            Some(digit) => {
                let size = size.checked_mul(16)?.checked_add(digit.into())?;
                Some(Chunk::Size { size, read: read + 1, digits })
            }
            // Blanks and extensions, up to the end of the line.
            None => Some(Chunk::Size { size, read: read + 1, digits: false }),
        },
    }
}

/// RFC 9112, 6.3, for a response to GET.
fn framing(status: StatusCode, headers: &HeaderMap) -> Framing {
    if status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        return Framing::Complete;
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        let chunked = fields::has_token(headers, &TRANSFER_ENCODING, "chunked");
        return if chunked { Framing::Chunk(NEW_CHUNK) } else { Framing::UntilEnd };
    }
    let length = fields::single(headers, &CONTENT_LENGTH).and_then(|text| std::str::from_utf8(text).ok());
    let length = length.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    length.and_then(|text| text.parse().ok()).map_or(Framing::UntilEnd, Framing::Length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn read(header: (&'static str, &'static str), bytes: &[u8], limit: usize) -> (bool, ReadBody) {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(header.0), HeaderValue::from_static(header.1));
        let mut whole = ReadBody::new(StatusCode::OK, &headers, 0, limit);
        let done = whole.receive(bytes);
        let mut split = ReadBody::new(StatusCode::OK, &headers, 0, limit);
        let mut split_done = false;
        for end in 0..=bytes.len() {
            split_done = split.receive(&bytes[..end]);
        }
        assert_eq!((done, &whole.body, whole.truncated), (split_done, &split.body, split.truncated));
        (done, whole)
    }

    fn chunked(bytes: &[u8]) -> (bool, bool, Vec<u8>) {
        let (done, body) = read(("transfer-encoding", "chunked"), bytes, 100);
        (done, body.truncated, body.body)
    }

    #[test]
    fn content_length_bounds_a_body() {
        for (length, bytes, done, expected) in [
            ("3", &b"abcdef"[..], true, &b"abc"[..]),
            ("3", b"ab", false, b"ab"),
            ("0", b"", true, b""),
            ("+3", b"abcd", false, b"abcd"),
            ("99999999999999999999999", b"ab", false, b"ab"),
            ("18446744073709551615", b"ab", false, b"ab"),
        ] {
            let (is_done, body) = read(("content-length", length), bytes, 100);
            assert_eq!((is_done, &body.body[..], body.truncated), (done, expected, false), "{length}");
        }
    }

    #[test]
    fn chunks_are_joined() {
        assert_eq!(chunked(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"), (true, false, b"abcde".to_vec()));
        assert_eq!(chunked(b"0A \r\n0123456789\r\n000\r\n"), (true, false, b"0123456789".to_vec()));
        assert_eq!(chunked(b"3\r\nab"), (false, false, b"ab".to_vec()));
    }

    #[test]
    fn malformed_chunks_keep_what_was_read() {
        for (bytes, expected) in [
            (&b"3\r\nabcd\r\n0\r\n\r\n"[..], &b"abc"[..]),
            (b"3\r\nabc\rx", b"abc"),
            (b"x\r\n", b""),
            (b"\r\n", b""),
            (b"-1\r\n", b""),
            (b"10000000000000000\r\n", b""),
        ] {
            assert_eq!(chunked(bytes), (true, true, expected.to_vec()), "{bytes:?}");
        }
        assert_eq!(chunked(&[b'0'; 300]), (true, true, vec![]));
        assert_eq!(chunked(b"ffffffffffffffff\r\nab"), (false, false, b"ab".to_vec()));
    }

    #[test]
    fn a_body_over_the_limit_is_cut() {
        let (done, body) = read(("content-length", "1000"), &[b'a'; 1000], 10);
        assert_eq!((done, body.body.len(), body.truncated), (true, 10, true));
        let (done, body) = read(("transfer-encoding", "chunked"), b"10\r\n0123456789abcdef\r\n", 10);
        assert_eq!((done, body.body.len(), body.truncated), (true, 10, true));
        let (done, body) = read(("content-length", "10"), b"0123456789", 10);
        assert_eq!((done, body.body.len(), body.truncated), (true, 10, false));
        let (done, body) = read(("x", "y"), b"0123456789a", 10);
        assert_eq!((done, body.body.len(), body.truncated), (true, 10, true));
    }

    #[test]
    fn the_end_of_the_connection_ends_a_body() {
        for (header, truncated) in [
            (("x", "y"), false),
            (("content-length", "5"), true),
            (("transfer-encoding", "chunked"), true),
            (("transfer-encoding", "gzip"), false),
        ] {
            let (done, mut body) = read(header, b"2\r\na", 100);
            assert!(!done);
            body.end();
            assert_eq!(body.truncated, truncated, "{header:?}");
            assert!(body.receive(b"2\r\nabc"));
        }
    }

    #[test]
    fn some_answers_have_no_body() {
        for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
            assert!(ReadBody::new(status, &HeaderMap::new(), 0, 10).receive(b"abc"));
        }
    }
}
