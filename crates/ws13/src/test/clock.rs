//! A clock that stands still until it is told.

use crate::time::Timestamp;
use std::time::Duration;

/// The time for a [`Connection`](crate::Connection) without a driver.
///
/// ```
/// use std::time::Duration;
/// let mut clock = ws13::test::FakeClock::new();
/// let start = clock.now();
/// assert_eq!(clock.advance(Duration::from_secs(20)).since(start), Duration::from_secs(20));
/// ```
#[derive(Clone, Debug)]
pub struct FakeClock {
    now: Timestamp,
}

/// Not zero, so that a test finds out who takes zero for "never".
const START: Timestamp = Timestamp::from_nanos(1);

impl FakeClock {
    /// Starts, and stands still.
    #[must_use]
    pub fn new() -> Self {
        FakeClock { now: START }
    }

    /// What it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// How long it has gone in all.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.now.since(START)
    }

    /// Goes on by `duration`; gives the new time.
    pub fn advance(&mut self, duration: Duration) -> Timestamp {
        self.now = self.now + duration;
        self.now
    }

    /// Goes on to `deadline`, unless it has passed; gives the new time. A driver that sleeps does this.
    pub fn sleep_until(&mut self, deadline: Timestamp) -> Timestamp {
        self.now = self.now.max(deadline);
        self.now
    }
}

impl Default for FakeClock {
    fn default() -> Self {
        FakeClock::new()
    }
}
