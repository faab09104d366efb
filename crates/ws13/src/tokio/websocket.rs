//! `WebSocket`: a connection on a stream, for one task.

use super::driver::Driver;
use super::parts::{MessageReader, MessageWriter};
use super::shared::{Access, Handle, Held, Shared};
use super::split::{Receiver, Sender};
use crate::close::{CloseCode, CloseFrame};
use crate::connection::{Closed, Connection, Event, FactOrEnd, Inbox, Mode, Outgoing, Output, Role, Stats};
use crate::error::{Error, Misuse};
use crate::handshake::{Agreed, Subprotocol};
use crate::limits::Config;
use crate::message::{Kind, Message};
use crate::text::Text;
use bytes::Bytes;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// A WebSocket connection on the stream `S`, after its opening handshake.
///
/// [`connect`](crate::connect), [`Client`](crate::Client), [`Server`](crate::Server) and [`Peer`](crate::Peer) give
/// one; [`from_upgraded`](WebSocket::from_upgraded) makes one of a stream on which somebody else did the handshake.
///
/// Pings are answered, keepalive runs and deadlines are kept while a method of the socket waits (in
/// [`Server::serve`](crate::Server::serve): always). Dropping a socket ends its stream without a closing handshake,
/// which the peer sees as 1006; say [`close`](WebSocket::close) first.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ws13::Error> {
/// use ws13::{CloseCode, Config, Message, Role, WebSocket};
///
/// let (near, far) = tokio::io::duplex(1024);
/// let mut client = WebSocket::from_upgraded(near, Role::Client, Config::default());
/// let mut server = WebSocket::from_upgraded(far, Role::Server, Config::default());
///
/// client.send("hi").await?;
/// assert_eq!(server.receive().await?, Some(Message::from("hi")));
///
/// let (closed, received) = tokio::join!(client.close(CloseCode::NORMAL, "bye"), server.receive());
/// closed?;
/// assert_eq!(received?, None);
/// assert_eq!(server.closed().unwrap().reason(), "bye");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WebSocket<S> {
    pub(super) handle: Handle<S>,
    subprotocol: Option<Subprotocol>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// A socket on a stream on which somebody else did the opening handshake.
    pub fn from_upgraded(stream: S, role: Role, config: impl Into<Arc<Config>>) -> Self {
        WebSocket::from_parts(stream, Connection::new(role, config), Inbox::new())
    }

    /// A socket of its parts: for a connection with masking keys of one's own, or with bytes that came early.
    pub fn from_parts(stream: S, connection: Connection, inbox: Inbox) -> Self {
        WebSocket { handle: Handle::Own(Box::new(Driver::new(stream, connection, inbox))), subprotocol: None }
    }

    /// A socket on a stream on which somebody else did the opening handshake, with what it agreed on, and the bytes
    /// that came `early`, behind it: nothing is lost, and compression and the subprotocol are as agreed.
    pub fn from_handshake(
        stream: S,
        role: Role,
        config: impl Into<Arc<Config>>,
        agreed: &Agreed,
        early: &[u8],
    ) -> Self {
        let mut inbox = Inbox::new();
        if !early.is_empty() {
            inbox.extend_from_slice(early);
        }
        let connection = Connection::new(role, config).agreed(agreed);
        WebSocket::from_parts(stream, connection, inbox).with_subprotocol(agreed.subprotocol.clone())
    }

    /// Says which subprotocol the handshake agreed on.
    #[must_use]
    pub fn with_subprotocol(mut self, subprotocol: Option<Subprotocol>) -> Self {
        self.subprotocol = subprotocol;
        self
    }

    /// The subprotocol that was agreed on (RFC 6455 section 1.9).
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_ref().map(AsRef::as_ref)
    }

    /// The extensions that were agreed on, as the server named them (RFC 6455 section 9.1).
    pub fn extensions(&mut self) -> Option<String> {
        self.handle.access().connection.extensions().map(str::to_owned)
    }

    /// All bytes that have arrived since the opening handshake: frames, headers and all.
    pub fn bytes_read(&mut self) -> u64 {
        self.handle.access().inbox.received()
    }

    /// All bytes that were written since the opening handshake.
    pub fn bytes_written(&mut self) -> u64 {
        self.handle.access().outbox.written()
    }

    /// Waits for the next message; `None` when the connection was closed cleanly, whatever the code
    /// ([`closed`](WebSocket::closed) tells it).
    ///
    /// What is queued is always written before this waits.
    ///
    /// # Errors
    /// When the peer broke the protocol or a limit, or the connection was lost: see [`Error`].
    ///
    /// # Cancel safety
    /// Cancel safe: nothing that arrived is lost when the future is dropped.
    #[inline]
    pub fn receive(&mut self) -> Receive<'_, S> {
        Receive(self)
    }

    /// As [`receive`](WebSocket::receive), but lends messages out of the buffer they arrived in, with the means to
    /// answer them: the fastest way, for those who can handle them at once. Gives Pings and Pongs, too.
    ///
    /// Waits, too, while the outgoing queue is over its mark, so that the output always has room.
    ///
    /// ```
    /// # async fn echo(mut socket: ws13::WebSocket<tokio::net::TcpStream>) -> Result<(), ws13::Error> {
    /// while let Some(mut lent) = socket.receive_ref().await? {
    ///     while let Some((event, mut output)) = lent.next_event() {
    ///         if let ws13::Event::Message(message) = event {
    ///             output.send(message)?; // written with the next `receive_ref`
    ///         }
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`receive`](WebSocket::receive).
    ///
    /// # Cancel safety
    /// Cancel safe while it waits. A [`Lent`] that is dropped before its first event was taken loses that one event.
    pub fn receive_ref(&mut self) -> ReceiveRef<'_, S> {
        ReceiveRef(match &mut self.handle {
            Handle::Own(driver) => Source::Own(Some(driver)),
            Handle::Shared(shared) => Source::Shared(shared),
        })
    }

    /// Waits for the next message and hands it out in parts as it arrives, in bounded memory; `None` when the
    /// connection was closed cleanly. The limits on messages and frames do not apply to it.
    ///
    /// A reader that is dropped early skips the rest of its message.
    ///
    /// # Errors
    /// As [`receive`](WebSocket::receive).
    ///
    /// # Cancel safety
    /// Cancel safe while it waits for the message to begin.
    pub async fn reader(&mut self) -> Result<Option<MessageReader<'_, S>>, Error> {
        MessageReader::begin(self).await
    }

    /// Sends a message: `&str` and `String` as text, `&[u8]`, `Vec<u8>` and `Bytes` as binary.
    ///
    /// The message is queued by the call itself; the future waits until it is written. In
    /// [`Server::serve`](crate::Server::serve) it waits only until the queue has room: the connection's task writes
    /// everything in one go as soon as the handler waits for anything at all.
    ///
    /// # Errors
    /// [`Error::Misuse`] when the message was not queued, such as after a close; else as the connection was lost.
    ///
    /// # Cancel safety
    /// A dropped future loses nothing: the message stays queued, and goes out with the next operation.
    #[inline]
    pub fn send<'a>(&mut self, message: impl Into<Outgoing<'a>>) -> Sending<'_, S> {
        let refused = self.handle.access().send(message.into()).err();
        Sending { handle: &mut self.handle, refused }
    }

    /// Queues a message without writing it: [`flush`](WebSocket::flush), `send` or `receive` does.
    ///
    /// # Errors
    /// [`Misuse`], and [`Misuse::QueueFull`] when the queue is over its cap.
    #[inline(always)] // as a call, an owned message went there through memory: 1 % in bulk
    pub fn feed<'a>(&mut self, message: impl Into<Outgoing<'a>>) -> Result<(), Misuse> {
        self.handle.access().send(message.into())
    }

    /// Writes everything that is queued.
    ///
    /// # Errors
    /// When the connection was lost.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub fn flush(&mut self) -> Sending<'_, S> {
        Sending { handle: &mut self.handle, refused: None }
    }

    /// Begins a message that is written in parts.
    ///
    /// ```
    /// # async fn stream(mut socket: ws13::WebSocket<tokio::net::TcpStream>) -> Result<(), ws13::Error> {
    /// let mut writer = socket.writer(ws13::Kind::Binary);
    /// writer.write(b"part one, ").await?;
    /// writer.write(b"part two").await?;
    /// writer.finish().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn writer(&mut self, kind: Kind) -> MessageWriter<'_, S> {
        MessageWriter::new(self, kind)
    }

    /// Sends a Ping of up to 125 bytes; its Pong shows up in [`receive_ref`](WebSocket::receive_ref). Keepalive does
    /// this by itself.
    ///
    /// # Errors
    /// As [`send`](WebSocket::send).
    ///
    /// # Cancel safety
    /// As [`send`](WebSocket::send).
    pub fn ping(&mut self, payload: &[u8]) -> Sending<'_, S> {
        let refused = self.handle.access().ping(payload).err();
        Sending { handle: &mut self.handle, refused }
    }

    /// Sends an unsolicited Pong of up to 125 bytes, which nobody answers.
    ///
    /// # Errors
    /// As [`send`](WebSocket::send).
    ///
    /// # Cancel safety
    /// As [`send`](WebSocket::send).
    pub fn pong(&mut self, payload: &[u8]) -> Sending<'_, S> {
        let refused = self.handle.access().pong(payload).err();
        Sending { handle: &mut self.handle, refused }
    }

    /// Closes the connection: sends a Close frame, waits for the peer's, and for the end of the stream as RFC 6455
    /// section 7.1.1 has it. Messages that arrive meanwhile are dropped; who wants them says
    /// [`start_close`](WebSocket::start_close) and receives on.
    ///
    /// # Errors
    /// [`Misuse::CloseReason`] for a reason of more than 123 bytes; [`Lost`](crate::Lost) when the peer did not
    /// answer within the close timeout, and so on. A connection that was closed already is no error.
    ///
    /// # Cancel safety
    /// The Close frame stays queued; call it again to wait on.
    pub async fn close(&mut self, code: CloseCode, reason: impl Into<Text>) -> Result<(), Error> {
        self.start_close(code, reason)?;
        while self.receive().await?.is_some() {}
        Ok(())
    }

    /// Begins to close: queues the Close frame. Goes on with [`receive`](WebSocket::receive), which gives `None` at
    /// the end.
    ///
    /// # Errors
    /// [`Misuse::CloseReason`] for a reason of more than 123 bytes.
    pub fn start_close(&mut self, code: CloseCode, reason: impl Into<Text>) -> Result<(), Misuse> {
        let frame = CloseFrame::new(code, reason)?;
        self.handle.access().close(Some(frame));
        Ok(())
    }

    /// How the connection ended, once it has.
    pub fn closed(&mut self) -> Option<Closed> {
        self.handle.access().connection.closed().cloned()
    }

    /// The round-trip time of the latest Ping of keepalive that was answered.
    pub fn round_trip(&mut self) -> Option<Duration> {
        self.handle.access().connection.round_trip()
    }

    /// What the connection has done so far: messages, bytes, round-trip time.
    pub fn stats(&mut self) -> Stats {
        self.handle.access().stats()
    }

    /// Bytes that are queued and not written.
    pub fn queued(&mut self) -> usize {
        self.handle.access().outbox.queued()
    }

    /// Two halves for two tasks. The sender can be cloned for any number of tasks; the receiver runs keepalive.
    pub fn split(self) -> (Sender<S>, Receiver<S>) {
        let shared = match self.handle {
            Handle::Own(driver) => Held::new(Shared::new(*driver)),
            Handle::Shared(shared) => shared,
        };
        let receiver = WebSocket { handle: Handle::Shared(shared.clone()), subprotocol: self.subprotocol };
        (Sender::new(shared), Receiver(receiver))
    }

    /// Serializes a value as JSON and sends it as text.
    ///
    /// # Errors
    /// [`Error::Json`] when the value cannot be written as JSON; else as [`send`](WebSocket::send).
    #[cfg(feature = "json")]
    pub async fn send_json<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let text = serde_json::to_string(value)?;
        self.send(text).await
    }

    /// Waits for the next message and reads it as JSON, whether it is text or binary.
    ///
    /// # Errors
    /// [`Error::Json`] when it is no JSON of this type: the message is gone, the connection goes on. Else as
    /// [`receive`](WebSocket::receive).
    #[cfg(feature = "json")]
    pub async fn receive_json<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        let Some(message) = self.receive().await? else { return Ok(None) };
        Ok(Some(serde_json::from_slice(message.as_bytes())?))
    }

    pub(super) fn agreed_subprotocol(&self) -> Option<Subprotocol> {
        self.subprotocol.clone()
    }

    pub(super) fn shared(shared: Held<S>, subprotocol: Option<Subprotocol>) -> Self {
        WebSocket { handle: Handle::Shared(shared), subprotocol }
    }

    #[inline]
    pub(super) fn poll_fact(&mut self, cx: &mut Context<'_>, mode: Mode) -> Poll<FactOrEnd> {
        self.handle.poll(cx, |driver, cx| driver.poll_fact(cx, mode))
    }

    /// A small message of one's own socket does not leave registers on its way into the caller's loop.
    #[inline(always)]
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        if let Handle::Own(driver) = &mut self.handle {
            if let Some(message) = driver.next_small_message() {
                return Poll::Ready(Ok(Some(message)));
            }
        }
        let mut payload = Bytes::new();
        Poll::Ready(match ready!(self.poll_receive_into(cx, &mut payload)) {
            Some(Kind::Text) => Ok(Some(Message::Text(Text::from_validated(payload)))),
            Some(Kind::Binary) => Ok(Some(Message::Binary(payload))),
            None => self.ended(),
        })
    }

    #[cold]
    #[inline(never)]
    fn ended(&mut self) -> Result<Option<Message>, Error> {
        self.handle.access().outcome().map(|()| None)
    }

    /// The way to the stream and back, apart from that loop; `None` at the end. The payload has a place of its own: if it came
    /// with the answer, the compiler would have small messages go through the memory of that, too.
    #[inline(never)]
    fn poll_receive_into(&mut self, cx: &mut Context<'_>, payload: &mut Bytes) -> Poll<Option<Kind>> {
        self.handle.poll(cx, |driver, cx| {
            let message = match driver.next_small_message() {
                Some(message) => Some(message),
                None => ready!(driver.poll_message(cx)),
            };
            Poll::Ready(message.map(|message| {
                let kind = message.kind();
                *payload = message.into_bytes();
                kind
            }))
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// Waits for the next message, for keeps; `None` at the end.
    #[inline(always)]
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            let fact = ready!(self.poll_fact(cx, Mode::Whole));
            match self.event(fact) {
                Event::Message(message) => return Poll::Ready(Some(message.into_message())),
                Event::Ping(_) | Event::Pong(_) | Event::Extended(_) | Event::Part(_) => {}
                Event::Closed(_) => return Poll::Ready(None),
            }
        }
    }
}

/// The future of [`WebSocket::send`] and its kin; small, and free of destructors.
#[derive(Debug)]
#[must_use = "a message is written when this is awaited"]
pub struct Sending<'a, S> {
    handle: &'a mut Handle<S>,
    refused: Option<Misuse>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Sending<'_, S> {
    type Output = Result<(), Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        match this.refused {
            Some(misuse) => Poll::Ready(Err(misuse.into())),
            None => this.handle.poll_sent(cx),
        }
    }
}

/// The future of [`WebSocket::receive`]; small, and free of destructors.
#[derive(Debug)]
#[must_use = "a message is received when this is awaited"]
pub struct Receive<'a, S>(&'a mut WebSocket<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Receive<'_, S> {
    type Output = Result<Option<Message>, Error>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().0.poll_receive(cx)
    }
}

/// The future of [`WebSocket::receive_ref`].
#[derive(Debug)]
pub struct ReceiveRef<'a, S>(Source<'a, S>);

#[derive(Debug)]
enum Source<'a, S> {
    /// `None` once it is ready.
    Own(Option<&'a mut Driver<S>>),
    Shared(&'a Shared<S>),
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Future for ReceiveRef<'a, S> {
    type Output = Result<Option<Lent<'a, S>>, Error>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let source = &mut self.get_mut().0;
        let mut access = match source {
            Source::Own(slot) => Access::Own(slot.take().expect("a future is not polled after it was ready")),
            Source::Shared(shared) => Access::Shared(shared.lock()),
        };
        let Poll::Ready(fact) = access.poll_among_writers(cx, poll_with_room) else {
            if let (Source::Own(slot), Access::Own(driver)) = (source, access) {
                *slot = Some(driver);
            }
            return Poll::Pending;
        };
        match fact {
            FactOrEnd::End => Poll::Ready(access.outcome().map(|()| None)),
            fact => Poll::Ready(Ok(Some(Lent { access, first: Some(fact) }))),
        }
    }
}

/// The next fact, when there is room to answer it.
#[inline(always)]
fn poll_with_room<S: AsyncRead + AsyncWrite + Unpin>(
    driver: &mut Driver<S>,
    cx: &mut Context<'_>,
) -> Poll<FactOrEnd> {
    if !driver.has_room(0) {
        // An error shows up as the end.
        let _ = ready!(driver.poll_in_time(cx, Driver::poll_room));
    }
    driver.poll_fact(cx, Mode::Whole)
}

/// Events that are lent, with the means to answer them; not to be held across an await.
#[derive(Debug)]
pub struct Lent<'a, S> {
    access: Access<'a, S>,
    /// The event that was waited for, until it is given out.
    first: Option<FactOrEnd>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lent<'_, S> {
    /// The next event that is here already, and the output to answer it with. `None` when there is no more, or when
    /// the outgoing queue is over its mark: go on with [`WebSocket::receive_ref`]. The first call always gives one.
    #[inline(always)]
    pub fn next_event(&mut self) -> Option<(Event<'_>, Output<'_>)> {
        let fact = match self.first.take() {
            Some(fact) => fact,
            None => self.access.next_fact_with_room()?,
        };
        Some(self.access.event_and_output(fact))
    }
}
