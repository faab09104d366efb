//! A thousand runs of a client and a server over a simulated network; `cargo xtask simulate` does more.
//!
//! `WS13_SEED=7 cargo test -p ws13 --all-features --test simulation` runs one seed again;
//! `WS13_SEEDS=5000` says how many, from `WS13_FIRST` on.
#![cfg(feature = "std")]

mod common;
#[path = "common/sim/mod.rs"]
mod sim;

use common::allocation::{Counting, measure};
use sim::Summary;
use sim::dice::Dice;
use std::panic::catch_unwind;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most memory that both sides may have at one time, with the network between them and a copy of what is still to be
/// received; in 9,000 seeds it was 1.1 MB.
const MOST_MEMORY: usize = 3 << 20;

/// What the thread's pools may keep for the next connections: 64 finders of 88 KiB, 12 encoders of some 270 KiB, and
/// buffers. A leak shows in a long run.
const MOST_KEPT: isize = 10 << 20;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn seeds() -> std::ops::Range<u64> {
    if let Some(seed) = variable("WS13_SEED") {
        return seed..seed + 1;
    }
    let first = variable("WS13_FIRST").unwrap_or(0);
    first..first + variable("WS13_SEEDS").unwrap_or(1_000)
}

#[test]
fn nothing_is_lost_doubled_or_reordered_and_each_side_has_one_end() {
    let seeds = seeds();
    let count = seeds.end - seeds.start;
    let (mut kept, mut most) = (0, 0);
    let mut all = Summary::default();
    for seed in seeds {
        let (run, cost) = measure(|| catch_unwind(|| sim::run(&mut Dice::seeded(seed))));
        let Ok(summary) = run else {
            panic!("WS13_SEED={seed} cargo test -p ws13 --all-features --test simulation  runs it again");
        };
        assert!(cost.peak <= MOST_MEMORY, "WS13_SEED={seed} has {} bytes at one time", cost.peak);
        (kept, most) = (kept + cost.kept, most.max(cost.peak));
        all.delivered += summary.delivered;
        all.clean_ends += summary.clean_ends;
        all.lost_ends += summary.lost_ends;
        all.failed_handshakes += summary.failed_handshakes;
        all.steps += summary.steps;
    }
    println!("{count} seeds: {all:?}, {most} bytes at most");
    assert!(kept <= MOST_KEPT, "{kept} bytes are left when all connections are gone");
    if count >= 1_000 {
        // What is never simulated is never tested.
        assert!(
            all.delivered > 1_000 && all.clean_ends > 500 && all.lost_ends > 50 && all.failed_handshakes > 2
        );
    }
}

/// The same seed gives the same run, else a failure could not be looked into.
#[test]
fn a_seed_replays() {
    for seed in 0..20 {
        assert_eq!(sim::run(&mut Dice::seeded(seed)), sim::run(&mut Dice::seeded(seed)));
    }
}
