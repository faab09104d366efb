//! What can be wrong with a handshake on our own side: [`Invalid`].

use super::authority::InvalidAuthority;
use super::subprotocol::Subprotocol;
use http::{HeaderName, HeaderValue};
use std::fmt;

/// The caller asked for a handshake that may not be sent. No byte was produced.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// The host is none.
    Host(InvalidAuthority),
    /// The path and query cannot stand in a request line; the text says why.
    Target(&'static str),
    /// This is no name of a header.
    HeaderName(String),
    /// The value of this header has CR, LF, NUL, another control character, or is not ASCII.
    HeaderValue(String),
    /// The handshake writes this header itself.
    OwnedHeader(String),
    /// A subprotocol is offered twice (RFC 6455, 4.1: they "MUST all be unique strings").
    SubprotocolTwice(Subprotocol),
    /// The server chooses a subprotocol that the client did not offer.
    SubprotocolNotOffered(Subprotocol),
    /// The value for `Sec-WebSocket-Extensions` does not follow RFC 6455, section 9.1.
    Extensions(String),
    /// The server accepts an extension that the client did not offer.
    ExtensionNotOffered(String),
    /// The operating system gave no random bytes for the key.
    Randomness(String),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invalid::Host(error) => write!(f, "invalid host: {error}"),
            Invalid::Target(why) => write!(f, "invalid path or query: {why}"),
            Invalid::HeaderName(name) => {
                write!(f, "{name:?} is no header name: use letters, digits and hyphens")
            }
            Invalid::HeaderValue(name) => {
                write!(f, "the value of the header {name} must be printable ASCII, without line ends")
            }
            Invalid::OwnedHeader(name) => write!(
                f,
                "the handshake sets the header {name} itself: use the method for it, or leave it out"
            ),
            Invalid::SubprotocolTwice(name) => {
                write!(f, "the subprotocol {name} is offered twice: offer it once")
            }
            Invalid::SubprotocolNotOffered(name) => {
                write!(
                    f,
                    "the client did not offer the subprotocol {name}: choose one that it offered, or none"
                )
            }
            Invalid::Extensions(value) => {
                write!(f, "{value:?} is no list of extensions: write it as 'name; parameter=value'")
            }
            Invalid::ExtensionNotOffered(name) => {
                write!(f, "the client did not offer the extension {name}: accept only what it offered")
            }
            Invalid::Randomness(error) => {
                write!(f, "no random bytes for Sec-WebSocket-Key from the operating system: {error}")
            }
        }
    }
}

impl core::error::Error for Invalid {}

impl From<InvalidAuthority> for Invalid {
    fn from(error: InvalidAuthority) -> Self {
        Invalid::Host(error)
    }
}

/// A header of the caller: a name that the handshake does not write itself, a value of printable ASCII.
pub(super) fn check_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Invalid> {
    let checked = HeaderName::from_bytes(name.as_bytes());
    let checked = checked.map_err(|_| Invalid::HeaderName(name.to_owned()))?;
    if is_owned(&checked) {
        return Err(Invalid::OwnedHeader(checked.to_string()));
    }
    check_value(&checked, value).map(|value| (checked, value))
}

/// A value of printable ASCII.
pub(super) fn check_value(name: &HeaderName, value: &str) -> Result<HeaderValue, Invalid> {
    let wrong = || Invalid::HeaderValue(name.to_string());
    if !value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
        return Err(wrong());
    }
    HeaderValue::from_str(value).map_err(|_| wrong())
}

fn is_owned(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("sec-websocket-")
        || ["upgrade", "connection", "content-length", "transfer-encoding"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cr_lf_nul_in_a_header_is_an_error() {
        for value in ["a\r\nX: y", "a\n", "a\r", "a\0b", "ä", "\u{7f}", "\u{1b}[0m"] {
            assert_eq!(check_header("X-A", value), Err(Invalid::HeaderValue("x-a".into())), "{value:?}");
        }
        for name in ["", "a b", "a:", "a\r\nb", "ä", "a\0", "a\t"] {
            assert_eq!(check_header(name, "x"), Err(Invalid::HeaderName(name.into())), "{name:?}");
        }
        assert!(check_header("Cookie", "a=b; c=\"d\"\te").is_ok());
        assert!(check_header("X-Empty", "").is_ok());
    }

    #[test]
    fn headers_of_the_handshake_cannot_be_set() {
        for name in ["Upgrade", "CONNECTION", "Sec-WebSocket-Key", "sec-websocket-protocol", "Content-Length"]
        {
            let error = check_header(name, "x").unwrap_err();
            assert!(error.to_string().contains("sets the header"), "{name}");
        }
    }
}
