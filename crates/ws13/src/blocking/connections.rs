//! The connections of a server, for the day it stops.

use super::net::Stream;
use super::shared::Shared;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Default)]
pub(super) struct Connections {
    open: Mutex<Open>,
    /// Told when the last one is gone.
    empty: Condvar,
}

#[derive(Default)]
struct Open {
    next: usize,
    entries: HashMap<usize, Connected>,
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

impl Connections {
    pub(super) fn enter(self: &Arc<Self>, stream: Stream) -> Entry {
        let mut open = self.lock();
        let key = open.next;
        open.next += 1;
        open.entries.insert(key, Connected { stream, shared: None });
        Entry { connections: Arc::clone(self), key }
    }

    /// Closes all with 1001, waits until they are gone, and drops those that take longer than `timeout`.
    pub(super) fn drain(&self, timeout: Duration) {
        let began = Instant::now();
        let mut all = self.stop().into_iter().filter_map(|connected| connected.shared);
        while let Some(shared) = all.next().filter(|_| began.elapsed() < timeout) {
            shared.go_away();
        }
        if !self.wait_until_gone(timeout.saturating_sub(began.elapsed())) {
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

    fn wait_until_gone(&self, timeout: Duration) -> bool {
        let waited = self.empty.wait_timeout_while(self.lock(), timeout, |open| !open.entries.is_empty());
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
}

impl Entry {
    pub(super) fn connected(&self, shared: &Arc<Shared<Stream>>) {
        let stopping = {
            let mut open = self.connections.lock();
            if let Some(connected) = open.entries.get_mut(&self.key) {
                connected.shared = Some(Arc::clone(shared));
            }
            open.stopping
        };
        if stopping {
            shared.go_away();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        let connected = open.entries.remove(&self.key);
        if open.entries.is_empty() {
            self.connections.empty.notify_all();
        }
        drop(open);
        // A sender of it may live on elsewhere: it finds the connection gone.
        if let Some(Connected { stream, shared: Some(shared) }) = connected {
            shared.abandon();
            stream.end();
        }
    }
}
