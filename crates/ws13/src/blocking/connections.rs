//! The connections of a server: how many there may be, what they did, and what becomes of them when the server stops.

use super::net::Stream;
use super::shared::Shared;
use super::websocket::WebSocket;
use crate::server::{
    AddressKey, ConnectionLimits, Counters, Counts, Drain, Open as OpenSum, REFUSALS, patiently, shuffled,
};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(super) struct Connections {
    open: Mutex<Open>,
    counters: Arc<Counters>,
    /// Refusals that are being answered.
    refusals: AtomicUsize,
    /// Told when the last one is gone, and when a handshake is done.
    changed: Condvar,
}

struct Open {
    counts: Counts,
    next: usize,
    entries: HashMap<usize, Connected>,
    handshakes: usize,
    /// Those that are their users' own.
    given_away: usize,
    stopping: bool,
}

/// One connection; clones are free.
#[derive(Clone)]
struct Connected {
    stream: Stream,
    /// `None` while the handshake is under way.
    shared: Option<Arc<Shared<Stream>>>,
}

/// How long threads have to end after their connection was dropped.
const ENDING: Duration = Duration::from_millis(100);

/// How often who waits for a handshake to be done looks whether the server was stopped.
const LOOK: Duration = Duration::from_millis(100);

impl Connections {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        let open = Open {
            counts: Counts::new(ConnectionLimits::default()),
            next: 0,
            entries: HashMap::new(),
            handshakes: 0,
            given_away: 0,
            stopping: false,
        };
        Connections {
            open: Mutex::new(open),
            counters,
            refusals: AtomicUsize::new(0),
            changed: Condvar::new(),
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sets the limits, before the first connection.
    pub(super) fn set_limits(&self, limits: ConnectionLimits) {
        self.lock().counts = Counts::new(limits);
    }

    /// Waits while so many handshakes are under way, unless `stopped`.
    pub(super) fn wait_for_handshakes(&self, most: usize, stopped: impl Fn() -> bool) {
        let mut open = self.lock();
        while open.handshakes >= most && !stopped() {
            let waited = self.changed.wait_timeout(open, LOOK);
            open = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A place for one more; `None` when there are too many.
    pub(super) fn admit(self: &Arc<Self>, stream: Stream) -> Option<Entry> {
        let mut open = self.lock();
        if !open.counts.enter() {
            return None;
        }
        let key = open.next;
        open.next += 1;
        open.handshakes += 1;
        open.entries.insert(key, Connected { stream, shared: None });
        Some(Entry { connections: Arc::clone(self), key, from: None, given_away: false })
    }

    /// The right to answer a refusal; `None` when too many are being answered.
    pub(super) fn refusing(self: &Arc<Self>) -> Option<Refusing> {
        let begun = self.refusals.fetch_add(1, Ordering::Relaxed);
        // Dropped where there are too many, which counts it out again.
        Some(Refusing(Arc::clone(self))).filter(|_| begun < REFUSALS)
    }

    /// Those that are open, in sum; without the figures of those that somebody else is at for long.
    pub(super) fn look(&self) -> OpenSum {
        let (mut sum, connections) = {
            let open = self.lock();
            let connections = open.entries.values().filter_map(|connected| connected.shared.clone());
            (
                OpenSum::new(open.entries.len() + open.given_away, open.handshakes),
                connections.collect::<Vec<_>>(),
            )
        };
        let stats = connections.iter().filter_map(|shared| patiently(|| shared.try_stats()));
        stats.for_each(|stats| sum.add(&stats));
        sum
    }

    /// Closes all with 1001, waits until they are gone, and drops those that take too long.
    pub(super) fn drain(&self, drain: Drain) {
        let (start, within) = (Instant::now(), drain.spread + drain.timeout);
        let all = shuffled(self.stop());
        let count = all.len();
        for (told, connected) in all.into_iter().enumerate() {
            let due = drain.spread.mul_f64(told as f64 / count as f64);
            if !self.is_empty() {
                sleep(due.saturating_sub(start.elapsed()));
            }
            if let Some(shared) = connected.shared.filter(|_| start.elapsed() < within) {
                shared.go_away();
            }
        }
        if !self.wait_until_gone(within.saturating_sub(start.elapsed())) {
            for connected in self.stop() {
                if let Some(shared) = &connected.shared {
                    shared.abandon();
                }
                connected.stream.end();
            }
            self.wait_until_gone(ENDING);
        }
    }

    fn stop(&self) -> Vec<Connected> {
        let mut open = self.lock();
        open.stopping = true;
        open.entries.values().cloned().collect()
    }

    fn is_empty(&self) -> bool {
        self.lock().entries.is_empty()
    }

    fn wait_until_gone(&self, timeout: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, |open| !open.entries.is_empty());
        waited.unwrap_or_else(PoisonError::into_inner).0.entries.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among those of its server. With it the connection ends.
pub(super) struct Entry {
    connections: Arc<Connections>,
    key: usize,
    from: Option<AddressKey>,
    /// It is the user's own, and no handshake any more.
    given_away: bool,
}

impl Entry {
    pub(super) fn counters(&self) -> &Counters {
        &self.connections.counters
    }

    /// Counts it for the client's address; false when there are too many from there.
    pub(super) fn comes_from(&mut self, address: Option<IpAddr>) -> bool {
        // By a Unix socket comes who may: this machine's own programs.
        let Some(address) = address.filter(|_| self.from.is_none()) else { return true };
        self.from = self.connections.lock().counts.enter_from(address);
        self.from.is_some()
    }

    /// The socket goes to the user, and with it the place, until it is dropped.
    pub(super) fn give_away(mut self, socket: &mut WebSocket<Stream>) {
        self.given_away = true;
        let mut open = self.connections.lock();
        open.handshakes -= 1;
        // When it ends is not for the server to say.
        open.entries.remove(&self.key);
        open.given_away += 1;
        drop(open);
        self.connections.changed.notify_all();
        socket.handle.access().hold(self);
    }

    pub(super) fn connected(&self, shared: &Arc<Shared<Stream>>) {
        let stopping = {
            let mut open = self.connections.lock();
            if let Some(connected) = open.entries.get_mut(&self.key) {
                connected.shared = Some(Arc::clone(shared));
                open.handshakes -= 1;
            }
            open.stopping
        };
        self.counters().opened();
        self.connections.changed.notify_all();
        if stopping {
            shared.go_away();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        let connected = open.entries.remove(&self.key);
        open.given_away -= usize::from(self.given_away);
        open.counts.leave(self.from);
        if connected.as_ref().is_some_and(|connected| connected.shared.is_none()) {
            open.handshakes -= 1;
        }
        drop(open);
        // A sender of it may live on elsewhere: it finds the connection gone.
        if let Some(Connected { stream, shared: Some(shared) }) = connected {
            shared.abandon();
            stream.end();
            let (closed, stats) = shared.end();
            self.counters().closed(closed.as_ref(), &stats);
            if let Some(time) = shared.new_round_trip() {
                self.counters().round_trip(time);
            }
            #[cfg(feature = "tracing")]
            crate::trace::closed(closed.as_ref(), &stats);
        }
        self.connections.changed.notify_all();
    }
}

/// A refusal that is being answered.
pub(super) struct Refusing(Arc<Connections>);

impl Drop for Refusing {
    fn drop(&mut self) {
        self.0.refusals.fetch_sub(1, Ordering::Relaxed);
    }
}
