//! Echo with tokio-websockets. It flushes what was fed before every read, so that feeding does not batch;
//! `--batched` puts a corked stream below it.

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_websockets::{Config, Error, Limits, ServerBuilder};
use ws13_bench::{
    cork::Corked,
    serve::{self, Settings},
};

fn main() -> std::io::Result<()> {
    serve::run(echo)
}

async fn echo(stream: TcpStream, settings: Settings) -> Result<(), Error> {
    match settings.batched {
        true => echo_over(Corked::new(stream), settings).await,
        false => echo_over(stream, settings).await,
    }
}

async fn echo_over<S: AsyncRead + AsyncWrite + Unpin>(stream: S, settings: Settings) -> Result<(), Error> {
    let config = Config::default().frame_size(usize::MAX).flush_threshold(settings.buffer);
    let mut ws = ServerBuilder::new().config(config).limits(Limits::unlimited()).serve(stream);
    while let Some(message) = ws.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            ws.send(message).await?;
        }
    }
    Ok(())
}
