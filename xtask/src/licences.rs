//! Licences, sources and advisories of the dependencies, by cargo-deny.

use crate::tools::{self, Outcome, cargo, folder, once, run, run_within};
use std::time::Duration;

const VERSION: &str = "0.20.2";

pub(crate) fn check() -> Outcome {
    let dir = folder("tools")?;
    once(&dir, VERSION, || {
        println!(
            "cargo-deny {VERSION} is built from source, once; without optimisation it takes a minute or two"
        );
        let build = dir.join("build");
        let mut install = cargo(&format!("install --quiet --locked --debug --version {VERSION} cargo-deny"));
        run(install.arg("--root").arg(&dir).env("CARGO_TARGET_DIR", &build))?;
        std::fs::remove_dir_all(build).map_err(|e| e.to_string())
    })?;
    let deny = || {
        let mut deny = tools::command(dir.join("bin/cargo-deny"));
        deny.arg("--all-features");
        deny
    };
    run(deny().args(["check", "--hide-inclusion-graph", "licenses", "bans", "sources"]))?;
    // The database of advisories is a git repository of its own, and not every machine reaches it.
    match run_within(Duration::from_secs(60), deny().args(["fetch", "db"])) {
        Ok(()) => run(deny().args(["check", "--disable-fetch", "advisories"])),
        Err(_) => {
            println!("NOT CHECKED: advisories. Their database cannot be fetched on this machine.");
            Ok(())
        }
    }
}
