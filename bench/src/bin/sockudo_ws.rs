//! Echo with sockudo-ws.

use futures_util::{SinkExt, StreamExt};
use sockudo_ws::{Config, Error, Message, WebSocketStream};
use tokio::net::TcpStream;
use ws13_bench::serve::{self, Settings};

fn main() -> std::io::Result<()> {
    sockudo_ws::init_clock();
    serve::run(echo)
}

async fn echo(stream: TcpStream, settings: Settings) -> Result<(), Error> {
    // No timers: the other servers have none either.
    let config = Config::builder().idle_timeout(0).auto_ping(false).ping_interval(0);
    let config = config.write_buffer_size(settings.buffer.max(16 << 10)).build();
    let mut ws = WebSocketStream::server(stream, config);
    while let Some(message) = ws.next().await {
        match message? {
            // Its read path flushes before it waits, so that feeding is batching.
            message @ (Message::Text(_) | Message::Binary(_)) if settings.batched => ws.feed(message).await?,
            message @ (Message::Text(_) | Message::Binary(_)) => ws.send(message).await?,
            Message::Close(_) => break,
            _ => {}
        }
    }
    Ok(())
}
