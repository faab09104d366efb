//! What happens when time passes: pings, the pong, close and stall timeouts, the window of control frames.

use super::inbox::Inbox;
use super::outbox::Outbox;
use crate::error::{LimitHit, Lost};
use crate::limits::{CONTROL_WINDOW, Config, Keepalive as Settings};
use crate::time::Timestamp;
use core::num::NonZeroU64;
use core::time::Duration;

/// The clocks of one connection.
#[derive(Debug, Default)]
pub(super) struct Keepalive {
    /// The latest time that the driver told.
    now: Timestamp,
    /// When the next Ping is due; when closing, when the close timeout is over.
    next: Option<Timestamp>,
    /// Our Close frame is queued, and its clock runs.
    closing: bool,
    /// The Ping whose silence is measured.
    silence: Option<Silence>,
    /// When the latest Ping was sent, until its Pong comes.
    awaited: Option<Timestamp>,
    /// How many were sent: the number of the latest.
    pings: u32,
    /// In nanoseconds, and one more.
    round_trip: Option<NonZeroU64>,
    /// Nobody has asked for it yet.
    round_trip_is_new: bool,
    stall: Option<Stall>,
    control_window: Option<Timestamp>,
    control_frames: u32,
    /// Makes the intervals of this connection others than those of the next.
    jitter: u32,
}

#[derive(Debug)]
struct Silence {
    until: Timestamp,
    /// What had been received when the Ping was sent.
    received: u64,
}

#[derive(Debug)]
struct Stall {
    until: Timestamp,
    /// What had been written when the clock was started.
    written: u64,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// A Ping with this payload.
    Ping([u8; 8]),
    /// The connection is lost.
    Lost(Lost),
}

impl Keepalive {
    pub(super) fn new(seed: u64) -> Self {
        Keepalive { jitter: (seed ^ seed >> 32) as u32, ..Keepalive::default() }
    }

    /// Whether a clock should be started or read: the driver then tells the time before it waits.
    pub(super) fn wants_time(&self, sender_closed: bool, outbox: &Outbox, settings: &Settings) -> bool {
        self.awaited.is_some()
            || self.control_frames > 0
            || (!outbox.is_empty() && self.stall.is_none())
            || if sender_closed {
                !self.closing
            } else {
                self.next.is_none() && settings.interval().is_some()
            }
    }

    /// The next time at which something may be due.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let silence = self.silence.as_ref().map(|silence| silence.until);
        let stall = self.stall.as_ref().map(|stall| stall.until);
        earlier(self.next, earlier(silence, stall))
    }

    /// Time has come to `now`: starts clocks, and tells what is due.
    pub(super) fn tick(
        &mut self,
        now: Timestamp,
        sender_closed: bool,
        inbox: &Inbox,
        outbox: &Outbox,
        config: &Config,
    ) -> Due {
        self.now = now.max(self.now);
        self.tick_control_window();
        if sender_closed {
            // Pings end with the Close frame; the close timeout takes over.
            if !self.closing {
                (self.closing, self.silence) = (true, None);
                self.next = Some(self.now + config.limits.close_timeout);
            }
            if self.next.is_some_and(|due| self.now >= due) {
                return Due::Lost(Lost::CloseTimeout);
            }
        }
        if self.is_stalled(outbox, config.limits.stall_timeout) {
            return Due::Lost(Lost::Stalled);
        }
        if sender_closed { Due::Nothing } else { self.tick_ping(inbox, &config.keepalive) }
    }

    /// Bytes may have arrived that nobody has read.
    pub(super) fn excuse_silence(&mut self) {
        self.silence = None;
    }

    /// A Pong arrived; it ends the measurement of a round trip when its payload is that of our latest Ping.
    pub(super) fn pong(&mut self, payload: &[u8]) {
        if let Some(sent) = self.awaited {
            if payload == self.payload() {
                let nanos = u64::try_from(self.now.since(sent).as_nanos()).unwrap_or(u64::MAX);
                self.round_trip = Some(NonZeroU64::MIN.saturating_add(nanos));
                self.round_trip_is_new = true;
                self.awaited = None;
            }
        }
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip.map(|nanos| Duration::from_nanos(nanos.get() - 1))
    }

    #[cfg(feature = "std")]
    pub(super) fn new_round_trip(&mut self) -> Option<Duration> {
        core::mem::take(&mut self.round_trip_is_new).then(|| self.round_trip()).flatten()
    }

    /// A control frame arrived.
    pub(super) fn count_control(&mut self, max: u32) -> Result<(), LimitHit> {
        self.control_frames += 1;
        if self.control_frames > max { Err(LimitHit::ControlFrames { max }) } else { Ok(()) }
    }

    fn tick_control_window(&mut self) {
        if self.control_frames == 0 {
            return;
        }
        let start = *self.control_window.get_or_insert(self.now);
        if self.now.since(start) >= CONTROL_WINDOW {
            (self.control_frames, self.control_window) = (0, None);
        }
    }

    /// Only bytes that the peer took move the clock; new ones in the queue do not.
    fn is_stalled(&mut self, outbox: &Outbox, timeout: Duration) -> bool {
        if outbox.is_empty() {
            self.stall = None;
            return false;
        }
        match &self.stall {
            Some(stall) if stall.written == outbox.written() => self.now >= stall.until,
            _ => {
                self.stall = Some(Stall { until: self.now + timeout, written: outbox.written() });
                false
            }
        }
    }

    fn tick_ping(&mut self, inbox: &Inbox, settings: &Settings) -> Due {
        if let Some(silence) = &self.silence {
            if inbox.received() > silence.received {
                self.silence = None;
            } else if self.now >= silence.until {
                return Due::Lost(Lost::PongTimeout);
            }
        }
        let Some(interval) = settings.interval() else { return Due::Nothing };
        match self.next {
            Some(next) if self.now >= next => {}
            Some(_) => return Due::Nothing,
            None => {
                self.next = Some(self.now + self.jittered(interval));
                return Due::Nothing;
            }
        }
        self.pings = self.pings.wrapping_add(1);
        self.next = Some(self.now + self.jittered(interval));
        self.awaited = Some(self.now);
        if self.silence.is_none() {
            self.silence =
                Some(Silence { until: self.now + settings.pong_timeout, received: inbox.received() });
        }
        Due::Ping(self.payload())
    }

    /// The payload of the latest Ping.
    fn payload(&self) -> [u8; 8] {
        u64::from(self.pings).to_be_bytes()
    }

    /// The interval, 10 % more or less, so that many connections do not ping in step.
    fn jittered(&self, interval: Duration) -> Duration {
        // splitmix64: spreads load, guards no secret.
        let step = u64::from(self.pings).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut bits = (u64::from(self.jitter) << 32).wrapping_add(step);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let percent = 90 + (bits >> 33) % 21;
        Duration::try_from_secs_f64(interval.as_secs_f64() * percent as f64 / 100.0).unwrap_or(Duration::MAX)
    }
}

/// The earlier of two points, where there are any.
fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
