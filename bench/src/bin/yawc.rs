//! Echo with yawc.

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use ws13_bench::serve::{self, Settings};
use yawc::{Options, Result, Role, WebSocket, frame::OpCode};

fn main() -> std::io::Result<()> {
    serve::run(echo)
}

async fn echo(stream: TcpStream, settings: Settings) -> Result<()> {
    let options = Options::default()
        .with_utf8()
        .with_limits(LARGEST, 2 * LARGEST)
        .with_read_buffer_capacity(settings.buffer)
        .with_backpressure_boundary(settings.buffer);
    let mut ws = WebSocket::from_stream(stream, Role::Server, options)?;
    while let Some(frame) = ws.next().await {
        if !matches!(frame.opcode(), OpCode::Text | OpCode::Binary) {
            continue;
        }
        ws.feed(frame).await?;
        while settings.batched
            && let Some(Some(frame)) = ws.next().now_or_never()
        {
            if matches!(frame.opcode(), OpCode::Text | OpCode::Binary) {
                ws.feed(frame).await?;
            }
        }
        ws.flush().await?;
    }
    Ok(())
}

const LARGEST: usize = 16 << 20;
