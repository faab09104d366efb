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
}

impl Deadlines {
    pub(super) fn new() -> Self {
        Deadlines { origin: Instant::now(), due: Vec::new(), next: Tick::NEVER }
    }

    /// Sets the deadline of a place; true when it comes before all others.
    #[must_use = "who sleeps has to be told"]
    pub(super) fn set(&mut self, place: u32, at: Instant) -> bool {
        let (place, tick) = (place as usize, self.tick_at_or_after(at));
        if self.due.len() <= place {
            self.due.resize(place + 1, Tick::NEVER);
        }
        self.due[place] = tick;
        let sooner = tick < self.next;
        self.next = self.next.min(tick);
        sooner
    }

    /// A place is left: it has no deadline any more.
    pub(super) fn clear(&mut self, place: u32) {
        if let Some(due) = self.due.get_mut(place as usize) {
            *due = Tick::NEVER;
        }
    }

    /// All places are left: gives the memory back, and counts time anew.
    pub(super) fn clear_all(&mut self) {
        *self = Deadlines::new();
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

    /// When somebody's time comes next, if ever.
    pub(super) fn next(&self) -> Option<Instant> {
        (self.next < Tick::NEVER).then(|| self.origin + TICK * self.next.0)
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
    use std::collections::BTreeMap;

    fn at(deadlines: &Deadlines, millis: u64) -> Instant {
        deadlines.origin + Duration::from_millis(millis)
    }

    #[test]
    fn nobody_is_taken_before_their_time_nor_more_than_a_tick_after_it() {
        let mut deadlines = Deadlines::new();
        let wanted: Vec<u64> = (0..500).map(|i| i * 7919 % 3000).collect();
        for (place, millis) in wanted.iter().enumerate() {
            let _ = deadlines.set(place as u32, at(&deadlines, *millis));
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
    fn what_comes_sooner_is_told() {
        let mut deadlines = Deadlines::new();
        let set = |deadlines: &mut Deadlines, place, millis| deadlines.set(place, at(deadlines, millis));
        assert!(set(&mut deadlines, 1, 1000) && !set(&mut deadlines, 2, 2000) && set(&mut deadlines, 0, 500));
        assert_eq!(deadlines.next(), Some(at(&deadlines, 500)));
        assert_eq!(deadlines.take_due(at(&deadlines, 1999)), [0, 1]);
        assert_eq!(deadlines.next(), Some(at(&deadlines, 2000)));
        deadlines.clear(2);
        assert!(deadlines.take_due(at(&deadlines, 2000)).is_empty());
        assert_eq!(deadlines.next(), None);
        assert!(set(&mut deadlines, 0, 2010));
    }

    #[tokio::test]
    async fn what_is_too_far_away_never_comes() {
        let mut deadlines = Deadlines::new();
        let far = deadlines.origin + Duration::from_secs(20 * 365 * 24 * 3600);
        assert!(!deadlines.set(0, far));
        assert!(deadlines.take_due(far).is_empty());
        assert_eq!(deadlines.next(), None);
    }

    /// Against a map of times, looked through from end to end.
    #[test]
    fn equals_the_obvious_version() {
        let mut seed = 0x2545_f491_u64;
        let mut random = move |most: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % most
        };
        let mut deadlines = Deadlines::new();
        let (mut obvious, mut now) = (BTreeMap::new(), 0);
        for _ in 0..20_000 {
            let place = random(40) as u32;
            match random(10) {
                0..=4 => {
                    let millis = (now + random(400)) / 50 * 50;
                    let before = obvious.values().min().copied();
                    let sooner = deadlines.set(place, at(&deadlines, millis));
                    // What was cleared may still count as the earliest: then nobody has to be told.
                    assert!(sooner || before.is_some() || deadlines.next().is_some());
                    assert!(!sooner || before.is_none_or(|before| millis < before));
                    obvious.insert(place, millis);
                }
                5 => {
                    deadlines.clear(place);
                    obvious.remove(&place);
                }
                _ => {
                    now += random(60);
                    let due = deadlines.take_due(at(&deadlines, now));
                    let expected: Vec<u32> =
                        obvious.iter().filter(|(_, at)| **at <= now).map(|(place, _)| *place).collect();
                    obvious.retain(|_, at| *at > now);
                    assert_eq!(due, expected);
                    assert_eq!(deadlines.next(), obvious.values().min().map(|next| at(&deadlines, *next)));
                }
            }
        }
    }
}
