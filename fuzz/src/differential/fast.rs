//! What fastwebsockets makes of the bytes.

use super::{Ending, MAX, Told};
use fastwebsockets::{FragmentCollector, OpCode, WebSocket, WebSocketError};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ws13::{Kind, Role};

/// Gives the bytes, and then ends.
struct Script(std::collections::VecDeque<u8>);

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (first, _) = self.0.as_slices();
        let len = first.len().min(target.remaining());
        target.put_slice(&first[..len]);
        self.0.drain(..len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
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

pub(super) fn run(role: Role, script: &[u8]) -> Told {
    let role = match role {
        Role::Client => fastwebsockets::Role::Client,
        Role::Server => fastwebsockets::Role::Server,
    };
    let mut socket = WebSocket::after_handshake(Script(script.to_vec().into()), role);
    // Its limit is the first length that it refuses.
    socket.set_max_message_size(MAX + 1);
    socket.set_auto_pong(true);
    socket.set_auto_close(true);
    let mut socket = FragmentCollector::new(socket);
    let mut messages = Vec::new();
    let end = loop {
        let frame = match ready(socket.read_frame()) {
            Ok(frame) => frame,
            Err(WebSocketError::UnexpectedEOF) => break Ending::MoreNeeded,
            Err(WebSocketError::IoError(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                break Ending::MoreNeeded;
            }
            Err(_) => break Ending::Refused,
        };
        match frame.opcode {
            OpCode::Text => messages.push((Kind::Text, frame.payload.to_vec())),
            OpCode::Binary => messages.push((Kind::Binary, frame.payload.to_vec())),
            OpCode::Close => {
                let code = frame.payload.first_chunk::<2>();
                break Ending::Close(code.map_or(1005, |code| u16::from_be_bytes(*code)));
            }
            _ => {}
        }
    };
    Told { messages, end }
}

/// The stream is never pending.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a stream in memory is always ready"),
    }
}
