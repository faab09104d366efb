//! Whether a failure to connect is worth another try, and when the server says so.

use super::error::ConnectError;
use crate::handshake::{ClientError, Response};
use std::time::{Duration, SystemTime};

impl ConnectError {
    /// Whether another try could end otherwise, with nothing changed on this side: the network, a server that is
    /// down, overloaded or starting. Not where the answer is a matter of the request, of credentials or of trust.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self.cause() {
            ConnectError::Resolve { .. }
            | ConnectError::Dial { .. }
            | ConnectError::Io(_)
            | ConnectError::Timeout(_)
            | ConnectError::Handshake(ClientError::Ended) => true,
            ConnectError::Proxy { error, .. } => error.is_temporary(),
            #[cfg(feature = "tls")]
            ConnectError::Tls(error) | ConnectError::ProxyTls { error, .. } => {
                matches!(error, crate::tls::TlsError::Io(_) | crate::tls::TlsError::Ended)
            }
            ConnectError::Handshake(ClientError::Refused(response)) => is_temporary(response),
            _ => false,
        }
    }

    /// How long the server asks to stay away: the Retry-After of a 503 or a 429, in seconds or as a date (RFC 9110
    /// section 10.2.3). A date that is over is no time at all.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let response = self.response().filter(|response| matches!(response.status.as_u16(), 429 | 503))?;
        retry_after(response.header("retry-after")?, SystemTime::now())
    }
}

/// RFC 9110, section 15: what the server says of itself, and "come later".
fn is_temporary(response: &Response) -> bool {
    match response.status.as_u16() {
        408 | 425 | 429 => true,
        501 | 505 | 511 => false,
        status => status >= 500,
    }
}

fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::ProxyError;
    use std::time::UNIX_EPOCH;

    fn refused(status: u16, retry_after: Option<&'static str>) -> ConnectError {
        crate::client::error::refused(status, retry_after.map(|value| ("retry-after", value)))
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 60);
        let seconds = |value| retry_after(value, now).map(|after| after.as_secs());
        for (value, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(60)),
            ("Sun Nov  6 08:49:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 07:49:37 GMT", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(seconds(value), expected, "{value}");
        }
        assert_eq!(refused(503, Some("7")).retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(refused(429, Some("7")).retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(refused(503, None).retry_after(), None);
        assert_eq!(refused(404, Some("7")).retry_after(), None);
    }

    #[test]
    fn what_is_worth_another_try() {
        for (status, temporary) in [
            (200, false),
            (302, false),
            (400, false),
            (401, false),
            (403, false),
            (404, false),
            (407, false),
            (408, true),
            (426, false),
            (429, true),
            (500, true),
            (501, false),
            (502, true),
            (503, true),
            (504, true),
        ] {
            assert_eq!(refused(status, None).is_temporary(), temporary, "{status}");
        }
        let io = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let proxy = |error| ConnectError::Proxy { proxy: String::new(), error };
        let gone = ConnectError::Dial { to: String::new(), attempts: Vec::new() };
        for temporary in [io().into(), gone, proxy(ProxyError::Socks(5)), proxy(ProxyError::Ended)] {
            assert!(temporary.is_temporary(), "{temporary}");
        }
        let url = crate::handshake::Url::new("ftp://a").unwrap_err();
        let wanted = ProxyError::Authentication { sent: true, wanted: None };
        for lasting in [ConnectError::Url(url), ConnectError::NoTls, proxy(wanted)] {
            assert!(!lasting.is_temporary(), "{lasting}");
        }
        #[cfg(feature = "tls")]
        {
            use crate::tls::TlsError;
            let expired = || TlsError::Expired { since: None };
            let proxy = ConnectError::ProxyTls { proxy: String::new(), error: expired() };
            assert!(!ConnectError::Tls(expired()).is_temporary() && !proxy.is_temporary());
            assert!(ConnectError::Tls(TlsError::Ended).is_temporary());
        }
        let behind = ConnectError::Redirected { asked: Vec::new(), error: Box::new(refused(503, Some("1"))) };
        assert!(behind.is_temporary() && behind.retry_after() == Some(Duration::from_secs(1)));
    }
}
