//! An echo through the tokio driver, on a stream that gives batches and takes everything: all that a server does for a
//! message but the system calls.

use super::Case;
use super::core_only::{COPY, wire};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ws13::{Config, Error, Event, Role, WebSocket};

pub(crate) const CASES: &[Case] = &[
    ("echo lent 64 x 64", |times| echo(false, 64, 64, times)),
    ("echo owned 64 x 64", |times| echo(true, 64, 64, times)),
    ("echo lent 64 x 1", |times| echo(false, 64, 1, times)),
    ("echo owned 64 x 1", |times| echo(true, 64, 1, times)),
    ("echo lent 1024 x 4", |times| echo(false, 1 << 10, 4, times)),
    ("echo lent 16384 x 2", |times| echo(false, 16 << 10, 2, times)),
];

fn echo(owned: bool, size: usize, depth: usize, times: usize) {
    let stream =
        Batches { wire: wire(Role::Server, false, size, depth), left: times.div_ceil(depth), waited: true };
    // The stream ends without a Close frame, which is no matter here.
    let _ended = run(async move {
        let socket = WebSocket::from_upgraded(stream, Role::Server, Config::default());
        if owned { echo_owned(socket).await } else { echo_lent(socket).await }
    });
}

async fn echo_lent(mut socket: WebSocket<Batches>) -> Result<(), Error> {
    while let Some(mut lent) = socket.receive_ref().await? {
        while let Some((event, mut output)) = lent.next_event() {
            if let Event::Message(message) = event {
                output.send(message)?;
            }
        }
    }
    Ok(())
}

async fn echo_owned(mut socket: WebSocket<Batches>) -> Result<(), Error> {
    while let Some(message) = socket.receive().await? {
        socket.feed(message)?;
    }
    Ok(())
}

/// A stream that has one batch at a time to give, and nothing in between, as a socket between two wake-ups.
struct Batches {
    wire: Vec<u8>,
    left: usize,
    waited: bool,
}

impl AsyncRead for Batches {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Ok(()));
        }
        self.waited = !self.waited;
        if !self.waited {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.left -= 1;
        self.wire.chunks(COPY).for_each(|piece| target.put_slice(piece));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Batches {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Polls a future until it is ready; inside a runtime for the sake of timers, which is not asked to do anything else.
fn run<F: Future>(future: F) -> F::Output {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts");
    let _inside = runtime.enter();
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
}
