//! More seeds of the simulation than a test run has time for, in an optimized build.

use crate::tools::{Outcome, cargo, run};

const SEEDS: u64 = 100_000;

/// `cargo xtask simulate [SEEDS] [--first N | --seed N]`.
pub(crate) fn command_line(args: &[&str]) -> Outcome {
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text:?} is no number"));
    let (seeds, first, one) = match *args {
        [] => (SEEDS, 0, None),
        ["--seed", seed] => (1, 0, Some(number(seed)?)),
        [seeds] => (number(seeds)?, 0, None),
        [seeds, "--first", first] => (number(seeds)?, number(first)?, None),
        _ => return Err("it takes a number of seeds, --first N behind it, or --seed N alone".into()),
    };
    simulate(seeds, first, one)
}

fn simulate(seeds: u64, first: u64, one: Option<u64>) -> Outcome {
    let mut test = cargo("test --quiet -p ws13 --all-features --test simulation --test simulation_tokio");
    test.args(["--", "--nocapture"]);
    test.env("CARGO_PROFILE_TEST_OPT_LEVEL", "3").env("CARGO_PROFILE_DEV_OPT_LEVEL", "3");
    test.env("WS13_SEEDS", seeds.to_string()).env("WS13_FIRST", first.to_string());
    if let Some(seed) = one {
        test.env("WS13_SEED", seed.to_string());
    }
    run(&mut test)
}
