//! A peer that is made of bare frames, and says what it expects.

use super::frame::{Frame, Mask};
use crate::WebSocket;
use crate::close::CloseCode;
use crate::connection::Role;
use crate::entropy::random_u64;
use crate::frame::OpCode;
use crate::limits::Config;
use bytes::{Buf, BytesMut};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;

/// How long to wait for what is expected.
const PATIENCE: Duration = Duration::from_secs(10);

/// A peer of bare frames: sends what it is told, right or wrong, and expects what it is told.
///
/// Nothing is answered by itself, no Ping and no Close. What does not come within 10 s is missing (of tokio's time: at
/// once in a test that is paused). `expect…` and `send…` panic, with the line of the test in the message.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use ws13::test::{Frame, Script};
/// use ws13::{CloseCode, Config};
///
/// let (mut server, mut socket) = Script::server(Config::default());
/// let closing = tokio::spawn(async move { socket.close(CloseCode::NORMAL, "bye").await });
/// assert_eq!(server.expect_close(CloseCode::NORMAL).await, "bye");
/// server.send(Frame::close(1000, "")).await;
/// server.end().await;
/// closing.await.unwrap().unwrap();
/// # }
/// ```
#[derive(Debug)]
pub struct Script<S = DuplexStream> {
    stream: S,
    role: Role,
    received: BytesMut,
}

impl Script {
    /// A client made of frames, and the server's socket it talks to, in memory.
    #[must_use]
    pub fn client(config: impl Into<Arc<Config>>) -> (Script, WebSocket<DuplexStream>) {
        Script::with_socket(Role::Server, config.into())
    }

    /// A server made of frames, and the client's socket it talks to, in memory.
    #[must_use]
    pub fn server(config: impl Into<Arc<Config>>) -> (Script, WebSocket<DuplexStream>) {
        Script::with_socket(Role::Client, config.into())
    }

    fn with_socket(role: Role, config: Arc<Config>) -> (Script, WebSocket<DuplexStream>) {
        let (near, far) = tokio::io::duplex(64 << 10);
        let own = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        (Script::on(near, own), WebSocket::from_upgraded(far, role, config))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Script<S> {
    /// A peer on any stream on which the opening handshake was done, such as a TCP stream to a real server.
    pub fn on(stream: S, role: Role) -> Self {
        Script { stream, role, received: BytesMut::new() }
    }

    /// Sends a frame, masked as the role has it unless the frame says otherwise.
    ///
    /// # Panics
    /// When it cannot be written.
    #[track_caller]
    pub fn send(&mut self, mut frame: Frame) -> impl Future<Output = ()> + use<'_, S> {
        if frame.mask == Mask::ByRole && self.role == Role::Client {
            frame.mask = Mask::Key((random_u64() as u32).to_be_bytes());
        }
        let at = Location::caller();
        async move { self.write(&frame.encode(), &frame, at).await }
    }

    /// Sends bytes, whatever they mean.
    ///
    /// # Panics
    /// When they cannot be written.
    #[track_caller]
    pub fn send_bytes<'a>(&'a mut self, bytes: &'a [u8]) -> impl Future<Output = ()> + use<'a, S> {
        let at = Location::caller();
        async move { self.write(bytes, &"bytes", at).await }
    }

    /// Ends this direction of the stream; reading goes on.
    pub async fn end(&mut self) {
        // When it fails it has ended already.
        let _ = self.stream.shutdown().await;
    }

    /// The next frame.
    ///
    /// # Panics
    /// When none comes, the stream ends, or it is no frame, or not masked as the other role has it.
    #[track_caller]
    pub fn expect(&mut self) -> impl Future<Output = Frame> + use<'_, S> {
        let at = Location::caller();
        async move { self.frame(&"a frame", at).await }
    }

    /// Expects a text in one frame.
    ///
    /// # Panics
    /// When something else comes.
    #[track_caller]
    pub fn expect_text<'a>(&'a mut self, text: &'a str) -> impl Future<Output = ()> + use<'a, S> {
        self.expect_frame(Frame::text(text))
    }

    /// Expects bytes in one frame.
    ///
    /// # Panics
    /// When something else comes.
    #[track_caller]
    pub fn expect_binary<'a>(&'a mut self, bytes: &'a [u8]) -> impl Future<Output = ()> + use<'a, S> {
        self.expect_frame(Frame::binary(bytes))
    }

    /// Expects a Pong with this payload.
    ///
    /// # Panics
    /// When something else comes.
    #[track_caller]
    pub fn expect_pong<'a>(&'a mut self, payload: &'a str) -> impl Future<Output = ()> + use<'a, S> {
        self.expect_frame(Frame::pong(payload))
    }

    /// Expects exactly this frame, whatever its masking key.
    ///
    /// # Panics
    /// When something else comes.
    #[track_caller]
    pub fn expect_frame<'a>(&'a mut self, expected: Frame) -> impl Future<Output = ()> + use<'a, S> {
        let at = Location::caller();
        async move {
            let came = self.frame(&format_args!("{expected:?}"), at).await;
            let same = Frame { mask: expected.mask, ..came.clone() } == expected;
            assert!(same, "at {at}: expected {expected:?}, and {came:?} came");
        }
    }

    /// Expects a Ping, and gives its payload.
    ///
    /// # Panics
    /// When something else comes.
    #[track_caller]
    pub fn expect_ping(&mut self) -> impl Future<Output = Vec<u8>> + use<'_, S> {
        let at = Location::caller();
        async move {
            let came = self.frame(&"a Ping", at).await;
            assert!(came.opcode == OpCode::Ping, "at {at}: expected a Ping, and {came:?} came");
            came.payload
        }
    }

    /// Expects a Close with this code, and gives its reason.
    ///
    /// # Panics
    /// When something else comes.
    #[track_caller]
    pub fn expect_close(&mut self, code: CloseCode) -> impl Future<Output = String> + use<'_, S> {
        let at = Location::caller();
        async move {
            let expected = format!("Close {code}");
            let came = self.frame(&expected, at).await;
            let right = came.opcode == OpCode::Close && came.payload.starts_with(&code.get().to_be_bytes());
            assert!(right, "at {at}: expected {expected}, and {came:?} came");
            String::from_utf8_lossy(came.payload.get(2..).unwrap_or_default()).into_owned()
        }
    }

    /// Expects the end of the stream, and no frame before it.
    ///
    /// # Panics
    /// When something else comes, or nothing.
    #[track_caller]
    pub fn expect_end(&mut self) -> impl Future<Output = ()> + use<'_, S> {
        let at = Location::caller();
        async move {
            match self.next(PATIENCE, at).await {
                Next::End => {}
                next => panic!("at {at}: expected the end of the stream, and {next} came"),
            }
        }
    }

    /// Expects that nothing comes for so long.
    ///
    /// # Panics
    /// When something comes.
    #[track_caller]
    pub fn expect_silence(&mut self, duration: Duration) -> impl Future<Output = ()> + use<'_, S> {
        let at = Location::caller();
        async move {
            match self.next(duration, at).await {
                Next::Nothing => {}
                next => panic!("at {at}: expected nothing for {duration:?}, and {next} came"),
            }
        }
    }

    async fn write(&mut self, bytes: &[u8], what: &dyn fmt::Debug, at: &Location<'_>) {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match timeout(PATIENCE, written).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("at {at}: {what:?} cannot be written: {error}"),
            Err(_) => panic!("at {at}: {what:?} cannot be written: the peer takes nothing for {PATIENCE:?}"),
        }
    }

    async fn frame(&mut self, expected: &dyn fmt::Display, at: &Location<'_>) -> Frame {
        match self.next(PATIENCE, at).await {
            Next::Frame(frame) => frame,
            next => panic!("at {at}: expected {expected}, and {next} came"),
        }
    }

    async fn next(&mut self, patience: Duration, at: &Location<'_>) -> Next {
        let reading = async {
            loop {
                match Frame::decode(&self.received) {
                    Ok(Some((frame, len))) => {
                        self.received.advance(len);
                        return Next::Frame(frame);
                    }
                    Ok(None) => {}
                    Err(error) => panic!("at {at}: what came is no frame: {error}"),
                }
                match self.stream.read_buf(&mut self.received).await {
                    Ok(0) if self.received.is_empty() => return Next::End,
                    Ok(0) => return Next::Cut(self.received.len()),
                    Ok(_) => {}
                    Err(error) => return Next::Failed(error),
                }
            }
        };
        let next = timeout(patience, reading).await.unwrap_or(Next::Nothing);
        if let Next::Frame(frame) = &next {
            let masked = matches!(frame.mask, Mask::Key(_));
            let wrong =
                if masked { "masked, as a server's never is" } else { "not masked, as a client's always is" };
            assert!(masked == (self.role == Role::Server), "at {at}: the frame {frame:?} is {wrong}");
        }
        next
    }
}

/// What comes next.
enum Next {
    Frame(Frame),
    End,
    /// The stream ended inside a frame, of which so many bytes came.
    Cut(usize),
    Nothing,
    Failed(std::io::Error),
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Next::Frame(frame) => write!(f, "{frame:?}"),
            Next::End => f.write_str("the end of the stream"),
            Next::Cut(len) => write!(f, "the end of the stream after {len} bytes of a frame"),
            Next::Nothing => f.write_str("nothing"),
            Next::Failed(error) => write!(f, "an error ({error})"),
        }
    }
}
