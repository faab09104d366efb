//! Points in time, as the caller gives them: the core has no clock of its own.

use core::num::NonZeroU64;
use core::time::Duration;

/// A point in time, in nanoseconds since an origin that the driver chooses and keeps.
///
/// Only differences matter. A driver converts from its own clock; a test counts up by hand.
///
/// ```
/// use core::time::Duration;
/// use ws13::Timestamp;
///
/// let start = Timestamp::from_nanos(0);
/// let later = start + Duration::from_secs(20);
/// assert_eq!(later.since(start), Duration::from_secs(20));
/// assert_eq!(start.since(later), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(
    /// One more than the nanoseconds, so that a point that there may or may not be takes no more room.
    NonZeroU64,
);

impl Timestamp {
    /// The point `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Timestamp(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// The time from `earlier` to this point; zero when `earlier` is later.
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl Default for Timestamp {
    /// The origin.
    fn default() -> Self {
        Timestamp::from_nanos(0)
    }
}

impl From<Duration> for Timestamp {
    /// The point `since_origin` after the origin; some 584 years are the most it can hold.
    fn from(since_origin: Duration) -> Self {
        Timestamp::from_nanos(u64::try_from(since_origin.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl core::ops::Add<Duration> for Timestamp {
    type Output = Timestamp;

    /// Saturates: a far future stays the far future.
    fn add(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(Timestamp::from(duration).as_nanos()))
    }
}
