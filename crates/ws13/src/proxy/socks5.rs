//! SOCKS5 (RFC 1928), with no authentication or a user name and a password (RFC 1929).

use super::ProxyError;
use super::tunnel::Answer;
use crate::handshake::User;
use core::net::IpAddr;

/// A talk with a SOCKS5 proxy.
#[derive(Debug)]
pub(super) struct Socks5 {
    state: State,
    /// The request, sent once the proxy knows who asks.
    request: Vec<u8>,
    /// The answer to the proxy's wish for a user name and a password, where there is one.
    credentials: Option<Credentials>,
}

/// What the proxy answers next.
#[derive(Clone, Copy, Debug)]
enum State {
    Method,
    Authentication,
    Connect,
}

/// Bytes that no log shows.
struct Credentials(Vec<u8>);

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;

/// Version, code, a reserved byte, the kind of the address and its first byte: any answer is longer.
const ANSWER_START: usize = 5;

impl Socks5 {
    pub(super) fn begin(host: &str, port: u16, user: Option<&User>) -> (Self, Vec<u8>) {
        let hello = match user {
            None => vec![VERSION, 1, NO_AUTHENTICATION],
            Some(_) => vec![VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD],
        };
        let credentials = user.map(credentials);
        (Socks5 { state: State::Method, request: request(host, port), credentials }, hello)
    }

    pub(super) fn judge(&mut self, received: &[u8]) -> Result<Answer, ProxyError> {
        match self.state {
            State::Method => self.judge_method(received),
            State::Authentication => self.judge_authentication(received),
            State::Connect => judge_connect(received),
        }
    }

    /// RFC 1928, section 3: version and method.
    fn judge_method(&mut self, received: &[u8]) -> Result<Answer, ProxyError> {
        check_version(received)?;
        let &[_, method, ..] = received else { return Ok(Answer::Incomplete(2 - received.len())) };
        match (method, &self.credentials) {
            (NO_AUTHENTICATION, _) => Ok(self.ask()),
            (USER_AND_PASSWORD, Some(credentials)) => {
                self.state = State::Authentication;
                Ok(Answer::Reply(credentials.0.clone()))
            }
            (NONE_ACCEPTABLE, sent) => Err(ProxyError::Authentication { sent: sent.is_some(), wanted: None }),
            _ => Err(ProxyError::Malformed("it chose a method of authentication that was not offered")),
        }
    }

    /// RFC 1929, section 2: version, and 0 for success. Some proxies put 5 for the version, so it is not looked at.
    fn judge_authentication(&mut self, received: &[u8]) -> Result<Answer, ProxyError> {
        match received {
            &[_, 0, ..] => Ok(self.ask()),
            &[_, _, ..] => Err(ProxyError::Authentication { sent: true, wanted: None }),
            short => Ok(Answer::Incomplete(2 - short.len())),
        }
    }

    fn ask(&mut self) -> Answer {
        self.state = State::Connect;
        Answer::Reply(self.request.clone())
    }
}

/// RFC 1928, section 6. The address at which the proxy itself is bound is of no interest.
fn judge_connect(received: &[u8]) -> Result<Answer, ProxyError> {
    check_version(received)?;
    if let Some(&code) = received.get(1).filter(|&&code| code != 0) {
        return Err(ProxyError::Socks(code));
    }
    let &[_, _, _, kind, first, ..] = received else {
        return Ok(Answer::Incomplete(ANSWER_START - received.len()));
    };
    let address = match kind {
        1 => 4,
        3 => 1 + usize::from(first),
        4 => 16,
        _ => return Err(ProxyError::Malformed("its answer has a kind of address that is none")),
    };
    match (4 + address + 2).saturating_sub(received.len()) {
        0 => Ok(Answer::Open),
        missing => Ok(Answer::Incomplete(missing)),
    }
}

fn check_version(received: &[u8]) -> Result<(), ProxyError> {
    match received.first() {
        Some(&version) if version != VERSION => Err(ProxyError::NotSocks5(version)),
        _ => Ok(()),
    }
}

/// RFC 1928, section 4: a CONNECT.
fn request(host: &str, port: u16) -> Vec<u8> {
    let mut request = vec![VERSION, 1, 0];
    match host.parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(1);
            request.extend_from_slice(&address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(4);
            request.extend_from_slice(&address.octets());
        }
        Err(_) => {
            request.push(3);
            push_counted(&mut request, host);
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    request
}

/// RFC 1929, section 2.
fn credentials(user: &User) -> Credentials {
    let mut bytes = vec![1];
    push_counted(&mut bytes, user.name());
    push_counted(&mut bytes, user.password().unwrap_or_default());
    Credentials(bytes)
}

/// A length of one byte, then the text. Hosts and credentials of a `Proxy` are never longer; anything else is cut.
fn push_counted(target: &mut Vec<u8>, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(usize::from(u8::MAX))];
    target.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    target.extend_from_slice(bytes);
}
