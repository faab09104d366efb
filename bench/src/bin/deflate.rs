//! permessage-deflate: CPU time and bytes of a message that is sent compressed, by us and by our peers.
//!
//! `cargo run --release --manifest-path bench/Cargo.toml --bin deflate -- [--npm FOLDER]` prints a table in Markdown. FOLDER
//! is one with npm's `ws` in its node_modules. A number of connections send in turn, into nothing: what is counted is
//! what the library does from its `send` to the bytes for the socket (for sockudo-ws its encoder alone).

use bytes::Buf;
use futures_util::SinkExt;
use sockudo_ws::deflate::{DeflateEncoder, DeflateWindowBits};
use std::{
    io,
    pin::Pin,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ws13_bench::{
    args::{Args, fail},
    process::pin,
};

const SIZES: [usize; 5] = [64, 264, 1024, 16 << 10, 1 << 20];
const LEVELS: [u8; 3] = [1, 3, 6];
const IN_TURN: [usize; 3] = [1, 64, 512];
/// Bytes that go in for one figure, at most, and messages at least.
const BUDGET: usize = 6 << 20;
const LEAST: usize = 6;
/// The longest message for which ws13 has an encoder of its own.
const OF_ITS_OWN: usize = 4 << 10;
const WINDOW: usize = 16 << 10;

/// Sends one message on one connection; gives its bytes on the wire.
type Send = Box<dyn FnMut(usize, &str) -> usize>;

#[derive(Clone, Copy)]
struct Setting {
    connections: usize,
    level: u8,
    takeover: bool,
    /// Of ws13: connections whose histories a thread keeps.
    histories: usize,
}

/// The default of that.
const HISTORIES: usize = 64;

fn main() -> io::Result<()> {
    let args = Args::from_env();
    let npm: Option<String> = args.get("--npm");
    pin(0)?;
    println!("| message | takeover | level | in turn | ws13: µs, bytes | sockudo-ws | yawc | npm ws |");
    println!("|---|---|---:|---:|---:|---:|---:|---:|");
    for size in SIZES {
        for takeover in [true, false] {
            for (level, connections) in
                LEVELS.into_iter().flat_map(|level| IN_TURN.map(|connections| (level, connections)))
            {
                // Half a gigabyte of encoders for a table's sake is enough.
                if (size == 1 << 20 && connections > 64) || (!takeover && connections == 64) {
                    continue;
                }
                let setting = Setting { connections, level, takeover, histories: HISTORIES };
                let figures = [ours, sockudo, yawc].map(|sender| figure(sender, setting, size));
                let theirs = npm.as_deref().map_or_else(|| "-".to_owned(), |npm| node(npm, setting, size));
                let takeover = if takeover { "yes" } else { "no" };
                println!(
                    "| {size} B | {takeover} | {level} | {connections} | {} | {theirs} |",
                    figures.join(" | ")
                );
                if takeover == "yes" && connections > HISTORIES && size <= OF_ITS_OWN {
                    let setting = Setting { histories: connections, ..setting };
                    let figure = figure(ours, setting, size);
                    println!(
                        "| {size} B | {takeover} | {level} | {connections}, all kept | {figure} | - | - | - |"
                    );
                }
            }
        }
    }
    Ok(())
}

fn count(setting: Setting, size: usize) -> usize {
    (BUDGET / size).clamp(LEAST, 4000).max(2 * setting.connections)
}

/// Messages on each connection beforehand, so that there is as much to refer back to as there will be.
fn warm_up(size: usize) -> usize {
    (WINDOW / size).max(1)
}

/// On a thread of its own, which keeps nothing of those before it.
fn figure(sender: fn(Setting) -> Option<Send>, setting: Setting, size: usize) -> String {
    let on_thread = move || sender(setting).map(|send| measure(send, setting, size));
    std::thread::spawn(on_thread).join().ok().flatten().unwrap_or_else(|| "-".to_owned())
}

fn measure(mut send: Send, setting: Setting, size: usize) -> String {
    let count = count(setting, size);
    for number in 0..setting.connections * warm_up(size) {
        send(number % setting.connections, &message(number, size));
    }
    let messages: Vec<String> = (0..count).map(|number| message(number + count, size)).collect();
    let before = own_time();
    let bytes: usize =
        messages.iter().enumerate().map(|(number, text)| send(number % setting.connections, text)).sum();
    let used = own_time() - before;
    format!("{:.2}, {}", used as f64 / 1e3 / count as f64, bytes / count)
}

/// CPU time of this process, in nanoseconds; the scheduler's own count moves only now and then.
fn own_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives through the call.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Rows with a common vocabulary; the same in `deflate.mjs`.
fn message(number: usize, size: usize) -> String {
    let mut text = String::with_capacity(size + 100);
    for i in 0.. {
        if text.len() >= size {
            break;
        }
        let n = number * 31 + i;
        text += &format!(
            "{{\"id\":{},\"name\":\"sensor-{}\",\"value\":{}.{},\"unit\":\"celsius\",\"tags\":[\"a{}\",\"room\"]}},",
            n * 7919,
            n % 13,
            n % 40,
            n * 37 % 1000,
            n % 5
        );
    }
    text.truncate(size);
    text
}

fn ours(setting: Setting) -> Option<Send> {
    use ws13::{Config, Connection, Deflate, Outbox, Role, deflate::Agreed};
    let deflate = Deflate {
        level: setting.level,
        histories: setting.histories,
        threshold: 1,
        threshold_without_takeover: 1,
        ..Deflate::default()
    };
    let config = Arc::new(Config { deflate: Some(deflate), ..Config::default() });
    let agreed = Agreed { server_context_takeover: setting.takeover, ..Agreed::default() };
    let connection = |_| Connection::new(Role::Server, Arc::clone(&config)).with_deflate(agreed);
    let mut connections: Vec<_> = (0..setting.connections).map(connection).collect();
    let mut outbox = Outbox::new();
    Some(Box::new(move |at, text| {
        let _ = connections[at].send(text, &mut outbox);
        let queued = outbox.queued();
        while outbox.has_remaining() {
            outbox.advance(outbox.chunk().len());
        }
        queued
    }))
}

fn sockudo(setting: Setting) -> Option<Send> {
    let bits = DeflateWindowBits::Bits15;
    let encoder = |_| DeflateEncoder::new(bits, !setting.takeover, setting.level.into(), 0);
    let mut encoders: Vec<_> = (0..setting.connections).map(encoder).collect();
    Some(Box::new(move |at, text| match encoders[at].compress(text.as_bytes()) {
        Ok(Some(bytes)) => framed(bytes.len()),
        _ => framed(text.len()),
    }))
}

fn framed(len: usize) -> usize {
    len + match len {
        0..126 => 2,
        126..0x1_0000 => 4,
        _ => 10,
    }
}

fn yawc(setting: Setting) -> Option<Send> {
    use yawc::{CompressionLevel, Options, Role, WebSocket, frame::Frame};
    let mut options = Options::default().with_compression_level(CompressionLevel::new(setting.level.into()));
    options = options.with_compression_threshold(0);
    if !setting.takeover {
        options = options.server_no_context_takeover();
    }
    let written = Arc::new(AtomicUsize::new(0));
    let agreed = match setting.takeover {
        true => "permessage-deflate",
        false => "permessage-deflate; server_no_context_takeover",
    };
    let socket = |_| {
        let stream = Nothing(Arc::clone(&written));
        WebSocket::from_stream_with_extensions(stream, Role::Server, Some(agreed), options.clone()).ok()
    };
    let sockets: Option<Vec<_>> = (0..setting.connections).map(socket).collect();
    let mut sockets = sockets?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
    Some(Box::new(move |at, text| {
        let before = written.load(Ordering::Relaxed);
        let sent = runtime.block_on(sockets[at].send(Frame::text(text.to_owned())));
        if sent.is_err() {
            fail("yawc cannot send");
        }
        written.load(Ordering::Relaxed) - before
    }))
}

/// Takes everything, and gives nothing.
struct Nothing(Arc<AtomicUsize>);

impl AsyncRead for Nothing {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Nothing {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.fetch_add(bytes.len(), Ordering::Relaxed);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// npm's `ws` in a process of its own, with its threads.
fn node(folder: &str, setting: Setting, size: usize) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/deflate.mjs");
    let mut command = Command::new("node");
    command.current_dir(folder).arg(script).arg(folder);
    command.args(
        [
            size,
            setting.connections,
            setting.level.into(),
            setting.takeover.into(),
            count(setting, size),
            setting.connections * warm_up(size),
        ]
        .map(|n| n.to_string()),
    );
    match command.output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        other => fail(&format!("npm ws: {other:?}")),
    }
}
