//! Where an answer redirects a client, and whether it goes there (RFC 9110, section 15.4).

use super::ClientSettings;
use super::error::ConnectError;
use crate::handshake::{ClientError, InvalidUrl, Response, Url};
#[cfg(feature = "tls")]
use crate::tls::ClientTls;
use crate::trace;
use std::fmt;

/// The server redirects, redirects are followed, and this one cannot be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RedirectError {
    /// There were as many redirects as are allowed, and here is one more.
    TooMany {
        /// How many are allowed.
        max: u32,
        /// The answer that redirects.
        response: Box<Response>,
    },
    /// It would give up TLS: from `wss:` to `ws:`.
    Insecure {
        /// Where to.
        to: Box<Url>,
        /// The answer that redirects.
        response: Box<Response>,
    },
    /// Its Location is no URL to connect to.
    Location {
        /// What is wrong with it.
        error: InvalidUrl,
        /// The answer that redirects.
        response: Box<Response>,
    },
    /// It leads from the network to a Unix socket of this machine, or from a Unix socket elsewhere.
    Socket {
        /// Where to.
        to: Box<Url>,
        /// The answer that redirects.
        response: Box<Response>,
    },
}

impl RedirectError {
    /// The answer that redirects.
    pub fn response(&self) -> &Response {
        match self {
            RedirectError::TooMany { response, .. }
            | RedirectError::Insecure { response, .. }
            | RedirectError::Location { response, .. }
            | RedirectError::Socket { response, .. } => response,
        }
    }
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RedirectError::TooMany { max, .. } => {
                write!(f, "the server redirects more than {max} times: does it lead in a circle?")
            }
            RedirectError::Insecure { to, .. } => {
                write!(
                    f,
                    "the server redirects to {to}, which is not encrypted: from wss: that is not followed"
                )
            }
            RedirectError::Location { error, .. } => {
                write!(f, "the server redirects to where no WebSocket can be: {error}")
            }
            RedirectError::Socket { to, .. } => {
                write!(
                    f,
                    "the server redirects to {to}: between a Unix socket and another host that is not followed"
                )
            }
        }
    }
}

impl std::error::Error for RedirectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RedirectError::Location { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl ClientSettings {
    /// After a failure: goes on to where the server redirects to, if it does and that is followed.
    ///
    /// # Errors
    /// The failure, with the URLs that were asked before; [`ConnectError::Redirect`].
    pub(crate) fn follow(&mut self, error: ConnectError) -> Result<(), ConnectError> {
        let error = match error {
            ConnectError::Handshake(ClientError::Refused(response)) if self.redirects > 0 => {
                match location(&response).map(|location| self.target(location, &response)) {
                    Some(Ok(to)) => {
                        self.redirect(to);
                        return Ok(());
                    }
                    Some(Err(error)) => ConnectError::Redirect(error),
                    None => ConnectError::Handshake(ClientError::Refused(response)),
                }
            }
            error => error,
        };
        Err(self.after_redirects(error))
    }

    /// A failure, with the URLs that were asked before.
    pub(crate) fn after_redirects(&mut self, error: ConnectError) -> ConnectError {
        match std::mem::take(&mut self.asked) {
            asked if asked.is_empty() => error,
            asked => ConnectError::Redirected { asked, error: Box::new(error) },
        }
    }

    fn target(&self, location: &str, response: &Response) -> Result<Url, RedirectError> {
        let response = || Box::new(response.clone());
        if self.asked.len() >= usize::try_from(self.redirects).unwrap_or(usize::MAX) {
            return Err(RedirectError::TooMany { max: self.redirects, response: response() });
        }
        let to = self.url.join(location);
        let to = to.map_err(|error| RedirectError::Location { error, response: response() })?;
        if self.url.secure() && !to.secure() {
            return Err(RedirectError::Insecure { to: Box::new(to), response: response() });
        }
        let to_socket = to.socket().is_some() && !self.url.same_origin(&to);
        if to_socket || (self.unix_socket().is_some() && !self.url.same_origin(&to)) {
            return Err(RedirectError::Socket { to: Box::new(to), response: response() });
        }
        Ok(to)
    }

    fn redirect(&mut self, to: Url) {
        self.request = self.request.clone().map(|request| request.redirect(&self.url, &to));
        trace::event!(info, to = trace::shown(&to), "redirected");
        let same = self.url.same_origin(&to);
        #[cfg(feature = "tls")]
        if !same {
            self.tls = self.tls.as_ref().map(ClientTls::without_certificate);
        }
        // Credentials in a Location are the server's, not ours, and are never used.
        let to = if same { to.with_user_of(&self.url) } else { to.without_user() };
        self.asked.push(std::mem::replace(&mut self.url, to));
    }
}

/// The Location of a redirect that is to be followed by the same request: RFC 9110 has a GET stay a GET for all of
/// these.
fn location(response: &Response) -> Option<&str> {
    match response.status.as_u16() {
        301 | 302 | 303 | 307 | 308 => response.header("location"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::error::refused;

    fn answer(status: u16, location: Option<&'static str>) -> ConnectError {
        refused(status, location.map(|to| ("location", to)))
    }

    fn settings(url: &str, max: u32) -> ClientSettings {
        let mut settings = ClientSettings::new(url).unwrap();
        settings.redirects(max);
        settings
    }

    fn followed(url: &str, location: &'static str) -> Result<ClientSettings, ConnectError> {
        let mut settings = settings(url, 5);
        settings.follow(answer(302, Some(location)))?;
        Ok(settings)
    }

    #[test]
    fn a_redirect_never_leads_from_wss_to_ws() {
        for to in ["ws://a/", "http://a/", "ws://b/", "http://a:443/"] {
            let error = followed("wss://a/", to).unwrap_err();
            assert!(matches!(error, ConnectError::Redirect(RedirectError::Insecure { .. })), "{error}");
            assert_eq!(error.response().unwrap().status, 302);
        }
        assert_eq!(followed("wss://a/", "https://b/c").unwrap().url.to_string(), "wss://b/c");
        assert_eq!(followed("wss://a/b", "c").unwrap().url.to_string(), "wss://a/c");
        assert_eq!(followed("ws://a/", "https://a/").unwrap().url.to_string(), "wss://a/");
    }

    #[test]
    fn credentials_of_the_url_stay_at_their_origin_and_those_of_a_location_are_not_used() {
        let name = |url, to| followed(url, to).unwrap().url.user().map(|user| user.name().to_owned());
        assert_eq!(name("ws://me:pw@a/", "/b"), Some("me".into()));
        assert_eq!(name("ws://me:pw@a/", "ws://other:pw@a/"), Some("me".into()));
        assert_eq!(name("ws://me:pw@a/", "ws://b/"), None);
        assert_eq!(name("ws://me:pw@a/", "wss://a/"), None);
        assert_eq!(name("ws://a/", "ws://other:pw@b/"), None);
    }

    #[test]
    fn nothing_leads_to_a_unix_socket_or_away_from_one() {
        for (url, to) in [
            ("ws://a/", "ws+unix:/run/docker.sock:/"),
            ("ws+unix:/a:/", "ws+unix:/b:/"),
            ("ws+unix:/a:/", "ws://localhost/"),
        ] {
            let error = followed(url, to).unwrap_err();
            assert!(matches!(error, ConnectError::Redirect(RedirectError::Socket { .. })), "{error}");
        }
        assert_eq!(followed("ws+unix:/a:/b", "c").unwrap().url.to_string(), "ws+unix:/a:/c");
    }

    #[test]
    fn only_five_statuses_with_a_location_redirect() {
        for status in [301, 302, 303, 307, 308] {
            assert!(settings("ws://a/", 1).follow(answer(status, Some("/b"))).is_ok(), "{status}");
            let refused = settings("ws://a/", 1).follow(answer(status, None)).unwrap_err();
            assert!(matches!(refused, ConnectError::Handshake(_)), "{refused}");
            let off = settings("ws://a/", 0).follow(answer(status, Some("/b"))).unwrap_err();
            assert!(matches!(off, ConnectError::Handshake(_)), "{off}");
        }
        for status in [200, 300, 304, 305, 306, 401, 426, 503] {
            let refused = settings("ws://a/", 1).follow(answer(status, Some("/b"))).unwrap_err();
            assert!(matches!(refused, ConnectError::Handshake(_)), "{status}: {refused}");
        }
    }
}
