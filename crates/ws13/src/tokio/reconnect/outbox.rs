//! Where messages go while there is no connection, and how they get out when there is one again.

use crate::error::{Error, Misuse};
use crate::message::Message;
use crate::tokio::net::Stream;
use crate::tokio::split::Sender;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What becomes of messages that are sent while there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Offline {
    /// They are dropped, and `send` says so: for what is of no use later, such as positions.
    Drop,
    /// They are not taken: [`SendError::Offline`].
    Refuse,
    /// They are kept in order, and sent on the next connection, up to a bound.
    Keep {
        /// How many at most.
        messages: usize,
        /// How many bytes of payload at most.
        bytes: usize,
        /// What happens over one of the bounds.
        full: WhenFull,
    },
}

/// What happens to a message that does not fit any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The oldest ones are dropped to make room.
    DropOldest,
    /// It is dropped itself.
    DropNewest,
    /// It is not taken: [`SendError::Full`].
    Refuse,
}

impl Default for Offline {
    /// Keeps 1,024 messages and 1 MiB, and refuses more.
    fn default() -> Self {
        Offline::Keep { messages: 1024, bytes: 1 << 20, full: WhenFull::Refuse }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A connection took it. Whether it arrived only an answer of the peer can tell: a connection that breaks loses what
    /// was under way.
    Sent,
    /// It is kept for the next connection.
    Kept,
    /// It was dropped, as [`Offline`] has it.
    Dropped,
}

/// Why a message was not taken.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// There is no connection, and nothing is kept.
    Offline,
    /// There is no connection, and no more is kept.
    Full,
    /// There will be no connection any more.
    Over,
    /// The connection broke while it was sent; it may have arrived or not.
    Lost(Error),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Offline => f.write_str("not sent: there is no connection at the moment"),
            SendError::Full => {
                f.write_str("not sent: there is no connection, and as much is kept for the next as may be")
            }
            SendError::Over => f.write_str("not sent: the client has given up, or was closed"),
            SendError::Lost(error) => write!(f, "the connection broke while a message was sent: {error}"),
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SendError::Lost(error) => Some(error),
            _ => None,
        }
    }
}

/// The sending half of a [`Reconnecting`](super::Reconnecting): cloneable, for any number of tasks, over all its
/// connections.
#[derive(Clone, Debug)]
pub struct Outlet(pub(super) Arc<Outbox>);

impl Outlet {
    /// Sends a message: on the connection, where there is one; else as [`Offline`] has it. Messages that were kept go
    /// first. Waits where the connection's queue is over its mark, and until the message is written.
    ///
    /// Somebody must call [`Reconnecting::next`](super::Reconnecting::next) meanwhile: it connects and receives.
    ///
    /// # Errors
    /// [`SendError`].
    ///
    /// # Cancel safety
    /// A dropped future has either handed on the whole message, or nothing of it.
    pub async fn send(&self, message: impl Into<Message>) -> Result<Delivery, SendError> {
        let message = message.into();
        let Some(sender) = self.0.sender() else { return self.0.keep(message) };
        match sender.send(message.clone()).await {
            Ok(()) => Ok(Delivery::Sent),
            // It was closed a moment ago; nothing was queued.
            Err(Error::Misuse(Misuse::Closed)) => self.0.keep(message),
            Err(error) => Err(SendError::Lost(error)),
        }
    }

    /// Whether there is a connection at the moment, and nothing is kept that has to go first.
    pub fn is_connected(&self) -> bool {
        self.0.sender().is_some()
    }

    /// How many messages are kept for the next connection.
    pub fn kept(&self) -> usize {
        self.0.lock().queue.len()
    }

    /// How many messages were dropped since the beginning.
    pub fn dropped(&self) -> u64 {
        self.0.lock().dropped
    }
}

/// What the client and its outlets share.
#[derive(Debug)]
pub(super) struct Outbox(Mutex<State>);

#[derive(Debug)]
struct State {
    offline: Offline,
    way: Way,
    queue: VecDeque<Message>,
    /// The bytes of all payloads in the queue.
    bytes: usize,
    dropped: u64,
}

/// Where a message goes.
#[derive(Debug)]
enum Way {
    /// Into the queue: there is no connection, or what was kept goes first.
    Queue,
    Out(Sender<Stream>),
    /// Nowhere any more.
    Over,
}

impl Outbox {
    pub(super) fn new() -> Self {
        let (offline, way, queue) = (Offline::default(), Way::Queue, VecDeque::new());
        Outbox(Mutex::new(State { offline, way, queue, bytes: 0, dropped: 0 }))
    }

    pub(super) fn set_offline(&self, offline: Offline) {
        self.lock().offline = offline;
    }

    /// The connection is gone.
    pub(super) fn disconnected(&self) {
        self.lock().way = Way::Queue;
    }

    /// There will be none any more.
    pub(super) fn over(&self) {
        let mut state = self.lock();
        state.way = Way::Over;
        state.dropped += u64::try_from(state.queue.len()).unwrap_or(u64::MAX);
        state.queue.clear();
        state.bytes = 0;
    }

    /// Sends what was kept, in order; then messages go straight to this connection. Ends early when it breaks.
    pub(super) async fn drain(self: Arc<Self>, sender: Sender<Stream>) {
        while let Some(message) = self.take_or_open(&sender) {
            match sender.try_send(message.clone()) {
                Ok(()) => {}
                // Taken when there is room; a connection that breaks loses what it took.
                Err(Error::Misuse(Misuse::QueueFull)) => drop(sender.send(message).await),
                Err(_) => return self.put_back(message),
            }
        }
    }

    /// The next message that was kept; when there is none, the way is open.
    fn take_or_open(&self, sender: &Sender<Stream>) -> Option<Message> {
        let mut state = self.lock();
        let message = state.queue.pop_front();
        match &message {
            Some(message) => state.bytes -= message.len(),
            None => state.way = Way::Out(sender.clone()),
        }
        message
    }

    fn put_back(&self, message: Message) {
        let mut state = self.lock();
        state.bytes += message.len();
        state.queue.push_front(message);
    }

    fn sender(&self) -> Option<Sender<Stream>> {
        match &self.lock().way {
            Way::Out(sender) if sender.is_open() => Some(sender.clone()),
            _ => None,
        }
    }

    fn keep(&self, message: Message) -> Result<Delivery, SendError> {
        let mut state = self.lock();
        match (&state.way, state.offline) {
            (Way::Over, _) => Err(SendError::Over),
            (_, Offline::Refuse) => Err(SendError::Offline),
            (_, Offline::Drop) => Ok(state.count_dropped()),
            (_, Offline::Keep { messages, bytes, full }) => state.keep(message, messages, bytes, full),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(
        &mut self,
        message: Message,
        messages: usize,
        bytes: usize,
        full: WhenFull,
    ) -> Result<Delivery, SendError> {
        let fits = |state: &State| {
            state.queue.len() < messages && state.bytes.saturating_add(message.len()) <= bytes
        };
        while !fits(self) {
            match (full, self.queue.front()) {
                (WhenFull::Refuse, _) => return Err(SendError::Full),
                // One that is too large for an empty queue, too.
                (WhenFull::DropNewest, _) | (WhenFull::DropOldest, None) => return Ok(self.count_dropped()),
                (WhenFull::DropOldest, Some(oldest)) => {
                    self.bytes -= oldest.len();
                    self.queue.pop_front();
                    self.count_dropped();
                }
            }
        }
        self.bytes += message.len();
        self.queue.push_back(message);
        Ok(Delivery::Kept)
    }

    fn count_dropped(&mut self) -> Delivery {
        self.dropped += 1;
        Delivery::Dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlet(offline: Offline) -> Outlet {
        let outbox = Outbox::new();
        outbox.set_offline(offline);
        Outlet(Arc::new(outbox))
    }

    fn kept(outlet: &Outlet) -> Vec<String> {
        outlet.0.lock().queue.iter().map(|message| message.as_text().unwrap().to_owned()).collect()
    }

    fn keep(outlet: &Outlet, text: &str) -> Result<Delivery, SendError> {
        outlet.0.keep(text.into())
    }

    #[test]
    fn what_is_kept_is_bounded_in_messages_and_bytes() {
        let keeping = |full| outlet(Offline::Keep { messages: 3, bytes: 10, full });
        let newest = keeping(WhenFull::DropNewest);
        let oldest = keeping(WhenFull::DropOldest);
        let refusing = keeping(WhenFull::Refuse);
        for text in ["a", "b", "c"] {
            for outlet in [&newest, &oldest, &refusing] {
                assert_eq!(keep(outlet, text).unwrap(), Delivery::Kept);
            }
        }
        assert_eq!(keep(&newest, "d").unwrap(), Delivery::Dropped);
        assert_eq!(keep(&oldest, "d").unwrap(), Delivery::Kept);
        assert!(matches!(keep(&refusing, "d"), Err(SendError::Full)));
        assert_eq!((kept(&newest), kept(&oldest), kept(&refusing)).1, ["b", "c", "d"]);
        assert_eq!(
            (kept(&newest), newest.dropped(), oldest.dropped()),
            (vec!["a".into(), "b".into(), "c".into()], 1, 1)
        );
        assert_eq!(keep(&oldest, "123456789").unwrap(), Delivery::Kept, "bytes count, too");
        assert_eq!((kept(&oldest), oldest.dropped()), (vec!["d".into(), "123456789".into()], 3));
        assert_eq!(keep(&oldest, "12345678901").unwrap(), Delivery::Dropped, "it never fits");
        assert_eq!(oldest.kept(), 0);
    }

    #[test]
    fn nothing_is_kept_where_nothing_is_to_be() {
        assert_eq!(keep(&outlet(Offline::Drop), "a").unwrap(), Delivery::Dropped);
        assert!(matches!(keep(&outlet(Offline::Refuse), "a"), Err(SendError::Offline)));
        let over = outlet(Offline::default());
        keep(&over, "a").unwrap();
        over.0.over();
        assert!(matches!(keep(&over, "a"), Err(SendError::Over)));
        assert_eq!((over.kept(), over.dropped()), (0, 1));
    }
}
