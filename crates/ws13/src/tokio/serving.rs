//! A served connection: its own task runs the handler, writes what the handler said in one go, keeps the time, and
//! sees the connection through to its end.

use super::connections::Entry;
use super::cork::{self, Id};
use super::driver::Driver;
use super::shared::Shared;
use super::websocket::WebSocket;
use crate::close::CloseCode;
use crate::connection::{Closed, FactOrEnd, Mode, Stats};
use crate::error::Lost;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

pin_project! {
    /// The future of a connection's task: the handler stands in it, because a box of its own costs 24 bytes more.
    pub(super) struct Serving<S, F> {
        // Goes first, and looks once more at the connection.
        entry: Option<Entry>,
        shared: Arc<Shared<S>>,
        // The handler, until it is done.
        #[pin]
        handler: Option<F>,
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, F> Serving<S, F> {
    /// Gives the socket to its handler; what this gives along is for who may want to end the connection.
    pub(super) fn begin(
        socket: WebSocket<S>,
        handler: impl FnOnce(WebSocket<S>) -> F,
    ) -> (Arc<Shared<S>>, Self) {
        let subprotocol = socket.agreed_subprotocol();
        let (shared, held) = socket.handle.share();
        let handler = handler(WebSocket::shared(held, subprotocol));
        (Arc::clone(&shared), Serving { entry: None, shared, handler: Some(handler) })
    }

    /// Serves it as one of a server's connections.
    pub(super) fn with_entry(mut self, entry: Entry) -> Self {
        if entry.is_timed() {
            self.shared.lock().leave_time_to_server();
        }
        self.entry = Some(entry);
        self
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, F: Future> Future for Serving<S, F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        #[cfg(feature = "tracing")]
        let _span = this.entry.as_ref().map(|entry| entry.span().enter());
        if let Some(handler) = this.handler.as_mut().as_pin_mut() {
            let id = Id::of(&**this.shared);
            if cork::corked(id, || handler.poll(cx)).is_ready() {
                this.handler.set(None);
            }
        }
        let mut wake_at = None;
        let polled = this.shared.poll_locked(cx, |driver, cx| {
            driver.remember_task(cx.waker());
            if let Some((entry, time)) = this.entry.as_ref().zip(driver.connection.new_round_trip()) {
                entry.counters().round_trip(time);
            }
            // Nobody has the socket any more: neither the handler nor a task that it gave it to.
            let alone = driver.holders == 0;
            let done = if alone { driver.poll_end(cx) } else { driver.poll_while_waiting(cx) };
            wake_at = driver.time_to_tell_server().or(wake_at);
            done.map(|()| alone || driver.is_abandoned())
        });
        let polled = polled.map(|(driver, over)| {
            drop(driver);
            over
        });
        if let Some((entry, at)) = this.entry.as_ref().zip(wake_at) {
            entry.wake_at(at);
        }
        let over = ready!(polled);
        // A socket that the handler gave away is still served: its keepalive, and the day that the server stops.
        if over { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// While the handler waits: writes what it said, and keeps the time. Ready when everything is written.
    fn poll_while_waiting(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_abandoned() {
            return Poll::Ready(());
        }
        // An error shows up where the handler receives.
        let written = self.poll_write(cx).map(|_| ());
        if self.poll_time(cx).is_ready() {
            // There may be a Ping to write, or an end that the handler should see.
            cx.waker().wake_by_ref();
        }
        written
    }

    /// When the handler is done: closes with 1000 what is still open, and waits for the end.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.close(Some(CloseCode::NORMAL.into()));
        while !matches!(ready!(self.poll_fact(cx, Mode::Whole)), FactOrEnd::End) {}
        Poll::Ready(())
    }
}

/// What a server does to its connections when it stops.
pub(super) trait Stoppable: Send + Sync {
    /// Begins to close with 1001.
    fn go_away(&self);
    /// Drops the connection.
    fn abandon(&self);
    /// The time has come that the server was told.
    fn ring(&self);
    /// What it has done so far; `None` while somebody else is at it.
    fn stats(&self) -> Option<Stats>;
    /// How it ended, and what it did.
    fn end(&self) -> (Option<Closed>, Stats);
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stoppable for Shared<S> {
    fn go_away(&self) {
        let mut driver = self.lock();
        driver.close(Some(CloseCode::GOING_AWAY.into()));
        driver.wake_task();
    }

    fn abandon(&self) {
        let mut driver = self.lock();
        driver.abandon();
        driver.wake_task();
        let writers = driver.writers();
        drop(driver);
        if let Some(writers) = writers {
            writers.wake_all();
        }
    }

    fn ring(&self) {
        self.lock().ring();
    }

    fn stats(&self) -> Option<Stats> {
        self.try_lock().map(|driver| driver.stats())
    }

    fn end(&self) -> (Option<Closed>, Stats) {
        let driver = self.lock();
        (driver.connection.closed().cloned(), driver.stats())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    fn abandon(&mut self) {
        self.lose(Lost::Aborted);
        self.set_abandoned();
        self.wake_reader();
    }
}
