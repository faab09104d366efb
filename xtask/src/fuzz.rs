//! The fuzz targets, by libFuzzer: some seconds each as a step, as long as one likes by a command.
//!
//! They lie as cargo-fuzz has them, and are built here with its flags, so that there is nothing more to install.

use crate::nightly;
use crate::tools::{self, Outcome, command, folder, run_within};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Seconds for each target in `cargo xtask test`.
const SHORT: u64 = 10;

/// The coverage that libFuzzer asks for, as cargo-fuzz builds it.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

const ADDRESS: &str = " -Zsanitizer=address";

/// Every target, for a short time.
pub(crate) fn check() -> Outcome {
    fuzz(&targets()?, SHORT, false, fresh_seed())
}

/// `cargo xtask fuzz [TARGET]... [--seconds N] [--seed N] [--asan]`.
pub(crate) fn command_line(args: &[&str]) -> Outcome {
    let (mut seconds, mut asan, mut names, mut seed) = (60, false, Vec::new(), fresh_seed());
    let mut args = args.iter();
    while let Some(&arg) = args.next() {
        match arg {
            "--asan" => asan = true,
            "--seconds" => {
                let number = args.next().and_then(|number| number.parse().ok());
                seconds = number.ok_or("--seconds is followed by a number")?;
            }
            "--seed" => {
                let number = args.next().and_then(|number| number.parse().ok());
                seed = number.ok_or("--seed is followed by a number")?;
            }
            name => names.push(name.to_owned()),
        }
    }
    let all = targets()?;
    if let Some(unknown) = names.iter().find(|name| !all.contains(name)) {
        return Err(format!("{unknown} is no target; there are {}", all.join(", ")));
    }
    let chosen = if names.is_empty() { all } else { names };
    fuzz(&chosen, seconds, asan, seed)
}

/// Another one each time; it is told with the result. To libFuzzer 0 means that it chooses by itself.
fn fresh_seed() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.subsec_nanos().max(1)
}

/// The names of the programs in fuzz/fuzz_targets.
fn targets() -> Result<Vec<String>, String> {
    let dir = home().join("fuzz_targets");
    let files = std::fs::read_dir(&dir).map_err(|e| format!("cannot read {}: {e}", dir.display()))?;
    let names = files.flatten().filter_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned()));
    let mut names: Vec<_> = names.collect();
    names.sort();
    Ok(names)
}

fn fuzz(targets: &[String], seconds: u64, asan: bool, seed: u32) -> Outcome {
    let programs = build(asan)?;
    let mut failed = Vec::new();
    for target in targets {
        match one(&programs, target, seconds, seed) {
            Ok(runs) => println!("{target:<18} {runs}, from seed {seed}"),
            Err(why) => {
                println!("not ok - {target}, from seed {seed}: {why}");
                failed.push(target.as_str());
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("{} failed", failed.join(", "))) }
}

/// Gives the folder of the programs.
fn build(asan: bool) -> Result<PathBuf, String> {
    nightly::install()?;
    let dir = folder(if asan { "fuzz/build-asan" } else { "fuzz/build" })?;
    let flags = if asan { format!("{COVERAGE}{ADDRESS}") } else { COVERAGE.to_owned() };
    let mut cargo = nightly::cargo("build --quiet --release --bins --target");
    cargo.arg(nightly::TARGET).current_dir(home()).env("CARGO_TARGET_DIR", &dir).env("RUSTFLAGS", flags);
    tools::run(&mut cargo)?;
    Ok(dir.join(nightly::TARGET).join("release"))
}

/// Runs one target; gives what libFuzzer says at the end.
fn one(programs: &Path, target: &str, seconds: u64, seed: u32) -> Result<String, String> {
    let (found, crashes) = (folder(&format!("fuzz/corpus/{target}"))?, folder("fuzz/crashes")?);
    let log = crashes.join(format!("{target}.log"));
    let file = std::fs::File::create(&log).map_err(|e| format!("cannot write {}: {e}", log.display()))?;
    let mut fuzzer = command(programs.join(target));
    fuzzer.arg(format!("-max_total_time={seconds}")).arg(format!("-seed={seed}")).args([
        "-max_len=500",
        "-timeout=20",
        "-rss_limit_mb=1500",
    ]);
    fuzzer.arg(format!("-artifact_prefix={}/{target}-", crashes.display()));
    fuzzer.arg(found).arg(home().join("corpus").join(target)).stderr(file);
    let ended = run_within(Duration::from_secs(seconds + 120), &mut fuzzer);
    let said = tools::read(&log)?;
    if ended.is_err() {
        let input = said.lines().find_map(|line| line.split("Test unit written to ").nth(1));
        let program = programs.join(target);
        let again = input.map_or_else(String::new, |input| format!("; again: {} {input}", program.display()));
        let reason = said.lines().skip_while(|line| !line.contains("panicked")).take(4);
        reason.for_each(|line| println!("    {line}"));
        return Err(format!("see {}{again}", log.display()));
    }
    let done =
        said.lines().find(|line| line.starts_with("Done ")).unwrap_or("Done, and it does not say how much");
    Ok(done.to_owned())
}

fn home() -> PathBuf {
    tools::root().join("fuzz")
}
