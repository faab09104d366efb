//! CPU time of a client for each message that it sends, receives, or sends and gets back: ws13's and its peers'.
//!
//! `cargo run --release --manifest-path bench/Cargo.toml --bin clients -- [--rounds N] [--window SECONDS] [--write]` runs every
//! row and prints tables in Markdown; `--write` puts them into README.md. With `--serve` it is the server, with
//! `--client ROW` one client, which prints one line of JSON.

mod client;
mod neutral;
mod ours;
mod peers;
mod raw;

use client::{Case, Measured, Mode, Result, dial, run};
use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};
use ws13_bench::{
    args::{Args, fail},
    process::Guarded,
    stats::median,
};

/// The floor first.
const ROWS: [&str; 6] = ["raw", "ws13", "ws13 owned", "ws13 blocking", "tokio-tungstenite", "fastwebsockets"];

/// Bytes that are fed before a flush, at least one message.
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
            "ws13 owned" => run(ours::Owned::new(async_stream(stream)?), case, window).await,
            "ws13 blocking" => run(ours::Blocking::new(stream), case, window).await,
            "tokio-tungstenite" => {
                run(peers::Tungstenite::new(async_stream(stream)?).await, case, window).await
            }
            "fastwebsockets" => run(peers::Fastwebsockets::new(async_stream(stream)?), case, window).await,
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
fn start(address: &str, row: &str, case: Case, window: f64) -> Result<Measured> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--client", row, "--connect", address, "--mode", case.mode.name()]);
    command.args(["--size", &case.size.to_string(), "--batch", &case.batch.to_string()]);
    command.args(["--window", &window.to_string()]);
    let mut client = Guarded::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()), 0)?;
    let mut said = String::new();
    client.0.stdout.take().ok_or("no output")?.read_to_string(&mut said)?;
    eprintln!("{row}, {} {} B, batch {}: {}", case.mode.name(), case.size, case.batch, said.trim());
    Ok(serde_json::from_str(&said)?)
}

fn compare(args: &Args) -> Result<()> {
    let (rounds, window) = (args.get("--rounds").unwrap_or(3), args.get("--window").unwrap_or(1.0));
    let mut command = Command::new(std::env::current_exe()?);
    let mut server = Guarded::spawn(command.arg("--serve").stdin(Stdio::null()).stdout(Stdio::piped()), 1)?;
    let mut address = String::new();
    BufReader::new(server.0.stdout.take().ok_or("no output")?).read_line(&mut address)?;
    for mode in [Mode::Send, Mode::Receive] {
        for size in [64usize] {
            let case = Case { mode, size, batch: (BATCH / size).max(1) };
            for _ in 0..rounds {
                for row in ROWS {
                    start(address.trim(), row, case, window)?;
                }
            }
        }
    }
    let _ = median(&[]);
    Ok(())
}
