//! Heads of HTTP/1.1, written as a case wants them and read with patience.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest, Sha1};

/// A head to send, line by line; nothing is checked.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    lines: Vec<Vec<u8>>,
    /// Between lines, and after the last one.
    pub(super) end: &'static [u8],
    /// What follows the head.
    pub(super) body: Vec<u8>,
}

impl Lines {
    pub(super) fn new(first: &str, fields: &[(&str, &str)]) -> Lines {
        let mut lines = vec![first.as_bytes().to_vec()];
        lines.extend(fields.iter().map(|(name, value)| format!("{name}: {value}").into_bytes()));
        Lines { lines, end: b"\r\n", body: Vec::new() }
    }

    /// The first line.
    pub(super) fn first(&mut self, line: impl AsRef<[u8]>) {
        self.lines[0] = line.as_ref().to_vec();
    }

    /// Adds a line.
    pub(super) fn add(&mut self, line: impl AsRef<[u8]>) {
        self.lines.push(line.as_ref().to_vec());
    }

    /// Puts `line` in the place of the field `name`.
    pub(super) fn set(&mut self, name: &str, line: impl AsRef<[u8]>) {
        let at = self.lines.iter().position(|line| is_field(line, name));
        match at {
            Some(at) => self.lines[at] = line.as_ref().to_vec(),
            None => self.add(line),
        }
    }

    pub(super) fn without(&mut self, name: &str) {
        self.lines.retain(|line| !is_field(line, name));
    }

    /// Changes every field's name.
    pub(super) fn rename(&mut self, change: impl Fn(&str) -> String) {
        for line in self.lines.iter_mut().skip(1) {
            let text = String::from_utf8_lossy(line).into_owned();
            if let Some((name, value)) = text.split_once(':') {
                *line = format!("{}:{value}", change(name)).into_bytes();
            }
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in &self.lines {
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(self.end);
        }
        bytes.extend_from_slice(self.end);
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

fn is_field(line: &[u8], name: &str) -> bool {
    line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name.as_bytes())
}

/// A head that came.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) first: String,
    fields: Vec<(String, String)>,
}

impl Head {
    pub(super) fn parse(bytes: &[u8]) -> Head {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default().to_owned();
        let fields = lines.filter_map(|line| line.split_once(':'));
        let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        Head { first, fields: fields.collect() }
    }

    /// The values of a field, line by line.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The items of a list, from all its lines.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        let items = self.all(name).into_iter().flat_map(|value| value.split(','));
        items.map(str::trim).filter(|item| !item.is_empty()).collect()
    }

    pub(super) fn has_token(&self, name: &str, token: &str) -> bool {
        self.list(name).iter().any(|item| item.eq_ignore_ascii_case(token))
    }

    /// The status code of an answer, 0 where there is none.
    pub(super) fn status(&self) -> u16 {
        let mut words = self.first.split(' ');
        match words.next() {
            Some(version) if version.starts_with("HTTP/") => {
                words.next().and_then(|code| code.parse().ok()).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// The value of a parameter of the first line's query, such as `case` in `/runCase?case=1`.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target().split_once('?')?;
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, v)| v)
    }

    pub(super) fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    fn target(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    /// The permessage-deflate elements of Sec-WebSocket-Extensions: each as its parameters.
    pub(super) fn deflate(&self) -> Vec<Vec<(String, Option<String>)>> {
        let elements = self.list("sec-websocket-extensions").into_iter();
        let elements = elements.filter_map(|element| {
            let mut parts = element.split(';').map(str::trim);
            (parts.next()? == "permessage-deflate").then(|| parts.map(parameter).collect())
        });
        elements.collect()
    }
}

fn parameter(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((name, value)) => (name.trim().to_owned(), Some(value.trim().trim_matches('"').to_owned())),
        None => (text.to_owned(), None),
    }
}

/// Where a head ends, its empty line included.
pub(super) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Sec-WebSocket-Accept for a key (RFC 6455 4.2.2).
pub(super) fn accept(key: &str) -> String {
    let hash = Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    BASE64_STANDARD.encode(hash)
}

/// Whether this is base64 for 16 bytes.
pub(super) fn is_key(text: &str) -> bool {
    BASE64_STANDARD.decode(text).is_ok_and(|key| key.len() == 16)
}

/// The key for the `n`th connection of a case; it need not be secret, and repeats with the case.
pub(super) fn key(n: u8) -> String {
    BASE64_STANDARD.encode([n.wrapping_mul(37).wrapping_add(11); 16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_6455_1_3_example() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(is_key("dGhlIHNhbXBsZSBub25jZQ==") && is_key(&key(3)) && !is_key("YQ=="));
    }

    #[test]
    fn lines_are_changed_and_read_back() {
        let mut lines =
            Lines::new("GET /a?case=7&agent=x HTTP/1.1", &[("Host", "b"), ("Upgrade", "websocket")]);
        lines.set("upgrade", "Upgrade: h2c, WebSocket");
        lines.add("Sec-WebSocket-Extensions: x, permessage-deflate; a=\"1\"; b");
        lines.without("Host");
        let head = Head::parse(&lines.bytes());
        assert_eq!((head.path(), head.query("case"), head.query("agent")), ("/a", Some("7"), Some("x")));
        assert!(head.has_token("upgrade", "websocket") && head.all("host").is_empty());
        let (a, b) = (("a".to_owned(), Some("1".to_owned())), ("b".to_owned(), None));
        assert_eq!(head.deflate(), [vec![a, b]]);
        assert_eq!(Head::parse(b"HTTP/1.1 101\r\n\r\n").status(), 101);
        assert_eq!(Head::parse(b"101 HTTP/1.1\r\n\r\n").status(), 0);
    }
}
