//! How many connections a server takes, how it stops, and what it counts: rows of the limits, with real sockets.
#![cfg(feature = "tokio")]

mod common;
#[path = "common/net.rs"]
mod net;

use common::masked;
use net::{close_code, dial, read_frame, server, soon};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use ws13::handshake::Request;
use ws13::{Config, Error, Keepalive, Limits, LocalAddr, Metrics, Server, Stream, WebSocket};

async fn echo(_: Request, mut socket: WebSocket<Stream>) -> Result<(), Error> {
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// A server that runs until it is stopped.
struct Running {
    address: SocketAddr,
    metrics: Metrics,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    async fn start(change: impl FnOnce(Server) -> Server) -> Running {
        let (server, address) = server().await;
        let server = change(server);
        let (stop, stopped) = oneshot::channel::<()>();
        let metrics = server.metrics();
        let task = tokio::spawn(server.serve_until(echo, async { drop(stopped.await) }));
        Running { address, metrics, stop: Some(stop), task }
    }

    async fn status(&self) -> (TcpStream, u16) {
        let (stream, head) = dial(self.address, "").await;
        (stream, head[9..12].parse().unwrap())
    }

    /// Waits until the figures say so.
    async fn until(&self, holds: impl Fn(&ws13::Snapshot) -> bool) -> ws13::Snapshot {
        let start = Instant::now();
        loop {
            let now = self.metrics.snapshot();
            if holds(&now) {
                return now;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{now:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn answers(stream: &mut TcpStream) {
    stream.write_all(&masked(0x81, b"hi")).await.unwrap();
    assert_eq!(soon(read_frame(stream)).await.unwrap().payload, b"hi");
}

#[tokio::test]
async fn connections_over_the_limit_get_503_with_retry_after() {
    let running = Running::start(|server| server.max_connections(2)).await;
    let (mut one, status) = running.status().await;
    let (two, second) = running.status().await;
    assert_eq!((status, second), (101, 101));
    let (mut refused, head) = dial(running.address, "").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains("\r\nRetry-After: 5\r\n") || head.contains("\r\nretry-after: 5\r\n"), "{head}");
    let mut body = String::new();
    soon(refused.read_to_string(&mut body)).await.unwrap();
    assert!(body.contains("no more connections"), "{body}");
    answers(&mut one).await;
    drop(two);
    running.until(|now| now.open == 1).await;
    assert_eq!(running.status().await.1, 101, "there is room again");
    let now = running.until(|now| now.opened == 3).await;
    assert_eq!(now.refused.get("connections"), Some(&1));
}

#[tokio::test]
async fn connections_of_one_address_over_the_limit_get_503() {
    let running = Running::start(|server| server.max_per_address(3)).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let (stream, status) = running.status().await;
        assert_eq!(status, 101);
        held.push(stream);
    }
    assert_eq!(running.status().await.1, 503);
    // Another address of this machine.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(running.address).await.unwrap();
    other.write_all(net::request(running.address, "").as_bytes()).await.unwrap();
    assert!(soon(net::read_head(&mut other)).await.starts_with("HTTP/1.1 101 "));
    drop(held.pop());
    running.until(|now| now.open == 3).await;
    assert_eq!(running.status().await.1, 101);
    assert_eq!(running.metrics.snapshot().refused.get("address"), Some(&1));
}

#[tokio::test]
async fn this_machine_itself_may_have_any_number_by_default() {
    let running = Running::start(|server| server).await;
    let mut held = Vec::new();
    for _ in 0..300 {
        held.push(running.status().await);
    }
    assert!(held.iter().all(|(_, status)| *status == 101));
}

#[tokio::test]
async fn handshakes_over_the_limit_wait_to_be_accepted() {
    let running = Running::start(|server| server.max_handshakes(2)).await;
    let stalled = [
        TcpStream::connect(running.address).await.unwrap(),
        TcpStream::connect(running.address).await.unwrap(),
    ];
    running.until(|now| now.handshakes_open == 2).await;
    let mut waiting = TcpStream::connect(running.address).await.unwrap();
    waiting.write_all(net::request(running.address, "").as_bytes()).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_millis(200), net::read_head(&mut waiting)).await;
    assert!(answer.is_err(), "{answer:?}");
    drop(stalled);
    assert!(soon(net::read_head(&mut waiting)).await.starts_with("HTTP/1.1 101 "));
    answers(&mut waiting).await;
}

#[tokio::test]
async fn a_flood_of_refused_connections_is_dropped_and_the_others_go_on() {
    let running = Running::start(|server| server.max_connections(1)).await;
    let (mut one, _) = running.status().await;
    let mut flood = Vec::new();
    for _ in 0..200 {
        // Nothing is said, so that each answer lingers.
        flood.push(TcpStream::connect(running.address).await.unwrap());
    }
    let now = running.until(|now| now.refused.get("connections") == Some(&200)).await;
    assert_eq!(now.open, 1);
    let mut answered = 0;
    for mut stream in flood {
        let mut bytes = Vec::new();
        let _ = soon(stream.read_to_end(&mut bytes)).await;
        answered += usize::from(bytes.starts_with(b"HTTP/1.1 503 "));
    }
    assert!((64..200).contains(&answered), "{answered}");
    answers(&mut one).await;
}

#[tokio::test]
async fn a_foreign_host_name_gets_403_so_that_dns_rebinding_fails() {
    let loopback = ws13::handshake::AllowedHost::loopback();
    let running = Running::start(|server| server.hosts(loopback)).await;
    let ask = async |host: &str, upgrade: bool| {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let headers = if upgrade {
            // The page of the foreign name is of the same origin.
            format!(
                "Origin: http://{host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            )
        } else {
            String::new()
        };
        stream
            .write_all(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").as_bytes())
            .await
            .unwrap();
        soon(net::read_head(&mut stream)).await[9..12].parse::<u16>().unwrap()
    };
    let port = running.address.port();
    for host in
        [format!("rebind.evil.example:{port}"), "evil.example".into(), "127.0.0.1.evil.example".into()]
    {
        assert_eq!((ask(&host, true).await, ask(&host, false).await), (403, 403), "{host}");
    }
    for host in [
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
        "a.localhost".into(),
    ] {
        assert_eq!((ask(&host, true).await, ask(&host, false).await), (101, 426), "{host}");
    }
}

#[tokio::test]
async fn a_stop_is_spread_over_the_time_that_is_set() {
    let spread = Duration::from_millis(600);
    let mut running = Running::start(|server| server.drain_spread(spread)).await;
    let mut clients = Vec::new();
    for _ in 0..60 {
        clients.push(running.status().await.0);
    }
    let start = Instant::now();
    running.stop.take().unwrap().send(()).unwrap();
    let told: Vec<_> = clients
        .into_iter()
        .map(|mut stream| {
            tokio::spawn(async move {
                let close = soon(read_frame(&mut stream)).await.unwrap();
                assert_eq!(close_code(&close), 1001);
                let at = start.elapsed();
                stream.write_all(&masked(0x88, &1001u16.to_be_bytes())).await.unwrap();
                at
            })
        })
        .collect();
    let mut times = Vec::new();
    for client in told {
        times.push(client.await.unwrap());
    }
    let order = times.clone();
    times.sort();
    assert_ne!(order, times, "the order is random");
    assert!(times[5] < spread / 2 && times[54] > spread / 2, "{times:?}");
    let mut gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(gaps.all(|gap| gap < spread / 3), "not in waves: {times:?}");
    assert!(soon(running.task).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_stop_ends_at_once_when_all_are_gone() {
    let mut running = Running::start(|server| server.drain_spread(Duration::from_secs(60))).await;
    let (stream, _) = running.status().await;
    drop(stream);
    running.until(|now| now.open == 0).await;
    let start = Instant::now();
    running.stop.take().unwrap().send(()).unwrap();
    soon(running.task).await.unwrap().unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_stop_drops_who_does_not_answer_in_time() {
    let mut running = Running::start(|server| {
        server.drain_spread(Duration::from_millis(50)).drain_timeout(Duration::from_millis(200))
    })
    .await;
    let (stream, _) = running.status().await;
    let start = Instant::now();
    running.stop.take().unwrap().send(()).unwrap();
    soon(running.task).await.unwrap().unwrap();
    assert!((200..5000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    drop(stream);
    assert_eq!(running.metrics.snapshot().closed.get(&1006), Some(&1));
}

#[tokio::test]
async fn what_happens_is_counted() {
    let config = Config {
        keepalive: Keepalive { ping_interval: Some(Duration::from_millis(50)), ..Keepalive::default() },
        ..Config::default()
    };
    let running = Running::start(|server| server.config(config)).await;
    let (mut one, _) = running.status().await;
    for _ in 0..3 {
        answers_among_pings(&mut one).await;
    }
    // A Ping of the server is answered.
    let ping = loop {
        let frame = soon(read_frame(&mut one)).await.unwrap();
        if frame.first == 0x89 {
            break frame;
        }
    };
    one.write_all(&masked(0x8a, &ping.payload)).await.unwrap();
    let now = running.until(|now| now.round_trips.count() == 1).await;
    assert_eq!(
        (now.open, now.opened, now.messages_received, now.messages_sent),
        (1, 1, 3, 3),
        "of an open one"
    );
    assert!(now.bytes_received >= 3 * 8 && now.bytes_sent >= 3 * 4, "{now:?}");

    one.write_all(&masked(0x88, &1000u16.to_be_bytes())).await.unwrap();
    running.until(|now| now.closed.get(&1000) == Some(&1)).await;
    let (mut broken, _) = running.status().await;
    broken.write_all(&masked(0x83, b"")).await.unwrap();
    drop(broken);
    let (mut large, _) = running.status().await;
    large.write_all(&[0x82, 0xff, 0, 0, 0, 0, 0x7f, 0, 0, 0, 0, 0, 0, 0]).await.unwrap();
    drop(large);
    let (mut application, _) = running.status().await;
    application.write_all(&masked(0x88, &4242u16.to_be_bytes())).await.unwrap();
    drop(application);
    let now = running.until(|now| now.open == 0).await;
    assert_eq!((now.violations, now.limits_hit), (1, 1), "{now:?}");
    assert_eq!((now.closed.get(&1006), now.closed.get(&4000)), (Some(&2), Some(&1)), "{now:?}");
    assert_eq!((now.opened, now.messages_received, now.messages_sent), (4, 3, 3));

    assert!(dial(running.address, "Origin: https://evil.example\r\n").await.1.starts_with("HTTP/1.1 403 "));
    drop(TcpStream::connect(running.address).await.unwrap());
    let now = running.until(|now| now.refused.len() == 2).await;
    assert_eq!((now.refused.get("403"), now.refused.get("lost")), (Some(&1), Some(&1)));
    let text = running.metrics.prometheus();
    for line in [
        "ws13_connections_opened_total 4",
        "ws13_messages_total{direction=\"sent\"} 3",
        "ws13_handshakes_refused_total{reason=\"403\"} 1",
        "ws13_round_trip_seconds_count 1",
    ] {
        assert!(text.lines().any(|own| own == line), "{line}\n{text}");
    }
}

async fn answers_among_pings(stream: &mut TcpStream) {
    stream.write_all(&masked(0x81, b"hi")).await.unwrap();
    while soon(read_frame(stream)).await.unwrap().first != 0x81 {}
}

#[tokio::test]
async fn the_queue_of_a_slow_reader_is_counted() {
    let (server, address) = server().await;
    let metrics = server.metrics();
    tokio::spawn(server.serve(|_, mut socket: WebSocket<Stream>| async move {
        // More than the system's buffers hold.
        loop {
            socket.send(vec![0; 256 << 10]).await?;
        }
        #[allow(unreachable_code)]
        Ok::<(), Error>(())
    }));
    let slow = dial(address, "").await;
    let start = Instant::now();
    while metrics.snapshot().queued < 64 << 10 {
        assert!(start.elapsed() < Duration::from_secs(20), "{metrics:?}");
        sleep(Duration::from_millis(10)).await;
    }
    let now = metrics.snapshot();
    assert!(now.queued_most <= now.queued && now.queued_most <= (1 << 20) + (256 << 10), "{now:?}");
    drop(slow);
}

/// The row of the slow reader: 1,000 of them cost a bounded amount each, and the others do not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_are_bounded_and_the_others_do_not_notice() {
    // Each peer is two descriptors in this process.
    let peers = if rlimit_allows(2_300) { 1_000 } else { 200 };
    let (server, address) = server().await;
    // An eighth of the default, so that the test itself stays small.
    let limits = Limits { queue_cap: 128 << 10, ..Limits::default() };
    let server = server.config(net::quiet(limits));
    let metrics = server.metrics();
    let flood = Arc::new(vec![0u8; 64 << 10]);
    tokio::spawn(server.serve(move |request, socket: WebSocket<Stream>| {
        let flood = Arc::clone(&flood);
        async move {
            if request.query() != Some("flood") {
                return echo(request, socket).await;
            }
            let (sender, _receiver) = socket.split();
            // 10 MiB each, 10 GB together; what the queue does not take is not waited for.
            let mut refused = 0;
            for _ in 0..160 {
                refused += usize::from(sender.try_send(flood.as_slice()).is_err());
            }
            assert!(refused > 100, "{refused}");
            sleep(Duration::from_secs(60)).await;
            Ok(())
        }
    }));
    let client = ws13::Client::new(&format!("ws://{address}/")).unwrap();
    let mut fast = client.connect().await.unwrap();
    let before = p99(&mut fast).await;
    let mut stalled = Vec::new();
    for _ in 0..peers {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = net::request(address, "").replace("/chat?room=1", "/?flood");
        stream.write_all(request.as_bytes()).await.unwrap();
        stalled.push(stream);
    }
    let start = Instant::now();
    while metrics.snapshot().opened < peers + 1 {
        assert!(start.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(20)).await;
    }
    sleep(Duration::from_millis(200)).await;
    let now = metrics.snapshot();
    assert!(now.queued > 0 && now.queued_most <= (192 << 10) + 16, "{now:?}");
    let during = p99(&mut fast).await;
    // A shared machine has its own noise; a server that serves them in turn would take seconds.
    assert!(during < before * 10 + Duration::from_millis(50), "{before:?}, then {during:?}");
    drop(stalled);
}

async fn p99(socket: &mut WebSocket<Stream>) -> Duration {
    let mut times = Vec::new();
    for _ in 0..300 {
        let start = Instant::now();
        socket.send("hi").await.unwrap();
        soon(socket.receive()).await.unwrap().unwrap();
        times.push(start.elapsed());
    }
    times.sort();
    times[times.len() * 99 / 100]
}

#[cfg(unix)]
fn rlimit_allows(descriptors: u64) -> bool {
    rlimit::increase_nofile_limit(descriptors).is_ok_and(|limit| limit >= descriptors)
}

#[cfg(not(unix))]
fn rlimit_allows(_: u64) -> bool {
    false
}

fn address_of(server: &Server) -> SocketAddr {
    match server.local_addr().unwrap() {
        LocalAddr::Tcp(address) => address,
        other => panic!("{other}"),
    }
}

/// The name of the thread that serves.
async fn whereabouts(_: Request, mut socket: WebSocket<Stream>) -> Result<(), Error> {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    socket.send(name).await?;
    socket.receive().await.map(drop)
}

#[tokio::test]
async fn all_cores_serve_and_stop_together() {
    // With sockets of their own, and with one for all.
    for shared in [true, false] {
        let server =
            if shared { Server::bind_shared("127.0.0.1:0").await } else { Server::bind("127.0.0.1:0").await };
        let server = server.unwrap().drain_timeout(Duration::from_secs(20)).max_connections(40);
        let (address, metrics) = (address_of(&server), server.metrics());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve_on_cores(3, whereabouts, async { drop(stopped.await) }));
        let mut clients = Vec::new();
        let mut names = std::collections::BTreeSet::new();
        for _ in 0..40 {
            let (mut stream, _) = dial(address, "").await;
            let name = soon(read_frame(&mut stream)).await.unwrap().payload;
            names.insert(String::from_utf8(name).unwrap());
            clients.push(stream);
        }
        assert!(names.iter().all(|name| name.starts_with("ws13 ")), "{names:?}");
        assert!(!shared || names.len() == 3, "each core has some: {names:?}");
        assert_eq!(metrics.snapshot().open, 40, "they are counted together");
        assert!(dial(address, "").await.1.starts_with("HTTP/1.1 503 "), "and limited together");
        stop.send(()).unwrap();
        for mut stream in clients {
            assert_eq!(close_code(&soon(read_frame(&mut stream)).await.unwrap()), 1001);
            stream.write_all(&masked(0x88, &1001u16.to_be_bytes())).await.unwrap();
        }
        soon(serving).await.unwrap().unwrap();
        assert_eq!(metrics.snapshot().open, 0);
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }
}

#[tokio::test]
async fn a_shared_port_is_not_shared_with_strangers() {
    let first = Server::bind_shared("127.0.0.1:0").await.unwrap();
    let address = address_of(&first);
    assert!(Server::bind_shared(address).await.is_err());
    assert!(Server::bind(address).await.is_err());
}

#[cfg(feature = "deflate")]
#[tokio::test]
async fn what_compression_saves_is_counted() {
    let config = Config { deflate: Some(ws13::Deflate::default()), ..Config::default() };
    let shared = config.clone();
    let running = Running::start(|server| server.config(shared)).await;
    let client = ws13::Client::new(&format!("ws://{}/", running.address)).unwrap().config(config);
    let mut socket = client.connect().await.unwrap();
    socket.send("the same again ".repeat(1000)).await.unwrap();
    soon(socket.receive()).await.unwrap().unwrap();
    let own = socket.stats();
    assert_eq!((own.deflated_from, own.inflated_to), (15_000, 15_000));
    socket.close(ws13::CloseCode::NORMAL, "").await.unwrap();
    let now = running.until(|now| now.open == 0).await;
    assert_eq!((now.inflated_to, now.deflated_from), (15_000, 15_000));
    assert_eq!((now.inflated_from, now.deflated_to), (own.deflated_to, own.inflated_from));
    assert!((10..1000).contains(&now.inflated_from), "{now:?}");
}

/// A loop of the user's own: sockets have their places as long as they live, their halves too.
#[tokio::test]
async fn the_limits_hold_for_who_accepts_by_himself() {
    let (server, address) = net::server().await;
    let server = server.max_connections(3).max_per_address(2);
    let metrics = server.metrics();
    let (accepted, mut accepting) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            accepted.send(server.accept().await.unwrap().1).unwrap();
        }
    });
    let (one, two) = (net::dial(address, "").await, net::dial(address, "").await);
    let (first, mut second) = (accepting.recv().await.unwrap(), accepting.recv().await.unwrap());
    assert_eq!((metrics.snapshot().open, metrics.snapshot().handshakes_open), (2, 0));
    let third = net::dial(address, "").await.1;
    assert!(third.starts_with("HTTP/1.1 503 "), "{third}");
    // A half is enough to keep the place.
    let (sender, receiver) = first.split();
    drop(receiver);
    assert!(net::dial(address, "").await.1.starts_with("HTTP/1.1 503 "));
    drop(sender);
    let (mut again, head) = net::dial(address, "").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let _again = accepting.recv().await.unwrap();
    assert_eq!(metrics.snapshot().refused.get("address"), Some(&2));
    second.send("hi").await.unwrap();
    again.write_all(&masked(0x81, b"hi")).await.unwrap();
    drop((one, two));
}
