//! Echo with tokio-tungstenite.

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, protocol::Role, protocol::WebSocketConfig},
};
use ws13_bench::serve::{self, Settings};

fn main() -> std::io::Result<()> {
    serve::run(echo)
}

async fn echo(stream: TcpStream, settings: Settings) -> Result<(), Error> {
    // Its default would zero 128 KiB before every read.
    let config = WebSocketConfig::default().read_buffer_size(settings.buffer);
    let mut ws = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    while let Some(message) = ws.next().await {
        let message = message?;
        if !message.is_text() && !message.is_binary() {
            continue;
        }
        ws.feed(message).await?;
        while settings.batched
            && let Some(Some(message)) = ws.next().now_or_never()
        {
            let message = message?;
            if message.is_text() || message.is_binary() {
                ws.feed(message).await?;
            }
        }
        ws.flush().await?;
    }
    Ok(())
}
