//! Echo with tokio-websockets, as its own example does it.

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_websockets::{Error, ServerBuilder};

fn main() -> std::io::Result<()> {
    ws13_foreign::run(|stream| async { drop(echo(stream).await) })
}

async fn echo(stream: TcpStream) -> Result<(), Error> {
    let (_request, mut ws) = ServerBuilder::new().accept(stream).await?;
    while let Some(message) = ws.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            ws.send(message).await?;
        }
    }
    Ok(())
}
