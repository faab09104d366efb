//! Keepalive, stalls and timeouts, in paused time.
#![cfg(feature = "tokio")]

mod common;
#[path = "common/net.rs"]
mod net;

use common::{close_payload, masked};
use net::{close_code, read_frame, server_and_wire, socket_and_wire, sockets};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};
use ws13::{CloseCause, CloseCode, Config, Error, Limits, Lost, Role};

const PING: Duration = Duration::from_secs(20);

/// Whether a time is 20 s, 10 % more or less.
fn about_20_s(time: Duration) -> bool {
    (PING.mul_f64(0.899)..=PING.mul_f64(1.101)).contains(&time)
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_pinged_every_20_s_and_lives_on_pongs() {
    let (mut client, mut server) = sockets(1000);
    let idle = async { tokio::join!(client.receive(), server.receive()) };
    tokio::time::timeout(Duration::from_secs(600), idle).await.expect_err("nothing ends");
    assert!(client.round_trip().is_some() && server.round_trip().is_some());
}

#[tokio::test(start_paused = true)]
async fn pings_come_after_20_s_ten_percent_more_or_less() {
    let mut times = Vec::new();
    for _ in 0..20 {
        let (mut server, mut wire) = server_and_wire();
        let start = Instant::now();
        let peer = async {
            let ping = read_frame(&mut wire).await.unwrap();
            assert_eq!(ping.first, 0x89);
            times.push(start.elapsed());
            wire.write_all(&masked(0x8a, &ping.payload)).await.unwrap();
            assert_eq!(read_frame(&mut wire).await.unwrap().first, 0x89);
            assert!(about_20_s(start.elapsed() - times[times.len() - 1]));
        };
        tokio::select! {
            received = server.receive() => panic!("{received:?}"),
            () = peer => {}
        }
    }
    assert!(times.iter().all(|time| about_20_s(*time)), "{times:?}");
    assert!(times.iter().any(|time| *time != times[0]), "not all in step");
}

#[tokio::test(start_paused = true)]
async fn silence_after_a_ping_ends_the_connection_within_20_s() {
    let (mut server, wire) = server_and_wire();
    let start = Instant::now();
    assert!(matches!(server.receive().await, Err(Error::Lost(Lost::PongTimeout))));
    assert!(about_20_s(start.elapsed() - Duration::from_secs(20)), "{:?}", start.elapsed());
    assert_eq!(server.closed().unwrap().code(), 1006);
    drop(wire);
}

/// Some peers never answer a Ping, and yet they live.
#[tokio::test(start_paused = true)]
async fn any_byte_counts_as_life() {
    let (mut server, mut wire) = server_and_wire();
    let message = masked(0x81, &[b'x'; 20]);
    let peer = async {
        // One byte of an unfinished frame every 15 s.
        for byte in message.chunks(1) {
            sleep(Duration::from_secs(15)).await;
            wire.write_all(byte).await.unwrap();
        }
        // To the end of the test nobody ends the stream.
        std::future::pending::<()>().await;
    };
    let received = tokio::select! {
        received = server.receive() => received,
        () = peer => unreachable!(),
    };
    assert_eq!(received.unwrap(), Some("x".repeat(20).into()));
}

#[tokio::test(start_paused = true)]
async fn no_pings_are_sent_without_an_interval() {
    let (mut server, mut wire) = socket_and_wire(Role::Server, 1000, net::quiet(Limits::default()));
    let idle = tokio::time::timeout(Duration::from_secs(3600), server.receive());
    idle.await.expect_err("nothing happens");
    drop(server);
    assert_eq!(wire.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_round_trip_of_a_ping_is_measured() {
    let (mut server, mut wire) = server_and_wire();
    let peer = async {
        let ping = read_frame(&mut wire).await.unwrap();
        sleep(Duration::from_millis(70)).await;
        wire.write_all(&masked(0x8a, &ping.payload)).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    };
    tokio::select! {
        received = server.receive() => panic!("{received:?}"),
        () = peer => {}
    }
    let round_trip = server.round_trip().unwrap();
    assert!((70..=72).contains(&round_trip.as_millis()), "{round_trip:?}");
}

/// A `send` to a peer that never reads ends in an error, after the stall timeout.
#[tokio::test(start_paused = true)]
async fn a_send_that_nobody_takes_ends_after_30_s() {
    let (mut server, wire) = socket_and_wire(Role::Server, 1000, net::quiet(Limits::default()));
    let start = Instant::now();
    let sent = server.send(vec![0; 100_000]).await;
    assert!(matches!(sent, Err(Error::Lost(Lost::Stalled))), "{sent:?}");
    assert!((30_000..30_100).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert!(matches!(server.receive().await, Err(Error::Lost(Lost::Stalled))));
    drop(wire);
}

#[tokio::test(start_paused = true)]
async fn a_receive_with_something_to_write_that_nobody_takes_ends_after_30_s() {
    let (mut server, wire) = socket_and_wire(Role::Server, 1000, net::quiet(Limits::default()));
    server.feed(vec![0; 100_000]).unwrap();
    let start = Instant::now();
    assert!(matches!(server.receive().await, Err(Error::Lost(Lost::Stalled))));
    assert!((30_000..30_100).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    drop(wire);
}

/// It waits for room before it receives, and keeps the time meanwhile.
#[tokio::test(start_paused = true)]
async fn a_receive_ref_that_waits_for_room_ends_after_30_s() {
    let (mut server, wire) = socket_and_wire(Role::Server, 1000, net::quiet(Limits::default()));
    server.feed(vec![0; 100_000]).unwrap();
    let start = Instant::now();
    let ended = tokio::time::timeout(Duration::from_secs(100), server.receive_ref()).await;
    match ended.expect("the stall timeout holds") {
        Err(Error::Lost(Lost::Stalled)) => {}
        other => panic!("{:?}", other.err()),
    }
    assert!((30_000..30_100).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    drop(wire);
}

/// The same by way of the `Sink`: its `poll_ready` waits for room, its `poll_flush` until all is written.
#[tokio::test(start_paused = true)]
async fn a_sink_that_nobody_takes_from_ends_after_30_s() {
    use futures_util::SinkExt;
    let (mut server, wire) = socket_and_wire(Role::Server, 1000, net::quiet(Limits::default()));
    let sent =
        tokio::time::timeout(Duration::from_secs(100), SinkExt::send(&mut server, vec![0; 100_000].into()));
    assert!(matches!(sent.await.expect("the stall timeout holds"), Err(Error::Lost(Lost::Stalled))));
    drop(wire);

    let (mut server, wire) = socket_and_wire(Role::Server, 1000, net::quiet(Limits::default()));
    server.feed(vec![0; 100_000]).unwrap();
    let ready = std::future::poll_fn(|cx| server.poll_ready_unpin(cx));
    let ready = tokio::time::timeout(Duration::from_secs(100), ready);
    let ready = ready.await.expect("the stall timeout holds");
    assert!(matches!(ready, Err(Error::Lost(Lost::Stalled))), "{ready:?}");
    drop(wire);
}

/// A slow peer is no stalled one: what it takes moves the clock.
#[tokio::test(start_paused = true)]
async fn a_send_that_is_taken_slowly_succeeds_however_long_it_takes() {
    let (mut server, mut wire) = socket_and_wire(Role::Server, 1000, net::quiet(Limits::default()));
    let peer = async {
        let mut piece = [0; 1000];
        for _ in 0..20 {
            sleep(Duration::from_secs(25)).await;
            wire.read_exact(&mut piece).await.unwrap();
        }
    };
    let (sent, ()) = tokio::join!(server.send(vec![0; 19_996]), peer);
    sent.unwrap();
}

/// The same with keepalive: a peer whose Pong we do not read, as we are sending, is not silent.
#[tokio::test(start_paused = true)]
async fn a_long_send_is_not_ended_by_keepalive() {
    let (mut server, wire) = server_and_wire_small();
    let (mut reading, mut writing) = tokio::io::split(wire);
    let peer = async {
        // It takes 500 bytes a second, and says something all the time.
        let mut piece = [0; 500];
        for _ in 0..120 {
            sleep(Duration::from_secs(1)).await;
            reading.read_exact(&mut piece).await.unwrap();
            writing.write_all(&masked(0x8a, b"")).await.unwrap();
        }
        // And the rest: pings.
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(1), reading.read_to_end(&mut rest)).await;
    };
    let sent = tokio::select! {
        sent = server.send(vec![0; 60_000]) => sent,
        () = peer => panic!("everything was taken, and send goes on"),
    };
    sent.unwrap();
}

fn server_and_wire_small() -> (ws13::WebSocket<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
    socket_and_wire(Role::Server, 1000, Config::default())
}

#[tokio::test(start_paused = true)]
async fn a_close_that_nobody_answers_ends_after_10_s() {
    let (mut client, mut wire) = socket_and_wire(Role::Client, 1000, Config::default());
    let start = Instant::now();
    let closed = client.close(CloseCode::NORMAL, "").await;
    assert!(matches!(closed, Err(Error::Lost(Lost::CloseTimeout))), "{closed:?}");
    assert!((10_000..10_100).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert_eq!(close_code(&read_frame(&mut wire).await.unwrap()), 1000);
}

/// Both Close frames are out; a server that never ends TCP does not hold the client up for ever.
#[tokio::test(start_paused = true)]
async fn a_client_waits_10_s_for_the_end_of_the_stream_and_the_close_stays_clean() {
    let (mut client, mut wire) = socket_and_wire(Role::Client, 1000, Config::default());
    wire.write_all(&common::plain(0x88, &close_payload(1000, ""))).await.unwrap();
    let start = Instant::now();
    assert_eq!(client.receive().await.unwrap(), None);
    assert!((10_000..10_100).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert_eq!(client.closed().unwrap().cause(), CloseCause::Handshake);
    drop(wire);
}

/// A peer that goes on sending after its fault is not read for ever.
#[tokio::test(start_paused = true)]
async fn a_faulty_peer_that_never_ends_is_dropped_after_10_s() {
    let (mut server, mut wire) = server_and_wire();
    let peer = async {
        while wire.write_all(&masked(0x83, b"reserved")).await.is_ok() {
            sleep(Duration::from_millis(300)).await;
        }
    };
    let start = Instant::now();
    let serving = async {
        let ended = server.receive().await;
        drop(server);
        ended
    };
    let (ended, ()) = tokio::join!(serving, peer);
    assert!(matches!(ended, Err(Error::Fault(_))));
    assert!((10_000..10_700).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_handshake_of_a_client_ends_after_its_timeout() {
    let (near, _far) = tokio::io::duplex(1000);
    let client = ws13::Client::new("ws://localhost/").unwrap().timeout(Duration::from_secs(3));
    let start = Instant::now();
    let failed = client.connect_on(near).await.unwrap_err();
    assert!(matches!(failed, ws13::ConnectError::Timeout(_)), "{failed}");
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_handshake_of_a_server_ends_with_408_after_its_timeout() {
    let (near, mut far) = tokio::io::duplex(1000);
    let acceptor = ws13::Acceptor::new().timeout(Duration::from_secs(3));
    far.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let peer = async {
        let mut answer = String::new();
        far.read_to_string(&mut answer).await.unwrap();
        drop(far);
        answer
    };
    let (refused, answer) = tokio::join!(acceptor.read(near), peer);
    assert!(matches!(refused, Err(ws13::AcceptError::Refused(reply)) if reply.status() == 408));
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}
