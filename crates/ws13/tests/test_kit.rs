//! The kit for users' tests: each fault happens as it says, in both drivers, and each assertion fails as it should.
#![cfg(feature = "test")]

use futures_util::FutureExt;
use std::io::{ErrorKind, Read, Write};
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use std::{io, thread};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use ws13::frame::Rsv;
use ws13::test::blocking::pipe;
use ws13::test::{Fault, Faults, Faulty, Frame, Pair, Script, pair};
use ws13::{CloseCode, Config, Error, Keepalive, Limits, Lost};

const SECOND: Duration = Duration::from_secs(1);

fn without_pings() -> Config {
    Config { keepalive: Keepalive { ping_interval: None, ..Keepalive::default() }, ..Config::default() }
}

fn kind(error: Error) -> ErrorKind {
    match error {
        Error::Io(error) => error.kind(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_pair_talks_and_closes() {
    let (mut client, mut server) = pair();
    client.send("hi").await.unwrap();
    assert_eq!(server.receive().await.unwrap(), Some("hi".into()));
    let (closed, received) = tokio::join!(client.close(CloseCode::NORMAL, "bye"), server.receive());
    closed.unwrap();
    assert_eq!((received.unwrap(), server.closed().unwrap().reason()), (None, "bye"));
}

#[tokio::test(start_paused = true)]
async fn a_pair_has_its_settings() {
    let limits = Limits { max_message: 10, ..Limits::default() };
    let config = Config { limits, ..Config::default() };
    let pair = Pair::new().server_config(config).subprotocol("chat".parse().unwrap());
    let (mut client, mut server) = pair.connect();
    assert_eq!((client.subprotocol(), server.subprotocol()), (Some("chat"), Some("chat")));
    server.send("more than ten bytes").await.unwrap();
    assert!(client.receive().await.unwrap().is_some());
    client.send("more than ten bytes").await.unwrap();
    assert!(matches!(server.receive().await, Err(Error::Fault(_))));
    // A capacity of one byte: who writes waits for who reads.
    let (mut client, mut server) = Pair::new().capacity(1).connect();
    assert!(client.send("slow").now_or_never().is_none());
    let (flushed, received) = tokio::join!(client.flush(), server.receive());
    flushed.unwrap();
    assert_eq!(received.unwrap(), Some("slow".into()));
}

#[cfg(feature = "deflate")]
#[tokio::test]
async fn a_pair_can_compress() {
    let faults = Faults::new();
    let (mut client, mut server) = Pair::new().compressed().client_faults(&faults).connect();
    let text = "compress me ".repeat(1000);
    client.send(text.as_str()).await.unwrap();
    assert_eq!(server.receive().await.unwrap(), Some(text.into()));
    assert!(faults.moved().1 < 1000, "{} bytes", faults.moved().1);
}

#[tokio::test]
async fn what_is_split_comes_in_pieces() {
    for most in [0, 1, 2, 7] {
        let (mut client, mut server) = Pair::new().server_faults(&Faults::new().split(most)).connect();
        let text = "x".repeat(1000);
        client.send(text.as_str()).await.unwrap();
        let received = server.receive().await.unwrap().unwrap();
        server.send(received).await.unwrap();
        assert_eq!(client.receive().await.unwrap(), Some(text.into()));
    }
    let (mut near, far) = tokio::io::duplex(100);
    let mut far = Faulty::new(far, &Faults::new().split(3));
    near.write_all(b"hello").await.unwrap();
    let mut read = [0; 10];
    assert_eq!(far.read(&mut read).await.unwrap(), 3);
    assert_eq!(far.write(b"hello").await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_late_takes_its_time() {
    let (mut client, mut server) = Pair::new().client_faults(&Faults::new().delay(SECOND)).connect();
    tokio::spawn(async move {
        for _ in 0..2 {
            server.send("x").await.unwrap();
            tokio::time::sleep(SECOND * 3).await;
        }
    });
    let start = Instant::now();
    assert!(client.receive().await.unwrap().is_some());
    assert_eq!(start.elapsed().as_secs(), 1);
    assert!(client.receive().await.unwrap().is_some());
    assert_eq!(start.elapsed().as_secs(), 4);
}

/// The first message, of 3 + 2 bytes, passes; in the second one something happens.
#[tokio::test(start_paused = true)]
async fn a_fault_comes_at_its_byte() {
    for (fault, expected) in
        [(Fault::RESET, ErrorKind::ConnectionReset), (Fault::Error(ErrorKind::TimedOut), ErrorKind::TimedOut)]
    {
        let faults = Faults::new().read_at(5, fault);
        let (mut client, mut server) = Pair::new().client_faults(&faults).config(without_pings()).connect();
        server.send("abc").await.unwrap();
        server.send("def").await.unwrap();
        assert_eq!(client.receive().await.unwrap(), Some("abc".into()));
        assert_eq!(kind(client.receive().await.unwrap_err()), expected);
        assert_eq!(faults.moved(), (5, 0));
    }
    let faults = Faults::new().read_at(7, Fault::End);
    let (mut client, mut server) = Pair::new().client_faults(&faults).connect();
    server.send("abc").await.unwrap();
    server.send("def").await.unwrap();
    assert_eq!(client.receive().await.unwrap(), Some("abc".into()));
    assert!(matches!(client.receive().await, Err(Error::Lost(Lost::Eof))), "cut inside a frame");

    let faults = Faults::new().read_at(7, Fault::Pause(SECOND * 5));
    let (mut client, mut server) = Pair::new().client_faults(&faults).connect();
    let start = Instant::now();
    server.send("abc").await.unwrap();
    server.send("def").await.unwrap();
    assert_eq!(client.receive().await.unwrap(), Some("abc".into()));
    assert_eq!(start.elapsed().as_secs(), 0);
    assert_eq!(client.receive().await.unwrap(), Some("def".into()));
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn writing_fails_swallows_and_stalls() {
    for (fault, expected) in [(Fault::RESET, ErrorKind::ConnectionReset), (Fault::End, ErrorKind::BrokenPipe)]
    {
        let (mut client, _server) = Pair::new().client_faults(&Faults::new().write_at(4, fault)).connect();
        assert_eq!(kind(client.send("abc").await.unwrap_err()), expected);
    }
    let (mut client, mut server) =
        Pair::new().client_faults(&Faults::new().write_at(4, Fault::Swallow)).connect();
    client.send("abc").await.unwrap();
    assert!(matches!(server.receive().await, Err(Error::Lost(Lost::PongTimeout))));

    let start = Instant::now();
    let (mut client, _server) = Pair::new().client_faults(&Faults::new().write_at(4, Fault::Stall)).connect();
    assert!(matches!(client.send("abc").await, Err(Error::Lost(Lost::Stalled))));
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn a_line_can_be_cut_and_healed_while_it_is_in_use() {
    let faults = Faults::new();
    let (mut client, mut server) = Pair::new().server_faults(&faults).connect();
    faults.read_now(Fault::Stall);
    client.send("abc").await.unwrap();
    let receiving = tokio::spawn(async move { (server.receive().await, server) });
    tokio::task::yield_now().await;
    assert!(!receiving.is_finished());
    faults.heal();
    let (received, mut server) = receiving.await.unwrap();
    assert_eq!(received.unwrap(), Some("abc".into()));
    faults.write_now(Fault::RESET);
    assert_eq!(kind(server.send("x").await.unwrap_err()), ErrorKind::ConnectionReset);
}

/// The peer ends its direction, and still hears: a half-closed stream.
#[tokio::test]
async fn half_a_stream_can_end() {
    let (mut near, far) = tokio::io::duplex(100);
    let mut far = Faulty::new(far, &Faults::new().read_at(0, Fault::End));
    assert_eq!(far.read(&mut [0; 10]).await.unwrap(), 0);
    far.write_all(b"still here").await.unwrap();
    let mut read = [0; 10];
    near.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"still here");
}

#[test]
fn a_blocking_pair_talks_in_both_directions_at_once() {
    let faults = Faults::new().split(3);
    let (client, server) = Pair::new().capacity(10).client_faults(&faults).connect_blocking();
    let (sender, mut receiver) = server.split().unwrap();
    let text = "x".repeat(1000);
    let (sent, echoed) = (text.clone(), text.clone());
    let sending = thread::spawn(move || sender.send(sent.as_str()));
    let mut client = client;
    assert_eq!(client.receive().unwrap(), Some(echoed.into()));
    sending.join().unwrap().unwrap();
    let closing = thread::spawn(move || client.close(CloseCode::NORMAL, "bye"));
    assert_eq!(receiver.receive().unwrap(), None);
    drop(receiver);
    closing.join().unwrap().unwrap();
}

#[test]
fn faults_happen_to_blocking_sockets() {
    let faults = Faults::new().read_at(5, Fault::RESET);
    let (mut client, mut server) = Pair::new().client_faults(&faults).connect_blocking();
    server.send("abc").unwrap();
    server.send("def").unwrap();
    assert_eq!(client.receive().unwrap(), Some("abc".into()));
    assert_eq!(kind(client.receive().unwrap_err()), ErrorKind::ConnectionReset);

    let limits = Limits { stall_timeout: Duration::from_millis(100), ..Limits::default() };
    let faults = Faults::new().write_at(0, Fault::Stall);
    let config = Config { limits, ..Config::default() };
    let (mut client, _server) = Pair::new().config(config).client_faults(&faults).connect_blocking();
    assert!(matches!(client.send("abc"), Err(Error::Lost(Lost::Stalled))));

    let faults = Faults::new();
    faults.read_now(Fault::Stall);
    let (mut client, mut server) = Pair::new().server_faults(&faults).connect_blocking();
    client.send("abc").unwrap();
    let receiving = thread::spawn(move || server.receive());
    thread::sleep(Duration::from_millis(50));
    assert!(!receiving.is_finished());
    faults.heal();
    assert_eq!(receiving.join().unwrap().unwrap(), Some("abc".into()));
}

#[test]
fn a_pipe_is_like_a_socket() {
    use ws13::blocking::Transport;
    let (mut near, mut far) = pipe(4);
    assert_eq!(near.write(b"hello").unwrap(), 4);
    let wait = Duration::from_millis(20);
    near.set_write_timeout(Some(wait)).unwrap();
    far.set_read_timeout(Some(wait)).unwrap();
    assert_eq!(near.write(b"o").unwrap_err().kind(), ErrorKind::WouldBlock);
    let mut read = [0; 10];
    assert_eq!(far.read(&mut read).unwrap(), 4);
    assert_eq!(far.read(&mut read).unwrap_err().kind(), ErrorKind::WouldBlock);
    near.shutdown_write().unwrap();
    assert_eq!(far.read(&mut read).unwrap(), 0, "half of it has ended");
    assert_eq!(near.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    far.write_all(b"back").unwrap();
    drop(far);
    assert_eq!(io::read_to_string(&mut near).unwrap(), "back");
}

#[tokio::test(start_paused = true)]
async fn a_script_sends_and_expects() {
    let (mut client, socket) = Script::client(without_pings());
    let serving = tokio::spawn(socket.serve(|mut socket| async move {
        while let Some(message) = socket.receive().await? {
            socket.send(message).await?;
        }
        Ok::<(), Error>(())
    }));
    client.send(Frame::binary(b"one").fin(false)).await;
    client.send(Frame::ping("p")).await;
    client.expect_pong("p").await;
    client.expect_silence(SECOND * 60).await;
    client.send(Frame::continuation(b"two")).await;
    client.expect_binary(b"onetwo").await;
    client.send(Frame::close(4000, "enough")).await;
    let code = CloseCode::new(4000).unwrap();
    assert_eq!(client.expect_close(code).await, "enough");
    client.expect_end().await;
    drop(client);
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_script_breaks_rules() {
    for wrong in [
        Frame::text("x").unmasked(),
        Frame::text("x").rsv(Rsv::RSV2),
        Frame::continuation("x"),
        Frame::ping("x".repeat(126)),
        Frame::ping("x").fin(false),
        Frame::close(1005, ""),
    ] {
        let (mut client, mut socket) = Script::client(Config::default());
        let shown = format!("{wrong:?}");
        client.send(wrong).await;
        assert!(matches!(socket.receive().await, Err(Error::Fault(_))), "{shown}");
        client.expect_close(CloseCode::PROTOCOL_ERROR).await;
    }
    let (mut server, mut socket) = Script::server(Config::default());
    server.send(Frame::text("x").masked([1, 2, 3, 4])).await;
    assert!(socket.receive().await.is_err());
    server.expect_close(CloseCode::PROTOCOL_ERROR).await;
}

/// What a failed expectation says: where, what was expected, what came.
#[tokio::test(start_paused = true)]
async fn what_is_not_as_expected_is_said() {
    let (mut server, mut socket) = Script::server(without_pings());
    let line = line!() + 1;
    let said = failure(server.expect_text("hi")).await;
    assert_eq!(said, format!("at {}:{line}:31: expected Text \"hi\", and nothing came", file!()));
    socket.send("ho").await.unwrap();
    said_ends(server.expect_text("hi"), "expected Text \"hi\", and Text \"ho\" came").await;
    socket.send(vec![7; 20]).await.unwrap();
    let shown = format!("Binary 20 bytes,{} … came", " 07".repeat(16));
    said_ends(server.expect_close(CloseCode::NORMAL), &shown).await;
    socket.start_close(CloseCode::NORMAL, "bye").unwrap();
    socket.flush().await.unwrap();
    said_ends(server.expect_end(), "expected the end of the stream, and Close 1000 \"bye\" came").await;
    drop(socket);
    said_ends(server.expect_ping(), "expected a Ping, and the end of the stream came").await;
    said_ends(server.send(Frame::text("x")), "Text \"x\" cannot be written: broken pipe").await;

    let (mut client, mut socket) = Script::client(without_pings());
    socket.send("x").await.unwrap();
    said_ends(client.expect_silence(SECOND), "expected nothing for 1s, and Text \"x\" came").await;
    // A client that forgets to mask.
    let (near, mut far) = tokio::io::duplex(100);
    far.write_all(b"\x81\x01x").await.unwrap();
    let mut server = Script::on(near, ws13::Role::Server);
    said_ends(server.expect(), "Text \"x\" is not masked, as a client's always is").await;
    far.write_all(b"\x81\xff").await.unwrap();
    drop(far);
    said_ends(server.expect(), "the end of the stream after 2 bytes of a frame came").await;
}

async fn said_ends<T>(failing: impl Future<Output = T>, end: &str) {
    let said = failure(failing).await;
    assert!(said.ends_with(end), "{said}");
}

async fn failure<T>(failing: impl Future<Output = T>) -> String {
    let Err(panic) = AssertUnwindSafe(failing).catch_unwind().await else { panic!("it should fail") };
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}
