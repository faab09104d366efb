//! The load generator: one thread, many connections, frames prepared beforehand. It keeps a number of
//! messages in flight on each connection, checks every reply, and prints one line of JSON: how many
//! messages came back in the window, and how much CPU time the server spent on each.

use serde_json::json;
use std::{
    fs::File,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use ws13_bench::{
    args::{Args, fail},
    frames::{Reply, Script},
    poll::{self, Poll, Progress, READABLE, WRITABLE},
    process,
    scenario::{Kind, Scenario},
    stats::Histogram,
    upgrade,
};

fn main() {
    let args = Args::from_env();
    let result = if args.has("--idle") {
        measure_idle(&args)
    } else if args.has("--churn") {
        measure_churn(&args)
    } else {
        measure_load(&args)
    };
    match result {
        Ok(line) => println!("{line}"),
        Err(error) => fail(&format!("load: {error}")),
    }
}

/// The memory a server keeps for each connection that has sent one message and is silent since.
fn measure_idle(args: &Args) -> io::Result<serde_json::Value> {
    process::raise_file_limit()?;
    let pid = args.require("--pid");
    let script = Script::new(&scenario(args), reply(args));
    let before = process::resident_bytes(pid)?;
    let connections = connect_all(args)?;
    let mut answer = vec![0; script.reply_length];
    for mut stream in &connections {
        stream.write_all(&script.sends[..script.send_length])?;
        stream.read_exact(&mut answer)?;
        if answer != script.replies[0] {
            return Err(io::Error::other("a reply is not what was sent"));
        }
    }
    std::thread::sleep(SETTLE);
    let after = process::resident_bytes(pid)?;
    let each = (after as f64 - before as f64) / connections.len() as f64;
    Ok(json!({ "connections": connections.len(), "bytes_per_connection": each }))
}

/// What an opening handshake costs a server, one after the other, and whether it keeps anything of those that left.
fn measure_churn(args: &Args) -> io::Result<serde_json::Value> {
    let pid = args.require("--pid");
    let count = args.require::<usize>("--churn");
    let address = args.require::<SocketAddr>("--connect");
    let come_and_go = |count: usize| -> io::Result<()> {
        // Dropped at once: a reset, so that no port is kept for a minute.
        (0..count).try_for_each(|_| connect(address).and_then(|stream| process::reset_on_drop(&stream)))
    };
    come_and_go(count / 10)?;
    std::thread::sleep(SETTLE / 2);
    let before = process::resident_bytes(pid)?;
    // Also of the threads that came and went with a connection.
    let (cpu, began) = (process::cpu_time_of_all(pid)?, Instant::now());
    come_and_go(count)?;
    let (cpu, seconds) = (process::cpu_time_of_all(pid)? - cpu, began.elapsed().as_secs_f64());
    std::thread::sleep(SETTLE / 2);
    let grown = process::resident_bytes(pid)? as f64 - before as f64;
    Ok(json!({
        "cpu_us_per_handshake": cpu as f64 / 1e3 / count as f64,
        "rate": count as f64 / seconds,
        "grown": grown,
    }))
}

fn measure_load(args: &Args) -> io::Result<serde_json::Value> {
    let pid = args.require("--pid");
    let script = Script::new(&scenario(args), reply(args));
    let warm_up = Duration::from_secs_f64(args.get("--warm-up").unwrap_or(0.25));
    let window = Duration::from_secs_f64(args.get("--window").unwrap_or(2.0));
    let streams = connect_all(args)?;
    let mut load = Load::new(&script, streams)?;
    load.start()?;
    let mut perf = args.get::<PathBuf>("--perf").map(|fifos| Perf::open(&fifos)).transpose()?;

    load.run(warm_up)?;
    load.latencies.clear();
    if let Some(perf) = &mut perf {
        perf.tell("enable")?;
    }
    let (server, own) = (process::cpu_time(pid)?, process::cpu_time(std::process::id())?);
    let (messages, began) = (load.messages, Instant::now());
    load.run(window)?;
    if let Some(perf) = &mut perf {
        perf.tell("disable")?;
    }
    let (server, own) = (process::cpu_time(pid)? - server, process::cpu_time(std::process::id())? - own);
    let messages = load.messages - messages;
    let seconds = began.elapsed().as_secs_f64();

    if messages == 0 {
        return Err(io::Error::other("no message came back in the window"));
    }
    let microseconds = |share| load.latencies.quantile(share) as f64 / 1e3;
    Ok(json!({
        "messages": messages,
        "cpu_us_per_message": server.used as f64 / 1e3 / messages as f64,
        "server_busy": server.used as f64 / 1e9 / seconds,
        // The share of the window in which the server or we had to wait for a core: other work disturbed.
        "disturbed": server.waited.max(own.waited) as f64 / 1e9 / seconds,
        "rate": messages as f64 / seconds,
        "p50_us": microseconds(0.5),
        "p99_us": microseconds(0.99),
        "p999_us": microseconds(0.999),
    }))
}

/// A `perf stat` that counts while it is told to.
struct Perf {
    control: File,
    answers: File,
}

impl Perf {
    /// By the fifos `control` and `answers` in a directory.
    fn open(fifos: &Path) -> io::Result<Self> {
        let control = File::options().write(true).open(fifos.join("control"))?;
        Ok(Self { control, answers: File::open(fifos.join("answers"))? })
    }

    fn tell(&mut self, order: &str) -> io::Result<()> {
        writeln!(self.control, "{order}")?;
        self.answers.read_exact(&mut [0; b"ack\n\0".len()])
    }
}

/// All connections, and what has been measured so far.
struct Load<'a> {
    script: &'a Script,
    poll: Poll,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    messages: u64,
    latencies: Histogram,
}

struct Connection {
    stream: TcpStream,
    /// When each of the `depth` frames was sent.
    sent_at: Vec<Instant>,
    /// The frame to be sent next, and how many are outstanding but not even queued.
    next_send: usize,
    /// Bytes of the script that are queued, from `queued_from` on.
    queued_from: usize,
    queued: usize,
    waits_to_write: bool,
    /// The reply expected next, and how much of it is here.
    next_reply: usize,
    received: usize,
    replies: u64,
}

impl<'a> Load<'a> {
    fn new(script: &'a Script, streams: Vec<TcpStream>) -> io::Result<Self> {
        let poll = Poll::new()?;
        for (index, stream) in streams.iter().enumerate() {
            poll.add(stream.as_raw_fd(), index as u64, READABLE)?;
        }
        let now = Instant::now();
        let connections = streams.into_iter().map(|stream| Connection::new(stream, script, now)).collect();
        let (buffer, latencies) = (vec![0; BUFFER], Histogram::default());
        Ok(Self { script, poll, connections, buffer, messages: 0, latencies })
    }

    fn start(&mut self) -> io::Result<()> {
        let now = Instant::now();
        for index in 0..self.connections.len() {
            self.connections[index].queue(self.script, self.script.replies.len(), now);
            self.send(index)?;
        }
        Ok(())
    }

    /// Never sleeps: to wake us would be work of the server's core, and would be counted as the server's.
    fn run(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        let mut progress = Instant::now();
        loop {
            let count = self.poll.wait(Some(Duration::ZERO))?;
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            if count > 0 {
                progress = now;
            } else if now - progress > PATIENCE {
                return Err(io::Error::other("no reply for 5 seconds"));
            }
            for event in 0..count {
                let (index, ready) = self.poll.event(event);
                if ready & WRITABLE != 0 {
                    self.send(index as usize)?;
                }
                if ready & !WRITABLE != 0 {
                    self.receive(index as usize)?;
                }
            }
        }
    }

    /// Takes in what has come, and sends as many messages as were answered, in one write.
    fn receive(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let received = match poll::receive(connection.stream.as_raw_fd(), &mut self.buffer)? {
            Progress::Bytes(0) => return Err(io::Error::other("the server closed a connection")),
            Progress::Bytes(received) => received,
            Progress::WouldBlock => return Ok(()),
        };
        let now = Instant::now();
        let answered = connection.check(self.script, &self.buffer[..received], now, &mut self.latencies)?;
        if answered == 0 {
            return Ok(());
        }
        self.messages += answered as u64;
        connection.queue(self.script, answered, now);
        self.send(index)
    }

    fn send(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let fd = connection.stream.as_raw_fd();
        let bytes = &self.script.sends[connection.queued_from..][..connection.queued];
        if let Progress::Bytes(sent) = poll::send(fd, bytes)? {
            connection.queued_from += sent;
            connection.queued -= sent;
        }
        let must_wait = connection.queued > 0;
        if must_wait != connection.waits_to_write {
            connection.waits_to_write = must_wait;
            self.poll.change(fd, index as u64, if must_wait { READABLE | WRITABLE } else { READABLE })?;
        }
        Ok(())
    }
}

impl Connection {
    fn new(stream: TcpStream, script: &Script, now: Instant) -> Self {
        Self {
            stream,
            sent_at: vec![now; script.replies.len()],
            next_send: 0,
            queued_from: 0,
            queued: 0,
            waits_to_write: false,
            next_reply: 0,
            received: 0,
            replies: 0,
        }
    }

    /// Queues `count` more frames, behind those that could not be sent yet.
    fn queue(&mut self, script: &Script, count: usize, now: Instant) {
        if self.queued == 0 {
            self.queued_from = self.next_send * script.send_length;
        } else if self.queued_from >= script.sends.len() / 2 {
            // The same bytes stand in the first half, and there is room behind them.
            self.queued_from -= script.sends.len() / 2;
        }
        self.queued += count * script.send_length;
        for _ in 0..count {
            self.sent_at[self.next_send] = now;
            self.next_send = (self.next_send + 1) % self.sent_at.len();
        }
    }

    /// Compares what came with what must come, and says how many replies it completed.
    fn check(
        &mut self,
        script: &Script,
        mut bytes: &[u8],
        now: Instant,
        latencies: &mut Histogram,
    ) -> io::Result<usize> {
        let mut answered = 0;
        while !bytes.is_empty() {
            let expected = &script.replies[self.next_reply];
            let (part, rest) = bytes.split_at(bytes.len().min(script.reply_length - self.received));
            // The header always, the payload of every so many.
            let compared = match self.replies.is_multiple_of(SAMPLED) {
                true => part.len(),
                false => part.len().min(script.reply_header.saturating_sub(self.received)),
            };
            if part[..compared] != expected[self.received..][..compared] {
                return Err(io::Error::other("a reply is not what was sent"));
            }
            self.received += part.len();
            bytes = rest;
            if self.received == script.reply_length {
                latencies.record((now - self.sent_at[self.next_reply]).as_nanos() as u64);
                self.received = 0;
                self.next_reply = (self.next_reply + 1) % script.replies.len();
                self.replies += 1;
                answered += 1;
            }
        }
        Ok(answered)
    }
}

fn scenario(args: &Args) -> Scenario {
    Scenario {
        name: "",
        connections: args.require("--connections"),
        size: args.require("--size"),
        depth: args.get("--depth").unwrap_or(1).max(1),
        kind: args.get("--kind").unwrap_or(Kind::Binary),
    }
}

fn reply(args: &Args) -> Reply {
    if args.has("--masked-replies") { Reply::Bytes } else { Reply::Echo }
}

/// Connections with the upgrade behind them.
fn connect_all(args: &Args) -> io::Result<Vec<TcpStream>> {
    let address = args.require::<SocketAddr>("--connect");
    let count = args.require::<usize>("--connections");
    (0..count).map(|_| connect(address)).collect()
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    upgrade::ask(&mut stream, &upgrade::request())?;
    Ok(stream)
}

const BUFFER: usize = 256 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);
const SETTLE: Duration = Duration::from_secs(2);
/// One payload in so many is compared byte for byte.
const SAMPLED: u64 = 16;
