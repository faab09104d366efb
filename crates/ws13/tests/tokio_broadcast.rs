//! Broadcasts on tokio: everyone gets everything in order, who lags is treated as was said, nobody waits for another.
#![cfg(feature = "tokio")]

mod common;
#[path = "common/net.rs"]
mod net;

use common::allocation::{Counting, measure};
use futures_util::FutureExt;
use net::{close_code, quiet, read_frame, server, socket_and_wire};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::task::JoinHandle;
use ws13::{
    Broadcast, Client, Config, Delivery, Error, Lagging, Limits, Receiver, Role, Sender, Subscription,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PATIENCE: Duration = Duration::from_secs(20);

/// A member with a peer that is a plain stream, and a task that receives.
struct Member {
    sender: Sender<DuplexStream>,
    _subscription: Subscription<DuplexStream>,
    wire: DuplexStream,
    task: JoinHandle<()>,
}

/// The stream between holds as much as this.
const PIPE: usize = 4 << 10;

fn member(broadcast: &Broadcast<DuplexStream>) -> Member {
    let (socket, wire) = socket_and_wire(Role::Server, PIPE, quiet(Limits::default()));
    let (sender, mut receiver): (_, Receiver<_>) = socket.split();
    let task = tokio::spawn(async move { while let Ok(Some(_)) = receiver.receive().await {} });
    Member { _subscription: broadcast.subscribe(&sender), sender, wire, task }
}

/// A message of 1 KiB with its number.
fn numbered(number: usize) -> String {
    format!("{number:01020}")
}

fn number(payload: &[u8]) -> usize {
    std::str::from_utf8(payload).unwrap().parse().unwrap()
}

/// What has come, until nothing has for a while.
async fn numbers(wire: &mut DuplexStream) -> Vec<usize> {
    let mut numbers = Vec::new();
    while let Ok(Some(frame)) = tokio::time::timeout(Duration::from_millis(200), read_frame(wire)).await {
        assert_eq!(frame.first, 0x81);
        numbers.push(number(&frame.payload));
    }
    numbers
}

#[tokio::test]
async fn who_lags_is_treated_as_was_said() {
    // 4 KiB stand in the stream, some 16 KiB in the queue; eight messages wait.
    for (lagging, expected) in [
        (Lagging::DropOldest, (0..20).chain(92..100).collect::<Vec<_>>()),
        (Lagging::DropNewest, (0..28).collect()),
        // No more than one is begun.
        (Lagging::KeepLatest, (0..5).chain([99]).collect()),
    ] {
        let broadcast = Broadcast::new(&Config::default()).lagging(lagging).backlog(8);
        let mut slow = member(&broadcast);
        let mut total = Delivery::default();
        for round in 0..100 {
            let delivery = broadcast.send(numbered(round));
            total.queued += delivery.queued;
            total.dropped += delivery.dropped;
            tokio::task::yield_now().await;
        }
        let came = numbers(&mut slow.wire).await;
        assert_eq!(came.len() + total.dropped, 100, "{lagging:?}: each is told of");
        assert!(came.is_sorted());
        let near = came.len().abs_diff(expected.len());
        assert!(near <= 2 && came.first() == expected.first(), "{lagging:?}: {came:?}");
        if lagging != Lagging::DropNewest {
            assert_eq!(came.last(), Some(&99), "{lagging:?}");
        }
        // It has caught up, and gets the next one at once.
        assert_eq!(broadcast.send(numbered(100)).queued, 1);
        assert_eq!(numbers(&mut slow.wire).await, [100]);
    }
}

#[tokio::test]
async fn who_lags_too_far_is_disconnected_with_1013_after_what_was_queued() {
    let broadcast = Broadcast::new(&Config::default()).backlog(8);
    let mut slow = member(&broadcast);
    let mut rounds = 0;
    while broadcast.send(numbered(rounds)).disconnected == 0 {
        rounds += 1;
    }
    assert!((20..40).contains(&rounds), "{rounds}");
    assert_eq!(broadcast.len(), 0);
    assert!(!slow.sender.is_open());
    let mut came = 0;
    loop {
        let frame = read_frame(&mut slow.wire).await.unwrap();
        if frame.first == 0x88 {
            assert_eq!(close_code(&frame), 1013);
            break;
        }
        assert_eq!(number(&frame.payload), came);
        came += 1;
    }
    assert!(came + 8 <= rounds, "{came} of {rounds}: what waited was dropped");
    drop(slow.wire);
    slow.task.await.unwrap();
}

/// What a task may do before others have their turn (tokio's budget) is less than a thousand writes.
#[tokio::test]
async fn all_of_a_thousand_members_are_written_to_by_the_call_itself() {
    let broadcast = Broadcast::new(&Config::default());
    let mut members: Vec<_> = (0..1000).map(|_| member(&broadcast)).collect();
    let senders: Vec<_> = members.iter().map(|member| member.sender.clone()).collect();
    tokio::task::yield_now().await;
    assert_eq!(broadcast.send("news").queued, 1000);
    let mut each_has = |message: &[u8]| {
        for (at, member) in members.iter_mut().enumerate() {
            let mut bytes = vec![0; message.len()];
            let came = tokio::task::unconstrained(member.wire.read_exact(&mut bytes)).now_or_never();
            assert!(came.is_some(), "member {at} waits for its task");
            assert_eq!(bytes, message);
        }
    };
    each_has(b"\x81\x04news");
    // So are those to whom it is sent one by one.
    senders.iter().for_each(|sender| sender.try_send("more").unwrap());
    each_has(b"\x81\x04more");
}

#[tokio::test]
async fn who_has_left_hears_nothing_more() {
    let broadcast = Broadcast::new(&Config::default());
    let (socket, mut wire) = socket_and_wire(Role::Server, 1 << 16, quiet(Limits::default()));
    let (sender, _receiver) = socket.split();
    let subscription = broadcast.subscribe(&sender);
    assert_eq!(broadcast.send("before").queued, 1);
    assert_eq!(read_frame(&mut wire).await.unwrap().payload, b"before");
    drop(subscription);
    assert_eq!(broadcast.send("nobody hears this"), Delivery::default());
    let (one, other) = (broadcast.subscribe(&sender), broadcast.subscribe(&sender));
    assert_eq!(broadcast.send_to_others(&one, "once").queued, 1);
    drop((one, other));
    assert_eq!(read_frame(&mut wire).await.unwrap().payload, b"once");
}

#[tokio::test]
async fn a_thousand_messages_for_a_hundred_that_lag_cost_one_copy_of_what_waits() {
    let broadcast = Broadcast::new(&Config::default()).lagging(Lagging::DropOldest).backlog(16);
    let members: Vec<Member> = (0..100).map(|_| member(&broadcast)).collect();
    let message = "x".repeat(10_000);
    let ((), cost) = measure(|| {
        for _ in 0..1000 {
            broadcast.send(&*message);
        }
    });
    // Some stand at the front of each queue, and sixteen behind them; each once. 4 KiB stand in each stream.
    let most = (4 + 16) * 10_240 + 100 * (PIPE + 2048);
    assert!(cost.peak < most, "{} bytes", cost.peak);
    assert!(members.iter().all(|member| member.sender.is_open()));
}

async fn reads_all(mut client: ws13::WebSocket<ws13::Stream>, count: usize) -> usize {
    for expected in 0..count {
        let message = client.receive().await.unwrap().unwrap();
        assert_eq!(number(message.as_bytes()), expected);
    }
    count
}

#[tokio::test]
async fn nobody_waits_for_who_does_not_read() {
    const COUNT: usize = 5000;
    let broadcast = Broadcast::new(&Config::default()).lagging(Lagging::DropOldest);
    let (server, address) = server().await;
    let members = broadcast.clone();
    tokio::spawn(server.serve(move |_, socket| {
        let members = members.clone();
        async move {
            let (sender, mut receiver) = socket.split();
            let _subscription = members.subscribe(&sender);
            while receiver.receive().await?.is_some() {}
            Ok::<(), Error>(())
        }
    }));
    let url = format!("ws://{address}/");
    let stuck = ws13::connect(&url).await.unwrap();
    let mut readers = Vec::new();
    for _ in 0..5 {
        readers.push(tokio::spawn(reads_all(ws13::connect(&url).await.unwrap(), COUNT)));
    }
    while broadcast.len() < 6 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let start = Instant::now();
    let mut total = Delivery::default();
    for round in 0..COUNT {
        let delivery = broadcast.send(numbered(round));
        total.queued += delivery.queued;
        total.dropped += delivery.dropped;
        if round % 8 == 7 {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    }
    for reader in readers {
        assert_eq!(tokio::time::timeout(PATIENCE, reader).await.unwrap().unwrap(), COUNT);
    }
    assert!(start.elapsed() < PATIENCE);
    assert!(total.dropped > 0, "the one that does not read lags: {total:?}");
    // It goes on where it was, with the newest.
    let mut stuck = stuck;
    let mut last = 0;
    while last != COUNT - 1 {
        let message = tokio::time::timeout(PATIENCE, stuck.receive()).await.unwrap().unwrap().unwrap();
        last = number(message.as_bytes());
    }
    drop(stuck);
    while !broadcast.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_member_that_is_gone_is_forgotten_and_its_stream_is_not_kept() {
    let broadcast = Broadcast::new(&Config::default());
    let mut gone = member(&broadcast);
    gone.task.abort();
    let _ = gone.task.await;
    drop(gone.sender);
    let mut rest = Vec::new();
    // The broadcast is no reason to keep the stream open.
    gone.wire.read_to_end(&mut rest).await.unwrap();
    assert_eq!(broadcast.len(), 1);
    assert_eq!(broadcast.send("anybody?"), Delivery::default());
    assert_eq!(broadcast.len(), 0);
}

#[cfg(feature = "deflate")]
#[tokio::test]
async fn compressed_and_plain_members_and_ordinary_messages_between() {
    use ws13::{Channel, Deflate};
    let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
    let broadcast = Broadcast::new(&config);
    let (server, address) = server().await;
    let members = broadcast.clone();
    tokio::spawn(server.config(config.clone()).serve(move |_, socket| {
        let members = members.clone();
        async move {
            let (sender, mut receiver) = socket.split();
            let _subscription = members.subscribe(&sender);
            while let Some(message) = receiver.receive().await? {
                sender.send(message).await?;
            }
            Ok::<(), Error>(())
        }
    }));
    let url = format!("ws://{address}/");
    let mut clients = Vec::new();
    for compress in [true, true, false] {
        let mut config = config.clone();
        config.deflate = config.deflate.filter(|_| compress);
        clients.push(Client::new(&url).unwrap().config(config).connect().await.unwrap());
    }
    while broadcast.len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let text = |n: usize| format!("{{\"row\":{n},\"name\":\"sensor-{}\"}},", n % 7).repeat(20);
    let mut channel = Channel::new(&config);
    for round in 0..50 {
        let prepared = channel.prepare(text(round));
        assert_eq!(broadcast.send(&prepared).queued, 3);
        assert!(prepared.compressions() <= 2);
        for (at, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.receive().await.unwrap().unwrap().as_text(), Some(&*text(round)));
            if (round + at) % 4 == 0 {
                client.send(text(round + 1000)).await.unwrap();
                assert_eq!(client.receive().await.unwrap().unwrap().as_text(), Some(&*text(round + 1000)));
            }
        }
    }
    // The blocking driver takes the same.
    let blocking = tokio::task::spawn_blocking(move || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let far = listener.accept().unwrap().0;
        let socket = |stream, role| {
            let connection = ws13::Connection::new(role, config.clone());
            let connection = connection.with_deflate(ws13::deflate::Agreed::default());
            ws13::blocking::WebSocket::from_parts(stream, connection, ws13::Inbox::new())
        };
        let (mut client, mut server) = (socket(near, Role::Client), socket(far, Role::Server));
        for round in 0..10 {
            let prepared = channel.prepare(text(round));
            server.send(&prepared).unwrap();
            assert_eq!(client.receive().unwrap().unwrap().as_text(), Some(&*text(round)));
            client.send(&prepared).unwrap();
            assert_eq!(server.receive().unwrap().unwrap().as_text(), Some(&*text(round)));
            server.send(text(round)).unwrap();
            assert_eq!(client.receive().unwrap().unwrap().as_text(), Some(&*text(round)));
        }
    });
    blocking.await.unwrap();
}
