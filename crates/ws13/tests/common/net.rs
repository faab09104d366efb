//! What the tests of the tokio driver share: sockets in memory and over TCP, a peer made of plain bytes, streams that
//! behave oddly, and a way to drop futures half way.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use crate::common::{self, Frame};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use ws13::{Config, Keepalive, Limits, LocalAddr, Role, Server, WebSocket};

/// A client's and a server's socket on one stream in memory that holds `capacity` bytes each way.
pub fn sockets(capacity: usize) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    sockets_with(capacity, Config::default())
}

pub fn sockets_with(
    capacity: usize,
    config: impl Into<Arc<Config>>,
) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let config = config.into();
    let (near, far) = tokio::io::duplex(capacity);
    (
        WebSocket::from_upgraded(near, Role::Client, Arc::clone(&config)),
        WebSocket::from_upgraded(far, Role::Server, config),
    )
}

/// A socket, and its peer as a plain stream.
pub fn socket_and_wire(
    role: Role,
    capacity: usize,
    config: Config,
) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (near, far) = tokio::io::duplex(capacity);
    (WebSocket::from_upgraded(near, role, config), far)
}

/// A server's socket, and its client as a plain stream.
pub fn server_and_wire() -> (WebSocket<DuplexStream>, DuplexStream) {
    socket_and_wire(Role::Server, 1 << 16, Config::default())
}

/// Settings without pings, and with these limits.
pub fn quiet(limits: Limits) -> Config {
    Config {
        limits,
        keepalive: Keepalive { ping_interval: None, ..Keepalive::default() },
        ..Config::default()
    }
}

/// Two ends of a TCP connection.
pub async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (dialled, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (dialled.unwrap(), accepted.unwrap().0)
}

/// A server on a port of its own, and its address.
pub async fn server() -> (Server, SocketAddr) {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    match server.local_addr().unwrap() {
        LocalAddr::Tcp(address) => (server, address),
        other => panic!("{other}"),
    }
}

/// The next frame on the wire; `None` when the stream ends before it.
pub async fn read_frame(wire: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
    let mut bytes = vec![0; 2];
    wire.read_exact(&mut bytes).await.ok()?;
    let extended = match bytes[1] & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let len_bytes = read_some(wire, extended).await?;
    let len = match extended {
        0 => usize::from(bytes[1] & 0x7f),
        _ => len_bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
    };
    let key_len = if bytes[1] & 0x80 != 0 { 4 } else { 0 };
    bytes.extend(len_bytes);
    bytes.extend(read_some(wire, key_len + len).await?);
    common::parse(&bytes).pop()
}

async fn read_some(wire: &mut (impl AsyncRead + Unpin), len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    wire.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}

/// All frames until the stream ends.
pub async fn read_frames(wire: &mut (impl AsyncRead + Unpin)) -> Vec<Frame> {
    let mut bytes = Vec::new();
    wire.read_to_end(&mut bytes).await.unwrap();
    common::parse(&bytes)
}

/// The code in a Close frame.
pub fn close_code(frame: &Frame) -> u16 {
    assert_eq!(frame.first, 0x88, "{frame:?} is a Close frame");
    u16::from_be_bytes([frame.payload[0], frame.payload[1]])
}

/// Does an opening handshake as a client, byte by byte, and gives the stream and the response's head.
pub async fn dial(address: SocketAddr, more_headers: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(request(address, more_headers).as_bytes()).await.unwrap();
    let head = read_head(&mut stream).await;
    (stream, head)
}

pub fn request(address: SocketAddr, more_headers: &str) -> String {
    format!(
        "GET /chat?room=1 HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more_headers}\r\n"
    )
}

pub async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("the head is complete"));
    }
    String::from_utf8(head).unwrap()
}

/// Polls a future at most `times` times and drops it then, unless it was ready.
pub async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let ready = poll_times(times, future).await;
    if ready.is_none() {
        // tokio's own streams give a task nothing more until it has yielded.
        tokio::task::yield_now().await;
    }
    ready
}

async fn poll_times<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Fails the test when something takes too long, instead of hanging for ever.
pub async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it ends in time")
}

/// One byte at a time, and each byte only at the second try.
pub struct Trickle<S> {
    stream: S,
    read_now: bool,
    write_now: bool,
}

impl<S> Trickle<S> {
    pub fn new(stream: S) -> Self {
        Trickle { stream, read_now: false, write_now: false }
    }
}

/// Whether it is the turn; if not, it will be at the next poll.
fn turn(now: &mut bool, cx: &mut Context<'_>) -> bool {
    *now = !*now;
    if *now {
        cx.waker().wake_by_ref();
    }
    !*now
}

impl<S: AsyncRead + Unpin> AsyncRead for Trickle<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !turn(&mut this.read_now, cx) {
            return Poll::Pending;
        }
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, &mut one))?;
        target.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Trickle<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !turn(&mut this.write_now, cx) {
            return Poll::Pending;
        }
        Pin::new(&mut this.stream).poll_write(cx, &bytes[..bytes.len().min(1)])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
