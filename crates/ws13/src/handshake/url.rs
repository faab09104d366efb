//! `ws:` and `wss:` URLs (RFC 6455, section 3).

use super::authority::{Authority, InvalidAuthority};
use std::fmt;
use std::fmt::Write as _;
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
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Url {
    secure: bool,
    authority: Authority,
    path_and_query: String,
    user: Option<User>,
}

/// The user name and the password of a URL, percent-decoded.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct User {
    name: String,
    password: Option<String>,
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
        let (scheme, rest) = text.split_once("://").ok_or(InvalidUrl::NoScheme)?;
        let secure = parse_scheme(scheme)?;
        // RFC 6455, 3: "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be
        // used".
        if rest.contains('#') {
            return Err(InvalidUrl::Fragment);
        }
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
        Ok(Url { secure, authority, path_and_query: encode_path(path), user })
    }

    /// The scheme: `ws` or `wss`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.secure { "wss" } else { "ws" }
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

    /// The user name and the password. They are never sent by themselves.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// Whether scheme, host and port are the same: else credentials and cookies must not go along.
    #[must_use]
    pub fn same_origin(&self, other: &Url) -> bool {
        self.secure == other.secure && self.authority == other.authority
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
        write!(f, "{}://{}{}", self.scheme(), self.authority, self.path_and_query)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Url").field(&self.to_string()).finish()
    }
}

impl User {
    /// The user name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The password, where there is a colon behind the name.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let (name, password) = match text.split_once(':') {
            Some((name, password)) => (name, Some(password)),
            None => (text, None),
        };
        let name = decode(name)?;
        // RFC 7617, 2: a user name with a colon cannot be sent by Basic authentication.
        if name.contains(':') {
            return Err(InvalidUrl::User);
        }
        Ok(User { name, password: password.map(decode).transpose()? })
    }
}

/// Without the password.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
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
        }
    }
}

impl core::error::Error for InvalidUrl {}

fn parse_scheme(scheme: &str) -> Result<bool, InvalidUrl> {
    match scheme.to_ascii_lowercase().as_str() {
        "ws" | "http" => Ok(false),
        "wss" | "https" => Ok(true),
        _ => Err(InvalidUrl::Scheme(scheme.to_owned())),
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

fn encode_path(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        encoded.push('/');
    }
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Percent-decoding of a user name or a password.
fn decode(text: &str) -> Result<String, InvalidUrl> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit().ok_or(InvalidUrl::User)?, digit().ok_or(InvalidUrl::User)?);
        decoded.push(u8::try_from(high * 16 + low).map_err(|_| InvalidUrl::User)?);
    }
    let decoded = String::from_utf8(decoded).map_err(|_| InvalidUrl::User)?;
    if decoded.chars().any(char::is_control) { Err(InvalidUrl::User) } else { Ok(decoded) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (text, secure, host, port, header, path) in [
            ("ws://a", false, "a", 80, "a", "/"),
            ("WS://A:80/", false, "a", 80, "a", "/"),
            ("wss://a:443?b", true, "a", 443, "a", "/?b"),
            ("wss://a:80/b/c?d=e&f", true, "a", 80, "a:80", "/b/c?d=e&f"),
            ("http://127.0.0.1:12345/x", false, "127.0.0.1", 12345, "127.0.0.1:12345", "/x"),
            ("https://[::1]/x", true, "::1", 443, "[::1]", "/x"),
            ("ws://[::1]:9001", false, "::1", 9001, "[::1]:9001", "/"),
            ("ws://a/b@c:d", false, "a", 80, "a", "/b@c:d"),
            ("ws://a/%zz%20", false, "a", 80, "a", "/%zz%20"),
            ("ws://a/é{\"}", false, "a", 80, "a", "/%C3%A9%7B%22%7D"),
            ("ws://a?http://b/", false, "a", 80, "a", "/?http://b/"),
        ] {
            let url = Url::new(text).unwrap();
            assert_eq!((url.secure(), url.host(), url.port()), (secure, host, port), "{text}");
            assert_eq!((url.host_header(), url.path_and_query()), (header, path), "{text}");
            assert_eq!(Url::new(&url.to_string()).unwrap(), url);
        }
    }

    #[test]
    fn cr_lf_nul_and_other_faults_are_errors() {
        for (text, error) in [
            ("", InvalidUrl::NoScheme),
            ("localhost:9001", InvalidUrl::NoScheme),
            ("//a", InvalidUrl::NoScheme),
            ("://a", InvalidUrl::Scheme("".into())),
            ("ftp://a", InvalidUrl::Scheme("ftp".into())),
            ("ws+unix://a", InvalidUrl::Scheme("ws+unix".into())),
            ("ws://a/#b", InvalidUrl::Fragment),
            ("ws://a#", InvalidUrl::Fragment),
            ("ws://a/b c", InvalidUrl::Character(' ')),
            (" ws://a", InvalidUrl::Character(' ')),
            ("ws://a/\r\nX: y", InvalidUrl::Character('\r')),
            ("ws://a/\0", InvalidUrl::Character('\0')),
            ("ws://a/\u{a0}", InvalidUrl::Character('\u{a0}')),
            ("ws://", InvalidUrl::Host(InvalidAuthority::Empty)),
            ("ws:///a", InvalidUrl::Host(InvalidAuthority::Empty)),
            ("ws://a:0", InvalidUrl::Host(InvalidAuthority::Port)),
            ("ws://a:65536", InvalidUrl::Host(InvalidAuthority::Port)),
            ("ws://[::1", InvalidUrl::Host(InvalidAuthority::Address)),
            ("ws://a\\b", InvalidUrl::Host(InvalidAuthority::Character('\\'))),
            ("ws://bücher.example", InvalidUrl::Host(InvalidAuthority::NotAscii)),
        ] {
            assert_eq!(Url::new(text), Err(error), "{text:?}");
        }
        let idn = Url::new("ws://bücher.example").unwrap_err().to_string();
        assert!(idn.contains("punycode"), "{idn}");
    }

    #[test]
    fn user_names_and_passwords_are_kept_apart_and_out_of_logs() {
        let url = Url::new("wss://us%40er:p%3aw@evil@good.com/").unwrap();
        let user = url.user().unwrap();
        assert_eq!((user.name(), user.password(), url.host()), ("us@er", Some("p:w@evil"), "good.com"));
        assert_eq!(url.host_header(), "good.com");
        let logged = format!("{url} {url:?} {user:?}");
        assert!(!logged.contains("p:w") && !logged.contains("p%3aw"), "{logged}");
        assert_eq!(Url::new("ws://me@a").unwrap().user().unwrap().password(), None);
        for text in ["ws://%0d%0a@a", "ws://a:%00@b", "ws://%ff@a", "ws://%4@a", "ws://%zz@a", "ws://a%3Ab@c"]
        {
            assert_eq!(Url::new(text), Err(InvalidUrl::User), "{text}");
        }
    }

    #[test]
    fn same_origin_needs_scheme_host_and_port() {
        let url = |text| Url::new(text).unwrap();
        assert!(url("ws://a/b").same_origin(&url("http://A:80/c")));
        for other in ["wss://a/b", "ws://a:81/b", "ws://b/b", "ws://a.b/"] {
            assert!(!url("ws://a/b").same_origin(&url(other)), "{other}");
        }
    }
}
