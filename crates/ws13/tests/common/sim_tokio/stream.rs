//! The simulated network as streams of tokio: they wait, take and give as little as they like, and break.

use crate::sim::dice::Dice;
use crate::sim::network::{Nanos, Pipe, Read};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Both directions, and who waits for them.
pub struct Line {
    /// What each side writes to.
    pipes: [Pipe; 2],
    waiting: Vec<Waker>,
    origin: Instant,
    polls: usize,
}

/// One side's stream.
pub struct SimStream {
    line: Arc<Mutex<Line>>,
    side: usize,
    dice: Dice,
    arrival: Pin<Box<Sleep>>,
}

/// More polls than any run takes: somebody spins.
const MOST_POLLS: usize = 1_000_000;

impl Line {
    fn now(&self) -> Nanos {
        self.origin.elapsed().as_nanos() as Nanos
    }

    /// Does something to the network, and has everybody look at it again.
    pub fn change(line: &Mutex<Line>, change: impl FnOnce(&mut [Pipe; 2], Nanos)) {
        let mut line = line.lock().unwrap();
        let now = line.now();
        change(&mut line.pipes, now);
        line.waiting.drain(..).for_each(Waker::wake);
    }

    /// Where everything stands, for who looks into a failure.
    pub fn describe(line: &Mutex<Line>) -> String {
        let line = line.lock().unwrap();
        let pipes = line.pipes.iter().map(Pipe::describe).collect::<Vec<_>>().join("; ");
        format!("{pipes}; {} wait, {} polls", line.waiting.len(), line.polls)
    }

    fn wait(&mut self, cx: &Context<'_>) {
        if !self.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.waiting.push(cx.waker().clone());
        }
    }

    fn count(&mut self) {
        self.polls += 1;
        assert!(self.polls < MOST_POLLS, "somebody polls without an end");
    }
}

/// A network, and its two streams.
pub fn streams(pipes: [Pipe; 2], dice: &mut Dice) -> (Arc<Mutex<Line>>, SimStream, SimStream) {
    let origin = Instant::now();
    let line = Arc::new(Mutex::new(Line { pipes, waiting: Vec::new(), origin, polls: 0 }));
    let mut stream = |side| SimStream {
        line: Arc::clone(&line),
        side,
        dice: Dice::seeded(dice.number()),
        arrival: Box::pin(sleep_until(origin)),
    };
    let (near, far) = (stream(0), stream(1));
    (line, near, far)
}

impl SimStream {
    /// Sometimes a stream says to wait although it need not.
    fn dawdles(&mut self, cx: &Context<'_>) -> bool {
        let dawdles = self.dice.one_in(6);
        if dawdles {
            cx.waker().wake_by_ref();
        }
        dawdles
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.dawdles(cx) {
            return Poll::Pending;
        }
        let max = target.remaining().min(this.dice.pick(&[1, 2, 10, 1_000, usize::MAX]));
        loop {
            let mut line = this.line.lock().unwrap();
            line.count();
            let (now, origin) = (line.now(), line.origin);
            let pipe = &mut line.pipes[1 - this.side];
            match pipe.read(now, max) {
                Read::Bytes(bytes) => {
                    target.put_slice(&bytes);
                    line.waiting.drain(..).for_each(Waker::wake);
                    return Poll::Ready(Ok(()));
                }
                Read::End => return Poll::Ready(Ok(())),
                Read::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Read::Nothing => {}
            }
            let arrival = pipe.next_arrival(now);
            line.wait(cx);
            drop(line);
            let Some(arrival) = arrival else { return Poll::Pending };
            // The timer counts in milliseconds.
            let at = origin + Duration::from_nanos(arrival) + Duration::from_millis(1);
            this.arrival.as_mut().reset(at);
            if this.arrival.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.dawdles(cx) {
            return Poll::Pending;
        }
        let most = bytes.len().min(this.dice.pick(&[1, 3, 50, usize::MAX]));
        let mut line = this.line.lock().unwrap();
        line.count();
        let now = line.now();
        match line.pipes[this.side].write(now, &bytes[..most], &mut this.dice) {
            Err(_) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Ok(0) if most > 0 => {
                line.wait(cx);
                Poll::Pending
            }
            Ok(len) => {
                line.waiting.drain(..).for_each(Waker::wake);
                Poll::Ready(Ok(len))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.get_mut().dawdles(cx) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.dawdles(cx) {
            return Poll::Pending;
        }
        Line::change(&this.line, |pipes, _| pipes[this.side].end());
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let side = self.side;
        Line::change(&self.line, |pipes, _| {
            pipes[side].end();
            pipes[1 - side].drop_reader();
        });
    }
}
