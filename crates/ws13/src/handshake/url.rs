//! `ws:` and `wss:` URLs (RFC 6455, section 3), and `ws+unix:` ones for Unix sockets.

mod join;
mod user;

pub use user::User;

use super::authority::{Authority, InvalidAuthority};
use std::fmt;
use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr;

/// A WebSocket URL, checked and in normal form. `http:` and `https:` count as `ws:` and `wss:`.
///
/// ```
/// use ws13::handshake::Url;
/// let url: Url = "wss://user:secret@Example.com/caf\u{e9}?a=b".parse()?;
/// assert!(url.secure());
/// assert_eq!((url.host(), url.port(), url.host_header()), ("example.com", 443, "example.com"));
/// assert_eq!(url.path_and_query(), "/caf%C3%A9?a=b");
/// assert_eq!(url.to_string(), "wss://example.com/caf%C3%A9?a=b"); // no secrets
/// # Ok::<(), ws13::handshake::InvalidUrl>(())
/// ```
///
/// A Unix socket is written as npm's `ws` has it: its absolute path, percent-encoded where it has a colon or a blank,
/// and behind a colon the path of the request, `/` if there is none. The Host is `localhost`.
///
/// ```
/// use std::path::Path;
/// use ws13::handshake::Url;
/// let url = Url::new("ws+unix:/run/app.sock:/chat?room=1")?;
/// assert_eq!((url.socket(), url.path_and_query()), (Some(Path::new("/run/app.sock")), "/chat?room=1"));
/// # Ok::<(), ws13::handshake::InvalidUrl>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Url {
    secure: bool,
    authority: Authority,
    path_and_query: String,
    user: Option<User>,
    /// The path of a Unix socket, absolute.
    socket: Option<String>,
}

impl Url {
    /// Reads a URL.
    ///
    /// Characters outside ASCII, and those no URL may have (`"<>\^{|}` and the backquote), are
    /// percent-encoded in the path and the query. What is percent-encoded already stays as it is.
    ///
    /// # Errors
    /// [`InvalidUrl`] says what is wrong and what to write instead.
    pub fn new(text: &str) -> Result<Self, InvalidUrl> {
        if let Some(wrong) = text.chars().find(|c| c.is_control() || c.is_whitespace()) {
            return Err(InvalidUrl::Character(wrong));
        }
        // RFC 6455, 3: "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be
        // used".
        if text.contains('#') {
            return Err(InvalidUrl::Fragment);
        }
        if let Some(rest) = strip_scheme(text, "ws+unix:") {
            return Url::of_socket(rest);
        }
        let (scheme, rest) = text.split_once("://").ok_or(InvalidUrl::NoScheme)?;
        let secure = parse_scheme(scheme)?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(User::parse(user)?), host),
            None => (None, authority),
        };
        let authority = Authority::new(host).map_err(InvalidUrl::Host)?;
        if authority.port() == Some(0) {
            return Err(InvalidUrl::Host(InvalidAuthority::Port));
        }
        let authority = authority.without_default_port(Some(default_port(secure)));
        Ok(Url { secure, authority, path_and_query: encode_path(path), user, socket: None })
    }

    /// `/run/app.sock:/chat`; the form `///run/app.sock:/chat`, with an empty authority, is the same.
    fn of_socket(text: &str) -> Result<Self, InvalidUrl> {
        let text = if text.starts_with("///") { &text[2..] } else { text };
        let (socket, path) = text.split_once(':').unwrap_or((text, ""));
        let absolute = socket.starts_with('/') && !socket.starts_with("//") && socket.len() > 1;
        if !absolute || socket.contains('?') || !(path.is_empty() || path.starts_with(['/', '?'])) {
            return Err(InvalidUrl::Socket);
        }
        let socket = decode(socket).filter(|path| !path.contains('\0')).ok_or(InvalidUrl::Socket)?;
        let authority = Authority::new("localhost").map_err(InvalidUrl::Host)?;
        let path_and_query = encode_path(path);
        Ok(Url { secure: false, authority, path_and_query, user: None, socket: Some(socket) })
    }

    /// The scheme: `ws`, `wss` or `ws+unix`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        match (&self.socket, self.secure) {
            (Some(_), _) => "ws+unix",
            (None, true) => "wss",
            (None, false) => "ws",
        }
    }

    /// The Unix socket to connect to, in place of host and port.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref().map(Path::new)
    }

    /// Whether the connection goes through TLS.
    #[must_use]
    pub fn secure(&self) -> bool {
        self.secure
    }

    /// The host to connect to, and the name to expect in a certificate: in lower case, an IPv6 address
    /// without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority.host()
    }

    /// The port to connect to: the one written, else 80 or 443.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.authority.port().unwrap_or(default_port(self.secure))
    }

    /// The value of the Host header: with the port where it is not the default, an IPv6 address in brackets.
    #[must_use]
    pub fn host_header(&self) -> &str {
        self.authority.as_str()
    }

    /// The resource name of RFC 6455, section 3: the path, at least `/`, and the query; printable ASCII.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }

    /// The user name and the password. A `Client` sends them as Basic authentication, where the request has no
    /// `Authorization` of its own; the handshake alone does not.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// The same with the credentials of another URL.
    pub(crate) fn with_user_of(self, other: &Url) -> Self {
        Url { user: other.user.clone(), ..self }
    }

    /// The same without credentials.
    pub(crate) fn without_user(self) -> Self {
        Url { user: None, ..self }
    }

    /// Whether scheme, host and port are the same: else credentials and cookies must not go along.
    #[must_use]
    pub fn same_origin(&self, other: &Url) -> bool {
        self.secure == other.secure && self.authority == other.authority && self.socket == other.socket
    }
}

impl FromStr for Url {
    type Err = InvalidUrl;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Url::new(text)
    }
}

impl TryFrom<&str> for Url {
    type Error = InvalidUrl;
    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Url::new(text)
    }
}

/// Without the user name and the password, so that no log has them.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(socket) => {
                write!(f, "ws+unix:{}:{}", encode(socket, b":?%#"), self.path_and_query)
            }
            None => write!(f, "{}://{}{}", self.scheme(), self.authority, self.path_and_query),
        }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Url").field(&self.to_string()).finish()
    }
}

/// Why a text is no WebSocket URL.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// It does not begin with `scheme://`.
    NoScheme,
    /// The scheme is none of `ws`, `wss`, `http` and `https`.
    Scheme(String),
    /// It has a blank, a line end or another control character.
    Character(char),
    /// It has a fragment.
    Fragment,
    /// The host or the port is wrong.
    Host(InvalidAuthority),
    /// The user name or the password is wrongly percent-encoded, or has characters that cannot be sent.
    User,
    /// It begins with `ws+unix:`, and what follows is not the absolute path of a socket with the path of a request.
    Socket,
}

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid URL: ")?;
        match self {
            InvalidUrl::NoScheme => f.write_str("it has no scheme: write ws://host/path or wss://host/path"),
            InvalidUrl::Scheme(scheme) => write!(f, "the scheme is {scheme:?}: use ws or wss"),
            InvalidUrl::Character(wrong) => {
                write!(f, "it has the character {wrong:?}: write blanks as %20, and leave out line ends")
            }
            InvalidUrl::Fragment => {
                f.write_str("a WebSocket URL has no fragment: leave '#' and what follows out, or write %23")
            }
            InvalidUrl::Host(error) => error.fmt(f),
            InvalidUrl::User => f.write_str(
                "the user name or password is not percent-encoded UTF-8 without control characters",
            ),
            InvalidUrl::Socket => f.write_str(
                "a Unix socket is written ws+unix:/absolute/path.sock:/resource, with %3A for a colon in the path",
            ),
        }
    }
}

impl core::error::Error for InvalidUrl {}

fn parse_scheme(scheme: &str) -> Result<bool, InvalidUrl> {
    match scheme.to_ascii_lowercase().as_str() {
        "ws" | "http" => Ok(false),
        "wss" | "https" => Ok(true),
        // What is no scheme at all may be a password in the wrong place: no error repeats it.
        other if !is_scheme(other) => Err(InvalidUrl::NoScheme),
        _ => Err(InvalidUrl::Scheme(scheme.to_owned())),
    }
}

/// RFC 3986, 3.1: a letter, then letters, digits, `+`, `-` and `.`.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// What follows the scheme, if it is this one.
fn strip_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

fn encode_path(path: &str) -> String {
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{slash}{}", encode(path, b""))
}

/// Percent-encodes what no URL may have, and these characters.
fn encode(text: &str, more: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len() + 1);
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) && !more.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Percent-decodes; `None` for what is no UTF-8, or has a `%` without two digits.
fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests;
