//! Why a connection was not made.

use super::attempts::Attempt;
use super::redirect::RedirectError;
use crate::handshake::{ClientError, Invalid, InvalidSubprotocol, InvalidUrl, Response, Url};
use crate::proxy::{InvalidProxy, ProxyError};
#[cfg(feature = "tls")]
use crate::tls::TlsError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why a connection was not made. No credentials are in it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is none that can be connected to.
    Url(InvalidUrl),
    /// A subprotocol is no token (RFC 6455 section 4.1).
    Subprotocol(InvalidSubprotocol),
    /// The request cannot be made, such as for a header with a line end in it.
    Request(Invalid),
    /// A proxy cannot be used, such as one of the environment's.
    InvalidProxy(InvalidProxy),
    /// `wss://` or a proxy of `https://`, and this is built without the feature `tls`.
    NoTls,
    /// No encrypted connection was agreed on with the server.
    #[cfg(feature = "tls")]
    Tls(TlsError),
    /// No encrypted connection was agreed on with the proxy.
    #[cfg(feature = "tls")]
    ProxyTls {
        /// The proxy, without credentials.
        proxy: String,
        /// Why not.
        error: TlsError,
    },
    /// The host, or the proxy's, was not found.
    Resolve {
        /// Whose address was looked for.
        host: String,
        /// What the resolver says.
        error: Arc<io::Error>,
    },
    /// None of the host's, or the proxy's, addresses answered.
    Dial {
        /// Who was dialled.
        to: String,
        /// The addresses that were tried, and what came of each, in that order.
        attempts: Vec<Attempt>,
    },
    /// The proxy was reached, and opened no tunnel.
    Proxy {
        /// The proxy, without credentials.
        proxy: String,
        /// What it answered.
        error: ProxyError,
    },
    /// Reading or writing failed during the handshake.
    Io(Arc<io::Error>),
    /// The server did not open the connection; an answer other than 101 is in here.
    Handshake(ClientError),
    /// The server redirects to where this client does not go.
    Redirect(RedirectError),
    /// It failed after the server had redirected.
    Redirected {
        /// The URLs that were asked, the first one first.
        asked: Vec<Url>,
        /// What went wrong at the last one.
        error: Box<ConnectError>,
    },
    /// It took longer than the timeout.
    Timeout(TimedOut),
}

/// What was under way when the time was over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TimedOut {
    /// The timeout.
    pub after: Duration,
    /// What was under way.
    pub phase: Phase,
    /// The addresses that were tried last, and what came of each.
    pub attempts: Vec<Attempt>,
}

/// How far a connection came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// An address of the host, or of the proxy, was looked for.
    Resolving,
    /// The addresses were dialled.
    Dialling,
    /// The proxy was asked for a tunnel.
    Proxy,
    /// TLS was negotiated.
    Securing,
    /// The opening handshake was sent, and its answer waited for.
    #[default]
    Handshake,
}

impl ConnectError {
    /// The server's answer, where it was no 101.
    pub fn response(&self) -> Option<&Response> {
        match self.cause() {
            ConnectError::Handshake(ClientError::Refused(response)) => Some(response),
            ConnectError::Redirect(error) => Some(error.response()),
            _ => None,
        }
    }

    /// What went wrong in the end, whether the server had redirected before or not.
    pub fn cause(&self) -> &ConnectError {
        match self {
            ConnectError::Redirected { error, .. } => error.cause(),
            error => error,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Url(error) => error.fmt(f),
            ConnectError::Subprotocol(error) => error.fmt(f),
            ConnectError::Request(error) => error.fmt(f),
            ConnectError::InvalidProxy(error) => error.fmt(f),
            ConnectError::NoTls => f.write_str(
                "wss:// needs TLS, which this build is without: build it with the feature `tls`, or encrypt a \
                 stream and use connect_on",
            ),
            #[cfg(feature = "tls")]
            ConnectError::Tls(error) => error.fmt(f),
            #[cfg(feature = "tls")]
            ConnectError::ProxyTls { proxy, error } => write!(f, "the proxy {proxy}: {error}"),
            ConnectError::Resolve { host, error } => write!(f, "cannot find the host {host}: {error}"),
            ConnectError::Dial { to, attempts } => {
                write!(f, "cannot connect to {to}")?;
                match &attempts[..] {
                    [only] if only.to == *to => write!(f, ": {}", only.error),
                    several => list(several, f),
                }
            }
            ConnectError::Proxy { proxy, error } => write!(f, "the proxy {proxy} opened no tunnel: {error}"),
            ConnectError::Io(error) => write!(f, "the connection broke during the opening handshake: {error}"),
            ConnectError::Handshake(error) => error.fmt(f),
            ConnectError::Redirect(error) => error.fmt(f),
            ConnectError::Redirected { asked, error } => {
                write!(f, "{error} (redirected")?;
                asked.iter().try_for_each(|url| write!(f, " from {url}"))?;
                f.write_str(")")
            }
            ConnectError::Timeout(late) => late.fmt(f),
        }
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let during = match self.phase {
            Phase::Resolving => "the host's address was not found by then",
            Phase::Dialling => "the host did not answer",
            Phase::Proxy => "the proxy did not open a tunnel",
            Phase::Securing => "TLS was not agreed on",
            Phase::Handshake => "the opening handshake was not answered",
        };
        write!(f, "no connection within {:?}: {during}", self.after)?;
        match self.phase {
            Phase::Dialling => list(&self.attempts, f),
            _ => Ok(()),
        }
    }
}

fn list(attempts: &[Attempt], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, attempt) in attempts.iter().enumerate() {
        write!(f, "{}{attempt}", if index == 0 { ": " } else { "; " })?;
    }
    Ok(())
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConnectError::Url(error) => Some(error),
            ConnectError::Subprotocol(error) => Some(error),
            ConnectError::Request(error) => Some(error),
            ConnectError::InvalidProxy(error) => Some(error),
            ConnectError::Resolve { error, .. } | ConnectError::Io(error) => Some(error.as_ref()),
            ConnectError::Dial { attempts, .. } => {
                attempts.last().map(|attempt| attempt.error.as_ref() as &(dyn std::error::Error + 'static))
            }
            ConnectError::Proxy { error, .. } => Some(error),
            ConnectError::Handshake(error) => Some(error),
            ConnectError::Redirect(error) => Some(error),
            ConnectError::Redirected { error, .. } => Some(error),
            #[cfg(feature = "tls")]
            ConnectError::Tls(error) | ConnectError::ProxyTls { error, .. } => Some(error),
            ConnectError::NoTls | ConnectError::Timeout(_) => None,
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        // A server of TLS 1.3 tells what it thinks of our certificate only when we read.
        #[cfg(feature = "tls")]
        if let Some(error) = TlsError::in_io(&error) {
            return ConnectError::Tls(error);
        }
        ConnectError::Io(Arc::new(error))
    }
}

#[cfg(feature = "tls")]
impl From<TlsError> for ConnectError {
    fn from(error: TlsError) -> Self {
        ConnectError::Tls(error)
    }
}

/// An answer that is no 101, with this header.
#[cfg(test)]
pub(super) fn refused(status: u16, header: Option<(&'static str, &'static str)>) -> ConnectError {
    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
    let mut headers = HeaderMap::new();
    headers
        .extend(header.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))));
    ConnectError::Handshake(ClientError::Refused(Box::new(Response {
        status: StatusCode::from_u16(status).unwrap(),
        reason: String::new(),
        version: Version::HTTP_11,
        headers,
        body: Vec::new(),
        truncated: false,
    })))
}
