//! CPU time of a client for each message that it sends, receives, or sends and gets back: ws13's and its peers'.
//!
//! `cargo run --release --manifest-path bench/Cargo.toml --bin clients -- [--rounds N] [--window SECONDS] [--write]` runs
//! every row and prints tables in Markdown; `--write` puts them into README.md. With `--serve` it is the server, with
//! `--client ROW` one client, which prints one line of JSON.

mod client;
mod neutral;
mod ours;
mod peers;
mod raw;
mod report;

use client::{Case, Measured, Mode, Result, dial, run};
use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use ws13_bench::{
    args::{Args, fail},
    process::{Guarded, cpu_time},
    readme,
};

/// The floor first.
const ROWS: [&str; 9] = [
    "raw",
    "ws13",
    "ws13-owned",
    "ws13-blocking",
    "tokio-tungstenite",
    "fastwebsockets",
    "tokio-websockets",
    "sockudo-ws",
    "yawc",
];

/// As many messages are fed before a flush as have this many bytes with their headers; at least one.
const BATCH: usize = 64 << 10;
/// Where one may choose.
const READ_BUFFER: usize = 64 << 10;
const LARGEST: usize = 16 << 20;

fn main() {
    let args = Args::from_env();
    let result = if args.has("--serve") {
        neutral::serve().map_err(Into::into)
    } else if args.has("--client") {
        measure(&args)
    } else {
        compare(&args)
    };
    if let Err(error) = result {
        fail(&format!("clients: {error}"));
    }
}

/// Bytes that look random, and are the same everywhere.
fn payload(size: usize) -> Vec<u8> {
    (0..size as u32).map(|at| (at.wrapping_mul(0x9E37_79B9) >> 24) as u8).collect()
}

/// One client, once.
fn measure(args: &Args) -> Result<()> {
    let case =
        Case { mode: args.require("--mode"), size: args.require("--size"), batch: args.require("--batch") };
    let window = Duration::from_secs_f64(args.require("--window"));
    let stream = dial(args.require::<SocketAddr>("--connect"), case)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = runtime.block_on(tokio::task::unconstrained(async {
        match &*args.require::<String>("--client") {
            "raw" => run(raw::Raw::new(stream, case), case, window).await,
            "ws13" => run(ours::Lent::new(async_stream(stream)?), case, window).await,
            "ws13-owned" => run(ours::Owned::new(async_stream(stream)?), case, window).await,
            "ws13-blocking" => run(ours::Blocking::new(stream), case, window).await,
            "tokio-tungstenite" => {
                run(peers::Tungstenite::new(async_stream(stream)?).await, case, window).await
            }
            "fastwebsockets" => run(peers::Fastwebsockets::new(async_stream(stream)?), case, window).await,
            "tokio-websockets" => run(peers::TokioWebsockets::new(async_stream(stream)?), case, window).await,
            "sockudo-ws" => run(peers::Sockudo::new(async_stream(stream)?), case, window).await,
            "yawc" => run(peers::Yawc::new(async_stream(stream)?)?, case, window).await,
            other => Err(format!("no row is called {other}").into()),
        }
    }))?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

fn async_stream(stream: TcpStream) -> std::io::Result<tokio::net::TcpStream> {
    stream.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(stream)
}

/// A client in a process of its own, on the other core than the server.
fn start((pid, address): (u32, &str), row: &str, case: Case, window: f64) -> Result<Measured> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--client", row, "--connect", address, "--mode", case.mode.name()]);
    command.args(["--size", &case.size.to_string(), "--batch", &case.batch.to_string()]);
    command.args(["--window", &window.to_string()]);
    let (before, since) = (cpu_time(pid)?, Instant::now());
    let mut client = Guarded::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()), 0)?;
    let mut said = String::new();
    client.0.stdout.take().ok_or("no output")?.read_to_string(&mut said)?;
    // The server waited, too, where other work had its core.
    let waited = (cpu_time(pid)? - before).waited as f64 / since.elapsed().as_nanos() as f64;
    eprintln!("{row}, {} {} B, batch {}: {}", case.mode.name(), case.size, case.batch, said.trim());
    let measured: Measured = serde_json::from_str(&said)?;
    Ok(Measured { disturbed: measured.disturbed.max(waited), ..measured })
}

/// Of up to three measurements the first that was hardly disturbed, else the least disturbed one.
fn undisturbed(measure: impl Fn() -> Result<Measured>) -> Result<Measured> {
    let mut best = measure()?;
    for _ in 0..2 {
        if best.disturbed <= DISTURBED {
            break;
        }
        let again = measure()?;
        best = if again.disturbed < best.disturbed { again } else { best };
    }
    Ok(best)
}

/// Every row in every case. A round is each row once; the next round begins with another row.
fn compare(args: &Args) -> Result<()> {
    let (rounds, window) = (args.get("--rounds").unwrap_or(3), args.get("--window").unwrap_or(1.0));
    let mut command = Command::new(std::env::current_exe()?);
    let mut process = Guarded::spawn(command.arg("--serve").stdin(Stdio::null()).stdout(Stdio::piped()), 1)?;
    let mut address = String::new();
    BufReader::new(process.0.stdout.take().ok_or("no output")?).read_line(&mut address)?;
    let server = (process.pid(), address.trim());
    let mut results = Vec::new();
    for case in cases() {
        let mut measured = Vec::new();
        for round in 0..rounds {
            let mut rows = [None; ROWS.len()];
            for row in (0..ROWS.len()).map(|index| (index + round) % ROWS.len()) {
                rows[row] = Some(undisturbed(|| start(server, ROWS[row], case, window))?);
            }
            measured.push(rows.into_iter().flatten().collect());
        }
        results.push((case, measured));
    }
    let text = report::to_markdown(&results, window);
    println!("{text}");
    if args.has("--write") {
        readme::replace(report::MARK, &text)?;
    }
    Ok(())
}

fn cases() -> Vec<Case> {
    let bulk = |mode| SIZES.map(|size| Case { mode, size, batch: (BATCH / (size + HEADER)).max(1) });
    let ask = [1, 16].map(|batch| Case { mode: Mode::Ask, size: SIZES[0], batch });
    [bulk(Mode::Send).to_vec(), bulk(Mode::Receive).to_vec(), ask.to_vec()].concat()
}

/// Share of a window.
const DISTURBED: f64 = 0.05;
const SIZES: [usize; 4] = [64, 1 << 10, 16 << 10, 1 << 20];
/// Of a masked frame of 126 bytes to 64 KiB; few bytes more or less do not matter here.
const HEADER: usize = 8;
