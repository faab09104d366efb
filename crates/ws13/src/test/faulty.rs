//! A stream with faults, for both drivers.

use super::faults::{Fault, Faults, Turn, Way};
use crate::blocking::{Duplex, Transport};
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A stream on which things go wrong as [`Faults`] tell. For any stream, in memory or not, and either driver.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use ws13::test::{Fault, Faults, Faulty};
///
/// let (mut near, far) = tokio::io::duplex(1024);
/// let mut far = Faulty::new(far, &Faults::new().split(2).read_at(3, Fault::End));
/// near.write_all(b"hello").await?;
/// let mut read = [0; 10];
/// assert_eq!(far.read(&mut read).await?, 2);
/// assert_eq!(far.read(&mut read).await?, 1);
/// assert_eq!(far.read(&mut read).await?, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Faulty<S> {
    stream: S,
    faults: Faults,
    reading: Waiting,
    writing: Waiting,
    /// What was read and is given later.
    late: Option<Vec<u8>>,
}

/// How one direction waits.
#[derive(Debug, Default)]
struct Waiting {
    sleep: Option<Pin<Box<Sleep>>>,
    /// The blocking stream's timeout.
    timeout: Option<Duration>,
}

impl<S> Faulty<S> {
    /// Has these faults happen to this stream; the same `Faults` can change it later.
    pub fn new(stream: S, faults: &Faults) -> Self {
        let (reading, writing) = Default::default();
        Faulty { stream, faults: faults.clone(), reading, writing, late: None }
    }
}

/// At most this much is read at once where it is delayed.
const PIECE: usize = 8 << 10;

impl Waiting {
    fn poll(&mut self, duration: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(duration)));
        ready!(sleep.as_mut().poll(cx));
        self.sleep = None;
        Poll::Ready(())
    }
}

/// What becomes of a call that may not move bytes.
enum Outcome {
    End,
    Swallowed,
    Failed(io::Error),
}

impl<S> Faulty<S> {
    /// Waits until bytes may be moved, and gives how many; or what becomes of the call.
    fn poll_turn(&mut self, way: Way, len: usize, cx: &mut Context<'_>) -> Poll<Result<usize, Outcome>> {
        let waiting = match way {
            Way::Read => &mut self.reading,
            Way::Write => &mut self.writing,
        };
        loop {
            match self.faults.turn(way, len) {
                Turn::Move(most) => return Poll::Ready(Ok(most)),
                Turn::Fault(Fault::Pause(duration)) => {
                    ready!(waiting.poll(duration, cx));
                    self.faults.go_on(way);
                }
                Turn::Fault(fault) => match outcome(fault, way) {
                    Some(outcome) => return Poll::Ready(Err(outcome)),
                    None => {
                        self.faults.wake_later(way, cx.waker());
                        return Poll::Pending;
                    }
                },
            }
        }
    }

    /// As `poll_turn`, on a thread.
    fn turn(&mut self, way: Way, len: usize) -> Result<usize, Outcome> {
        let timeout = match way {
            Way::Read => self.reading.timeout,
            Way::Write => self.writing.timeout,
        };
        let start = Instant::now();
        loop {
            match self.faults.turn(way, len) {
                Turn::Move(most) => return Ok(most),
                Turn::Fault(Fault::Pause(duration)) => {
                    thread::sleep(duration);
                    self.faults.go_on(way);
                }
                Turn::Fault(fault) => {
                    if let Some(outcome) = outcome(fault, way) {
                        return Err(outcome);
                    }
                    let left = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
                    if left.is_some_and(|left| left.is_zero()) {
                        return Err(Outcome::Failed(io::ErrorKind::WouldBlock.into()));
                    }
                    self.faults.wait(left);
                }
            }
        }
    }
}

/// `None`: it stalls.
fn outcome(fault: Fault, way: Way) -> Option<Outcome> {
    Some(match (fault, way) {
        (Fault::End, Way::Read) => Outcome::End,
        (Fault::End, Way::Write) => Outcome::Failed(io::ErrorKind::BrokenPipe.into()),
        (Fault::Error(kind), _) => Outcome::Failed(kind.into()),
        (Fault::Swallow, Way::Write) => Outcome::Swallowed,
        (Fault::Swallow, Way::Read) | (Fault::Stall | Fault::Pause(_), _) => return None,
    })
}

impl<S: AsyncRead + Unpin> AsyncRead for Faulty<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.late.is_none() {
            let most = match ready!(this.poll_turn(Way::Read, target.remaining().min(PIECE), cx)) {
                Ok(most) => most,
                Err(Outcome::Failed(error)) => return Poll::Ready(Err(error)),
                Err(Outcome::End | Outcome::Swallowed) => return Poll::Ready(Ok(())),
            };
            let mut piece = vec![0; most];
            let mut piece = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut piece))?;
            this.faults.moved_by(Way::Read, piece.filled().len());
            this.late = Some(piece.filled().to_vec());
        }
        if let Some(delay) = this.faults.read_delay() {
            ready!(this.reading.poll(delay, cx));
        }
        let mut late = this.late.take().unwrap_or_default();
        let now = late.len().min(target.remaining());
        target.put_slice(&late[..now]);
        if now < late.len() {
            this.late = Some(late.split_off(now));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Faulty<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let most = match ready!(this.poll_turn(Way::Write, bytes.len(), cx)) {
            Ok(most) => most,
            Err(Outcome::Failed(error)) => return Poll::Ready(Err(error)),
            Err(Outcome::End | Outcome::Swallowed) => return Poll::Ready(Ok(bytes.len())),
        };
        let len = ready!(Pin::new(&mut this.stream).poll_write(cx, &bytes[..most]))?;
        this.faults.moved_by(Way::Write, len);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match ready!(this.poll_turn(Way::Write, 0, cx)) {
            Ok(_) => Pin::new(&mut this.stream).poll_shutdown(cx),
            Err(Outcome::Failed(error)) => Poll::Ready(Err(error)),
            // The peer does not hear of it.
            Err(Outcome::End | Outcome::Swallowed) => Poll::Ready(Ok(())),
        }
    }
}

impl<S: Read> Read for Faulty<S> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let most = match self.turn(Way::Read, target.len()) {
            Ok(most) => most,
            Err(Outcome::Failed(error)) => return Err(error),
            Err(Outcome::End | Outcome::Swallowed) => return Ok(0),
        };
        let len = self.stream.read(&mut target[..most])?;
        self.faults.moved_by(Way::Read, len);
        if let Some(delay) = self.faults.read_delay() {
            thread::sleep(delay);
        }
        Ok(len)
    }
}

impl<S: Write> Write for Faulty<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = match self.turn(Way::Write, bytes.len()) {
            Ok(most) => most,
            Err(Outcome::Failed(error)) => return Err(error),
            Err(Outcome::End | Outcome::Swallowed) => return Ok(bytes.len()),
        };
        let len = self.stream.write(&bytes[..most])?;
        self.faults.moved_by(Way::Write, len);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl<S: Transport> Transport for Faulty<S> {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.reading.timeout = timeout;
        self.stream.set_read_timeout(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.writing.timeout = timeout;
        self.stream.set_write_timeout(timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        match self.turn(Way::Write, 0) {
            Ok(_) => self.stream.shutdown_write(),
            Err(Outcome::Failed(error)) => Err(error),
            Err(Outcome::End | Outcome::Swallowed) => Ok(()),
        }
    }
}

impl<S: Duplex> Duplex for Faulty<S> {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Faulty::new(self.stream.try_clone()?, &self.faults))
    }
}
