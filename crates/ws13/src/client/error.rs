//! Why a connection was not made.

use crate::handshake::{ClientError, Invalid, InvalidSubprotocol, InvalidUrl, Response};
#[cfg(feature = "tls")]
use crate::tls::TlsError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why a connection was not made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is none that can be connected to.
    Url(InvalidUrl),
    /// A subprotocol is no token (RFC 6455 section 4.1).
    Subprotocol(InvalidSubprotocol),
    /// The request cannot be made, such as for a header with a line end in it.
    Request(Invalid),
    /// `wss://`, and this is built without the feature `tls`.
    NoTls,
    /// No encrypted connection was agreed on.
    #[cfg(feature = "tls")]
    Tls(TlsError),
    /// The host was not found or did not answer.
    Dial {
        /// Who was dialled.
        to: String,
        /// What the system says.
        error: Arc<io::Error>,
    },
    /// Reading or writing failed during the handshake.
    Io(Arc<io::Error>),
    /// The server did not open the connection; an answer other than 101 is in here.
    Handshake(ClientError),
    /// It took longer than the timeout.
    Timeout(Duration),
}

impl ConnectError {
    /// The server's answer, where it was no 101.
    pub fn response(&self) -> Option<&Response> {
        match self {
            ConnectError::Handshake(ClientError::Refused(response)) => Some(response),
            _ => None,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Url(error) => error.fmt(f),
            ConnectError::Subprotocol(error) => error.fmt(f),
            ConnectError::Request(error) => error.fmt(f),
            ConnectError::NoTls => f.write_str(
                "wss:// needs TLS, which this build is without: build it with the feature `tls`, or encrypt a \
                 stream and use connect_on",
            ),
            #[cfg(feature = "tls")]
            ConnectError::Tls(error) => error.fmt(f),
            ConnectError::Dial { to, error } => write!(f, "cannot connect to {to}: {error}"),
            ConnectError::Io(error) => write!(f, "the connection broke during the opening handshake: {error}"),
            ConnectError::Handshake(error) => error.fmt(f),
            ConnectError::Timeout(timeout) => write!(f, "no connection within {timeout:?}"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConnectError::Url(error) => Some(error),
            ConnectError::Subprotocol(error) => Some(error),
            ConnectError::Request(error) => Some(error),
            ConnectError::Dial { error, .. } | ConnectError::Io(error) => Some(error.as_ref()),
            ConnectError::Handshake(error) => Some(error),
            #[cfg(feature = "tls")]
            ConnectError::Tls(error) => Some(error),
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
