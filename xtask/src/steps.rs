//! The steps of `cargo xtask test`: their order, their names, and the closing table.

use crate::tools::Outcome;
use crate::{
    autobahn, checks, concurrency, conformance, foreign, front, fuzz, imports, instructions, licences, msrv,
    proxies, robustness, sanitizer, tls, traceability,
};
use std::process::ExitCode;
use std::time::Instant;

struct Step {
    name: &'static str,
    what: &'static str,
    run: fn() -> Outcome,
}

const fn step(name: &'static str, what: &'static str, run: fn() -> Outcome) -> Step {
    Step { name, what, run }
}

/// What is quick to fail comes first.
const STEPS: &[Step] = &[
    step("fmt", "the layout is rustfmt's", checks::fmt),
    step("imports", "the core imports one way only", imports::check),
    step("traceability", "each rule of the RFC points to its code and its test", traceability::check),
    step("robustness-rows", "each row of the robustness table points to its tests", robustness::check),
    step("clippy", "no warning of the compiler or of clippy", checks::clippy),
    step("docs", "the documentation builds without a warning", checks::docs),
    step("features", "the library builds with each choice of features", checks::features),
    step("no-std", "the core needs no std", checks::no_std),
    step("msrv", "everything builds with Rust 1.85", msrv::check),
    step("licences", "dependencies: licences, sources, advisories", licences::check),
    step("test", "unit, integration and documentation tests", checks::test),
    step(
        "instructions",
        "no message costs more instructions than its bar, and no attack more than its bytes",
        instructions::check,
    ),
    step("examples", "the examples and the command build", checks::examples),
    step("bench", "the benchmarks: layout, lints, and the tests of their own parts", checks::bench_itself),
    step("concurrency", "many orders of a split socket's tasks and threads", concurrency::check),
    step("sanitizer", "the modules with unsafe, under AddressSanitizer", sanitizer::check),
    step("fuzz", "each fuzz target for ten seconds", fuzz::check),
    step("browser", "a page in Chromium talks to our server", foreign::browser),
    step("node", "npm's ws, both ways", foreign::node),
    step("python", "PyPI's websockets, both ways", foreign::python),
    step("tls", "wss:// with npm's ws, PyPI's websockets, libcurl and Chromium", tls::check),
    step("proxies", "tinyproxy, squid and microsocks between us and npm's ws", proxies::check),
    step(
        "front",
        "nginx, haproxy and systemd in front of our server, nginx in front of npm's ws",
        front::proxies,
    ),
    step("check", "our own conformance suite, both roles", conformance::ourselves),
    step("autobahn-server", "Autobahn against our server", autobahn::server),
    step("autobahn-client", "Autobahn against our client", autobahn::client),
];

/// Runs the named steps in the table's order, or all. A failure does not stop the ones after it.
pub(crate) fn run(names: &[&str]) -> ExitCode {
    if let Some(unknown) = names.iter().find(|&&name| STEPS.iter().all(|step| step.name != name)) {
        eprintln!("no step is called {unknown}; see `cargo xtask list`");
        return ExitCode::from(2);
    }
    let chosen = STEPS.iter().filter(|step| names.is_empty() || names.contains(&step.name));
    let results: Vec<_> = chosen.map(timed).collect();
    table(&results)
}

pub(crate) fn list() -> ExitCode {
    for step in STEPS {
        println!("{:<16} {}", step.name, step.what);
    }
    ExitCode::SUCCESS
}

struct Finished {
    name: &'static str,
    seconds: f64,
    outcome: Outcome,
}

fn timed(step: &Step) -> Finished {
    println!("\n==== {}: {}", step.name, step.what);
    let start = Instant::now();
    let outcome = (step.run)();
    let seconds = start.elapsed().as_secs_f64();
    match &outcome {
        Ok(()) => println!("---- {}: passed in {seconds:.1} s", step.name),
        Err(why) => println!("---- {}: FAILED in {seconds:.1} s: {why}", step.name),
    }
    Finished { name: step.name, seconds, outcome }
}

fn table(results: &[Finished]) -> ExitCode {
    println!("\n{:<16} {:>8}", "step", "seconds");
    for Finished { name, seconds, outcome } in results {
        let verdict = outcome.as_ref().map_or_else(|why| format!("FAILED: {why}"), |()| String::new());
        println!("{}", format!("{name:<16} {seconds:>8.1}  {verdict}").trim_end());
    }
    let total: f64 = results.iter().map(|step| step.seconds).sum();
    println!("{:<16} {total:>8.1}\n", "total");
    let failed = results.iter().filter(|step| step.outcome.is_err()).count();
    println!("{} passed, {failed} failed", results.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
