//! Streams that behave oddly: an error or progress, no panic, and no spinning.
#![cfg(feature = "tokio")]

mod common;
#[path = "common/net.rs"]
mod net;

use common::{masked, parse};
use net::{Trickle, quiet, soon};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ws13::{CloseCode, Config, Error, Kind, Limits, Message, Role, WebSocket};

/// A stream that answers from a script, then is pending for ever, and counts how often it is asked.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    reads: Vec<io::Result<Vec<u8>>>,
    /// What a write answers, of the length it is given.
    write: Option<fn(usize) -> io::Result<usize>>,
    written: Vec<u8>,
    polls: usize,
}

impl Scripted {
    fn reading(reads: Vec<io::Result<Vec<u8>>>) -> Self {
        Scripted(Arc::new(Mutex::new(Script { reads, ..Script::default() })))
    }

    fn writing(write: fn(usize) -> io::Result<usize>) -> Self {
        Scripted(Arc::new(Mutex::new(Script { write: Some(write), ..Script::default() })))
    }

    fn polls(&self) -> usize {
        self.0.lock().unwrap().polls
    }
}

impl AsyncRead for Scripted {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut script = self.0.lock().unwrap();
        script.polls += 1;
        if script.reads.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(script.reads.remove(0).map(|bytes| target.put_slice(&bytes)))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut script = self.0.lock().unwrap();
        script.polls += 1;
        match script.write {
            Some(write) => Poll::Ready(write(bytes.len())),
            None => {
                script.written.extend_from_slice(bytes);
                Poll::Ready(Ok(bytes.len()))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn server<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> WebSocket<S> {
    WebSocket::from_upgraded(stream, Role::Server, Config::default())
}

#[tokio::test]
async fn a_write_that_claims_more_than_it_was_given_is_an_error() {
    for message in [Message::from("small"), Message::from(vec![0; 100_000])] {
        let mut socket = server(Scripted::writing(|len| Ok(len + 1)));
        assert!(matches!(soon(socket.send(&message)).await, Err(Error::Io(_))));
        assert!(matches!(soon(socket.send(&message)).await, Err(Error::Io(_) | Error::Misuse(_))));
    }
    // Also where the next bytes in the queue would make it look right.
    let mut socket = server(Scripted::writing(|len| Ok(len + 1)));
    socket.feed(vec![0; 100_000]).unwrap();
    socket.feed("more").unwrap();
    assert!(matches!(soon(socket.flush()).await, Err(Error::Io(_))));
}

#[tokio::test]
async fn a_write_of_nothing_is_an_error() {
    let mut socket = server(Scripted::writing(|_| Ok(0)));
    match soon(socket.send("text")).await {
        Err(Error::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::WriteZero),
        other => panic!("{other:?}"),
    }
}

/// Errors that an asynchronous stream should not give are errors all the same, and do not make a loop.
#[tokio::test]
async fn interrupted_and_would_block_are_errors_without_a_loop() {
    for kind in [io::ErrorKind::Interrupted, io::ErrorKind::WouldBlock] {
        let stream = Scripted::reading(vec![Ok(masked(0x81, b"before")), Err(kind.into())]);
        let mut socket = server(stream.clone());
        assert_eq!(soon(socket.receive()).await.unwrap(), Some("before".into()));
        assert!(matches!(soon(socket.receive()).await, Err(Error::Io(error)) if error.kind() == kind));
        assert!(stream.polls() < 10);
    }
    let stream = Scripted::writing(|_| Err(io::ErrorKind::Interrupted.into()));
    let mut socket = server(stream.clone());
    assert!(matches!(soon(socket.send("text")).await, Err(Error::Io(_))));
    assert!(stream.polls() < 10);
}

/// TLS that ends without close_notify is an end like any other.
#[tokio::test]
async fn an_unexpected_eof_is_an_end() {
    let stream = Scripted::reading(vec![Err(io::ErrorKind::UnexpectedEof.into())]);
    let ended = soon(server(stream).receive()).await;
    assert!(matches!(ended, Err(Error::Lost(ws13::Lost::Eof))), "{ended:?}");
}

#[tokio::test]
async fn a_stream_that_cannot_be_written_is_still_read() {
    let stream = Scripted::reading(vec![Ok(masked(0x89, b"ping")), Ok(masked(0x81, b"text"))]);
    stream.0.lock().unwrap().write = Some(|_| Err(io::ErrorKind::BrokenPipe.into()));
    let mut socket = server(stream.clone());
    assert_eq!(soon(socket.receive()).await.unwrap(), Some("text".into()));
    assert!(matches!(socket.send("answer").await, Err(Error::Io(_))));
    assert!(stream.polls() < 20);
}

/// A waker that counts.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// One poll, and how often it woke itself.
fn poll_once<F: Future>(future: F) -> (Poll<F::Output>, usize) {
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let polled = pin!(future).poll(&mut Context::from_waker(&waker));
    (polled, wakes.0.load(Ordering::Relaxed))
}

#[tokio::test]
async fn waiting_asks_the_stream_once_and_does_not_wake_itself() {
    let stream = Scripted::default();
    let mut socket = server(stream.clone());
    for round in 1..5 {
        let (polled, wakes) = poll_once(socket.receive());
        assert!(polled.is_pending());
        assert_eq!((stream.polls(), wakes), (round, 0));
    }
    let stream = Scripted::default();
    let (_sender, mut receiver) = server(stream.clone()).split();
    for _ in 0..5 {
        let (polled, wakes) = poll_once(receiver.receive());
        assert!(polled.is_pending());
        assert_eq!(wakes, 0);
    }
    assert!(stream.polls() <= 10);
}

/// A peer that sends without end does not keep other tasks from their turn.
#[tokio::test]
async fn endless_input_gives_others_their_turn() {
    struct Endless {
        pings: Vec<u8>,
        given: Arc<AtomicUsize>,
    }
    impl AsyncRead for Endless {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            target: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let len = self.pings.len().min(target.remaining());
            assert_eq!(len % 6, 0, "whole pings");
            target.put_slice(&self.pings[..len]);
            self.given.fetch_add(len, Ordering::Relaxed);
            Poll::Ready(Ok(()))
        }
    }
    impl AsyncWrite for Endless {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    let limits = Limits { max_control_frames: u32::MAX, ..Limits::default() };
    let given = Arc::new(AtomicUsize::new(0));
    let stream = Endless { pings: masked(0x89, b"").repeat(1000), given: Arc::clone(&given) };
    let mut socket = WebSocket::from_upgraded(stream, Role::Server, quiet(limits));
    for turn in 1..=3 {
        let (polled, wakes) = poll_once(socket.receive());
        assert!(polled.is_pending());
        assert_eq!(wakes, 1);
        // "256 KiB, then let others run": the read that reaches it may go beyond it by a buffer.
        let given = given.swap(0, Ordering::Relaxed);
        assert!((256 << 10..=320 << 10).contains(&given), "turn {turn}: {given}");
    }
}

#[tokio::test]
async fn one_byte_at_a_time_and_pending_before_each_works_both_ways() {
    let (near, far) = tokio::io::duplex(7);
    let mut client = WebSocket::from_upgraded(Trickle::new(near), Role::Client, Config::default());
    let mut server = WebSocket::from_upgraded(Trickle::new(far), Role::Server, Config::default());
    let sending = async {
        for len in [0, 1, 125, 126, 2000] {
            client.send(vec![4; len]).await?;
            assert_eq!(client.receive().await?, Some(vec![4; len].into()));
        }
        let mut writer = client.writer(Kind::Text);
        writer.write("é".as_bytes()).await?;
        writer.finish().await?;
        assert_eq!(client.receive().await?, Some("é".into()));
        client.close(CloseCode::NORMAL, "").await
    };
    let echoing = async {
        while let Some(message) = server.receive().await? {
            server.send(message).await?;
        }
        Ok::<(), Error>(())
    };
    let (sent, echoed) = soon(async { tokio::join!(sending, echoing) }).await;
    sent.unwrap();
    echoed.unwrap();
}

/// Every write ends after some bytes, at every place of a queue of small and large frames.
#[tokio::test]
async fn short_writes_lose_nothing() {
    for most in [1, 2, 3, 1000, 8191, 8193] {
        let (near, mut far) = tokio::io::duplex(most);
        let mut socket = server(near);
        for len in [3, 9000, 5, 20_000, 8192, 0] {
            socket.feed(vec![len as u8; len]).unwrap();
        }
        let writing = async {
            socket.flush().await.unwrap();
            drop(socket);
        };
        let mut bytes = Vec::new();
        let reading = tokio::io::AsyncReadExt::read_to_end(&mut far, &mut bytes);
        let ((), read) = soon(async { tokio::join!(writing, reading) }).await;
        read.unwrap();
        let lens: Vec<_> = parse(&bytes).iter().map(|frame| frame.payload.len()).collect();
        assert_eq!(lens, [3, 9000, 5, 20_000, 8192, 0]);
    }
}
