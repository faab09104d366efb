//! What went over the wire in one case, as lines for people.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

/// The bytes of one case, shortened; a clone writes to the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    pub(super) fn sent(&self, bytes: &[u8]) {
        self.bytes("->", bytes);
    }

    pub(super) fn received(&self, bytes: &[u8]) {
        self.bytes("<-", bytes);
    }

    pub(super) fn note(&self, line: impl Into<String>) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < LINES {
            lines.push(line.into());
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn bytes(&self, arrow: &str, bytes: &[u8]) {
        // What looks like a head is shown as text, its line ends escaped.
        if bytes.starts_with(b"GET ") || bytes.starts_with(b"HTTP/") {
            let shown = &bytes[..bytes.len().min(TEXT)];
            let dots = if shown.len() < bytes.len() {
                format!(" … ({} bytes)", bytes.len())
            } else {
                String::new()
            };
            return self.note(format!("{arrow} {}{dots}", shown.escape_ascii()));
        }
        self.note(format!("{arrow} {}", hex(bytes)));
    }
}

/// Lines that are kept, bytes of hexadecimals, and bytes of text that are shown at once.
const LINES: usize = 40;
const HEX: usize = 32;
const TEXT: usize = 600;

/// The first bytes, and how many there are where some are left out.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (i, byte) in bytes.iter().take(HEX).enumerate() {
        let blank = if i > 0 { " " } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{blank}{byte:02x}");
    }
    if bytes.len() > HEX {
        let _ = write!(text, " … ({} bytes)", bytes.len());
    }
    text
}
