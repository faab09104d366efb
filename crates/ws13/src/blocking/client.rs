//! Dialling: from a URL to a `WebSocket`.

use super::dial::{Dialler, Resolver};
use super::handshake::{Deadline, Timed};
use super::net::Stream;
use super::transport::Transport;
use super::websocket::WebSocket;
use crate::client::{ClientSettings, ConnectError, Opened, Phase, Progress, client_builder, or_end};
use crate::handshake::Response;
use crate::trace::Dialled;
use std::io;
use std::net::SocketAddr;

/// Connects to a `ws://` or `wss://` URL with the default settings.
///
/// # Errors
/// See [`ConnectError`].
pub fn connect(url: &str) -> Result<WebSocket<Stream>, ConnectError> {
    Client::new(url)?.connect()
}

/// A connection to be made.
///
/// ```no_run
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use ws13::blocking::Client;
///
/// let mut socket = Client::new("ws://127.0.0.1:12345/chat")?
///     .subprotocol("me-want-cookies")
///     .header("Authorization", "Bearer …")
///     .connect()?;
/// socket.send("hi")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    settings: ClientSettings,
    resolver: Option<Resolver>,
}

impl Client {
    client_builder!();

    /// Finds addresses in another way than the system's: by host and port, in the order in which they are preferred.
    /// Hosts that are addresses are not asked for. It is called in a thread of its own, which is left behind when it
    /// takes longer than the timeout.
    #[must_use]
    pub fn resolver(
        self,
        resolve: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Client { resolver: Some(Resolver::new(resolve)), ..self }
    }

    /// Dials, and does the opening handshake.
    ///
    /// # Errors
    /// See [`ConnectError`]; an answer other than 101 comes as it is, with its body.
    pub fn connect(self) -> Result<WebSocket<Stream>, ConnectError> {
        Ok(self.connect_with_response()?.0)
    }

    /// As [`connect`](Client::connect), and gives the 101 response, for its headers.
    ///
    /// # Errors
    /// As [`connect`](Client::connect).
    pub fn connect_with_response(mut self) -> Result<(WebSocket<Stream>, Response), ConnectError> {
        let dialled = Dialled::new(&self.settings.url);
        let made = dialled.run(|| self.follow());
        report(dialled, made)
    }

    /// Connects, to wherever the server redirects.
    fn follow(&mut self) -> Made<Stream> {
        self.settings.check()?;
        let (deadline, mut progress) = (Deadline::after(self.settings.timeout), Progress::default());
        loop {
            match self.dial_and_upgrade(deadline, &mut progress) {
                Err(error) => {
                    let error = or_timeout(&self.settings, deadline, &mut progress, error);
                    self.settings.follow(error)?;
                }
                made => return made,
            }
        }
    }

    /// Does the opening handshake on a stream of one's own: an encrypted one, a tunnel, a test's.
    ///
    /// # Errors
    /// As [`connect`](Client::connect).
    pub fn connect_on<S: Transport>(self, stream: S) -> Result<(WebSocket<S>, Response), ConnectError> {
        let (deadline, dialled) = (Deadline::after(self.settings.timeout), Dialled::new(&self.settings.url));
        let made = dialled.run(|| handshake(&self.settings, stream, deadline));
        let or_timeout = |error| or_timeout(&self.settings, deadline, &mut Progress::default(), error);
        report(dialled, made.map_err(or_timeout))
    }

    fn dial_and_upgrade(
        &self,
        deadline: Deadline,
        progress: &mut Progress,
    ) -> Result<(WebSocket<Stream>, Response), ConnectError> {
        let (settings, resolver) = (&self.settings, self.resolver.as_ref());
        let stream = Dialler { settings, resolver, progress: &mut *progress, deadline }.dial()?;
        progress.phase = Phase::Handshake;
        handshake(settings, stream, deadline)
    }
}

type Made<S> = Result<(WebSocket<S>, Response), ConnectError>;

fn report<S>(dialled: Dialled, mut made: Made<S>) -> Made<S> {
    match &mut made {
        Ok((socket, _)) => dialled.opened(&mut socket.handle.access()),
        Err(error) => dialled.failed(error),
    }
    made
}

fn handshake<S: Transport>(
    settings: &ClientSettings,
    mut stream: S,
    deadline: Deadline,
) -> Result<(WebSocket<S>, Response), ConnectError> {
    let timed = Timed::new(&mut stream, deadline);
    let Opened { connection, inbox, subprotocol, response } = upgrade(settings, timed)?;
    let socket = WebSocket::from_parts(stream, connection, inbox).with_subprotocol(subprotocol);
    Ok((socket, response))
}

fn upgrade<S: Transport>(
    settings: &ClientSettings,
    mut stream: Timed<'_, S>,
) -> Result<Opened, ConnectError> {
    let (mut upgrade, bytes) = settings.start()?;
    stream.write_all(&bytes)?;
    let mut received = Vec::new();
    loop {
        let answer = match or_end(stream.read(&mut received))? {
            0 => upgrade.receive_eof(&received).map(Some),
            _ => upgrade.receive(&received),
        };
        let answer = answer.map_err(|error| settings.refusal(error, &received))?;
        if let Some((accepted, used)) = answer {
            return Ok(settings.finish(accepted, &received[used..]));
        }
    }
}

/// What went wrong, if it was not that the time is over.
fn or_timeout(
    settings: &ClientSettings,
    deadline: Deadline,
    progress: &mut Progress,
    error: ConnectError,
) -> ConnectError {
    match error {
        // What was answered in the last moment counts.
        error @ (ConnectError::Handshake(_) | ConnectError::Proxy { .. }) => error,
        _ if deadline.is_over() => progress.timed_out(settings.timeout),
        error => error,
    }
}
