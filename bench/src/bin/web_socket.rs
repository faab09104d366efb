//! Echo with web-socket. It reads in small pieces, so it is given a buffered reader; it checks no UTF-8, so
//! we do. `--batched` puts a corked stream below it.

use std::io;
use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader},
    net::TcpStream,
};
use web_socket::{DataType, Event, MessageType, WebSocket};
use ws13_bench::{
    cork::Corked,
    serve::{self, Settings},
};

fn main() -> io::Result<()> {
    serve::run(echo)
}

async fn echo(stream: TcpStream, settings: Settings) -> io::Result<()> {
    match settings.batched {
        true => echo_over(BufReader::with_capacity(settings.buffer, Corked::new(stream))).await,
        false => echo_over(BufReader::with_capacity(settings.buffer, stream)).await,
    }
}

async fn echo_over<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> io::Result<()> {
    let mut ws = WebSocket::server(stream);
    loop {
        match ws.recv().await? {
            Event::Data { ty: DataType::Complete(MessageType::Binary), data } => ws.send(&data[..]).await?,
            Event::Data { ty: DataType::Complete(MessageType::Text), data } => {
                let text = simdutf8::basic::from_utf8(&data).map_err(io::Error::other)?;
                ws.send(text).await?;
            }
            Event::Ping(data) => ws.send_pong(data).await?,
            Event::Pong(_) => {}
            Event::Data { .. } | Event::Error(_) | Event::Close { .. } => return Ok(()),
        }
    }
}
