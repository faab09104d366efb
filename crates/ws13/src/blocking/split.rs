//! The two halves of a socket, for several threads.

use super::shared::Shared;
use super::transport::Transport;
use super::websocket::WebSocket;
use crate::close::{CloseCode, CloseFrame};
use crate::connection::Closed;
use crate::connection::Outgoing;
use crate::error::{Error, Misuse};
use crate::message::Message;
use crate::text::Text;
use std::sync::Arc;
use std::time::Duration;

/// The sending half of a socket: cloneable, for any number of threads.
///
/// Each message goes out whole, in the order in which the sends were begun. There is no channel and no thread of its
/// own: who finds nobody writing writes for all.
#[derive(Debug)]
pub struct Sender<S>(Arc<Shared<S>>);

impl<S> Clone for Sender<S> {
    fn clone(&self) -> Self {
        Sender(Arc::clone(&self.0))
    }
}

impl<S: Transport> Sender<S> {
    pub(super) fn new(shared: Arc<Shared<S>>) -> Self {
        Sender(shared)
    }

    /// Sends a message: waits until the queue is under its mark, then queues it, then waits until it is written.
    ///
    /// # Errors
    /// As [`WebSocket::send`].
    pub fn send<'a>(&self, message: impl Into<Outgoing<'a>>) -> Result<(), Error> {
        let mut held = self.0.wait_for_room()?;
        held.send(message.into())?;
        self.0.flush(held)
    }

    /// Queues a message and writes what can be written without much of a wait (some 20 ms at most). The rest is left
    /// to who writes already, sends next, or receives; a receiver that waits already sees to it within an eighth of
    /// the close timeout.
    ///
    /// # Errors
    /// [`Misuse::QueueFull`] when the queue is over its mark; nothing was queued then. Else as [`WebSocket::send`].
    pub fn try_send<'a>(&self, message: impl Into<Outgoing<'a>>) -> Result<(), Error> {
        let mut held = self.0.lock();
        if !held.has_room_for_one() {
            return Err(Misuse::QueueFull.into());
        }
        held.send(message.into())?;
        self.0.write_some(held)
    }

    /// Sends a Ping of up to 125 bytes.
    ///
    /// # Errors
    /// As [`WebSocket::send`].
    pub fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        let mut held = self.0.lock();
        held.ping(payload)?;
        self.0.flush(held)
    }

    /// Begins to close: sends the Close frame. The receiver gives `None` at the end. It sees to the close timeout,
    /// which may run over by an eighth.
    ///
    /// # Errors
    /// [`Misuse::CloseReason`] for a reason of more than 123 bytes; else as the connection was lost.
    pub fn close(&self, code: CloseCode, reason: impl Into<Text>) -> Result<(), Error> {
        let frame = CloseFrame::new(code, reason)?;
        let mut held = self.0.lock();
        held.close(Some(frame));
        held.pass_time();
        self.0.flush(held)
    }

    /// As [`close`](Sender::close), but writes as [`try_send`](Sender::try_send) does.
    ///
    /// # Errors
    /// [`Misuse::CloseReason`] for a reason of more than 123 bytes.
    pub fn start_close(&self, code: CloseCode, reason: impl Into<Text>) -> Result<(), Misuse> {
        let frame = CloseFrame::new(code, reason)?;
        let mut held = self.0.lock();
        held.close(Some(frame));
        held.pass_time();
        // How the connection was lost, if it was, the receiver tells.
        let _ = self.0.write_some(held);
        Ok(())
    }

    /// Whether messages can still be sent.
    pub fn is_open(&self) -> bool {
        self.0.lock().is_open()
    }

    /// Bytes that are queued and not written.
    pub fn queued(&self) -> usize {
        self.0.lock().unsent()
    }
}

/// The receiving half of a socket, for a thread of its own. It runs keepalive and keeps the deadlines: somebody must
/// receive.
///
/// While it receives it writes what nobody else does, such as Pongs, but never waits for the stream to take them:
/// both ends may be sending to each other without a pause.
#[derive(Debug)]
pub struct Receiver<S>(pub(super) WebSocket<S>);

impl<S: Transport> Receiver<S> {
    /// Waits for the next message; see [`WebSocket::receive`].
    ///
    /// # Errors
    /// As [`WebSocket::receive`].
    pub fn receive(&mut self) -> Result<Option<Message>, Error> {
        self.0.receive()
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.0.subprotocol()
    }

    /// The extensions that were agreed on, as the server named them (RFC 6455 section 9.1).
    pub fn extensions(&mut self) -> Option<String> {
        self.0.extensions()
    }

    /// All bytes that have arrived since the opening handshake: frames, headers and all.
    pub fn bytes_read(&mut self) -> u64 {
        self.0.bytes_read()
    }

    /// All bytes that were written since the opening handshake.
    pub fn bytes_written(&mut self) -> u64 {
        self.0.bytes_written()
    }

    /// How the connection ended, once it has.
    pub fn closed(&mut self) -> Option<Closed> {
        self.0.closed()
    }

    /// The round-trip time of the latest Ping of keepalive that was answered.
    pub fn round_trip(&mut self) -> Option<Duration> {
        self.0.round_trip()
    }
}
