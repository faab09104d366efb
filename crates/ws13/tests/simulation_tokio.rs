//! The tokio driver over the simulated network, in simulated time, by seeds: two sockets, whole or split, with futures
//! that are dropped half way. `WS13_SEED`, `WS13_SEEDS` and `WS13_FIRST` as in the simulation of the core.
#![cfg(feature = "tokio")]

mod common;
#[path = "common/net.rs"]
mod net;
#[path = "common/sim/mod.rs"]
#[allow(dead_code, reason = "the simulation of the core uses the rest")]
mod sim;
#[path = "common/sim_tokio/mod.rs"]
mod sim_tokio;

use sim::dice::Dice;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn cancelled_futures_lose_nothing_and_each_side_has_one_end() {
    let one = variable("WS13_SEED");
    let first = one.or(variable("WS13_FIRST")).unwrap_or(0);
    let count = if one.is_some() { 1 } else { variable("WS13_SEEDS").unwrap_or(1_000) };
    let mut all = sim_tokio::Summary::default();
    for seed in first..first + count {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let tasks = tokio::task::LocalSet::new();
        let run = || tasks.block_on(&runtime, sim_tokio::run(&mut Dice::seeded(seed)));
        let Ok(summary) = catch_unwind(AssertUnwindSafe(run)) else {
            panic!(
                "WS13_SEED={seed} cargo test -p ws13 --all-features --test simulation_tokio  runs it again"
            );
        };
        all.add(&summary);
    }
    println!("{count} seeds: {all:?}");
    if count >= 1_000 {
        // What is never simulated is never tested.
        assert!(all.delivered > 1_000 && all.cancelled > 1_000 && all.clean_ends > 500 && all.lost_ends > 50);
    }
}
