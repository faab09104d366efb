//! Servers made of plain bytes for clients that dial: what they are asked they keep, what they answer is scripted.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use ws13::ConnectError;

/// Connects by each driver, with the same calls on its `Client`; gives what came of each.
#[allow(unused_macros, reason = "as above")]
macro_rules! by_each_driver {
    ($url:expr, |$client:ident| $build:expr) => {{
        let url = $url.to_string();
        let tokio = {
            let $client = ws13::Client::new(&url).unwrap();
            $crate::scripted::runtime().block_on($build.connect())
        };
        let blocking = {
            let $client = ws13::blocking::Client::new(&url).unwrap();
            $build.connect()
        };
        [tokio.map(drop), blocking.map(drop)]
    }};
}
#[allow(unused_imports, reason = "as above")]
pub(crate) use by_each_driver;

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Both failed; gives the errors.
pub fn both_failed(results: [Result<(), ConnectError>; 2]) -> [ConnectError; 2] {
    results.map(Result::unwrap_err)
}

/// A server that keeps the heads of the requests it got.
pub struct Scripted {
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Answers each request by this, which is told the head.
    pub fn start(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Scripted {
        Scripted::on((Ipv4Addr::LOCALHOST, 0).into(), answer)
    }

    pub fn on(
        address: SocketAddr,
        answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static,
    ) -> Scripted {
        let listener = TcpListener::bind(address).unwrap();
        let (address, heads) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let (kept, answer) = (Arc::clone(&heads), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                thread::spawn(move || {
                    let mut stream = stream;
                    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                    let Some(head) = read_head(&mut stream) else { return };
                    kept.lock().unwrap().push(head.clone());
                    answer(&head, &mut stream);
                    // The client ends it, or has.
                    let _ = stream.read_to_end(&mut Vec::new());
                });
            }
        });
        Scripted { address, heads }
    }

    /// A server that opens every connection.
    pub fn opening() -> Scripted {
        Scripted::start(|head, stream| say(stream, &accept(head)))
    }

    /// A server that always answers this.
    pub fn saying(text: &'static str) -> Scripted {
        Scripted::start(move |_, stream| say(stream, text))
    }

    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// What it was asked since the last time.
    pub fn heads(&self) -> Vec<String> {
        std::mem::take(&mut self.heads.lock().unwrap())
    }
}

pub fn say(stream: &mut TcpStream, text: &str) {
    // Who has gone needs no answer.
    let _ = stream.write_all(text.as_bytes());
}

/// A request's head; `None` when the stream ends before it is complete.
pub fn read_head(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap())
}

/// The 101 for a request.
pub fn accept(head: &str) -> String {
    let key = field(head, "Sec-WebSocket-Key").unwrap();
    let accept = ws13::handshake::Key::parse(key.as_bytes()).unwrap().accept();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// The value of a header.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Copies in both directions until both have ended.
pub fn pipe(one: &mut TcpStream, other: TcpStream) {
    let (mut from, mut to) = (other.try_clone().unwrap(), one.try_clone().unwrap());
    let back = thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    let mut other = other;
    let _ = std::io::copy(one, &mut other);
    let _ = other.shutdown(std::net::Shutdown::Write);
    let _ = back.join();
}

/// An address that never answers: its queue of connections is full.
pub struct Blackhole {
    pub address: SocketAddr,
    _listener: socket2::Socket,
    _waiting: Vec<socket2::Socket>,
}

impl Blackhole {
    pub fn new() -> Blackhole {
        use socket2::{Domain, Socket, Type};
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        // Connections that nobody accepts, until one is left unanswered.
        for _ in 0..64 {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let answered = socket.connect_timeout(&address, Duration::from_millis(100)).is_ok();
            waiting.push(socket);
            if !answered {
                let address = address.as_socket().unwrap();
                return Blackhole { address, _listener: listener, _waiting: waiting };
            }
        }
        panic!("the queue is never full");
    }
}

/// An address of loopback where nobody listens.
pub fn dead() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
