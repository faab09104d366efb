//! Tasks of a split socket in many orders, chosen by a scheduler: nobody waits for ever, no message is lost or torn.

use super::WebSocket;
use crate::{CloseCause, Config, Connection, Error, Inbox, Keepalive, Limits, Lost, Role};
use shuttle::sync::Mutex;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose other end is a thread: a few bytes fit into it.
#[derive(Default)]
struct Pipe {
    written: Vec<u8>,
    taken: Vec<u8>,
    ended: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

const CAPACITY: usize = 6;

struct Stream(Arc<Mutex<Pipe>>);

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut pipe = self.0.lock().unwrap();
        if pipe.ended {
            return Poll::Ready(Ok(()));
        }
        pipe.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut pipe = self.0.lock().unwrap();
        if pipe.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let len = bytes.len().min(CAPACITY - pipe.written.len());
        if len == 0 {
            // As sockets do, it remembers one waker.
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        pipe.written.extend_from_slice(&bytes[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The other end: takes what is written, and wakes; ends the stream when it has taken as many bytes.
fn take(pipe: &Mutex<Pipe>, until: usize) -> Vec<u8> {
    loop {
        let mut pipe = pipe.lock().unwrap();
        let written = std::mem::take(&mut pipe.written);
        pipe.taken.extend(&written);
        let done = pipe.taken.len() >= until;
        pipe.ended = done;
        let (writer, reader) = (pipe.writer.take(), if done { pipe.reader.take() } else { None });
        let taken = done.then(|| pipe.taken.clone());
        drop(pipe);
        writer.into_iter().chain(reader).for_each(Waker::wake);
        if let Some(taken) = taken {
            return taken;
        }
        shuttle::thread::yield_now();
    }
}

/// Each sender's messages; their frames are of 2 + 4 bytes.
const MESSAGES: [[&str; 2]; 3] = [["a..0", "a..1"], ["b..0", "b..1"], ["c..0", "c..1"]];
const FRAME: usize = 6;

fn split() -> (super::Sender<Stream>, super::Receiver<Stream>, Arc<Mutex<Pipe>>) {
    let limits = Limits { queue_mark: 2 * FRAME, ..Limits::default() };
    let keepalive = Keepalive { ping_interval: None, ..Keepalive::default() };
    let pipe = Arc::new(Mutex::new(Pipe::default()));
    let config = Config { limits, keepalive, ..Config::default() };
    let connection = Connection::new(Role::Server, config);
    let socket = WebSocket::from_parts(Stream(Arc::clone(&pipe)), connection, Inbox::new());
    let (sender, receiver) = socket.split();
    (sender, receiver, pipe)
}

/// The messages in the order of the wire: whole, each once, those of a sender in its order.
fn check(mut wire: &[u8], wanted: usize) {
    let mut next = [0; MESSAGES.len()];
    let mut count = 0;
    while let Some((frame, rest)) = wire.split_at_checked(FRAME) {
        let text = std::str::from_utf8(&frame[2..]).unwrap();
        assert_eq!(frame[..2], [0x81, 4]);
        let sender = MESSAGES.iter().position(|messages| messages.contains(&text)).unwrap();
        assert_eq!(MESSAGES[sender][next[sender]], text);
        next[sender] += 1;
        count += 1;
        wire = rest;
    }
    assert_eq!((count, wire.len()), (wanted, 0));
}

fn in_many_orders(run: impl Fn() + Send + Sync + Clone + 'static) {
    // The driver's timer wants a runtime around it; it never comes to its end here.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    shuttle::check_random(run.clone(), 10_000);
    shuttle::check_pct(run, 10_000, 3);
}

#[test]
fn senders_and_a_receiver_wait_for_nobody_for_ever() {
    in_many_orders(|| {
        let (sender, mut receiver, pipe) = split();
        let all = MESSAGES.len() * MESSAGES[0].len();
        let sending = MESSAGES.map(|messages| {
            let sender = sender.clone();
            shuttle::future::spawn(async move {
                for message in messages {
                    // The last ones may be taken, and the stream ended, before their sender looks again.
                    let sent = sender.send(message).await;
                    assert!(matches!(sent, Ok(()) | Err(Error::Lost(Lost::Eof))), "{sent:?}");
                }
            })
        });
        let receiving = shuttle::future::spawn(async move {
            assert!(receiver.receive().await.is_err());
            receiver.closed().unwrap().cause()
        });
        let taking = shuttle::thread::spawn(move || take(&pipe, all * FRAME));
        shuttle::future::block_on(async {
            for sent in sending {
                sent.await.unwrap();
            }
            assert_eq!(receiving.await.unwrap(), CloseCause::Lost(Lost::Eof));
        });
        check(&taking.join().unwrap(), all);
    });
}

#[test]
fn a_sender_that_goes_away_half_way_holds_up_nobody() {
    in_many_orders(|| {
        let (sender, receiver, pipe) = split();
        let [leaving, staying] = [0, 1].map(|number| {
            let sender = sender.clone();
            shuttle::future::spawn(async move {
                sender.send(MESSAGES[number][0]).await.unwrap();
                let mut second = std::pin::pin!(sender.send(MESSAGES[number][1]));
                if number == 0 {
                    // Polled once, and dropped: it is queued or it is not.
                    let polled = std::future::poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx).is_ready()));
                    return polled.await;
                }
                second.await.is_ok()
            })
        });
        // What is left unwritten, the staying sender writes; its own messages are among the first ones.
        let taking = shuttle::thread::spawn(move || take(&pipe, 3 * FRAME));
        shuttle::future::block_on(async {
            leaving.await.unwrap();
            staying.await.unwrap();
        });
        let wire = taking.join().unwrap();
        drop(receiver);
        assert!(wire.len() >= 3 * FRAME);
    });
}
