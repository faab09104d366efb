//! Broadcasts: one message to many connections, some of which never read.
//!
//! `cargo run --release --manifest-path bench/Cargo.toml --bin broadcast -- [--connections N] [--rounds N]` runs every row
//! and prints a table in Markdown. With `--serve` or `--listen` it is one side of a run.

use serde::{Deserialize, Serialize};
use serde_json::{from_str, to_string};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::AsRawFd,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use ws13_bench::{
    args::{Args, fail},
    poll::{Poll, Progress, READABLE, receive},
    process::{Guarded, cpu_time, raise_file_limit, resident_bytes},
    stats::median,
    upgrade,
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
const MESSAGES: usize = 30;
const PAUSE: Duration = Duration::from_millis(250);
/// One in this many does not read.
const STUCK: usize = 100;

fn main() -> io::Result<()> {
    let args = Args::from_env();
    raise_file_limit()?;
    if args.has("--serve") {
        serve(&args)
    } else if args.has("--listen") {
        listen(&args)
    } else {
        run(&args)
    }
}

/// What a run of one row gave.
#[derive(Serialize, Deserialize, Clone, Default)]
struct Served {
    /// CPU time of the server for one delivery.
    cpu_us: f64,
    /// Compressions of one message.
    compressions: f64,
    resident: u64,
    /// When each message began to be sent: nanoseconds of the clock that both processes share.
    begun: Vec<u64>,
}

#[derive(Serialize, Deserialize, Clone, Default)]
struct Listened {
    /// When the last of those who read had each message.
    last: Vec<u64>,
    /// Bytes that came for one message, headers and all.
    bytes: f64,
}

fn run(args: &Args) -> io::Result<()> {
    let connections: usize = args.get("--connections").unwrap_or(10_000);
    let rounds: usize = args.get("--rounds").unwrap_or(1);
    println!(
        "{connections} connections, of which every {STUCK}th does not read; {MESSAGES} messages, {rounds} rounds\n"
    );
    println!(
        "| message | row | compressed | compressions | CPU, µs a delivery | bytes on the wire | until the last, ms | resident, MiB |"
    );
    println!("|---|---|---|---:|---:|---:|---:|---:|");
    for size in [64, 1024] {
        for (name, deflate) in ROWS {
            let results: Vec<_> =
                (0..rounds).map(|_| row(name, deflate, size, connections)).collect::<io::Result<_>>()?;
            let of = |value: &dyn Fn(&(Served, Listened)) -> f64| {
                median(&results.iter().map(value).collect::<Vec<_>>())
            };
            let late = |(served, listened): &(Served, Listened)| {
                let each = served.begun.iter().zip(&listened.last);
                median(
                    &each.map(|(begun, last)| last.saturating_sub(*begun) as f64 / 1e6).collect::<Vec<_>>(),
                )
            };
            println!(
                "| {size} B | {name} | {} | {:.1} | {:.2} | {:.0} | {:.1} | {:.0} |",
                if deflate { "yes" } else { "no" },
                of(&|(served, _)| served.compressions),
                of(&|(served, _)| served.cpu_us),
                of(&|(_, listened)| listened.bytes),
                of(&late),
                of(&|(served, _)| served.resident as f64 / f64::from(1 << 20)),
            );
        }
    }
    Ok(())
}

fn row(name: &str, deflate: bool, size: usize, connections: usize) -> io::Result<(Served, Listened)> {
    let program = std::env::current_exe()?;
    let start = |role: &str, core, more: &[String]| {
        let mut command = Command::new(&program);
        command.arg(role).args(["--connections", &connections.to_string(), "--size", &size.to_string()]);
        command.args(deflate.then_some("--deflate")).args(more);
        Guarded::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()), core)
    };
    let mut server = start("--serve", 0, &["--row".into(), name.into()])?;
    let mut said = BufReader::new(server.0.stdout.take().expect("piped"));
    let mut address = String::new();
    said.read_line(&mut address)?;
    let mut listener = start("--listen", 1, &["--connect".into(), address.trim().into()])?;
    let (mut served, mut listened) = (String::new(), String::new());
    listener.0.stdout.take().expect("piped").read_to_string(&mut listened)?;
    said.read_to_string(&mut served)?;
    Ok((from_str(&served).map_err(io::Error::other)?, from_str(&listened).map_err(io::Error::other)?))
}

/// Rows of a table, as a room of dashboards would be sent: alike, but not the same.
fn message(number: usize, size: usize) -> String {
    let mut text = String::new();
    for i in 0.. {
        if text.len() >= size {
            break;
        }
        let n = number * 31 + i;
        text += &format!(
            "{{\"id\":{},\"name\":\"sensor-{}\",\"value\":{}.{:02},\"unit\":\"celsius\"}},",
            n * 7919,
            n % 13,
            n * 37 % 100,
            n % 97
        );
    }
    text.truncate(size);
    text
}

fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives through the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// How a row sends: gives a message to all; tells how often it was compressed.
type Send = Box<dyn FnMut(&str) -> usize>;

fn serve(args: &Args) -> io::Result<()> {
    let (connections, size) = (args.require::<usize>("--connections"), args.require::<usize>("--size"));
    let row: String = args.require("--row");
    let deflate = args.has("--deflate");
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async move {
        let joined = Arc::new(Mutex::new(0));
        let mut send: Send = match &*row {
            "ws13 Broadcast" => ours::broadcast(deflate, &joined).await?,
            "ws13 one by one" => ours::one_by_one(deflate, &joined).await?,
            "tokio-tungstenite" => theirs::tungstenite(&joined).await?,
            "fastwebsockets" => theirs::fastwebsockets(&joined).await?,
            _ => fail("no such row"),
        };
        while *joined.lock().unwrap() < connections {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // So that what the handshakes left behind is over.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut served = Served::default();
        let before = cpu_time(std::process::id())?;
        let mut compressions = Vec::new();
        for number in 0..MESSAGES {
            let text = message(number, size);
            let next = Instant::now() + PAUSE;
            served.begun.push(now());
            compressions.push(send(&text) as f64);
            tokio::time::sleep_until(next.into()).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let used = (cpu_time(std::process::id())? - before).used;
        served.cpu_us = used as f64 / 1e3 / (MESSAGES * connections) as f64;
        served.compressions = median(&compressions);
        served.resident = resident_bytes(std::process::id())?;
        println!("{}", to_string(&served).map_err(io::Error::other)?);
        Ok(())
    })
}

fn say(address: SocketAddr) -> io::Result<()> {
    println!("{address}");
    io::stdout().flush()
}

mod ours {
    use super::{Send, say};
    use std::{
        io,
        sync::{Arc, Mutex},
    };
    use ws13::{Broadcast, Channel, Config, Deflate, Error, Lagging, LocalAddr, Sender, Server, Stream};

    type Senders = Arc<Mutex<Vec<Sender<Stream>>>>;

    fn config(deflate: bool) -> Config {
        Config { deflate: deflate.then(Deflate::default), ..Config::default() }
    }

    async fn listen(config: Config) -> io::Result<Server> {
        let server = Server::bind("127.0.0.1:0").await?.config(config);
        if let LocalAddr::Tcp(address) = server.local_addr()? {
            say(address)?;
        }
        Ok(server)
    }

    pub async fn broadcast(deflate: bool, joined: &Arc<Mutex<usize>>) -> io::Result<Send> {
        let everyone = Broadcast::new(&config(deflate)).lagging(Lagging::DropOldest);
        let (members, joined) = (everyone.clone(), Arc::clone(joined));
        tokio::spawn(listen(config(deflate)).await?.serve(move |_, socket| {
            let (members, joined) = (members.clone(), Arc::clone(&joined));
            async move {
                let (sender, mut receiver) = socket.split();
                let _subscription = members.subscribe(&sender);
                *joined.lock().unwrap() += 1;
                while receiver.receive().await?.is_some() {}
                Ok::<(), Error>(())
            }
        }));
        let mut channel = Channel::new(&config(deflate));
        Ok(Box::new(move |text| {
            let prepared = channel.prepare(text);
            everyone.send(&prepared);
            prepared.compressions()
        }))
    }

    pub async fn one_by_one(deflate: bool, joined: &Arc<Mutex<usize>>) -> io::Result<Send> {
        let senders = Senders::default();
        let (members, joined) = (Arc::clone(&senders), Arc::clone(joined));
        tokio::spawn(listen(config(deflate)).await?.serve(move |_, socket| {
            let (members, joined) = (Arc::clone(&members), Arc::clone(&joined));
            async move {
                let (sender, mut receiver) = socket.split();
                members.lock().unwrap().push(sender);
                *joined.lock().unwrap() += 1;
                while receiver.receive().await?.is_some() {}
                Ok::<(), Error>(())
            }
        }));
        Ok(Box::new(move |text| {
            let senders = senders.lock().unwrap();
            let sent = senders.iter().filter(|sender| sender.try_send(text).is_ok()).count();
            if deflate { sent } else { 0 }
        }))
    }
}

/// A task for each connection, fed by tokio's broadcast channel: a loop over all would wait for those who do not read.
mod theirs {
    use super::{Send, say};
    use fastwebsockets::{Frame, Payload, Role, WebSocket};
    use futures_util::SinkExt;
    use std::{
        io,
        sync::{Arc, Mutex},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        sync::broadcast::{Receiver, Sender, channel, error::RecvError},
    };
    use tokio_tungstenite::{
        WebSocketStream,
        tungstenite::{Message, Utf8Bytes, protocol::Role as Side},
    };
    use ws13_bench::upgrade;

    const BACKLOG: usize = 64;

    async fn accept<T, F>(
        joined: &Arc<Mutex<usize>>,
        serve: fn(TcpStream, Receiver<T>) -> F,
    ) -> io::Result<Sender<T>>
    where
        T: Clone + core::marker::Send + 'static,
        F: Future<Output = ()> + core::marker::Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(listener.local_addr()?)?;
        let (sender, _) = channel(BACKLOG);
        let (to_all, joined) = (sender.clone(), Arc::clone(joined));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (to_all, joined) = (to_all.clone(), Arc::clone(&joined));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while upgrade::head_end(&head).is_none() {
                        if stream.read_buf(&mut head).await? == 0 {
                            return Ok(());
                        }
                    }
                    stream.set_nodelay(true)?;
                    stream.write_all(upgrade::response(&head).unwrap_or_default().as_bytes()).await?;
                    *joined.lock().unwrap() += 1;
                    tokio::spawn(serve(stream, to_all.subscribe()));
                    io::Result::Ok(())
                });
            }
        });
        Ok(sender)
    }

    pub async fn tungstenite(joined: &Arc<Mutex<usize>>) -> io::Result<Send> {
        let sender = accept(joined, |stream, mut messages: Receiver<Utf8Bytes>| async move {
            let mut socket = WebSocketStream::from_raw_socket(stream, Side::Server, None).await;
            loop {
                match messages.recv().await {
                    Ok(text) => {
                        if socket.send(Message::Text(text)).await.is_err() {
                            return;
                        }
                    }
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        });
        let sender = sender.await?;
        Ok(Box::new(move |text| {
            let _ = sender.send(Utf8Bytes::from(text));
            0
        }))
    }

    pub async fn fastwebsockets(joined: &Arc<Mutex<usize>>) -> io::Result<Send> {
        let sender = accept(joined, |stream, mut messages: Receiver<bytes::Bytes>| async move {
            let mut socket = WebSocket::after_handshake(stream, Role::Server);
            loop {
                match messages.recv().await {
                    Ok(text) if socket.write_frame(Frame::text(Payload::Borrowed(&text))).await.is_ok() => {}
                    Err(RecvError::Lagged(_)) => {}
                    _ => return,
                }
            }
        });
        let sender = sender.await?;
        Ok(Box::new(move |text| {
            let _ = sender.send(bytes::Bytes::copy_from_slice(text.as_bytes()));
            0
        }))
    }
}

/// Where a connection is in the bytes that come.
#[derive(Default)]
struct Reader {
    /// Bytes of the header that is being read.
    header: Vec<u8>,
    /// Bytes of payload that are still to come.
    payload: usize,
    messages: usize,
}

impl Reader {
    /// Reads on; gives each message that is complete.
    fn read(&mut self, mut bytes: &[u8], mut complete: impl FnMut(usize)) {
        while !bytes.is_empty() {
            if self.payload == 0 {
                self.header.push(bytes[0]);
                bytes = &bytes[1..];
                let len = match &self.header[..] {
                    [_, 126, high, low] => usize::from(*high) << 8 | usize::from(*low),
                    [_, len @ ..=125] => usize::from(*len),
                    _ => continue,
                };
                self.payload = len;
                self.header.clear();
            }
            let here = self.payload.min(bytes.len());
            self.payload -= here;
            bytes = &bytes[here..];
            if self.payload == 0 {
                complete(self.messages);
                self.messages += 1;
            }
        }
    }
}

fn listen(args: &Args) -> io::Result<()> {
    let connections: usize = args.require("--connections");
    let address: SocketAddr = args.require("--connect");
    let offer =
        if args.has("--deflate") { "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n" } else { "\r\n" };
    let request = upgrade::request().replacen("\r\n\r\n", &format!("\r\n{offer}"), 1);
    let mut poll = Poll::new()?;
    let mut streams = Vec::new();
    for at in 0..connections {
        let stream = connect(address, &request)?;
        if at % STUCK != 0 {
            stream.set_nonblocking(true)?;
            poll.add(stream.as_raw_fd(), at as u64, READABLE)?;
        }
        streams.push((stream, Reader::default()));
    }
    let readers = connections - connections.div_ceil(STUCK);
    let (mut listened, mut complete) = (Listened { last: vec![0; MESSAGES], bytes: 0.0 }, 0);
    let (mut buffer, mut bytes) = (vec![0; 64 << 10], 0);
    while complete < readers * MESSAGES {
        let count = poll.wait(Some(Duration::from_secs(20)))?;
        if count == 0 {
            return Err(io::Error::other(format!("{complete} of {} came", readers * MESSAGES)));
        }
        for index in 0..count {
            let (token, _) = poll.event(index);
            let (stream, reader) = &mut streams[token as usize];
            match receive(stream.as_raw_fd(), &mut buffer)? {
                Progress::Bytes(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Progress::WouldBlock => {}
                Progress::Bytes(len) => {
                    bytes += len;
                    reader.read(&buffer[..len], |message| {
                        listened.last[message] = now();
                        complete += 1;
                    });
                }
            }
        }
    }
    listened.bytes = bytes as f64 / (readers * MESSAGES) as f64;
    println!("{}", to_string(&listened).map_err(io::Error::other)?);
    Ok(())
}

fn connect(address: SocketAddr, request: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    // Little fits between, so that one who does not read is noticed.
    let size: libc::c_int = 4096;
    // SAFETY: `size` lives through the call, and is passed with its size.
    unsafe {
        libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, (&raw const size).cast(), 4);
    }
    let agreed = upgrade::ask(&mut stream, request)?.contains("permessage-deflate");
    if agreed != request.contains("permessage-deflate") {
        return Err(io::Error::other("the handshake was not as it was meant"));
    }
    Ok(stream)
}
