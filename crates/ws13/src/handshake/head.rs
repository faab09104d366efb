//! Finding the end of an HTTP/1.1 head, strictly, in linear work, while its bytes arrive.

use crate::extension::is_token_byte;
use std::fmt;

/// The limits on the head of a request or of a response.
///
/// They are checked as the bytes arrive, so that a peer cannot make us keep more than `head` bytes.
///
/// ```
/// use ws13::handshake::HeadLimits;
/// let limits = HeadLimits { headers: 20, ..HeadLimits::default() };
/// assert_eq!(limits.head, 16 * 1024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, its closing empty line included. Default: 16 KiB.
    pub head: usize,
    /// Number of header lines. Default: 100.
    pub headers: usize,
    /// Bytes of one line, its line end not included. Default: 8 KiB.
    pub line: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        HeadLimits { head: 16 * 1024, headers: 100, line: 8 * 1024 }
    }
}

impl HeadLimits {
    /// What a client allows in a response: as the default, but one line may fill the head.
    #[must_use]
    pub fn response() -> Self {
        HeadLimits { line: 16 * 1024, ..HeadLimits::default() }
    }
}

/// Why bytes are not the head of an HTTP/1.1 message we accept (RFC 9112, sections 2 to 5).
///
/// Stricter than HTTP parsers have to be: whatever two parsers could read in two ways is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// The head is longer than [`HeadLimits::head`].
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The first line (request line or status line) is longer than [`HeadLimits::line`].
    StartLineTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// A header line is longer than [`HeadLimits::line`].
    HeaderTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// There are more header lines than [`HeadLimits::headers`].
    TooManyHeaders {
        /// The limit in lines.
        limit: usize,
    },
    /// A line feed without the carriage return before it.
    BareLineFeed,
    /// A carriage return without the line feed after it.
    BareCarriageReturn,
    /// A control character, NUL included.
    ControlCharacter(u8),
    /// A header line that begins with a blank: a continued line (obs-fold).
    FoldedHeader,
    /// A header name that is empty, has a blank before its colon, or is not a token.
    HeaderName,
    /// The first line is no request line or status line.
    StartLine,
    /// The first line names a version of HTTP other than 1.0 and 1.1.
    Version,
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeadError::TooLong { limit } => {
                write!(f, "the HTTP head is longer than {limit} bytes: send fewer or shorter headers")
            }
            HeadError::StartLineTooLong { limit } => {
                write!(f, "the first line is longer than {limit} bytes: use a shorter request target")
            }
            HeadError::HeaderTooLong { limit } => {
                write!(f, "a header line is longer than {limit} bytes: send shorter headers")
            }
            HeadError::TooManyHeaders { limit } => {
                write!(f, "there are more than {limit} header lines: send fewer headers")
            }
            HeadError::BareLineFeed => f.write_str("a line ends in LF alone: end each line with CR LF"),
            HeadError::BareCarriageReturn => f.write_str("a CR stands without LF: end each line with CR LF"),
            HeadError::ControlCharacter(byte) => {
                write!(
                    f,
                    "the HTTP head has the control character 0x{byte:02X}: is this plain HTTP/1.1 text?"
                )
            }
            HeadError::FoldedHeader => {
                f.write_str("a header line begins with a blank: send each header on one line")
            }
            HeadError::HeaderName => {
                f.write_str("a header line has no valid name before its colon: write it as 'Name: value'")
            }
            HeadError::StartLine => f.write_str("the first line is not that of an HTTP/1.1 message"),
            HeadError::Version => f.write_str("the HTTP version is not supported: use HTTP/1.1"),
        }
    }
}

impl core::error::Error for HeadError {}

/// Walks once over each byte of a head. It is given the same growing buffer again and again and remembers how
/// far it came.
#[derive(Debug)]
pub(super) struct Scanner {
    limits: HeadLimits,
    /// Where the current head begins.
    start: usize,
    /// The first byte not looked at.
    at: usize,
    line_start: usize,
    /// Lines that ended, the first line included, in the current head.
    lines: usize,
    place: Place,
    end: Option<usize>,
    /// Bytes looked at in all: the tests hold it to be linear.
    #[cfg(test)]
    pub(super) looked_at: usize,
}

/// Where in a line the scanner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    Name,
    /// Behind the colon of a header, or in the first line.
    Text,
    AfterCarriageReturn,
}

/// A complete head within the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadAt {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) headers: usize,
}

impl Scanner {
    pub(super) fn new(limits: HeadLimits) -> Self {
        Scanner {
            limits,
            start: 0,
            at: 0,
            line_start: 0,
            lines: 0,
            place: Place::Start,
            end: None,
            #[cfg(test)]
            looked_at: 0,
        }
    }

    /// Looks at the bytes that are new; `None` while the head is not complete. An error repeats itself.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<HeadAt>, HeadError> {
        while self.end.is_none() {
            let Some(&byte) = bytes.get(self.at) else { return Ok(None) };
            #[cfg(test)]
            {
                self.looked_at += 1;
            }
            self.step(byte)?;
            self.at += 1;
        }
        let headers = self.lines.saturating_sub(1);
        Ok(self.end.map(|end| HeadAt { start: self.start, end, headers }))
    }

    /// Begins the next head behind the one found. The limit on the length stays that of all heads together.
    pub(super) fn restart(&mut self) {
        self.start = self.at;
        self.line_start = self.at;
        self.lines = 0;
        self.end = None;
    }

    fn step(&mut self, byte: u8) -> Result<(), HeadError> {
        if self.at >= self.limits.head {
            return Err(HeadError::TooLong { limit: self.limits.head });
        }
        match (self.place, byte) {
            (Place::AfterCarriageReturn, b'\n') => self.line_ended(),
            (Place::AfterCarriageReturn, _) => return Err(HeadError::BareCarriageReturn),
            (_, b'\n') => return Err(HeadError::BareLineFeed),
            (Place::Name, b'\r') => return Err(HeadError::HeaderName),
            (_, b'\r') => self.place = Place::AfterCarriageReturn,
            (_, 0..=8 | 11..=31 | 127) => return Err(HeadError::ControlCharacter(byte)),
            (Place::Start, _) => self.line_begins(byte)?,
            (Place::Name, _) => self.place = in_name(byte)?,
            (Place::Text, _) => {}
        }
        self.check_line(byte)
    }

    fn line_begins(&mut self, byte: u8) -> Result<(), HeadError> {
        if self.lines == 0 {
            self.place = Place::Text;
            return Ok(());
        }
        // RFC 9112, 5.2: a server MUST reject obs-fold, or replace it. There is no safe way to replace it.
        if byte == b' ' || byte == b'\t' {
            return Err(HeadError::FoldedHeader);
        }
        if self.lines > self.limits.headers {
            return Err(HeadError::TooManyHeaders { limit: self.limits.headers });
        }
        if byte == b':' {
            return Err(HeadError::HeaderName);
        }
        self.place = in_name(byte)?;
        Ok(())
    }

    fn line_ended(&mut self) {
        let next = self.at + 1;
        let empty = next - self.line_start == 2;
        if !empty {
            self.lines += 1;
        } else if self.lines > 0 {
            self.end = Some(next);
        }
        // RFC 9112, 2.2: an empty line ahead of the first line SHOULD be ignored; the head limit bounds them.
        self.line_start = next;
        self.place = Place::Start;
    }

    fn check_line(&self, byte: u8) -> Result<(), HeadError> {
        let limit = self.limits.line;
        if matches!(byte, b'\r' | b'\n') || self.at - self.line_start < limit {
            Ok(())
        } else if self.lines == 0 {
            Err(HeadError::StartLineTooLong { limit })
        } else {
            Err(HeadError::HeaderTooLong { limit })
        }
    }
}

/// RFC 9112, 5.1: "No whitespace is allowed between the field name and colon."
fn in_name(byte: u8) -> Result<Place, HeadError> {
    match byte {
        b':' => Ok(Place::Text),
        _ if is_token_byte(byte) => Ok(Place::Name),
        _ => Err(HeadError::HeaderName),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8]) -> Result<Option<HeadAt>, HeadError> {
        Scanner::new(HeadLimits::default()).scan(bytes)
    }

    #[test]
    fn finds_the_end_and_leaves_what_follows() {
        let found = scan(b"GET / HTTP/1.1\r\nHost: a\r\nA:\r\n\r\nearly").unwrap().unwrap();
        assert_eq!(found, HeadAt { start: 0, end: 31, headers: 2 });
        assert_eq!(scan(b"GET / HTTP/1.1\r\n\r\n").unwrap().unwrap().headers, 0);
        assert_eq!(scan(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n").unwrap().unwrap().end, 22);
    }

    #[test]
    fn header_names_blank_before_the_colon_fold_bare_lf_or_cr_and_nul_are_rejected() {
        let head = |line: &str| scan(format!("GET / HTTP/1.1\r\n{line}").as_bytes()).unwrap_err();
        assert_eq!(head("Host : a\r\n\r\n"), HeadError::HeaderName);
        assert_eq!(head("Host\t: a\r\n\r\n"), HeadError::HeaderName);
        assert_eq!(head(": a\r\n\r\n"), HeadError::HeaderName);
        assert_eq!(head("no colon\r\n\r\n"), HeadError::HeaderName);
        assert_eq!(head("nocolon\r\n\r\n"), HeadError::HeaderName);
        assert_eq!(head("A: b\r\n c\r\n\r\n"), HeadError::FoldedHeader);
        assert_eq!(head("A: b\r\n\tc\r\n\r\n"), HeadError::FoldedHeader);
        assert_eq!(head(" A: b\r\n\r\n"), HeadError::FoldedHeader);
        assert_eq!(head("A: b\nC: d\r\n\r\n"), HeadError::BareLineFeed);
        assert_eq!(head("A: b\r\n\n"), HeadError::BareLineFeed);
        assert_eq!(head("A: b\rC: d\r\n\r\n"), HeadError::BareCarriageReturn);
        assert_eq!(head("A: b\r\r\n\r\n"), HeadError::BareCarriageReturn);
        assert_eq!(head("A: b\0\r\n\r\n"), HeadError::ControlCharacter(0));
        assert_eq!(head("A\0: b\r\n\r\n"), HeadError::ControlCharacter(0));
        assert_eq!(head("A: \u{7f}\r\n\r\n"), HeadError::ControlCharacter(127));
        assert_eq!(scan(b"\x16\x03\x01").unwrap_err(), HeadError::ControlCharacter(0x16));
    }

    #[test]
    fn limits_hold_to_the_byte_and_fail_before_the_end_is_there() {
        let limits = HeadLimits { head: 60, headers: 2, line: 20 };
        let scan = |text: String| Scanner::new(limits).scan(text.as_bytes());
        assert!(scan(format!("{}\r\n\r\n", "a".repeat(20))).unwrap().is_some());
        assert_eq!(scan("a".repeat(21)).unwrap_err(), HeadError::StartLineTooLong { limit: 20 });
        assert!(scan(format!("x\r\nA:{}\r\n\r\n", "b".repeat(18))).unwrap().is_some());
        assert_eq!(
            scan(format!("x\r\nA:{}", "b".repeat(19))).unwrap_err(),
            HeadError::HeaderTooLong { limit: 20 }
        );
        assert!(scan("x\r\nA:\r\nB:\r\n\r\n".to_owned()).unwrap().is_some());
        assert_eq!(
            scan("x\r\nA:\r\nB:\r\nC".to_owned()).unwrap_err(),
            HeadError::TooManyHeaders { limit: 2 }
        );
        let full =
            |last| format!("{}\r\nA:{}\r\nB:{}\r\n\r\n", "a".repeat(20), "b".repeat(14), "c".repeat(last));
        assert_eq!(full(14).len(), 60);
        assert!(scan(full(14)).unwrap().is_some());
        assert_eq!(scan(full(15)).unwrap_err(), HeadError::TooLong { limit: 60 });
        assert_eq!(scan("\r\n".repeat(31)).unwrap_err(), HeadError::TooLong { limit: 60 });
    }

    #[test]
    fn every_split_gives_the_same_and_each_byte_is_looked_at_once() {
        let whole = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nxx";
        let mut scanner = Scanner::new(HeadLimits::default());
        for end in 0..27 {
            assert_eq!(scanner.scan(&whole[..end]), Ok(None), "after {end} bytes");
        }
        assert_eq!(scanner.scan(whole).unwrap().unwrap().end, 27);
        assert_eq!(scanner.scan(whole).unwrap().unwrap().end, 27);
        assert_eq!(scanner.looked_at, 27);
    }

    #[test]
    fn a_head_of_64_kib_one_byte_a_time_is_linear() {
        let limits = HeadLimits { head: 128 * 1024, headers: 4000, line: 8192 };
        let mut head = b"GET / HTTP/1.1\r\n".to_vec();
        while head.len() < 64 * 1024 {
            head.extend_from_slice(b"X-Filler: 0123456789012345\r\n");
        }
        head.extend_from_slice(b"\r\n");
        let mut scanner = Scanner::new(limits);
        for end in 0..head.len() {
            assert_eq!(scanner.scan(&head[..end]), Ok(None));
        }
        assert!(scanner.scan(&head).unwrap().is_some());
        assert_eq!(scanner.looked_at, head.len());
        // Under the default limits the same peer is refused after 16 KiB or 100 headers.
        let mut scanner = Scanner::new(HeadLimits::default());
        let refused = (0..=head.len()).find(|&end| scanner.scan(&head[..end]).is_err()).unwrap();
        assert!(refused <= 16 * 1024 + 1, "refused after {refused} bytes");
    }

    #[test]
    fn messages_say_what_to_do() {
        assert!(HeadError::TooLong { limit: 9 }.to_string().contains("9 bytes"));
        assert!(HeadError::BareLineFeed.to_string().contains("CR LF"));
    }
}
