//! How many connections a blocking server takes, how it stops, and what it counts.
#![cfg(feature = "std")]

mod common;

use common::masked;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};
use ws13::blocking::{Server, StopHandle};
use ws13::handshake::AllowedHost;
use ws13::{Error, LocalAddr, Metrics, Snapshot};

const PATIENCE: Duration = Duration::from_secs(20);

struct Running {
    address: SocketAddr,
    metrics: Metrics,
    stop: StopHandle,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Running {
    fn start(change: impl FnOnce(Server) -> Server) -> Running {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let LocalAddr::Tcp(address) = server.local_addr().unwrap() else { panic!("it listens on TCP") };
        let server = change(server);
        let (metrics, stop) = (server.metrics(), server.stop_handle());
        let thread = thread::spawn(move || {
            server.serve(|_, mut socket| {
                while let Some(message) = socket.receive()? {
                    socket.send(message)?;
                }
                Ok::<(), Error>(())
            })
        });
        Running { address, metrics, stop, thread }
    }

    fn dial(&self, host: &str) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let head = read_head(&mut stream);
        (stream, head)
    }

    fn status(&self) -> (TcpStream, u16) {
        let (stream, head) = self.dial("own");
        (stream, head[9..12].parse().unwrap())
    }

    fn until(&self, holds: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let start = Instant::now();
        loop {
            let now = self.metrics.snapshot();
            if holds(&now) {
                return now;
            }
            assert!(start.elapsed() < PATIENCE, "{now:?}");
            sleep(Duration::from_millis(5));
        }
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn answers(stream: &mut TcpStream) {
    stream.write_all(&masked(0x81, b"hi")).unwrap();
    let mut echoed = [0; 4];
    stream.read_exact(&mut echoed).unwrap();
    assert_eq!(echoed, *b"\x81\x02hi");
}

#[test]
fn connections_over_the_limit_get_503() {
    let running = Running::start(|server| server.max_connections(2));
    let (mut one, _) = running.status();
    let (two, _) = running.status();
    let (_, head) = running.dial("own");
    assert!(
        head.starts_with("HTTP/1.1 503 ") && head.to_lowercase().contains("\r\nretry-after: 5\r\n"),
        "{head}"
    );
    answers(&mut one);
    drop(two);
    running.until(|now| now.open == 1);
    assert_eq!(running.status().1, 101);
    let now = running.until(|now| now.opened == 3);
    assert_eq!(now.refused.get("connections"), Some(&1));
}

#[test]
fn connections_of_one_address_over_the_limit_get_503() {
    let running = Running::start(|server| server.max_per_address(1));
    let (one, status) = running.status();
    assert_eq!((status, running.status().1), (101, 503));
    drop(one);
    running.until(|now| now.open == 0);
    assert_eq!(running.status().1, 101);
}

#[test]
fn handshakes_over_the_limit_wait_to_be_accepted() {
    let running = Running::start(|server| server.max_handshakes(1));
    let stalled = TcpStream::connect(running.address).unwrap();
    running.until(|now| now.handshakes_open == 1);
    let address = running.address;
    let waiting = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: own\r\n\r\n").unwrap();
        (read_head(&mut stream), Instant::now())
    });
    sleep(Duration::from_millis(200));
    let dropped = Instant::now();
    drop(stalled);
    let (head, at) = waiting.join().unwrap();
    assert!(head.starts_with("HTTP/1.1 426 ") && at >= dropped, "{head}");
}

#[test]
fn a_foreign_host_name_gets_403() {
    let running = Running::start(|server| server.hosts(AllowedHost::loopback()));
    assert!(running.dial("rebind.evil.example").1.starts_with("HTTP/1.1 403 "));
    assert!(running.dial("localhost:1").1.starts_with("HTTP/1.1 101 "));
}

#[test]
fn a_stop_is_spread_over_the_time_that_is_set() {
    let spread = Duration::from_millis(500);
    let running = Running::start(|server| server.drain_spread(spread));
    let clients: Vec<_> = (0..10).map(|_| running.status().0).collect();
    running.until(|now| now.opened == 10);
    let start = Instant::now();
    running.stop.stop();
    let told = clients.into_iter().map(|mut stream| {
        thread::spawn(move || {
            let mut close = [0; 4];
            stream.read_exact(&mut close).unwrap();
            assert_eq!(close, [0x88, 2, 3, 0xe9], "1001");
            let at = start.elapsed();
            stream.write_all(&masked(0x88, &1001u16.to_be_bytes())).unwrap();
            at
        })
    });
    let told: Vec<_> = told.collect();
    let mut times: Vec<_> = told.into_iter().map(|client| client.join().unwrap()).collect();
    times.sort();
    assert!(times[1] < spread / 2 && times[9] > spread / 2, "{times:?}");
    running.thread.join().unwrap().unwrap();
}

#[test]
fn what_happens_is_counted() {
    let running = Running::start(|server| server);
    let (mut stream, _) = running.status();
    answers(&mut stream);
    let now = running.until(|now| now.messages_sent == 1);
    assert_eq!((now.open, now.opened, now.messages_received, now.bytes_received), (1, 1, 1, 8));
    stream.write_all(&masked(0x88, &1000u16.to_be_bytes())).unwrap();
    let now = running.until(|now| now.open == 0);
    assert_eq!((now.closed.get(&1000), now.messages_received, now.bytes_sent), (Some(&1), 1, 8), "{now:?}");
}

#[test]
fn the_last_round_trip_is_counted_when_a_connection_ends() {
    let keepalive = ws13::Keepalive { ping_interval: Some(Duration::from_millis(50)), ..Default::default() };
    let config = ws13::Config { keepalive, ..ws13::Config::default() };
    let running = Running::start(|server| server.config(config));
    let (mut stream, _) = running.status();
    let mut ping = [0; 10];
    stream.read_exact(&mut ping).unwrap();
    assert_eq!(ping[..2], [0x89, 8]);
    stream.write_all(&masked(0x8a, &ping[2..])).unwrap();
    stream.write_all(&masked(0x88, &1000u16.to_be_bytes())).unwrap();
    let now = running.until(|now| now.open == 0);
    assert_eq!(now.round_trips.count(), 1, "{now:?}");
}

/// A loop of the user's own: sockets have their places as long as they live, their halves too.
#[test]
fn the_limits_hold_for_who_accepts_by_himself() {
    let server = Server::bind("127.0.0.1:0").unwrap().max_connections(3).max_per_address(2);
    let LocalAddr::Tcp(address) = server.local_addr().unwrap() else { panic!("it listens on TCP") };
    let (metrics, stop) = (server.metrics(), server.stop_handle());
    let (accepted, accepting) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        while let Ok((_, socket)) = server.accept() {
            accepted.send(socket).unwrap();
        }
        Ok(())
    });
    let running = Running { address, metrics, stop, thread };
    let (one, two) = (running.status(), running.status());
    assert_eq!((one.1, two.1), (101, 101));
    let (first, _second) = (accepting.recv().unwrap(), accepting.recv().unwrap());
    running.until(|now| (now.open, now.handshakes_open) == (2, 0));
    assert_eq!(running.status().1, 503);
    // A half is enough to keep the place.
    let (sender, receiver) = first.split().unwrap();
    drop(receiver);
    assert_eq!(running.status().1, 503);
    drop(sender);
    running.until(|now| now.open == 1);
    assert_eq!(running.status().1, 101);
    assert_eq!(running.metrics.snapshot().refused.get("address"), Some(&2));
    running.stop.stop();
    running.thread.join().unwrap().unwrap();
}

#[test]
fn a_stop_leaves_sockets_alone_that_are_the_users_own() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let LocalAddr::Tcp(address) = server.local_addr().unwrap() else { panic!("it listens on TCP") };
    let client = thread::spawn(move || ws13::blocking::connect(&format!("ws://{address}/")).unwrap());
    let (_, mut own) = server.accept().unwrap();
    let mut client = client.join().unwrap();
    server.stop_handle().stop();
    let begun = Instant::now();
    server.serve(|_, _| Ok::<(), Error>(())).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    own.send("still here").unwrap();
    assert_eq!(client.receive().unwrap().unwrap().as_text(), Some("still here"));
}
