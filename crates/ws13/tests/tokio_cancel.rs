//! Cancel safety: each future is polled a few times and dropped, again and again, over a stream that gives one byte at
//! a time and is pending before each. Nothing is lost, nothing comes twice, and there is one end.
#![cfg(feature = "tokio")]

mod common;
#[path = "common/net.rs"]
mod net;

use common::{close_payload, masked, parse};
use net::{Trickle, polled, read_head, request, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use ws13::{
    Acceptor, Client, CloseCode, Config, Error, Event, Kind, Limits, Message, Misuse, Opening, Role,
    WebSocket,
};

/// How often each future is polled before it is dropped.
const POLLS: [usize; 5] = [1, 2, 3, 7, 50];

fn trickling(role: Role, config: Config) -> (WebSocket<Trickle<DuplexStream>>, DuplexStream) {
    let (near, far) = tokio::io::duplex(1 << 20);
    (WebSocket::from_upgraded(Trickle::new(near), role, config), far)
}

/// What the peer says: all sorts of messages, and a Close.
fn script() -> (Vec<u8>, Vec<Message>) {
    let long = "long ".repeat(100);
    let bytes = [
        masked(0x81, b"one"),
        masked(0x89, b"a ping"),
        masked(0x02, b"in "),
        masked(0x8a, b"a pong"),
        masked(0x00, b"three "),
        masked(0x80, b"parts"),
        masked(0x82, b""),
        masked(0x81, long.as_bytes()),
        masked(0x88, &close_payload(1000, "bye")),
    ];
    let messages = ["one".into(), b"in three parts".into(), b"".into(), Message::from(long)];
    (bytes.concat(), messages.to_vec())
}

#[tokio::test]
async fn receive() {
    for polls in POLLS {
        let (mut socket, mut wire) = trickling(Role::Server, Config::default());
        let (bytes, expected) = script();
        wire.write_all(&bytes).await.unwrap();
        let mut received = Vec::new();
        loop {
            drop(socket.receive());
            match polled(polls, socket.receive()).await {
                None => {}
                Some(Ok(Some(message))) => received.push(message),
                Some(Ok(None)) => break,
                Some(Err(error)) => panic!("{error}"),
            }
        }
        assert_eq!(received, expected);
        assert_eq!(socket.closed().unwrap().reason(), "bye");
        let answers: Vec<_> = net::read_frames(&mut wire).await.iter().map(|frame| frame.first).collect();
        assert_eq!(answers, [0x8a, 0x88]);
    }
}

#[tokio::test]
async fn receive_of_a_split_socket() {
    for polls in POLLS {
        let (socket, mut wire) = trickling(Role::Server, Config::default());
        let (_sender, mut socket) = socket.split();
        let (bytes, expected) = script();
        wire.write_all(&bytes).await.unwrap();
        let mut received = Vec::new();
        loop {
            match polled(polls, socket.receive()).await {
                None => {}
                Some(Ok(Some(message))) => received.push(message),
                Some(Ok(None)) => break,
                Some(Err(error)) => panic!("{error}"),
            }
        }
        assert_eq!(received, expected);
    }
}

#[tokio::test]
async fn reader_and_its_read() {
    for polls in POLLS {
        let (mut socket, mut wire) = trickling(Role::Server, Config::default());
        let (bytes, expected) = script();
        wire.write_all(&bytes).await.unwrap();
        let mut received = Vec::new();
        loop {
            let mut reader = match polled(polls, socket.reader()).await {
                None => continue,
                Some(Ok(Some(reader))) => reader,
                Some(Ok(None)) => break,
                Some(Err(error)) => panic!("{error}"),
            };
            let (mut whole, mut piece) = (Vec::new(), [0; 3]);
            loop {
                match polled(polls, reader.read(&mut piece)).await {
                    None => {}
                    Some(Ok(0)) => break,
                    Some(Ok(len)) => whole.extend_from_slice(&piece[..len]),
                    Some(Err(error)) => panic!("{error}"),
                }
            }
            received.push(match reader.kind() {
                Kind::Text => Message::from(String::from_utf8(whole).unwrap()),
                Kind::Binary => Message::from(whole),
            });
        }
        assert_eq!(received, expected);
    }
}

#[tokio::test]
async fn read_to_end_of_a_reader() {
    for polls in POLLS {
        let (mut socket, mut wire) = trickling(Role::Server, Config::default());
        let (bytes, expected) = script();
        wire.write_all(&bytes).await.unwrap();
        for expected in expected {
            let mut reader = soon(socket.reader()).await.unwrap().unwrap();
            // What was read stands in the buffer, however often its future is dropped.
            let mut whole = Vec::new();
            loop {
                match polled(polls, reader.read_to_end(&mut whole, 1000)).await {
                    None => {}
                    Some(all) => break assert!(all.unwrap()),
                }
            }
            assert_eq!(whole, expected.as_bytes());
        }
        assert!(soon(socket.reader()).await.unwrap().is_none());
    }
}

/// `send` queues by the call: dropped at once, or later, the message goes out all the same, and once.
#[tokio::test]
async fn send_and_flush_and_ping() {
    for polls in [0, 1, 2, 3, 7, 50] {
        let (mut socket, mut wire) = trickling(Role::Client, Config::default());
        for number in 0..20 {
            let _ = polled(polls, socket.send(format!("message {number}"))).await;
            let _ = polled(polls, socket.flush()).await;
        }
        let _ = polled(polls, socket.ping(b"p")).await;
        while polled(polls.max(1), socket.flush()).await.is_none() {}
        drop(socket);
        let frames = net::read_frames(&mut wire).await;
        let (pings, texts): (Vec<_>, Vec<_>) = frames.into_iter().partition(|frame| frame.first == 0x89);
        let texts: Vec<_> =
            texts.into_iter().map(|frame| String::from_utf8(frame.payload).unwrap()).collect();
        assert_eq!(texts, (0..20).map(|number| format!("message {number}")).collect::<Vec<_>>());
        assert_eq!(pings.len(), 1);
    }
}

/// The send of a `Sender` waits for room first: dropped, it has queued the whole message or nothing.
#[tokio::test]
async fn send_of_a_sender_is_all_or_nothing() {
    for polls in [0, 1, 2, 3, 7, 50] {
        let limits = Limits { queue_mark: 30, ..Limits::default() };
        let (socket, mut wire) = trickling(Role::Server, Config { limits, ..Config::default() });
        let (sender, receiver) = socket.split();
        let mut sent = Vec::new();
        for number in 0..20 {
            let text = format!("message number {number}");
            if polled(polls, sender.send(&text)).await.is_some() {
                sent.push(text);
            }
        }
        sender.send("the last").await.unwrap();
        drop((sender, receiver));
        let texts: Vec<_> = net::read_frames(&mut wire)
            .await
            .into_iter()
            .map(|frame| String::from_utf8(frame.payload).unwrap())
            .collect();
        assert!(texts.windows(2).all(|pair| pair[0] != pair[1]), "none twice: {texts:?}");
        assert!(sent.iter().all(|text| texts.contains(text)), "{sent:?} of {texts:?}");
        let mut last = 0;
        for text in texts.iter().filter(|text| *text != "the last") {
            let number: usize = text.strip_prefix("message number ").unwrap().parse().unwrap();
            assert!(number >= last, "in order: {texts:?}");
            last = number;
        }
        assert_eq!(texts.last().unwrap(), "the last");
    }
}

#[tokio::test]
async fn close() {
    for polls in POLLS {
        let (mut socket, mut wire) = trickling(Role::Server, Config::default());
        // The answer, after a message that a close drops.
        wire.write_all(&[masked(0x81, b"dropped"), masked(0x88, &close_payload(1000, ""))].concat())
            .await
            .unwrap();
        drop(socket.close(CloseCode::NORMAL, "never polled"));
        let mut dropped = 0;
        while polled(polls, socket.close(CloseCode::GOING_AWAY, "first")).await.is_none() {
            dropped += 1;
        }
        assert!(polls > 20 || dropped > 0);
        let frames = net::read_frames(&mut wire).await;
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].payload, close_payload(1001, "first"));
    }
}

#[tokio::test]
async fn close_of_a_sender() {
    for polls in POLLS {
        let (socket, mut wire) = trickling(Role::Server, Config::default());
        let (sender, mut receiver) = socket.split();
        while polled(polls, sender.close(CloseCode::NORMAL, "once")).await.is_none() {}
        wire.write_all(&masked(0x88, &close_payload(1000, ""))).await.unwrap();
        assert_eq!(soon(receiver.receive()).await.unwrap(), None);
        assert_eq!(net::read_frames(&mut wire).await.len(), 1);
    }
}

/// Dropped at each await of the handshake, the attempt is gone: the server sees the end of the stream.
#[tokio::test]
async fn connect() {
    let mut polls = 0;
    loop {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        let client = Client::new("ws://localhost/").unwrap();
        let accepting = tokio::spawn(async move {
            match Acceptor::new().read(&mut far).await {
                Ok(Opening::Upgrade(asked)) => asked.accept().await.is_ok(),
                _ => false,
            }
        });
        let connected = polled(polls, client.connect_on(Trickle::new(near))).await;
        let done = connected.is_some();
        drop(connected.map(Result::unwrap));
        let accepted = soon(accepting).await.unwrap();
        assert!(accepted || !done);
        if done {
            break;
        }
        polls += 1 + polls / 8;
    }
    assert!(polls > 100, "{polls}");
}

#[tokio::test]
async fn accept() {
    let address = "127.0.0.1:1".parse().unwrap();
    let mut polls = 0;
    loop {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        far.write_all(request(address, "").as_bytes()).await.unwrap();
        let accepting = async {
            match Acceptor::new().read(Trickle::new(near)).await.unwrap() {
                Opening::Upgrade(asked) => asked.accept().await.unwrap(),
                Opening::Plain(_) => panic!("it asks for a WebSocket"),
            }
        };
        if let Some(mut socket) = polled(polls, accepting).await {
            assert!(read_head(&mut far).await.starts_with("HTTP/1.1 101 "));
            far.write_all(&masked(0x81, b"hi")).await.unwrap();
            assert_eq!(soon(socket.receive()).await.unwrap(), Some("hi".into()));
            break;
        }
        let mut part = Vec::new();
        soon(far.read_to_end(&mut part)).await.unwrap();
        assert!(!part.ends_with(b"\r\n\r\n") || part.starts_with(b"HTTP/1.1 101 "));
        polls += 1 + polls / 8;
    }
    assert!(polls > 100, "{polls}");
}

/// A writer that is dropped leaves its message unfinished, and says so; what went out are whole frames.
#[tokio::test]
async fn a_dropped_writer_leaves_whole_frames() {
    for polls in POLLS {
        let config = Config { fragment_size: Some(50), ..Config::default() };
        let (mut socket, mut wire) = trickling(Role::Server, config);
        let mut writer = socket.writer(Kind::Binary);
        let dropped = polled(polls, writer.write(&[1; 400])).await.is_none();
        drop(writer);
        if dropped {
            assert!(matches!(socket.send("other").await, Err(Error::Misuse(Misuse::MessageUnfinished))));
        }
        while polled(polls, socket.flush()).await.is_none() {}
        drop(socket);
        let mut bytes = Vec::new();
        wire.read_to_end(&mut bytes).await.unwrap();
        assert!(parse(&bytes).iter().all(|frame| frame.payload == [1; 50]));
    }
}

/// What a writer's `flush` was dropped with goes out once; its `finish` ends the message as soon as it is polled.
#[tokio::test]
async fn flush_and_finish_of_a_writer() {
    for polls in POLLS {
        let (mut socket, mut wire) = trickling(Role::Server, Config::default());
        let mut writer = socket.writer(Kind::Binary);
        for part in [&b"one, "[..], b"two, ", b"three"] {
            writer.write(part).await.unwrap();
            while polled(polls, writer.flush()).await.is_none() {}
        }
        let _ = polled(polls, writer.finish()).await;
        socket.send("next").await.unwrap();
        drop(socket);
        let frames = net::read_frames(&mut wire).await;
        let firsts: Vec<_> = frames.iter().map(|frame| frame.first).collect();
        assert_eq!(firsts, [0x02, 0x00, 0x00, 0x80, 0x81]);
        let message: Vec<u8> = frames[..4].iter().flat_map(|frame| frame.payload.clone()).collect();
        assert_eq!(message, b"one, two, three");
    }
}

#[tokio::test]
async fn ping_of_a_sender() {
    for polls in POLLS {
        let (socket, mut wire) = trickling(Role::Server, Config::default());
        let (sender, receiver) = socket.split();
        for number in 0..10 {
            let _ = polled(polls, sender.ping(&[number])).await;
        }
        sender.send("the last").await.unwrap();
        drop((sender, receiver));
        let frames = net::read_frames(&mut wire).await;
        let (last, pings) = frames.split_last().unwrap();
        let numbers: Vec<_> = pings.iter().map(|ping| (ping.first, ping.payload[0])).collect();
        assert_eq!(numbers, (0..10).map(|number| (0x89, number)).collect::<Vec<_>>());
        assert_eq!(last.payload, b"the last");
    }
}

/// A lent event is given out once; what was not waited for to the end is lent by the next call.
#[tokio::test]
async fn receive_ref() {
    for polls in POLLS {
        let (mut socket, mut wire) = trickling(Role::Server, Config::default());
        let (bytes, expected) = script();
        wire.write_all(&bytes).await.unwrap();
        let (mut received, mut controls) = (Vec::new(), 0);
        loop {
            match polled(polls, socket.receive_ref()).await {
                None => {}
                Some(Ok(Some(mut lent))) => each(&mut lent, |event| match event {
                    Event::Message(message) => received.push(message.into_message()),
                    Event::Ping(_) | Event::Pong(_) => controls += 1,
                    other => panic!("{other:?}"),
                }),
                Some(Ok(None)) => break,
                Some(Err(error)) => panic!("{error}"),
            }
        }
        assert_eq!(received, expected);
        assert_eq!(controls, 2);
    }
}

fn each(lent: &mut ws13::Lent<'_, Trickle<DuplexStream>>, mut handle: impl FnMut(Event<'_>)) {
    while let Some((event, _)) = lent.next_event() {
        handle(event);
    }
}
