//! Bugs that were found by review, each with the smallest case that showed it.
#![cfg(feature = "tokio")]

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream, duplex};
use tokio::time::timeout;
use ws13::handshake::server::Accept;
use ws13::handshake::{Reply, Subprotocol};
use ws13::{
    AcceptError, Acceptor, CloseCause, Config, Connection, Error, Event, Inbox, Keepalive, Kind, Lost,
    Opening, Outbox, Role, Violation, WebSocket, blocking,
};

const SOON: Duration = Duration::from_secs(10);

/// A connected pair of TCP streams.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

fn without_pings() -> Config {
    Config { keepalive: Keepalive { ping_interval: None, ..Keepalive::default() }, ..Config::default() }
}

#[test]
fn a_blocking_reader_that_failed_fails_again_and_does_not_panic() {
    let (near, mut far) = pair();
    let mut socket = blocking::WebSocket::from_upgraded(near, Role::Client, Config::default());
    far.write_all(b"\x02\x03abc").unwrap();
    drop(far);
    let mut reader = socket.reader().unwrap().unwrap();
    let mut target = [0; 10];
    assert_eq!(reader.read(&mut target).unwrap(), 3);
    for _ in 0..2 {
        assert!(matches!(reader.read(&mut target), Err(Error::Lost(_) | Error::Io(_))));
    }
}

#[test]
fn a_blocking_writer_waits_for_room_and_is_not_stuck() {
    let (near, far) = pair();
    let reading = std::thread::spawn(move || {
        let mut server = blocking::WebSocket::from_upgraded(far, Role::Server, Config::default());
        let mut sizes = Vec::new();
        while let Ok(Some(message)) = server.receive() {
            sizes.push(message.len());
        }
        sizes
    });
    let mut client = blocking::WebSocket::from_upgraded(near, Role::Client, Config::default());
    client.feed(vec![0; 1 << 20]).unwrap();
    let mut writer = client.writer(Kind::Binary);
    writer.write(&[0; 20_000]).unwrap();
    writer.finish().unwrap();
    client.send("x").unwrap();
    client.close(ws13::CloseCode::NORMAL, "").unwrap();
    assert_eq!(reading.join().unwrap(), [1 << 20, 20_000, 1]);
}

#[tokio::test]
async fn a_split_sender_is_woken_when_the_stream_below_buffers() {
    let (near, mut far) = duplex(16);
    let socket = WebSocket::from_upgraded(BufStream::new(near), Role::Server, without_pings());
    let (sender, mut receiver) = socket.split();
    tokio::spawn(async move { receiver.receive().await });
    let sending = tokio::spawn(async move { sender.send("x".repeat(100)).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut frame = [0; 102];
    timeout(SOON, far.read_exact(&mut frame)).await.expect("all of it is written").unwrap();
    timeout(SOON, sending).await.expect("the sender is told").unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_plain_http_has_a_deadline() {
    let (near, mut far) = duplex(4096);
    far.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let acceptor = Acceptor::new().timeout(Duration::from_secs(2));
    let Ok(Opening::Plain(plain)) = acceptor.read(near).await else { panic!("it is plain HTTP") };
    // The other side reads nothing of it.
    let reply = Reply::text(ws13::http::StatusCode::OK, "x".repeat(10_000));
    let answered = timeout(SOON, plain.reply(reply)).await.expect("it ends in time");
    assert_eq!(answered.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn our_own_mistake_in_accepting_is_answered_with_500() {
    let (near, mut far) = duplex(4096);
    let request = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    far.write_all(request.as_bytes()).await.unwrap();
    let Ok(Opening::Upgrade(asked)) = Acceptor::new().read(near).await else { panic!("it is a handshake") };
    let not_offered = Accept::new().subprotocol(Subprotocol::new("chat").unwrap());
    let accepting = tokio::spawn(asked.accept_with(not_offered));
    let mut answer = String::new();
    timeout(SOON, far.read_to_string(&mut answer)).await.expect("it is answered").unwrap();
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    drop(far);
    assert!(matches!(accepting.await.unwrap(), Err(AcceptError::Choice(_))));
}

#[tokio::test(start_paused = true)]
async fn a_ping_interval_of_zero_is_none_and_an_endless_one_is_no_panic() {
    for (interval, silent) in [(Duration::ZERO, true), (Duration::MAX, true), (Duration::from_secs(1), false)]
    {
        let keepalive = Keepalive { ping_interval: Some(interval), ..Keepalive::default() };
        let (near, mut far) = duplex(4096);
        let mut socket =
            WebSocket::from_upgraded(near, Role::Server, Config { keepalive, ..Config::default() });
        let receiving = tokio::spawn(async move { socket.receive().await.map(drop) });
        let pinged = timeout(Duration::from_secs(5), far.read_u8()).await;
        assert_eq!(pinged.is_err(), silent, "{interval:?}");
        receiving.abort();
    }
}

/// Found by simulation: a driver that reads on before it has handled everything, as ours do when a deadline comes, told
/// the core of the stream's end first, and a clean close was reported as 1006.
#[test]
fn a_close_or_a_fault_that_arrived_before_the_stream_ended_is_how_it_ended() {
    for (bytes, code, cause) in [
        (&b"\x88\x82\0\0\0\0\x03\xe9"[..], 1001, CloseCause::Handshake),
        (b"\x83\x80\0\0\0\0", 1006, CloseCause::Fault(Violation::ReservedOpcode(3).into())),
    ] {
        for lost in [Lost::Eof, Lost::Transport, Lost::Aborted] {
            let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
            let mut connection = Connection::new(Role::Server, without_pings());
            inbox.extend_from_slice(bytes);
            connection.lose(lost, &mut outbox);
            let Some(Event::Closed(closed)) = connection.receive(&mut inbox, &mut outbox) else {
                panic!("it has ended");
            };
            // Who gives a connection up wants to know no more of it.
            let aborted = lost == Lost::Aborted;
            assert_eq!(closed.code(), if aborted { 1006 } else { code });
            assert_eq!(closed.cause(), if aborted { CloseCause::Lost(lost) } else { cause });
            assert!(connection.receive(&mut inbox, &mut outbox).is_none());
        }
    }
}

/// Found by simulation: with more than a lease of an unfinished frame in the inbox, silence was excused again and again,
/// as if somebody had not looked at what had arrived.
#[tokio::test(start_paused = true)]
async fn a_peer_that_falls_silent_in_the_middle_of_a_large_frame_is_dropped() {
    let (near, mut far) = duplex(1 << 20);
    let mut socket = WebSocket::from_upgraded(near, Role::Server, Config::default());
    far.write_all(b"\x82\xff\0\0\0\0\0\x03\0\0\0\0\0\0").await.unwrap();
    far.write_all(&[0; 100_000]).await.unwrap();
    let received = timeout(Duration::from_secs(60), socket.receive()).await;
    let lost = received.expect("it is dropped within 42 s");
    assert!(matches!(lost, Err(Error::Lost(Lost::PongTimeout))), "{lost:?}");
}
