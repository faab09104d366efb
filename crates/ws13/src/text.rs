//! Text that is known to be UTF-8, over reference-counted bytes.

use crate::trusted::validated;
use crate::utf8::{self, InvalidUtf8};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// The payload of a text message: valid UTF-8, cheap to clone.
///
/// ```
/// use ws13::Text;
///
/// let text = Text::from("grüße");
/// assert_eq!(text.len(), 7); // bytes
/// assert!(text.starts_with("grü"));
/// assert!(Text::try_from(bytes::Bytes::from_static(b"\xff")).is_err());
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(Bytes);

impl Text {
    /// The text of bytes that the receiver has validated to their end.
    #[inline]
    pub(crate) fn from_validated(bytes: Bytes) -> Self {
        debug_assert!(core::str::from_utf8(&bytes).is_ok());
        Text(bytes)
    }

    /// The text as a string slice; free of charge.
    #[inline]
    pub fn as_str(&self) -> &str {
        validated(&self.0)
    }

    /// The text's bytes, without a copy.
    #[inline]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl core::ops::Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text(Bytes::from(text.into_bytes()))
    }
}

impl From<Text> for Bytes {
    fn from(text: Text) -> Bytes {
        text.0
    }
}

impl From<Text> for String {
    fn from(text: Text) -> String {
        String::from(text.as_str())
    }
}

impl TryFrom<Bytes> for Text {
    type Error = InvalidUtf8;

    fn try_from(bytes: Bytes) -> Result<Self, InvalidUtf8> {
        if utf8::is_valid(&bytes) { Ok(Text(bytes)) } else { Err(InvalidUtf8) }
    }
}

impl TryFrom<Vec<u8>> for Text {
    type Error = InvalidUtf8;

    fn try_from(bytes: Vec<u8>) -> Result<Self, InvalidUtf8> {
        Text::try_from(Bytes::from(bytes))
    }
}
