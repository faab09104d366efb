//! Which web pages may connect (RFC 6455, section 10.2), and under which host names.

use super::authority::{Authority, InvalidAuthority};
use super::host::AllowedHost;
use super::reply::Reject;
use super::request::Request;
use std::fmt;
use std::str::FromStr;

/// Where a web page comes from: scheme, host and port (RFC 6454), in normal form.
///
/// `ws` counts as `http` and `wss` as `https`; a port that is the scheme's default is left out.
///
/// ```
/// use ws13::handshake::Origin;
/// let origin: Origin = "https://Example.com:443".parse()?;
/// assert_eq!(origin.to_string(), "https://example.com");
/// assert_eq!(origin, "wss://example.com".parse()?);
/// # Ok::<(), ws13::handshake::InvalidOrigin>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: String,
    authority: Authority,
}

impl Origin {
    /// Reads `scheme://host` or `scheme://host:port`, with nothing behind it.
    ///
    /// # Errors
    /// [`InvalidOrigin`], also for `null`: see [`OriginPolicy::null`].
    pub fn new(text: &str) -> Result<Self, InvalidOrigin> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidOrigin::Scheme)?;
        let mut letters = scheme.bytes();
        let valid = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
            && letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !valid {
            return Err(InvalidOrigin::Scheme);
        }
        let authority = Authority::new(rest).map_err(InvalidOrigin::Host)?;
        let (scheme, default) = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => ("http".to_owned(), Some(80)),
            "https" | "wss" => ("https".to_owned(), Some(443)),
            other => (other.to_owned(), None),
        };
        Ok(Origin { scheme, authority: authority.without_default_port(default) })
    }

    /// The origin of a server that is reached under this host.
    #[must_use]
    pub fn of_host(host: &Authority, secure: bool) -> Self {
        let (scheme, default) = if secure { ("https", 443) } else { ("http", 80) };
        Origin { scheme: scheme.to_owned(), authority: host.clone().without_default_port(Some(default)) }
    }

    /// The scheme: `http`, `https`, or another.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The host and the port.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Origin::new(text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

/// Why a text is no origin.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidOrigin {
    /// It does not begin with `scheme://`.
    Scheme,
    /// The host or the port is wrong, or something stands behind them.
    Host(InvalidAuthority),
}

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidOrigin::Scheme => {
                f.write_str("an origin begins with its scheme: write https://example.com")
            }
            InvalidOrigin::Host(InvalidAuthority::Character('/') | InvalidAuthority::Port) => {
                f.write_str("an origin ends with its host or port: leave out the path and the last '/'")
            }
            InvalidOrigin::Host(error) => write!(f, "invalid origin: {error}"),
        }
    }
}

impl core::error::Error for InvalidOrigin {}

/// Which origins a policy allows.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum AllowedOrigins {
    /// Only pages of the host and port that the request itself goes to.
    #[default]
    SameOrigin,
    /// Pages from everywhere: for services without cookies or other credentials of the browser.
    Any,
    /// These origins and no others, not even the same origin.
    List(Vec<Origin>),
}

/// Who may connect. The default stops the attack where a foreign page connects with its visitor's cookies
/// (cross-site WebSocket hijacking): browsers do not apply their own same-origin policy to WebSockets.
///
/// ```
/// use ws13::handshake::OriginPolicy;
/// let policy = OriginPolicy::list(["https://example.com".parse()?, "https://app.example.com".parse()?]);
/// let policy = OriginPolicy { absent: false, ..policy }; // browsers only
/// # Ok::<(), ws13::handshake::InvalidOrigin>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPolicy {
    /// The origins that are allowed.
    pub origins: AllowedOrigins,
    /// Allow requests without an Origin header: they come from programs, not from browsers. Default: yes.
    pub absent: bool,
    /// Allow `Origin: null`: sandboxed frames and local files, that is, any page that wants to. Default: no.
    /// [`AllowedOrigins::Any`] includes it.
    pub null: bool,
    /// The host names this server answers to, plain requests included; `None`: any. A list stops DNS rebinding, where a
    /// foreign name points to this server's address. Default: any.
    pub hosts: Option<Vec<AllowedHost>>,
}

impl Default for OriginPolicy {
    fn default() -> Self {
        OriginPolicy { origins: AllowedOrigins::SameOrigin, absent: true, null: false, hosts: None }
    }
}

impl OriginPolicy {
    /// Pages of the same host and port, and clients that are no browsers: the default.
    #[must_use]
    pub fn same_origin() -> Self {
        OriginPolicy::default()
    }

    /// Pages from everywhere.
    #[must_use]
    pub fn any() -> Self {
        OriginPolicy { origins: AllowedOrigins::Any, ..OriginPolicy::default() }
    }

    /// Pages of these origins only, and clients that are no browsers.
    #[must_use]
    pub fn list(origins: impl IntoIterator<Item = Origin>) -> Self {
        let origins = AllowedOrigins::List(origins.into_iter().collect());
        OriginPolicy { origins, ..OriginPolicy::default() }
    }

    /// Checks a request. `secure`: the client reached this server by TLS, be it ended here or at a proxy
    /// before.
    ///
    /// # Errors
    /// A [`Reject`] with 403 (RFC 6455, 4.2.2, step 2).
    pub fn check(&self, request: &Request, secure: bool) -> Result<(), Reject> {
        self.check_host(request)?;
        let allowed = match request.origin() {
            None => self.absent,
            Some("null") => self.null || self.origins == AllowedOrigins::Any,
            Some(origin) => self.allows_origin(origin, request.host(), secure),
        };
        if allowed { Ok(()) } else { Err(self.refuse(request.origin())) }
    }

    /// Checks the host alone: all that counts for a request that asks for no WebSocket.
    ///
    /// # Errors
    /// A [`Reject`] with 403; 421 would invite the client to try again on another connection (RFC 9110, 15.5.20).
    pub fn check_host(&self, request: &Request) -> Result<(), Reject> {
        let Some(allowed) = &self.hosts else { return Ok(()) };
        if request.host().is_some_and(|host| allowed.iter().any(|own| own.matches(host))) {
            return Ok(());
        }
        Err(Reject::forbidden("this server does not answer to that Host name: use its own name"))
    }

    fn allows_origin(&self, origin: &str, host: Option<&Authority>, secure: bool) -> bool {
        let origin = Origin::new(origin);
        match (&self.origins, origin) {
            (AllowedOrigins::Any, _) => true,
            (_, Err(_)) => false,
            (AllowedOrigins::List(list), Ok(origin)) => list.contains(&origin),
            (AllowedOrigins::SameOrigin, Ok(origin)) => {
                host.is_some_and(|host| Origin::of_host(host, secure) == origin)
            }
        }
    }

    fn refuse(&self, origin: Option<&str>) -> Reject {
        Reject::forbidden(match (origin, &self.origins) {
            (None, _) => "the Origin header is missing: connect from a web page of this server",
            (_, AllowedOrigins::List(_)) => {
                "pages of this Origin may not connect: the server lists those that may"
            }
            _ => "pages of this Origin may not connect: use a page of the same scheme, host and port",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::server::{Head, Options, Received, examine};
    use http::{HeaderMap, HeaderValue, Method, Version};

    fn request(host: &str, origin: Option<&str>) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert("origin", HeaderValue::from_str(origin).unwrap());
        }
        let head = Head { method: Method::GET, target: "/".into(), version: Version::HTTP_11, headers };
        match examine(head, &Options::default()) {
            Ok(Received::Plain(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn allowed(policy: &OriginPolicy, host: &str, origin: Option<&str>, secure: bool) -> bool {
        let checked = policy.check(&request(host, origin), secure);
        if let Err(reject) = &checked {
            assert_eq!(reject.status().as_u16(), 403);
        }
        checked.is_ok()
    }

    #[test]
    fn origin_foreign_null_look_alike_or_another_port_is_403() {
        let policy = OriginPolicy::default();
        for origin in [
            "http://evil.com",
            "null",
            "http://good.com.evil.com",
            "http://evilgood.com",
            "http://good.com:8080",
            "https://good.com",
            "http://good.com/",
            "http://good.com@evil.com",
            "http://evil.com http://good.com",
            "http://good.com, http://good.com",
            "good.com",
            "file://",
            "",
            "NULL",
        ] {
            assert!(!allowed(&policy, "good.com", Some(origin), false), "{origin:?}");
        }
    }

    #[test]
    fn the_same_origin_is_allowed_with_its_default_port_or_without() {
        let policy = OriginPolicy::same_origin();
        for (host, origin, secure) in [
            ("good.com", "http://good.com", false),
            ("good.com", "http://good.com:80", false),
            ("good.com:80", "ws://GOOD.com", false),
            ("good.com:443", "https://good.com", true),
            ("Good.com", "wss://good.com:443", true),
            ("good.com:8080", "http://good.com:8080", false),
            ("[::1]:8080", "http://[0::1]:8080", false),
        ] {
            assert!(allowed(&policy, host, Some(origin), secure), "{host} {origin}");
            assert!(!allowed(&policy, host, Some(origin), !secure), "{host} {origin}");
        }
    }

    #[test]
    fn origin_null_and_absent_are_settable() {
        let policy = OriginPolicy::default();
        assert!(allowed(&policy, "good.com", None, false));
        let browsers = OriginPolicy { absent: false, ..OriginPolicy::default() };
        assert!(!allowed(&browsers, "good.com", None, false));
        let null = OriginPolicy { null: true, ..OriginPolicy::default() };
        assert!(allowed(&null, "good.com", Some("null"), false));
        assert!(!allowed(&null, "good.com", Some("http://evil.com"), false));
        assert!(!allowed(&OriginPolicy::list([]), "good.com", Some("null"), false));
    }

    #[test]
    fn lists_are_exact_and_any_is_any() {
        let list =
            OriginPolicy::list(["https://a.com".parse().unwrap(), "chrome-extension://ab".parse().unwrap()]);
        assert!(allowed(&list, "good.com", Some("https://a.com"), false));
        assert!(allowed(&list, "good.com", Some("chrome-extension://ab"), false));
        for origin in ["http://a.com", "https://b.a.com", "https://a.com:444", "http://good.com", "x"] {
            assert!(!allowed(&list, "good.com", Some(origin), false), "{origin}");
        }
        for origin in ["http://evil.com", "null", "file://", "?"] {
            assert!(allowed(&OriginPolicy::any(), "good.com", Some(origin), false), "{origin}");
        }
    }

    #[test]
    fn a_host_list_stops_foreign_names() {
        let hosts = Some(vec!["localhost".parse().unwrap(), "good.com:81".parse().unwrap()]);
        let policy = OriginPolicy { hosts, ..OriginPolicy::any() };
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:9000", true),
            ("good.com:81", true),
            ("good.com", false),
            ("good.com:82", false),
            ("rebind.evil.com", false),
            ("localhost.evil.com", false),
        ] {
            assert_eq!(allowed(&policy, host, None, false), expected, "{host}");
        }
    }

    #[test]
    fn origins_are_checked_when_they_are_made() {
        for text in ["", "null", "a.com", "://a", "1a://b", "http://", "http://a/", "http://a:b", "http://ä"]
        {
            assert!(Origin::new(text).is_err(), "{text:?}");
        }
        assert!(Origin::new("https://a.com/").unwrap_err().to_string().contains("last '/'"));
        assert_eq!(Origin::new("app://Local:80").unwrap().to_string(), "app://local:80");
    }
}
