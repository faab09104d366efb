//! When the connections of a server want to be looked at again: four bytes each, and one sleep for all of them, where a
//! timer each would take 130 bytes.
//!
//! Time is counted in ticks. A connection is looked at within one tick after its deadline, never before it.

use std::time::Duration;
use tokio::time::Instant;

/// How late a connection of a server may see that its time has come.
const TICK: Duration = Duration::from_millis(50);

/// Ticks since the first connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tick(u32);

impl Tick {
    /// Too far away to be waited for: some six years.
    const NEVER: Tick = Tick(u32::MAX);
}

/// A deadline for each place of a table.
#[derive(Debug)]
pub(super) struct Deadlines {
    origin: Instant,
    due: Vec<Tick>,
    /// The earliest of all, or earlier.
    next: Tick,
    /// Somebody sleeps until then.
    kept: bool,
}

/// What has to be done for a deadline that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing: it comes after others.
    Later,
    /// Who sleeps has to be told of it.
    Sooner,
    /// Nobody sleeps: somebody has to begin.
    First,
}

impl Deadlines {
    pub(super) fn new() -> Self {
        Deadlines { origin: Instant::now(), due: Vec::new(), next: Tick::NEVER, kept: false }
    }

    /// Sets the deadline of a place.
    pub(super) fn set(&mut self, place: u32, at: Instant) -> Change {
        let (place, tick) = (place as usize, self.tick_at_or_after(at));
        if self.due.len() <= place {
            self.due.resize(place + 1, Tick::NEVER);
        }
        self.due[place] = tick;
        let sooner = tick < self.next;
        self.next = self.next.min(tick);
        match (std::mem::replace(&mut self.kept, true), sooner) {
            (false, _) => Change::First,
            (true, true) => Change::Sooner,
            (true, false) => Change::Later,
        }
    }

    /// A place is left: it has no deadline any more.
    pub(super) fn clear(&mut self, place: u32) {
        if let Some(due) = self.due.get_mut(place as usize) {
            *due = Tick::NEVER;
        }
    }

    /// All places are left; gives the memory back.
    pub(super) fn clear_all(&mut self) {
        self.due = Vec::new();
    }

    /// Takes the places whose time has come. They have no deadline then.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<u32> {
        let now = self.tick_before(now);
        let mut taken = Vec::new();
        self.next = Tick::NEVER;
        for (place, due) in self.due.iter_mut().enumerate() {
            if *due <= now {
                *due = Tick::NEVER;
                taken.push(place as u32);
            }
            self.next = self.next.min(*due);
        }
        taken
    }

    /// When somebody's time comes next. With `None` nobody sleeps any more.
    pub(super) fn next(&mut self) -> Option<Instant> {
        self.kept = self.next < Tick::NEVER;
        self.kept.then(|| self.origin + TICK * self.next.0)
    }

    /// Nobody sleeps any more: takes all places that wait.
    pub(super) fn give_up(&mut self) -> Vec<u32> {
        let waiting = self.due.iter().enumerate().filter(|(_, due)| **due < Tick::NEVER);
        let waiting = waiting.map(|(place, _)| place as u32).collect();
        self.due.fill(Tick::NEVER);
        (self.next, self.kept) = (Tick::NEVER, false);
        waiting
    }

    fn tick_at_or_after(&self, at: Instant) -> Tick {
        let ticks = at.duration_since(self.origin).as_nanos().div_ceil(TICK.as_nanos());
        Tick(u32::try_from(ticks).unwrap_or(u32::MAX))
    }

    /// The last one that has come.
    fn tick_before(&self, now: Instant) -> Tick {
        let ticks = now.duration_since(self.origin).as_nanos() / TICK.as_nanos();
        Tick(u32::try_from(ticks).unwrap_or(u32::MAX).min(u32::MAX - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(deadlines: &Deadlines, millis: u64) -> Instant {
        deadlines.origin + Duration::from_millis(millis)
    }

    #[test]
    fn nobody_is_taken_before_their_time_nor_more_than_a_tick_after_it() {
        let mut deadlines = Deadlines::new();
        let wanted: Vec<u64> = (0..500).map(|i| i * 7919 % 3000).collect();
        for (place, millis) in wanted.iter().enumerate() {
            deadlines.set(place as u32, at(&deadlines, *millis));
        }
        let mut seen = 0;
        for now in 0..3100 {
            for place in deadlines.take_due(at(&deadlines, now)) {
                let wanted = wanted[place as usize];
                assert!((wanted..=wanted + 50).contains(&now), "{wanted} seen at {now}");
                seen += 1;
            }
        }
        assert_eq!((seen, deadlines.next()), (500, None));
    }

    #[test]
    fn who_sleeps_is_told_of_what_comes_sooner_and_begins_anew_when_all_was_over() {
        let mut deadlines = Deadlines::new();
        assert_eq!(deadlines.set(1, at(&deadlines, 1000)), Change::First);
        assert_eq!(deadlines.set(2, at(&deadlines, 2000)), Change::Later);
        assert_eq!(deadlines.set(0, at(&deadlines, 500)), Change::Sooner);
        assert_eq!(deadlines.next(), Some(at(&deadlines, 500)));
        assert_eq!(deadlines.take_due(at(&deadlines, 1999)), [0, 1]);
        assert_eq!(deadlines.next(), Some(at(&deadlines, 2000)));
        deadlines.clear(2);
        assert!(deadlines.take_due(at(&deadlines, 2000)).is_empty());
        assert_eq!(deadlines.next(), None);
        assert_eq!(deadlines.set(0, at(&deadlines, 10)), Change::First);
        assert_eq!(deadlines.set(7, at(&deadlines, 10)), Change::Later);
        assert_eq!(deadlines.give_up(), [0, 7]);
        assert_eq!(deadlines.set(7, at(&deadlines, 10)), Change::First);
    }

    #[tokio::test]
    async fn what_is_too_far_away_never_comes() {
        let mut deadlines = Deadlines::new();
        let far = deadlines.origin + Duration::from_secs(20 * 365 * 24 * 3600);
        deadlines.set(0, far);
        assert!(deadlines.take_due(far).is_empty());
        assert_eq!(deadlines.next(), None);
    }
}
