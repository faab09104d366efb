//! Tasks of a split socket in many orders, chosen by a scheduler: nobody waits for ever, no message is lost or torn.

use super::WebSocket;
use crate::schedules::{self, ALL, FRAME, MESSAGES, PING, PING_AND_CLOSE, Pipe, Seen, seen};
use crate::{CloseCause, CloseCode, Connection, Error, Inbox, Lost, Misuse, Role};
use shuttle::sync::Mutex;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose other end is a thread. As sockets do, it remembers one waker for each direction.
#[derive(Default)]
struct Ends {
    pipe: Pipe,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone)]
struct Stream(Arc<Mutex<Ends>>);

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut ends = self.0.lock().unwrap();
        match ends.pipe.read(target.remaining()) {
            Some(bytes) => target.put_slice(&bytes),
            None => {
                ends.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut ends = self.0.lock().unwrap();
        match ends.pipe.write(bytes) {
            Some(written) => Poll::Ready(written),
            None => {
                ends.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().pipe.shut_down();
        Poll::Ready(Ok(()))
    }
}

impl Stream {
    /// The peer, until it ends the stream: gives what it took.
    fn as_peer(&self, until: usize) -> Vec<u8> {
        loop {
            let mut ends = self.0.lock().unwrap();
            let taken = ends.pipe.take(until);
            let wakers = [ends.writer.take(), ends.reader.take()];
            drop(ends);
            wakers.into_iter().flatten().for_each(Waker::wake);
            if let Some(taken) = taken {
                return taken;
            }
            shuttle::thread::yield_now();
        }
    }
}

fn split(arriving: &[u8]) -> (super::Sender<Stream>, super::Receiver<Stream>, Stream) {
    let ends = Ends { pipe: Pipe::with(arriving), ..Ends::default() };
    let stream = Stream(Arc::new(Mutex::new(ends)));
    let connection = Connection::new(Role::Server, schedules::config());
    let (sender, receiver) = WebSocket::from_parts(stream.clone(), connection, Inbox::new()).split();
    (sender, receiver, stream)
}

fn in_many_orders(run: impl Fn() + Send + Sync + Clone + 'static) {
    // The driver's timer wants a runtime around it; it never comes to its end here.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    schedules::in_many_orders(run);
}

#[test]
fn senders_and_a_receiver_wait_for_nobody_for_ever() {
    in_many_orders(|| {
        let (sender, mut receiver, stream) = split(&[]);
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
        let taking = shuttle::thread::spawn(move || stream.as_peer(ALL * FRAME));
        shuttle::future::block_on(async {
            for sent in sending {
                sent.await.unwrap();
            }
            assert_eq!(receiving.await.unwrap(), CloseCause::Lost(Lost::Eof));
        });
        let expected = Seen { messages: [2; 3], ..Seen::default() };
        assert_eq!(seen(&taking.join().unwrap()), expected);
    });
}

#[test]
fn a_sender_that_goes_away_half_way_holds_up_nobody() {
    in_many_orders(|| {
        let (sender, receiver, stream) = split(&[]);
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
        let taking = shuttle::thread::spawn(move || stream.as_peer(3 * FRAME));
        shuttle::future::block_on(async {
            leaving.await.unwrap();
            staying.await.unwrap();
        });
        let wire = taking.join().unwrap();
        drop(receiver);
        // The peer has gone in the middle of a fourth frame, at most.
        let whole = wire.len() / FRAME * FRAME;
        assert_eq!(seen(&wire[..whole]).messages.iter().sum::<usize>(), whole / FRAME);
        assert!(whole >= 3 * FRAME);
    });
}

/// A sender's messages: how many were sent before the connection was closed.
async fn send_until_closed(sender: super::Sender<Stream>, messages: [&'static str; 2]) -> usize {
    let mut sent = 0;
    for message in messages {
        match sender.send(message).await {
            Ok(()) => sent += 1,
            Err(Error::Misuse(Misuse::Closed)) => break,
            Err(other) => panic!("{other}"),
        }
    }
    sent
}

/// Senders against what `arriving` has, a receiver, and what `closing` does; the connection is closed cleanly, and what
/// was sent is on the wire.
fn closed_among_senders(arriving: &'static [u8], closing: bool) {
    in_many_orders(move || {
        let (sender, mut receiver, stream) = split(arriving);
        let sending =
            MESSAGES.map(|messages| shuttle::future::spawn(send_until_closed(sender.clone(), messages)));
        let close = closing.then(|| {
            shuttle::future::spawn(async move { sender.close(CloseCode::NORMAL, "").await.unwrap() })
        });
        let receiving = shuttle::future::spawn(async move { receiver.receive().await });
        let taking = shuttle::thread::spawn(move || stream.as_peer(usize::MAX));
        let sent = shuttle::future::block_on(async {
            assert_eq!(receiving.await.unwrap().unwrap(), None);
            if let Some(close) = close {
                close.await.unwrap();
            }
            let mut sent = [0; MESSAGES.len()];
            for (sent, sending) in sent.iter_mut().zip(sending) {
                *sent = sending.await.unwrap();
            }
            sent
        });
        let seen = seen(&taking.join().unwrap());
        assert_eq!((seen.messages, seen.closed), (sent, true));
        // A Ping that we read after we began to close is not answered.
        assert!(seen.pongs == 1 || closing && seen.pongs == 0);
    });
}

#[test]
fn a_ping_and_a_close_that_arrive_among_senders_are_answered_and_nothing_is_lost() {
    closed_among_senders(&PING_AND_CLOSE, false);
}

#[test]
fn a_close_among_senders_is_the_last_frame_and_nothing_before_it_is_lost() {
    closed_among_senders(&PING, true);
}
