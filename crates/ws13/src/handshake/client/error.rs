//! Why a handshake failed on the client's side: [`ClientError`].

use super::Response;
use crate::handshake::head::HeadError;
use std::fmt;

/// The server did not open the connection, or did it wrong (RFC 6455, section 4.1: the client then fails it).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The server answered something other than 101: here it is, with its body.
    Refused(Box<Response>),
    /// The answer is no HTTP/1.1 response, or is over a limit.
    Head(HeadError),
    /// The 101 is of HTTP/1.0, which cannot switch protocols.
    HttpVersion,
    /// The 101 has no `Upgrade: websocket`.
    Upgrade,
    /// The 101 has no `Connection: Upgrade`.
    Connection,
    /// `Sec-WebSocket-Accept` is missing, twice there, or does not answer our key.
    Accept,
    /// `Sec-WebSocket-Extensions` is malformed.
    Extensions,
    /// The server uses an extension that we did not offer.
    ExtensionNotOffered(String),
    /// The server accepts this extension of ours in a way that does not fit the offer.
    Extension(String),
    /// The server accepts permessage-deflate in a way that does not fit our offer.
    #[cfg(feature = "deflate")]
    Deflate(crate::deflate::Refused),
    /// The server chose more than one subprotocol.
    SeveralSubprotocols,
    /// The server chose a subprotocol that we did not offer.
    SubprotocolNotOffered(String),
    /// The server chose none of our subprotocols, and we require one.
    NoSubprotocol,
    /// The connection ended before the answer was complete.
    Ended,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Refused(response) => refused(response, f),
            ClientError::Head(error) => write!(f, "the server's answer is not usable: {error}"),
            ClientError::HttpVersion => {
                f.write_str("the server switched protocols with HTTP/1.0: it must use HTTP/1.1")
            }
            ClientError::Upgrade => f.write_str("the server's 101 has no header 'Upgrade: websocket'"),
            ClientError::Connection => f.write_str("the server's 101 has no header 'Connection: Upgrade'"),
            ClientError::Accept => f.write_str(
                "the server's Sec-WebSocket-Accept does not answer our key: is it a WebSocket server?",
            ),
            ClientError::Extensions => f.write_str("the server's Sec-WebSocket-Extensions is malformed"),
            ClientError::ExtensionNotOffered(name) => {
                write!(f, "the server uses the extension {name:?}, which was not offered")
            }
            ClientError::Extension(name) => {
                write!(f, "the server's answer for the extension {name:?} does not fit our offer")
            }
            #[cfg(feature = "deflate")]
            ClientError::Deflate(error) => {
                write!(f, "the server's answer for permessage-deflate does not fit our offer: {error}")
            }
            ClientError::SeveralSubprotocols => {
                f.write_str("the server chose more than one subprotocol: it may choose one")
            }
            ClientError::SubprotocolNotOffered(name) => {
                write!(f, "the server chose the subprotocol {name:?}, which was not offered")
            }
            ClientError::NoSubprotocol => f.write_str(
                "the server chose no subprotocol, but one is required: offer another, or do not require it",
            ),
            ClientError::Ended => {
                f.write_str("the server closed the connection before its answer was complete: is it HTTP?")
            }
        }
    }
}

fn refused(response: &Response, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let reason = response.status.canonical_reason().unwrap_or(&response.reason);
    let blank = if reason.is_empty() { "" } else { " " };
    write!(f, "the server answered {}{blank}{reason} instead of 101", response.status.as_str())?;
    match (response.status.as_u16(), response.header("location")) {
        (300..=399, Some(location)) => write!(f, ": it redirects to {location:?}"),
        (200..=299, _) => f.write_str(": it is a web server without a WebSocket at this path"),
        (401, _) => f.write_str(": send credentials"),
        (403, _) => f.write_str(": check the credentials and the Origin header"),
        (404, _) => f.write_str(": check the path"),
        (407, _) => f.write_str(": send credentials for the proxy"),
        (426, _) => f.write_str(": it wants another version of the protocol"),
        _ => Ok(()),
    }
}

impl core::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            ClientError::Head(error) => Some(error),
            #[cfg(feature = "deflate")]
            ClientError::Deflate(error) => Some(error),
            _ => None,
        }
    }
}

impl From<HeadError> for ClientError {
    fn from(error: HeadError) -> Self {
        ClientError::Head(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue, StatusCode, Version};

    #[test]
    fn refusals_say_what_to_do() {
        let mut headers = HeaderMap::new();
        headers.insert("location", HeaderValue::from_static("/new\u{9}"));
        for (status, expected) in [
            (302, "answered 302 Found instead of 101: it redirects to \"/new"),
            (200, "without a WebSocket"),
            (401, "send credentials"),
            (404, "check the path"),
            (503, "answered 503 Service Unavailable instead of 101"),
            (599, "answered 599 odd instead of 101"),
        ] {
            let error = ClientError::Refused(Box::new(Response {
                status: StatusCode::from_u16(status).unwrap(),
                reason: "odd".into(),
                version: Version::HTTP_11,
                headers: headers.clone(),
                body: Vec::new(),
                truncated: false,
            }));
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn text_of_the_peer_cannot_reach_a_terminal_raw() {
        let error = ClientError::SubprotocolNotOffered("\u{1b}[2J".into());
        assert!(!error.to_string().contains('\u{1b}'));
    }
}
