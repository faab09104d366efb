//! Echo with the ws13 library: out of the buffer a message arrived in, with `--owned` messages, or with
//! the `--split` halves of a socket.

use tokio::net::TcpStream;
use ws13::{Config, Error, Event, Limits, Role, WebSocket};
use ws13_bench::serve::{self, Settings};

fn main() -> std::io::Result<()> {
    serve::run(echo)
}

async fn echo(stream: TcpStream, settings: Settings) -> Result<(), Error> {
    let config = Config { limits: Limits { max_message: LARGEST, ..Limits::default() }, ..Config::default() };
    let socket = WebSocket::from_upgraded(stream, Role::Server, config);
    match settings {
        Settings { split: true, .. } => echo_split(socket).await,
        Settings { owned: true, .. } => echo_owned(socket).await,
        _ => echo_lent(socket).await,
    }
}

/// What is queued is written when `receive_ref` has to wait.
async fn echo_lent(mut socket: WebSocket<TcpStream>) -> Result<(), Error> {
    while let Some(mut lent) = socket.receive_ref().await? {
        while let Some((event, mut output)) = lent.next_event() {
            if let Event::Message(message) = event {
                output.send(message)?;
            }
        }
    }
    Ok(())
}

async fn echo_owned(mut socket: WebSocket<TcpStream>) -> Result<(), Error> {
    while let Some(message) = socket.receive().await? {
        socket.feed(message)?;
        if socket.queued() > QUEUE_MARK {
            socket.flush().await?;
        }
    }
    Ok(())
}

/// Each message is written as it is sent: a half does not know what the other one waits for.
async fn echo_split(socket: WebSocket<TcpStream>) -> Result<(), Error> {
    let (sender, mut receiver) = socket.split();
    while let Some(message) = receiver.receive().await? {
        sender.send(message).await?;
    }
    Ok(())
}

const LARGEST: usize = 16 << 20;
const QUEUE_MARK: usize = 64 << 10;
