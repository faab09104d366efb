//! A `WebSocket` on a stream: messages, closing, and every way a connection can end.
#![cfg(feature = "tokio")]

mod common;
#[path = "common/net.rs"]
mod net;

use common::{close_payload, masked, plain};
use net::{close_code, read_frame, read_frames, server_and_wire, socket_and_wire, sockets, soon, tcp};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use ws13::{
    CloseCause, CloseCode, Config, Error, Fault, Kind, LimitHit, Limits, Lost, Message, Misuse, Role,
    Violation, WebSocket,
};

#[tokio::test]
async fn messages_arrive_in_order_and_keep_their_kind() {
    let (mut client, mut server) = sockets(100);
    let again = Message::from("again");
    let sending = async {
        client.send("text").await?;
        client.send(String::new()).await?;
        client.send(b"bytes").await?;
        client.send(vec![7; 100_000]).await?;
        client.send(&again).await
    };
    let receiving = async {
        let mut received = Vec::new();
        while received.len() < 5 {
            received.push(server.receive().await.unwrap().unwrap());
        }
        received
    };
    let (sent, received) = soon(async { tokio::join!(sending, receiving) }).await;
    sent.unwrap();
    let expected: [Message; 5] =
        ["text".into(), "".into(), b"bytes".into(), vec![7; 100_000].into(), "again".into()];
    assert_eq!(received, expected);
}

#[tokio::test]
async fn feed_writes_nothing_until_flush() {
    let (mut server, mut wire) = server_and_wire();
    server.feed("one").unwrap();
    server.feed("two").unwrap();
    assert_eq!(server.queued(), 10);
    server.flush().await.unwrap();
    assert_eq!(server.queued(), 0);
    assert_eq!(read_frame(&mut wire).await.unwrap().payload, b"one");
    assert_eq!(read_frame(&mut wire).await.unwrap().payload, b"two");
}

#[tokio::test]
async fn receive_writes_what_was_fed_before_it_waits() {
    let (mut server, mut wire) = server_and_wire();
    server.feed("fed").unwrap();
    let answer = async {
        assert_eq!(read_frame(&mut wire).await.unwrap().payload, b"fed");
        wire.write_all(&masked(0x81, b"seen")).await.unwrap();
    };
    let (received, ()) = soon(async { tokio::join!(server.receive(), answer) }).await;
    assert_eq!(received.unwrap(), Some("seen".into()));
}

#[tokio::test]
async fn a_clean_close_is_ok_none_and_stays_so() {
    let (mut client, mut server) = sockets(1000);
    let (closed, received) =
        soon(async { tokio::join!(client.close(CloseCode::GOING_AWAY, "bye"), server.receive()) }).await;
    closed.unwrap();
    assert_eq!(received.unwrap(), None);
    for _ in 0..3 {
        assert_eq!(server.receive().await.unwrap(), None);
        assert_eq!(client.receive().await.unwrap(), None);
        client.close(CloseCode::NORMAL, "").await.unwrap();
    }
    let ended = server.closed().unwrap();
    assert_eq!((ended.code(), ended.reason(), ended.is_clean()), (1001, "bye", true));
    assert_eq!(client.closed().unwrap().code(), 1001);
    assert!(matches!(client.send("late").await, Err(Error::Misuse(Misuse::Closed))));
}

#[tokio::test]
async fn both_may_close_at_once() {
    let (mut client, mut server) = sockets(1000);
    let closing = async {
        tokio::join!(client.close(CloseCode::NORMAL, "mine"), server.close(CloseCode::NORMAL, "yours"))
    };
    let (one, two) = soon(closing).await;
    one.unwrap();
    two.unwrap();
    assert_eq!(client.closed().unwrap().reason(), "yours");
    assert_eq!(server.closed().unwrap().reason(), "mine");
}

#[tokio::test]
async fn messages_that_were_on_their_way_are_received_after_start_close() {
    let (mut client, mut server) = sockets(1000);
    server.send("on its way").await.unwrap();
    client.start_close(CloseCode::NORMAL, "").unwrap();
    let receiving = async { (client.receive().await, client.receive().await) };
    let ((first, second), ended) = soon(async { tokio::join!(receiving, server.receive()) }).await;
    assert_eq!(first.unwrap(), Some("on its way".into()));
    assert_eq!(second.unwrap(), None);
    assert_eq!(ended.unwrap(), None);
}

#[tokio::test]
async fn a_close_reason_over_123_bytes_is_refused_and_nothing_is_sent() {
    let (mut client, mut server) = sockets(1000);
    let long = "r".repeat(124);
    assert!(matches!(
        client.close(CloseCode::NORMAL, long).await,
        Err(Error::Misuse(Misuse::CloseReason { len: 124 }))
    ));
    client.send("still open").await.unwrap();
    assert_eq!(server.receive().await.unwrap(), Some("still open".into()));
}

/// "The server MUST close the TCP connection immediately" (RFC 6455 section 7.1.1); the client waits for it.
#[tokio::test]
async fn the_server_ends_tcp_first_and_the_client_waits_for_it() {
    let (mut server, mut wire) = server_and_wire();
    wire.write_all(&masked(0x88, &close_payload(1000, ""))).await.unwrap();
    assert_eq!(soon(server.receive()).await.unwrap(), None);
    let frames = soon(read_frames(&mut wire)).await;
    assert_eq!(frames.len(), 1);
    assert_eq!(close_code(&frames[0]), 1000);

    let (mut client, mut wire) = socket_and_wire(Role::Client, 1000, Config::default());
    let serving = async {
        wire.write_all(&plain(0x88, &close_payload(1000, ""))).await.unwrap();
        let answer = read_frame(&mut wire).await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(50), wire.read_u8()).await;
        assert!(early.is_err(), "the client does not end the stream first");
        drop(wire);
        answer
    };
    let (received, answer) = soon(async { tokio::join!(client.receive(), serving) }).await;
    assert_eq!(received.unwrap(), None);
    assert!(answer.masked);
    assert_eq!(close_code(&answer), 1000);
}

#[tokio::test]
async fn an_end_without_close_is_lost_and_stays_so() {
    let (mut server, wire) = server_and_wire();
    drop(wire);
    for _ in 0..2 {
        assert!(matches!(server.receive().await, Err(Error::Lost(Lost::Eof))));
    }
    let closed = server.closed().unwrap();
    assert_eq!((closed.code(), closed.cause()), (1006, CloseCause::Lost(Lost::Eof)));
}

#[tokio::test]
async fn data_that_arrived_before_the_end_is_delivered_first() {
    let (mut server, mut wire) = server_and_wire();
    let half = masked(0x81, b"never complete");
    wire.write_all(&[masked(0x81, b"one"), masked(0x82, b"two"), half[..9].to_vec()].concat()).await.unwrap();
    drop(wire);
    assert_eq!(server.receive().await.unwrap(), Some("one".into()));
    assert_eq!(server.receive().await.unwrap(), Some(b"two".into()));
    assert!(matches!(server.receive().await, Err(Error::Lost(Lost::Eof))));
}

#[tokio::test]
async fn a_reset_is_an_io_error_that_is_told_again() {
    let (mut wire, stream) = tcp().await;
    let mut server = WebSocket::from_upgraded(stream, Role::Server, Config::default());
    wire.write_all(&masked(0x81, b"before")).await.unwrap();
    assert_eq!(server.receive().await.unwrap(), Some("before".into()));
    // Closing with bytes unread makes a reset.
    server.send("never read").await.unwrap();
    wire.readable().await.unwrap();
    drop(wire);
    for _ in 0..2 {
        match soon(server.receive()).await {
            Err(Error::Io(error)) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(server.closed().unwrap().cause(), CloseCause::Lost(Lost::Transport));
    assert!(server.send("late").await.is_err());
}

#[tokio::test]
async fn what_was_read_before_a_write_failed_is_still_delivered() {
    let (mut wire, stream) = tcp().await;
    let mut server = WebSocket::from_upgraded(stream, Role::Server, Config::default());
    wire.write_all(&[masked(0x81, b"one"), masked(0x81, b"two")].concat()).await.unwrap();
    assert_eq!(server.receive().await.unwrap(), Some("one".into()));
    drop(wire);
    // The peer's system answers with a reset; some later write sees it.
    let failed = async {
        loop {
            if let Err(error) = server.send("into the void").await {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(matches!(soon(failed).await, Error::Io(_)));
    assert_eq!(server.receive().await.unwrap(), Some("two".into()));
    assert!(server.receive().await.is_err());
}

/// Each fault, its bytes, and the code that the peer is told.
#[tokio::test]
async fn a_fault_is_an_error_and_the_peer_is_told_the_code() {
    let faults: [(Vec<u8>, Fault, u16); 5] = [
        (plain(0x81, b"x"), Violation::Unmasked.into(), 1002),
        (masked(0x83, b"x"), Violation::ReservedOpcode(3).into(), 1002),
        (masked(0x80, b"x"), Violation::UnexpectedContinuation.into(), 1002),
        (masked(0x81, b"\xff"), Violation::Utf8.into(), 1007),
        (masked(0x82, &[0; 101]), LimitHit::Message { max: 100 }.into(), 1009),
    ];
    for (bytes, fault, code) in faults {
        let config = net::quiet(Limits { max_message: 100, ..Limits::default() });
        let (mut server, mut wire) = socket_and_wire(Role::Server, 1 << 16, config);
        wire.write_all(&bytes).await.unwrap();
        let peer = async {
            let frames = read_frames(&mut wire).await;
            drop(wire);
            frames
        };
        let (received, frames) = soon(async { tokio::join!(server.receive(), peer) }).await;
        match received {
            Err(Error::Fault(told)) => assert_eq!(told, fault),
            other => panic!("{other:?}"),
        }
        assert_eq!(frames.len(), 1);
        assert_eq!(close_code(&frames[0]), code);
        assert!(matches!(server.receive().await, Err(Error::Fault(_))));
    }
}

/// Data that nobody reads would make the system reset the connection, and the reset would eat the answer.
#[tokio::test]
async fn the_close_code_of_a_fault_arrives_although_the_peer_sent_more() {
    for _ in 0..5 {
        let (wire, stream) = tcp().await;
        let mut server = WebSocket::from_upgraded(stream, Role::Server, Config::default());
        let serving = tokio::spawn(async move {
            let ended = server.receive().await;
            drop(server);
            ended
        });
        let (mut reading, mut writing) = wire.into_split();
        let sending = tokio::spawn(async move {
            writing.write_all(&plain(0x81, b"not masked")).await.unwrap();
            let mut sent = 0;
            while sent < 8 << 20 && writing.write_all(&[b'x'; 4096]).await.is_ok() {
                sent += 4096;
            }
            sent
        });
        // The peer looks at its input only when it has said everything.
        assert_eq!(soon(sending).await.unwrap(), 8 << 20);
        let frames = soon(read_frames(&mut reading)).await;
        assert_eq!(close_code(&frames[0]), 1002);
        assert!(matches!(soon(serving).await.unwrap(), Err(Error::Fault(Fault::Violation(_)))));
    }
}

#[tokio::test]
async fn a_ping_is_answered_while_receive_waits() {
    let (mut server, mut wire) = server_and_wire();
    wire.write_all(&masked(0x89, b"are you there?")).await.unwrap();
    let peer = async {
        let pong = read_frame(&mut wire).await.unwrap();
        wire.write_all(&masked(0x81, b"done")).await.unwrap();
        pong
    };
    let (received, pong) = soon(async { tokio::join!(server.receive(), peer) }).await;
    assert_eq!(received.unwrap(), Some("done".into()));
    assert_eq!((pong.first, &pong.payload[..]), (0x8a, &b"are you there?"[..]));
}

#[tokio::test]
async fn receive_ref_lends_messages_pings_and_pongs_and_echoes_without_waiting() {
    let (mut server, mut wire) = server_and_wire();
    let large = vec![5; 20_000];
    wire.write_all(
        &[masked(0x81, b"small"), masked(0x89, b"p"), masked(0x8a, b"q"), masked(0x82, &large)].concat(),
    )
    .await
    .unwrap();
    wire.write_all(&masked(0x88, b"")).await.unwrap();
    let mut seen = Vec::new();
    while let Some(mut lent) = soon(server.receive_ref()).await.unwrap() {
        while let Some((event, mut output)) = lent.next_event() {
            match event {
                ws13::Event::Message(message) => {
                    seen.push(format!("{:?} {}", message.kind(), message.as_bytes().len()));
                    output.send(message).unwrap();
                }
                ws13::Event::Ping(payload) => seen.push(format!("ping {payload:?}")),
                ws13::Event::Pong(payload) => seen.push(format!("pong {payload:?}")),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(seen, ["Text 5", "ping [112]", "pong [113]", "Binary 20000"]);
    let frames = read_frames(&mut wire).await;
    let mut data: Vec<_> = frames.iter().filter(|frame| frame.first < 0x88).map(|f| &f.payload[..]).collect();
    assert_eq!(data.len(), 2);
    assert_eq!(data.remove(0), b"small");
    assert_eq!(data.remove(0), large);
}

/// A large message is taken out of the buffer; what stands behind it is lent next.
#[tokio::test]
async fn a_lent_message_that_was_given_away_leaves_the_next_one_whole() {
    for given_out in [1, 2, 3] {
        let (mut server, mut wire) = server_and_wire();
        let large = [5; 20_000];
        wire.write_all(&[masked(0x82, &large), masked(0x81, b"two"), masked(0x81, b"three")].concat())
            .await
            .unwrap();
        let mut lent = server.receive_ref().await.unwrap().unwrap();
        let mut lens = Vec::new();
        for _ in 0..given_out {
            let Some((ws13::Event::Message(message), mut output)) = lent.next_event() else {
                panic!("it is here")
            };
            lens.push(message.as_bytes().len());
            output.send(message).unwrap();
        }
        assert_eq!(lens, [20_000, 3, 5][..given_out]);
        drop(lent);
        // What was not given out is not lost.
        for text in ["two", "three"].iter().skip(given_out - 1) {
            assert_eq!(server.receive().await.unwrap(), Some((*text).into()));
        }
    }
}

#[tokio::test]
async fn misuse_sends_nothing_and_the_connection_goes_on() {
    let (mut client, mut server) = sockets(1000);
    assert!(matches!(client.ping(&[0; 126]).await, Err(Error::Misuse(Misuse::ControlPayload { len: 126 }))));
    let mut writer = client.writer(Kind::Text);
    writer.write(b"begun").await.unwrap();
    writer.flush().await.unwrap();
    drop(writer);
    assert!(matches!(client.send("other").await, Err(Error::Misuse(Misuse::MessageUnfinished))));
    let (closed, received) =
        soon(async { tokio::join!(client.close(CloseCode::NORMAL, ""), server.receive()) }).await;
    closed.unwrap();
    assert_eq!(received.unwrap(), None);
}

#[tokio::test]
async fn early_bytes_in_the_inbox_are_received_first() {
    let (near, mut far) = tokio::io::duplex(1000);
    let mut inbox = ws13::Inbox::new();
    inbox.extend_from_slice(&masked(0x81, b"early"));
    let connection = ws13::Connection::new(Role::Server, Config::default());
    let mut server = WebSocket::from_parts(near, connection, inbox);
    far.write_all(&masked(0x81, b"later")).await.unwrap();
    assert_eq!(server.receive().await.unwrap(), Some("early".into()));
    assert_eq!(server.receive().await.unwrap(), Some("later".into()));
}
