//! A broadcast: one message to many connections, none of which waits for another.

use super::lag::{Lagging, Taken};
use super::shared::Shared;
use super::split::Sender;
use crate::connection::{Channel, Outgoing, Prepared};
use crate::limits::Config;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::io::{AsyncRead, AsyncWrite};

/// Messages that wait for one member, at most, if nothing else is said.
const BACKLOG: usize = 64;

/// Sends messages to all who have subscribed: each is framed once, compressed at most four times, and shared by all.
///
/// No task, no channel and no copy for each member: [`send`](Broadcast::send) queues the message at every connection
/// and writes what its socket takes at once. What it does not take is left to that connection's own task. A member that
/// lags has at most [`backlog`](Broadcast::backlog) messages waiting, by reference, behind at most 16 KiB in its queue;
/// then it is treated as [`Lagging`] says. A clone is the same broadcast.
///
/// ```no_run
/// # async fn run() -> std::io::Result<()> {
/// use ws13::{Broadcast, Config, Error, Lagging, Server};
///
/// let config = Config::default();
/// let news = Broadcast::new(&config).lagging(Lagging::DropOldest);
/// let everyone = news.clone();
/// let server = Server::bind("127.0.0.1:12345").await?.config(config);
/// tokio::spawn(server.serve(move |_, socket| {
///     let news = news.clone();
///     async move {
///         let (sender, mut receiver) = socket.split();
///         let _subscription = news.subscribe(&sender);
///         while receiver.receive().await?.is_some() {}
///         Ok::<(), Error>(())
///     }
/// }));
/// everyone.send("extra, extra");
/// # Ok(())
/// # }
/// ```
pub struct Broadcast<S> {
    inner: Arc<Inner<S>>,
    lagging: Lagging,
    backlog: usize,
}

struct Inner<S> {
    id: u64,
    /// Held while a message goes to the members, so that all get all messages in one order.
    channel: Mutex<Channel>,
    /// Copied where it changes while a message goes out.
    members: Mutex<Arc<Members<S>>>,
}

struct Members<S> {
    next: u64,
    /// In the order of their keys.
    all: Vec<(u64, Weak<Shared<S>>)>,
}

impl<S> Broadcast<S> {
    /// Compresses as [`Config::deflate`] says, for members that agreed on it. Who lags behind by 64 messages is
    /// disconnected.
    pub fn new(config: &Config) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let inner = Inner {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            channel: Mutex::new(Channel::new(config)),
            members: Mutex::new(Arc::new(Members { next: 0, all: Vec::new() })),
        };
        Broadcast { inner: Arc::new(inner), lagging: Lagging::default(), backlog: BACKLOG }
    }

    /// What becomes of members that lag.
    #[must_use]
    pub fn lagging(mut self, lagging: Lagging) -> Self {
        self.lagging = lagging;
        self
    }

    /// How many messages wait for a member at most: 64, and at least one.
    #[must_use]
    pub fn backlog(mut self, messages: usize) -> Self {
        self.backlog = messages;
        self
    }

    /// Has a connection get what is sent from now on, until the subscription is dropped or the connection is closed.
    /// The broadcast does not keep the connection alive.
    pub fn subscribe(&self, sender: &Sender<S>) -> Subscription<S> {
        let mut members = self.inner.members();
        let Members { next, all } = Arc::make_mut(&mut members);
        let key = *next;
        *next += 1;
        all.push((key, sender.shared()));
        Subscription { inner: Arc::downgrade(&self.inner), key }
    }

    /// How many have subscribed.
    pub fn len(&self) -> usize {
        self.inner.members().all.len()
    }

    /// Whether nobody has subscribed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Broadcast<S> {
    /// Sends a message to all members, and tells what came of it.
    ///
    /// It never waits for a peer. It takes a write for each member, some microseconds: for many thousands, call it where
    /// nobody minds, such as in a task of its own on a runtime of several threads. Two sends at once wait for each other,
    /// so that everyone gets the messages in one order.
    pub fn send<'a>(&self, message: impl Into<Outgoing<'a>>) -> Delivery {
        self.deliver(message.into(), None)
    }

    /// As [`send`](Broadcast::send), but to all others than this member.
    pub fn send_to_others<'a>(&self, than: &Subscription<S>, message: impl Into<Outgoing<'a>>) -> Delivery {
        self.deliver(message.into(), Some(than.key))
    }

    fn deliver(&self, message: Outgoing<'_>, but: Option<u64>) -> Delivery {
        let mut channel = lock(&self.inner.channel);
        let prepared = channel.prepare(message);
        let members = Arc::clone(&self.inner.members());
        let mut delivery = Delivery::default();
        let mut gone = Vec::new();
        for (key, member) in members.all.iter().filter(|(key, _)| Some(*key) != but) {
            let taken = member.upgrade().map_or(Taken::Closed, |shared| self.give(&shared, &prepared));
            delivery.count(taken);
            if let Taken::Closed | Taken::Disconnected = taken {
                gone.push(*key);
            }
        }
        drop(members);
        self.inner.remove(&gone);
        delivery
    }

    /// Gives a message to one member, and writes what its stream takes at once.
    fn give(&self, member: &Shared<S>, message: &Prepared) -> Taken {
        let mut driver = member.lock();
        let was_waiting = driver.has_unwritten();
        let taken = driver.take(message, self.inner.id, self.lagging, self.backlog);
        if taken != Taken::Closed {
            driver.write_at_once(was_waiting && taken != Taken::Disconnected);
        }
        taken
    }
}

impl<S> Inner<S> {
    fn members(&self) -> MutexGuard<'_, Arc<Members<S>>> {
        lock(&self.members)
    }

    /// Keys are in order here and there.
    fn remove(&self, keys: &[u64]) {
        if !keys.is_empty() {
            let mut members = self.members();
            Arc::make_mut(&mut members).all.retain(|(key, _)| keys.binary_search(key).is_err());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A membership in a [`Broadcast`]; it ends when this is dropped.
#[must_use = "dropped, it ends at once"]
pub struct Subscription<S> {
    inner: Weak<Inner<S>>,
    key: u64,
}

impl<S> Drop for Subscription<S> {
    fn drop(&mut self) {
        let Some(inner) = self.inner.upgrade() else { return };
        let mut members = inner.members();
        let found = members.all.binary_search_by_key(&self.key, |(key, _)| *key);
        if let Ok(at) = found {
            Arc::make_mut(&mut members).all.remove(at);
        }
    }
}

/// What came of a message that was sent to many: how many members each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// Have it on its way.
    pub queued: usize,
    /// Have it waiting behind what their peers have not taken yet.
    pub waiting: usize,
    /// Messages that were dropped, this one or older ones, for members that lag.
    pub dropped: usize,
    /// Are being closed, as they lag.
    pub disconnected: usize,
}

impl Delivery {
    fn count(&mut self, taken: Taken) {
        match taken {
            Taken::Queued => self.queued += 1,
            Taken::Waits => self.waiting += 1,
            Taken::Instead(dropped) => {
                self.waiting += 1;
                self.dropped += dropped;
            }
            Taken::Dropped => self.dropped += 1,
            Taken::Disconnected => self.disconnected += 1,
            Taken::Closed => {}
        }
    }
}

impl<S> Clone for Broadcast<S> {
    fn clone(&self) -> Self {
        Broadcast { inner: Arc::clone(&self.inner), ..*self }
    }
}

impl<S> Clone for Members<S> {
    fn clone(&self) -> Self {
        Members { next: self.next, all: self.all.clone() }
    }
}

impl<S> fmt::Debug for Broadcast<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast")
            .field("members", &self.len())
            .field("lagging", &self.lagging)
            .field("backlog", &self.backlog)
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Subscription<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("key", &self.key).finish_non_exhaustive()
    }
}
