//! Broadcasts: one message to many connections, some of which never read.
//!
//! `cargo run --release --manifest-path bench/Cargo.toml --bin broadcast -- [--connections N] [--rounds N] [--lagging]` runs
//! every row and prints two tables in Markdown: who sends how, and what is done with those who lag; with `--lagging` only
//! that. With `--serve` or `--listen` it is one side of a run.

mod copies;
mod listening;
mod serving;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    io::{self, BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
};
use ws13_bench::{
    args::Args,
    process::{Guarded, raise_file_limit},
    stats::median,
};

/// The rows: who sends how, whether compression is agreed on.
const ROWS: [(&str, bool); 6] = [
    ("ws13 Broadcast", false),
    ("ws13 one by one", false),
    ("tokio-tungstenite", false),
    ("fastwebsockets", false),
    ("ws13 Broadcast", true),
    ("ws13 one by one", true),
];
/// What `Broadcast` does with those who lag.
const POLICIES: [&str; 4] = ["drop oldest", "drop newest", "keep latest", "disconnect"];
/// For them: more than the 4 MB that the system buffers for who does not read, before the first Ping is due.
const LAGGING: Extent = Extent { messages: 120, connections: 1000, pause_ms: 100 };
const LAGGING_SIZE: usize = 60_000;
const MESSAGES: usize = 30;
/// To count copies, less does.
const FEW: Extent = Extent { messages: 4, connections: 500, pause_ms: PAUSE_MS };
const PAUSE_MS: u64 = 250;
/// One in this many does not read.
const STUCK: usize = 100;

fn main() -> io::Result<()> {
    let args = Args::from_env();
    raise_file_limit()?;
    if args.has("--serve") {
        serving::serve(&args)
    } else if args.has("--listen") {
        listening::listen(&args)
    } else {
        run(&args)
    }
}

/// How much is sent in a run.
#[derive(Clone, Copy)]
struct Extent {
    messages: usize,
    connections: usize,
    /// From one message to the next.
    pause_ms: u64,
}

/// What the server of a run tells.
#[derive(Serialize, Deserialize, Clone, Default)]
struct Served {
    /// CPU time of the server for one delivery.
    cpu_us: f64,
    /// Bytes copied in user space for one delivery, where they are counted.
    copied: Option<f64>,
    /// Compressions of one message.
    compressions: f64,
    /// Messages that those who lag did not get, all together.
    dropped: usize,
    /// Those who were disconnected.
    disconnected: usize,
    resident: u64,
    /// When each message began to be sent: nanoseconds of the clock that both processes share.
    begun: Vec<u64>,
}

/// What the listener of a run tells.
#[derive(Serialize, Deserialize, Clone, Default)]
struct Listened {
    /// When the last of those who read had each message.
    last: Vec<u64>,
    /// Bytes that came for one message, headers and all.
    bytes: f64,
}

type Results = Vec<(Served, Listened)>;

fn run(args: &Args) -> io::Result<()> {
    let connections: usize = args.get("--connections").unwrap_or(10_000);
    let rounds: usize = args.get("--rounds").unwrap_or(1);
    if !args.has("--lagging") {
        who_sends_how(connections, rounds)?;
    }
    what_is_done_with_those_who_lag(rounds)
}

fn who_sends_how(connections: usize, rounds: usize) -> io::Result<()> {
    println!(
        "{connections} connections, of which every {STUCK}th does not read; {MESSAGES} messages, {rounds} rounds\n"
    );
    println!(
        "| message | row | compressed | compressions | CPU, µs a delivery | bytes copied | bytes on the wire | until the last, ms | resident, MiB |"
    );
    println!("|---|---|---|---:|---:|---:|---:|---:|---:|");
    let extent = Extent { messages: MESSAGES, connections, pause_ms: PAUSE_MS };
    let counter = copies::build()?;
    for size in [64, 1024] {
        for (name, deflate) in ROWS {
            let results = repeated(rounds, name, deflate, size, extent)?;
            let counted = counter.as_deref().map(|counter| row(name, deflate, size, FEW, Some(counter)));
            let copied = counted.transpose()?.and_then(|(served, _)| served.copied);
            println!(
                "| {size} B | {name} | {} | {:.1} | {:.2} | {} | {:.0} | {:.1} | {:.0} |",
                if deflate { "yes" } else { "no" },
                of(&results, |(served, _)| served.compressions),
                of(&results, |(served, _)| served.cpu_us),
                copied.map_or("-".into(), |copied| format!("{copied:.0}")),
                of(&results, |(_, listened)| listened.bytes),
                of(&results, until_the_last),
                of(&results, resident_mib),
            );
        }
    }
    println!();
    Ok(())
}

fn what_is_done_with_those_who_lag(rounds: usize) -> io::Result<()> {
    println!(
        "| those who lag | CPU, µs a delivery | until the last, ms | resident, MiB | dropped | disconnected |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    for name in POLICIES {
        let results = repeated(rounds, name, false, LAGGING_SIZE, LAGGING)?;
        println!(
            "| {name} | {:.2} | {:.1} | {:.0} | {:.0} | {:.0} |",
            of(&results, |(served, _)| served.cpu_us),
            of(&results, until_the_last),
            of(&results, resident_mib),
            of(&results, |(served, _)| served.dropped as f64),
            of(&results, |(served, _)| served.disconnected as f64),
        );
    }
    Ok(())
}

fn repeated(rounds: usize, name: &str, deflate: bool, size: usize, extent: Extent) -> io::Result<Results> {
    (0..rounds).map(|_| row(name, deflate, size, extent, None)).collect()
}

fn of(results: &Results, value: impl Fn(&(Served, Listened)) -> f64) -> f64 {
    median(&results.iter().map(value).collect::<Vec<_>>())
}

fn resident_mib((served, _): &(Served, Listened)) -> f64 {
    served.resident as f64 / f64::from(1 << 20)
}

/// Milliseconds from the send to the last of those who read.
fn until_the_last((served, listened): &(Served, Listened)) -> f64 {
    let each = served.begun.iter().zip(&listened.last);
    median(&each.map(|(begun, last)| last.saturating_sub(*begun) as f64 / 1e6).collect::<Vec<_>>())
}

/// One run of a row, the server with `preloaded`.
fn row(
    name: &str,
    deflate: bool,
    size: usize,
    extent: Extent,
    preloaded: Option<&Path>,
) -> io::Result<(Served, Listened)> {
    let program = std::env::current_exe()?;
    let start = |role: &str, core, more: &[String], preloaded: Option<&Path>| {
        let mut command = Command::new(&program);
        command.arg(role).args(["--size", &size.to_string()]);
        command.args(["--connections", &extent.connections.to_string()]);
        command.args(["--messages", &extent.messages.to_string(), "--pause", &extent.pause_ms.to_string()]);
        command.args(deflate.then_some("--deflate")).args(more);
        command.envs(preloaded.map(|library| ("LD_PRELOAD", library)));
        Guarded::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()), core)
    };
    let mut server = start("--serve", 0, &["--row".into(), name.into()], preloaded)?;
    let mut said = BufReader::new(server.0.stdout.take().expect("piped"));
    let mut address = String::new();
    said.read_line(&mut address)?;
    let mut listener = start("--listen", 1, &["--connect".into(), address.trim().into()], None)?;
    let listened = result(listener.0.stdout.take().expect("piped"))?;
    Ok((result(said)?, listened))
}

/// What a process printed at its end.
fn result<T: DeserializeOwned>(mut output: impl Read) -> io::Result<T> {
    let mut text = String::new();
    output.read_to_string(&mut text)?;
    serde_json::from_str(&text).map_err(io::Error::other)
}

fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives through the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
