//! The server's side of an opening handshake on a stream: read the request, decide, answer.

use super::handshake::{Deadline, Timed};
use super::transport::Transport;
use super::websocket::WebSocket;
use crate::accept::{AcceptError, AcceptSettings, LINGER, LINGER_BYTES, acceptor_builder, opened};
use crate::handshake::proxy_header::{Parsed, ProxyHeader};
use crate::handshake::server::{Accept, Received, Upgrade};
use crate::handshake::{ConnectInfo, Reject, Reply, Request};
use crate::limits::Config;
use std::io;
use std::sync::Arc;

/// Does opening handshakes as a server, on any stream; [`Server`](super::Server) has one for its own.
///
/// ```no_run
/// # fn run(stream: std::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
/// use ws13::blocking::{Acceptor, Opening};
///
/// match Acceptor::new().read(stream)? {
///     Opening::Upgrade(asked) if asked.request().path() == "/chat" => {
///         let mut socket = asked.accept()?;
///         socket.send("welcome")?;
///     }
///     Opening::Upgrade(asked) => asked.reject(ws13::handshake::Reject::not_found())?,
///     Opening::Plain(plain) => plain.reply(ws13::handshake::Reply::not_found())?,
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Acceptor {
    pub(super) settings: AcceptSettings,
}

impl Acceptor {
    acceptor_builder!();

    /// Reads the request. What cannot be accepted has been answered when this returns an error.
    ///
    /// # Errors
    /// [`AcceptError`].
    pub fn read<S: Transport>(&self, stream: S) -> Result<Opening<S>, AcceptError> {
        self.read_from(stream, ConnectInfo::default())
    }

    /// As [`read`](Acceptor::read), and says where the connection came from, which the request then tells, with what
    /// trusted proxies add in its headers.
    ///
    /// # Errors
    /// As [`read`](Acceptor::read).
    pub fn read_from<S: Transport>(&self, stream: S, info: ConnectInfo) -> Result<Opening<S>, AcceptError> {
        self.read_until(stream, info, self.deadline())
    }

    /// Reads what a trusted proxy says by the PROXY protocol, where it was told to, and nothing behind it: for before
    /// TLS and [`read_from`](Acceptor::read_from).
    ///
    /// # Errors
    /// [`AcceptError::Proxy`] when it says something else; else as the stream failed, or took too long.
    pub fn read_proxy_header<S: Transport>(
        &self,
        stream: &mut S,
        info: ConnectInfo,
    ) -> Result<ConnectInfo, AcceptError> {
        self.read_proxy_header_until(stream, info, self.deadline())
    }

    /// When a handshake that begins now has to be done.
    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(self.settings.timeout)
    }

    pub(super) fn read_proxy_header_until<S: Transport>(
        &self,
        stream: &mut S,
        info: ConnectInfo,
        deadline: Deadline,
    ) -> Result<ConnectInfo, AcceptError> {
        if !self.settings.proxies.expects_header(&info) {
            return Ok(info);
        }
        let mut stream = Timed::new(stream, deadline);
        let mut bytes = Vec::new();
        loop {
            match ProxyHeader::parse(&bytes)? {
                Parsed::Header(header, _) => return Ok(info.behind(&header)),
                Parsed::More(more) if stream.read_up_to(more, &mut bytes)? == 0 => {
                    return Err(AcceptError::Ended);
                }
                Parsed::More(_) => {}
            }
        }
    }

    pub(super) fn read_until<S: Transport>(
        &self,
        mut stream: S,
        info: ConnectInfo,
        deadline: Deadline,
    ) -> Result<Opening<S>, AcceptError> {
        let mut early = Vec::new();
        let refused = match self.read_request(&mut Timed::new(&mut stream, deadline), info, &mut early) {
            Ok(Received::Plain(request)) => {
                return Ok(Opening::Plain(Box::new(Plain { stream, request, deadline })));
            }
            Ok(Received::Upgrade(upgrade)) => {
                let config = Arc::clone(self.settings.config());
                return Ok(Opening::Upgrade(Box::new(Asked { stream, upgrade, early, config, deadline })));
            }
            Err(AcceptError::Io(_)) if deadline.is_over() => AcceptError::Refused(Reject::request_timeout()),
            Err(error) => error,
        };
        if let AcceptError::Refused(reject) = &refused {
            // The answer has a second at least, whatever the client's request took.
            answer_and_end(&mut stream, &reject.encode(), deadline)?;
        }
        Err(refused)
    }

    fn read_request<S: Transport>(
        &self,
        stream: &mut Timed<'_, S>,
        info: ConnectInfo,
        bytes: &mut Vec<u8>,
    ) -> Result<Received, AcceptError> {
        let mut reading = self.settings.reading();
        loop {
            if stream.read(bytes)? == 0 {
                return Err(AcceptError::Ended);
            }
            if let Some((received, used)) = reading.receive(bytes).map_err(AcceptError::Refused)? {
                bytes.drain(..used);
                return self.settings.check(received, info).map_err(AcceptError::Refused);
            }
        }
    }
}

/// Refuses before anything was read.
pub(super) fn refuse<S: Transport>(mut stream: S, reject: &Reject) -> io::Result<()> {
    answer_and_end(&mut stream, &reject.encode(), Deadline::after(LINGER))
}

/// What a client asked for.
#[derive(Debug)]
pub enum Opening<S> {
    /// A WebSocket.
    Upgrade(Box<Asked<S>>),
    /// Something else, by plain HTTP.
    Plain(Box<Plain<S>>),
}

impl<S: Transport> Opening<S> {
    /// The request, whatever it asks for.
    pub fn request(&self) -> &Request {
        match self {
            Opening::Upgrade(asked) => asked.request(),
            Opening::Plain(plain) => plain.request(),
        }
    }

    /// Refuses it, and ends the connection.
    ///
    /// # Errors
    /// When the answer cannot be written.
    pub fn reject(self, reject: Reject) -> io::Result<()> {
        match self {
            Opening::Upgrade(asked) => asked.reject(reject),
            Opening::Plain(plain) => plain.reply(reject),
        }
    }
}

/// A valid opening handshake that waits for the decision; dropped, it ends the stream without an answer.
#[derive(Debug)]
pub struct Asked<S> {
    stream: S,
    upgrade: Upgrade,
    early: Vec<u8>,
    config: Arc<Config>,
    deadline: Deadline,
}

impl<S: Transport> Asked<S> {
    /// What the client asked for: path, query, headers, offered subprotocols, origin.
    pub fn request(&self) -> &Request {
        self.upgrade.request()
    }

    /// The stream, for the peer's address and the like.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Accepts, with the first of our subprotocols that was offered.
    ///
    /// # Errors
    /// When the answer cannot be written.
    pub fn accept(self) -> Result<WebSocket<S>, AcceptError> {
        Ok(self.accept_with(Accept::new())?.0)
    }

    /// Accepts with a subprotocol or headers of one's choice; gives the request along.
    ///
    /// # Errors
    /// [`AcceptError::Choice`] for a subprotocol that was not offered; else when the answer cannot be written.
    pub fn accept_with(mut self, accept: Accept) -> Result<(WebSocket<S>, Request), AcceptError> {
        let accepted = match self.upgrade.accept(accept) {
            Ok(accepted) => accepted,
            Err(error) => {
                // The client is not left without an answer for our mistake.
                answer_and_end(&mut self.stream, &Reject::internal_error().encode(), self.deadline)?;
                return Err(AcceptError::Choice(error));
            }
        };
        Timed::new(&mut self.stream, self.deadline.at_least(LINGER)).write_all(&accepted.response)?;
        let (connection, inbox) = opened(self.config, &accepted.agreed, &self.early);
        let socket = WebSocket::from_parts(self.stream, connection, inbox);
        Ok((socket.with_subprotocol(accepted.agreed.subprotocol), accepted.request))
    }

    /// Refuses with a status, headers and a body of one's choice, and ends the connection.
    ///
    /// # Errors
    /// When the answer cannot be written.
    pub fn reject(mut self, reject: Reject) -> io::Result<()> {
        answer_and_end(&mut self.stream, &self.upgrade.reject(reject), self.deadline)
    }
}

/// A plain HTTP request; dropped, it ends the stream without an answer.
#[derive(Debug)]
pub struct Plain<S> {
    stream: S,
    request: Request,
    deadline: Deadline,
}

impl<S: Transport> Plain<S> {
    /// The request.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Answers, and ends the connection.
    ///
    /// # Errors
    /// When the answer cannot be written.
    pub fn reply(mut self, reply: Reply) -> io::Result<()> {
        answer_and_end(&mut self.stream, &reply.encode_for(&self.request), self.deadline)
    }
}

/// Writes the last answer so that it arrives: ends our direction, and reads on for a bounded while.
pub(super) fn answer_and_end<S: Transport>(
    stream: &mut S,
    answer: &[u8],
    deadline: Deadline,
) -> io::Result<()> {
    let mut timed = Timed::new(stream, deadline.at_least(LINGER));
    timed.write_all(answer)?;
    timed.shutdown_write()?;
    linger(stream);
    Ok(())
}

/// Reads on for a bounded while, so that a reset does not eat what was written last.
pub(super) fn linger<S: Transport>(stream: &mut S) {
    let mut timed = Timed::new(stream, Deadline::after(LINGER));
    let (mut drained, mut scratch) = (0, Vec::new());
    while drained < LINGER_BYTES {
        match timed.read(&mut scratch) {
            Ok(0) | Err(_) => break,
            Ok(len) => drained += len,
        }
        scratch.clear();
    }
}
