//! Messages, owned, and what kinds there are.

use crate::text::Text;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// Whether a message's payload is text or bytes (RFC 6455 section 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

/// A whole message, owned; cheap to clone, its payload is reference-counted.
///
/// ```
/// use ws13::Message;
///
/// let message = Message::from("hello");
/// assert_eq!(message.as_text(), Some("hello"));
/// assert_eq!(message.as_bytes(), b"hello");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// A text message.
    Text(Text),
    /// A binary message.
    Binary(Bytes),
}

impl Message {
    /// Whether the payload is text or bytes.
    #[inline]
    pub fn kind(&self) -> Kind {
        match self {
            Message::Text(_) => Kind::Text,
            Message::Binary(_) => Kind::Binary,
        }
    }

    /// The payload's bytes, whatever its kind.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// The text, where the message is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// The payload's bytes, without a copy.
    #[inline]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Message::Text(text) => text.into_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// The payload's length in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

macro_rules! message_from {
    ($variant:ident: $($source:ty),*) => {
        $(impl From<$source> for Message {
            fn from(payload: $source) -> Self {
                Message::$variant(payload.into())
            }
        })*
    };
}

message_from!(Text: &str, String, Text);
message_from!(Binary: Bytes, Vec<u8>);

impl From<&[u8]> for Message {
    fn from(payload: &[u8]) -> Self {
        Message::Binary(Bytes::copy_from_slice(payload))
    }
}

impl<const N: usize> From<&[u8; N]> for Message {
    fn from(payload: &[u8; N]) -> Self {
        Message::from(payload.as_slice())
    }
}
