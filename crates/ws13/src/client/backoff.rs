//! How long to wait between attempts to connect (RFC 6455, section 7.2.3).

use crate::entropy;
use std::time::Duration;

/// How long to wait between attempts to connect: a random time of a window that doubles ("full jitter"), so that
/// clients that lost a server together do not come back together.
///
/// ```
/// use std::time::Duration;
/// use ws13::blocking::Backoff; // and ws13::reconnect::Backoff
/// let quick = Backoff { first: Duration::from_millis(200), ..Backoff::default() };
/// assert_eq!(quick.cap, Duration::from_secs(60));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first window: 5 s, as RFC 6455 section 7.2.3 has it. Each further one is twice as long.
    pub first: Duration,
    /// The longest window: 60 s.
    pub cap: Duration,
    /// How long a connection has to last for the next window to be the first one again: 30 s. A server that takes
    /// connections and drops them at once does not count as back.
    pub stable: Duration,
    /// The most of a server's Retry-After that is waited: 1 h.
    pub longest_retry_after: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff {
            first: Duration::from_secs(5),
            cap: Duration::from_secs(60),
            stable: Duration::from_secs(30),
            longest_retry_after: Duration::from_secs(3600),
        }
    }
}

impl Backoff {
    /// How long to wait after so many failures in a row, the last of which may have asked for a time
    /// ([`ConnectError::retry_after`](crate::ConnectError::retry_after)). What a server asks for comes first, and the
    /// random time on top of it: it may have said the same to a thousand.
    #[must_use]
    pub fn delay(&self, failures: u32, retry_after: Option<Duration>) -> Duration {
        self.wait(failures, retry_after, chance())
    }

    /// The same by `chance`, a fair number from 0 to 1.
    fn wait(&self, failures: u32, retry_after: Option<Duration>, chance: f64) -> Duration {
        let doubled = 1u32.checked_shl(failures.saturating_sub(1)).filter(|factor| *factor > 0);
        let window = doubled.and_then(|factor| self.first.checked_mul(factor)).unwrap_or(self.cap);
        let asked = retry_after.unwrap_or_default().min(self.longest_retry_after);
        asked.saturating_add(window.min(self.cap).mul_f64(chance.clamp(0.0, 1.0)))
    }
}

/// From 0 to 1, evenly.
fn chance() -> f64 {
    // As many bits as such a number has room for.
    (entropy::random_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_double_up_to_the_cap_and_jitter_is_full_7_2_3() {
        let backoff = Backoff::default();
        let most = |failures| backoff.wait(failures, None, 1.0).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 6, 100, u32::MAX].map(most), [5, 10, 20, 40, 60, 60, 60, 60]);
        assert_eq!(backoff.wait(3, None, 0.0), Duration::ZERO);
        assert_eq!(backoff.wait(2, None, 0.25), Duration::from_millis(2500));
        assert_eq!(backoff.wait(0, None, 1.0), Duration::from_secs(5));
    }

    #[test]
    fn retry_after_comes_first_and_is_bounded() {
        let backoff = Backoff::default();
        let wait = |asked, chance| backoff.wait(1, Some(asked), chance);
        assert_eq!(wait(Duration::from_secs(100), 0.0), Duration::from_secs(100));
        assert_eq!(wait(Duration::from_secs(100), 1.0), Duration::from_secs(105), "not all at once");
        assert_eq!(wait(Duration::MAX, 0.0), Duration::from_secs(3600));
    }
}
