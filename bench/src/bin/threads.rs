//! Whether `ws13 serve --threads 2` does twice the work of one thread, on a machine of two cores.
//!
//! The load has to share these cores, so each message has to cost the server far more than it costs the load: the server
//! compresses 16 KiB of JSON for every reply, and the load looks at the reply's header only.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use ws13_bench::{
    args::{Args, fail},
    frames::frame,
    process::{CpuTime, Guarded, cpu_time},
    readme,
    stats::median,
    upgrade,
};

fn main() {
    let args = Args::from_env();
    if let Err(error) = compare(&args) {
        fail(&format!("threads: {error}"));
    }
}

fn compare(args: &Args) -> io::Result<()> {
    let (rounds, window) = (args.get("--rounds").unwrap_or(3), args.get("--window").unwrap_or(2.0));
    let mut results: [Vec<Measured>; THREADS.len()] = Default::default();
    for _ in 0..rounds {
        for (threads, measured) in THREADS.into_iter().zip(&mut results) {
            measured.push(measure(threads, Duration::from_secs_f64(window))?);
            eprintln!("{threads} threads: {:?}", measured.last());
        }
    }
    let text = to_markdown(&results, window);
    println!("{text}");
    if args.has("--write") {
        readme::replace("<!-- threads -->", &text)?;
    }
    Ok(())
}

const THREADS: [u32; 2] = [1, 2];

#[derive(Debug)]
struct Measured {
    /// Messages a second.
    rate: f64,
    /// Cores that the server kept busy.
    cores: f64,
    /// Microseconds of the server's CPU time for each message.
    us: f64,
}

fn to_markdown(results: &[Vec<Measured>], window: f64) -> String {
    let of = |measured: &[Measured], figure: fn(&Measured) -> f64| {
        median(&measured.iter().map(figure).collect::<Vec<_>>())
    };
    let one = of(&results[0], |measured| measured.rate);
    let mut text = format!(
        "Medians of {} rounds of {window} s.\n\n| threads | messages/s | times one thread's | cores busy | CPU, µs a message |\n\
         |---:|---:|---:|---:|---:|\n",
        results[0].len()
    );
    for (threads, measured) in THREADS.iter().zip(results) {
        let rate = of(measured, |measured| measured.rate);
        let (cores, us) = (of(measured, |measured| measured.cores), of(measured, |measured| measured.us));
        text += &format!("| {threads} | {rate:.0} | {:.2} | {cores:.2} | {us:.1} |\n", rate / one);
    }
    text
}

/// A fresh server, under load from threads of this process.
fn measure(threads: u32, window: Duration) -> io::Result<Measured> {
    let (server, address) = serve(threads)?;
    let sent: Arc<[u8]> = frame(TEXT, Some([0x12, 0x34, 0x56, 0x78]), records().as_bytes()).into();
    let answered = Arc::new(AtomicU64::new(0));
    for _ in 0..CONNECTIONS {
        let stream = connect(&address)?;
        let (sent, answered) = (Arc::clone(&sent), Arc::clone(&answered));
        // Ends with the server.
        std::thread::spawn(move || ask(stream, &sent, &answered));
    }
    let now = || -> io::Result<(Instant, CpuTime, u64)> {
        Ok((Instant::now(), cpu_time(server.pid())?, answered.load(Ordering::Relaxed)))
    };
    std::thread::sleep(WARM_UP);
    let before = now()?;
    std::thread::sleep(window);
    let after = now()?;
    let (seconds, used) = ((after.0 - before.0).as_secs_f64(), (after.1 - before.1).used as f64);
    let messages = (after.2 - before.2) as f64;
    if messages == 0.0 {
        return Err(io::Error::other("no reply came in the window"));
    }
    Ok(Measured { rate: messages / seconds, cores: used / 1e9 / seconds, us: used / 1e3 / messages })
}

/// The server, free to run on any core, and where it listens.
fn serve(threads: u32) -> io::Result<(Guarded, String)> {
    let file = std::env::var_os("WS13")
        .map_or(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/release/ws13"), PathBuf::from);
    let mut command = Command::new(file);
    command.args([
        "serve",
        "echo",
        "--compress",
        "--listen",
        "127.0.0.1:0",
        "--threads",
        &threads.to_string(),
    ]);
    let mut process = Guarded(command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?);
    let said = process.0.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut lines = BufReader::new(said).lines().map_while(Result::ok);
    let address = lines.find_map(|line| Some(line.split_once("127.0.0.1:")?.1.to_owned()));
    let port: String = address.unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
    std::thread::spawn(move || lines.count());
    Ok((process, format!("127.0.0.1:{port}")))
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let request = upgrade::request();
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n";
    let head = upgrade::ask(&mut stream, &request.replacen("\r\n\r\n", &format!("\r\n{offer}"), 1))?;
    if !head.contains("permessage-deflate") {
        return Err(io::Error::other("the server did not agree on compression"));
    }
    Ok(stream)
}

/// Keeps so many messages in flight, and counts replies.
fn ask(mut stream: TcpStream, sent: &[u8], answered: &AtomicU64) -> io::Result<()> {
    let mut replies = BufReader::with_capacity(SIZE, stream.try_clone()?);
    for _ in 0..DEPTH {
        stream.write_all(sent)?;
    }
    loop {
        let mut header = [0; 4];
        replies.read_exact(&mut header)?;
        // One frame, compressed, of 126 bytes to 64 KiB.
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header[..2] != [0xC0 | TEXT, 126] || len >= SIZE {
            eprintln!("threads: a reply is not compressed: {header:?}");
            return Err(io::ErrorKind::InvalidData.into());
        }
        io::copy(&mut replies.by_ref().take(len as u64), &mut io::sink())?;
        answered.fetch_add(1, Ordering::Relaxed);
        stream.write_all(sent)?;
    }
}

/// Text that takes a while to compress: JSON with numbers that do not repeat.
fn records() -> String {
    let mut text = String::new();
    let mut number: u32 = 1;
    while text.len() < SIZE {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text += &format!(
            "{{\"id\":{},\"price\":{}.{:02},\"side\":\"buy\"}},",
            number >> 8,
            number >> 20,
            number % 97
        );
    }
    text.truncate(SIZE);
    text
}

const CONNECTIONS: usize = 16;
/// Messages that each connection keeps in flight.
const DEPTH: usize = 2;
/// Bytes of each message.
const SIZE: usize = 16 * 1024;
/// RFC 6455, 5.2.
const TEXT: u8 = 1;
const WARM_UP: Duration = Duration::from_millis(500);
