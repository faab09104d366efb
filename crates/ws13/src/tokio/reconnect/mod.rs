//! A client that stays connected: it waits, tries again, subscribes again, and keeps what is sent meanwhile.

mod event;
mod outbox;

pub use crate::client::Backoff;
pub use event::{Event, HookError, Why};
pub use outbox::{Delivery, Offline, Outlet, SendError, WhenFull};

use super::client::Client;
use super::net::Stream;
use super::split::{Receiver, Sender};
use super::websocket::WebSocket;
use crate::close::CloseCode;
use crate::error::{Error, Misuse};
use crate::handshake::Response;
use crate::message::Message;
use crate::text::Text;
use outbox::Outbox;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, Sleep, sleep};

/// A client that connects, and connects again when the connection is lost, until it is closed or has to give up.
///
/// It does so while [`next`](Reconnecting::next) is waited for, which tells everything that happens. Between attempts it
/// waits a random time of a window that grows ([`Backoff`]), and longer where the server asks for it by Retry-After.
/// What no other try can change ends it: [`Why::is_temporary`], unless [`retry_if`](Reconnecting::retry_if) judges.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use ws13::reconnect::{Event, Reconnecting};
/// use ws13::{Client, ConnectError};
///
/// # async fn fresh_token() -> String { String::new() }
/// let mut client = Reconnecting::new(Client::new("ws://example.com/feed")?)
///     .renew(|| async { Ok::<_, ConnectError>(Client::new("ws://example.com/feed")?.bearer(&fresh_token().await)) })
///     .on_connected(|mut socket| async move {
///         socket.send("subscribe").await?;
///         Ok::<_, ws13::Error>(socket)
///     });
/// while let Some(event) = client.next().await {
///     match event {
///         Event::Message(message) => println!("{message:?}"),
///         Event::Disconnected { why, retry_in } => eprintln!("{why}; again in {retry_in:?}"),
///         Event::GaveUp(why) => eprintln!("{why}"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Reconnecting {
    client: Client,
    renew: Option<Arc<Renew>>,
    on_connected: Option<Arc<OnConnected>>,
    retry_if: Option<Box<RetryIf>>,
    backoff: Backoff,
    outbox: Arc<Outbox>,
    state: State,
    /// Attempts since the last connection that was stable.
    attempts: u32,
}

type Renew = dyn Fn() -> Boxed<Result<Client, HookError>> + Send + Sync;
type OnConnected = dyn Fn(WebSocket<Stream>) -> Boxed<Result<WebSocket<Stream>, HookError>> + Send + Sync;
type RetryIf = dyn FnMut(&Why, u32) -> bool + Send;
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum State {
    Idle,
    Connecting(Boxed<Result<(WebSocket<Stream>, Response), Why>>),
    Connected(Box<Link>),
    Waiting(Pin<Box<Sleep>>),
    /// The user closed it: what comes until the end is delivered.
    Closing(Box<Link>),
    Over,
}

struct Link {
    sender: Sender<Stream>,
    receiver: Receiver<Stream>,
    since: Instant,
    /// Sends what was kept; `None` when that is done.
    draining: Option<Boxed<()>>,
}

impl Reconnecting {
    /// A client that will connect as this one does, over and over.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Reconnecting {
            client,
            renew: None,
            on_connected: None,
            retry_if: None,
            backoff: Backoff::default(),
            outbox: Arc::new(Outbox::new()),
            state: State::Idle,
            attempts: 0,
        }
    }

    /// How long to wait between attempts.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// What becomes of messages that are sent while there is no connection. Default: 1,024 messages and 1 MiB are kept,
    /// more is refused.
    #[must_use]
    pub fn offline(self, offline: Offline) -> Self {
        self.outbox.set_offline(offline);
        self
    }

    /// Makes the request anew before each attempt, the first one included, such as for a fresh token. When it fails,
    /// that counts as a failed attempt.
    #[must_use]
    pub fn renew<F, E>(mut self, renew: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Client, E>> + Send + 'static,
        E: Into<HookError> + 'static,
    {
        self.renew = Some(Arc::new(move || {
            let renewed = renew();
            Box::pin(async move { renewed.await.map_err(Into::into) })
        }));
        self
    }

    /// Does this on each new connection before anything else is sent, such as to subscribe again, and gives the socket
    /// back. When it fails, that counts as a failed attempt.
    #[must_use]
    pub fn on_connected<F, E>(
        mut self,
        on_connected: impl Fn(WebSocket<Stream>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<WebSocket<Stream>, E>> + Send + 'static,
        E: Into<HookError> + 'static,
    {
        self.on_connected = Some(Arc::new(move |socket| {
            let done = on_connected(socket);
            Box::pin(async move { done.await.map_err(Into::into) })
        }));
        self
    }

    /// Judges whether to try again, by why there is no connection and how many attempts were made since the last stable
    /// one. Default: as long as [`Why::is_temporary`] says.
    #[must_use]
    pub fn retry_if(mut self, judge: impl FnMut(&Why, u32) -> bool + Send + 'static) -> Self {
        self.retry_if = Some(Box::new(judge));
        self
    }

    /// A handle to send by, for other tasks.
    #[must_use]
    pub fn outlet(&self) -> Outlet {
        Outlet(Arc::clone(&self.outbox))
    }

    /// Sends a message: see [`Outlet::send`].
    ///
    /// # Errors
    /// [`SendError`].
    ///
    /// # Cancel safety
    /// As [`Outlet::send`].
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<Delivery, SendError> {
        self.outlet().send(message).await
    }

    /// Waits for what happens next; `None` after [`Event::GaveUp`], or when it was closed. It connects, waits and
    /// receives while this is waited for, and not otherwise.
    ///
    /// # Cancel safety
    /// Cancel safe: an attempt under way goes on with the next call, and nothing that arrived is lost.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Begins to close, and never connects again: [`next`](Reconnecting::next) gives the messages that still come, and
    /// then `None`.
    ///
    /// # Errors
    /// [`Misuse::CloseReason`] for a reason of more than 123 bytes.
    pub fn start_close(&mut self, code: CloseCode, reason: impl Into<Text>) -> Result<(), Misuse> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Connected(link) => {
                if let Err(misuse) = link.sender.start_close(code, reason) {
                    self.state = State::Connected(link);
                    return Err(misuse);
                }
                self.state = State::Closing(link);
            }
            State::Closing(link) => self.state = State::Closing(link),
            _ => {}
        }
        self.outbox.over();
        Ok(())
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            match &mut self.state {
                State::Idle => return Poll::Ready(Some(self.begin())),
                State::Connecting(connecting) => {
                    let connected = ready!(connecting.as_mut().poll(cx));
                    return Poll::Ready(Some(match connected {
                        Ok((socket, response)) => self.connected(socket, response),
                        Err(why) => self.disconnected(why),
                    }));
                }
                State::Connected(link) => {
                    link.poll_drain(cx);
                    let event = match ready!(link.poll_receive(cx)) {
                        Ok(message) => Event::Message(message),
                        Err(why) => self.lost(why),
                    };
                    return Poll::Ready(Some(event));
                }
                State::Waiting(pause) => {
                    ready!(pause.as_mut().poll(cx));
                    self.state = State::Idle;
                }
                State::Closing(link) => match ready!(link.poll_receive(cx)) {
                    Ok(message) => return Poll::Ready(Some(Event::Message(message))),
                    Err(_) => self.state = State::Over,
                },
                State::Over => return Poll::Ready(None),
            }
        }
    }

    /// Begins an attempt: nothing of it borrows, so that it lives on between calls.
    fn begin(&mut self) -> Event {
        self.attempts = self.attempts.saturating_add(1);
        let (renew, on_connected) = (self.renew.clone(), self.on_connected.clone());
        // What is not renewed is used again.
        let client = self.client.clone();
        self.state = State::Connecting(Box::pin(async move {
            let client = match renew {
                Some(renew) => renew().await.map_err(Why::Renew)?,
                None => client,
            };
            let (socket, response) = client.connect_with_response().await.map_err(Why::Connect)?;
            match on_connected {
                Some(on_connected) => Ok((on_connected(socket).await.map_err(Why::OnConnected)?, response)),
                None => Ok((socket, response)),
            }
        }));
        Event::Connecting { attempt: self.attempts }
    }

    fn connected(&mut self, socket: WebSocket<Stream>, response: Response) -> Event {
        let (sender, receiver) = socket.split();
        let draining: Boxed<()> = Box::pin(Arc::clone(&self.outbox).drain(sender.clone()));
        let link = Link { sender, receiver, since: Instant::now(), draining: Some(draining) };
        self.state = State::Connected(Box::new(link));
        Event::Connected { response: Box::new(response) }
    }

    fn lost(&mut self, why: Why) -> Event {
        if let State::Connected(link) = &self.state {
            if link.since.elapsed() >= self.backoff.stable {
                self.attempts = 0;
            }
        }
        self.disconnected(why)
    }

    fn disconnected(&mut self, why: Why) -> Event {
        self.outbox.disconnected();
        let retry = match &mut self.retry_if {
            Some(judge) => judge(&why, self.attempts),
            None => why.is_temporary(),
        };
        if !retry {
            self.state = State::Over;
            self.outbox.over();
            return Event::GaveUp(why);
        }
        let retry_in = self.backoff.delay(self.attempts, why.retry_after());
        self.state = State::Waiting(Box::pin(sleep(retry_in)));
        Event::Disconnected { why, retry_in }
    }
}

impl Link {
    fn poll_drain(&mut self, cx: &mut Context<'_>) {
        if self.draining.as_mut().is_some_and(|draining| draining.as_mut().poll(cx).is_ready()) {
            self.draining = None;
        }
    }

    /// A message, or why there will be none.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Why>> {
        Poll::Ready(match ready!(self.receiver.0.poll_receive(cx)) {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(match self.receiver.closed() {
                Some(closed) => Why::Closed(closed),
                None => Why::Lost(Error::Lost(crate::error::Lost::Eof)),
            }),
            Err(error) => Err(Why::Lost(error)),
        })
    }
}

impl Drop for Reconnecting {
    /// Its outlets lead nowhere then.
    fn drop(&mut self) {
        self.outbox.over();
    }
}

impl futures_core::Stream for Reconnecting {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll_event(cx)
    }
}

impl fmt::Debug for Reconnecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Idle => "idle",
            State::Connecting(_) => "connecting",
            State::Connected(_) => "connected",
            State::Waiting(_) => "waiting",
            State::Closing(_) => "closing",
            State::Over => "over",
        };
        f.debug_struct("Reconnecting")
            .field("client", &self.client)
            .field("state", &state)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
