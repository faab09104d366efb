//! The connections of a server: how many there may be, what they did, and what becomes of them when the server stops.

use super::deadlines::Deadlines;
use super::serving::{Serving, Stoppable};
use super::shared::Shared;
use super::websocket::WebSocket;
use crate::server::{
    AddressKey, ConnectionLimits, Counters, Counts, Drain, Open as OpenSum, REFUSALS, patiently, shuffled,
};
use std::fmt;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

pub(super) struct Connections {
    open: Mutex<Open>,
    counters: Arc<Counters>,
    /// Refusals that are being answered.
    refusals: AtomicUsize,
    /// Told when the last one is gone.
    empty: Notify,
    /// Told when the server stops.
    stopped: Notify,
    /// Told when a deadline comes before all others, and at the end.
    bell: Arc<Notify>,
    /// Somebody keeps the time of the connections, who need no timer of their own.
    is_timed: AtomicBool,
}

struct Open {
    counts: Counts,
    slots: Vec<Slot>,
    /// The first slot that is free, if any.
    free: Option<u32>,
    deadlines: Deadlines,
    len: usize,
    handshakes: usize,
    /// Those that are their users' own: when they end is not for the server to say.
    given_away: usize,
    stopping: bool,
}

/// Sixteen bytes for each connection.
enum Slot {
    /// Free, and then tells the next one that is; or of a handshake.
    Empty(Option<u32>),
    Open(Weak<dyn Stoppable>),
}

/// How long tasks have to end after their connection was dropped.
const ENDING: Duration = Duration::from_millis(100);

/// How finely a stop is spread.
const STEP: Duration = Duration::from_millis(5);

impl Default for Connections {
    fn default() -> Self {
        Connections::new(ConnectionLimits::none(), Arc::default())
    }
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits, counters: Arc<Counters>) -> Self {
        let open = Open {
            counts: Counts::new(limits),
            slots: Vec::new(),
            free: None,
            deadlines: Deadlines::new(),
            len: 0,
            handshakes: 0,
            given_away: 0,
            stopping: false,
        };
        Connections {
            open: Mutex::new(open),
            counters,
            refusals: AtomicUsize::new(0),
            empty: Notify::new(),
            stopped: Notify::new(),
            bell: Arc::default(),
            is_timed: AtomicBool::new(false),
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sets the limits, before the first connection.
    pub(super) fn set_limits(&self, limits: ConnectionLimits) {
        self.lock().counts = Counts::new(limits);
    }

    /// A place for one more, whatever the limit says.
    pub(super) fn enter(self: &Arc<Self>) -> Entry {
        self.admit().unwrap_or_else(|| self.entry(u32::MAX))
    }

    /// A place for one more; `None` when there are too many.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Entry> {
        let mut open = self.lock();
        let slot = open.counts.enter().then(|| open.take_slot())?;
        Some(self.entry(slot))
    }

    fn entry(self: &Arc<Self>, slot: u32) -> Entry {
        Entry {
            connections: Arc::clone(self),
            slot,
            from: None,
            given_away: false,
            #[cfg(feature = "tracing")]
            span: tracing::Span::none(),
        }
    }

    /// The right to answer a refusal; `None` when too many are being answered.
    pub(super) fn refusing(self: &Arc<Self>) -> Option<Refusing> {
        let begun = self.refusals.fetch_add(1, Ordering::Relaxed);
        // Dropped where there are too many, which counts it out again.
        Some(Refusing(Arc::clone(self))).filter(|_| begun < REFUSALS)
    }

    /// How many there are, those whose handshake is under way among them.
    #[cfg_attr(not(test), allow(dead_code, reason = "for connections that come from elsewhere"))]
    pub(super) fn len(&self) -> usize {
        self.lock().len
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Those that are open, in sum; without the figures of those that somebody else is at for long.
    pub(super) fn look(&self) -> OpenSum {
        let mut sum = {
            let open = self.lock();
            OpenSum::new(open.len, open.handshakes)
        };
        let connections = self.all().into_iter();
        connections
            .filter_map(|connection| patiently(|| connection.stats()))
            .for_each(|stats| sum.add(&stats));
        sum
    }

    /// Closes all with 1001, waits until they are gone, and drops those that take too long. Who calls it when it was
    /// called before just waits.
    pub(super) async fn drain(&self, drain: impl Into<Drain>) {
        let drain: Drain = drain.into();
        let first = !std::mem::replace(&mut self.lock().stopping, true);
        // Handshakes are given up: nobody waits for a client that says nothing.
        self.stopped.notify_waiters();
        let end = Instant::now() + drain.spread + drain.timeout;
        if first {
            // When all are gone before, nobody is left to be told.
            let _ = timeout_at(end, self.tell_and_wait(drain.spread)).await;
            self.all().iter().for_each(|connection| connection.abandon());
        }
        // Their tasks have been woken and end with their next poll.
        let _ = timeout_at(end.max(Instant::now()) + ENDING, self.gone()).await;
    }

    async fn tell_and_wait(&self, spread: Duration) {
        let (mut telling, mut gone) = (pin!(self.tell(spread)), pin!(self.gone()));
        let mut told = false;
        poll_fn(|cx| {
            told = told || telling.as_mut().poll(cx).is_ready();
            gone.as_mut().poll(cx)
        })
        .await;
    }

    /// Tells all to close, in random order, evenly over the time.
    async fn tell(&self, spread: Duration) {
        let waiting = shuffled(self.all_weakly());
        let (all, start) = (waiting.len(), Instant::now());
        for (told, connection) in waiting.into_iter().enumerate() {
            let due = spread.mul_f64(told as f64 / all as f64);
            while start.elapsed() < due {
                sleep(STEP.min(due - start.elapsed().min(due))).await;
            }
            if let Some(connection) = connection.upgrade() {
                connection.go_away();
            }
        }
    }

    fn all_weakly(&self) -> Vec<Weak<dyn Stoppable>> {
        self.lock().slots.iter().filter_map(Slot::weak).collect()
    }

    fn all(&self) -> Vec<Arc<dyn Stoppable>> {
        self.lock().slots.iter().filter_map(Slot::connection).collect()
    }

    /// Does a handshake; gives it up when the server stops.
    pub(super) async fn unless_stopped<F: Future>(&self, handshake: F) -> Option<F::Output> {
        let (mut handshake, mut stopped) = (pin!(handshake), pin!(self.stopped.notified()));
        poll_fn(|cx| match handshake.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            // The flag is for those that began when all had been told.
            Poll::Pending if stopped.as_mut().poll(cx).is_ready() || self.is_stopping() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Has the task of a connection woken when its time has come.
    fn wake_at(&self, slot: u32, at: Instant) {
        if self.lock().deadlines.set(slot, at) {
            self.bell.notify_waiters();
        }
    }

    /// From now on a task in this runtime keeps the time of all connections, until they and the server are gone. Each
    /// runtime of a server has one: a core that is blocked holds up nobody else's.
    pub(super) fn keep_time(self: &Arc<Self>) {
        self.is_timed.store(true, Ordering::Relaxed);
        tokio::spawn(keep_time(Arc::downgrade(self), Arc::clone(&self.bell)));
    }

    async fn gone(&self) {
        loop {
            let notified = self.empty.notified();
            if self.lock().has_none_of_its_own() {
                return;
            }
            notified.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn has_none_of_its_own(&self) -> bool {
        self.len == self.given_away
    }

    fn take_slot(&mut self) -> u32 {
        (self.len, self.handshakes) = (self.len + 1, self.handshakes + 1);
        let Some(slot) = self.free else {
            self.slots.push(Slot::Empty(None));
            return self.slots.len() as u32 - 1;
        };
        if let Slot::Empty(next) = &mut self.slots[slot as usize] {
            self.free = next.take();
        }
        slot
    }

    fn fill(&mut self, slot: u32, connection: Weak<dyn Stoppable>) {
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Slot::Open(connection);
            self.handshakes -= 1;
        }
    }

    /// Those whose time has come, and when that of others comes.
    fn take_due(&mut self, now: Instant) -> (Vec<Arc<dyn Stoppable>>, Option<Instant>) {
        let due = self.deadlines.take_due(now);
        (self.connections(&due), self.deadlines.next())
    }

    fn connections(&self, slots: &[u32]) -> Vec<Arc<dyn Stoppable>> {
        slots.iter().filter_map(|slot| self.slots.get(*slot as usize)?.connection()).collect()
    }

    fn weak(&self, slot: u32) -> Option<Weak<dyn Stoppable>> {
        self.slots.get(slot as usize).and_then(Slot::weak)
    }

    fn leave(&mut self, slot: u32, from: Option<AddressKey>) {
        let Some(place) = self.slots.get_mut(slot as usize) else { return };
        if let Slot::Empty(_) = std::mem::replace(place, Slot::Empty(self.free)) {
            self.handshakes -= 1;
        }
        self.free = Some(slot);
        self.deadlines.clear(slot);
        self.len -= 1;
        self.counts.leave(from);
        if self.len == 0 {
            (self.slots, self.free) = (Vec::new(), None);
            self.deadlines.clear_all();
        }
    }
}

impl Slot {
    fn weak(&self) -> Option<Weak<dyn Stoppable>> {
        match self {
            Slot::Open(connection) => Some(Weak::clone(connection)),
            Slot::Empty(_) => None,
        }
    }

    fn connection(&self) -> Option<Arc<dyn Stoppable>> {
        match self {
            Slot::Open(connection) => connection.upgrade(),
            Slot::Empty(_) => None,
        }
    }
}

/// Wakes whose time has come.
async fn keep_time(connections: Weak<Connections>, bell: Arc<Notify>) {
    loop {
        let mut rung = pin!(bell.notified());
        // What changes from here on rings.
        rung.as_mut().enable();
        let Some((due, next)) = connections.upgrade().map(|all| all.lock().take_due(Instant::now())) else {
            return;
        };
        due.iter().for_each(|connection| connection.ring());
        drop(due);
        match next {
            None => rung.await,
            Some(next) => drop(timeout_at(next, rung).await),
        }
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.bell.notify_waiters();
    }
}

/// A connection's place among those of its server.
pub(super) struct Entry {
    connections: Arc<Connections>,
    slot: u32,
    from: Option<AddressKey>,
    /// It is the user's own, and no handshake any more.
    given_away: bool,
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl Entry {
    pub(super) fn counters(&self) -> &Counters {
        &self.connections.counters
    }

    /// Whether the server keeps its time.
    pub(super) fn is_timed(&self) -> bool {
        self.slot != u32::MAX && self.connections.is_timed.load(Ordering::Relaxed)
    }

    /// Has the connection's task woken when this time has come, at most a tick later; once.
    pub(super) fn wake_at(&self, at: Instant) {
        self.connections.wake_at(self.slot, at);
    }

    /// Counts it for the client's address; false when there are too many from there.
    pub(super) fn comes_from(&mut self, address: Option<IpAddr>) -> bool {
        // By a Unix socket comes who may: this machine's own programs.
        let Some(address) = address.filter(|_| self.from.is_none()) else { return true };
        self.from = self.connections.lock().counts.enter_from(address);
        self.from.is_some()
    }

    /// The socket goes to the user, and with it the place, until it is dropped.
    pub(super) fn give_away<S>(mut self, socket: &mut WebSocket<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.given_away = true;
        let mut open = self.connections.lock();
        open.handshakes -= 1;
        open.given_away += 1;
        if open.has_none_of_its_own() {
            self.connections.empty.notify_waiters();
        }
        drop(open);
        socket.handle.access().hold(self);
    }

    /// Within which what happens to the connection is reported.
    #[cfg(feature = "tracing")]
    pub(super) fn set_span(&mut self, span: tracing::Span) {
        self.span = span;
    }

    #[cfg(feature = "tracing")]
    pub(super) fn span(&self) -> &tracing::Span {
        &self.span
    }

    /// Serves a socket in a task of its own.
    pub(super) fn serve<S, F>(self, socket: WebSocket<S>, handler: impl FnOnce(WebSocket<S>) -> F)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future + Send + 'static,
    {
        let (shared, serving) = Serving::begin(socket, handler);
        self.connected(&shared);
        drop(shared);
        tokio::spawn(serving.with_entry(self));
    }

    fn connected<S>(&self, shared: &Arc<Shared<S>>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stoppable: Weak<dyn Stoppable> = Arc::<Shared<S>>::downgrade(shared);
        let stopping = {
            let mut open = self.connections.lock();
            open.fill(self.slot, stoppable);
            open.stopping
        };
        self.counters().opened();
        if stopping {
            shared.go_away();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let connection = self.connections.lock().weak(self.slot);
        if let Some(connection) = connection {
            // The task still holds it.
            let connection = connection.upgrade();
            let (closed, stats) = connection.as_ref().map(|connection| connection.end()).unwrap_or_default();
            // After a panic of the handler, a half of it may live on elsewhere: it finds the connection gone.
            connection.into_iter().for_each(|connection| connection.abandon());
            self.counters().closed(closed.as_ref(), &stats);
            #[cfg(feature = "tracing")]
            self.span.in_scope(|| crate::trace::closed(closed.as_ref(), &stats));
        }
        let mut open = self.connections.lock();
        if self.given_away {
            // Which leaving takes off.
            open.handshakes += 1;
            open.given_away -= 1;
        }
        open.leave(self.slot, self.from);
        if open.has_none_of_its_own() {
            self.connections.empty.notify_waiters();
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// A refusal that is being answered.
pub(super) struct Refusing(Arc<Connections>);

impl Drop for Refusing {
    fn drop(&mut self) {
        self.0.refusals.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_small_and_used_again() {
        assert_eq!(size_of::<Slot>(), 16);
        let connections = Arc::new(Connections::default());
        let entries: Vec<_> = (0..100).map(|_| connections.enter()).collect();
        assert_eq!((connections.len(), connections.lock().handshakes), (100, 100));
        let last = connections.enter();
        drop(entries);
        assert_eq!(connections.len(), 1);
        let again: Vec<_> = (0..100).map(|_| connections.enter()).collect();
        assert_eq!((connections.len(), connections.lock().slots.len()), (101, 101));
        drop((last, again));
        assert_eq!((connections.len(), connections.lock().slots.len()), (0, 0));
        assert_eq!(connections.lock().handshakes, 0);
    }

    #[test]
    fn refusals_are_answered_in_bounded_number() {
        let connections = Arc::new(Connections::default());
        let answered: Vec<_> = (0..REFUSALS).map(|_| connections.refusing().unwrap()).collect();
        assert!(connections.refusing().is_none());
        drop(answered);
        assert!(connections.refusing().is_some());
    }
}
