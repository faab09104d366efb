//! The unit tests of the modules with `unsafe`, under AddressSanitizer.

use crate::nightly;
use crate::tools::{Outcome, folder, run};

/// Where `unsafe` stands, and who calls it.
const MODULES: &[&str] = &["trusted::", "text::", "mask::", "connection::"];

pub(crate) fn check() -> Outcome {
    nightly::install()?;
    let dir = folder("sanitizer")?;
    let mut test = nightly::cargo("test --quiet -p ws13 --all-features --lib --target");
    test.arg(nightly::TARGET).arg("--").args(MODULES);
    // Without the tests' own search for leaks: what the thread keeps to lend is no leak.
    test.env("RUSTFLAGS", "-Zsanitizer=address").env("ASAN_OPTIONS", "detect_leaks=0");
    run(test.env("CARGO_TARGET_DIR", dir).env("CARGO_PROFILE_TEST_OPT_LEVEL", "1"))
}
