//! Where an answer redirects a client, and whether it goes there (RFC 9110, section 15.4).

use super::ClientSettings;
use super::error::ConnectError;
use crate::handshake::{ClientError, InvalidUrl, Response, Url};
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
        // Credentials in a Location are the server's, not ours, and are never used.
        let to = if self.url.same_origin(&to) { to.with_user_of(&self.url) } else { to.without_user() };
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
