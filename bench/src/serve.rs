//! What every echo server on tokio does the same: one thread, TCP_NODELAY, the upgrade, one task for each
//! connection. So the rows differ by the library that echoes, and by nothing else.

use crate::{args::Args, upgrade};
use std::{
    io::{self, Write},
    net::SocketAddr,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// How a server is to be run.
#[derive(Clone, Copy)]
pub struct Settings {
    /// `--buffer`: bytes of read buffer, where the library lets one choose.
    pub buffer: usize,
    /// `--batched`: write the replies to all that has arrived in one go.
    pub batched: bool,
    /// `--owned`: take messages out of the buffer, where the library also lends them.
    pub owned: bool,
    /// `--split`: receive with one half of the socket and send with the other, where there are halves.
    pub split: bool,
}

/// Accepts for ever, and runs `echo` on every stream that has been upgraded. What `echo` returns is only
/// an end: a client that goes away is no error here.
pub fn run<F, E>(echo: fn(TcpStream, Settings) -> F) -> io::Result<()>
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Send + 'static,
{
    let args = Args::from_env();
    let settings = Settings {
        buffer: args.get("--buffer").unwrap_or(8192),
        batched: args.has("--batched"),
        owned: args.has("--owned"),
        split: args.has("--split"),
    };
    let address = args.require::<SocketAddr>("--listen");
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("listening on {}", listener.local_addr()?);
        io::stdout().flush()?;
        loop {
            let (stream, _) = listener.accept().await?;
            // The upgrade has a task of its own, so that its buffer does not stay in the task that echoes.
            tokio::spawn(async move {
                if let Ok(stream) = accept(stream).await {
                    tokio::spawn(tokio::task::unconstrained(
                        async move { echo(stream, settings).await.is_ok() },
                    ));
                }
            });
        }
    })
}

async fn accept(mut stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    let mut head = Vec::new();
    while upgrade::head_end(&head).is_none() {
        if head.len() > LONGEST_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    let response = upgrade::response(&head).ok_or(io::ErrorKind::InvalidData)?;
    stream.write_all(response.as_bytes()).await?;
    Ok(stream)
}

const LONGEST_HEAD: usize = 8 * 1024;
