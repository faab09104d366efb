//! What only nightly Rust can do: fuzzing, and AddressSanitizer. Installed by rustup where it is missing.

use crate::tools::{Outcome, command, found, output, run};
use std::process::Command;

/// The only target that is fuzzed; with it, flags are for the program and not for what builds it.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";

pub(crate) fn install() -> Outcome {
    if output(&mut cargo("--version")).is_ok() {
        return Ok(());
    }
    if found("rustup").is_none() {
        return Err(
            "nightly Rust is needed, and there is no rustup to install it: see https://rustup.rs".into()
        );
    }
    println!("nightly Rust is missing: rustup installs it beside the other toolchains");
    run(command("rustup").args(["toolchain", "install", "nightly", "--profile", "minimal"]))
        .map_err(|why| format!("nightly Rust could not be installed by rustup: {why}"))
}

/// nightly's cargo, in the checkout.
pub(crate) fn cargo(args: &str) -> Command {
    let mut cargo = command("rustup");
    cargo.args(["run", "nightly", "cargo"]).args(args.split_whitespace());
    // Those of the cargo that runs this program.
    for name in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTC", "RUSTDOC"] {
        cargo.env_remove(name);
    }
    cargo
}
