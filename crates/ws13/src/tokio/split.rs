//! The two halves of a socket, for several tasks.

use super::driver::Driver;
use super::shared::{Held, Shared};
use super::websocket::WebSocket;
use crate::close::{CloseCode, CloseFrame};
use crate::connection::Closed;
use crate::connection::Outgoing;
use crate::error::{Error, Misuse};
use crate::message::Message;
use crate::text::Text;
use std::future::poll_fn;
use std::sync::Weak;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// The sending half of a socket: cloneable, for any number of tasks.
///
/// Each message goes out whole, in the order in which the sends were begun. There is one short lock, no channel and
/// no task of its own: who finds nobody writing writes for all.
#[derive(Debug)]
pub struct Sender<S>(Held<S>);

impl<S> Clone for Sender<S> {
    fn clone(&self) -> Self {
        Sender(self.0.clone())
    }
}

impl<S> Sender<S> {
    pub(super) fn shared(&self) -> Weak<Shared<S>> {
        self.0.downgrade()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sender<S> {
    pub(super) fn new(shared: Held<S>) -> Self {
        Sender(shared)
    }

    /// Sends a message: waits until the queue is under its mark, then queues it, then waits until it is written.
    ///
    /// # Errors
    /// As [`WebSocket::send`].
    ///
    /// # Cancel safety
    /// A dropped future either has queued the whole message, or nothing of it.
    pub async fn send<'a>(&self, message: impl Into<Outgoing<'a>>) -> Result<(), Error> {
        let mut message = Some(message.into());
        poll_fn(|cx| {
            if message.is_some() {
                ready!(self.poll_room(cx))?;
                if let Some(message) = message.take() {
                    self.0.lock().send(message)?;
                }
            }
            self.poll_sent(cx)
        })
        .await
    }

    /// Queues a message and writes what can be written at once; never waits.
    ///
    /// # Errors
    /// [`Misuse::QueueFull`] when the queue is over its mark; nothing was queued then. Else as [`WebSocket::send`].
    pub fn try_send<'a>(&self, message: impl Into<Outgoing<'a>>) -> Result<(), Error> {
        let mut driver = self.0.lock();
        if driver.outbox.queued() >= driver.connection.config().limits.queue_mark {
            return Err(Misuse::QueueFull.into());
        }
        driver.send(message.into())?;
        drop(driver);
        self.write_now()
    }

    /// Sends a Ping of up to 125 bytes.
    ///
    /// # Errors
    /// As [`WebSocket::send`].
    ///
    /// # Cancel safety
    /// The Ping stays queued.
    pub async fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.0.lock().ping(payload)?;
        poll_fn(|cx| self.poll_sent(cx)).await
    }

    /// Begins to close: sends the Close frame. The receiver gives `None` at the end.
    ///
    /// # Errors
    /// [`Misuse::CloseReason`] for a reason of more than 123 bytes; else as the connection was lost.
    ///
    /// # Cancel safety
    /// The Close frame stays queued.
    pub async fn close(&self, code: CloseCode, reason: impl Into<Text>) -> Result<(), Error> {
        let frame = CloseFrame::new(code, reason)?;
        self.0.lock().close(Some(frame));
        poll_fn(|cx| self.poll_sent(cx)).await
    }

    /// Begins to close without waiting: queues the Close frame, and writes what can be written at once.
    ///
    /// # Errors
    /// [`Misuse::CloseReason`] for a reason of more than 123 bytes.
    pub fn start_close(&self, code: CloseCode, reason: impl Into<Text>) -> Result<(), Misuse> {
        let frame = CloseFrame::new(code, reason)?;
        self.0.lock().close(Some(frame));
        // How the connection was lost, if it was, the receiver tells.
        let _ = self.write_now();
        Ok(())
    }

    /// Whether messages can still be sent.
    pub fn is_open(&self) -> bool {
        self.0.lock().is_open()
    }

    /// Bytes that are queued and not written.
    pub fn queued(&self) -> usize {
        self.0.lock().outbox.queued()
    }

    /// Writes what can be written at once; the rest is left to the task that receives.
    fn write_now(&self) -> Result<(), Error> {
        let mut driver = self.0.lock();
        match driver.flush_now() {
            Poll::Ready(sent) => {
                driver.park_outgoing();
                sent
            }
            Poll::Pending => {
                driver.leave_writing();
                Ok(())
            }
        }
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0
            .poll_locked(cx, |driver, cx| driver.poll_for_sender(cx, Driver::poll_room))
            .map(|(_, room)| room)
    }

    fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0
            .poll_locked(cx, |driver, cx| driver.poll_for_sender(cx, Driver::poll_flush))
            .map(|(_, sent)| sent)
    }
}

/// The receiving half of a socket. It runs keepalive and keeps the deadlines: somebody must receive.
#[derive(Debug)]
pub struct Receiver<S>(pub(super) WebSocket<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Receiver<S> {
    /// Waits for the next message; see [`WebSocket::receive`].
    ///
    /// # Errors
    /// As [`WebSocket::receive`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn receive(&mut self) -> Result<Option<Message>, Error> {
        self.0.receive().await
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
