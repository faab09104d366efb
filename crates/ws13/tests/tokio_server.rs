//! `Server`: handshakes, handlers, corking, keepalive, and how it stops.
#![cfg(feature = "tokio")]

mod common;
#[path = "common/net.rs"]
mod net;

use common::masked;
use net::{close_code, dial, read_frame, read_frames, request, server, soon};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::sleep;
use ws13::handshake::server::Accept;
use ws13::handshake::{OriginPolicy, Reject, Reply, Request};
use ws13::{
    Client, CloseCode, Config, Error, Keepalive, Kind, LocalAddr, Message, Server, Stream, WebSocket,
};

async fn echo(_: Request, mut socket: WebSocket<Stream>) -> Result<(), Error> {
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// Serves in the background, and gives the address.
async fn serve<H, F>(change: impl FnOnce(Server) -> Server, handler: H) -> SocketAddr
where
    H: Fn(Request, WebSocket<Stream>) -> F + Send + Sync + 'static,
    F: Future + Send + 'static,
{
    let (server, address) = server().await;
    tokio::spawn(change(server).serve(handler));
    address
}

async fn connect(address: SocketAddr) -> WebSocket<Stream> {
    soon(ws13::connect(&format!("ws://{address}/"))).await.unwrap()
}

async fn receive(socket: &mut WebSocket<Stream>) -> Message {
    soon(socket.receive()).await.unwrap().expect("it is open")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_server_echoes_to_many_clients_and_closes_cleanly() {
    let address = serve(|server| server, echo).await;
    let clients: Vec<_> = (0..20)
        .map(|number| {
            tokio::spawn(async move {
                let mut socket = connect(address).await;
                for len in [0, 1, 200, 70_000, 900_000] {
                    let message = Message::from(vec![number; len]);
                    let (sent, received) = (socket.send(&message).await, receive(&mut socket).await);
                    sent.unwrap();
                    assert_eq!(received, message);
                }
                socket.close(CloseCode::NORMAL, "").await.unwrap();
            })
        })
        .collect();
    for client in clients {
        soon(client).await.unwrap();
    }
}

#[tokio::test]
async fn receive_ref_echoes_in_a_handler() {
    let address = serve(
        |server| server,
        |_, mut socket| async move {
            while let Some(mut lent) = socket.receive_ref().await? {
                while let Some((event, mut output)) = lent.next_event() {
                    if let ws13::Event::Message(message) = event {
                        output.send(message)?;
                    }
                }
            }
            Ok::<(), Error>(())
        },
    )
    .await;
    let mut socket = connect(address).await;
    for len in [3, 100_000, 5] {
        socket.send(vec![1; len]).await.unwrap();
        assert_eq!(receive(&mut socket).await, vec![1; len].into());
    }
    socket.close(CloseCode::NORMAL, "").await.unwrap();
}

/// The naive loop is the fast one: what arrives in one read is answered in one write.
#[tokio::test]
async fn the_naive_loop_answers_a_batch_in_few_writes() {
    let address = serve(|server| server, echo).await;
    let (mut stream, _) = dial(address, "").await;
    let batch = masked(0x82, &[b'x'; 64]).repeat(64);
    let mut fewest = usize::MAX;
    for _ in 0..10 {
        stream.write_all(&batch).await.unwrap();
        let (mut received, mut reads) = (0, 0);
        let mut piece = vec![0; 1 << 16];
        while received < 64 * 66 {
            received += soon(stream.read(&mut piece)).await.unwrap();
            reads += 1;
        }
        assert_eq!(received, 64 * 66);
        fewest = fewest.min(reads);
    }
    assert!(fewest <= 4, "{fewest} reads");
}

/// An acknowledgement never waits behind slow work.
#[tokio::test]
async fn what_was_sent_before_slow_work_goes_out_at_once() {
    let address = serve(
        |server| server,
        |_, mut socket| async move {
            while let Some(message) = socket.receive().await? {
                socket.send(message).await?;
                sleep(Duration::from_millis(300)).await;
            }
            Ok::<(), Error>(())
        },
    )
    .await;
    let (mut stream, _) = dial(address, "").await;
    let start = Instant::now();
    stream.write_all(&[masked(0x81, b"one"), masked(0x81, b"two")].concat()).await.unwrap();
    assert_eq!(soon(read_frame(&mut stream)).await.unwrap().payload, b"one");
    assert!(start.elapsed() < Duration::from_millis(150), "{:?}", start.elapsed());
    assert_eq!(soon(read_frame(&mut stream)).await.unwrap().payload, b"two");
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_handler_may_give_its_socket_to_another_task() {
    let address = serve(
        |server| server,
        |request, socket| async move {
            tokio::spawn(echo(request, socket));
        },
    )
    .await;
    let mut socket = connect(address).await;
    for text in ["one", "two", "three"] {
        socket.send(text).await.unwrap();
        assert_eq!(receive(&mut socket).await, text.into());
        sleep(Duration::from_millis(10)).await;
    }
    soon(socket.close(CloseCode::NORMAL, "")).await.unwrap();
}

#[tokio::test]
async fn the_halves_of_a_socket_work_in_tasks_of_a_handler() {
    let address = serve(
        |server| server,
        |_, socket| async move {
            let (sender, mut receiver) = socket.split();
            let other = sender.clone();
            let ticking = tokio::spawn(async move {
                for number in 0..3 {
                    sleep(Duration::from_millis(5)).await;
                    other.send(format!("tick {number}")).await.unwrap();
                }
            });
            while let Some(message) = receiver.receive().await? {
                sender.send(message).await?;
            }
            ticking.await.unwrap();
            Ok::<(), Error>(())
        },
    )
    .await;
    let mut socket = connect(address).await;
    socket.send("hi").await.unwrap();
    let mut received = Vec::new();
    for _ in 0..4 {
        received.push(receive(&mut socket).await.as_text().unwrap().to_owned());
    }
    received.sort();
    assert_eq!(received, ["hi", "tick 0", "tick 1", "tick 2"]);
    soon(socket.close(CloseCode::NORMAL, "")).await.unwrap();
}

#[tokio::test]
async fn a_handler_that_returns_early_closes_with_1000() {
    let address = serve(
        |server| server,
        |_, mut socket| async move {
            socket.send("goodbye").await.unwrap();
        },
    )
    .await;
    let mut socket = connect(address).await;
    assert_eq!(receive(&mut socket).await, "goodbye".into());
    assert_eq!(soon(socket.receive()).await.unwrap(), None);
    assert_eq!(socket.closed().unwrap().code(), 1000);
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_connection_only() {
    let address = serve(
        |server| server,
        |request, mut socket| async move {
            assert_ne!(request.path(), "/chat", "this panic is part of the test");
            let message = socket.receive().await.unwrap().unwrap();
            socket.send(message).await.unwrap();
        },
    )
    .await;
    let (mut stream, _) = dial(address, "").await;
    assert_eq!(soon(stream.read_to_end(&mut Vec::new())).await.unwrap(), 0);
    let mut socket = connect(address).await;
    socket.send("still here").await.unwrap();
    assert_eq!(receive(&mut socket).await, "still here".into());
}

#[tokio::test]
async fn on_request_refuses_with_status_headers_and_body() {
    let address = serve(
        |server| {
            server.on_request(|request| match request.path() {
                "/chat" => Err(Reject::new(http::StatusCode::UNAUTHORIZED)
                    .header("WWW-Authenticate", "Basic")
                    .and_then(|reject| reject.body("text/plain", "who are you?"))
                    .unwrap()),
                _ => Ok(Accept::new().header("X-Node", "7").unwrap()),
            })
        },
        echo,
    )
    .await;
    let (mut stream, head) = dial(address, "").await;
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    assert!(head.to_ascii_lowercase().contains("\r\nwww-authenticate: basic\r\n"), "{head}");
    let mut body = String::new();
    soon(stream.read_to_string(&mut body)).await.unwrap();
    assert_eq!(body, "who are you?");

    let refused = Client::new(&format!("ws://{address}/chat")).unwrap().connect().await.unwrap_err();
    let response = refused.response().expect("the answer comes as it is");
    assert_eq!((response.status.as_u16(), &*response.text()), (401, "who are you?"));

    let client = Client::new(&format!("ws://{address}/other")).unwrap();
    let (_, response) = client.connect_with_response().await.unwrap();
    assert_eq!(response.header("x-node"), Some("7"));
}

#[tokio::test]
async fn plain_http_gets_426_or_what_on_http_says() {
    async fn get(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
        answer
    }
    let address = serve(|server| server, echo).await;
    assert!(get(address).await.starts_with("HTTP/1.1 426 "));
    let address = serve(
        |server| {
            server.on_http(|request| Reply::text(http::StatusCode::OK, format!("this is {}", request.path())))
        },
        echo,
    )
    .await;
    let answer = get(address).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nthis is /page\n"), "{answer}");
}

#[tokio::test]
async fn foreign_origins_get_403_unless_they_are_allowed() {
    let foreign = "Origin: https://evil.example\r\n";
    let address = serve(|server| server, echo).await;
    assert!(dial(address, foreign).await.1.starts_with("HTTP/1.1 403 "));
    assert!(dial(address, &format!("Origin: http://{address}\r\n")).await.1.starts_with("HTTP/1.1 101 "));
    let address = serve(|server| server.origins(OriginPolicy::any()), echo).await;
    assert!(dial(address, foreign).await.1.starts_with("HTTP/1.1 101 "));
}

#[tokio::test]
async fn both_sides_know_the_subprotocol() {
    let address = serve(
        |server| server.subprotocol("me-want-cookies".parse().unwrap()).require_subprotocol(),
        |_, mut socket| async move {
            let name = socket.subprotocol().unwrap_or_default().to_owned();
            socket.send(name).await.unwrap();
        },
    )
    .await;
    let client = Client::new(&format!("ws://{address}/")).unwrap();
    let offering = client.clone().subprotocol("other").subprotocol("me-want-cookies");
    let mut socket = offering.connect().await.unwrap();
    assert_eq!(socket.subprotocol(), Some("me-want-cookies"));
    assert_eq!(receive(&mut socket).await, "me-want-cookies".into());
    assert_eq!(client.connect().await.unwrap_err().response().unwrap().status.as_u16(), 400);
}

#[tokio::test]
async fn frames_that_come_with_the_request_are_not_lost() {
    let address = serve(|server| server, echo).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let bytes = [request(address, "").into_bytes(), masked(0x81, b"early")].concat();
    stream.write_all(&bytes).await.unwrap();
    assert!(soon(net::read_head(&mut stream)).await.starts_with("HTTP/1.1 101 "));
    assert_eq!(soon(read_frame(&mut stream)).await.unwrap().payload, b"early");
}

fn quick_pings() -> Config {
    let keepalive = Keepalive {
        ping_interval: Some(Duration::from_millis(100)),
        pong_timeout: Duration::from_millis(200),
    };
    Config { keepalive, ..Config::default() }
}

/// A handler that is busy with something else for long.
async fn busy(_: Request, mut socket: WebSocket<Stream>) -> Result<(), Error> {
    sleep(Duration::from_millis(1000)).await;
    echo_one(&mut socket).await
}

async fn echo_one(socket: &mut WebSocket<Stream>) -> Result<(), Error> {
    if let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

#[tokio::test]
async fn pings_go_out_while_the_handler_is_busy_and_a_peer_that_answers_lives() {
    let address = serve(|server| server.config(quick_pings()), busy).await;
    let (mut stream, _) = dial(address, "").await;
    stream.write_all(&masked(0x81, b"are you there?")).await.unwrap();
    let mut pings = 0;
    let answer = loop {
        let frame = soon(read_frame(&mut stream)).await.expect("the connection lives");
        if frame.first != 0x89 {
            break frame;
        }
        pings += 1;
        stream.write_all(&masked(0x8a, &frame.payload)).await.unwrap();
    };
    assert_eq!(answer.payload, b"are you there?");
    assert!(pings >= 5, "{pings}");
}

#[tokio::test]
async fn a_silent_peer_is_dropped_while_the_handler_is_busy() {
    let address = serve(
        |server| server.config(quick_pings()),
        |_, mut socket| async move {
            sleep(Duration::from_secs(2)).await;
            echo_one(&mut socket).await
        },
    )
    .await;
    let (mut stream, _) = dial(address, "").await;
    let start = Instant::now();
    let mut rest = Vec::new();
    // Nothing more is written to it after the pong timeout; the stream itself ends with the handler.
    soon(stream.read_to_end(&mut rest)).await.unwrap();
    let pings = common::parse(&rest).iter().filter(|frame| frame.first == 0x89).count();
    assert!((1..=4).contains(&pings), "{pings} pings in {:?}", start.elapsed());
}

/// The serving task keeps the time; a task that receives must hear of it.
#[tokio::test]
async fn a_receiver_in_another_task_is_told_of_the_pong_timeout() {
    let (told, tell) = oneshot::channel();
    let told = Mutex::new(Some(told));
    let address = serve(
        |server| server.config(quick_pings()),
        move |_, socket| {
            let told = told.lock().unwrap().take();
            async move {
                let (sender, mut receiver) = socket.split();
                tokio::spawn(async move {
                    let _ = told.unwrap().send(receiver.receive().await);
                });
                // Each wake makes the serving task the one that the clock wakes next.
                for _ in 0..400 {
                    sleep(Duration::from_millis(5)).await;
                }
                drop(sender);
            }
        },
    )
    .await;
    let (stream, _) = dial(address, "").await;
    let ended = tokio::time::timeout(Duration::from_millis(1500), tell).await;
    let ended = ended.expect("the receiver is woken").unwrap();
    assert!(matches!(ended, Err(Error::Lost(ws13::Lost::PongTimeout))), "{ended:?}");
    drop(stream);
}

#[tokio::test]
async fn a_server_that_stops_says_1001_to_all_and_returns_when_they_have_gone() {
    let (server, address) = server().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let serving = tokio::spawn(server.serve_until(
        move |request, socket| {
            let count = Arc::clone(&count);
            async move {
                echo(request, socket).await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
            }
        },
        async {
            let _ = stopped.await;
        },
    ));
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(connect(address).await);
    }
    stop.send(()).unwrap();
    for mut socket in sockets {
        assert_eq!(soon(socket.receive()).await.unwrap(), None);
        assert_eq!(socket.closed().unwrap().code(), 1001);
    }
    let start = Instant::now();
    soon(serving).await.unwrap().unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(ended.load(Ordering::Relaxed), 5);
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn the_drain_timeout_drops_a_handler_that_never_ends() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (server, address) = server().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dropped);
    let serving = tokio::spawn(server.drain_timeout(Duration::from_millis(200)).serve_until(
        move |_, socket| {
            let dropped = Dropped(Arc::clone(&count));
            async move {
                std::future::pending::<()>().await;
                drop((dropped, socket));
            }
        },
        async {
            let _ = stopped.await;
        },
    ));
    let (mut stream, _) = dial(address, "").await;
    let start = Instant::now();
    stop.send(()).unwrap();
    soon(serving).await.unwrap().unwrap();
    assert!((200..1000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    assert_eq!(close_code(&soon(read_frames(&mut stream)).await[0]), 1001);
}

/// Somebody who connects and says nothing is no reason to wait.
#[tokio::test]
async fn connections_without_a_request_do_not_hold_up_the_stop() {
    let (server, address) = server().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve_until(echo, async {
        let _ = stopped.await;
    }));
    let silent = TcpStream::connect(address).await.unwrap();
    drop(connect(address).await);
    stop.send(()).unwrap();
    let start = Instant::now();
    soon(serving).await.unwrap().unwrap();
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    drop(silent);
}

#[tokio::test]
async fn a_dropped_serve_stops_listening_and_its_connections_go_on() {
    let (server, address) = server().await;
    let serving = tokio::spawn(server.serve(echo));
    let mut socket = connect(address).await;
    serving.abort();
    let _ = serving.await;
    assert!(TcpStream::connect(address).await.is_err());
    socket.send("still here").await.unwrap();
    assert_eq!(receive(&mut socket).await, "still here".into());
}

#[tokio::test]
async fn a_loop_of_ones_own_accepts_one_by_one_and_may_be_dropped() {
    let (server, address) = server().await;
    // Nobody is there yet.
    assert!(net::polled(1, server.accept()).await.is_none());
    // A handshake that is under way goes with the future.
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), server.accept()).await.is_err());
    assert_eq!(soon(half.read(&mut [0; 10])).await.unwrap_or(0), 0);
    let (accepted, mut client) = tokio::join!(server.accept(), connect(address));
    let (request, mut socket) = accepted.unwrap();
    assert_eq!(request.path(), "/");
    client.send("hi").await.unwrap();
    assert_eq!(receive(&mut socket).await, "hi".into());
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_serves_as_well() {
    let folder = std::env::temp_dir().join(format!("ws13-test-{}", std::process::id()));
    let _ = std::fs::remove_file(&folder);
    let server = Server::bind_unix(&folder).unwrap();
    tokio::spawn(server.serve(echo));
    let mut socket = Client::new("ws://localhost/").unwrap().over_unix(&folder).connect().await.unwrap();
    socket.send("hi").await.unwrap();
    assert_eq!(receive(&mut socket).await, "hi".into());
    soon(socket.close(CloseCode::NORMAL, "")).await.unwrap();
    std::fs::remove_file(&folder).unwrap();
}

#[tokio::test]
async fn peers_call_each_other_and_nobody_can_tell_who_called_whom() {
    let mut one = ws13::Peer::bind("127.0.0.1:0").await.unwrap();
    let mut two = ws13::Peer::bind("127.0.0.1:0").await.unwrap();
    let mut sockets = Vec::new();
    for (caller, called) in [(0, 1), (1, 0)] {
        let peers = [&mut one, &mut two];
        let url = format!("ws://{}/", peers[called].local_addr());
        let calling = peers[caller].dial(&url).await.unwrap();
        // Dropped while it waits, it loses nobody.
        let [one, two] = peers;
        let called = if called == 0 { one } else { two };
        let taken = loop {
            if let Some(socket) = net::polled(1, called.accept()).await {
                break socket.unwrap();
            }
            tokio::task::yield_now().await;
        };
        sockets.push((calling, taken));
    }
    for (mut calling, mut taken) in sockets {
        calling.send("to").await.unwrap();
        taken.send("fro").await.unwrap();
        assert_eq!(receive(&mut taken).await, "to".into());
        assert_eq!(receive(&mut calling).await, "fro".into());
        let (one, two) =
            soon(async { tokio::join!(taken.close(CloseCode::NORMAL, ""), calling.receive()) }).await;
        one.unwrap();
        assert_eq!(two.unwrap(), None);
    }
}

#[tokio::test]
async fn a_handler_reads_and_writes_messages_in_parts() {
    let address = serve(
        |server| server,
        |_, mut socket| async move {
            let mut whole = Vec::new();
            if let Some(mut reader) = socket.reader().await? {
                reader.read_to_end(&mut whole, usize::MAX).await?;
            }
            let mut writer = socket.writer(Kind::Binary);
            for piece in whole.chunks(10_000) {
                writer.write(piece).await?;
            }
            writer.finish().await
        },
    )
    .await;
    let mut socket = connect(address).await;
    let payload: Vec<u8> = (0..300_000_u32).map(|i| i as u8).collect();
    socket.send(&payload).await.unwrap();
    assert_eq!(receive(&mut socket).await.into_bytes(), payload);
    assert_eq!(soon(socket.receive()).await.unwrap(), None);
}

/// On each core a task keeps the time of all connections: who blocks one core stops nobody's pings on another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_blocks_its_core_holds_up_no_ping_on_another() {
    let pinging = Keepalive { ping_interval: Some(Duration::from_millis(300)), ..Keepalive::default() };
    let server = Server::bind_shared("127.0.0.1:0").await.unwrap();
    let LocalAddr::Tcp(address) = server.local_addr().unwrap() else { unreachable!("it is TCP") };
    let handler = |_, mut socket: WebSocket<Stream>| async move {
        while let Some(message) = socket.receive().await? {
            assert_eq!(message.as_text(), Some("block"));
            std::thread::sleep(Duration::from_secs(3));
        }
        Ok::<(), Error>(())
    };
    let server = server.config(Config { keepalive: pinging, ..Config::default() });
    tokio::spawn(server.serve_on_cores(2, handler, std::future::pending()));
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(dial(address, "").await.0);
    }
    streams[0].write_all(&masked(0x81, b"block")).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    let pings = streams.into_iter().map(|mut stream| {
        tokio::spawn(async move {
            // The first may have been on its way before.
            for _ in 0..3 {
                assert_eq!(soon(read_frame(&mut stream)).await.unwrap().first, 0x89);
            }
            begun.elapsed()
        })
    });
    let mut in_time = 0;
    for ping in pings.collect::<Vec<_>>() {
        in_time += usize::from(ping.await.unwrap() < Duration::from_secs(2));
    }
    assert!(in_time > 0, "all sixteen went to the blocked core, or it held up the other");
}

#[tokio::test]
async fn a_thousand_connections_are_pinged_in_their_time() {
    let pinging = Keepalive { ping_interval: Some(Duration::from_secs(1)), ..Keepalive::default() };
    let config = Config { keepalive: pinging, ..Config::default() };
    let handler = |_, mut socket: WebSocket<Stream>| async move { socket.receive().await.map(drop) };
    let address = serve(|server| server.config(config).max_per_address(2000), handler).await;
    let mut peers = Vec::new();
    for _ in 0..1000 {
        let (mut stream, _) = dial(address, "").await;
        let start = Instant::now();
        peers.push(tokio::spawn(async move {
            assert_eq!(soon(read_frame(&mut stream)).await.unwrap().first, 0x89);
            start.elapsed()
        }));
    }
    for peer in peers {
        // 10 % more or less, and a tick; what is above is for a machine that is busy.
        let took = peer.await.unwrap();
        assert!((Duration::from_millis(850)..Duration::from_secs(5)).contains(&took), "{took:?}");
    }
}

/// A half of the socket may live on elsewhere: it does not wait for ever for a peer that says nothing.
#[tokio::test]
async fn a_half_elsewhere_finds_the_connection_gone_when_the_handler_panics() {
    let (tell, told) = oneshot::channel();
    let tell = Arc::new(Mutex::new(Some(tell)));
    let handler = move |_, socket: WebSocket<Stream>| {
        let tell = tell.lock().unwrap().take().unwrap();
        async move {
            let (_sender, mut receiver) = socket.split();
            tokio::spawn(async move { drop(tell.send(receiver.receive().await.map(drop))) });
            panic!("on purpose");
            #[allow(unreachable_code, reason = "it says what the handler gives")]
            Ok::<(), Error>(())
        }
    };
    let address = serve(|server| server, handler).await;
    let (mut stream, _) = dial(address, "").await;
    assert!(soon(told).await.unwrap().is_err());
    // And the stream is ended.
    while soon(stream.read(&mut [0; 1024])).await.is_ok_and(|read| read > 0) {}
}

#[tokio::test]
async fn a_stop_does_not_wait_for_sockets_that_are_the_users_own() {
    let (server, address) = server().await;
    let client = tokio::spawn(dial(address, ""));
    let (_, mut own) = soon(server.accept()).await.unwrap();
    let (_stream, _) = client.await.unwrap();
    let begun = Instant::now();
    server.serve_until(echo, std::future::ready(())).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    own.send("still here").await.unwrap();
}
