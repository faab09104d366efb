//! The handshake under way: it waits for the answer and judges it.

use super::body::ReadBody;
use super::{ClientError, Request, Response};
use crate::extension::{self, Claims};
use crate::handshake::Agreed;
use crate::handshake::error::Invalid;
use crate::handshake::fields;
use crate::handshake::http1::ReadResponse;
use crate::handshake::key::Key;
use crate::handshake::subprotocol::Subprotocol;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, StatusCode, Version};

/// A handshake that was sent and waits for its answer.
#[derive(Debug)]
pub struct Upgrade {
    request: Request,
    key: Key,
    state: State,
}

#[derive(Debug)]
enum State {
    Head(ReadResponse),
    Body(Box<Response>, ReadBody),
}

/// The server opened the connection.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// What holds for the connection.
    pub agreed: Agreed,
    /// The 101 response, for its other headers.
    pub response: Response,
}

impl Upgrade {
    /// Starts a handshake with a fresh key of the operating system's randomness: write the bytes, then read.
    ///
    /// # Errors
    /// [`Invalid::SubprotocolTwice`], [`Invalid::Randomness`].
    pub fn start(request: Request) -> Result<(Self, Vec<u8>), Invalid> {
        Upgrade::with_key(request, Key::random()?)
    }

    /// Starts a handshake with a key from another source. RFC 6455, 4.1: it must be random for each
    /// connection.
    ///
    /// # Errors
    /// [`Invalid::SubprotocolTwice`].
    pub fn new(request: Request, key: [u8; 16]) -> Result<(Self, Vec<u8>), Invalid> {
        Upgrade::with_key(request, Key::new(key))
    }

    fn with_key(request: Request, key: Key) -> Result<(Self, Vec<u8>), Invalid> {
        let bytes = request.encode(&key)?;
        let state = State::Head(ReadResponse::new(request.limits));
        Ok((Upgrade { request, key, state }, bytes))
    }

    /// Give it everything received so far, each time: the same buffer, growing. `None`: read more.
    ///
    /// The number is how many bytes the answer took; what follows them is the first frames. Work is linear in
    /// the bytes, however few come at a time.
    ///
    /// # Errors
    /// [`ClientError`]. A refusal is [`ClientError::Refused`], once its body is complete or over the limit.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<(Accepted, usize)>, ClientError> {
        loop {
            match &mut self.state {
                State::Head(head) => {
                    let Some((response, consumed)) = head.receive(bytes)? else { return Ok(None) };
                    if response.status == StatusCode::SWITCHING_PROTOCOLS {
                        return Ok(Some((self.judge(response)?, consumed)));
                    }
                    // RFC 9110, 15.2: any number of interim responses may come first. The head limit is for
                    // all.
                    if response.status.is_informational() {
                        head.next_head();
                        continue;
                    }
                    let limit = self.request.body_limit;
                    let body = ReadBody::new(response.status, &response.headers, consumed, limit);
                    self.state = State::Body(Box::new(response), body);
                }
                State::Body(response, body) => {
                    return if body.receive(bytes) { Err(refused(response, body)) } else { Ok(None) };
                }
            }
        }
    }

    /// The connection ended, or the time is over: what arrived is all there is.
    ///
    /// # Errors
    /// As [`receive`](Upgrade::receive); [`ClientError::Refused`] with what there is of the body, or
    /// [`ClientError::Ended`] when the head is not complete.
    pub fn receive_eof(&mut self, bytes: &[u8]) -> Result<(Accepted, usize), ClientError> {
        if let Some(accepted) = self.receive(bytes)? {
            return Ok(accepted);
        }
        match &mut self.state {
            State::Head(_) => Err(ClientError::Ended),
            State::Body(response, body) => {
                body.end();
                Err(refused(response, body))
            }
        }
    }

    /// RFC 6455, 4.1, what a client checks in the answer. Content-Length and Transfer-Encoding mean nothing
    /// in a 101 (RFC 9112, 6.3): they are ignored.
    fn judge(&self, response: Response) -> Result<Accepted, ClientError> {
        let headers = &response.headers;
        if response.version < Version::HTTP_11 {
            return Err(ClientError::HttpVersion);
        }
        if !fields::has_token(headers, &UPGRADE, "websocket") {
            return Err(ClientError::Upgrade);
        }
        if !fields::has_token(headers, &CONNECTION, "upgrade") {
            return Err(ClientError::Connection);
        }
        if fields::single(headers, &SEC_WEBSOCKET_ACCEPT) != Some(self.key.accept().as_bytes()) {
            return Err(ClientError::Accept);
        }
        let extensions = self.check_extensions(headers)?;
        #[cfg(feature = "deflate")]
        let deflate = self.check_deflate(extensions.as_deref())?;
        #[cfg(feature = "deflate")]
        let taken = deflate.map_or(Claims::NONE, |_| Claims::DEFLATE);
        #[cfg(not(feature = "deflate"))]
        let taken = Claims::NONE;
        let agreed = Agreed {
            subprotocol: self.check_subprotocol(headers)?,
            #[cfg(feature = "deflate")]
            deflate,
            claims: self.check_own(extensions.as_deref(), taken)?,
            extensions,
        };
        Ok(Accepted { agreed, response })
    }

    /// RFC 7692, 7.1: an answer that does not fit the offer fails the connection.
    #[cfg(feature = "deflate")]
    fn check_deflate(&self, answer: Option<&str>) -> Result<Option<crate::deflate::Agreed>, ClientError> {
        let (Some(settings), Some(answer)) = (&self.request.deflate, answer) else { return Ok(None) };
        let answer = extension::parse(answer).map_err(|_| ClientError::Extensions)?;
        crate::deflate::check(settings, &answer).map_err(ClientError::Deflate)
    }

    /// What the client's own extensions make of the answer.
    fn check_own(&self, answer: Option<&str>, taken: Claims) -> Result<Claims, ClientError> {
        let answer = extension::parse(answer.unwrap_or_default()).map_err(|_| ClientError::Extensions)?;
        extension::check(&self.request.own, &answer, taken).map_err(ClientError::Extension)
    }

    /// "If this header field indicates the use of an extension that was not present in the client's handshake
    /// … the client MUST _Fail the WebSocket Connection_."
    fn check_extensions(&self, headers: &HeaderMap) -> Result<Option<String>, ClientError> {
        let joined =
            fields::joined(headers, &SEC_WEBSOCKET_EXTENSIONS).map_err(|_| ClientError::Extensions)?;
        let Some(joined) = joined else { return Ok(None) };
        let names = |value: &str| extension::names(value).map_err(|_| ClientError::Extensions);
        let offered = names(&self.request.offered_extensions().unwrap_or_default())?;
        match names(&joined)?.into_iter().find(|name| !offered.contains(name)) {
            Some(name) => Err(ClientError::ExtensionNotOffered(name)),
            None => Ok(Some(joined)),
        }
    }

    /// "If this header field indicates the use of a subprotocol that was not present in the client's
    /// handshake …, the client MUST _Fail the WebSocket Connection_."
    fn check_subprotocol(&self, headers: &HeaderMap) -> Result<Option<Subprotocol>, ClientError> {
        let unreadable = |_| ClientError::SubprotocolNotOffered("(not ASCII)".to_owned());
        let joined = fields::joined(headers, &SEC_WEBSOCKET_PROTOCOL).map_err(unreadable)?;
        let Some(chosen) = joined else {
            let failed = self.request.require_subprotocol;
            return if failed { Err(ClientError::NoSubprotocol) } else { Ok(None) };
        };
        if chosen.contains(',') {
            return Err(ClientError::SeveralSubprotocols);
        }
        let offered = self.request.subprotocols.iter().find(|offered| offered.as_str() == chosen);
        offered.cloned().map(Some).ok_or(ClientError::SubprotocolNotOffered(chosen))
    }
}

fn refused(response: &Response, body: &ReadBody) -> ClientError {
    let (body, truncated) = (body.body.clone(), body.truncated);
    ClientError::Refused(Box::new(Response { body, truncated, ..response.clone() }))
}

#[cfg(test)]
mod tests;
