//! What can be wrong with a proxy: its URL, or its answer.

use crate::handshake::{HeadError, InvalidAuthority};
use http::StatusCode;
use std::fmt;

/// Why a text is no URL of a proxy. It never repeats the text, which may have a password in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidProxy {
    /// The scheme is none of `http`, `https`, `socks5` and `socks5h`.
    Scheme,
    /// The host or the port is wrong, or something follows them.
    Host(InvalidAuthority),
    /// The user name or the password is wrongly percent-encoded, has control characters, or is over 255 bytes for
    /// SOCKS5.
    User,
    /// An environment variable has the URL that is wrong.
    Variable {
        /// Its name.
        name: String,
        /// What is wrong with its value.
        error: Box<InvalidProxy>,
    },
}

impl fmt::Display for InvalidProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidProxy::Scheme => {
                f.write_str("invalid proxy: its URL begins with http://, https://, socks5:// or socks5h://")
            }
            InvalidProxy::Host(error) => write!(f, "invalid proxy: {error}; write http://host:port"),
            InvalidProxy::User => f.write_str(
                "invalid proxy: the user name or password is not percent-encoded UTF-8 without control characters, \
                 or over 255 bytes long",
            ),
            InvalidProxy::Variable { name, error } => write!(f, "the environment variable {name}: {error}"),
        }
    }
}

impl core::error::Error for InvalidProxy {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            InvalidProxy::Host(error) => Some(error),
            InvalidProxy::Variable { error, .. } => Some(error),
            InvalidProxy::Scheme | InvalidProxy::User => None,
        }
    }
}

/// Why a proxy opened no tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyError {
    /// It answered CONNECT with a status that is no success.
    Refused {
        /// The status.
        status: StatusCode,
        /// The text behind it; often empty.
        reason: String,
    },
    /// It wants to know who asks: 407, or what SOCKS5 has in its place.
    Authentication {
        /// Whether credentials were sent, and so are wrong or of no use.
        sent: bool,
        /// What it would accept, where it says so: its Proxy-Authenticate header.
        wanted: Option<String>,
    },
    /// Its answer to CONNECT is no HTTP response, or is over a limit.
    Head(HeadError),
    /// Its answer is not that of a SOCKS5 proxy; the byte is what stood in place of the version.
    NotSocks5(u8),
    /// It broke RFC 1928; the text says how.
    Malformed(&'static str),
    /// It answered with this code, which is not 0, "succeeded" (RFC 1928 section 6).
    Socks(u8),
    /// It ended the connection before its answer was complete.
    Ended,
}

impl ProxyError {
    /// Whether another try could end otherwise: the proxy, or the way behind it, failed for the moment. Not where it
    /// refuses as a matter of policy, or is none.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            ProxyError::Refused { status, .. } => {
                status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
            }
            // General failure, network, host, connection, TTL.
            ProxyError::Socks(code) => matches!(code, 1 | 3..=6),
            ProxyError::Ended => true,
            _ => false,
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProxyError::Refused { status, reason } => refused(*status, reason, f),
            ProxyError::Authentication { sent, wanted } => authentication(*sent, wanted.as_deref(), f),
            ProxyError::Head(error) => write!(f, "its answer is no HTTP response: {error}"),
            ProxyError::NotSocks5(byte) => {
                write!(
                    f,
                    "its answer begins with the byte 0x{byte:02X} and not with 5: is it a SOCKS5 proxy?"
                )
            }
            ProxyError::Malformed(how) => write!(f, "it broke the SOCKS5 protocol: {how}"),
            ProxyError::Socks(code) => f.write_str(meaning(*code)),
            ProxyError::Ended => f.write_str("it ended the connection before its answer was complete"),
        }
    }
}

impl core::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            ProxyError::Head(error) => Some(error),
            _ => None,
        }
    }
}

fn refused(status: StatusCode, reason: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let reason = status.canonical_reason().unwrap_or(reason).escape_debug();
    write!(f, "it answered {} {reason}", status.as_str())?;
    f.write_str(match status.as_u16() {
        403 => ": it does not allow connections to this host and port",
        405 | 501 => ": it knows no CONNECT, which a WebSocket needs",
        500 | 502..=504 => ": it failed, or did not reach the server",
        _ => " to CONNECT",
    })
}

fn authentication(sent: bool, wanted: Option<&str>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(match sent {
        true => "it does not accept the user name and the password",
        false => "it wants a user name and a password: write them into its URL, as http://user:password@host",
    })?;
    match wanted {
        Some(wanted) => write!(f, " (it asks for {wanted:?}; only Basic can be given)"),
        None => Ok(()),
    }
}

/// RFC 1928, section 6.
fn meaning(code: u8) -> &'static str {
    match code {
        1 => "it failed (SOCKS5 code 1, general failure)",
        2 => "its rules do not allow this connection (SOCKS5 code 2)",
        3 => "the network is unreachable from it (SOCKS5 code 3)",
        4 => "the host is unreachable from it (SOCKS5 code 4)",
        5 => "the server refused its connection (SOCKS5 code 5)",
        6 => "its packets did not live long enough (SOCKS5 code 6)",
        7 => "it knows no CONNECT (SOCKS5 code 7)",
        8 => "it does not know this kind of address (SOCKS5 code 8)",
        _ => "it failed with a code that SOCKS5 does not have",
    }
}
