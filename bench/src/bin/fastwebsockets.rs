//! Echo with fastwebsockets. It writes every frame by itself; `--batched` puts a corked stream below it.

use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket, WebSocketError};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use ws13_bench::{
    cork::Corked,
    serve::{self, Settings},
};

fn main() -> std::io::Result<()> {
    serve::run(echo)
}

async fn echo(stream: TcpStream, settings: Settings) -> Result<(), WebSocketError> {
    match settings.batched {
        true => echo_over(Corked::new(stream)).await,
        false => echo_over(stream).await,
    }
}

async fn echo_over<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<(), WebSocketError> {
    let mut ws = FragmentCollector::new(WebSocket::after_handshake(stream, Role::Server));
    loop {
        let frame = ws.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => ws.write_frame(frame).await?,
            _ => {}
        }
    }
}
