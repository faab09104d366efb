//! How the command ends: a sentence for people, and a code for scripts.

use std::fmt;
use std::io;
use std::process::ExitCode;
use ws13::handshake::Response;
use ws13::tls::{InvalidTls, TlsError};
use ws13::{Closed, ConnectError, Error};

/// Why the command did not end well; the numbers are its exit codes. 2 is clap's, for usage.
#[derive(Debug)]
pub(crate) enum Failure {
    /// 1: something of this machine failed, such as an address in use.
    Local(String),
    /// 2: the arguments cannot be.
    Usage(String),
    /// 3: no connection.
    Connect(String),
    /// 4: the server answered, and refused.
    Refused(Box<Response>),
    /// 4: the server redirected to where it is not followed.
    Redirect(String),
    /// 5: the peer broke the protocol, in the handshake or later.
    Protocol(String),
    /// 6: the connection ended without a close, with a code that means trouble, or too early.
    Closed(String),
    /// 7: it took too long.
    Timeout(String),
}

impl Failure {
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Local(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Connect(_) => 3,
            Failure::Refused(_) | Failure::Redirect(_) => 4,
            Failure::Protocol(_) => 5,
            Failure::Closed(_) => 6,
            Failure::Timeout(_) => 7,
        })
    }

    /// How a connection's end is judged: 1000, 1001 and no code at all are fine.
    pub(crate) fn of_end(closed: Option<&Closed>) -> Option<Failure> {
        let closed = closed?;
        match closed.code() {
            1000 | 1001 | 1005 => None,
            _ => Some(Failure::Closed(format!("the peer closed the connection with {closed}"))),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        use ws13::handshake::ClientError;
        let text = error.to_string();
        match error.cause() {
            ConnectError::Handshake(ClientError::Refused(response)) => Failure::Refused(response.clone()),
            ConnectError::Redirect(_) => Failure::Redirect(text),
            ConnectError::ProxyTls { error: TlsError::UnknownIssuer, .. } => {
                Failure::Connect(format!("{text} (--proxy-ca FILE)"))
            }
            ConnectError::Handshake(ClientError::Ended)
            | ConnectError::Io(_)
            | ConnectError::Resolve { .. }
            | ConnectError::Dial { .. }
            | ConnectError::Proxy { .. }
            | ConnectError::ProxyTls { .. } => Failure::Connect(text),
            ConnectError::Tls(TlsError::Setting(error)) => error.clone().into(),
            ConnectError::Tls(TlsError::UnknownIssuer) => {
                Failure::Connect(format!("{text} (--ca FILE, --fingerprint SHA256)"))
            }
            ConnectError::Tls(_) => Failure::Connect(text),
            ConnectError::Handshake(_) => Failure::Protocol(text),
            ConnectError::Timeout(_) => Failure::Timeout(text),
            _ => Failure::Usage(text),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Fault(_) => Failure::Protocol(error.to_string()),
            error => Failure::Closed(error.to_string()),
        }
    }
}

impl From<InvalidTls> for Failure {
    fn from(error: InvalidTls) -> Self {
        Failure::Local(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Local(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Local(text)
            | Failure::Usage(text)
            | Failure::Connect(text)
            | Failure::Redirect(text)
            | Failure::Protocol(text)
            | Failure::Closed(text)
            | Failure::Timeout(text) => f.write_str(text),
            Failure::Refused(response) => refused(response, f),
        }
    }
}

/// The status, and the body as the server meant it for people.
fn refused(response: &Response, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "the server refused the handshake: {}", response.status)?;
    if let Some(location) = response.header("location") {
        write!(f, ", see {location}")?;
    }
    let body = response.text();
    if !body.trim().is_empty() {
        write!(f, "\n{}", crate::lines::printable(body.trim_end()))?;
    }
    Ok(())
}
