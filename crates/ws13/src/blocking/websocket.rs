//! The socket: messages in and out.

use super::driver::Driver;
use super::handle::{Access, Handle};
use super::parts::{MessageReader, MessageWriter};
use super::shared::Shared;
use super::split::{Receiver, Sender};
use super::transport::{Duplex, Transport};
use crate::close::{CloseCode, CloseFrame};
use crate::connection::{Closed, Connection, Event, FactOrEnd, Inbox, Mode, Outgoing, Output, Role, Stats};
use crate::error::{Error, Misuse};
use crate::handshake::{Agreed, Subprotocol};
use crate::limits::Config;
use crate::message::{Kind, Message};
use crate::text::Text;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A WebSocket connection on the stream `S`, after its opening handshake.
///
/// [`connect`](super::connect), [`Client`](super::Client), [`Server`](super::Server) and [`Peer`](super::Peer) give
/// one; [`from_upgraded`](WebSocket::from_upgraded) makes one of a stream on which somebody else did the handshake.
///
/// Pings are answered, keepalive runs and deadlines are kept while a method of the socket waits. Dropping a socket ends
/// its stream without a closing handshake, which the peer sees as 1006; say [`close`](WebSocket::close) first. (In
/// [`Server::serve`](super::Server::serve) the connection lasts until its handler returns, and is closed then.)
///
/// Two ends that both `send` more than the system buffers, and both receive only then, wait for each other until the
/// stall timeout ends it: [`split`](WebSocket::split) the socket, and receive in another thread.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::net::{TcpListener, TcpStream};
/// use ws13::blocking::WebSocket;
/// use ws13::{CloseCode, Config, Message, Role};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let near = TcpStream::connect(listener.local_addr()?)?;
/// let (far, _) = listener.accept()?;
/// let mut client = WebSocket::from_upgraded(near, Role::Client, Config::default());
/// let mut server = WebSocket::from_upgraded(far, Role::Server, Config::default());
///
/// client.send("hi")?;
/// assert_eq!(server.receive()?, Some(Message::from("hi")));
///
/// let closing = std::thread::spawn(move || client.close(CloseCode::NORMAL, "bye"));
/// assert_eq!(server.receive()?, None);
/// assert_eq!(server.closed().unwrap().reason(), "bye");
/// drop(server);
/// closing.join().unwrap()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WebSocket<S> {
    pub(super) handle: Handle<S>,
    subprotocol: Option<Subprotocol>,
}

impl<S: Transport> WebSocket<S> {
    /// A socket on a stream on which somebody else did the opening handshake.
    ///
    /// A stream without timeouts is wrapped: [`Untimed`](super::Untimed).
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
    /// What is queued is written before this waits; where the peer does not take it, this reads on all the same.
    ///
    /// # Errors
    /// When the peer broke the protocol or a limit, or the connection was lost: see [`Error`].
    pub fn receive(&mut self) -> Result<Option<Message>, Error> {
        loop {
            let (mut access, fact) = self.handle.next_fact(Mode::Whole);
            match access.event(fact) {
                Event::Message(message) => return Ok(Some(message.into_message())),
                Event::Ping(_) | Event::Pong(_) | Event::Extended(_) | Event::Part(_) => {}
                Event::Closed(_) => return access.outcome().map(|()| None),
            }
        }
    }

    /// As [`receive`](WebSocket::receive), but lends messages out of the buffer they arrived in, with the means to
    /// answer them: the fastest way, for those who can handle them at once. Gives Pings and Pongs, too.
    ///
    /// What [`Lent::next_event`] does not give out is not lost, save the event that was waited for. Waits, too, while the
    /// outgoing queue is over its mark, so that the output always has room.
    ///
    /// ```
    /// # fn echo(mut socket: ws13::blocking::WebSocket<std::net::TcpStream>) -> Result<(), ws13::Error> {
    /// while let Some(mut lent) = socket.receive_ref()? {
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
    pub fn receive_ref(&mut self) -> Result<Option<Lent<'_>>, Error> {
        // An error shows up as the end.
        let _ = self.handle.wait_for_room();
        let (access, fact) = self.handle.next_fact(Mode::Whole);
        match fact {
            FactOrEnd::End => access.outcome().map(|()| None),
            fact => Ok(Some(Lent { access, first: Some(fact) })),
        }
    }

    /// Waits for the next message and hands it out in parts as it arrives, in bounded memory; `None` when the
    /// connection was closed cleanly. The limits on messages and frames do not apply to it.
    ///
    /// A reader that is dropped early skips the rest of its message.
    ///
    /// # Errors
    /// As [`receive`](WebSocket::receive).
    pub fn reader(&mut self) -> Result<Option<MessageReader<'_, S>>, Error> {
        MessageReader::begin(self)
    }

    /// Sends a message: `&str` and `String` as text, `&[u8]`, `Vec<u8>` and `Bytes` as binary. Returns when it is
    /// written.
    ///
    /// # Errors
    /// [`Error::Misuse`] when the message was not queued, such as after a close; else as the connection was lost.
    #[inline]
    pub fn send<'a>(&mut self, message: impl Into<Outgoing<'a>>) -> Result<(), Error> {
        self.handle.access().send(message.into())?;
        self.handle.flush()
    }

    /// Queues a message without writing it: [`flush`](WebSocket::flush), `send` or `receive` does.
    ///
    /// # Errors
    /// [`Misuse`], and [`Misuse::QueueFull`] when the queue is over its cap.
    pub fn feed<'a>(&mut self, message: impl Into<Outgoing<'a>>) -> Result<(), Misuse> {
        self.handle.access().send(message.into())
    }

    /// Writes everything that is queued.
    ///
    /// # Errors
    /// When the connection was lost.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.handle.flush()
    }

    /// Begins a message that is written in parts.
    ///
    /// ```
    /// # fn stream(mut socket: ws13::blocking::WebSocket<std::net::TcpStream>) -> Result<(), ws13::Error> {
    /// let mut writer = socket.writer(ws13::Kind::Binary);
    /// writer.write(b"part one, ")?;
    /// writer.write(b"part two")?;
    /// writer.finish()?;
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
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.handle.access().ping(payload)?;
        self.handle.flush()
    }

    /// Sends an unsolicited Pong of up to 125 bytes, which nobody answers.
    ///
    /// # Errors
    /// As [`send`](WebSocket::send).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.handle.access().pong(payload)?;
        self.handle.flush()
    }

    /// Closes the connection: sends a Close frame, waits for the peer's, and for the end of the stream as RFC 6455
    /// section 7.1.1 has it. Messages that arrive meanwhile are dropped; who wants them says
    /// [`start_close`](WebSocket::start_close) and receives on.
    ///
    /// # Errors
    /// [`Misuse::CloseReason`] for a reason of more than 123 bytes; [`Lost`](crate::Lost) when the peer did not
    /// answer within the close timeout, and so on. A connection that was closed already is no error.
    pub fn close(&mut self, code: CloseCode, reason: impl Into<Text>) -> Result<(), Error> {
        self.start_close(code, reason)?;
        while self.receive()?.is_some() {}
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
        self.handle.unsent()
    }

    /// Serializes a value as JSON and sends it as text.
    ///
    /// # Errors
    /// [`Error::Json`] when the value cannot be written as JSON; else as [`send`](WebSocket::send).
    #[cfg(feature = "json")]
    pub fn send_json<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let text = serde_json::to_string(value)?;
        self.send(text)
    }

    /// Waits for the next message and reads it as JSON, whether it is text or binary.
    ///
    /// # Errors
    /// [`Error::Json`] when it is no JSON of this type: the message is gone, the connection goes on. Else as
    /// [`receive`](WebSocket::receive).
    #[cfg(feature = "json")]
    pub fn receive_json<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        let Some(message) = self.receive()? else { return Ok(None) };
        Ok(Some(serde_json::from_slice(message.as_bytes())?))
    }
}

impl<S: Duplex> WebSocket<S> {
    /// Two halves for two threads. The sender can be cloned for any number of threads; the receiver runs keepalive.
    ///
    /// ```
    /// # fn run(socket: ws13::blocking::WebSocket<std::net::TcpStream>) -> Result<(), Box<dyn std::error::Error>> {
    /// let (sender, mut receiver) = socket.split()?;
    /// std::thread::spawn(move || {
    ///     while let Ok(Some(message)) = receiver.receive() {
    ///         println!("{message:?}");
    ///     }
    /// });
    /// sender.send("hi")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the stream cannot be cloned; the connection is dropped then.
    pub fn split(self) -> io::Result<(Sender<S>, Receiver<S>)> {
        let (socket, shared) = self.share()?;
        Ok((Sender::new(shared), Receiver(socket)))
    }

    /// The socket, on a connection that others can reach.
    pub(super) fn share(self) -> io::Result<(Self, Arc<Shared<S>>)> {
        let shared = match self.handle {
            Handle::Own(driver) => Shared::new(driver.stream, driver.state)?,
            Handle::Shared(shared) => shared,
        };
        let handle = Handle::Shared(Arc::clone(&shared));
        Ok((WebSocket { handle, subprotocol: self.subprotocol }, shared))
    }
}

/// Events that are lent, with the means to answer them.
///
/// Where others share the connection (its sender, a server that stops) they wait while this is held: handle it, and
/// do not use a sender of the same connection meanwhile.
#[derive(Debug)]
pub struct Lent<'a> {
    access: Access<'a>,
    /// The event that was waited for, until it is given out.
    first: Option<FactOrEnd>,
}

impl Lent<'_> {
    /// The next event that is here already, and the output to answer it with. `None` when there is no more, or when
    /// the outgoing queue is over its mark: go on with [`WebSocket::receive_ref`]. The first call always gives one.
    #[inline]
    pub fn next_event(&mut self) -> Option<(Event<'_>, Output<'_>)> {
        let fact = match self.first.take() {
            Some(fact) => fact,
            None => self.access.next_fact_with_room()?,
        };
        Some(self.access.event_and_output(fact))
    }
}
