//! What a server has done so far, in figures: counted when a connection ends, and read from those that are open when
//! somebody asks, so that messages cost nothing more.

use crate::connection::{CloseCause, Closed, Stats};
use crate::handshake::Reject;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

mod prometheus;

/// The figures of a server, to be read at any time. Clones are handles to the same figures.
///
/// ```no_run
/// # async fn run() -> std::io::Result<()> {
/// let server = ws13::Server::bind("127.0.0.1:12345").await?;
/// let metrics = server.metrics();
/// let server = server.on_http(move |request| match request.path() {
///     "/metrics" => metrics.reply(),
///     _ => ws13::handshake::Reply::not_found(),
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Metrics {
    counters: Arc<Counters>,
    /// The connections that are open, in sum.
    open: Arc<dyn Fn() -> Open + Send + Sync>,
}

/// The figures at one moment. All but `open`, `handshakes_open`, `queued` and `queued_most` only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Connections that are open, those whose handshake is under way among them.
    pub open: u64,
    /// Those of them whose opening handshake is under way.
    pub handshakes_open: u64,
    /// WebSocket connections that were opened.
    pub opened: u64,
    /// Those that ended, by their close code; the codes from 3000 and from 4000 on count together. 1006 are those without
    /// a Close frame.
    pub closed: BTreeMap<u16, u64>,
    /// Those that ended because the client broke the protocol.
    pub violations: u64,
    /// Those that ended because the client went over a limit.
    pub limits_hit: u64,
    /// Handshakes that were refused, by reason: an HTTP status, `connections` and `address` for the limits on
    /// connections, `proxy` for a bad header of the PROXY protocol, `tls` for a failed handshake of TLS, `lost` where the client went away.
    pub refused: BTreeMap<String, u64>,
    /// Times that `accept` failed.
    pub accept_errors: u64,
    /// Messages that were received.
    pub messages_received: u64,
    /// Messages that were queued to be sent.
    pub messages_sent: u64,
    /// Bytes that were received, headers, Pings and the like included.
    pub bytes_received: u64,
    /// Bytes that were written, headers, Pings and the like included.
    pub bytes_sent: u64,
    /// Bytes of compressed messages that were received.
    pub inflated_from: u64,
    /// What they were after decompression: the ratio of the two is that of the compression.
    pub inflated_to: u64,
    /// Bytes of the messages that were compressed to be sent.
    pub deflated_from: u64,
    /// What they were after it.
    pub deflated_to: u64,
    /// Bytes that wait to be written, on all connections.
    pub queued: u64,
    /// Bytes that wait to be written on the connection where most do.
    pub queued_most: u64,
    /// Round-trip times of keepalive's Pings.
    pub round_trips: RoundTrips,
}

/// A histogram of round-trip times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoundTrips {
    counts: [u64; RoundTrips::BOUNDS.len() + 1],
    sum: Duration,
}

impl RoundTrips {
    /// The upper bounds of the buckets; there is one more, for what is slower.
    pub const BOUNDS: [Duration; 12] = {
        const fn ms(ms: u64) -> Duration {
            Duration::from_millis(ms)
        }
        [ms(1), ms(2), ms(5), ms(10), ms(20), ms(50), ms(100), ms(200), ms(500), ms(1000), ms(2000), ms(5000)]
    };

    /// How many fall into each bucket.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    fn add(&mut self, time: Duration) {
        let bucket = Self::BOUNDS.iter().position(|bound| time <= *bound).unwrap_or(Self::BOUNDS.len());
        self.counts[bucket] += 1;
        self.sum = self.sum.saturating_add(time);
    }
}

impl Metrics {
    pub(crate) fn new(counters: Arc<Counters>, open: impl Fn() -> Open + Send + Sync + 'static) -> Self {
        Metrics { counters, open: Arc::new(open) }
    }

    /// The figures as they are now. It looks at each open connection.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let open = (self.open)();
        let mut counted = self.counters.lock();
        let mut now = counted.ended.clone();
        now.add(&open.sum);
        (now.open, now.handshakes_open, now.queued_most) =
            (open.connections, open.handshakes, open.queued_most);
        now.queued = open.sum.queued as u64;
        now.keep_growing(&counted.told);
        counted.told = now.clone();
        now
    }

    /// The figures as text, as Prometheus reads them (text format 0.0.4).
    #[must_use]
    pub fn prometheus(&self) -> String {
        prometheus::text(&self.snapshot())
    }

    /// The figures as the answer to a plain request, such as for `/metrics`.
    #[must_use]
    pub fn reply(&self) -> crate::handshake::Reply {
        let reply = crate::handshake::Reply::new(http::StatusCode::OK);
        let reply = reply.body("text/plain; version=0.0.4; charset=utf-8", self.prometheus());
        reply.unwrap_or_else(|_| crate::handshake::Reply::internal_error())
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metrics").field(&self.snapshot()).finish()
    }
}

/// The connections that are open, in sum.
#[derive(Debug, Default)]
pub(crate) struct Open {
    connections: u64,
    handshakes: u64,
    sum: Stats,
    queued_most: u64,
}

impl Open {
    pub(crate) fn new(connections: usize, handshakes: usize) -> Self {
        Open { connections: connections as u64, handshakes: handshakes as u64, ..Open::default() }
    }

    pub(crate) fn add(&mut self, stats: &Stats) {
        self.sum = sum(&self.sum, stats);
        self.queued_most = self.queued_most.max(stats.queued as u64);
    }
}

/// Where a server counts.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// Of the connections that ended, and of the server itself.
    ended: Snapshot,
    /// What was told last: figures that only grow must not shrink because a connection was busy when it was asked.
    told: Snapshot,
}

/// Why a handshake was refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal<'a> {
    TooManyConnections,
    TooManyFromAddress,
    Proxy,
    #[cfg(feature = "tls")]
    Tls,
    Lost,
    Answered(&'a Reject),
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::TooManyConnections => f.write_str("connections"),
            Refusal::TooManyFromAddress => f.write_str("address"),
            Refusal::Proxy => f.write_str("proxy"),
            #[cfg(feature = "tls")]
            Refusal::Tls => f.write_str("tls"),
            Refusal::Lost => f.write_str("lost"),
            Refusal::Answered(reject) => reject.status().as_u16().fmt(f),
        }
    }
}

impl Counters {
    pub(crate) fn opened(&self) {
        self.lock().ended.opened += 1;
    }

    pub(crate) fn refused(&self, refusal: Refusal<'_>) {
        *self.lock().ended.refused.entry(refusal.to_string()).or_default() += 1;
    }

    pub(crate) fn accept_failed(&self) {
        self.lock().ended.accept_errors += 1;
    }

    pub(crate) fn round_trip(&self, time: Duration) {
        self.lock().ended.round_trips.add(time);
    }

    /// A WebSocket connection is over; `None` where it was dropped.
    pub(crate) fn closed(&self, closed: Option<&Closed>, stats: &Stats) {
        let mut counted = self.lock();
        let ended = &mut counted.ended;
        ended.add(stats);
        let code = closed.map_or(1006, Closed::code);
        let code = if code < 3000 { code } else { code / 1000 * 1000 };
        *ended.closed.entry(code).or_default() += 1;
        match closed.map(Closed::cause) {
            Some(CloseCause::Fault(crate::Fault::Limit(_))) => ended.limits_hit += 1,
            Some(CloseCause::Fault(_)) => ended.violations += 1,
            Some(CloseCause::Handshake | CloseCause::Lost(_)) | None => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    fn add(&mut self, stats: &Stats) {
        self.messages_received += stats.messages_received;
        self.messages_sent += stats.messages_sent;
        self.bytes_received += stats.bytes_received;
        self.bytes_sent += stats.bytes_sent;
        self.inflated_from += stats.inflated_from;
        self.inflated_to += stats.inflated_to;
        self.deflated_from += stats.deflated_from;
        self.deflated_to += stats.deflated_to;
    }

    fn keep_growing(&mut self, told: &Snapshot) {
        let grown = [
            (&mut self.messages_received, told.messages_received),
            (&mut self.messages_sent, told.messages_sent),
            (&mut self.bytes_received, told.bytes_received),
            (&mut self.bytes_sent, told.bytes_sent),
            (&mut self.inflated_from, told.inflated_from),
            (&mut self.inflated_to, told.inflated_to),
            (&mut self.deflated_from, told.deflated_from),
            (&mut self.deflated_to, told.deflated_to),
        ];
        for (now, told) in grown {
            *now = told.max(*now);
        }
    }
}

fn sum(one: &Stats, other: &Stats) -> Stats {
    Stats {
        messages_received: one.messages_received + other.messages_received,
        messages_sent: one.messages_sent + other.messages_sent,
        bytes_received: one.bytes_received + other.bytes_received,
        bytes_sent: one.bytes_sent + other.bytes_sent,
        inflated_from: one.inflated_from + other.inflated_from,
        inflated_to: one.inflated_to + other.inflated_to,
        deflated_from: one.deflated_from + other.deflated_from,
        deflated_to: one.deflated_to + other.deflated_to,
        queued: one.queued + other.queued,
        round_trip: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_fall_into_their_buckets() {
        let mut times = RoundTrips::default();
        for ms in [0, 1, 2, 3, 4999, 5000, 5001] {
            times.add(Duration::from_millis(ms));
        }
        assert_eq!(times.counts(), [2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1]);
        assert_eq!((times.count(), times.sum()), (7, Duration::from_millis(15_006)));
    }

    #[test]
    fn figures_of_open_connections_are_added_and_never_shrink() {
        let counters = Arc::new(Counters::default());
        let live = Arc::new(Mutex::new(5));
        let asked = Arc::clone(&live);
        let metrics = Metrics::new(Arc::clone(&counters), move || {
            let mut open = Open { connections: 2, ..Open::default() };
            let messages_received = *asked.lock().unwrap();
            open.add(&Stats { messages_received, queued: 3, ..Stats::default() });
            open.add(&Stats { queued: 7, ..Stats::default() });
            open
        });
        let now = metrics.snapshot();
        assert_eq!((now.open, now.messages_received, now.queued, now.queued_most), (2, 5, 10, 7));
        // A busy connection is not looked at.
        *live.lock().unwrap() = 0;
        assert_eq!(metrics.snapshot().messages_received, 5);
        counters.closed(None, &Stats { messages_received: 6, ..Stats::default() });
        assert_eq!(metrics.snapshot().messages_received, 6);
        assert_eq!(metrics.snapshot().closed, BTreeMap::from([(1006, 1)]));
    }
}
