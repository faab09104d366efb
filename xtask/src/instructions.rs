//! Instructions a message, counted under valgrind: figures that repeat exactly, so that CI can hold them.

use crate::tools::{self, Outcome, apt_install, cargo, command, found, output, read, root, run, write};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;

/// A case may cost this much more than its bar before it fails, in percent.
const TOLERANCE: f64 = 3.0;

/// Two runs of each case; the cost of one is their difference.
const TIMES: (u64, u64) = (1024, 4096);

/// The size of an attack, and the most that twice of it may cost.
const SIZE: u64 = 1 << 14;
const TWICE: f64 = 2.2;

/// Holds each case against its bar, and the work of each attack against its size.
pub(crate) fn check() -> Outcome {
    let program = program()?;
    let linear = attacks(&program);
    let bars = messages(&program);
    linear.and(bars)
}

/// Counts anew, and keeps the figures as the bars.
pub(crate) fn keep() -> Outcome {
    let program = program()?;
    let figures = count_all(&program, "--list-messages", |name| cost(&program, name))?;
    let mut text = format!(
        "# Instructions a message, all features. Changed by `cargo xtask instructions --keep`.\n# {}\n",
        rustc()?
    );
    for (name, figure) in &figures {
        text += &format!("{figure:>10.1}  {name}\n");
        println!("{figure:>10.1}  {name}");
    }
    write(&bars_file(), &text)
}

fn messages(program: &Path) -> Outcome {
    let text = read(&bars_file())?;
    let same_compiler = text.contains(&rustc()?);
    let bars: BTreeMap<&str, f64> = text.lines().filter_map(bar).collect();
    let figures = count_all(program, "--list-messages", |name| cost(program, name))?;
    let mut over = Vec::new();
    println!("{:>10} {:>10} {:>7}  a message", "counted", "bar", "");
    for (name, figure) in &figures {
        let bar = *bars
            .get(name.as_str())
            .ok_or_else(|| format!("{name} has no bar: cargo xtask instructions --keep"))?;
        let percent = (figure / bar - 1.0) * 100.0;
        println!("{figure:>10.1} {bar:>10.1} {percent:>+6.1}%  {name}");
        if percent > TOLERANCE {
            over.push(format!("{name} ({percent:+.1} %)"));
        }
    }
    if over.is_empty() {
        return Ok(());
    }
    if !same_compiler {
        println!(
            "over the bars, which were counted with another compiler, so it is not held against the code: {}",
            over.join(", ")
        );
        return Ok(());
    }
    Err(format!(
        "more than {TOLERANCE} % over the bar: {}; if it has to be, `cargo xtask instructions --keep`",
        over.join(", ")
    ))
}

/// Work is linear: twice the bytes cost at most 2.2 times the instructions.
fn attacks(program: &Path) -> Outcome {
    let ratios = count_all(program, "--list-attacks", |name| {
        let [nothing, once, twice] = [0, SIZE, 2 * SIZE].map(|size| count(program, name, size));
        let nothing = nothing?;
        Ok((twice? - nothing) / (once? - nothing).max(1.0))
    })?;
    let mut over = Vec::new();
    println!("{:>10}  twice the bytes, in instructions", "ratio");
    for (name, ratio) in ratios {
        println!("{ratio:>10.2}  {name}");
        if ratio > TWICE {
            over.push(format!("{name} ({ratio:.2})"));
        }
    }
    if over.is_empty() { Ok(()) } else { Err(format!("the work is not linear: {}", over.join(", "))) }
}

/// Instructions for one message.
fn cost(program: &Path, name: &str) -> Result<f64, String> {
    let [few, many] = [TIMES.0, TIMES.1].map(|times| count(program, name, times));
    Ok((many? - few?) / (TIMES.1 - TIMES.0) as f64)
}

/// All instructions of a run.
fn count(program: &Path, name: &str, times: u64) -> Result<f64, String> {
    let mut valgrind = command("valgrind");
    valgrind.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    let run = valgrind.arg(program).arg(name).arg(times.to_string()).output();
    let run = run.map_err(|e| format!("cannot run valgrind: {e}"))?;
    let said = String::from_utf8_lossy(&run.stderr);
    let counted =
        said.lines().find_map(|line| line.split_once("refs:")).map(|(_, figure)| figure.replace(',', ""));
    match counted.and_then(|figure| figure.trim().parse().ok()) {
        Some(figure) if run.status.success() => Ok(figure),
        _ => Err(format!("{name} was not counted: {said}")),
    }
}

/// Each case of a list, several at once.
fn count_all(
    program: &Path,
    list: &str,
    count: impl Fn(&str) -> Result<f64, String> + Sync,
) -> Result<Vec<(String, f64)>, String> {
    let names = output(command(program).arg(list))?;
    let names: Vec<&str> = names.lines().collect();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut figures = Vec::new();
    for some in names.chunks(threads) {
        let counted: Vec<_> = thread::scope(|scope| {
            let running: Vec<_> = some.iter().map(|name| scope.spawn(|| count(name))).collect();
            running.into_iter().map(|thread| thread.join().expect("counting does not panic")).collect()
        });
        for (name, figure) in some.iter().zip(counted) {
            figures.push(((*name).to_owned(), figure?));
        }
    }
    Ok(figures)
}

/// The bench, built as a user's release is.
fn program() -> Result<PathBuf, String> {
    if found("valgrind").is_none() {
        apt_install("valgrind")?;
    }
    let build = "build --release -p ws13 --bench instructions --all-features";
    run(&mut cargo(build))?;
    let messages = output(cargo(build).args(["--quiet", "--message-format=json"]))?;
    let executable = messages.lines().filter(|line| line.contains("\"instructions\"")).find_map(|line| {
        let (_, rest) = line.split_once("\"executable\":\"")?;
        rest.split_once('"').map(|(path, _)| PathBuf::from(path))
    });
    executable.ok_or_else(|| "cargo does not say where it built the bench".to_owned())
}

fn bar(line: &str) -> Option<(&str, f64)> {
    let (figure, name) = line.trim().split_once("  ")?;
    Some((name, figure.parse().ok()?))
}

fn rustc() -> Result<String, String> {
    Ok(output(tools::command("rustc").arg("--version"))?.trim().to_owned())
}

fn bars_file() -> PathBuf {
    root().join("crates/ws13/benches/instructions/bars.txt")
}
