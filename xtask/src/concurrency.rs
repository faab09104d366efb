//! The tests that try many orders of threads and tasks, by shuttle's scheduler.

use crate::tools::{Outcome, cargo, folder, run};

pub(crate) fn check() -> Outcome {
    // A folder of its own: with other flags everything is built anew.
    let dir = folder("concurrency")?;
    let mut test = cargo("test --quiet -p ws13 --all-features --lib schedules");
    test.env("RUSTFLAGS", "--cfg ws13_shuttle").env("CARGO_TARGET_DIR", dir);
    run(test.env("CARGO_PROFILE_TEST_OPT_LEVEL", "1").env("CARGO_PROFILE_DEV_OPT_LEVEL", "1"))
}
