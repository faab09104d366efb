//! HTTP CONNECT (RFC 9110, section 9.3.6), with Basic authentication.

use super::tunnel::Answer;
use super::{ProxyError, authority};
use crate::handshake::http1::ReadResponse;
use crate::handshake::{HeadLimits, Response, User};
use http::StatusCode;
use http::header::{PROXY_AUTHENTICATE, WWW_AUTHENTICATE};

/// A CONNECT that waits for its answer.
#[derive(Debug)]
pub(super) struct Connect {
    reading: ReadResponse,
    /// Whether credentials were sent.
    authenticated: bool,
}

/// What ends a head.
const END: &[u8] = b"\r\n\r\n";

impl Connect {
    /// The request. Its target and Host are checked by the types they come from.
    pub(super) fn begin(host: &str, port: u16, user: Option<&User>) -> (Self, Vec<u8>) {
        let target = authority(host, port);
        let credentials = user.map(|user| format!("Proxy-Authorization: {}\r\n", user.basic()));
        let request = format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n",
            credentials.as_deref().unwrap_or_default()
        );
        let reading = ReadResponse::new(HeadLimits::response());
        (Connect { reading, authenticated: user.is_some() }, request.into_bytes())
    }

    /// Any answer of 2xx opens the tunnel; "any Content-Length or Transfer-Encoding header fields received in a
    /// successful response to CONNECT" are ignored (RFC 9110, 9.3.6).
    pub(super) fn judge(&mut self, received: &[u8]) -> Result<Answer, ProxyError> {
        while let Some((response, _)) = self.reading.receive(received).map_err(ProxyError::Head)? {
            let interim = response.status.is_informational();
            if interim && response.status != StatusCode::SWITCHING_PROTOCOLS {
                self.reading.next_head();
                continue;
            }
            return if response.status.is_success() { Ok(Answer::Open) } else { Err(self.refused(response)) };
        }
        Ok(Answer::Incomplete(missing(received)))
    }

    fn refused(&self, response: Response) -> ProxyError {
        // Some proxies (tinyproxy) answer 401 where credentials are wrong.
        let wanting = [StatusCode::PROXY_AUTHENTICATION_REQUIRED, StatusCode::UNAUTHORIZED];
        if !wanting.contains(&response.status) {
            return ProxyError::Refused { status: response.status, reason: response.reason };
        }
        let headers = &response.headers;
        let wanted = headers.get_all(PROXY_AUTHENTICATE).iter().chain(headers.get_all(WWW_AUTHENTICATE));
        let wanted: Vec<_> = wanted.filter_map(|value| value.to_str().ok()).collect();
        ProxyError::Authentication {
            sent: self.authenticated,
            wanted: (!wanted.is_empty()).then(|| wanted.join(", ")),
        }
    }
}

/// How many bytes are missing at least: no head ends before its empty line is complete.
fn missing(received: &[u8]) -> usize {
    let begun = (1..END.len()).rev().find(|&len| received.ends_with(&END[..len])).unwrap_or(0);
    END.len() - begun
}
