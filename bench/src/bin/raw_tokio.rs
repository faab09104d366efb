//! `raw-tokio`: what the floor costs those who build on tokio. Receives, sends the same bytes back, parses nothing.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use ws13_bench::serve::{self, Settings};

fn main() -> io::Result<()> {
    serve::run(echo)
}

async fn echo(mut stream: TcpStream, _: Settings) -> io::Result<()> {
    let mut rest = Vec::new();
    poll_fn(|cx| BUFFER.with_borrow_mut(|buffer| poll_echo(Pin::new(&mut stream), &mut rest, buffer, cx)))
        .await
}

/// Ends with the connection. `rest` is what a write left over.
fn poll_echo(
    mut stream: Pin<&mut TcpStream>,
    rest: &mut Vec<u8>,
    buffer: &mut [u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    loop {
        while !rest.is_empty() {
            let sent = ready!(stream.as_mut().poll_write(cx, rest))?;
            rest.drain(..sent);
        }
        let mut room = ReadBuf::new(buffer);
        ready!(stream.as_mut().poll_read(cx, &mut room))?;
        let received = room.filled();
        if received.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        let sent = match stream.as_mut().poll_write(cx, received) {
            Poll::Ready(sent) => sent?,
            Poll::Pending => 0,
        };
        rest.extend_from_slice(&received[sent..]);
    }
}

thread_local! {
    /// One for all connections: it is empty again whenever one of them waits.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; 64 * 1024].into());
}
