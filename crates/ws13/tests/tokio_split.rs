//! The two halves of a socket in several tasks, and `Stream` and `Sink`.
#![cfg(feature = "tokio")]

mod common;
#[path = "common/net.rs"]
mod net;

use futures_util::{SinkExt, StreamExt, TryStreamExt};
use net::{quiet, socket_and_wire, sockets, sockets_with, soon};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use ws13::{CloseCode, Config, Error, Limits, Lost, Message, Misuse, Role};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_send_whole_messages_each_in_its_own_order() {
    const TASKS: usize = 8;
    const EACH: usize = 100;
    let (client, server) = sockets(5000);
    let (sender, mut client) = client.split();
    let (_keep, mut receiver) = server.split();
    for task in 0..TASKS {
        let sender = sender.clone();
        tokio::spawn(async move {
            for number in 0..EACH {
                // Small ones and large ones: both ways through the outbox.
                let fill = "x".repeat(if number % 7 == 0 { 10_000 } else { number });
                sender.send(format!("{task} {number} {fill}")).await.unwrap();
            }
        });
    }
    let mut next = [0; TASKS];
    let receiving = async {
        for _ in 0..TASKS * EACH {
            let message = receiver.receive().await.unwrap().unwrap();
            let text = message.as_text().unwrap();
            let mut words = text.split(' ');
            let mut number = || words.next().unwrap().parse::<usize>().unwrap();
            let (task, number) = (number(), number());
            assert_eq!(number, next[task], "in the order of its task");
            next[task] += 1;
            let fill = words.next().unwrap();
            assert_eq!(fill.len(), if number % 7 == 0 { 10_000 } else { number });
            assert!(fill.bytes().all(|byte| byte == b'x'));
        }
    };
    tokio::select! {
        () = soon(receiving) => {}
        ended = client.receive() => panic!("{ended:?}"),
    }
    assert_eq!(next, [EACH; TASKS]);
}

#[tokio::test]
async fn a_stalled_reader_costs_bounded_memory_and_try_send_says_so() {
    let (server, wire) = socket_and_wire(Role::Server, 100, Config::default());
    let (sender, _receiver) = server.split();
    let mark = Limits::default().queue_mark;
    let mut queued = 0;
    let full = loop {
        match sender.try_send(&[7; 1000]) {
            Ok(()) => queued += 1,
            Err(error) => break error,
        }
        assert!(sender.queued() <= mark + 2000, "{}", sender.queued());
    };
    assert!(matches!(full, Error::Misuse(Misuse::QueueFull)), "{full}");
    assert!(queued >= 60);
    // Those that wait hold nothing in the queue.
    let before = sender.queued();
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let sender = sender.clone();
            tokio::spawn(async move { sender.send(vec![1; 50_000]).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(sender.queued(), before);
    assert!(waiting.iter().all(|task| !task.is_finished()));
    drop(wire);
}

#[tokio::test]
async fn senders_that_wait_go_on_when_the_peer_reads() {
    let (server, mut wire) = socket_and_wire(Role::Server, 100, Config::default());
    let (sender, _receiver) = server.split();
    let sending: Vec<_> = (0..10)
        .map(|_| {
            let sender = sender.clone();
            tokio::spawn(async move { sender.send(vec![1; 30_000]).await })
        })
        .collect();
    let mut bytes = vec![0; 10 * 30_004];
    soon(wire.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(common::parse(&bytes).len(), 10);
    for task in sending {
        soon(task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_sender_that_waits_is_told_when_the_connection_is_lost() {
    let (server, wire) = socket_and_wire(Role::Server, 100, Config::default());
    let (sender, mut receiver) = server.split();
    let sending: Vec<_> = (0..5)
        .map(|_| {
            let sender = sender.clone();
            tokio::spawn(async move { sender.send(vec![1; 70_000]).await })
        })
        .collect();
    let receiving = tokio::spawn(async move { receiver.receive().await });
    tokio::time::sleep(Duration::from_millis(10)).await;
    drop(wire);
    assert!(soon(receiving).await.unwrap().is_err());
    for task in sending {
        let ended = soon(task).await.unwrap();
        assert!(matches!(ended, Err(Error::Lost(_) | Error::Io(_))), "{ended:?}");
    }
    assert!(!sender.is_open());
}

/// Somebody receives, and so the time is kept; the senders need no timer of their own.
#[tokio::test(start_paused = true)]
async fn senders_that_wait_for_a_peer_that_never_reads_are_told_after_30_s() {
    let (server, wire) = socket_and_wire(Role::Server, 100, quiet(Limits::default()));
    let (sender, mut receiver) = server.split();
    let waiting = {
        let sender = sender.clone();
        tokio::spawn(async move {
            sender.send(vec![1; 70_000]).await.unwrap_err();
            sender.send("more").await
        })
    };
    let also = tokio::spawn(async move { sender.send(vec![1; 70_000]).await });
    assert!(matches!(receiver.receive().await, Err(Error::Lost(Lost::Stalled))));
    assert!(soon(waiting).await.unwrap().is_err());
    assert!(matches!(soon(also).await.unwrap(), Err(Error::Lost(Lost::Stalled))));
    drop(wire);
}

#[tokio::test]
async fn either_half_may_begin_or_answer_a_close() {
    let (client, server) = sockets(1000);
    let (client_sender, mut client) = client.split();
    let (server_sender, mut server) = server.split();
    client_sender.close(CloseCode::GOING_AWAY, "done").await.unwrap();
    assert!(!client_sender.is_open());
    assert!(matches!(client_sender.send("late").await, Err(Error::Misuse(Misuse::Closed))));
    let (one, two) = soon(async { tokio::join!(server.receive(), client.receive()) }).await;
    assert_eq!((one.unwrap(), two.unwrap()), (None, None));
    assert_eq!(server.closed().unwrap().reason(), "done");
    assert!(matches!(server_sender.try_send("late"), Err(Error::Misuse(Misuse::Closed))));
}

#[tokio::test]
async fn the_stream_ends_when_both_halves_are_dropped_and_not_before() {
    let (server, mut wire) = socket_and_wire(Role::Server, 1000, Config::default());
    let (sender, receiver) = server.split();
    let other = sender.clone();
    drop((sender, receiver));
    other.send("still here").await.unwrap();
    assert_eq!(net::read_frame(&mut wire).await.unwrap().payload, b"still here");
    drop(other);
    assert_eq!(wire.read(&mut [0; 10]).await.unwrap(), 0);
}

#[tokio::test]
async fn pings_of_a_sender_are_answered() {
    let (client, server) = sockets(1000);
    let (sender, mut receiver) = client.split();
    let (_keep, mut far) = server.split();
    sender.ping(b"one").await.unwrap();
    sender.send("two").await.unwrap();
    assert_eq!(far.receive().await.unwrap(), Some("two".into()));
    let waiting = tokio::time::timeout(Duration::from_millis(20), async {
        tokio::join!(far.receive(), receiver.receive())
    });
    assert!(waiting.await.is_err(), "a pong is no message");
}

#[tokio::test]
async fn the_futures_combinators_forward_an_echo() {
    let (client, server) = sockets(500);
    let echo = tokio::spawn(async move {
        let (sink, stream) = StreamExt::split(server);
        stream.forward(sink).await
    });
    let mut client = client;
    let messages: Vec<Message> = (0..200).map(|number| "y".repeat(number).into()).collect();
    let mut outgoing = futures_util::stream::iter(messages.clone()).map(Ok);
    let (mut sink, mut stream) = StreamExt::split(&mut client);
    let receiving = stream.by_ref().take(200).try_collect::<Vec<_>>();
    let (sent, received) = soon(async { tokio::join!(sink.send_all(&mut outgoing), receiving) }).await;
    sent.unwrap();
    assert_eq!(received.unwrap(), messages);
    soon(sink.close()).await.unwrap();
    drop((sink, stream));
    soon(echo).await.unwrap().unwrap();
    assert_eq!(client.closed().unwrap().code(), 1000);
}

#[tokio::test]
async fn a_stream_gives_an_error_once_and_then_ends() {
    let (mut server, wire) = socket_and_wire(Role::Server, 100, Config::default());
    drop(wire);
    assert!(matches!(server.next().await, Some(Err(Error::Lost(Lost::Eof)))));
    assert!(server.next().await.is_none());
    assert!(server.next().await.is_none());
}

#[tokio::test]
async fn a_receiver_is_a_stream_that_ends_with_a_clean_close() {
    let (client, mut server) = sockets_with(1000, Config::default());
    let (sender, mut receiver) = client.split();
    sender.send("hi").await.unwrap();
    let serving = async {
        let message = server.receive().await.unwrap().unwrap();
        server.send(message).await.unwrap();
        server.close(CloseCode::NORMAL, "").await.unwrap();
    };
    let receiving = async { (receiver.next().await, receiver.next().await, receiver.next().await.is_none()) };
    let ((first, second, third), ()) = soon(async { tokio::join!(receiving, serving) }).await;
    assert_eq!(first.unwrap().unwrap(), "hi".into());
    assert!(second.is_none() && third);
}
